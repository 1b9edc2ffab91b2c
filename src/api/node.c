#include "api/node.h"

#include "api/admin.h"
#include "api/desk.h"
#include "api/join.h"
#include "api/lightspeed.h"
#include "api/pages.h"
#include "api/rooms.h"
#include "api/whep.h"
#include "api/whip.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "signal/rpc.h"
#include "wire/pb.h"

enum {
    WAITING_MAX = HUB_RPCS_MAX,
    MESSAGE_BYTES_DEFAULT = 2 << 20,
    ICE_SERVERS_BYTES_MAX = 1 << 16,
    ICE_URLS_MAX = 8,
};

static const char text_plain[] = "text/plain; charset=utf-8";
static const char version_default[] = "1.13.6"; /* what clients rely on stops there (3.3) */

/* An HTTP request whose answer comes later. */
struct waiting {
    uint64_t conn;
    bool json;
};

struct node {
    struct node_cfg cfg;
    struct hub *hub;
    struct desk *desk;
    struct arena arena; /* ICE servers */
    struct waiting waiting[WAITING_MAX];
    uint32_t waiting_n;
    struct streams streams;
    us_t streams_at;
    struct webhook *webhook;
    bool cmd_lent; /* the head of cmd_shard's queue is with the owner */
    uint8_t cmd_shard;
};

/* ---- life ---- */

static Livekit__ICEServer *read_ice_server(struct arena *a, const struct json_t *v)
{
    Livekit__ICEServer *s = pb_new(a, &livekit__iceserver__descriptor);
    const struct json_t *urls = json_member(v, "urls");
    struct bytes text;

    if (s == NULL || (s->urls = arena_array(a, ICE_URLS_MAX, sizeof *s->urls)) == NULL)
        return NULL;
    for (size_t i = 0; i < json_count(urls) && s->n_urls < ICE_URLS_MAX; i++)
        if (json_to_text(json_item(urls, i), &text) &&
            (s->urls[s->n_urls] = arena_dup(a, text)) != NULL)
            s->n_urls++;
    if (json_to_text(json_member(v, "username"), &text))
        s->username = arena_dup(a, text);
    if (json_to_text(json_member(v, "credential"), &text))
        s->credential = arena_dup(a, text);
    return s->username != NULL && s->credential != NULL ? s : NULL;
}

static int read_ice_servers(struct node *n, struct hub_cfg *hc)
{
    struct json_doc doc;

    if (n->cfg.ice_servers_json == NULL)
        return 0;
    int err = json_parse(&doc, bytes_str(n->cfg.ice_servers_json), ICE_SERVERS_BYTES_MAX);
    if (err != 0)
        return err;
    hc->ice_server = arena_array(&n->arena, HUB_ICE_SERVERS_MAX, sizeof *hc->ice_server);
    for (size_t i = 0; hc->ice_server != NULL && i < json_count(doc.root) &&
                       hc->ice_server_n < HUB_ICE_SERVERS_MAX;
         i++) {
        Livekit__ICEServer *s = read_ice_server(&n->arena, json_item(doc.root, i));
        if (s != NULL)
            hc->ice_server[hc->ice_server_n++] = s;
    }
    json_close(&doc);
    return 0;
}

