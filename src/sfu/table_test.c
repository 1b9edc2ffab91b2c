#include "sfu/table.h"

#include "base/err.h"
#include "base/test.h"

TEST(table_finds_by_index_and_respects_its_ceiling)
{
    struct table t;
    int a, b;

    table_init(&t, 200);
    EXPECT(table_find(&t, handle_make(0, 5, 1)) == NULL);
    EXPECT_EQ(table_put(&t, handle_make(0, 5, 1), &a), 0);
    EXPECT_EQ(table_put(&t, handle_make(0, 199, 1), &b), 0);
    EXPECT_EQ(table_put(&t, handle_make(0, 5, 3), &b), E_EXIST);
    EXPECT_EQ(table_put(&t, handle_make(0, 200, 1), &b), E_LIMIT);
    EXPECT(table_find(&t, handle_make(0, 5, 1)) == &a);
    EXPECT(table_find(&t, handle_make(0, 199, 1)) == &b);
    table_take(&t, handle_make(0, 5, 1));
    table_take(&t, handle_make(0, 5, 1));
    EXPECT_EQ(t.used_n, 1);
    table_fini(&t);
}

TEST(table_survives_refused_memory)
{
    struct table t;
    int a;

    table_init(&t, 1000);
    mem_refuse_nth(1);
    EXPECT_EQ(table_put(&t, handle_make(0, 5, 1), &a), E_NOMEM);
    mem_refuse_nth(0);
    EXPECT_EQ(table_put(&t, handle_make(0, 5, 1), &a), 0);
    mem_refuse_nth(1);
    EXPECT_EQ(table_put(&t, handle_make(0, 500, 1), &a), E_NOMEM);
    mem_refuse_nth(0);
    EXPECT(table_find(&t, handle_make(0, 5, 1)) == &a);
    table_fini(&t);
}
