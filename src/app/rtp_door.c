#include "app/rtp_door.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/udp.h"

#include <stdio.h>

enum { BATCHES_PER_ROUND = 8, QUESTION_BYTES = 600, TX_ARENA_BYTES = 64 << 10 };

enum line_state {
    LINE_IDLE,   /* nobody sends */
    LINE_ASKING, /* somebody does; the bus is asked */
    LINE_ON,
    LINE_REFUSED, /* until retry_at what comes is thrown away */
};

struct line {
    struct rtp_door *door;
    struct udp udp;
    struct loop_watch *watch;
    struct plain *plain;
    struct publisher publisher;
    enum line_state state;
    us_t retry_at;
    struct path path; /* of the newest datagram: where questions leave from */
    char id[JOB_ID_MAX];
    uint32_t channel;
};

struct rtp_door {
    struct rtp_door_cfg cfg;
    struct pkt_slab slab;
    struct pkt *batch[UDP_BATCH];
    struct tx tx;
    struct line *line[RTP_DOOR_PORTS_MAX];
    uint32_t line_n;
    uint16_t next; /* of the range: where to look first */
    bool stopped;
    struct plain_stats ended;
};

/* ---- the publisher ---- */

static void on_answer(struct publisher *p, enum onair_verdict v, const char *why, const char *key)
{
    struct line *l = OWNER_OF(p, struct line, publisher);
    struct tick tick = loop_tick(l->door->cfg.loop);
    int err = v == ONAIR_YES ? onair_start(l->door->cfg.onair, p, tick) : 0;

    (void)key; /* nothing here proves it */
    if (v == ONAIR_YES && err == 0) {
        l->state = LINE_ON;
        return;
    }
    l->state = LINE_REFUSED;
    l->retry_at = tick.now + RTP_DOOR_RETRY_US;
    LOG_W("rtp_refused", "port=%u from=%s reason=\"%s\"", l->udp.port, p->remote,
          err ? err_text(err) : why);
}

static void on_kick(struct publisher *p, const char *reason)
{
    struct line *l = OWNER_OF(p, struct line, publisher);

    (void)reason; /* the sender has no ear */
    l->state = LINE_REFUSED;
    l->retry_at = loop_tick(l->door->cfg.loop).now + RTP_DOOR_RETRY_US;
}

static const struct publisher_ops publisher_ops = {.answer = on_answer, .kick = on_kick};

static void ask(struct line *l, const struct addr *from, struct tick tick)
{
    const struct media_publish m = {.protocol = MEDIA_RTP_PLAIN,
                                    .channel = l->channel,
                                    .id = bytes_str(l->id),
                                    .remote = *from};

    l->state = LINE_ASKING;
    onair_ask(l->door->cfg.onair, &l->publisher, &m, tick);
}

/* ---- media ---- */

/* What came before the answer waits in its order, for about a second. */
static void drain(struct line *l, struct tick tick)
{
    struct addr from;
    struct media m;

    if (l->state == LINE_REFUSED && tick.now >= l->retry_at)
        l->state = LINE_IDLE;
    if (l->state == LINE_IDLE && !l->door->stopped && plain_from(l->plain, &from))
        ask(l, &from, tick);
    while (l->state != LINE_ASKING && plain_event(l->plain, &m)) {
        if (m.kind != MEDIA_END) {
            if (l->state == LINE_ON)
                onair_media(l->door->cfg.onair, &l->publisher, &m, tick);
            continue;
        }
        onair_end(l->door->cfg.onair, &l->publisher, false, tick);
        l->state = LINE_IDLE;
    }
}

static void put_datagram(struct rtp_door *d, const struct path *path, struct bytes b)
{
    uint8_t *room = tx_claim(&d->tx, (uint32_t)b.len);

    if (room == NULL)
        return; /* lost like any */
    memcpy(room, b.p, b.len);
    tx_commit(&d->tx, path, (uint32_t)b.len, TX_CONTROL);
}

