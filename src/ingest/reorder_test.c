#include "ingest/reorder.h"

#include "base/test.h"

static enum reorder_seen seen(struct reorder *r, uint16_t seq, us_t now)
{
    uint8_t body[2] = {(uint8_t)(seq >> 8), (uint8_t)seq};

    return reorder_seen(r, seq, seq * 3000u, true, bytes_of(body, 2), now);
}

static int next(struct reorder *r)
{
    struct reorder_packet p;

    if (!reorder_next(r, &p))
        return -1;
    return p.payload.p[0] << 8 | p.payload.p[1];
}

TEST(packets_come_out_in_order_across_the_wrap)
{
    static const uint16_t in[] = {65534, 0, 65535, 2, 1, 3};
    struct reorder *r = NULL;
    int want = 65534;

    EXPECT_EQ(reorder_open(&r, 64), 0);
    for (size_t i = 0; i < ARRAY_LEN(in); i++) {
        EXPECT_EQ(seen(r, in[i], 0), REORDER_TAKEN);
        for (int got; (got = next(r)) >= 0; want = (want + 1) & 0xffff)
            EXPECT_EQ(got, want);
    }
    EXPECT_EQ(want, 4);
    EXPECT_EQ(reorder_deadline(r), US_NEVER);
    EXPECT_EQ(reorder_counts(r)->recovered, 2);
    reorder_free(r);
}

TEST(a_lost_packet_is_asked_for_after_the_wait_and_three_later_packets_prove_it_sooner)
{
    uint16_t ask[REORDER_ASK_MAX];
    struct reorder *r = NULL;

    EXPECT_EQ(reorder_open(&r, 64), 0);
    (void)seen(r, 0, 0);
    (void)seen(r, 2, 1000);
    EXPECT_EQ(next(r), 0);
    EXPECT_EQ(next(r), -1);
    EXPECT_EQ(reorder_deadline(r), 1000 + REORDER_WAIT_US);
    EXPECT_EQ(reorder_due(r, 1000, ask), 0);
    (void)seen(r, 3, 1100);
    EXPECT_EQ(reorder_due(r, 1100, ask), 0);
    (void)seen(r, 4, 1200);
    EXPECT_EQ(reorder_due(r, 1200, ask), 1);
    EXPECT_EQ(ask[0], 1);
    EXPECT_EQ(reorder_deadline(r), 1200 + REORDER_RETRY_UNKNOWN_US);
    (void)seen(r, 1, 21200);
    EXPECT_EQ(reorder_rtt_us(r), 20000);
    for (int i = 1; i <= 4; i++)
        EXPECT_EQ(next(r), i);
    reorder_free(r);
}

TEST(a_path_that_reorders_is_given_more_time)
{
    uint16_t ask[REORDER_ASK_MAX];
    struct reorder *r = NULL;

    EXPECT_EQ(reorder_open(&r, 64), 0);
    (void)seen(r, 0, 0);
    (void)seen(r, 2, 0);
    (void)seen(r, 1, 4000); /* late, not lost: nobody had asked */
    (void)seen(r, 4, 5000);
    EXPECT_EQ(reorder_deadline(r), 5000 + 6000);
    for (uint16_t s = 5; s < 9; s++)
        (void)seen(r, s, 6000);
    EXPECT_EQ(reorder_due(r, 6000, ask), 0); /* later packets prove nothing here */
    EXPECT_EQ(reorder_due(r, 11000, ask), 1);
    reorder_free(r);
}

TEST(what_never_comes_is_given_up_and_said)
{
    uint16_t ask[REORDER_ASK_MAX];
    struct reorder_packet p;
    struct reorder *r = NULL;
    us_t now = 0;

    EXPECT_EQ(reorder_open(&r, 64), 0);
    (void)seen(r, 0, 0);
    (void)seen(r, 3, 0);
    EXPECT_EQ(next(r), 0);
    while (reorder_deadline(r) != US_NEVER) {
        EXPECT(reorder_deadline(r) > now || now == 0);
        now = reorder_deadline(r);
        (void)reorder_due(r, now, ask);
    }
    EXPECT_EQ(now, REORDER_GIVE_UP_MIN_US);
    EXPECT(reorder_next(r, &p));
    EXPECT_EQ(p.lost_n, 2);
    EXPECT_EQ(reorder_counts(r)->lost, 2);
    EXPECT_EQ(seen(r, 1, now), REORDER_LATE);
    reorder_free(r);
}

TEST(numbers_begin_at_zero_and_a_lost_first_packet_is_missed)
{
    uint16_t ask[REORDER_ASK_MAX];
    struct reorder *r = NULL;

    EXPECT_EQ(reorder_open(&r, 64), 0);
    (void)seen(r, 1, 0);
    EXPECT_EQ(next(r), -1);
    EXPECT_EQ(reorder_due(r, REORDER_WAIT_US, ask), 1);
    EXPECT_EQ(ask[0], 0);
    (void)seen(r, 0, REORDER_WAIT_US + 1);
    EXPECT_EQ(next(r), 0);
    EXPECT_EQ(next(r), 1);
    reorder_free(r);
}

TEST(duplicates_jumps_and_floods_are_held_off)
{
    struct reorder_packet p;
    struct reorder *r = NULL;

    EXPECT_EQ(reorder_open(&r, 64), 0);
    (void)seen(r, 100, 0);
    (void)seen(r, 102, 0);
    EXPECT_EQ(seen(r, 102, 0), REORDER_DUPLICATE);
    EXPECT_EQ(next(r), 100);
    EXPECT_EQ(seen(r, 100, 0), REORDER_LATE);
    EXPECT_EQ(seen(r, 30000, 0), REORDER_JUMP);
    EXPECT_EQ(seen(r, 9000, 0), REORDER_JUMP);
    EXPECT_EQ(seen(r, 9001, 0), REORDER_TAKEN); /* two in a row: a new stream */
    EXPECT(reorder_next(r, &p));
    EXPECT(p.lost_n > 0);
    for (uint16_t i = 0; i < 1000; i++) /* every second number: nothing grows */
        (void)seen(r, (uint16_t)(9003 + 2 * i), 0);
    while (reorder_next(r, &p))
        ;
    EXPECT(reorder_counts(r)->lost > 900);
    reorder_free(r);
}

TEST(a_wide_gap_is_asked_for_in_several_questions)
{
    uint16_t ask[REORDER_ASK_MAX];
    struct reorder *r = NULL;
    unsigned asked = 0, questions = 0;

    EXPECT_EQ(reorder_open(&r, 1024), 0);
    (void)seen(r, 0, 0);
    (void)seen(r, 130, 0);
    for (us_t now = reorder_deadline(r); asked < 129; now = reorder_deadline(r), questions++) {
        unsigned n = reorder_due(r, now, ask);
        EXPECT(n > 0 && reorder_deadline(r) > now);
        asked += n;
    }
    EXPECT_EQ(questions, 3);
    reorder_free(r);
}

TEST(no_memory_is_a_lost_packet_or_no_stream)
{
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct reorder *r = NULL;
        mem_refuse_nth(nth);
        EXPECT(reorder_open(&r, 64) < 0);
        EXPECT(r == NULL);
    }
    mem_refuse_nth(0);
}
