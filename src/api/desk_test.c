#include "api/ioinfo.h"
#include "api/node_test.h"
#include "base/err.h"
#include "bus/local.h"
#include "bus/methods.h"

/* A node whose bus has one more peer: an ingress process. */
struct rig {
    struct fake f;
    struct local_hub *hub;
    uint32_t server, worker;
    struct psrpc *p;
    uint32_t calls; /* events of the worker */
    bool mute;      /* it answers nothing */
    char call[64];  /* the last method that it was called with */
    psrpc_id ask;   /* of the worker's own request */
    enum psrpc_code code;
    char text[128], key[INGRESS_KEY_MAX], token[4096], ws_url[64];
    bool any, answered;
};

static void rig_pump(struct rig *r);

static void on_bus(struct fake *f, const struct bus_op *op)
{
    struct rig *r = OWNER_OF(f, struct rig, f);

    local_hub_op(r->hub, r->server, op, f->tick.now);
}

static void rig_open(struct rig *r, const char *default_key)
{
    struct node_cfg cfg = fake_cfg();

    memset(r, 0, sizeof *r);
    cfg.default_key = default_key;
    cfg.rtmp_base_url = "rtmp://x.example/live";
    cfg.whip_base_url = "https://x.example/w";
    r->f.mem_before = mem_live();
    r->f.tick = (struct tick){.now = 1000000, .wall_off_us = 1700000000000000};
    for (int i = 0; i <= FAKE_CLIENTS; i++)
        arena_init(&r->f.c[i].arena, 1 << 20);
    EXPECT_EQ(local_hub_open(&r->hub, 1), 0);
    r->server = local_hub_join(r->hub, false);
    r->worker = local_hub_join(r->hub, false);
    EXPECT_EQ(psrpc_open(&r->p, 77), 0);
    r->f.bus_op = on_bus;
    EXPECT_EQ(node_open(&r->f.node, &cfg, r->f.tick), 0);
    EXPECT_EQ(node_set_urls(r->f.node, NULL, NULL, "ws://127.0.0.1:7880"), 0);
    rig_pump(r);
}

static void rig_close(struct rig *r)
{
    node_free(r->f.node);
    psrpc_free(r->p);
    local_hub_free(r->hub);
    for (int i = 0; i <= FAKE_CLIENTS; i++)
        arena_fini(&r->f.c[i].arena);
    EXPECT_EQ(mem_live(), r->f.mem_before);
}

static void worker_call(struct rig *r, const struct psrpc_event *ev)
{
    Livekit__IngressState state = LIVEKIT__INGRESS_STATE__INIT;
    Rpc__ListActiveIngressResponse none = RPC__LIST_ACTIVE_INGRESS_RESPONSE__INIT;

    r->calls++;
    (void)snprintf(r->call, sizeof r->call, "%s %s", ev->method->name, ev->topic);
    if (r->mute)
        return;
    if (ev->kind == PSRPC_EVT_OFFER)
        psrpc_offer(r->p, ev->id, 1);
    else if (ev->method == &methods[METHOD_START_INGRESS])
        psrpc_answer(r->p, ev->id, &((Rpc__StartIngressRequest *)ev->message)->info->base,
                     r->f.tick);
    else if (ev->method == &methods[METHOD_LIST_ACTIVE_INGRESS])
        psrpc_answer(r->p, ev->id, &none.base, r->f.tick);
    else
        psrpc_answer(r->p, ev->id, &state.base, r->f.tick);
}

static void worker_answer(struct rig *r, const struct psrpc_event *ev)
{
    const Rpc__GetIngressInfoResponse *a = ev->message;

    r->code = ev->code;
    r->answered = ev->kind == PSRPC_EVT_ANSWER;
    (void)str_copy(r->text, sizeof r->text, bytes_str(ev->text));
    if (!r->answered || ev->method->response != &rpc__get_ingress_info_response__descriptor)
        return;
    EXPECT(str_copy(r->key, sizeof r->key, bytes_str(a->info->stream_key)));
    EXPECT(str_copy(r->token, sizeof r->token, bytes_str(a->token)));
    EXPECT(str_copy(r->ws_url, sizeof r->ws_url, bytes_str(a->ws_url)));
    r->any = admit_any_protocol(a);
}

