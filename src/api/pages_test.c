#include "api/pages.h"

#include "base/json.h"
#include "crypt/token.h"
#include "signal/signal_test.h"

/* The claims of the token that the page got; status of the answer. */
static int ask(struct hub *hub, const char *query, struct arena *a, struct token_claims **claims)
{
    const struct node_cfg cfg = {.key = {{"key", "secret"}}, .key_n = 1};
    const struct http_msg req = {.method = "GET", .path = "/api/join", .query = query};
    const struct outbox_item *it;
    struct json_doc doc;
    struct bytes token;

    EXPECT(pages_http(hub, &cfg, 9, &req));
    it = outbox_next(&hub->out);
    EXPECT(it != NULL && it->kind == OUTBOX_HTTP);
    if (it->status != 200)
        return it->status;
    EXPECT_EQ(json_parse(&doc, bytes_of(it->frame->data, it->frame->len), 1 << 16), 0);
    EXPECT(json_to_text(json_member(doc.root, "token"), &token));
    EXPECT_EQ(token_verify(token, bytes_str("secret"), 1, a, claims), 0);
    json_close(&doc);
    return 200;
}

TEST(who_watches_cannot_take_the_place_of_somebody)
{
    struct token_claims *one = NULL, *two = NULL;
    struct hub *hub = open_hub();
    struct arena a;

    arena_init(&a, 1 << 20);
    EXPECT_EQ(ask(hub, "room=demo&identity=alice&role=watch", &a, &one), 200);
    EXPECT_EQ(ask(hub, "room=demo&identity=alice&role=watch", &a, &two), 200);
    EXPECT_STR(one->name, "alice");
    EXPECT_EQ(strncmp(one->identity, "watch_", 6), 0);
    EXPECT(strcmp(one->identity, two->identity) != 0);
    EXPECT(!token_may_publish(&one->video));
    EXPECT_EQ(ask(hub, "room=demo&identity=alice", &a, &one), 403);
    arena_fini(&a);
    hub_free(hub);
}
