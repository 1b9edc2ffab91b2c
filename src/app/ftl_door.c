#include "app/ftl_door.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/ftl_mux.h"
#include "io/tcp.h"
#include "io/udp.h"

enum { BATCHES_PER_ROUND = 8, QUESTION_BYTES = 600, TX_ARENA_BYTES = 64 << 10 };

static const char refusal[] = "500\n";

struct conn {
    struct ftl_door *door;
    struct tcp *tcp; /* NULL: gone */
    struct ftl ftl;
    struct publisher publisher;
    struct addr peer;
    struct addr pinned; /* where its media comes from; family 0: not known yet */
    struct path path;   /* of its newest datagram: where questions go */
    struct ftl_media *media;
    bool started; /* with onair */
    bool routed;  /* in the mux */
    us_t close_at;
};

struct ftl_door {
    struct ftl_door_cfg cfg;
    struct tcp_listener *listener[FTL_DOOR_LISTENERS_MAX];
    unsigned listener_n;
    uint16_t port;
    struct udp udp;
    bool udp_open;
    struct loop_watch *watch[2];
    struct pkt_slab slab;
    struct pkt *batch[UDP_BATCH];
    struct tx tx;
    struct ftl_mux mux;
    struct conn *conn[FTL_DOOR_CONNECTIONS_MAX];
    uint32_t conn_n;
    struct ftl_door_counts counts;
};

/* ---- one connection ---- */

static void add_stats(struct ftl_media_stats *sum, const struct ftl_media *m)
{
    struct ftl_media_stats s;

    ftl_media_get_stats(m, &s);
    sum->packets += s.packets;
    sum->bytes += s.bytes;
    sum->flood += s.flood;
    sum->foreign += s.foreign;
    sum->recovered += s.recovered;
    sum->duplicates += s.duplicates;
    sum->late += s.late;
    sum->lost += s.lost;
    sum->asked += s.asked;
    sum->rtt_us = us_max(sum->rtt_us, s.rtt_us);
}

/* From here on its media reaches nobody. */
static void stop_media(struct conn *c)
{
    if (c->routed)
        ftl_mux_remove(&c->door->mux, &c->peer, &c->ftl.stream, &c->pinned,
                       loop_tick(c->door->cfg.loop).now);
    c->routed = false;
    if (c->media != NULL) {
        add_stats(&c->door->counts.media, c->media);
        c->door->counts.media.rtt_us = 0; /* of those on air alone */
    }
    ftl_media_free(c->media);
    c->media = NULL;
}

static void free_conn(struct conn *c, struct tick tick)
{
    stop_media(c);
    onair_end(c->door->cfg.onair, &c->publisher, false, tick);
    tcp_free(c->tcp);
    ftl_fini(&c->ftl);
    mem_free(c);
}

static void on_answer(struct publisher *p, enum onair_verdict v, const char *why, const char *key)
{
    struct conn *c = OWNER_OF(p, struct conn, publisher);

    switch (v) {
    case ONAIR_YES:
        ftl_key(&c->ftl, bytes_str(key), loop_tick(c->door->cfg.loop).now);
        c->door->counts.bad_key += ftl_over(&c->ftl);
        break;
    case ONAIR_UNKNOWN:
        c->door->counts.bad_key++;
        ftl_end(&c->ftl, FTL_BAD_KEY, why);
        break;
    case ONAIR_FORBIDDEN:
        ftl_end(&c->ftl, FTL_NOT_AUTHORISED, why);
        break;
    case ONAIR_UNAVAILABLE:
        ftl_end(&c->ftl, FTL_INTERNAL, why);
        break;
    }
}

static void on_kick(struct publisher *p, const char *reason)
{
    struct conn *c = OWNER_OF(p, struct conn, publisher);

    c->started = false;
    stop_media(c);
    ftl_end(&c->ftl, FTL_TERMINATED, reason);
}

static const struct publisher_ops publisher_ops = {.answer = on_answer, .kick = on_kick};

static void ask(struct conn *c, struct tick tick)
{
    struct media_publish m = {.protocol = MEDIA_FTL,
                              .channel = c->ftl.stream.channel,
                              .remote = c->peer,
                              .challenge = bytes_of(c->ftl.challenge, sizeof c->ftl.challenge),
                              .digest = bytes_of(c->ftl.digest, sizeof c->ftl.digest)};

    onair_ask(c->door->cfg.onair, &c->publisher, &m, tick);
}

