#include "wire/stun.h"

#include "base/err.h"
#include "base/test.h"

/* RFC 5769 s2.1: request, password VOkJxbRl1RmTxUk/WvJxBt */
static const char request_hex[] = "000100582112a442b7e7a701bc34d686fa87dfae"
                                  "802200105354554e207465737420636c69656e74"
                                  "002400046e0001ff80290008932ff9b151263b36"
                                  "000600096576746a3a68367659202020"
                                  "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
                                  "80280004e57a3bcf";
/* s2.2 and s2.3: responses with IPv4 and IPv6 */
static const char response4_hex[] = "0101003c2112a442b7e7a701bc34d686fa87dfae"
                                    "8022000b7465737420766563746f7220002000080001a147e112a643"
                                    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
                                    "80280004c07d4c96";
static const char response6_hex[] =
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c";

TEST(stun_reads_the_request_of_rfc_5769)
{
    struct bytes in = test_hex(request_hex), tag, l, r;
    uint8_t scratch[STUN_MESSAGE_MAX];
    struct stun_msg m;

    EXPECT_EQ(stun_parse(&m, in), 0);
    EXPECT_EQ(m.cls, STUN_REQUEST);
    EXPECT_EQ(m.method, STUN_BINDING);
    EXPECT(bytes_eq_str(m.software, "STUN test client"));
    EXPECT(bytes_eq_str(m.username, "evtj:h6vY"));
    EXPECT(stun_username_split(m.username, &l, &r));
    EXPECT(bytes_eq_str(l, "evtj") && bytes_eq_str(r, "h6vY"));
    EXPECT(m.has_priority && m.priority == 0x6e0001ff);
    EXPECT_EQ(m.role, STUN_ROLE_CONTROLLED);
    EXPECT(m.tie_breaker == 0x932ff9b151263b36);
    EXPECT(m.fingerprint && !m.use_candidate);
    EXPECT_EQ(m.unknown_n, 0);

    struct bytes span = stun_integrity_span(&m, scratch, &tag);
    EXPECT_EQ(span.len, 76);
    EXPECT_EQ(load_u16(span.p + 2), 0x50); /* without FINGERPRINT */
    EXPECT_BYTES(bytes_of(span.p + 4, 72), bytes_of(in.p + 4, 72));
    EXPECT_BYTES(tag, test_hex("9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"));
}

