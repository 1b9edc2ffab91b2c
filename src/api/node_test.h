/* api/node_test.h - a node in virtual time, shards that only say yes, clients made of messages.
 *
 * For tests of api/ alone.
 */
#ifndef API_NODE_TEST_H
#define API_NODE_TEST_H

#include "api/node.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/test.h"
#include "crypt/token.h"
#include "wire/pb_json.h"
#include "wire/sdp.h"

#include "livekit_room.pb-c.h"
#include "livekit_rtc.pb-c.h"

#include <stdlib.h>

enum { FAKE_MESSAGES_MAX = 400, FAKE_COMMANDS_MAX = 200, FAKE_CLIENTS = 8 };

struct fake_client {
    uint64_t conn;
    bool accepted, closed, text;
    uint16_t ws_code;
    int status; /* of an HTTP answer */
    char body[65536];
    struct arena arena;
    Livekit__SignalResponse *got[FAKE_MESSAGES_MAX];
    uint32_t got_n, read_n;
    char first_case_text[32];
};

struct fake {
    struct node *node;
    struct tick tick;
    int64_t mem_before;
    struct fake_client c[FAKE_CLIENTS + 1]; /* by conn */
    struct cmd cmd[FAKE_COMMANDS_MAX];
    uint32_t cmd_n;
    struct evt later[256];
    uint32_t later_n;
    char fixture[8][65536];
    uint64_t ask_id; /* of the last request to another server */
    char ask_body[256];
    int store_err; /* what the store says to every write */
    void (*bus_op)(struct fake *f, const struct bus_op *op); /* NULL: nobody is on the bus */
};

static const uint8_t fake_digest[32] = {1, 2, 3};

static inline struct node_cfg fake_cfg(void)
{
    struct node_cfg cfg = {
        .seed = 7,
        .key = {{"devkey", "secret"}},
        .key_n = 1,
        .shard_n = 2,
        .fingerprint = {fake_digest, 32},
        .region = "here",
        .auto_create = true,
        .development = true,
        .open_meet = true,
        .empty_timeout_s = 300,
        .departure_timeout_s = 20,
        .limits = {.max_metadata_size = 1000,
                   .max_attributes_size = 1000,
                   .max_room_name_length = 256,
                   .max_participant_identity_length = 256,
                   .max_participant_name_length = 256},
    };
    for (uint8_t s = 0; s < 2; s++) {
        struct node_candidate *c = &cfg.candidate[cfg.candidate_n++];
        c->shard = s;
        (void)addr_parse_ip(&c->addr, bytes_str("192.0.2.1"), (uint16_t)(7882 + s));
    }
    return cfg;
}

static inline void fake_open(struct fake *f, const struct node_cfg *cfg)
{
    memset(f, 0, sizeof *f);
    f->mem_before = mem_live();
    f->tick =
        (struct tick){.now = 1000 * US_PER_SEC, .wall_off_us = (int64_t)1700000000 * US_PER_SEC};
    EXPECT_EQ(node_open(&f->node, cfg, f->tick), 0);
    for (uint64_t i = 0; i <= FAKE_CLIENTS; i++) {
        f->c[i].conn = i;
        arena_init(&f->c[i].arena, 64 << 20);
    }
}

static inline void fake_close(struct fake *f)
{
    node_free(f->node);
    for (int i = 0; i <= FAKE_CLIENTS; i++)
        arena_fini(&f->c[i].arena);
    EXPECT_EQ(mem_live(), f->mem_before);
}

static inline void fake_receive(struct fake_client *c, const struct node_out *out)
{
    Livekit__SignalResponse *m =
        out->text ? pb_json_read(&c->arena, &livekit__signal_response__descriptor, out->data, NULL)
                  : pb_unpack(&c->arena, &livekit__signal_response__descriptor, out->data);
    EXPECT(m != NULL);
    EXPECT(c->accepted);
    EXPECT(!c->closed);
    EXPECT(c->got_n < FAKE_MESSAGES_MAX);
    c->text = out->text;
    c->got[c->got_n++] = m;
}

static inline void fake_command(struct fake *f, const struct cmd *c)
{
    struct evt ev = {0};

    EXPECT(f->cmd_n < FAKE_COMMANDS_MAX);
    memcpy(&f->cmd[f->cmd_n++], c, cmd_len(c));
    if (c->kind == CMD_PEER_CLOSE) {
        ev.kind = EVT_PEER_GONE;
        ev.peer_gone.peer = c->peer_close.peer;
    } else if (c->kind == CMD_TRACK_CLOSE) {
        ev.kind = EVT_TRACK_GONE;
        ev.track_gone.track = c->track_close.track;
    } else if (c->kind == CMD_SUB_DETACH) {
        ev.kind = EVT_SUB_GONE;
        ev.sub_gone.sub = c->sub_detach.sub;
    } else {
        return;
    }
    EXPECT(f->later_n < 256);
    f->later[f->later_n++] = ev;
}