/* Whoever proved the key goes on air; an older session of the channel is dismissed first, so that
 * its numbers are free. */
static void start(struct conn *c, struct tick tick)
{
    struct ftl_door *d = c->door;
    int err = onair_start(d->cfg.onair, &c->publisher, tick);

    if (err) {
        ftl_end(&c->ftl, err == E_EXIST ? FTL_BUSY : FTL_INTERNAL,
                err == E_EXIST ? "the channel is streaming already" : "too many streams");
        return;
    }
    c->started = true;
    enum ftl_code code = ftl_mux_add(&d->mux, &c->peer, &c->ftl.stream, c);
    c->routed = code == FTL_OK;
    if (code == FTL_OK && ftl_media_open(&c->media, &c->ftl.stream, &c->peer, tick.now) < 0)
        code = FTL_INTERNAL;
    if (code != FTL_OK) {
        ftl_end(&c->ftl, code, "the stream's numbers are in use");
        return;
    }
    LOG_I("ftl", "channel=%u from=%s client=\"%s %s\"", c->ftl.stream.channel, c->publisher.remote,
          c->ftl.stream.vendor, c->ftl.stream.version);
    ftl_started(&c->ftl, d->port, tick.now);
}

static void log_end(const struct conn *c, const char *reason)
{
    struct ftl_media_stats s = {0};

    if (c->media != NULL)
        ftl_media_get_stats(c->media, &s);
    LOG_I("ftl_end",
          "channel=%u reason=\"%s\" packets=%llu lost=%llu recovered=%llu asked=%llu late=%llu "
          "duplicates=%llu flood=%llu rtt_us=%lld",
          c->ftl.stream.channel, reason, (unsigned long long)s.packets, (unsigned long long)s.lost,
          (unsigned long long)s.recovered, (unsigned long long)s.asked, (unsigned long long)s.late,
          (unsigned long long)s.duplicates, (unsigned long long)s.flood, (long long)s.rtt_us);
}

static void on_ftl_event(struct conn *c, const struct ftl_event *ev, struct tick tick)
{
    switch (ev->kind) {
    case FTL_EVT_ASK_KEY:
        ask(c, tick);
        break;
    case FTL_EVT_START:
        start(c, tick);
        break;
    case FTL_EVT_END:
        log_end(c, ev->reason);
        stop_media(c);
        onair_end(c->door->cfg.onair, &c->publisher, ev->clean, tick);
        c->started = false;
        break;
    }
}

/* Media in order goes on air. */
static void drain_media(struct conn *c, struct tick tick)
{
    struct media m;

    while (c->media != NULL && ftl_media_event(c->media, &m)) {
        if (m.kind == MEDIA_END)
            ftl_end(&c->ftl, FTL_NO_MEDIA, m.reason);
        else
            onair_media(c->door->cfg.onair, &c->publisher, &m, tick);
    }
}

static void put_datagram(struct ftl_door *d, const struct path *path, struct bytes b)
{
    uint8_t *room = tx_claim(&d->tx, (uint32_t)b.len);

    if (room == NULL)
        return; /* lost like any */
    memcpy(room, b.p, b.len);
    tx_commit(&d->tx, path, (uint32_t)b.len, TX_CONTROL);
}

static void send_datagrams(struct ftl_door *d)
{
    if (tx_empty(&d->tx))
        return;
    udp_send(&d->udp, &d->tx);
    tx_clear(&d->tx);
}

static void ask_missing(struct conn *c, us_t now)
{
    uint8_t buf[QUESTION_BYTES];
    struct wr w = wr_of(buf, sizeof buf);
    struct addr to;

    ftl_media_tick(c->media, now);
    while (ftl_media_output(c->media, &to, &w)) {
        c->path.remote = to;
        put_datagram(c->door, &c->path, wr_done(&w));
        w = wr_of(buf, sizeof buf);
    }
}

/* Events, then words: an event may add some. */
static void drain(struct conn *c, struct tick tick)
{
    struct ftl_event ev;

    if (c->media != NULL) {
        ask_missing(c, tick.now);
        drain_media(c, tick);
    }
    while (ftl_event(&c->ftl, &ev))
        on_ftl_event(c, &ev, tick);
    struct bytes out = ftl_output(&c->ftl);
    if (c->tcp != NULL && out.len > 0 && tcp_write(c->tcp, out) < 0)
        ftl_closed(&c->ftl);
    if (ftl_over(&c->ftl) && c->close_at == US_NEVER) {
        c->close_at = tick.now + FTL_DOOR_LINGER_US;
        if (c->tcp != NULL)
            tcp_end(c->tcp);
    }
}