static int fill_house(struct node *n, struct house_cfg *h)
{
    const struct node_cfg *c = &n->cfg;
    struct room_preset *preset = arena_array(&n->arena, c->preset_n + 1, sizeof *preset);

    if (preset == NULL)
        return E_NOMEM;
    for (uint32_t i = 0; i < c->preset_n; i++) {
        const struct node_preset *p = &c->preset[i];
        preset[i] = (struct room_preset){
            .name = p->name,
            .wish = {.empty_timeout_s = p->empty_timeout_s,
                     .departure_timeout_s = p->departure_timeout_s,
                     .max_participants = p->max_participants,
                     .min_playout_delay_ms = p->min_playout_delay_ms,
                     .max_playout_delay_ms = p->max_playout_delay_ms,
                     .sync_streams = p->sync_streams,
                     .metadata = p->metadata},
        };
    }
    *h = (struct house_cfg){
        .seed = c->seed,
        .shard_n = c->shard_n,
        .peers_per_shard_soft = c->peers_per_shard_soft,
        .empty_timeout_s = c->empty_timeout_s,
        .departure_timeout_s = c->departure_timeout_s,
        .max_participants = c->max_participants,
        .playout_delay = c->playout_delay,
        .sync_streams = c->sync_streams,
        .min_playout_delay_ms = c->min_playout_delay_ms,
        .max_playout_delay_ms = c->max_playout_delay_ms,
        .preset = preset,
        .preset_n = c->preset_n,
        .limits = {.metadata_bytes = c->limits.max_metadata_size,
                   .attributes_bytes = c->limits.max_attributes_size,
                   .room_name_len = c->limits.max_room_name_length,
                   .identity_len = c->limits.max_participant_identity_length,
                   .participant_name_len = c->limits.max_participant_name_length,
                   .rooms = c->limits.max_rooms,
                   .members = c->limits.max_participants,
                   .tracks = c->limits.max_tracks},
        .facts = c->webhook.url_n > 0,
    };
    return 0;
}

static int open_hub(struct node *n, struct tick tick)
{
    const struct node_cfg *c = &n->cfg;
    struct hub_cfg hc = {.candidate_n = u32_min(c->candidate_n, HUB_CANDIDATES_MAX),
                         .fingerprint = c->fingerprint,
                         .version = c->version != NULL ? c->version : version_default,
                         .region = c->region != NULL ? c->region : "",
                         .key_id = c->key_n > 0 ? c->key[0].id : "",
                         .key_secret = c->key_n > 0 ? c->key[0].secret : "",
                         .auto_create = c->auto_create,
                         .tcp_fallback = c->tcp_fallback,
                         .enable_remote_unmute = c->enable_remote_unmute,
                         .message_bytes_max = c->limits.signal_message_size_limit != 0
                                                  ? c->limits.signal_message_size_limit
                                                  : MESSAGE_BYTES_DEFAULT};

    int err = fill_house(n, &hc.house);
    if (err != 0)
        return err;
    for (uint32_t i = 0; i < hc.candidate_n; i++)
        hc.candidate[i] =
            (struct hub_candidate){.shard = c->candidate[i].shard, .addr = c->candidate[i].addr};
    err = read_ice_servers(n, &hc);
    return err != 0 ? err : hub_open(&n->hub, &hc, tick);
}

static int open_desk(struct node *n)
{
    const struct node_cfg *c = &n->cfg;

    return desk_open(&n->desk,
                     &(struct ingress_cfg){.seed = c->seed ^ 0x696e6772,
                                           .rtmp_base_url = c->rtmp_base_url,
                                           .whip_base_url = c->whip_base_url,
                                           .key_id = c->key_n > 0 ? c->key[0].id : "",
                                           .key_secret = c->key_n > 0 ? c->key[0].secret : "",
                                           .default_key = c->default_key},
                     n->hub);
}

int node_open(struct node **ret, const struct node_cfg *cfg, struct tick tick)
{
    if (cfg->shard_n == 0 || cfg->shard_n > NODE_SHARDS_MAX || cfg->key_n > NODE_KEYS_MAX ||
        cfg->fingerprint.len != 32)
        return E_INVAL;
    struct node *n = mem_zero(sizeof *n);
    if (n == NULL)
        return E_NOMEM;
    n->cfg = *cfg;
    arena_init(&n->arena, ICE_SERVERS_BYTES_MAX * 4);
    int err = webhook_open(&n->webhook, &cfg->webhook);
    if (err == 0)
        err = open_hub(n, tick);
    if (err == 0) {
        streams_init(&n->streams, n->hub, &n->cfg);
        err = open_desk(n);
        n->streams.book = n->desk != NULL ? desk_book(n->desk) : NULL;
        n->streams.ports = n->desk != NULL ? desk_ports(n->desk) : NULL;
        if (n->desk != NULL)
            desk_ports(n->desk)->all = &n->streams;
    }
    if (err != 0) {
        node_free(n);
        return err;
    }
    *ret = n;
    return 0;
}

