#include "rtc/twcc_rx.h"

#include "base/test.h"

/* One report read back: how many arrived of which numbers. */
static unsigned read_back(struct bytes msg, uint16_t *first, unsigned *covered, us_t *spread)
{
    struct rtcp_iter it;
    struct rtcp_pkt pkt;
    struct rtcp_fb fb;
    struct twcc_iter tw;
    struct twcc_status st;
    unsigned arrived = 0;
    us_t low = 0;

    rtcp_iter_init(&it, msg);
    EXPECT(rtcp_next(&it, &pkt));
    EXPECT(rtcp_is_twcc(&pkt));
    EXPECT_EQ(rtcp_parse_fb(&pkt, &fb), 0);
    EXPECT_EQ(twcc_parse(&tw, &fb), 0);
    for (*covered = 0; twcc_next(&tw, &st); (*covered)++) {
        if (*covered == 0)
            *first = st.seq;
        if (!st.received)
            continue;
        if (arrived++ == 0)
            low = st.at;
        *spread = st.at - low;
    }
    return arrived;
}

TEST(feedback_falls_due_by_count_by_marker_and_by_time)
{
    static struct twcc_rx t;
    us_t now = 10 * US_PER_SEC;

    twcc_rx_init(&t);
    EXPECT_EQ(twcc_rx_deadline(&t), US_NEVER);
    for (uint16_t i = 0; i < 20; i++)
        twcc_rx_seen(&t, i, false, now);
    EXPECT_EQ(twcc_rx_deadline(&t), now + TWCC_RX_HOLD_US);
    twcc_rx_seen(&t, 20, false, now);
    EXPECT_EQ(twcc_rx_deadline(&t), now + TWCC_RX_US);
    twcc_rx_seen(&t, 21, true, now);
    EXPECT_EQ(twcc_rx_deadline(&t), now + TWCC_RX_MARKER_US);
    for (uint16_t i = 22; i < 102; i++)
        twcc_rx_seen(&t, i, false, now);
    EXPECT(twcc_rx_deadline(&t) <= now);
}

TEST(report_says_what_came_and_what_did_not_across_the_wrap)
{
    static struct twcc_rx t;
    uint8_t buf[TWCC_MESSAGE_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    us_t now = 10 * US_PER_SEC, spread = 0;
    uint16_t first = 0;
    unsigned covered = 0;

    twcc_rx_init(&t);
    for (unsigned i = 0; i < 120; i++, now += 1000) {
        if (i % 10 != 9)
            twcc_rx_seen(&t, (uint16_t)(65500 + i), false, now);
    }
    EXPECT(twcc_rx_report(&t, 1, 2, now, &w));
    EXPECT_EQ(read_back(wr_done(&w), &first, &covered, &spread), 108);
    EXPECT_EQ(first, 65500);
    EXPECT_EQ(covered, 119);
    EXPECT(spread >= 117500 && spread <= 118500);
    EXPECT_EQ(twcc_rx_deadline(&t), US_NEVER);
    /* A number reported as lost that comes now is too late; the next ones go on. */
    twcc_rx_seen(&t, (uint16_t)(65500 + 9), false, now);
    EXPECT_EQ(twcc_rx_deadline(&t), US_NEVER);
    twcc_rx_seen(&t, (uint16_t)(65500 + 121), true, now);
    w = wr_of(buf, sizeof buf);
    EXPECT(!twcc_rx_report(&t, 1, 2, now, &w));
    EXPECT(twcc_rx_report(&t, 1, 2, now + TWCC_RX_MARKER_US, &w));
    EXPECT_EQ(read_back(wr_done(&w), &first, &covered, &spread), 1);
    EXPECT_EQ(first, (uint16_t)(65500 + 119));
    EXPECT_EQ(covered, 3);
}

TEST(a_jump_of_the_numbers_starts_anew)
{
    static struct twcc_rx t;
    uint8_t buf[TWCC_MESSAGE_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    uint16_t first = 0;
    unsigned covered = 0;
    us_t spread;

    twcc_rx_init(&t);
    twcc_rx_seen(&t, 100, false, US_PER_SEC);
    twcc_rx_seen(&t, 100 + TWCC_RX_MAX, true, US_PER_SEC);
    EXPECT(twcc_rx_report(&t, 1, 2, 2 * US_PER_SEC, &w));
    EXPECT_EQ(read_back(wr_done(&w), &first, &covered, &spread), 1);
    EXPECT_EQ(first, 100 + TWCC_RX_MAX);
}

/* Bytes are packets and time; whatever comes, reports parse and the record stays bounded. */
FUZZ(twcc_rx, in)
{
    static struct twcc_rx t;
    static uint8_t buf[TWCC_MESSAGE_MAX];
    us_t now = US_PER_SEC, spread;
    uint16_t seq = 65000, first = 0;
    unsigned covered;

    twcc_rx_init(&t);
    for (size_t i = 0; i + 1 < in.len; i += 2) {
        if (in.p[i] & 1)
            seq = (uint16_t)(seq + in.p[i + 1]);
        else
            seq = (uint16_t)(seq - in.p[i + 1] * 3);
        now += (in.p[i] >> 2) * (us_t)(in.p[i] & 2 ? 100 : 20000);
        twcc_rx_seen(&t, seq, (in.p[i + 1] & 7) == 0, now);
        EXPECT(t.span <= TWCC_RX_MAX);
        EXPECT(t.held_n <= t.span);
        for (int n = 0;; n++) {
            struct wr w = wr_of(buf, sizeof buf);
            if (!twcc_rx_report(&t, 1, 2, now, &w))
                break;
            EXPECT(wr_ok(&w));
            EXPECT(n < 8);
            (void)read_back(wr_done(&w), &first, &covered, &spread);
        }
    }
}
