#include "app/server.h"

#include "app/backbone.h"
#include "app/door.h"
#include "app/gate.h"
#include "app/metrics.h"
#include "app/offer.h"
#include "app/webroot.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "crypt/cert.h"
#include "crypt/crypt.h"
#include "io/clock.h"
#include "io/fetch.h"
#include "io/net.h"
#include "wire/http.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    FETCH_FOR_NODE = 1,
    ROUNDS_MAX = 8,
    EVENTS_PER_ROUND = 4096,
    BLOCKED_RETRY_US = US_PER_MS,
    TRIM_US = 5 * 1000 * 1000,
    TRIM_ALLOCATIONS = 5000, /* since the last time: some dozens of joins */
};

struct server {
    const struct conf *conf;
    const struct server_hooks *hooks;
    char *error;
    struct loop *loop;
    struct wake wake;
    struct cert *cert;
    struct worker *worker[WORKER_MAX];
    uint32_t worker_n;
    struct node *node;
    struct backbone *back;
    struct door *door, *metrics_door, *web_door; /* the latter two may be NULL */
    struct webroot web;
    const char *web_type;
    struct gate *gate; /* NULL: no media over TCP */
    struct fetch *fetch;
    struct node_cfg node_cfg;
    struct str ice_servers;
    struct node_preset preset[CONF_ROOMS_MAX];
    struct server_ready ready;
    bool blocked; /* a command found its ring full this round */
    bool stopping;
    us_t stop_at;
    us_t trim_at;
    uint64_t trimmed_made; /* mem_made() then */
    uint64_t seed;
};