static void rig_pump(struct rig *r)
{
    for (int i = 0; i < 10; i++) {
        struct local_out out;
        struct bus_op op;
        struct psrpc_event ev;
        fake_drain(&r->f);
        psrpc_tick(r->p, r->f.tick);
        while (psrpc_event(r->p, &ev)) {
            if (ev.kind == PSRPC_EVT_CALL || ev.kind == PSRPC_EVT_OFFER)
                worker_call(r, &ev);
            else
                worker_answer(r, &ev);
        }
        while (psrpc_output(r->p, &op))
            local_hub_op(r->hub, r->worker, &op, r->f.tick.now);
        while (local_hub_output(r->hub, &out)) {
            EXPECT_EQ(out.kind, LOCAL_OUT_NEWS);
            if (out.client == r->server)
                node_bus_news(r->f.node, &out.news, r->f.tick);
            else
                psrpc_input(r->p, &out.news, r->f.tick);
        }
    }
}

static void rig_pass(struct rig *r, us_t us)
{
    r->f.tick.now += us;
    node_tick(r->f.node, r->f.tick);
    rig_pump(r);
}

static void grant(struct token_claims *c)
{
    c->video.ingress_admin = true;
}

/* One call; the status, and the body in client 1. */
static int post_as(struct rig *r, const char *method, const char *json,
                   void (*change)(struct token_claims *))
{
    struct str token, auth;
    char path[128];
    struct http_header h[2] = {{"content-type", "application/json"}, {"authorization", NULL}};

    str_init(&token, 1 << 14);
    str_init(&auth, 1 << 14);
    fake_token(&r->f, "", "", change, &token);
    str_printf(&auth, "Bearer %s", str_text(&token));
    h[1].value = str_text(&auth);
    (void)snprintf(path, sizeof path, "/twirp/%s", method);
    struct http_msg m = {.method = "POST",
                         .path = path,
                         .query = "",
                         .header = h,
                         .header_n = 2,
                         .body = bytes_str(json)};
    r->f.c[1].status = 0;
    r->f.c[1].body[0] = '\0';
    EXPECT(node_http(r->f.node, 1, &m, &(struct addr){0}, r->f.tick));
    rig_pump(r);
    str_fini(&token);
    str_fini(&auth);
    return r->f.c[1].status;
}

static int post(struct rig *r, const char *method, const char *json)
{
    char path[64];

    (void)snprintf(path, sizeof path, "livekit.Ingress/%s", method);
    return post_as(r, path, json, grant);
}

/* A text member of the last answer, or of the first item in it. */
static const char *member(struct rig *r, const char *name)
{
    static char text[4][256];
    static int turn;
    char *out = text[turn++ % 4];
    struct json_doc doc;
    struct bytes b = {0};

    out[0] = '\0';
    EXPECT_EQ(json_parse(&doc, bytes_str(r->f.c[1].body), 1 << 20), 0);
    const struct json_t *v = doc.root;
    if (json_member(v, "items") != NULL)
        v = json_item(json_member(v, "items"), 0);
    if (json_to_text(json_member(v, name), &b))
        (void)str_copy(out, 256, b);
    json_close(&doc);
    return out;
}

static void make(struct rig *r, const char *json, char id[INGRESS_ID_MAX],
                 char key[INGRESS_KEY_MAX])
{
    EXPECT_EQ(post(r, "CreateIngress", json), 200);
    EXPECT(str_copy(id, INGRESS_ID_MAX, bytes_str(member(r, "ingress_id"))));
    EXPECT(str_copy(key, INGRESS_KEY_MAX, bytes_str(member(r, "stream_key"))));
}

static const char rtmp_json[] =
    "{\"input_type\":0,\"name\":\"n\",\"room_name\":\"r\",\"participant_identity\":\"i\"}";

