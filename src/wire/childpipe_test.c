#include "wire/childpipe.h"

#include "base/err.h"
#include "base/test.h"

TEST(childpipe_records_are_written_and_read_whole)
{
    struct childpipe_record in = {.kind = CHILDPIPE_AAC, .pts_us = -5, .body = bytes_str("abc")};
    struct childpipe_record rec;
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);
    size_t used = 0;

    childpipe_write(&w, &in);
    EXPECT_EQ(wr_len(&w), CHILDPIPE_HEADER_BYTES + 3);
    for (size_t n = 0; n < wr_len(&w); n++)
        EXPECT_EQ(childpipe_read(bytes_of(buf, n), &rec, &used), 0);
    EXPECT_EQ(childpipe_read(bytes_of(buf, sizeof buf), &rec, &used), 1);
    EXPECT_EQ(used, wr_len(&w));
    EXPECT(rec.kind == CHILDPIPE_AAC && rec.pts_us == -5);
    EXPECT_BYTES(rec.body, in.body);
}

TEST(childpipe_lengths_that_cannot_be_are_refused)
{
    struct childpipe_record rec;
    size_t used;

    EXPECT_EQ(childpipe_read(test_hex("00000008"), &rec, &used), E_MALFORMED);
    EXPECT_EQ(childpipe_read(test_hex("0000400a"), &rec, &used), E_MALFORMED);
    EXPECT_EQ(childpipe_read(test_hex("00004009"), &rec, &used), 0);
    EXPECT_EQ(childpipe_read(test_hex("ffffffff"), &rec, &used), E_MALFORMED);
}

FUZZ(childpipe, in)
{
    struct childpipe_record rec;
    size_t used = 0;

    while (childpipe_read(in, &rec, &used) == 1) {
        EXPECT(used <= in.len && rec.body.len == used - CHILDPIPE_HEADER_BYTES);
        in = bytes_of(in.p + used, in.len - used);
    }
}
