#include "client/incoming.h"

#include "base/test.h"

TEST(a_gap_is_asked_for_after_reordering_had_its_chance_and_five_times_at_most)
{
    struct incoming in;
    uint16_t seq[INCOMING_MISSING_MAX];
    us_t now = 0;
    unsigned asked = 0;

    incoming_init(&in, 7, 90000);
    incoming_seen(&in, 65534, 0, now);
    incoming_seen(&in, 1, 0, now); /* 65535 and 0 are missing */
    EXPECT_EQ(incoming_nack(&in, now, seq), 0);
    EXPECT_EQ(incoming_nack_deadline(&in), INCOMING_NACK_FIRST_US);
    while (incoming_nack_deadline(&in) != US_NEVER) {
        now = incoming_nack_deadline(&in);
        unsigned n = incoming_nack(&in, now, seq);
        EXPECT(n == 2 || n == 0);
        if (n == 2)
            EXPECT(seq[0] == 65535 && seq[1] == 0);
        asked += n;
    }
    EXPECT_EQ(asked, 2 * INCOMING_NACK_TRIES);
    EXPECT_EQ(incoming_lost(&in), 2);
}

TEST(what_arrives_late_is_no_longer_missing)
{
    struct incoming in;
    uint16_t seq[INCOMING_MISSING_MAX];

    incoming_init(&in, 7, 90000);
    incoming_seen(&in, 10, 0, 0);
    incoming_seen(&in, 12, 0, 0);
    incoming_seen(&in, 11, 0, 5000);
    EXPECT_EQ(incoming_nack(&in, 100000, seq), 0);
    EXPECT_EQ(incoming_lost(&in), 0);
}

TEST(a_report_tells_the_loss_since_the_last_one)
{
    struct incoming in;
    struct rtcp_report r;

    incoming_init(&in, 7, 90000);
    EXPECT(!incoming_report(&in, 0, &r));
    for (uint16_t s = 0; s < 100; s++) {
        if (s % 4 != 3)
            incoming_seen(&in, s, s * 3000u, s * 33333);
    }
    EXPECT(incoming_report(&in, 4000000, &r));
    EXPECT_EQ(r.highest_seq, 98);
    EXPECT_EQ(r.lost_n, 24);
    EXPECT(r.fraction_lost > 55 && r.fraction_lost < 65);
    EXPECT(r.jitter < 100);
    incoming_seen(&in, 99, 99 * 3000u, 99 * 33333);
    EXPECT(incoming_report(&in, 4100000, &r));
    EXPECT_EQ(r.fraction_lost, 0);
}

TEST(a_sender_that_starts_afresh_is_followed)
{
    struct incoming in;

    incoming_init(&in, 7, 48000);
    incoming_seen(&in, 100, 0, 0);
    incoming_seen(&in, 40000, 0, 0);
    EXPECT_EQ(in.missing_n, 0);
    EXPECT_EQ(incoming_lost(&in), 0);
}

/* Three bytes a move: sequence number and a step of time. */
FUZZ(incoming, input)
{
    struct incoming in;
    uint16_t seq[INCOMING_MISSING_MAX];
    us_t now = 0;

    incoming_init(&in, 1, 90000);
    for (size_t i = 0; i + 3 <= input.len; i += 3) {
        now += input.p[i + 2] * US_PER_MS;
        incoming_seen(&in, (uint16_t)(input.p[i] << 8 | input.p[i + 1]), (uint32_t)now, now);
        unsigned n = incoming_nack(&in, now, seq);
        EXPECT(n <= INCOMING_MISSING_MAX && in.missing_n <= INCOMING_MISSING_MAX);
        EXPECT(in.highest_seq >= in.first_seq);
    }
}
