#include "rtc/nack.h"

#include "base/test.h"

TEST(a_gap_is_asked_for_on_schedule_and_then_given_up)
{
    static const us_t gap[] = {100000, 125000, 156250, 195312, 244140};
    struct nack n;
    uint16_t seq[10];
    us_t now = 5000000;

    nack_init(&n);
    EXPECT_EQ(nack_seen(&n, 65534, now), NACK_SEEN_NEW);
    EXPECT_EQ(nack_deadline(&n), US_NEVER);
    EXPECT_EQ(nack_seen(&n, 1, now), NACK_SEEN_NEW);
    EXPECT_EQ(nack_deadline(&n), now + NACK_FIRST_US);
    EXPECT_EQ(nack_due(&n, now, 100000, seq, 10), 0);
    for (unsigned i = 0; i < NACK_TRIES_MAX; i++) {
        now = nack_deadline(&n);
        EXPECT_EQ(nack_due(&n, now, 100000, seq, 10), 2);
        EXPECT_EQ(seq[0], 65535);
        EXPECT_EQ(seq[1], 0);
        EXPECT_EQ(nack_deadline(&n), now + gap[i]);
    }
    EXPECT_EQ(nack_due(&n, nack_deadline(&n), 100000, seq, 10), 0);
    EXPECT_EQ(n.given_up_n, 2);
    EXPECT_EQ(nack_deadline(&n), US_NEVER);
    EXPECT_EQ(nack_seen(&n, 0, now), NACK_SEEN_OLD);
}

TEST(interval_is_clamped_both_ways)
{
    struct nack n;
    uint16_t seq[10];

    nack_init(&n);
    (void)nack_seen(&n, 1, 0);
    (void)nack_seen(&n, 3, 0);
    EXPECT_EQ(nack_due(&n, 20000, 1000, seq, 10), 1);
    EXPECT_EQ(nack_deadline(&n), 20000 + NACK_INTERVAL_MIN_US);
    EXPECT_EQ(nack_due(&n, 40000, 9000000, seq, 10), 1);
    EXPECT_EQ(nack_deadline(&n), 40000 + NACK_INTERVAL_MAX_US);
}

TEST(a_late_packet_is_not_asked_for_and_a_second_copy_is_old)
{
    struct nack n;
    uint16_t seq[10];

    nack_init(&n);
    (void)nack_seen(&n, 10, 0);
    (void)nack_seen(&n, 12, 0);
    EXPECT_EQ(nack_seen(&n, 11, 5000), NACK_SEEN_RECOVERED);
    EXPECT_EQ(nack_seen(&n, 11, 6000), NACK_SEEN_OLD);
    EXPECT_EQ(nack_seen(&n, 12, 6000), NACK_SEEN_OLD);
    EXPECT_EQ(nack_due(&n, 100000, 0, seq, 10), 0);
}

TEST(a_huge_gap_keeps_the_newest_hundred)
{
    struct nack n;
    uint16_t seq[200];

    nack_init(&n);
    (void)nack_seen(&n, 0, 0);
    (void)nack_seen(&n, 301, 0);
    EXPECT_EQ(n.given_up_n, 200);
    EXPECT_EQ(nack_due(&n, NACK_FIRST_US, 0, seq, 30), 30);
    EXPECT_EQ(seq[0], 201);
    EXPECT_EQ(nack_due(&n, NACK_FIRST_US, 0, seq, 200), 70); /* the rest stayed due */
    EXPECT_EQ(seq[69], 300);
}

/* Bytes are moves: packets near the newest, jumps, time. */
FUZZ(nack, in)
{
    struct nack n;
    us_t now = 0;
    uint16_t at = 65000, seq[NACK_MISSING_MAX];

    nack_init(&n);
    for (size_t i = 0; i + 1 < in.len; i += 2) {
        switch (in.p[i] % 4) {
        case 0:
            at = (uint16_t)(at + in.p[i + 1]);
            (void)nack_seen(&n, at, now);
            break;
        case 1:
            (void)nack_seen(&n, (uint16_t)(at - in.p[i + 1]), now);
            break;
        case 2:
            now += in.p[i + 1] * (us_t)1000;
            break;
        case 3: {
            unsigned got = nack_due(&n, now, in.p[i + 1] * (us_t)1000, seq, NACK_MISSING_MAX);
            EXPECT(nack_deadline(&n) > now);
            for (unsigned k = 1; k < got; k++)
                EXPECT((int16_t)(uint16_t)(seq[k] - seq[k - 1]) > 0);
        }
        }
        EXPECT(n.missing_n <= NACK_MISSING_MAX);
    }
}
