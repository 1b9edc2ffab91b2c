#include "sfu/tx.h"

#include "base/test.h"

static struct path path_to(uint16_t port)
{
    struct path p = {.local = {.family = 4, .port = 7882}, .remote = {.family = 4, .port = port}};
    return p;
}

static void put(struct tx *tx, uint16_t port, uint32_t len)
{
    struct path p = path_to(port);
    uint8_t *out = tx_claim(tx, len);

    EXPECT(out != NULL);
    memset(out, port, len);
    tx_commit(tx, &p, len, TX_VIDEO);
}

TEST(equal_neighbours_to_one_path_form_a_train)
{
    struct tx tx;

    EXPECT_EQ(tx_init(&tx, 1 << 16), 0);
    put(&tx, 1, 1000);
    put(&tx, 1, 1000);
    put(&tx, 1, 400); /* the short last one */
    put(&tx, 1, 400); /* a train ended with it */
    put(&tx, 2, 400);
    put(&tx, 2, 500); /* longer: a train of its own */
    EXPECT_EQ(tx.train_n, 4);
    EXPECT_EQ(tx.train[0].n, 3);
    EXPECT_EQ(tx.train[0].seg, 1000);
    EXPECT_EQ(tx.train[0].len, 2400);
    EXPECT_EQ(tx.train[1].n, 1);
    EXPECT_EQ(tx.train[2].path.remote.port, 2);
    EXPECT_EQ(tx.train[2].bytes[0], 2);
    EXPECT_EQ(tx.train[3].len, 500);
    tx_clear(&tx);
    EXPECT(tx_empty(&tx));
    put(&tx, 2, 500); /* does not join a train of before */
    EXPECT_EQ(tx.train_n, 1);
    tx_fini(&tx);
}

TEST(full_arena_refuses_and_train_length_is_bounded)
{
    struct tx tx;

    EXPECT_EQ(tx_init(&tx, 20 * 1000), 0);
    for (int i = 0; i < 20; i++)
        put(&tx, 1, 1000);
    EXPECT(tx_claim(&tx, 1) == NULL);
    EXPECT(!tx_has_room(&tx, 1, 1));
    EXPECT_EQ(tx.train_n, 2);
    EXPECT_EQ(tx.train[0].n, TX_SEGMENTS_MAX);
    EXPECT_EQ(tx.train[1].n, 4);
    tx_fini(&tx);
}

TEST(framed_paths_get_one_datagram_a_train)
{
    struct path p = path_to(1);
    struct tx tx;

    p.remote.tcp = 1;
    EXPECT_EQ(tx_init(&tx, 1 << 16), 0);
    for (int i = 0; i < 3; i++) {
        EXPECT(tx_claim(&tx, 100) != NULL);
        tx_commit(&tx, &p, 100, TX_AUDIO);
    }
    EXPECT_EQ(tx.train_n, 3);
    tx_fini(&tx);
}

TEST(tx_init_survives_every_refused_allocation)
{
    int64_t live = mem_live();

    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct tx tx;
        mem_refuse_nth(nth);
        EXPECT(tx_init(&tx, 4096) < 0);
        mem_refuse_nth(0);
        EXPECT_EQ(mem_live(), live);
    }
}