TEST(an_ingress_is_made_listed_and_deleted)
{
    static struct rig r;
    char id[INGRESS_ID_MAX], key[INGRESS_KEY_MAX], body[128];

    rig_open(&r, NULL);
    make(&r, rtmp_json, id, key);
    EXPECT_EQ(strlen(key), 12);
    EXPECT_EQ(strlen(id), 15);
    EXPECT_STR(member(&r, "url"), "rtmp://x.example/live");
    EXPECT_STR(member(&r, "input_type"), "RTMP_INPUT");
    EXPECT(strstr(r.f.c[1].body, "\"enable_transcoding\":true") != NULL);
    EXPECT(strstr(r.f.c[1].body, "\"reusable\":true") != NULL);
    EXPECT(strstr(r.f.c[1].body, "\"status\":\"ENDPOINT_INACTIVE\"") != NULL);
    EXPECT_EQ(post(&r, "ListIngress", "{\"room_name\":\"r\"}"), 200);
    EXPECT_STR(member(&r, "ingress_id"), id);
    EXPECT_EQ(post(&r, "ListIngress", "{\"room_name\":\"other\"}"), 200);
    EXPECT_STR(r.f.c[1].body, "{\"items\":[],\"next_page_token\":null}");
    (void)snprintf(body, sizeof body, "{\"ingress_id\":\"%s\"}", id);
    EXPECT_EQ(post(&r, "DeleteIngress", body), 200);
    EXPECT_STR(member(&r, "ingress_id"), id);
    EXPECT_EQ(post(&r, "DeleteIngress", body), 404);
    EXPECT_EQ(post(&r, "ListIngress", body), 404);
    EXPECT(strstr(r.f.c[1].body, "twirp error unknown: ingress does not exist") != NULL);
    rig_close(&r);
}

TEST(without_the_grant_nothing_is_said)
{
    static struct rig r;

    rig_open(&r, "dkey");
    EXPECT_EQ(post_as(&r, "livekit.Ingress/ListIngress", "{}", NULL), 401);
    EXPECT_EQ(post_as(&r, "livekit.Ingress/CreateIngress", rtmp_json, NULL), 401);
    EXPECT_EQ(post_as(&r, "sluice.Channels/ListChannels", "{}", NULL), 401);
    EXPECT_EQ(post_as(&r, "sluice.Channels/RotateKey", "{\"ingress_id\":\"IN_live\"}", NULL), 401);
    EXPECT(strstr(r.f.c[1].body, "dkey") == NULL);
    rig_close(&r);
}

