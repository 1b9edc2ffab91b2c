#include "wire/candidate.h"

#include "base/err.h"
#include "base/test.h"

TEST(candidate_lines_of_browsers_are_read)
{
    struct candidate c;
    char text[ADDR_TEXT_MAX];

    /* Chromium */
    EXPECT_EQ(
        candidate_parse(&c, bytes_str("candidate:842163049 1 udp 1677729535 203.0.113.7 46154 "
                                      "typ srflx raddr 10.0.0.5 rport 55001 generation 0 "
                                      "ufrag EEtu network-id 1 network-cost 10")),
        0);
    addr_text(&c.addr, text);
    EXPECT_STR(text, "203.0.113.7:46154");
    addr_text(&c.related, text);
    EXPECT_STR(text, "10.0.0.5:55001");
    EXPECT(c.type == CANDIDATE_SRFLX && c.component == 1 && c.priority == 1677729535);
    EXPECT_STR(c.ufrag, "EEtu");
    EXPECT_STR(c.foundation, "842163049");
    /* Firefox: a name instead of the address */
    EXPECT_EQ(candidate_parse(&c, bytes_str("a=candidate:0 1 UDP 2122252543 "
                                            "8f1a2b3c-0000-4000-8000-aabbccddeeff.local 51234 "
                                            "typ host\r\n")),
              0);
    EXPECT(c.mdns && c.addr.family == 0 && c.type == CANDIDATE_HOST);
    /* TCP */
    EXPECT_EQ(candidate_parse(&c, bytes_str("candidate:1 1 tcp 1518280447 2001:db8::1 9 typ host "
                                            "tcptype active")),
              0);
    EXPECT(c.tcp == CANDIDATE_TCP_ACTIVE && c.addr.family == 6 && c.addr.tcp == 1);
}

TEST(candidate_bad_lines_are_refused)
{
    static const struct {
        const char *line;
        int want;
    } table[] = {
        {"", E_MALFORMED},
        {"candidate:", E_MALFORMED},
        {"candidate:1 0 udp 1 1.2.3.4 5 typ host", E_MALFORMED},
        {"candidate:1 257 udp 1 1.2.3.4 5 typ host", E_MALFORMED},
        {"candidate:1 1 udp 4294967296 1.2.3.4 5 typ host", E_MALFORMED},
        {"candidate:1 1 udp 1 1.2.3.4 65536 typ host", E_MALFORMED},
        {"candidate:1 1 udp 1 1.2.3.4 5 typ other", E_MALFORMED},
        {"candidate:1 1 udp 1 1.2.3.4 5 typ host raddr", E_MALFORMED},
        {"candidate:1 1 udp 1 1.2.3.4 5 typ host tcptype so", E_MALFORMED},
        {"candidate:1 1 tcp 1 1.2.3.4 5 typ host", E_MALFORMED},
        {"candidate:1 1 sctp 1 1.2.3.4 5 typ host", E_UNSUPPORTED},
        {"candidate:1 1 udp 1 example.com 5 typ host", E_UNSUPPORTED},
        {"candidate:1 1 udp 1 .local 5 typ host", E_UNSUPPORTED},
        {"candidate:123456789012345678901234567890123 1 udp 1 1.2.3.4 5 typ host", E_MALFORMED},
        {"candidate:1 1 udp 1 1.2.3.4 5 typ host ufrag a\"b", E_MALFORMED},
    };
    struct candidate c = {.priority = 99};

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        EXPECT_EQ(candidate_parse(&c, bytes_str(table[i].line)), table[i].want);
    EXPECT_EQ(c.priority, 99);
}

TEST(candidate_text_is_a_pair)
{
    struct rng rng = rng_seed(8);
    char text[CANDIDATE_TEXT_MAX];

    for (int round = 0; round < 1000; round++) {
        struct candidate in = {.foundation = "4", .component = 1, .priority = rng_u32(&rng)}, out;
        uint8_t ip[16];

        rng_fill(&rng, ip, sizeof ip);
        ip[0] = 0x20;
        in.type = (enum candidate_type)rng_below(&rng, 4);
        in.tcp = (enum candidate_tcp)rng_below(&rng, 4);
        if (round & 1)
            addr_set_ip6(&in.addr, ip, (uint16_t)rng_u32(&rng));
        else
            addr_set_ip4(&in.addr, ip, (uint16_t)rng_u32(&rng));
        in.addr.tcp = in.tcp != CANDIDATE_UDP;
        if (round & 2)
            addr_set_ip4(&in.related, ip, 7);
        if (round & 4)
            memcpy(in.ufrag, "ab+/", 5);
        size_t n = candidate_text(&in, text, sizeof text);
        EXPECT(n > 0);
        EXPECT_EQ(candidate_parse(&out, bytes_of(text, n)), 0);
        EXPECT(addr_eq(&in.addr, &out.addr) && addr_eq(&in.related, &out.related));
        EXPECT(in.type == out.type && in.tcp == out.tcp && in.priority == out.priority);
        EXPECT_STR(in.ufrag, out.ufrag);
        EXPECT_EQ(candidate_text(&in, text, n), 0);
    }
}

TEST(candidate_priority_is_that_of_rfc_8445)
{
    EXPECT_EQ(candidate_priority(CANDIDATE_HOST, 65535, 1), 2130706431);
    EXPECT_EQ(candidate_priority(CANDIDATE_SRFLX, 65535, 1), 1694498815);
    EXPECT_EQ(candidate_priority(CANDIDATE_RELAY, 65535, 1), 16777215);
}

FUZZ(candidate, in)
{
    char text[CANDIDATE_TEXT_MAX];
    struct candidate c, again;

    if (candidate_parse(&c, in) != 0)
        return;
    EXPECT(c.mdns == (c.addr.family == 0));
    size_t n = c.mdns ? 0 : candidate_text(&c, text, sizeof text);
    if (n == 0)
        return;
    EXPECT_EQ(candidate_parse(&again, bytes_of(text, n)), 0);
    EXPECT(addr_eq(&c.addr, &again.addr) && c.priority == again.priority);
}