static inline void fake_drain(struct fake *f)
{
    struct node_out out;

    while (node_output(f->node, &out)) {
        struct fake_client *c = &f->c[out.conn <= FAKE_CLIENTS ? out.conn : 0];
        if (out.kind == NODE_OUT_CMD) {
            fake_command(f, out.cmd);
        } else if (out.kind == NODE_OUT_WS_ACCEPT) {
            c->accepted = true;
            c->closed = false;
        } else if (out.kind == NODE_OUT_WS_SEND) {
            fake_receive(c, &out);
        } else if (out.kind == NODE_OUT_WS_CLOSE) {
            c->closed = true;
            c->ws_code = out.ws_code;
        } else if (out.kind == NODE_OUT_ASK) {
            size_t n = size_min(out.ask.body.len, sizeof f->ask_body - 1);
            f->ask_id = out.ask.id;
            memcpy(f->ask_body, out.ask.body.p, n);
            f->ask_body[n] = '\0';
        } else if (out.kind == NODE_OUT_HTTP) {
            c->status = out.status;
            EXPECT(out.data.len < sizeof c->body);
            memcpy(c->body, out.data.p, out.data.len);
            c->body[out.data.len] = '\0';
        } else if (out.kind == NODE_OUT_STORE) {
            node_stored(f->node, out.store.serial, f->store_err, f->tick);
        } else if (out.kind == NODE_OUT_BUS && f->bus_op != NULL) {
            f->bus_op(f, &out.bus);
        }
    }
}

/* Everything that is due now. */
static inline void fake_step(struct fake *f)
{
    for (int i = 0; i < 4; i++) {
        node_tick(f->node, f->tick);
        fake_drain(f);
        uint32_t n = f->later_n;
        f->later_n = 0;
        for (uint32_t k = 0; k < n; k++)
            node_event(f->node, handle_shard(f->later[k].peer_gone.peer), &f->later[k], f->tick);
        fake_drain(f);
    }
}

static inline void fake_pass(struct fake *f, us_t us)
{
    us_t end = f->tick.now + us;

    while (f->tick.now < end) {
        us_t at = us_min(node_deadline(f->node), end);
        f->tick.now = us_max(at, f->tick.now + US_PER_MS);
        fake_step(f);
    }
}

/* The next message of that case that was not looked at yet; NULL when there is none. */
static inline Livekit__SignalResponse *fake_next(struct fake_client *c, int which)
{
    while (c->read_n < c->got_n) {
        Livekit__SignalResponse *m = c->got[c->read_n++];
        if ((int)m->message_case == which)
            return m;
    }
    return NULL;
}

static inline uint32_t fake_count(const struct fake_client *c, int which)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->got_n; i++)
        n += (int)c->got[i]->message_case == which;
    return n;
}

#define GOT(c, which)   fake_next((c), LIVEKIT__SIGNAL_RESPONSE__MESSAGE_##which)
#define COUNT(c, which) fake_count((c), LIVEKIT__SIGNAL_RESPONSE__MESSAGE_##which)

static inline const struct cmd *fake_last(const struct fake *f, uint32_t kind)
{
    for (uint32_t i = f->cmd_n; i-- > 0;)
        if (f->cmd[i].kind == kind)
            return &f->cmd[i];
    return NULL;
}

static inline uint32_t fake_commands(const struct fake *f, uint32_t kind)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->cmd_n; i++)
        n += f->cmd[i].kind == kind;
    return n;
}

static inline void fake_token(struct fake *f, const char *identity, const char *room,
                              void (*change)(struct token_claims *), struct str *out)
{
    struct token_claims *c = mem_zero(sizeof *c);

    c->issuer = "devkey";
    c->identity = identity;
    c->name = c->metadata = c->kind = c->room_preset = c->sha256 = "";
    c->expires_s = (f->tick.now + f->tick.wall_off_us) / US_PER_SEC + 3600;
    c->has_video = true;
    c->video.room_join = true;
    c->video.can_update_own_metadata = TOKEN_TRUE;
    c->video.room = room;
    c->video.destination_room = "";
    if (change != NULL)
        change(c);
    EXPECT(token_mint(out, c, bytes_str("secret")));
    mem_free(c);
}