/* Bodies of the original with a Redis behind it. */
TEST(what_is_inconsistent_is_refused_in_the_original_s_words)
{
#define VIDEO(x)  "{\"input_type\":0,\"participant_identity\":\"i\",\"video\":{" x "}}"
#define AUDIO(x)  "{\"input_type\":0,\"participant_identity\":\"i\",\"audio\":{" x "}}"
#define LAYERS(x) VIDEO("\"options\":{\"layers\":[" x "]}")
#define PULL(x)   "{\"input_type\":2,\"participant_identity\":\"i\"" x "}"
    static const struct {
        const char *json, *msg;
    } cases[] = {
        {"{}", "invalid ingress: no participant identity"},
        {"{\"input_type\":7}", "invalid ingress type"},
        {"{\"input_type\":\"WHIP_INPUT\",\"participant_identity\":\"i\","
         "\"enable_transcoding\":false,\"video\":{\"preset\":\"H264_720P_30FPS_1_LAYER\"}}",
         "invalid transcoding bypass configuration: video encoding options must be empty if "
         "transcoding is disabled"},
        {"{\"input_type\":\"WHIP_INPUT\",\"participant_identity\":\"i\","
         "\"audio\":{\"options\":{\"channels\":2}}}",
         "invalid transcoding bypass configuration: audio encoding options must be empty if "
         "transcoding is disabled"},
        {VIDEO("\"source\":\"MICROPHONE\""), "invalid video parameters: invalid track source"},
        {VIDEO("\"preset\":99"), "invalid video parameters: invalid preset"},
        {VIDEO("\"options\":{\"video_codec\":\"H264_HIGH\"}"),
         "invalid video parameters: video codec unsupported"},
        {VIDEO("\"options\":{\"frame_rate\":-1}"), "invalid video parameters: invalid framerate"},
        {AUDIO("\"source\":\"CAMERA\""), "invalid audio parameters: invalid track source"},
        {AUDIO("\"preset\":99"), "invalid audio parameters: invalid preset"},
        {AUDIO("\"options\":{\"audio_codec\":\"AAC\"}"),
         "invalid audio parameters: audio codec unsupported"},
        {AUDIO("\"options\":{\"channels\":3}"),
         "invalid audio parameters: invalid audio channel count"},
        {LAYERS("{\"width\":0,\"height\":2}"),
         "invalid video parameters: invalid output media dimensions"},
        {LAYERS("{\"width\":3,\"height\":2}"), "invalid ingress: layer width must be even"},
        {LAYERS("{\"width\":2,\"height\":3}"), "invalid ingress: layer height must be even"},
        {LAYERS("{\"width\":2,\"height\":2},{\"width\":2,\"height\":2}"),
         "invalid video parameters: more than one layer with the same quality level"},
        {LAYERS("{\"quality\":2,\"width\":2,\"height\":2},"
                "{\"quality\":1,\"width\":4,\"height\":4}"),
         "invalid video parameters: video layers do not have increasing height with increasing "
         "quality"},
        {LAYERS("{\"quality\":2,\"width\":2,\"height\":4},"
                "{\"quality\":1,\"width\":4,\"height\":4}"),
         "invalid video parameters: video layers do not have increasing width with increasing "
         "quality"},
        {PULL(""), "invalid ingress: missing URL parameter"},
        {PULL(",\"url\":\"ftp://x/y\",\"room_name\":\"r\""),
         "invalid ingress: invalid url scheme ftp"},
        {PULL(",\"url\":\"nonsense\",\"room_name\":\"r\""), "invalid ingress: invalid url scheme "},
        {PULL(",\"url\":\"http://[bad\",\"room_name\":\"r\""),
         "parse \\\"http://[bad\\\": missing ']' in host"},
        {PULL(",\"url\":\"http://x/y\""), "invalid ingress: no room name"},
        {PULL(",\"url\":\"http://x/y\",\"room_name\":\"r\",\"enabled\":false"),
         "invalid ingress: disabled non reusable ingress"},
        {"{\"input_type\":2,\"room_name\":\"r\",\"url\":\"http://x/y\"}",
         "invalid ingress: no participant identity"},
    };
    static struct rig r;
    char want[512];

    rig_open(&r, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        EXPECT_EQ(post(&r, "CreateIngress", cases[i].json), 400);
        (void)snprintf(want, sizeof want,
                       "{\"code\":\"invalid_argument\",\"msg\":\"twirp error unknown: %s\"}",
                       cases[i].msg);
        EXPECT_STR(r.f.c[1].body, want);
    }
    EXPECT_EQ(post(&r, "ListIngress", "{}"), 200);
    EXPECT_STR(r.f.c[1].body, "{\"items\":[],\"next_page_token\":null}");
    rig_close(&r);
}

TEST(lengths_are_limited)
{
    static struct rig r;
    struct str s;

    rig_open(&r, NULL);
    str_init(&s, 1 << 20);
    str_add(&s, "{\"participant_identity\":\"i\",\"name\":\"");
    for (int i = 0; i < INGRESS_TEXT_MAX + 1; i++)
        str_add_char(&s, 'x');
    str_add(&s, "\"}");
    EXPECT_EQ(post(&r, "CreateIngress", str_text(&s)), 400);
    EXPECT(strstr(r.f.c[1].body, "name is longer than 256 bytes") != NULL);
    str_fini(&s);
    rig_close(&r);
}