static int refuse(struct server *s, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int refuse(struct server *s, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(s->error, SERVER_ERROR_MAX, fmt, ap);
    va_end(ap);
    return err;
}

/* ---- the round of the control thread ---- */

static void put_log(const struct node_out *out)
{
    char line[LOG_LINE_MAX];
    size_t n = size_min(out->data.len, sizeof line - 1);

    memcpy(line, out->data.p, n);
    line[n] = '\0';
    /* "event=join room=..": the first pair names the line. */
    static const char first[] = "event=";
    if (strncmp(line, first, sizeof first - 1) != 0) {
        log_line((enum log_level)out->level, "room", line);
        return;
    }
    char *pairs = line + strcspn(line, " ");
    if (*pairs == ' ')
        *pairs++ = '\0';
    log_line((enum log_level)out->level, line + sizeof first - 1, pairs);
}

static void put_command(struct server *s, const struct node_out *out)
{
    assert(out->shard < s->worker_n);
    if (worker_command(s->worker[out->shard], out->cmd))
        return;
    node_cmd_blocked(s->node, out->shard);
    s->blocked = true;
}

static void put_ask(struct server *s, const struct ask *ask)
{
    struct tick tick = loop_tick(s->loop);
    int err = fetch_start(s->fetch, FETCH_FOR_NODE, ask, tick.now);

    if (err < 0) {
        const struct reply none = {.id = ask->id, .err = err};
        node_answer(s->node, &none, tick);
    }
}

static void take_answers(struct server *s, struct tick tick)
{
    struct reply answer;
    uint32_t tag;

    fetch_tick(s->fetch, tick.now);
    while (fetch_done(s->fetch, &tag, &answer))
        node_answer(s->node, &answer, tick);
}

static void drain_node(struct server *s, us_t now)
{
    struct node_out out;

    while (node_output(s->node, &out)) {
        if (out.kind == NODE_OUT_CMD)
            put_command(s, &out);
        else if (out.kind == NODE_OUT_LOG)
            put_log(&out);
        else if (out.kind == NODE_OUT_ASK)
            put_ask(s, &out.ask);
        else if (out.kind == NODE_OUT_BUS || out.kind == NODE_OUT_STORE)
            backbone_put(s->back, &out, now);
        else
            door_output(s->door, &out, now);
    }
    for (uint32_t i = 0; i < s->worker_n; i++)
        worker_kick(s->worker[i]);
}

/* True when a worker may have more. */
static bool take_events(struct server *s, struct tick tick)
{
    bool more = false;

    for (uint32_t i = 0; i < s->worker_n; i++) {
        struct evt ev;
        int n = 0;
        while (n < EVENTS_PER_ROUND && worker_event(s->worker[i], &ev)) {
            node_event(s->node, (uint8_t)i, &ev, tick);
            n++;
        }
        more = more || n == EVENTS_PER_ROUND;
    }
    return more;
}

static bool events_wait(const struct server *s)
{
    for (uint32_t i = 0; i < s->worker_n; i++) {
        if (worker_has_events(s->worker[i]))
            return true;
    }
    return false;
}

static void step_stop(struct server *s, us_t now)
{
    if (!s->stopping)
        return;
    if (now >= s->stop_at ||
        (door_connections(s->door) == 0 && !door_busy(s->door) && !node_telling(s->node)))
        loop_stop(s->loop);
}

/* After joins and leaves the heap is full of holes. */
static void trim_heap(struct server *s, us_t now)
{
    if (now < s->trim_at)
        return;
    s->trim_at = now + TRIM_US;
    if (mem_made() - s->trimmed_made < TRIM_ALLOCATIONS)
        return;
    s->trimmed_made = mem_made();
    mem_trim();
}

static void round_of(void *owner)
{
    struct server *s = owner;
    struct tick tick = loop_tick(s->loop);
    us_t at = US_NEVER;

    wake_up(&s->wake);
    s->blocked = false;
    bool more = take_events(s, tick);
    take_answers(s, tick);
    for (int i = 0; i < ROUNDS_MAX; i++) {
        door_tick(s->door, tick);
        node_tick(s->node, tick);
        drain_node(s, tick.now);
        bool news = backbone_round(s->back, s->node, tick);
        if (door_deadline(s->door) > tick.now && !news)
            break;
    }
    if (s->metrics_door != NULL) {
        door_tick(s->metrics_door, tick);
        at = door_deadline(s->metrics_door);
    }
    if (s->web_door != NULL) {
        door_tick(s->web_door, tick);
        at = us_min(at, door_deadline(s->web_door));
    }
    if (s->gate != NULL) {
        gate_tick(s->gate, tick.now);
        at = us_min(at, gate_deadline(s->gate));
    }
    for (uint32_t i = 0; i < s->worker_n; i++)
        worker_kick(s->worker[i]);
    step_stop(s, tick.now);
    at = us_min(at, us_min(door_deadline(s->door), node_deadline(s->node)));
    at = us_min(at, fetch_deadline(s->fetch));
    if (s->blocked)
        at = us_min(at, tick.now + BLOCKED_RETRY_US);
    if (s->stopping)
        at = us_min(at, s->stop_at);
    if (s->hooks != NULL && s->hooks->round != NULL)
        at = us_min(at, s->hooks->round(s->hooks->owner, tick.now));
    wake_sleep(&s->wake);
    if (more || events_wait(s) || backbone_waits(s->back)) {
        wake_up(&s->wake);
        at = tick.now;
    }
    loop_alarm(s->loop, at);
    trim_heap(s, tick.now);
}

static void on_stop(void *owner)
{
    struct server *s = owner;
    struct tick tick = loop_tick(s->loop);

    if (s->stopping) {
        log_line(LOG_LEVEL_WARN, "stopped_at_once", "reason=\"second signal\"");
        _exit(1);
    }
    s->stopping = true;
    s->stop_at = tick.now + SERVER_STOP_US;
    log_line(LOG_LEVEL_INFO, "stopping", "");
    if (s->hooks != NULL && s->hooks->stopping != NULL)
        s->hooks->stopping(s->hooks->owner);
    door_shut(s->door);
    node_shutdown(s->node, tick);
    door_finish(s->door);
}

static void on_child(void *owner)
{
    struct server *s = owner;

    if (s->hooks != NULL && s->hooks->child != NULL)
        s->hooks->child(s->hooks->owner);
}

/* ---- metrics ---- */

static bool metrics_allowed(const struct conf *c, const struct http_msg *m)
{
    const char *header = http_header_get(m, "authorization");
    uint8_t given[512];
    char want[512];
    size_t n;

    if (c->prometheus_username[0] == '\0')
        return true;
    if (header == NULL || strncmp(header, "Basic ", 6) != 0 ||
        !base64_decode(bytes_str(header + 6), given, sizeof given, &n))
        return false;
    int len = snprintf(want, sizeof want, "%s:%s", c->prometheus_username, c->prometheus_password);
    return len > 0 && (size_t)len == n && crypt_equal(given, want, n);
}

static int metrics_page(void *owner, const struct http_msg *m, struct str *body)
{
    struct server *s = owner;
    uint64_t strays[STRAY_COUNTER_N] = {0};
    uint64_t sum[SHARD_COUNTER_N] = {0}, streams[FRAMED_COUNTER_N] = {0},
             gate[GATE_COUNTER_N] = {0};

    if (!metrics_allowed(s->conf, m))
        return 401;
    for (uint32_t w = 0; w < s->worker_n; w++) {
        uint64_t one[SHARD_COUNTER_N];
        worker_counters(s->worker[w], one);
        for (int i = 0; i < SHARD_COUNTER_N; i++)
            sum[i] += one[i];
        worker_streams(s->worker[w], one);
        for (int i = 0; i < FRAMED_COUNTER_N; i++)
            streams[i] += one[i];
        worker_strays(s->worker[w], one);
        for (int i = 0; i < STRAY_COUNTER_N; i++)
            strays[i] += one[i];
    }
    if (s->gate != NULL)
        gate_counters(s->gate, gate);
    node_metrics(s->node, body);
    backbone_metrics(s->back, body);
    metrics_add(body, sum, door_connections(s->door), door_refused(s->door));
    metrics_add_tcp(body, gate, streams);
    if (s->ready.one_port)
        metrics_add_strays(body, strays);
    return 200;
}

static int web_page(void *owner, const struct http_msg *m, struct str *body)
{
    struct server *s = owner;

    return webroot_get(&s->web, m, body, &s->web_type);
}

/* ---- start ---- */

static uint32_t cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > WORKER_MAX ? WORKER_MAX : (uint32_t)n;
}

