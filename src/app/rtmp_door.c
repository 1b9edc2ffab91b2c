#include "app/rtmp_door.h"

#include "app/media_child.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/aac.h"
#include "ingest/rtmp.h"
#include "io/tcp.h"

enum { TLS_BLOCK_BYTES = 16 << 10 };

struct conn {
    struct rtmp_door *door;
    struct tcp *tcp;    /* NULL: gone */
    bool secure, ended; /* ended: our direction of it */
    struct tls tls;
    struct rtmp *rtmp;
    struct publisher publisher;
    struct addr peer;
    bool started; /* with onair */
    bool told_b_frames, told_silent, told_no_child;
    struct aac *aac; /* once there is AAC */
    struct media_child child;
    us_t close_at;
};

struct rtmp_door {
    struct rtmp_door_cfg cfg;
    struct tcp_listener *listener[RTMP_DOOR_LISTENERS_MAX];
    unsigned listener_n;
    uint16_t port;
    struct rng rng;
    struct conn *conn[RTMP_DOOR_CONNECTIONS_MAX];
    uint32_t conn_n;
    struct rtmp_door_counts counts;
};

/* ---- sound ---- */

static void drain(struct conn *c, struct tick tick);

static void drain_packets(struct conn *c, struct tick tick)
{
    struct media m;

    while (aac_packet(c->aac, &m)) {
        if (c->started)
            onair_media(c->door->cfg.onair, &c->publisher, &m, tick);
    }
}

static void on_child_data(void *owner, struct bytes in)
{
    struct conn *c = owner;
    struct tick tick = loop_tick(c->door->cfg.loop);

    while (in.len > 0) {
        aac_input(c->aac, &in, tick.now);
        drain_packets(c, tick);
    }
    drain(c, tick);
}

static void on_child_drained(void *owner)
{
    (void)owner;
}

static void on_child_closed(void *owner, int err)
{
    struct conn *c = owner;
    struct tick tick = loop_tick(c->door->cfg.loop);

    (void)err;
    media_child_close(&c->child, false);
    aac_died(c->aac, tick.now);
    drain(c, tick);
}

static const struct tcp_handler child_handler = {
    .data = on_child_data, .drained = on_child_drained, .closed = on_child_closed};

static void spawn_child(struct conn *c, struct tick tick)
{
    int err = media_child_open(&c->child, c->door->cfg.loop, &child_handler, c);

    if (err && !c->told_no_child)
        LOG_W("rtmp_no_sound", "from=%s error=\"%s\"", c->publisher.remote,
              err == -ENOENT ? "sluice-media is not installed: AAC cannot be turned into Opus"
                             : err_text(err));
    c->told_no_child |= err != 0;
    c->door->counts.children_started += err == 0;
    aac_spawned(c->aac, err == 0, tick.now);
}

static void drain_sound(struct conn *c, struct tick tick)
{
    enum aac_event ev;

    if (c->aac == NULL)
        return;
    while ((ev = aac_event(c->aac)) != AAC_EVT_NONE) {
        if (ev == AAC_EVT_SPAWN)
            spawn_child(c, tick);
        else
            media_child_close(&c->child, false);
    }
    struct bytes out = aac_output(c->aac);
    /* a child that takes nothing is noticed by its silence */
    if (out.len > 0 && c->child.tcp != NULL && tcp_queued_bytes(c->child.tcp) < AAC_OUT_BYTES &&
        tcp_write(c->child.tcp, out) < 0)
        media_child_close(&c->child, false);
}

static void stop_sound(struct conn *c)
{
    if (c->aac == NULL)
        return;
    c->door->counts.sound_lost += c->aac->lost_n;
    media_child_close(&c->child, true);
    mem_free(c->aac);
    c->aac = NULL;
}

static void give_sound(struct conn *c, const struct media *m, struct tick tick)
{
    if (c->aac == NULL) {
        c->aac = mem_zero(sizeof *c->aac);
        if (c->aac == NULL)
            return; /* tried again with the next frame */
        aac_init(c->aac);
    }
    aac_media(c->aac, m, tick.now);
    drain_sound(c, tick);
}

/* ---- one connection ---- */

static void free_conn(struct conn *c, struct tick tick)
{
    struct rtmp_facts f;

    rtmp_facts(c->rtmp, &f);
    c->door->counts.bytes += f.bytes;
    c->door->counts.frames += f.video_frames;
    c->door->counts.dropped += f.dropped;
    c->door->counts.jumps += f.jumps;
    stop_sound(c);
    onair_end(c->door->cfg.onair, &c->publisher, false, tick);
    tcp_free(c->tcp);
    if (c->secure)
        tls_fini(&c->tls);
    rtmp_free(c->rtmp);
    mem_free(c);
}

