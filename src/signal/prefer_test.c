#include "signal/prefer.h"

#include "base/test.h"

TEST(prefer_holds_by_room_and_identity_for_its_time)
{
    struct prefer p;

    prefer_init(&p, 1);
    EXPECT(!prefer_tcp(&p, "r", "ann", 0));
    prefer_set(&p, "r", "ann", true, 10);
    EXPECT(prefer_tcp(&p, "r", "ann", 10 + PREFER_US - 1));
    EXPECT(!prefer_tcp(&p, "r", "ann", 10 + PREFER_US));
    EXPECT(!prefer_tcp(&p, "ra", "nn", 11));
    EXPECT(!prefer_tcp(&p, "r", "ben", 11));
    prefer_set(&p, "r", "ann", true, 20); /* afresh */
    EXPECT(prefer_tcp(&p, "r", "ann", 20 + PREFER_US - 1));
    EXPECT_EQ(p.n, 1);
    prefer_set(&p, "r", "ann", false, 30);
    EXPECT(!prefer_tcp(&p, "r", "ann", 31));
    EXPECT_EQ(p.n, 0);
    prefer_fini(&p);
}

TEST(prefer_the_oldest_of_too_many_gives_way_and_the_expired_go_first)
{
    struct prefer p;
    char name[16];

    prefer_init(&p, 1);
    for (int i = 0; i <= PREFER_MAX; i++) {
        (void)snprintf(name, sizeof name, "p%d", i);
        prefer_set(&p, "r", name, true, i);
    }
    EXPECT_EQ(p.n, PREFER_MAX);
    EXPECT(!prefer_tcp(&p, "r", "p0", PREFER_MAX));
    EXPECT(prefer_tcp(&p, "r", "p1", PREFER_MAX));
    prefer_set(&p, "r", "new", true, PREFER_MAX + PREFER_US);
    EXPECT_EQ(p.n, 1);
    char *longer = mem_zero(3000);
    memset(longer, 'x', 2999);
    prefer_set(&p, longer, "ann", true, 0);
    EXPECT(!prefer_tcp(&p, longer, "ann", 0));
    mem_free(longer);
    prefer_fini(&p);
}