/* How many workers, and their ports; port 0 gets any free one.  *one: they share a port, since one
 * was named, or is forwarded. */
static uint32_t plan_ports(const struct server *s, uint16_t *port, bool *one)
{
    const struct conf *c = s->conf;
    uint32_t n = c->workers > 0 ? (uint32_t)c->workers : cores();

    *one = c->announce.family != 0 ||
           (c->udp_port_set && c->udp_port.first != 0 && c->udp_port.first == c->udp_port.last);
    if (c->udp_port_set && c->udp_port.first != 0 && !*one) {
        uint32_t have = (uint32_t)(c->udp_port.last - c->udp_port.first) + 1;
        if (have < n && c->workers > 0)
            LOG_W("fewer_workers", "wanted=%u udp_ports=%u", n, have);
        n = u32_min(n, have);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t first = c->udp_port_set ? c->udp_port.first : 7882;
        port[i] = first == 0 ? 0 : (uint16_t)(first + (*one ? 0 : i));
    }
    return n;
}

static int port_refused(struct server *s, int err, uint16_t port, bool udp, const char *flag)
{
    char holder[96];

    if (err == -EADDRINUSE) {
        net_port_owner(port, udp, holder, sizeof holder);
        return refuse(s, err, "%s port %u is in use%s%s; stop that, or choose another with %s",
                      udp ? "UDP" : "TCP", port, holder[0] != '\0' ? " by " : "", holder, flag);
    }
    if (err == -EACCES)
        return refuse(s, err, "%s port %u is not allowed; choose one above 1023 with %s",
                      udp ? "UDP" : "TCP", port, flag);
    return refuse(s, err, "cannot open %s port %u: %s; choose another with %s", udp ? "UDP" : "TCP",
                  port, err_text(err), flag);
}

static int open_workers(struct server *s)
{
    uint16_t port[WORKER_MAX];
    bool one;
    uint32_t n = plan_ports(s, port, &one);

    for (uint32_t i = 0; i < n; i++) {
        struct worker_cfg cfg = {
            .index = (uint8_t)i,
            .worker_n = (uint8_t)n,
            .udp_port = one && i > 0 ? s->ready.udp_port[0] : port[i],
            .one_port = one,
            .seed = s->seed + i + 1,
            .cert = s->cert,
            .all = s->worker,
            .control = &s->wake,
        };
        int err = worker_open(&s->worker[i], &cfg);
        if (err < 0)
            return port_refused(s, err, port[i], true, "--udp-port");
        s->worker_n++;
        s->ready.udp_port[i] = worker_port(s->worker[i]);
    }
    s->ready.worker_n = n;
    s->ready.one_port = one;
    return 0;
}

