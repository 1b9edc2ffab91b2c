#include "app/ingressd.h"

#include "api/ingress.h"
#include "app/door.h"
#include "app/ftl_door.h"
#include "app/onair.h"
#include "app/relay.h"
#include "app/rtmp_door.h"
#include "app/rtp_door.h"
#include "base/err.h"
#include "base/mem.h"
#include "bus/methods.h"
#include "crypt/crypt.h"
#include "io/file.h"
#include "io/net.h"
#include "wire/http.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { HTTP_CONNECTIONS_MAX = 64, HTTP_BODY_MAX = 4096, PEM_BYTES_MAX = 64 << 10 };

enum { RTMP_PLAIN, RTMP_SECURE, RTMP_DOORS };

struct ingressd {
    const struct ingress_conf *conf;
    char *error;
    struct loop *loop;
    struct buslink *bus;
    struct authlink *auth; /* NULL: no service is asked */
    struct relay *relay;   /* NULL: streams become participants of our rooms */
    struct onair *onair;
    struct ftl_door *ftl;
    struct rtmp_door *rtmp[RTMP_DOORS]; /* plain, over TLS; NULL: off */
    struct rtp_door *rtp;
    struct tls_ctx *tls;
    struct door *health, *metrics;
    uint16_t ftl_port, rtmp_port[RTMP_DOORS], rtp_port, health_port, metrics_port;
    uint64_t seed;
    bool draining, stopping;
    us_t stop_at;
};

static int refuse(struct ingressd *s, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int refuse(struct ingressd *s, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(s->error, INGRESSD_ERROR_MAX, fmt, ap); /* cut when long */
    va_end(ap);
    return err;
}

/* ---- the round ---- */

/* A port for a stream that the server was asked for. */
static void open_port(struct ingressd *s, const struct psrpc_event *ev, struct tick tick)
{
    const Sluice__OpenPortRequest *q = ev->message;
    Sluice__OpenPortResponse r = SLUICE__OPEN_PORT_RESPONSE__INIT;
    struct psrpc *bus = buslink_psrpc(s->bus);
    uint16_t port = (uint16_t)q->port;
    char topic[8];

    int err = q->port > UINT16_MAX || s->draining || s->stopping
                  ? E_INVAL
                  : rtp_door_add(s->rtp, &port, "PORT_", 0);
    (void)snprintf(topic, sizeof topic, "%u", port); /* fits */
    if (err == 0 && psrpc_serve(bus, &methods[METHOD_CLOSE_PORT], topic) < 0) {
        (void)rtp_door_remove(s->rtp, port, tick); /* it is there */
        err = E_LIMIT;
    }
    r.port = port;
    if (err)
        psrpc_refuse(bus, ev->id, PSRPC_RESOURCE_EXHAUSTED, err_text(err), tick);
    else
        psrpc_answer(bus, ev->id, &r.base, tick);
}

static void close_port(struct ingressd *s, const struct psrpc_event *ev, struct tick tick)
{
    const Sluice__ClosePortRequest *q = ev->message;
    struct psrpc *bus = buslink_psrpc(s->bus);
    char topic[8];

    if (q->probe) {
        psrpc_answer(bus, ev->id, NULL, tick);
        return;
    }
    (void)rtp_door_remove(s->rtp, (uint16_t)q->port, tick); /* gone already: just as well */
    psrpc_answer(bus, ev->id, NULL, tick);
    (void)snprintf(topic, sizeof topic, "%u", q->port & UINT16_MAX); /* fits */
    psrpc_unserve(bus, &methods[METHOD_CLOSE_PORT], topic);
}

static void on_bus_event(void *owner, const struct psrpc_event *ev, struct tick tick)
{
    struct ingressd *s = owner;

    if (ev->kind == PSRPC_EVT_CALL && ev->method == &methods[METHOD_OPEN_PORT])
        open_port(s, ev, tick);
    else if (ev->kind == PSRPC_EVT_CALL && ev->method == &methods[METHOD_CLOSE_PORT])
        close_port(s, ev, tick);
    else
        onair_bus_event(s->onair, ev, tick);
}

static bool doors_busy(const struct ingressd *s)
{
    bool busy = s->ftl != NULL && ftl_door_busy(s->ftl);

    for (size_t i = 0; i < RTMP_DOORS; i++)
        busy |= s->rtmp[i] != NULL && rtmp_door_busy(s->rtmp[i]);
    return busy;
}

/* What publishers wait for; the earliest deadline. */
static us_t doors_round(struct ingressd *s, struct tick tick)
{
    us_t at = US_NEVER;

    if (s->ftl != NULL) {
        ftl_door_round(s->ftl, tick);
        at = ftl_door_deadline(s->ftl);
    }
    for (size_t i = 0; i < RTMP_DOORS; i++) {
        if (s->rtmp[i] == NULL)
            continue;
        rtmp_door_round(s->rtmp[i], tick);
        at = us_min(at, rtmp_door_deadline(s->rtmp[i]));
    }
    rtp_door_round(s->rtp, tick);
    return us_min(at, rtp_door_deadline(s->rtp));
}

static void end_if_done(struct ingressd *s, us_t now)
{
    bool idle =
        !onair_busy(s->onair) && !doors_busy(s) && (s->auth == NULL || !authlink_busy(s->auth));

    if (s->draining && !s->stopping && idle)
        loop_stop(s->loop);
    if (s->stopping && (idle || now >= s->stop_at))
        loop_stop(s->loop);
}

static void round_of(void *owner)
{
    struct ingressd *s = owner;
    struct tick tick = loop_tick(s->loop);

    (void)doors_round(s, tick); /* the second one's deadline counts */
    onair_round(s->onair, tick);
    buslink_round(s->bus, tick);
    onair_service_round(s->onair, tick);
    us_t at = doors_round(s, tick); /* answers of the bus become words to publishers */
    struct door *doors[] = {s->health, s->metrics};
    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        if (doors[i] == NULL)
            continue;
        door_tick(doors[i], tick);
        at = us_min(at, door_deadline(doors[i]));
    }
    at = us_min(at, us_min(onair_deadline(s->onair), buslink_deadline(s->bus)));
    if (s->stopping)
        at = us_min(at, s->stop_at);
    end_if_done(s, tick.now);
    loop_alarm(s->loop, at);
}

