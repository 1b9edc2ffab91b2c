#include "wire/sdpfrag.h"

#include "base/err.h"
#include "base/test.h"

/* RFC 9725 s4.3.2 and s4.3.3, shortened. */
static const char trickle[] =
    "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n"
    "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
    "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw "
    "network-id 1\r\n"
    "a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0 ufrag EsAw "
    "network-id 2\r\na=end-of-candidates\r\n";

static bool span_is(struct bytes b, const char *text)
{
    return b.len == strlen(text) && memcmp(b.p, text, b.len) == 0;
}

TEST(fragment_of_the_rfc_is_read)
{
    struct sdpfrag f;

    EXPECT_EQ(sdpfrag_read(&f, bytes_str(trickle)), 0);
    EXPECT(span_is(f.ufrag, "EsAw"));
    EXPECT(span_is(f.pwd, "P2uYro0UCOQ4zxjKXaWCBui1"));
    EXPECT_EQ(f.candidate_n, 2);
    EXPECT_EQ(f.strange_n, 0);
    EXPECT(f.end_of_candidates);
}

TEST(fragments_that_cannot_be_meant_are_refused)
{
    static const struct {
        const char *text;
        int err;
    } table[] = {
        {"", E_MALFORMED},
        {"hello\r\n", E_MALFORMED},
        {"a=ice-ufrag:EsAw\r\n", E_MALFORMED}, /* no password */
        {"a=ice-ufrag:E\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n", E_MALFORMED},
        {"a=ice-ufrag:EsAw\r\na=ice-pwd:short\r\n", E_MALFORMED},
        {"a=ice-ufrag:Es w\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n", E_MALFORMED},
        {"a=ice-ufrag:EsAw\r\na=ice-ufrag:EsAx\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
         E_MALFORMED},
        {"a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\n", 0},
        {"m=audio 9 x 0\r\na=candidate:1 1 udp 1 some.name 9 typ host\r\n", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct sdpfrag f;
        EXPECT_EQ(sdpfrag_read(&f, bytes_str(table[i].text)), table[i].err);
    }
}

TEST(too_long_a_fragment_is_refused)
{
    struct sdpfrag f;
    struct str s;

    str_init(&s, SDPFRAG_BYTES_MAX + 16);
    while (s.len <= SDPFRAG_BYTES_MAX)
        str_add(&s, "a=x\r\n");
    EXPECT_EQ(sdpfrag_read(&f, str_bytes(&s)), E_TOO_LARGE);
    EXPECT_EQ(sdpfrag_read(&f, bytes_of(s.p, (size_t)5 * (SDPFRAG_LINES_MAX + 1))), E_TOO_LARGE);
    str_fini(&s);
}

TEST(credentials_are_replaced_everywhere_and_nothing_else)
{
    struct str s;

    str_init(&s, 1 << 16);
    sdpfrag_replace(&s,
                    bytes_str("v=0\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\nm=a\na=ice-ufrag:x\n"),
                    bytes_str("new"), bytes_str("secret"));
    EXPECT_STR(str_text(&s),
               "v=0\r\na=ice-ufrag:new\r\na=ice-pwd:secret\r\nm=a\r\na=ice-ufrag:new\r\n");
    str_fini(&s);
}

FUZZ(sdpfrag, in)
{
    struct sdpfrag f, again;
    struct str s;

    if (sdpfrag_read(&f, in) != 0)
        return;
    EXPECT(f.ufrag.len <= 256 && f.pwd.len <= 256);
    str_init(&s, SDPFRAG_BYTES_MAX * 4);
    sdpfrag_replace(&s, in, bytes_str("abcd"), bytes_str("abcdefghijklmnopqrstuvwx"));
    if (s.len <= SDPFRAG_BYTES_MAX) {
        EXPECT_EQ(sdpfrag_read(&again, str_bytes(&s)), 0);
        EXPECT(again.ufrag.len == (f.ufrag.len > 0 ? 4u : 0u));
        EXPECT_EQ(again.candidate_n, f.candidate_n);
    }
    str_fini(&s);
}