TEST(an_update_keeps_what_it_does_not_name)
{
    static struct rig r;
    char id[INGRESS_ID_MAX], key[INGRESS_KEY_MAX], body[256];

    rig_open(&r, NULL);
    make(&r, rtmp_json, id, key);
    (void)snprintf(body, sizeof body,
                   "{\"ingress_id\":\"%s\",\"name\":\"n2\",\"room_name\":\"\",\"enabled\":false}",
                   id);
    EXPECT_EQ(post(&r, "UpdateIngress", body), 200);
    EXPECT_STR(member(&r, "name"), "n2");
    EXPECT_STR(member(&r, "room_name"), "r");
    EXPECT_STR(member(&r, "stream_key"), key);
    EXPECT(strstr(r.f.c[1].body, "\"enabled\":false") != NULL);
    EXPECT_EQ(post(&r, "UpdateIngress", "{\"ingress_id\":\"IN_no\"}"), 404);
    (void)snprintf(body, sizeof body, "{\"ingress_id\":\"%s\",\"enable_transcoding\":false}", id);
    EXPECT_EQ(post(&r, "UpdateIngress", body), 200); /* the original refuses */
    EXPECT(strstr(r.f.c[1].body, "\"bypass_transcoding\":true") != NULL);
    rig_close(&r);
}

TEST(what_the_store_refuses_is_an_error)
{
    static struct rig r;

    rig_open(&r, NULL);
    r.f.store_err = -ENOSPC;
    EXPECT_EQ(post(&r, "CreateIngress", rtmp_json), 500);
    EXPECT(strstr(r.f.c[1].body, "internal") != NULL);
    r.f.store_err = 0;
    EXPECT_EQ(post(&r, "ListIngress", "{}"), 200);
    EXPECT_STR(r.f.c[1].body, "{\"items\":[],\"next_page_token\":null}");
    rig_close(&r);
}

/* ---- over the bus ---- */

static void ask(struct rig *r, enum method m, const ProtobufCMessage *q)
{
    r->answered = false;
    r->code = PSRPC_OK;
    EXPECT_EQ(psrpc_request(r->p, &(struct psrpc_ask){.method = &methods[m], .request = q},
                            r->f.tick, &r->ask),
              0);
    rig_pump(r);
}

static void ask_key(struct rig *r, const char *key)
{
    Rpc__GetIngressInfoRequest q = RPC__GET_INGRESS_INFO_REQUEST__INIT;

    q.stream_key = pb_text(key);
    ask(r, METHOD_GET_INGRESS_INFO, &q.base);
}

static void say_state(struct rig *r, const char *id, int status)
{
    Rpc__UpdateIngressStateRequest q = RPC__UPDATE_INGRESS_STATE_REQUEST__INIT;
    Livekit__IngressState s = LIVEKIT__INGRESS_STATE__INIT;

    s.status = (Livekit__IngressState__Status)status;
    s.started_at = 100;
    s.updated_at = (r->f.tick.now + r->f.tick.wall_off_us) * 1000;
    q.ingress_id = pb_text(id);
    q.state = &s;
    ask(r, METHOD_UPDATE_INGRESS_STATE, &q.base);
}

TEST(an_ingress_process_learns_whose_key_it_is)
{
    static struct rig r;
    char id[INGRESS_ID_MAX], key[INGRESS_KEY_MAX];
    struct token_claims *c;
    struct arena a;

    rig_open(&r, "dkey");
    make(&r, rtmp_json, id, key);
    ask_key(&r, key);
    EXPECT(r.answered && !r.any);
    EXPECT_STR(r.key, key);
    EXPECT_STR(r.ws_url, "ws://127.0.0.1:7880");
    arena_init(&a, TOKEN_ARENA_BYTES);
    EXPECT_EQ(token_verify(bytes_str(r.token), bytes_str("secret"), 1700000000, &a, &c), 0);
    EXPECT_STR(c->attribute[0].value, id);
    arena_fini(&a);
    ask_key(&r, "wrong");
    EXPECT_EQ(r.code, PSRPC_NOT_FOUND);
    EXPECT_STR(r.text, "ingress does not exist");
    ask_key(&r, "");
    EXPECT_EQ(r.code, PSRPC_UNKNOWN);
    ask_key(&r, "dkey");
    EXPECT(r.answered && r.any);

    Sluice__GetChannelRequest q = SLUICE__GET_CHANNEL_REQUEST__INIT;
    q.channel_id = 77;
    ask(&r, METHOD_GET_CHANNEL, &q.base);
    EXPECT(r.answered && r.any);
    EXPECT_STR(r.key, "dkey");
    q.channel_id = 78;
    ask(&r, METHOD_GET_CHANNEL, &q.base);
    EXPECT_STR(r.key, key);
    q.channel_id = 4000000000;
    ask(&r, METHOD_GET_CHANNEL, &q.base);
    EXPECT_EQ(r.code, PSRPC_NOT_FOUND);
    rig_close(&r);
}

