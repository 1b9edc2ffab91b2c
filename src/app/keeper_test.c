#include "app/keeper.h"

#include "base/err.h"
#include "base/test.h"
#include "io/file.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

struct rig {
    char dir[64], path[96];
    struct loop *loop;
    struct wake control;
    struct keeper *k;
};

static void rig_open(struct rig *r)
{
    char error[STORE_ERROR_MAX];
    struct store *s;

    memset(r, 0, sizeof *r);
    memcpy(r->dir, "/tmp/keeper-XXXXXX", 19);
    EXPECT(mkdtemp(r->dir) != NULL);
    (void)snprintf(r->path, sizeof r->path, "%s/sluice.db", r->dir);
    EXPECT_EQ(loop_open(&r->loop), 0);
    r->control.loop = r->loop;
    EXPECT_EQ(store_open(&s, r->path, error), 0);
    EXPECT_EQ(keeper_open(&r->k, s, r->dir, &r->control), 0);
}

static void rig_close(struct rig *r)
{
    keeper_close(r->k);
    loop_free(r->loop);
}

static void rig_remove(struct rig *r)
{
    static const char *const names[] = {"sluice.db", "hash"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", r->dir, names[i]);
        (void)unlink(path);
    }
    EXPECT_EQ(rmdir(r->dir), 0);
}

static void wait_done(struct rig *r, uint64_t serial, int want)
{
    uint64_t got;
    int err;

    while (!keeper_done(r->k, &got, &err))
        (void)sched_yield(); /* another thread's turn */
    EXPECT_EQ(got, serial);
    EXPECT_EQ(err, want);
}

static int count(const char *path)
{
    char error[STORE_ERROR_MAX];
    struct bytes id, body;
    struct store *s;
    int n = 0, err;

    EXPECT_EQ(store_open(&s, path, error), 0);
    for (bool first = true; store_next(s, "k", first, &id, &body, &err); first = false)
        n++;
    EXPECT_EQ(err, 0);
    store_free(s);
    return n;
}

TEST(writes_are_durable_in_their_order)
{
    struct rig r;
    char id[16];

    rig_open(&r);
    for (uint64_t i = 1; i <= 1000; i++) {
        (void)snprintf(id, sizeof id, "%d", (int)i);
        EXPECT_EQ(keeper_put(r.k,
                             &(struct store_op){
                                 .serial = i, .kind = "k", .id = id, .body = bytes_str("body")}),
                  0);
        keeper_kick(r.k);
    }
    for (uint64_t i = 1; i <= 1000; i++)
        wait_done(&r, i, 0);
    rig_close(&r);
    EXPECT_EQ(count(r.path), 1000);
    rig_remove(&r);
}

TEST(one_bad_write_spoils_no_other_and_files_are_written_too)
{
    static char big[STORE_BODY_MAX + 1];
    struct rig r;
    struct str text;
    char path[128];
    unsigned mode;

    rig_open(&r);
    EXPECT_EQ(keeper_put(r.k, &(struct store_op){.serial = 1, .kind = "k", .id = "a"}), 0);
    EXPECT_EQ(keeper_put(r.k, &(struct store_op){.serial = 2,
                                                 .kind = "k",
                                                 .id = "b",
                                                 .body = bytes_of(big, sizeof big)}),
              0);
    EXPECT_EQ(keeper_put(r.k, &(struct store_op){.serial = 3,
                                                 .kind = "file",
                                                 .id = "hash",
                                                 .body = bytes_str("key\n")}),
              0);
    EXPECT_EQ(keeper_put(r.k, &(struct store_op){.serial = 4, .kind = "k", .id = "c"}), 0);
    keeper_kick(r.k);
    wait_done(&r, 1, 0);
    wait_done(&r, 2, E_TOO_LARGE);
    wait_done(&r, 3, 0);
    wait_done(&r, 4, 0);
    rig_close(&r);
    EXPECT_EQ(count(r.path), 2);
    (void)snprintf(path, sizeof path, "%s/hash", r.dir);
    str_init(&text, 100);
    EXPECT_EQ(file_read(path, &text, &mode), 0);
    EXPECT_STR(str_text(&text), "key\n");
    EXPECT_EQ(mode & 0777, 0600);
    str_fini(&text);
    rig_remove(&r);
}

TEST(what_was_handed_over_is_written_before_the_end)
{
    struct rig r;
    char id[16];

    rig_open(&r);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        EXPECT_EQ(keeper_put(r.k, &(struct store_op){.kind = "k", .id = id}), 0);
    }
    rig_close(&r);
    EXPECT_EQ(count(r.path), 500);
    rig_remove(&r);
}
