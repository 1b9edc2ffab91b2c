#include "sim/platform.h"

#include "base/test.h"

enum { SIX = 6 };

/* A platform is large: one at a time, off the stack. */
static struct platform the;

static struct platform *fresh(const struct platform_cfg *cfg)
{
    platform_open(&the, cfg);
    return &the;
}

static void end(struct platform *p)
{
    EXPECT(p->broken == NULL);
    platform_close(p);
    EXPECT_EQ(mem_live(), 0);
}

static struct platform_cfg plain(uint64_t seed, uint32_t shards)
{
    return (struct platform_cfg){.seed = seed,
                                 .shard_n = shards,
                                 .peers_per_shard_soft = shards > 1 ? 2 : 0,
                                 .net.delay_us = 20000,
                                 .signal_us = 15000,
                                 .ring_us = 200};
}

static void seat_all(struct platform *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        (void)platform_join(p, 0, false);
        EXPECT(platform_run(p, 100 * US_PER_MS));
    }
}

TEST(six_people_see_and_hear_each_other_on_one_shard)
{
    struct platform_cfg cfg = plain(1, 1);
    struct platform *p = fresh(&cfg);

    seat_all(p, SIX);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT(platform_run(p, 5 * US_PER_SEC));
    EXPECT(platform_settled(p));
    /* 6 x 5 x (25 + 12.5) packets a second, for 5 s and more */
    EXPECT(p->media_n > 5500);
    EXPECT_EQ(platform_counter(p, SHARD_SUBS), SIX * (SIX - 1) * BOT_TRACKS);
    EXPECT_EQ(p->stale, 0);
    EXPECT_EQ(p->relayed, 0);
    EXPECT(platform_empty(p));
    end(p);
}

TEST(six_people_see_and_hear_each_other_over_three_shards)
{
    struct platform_cfg cfg = plain(2, 3);
    struct platform *p = fresh(&cfg);

    seat_all(p, SIX);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT(platform_run(p, 5 * US_PER_SEC));
    EXPECT(platform_settled(p));
    /* 6 x 5 x (25 + 12.5) packets a second, for 5 s and more */
    EXPECT(p->media_n > 5500);
    EXPECT(p->relayed > 0);
    EXPECT_EQ(p->stale, 0);
    EXPECT(platform_empty(p));
    end(p);
}