TEST(reports_are_seen_in_the_list_and_a_change_stops_the_session)
{
    static struct rig r;
    char id[INGRESS_ID_MAX], key[INGRESS_KEY_MAX], body[128], want[128];

    rig_open(&r, NULL);
    make(&r, rtmp_json, id, key);
    EXPECT_EQ(psrpc_serve(r.p, &methods[METHOD_UPDATE_INGRESS], id), 0);
    EXPECT_EQ(psrpc_serve(r.p, &methods[METHOD_DELETE_INGRESS], id), 0);
    say_state(&r, id, 2);
    EXPECT(r.answered);
    EXPECT_EQ(post(&r, "ListIngress", "{}"), 200);
    EXPECT(strstr(r.f.c[1].body, "ENDPOINT_PUBLISHING") != NULL);
    (void)snprintf(body, sizeof body, "{\"ingress_id\":\"%s\",\"enabled\":false}", id);
    EXPECT_EQ(post(&r, "UpdateIngress", body), 200);
    (void)snprintf(want, sizeof want, "UpdateIngress %s", id);
    EXPECT_STR(r.call, want);
    EXPECT_EQ(post(&r, "DeleteIngress", body), 200);
    (void)snprintf(want, sizeof want, "DeleteIngress %s", id);
    EXPECT_STR(r.call, want);
    EXPECT(strstr(r.f.c[1].body, "ENDPOINT_INACTIVE") != NULL);
    EXPECT_EQ(r.calls, 2);
    say_state(&r, id, 0);
    EXPECT_EQ(r.code, PSRPC_NOT_FOUND);
    rig_close(&r);
}

TEST(an_answer_waits_for_the_process_but_not_for_ever)
{
    static struct rig r;
    char id[INGRESS_ID_MAX], key[INGRESS_KEY_MAX], body[128];

    rig_open(&r, NULL);
    make(&r, rtmp_json, id, key);
    EXPECT_EQ(psrpc_serve(r.p, &methods[METHOD_UPDATE_INGRESS], id), 0);
    say_state(&r, id, 2);
    r.mute = true;
    (void)snprintf(body, sizeof body, "{\"ingress_id\":\"%s\",\"name\":\"n2\"}", id);
    EXPECT_EQ(post(&r, "UpdateIngress", body), 0);
    rig_pass(&r, PSRPC_TIMEOUT_US);
    EXPECT_EQ(r.f.c[1].status, 200);
    EXPECT_STR(member(&r, "name"), "n2");
    psrpc_unserve(r.p, &methods[METHOD_UPDATE_INGRESS], id); /* it is gone altogether */
    EXPECT_EQ(post(&r, "UpdateIngress", body), 0);
    rig_pass(&r, PSRPC_AFFINITY_US);
    EXPECT_EQ(r.f.c[1].status, 200);
    EXPECT_EQ(post(&r, "ListIngress", "{}"), 200);
    EXPECT(strstr(r.f.c[1].body, "the ingress process ended") != NULL);
    rig_close(&r);
}

TEST(what_nobody_has_on_air_any_more_is_ended)
{
    static struct rig r;
    char id[INGRESS_ID_MAX], key[INGRESS_KEY_MAX];

    rig_open(&r, NULL);
    make(&r, rtmp_json, id, key);
    EXPECT_EQ(psrpc_serve(r.p, &methods[METHOD_LIST_ACTIVE_INGRESS], ""), 0);
    say_state(&r, id, 2);
    node_bus_left(r.f.node, r.f.tick);
    rig_pass(&r, IOINFO_SWEEP_US - 1);
    EXPECT_EQ(r.calls, 0);
    rig_pass(&r, 1);
    EXPECT_EQ(r.calls, 1);
    rig_pass(&r, PSRPC_TIMEOUT_US);
    EXPECT_EQ(post(&r, "ListIngress", "{}"), 200);
    EXPECT(strstr(r.f.c[1].body, "ENDPOINT_INACTIVE") != NULL);
    rig_close(&r);
}