static void start(struct conn *c, struct tick tick)
{
    struct rtmp_facts f;
    int err = onair_start(c->door->cfg.onair, &c->publisher, tick);

    if (err) {
        c->door->counts.refused++;
        rtmp_refuse(c->rtmp, err == E_EXIST ? RTMP_BAD_NAME : RTMP_FAILED,
                    err == E_EXIST ? "Somebody is streaming with this key already."
                                   : "The server has too many streams.",
                    tick.now);
        return;
    }
    c->started = true;
    rtmp_facts(c->rtmp, &f);
    LOG_I("rtmp", "from=%s client=\"%s\" digest=%d tls=%d", c->publisher.remote, f.client, f.digest,
          c->secure);
    rtmp_accept(c->rtmp, tick.now);
}

static void on_answer(struct publisher *p, enum onair_verdict v, const char *why, const char *key)
{
    struct conn *c = OWNER_OF(p, struct conn, publisher);
    struct tick tick = loop_tick(c->door->cfg.loop);

    (void)key; /* the server has compared it */
    (void)why; /* is in the log; a streamer is told no more than this */
    c->door->counts.refused += v != ONAIR_YES;
    switch (v) {
    case ONAIR_YES:
        start(c, tick);
        break;
    case ONAIR_UNKNOWN:
        rtmp_refuse(c->rtmp, RTMP_BAD_NAME, "The stream key is not known.", tick.now);
        break;
    case ONAIR_FORBIDDEN:
        rtmp_refuse(c->rtmp, RTMP_FAILED, "The stream key is disabled, or not for RTMP.", tick.now);
        break;
    case ONAIR_UNAVAILABLE:
        rtmp_refuse(c->rtmp, RTMP_FAILED, "The server is not available: try again.", tick.now);
        break;
    }
}

static void on_kick(struct publisher *p, const char *reason)
{
    struct conn *c = OWNER_OF(p, struct conn, publisher);

    c->started = false;
    rtmp_end(c->rtmp, reason, loop_tick(c->door->cfg.loop).now);
}

static const struct publisher_ops publisher_ops = {.answer = on_answer, .kick = on_kick};

static void on_end(struct conn *c, const struct media *m, struct tick tick)
{
    struct rtmp_facts f;

    rtmp_facts(c->rtmp, &f);
    LOG_I("rtmp_end",
          "from=%s reason=\"%s\" client=\"%s\" encoder=\"%s\" bytes=%llu pictures=%u sounds=%u "
          "dropped=%u jumps=%u b_frames=%d children=%u sound_lost=%u",
          c->publisher.remote, m->reason, f.client, f.encoder, (unsigned long long)f.bytes,
          f.video_frames, f.audio_frames, f.dropped, f.jumps, f.b_frames,
          c->aac != NULL ? c->aac->spawned_n : 0, c->aac != NULL ? c->aac->lost_n : 0);
    stop_sound(c);
    onair_end(c->door->cfg.onair, &c->publisher, m->clean, tick);
    c->started = false;
}

/* What the streamer should know and nobody else would say. */
static void warn_once(struct conn *c)
{
    struct rtmp_facts f;

    if (c->told_b_frames && c->told_silent)
        return;
    rtmp_facts(c->rtmp, &f);
    if (f.b_frames && !c->told_b_frames) {
        c->told_b_frames = true;
        LOG_W("rtmp_b_frames",
              "from=%s advice=\"browsers show B-frames out of order: set bframes=0 or tune "
              "zerolatency in the encoder\"",
              c->publisher.remote);
    }
    if (f.silent != NULL && !c->told_silent) {
        c->told_silent = true;
        LOG_W("rtmp_no_sound", "from=%s codec=%s advice=\"choose AAC\"", c->publisher.remote,
              f.silent);
    }
}

static void on_media(struct conn *c, const struct media *m, struct tick tick)
{
    switch (m->kind) {
    case MEDIA_PUBLISH:
        onair_ask(c->door->cfg.onair, &c->publisher, &m->publish, tick);
        break;
    case MEDIA_END:
        on_end(c, m, tick);
        break;
    default:
        if (!c->started || m->foreign == MEDIA_MP3 || m->foreign == MEDIA_FOREIGN_OTHER)
            break;
        if (m->foreign == MEDIA_AAC)
            give_sound(c, m, tick);
        else
            onair_media(c->door->cfg.onair, &c->publisher, m, tick);
    }
}

