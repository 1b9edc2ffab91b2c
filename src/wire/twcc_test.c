#include "wire/twcc.h"

#include "base/err.h"
#include "base/test.h"

static const struct rtcp_fb from = {.sender = 11, .media = 22};

static int parse(struct twcc_iter *it, struct bytes in)
{
    struct rtcp_iter packets;
    struct rtcp_pkt p;
    struct rtcp_fb fb;

    rtcp_iter_init(&packets, in);
    EXPECT(rtcp_next(&packets, &p) && rtcp_is_twcc(&p));
    EXPECT(rd_left(&packets.rd) == 0);
    EXPECT_EQ(rtcp_parse_fb(&p, &fb), 0);
    EXPECT(fb.sender == from.sender && fb.media == from.media);
    return twcc_parse(it, &fb);
}

/* What was written is read back, to the tick. */
static unsigned check_pair(uint16_t first, const us_t *at, unsigned n)
{
    uint8_t buf[TWCC_MESSAGE_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    unsigned covered = twcc_write(&w, &from, 7, first, at, n), i = 0;
    struct twcc_status s;
    struct twcc_iter it;

    EXPECT(wr_ok(&w) && covered > 0 && covered <= n);
    EXPECT_EQ(parse(&it, wr_done(&w)), 0);
    EXPECT_EQ(it.fb_count, 7);
    while (twcc_next(&it, &s)) {
        EXPECT(i < covered);
        EXPECT_EQ(s.seq, (uint16_t)(first + i));
        EXPECT_EQ(s.received, at[i] != TWCC_LOST);
        if (s.received)
            EXPECT_EQ(s.at, at[i] / TWCC_TICK_US * TWCC_TICK_US);
        i++;
    }
    EXPECT_EQ(i, covered);
    return covered;
}

TEST(twcc_reads_a_message_of_every_chunk_kind)
{
    /* base 5, 7 + 14 + 6 statuses: two-bit vector, one-bit vector, run of six lost */
    struct bytes in = test_hex("8fcd0007 0000000b 00000016 0005 001b 000002 09"
                               "d240" /* 2 bit: 01 00 10 01 00 00 00 */
                               "a001" /* 1 bit: 10000000000001 */
                               "0006"
                               "04 fffc ff 00 08");
    struct twcc_status s;
    struct twcc_iter it;
    us_t at[27];
    unsigned n = 0, received = 0;

    EXPECT_EQ(parse(&it, in), 0);
    for (; twcc_next(&it, &s); n++) {
        at[n] = s.received ? s.at - 128000 : -1;
        received += s.received;
    }
    EXPECT_EQ(n, 27);
    EXPECT_EQ(received, 5);
    EXPECT_EQ(at[0], 1000);
    EXPECT_EQ(at[2], 0);
    EXPECT_EQ(at[3], 63750);
    EXPECT_EQ(at[7], 63750);
    EXPECT_EQ(at[20], 65750);
}

TEST(twcc_every_pattern_of_fifteen_packets_is_a_pair)
{
    us_t at[16];

    for (unsigned pattern = 1; pattern < 1u << 15; pattern++) {
        for (unsigned i = 0; i < 15; i++)
            at[i] = pattern >> i & 1 ? (us_t)1000000 + i * (us_t)1250 : TWCC_LOST;
        EXPECT_EQ(check_pair(65530, at, 15), 15);
    }
}

TEST(twcc_every_mix_of_three_symbols_over_nine_packets_is_a_pair)
{
    us_t at[9];

    for (unsigned code = 0; code < 19683; code++) {
        us_t now = 5 * US_PER_SEC;
        for (unsigned i = 0, c = code; i < 9; i++, c /= 3) {
            if (c % 3 != 0)
                now += c % 3 == 1 ? 1000 : 80000;
            at[i] = c % 3 == 0 ? TWCC_LOST : now;
        }
        EXPECT_EQ(check_pair(3, at, 9), 9);
    }
}

TEST(twcc_random_arrivals_are_a_pair_in_as_many_messages_as_it_takes)
{
    struct rng rng = rng_seed(21);
    static us_t at[1500];

    for (int round = 0; round < 300; round++) {
        unsigned n = 1 + (unsigned)rng_below(&rng, ARRAY_LEN(at));
        uint64_t loss = rng_below(&rng, 100), spread = 1 + rng_below(&rng, 200000);
        us_t now = (us_t)rng_below(&rng, 900000000);
        for (unsigned i = 0; i < n; i++) {
            now += (us_t)rng_below(&rng, spread);
            if (rng_below(&rng, 200) == 0)
                now += 9 * US_PER_SEC; /* too far for one message */
            us_t late = (us_t)rng_below(&rng, 50000);
            at[i] = rng_below(&rng, 100) < loss ? TWCC_LOST : us_max(0, now - late);
        }
        for (unsigned done = 0; done < n;)
            done += check_pair((uint16_t)(60000 + done), at + done, n - done);
    }
}

TEST(twcc_worst_message_fits_and_a_small_buffer_is_an_error)
{
    us_t at[TWCC_WRITE_MAX];
    uint8_t buf[TWCC_MESSAGE_MAX];

    for (unsigned i = 0; i < TWCC_WRITE_MAX; i++)
        at[i] = (us_t)i * 70000;
    EXPECT_EQ(check_pair(0, at, TWCC_WRITE_MAX), TWCC_WRITE_MAX);
    struct wr w = wr_of(buf, 40);
    (void)twcc_write(&w, &from, 0, 0, at, 20); /* the error is what is asked about */
    EXPECT(!wr_ok(&w));
}

TEST(twcc_hostile_messages_are_refused)
{
    static const struct {
        const char *hex;
        int want;
    } table[] = {
        {"8fcd0004 0000000b 00000016 0005 0001 000002 09", E_TRUNCATED},           /* no chunk */
        {"8fcd0005 0000000b 00000016 0005 0001 000002 09 0000 0000", E_MALFORMED}, /* empty run */
        {"8fcd0005 0000000b 00000016 0005 0001 000002 09 6001 0000", E_MALFORMED}, /* reserved */
        {"8fcd0005 0000000b 00000016 0005 0003 000002 09 2003 0000", E_TRUNCATED}, /* deltas */
        {"8fcd0003 0000000b 00000016 0005 0003", E_TRUNCATED},
    };
    struct twcc_iter it;

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        EXPECT_EQ(parse(&it, test_hex(table[i].hex)), table[i].want);
}

FUZZ(twcc, in)
{
    struct rtcp_fb fb = {.fci = in};
    struct twcc_status s;
    struct twcc_iter it;
    unsigned n = 0;

    if (twcc_parse(&it, &fb) != 0)
        return;
    while (twcc_next(&it, &s))
        n++;
    EXPECT(n <= 65535);
}