static struct node_preset preset_of(const struct conf_room *r)
{
    return (struct node_preset){.name = r->name,
                                .metadata = r->metadata,
                                .empty_timeout_s = r->empty_timeout_s,
                                .departure_timeout_s = r->departure_timeout_s,
                                .max_participants = r->max_participants,
                                .min_playout_delay_ms = r->min_playout_delay_ms,
                                .max_playout_delay_ms = r->max_playout_delay_ms,
                                .sync_streams = r->sync_streams};
}

static struct webhook_cfg webhook_cfg_of(const struct server *s)
{
    const struct conf *c = s->conf;
    struct webhook_cfg w = {.seed = s->seed ^ 0x686f6f6b,
                            .url = c->webhook_urls.text,
                            .url_n = c->webhook_urls.n,
                            .include = c->webhook_include.text,
                            .include_n = c->webhook_include.n,
                            .exclude = c->webhook_exclude.text,
                            .exclude_n = c->webhook_exclude.n,
                            .full_room = c->webhook_full_room,
                            .age_max_us = c->webhook_age_s * US_PER_SEC,
                            .depth_max = c->webhook_depth};

    for (uint32_t i = 0; i < c->key_n; i++)
        if (strcmp(c->key[i].id, c->webhook_key) == 0) {
            w.key_id = c->key[i].id;
            w.key_secret = c->key[i].secret;
        }
    return w;
}

static int open_fetch(struct server *s)
{
    const struct fetch_cfg cfg = {.loop = s->loop, .user_agent = "sluice/" SLUICE_VERSION};
    int err = fetch_open(&s->fetch, &cfg);

    return err < 0 ? refuse(s, err, "cannot start: %s", err_text(err)) : 0;
}

/* "stun:a:3478,turn:b" as the node wants it; "none" and "" mean none. */
static int ice_servers(struct server *s)
{
    const char *at = s->conf->ice_servers;
    const char *sep = "";

    str_init(&s->ice_servers, 1 << 15);
    if (at[0] == '\0' || strcmp(at, "none") == 0)
        return 0;
    str_add(&s->ice_servers, "[{\"urls\":[");
    for (size_t n; *at != '\0'; at += n + (at[n] == ',')) {
        n = strcspn(at, ",");
        if (n == 0)
            continue;
        if (strncmp(at, "stun:", 5) != 0 && strncmp(at, "stuns:", 6) != 0)
            return refuse(s, E_INVAL, "--ice-servers: '%.*s' is no stun: address", (int)n, at);
        str_add(&s->ice_servers, sep);
        json_add_text(&s->ice_servers, bytes_of(at, n));
        sep = ",";
    }
    str_add(&s->ice_servers, "]}]");
    s->node_cfg.ice_servers_json = str_text(&s->ice_servers);
    return s->ice_servers.failed ? refuse(s, E_NOMEM, "cannot start: out of memory") : 0;
}