static void drain_events(struct conn *c, struct tick tick)
{
    struct media m;

    while (rtmp_event(c->rtmp, &m))
        on_media(c, &m, tick);
}

static int put(struct conn *c, struct bytes out)
{
    if (!c->secure)
        return c->tcp != NULL && out.len > 0 ? tcp_write(c->tcp, out) : 0;
    return out.len > 0 ? tls_write(&c->tls, out) : 0;
}

static int put_records(struct conn *c)
{
    uint8_t buf[TLS_BLOCK_BYTES];
    struct wr w = wr_of(buf, sizeof buf);
    int err = 0;

    while (c->secure && c->tcp != NULL && err == 0 && tls_output(&c->tls, &w)) {
        err = tcp_write(c->tcp, wr_done(&w));
        w = wr_of(buf, sizeof buf);
    }
    return err;
}

/* Events, then words: an event may add some. */
static void drain(struct conn *c, struct tick tick)
{
    drain_events(c, tick);
    drain_sound(c, tick);
    if (put(c, rtmp_output(c->rtmp)) < 0 || put_records(c) < 0) {
        rtmp_closed(c->rtmp);
        drain_events(c, tick);
    }
    warn_once(c);
    if (rtmp_state(c->rtmp) >= RTMP_LEAVING && c->tcp != NULL && !c->ended) {
        c->ended = true;
        if (c->secure)
            tls_close(&c->tls);
        (void)put_records(c); /* the last word; it is closed anyhow */
        tcp_end(c->tcp);
    }
    if (rtmp_state(c->rtmp) == RTMP_OVER)
        c->close_at = us_min(c->close_at, tick.now);
}

static void give(struct conn *c, struct bytes in, struct tick tick)
{
    while (in.len > 0) {
        rtmp_input(c->rtmp, &in, tick.now);
        drain_events(c, tick);
    }
}

static void give_secure(struct conn *c, struct bytes in, struct tick tick)
{
    uint8_t buf[TLS_BLOCK_BYTES];
    size_t n = 0;
    int err = tls_input(&c->tls, in);

    while (err == 0) {
        err = tls_read(&c->tls, buf, sizeof buf, &n);
        if (err || n == 0)
            break;
        give(c, bytes_of(buf, n), tick);
    }
    if (err) {
        LOG_D("rtmps", "from=%s error=\"%s\"", c->publisher.remote, c->tls.reason);
        rtmp_closed(c->rtmp);
    }
}

static void on_data(void *owner, struct bytes in)
{
    struct conn *c = owner;
    struct tick tick = loop_tick(c->door->cfg.loop);

    if (c->secure)
        give_secure(c, in, tick);
    else
        give(c, in, tick);
    drain(c, tick);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner, int err)
{
    struct conn *c = owner;
    struct tick tick = loop_tick(c->door->cfg.loop);

    (void)err;
    rtmp_closed(c->rtmp);
    tcp_free(c->tcp);
    c->tcp = NULL;
    drain(c, tick);
    c->close_at = tick.now;
}

static const struct tcp_handler handler = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

static bool too_many(const struct rtmp_door *d, const struct addr *from)
{
    uint32_t strangers = 0, same = 0;

    for (uint32_t i = 0; i < d->conn_n; i++) {
        const struct conn *c = d->conn[i];
        strangers += rtmp_state(c->rtmp) < RTMP_LIVE;
        same += addr_ip_eq(&c->peer, from);
    }
    return d->conn_n == RTMP_DOOR_CONNECTIONS_MAX || strangers >= RTMP_DOOR_STRANGERS_MAX ||
           same >= RTMP_DOOR_PER_ADDRESS_MAX;
}

static int open_conn(struct conn *c, int fd, const struct addr *from)
{
    struct rtmp_door *d = c->door;
    int err = rtmp_open(&c->rtmp, from, rng_u64(&d->rng), loop_tick(d->cfg.loop).now);

    c->secure = err == 0 && d->cfg.tls != NULL;
    if (c->secure)
        err = tls_init(&c->tls, d->cfg.tls, NULL, 0);
    if (err) {
        tcp_close(fd);
        return err;
    }
    return tcp_open(&c->tcp, d->cfg.loop, fd, &handler, c);
}

