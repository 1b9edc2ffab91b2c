#include "api/lightspeed.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/test.h"

#include <stdio.h>

struct rig {
    struct hub *hub;
    struct node_cfg cfg;
    struct streams all;
    char said[8][512]; /* the beginnings of the frames of one socket */
    uint32_t said_n, closed_n;
    int status;
};

static void rig_open(struct rig *r)
{
    static const uint8_t fingerprint[32];
    const struct hub_cfg cfg = {.house = {.seed = 3, .shard_n = 1, .departure_timeout_s = 20},
                                .fingerprint = {fingerprint, sizeof fingerprint},
                                .version = "1",
                                .region = "",
                                .key_id = "key",
                                .key_secret = "secret",
                                .auto_create = true,
                                .message_bytes_max = 1 << 20};

    *r = (struct rig){0};
    EXPECT_EQ(hub_open(&r->hub, &cfg, (struct tick){.now = US_PER_SEC}), 0);
    streams_init(&r->all, r->hub, &r->cfg);
}

static void rig_close(struct rig *r)
{
    streams_fini(&r->all);
    hub_free(r->hub);
}

static void run(struct rig *r, uint64_t socket)
{
    const struct outbox_item *it;
    struct stream *st;
    uint64_t heard;

    hub_tick(r->hub);
    while ((st = stream_news(&r->all, &heard)) != NULL)
        lightspeed_news(st, heard);
    r->said_n = 0;
    while ((it = outbox_next(&r->hub->out)) != NULL) {
        r->closed_n += it->kind == OUTBOX_CLOSE;
        if (it->kind == OUTBOX_HTTP)
            r->status = it->status;
        if (it->kind == OUTBOX_SEND && it->conn == socket && r->said_n < ARRAY_LEN(r->said))
            (void)snprintf(r->said[r->said_n++], sizeof r->said[0], "%s", it->frame->data);
    }
}

static void come(struct rig *r, uint64_t socket, const char *query)
{
    const struct http_msg m = {
        .method = "GET", .path = "/websocket", .query = query, .upgrade = true};

    r->status = 0;
    EXPECT(lightspeed_http(&r->all, socket, &m, NULL));
}

TEST(a_newcomer_hears_the_count_and_then_the_offer)
{
    struct rig r;

    rig_open(&r);
    come(&r, 1, "");
    run(&r, 1);
    EXPECT_EQ(r.said_n, 2);
    EXPECT_STR(r.said[0], "{\"event\":\"info\",\"data\":{\"no_connections\":1}}");
    EXPECT(strncmp(r.said[1],
                   "{\"event\":\"offer\",\"data\":{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n",
                   49) == 0);
    come(&r, 2, "port=65535");
    run(&r, 1);
    EXPECT_EQ(r.said_n, 1);
    EXPECT_STR(r.said[0], "{\"event\":\"info\",\"data\":{\"no_connections\":2}}");
    EXPECT(lightspeed_closed(&r.all, 2));
    EXPECT(!lightspeed_closed(&r.all, 2));
    run(&r, 1);
    EXPECT_STR(r.said[0], "{\"event\":\"info\",\"data\":{\"no_connections\":1}}");
    come(&r, 3, "port=4711");
    run(&r, 3);
    EXPECT_EQ(r.status, 404);
    rig_close(&r);
}

TEST(who_does_not_answer_is_let_go)
{
    struct rig r;

    rig_open(&r);
    come(&r, 1, "");
    run(&r, 1);
    EXPECT(lightspeed_message(&r.all, 1, true, bytes_str("{\"event\":\"candidate\",\"data\":{}}")));
    EXPECT(lightspeed_message(&r.all, 1, true, bytes_str("not json")));
    EXPECT(lightspeed_message(&r.all, 1, false, bytes_str("{}")));
    hub_time(r.hub, (struct tick){.now = US_PER_SEC + STREAM_CONNECT_US + US_PER_SEC});
    run(&r, 1);
    EXPECT_EQ(r.closed_n, 1);
    EXPECT_EQ(r.all.n, 0);
    EXPECT(!lightspeed_message(&r.all, 1, true, bytes_str("{}")));
    rig_close(&r);
}

TEST(who_talks_too_much_is_closed)
{
    struct rig r;

    rig_open(&r);
    come(&r, 1, "");
    for (int i = 0; i <= STREAM_ASKS_BURST; i++)
        (void)lightspeed_message(&r.all, 1, true, bytes_str("{}"));
    run(&r, 1);
    EXPECT_EQ(r.closed_n, 1);
    EXPECT_EQ(r.all.n, 0);
    rig_close(&r);
}

FUZZ(lightspeed_message, in)
{
    struct rig r;
    struct str answer;

    rig_open(&r);
    come(&r, 1, "");
    run(&r, 1);
    (void)lightspeed_message(&r.all, 1, true, in);
    run(&r, 1);
    str_init(&answer, STREAM_SDP_MAX);
    str_add(&answer, "{\"event\":\"answer\",\"data\":{\"type\":\"answer\",\"sdp\":");
    json_add_text(&answer, in);
    str_add(&answer, "}}");
    if (!answer.failed)
        (void)lightspeed_message(&r.all, 1, true, str_bytes(&answer));
    run(&r, 1);
    EXPECT(r.all.n <= 1);
    str_fini(&answer);
    rig_close(&r);
}
