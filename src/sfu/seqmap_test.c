#include "sfu/seqmap.h"

#include "base/test.h"

TEST(numbers_map_forth_and_back_through_the_drawing)
{
    struct seqmap m = {0};
    struct seqmap_seg a = {.from = 100, .off = 600}, b = {.from = 104, .off = 599, .layer = 0};

    seqmap_push(&m, &a, 103);
    seqmap_push(&m, &b, 106);
    EXPECT_EQ(seqmap_forth(&m, 0, 102)->off, 600);
    EXPECT(seqmap_forth(&m, 0, 103) == NULL); /* left out */
    EXPECT_EQ(seqmap_forth(&m, 0, 104)->off, 599);
    EXPECT(seqmap_forth(&m, 1, 104) == NULL); /* another layer's numbers */
    EXPECT_EQ(703 - seqmap_back(&m, 703)->off, 104);
    EXPECT_EQ(702 - seqmap_back(&m, 702)->off, 102);
    EXPECT(seqmap_back(&m, 705) == NULL);
    EXPECT(seqmap_back(&m, 699) == NULL);
}

TEST(empty_stretches_are_not_kept_and_old_ones_are_forgotten)
{
    struct seqmap m = {0};

    for (uint64_t i = 0; i < 40; i++) {
        struct seqmap_seg s = {.from = i * 10, .off = 0 - i};
        seqmap_push(&m, &s, i * 10);
        seqmap_push(&m, &s, i * 10 + 9);
    }
    EXPECT(seqmap_forth(&m, 0, 23 * 10) == NULL);
    EXPECT_EQ(seqmap_forth(&m, 0, 24 * 10)->from, 240);
    seqmap_clear(&m);
    EXPECT(seqmap_forth(&m, 0, 300) == NULL);
}

TEST(random_stretches_are_inverse_to_each_other)
{
    struct rng rng = rng_seed(11);

    for (int round = 0; round < 200; round++) {
        struct seqmap m = {0};
        uint64_t in = rng_below(&rng, 1u << 20), out = rng_below(&rng, 1u << 16);
        for (uint8_t i = 0; i < SEQMAP_MAX; i++) {
            uint64_t n = 1 + rng_below(&rng, 50);
            struct seqmap_seg s = {.from = in, .off = out - in, .layer = (uint8_t)(i % 3)};
            seqmap_push(&m, &s, in + n);
            for (uint64_t k = 0; k < n; k++) {
                EXPECT_EQ(seqmap_back(&m, out + k)->from, in);
                EXPECT_EQ(seqmap_forth(&m, (uint8_t)(i % 3), in + k)->off, out - in);
            }
            out += n;
            in += n + rng_below(&rng, 1000) + 1;
        }
    }
}
