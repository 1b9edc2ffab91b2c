#include "sfu/paths.h"

#include "base/test.h"

static struct addr addr_no(uint32_t n)
{
    struct addr a = {.family = 4, .port = (uint16_t)(1000 + n % 7)};

    memcpy(a.ip, &n, sizeof n);
    return a;
}

TEST(addresses_are_found_moved_and_removed)
{
    struct addr a = addr_no(1), b = addr_no(2);
    struct paths p;

    paths_init(&p, 10, 1);
    EXPECT_EQ(paths_find(&p, &a), PATHS_NONE);
    EXPECT(paths_put(&p, &a, 5));
    EXPECT(paths_put(&p, &b, 6));
    EXPECT_EQ(paths_find(&p, &a), 5);
    EXPECT(paths_put(&p, &a, 7)); /* the address changed hands */
    paths_remove(&p, &a, 5);      /* the former owner has no say */
    EXPECT_EQ(paths_find(&p, &a), 7);
    paths_remove(&p, &a, 7);
    EXPECT_EQ(paths_find(&p, &a), PATHS_NONE);
    EXPECT_EQ(paths_find(&p, &b), 6);
    EXPECT_EQ(p.used, 1);
    paths_fini(&p);
}

TEST(full_table_refuses_newcomers_only)
{
    struct paths p;

    paths_init(&p, 100, 2);
    for (uint32_t i = 0; i < 100; i++) {
        struct addr a = addr_no(i);
        EXPECT(paths_put(&p, &a, i));
    }
    struct addr more = addr_no(100), old = addr_no(3);
    EXPECT(!paths_put(&p, &more, 100));
    EXPECT(paths_put(&p, &old, 55));
    EXPECT_EQ(paths_find(&p, &old), 55);
    paths_fini(&p);
}

TEST(random_changes_agree_with_a_plain_array)
{
    enum { N = 300 };
    static uint32_t owner[N];
    struct rng rng = rng_seed(3);
    struct paths p;

    memset(owner, 0xff, sizeof owner);
    paths_init(&p, N, 3);
    for (int i = 0; i < 20000; i++) {
        uint32_t k = (uint32_t)rng_below(&rng, N), v = (uint32_t)rng_below(&rng, 9);
        struct addr a = addr_no(k);
        if (rng_below(&rng, 2)) {
            EXPECT(paths_put(&p, &a, v));
            owner[k] = v;
        } else {
            paths_remove(&p, &a, v);
            if (owner[k] == v)
                owner[k] = PATHS_NONE;
        }
        k = (uint32_t)rng_below(&rng, N);
        a = addr_no(k);
        EXPECT_EQ(paths_find(&p, &a), owner[k]);
    }
    paths_fini(&p);
}

TEST(paths_put_survives_refused_memory)
{
    struct addr a = addr_no(1);
    struct paths p;

    paths_init(&p, 10, 1);
    mem_refuse_nth(1);
    EXPECT(!paths_put(&p, &a, 1));
    mem_refuse_nth(0);
    EXPECT(paths_put(&p, &a, 1));
    paths_fini(&p);
}
