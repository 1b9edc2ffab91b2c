/* signal/signal_test.h - a hub with members in one room, for the tests of this layer.
 *
 * No sockets and no shards: what goes out stays in hub->out and in the plane's queues.
 */
#ifndef SIGNAL_SIGNAL_TEST_H
#define SIGNAL_SIGNAL_TEST_H

#include "base/test.h"
#include "signal/hub.h"
#include "wire/pb.h"

static inline struct hub *open_hub(void)
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
    struct hub *hub = NULL;

    EXPECT_EQ(hub_open(&hub, &cfg, (struct tick){.now = US_PER_SEC}), 0);
    return hub;
}

static inline struct token_claims *claims_of(const char *identity)
{
    static struct token_claims claims[16];
    static unsigned turn;
    struct token_claims *c = &claims[turn++ % ARRAY_LEN(claims)];

    *c = (struct token_claims){.issuer = "key",
                               .identity = identity,
                               .name = "",
                               .metadata = "",
                               .kind = "",
                               .room_preset = "",
                               .sha256 = "",
                               .has_video = true};
    c->video.room = "demo";
    c->video.room_join = true;
    return c;
}

/* NULL: refused. */
static inline struct session *try_join(struct hub *hub, uint64_t conn, const char *identity,
                                       bool single)
{
    Livekit__ClientInfo client = LIVEKIT__CLIENT_INFO__INIT;
    struct session_cfg cfg = {.conn = conn,
                              .single = single,
                              .sid = "",
                              .client = single ? NULL : &client,
                              .auto_subscribe = true,
                              .claims = claims_of(identity)};
    struct session_refusal why;

    client.protocol = 17;
    arena_init(&cfg.keep, SESSION_CLAIMS_BYTES);
    if (!session_join(hub, &cfg, &why)) {
        arena_fini(&cfg.keep);
        return NULL;
    }
    return map_find_u64(&hub->by_conn, conn);
}

/* A client with one connection and auto_subscribe. */
static inline struct session *join(struct hub *hub, uint64_t conn, const char *identity)
{
    struct session *s = try_join(hub, conn, identity, true);

    EXPECT(s != NULL);
    return s;
}

/* The same with two. */
static inline struct session *join_dual(struct hub *hub, uint64_t conn, const char *identity)
{
    struct session *s = try_join(hub, conn, identity, false);

    EXPECT(s != NULL);
    return s;
}

static inline void resume_as(struct hub *hub, uint64_t conn, const char *identity)
{
    struct session_cfg cfg = {
        .conn = conn, .single = true, .reconnect = true, .sid = "", .claims = claims_of(identity)};
    struct session_refusal why;

    arena_init(&cfg.keep, SESSION_CLAIMS_BYTES);
    EXPECT(session_join(hub, &cfg, &why));
}

/* A live Opus track. */
static inline void publish(struct session *s)
{
    static const struct pub_codec codec = {.c = {.codec = CODEC_OPUS, .pt = 111}};
    static const struct cmd_layer layer = {.ssrc = 7};
    Livekit__AddTrackRequest req = LIVEKIT__ADD_TRACK_REQUEST__INIT;
    struct pub_media media = {
        .mid = "0", .codec = &codec, .codec_n = 1, .layer = &layer, .layer_n = 1};
    struct pub *p = NULL;

    req.type = LIVEKIT__TRACK_TYPE__AUDIO;
    EXPECT_EQ(pub_add(s->member, &req, &p), 0);
    media.peer = plane_take(&s->hub->house.plane, 0, PLANE_PEER, NULL, 0, 0);
    EXPECT_EQ(pub_go_live(p, &media), 0);
}

/* The next message to this socket of that case; NULL at the end. */
static inline Livekit__SignalResponse *next_to(struct hub *hub, uint64_t conn, int which,
                                               struct arena *a)
{
    const struct outbox_item *it;

    while ((it = outbox_next(&hub->out)) != NULL) {
        if (it->kind != OUTBOX_SEND || it->conn != conn)
            continue;
        Livekit__SignalResponse *m = pb_unpack(a, &livekit__signal_response__descriptor,
                                               bytes_of(it->frame->data, it->frame->len));
        EXPECT(m != NULL);
        if ((int)m->message_case == which)
            return m;
    }
    return NULL;
}

static inline void drain_outbox(struct hub *hub)
{
    while (outbox_next(&hub->out) != NULL)
        ;
}

#endif