/* ---- signals ---- */

static void stop(struct ingressd *s)
{
    struct tick tick = loop_tick(s->loop);

    if (s->stopping) {
        loop_stop(s->loop);
        return;
    }
    s->stopping = true;
    s->stop_at = tick.now + INGRESSD_STOP_US;
    onair_stop(s->onair, tick);
    if (s->ftl != NULL)
        ftl_door_stop(s->ftl, tick);
    for (size_t i = 0; i < RTMP_DOORS; i++) {
        if (s->rtmp[i] != NULL)
            rtmp_door_stop(s->rtmp[i], tick);
    }
    rtp_door_stop(s->rtp, tick);
}

static void on_interrupt(void *owner)
{
    stop(owner);
}

static void on_terminate(void *owner)
{
    struct ingressd *s = owner;

    if (s->draining) {
        stop(s);
        return;
    }
    s->draining = true;
    if (s->ftl != NULL)
        ftl_door_shut(s->ftl);
    for (size_t i = 0; i < RTMP_DOORS; i++) {
        if (s->rtmp[i] != NULL)
            rtmp_door_shut(s->rtmp[i]);
    }
    rtp_door_shut(s->rtp);
}

/* ---- pages ---- */

static int health_page(void *owner, const struct http_msg *m, struct str *body)
{
    struct ingressd *s = owner;
    bool up = s->relay != NULL || buslink_up(s->bus);
    bool available = up && !s->draining && !s->stopping;

    if (strcmp(m->path, "/availability") == 0) {
        str_add(body, available ? "Available" : "Unavailable");
        return available ? 200 : 503;
    }
    if (strcmp(m->path, "/") != 0)
        return 404;
    str_add(body, up ? "Healthy" : "Unhealthy");
    return up ? 200 : 503;
}

static void put(struct str *out, const char *name, const char *type, const char *labels, uint64_t v)
{
    if (type != NULL)
        str_printf(out, "# TYPE %s %s\n", name, type);
    str_printf(out, "%s%s %llu\n", name, labels, (unsigned long long)v);
}