static void on_data(void *owner, struct bytes in)
{
    struct conn *c = owner;
    struct tick tick = loop_tick(c->door->cfg.loop);

    if (c->ftl.state < FTL_LIVE)
        tcp_quick(c->tcp); /* else the client's Nagle and our delay cost 40 ms a command */
    ftl_input(&c->ftl, in, tick.now);
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
    ftl_closed(&c->ftl);
    tcp_free(c->tcp);
    c->tcp = NULL;
    drain(c, tick);
    c->close_at = tick.now;
}

static const struct tcp_handler handler = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

static bool too_many(const struct ftl_door *d, const struct addr *from)
{
    uint32_t strangers = 0, same = 0;

    for (uint32_t i = 0; i < d->conn_n; i++) {
        const struct conn *c = d->conn[i];
        strangers += c->ftl.state < FTL_CONNECTED;
        same += addr_ip_eq(&c->peer, from);
    }
    return d->conn_n == FTL_DOOR_CONNECTIONS_MAX || strangers >= FTL_DOOR_STRANGERS_MAX ||
           same >= FTL_DOOR_PER_ADDRESS_MAX;
}

static void on_accept(void *owner, int fd, const struct addr *from)
{
    struct ftl_door *d = owner;
    struct conn *c = too_many(d, from) ? NULL : mem_zero(sizeof *c);

    if (c == NULL) {
        d->counts.turned_away++;
        tcp_refuse(fd, bytes_str(refusal));
        return;
    }
    c->door = d;
    c->peer = *from;
    c->close_at = US_NEVER;
    c->publisher.ops = &publisher_ops;
    ftl_init(&c->ftl, loop_tick(d->cfg.loop).now);
    if (tcp_open(&c->tcp, d->cfg.loop, fd, &handler, c) < 0) {
        mem_free(c);
        return;
    }
    d->counts.accepted++;
    d->conn[d->conn_n++] = c;
}

/* ---- datagrams ---- */

static void on_datagram(struct ftl_door *d, struct pkt *p, struct tick tick)
{
    struct bytes in = bytes_of(p->data, p->len);
    void *owner;

    if (p->len == PKT_LEN_CUT)
        return;
    switch (ftl_mux_route(&d->mux, &p->path.remote, in, tick.now, &owner)) {
    case FTL_ROUTE_ECHO:
        put_datagram(d, &p->path, in);
        break;
    case FTL_ROUTE_MEDIA: {
        struct conn *c = owner;
        c->path.local = p->path.local;
        ftl_media_input(c->media, &p->path.remote, in, tick.now);
        if (c->pinned.family == 0 && ftl_media_from(c->media, &c->pinned) &&
            !ftl_mux_pin(&d->mux, &c->pinned, c))
            c->pinned.family = 0; /* once more with the next packet */
        drain_media(c, tick);
        break;
    }
    case FTL_ROUTE_NONE:
        break;
    }
}

static void receive(struct ftl_door *d, int fd)
{
    struct tick tick = loop_tick(d->cfg.loop);

    for (int i = 0; i < BATCHES_PER_ROUND; i++) {
        unsigned n = udp_recv_batch(&d->udp, fd, d->batch, UDP_BATCH);
        for (unsigned k = 0; k < n; k++)
            on_datagram(d, d->batch[k], tick);
        send_datagrams(d);
        if (n < UDP_BATCH)
            return;
    }
}

static void on_readable4(void *owner, unsigned events)
{
    struct ftl_door *d = owner;

    (void)events;
    receive(d, d->udp.fd4);
}

static void on_readable6(void *owner, unsigned events)
{
    struct ftl_door *d = owner;

    (void)events;
    receive(d, d->udp.fd6);
}

/* ---- the door ---- */

static int listen_all(struct ftl_door *d, uint16_t *port)
{
    for (unsigned i = 0; i < FTL_DOOR_LISTENERS_MAX; i++) {
        struct addr at = d->cfg.at[i];
        if (at.family == 0)
            continue;
        if (d->port != 0)
            at.port = d->port;
        int err = tcp_listen(&d->listener[d->listener_n], d->cfg.loop, &at, bytes_str(refusal),
                             on_accept, d);
        if (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL)
            continue;
        if (err < 0)
            return err;
        d->port = tcp_listener_port(d->listener[d->listener_n++]);
    }
    *port = d->port;
    return d->listener_n > 0 ? 0 : -EADDRNOTAVAIL;
}