static void send_datagrams(struct line *l)
{
    struct tx *tx = &l->door->tx;

    if (!tx_empty(tx))
        udp_send(&l->udp, tx);
    tx_clear(tx);
}

static void ask_missing(struct line *l, us_t now)
{
    uint8_t buf[QUESTION_BYTES];
    struct wr w = wr_of(buf, sizeof buf);
    struct addr to;

    plain_tick(l->plain, now);
    while (plain_output(l->plain, &to, &w)) {
        l->path.remote = to;
        put_datagram(l->door, &l->path, wr_done(&w));
        w = wr_of(buf, sizeof buf);
    }
}

static void on_readable(void *owner, unsigned events)
{
    struct line *l = owner;
    struct rtp_door *d = l->door;
    struct tick tick = loop_tick(d->cfg.loop);
    unsigned n = UDP_BATCH;

    (void)events;
    for (int i = 0; i < BATCHES_PER_ROUND && n == UDP_BATCH; i++) {
        n = udp_recv_batch(&l->udp, l->udp.fd4 >= 0 ? l->udp.fd4 : l->udp.fd6, d->batch, UDP_BATCH);
        for (unsigned k = 0; k < n; k++) {
            const struct pkt *p = d->batch[k];
            if (p->len == PKT_LEN_CUT)
                continue;
            struct bytes in = bytes_of(p->data, p->len);
            enum plain_seen seen = plain_input(l->plain, &p->path.remote, in, tick.now);
            if (seen == PLAIN_ECHO)
                put_datagram(d, &p->path, in);
            if (seen == PLAIN_TAKEN)
                l->path = p->path;
        }
        drain(l, tick);
        send_datagrams(l);
    }
}

/* ---- ports ---- */

static void add_stats(struct plain_stats *sum, const struct plain *p)
{
    struct plain_stats s;

    plain_get_stats(p, &s);
    sum->packets += s.packets;
    sum->bytes += s.bytes;
    sum->strangers += s.strangers;
    sum->foreign += s.foreign;
    sum->flood += s.flood;
    sum->recovered += s.recovered;
    sum->duplicates += s.duplicates;
    sum->late += s.late;
    sum->lost += s.lost;
    sum->senders += s.senders;
}

static void free_line(struct line *l, struct tick tick)
{
    onair_end(l->door->cfg.onair, &l->publisher, true, tick);
    loop_unwatch(l->watch);
    udp_close(&l->udp);
    if (l->plain != NULL)
        add_stats(&l->door->ended, l->plain);
    plain_free(l->plain);
    mem_free(l);
}

static int bind_line(struct rtp_door *d, struct line *l, uint16_t port)
{
    struct addr at = d->cfg.at;
    uint32_t n = d->cfg.last >= d->cfg.first ? d->cfg.last - d->cfg.first + 1u : 1;
    int err = -EADDRINUSE;

    at.port = port;
    if (port != 0 || d->cfg.first == 0)
        return udp_open_at(&l->udp, &at);
    for (uint32_t i = 0; i < n && err == -EADDRINUSE; i++) {
        at.port = (uint16_t)(d->cfg.first + (d->next + i) % n);
        err = udp_open_at(&l->udp, &at);
    }
    d->next = (uint16_t)((at.port - d->cfg.first + 1u) % n); /* one that was freed rests */
    return err;
}

