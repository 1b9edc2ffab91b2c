#include "sfu/replay.h"

#include "base/test.h"

static struct pkt *pkt_no(struct pkt_slab *slab, uint64_t seq, us_t at)
{
    struct pkt *p = pkt_take(slab);

    EXPECT(p != NULL);
    p->seq = seq;
    p->at = at;
    return p;
}

static bool put(struct replay *r, struct pkt_slab *slab, uint64_t seq, us_t at)
{
    struct pkt *p = pkt_no(slab, seq, at);
    bool kept = replay_put(r, slab, p);

    pkt_drop(slab, p);
    return kept;
}

TEST(replay_finds_what_it_keeps_and_nothing_else)
{
    struct pkt_slab slab;
    struct replay r;

    pkt_slab_init(&slab, 2000);
    replay_init(&r, REPLAY_AUDIO);
    for (uint64_t s = 1000; s < 1300; s++)
        EXPECT(put(&r, &slab, s, 0));
    EXPECT(replay_find(&r, 1099) == NULL);
    EXPECT_EQ(replay_find(&r, 1100)->seq, 1100);
    EXPECT_EQ(replay_find(&r, 1299)->seq, 1299);
    EXPECT(replay_find(&r, 1300) == NULL);
    EXPECT_EQ(r.n, REPLAY_AUDIO);
    EXPECT_EQ(slab.used_n, REPLAY_AUDIO);
    EXPECT(!put(&r, &slab, 1099, 0)); /* too late */
    EXPECT(!put(&r, &slab, 1150, 0)); /* twice */
    replay_fini(&r, &slab);
    EXPECT_EQ(slab.used_n, 0);
    pkt_slab_fini(&slab);
}

TEST(replay_lets_old_packets_go)
{
    struct pkt_slab slab;
    struct replay r;

    pkt_slab_init(&slab, 2000);
    replay_init(&r, REPLAY_VIDEO);
    EXPECT(put(&r, &slab, 1, 0));
    EXPECT(put(&r, &slab, 5, US_PER_SEC));
    EXPECT(put(&r, &slab, 6, REPLAY_AGE_US));
    EXPECT(replay_find(&r, 1) == NULL);
    EXPECT(replay_find(&r, 5) != NULL);
    replay_expire(&r, &slab, 10 * US_PER_SEC);
    EXPECT_EQ(slab.used_n, 0);
    EXPECT(put(&r, &slab, 3, 10 * US_PER_SEC)); /* empty: any number begins anew */
    EXPECT(replay_find(&r, 3) != NULL);
    replay_fini(&r, &slab);
    pkt_slab_fini(&slab);
}

TEST(replay_agrees_with_a_set_in_random_order)
{
    enum { SPAN = 4000 };
    static bool kept[SPAN];
    struct rng rng = rng_seed(9);
    struct pkt_slab slab;
    struct replay r;
    uint64_t newest = 0;

    pkt_slab_init(&slab, 2000);
    replay_init(&r, REPLAY_VIDEO);
    for (uint64_t base = 0; base + 60 < SPAN; base += rng_below(&rng, 3)) {
        uint64_t s = base + rng_below(&rng, 60);
        bool new = !kept[s];
        if (s > newest)
            newest = s;
        EXPECT_EQ(put(&r, &slab, s, 0), new);
        kept[s] = true;
        uint64_t q = rng_below(&rng, SPAN);
        bool want = kept[q] && q + REPLAY_VIDEO > newest;
        EXPECT_EQ(replay_find(&r, q) != NULL, want);
    }
    replay_fini(&r, &slab);
    EXPECT_EQ(slab.used_n, 0);
    pkt_slab_fini(&slab);
}