static void put_media(struct str *out, const struct ftl_media_stats *m)
{
    put(out, "sluice_ingest_packets_total", "counter", "{protocol=\"ftl\"}", m->packets);
    put(out, "sluice_ingest_bytes_total", "counter", "{protocol=\"ftl\"}", m->bytes);
    put(out, "sluice_ingest_lost_total", "counter", "{protocol=\"ftl\"}", m->lost);
    put(out, "sluice_ingest_recovered_total", "counter", "{protocol=\"ftl\"}", m->recovered);
    put(out, "sluice_ingest_nacks_total", "counter", "{protocol=\"ftl\"}", m->asked);
    put(out, "sluice_ingest_dropped_total", "counter", "{protocol=\"ftl\",reason=\"flood\"}",
        m->flood);
    put(out, "sluice_ingest_dropped_total", NULL, "{protocol=\"ftl\",reason=\"foreign\"}",
        m->foreign);
    put(out, "sluice_ingest_dropped_total", NULL, "{protocol=\"ftl\",reason=\"duplicate\"}",
        m->duplicates);
    put(out, "sluice_ingest_dropped_total", NULL, "{protocol=\"ftl\",reason=\"late\"}", m->late);
}

static void put_rtmp(struct str *out, const struct ingressd *s)
{
    struct rtmp_door_counts sum = {0}, c;

    for (size_t i = 0; i < RTMP_DOORS; i++) {
        if (s->rtmp[i] == NULL)
            continue;
        rtmp_door_get_counts(s->rtmp[i], &c);
        sum.connections += c.connections;
        sum.children += c.children;
        sum.turned_away += c.turned_away;
        sum.bytes += c.bytes;
        sum.dropped += c.dropped;
        sum.jumps += c.jumps;
        sum.children_started += c.children_started;
        sum.sound_lost += c.sound_lost;
    }
    put(out, "sluice_rtmp_connections", "gauge", "", sum.connections);
    put(out, "sluice_rtmp_turned_away_total", "counter", "", sum.turned_away);
    put(out, "sluice_rtmp_bytes_total", "counter", "", sum.bytes);
    put(out, "sluice_rtmp_dropped_frames_total", "counter", "", sum.dropped);
    put(out, "sluice_rtmp_time_jumps_total", "counter", "", sum.jumps);
    put(out, "sluice_media_children", "gauge", "", sum.children);
    put(out, "sluice_media_children_started_total", "counter", "", sum.children_started);
    put(out, "sluice_media_lost_frames_total", "counter", "", sum.sound_lost);
}

static void put_rtp(struct str *out, const struct ingressd *s)
{
    struct rtp_door_counts c;
    static const char packets[] = "sluice_ingest_packets_total",
                      dropped[] = "sluice_ingest_dropped_total";

    rtp_door_get_counts(s->rtp, &c);
    put(out, "sluice_rtp_ports", "gauge", "", c.ports);
    put(out, "sluice_rtp_senders_total", "counter", "", c.media.senders);
    put(out, packets, NULL, "{protocol=\"rtp\"}", c.media.packets);
    put(out, "sluice_ingest_bytes_total", NULL, "{protocol=\"rtp\"}", c.media.bytes);
    put(out, "sluice_ingest_lost_total", NULL, "{protocol=\"rtp\"}", c.media.lost);
    put(out, "sluice_ingest_recovered_total", NULL, "{protocol=\"rtp\"}", c.media.recovered);
    put(out, dropped, NULL, "{protocol=\"rtp\",reason=\"stranger\"}", c.media.strangers);
    put(out, dropped, NULL, "{protocol=\"rtp\",reason=\"foreign\"}", c.media.foreign);
    put(out, dropped, NULL, "{protocol=\"rtp\",reason=\"flood\"}", c.media.flood);
    put(out, dropped, NULL, "{protocol=\"rtp\",reason=\"duplicate\"}", c.media.duplicates);
    put(out, dropped, NULL, "{protocol=\"rtp\",reason=\"late\"}", c.media.late);
}

static void put_relay(struct str *out, const struct ingressd *s)
{
    struct relay_counts c;

    if (s->relay == NULL)
        return;
    relay_get_counts(s->relay, &c);
    put(out, "sluice_relay_streams", "gauge", "", c.streams);
    put(out, "sluice_relay_packets_total", "counter", "", c.packets);
    put(out, "sluice_relay_refused_total", "counter", "", c.refused);
    put(out, "sluice_relay_gave_up_total", "counter", "", c.gave_up);
}

