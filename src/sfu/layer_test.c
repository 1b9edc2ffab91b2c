#include "sfu/layer.h"

#include "base/test.h"

static void feed(struct layer *l, us_t *now, int cycles, unsigned per_cycle)
{
    for (int i = 0; i < cycles; i++) {
        for (unsigned k = 0; k < per_cycle; k++)
            layer_observe(l, 1000, *now);
        *now = layer_deadline(l);
        layer_tick(l, *now);
    }
}

TEST(layer_lives_with_its_first_packet_and_dies_of_one_poor_cycle)
{
    struct layer l;
    us_t now = 1;

    layer_init(&l, LAYER_HIGH);
    EXPECT_EQ(layer_deadline(&l), US_NEVER);
    EXPECT(layer_observe(&l, 1000, now));
    EXPECT(l.live);
    feed(&l, &now, 3, 5);
    EXPECT(l.live);
    EXPECT_EQ(l.bps, 5 * 1000 * 8 * 2);
    feed(&l, &now, 1, 4);
    EXPECT(!l.live);
    feed(&l, &now, LAYER_HIGH_CYCLES - 1, 5);
    EXPECT(!l.live);
    feed(&l, &now, 1, 5);
    EXPECT(l.live);
}

TEST(low_layer_needs_one_packet_and_a_lone_one_may_rest)
{
    struct layer low, lone;
    us_t now = 1, lone_now = 1;

    layer_init(&low, LAYER_LOW);
    layer_init(&lone, LAYER_LONE);
    layer_observe(&low, 1, now);
    layer_observe(&lone, 1, now);
    feed(&low, &now, 2, 1);
    EXPECT(low.live);
    feed(&low, &now, 1, 0);
    EXPECT(!low.live);
    feed(&lone, &lone_now, 3, 1);
    EXPECT(lone.live);
    EXPECT_EQ(lone_now, 1 + 3 * LAYER_LONE_CYCLE_US);
}

TEST(highest_usable_layer_is_chosen)
{
    static const struct {
        uint8_t live, seen, max, want;
    } row[] = {
        {7, 7, 2, 2}, {7, 7, 1, 1}, {3, 7, 2, 1},          {1, 7, 2, 0},          {4, 4, 0, 2},
        {6, 6, 0, 1}, {0, 7, 1, 1}, {0, 4, 0, LAYER_NONE}, {0, 0, 2, LAYER_NONE},
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct layer l[3] = {0};
        for (unsigned k = 0; k < 3; k++) {
            l[k].live = row[i].live >> k & 1;
            l[k].seen = row[i].seen >> k & 1;
        }
        EXPECT_EQ(layer_choose(l, 3, row[i].max), row[i].want);
    }
}

TEST(key_frame_requests_are_throttled_and_a_key_frame_ends_the_wish)
{
    struct layer l;

    layer_init(&l, LAYER_HIGH);
    EXPECT(!layer_pli(&l, 10));
    l.pli_wanted = true;
    EXPECT(layer_pli(&l, 10));
    l.pli_wanted = true;
    EXPECT(!layer_pli(&l, 10 + LAYER_PLI_HIGH_US - 1));
    EXPECT(layer_pli(&l, 10 + LAYER_PLI_HIGH_US));
    l.pli_wanted = true;
    layer_key_seen(&l);
    EXPECT(!layer_pli(&l, 100 * US_PER_SEC));
}

TEST(sender_reports_align_two_clocks)
{
    struct layer a = {.sr = {.ntp = (uint64_t)100 << 32, .rtp_ts = 5000, .at = 1}};
    struct layer b = {.sr = {.ntp = ((uint64_t)100 << 32) + (1u << 31), .rtp_ts = 777, .at = 1}};
    uint32_t delta = 0;

    EXPECT(layer_ts_delta(&a, &b, 90000, &delta));
    EXPECT_EQ(777 + delta, 5000 + 45000); /* b's report is half a second after a's */
    EXPECT(layer_ts_delta(&b, &a, 90000, &delta));
    EXPECT_EQ(5000 + 45000 + delta, 777); /* the same instant by the other's clock */
    b.sr.at = 0;
    EXPECT(!layer_ts_delta(&a, &b, 90000, &delta));
}