static inline void fake_get(struct fake *f, uint64_t conn, const char *path, const char *query,
                            const char *token, bool upgrade)
{
    char auth[8192];
    struct http_header h[2] = {{"authorization", auth}, {"host", "localhost:7880"}};
    struct http_msg m = {.method = "GET",
                         .path = path,
                         .query = query,
                         .header = token != NULL ? h : h + 1,
                         .header_n = token != NULL ? 2 : 1,
                         .upgrade = upgrade};

    snprintf(auth, sizeof auth, "Bearer %s", token != NULL ? token : "");
    f->c[conn].status = 0;
    f->c[conn].closed = f->c[conn].accepted = false;
    EXPECT(node_http(f->node, conn, &m, &(struct addr){0}, f->tick));
    fake_drain(f);
}

/* A join with a join_request; `offer` NULL: the recording's first. */
static inline void fake_join_request(struct fake *f, uint64_t conn, const char *token,
                                     const Livekit__JoinRequest *j)
{
    Livekit__WrappedJoinRequest w = LIVEKIT__WRAPPED_JOIN_REQUEST__INIT;
    struct str raw, wrapped, query;

    str_init(&raw, 1 << 20);
    str_init(&wrapped, 1 << 20);
    str_init(&query, 1 << 21);
    pb_pack(&j->base, &raw);
    w.join_request.data = (uint8_t *)raw.p;
    w.join_request.len = raw.len;
    pb_pack(&w.base, &wrapped);
    str_add(&query, "join_request=");
    str_add_base64(&query, str_bytes(&wrapped), true, true);
    fake_get(f, conn, "/rtc/v1", str_text(&query), token, true);
    str_fini(&raw);
    str_fini(&wrapped);
    str_fini(&query);
}

static inline void fake_join(struct fake *f, uint64_t conn, const char *identity, const char *offer,
                             void (*change)(struct token_claims *))
{
    Livekit__JoinRequest j = LIVEKIT__JOIN_REQUEST__INIT;
    Livekit__ClientInfo info = LIVEKIT__CLIENT_INFO__INIT;
    Livekit__ConnectionSettings set = LIVEKIT__CONNECTION_SETTINGS__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;
    struct str token;

    str_init(&token, 1 << 16);
    fake_token(f, identity, "demo", change, &token);
    info.protocol = 17;
    info.client_protocol = 2;
    info.browser = (char *)"Chrome";
    set.auto_subscribe = true;
    d.type = (char *)"offer";
    d.sdp = (char *)offer;
    d.id = 1;
    j.client_info = &info;
    j.connection_settings = &set;
    j.publisher_offer = offer != NULL ? &d : NULL;
    fake_join_request(f, conn, str_text(&token), &j);
    fake_step(f);
    str_fini(&token);
}

static inline void fake_join_dual(struct fake *f, uint64_t conn, const char *identity,
                                  const char *more)
{
    char query[256];
    struct str token;

    str_init(&token, 1 << 16);
    fake_token(f, identity, "demo", NULL, &token);
    snprintf(query, sizeof query, "protocol=17&sdk=js&browser=Chrome%s", more);
    fake_get(f, conn, "/rtc", query, str_text(&token), true);
    fake_step(f);
    str_fini(&token);
}

static inline void fake_say(struct fake *f, uint64_t conn, const Livekit__SignalRequest *r)
{
    struct str raw;

    str_init(&raw, 1 << 20);
    pb_pack(&r->base, &raw);
    node_ws_message(f->node, conn, false, str_bytes(&raw), f->tick);
    str_fini(&raw);
    fake_step(f);
}

static inline void fake_offer(struct fake *f, uint64_t conn, const char *sdp, uint32_t id)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;

    d.type = (char *)"offer";
    d.sdp = (char *)sdp;
    d.id = id;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER;
    r.offer = &d;
    fake_say(f, conn, &r);
}

static inline void fake_add(struct fake *f, uint64_t conn, const char *cid, bool video)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__AddTrackRequest a = LIVEKIT__ADD_TRACK_REQUEST__INIT;

    a.cid = (char *)cid;
    a.type = video ? LIVEKIT__TRACK_TYPE__VIDEO : LIVEKIT__TRACK_TYPE__AUDIO;
    a.source = video ? LIVEKIT__TRACK_SOURCE__CAMERA : LIVEKIT__TRACK_SOURCE__MICROPHONE;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_ADD_TRACK;
    r.add_track = &a;
    fake_say(f, conn, &r);
}

/* The peer's connection as the shard would report it. */
static inline void fake_state(struct fake *f, peer_id peer, enum peer_state state)
{
    struct evt ev = {.kind = EVT_PEER_STATE};

    ev.peer_state.peer = peer;
    ev.peer_state.state = (uint8_t)state;
    node_event(f->node, handle_shard(peer), &ev, f->tick);
    fake_step(f);
}