static int metrics_page(void *owner, const struct http_msg *m, struct str *body)
{
    struct ingressd *s = owner;
    struct ftl_door_counts f = {0};
    struct onair_counts c;

    if (strcmp(m->path, "/metrics") != 0)
        return 404;
    onair_get_counts(s->onair, &c);
    if (s->ftl != NULL)
        ftl_door_get_counts(s->ftl, &f);
    put(body, "livekit_ingress_available", "gauge", "", buslink_up(s->bus) && !s->draining);
    put(body, "livekit_ingress_requests", "gauge", "{type=\"rtmp\",transcoding=\"false\"}",
        c.by_protocol[MEDIA_RTMP]);
    put(body, "livekit_ingress_requests", NULL, "{type=\"ftl\",transcoding=\"false\"}",
        c.by_protocol[MEDIA_FTL]);
    put(body, "livekit_ingress_requests", NULL, "{type=\"rtp\",transcoding=\"false\"}",
        c.by_protocol[MEDIA_RTP_PLAIN]);
    put(body, "sluice_ingest_streams", "gauge", "", c.jobs);
    put(body, "sluice_ingest_publishing", "gauge", "", c.publishing);
    put(body, "sluice_ingest_refused_total", "counter", "", c.refused + f.bad_key);
    put(body, "sluice_ingest_takeovers_total", "counter", "", c.takeovers);
    put(body, "sluice_ingest_rejoins_total", "counter", "", c.rejoins);
    put(body, "sluice_ftl_connections", "gauge", "", f.connections);
    put(body, "sluice_ftl_turned_away_total", "counter", "", f.turned_away);
    put(body, "sluice_ftl_stray_datagrams_total", "counter", "", f.nobodys);
    put_media(body, &f.media);
    put_rtmp(body, s);
    put_rtp(body, s);
    put_relay(body, s);
    return 200;
}

/* ---- start and stop ---- */

static int port_refused(struct ingressd *s, int err, uint32_t port, const char *flag)
{
    char holder[96] = "";

    if (err == -EADDRINUSE) {
        net_port_owner((uint16_t)port, false, holder, sizeof holder);
        if (holder[0] == '\0')
            net_port_owner((uint16_t)port, true, holder, sizeof holder);
        return refuse(s, err, "port %u is in use%s%s; stop that, or choose another with %s", port,
                      holder[0] != '\0' ? " by " : "", holder, flag);
    }
    if (err == -EACCES)
        return refuse(s, err, "port %u is not allowed; choose one above 1023 with %s", port, flag);
    return refuse(s, err, "cannot open port %u: %s; choose another with %s", port, err_text(err),
                  flag);
}

/* The addresses to listen on. */
static int addresses(struct ingressd *s, uint32_t port, struct addr out[2])
{
    static const uint8_t any[16];

    out[0] = out[1] = (struct addr){0};
    if (s->conf->address[0] == '\0') {
        addr_set_ip4(&out[0], any, (uint16_t)port);
        addr_set_ip6(&out[1], any, (uint16_t)port);
        return 0;
    }
    bool local = strcmp(s->conf->address, "localhost") == 0;
    if (!addr_parse_ip(&out[0], bytes_str(local ? "127.0.0.1" : s->conf->address), (uint16_t)port))
        return refuse(s, E_INVAL, "--address: '%.60s' is no IP address", s->conf->address);
    return 0;
}

static int open_page(struct ingressd *s, uint32_t port, door_local_fn *page, struct door **ret,
                     uint16_t *real)
{
    struct door_cfg cfg = {.loop = s->loop,
                           .local = page,
                           .local_owner = s,
                           .connections_max = HTTP_CONNECTIONS_MAX,
                           .body_bytes_max = HTTP_BODY_MAX,
                           .seed = s->seed};
    static const uint8_t any[4];
    struct addr at;

    if (port == 0)
        return 0;
    addr_set_ip4(&at, any, (uint16_t)port);
    int err = door_open(ret, &cfg);
    return err ? err : door_listen(*ret, &at, real);
}

static int open_ftl(struct ingressd *s)
{
    struct ftl_door_cfg cfg = {.loop = s->loop, .onair = s->onair, .seed = s->seed};

    if (s->conf->ftl_off)
        return 0;
    int err = addresses(s, s->conf->ftl_port, cfg.at);
    if (err)
        return err;
    err = ftl_door_open(&s->ftl, &cfg, &s->ftl_port);
    return err ? port_refused(s, err, s->conf->ftl_port, "--ftl-port") : 0;
}