int rtp_door_add(struct rtp_door *d, uint16_t *port, const char *id, uint32_t channel)
{
    struct line *l = d->line_n == RTP_DOOR_PORTS_MAX ? NULL : mem_zero(sizeof *l);

    if (l == NULL)
        return d->line_n == RTP_DOOR_PORTS_MAX ? E_LIMIT : E_NOMEM;
    *l = (struct line){.door = d, .channel = channel, .publisher = {.ops = &publisher_ops}};
    l->udp.fd4 = l->udp.fd6 = -1;
    size_t n = strlen(id);
    int err = n + sizeof "65535" <= sizeof l->id ? bind_line(d, l, *port) : E_INVAL;
    if (err == 0 && n > 0 && id[n - 1] == '_')
        (void)snprintf(l->id, sizeof l->id, "%s%u", id, l->udp.port); /* fits */
    else if (err == 0)
        memcpy(l->id, id, n + 1);
    if (err == 0)
        err = plain_open(&l->plain);
    if (err == 0)
        err = loop_watch(d->cfg.loop, &l->watch, l->udp.fd4 >= 0 ? l->udp.fd4 : l->udp.fd6,
                         LOOP_READ, on_readable, l);
    if (err) {
        free_line(l, loop_tick(d->cfg.loop));
        return err;
    }
    *port = l->udp.port;
    d->line[d->line_n++] = l;
    return 0;
}

bool rtp_door_remove(struct rtp_door *d, uint16_t port, struct tick tick)
{
    for (uint32_t i = 0; i < d->line_n; i++) {
        struct line *l = d->line[i];
        if (l->udp.port != port)
            continue;
        d->line[i] = d->line[--d->line_n];
        free_line(l, tick);
        return true;
    }
    return false;
}

int rtp_door_open(struct rtp_door **ret, const struct rtp_door_cfg *cfg)
{
    struct rtp_door *d = mem_zero(sizeof *d);

    if (d == NULL)
        return E_NOMEM;
    d->cfg = *cfg;
    pkt_slab_init(&d->slab, UDP_BATCH);
    int err = tx_init(&d->tx, TX_ARENA_BYTES);
    for (unsigned i = 0; i < UDP_BATCH && err == 0; i++) {
        d->batch[i] = pkt_take(&d->slab);
        if (d->batch[i] == NULL)
            err = E_NOMEM;
    }
    if (err) {
        rtp_door_free(d);
        return err;
    }
    *ret = d;
    return 0;
}

void rtp_door_free(struct rtp_door *d)
{
    if (d == NULL)
        return;
    for (uint32_t i = 0; i < d->line_n; i++)
        free_line(d->line[i], loop_tick(d->cfg.loop));
    for (unsigned i = 0; i < UDP_BATCH && d->batch[i] != NULL; i++)
        pkt_drop(&d->slab, d->batch[i]);
    pkt_slab_fini(&d->slab);
    tx_fini(&d->tx);
    mem_free(d);
}

void rtp_door_shut(struct rtp_door *d)
{
    d->stopped = true;
}

void rtp_door_stop(struct rtp_door *d, struct tick tick)
{
    d->stopped = true;
    for (uint32_t i = 0; i < d->line_n; i++) {
        onair_end(d->cfg.onair, &d->line[i]->publisher, true, tick);
        d->line[i]->state = LINE_IDLE;
    }
}

void rtp_door_round(struct rtp_door *d, struct tick tick)
{
    for (uint32_t i = 0; i < d->line_n; i++) {
        struct line *l = d->line[i];
        ask_missing(l, tick.now);
        drain(l, tick);
        send_datagrams(l);
    }
}

us_t rtp_door_deadline(const struct rtp_door *d)
{
    us_t at = US_NEVER;

    for (uint32_t i = 0; i < d->line_n; i++) {
        const struct line *l = d->line[i];
        at = us_min(at, plain_deadline(l->plain));
        if (l->state == LINE_REFUSED)
            at = us_min(at, l->retry_at);
    }
    return at;
}

void rtp_door_get_counts(const struct rtp_door *d, struct rtp_door_counts *out)
{
    *out = (struct rtp_door_counts){.ports = d->line_n, .media = d->ended};
    for (uint32_t i = 0; i < d->line_n; i++) {
        out->streams += d->line[i]->state == LINE_ON;
        add_stats(&out->media, d->line[i]->plain);
    }
}