static inline struct sdp fake_sdp(struct fake_client *c, const char *text)
{
    struct sdp sdp;

    EXPECT_EQ(sdp_parse(&sdp, bytes_str(text), &c->arena), 0);
    return sdp;
}

/* The nth offer of `who` in a recording; the text stays valid for eight calls. */
static inline const char *fake_recorded(struct fake *f, const char *file, const char *who, int nth)
{
    static int turn;
    char path[512];
    char *line = malloc(1 << 20), *sdp = f->fixture[turn++ % 8];
    const char *root = getenv("SOURCE_ROOT");

    snprintf(path, sizeof path, "%s/tests/fixtures/%s", root != NULL ? root : ".", file);
    FILE *in = fopen(path, "r");
    EXPECT(in != NULL);
    while (fgets(line, 1 << 20, in) != NULL) {
        struct json_doc doc;
        struct bytes text;
        const struct json_t *v;

        EXPECT_EQ(json_parse(&doc, bytes_str(line), 1 << 20), 0);
        if (json_to_text(json_member(doc.root, "who"), &text) && bytes_eq_str(text, who)) {
            v = json_member(json_member(doc.root, "join_request"), "publisherOffer");
            if (v == NULL && json_to_text(json_member(doc.root, "dir"), &text) &&
                bytes_eq_str(text, "c>s"))
                v = json_member(json_member(doc.root, "msg"), "offer");
            if (json_to_text(json_member(v, "sdp"), &text) && nth-- == 0) {
                EXPECT(str_copy(sdp, 65536, text));
                json_close(&doc);
                fclose(in);
                free(line);
                return sdp;
            }
        }
        json_close(&doc);
    }
    print_error("no such offer in the recording\n");
    EXPECT(false);
    return NULL;
}

static const char single[] = "chromium-single.jsonl";
static const char alice_cam[] = "2f7f00de-a734-4015-acca-7b1b9cb70f2e";

/* The node of the fuzz entries: it lives over many inputs, but two may not live at a time. */
extern struct fake *fake_kept;

static inline void end_fake(struct fake *f)
{
    fake_close(f);
    free(f);
}

static inline struct fake *new_fake_with(const struct node_cfg *cfg)
{
    struct fake *f = malloc(sizeof *f);

    if (fake_kept != NULL)
        end_fake(fake_kept);
    fake_kept = NULL;
    fake_open(f, cfg);
    return f;
}

static inline struct fake *new_fake(void)
{
    struct node_cfg cfg = fake_cfg();
    return new_fake_with(&cfg);
}

/* Alice and Bob in one room on single connections, both connected. */
static inline void two_join(struct fake *f)
{
    fake_join(f, 1, "alice", fake_recorded(f, single, "alice", 0), NULL);
    fake_state(f, fake_last(f, CMD_PEER_OPEN)->peer_open.peer, PEER_CONNECTED);
    fake_join(f, 2, "bob", fake_recorded(f, single, "bob", 0), NULL);
    fake_state(f, fake_last(f, CMD_PEER_OPEN)->peer_open.peer, PEER_CONNECTED);
}

static inline void alice_publishes(struct fake *f)
{
    fake_add(f, 1, alice_cam, true);
    fake_offer(f, 1, fake_recorded(f, single, "alice", 2), 3);
}

static inline void all_grants(struct token_claims *c)
{
    c->video.room_create = c->video.room_list = c->video.room_admin = true;
}

/* One call of an API method, "RoomService/ListRooms", with these rights; the body of the answer
 * when it came at once. */
static inline const char *fake_call(struct fake *f, const char *method, const char *body,
                                    void (*change)(struct token_claims *))
{
    char auth[8192], path[128];
    struct http_header h[] = {{"authorization", auth}, {"content-type", "application/json"}};
    struct http_msg m = {.method = "POST", .path = path, .query = "", .header = h, .header_n = 2};
    struct str token;

    str_init(&token, 1 << 16);
    fake_token(f, "admin", "demo", change, &token);
    snprintf(auth, sizeof auth, "Bearer %s", str_text(&token));
    snprintf(path, sizeof path, "/twirp/livekit.%s", method);
    m.body = bytes_str(body);
    f->c[8].status = 0;
    EXPECT(node_http(f->node, 8, &m, &(struct addr){0}, f->tick));
    fake_step(f);
    str_fini(&token);
    return f->c[8].body;
}

static inline const char *call(struct fake *f, const char *method, const char *body)
{
    char path[96];

    snprintf(path, sizeof path, "RoomService/%s", method);
    return fake_call(f, path, body, all_grants);
}

#endif