static int read_pem(struct ingressd *s, const char *flag, const char *path, struct str *out)
{
    str_init(out, PEM_BYTES_MAX);
    if (path[0] == '\0')
        return refuse(s, E_INVAL, "--rtmps-port needs --tls-cert and --tls-key");
    int err = file_read(path, out, NULL);
    return err ? refuse(s, err, "%s: cannot read %.100s: %s", flag, path, err_text(err)) : 0;
}

static int open_tls(struct ingressd *s)
{
    struct str chain = {0}, key = {0};
    int err = read_pem(s, "--tls-cert", s->conf->tls_cert_file, &chain);

    if (err == 0)
        err = read_pem(s, "--tls-key", s->conf->tls_key_file, &key);
    if (err == 0) {
        err = tls_ctx_open_server(&s->tls, str_bytes(&chain), str_bytes(&key));
        if (err)
            refuse(s, err, "--tls-cert and --tls-key: %s", err_text(err));
    }
    str_fini(&chain);
    if (key.p != NULL)
        mem_wipe(key.p, key.cap);
    str_fini(&key);
    return err;
}

static int open_rtmp(struct ingressd *s, unsigned which, uint32_t port, const char *flag)
{
    struct rtmp_door_cfg cfg = {.loop = s->loop,
                                .onair = s->onair,
                                .tls = which == RTMP_SECURE ? s->tls : NULL,
                                .seed = s->seed + 1 + which};
    int err = addresses(s, port, cfg.at);

    if (err)
        return err;
    err = rtmp_door_open(&s->rtmp[which], &cfg, &s->rtmp_port[which]);
    return err ? port_refused(s, err, port, flag) : 0;
}

static int open_rtmps(struct ingressd *s)
{
    int err = 0;

    if (!s->conf->rtmp_off)
        err = open_rtmp(s, RTMP_PLAIN, s->conf->rtmp_port, "--rtmp-port");
    if (err || s->conf->rtmps_off)
        return err;
    err = open_tls(s);
    return err ? err : open_rtmp(s, RTMP_SECURE, s->conf->rtmps_port, "--rtmps-port");
}

static int open_rtp(struct ingressd *s)
{
    const struct ingress_conf *c = s->conf;
    struct rtp_door_cfg cfg = {
        .loop = s->loop, .onair = s->onair, .first = c->rtp_ports.first, .last = c->rtp_ports.last};
    bool local = c->rtp_address[0] == '\0' || strcmp(c->rtp_address, "localhost") == 0;

    if (!addr_parse_ip(&cfg.at, bytes_str(local ? "127.0.0.1" : c->rtp_address), 0))
        return refuse(s, E_INVAL, "--rtp-address: '%.60s' is no IP address", c->rtp_address);
    int err = rtp_door_open(&s->rtp, &cfg);
    if (!err && s->relay == NULL)
        err = psrpc_serve(buslink_psrpc(s->bus), &methods[METHOD_OPEN_PORT], "");
    if (err || c->rtp_off)
        return err ? refuse(s, err, "cannot start: %s", err_text(err)) : 0;
    s->rtp_port = (uint16_t)c->rtp_port;
    err = rtp_door_add(s->rtp, &s->rtp_port, "", INGRESS_CHANNEL_DEFAULT);
    return err ? port_refused(s, err, c->rtp_port, "--rtp-port") : 0;
}

static int open_pages(struct ingressd *s)
{
    int err = open_page(s, s->conf->health_port, health_page, &s->health, &s->health_port);

    if (err)
        return port_refused(s, err, s->conf->health_port, "--health-port");
    err = open_page(s, s->conf->metrics_port, metrics_page, &s->metrics, &s->metrics_port);
    return err ? port_refused(s, err, s->conf->metrics_port, "--prometheus-port") : 0;
}

static int open_auth(struct ingressd *s)
{
    const struct authlink_cfg cfg = {.loop = s->loop,
                                     .url = s->conf->auth_url,
                                     .authorities = s->conf->auth_ca,
                                     .seed = s->seed ^ 0x61757468};
    int err = authlink_open(&s->auth, &cfg);

    if (err == E_INVAL || err == E_UNSUPPORTED || err == E_MALFORMED)
        return refuse(s, err, "--auth-url is no ws://, wss://, http:// or https:// address");
    return err < 0 ? refuse(s, err, "--auth-ca: cannot read the authorities: %s", err_text(err))
                   : 0;
}