void node_free(struct node *n)
{
    if (n == NULL)
        return;
    if (n->hub != NULL)
        streams_fini(&n->streams);
    desk_free(n->desk);
    hub_free(n->hub);
    webhook_free(n->webhook);
    arena_fini(&n->arena);
    mem_free(n);
}

/* ---- HTTP ---- */

static void answer_text(struct node *n, uint64_t conn, int status, const char *text)
{
    outbox_http(&n->hub->out, conn, status, text_plain,
                bytes_str(text != NULL ? text : "out of memory"));
}

static bool wants_page(const struct http_msg *req)
{
    const char *accept = http_header_get(req, "accept");
    return accept != NULL && strstr(accept, "text/html") != NULL;
}

struct route {
    bool rtc, v1, validate;
};

static bool find_route(const char *path, struct route *r)
{
    *r = (struct route){.rtc = true};
    if (strcmp(path, "/rtc") == 0)
        return true;
    r->v1 = strcmp(path, "/rtc/v1") == 0 || strcmp(path, "/rtc/v1/validate") == 0;
    r->validate = strcmp(path, "/rtc/validate") == 0 || strcmp(path, "/rtc/v1/validate") == 0;
    return r->v1 || r->validate;
}

static void serve_rtc(struct node *n, uint64_t conn, const struct http_msg *req,
                      const struct route *route)
{
    int64_t unix_s = house_wall_ms(&n->hub->house) / 1000;
    struct session_cfg cfg = {.conn = conn};
    struct session_refusal refusal;
    struct join_why why;
    struct arena keep, scratch;

    arena_init(&keep, SESSION_CLAIMS_BYTES);
    arena_init(&scratch, JOIN_ARENA_BYTES);
    struct token_claims *claims = join_claims(&n->cfg, req, unix_s, &keep, &why);
    struct join_ask ask = {.cfg = &n->cfg,
                           .hub = n->hub,
                           .req = req,
                           .claims = claims,
                           .v1 = route->v1,
                           .strict = route->validate,
                           .arena = &scratch};
    if (why.status == 0 && !route->validate && !req->upgrade)
        why = (struct join_why){404, ""};
    if (why.status == 0 && join_read(&ask, &cfg, &why)) {
        if (cfg.claims->identity != NULL) /* it may have been made in the scratch arena */
            cfg.claims->identity = arena_dup_str(&keep, cfg.claims->identity);
        cfg.keep = keep;
        if (route->validate)
            answer_text(n, conn, 200, "success");
        else if (session_join(n->hub, &cfg, &refusal))
            keep = (struct arena){0};
        else
            answer_text(n, conn, refusal.status, refusal.text);
    } else {
        answer_text(n, conn, why.status, why.text);
    }
    arena_fini(&scratch);
    arena_fini(&keep);
}

static void remember(struct node *n, const struct rooms_call *call)
{
    assert(n->waiting_n < WAITING_MAX); /* as many as there may be calls under way */
    n->waiting[n->waiting_n++] = (struct waiting){.conn = call->conn, .json = call->twirp.json};
}

static void serve_twirp(struct node *n, uint64_t conn, const struct http_msg *req)
{
    int64_t unix_s = house_wall_ms(&n->hub->house) / 1000;
    struct rooms_call call = {.hub = n->hub, .conn = conn};
    struct join_why why;
    struct arena a;

    arena_init(&a, ROOMS_ARENA_BYTES);
    call.arena = &a;
    call.claims = join_claims(&n->cfg, req, unix_s, &a, &why);
    if (why.status != 0)
        answer_text(n, conn, why.status, why.text);
    else if (!desk_serve(n->desk, &call, req, n->hub->house.tick) && !rooms_serve(&call, req))
        answer_text(n, conn, 404, "404 page not found\n");
    if (call.later)
        remember(n, &call);
    arena_fini(&a);
}