TEST(a_pull_is_begun_by_a_worker_or_refused)
{
    static const char json[] = "{\"input_type\":2,\"url\":\"https://x/y\",\"room_name\":\"r\","
                               "\"participant_identity\":\"i\"}";
    static struct rig r;

    rig_open(&r, NULL);
    EXPECT_EQ(post(&r, "CreateIngress", json), 0);
    rig_pass(&r, PSRPC_AFFINITY_US);
    EXPECT_EQ(r.f.c[1].status, 503);
    EXPECT(strstr(r.f.c[1].body,
                  "\"unavailable\",\"msg\":\"twirp error unknown: no response from servers\"") !=
           NULL);
    EXPECT_EQ(psrpc_serve(r.p, &methods[METHOD_START_INGRESS], ""), 0);
    rig_pump(&r);
    EXPECT_EQ(post(&r, "CreateIngress", json), 200);
    EXPECT_STR(member(&r, "url"), "https://x/y");
    EXPECT_STR(member(&r, "stream_key"), "");
    rig_close(&r);
}

TEST(a_new_key_is_made_on_both_ways)
{
    static struct rig r;
    char id[INGRESS_ID_MAX], key[INGRESS_KEY_MAX], body[128];
    Sluice__RotateKeyRequest q = SLUICE__ROTATE_KEY_REQUEST__INIT;

    rig_open(&r, "dkey");
    make(&r, rtmp_json, id, key);
    (void)snprintf(body, sizeof body, "{\"ingress_id\":\"%s\"}", id);
    EXPECT_EQ(post_as(&r, "sluice.Channels/RotateKey", body, grant), 200);
    EXPECT(strcmp(member(&r, "stream_key"), key) != 0);
    ask_key(&r, key);
    EXPECT_EQ(r.code, PSRPC_NOT_FOUND);
    q.ingress_id = pb_text("IN_live");
    ask(&r, METHOD_ROTATE_KEY, &q.base);
    EXPECT(r.answered);
    ask_key(&r, "dkey");
    EXPECT_EQ(r.code, PSRPC_NOT_FOUND);
    EXPECT_EQ(post_as(&r, "sluice.Channels/ListChannels", "{\"ingress_id\":\"IN_live\"}", grant),
              200);
    EXPECT_EQ(strncmp(member(&r, "ftl_key"), "77-", 3), 0);
    EXPECT_EQ(strlen(member(&r, "ftl_key")), 3 + INGRESS_DEFAULT_CHARS);
    EXPECT_EQ(post(&r, "DeleteIngress", "{\"ingress_id\":\"IN_live\"}"), 400);
    rig_close(&r);
}

/* Every allocation of a call is refused once: it is answered or the next one works. */
TEST(refused_memory_leaves_a_desk_that_works)
{
    static struct rig r;
    struct str token, auth;
    struct http_header h[2] = {{"content-type", "application/json"}, {"authorization", NULL}};

    rig_open(&r, NULL);
    str_init(&token, 1 << 14);
    str_init(&auth, 1 << 14);
    fake_token(&r.f, "", "", grant, &token);
    str_printf(&auth, "Bearer %s", str_text(&token));
    h[1].value = str_text(&auth);
    struct http_msg m = {.method = "POST",
                         .path = "/twirp/livekit.Ingress/CreateIngress",
                         .query = "",
                         .header = h,
                         .header_n = 2,
                         .body = bytes_str(rtmp_json)};
    for (uint64_t nth = 1; nth < 150; nth++) {
        mem_refuse_nth(nth);
        (void)node_http(r.f.node, 1, &m, &(struct addr){0}, r.f.tick);
        node_tick(r.f.node, r.f.tick);
        mem_refuse_nth(0);
        rig_pump(&r);
        EXPECT_EQ(post(&r, "ListIngress", "{\"room_name\":\"other\"}"), 200);
    }
    str_fini(&token);
    str_fini(&auth);
    rig_close(&r);
}