static int open_relay(struct ingressd *s)
{
    const struct relay_cfg cfg = {.loop = s->loop,
                                  .url = s->conf->webrtc_url,
                                  .secret = s->conf->webrtc_secret,
                                  .key = s->conf->stream_key,
                                  .seed = s->seed ^ 0x72656c61};

    if (s->conf->webrtc_url[0] == '\0')
        return 0;
    int err = relay_open(&s->relay, &cfg);
    return err ? refuse(s, err, "--webrtc-server: '%.100s' is no http:// or https:// address",
                        s->conf->webrtc_url)
               : 0;
}

static int start(struct ingressd *s, const char *bus)
{
    struct rlimit files;
    int err = loop_open(&s->loop);

    if (err < 0)
        return refuse(s, err, "cannot start: %s", err_text(err));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* the old limit serves fewer */
    }
    loop_tell_log(s->loop);
    err = crypt_random(&s->seed, sizeof s->seed);
    if (!err)
        err = buslink_open(&s->bus, s->loop, bus, on_bus_event, s);
    if (!err && s->conf->auth_url[0] != '\0') {
        err = open_auth(s);
        if (err)
            return err;
    }
    if (!err) {
        err = open_relay(s);
        if (err)
            return err;
    }
    struct onair_cfg cfg = {.loop = s->loop,
                            .bus = s->bus,
                            .auth = s->auth,
                            .refuse_second = s->conf->refuse_second,
                            .url = s->conf->ws_url,
                            .relay = s->relay};
    if (!err)
        err = onair_open(&s->onair, &cfg, loop_tick(s->loop));
    if (err)
        return refuse(s, err, "cannot start: %s", err_text(err));
    err = open_ftl(s);
    if (!err)
        err = open_rtmps(s);
    if (!err)
        err = open_rtp(s);
    if (!err)
        err = open_pages(s);
    if (err)
        return err;
    err = loop_signal(s->loop, SIGINT, on_interrupt, s);
    if (!err)
        err = loop_signal(s->loop, SIGTERM, on_terminate, s);
    if (!err)
        err = loop_signal(s->loop, SIGQUIT, on_terminate, s);
    return err ? refuse(s, err, "cannot take signals: %s", err_text(err)) : 0;
}

static void tell_ready(const struct ingressd *s)
{
    int fd = (int)s->conf->ready_fd;
    struct str line;

    LOG_I("ready", "ftl=%u rtmp=%u rtmps=%u rtp=%u health=%u metrics=%u", s->ftl_port,
          s->rtmp_port[RTMP_PLAIN], s->rtmp_port[RTMP_SECURE], s->rtp_port, s->health_port,
          s->metrics_port);
    if (fd < 0)
        return;
    str_init(&line, 512);
    str_printf(&line,
               "{\"ftl\":%u,\"rtmp\":%u,\"rtmps\":%u,\"rtp\":%u,\"health\":%u,\"metrics\":%u,"
               "\"pid\":%d}\n",
               s->ftl_port, s->rtmp_port[RTMP_PLAIN], s->rtmp_port[RTMP_SECURE], s->rtp_port,
               s->health_port, s->metrics_port, (int)getpid());
    if (write(fd, line.p, line.len) < 0)
        LOG_W("ready_fd", "error=\"%s\"", err_text(-errno));
    if (fd > 2)
        (void)close(fd); /* written */
    str_fini(&line);
}

int ingressd_run(const struct ingress_conf *conf, const char *bus, char error[INGRESSD_ERROR_MAX])
{
    struct ingressd *s = mem_zero(sizeof *s);

    error[0] = '\0';
    if (s == NULL)
        return E_NOMEM;
    s->conf = conf;
    s->error = error;
    int err = start(s, bus);
    if (err == 0) {
        tell_ready(s);
        loop_set_round(s->loop, round_of, s);
        loop_run(s->loop);
    }
    door_free(s->health);
    door_free(s->metrics);
    ftl_door_free(s->ftl);
    for (size_t i = 0; i < RTMP_DOORS; i++)
        rtmp_door_free(s->rtmp[i]);
    rtp_door_free(s->rtp);
    tls_ctx_free(s->tls);
    onair_free(s->onair);
    relay_free(s->relay);
    authlink_free(s->auth);
    buslink_free(s->bus);
    loop_free(s->loop);
    mem_free(s);
    return err;
}