static int open_node(struct server *s)
{
    const struct conf *c = s->conf;

    if (strcmp(c->on_duplicate, "takeover") != 0 && strcmp(c->on_duplicate, "refuse") != 0)
        return refuse(s, E_INVAL, "--on-duplicate is takeover or refuse, not '%.40s'",
                      c->on_duplicate);
    struct node_cfg *n = &s->node_cfg;
    struct offer_ports ports = {
        .udp = s->ready.udp_port, .worker_n = s->worker_n, .tcp = s->ready.tcp_port};

    *n = (struct node_cfg){
        .seed = s->seed,
        .key_n = c->key_n,
        .shard_n = s->worker_n,
        .peers_per_shard_soft = c->peers_per_worker,
        .fingerprint = bytes_of(s->cert->fingerprint.digest, s->cert->fingerprint.n),
        .region = c->region,
        .auto_create = c->auto_create,
        .tcp_fallback = c->allow_tcp_fallback && s->ready.tcp_port != 0 && !c->force_tcp,
        .enable_remote_unmute = c->enable_remote_unmute,
        .development = c->development,
        .empty_timeout_s = c->empty_timeout_s,
        .departure_timeout_s = c->departure_timeout_s,
        .max_participants = c->max_participants,
        .limits =
            {
                .max_metadata_size = c->max_metadata_size,
                .max_attributes_size = c->max_attributes_size,
                .max_room_name_length = c->max_room_name_length,
                .max_participant_identity_length = c->max_participant_identity_length,
                .max_participant_name_length = c->max_participant_name_length,
                .signal_message_size_limit = c->signal_message_size_limit,
                .max_tracks = c->num_tracks,
            },
        .playout_delay = c->playout_delay,
        .sync_streams = c->sync_streams,
        .min_playout_delay_ms = c->min_playout_delay_ms,
        .max_playout_delay_ms = c->max_playout_delay_ms,
        .preset = s->preset,
        .preset_n = c->room_n,
        .refuse_second = strcmp(c->on_duplicate, "refuse") == 0,
        .private_room = c->private_rooms.text,
        .private_room_n = c->private_rooms.n,
        .open_meet = c->meet_open,
        .meet_secret = c->meet_secret[0] != '\0' ? c->meet_secret : NULL,
        .webhook = webhook_cfg_of(s),
        .keys_elsewhere = c->auth_url[0] != '\0',
        .admin_secret = c->admin_secret[0] != '\0' ? c->admin_secret : NULL,
        .default_key = c->stream_key[0] != '\0' ? c->stream_key : NULL,
    };
    int err = ice_servers(s);
    if (err < 0)
        return err;
    for (uint32_t i = 0; i < c->room_n; i++)
        s->preset[i] = preset_of(&c->room[i]);
    for (uint32_t i = 0; i < c->key_n; i++)
        n->key[i] = (struct node_key){.id = c->key[i].id, .secret = c->key[i].secret};
    n->candidate_n = offer_candidates(c, &ports, n->candidate, ARRAY_LEN(n->candidate));
    s->ready.candidate = n->candidate;
    s->ready.candidate_n = n->candidate_n;
    err = node_open(&s->node, n, loop_tick(s->loop));
    if (err < 0)
        return refuse(s, err, "cannot start: %s", err_text(err));
    return backbone_load(s->back, s->node, s->error);
}

static int open_backbone(struct server *s)
{
    const char *dir = s->conf->data_dir;
    struct backbone_cfg cfg = {.loop = s->loop,
                               .control = &s->wake,
                               .dir = dir[0] != '\0' ? dir : NULL,
                               .seed = s->seed ^ 0x627573};

    static_assert((int)BACKBONE_ERROR_MAX <= (int)SERVER_ERROR_MAX, "it fills ours");
    return backbone_open(&s->back, &cfg, s->error);
}

/* What ingresses and their processes are told to go to, now that the doors are open. */
static int tell_urls(struct server *s)
{
    const struct conf *c = s->conf;
    char host[ADDR_TEXT_MAX], rtmp[OFFER_URL_MAX], whip[OFFER_URL_MAX], ws[OFFER_URL_MAX];
    uint16_t door = s->ready.whip_port != 0 ? s->ready.whip_port : s->ready.http_port;

    offer_host(s->ready.candidate, s->ready.candidate_n, host);
    (void)snprintf(rtmp, sizeof rtmp, "rtmp://%s/live", host);          /* fits */
    (void)snprintf(whip, sizeof whip, "http://%s:%u/whip", host, door); /* fits */
    offer_own_url(c, s->ready.http_port, ws);
    int err = node_set_urls(s->node, c->rtmp_base_url[0] != '\0' ? c->rtmp_base_url : rtmp,
                            c->whip_base_url[0] != '\0' ? c->whip_base_url : whip, ws);
    return err < 0 ? refuse(s, err, "cannot start: %s", err_text(err)) : 0;
}

static int listen_at(struct server *s, struct door *door, const char *ip, uint16_t *port,
                     const char *flag, bool may_miss)
{
    struct addr at;

    if (strcmp(ip, "localhost") == 0)
        ip = "127.0.0.1";
    if (!addr_parse_ip(&at, bytes_str(ip), *port))
        return refuse(s, E_INVAL, "--bind: '%.64s' is no IP address; write one like 127.0.0.1", ip);
    int err = door_listen(door, &at, port);
    if (err == -EAFNOSUPPORT || (err == -EADDRNOTAVAIL && may_miss))
        return may_miss ? 0 : refuse(s, err, "--bind: this machine cannot listen on %.64s", ip);
    if (err == -EADDRNOTAVAIL)
        return refuse(s, err, "--bind: %.64s is no address of this machine", ip);
    return err < 0 ? port_refused(s, err, *port, false, flag) : 0;
}

