#include "api/ports.h"

#include "api/node_test.h"

static int ask(struct node *n, struct fake *f, const char *method, const char *query,
               const char *bearer)
{
    struct http_header h = {.name = "authorization", .value = bearer};
    struct http_msg m = {.method = method,
                         .path = "/stream",
                         .query = query,
                         .header = &h,
                         .header_n = bearer != NULL};

    f->node = n;
    f->c[1].status = 0;
    f->c[1].body[0] = '\0';
    EXPECT(node_http(n, 1, &m, &(struct addr){0}, f->tick));
    fake_drain(f);
    return f->c[1].status;
}

TEST(a_stream_is_made_and_ended_with_the_secret_alone)
{
    static struct fake f;
    struct node_cfg cfg = fake_cfg();
    struct node *n = NULL;

    memset(&f, 0, sizeof f);
    f.tick = (struct tick){.now = 1000, .wall_off_us = 1700000000000000};
    cfg.admin_secret = "abc123";
    EXPECT_EQ(node_open(&n, &cfg, f.tick), 0);
    EXPECT_EQ(ask(n, &f, "GET", "", "Bearer abc123"), 405);
    EXPECT_EQ(ask(n, &f, "POST", "", NULL), 401);
    EXPECT_EQ(ask(n, &f, "POST", "", "abc123"), 401);
    EXPECT_EQ(ask(n, &f, "POST", "", "Bearer "), 401);
    EXPECT_EQ(ask(n, &f, "POST", "", "Bearer abc12"), 401);
    EXPECT_EQ(ask(n, &f, "DELETE", "port=5", "Bearer x"), 401);
    EXPECT_EQ(ask(n, &f, "POST", "port=70000", "Bearer abc123"), 400);
    EXPECT_EQ(ask(n, &f, "POST", "port=65535", "Bearer abc123"), 500);
    EXPECT_EQ(ask(n, &f, "DELETE", "", "Bearer abc123"), 400);
    EXPECT_EQ(ask(n, &f, "DELETE", "port=-1", "Bearer abc123"), 400);
    EXPECT_EQ(ask(n, &f, "DELETE", "port=5", "Bearer abc123"), 204);
    EXPECT_EQ(ask(n, &f, "POST", "", "Bearer abc123"), 0); /* a process is asked */
    f.tick.now += 2 * PORTS_ASK_US;
    node_tick(n, f.tick);
    fake_drain(&f);
    EXPECT(f.c[1].status == 503 || f.c[1].status == 500); /* there is none */
    node_free(n);
}
