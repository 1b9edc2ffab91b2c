#include "api/admin.h"
#include "api/node_test.h"

static int ask(struct node *n, struct fake *f, const char *method, const char *body)
{
    struct http_msg m = {
        .method = method, .path = "/api/admin", .query = "", .body = bytes_str(body)};

    f->node = n;
    f->c[1].status = 0;
    f->c[1].body[0] = '\0';
    EXPECT(node_http(n, 1, &m, &(struct addr){0}, f->tick));
    fake_drain(f);
    return f->c[1].status;
}

static struct node *open_node(struct fake *f, const char *secret)
{
    struct node_cfg cfg = fake_cfg();
    struct node *n = NULL;

    memset(f, 0, sizeof *f);
    f->tick = (struct tick){.now = 1000, .wall_off_us = 1700000000000000};
    cfg.admin_secret = secret;
    EXPECT_EQ(node_open(&n, &cfg, f->tick), 0);
    return n;
}

TEST(the_secret_gets_a_token_and_nothing_else_does)
{
    static struct fake f;
    struct token_claims *c;
    struct json_doc doc;
    struct bytes token;
    struct arena a;
    struct node *n = open_node(&f, "abc123");

    EXPECT_EQ(ask(n, &f, "GET", ""), 405);
    EXPECT_EQ(ask(n, &f, "POST", ""), 403);
    EXPECT_EQ(ask(n, &f, "POST", "{\"secret\":\"\"}"), 403);
    EXPECT_EQ(ask(n, &f, "POST", "{\"secret\":\"abc12\"}"), 403);
    EXPECT_EQ(ask(n, &f, "POST", "{\"secret\":\"abc1234\"}"), 403);
    EXPECT_EQ(ask(n, &f, "POST", "{\"secret\":[\"abc123\"]}"), 403);
    EXPECT_EQ(ask(n, &f, "POST", "{\"secret\":\"abc123\"}"), 200);
    arena_init(&a, TOKEN_ARENA_BYTES);
    EXPECT_EQ(json_parse(&doc, bytes_str(f.c[1].body), 1 << 16), 0);
    EXPECT(json_to_text(json_member(doc.root, "token"), &token));
    EXPECT_EQ(token_verify(token, bytes_str("secret"), 1700000000 + ADMIN_TOKEN_S - 1, &a, &c), 0);
    EXPECT(c->video.ingress_admin && c->video.room_list);
    EXPECT(!c->video.room_join && !c->video.room_create && !c->video.room_admin);
    json_close(&doc);
    arena_fini(&a);
    node_free(n);
}

TEST(without_a_secret_nobody_comes_in)
{
    static struct fake f;
    struct node *n = open_node(&f, NULL);

    EXPECT_EQ(ask(n, &f, "POST", "{\"secret\":\"\"}"), 403);
    node_free(n);
    n = open_node(&f, "");
    EXPECT_EQ(ask(n, &f, "POST", "{\"secret\":\"\"}"), 403);
    node_free(n);
}