static int listen_all(struct server *s, struct door *door, uint32_t wanted, uint16_t *port,
                      const char *flag)
{
    const struct conf_list *bind = &s->conf->bind;
    int err = 0;

    *port = (uint16_t)wanted;
    if (bind->n == 0 || (bind->n == 1 && bind->text[0][0] == '\0')) {
        err = listen_at(s, door, "0.0.0.0", port, flag, false);
        return err < 0 ? err : listen_at(s, door, "::", port, flag, true);
    }
    for (uint32_t i = 0; i < bind->n && err == 0; i++)
        err = listen_at(s, door, bind->text[i], port, flag, s->conf->dev && i > 0);
    return err;
}

static int open_doors(struct server *s)
{
    struct door_cfg cfg = {
        .loop = s->loop,
        .node = s->node,
        .connections_max = s->conf->max_connections,
        .body_bytes_max = s->conf->max_api_request_body_size,
        .pages = true,
        .seed = s->seed ^ 0x646f6f72,
    };
    int err = door_open(&s->door, &cfg);

    if (err < 0)
        return refuse(s, err, "cannot start: %s", err_text(err));
    err = listen_all(s, s->door, s->conf->port, &s->ready.http_port, "--port");
    if (err == 0 && s->conf->whip_port != 0)
        err = listen_all(s, s->door, s->conf->whip_port, &s->ready.whip_port, "--ws-port");
    if (err < 0 || !s->conf->prometheus_on)
        return err;
    cfg.node = NULL;
    cfg.pages = false;
    cfg.connections_max = 64;
    cfg.local = metrics_page;
    cfg.local_owner = s;
    err = door_open(&s->metrics_door, &cfg);
    if (err < 0)
        return refuse(s, err, "cannot start: %s", err_text(err));
    return listen_all(s, s->metrics_door, s->conf->prometheus_port, &s->ready.metrics_port,
                      "--prometheus-port");
}

/* A built page of the originals, on a port of its own. */
static int open_web(struct server *s)
{
    const struct conf *c = s->conf;
    uint16_t port = 0;
    struct door_cfg cfg = {.loop = s->loop,
                           .connections_max = 1024,
                           .body_bytes_max = 4096,
                           .local = web_page,
                           .local_owner = s,
                           .local_type = &s->web_type,
                           .seed = s->seed ^ 0x776562};

    if (c->web_root[0] == '\0')
        return 0;
    s->web = (struct webroot){.dir = c->web_root,
                              .ws_url = c->websocket_url,
                              .ws_port = s->ready.whip_port != 0 ? s->ready.whip_port
                                                                 : s->ready.http_port};
    int err = door_open(&s->web_door, &cfg);
    if (err < 0)
        return refuse(s, err, "cannot start: %s", err_text(err));
    err = listen_all(s, s->web_door, c->web_port, &port, "--web-port");
    s->ready.web_port = port;
    return err;
}

static bool hand_over(void *owner, uint8_t worker, int fd, const struct path *path,
                      struct bytes first)
{
    struct server *s = owner;

    static_assert((int)GATE_FIRST_BYTES <= (int)WORKER_FIRST_BYTES,
                  "what one gives the other takes");
    return worker_hand(s->worker[worker], fd, path, first);
}

/* Like UDP on every address. */
static int open_gate(struct server *s)
{
    static const char *const any[] = {"0.0.0.0", "::"};
    uint16_t port = (uint16_t)s->conf->tcp_port;
    bool listens = false;

    if (port == 0)
        return 0;
    int err = gate_open(&s->gate, s->loop, s->worker_n, hand_over, s);
    if (err < 0)
        return refuse(s, err, "cannot start: %s", err_text(err));
    for (size_t i = 0; i < ARRAY_LEN(any); i++) {
        struct addr at;
        if (!addr_parse_ip(&at, bytes_str(any[i]), port))
            return refuse(s, E_INVAL, "cannot start");
        err = gate_listen(s->gate, &at, &port);
        if (err < 0 && err != -EAFNOSUPPORT && err != -EADDRNOTAVAIL)
            return port_refused(s, err, port, false, "--tcp-port");
        listens = listens || err == 0;
    }
    if (!listens)
        return port_refused(s, err, port, false, "--tcp-port");
    s->ready.tcp_port = port;
    return 0;
}

