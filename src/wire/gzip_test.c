#include "wire/gzip.h"

#include "base/err.h"
#include "base/test.h"

static const char hello[] =
    "1f8b0800000000000203cb48cdc9c9d751c840a2009fa1ca0913000000"; /* "hello, hello, hello" */
static const char zeros[] =
    "1f8b0800000000000203edc1010d000000c2a0f74f6d0f0714000000f06e11001cc700100000"; /* 4096 zero
                                                                                       bytes */

TEST(gzip_gives_back_what_was_put_in)
{
    struct str out;

    str_init(&out, 100);
    EXPECT_EQ(gzip_inflate(test_hex(hello), &out), 0);
    EXPECT_STR(str_text(&out), "hello, hello, hello");
    str_fini(&out);
}

TEST(what_is_no_gzip_is_refused)
{
    struct bytes cut = test_hex(hello);
    struct str out;

    cut.len -= 9;
    str_init(&out, 100);
    EXPECT_EQ(gzip_inflate(bytes_str("hello"), &out), E_MALFORMED);
    EXPECT_EQ(gzip_inflate(bytes_of("", 0), &out), E_MALFORMED);
    EXPECT_EQ(gzip_inflate(cut, &out), E_MALFORMED);
    str_fini(&out);
}

TEST(gzip_stops_at_the_ceiling_of_its_output)
{
    struct str out;

    str_init(&out, 1000);
    EXPECT_EQ(gzip_inflate(test_hex(zeros), &out), E_TOO_LARGE);
    EXPECT(out.len <= 1000);
    str_fini(&out);
}

FUZZ(gzip, in)
{
    struct str out;

    str_init(&out, 4096);
    EXPECT(gzip_inflate(in, &out) <= 0);
    EXPECT(out.len <= 4096);
    str_fini(&out);
}