/* A token that is no good is refused wherever it comes along, routes or not (1.3). */
static bool bad_token(struct node *n, uint64_t conn, const struct http_msg *req)
{
    int64_t unix_s = house_wall_ms(&n->hub->house) / 1000;
    struct join_why why;
    struct arena a;

    arena_init(&a, JOIN_ARENA_BYTES);
    (void)join_claims(&n->cfg, req, unix_s, &a, &why); /* nobody asks for them here */
    if (why.status != 0)
        answer_text(n, conn, why.status, why.text);
    arena_fini(&a);
    return why.status != 0;
}

bool node_http(struct node *n, uint64_t conn, const struct http_msg *req, const struct addr *client,
               struct tick tick)
{
    struct route route;

    hub_time(n->hub, tick);
    if (strcmp(req->method, "OPTIONS") == 0 &&
        (whep_http(&n->streams, conn, req, client) || whip_http(&n->streams, conn, req, client)))
        return true;
    if (http_is_preflight(req)) /* asks for no grant; the owner answers */
        return false;
    if (find_route(req->path, &route)) {
        serve_rtc(n, conn, req, &route);
        return true;
    }
    if (strncmp(req->path, "/twirp/", 7) == 0) {
        serve_twirp(n, conn, req);
        return true;
    }
    if (ports_http(desk_ports(n->desk), conn, req, &n->cfg) ||
        lightspeed_http(&n->streams, conn, req, client) ||
        whep_http(&n->streams, conn, req, client) || whip_http(&n->streams, conn, req, client))
        return true;
    if (bad_token(n, conn, req))
        return true;
    if (strcmp(req->path, "/") == 0) {
        bool get = strcmp(req->method, "GET") == 0;
        if ((!get && strcmp(req->method, "HEAD") != 0) || (get && wants_page(req)))
            return false;
        answer_text(n, conn, 200, "OK");
        return true;
    }
    if (admin_http(n->hub, &n->cfg, conn, req))
        return true;
    return pages_http(n->hub, &n->cfg, conn, req);
}

/* ---- the rest goes through ---- */

void node_ws_message(struct node *n, uint64_t conn, bool text, struct bytes data, struct tick tick)
{
    hub_time(n->hub, tick);
    if (!lightspeed_message(&n->streams, conn, text, data))
        hub_message(n->hub, conn, text, data);
}

void node_conn_closed(struct node *n, uint64_t conn, struct tick tick)
{
    hub_time(n->hub, tick);
    if (!lightspeed_closed(&n->streams, conn))
        hub_closed(n->hub, conn);
}

void node_event(struct node *n, uint8_t shard, const struct evt *ev, struct tick tick)
{
    (void)shard; /* handles say it */
    hub_time(n->hub, tick);
    hub_event(n->hub, ev);
}

static void answer_rpc(struct node *n, const struct rpc_result *result)
{
    struct rooms_call call = {.hub = n->hub, .conn = result->conn};
    struct arena a;

    for (uint32_t i = 0; i < n->waiting_n; i++) {
        if (n->waiting[i].conn != result->conn)
            continue;
        call.twirp.json = n->waiting[i].json;
        call.twirp.method = &twirp_rooms[ROOMS_PERFORM_RPC];
        n->waiting[i] = n->waiting[--n->waiting_n];
        arena_init(&a, ROOMS_ARENA_BYTES);
        call.arena = &a;
        rooms_rpc_done(&call, result);
        arena_fini(&a);
        return;
    }
}

static void tick_streams(struct node *n)
{
    struct stream *st;
    uint64_t heard;

    while ((st = stream_news(&n->streams, &heard)) != NULL) {
        if (st->kind == STREAM_WHIP)
            whip_news(st, heard);
        else if (st->kind == STREAM_WHEP)
            whep_news(st, heard);
        else
            lightspeed_news(st, heard);
    }
    n->streams_at = lightspeed_tick(&n->streams, n->hub->house.tick.now);
}

/* ---- what others are told ---- */

static void tick_webhook(struct node *n)
{
    struct facts *facts = &n->hub->house.facts;
    struct tick tick = n->hub->house.tick;
    struct fact *f;

    if (facts->lost > 0) {
        webhook_lost(n->webhook, facts->lost);
        facts->lost = 0;
    }
    while ((f = fact_take(facts)) != NULL) {
        webhook_fact(n->webhook, f, tick);
        fact_free(f);
    }
    webhook_tick(n->webhook, tick.now);
}

