#include "sim/netem.h"

#include "base/test.h"

/* Pushes n datagrams a millisecond apart and lets all come out; the tags in order. */
static unsigned flow(struct netem *net, unsigned n, uint32_t *tags)
{
    us_t now = 0;
    unsigned got = 0;
    uint64_t tag;
    struct bytes data;
    uint8_t payload[1000] = {0};

    for (unsigned i = 0; i < n; i++, now += US_PER_MS) {
        while (netem_pop(net, now, &tag, &data))
            tags[got++] = (uint32_t)tag;
        netem_push(net, i, bytes_of(payload, sizeof payload), now);
    }
    while (netem_deadline(net) != US_NEVER) {
        now = us_max(now, netem_deadline(net));
        while (netem_pop(net, now, &tag, &data))
            tags[got++] = (uint32_t)tag;
    }
    return got;
}

static unsigned disordered(const uint32_t *tags, unsigned n)
{
    unsigned count = 0;

    for (unsigned i = 1; i < n; i++)
        count += tags[i] < tags[i - 1];
    return count;
}

TEST(plain_delay_keeps_order_and_loses_nothing)
{
    static uint32_t tags[3000];
    struct netem *net;

    EXPECT_EQ(netem_open(&net, &(struct netem_cfg){.delay_us = 50000}, 1), 0);
    EXPECT_EQ(flow(net, 1000, tags), 1000);
    EXPECT_EQ(disordered(tags, 1000), 0);
    netem_free(net);
    EXPECT_EQ(mem_live(), 0);
}

TEST(each_fault_happens_about_as_often_as_asked)
{
    static uint32_t tags[30000];
    struct netem *net;
    struct netem_stats st;
    struct netem_cfg cfg = {.loss_ppm = 100000, .duplicate_ppm = 50000, .corrupt_ppm = 20000};

    EXPECT_EQ(netem_open(&net, &cfg, 1), 0);
    (void)flow(net, 10000, tags);
    netem_get_stats(net, &st);
    EXPECT(st.lost > 850 && st.lost < 1150);
    EXPECT(st.duplicated > 350 && st.duplicated < 550);
    EXPECT(st.corrupted > 120 && st.corrupted < 280);
    EXPECT_EQ(st.out, st.in - st.lost + st.duplicated);
    netem_free(net);
}

TEST(losses_come_in_bursts_with_the_same_share)
{
    static uint32_t tags[30000];
    struct netem *net;
    unsigned runs = 0;

    EXPECT_EQ(netem_open(&net, &(struct netem_cfg){.loss_ppm = 100000, .burst = 10}, 3), 0);
    unsigned got = flow(net, 20000, tags);
    EXPECT(20000 - got > 1400 && 20000 - got < 2600);
    for (unsigned i = 1; i < got; i++)
        runs += tags[i] > tags[i - 1] + 1;
    EXPECT((20000 - got) / runs >= 7 && (20000 - got) / runs <= 13);
    netem_free(net);
}

TEST(jitter_and_reorder_disturb_order)
{
    static uint32_t tags[3000];
    struct netem *net;

    EXPECT_EQ(netem_open(&net, &(struct netem_cfg){.jitter_us = 10000}, 1), 0);
    EXPECT_EQ(flow(net, 1000, tags), 1000);
    EXPECT(disordered(tags, 1000) > 200);
    netem_set(net, &(struct netem_cfg){.delay_us = 5000, .reorder_ppm = 50000});
    EXPECT_EQ(flow(net, 1000, tags), 1000);
    EXPECT(disordered(tags, 1000) > 20 && disordered(tags, 1000) < 80);
    netem_free(net);
}

TEST(bottleneck_delays_to_its_rate_and_then_drops)
{
    static uint32_t tags[3000];
    struct netem *net;
    struct netem_stats st;

    /* 8 Mbit/s come, 4 leave. */
    EXPECT_EQ(netem_open(&net, &(struct netem_cfg){.rate_bps = 4000000}, 1), 0);
    unsigned got = flow(net, 1000, tags);
    netem_get_stats(net, &st);
    EXPECT(got > 530 && got < 570); /* half, and what the queue held */
    EXPECT_EQ(st.overflowed, 1000 - got);
    netem_free(net);
}

TEST(silence_ends)
{
    static uint32_t tags[3000];
    struct netem *net;

    EXPECT_EQ(netem_open(&net, &(struct netem_cfg){0}, 1), 0);
    netem_silence(net, 400 * US_PER_MS);
    EXPECT_EQ(flow(net, 1000, tags), 600);
    EXPECT_EQ(tags[0], 400);
    netem_free(net);
}

TEST(settings_are_read_by_name)
{
    struct netem_cfg cfg = {0};

    EXPECT(netem_parse(&cfg, bytes_str("loss"), bytes_str("2.5")));
    EXPECT_EQ(cfg.loss_ppm, 25000);
    EXPECT(netem_parse(&cfg, bytes_str("loss"), bytes_str("100")));
    EXPECT_EQ(cfg.loss_ppm, NETEM_PPM);
    EXPECT(netem_parse(&cfg, bytes_str("delay"), bytes_str("50")));
    EXPECT_EQ(cfg.delay_us, 50000);
    EXPECT(netem_parse(&cfg, bytes_str("rate"), bytes_str("300")));
    EXPECT_EQ(cfg.rate_bps, 300000);
    EXPECT(!netem_parse(&cfg, bytes_str("loss"), bytes_str("101")));
    EXPECT(!netem_parse(&cfg, bytes_str("loss"), bytes_str("")));
    EXPECT(!netem_parse(&cfg, bytes_str("loss"), bytes_str("1.")));
    EXPECT(!netem_parse(&cfg, bytes_str("delay"), bytes_str("-1")));
    EXPECT(!netem_parse(&cfg, bytes_str("colour"), bytes_str("1")));
}