TEST(stun_reads_the_responses_of_rfc_5769)
{
    struct stun_msg m;
    char text[ADDR_TEXT_MAX];

    EXPECT_EQ(stun_parse(&m, test_hex(response4_hex)), 0);
    EXPECT_EQ(m.cls, STUN_SUCCESS);
    addr_text(&m.mapped, text);
    EXPECT_STR(text, "192.0.2.1:32853");
    EXPECT_EQ(stun_parse(&m, test_hex(response6_hex)), 0);
    addr_text(&m.mapped, text);
    EXPECT_STR(text, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

TEST(stun_writes_the_response_of_rfc_5769)
{
    uint8_t buf[200], *tag;
    struct wr w = wr_of(buf, sizeof buf);
    struct bytes want = test_hex(response4_hex), span;
    struct stun_tid tid;
    struct addr a = {0};

    memcpy(tid.b, want.p + 8, sizeof tid.b);
    addr_set_ip4(&a, (const uint8_t[]){192, 0, 2, 1}, 32853);
    stun_begin(&w, STUN_SUCCESS, STUN_BINDING, &tid);
    stun_add_bytes(&w, STUN_SOFTWARE, bytes_str("test vector"));
    w.start[35] = ' '; /* the vector pads with a space */
    stun_add_xor_addr(&w, STUN_XOR_MAPPED_ADDRESS, &a);
    tag = stun_add_integrity(&w, &span);
    EXPECT(tag != NULL);
    EXPECT_EQ(span.len, 48);
    EXPECT_EQ(load_u16(span.p + 2), 0x34);
    memcpy(tag, want.p + 52, STUN_TAG_BYTES);
    stun_add_fingerprint(&w);
    EXPECT_EQ(stun_end(&w), 0);
    EXPECT_BYTES(wr_done(&w), want);
}

static struct bytes signed_request(struct wr *w, struct rng *rng, struct stun_tid *tid)
{
    struct bytes span;

    *tid = stun_tid_new(rng);
    stun_begin(w, STUN_REQUEST, STUN_BINDING, tid);
    stun_add_bytes(w, STUN_USERNAME, bytes_str("abcd:efgh"));
    stun_add_u64(w, STUN_ICE_CONTROLLING, 77);
    stun_add_u32(w, STUN_PRIORITY, 5);
    stun_add_flag(w, STUN_USE_CANDIDATE);
    stun_add_u32(w, STUN_NOMINATION, 1);
    uint8_t *tag = stun_add_integrity(w, &span);
    memset(tag, 0xab, STUN_TAG_BYTES);
    stun_add_fingerprint(w);
    EXPECT_EQ(stun_end(w), 0);
    return wr_done(w);
}

TEST(stun_round_trip_and_every_flipped_bit_is_seen_by_the_fingerprint)
{
    struct rng rng = rng_seed(3);
    uint8_t buf[256];
    struct wr w = wr_of(buf, sizeof buf);
    struct stun_tid tid;
    struct stun_msg m;
    struct bytes out = signed_request(&w, &rng, &tid);

    EXPECT_EQ(stun_parse(&m, out), 0);
    EXPECT(stun_tid_eq(&m.tid, &tid) && m.use_candidate && m.role == STUN_ROLE_CONTROLLING);
    EXPECT(m.tie_breaker == 77 && m.priority == 5 && m.unknown_n == 0);
    EXPECT_EQ(stun_find(&m, STUN_NOMINATION).len, 4);
    EXPECT(stun_find(&m, STUN_FINGERPRINT).p == NULL);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
        /* A longer attribute may swallow the FINGERPRINT; then it must not count as checked. */
        EXPECT(stun_parse(&m, out) != 0 || !m.fingerprint);
        buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < out.len; n++)
        EXPECT(stun_parse(&m, bytes_of(out.p, n)) != 0);
}

TEST(stun_error_response_names_what_was_unknown)
{
    uint8_t buf[128];
    struct wr w = wr_of(buf, sizeof buf);
    struct stun_tid tid = {{1, 2, 3}};
    const uint16_t types[] = {0x7001, 0x7002, 0x7003};
    struct stun_msg m;

    stun_begin(&w, STUN_ERROR, STUN_BINDING, &tid);
    stun_add_error(&w, 420, "Unknown");
    stun_add_unknown(&w, types, 3);
    stun_add_u32(&w, 0x7004, 9);
    EXPECT_EQ(stun_end(&w), 0);
    EXPECT_EQ(stun_parse(&m, wr_done(&w)), 0);
    EXPECT_EQ(m.cls, STUN_ERROR);
    EXPECT_EQ(m.error_code, 420);
    EXPECT(bytes_eq_str(m.error_reason, "Unknown"));
    EXPECT_EQ(m.unknown_n, 1);
    EXPECT_EQ(m.unknown[0], 0x7004);
    EXPECT_EQ(stun_find(&m, STUN_UNKNOWN_ATTRIBUTES).len, 6);
    EXPECT(!m.fingerprint && m.integrity_at == 0);
}

TEST(stun_classes_and_methods_survive_the_interleaving)
{
    struct stun_tid tid = {{9}};
    uint8_t buf[32];
    struct stun_msg m;

    for (unsigned method = 0; method < 0x1000; method += 7) {
        for (unsigned cls = 0; cls < 4; cls++) {
            struct wr w = wr_of(buf, sizeof buf);
            stun_begin(&w, (enum stun_class)cls, (uint16_t)method, &tid);
            EXPECT_EQ(stun_end(&w), 0);
            EXPECT_EQ(stun_parse(&m, wr_done(&w)), 0);
            EXPECT(m.cls == (enum stun_class)cls && m.method == method);
        }
    }
}

TEST(stun_refuses_what_contradicts_itself_and_leaves_the_output_alone)
{
    static const char *const bad[] = {
        "000100042112a44200000000000000000000000000240004",         /* attribute runs out */
        "000100082112a442000000000000000000000000002400020001ffff", /* PRIORITY of 2 bytes */
        "000100002112a44300000000000000000000000000",               /* cookie */
        ("000100182112a442000000000000000000000000"
         "802900080000000000000001802a00080000000000000001"),                 /* both roles */
        "0001000c2112a44200000000000000000000000000200008000300000000000000", /* family 3 */
    };
    struct stun_msg m = {.error_code = 1234};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        EXPECT(stun_parse(&m, test_hex(bad[i])) < 0);
    EXPECT_EQ(m.error_code, 1234);
}

TEST(stun_writer_that_overflows_says_so_once_at_the_end)
{
    struct stun_tid tid = {{0}};
    struct bytes span;
    uint8_t buf[64];

    for (size_t cap = 0; cap < 60; cap++) {
        struct wr w = wr_of(buf, cap);
        stun_begin(&w, STUN_REQUEST, STUN_BINDING, &tid);
        stun_add_u64(&w, STUN_ICE_CONTROLLED, 1);
        EXPECT((stun_add_integrity(&w, &span) == NULL) == (cap < 56));
        stun_add_fingerprint(&w);
        EXPECT_EQ(stun_end(&w), E_TOO_LARGE);
    }
}

FUZZ(stun, in)
{
    uint8_t scratch[STUN_MESSAGE_MAX];
    struct bytes tag, span;
    struct stun_msg m;

    if (stun_parse(&m, in) != 0)
        return;
    EXPECT(m.unknown_n <= STUN_UNKNOWN_MAX);
    span = stun_integrity_span(&m, scratch, &tag);
    if (m.integrity_at != 0) {
        EXPECT(span.len < in.len && tag.len == STUN_TAG_BYTES);
        EXPECT(tag.p > in.p && tag.p + tag.len <= in.p + in.len);
    }
    (void)stun_find(&m, STUN_USERNAME); /* must only stay inside */
}