static void log_trouble(struct node *n)
{
    static const char *const why[] = {[WEBHOOK_FULL] = "dropped why=full",
                                      [WEBHOOK_AGED] = "dropped why=age",
                                      [WEBHOOK_FAILED] = "failed"};
    struct webhook_trouble t;

    while (webhook_trouble(n->webhook, &t))
        outbox_log(&n->hub->out, 1, "event=webhook_%s url=%u what=%s id=%s status=%d error=\"%s\"",
                   why[t.kind], t.url, t.event, t.id, t.status, t.err != 0 ? err_text(t.err) : "");
}

/* What happened to ingresses: webhooks hear of it, sessions in this process are ended. */
static void tell_ingresses(struct node *n, struct tick tick)
{
    struct ingress_book *book = desk_book(n->desk);
    char id[LOG_VALUE_MAX], room[LOG_VALUE_MAX], why[LOG_VALUE_MAX];
    struct ingress_event ev;
    struct arena a;

    while (ingress_event(book, &ev)) {
        const struct ingress *i = ingress_by_id(book, ev.ingress_id);
        if (ev.kind == INGRESS_EVT_STOP)
            whip_stop(&n->streams, ev.ingress_id, ev.resource_id);
        if (ev.kind == INGRESS_EVT_STOP || i == NULL)
            continue;
        outbox_log(&n->hub->out, LOG_LEVEL_INFO, "event=ingress_%s ingress=%s room=%s error=%s",
                   ev.kind == INGRESS_EVT_STARTED ? "started" : "ended",
                   log_value(id, ev.ingress_id), log_value(room, i->info->room_name),
                   log_value(why, i->state->error));
        arena_init(&a, 2 * INGRESS_BYTES_MAX);
        const Livekit__IngressInfo *info = ingress_info(i, &a);
        if (info != NULL)
            webhook_ingress(n->webhook, ev.kind == INGRESS_EVT_STARTED, info, tick);
        arena_fini(&a);
    }
}

void node_tick(struct node *n, struct tick tick)
{
    struct rpc_result result;

    hub_time(n->hub, tick);
    hub_tick(n->hub);
    desk_tick(n->desk, tick);
    tell_ingresses(n, tick);
    tick_streams(n);
    while (rpc_result(n->hub, &result)) {
        answer_rpc(n, &result);
        mem_free(result.payload);
    }
    tick_webhook(n);
    log_trouble(n);
}

us_t node_deadline(const struct node *n)
{
    us_t at = us_min(us_min(hub_deadline(n->hub), desk_deadline(n->desk)), n->streams_at);

    return us_min(at, n->hub->house.facts.n > 0 ? 0 : webhook_deadline(n->webhook));
}

void node_answer(struct node *n, const struct reply *answer, struct tick tick)
{
    hub_time(n->hub, tick);
    webhook_answer(n->webhook, answer, tick.now);
}

bool node_telling(const struct node *n)
{
    return n->hub->house.facts.n > 0 || webhook_busy(n->webhook);
}

static void translate(const struct outbox_item *it, struct node_out *out)
{
    static const enum node_out_kind kinds[] = {[OUTBOX_HTTP] = NODE_OUT_HTTP,
                                               [OUTBOX_ACCEPT] = NODE_OUT_WS_ACCEPT,
                                               [OUTBOX_SEND] = NODE_OUT_WS_SEND,
                                               [OUTBOX_CLOSE] = NODE_OUT_WS_CLOSE,
                                               [OUTBOX_LOG] = NODE_OUT_LOG};

    *out = (struct node_out){.kind = kinds[it->kind],
                             .conn = it->conn,
                             .status = it->status,
                             .content_type = it->content_type,
                             .headers = it->headers,
                             .text = it->text,
                             .ws_code = it->ws_code,
                             .level = it->level};
    if (it->frame != NULL)
        out->data = bytes_of(it->frame->data, it->frame->len);
}