static int open_signals(struct server *s)
{
    static const int stop[] = {SIGINT, SIGTERM, SIGQUIT};
    int err = 0;

    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(stop) && err == 0; i++)
        err = loop_signal(s->loop, stop[i], on_stop, s);
    if (err == 0)
        err = loop_signal(s->loop, SIGCHLD, on_child, s);
    return err < 0 ? refuse(s, err, "cannot start: %s", err_text(err)) : 0;
}

/* One JSON line for whoever started us. */
static void tell_ready(struct server *s)
{
    int fd = (int)s->conf->ready_fd;
    struct str line;

    if (fd < 0)
        return;
    str_init(&line, 4096);
    str_printf(&line, "{\"http\":%u,\"udp\":[", s->ready.http_port);
    for (uint32_t i = 0; i < s->worker_n; i++)
        str_printf(&line, "%s%u", i > 0 ? "," : "", s->ready.udp_port[i]);
    str_printf(&line, "],\"tcp\":%u,\"whip\":%u,\"web\":%u,\"metrics\":%u,\"pid\":%d}\n",
               s->ready.tcp_port, s->ready.whip_port, s->ready.web_port, s->ready.metrics_port,
               (int)getpid());
    if (write(fd, line.p, line.len) < 0)
        LOG_W("ready_fd", "error=\"%s\"", err_text(-errno));
    if (fd > 2)
        close(fd);
    str_fini(&line);
}

static int server_start(struct server *s)
{
    struct rlimit files;
    int err;

    /* Each connection is a descriptor: take what the system grants. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* the old limit serves fewer */
    }
    err = loop_open(&s->loop);
    if (err < 0)
        return refuse(s, err, "cannot start: %s", err_text(err));
    s->wake.loop = s->loop;
    loop_tell_log(s->loop);
    struct tick tick = loop_tick(s->loop);
    err = crypt_random(&s->seed, sizeof s->seed);
    if (err == 0)
        err = cert_make(&s->cert, (tick.now + tick.wall_off_us) / US_PER_SEC);
    if (err < 0)
        return refuse(s, err, "cannot make a certificate: %s", err_text(err));
    err = open_workers(s);
    if (err == 0)
        err = open_gate(s);
    if (err == 0)
        err = open_fetch(s);
    if (err == 0)
        err = open_backbone(s);
    if (err == 0)
        err = open_node(s);
    if (err == 0)
        err = open_doors(s);
    if (err == 0)
        err = open_web(s);
    if (err == 0)
        err = tell_urls(s);
    if (err == 0)
        err = open_signals(s);
    for (uint32_t i = 0; i < s->worker_n && err == 0; i++) {
        err = worker_start(s->worker[i]);
        if (err < 0)
            (void)refuse(s, err, "cannot start a thread: %s", err_text(err));
    }
    return err;
}

static void server_stop(struct server *s)
{
    for (uint32_t i = 0; i < s->worker_n; i++)
        worker_stop(s->worker[i]);
    gate_free(s->gate);
    door_free(s->door);
    door_free(s->metrics_door);
    door_free(s->web_door);
    if (s->node != NULL)
        node_free(s->node);
    backbone_close(s->back);
    for (uint32_t i = 0; i < s->worker_n; i++)
        worker_free(s->worker[i]);
    fetch_free(s->fetch);
    cert_free(s->cert);
    str_fini(&s->ice_servers);
    loop_free(s->loop);
}

int server_run(const struct conf *conf, const struct server_hooks *hooks,
               char error[SERVER_ERROR_MAX])
{
    us_t began_at = clock_now();
    struct server *s = mem_zero(sizeof *s);

    if (s == NULL)
        return E_NOMEM;
    s->conf = conf;
    s->hooks = hooks;
    s->error = error;
    int err = server_start(s);
    if (err == 0) {
        s->ready.start_us = clock_now() - began_at;
        LOG_I("ready", "http=%u udp=%u tcp=%u workers=%u start_ms=%lld", s->ready.http_port,
              s->ready.udp_port[0], s->ready.tcp_port, s->worker_n,
              (long long)(s->ready.start_us / US_PER_MS));
        tell_ready(s);
        if (hooks != NULL && hooks->ready != NULL)
            hooks->ready(hooks->owner, &s->ready);
        loop_set_round(s->loop, round_of, s);
        loop_run(s->loop);
    }
    server_stop(s);
    mem_free(s);
    return err;
}
