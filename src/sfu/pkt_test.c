#include "sfu/pkt.h"

#include "base/test.h"

TEST(slab_hands_out_up_to_its_ceiling_and_no_further)
{
    static struct pkt *held[2 * PKT_STEP_SLOTS];
    struct pkt_slab slab;

    pkt_slab_init(&slab, PKT_STEP_SLOTS + 1); /* rounds up to two steps */
    for (unsigned i = 0; i < ARRAY_LEN(held); i++) {
        held[i] = pkt_take(&slab);
        EXPECT(held[i] != NULL);
        EXPECT_EQ((uintptr_t)held[i] % PKT_HEAD_BYTES, 0);
    }
    EXPECT(pkt_take(&slab) == NULL);
    for (unsigned i = 0; i < ARRAY_LEN(held); i++)
        pkt_drop(&slab, held[i]);
    EXPECT_EQ(slab.used_n, 0);
    pkt_slab_trim(&slab);
    EXPECT_EQ(slab.step_n, 1);
    pkt_slab_fini(&slab);
}

TEST(slot_returns_with_its_last_count)
{
    struct pkt_slab slab;

    pkt_slab_init(&slab, 10);
    struct pkt *p = pkt_take(&slab);
    pkt_hold(p);
    pkt_drop(&slab, p);
    EXPECT_EQ(slab.used_n, 1);
    pkt_drop(&slab, p);
    EXPECT_EQ(slab.used_n, 0);
    pkt_drop(&slab, NULL);
    EXPECT(pkt_take(&slab) == p); /* the warm one is used again */
    pkt_drop(&slab, p);
    pkt_slab_fini(&slab);
}

TEST(slab_survives_every_refused_allocation)
{
    for (uint64_t nth = 1; nth <= 3; nth++) {
        struct pkt_slab slab;
        pkt_slab_init(&slab, 10);
        mem_refuse_nth(nth);
        struct pkt *p = pkt_take(&slab);
        EXPECT_EQ(p == NULL, nth <= 2);
        mem_refuse_nth(0);
        pkt_drop(&slab, p);
        pkt_slab_fini(&slab);
    }
}

TEST(slab_keeps_its_balance_in_random_order)
{
    static struct pkt *held[3000];
    struct rng rng = rng_seed(5);
    struct pkt_slab slab;
    uint32_t n = 0;

    pkt_slab_init(&slab, ARRAY_LEN(held));
    for (unsigned i = 0; i < 50000; i++) {
        uint64_t pick = rng_below(&rng, 100);
        if (pick < (i / 10000 % 2 ? 40u : 60u) && n < ARRAY_LEN(held)) {
            held[n] = pkt_take(&slab);
            EXPECT(held[n] != NULL);
            n++;
        } else if (n > 0) {
            uint32_t at = (uint32_t)rng_below(&rng, n);
            pkt_drop(&slab, held[at]);
            held[at] = held[--n];
        }
        if (pick == 0)
            pkt_slab_trim(&slab);
        EXPECT_EQ(slab.used_n, n);
    }
    while (n > 0)
        pkt_drop(&slab, held[--n]);
    pkt_slab_fini(&slab);
}