bool node_output(struct node *n, struct node_out *out)
{
    struct plane *plane = &n->hub->house.plane;
    const struct outbox_item *it;
    uint8_t shard;

    if (n->cmd_lent) {
        n->cmd_lent = false;
        plane_pop(plane, n->cmd_shard);
    }
    const struct cmd *c = plane_head(plane, &shard);
    if (c != NULL) {
        n->cmd_lent = true;
        n->cmd_shard = shard;
        *out = (struct node_out){.kind = NODE_OUT_CMD, .shard = shard, .cmd = c};
        return true;
    }
    if ((it = outbox_next(&n->hub->out)) != NULL) {
        translate(it, out);
        return true;
    }
    *out = (struct node_out){.kind = NODE_OUT_BUS};
    if (desk_bus_op(n->desk, &out->bus))
        return true;
    out->kind = NODE_OUT_STORE;
    if (desk_store_op(n->desk, &out->store))
        return true;
    out->kind = NODE_OUT_ASK;
    return webhook_output(n->webhook, &out->ask, n->hub->house.tick);
}

/* ---- ingresses, the bus, the store ---- */

int node_set_urls(struct node *n, const char *rtmp, const char *whip, const char *ws)
{
    return ingress_set_urls(desk_book(n->desk), rtmp, whip, ws);
}

const char *node_store_kind(uint32_t at)
{
    static const char *const kinds[] = {INGRESS_RECORD, INGRESS_STATE};

    return at < ARRAY_LEN(kinds) ? kinds[at] : NULL;
}

int node_load(struct node *n, const char *kind, struct bytes id, struct bytes body)
{
    return ingress_load(desk_book(n->desk), kind, id, body);
}

void node_bus_news(struct node *n, const struct bus_news *news, struct tick tick)
{
    hub_time(n->hub, tick);
    desk_bus_news(n->desk, news, tick);
}

void node_bus_left(struct node *n, struct tick tick)
{
    desk_bus_left(n->desk, tick);
}

void node_stored(struct node *n, uint64_t serial, int err, struct tick tick)
{
    hub_time(n->hub, tick);
    desk_stored(n->desk, serial, err, tick);
}

struct ingress_book *node_ingresses(struct node *n)
{
    return desk_book(n->desk);
}

void node_cmd_blocked(struct node *n, uint8_t shard)
{
    if (n->cmd_lent && n->cmd_shard == shard)
        n->cmd_lent = false; /* stays at the head */
    plane_block(&n->hub->house.plane, shard);
}

void node_shutdown(struct node *n, struct tick tick)
{
    hub_time(n->hub, tick);
    hub_shutdown(n->hub);
}

void node_get_counts(const struct node *n, struct node_counts *out)
{
    const struct house *h = &n->hub->house;

    *out = (struct node_counts){.rooms = h->room_n,
                                .members = h->member_n,
                                .sessions = n->hub->session_n,
                                .pubs = h->pub_n,
                                .subs = h->sub_n,
                                .conns = n->hub->by_conn.used};
}

static void metric(struct str *out, const char *name, const char *kind, uint64_t value)
{
    str_printf(out, "# TYPE %s %s\n%s %llu\n", name, kind, name, (unsigned long long)value);
}

void node_metrics(const struct node *n, struct str *out)
{
    const struct hub *hub = n->hub;
    const struct house *h = &hub->house;

    metric(out, "livekit_room_total", "gauge", h->room_n);
    metric(out, "livekit_participant_total", "gauge", h->member_n);
    metric(out, "livekit_track_published_total", "gauge", h->pub_n);
    metric(out, "livekit_track_subscribed_total", "gauge", h->sub_n);
    metric(out, "sluice_signal_messages_total", "counter", hub->messages);
    metric(out, "sluice_signal_messages_refused_total", "counter", hub->messages_bad);
    metric(out, "sluice_data_packets_total", "counter", hub->data_packets);
    metric(out, "sluice_data_packets_refused_total", "counter", hub->data_refused);
    metric(out, "sluice_sctp_packets_dropped_total", "counter", h->plane.data_dropped);
    metric(out, "sluice_output_refused_total", "counter", hub->out.refused);
    webhook_metrics(n->webhook, out);
    desk_metrics(n->desk, out);
}