static int open_udp(struct ftl_door *d)
{
    int err = udp_open(&d->udp, d->port);

    if (err < 0)
        return err;
    d->udp_open = true;
    pkt_slab_init(&d->slab, UDP_BATCH);
    for (unsigned i = 0; i < UDP_BATCH; i++) {
        d->batch[i] = pkt_take(&d->slab);
        if (d->batch[i] == NULL)
            return E_NOMEM;
    }
    err = tx_init(&d->tx, TX_ARENA_BYTES);
    if (err == 0 && d->udp.fd4 >= 0)
        err = loop_watch(d->cfg.loop, &d->watch[0], d->udp.fd4, LOOP_READ, on_readable4, d);
    if (err == 0 && d->udp.fd6 >= 0)
        err = loop_watch(d->cfg.loop, &d->watch[1], d->udp.fd6, LOOP_READ, on_readable6, d);
    return err;
}

int ftl_door_open(struct ftl_door **ret, const struct ftl_door_cfg *cfg, uint16_t *port)
{
    struct ftl_door *d = mem_zero(sizeof *d);

    if (d == NULL)
        return E_NOMEM;
    d->cfg = *cfg;
    ftl_mux_init(&d->mux, cfg->seed);
    int err = listen_all(d, port);
    if (!err)
        err = open_udp(d);
    if (err) {
        ftl_door_free(d);
        return err;
    }
    *ret = d;
    return 0;
}

void ftl_door_shut(struct ftl_door *d)
{
    for (unsigned i = 0; i < d->listener_n; i++)
        tcp_unlisten(d->listener[i]);
    d->listener_n = 0;
}

void ftl_door_stop(struct ftl_door *d, struct tick tick)
{
    ftl_door_shut(d);
    for (uint32_t i = 0; i < d->conn_n; i++) {
        ftl_end(&d->conn[i]->ftl, FTL_TERMINATED, "the service stops");
        drain(d->conn[i], tick);
    }
}

bool ftl_door_busy(const struct ftl_door *d)
{
    return d->conn_n > 0;
}

void ftl_door_free(struct ftl_door *d)
{
    if (d == NULL)
        return;
    ftl_door_shut(d);
    for (uint32_t i = 0; i < d->conn_n; i++)
        free_conn(d->conn[i], loop_tick(d->cfg.loop));
    loop_unwatch(d->watch[0]);
    loop_unwatch(d->watch[1]);
    if (d->udp_open) {
        udp_close(&d->udp);
        for (unsigned i = 0; i < UDP_BATCH; i++)
            pkt_drop(&d->slab, d->batch[i]);
        pkt_slab_fini(&d->slab);
        tx_fini(&d->tx);
    }
    ftl_mux_fini(&d->mux);
    mem_free(d);
}

void ftl_door_round(struct ftl_door *d, struct tick tick)
{
    for (uint32_t i = 0; i < d->conn_n;) {
        struct conn *c = d->conn[i];
        ftl_tick(&c->ftl, tick.now);
        drain(c, tick);
        if (tick.now >= c->close_at) {
            d->conn[i] = d->conn[--d->conn_n];
            free_conn(c, tick);
        } else {
            i++;
        }
    }
    send_datagrams(d);
}

us_t ftl_door_deadline(const struct ftl_door *d)
{
    us_t at = US_NEVER;

    for (uint32_t i = 0; i < d->conn_n; i++) {
        const struct conn *c = d->conn[i];
        at = us_min(at, us_min(c->close_at, ftl_deadline(&c->ftl)));
        if (c->media != NULL)
            at = us_min(at, ftl_media_deadline(c->media));
    }
    return at;
}

void ftl_door_get_counts(const struct ftl_door *d, struct ftl_door_counts *out)
{
    *out = d->counts;
    out->connections = d->conn_n;
    out->nobodys = d->mux.none_n;
    for (uint32_t i = 0; i < d->conn_n; i++) {
        if (d->conn[i]->media == NULL)
            continue;
        out->streams++;
        add_stats(&out->media, d->conn[i]->media);
    }
}