static void on_accept(void *owner, int fd, const struct addr *from)
{
    struct rtmp_door *d = owner;
    struct conn *c = too_many(d, from) ? NULL : mem_zero(sizeof *c);

    if (c == NULL) {
        d->counts.turned_away++;
        tcp_close(fd);
        return;
    }
    c->door = d;
    c->peer = *from;
    c->close_at = US_NEVER;
    c->publisher.ops = &publisher_ops;
    if (open_conn(c, fd, from) < 0) {
        if (c->secure)
            tls_fini(&c->tls);
        rtmp_free(c->rtmp);
        mem_free(c);
        return;
    }
    d->counts.accepted++;
    d->conn[d->conn_n++] = c;
}

/* ---- the door ---- */

int rtmp_door_open(struct rtmp_door **ret, const struct rtmp_door_cfg *cfg, uint16_t *port)
{
    struct rtmp_door *d = mem_zero(sizeof *d);
    int err = 0;

    if (d == NULL)
        return E_NOMEM;
    d->cfg = *cfg;
    d->rng = rng_seed(cfg->seed);
    for (unsigned i = 0; i < RTMP_DOOR_LISTENERS_MAX && err == 0; i++) {
        struct addr at = d->cfg.at[i];
        if (at.family == 0)
            continue;
        if (d->port != 0)
            at.port = d->port;
        err =
            tcp_listen(&d->listener[d->listener_n], d->cfg.loop, &at, bytes_str(""), on_accept, d);
        if (err == 0)
            d->port = tcp_listener_port(d->listener[d->listener_n++]);
        else if (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL)
            err = 0; /* a machine without IPv6 */
    }
    if (err == 0 && d->listener_n == 0)
        err = -EADDRNOTAVAIL;
    if (err) {
        rtmp_door_free(d);
        return err;
    }
    *port = d->port;
    *ret = d;
    return 0;
}

void rtmp_door_shut(struct rtmp_door *d)
{
    for (unsigned i = 0; i < d->listener_n; i++)
        tcp_unlisten(d->listener[i]);
    d->listener_n = 0;
}

void rtmp_door_stop(struct rtmp_door *d, struct tick tick)
{
    rtmp_door_shut(d);
    for (uint32_t i = 0; i < d->conn_n; i++) {
        (void)rtmp_go_away(d->conn[i]->rtmp); /* those that cannot are told by the end */
        rtmp_end(d->conn[i]->rtmp, "The service stops.", tick.now);
        drain(d->conn[i], tick);
    }
}

bool rtmp_door_busy(const struct rtmp_door *d)
{
    return d->conn_n > 0;
}

void rtmp_door_free(struct rtmp_door *d)
{
    if (d == NULL)
        return;
    rtmp_door_shut(d);
    for (uint32_t i = 0; i < d->conn_n; i++)
        free_conn(d->conn[i], loop_tick(d->cfg.loop));
    mem_free(d);
}

void rtmp_door_round(struct rtmp_door *d, struct tick tick)
{
    for (uint32_t i = 0; i < d->conn_n;) {
        struct conn *c = d->conn[i];
        rtmp_tick(c->rtmp, tick.now);
        if (c->aac != NULL)
            aac_tick(c->aac, tick.now);
        drain(c, tick);
        if (tick.now >= c->close_at) {
            d->conn[i] = d->conn[--d->conn_n];
            free_conn(c, tick);
        } else {
            i++;
        }
    }
}

us_t rtmp_door_deadline(const struct rtmp_door *d)
{
    us_t at = US_NEVER;

    for (uint32_t i = 0; i < d->conn_n; i++) {
        const struct conn *c = d->conn[i];
        at = us_min(at, us_min(c->close_at, rtmp_deadline(c->rtmp)));
        if (c->aac != NULL)
            at = us_min(at, aac_deadline(c->aac));
    }
    return at;
}

void rtmp_door_get_counts(const struct rtmp_door *d, struct rtmp_door_counts *out)
{
    struct rtmp_facts f;

    *out = d->counts;
    out->connections = d->conn_n;
    for (uint32_t i = 0; i < d->conn_n; i++) {
        const struct conn *c = d->conn[i];
        rtmp_facts(c->rtmp, &f);
        out->streams += c->started;
        out->children += c->child.pid != 0;
        out->bytes += f.bytes;
        out->frames += f.video_frames;
        out->dropped += f.dropped;
        out->jumps += f.jumps;
        out->sound_lost += c->aac != NULL ? c->aac->lost_n : 0;
    }
}
