#include "app/relay.h"

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/plain.h"
#include "io/connect.h"
#include "io/fetch.h"
#include "io/net.h"
#include "io/tcp.h"
#include "io/udp.h"
#include "wire/rtp.h"
#include "wire/url.h"

#include <stdio.h>

enum { TX_ARENA_BYTES = 256 << 10, URL_BYTES_MAX = 1024, HEADER_BYTES_MAX = 600 };

enum feed_state {
    FEED_LOOKING, /* for the server's address */
    FEED_ASKING,  /* POST is under way */
    FEED_WAITING, /* until again_at */
    FEED_ON,
    FEED_ENDING, /* DELETE is under way */
    FEED_OVER,
};

struct feed {
    struct relay *relay;
    struct publisher *publisher; /* NULL: it has left */
    enum feed_state state;
    uint64_t id; /* of requests */
    struct connect *connect;
    struct path path; /* where its packets go */
    uint16_t port;
    bool owned; /* by POST: DELETE is owed */
    us_t since, again_at;
    uint16_t seq[2];
    uint32_t ssrc[2];
};

struct relay {
    struct relay_cfg cfg;
    struct url url;
    char base[URL_BYTES_MAX], bearer[HEADER_BYTES_MAX];
    struct fetch *fetch;
    struct udp udp;
    struct tx tx;
    struct rng rng;
    uint64_t last_id;
    struct feed *feed[RELAY_STREAMS_MAX];
    uint32_t feed_n;
    uint64_t packets, refused, gave_up;
};

/* ---- life ---- */

int relay_open(struct relay **ret, const struct relay_cfg *cfg)
{
    const struct fetch_cfg fetch = {.loop = cfg->loop, .user_agent = "sluice/" SLUICE_VERSION};
    struct relay *r = mem_zero(sizeof *r);

    if (r == NULL)
        return E_NOMEM;
    *r = (struct relay){.cfg = *cfg, .rng = rng_seed(cfg->seed), .udp = {.fd4 = -1, .fd6 = -1}};
    size_t n = strcspn(cfg->url, "?#");
    while (n > 0 && cfg->url[n - 1] == '/')
        n--;
    bool http = strncmp(cfg->url, "http://", 7) == 0 || strncmp(cfg->url, "https://", 8) == 0;
    int err = http && str_copy(r->base, sizeof r->base, bytes_of(cfg->url, n)) ? 0 : E_INVAL;
    if (!err)
        err = url_parse(&r->url, r->base);
    int len = snprintf(r->bearer, sizeof r->bearer, "Bearer %s", cfg->secret);
    if (!err && len >= (int)sizeof r->bearer)
        err = E_TOO_LARGE;
    if (!err)
        err = fetch_open(&r->fetch, &fetch);
    if (!err)
        err = udp_open(&r->udp, 0);
    if (!err)
        err = tx_init(&r->tx, TX_ARENA_BYTES);
    if (err) {
        relay_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

static void free_feed(struct feed *f)
{
    connect_free(f->connect);
    mem_free(f);
}

void relay_free(struct relay *r)
{
    if (r == NULL)
        return;
    for (uint32_t i = 0; i < r->feed_n; i++)
        free_feed(r->feed[i]);
    fetch_free(r->fetch);
    udp_close(&r->udp);
    tx_fini(&r->tx);
    mem_wipe(r->bearer, sizeof r->bearer);
    mem_free(r);
}

const char *relay_key(const struct relay *r)
{
    return r->cfg.key;
}

/* ---- the server's words ---- */

static void give_up(struct feed *f, const char *reason)
{
    struct publisher *p = f->publisher;

    f->publisher = NULL;
    f->state = f->owned ? FEED_ENDING : FEED_OVER;
    f->relay->gave_up++;
    if (p != NULL)
        p->ops->kick(p, reason);
}

static void again(struct feed *f, us_t now, const char *reason)
{
    f->relay->refused++;
    if (f->publisher == NULL)
        f->state = FEED_OVER;
    else if (now - f->since >= RELAY_GIVE_UP_US)
        give_up(f, reason);
    else
        f->state = FEED_WAITING;
    f->again_at = now + RELAY_RETRY_US;
}

static int request(struct feed *f, const char *method, const char *query, us_t now)
{
    struct relay *r = f->relay;
    char url[URL_BYTES_MAX + 64];
    const struct http_header bearer = {.name = "Authorization", .value = r->bearer};
    struct ask ask = {.id = ++r->last_id,
                      .method = method,
                      .url = url,
                      .header = &bearer,
                      .header_n = r->cfg.secret[0] != '\0',
                      .timeout_us = RELAY_ASK_US,
                      .answer_max = RELAY_BODY_MAX};

    (void)snprintf(url, sizeof url, "%s/stream%s", r->base, query); /* fits */
    f->id = ask.id;
    return fetch_start(r->fetch, 0, &ask, now);
}

static void on_connect(void *owner, int fd)
{
    struct feed *f = owner;
    us_t now = loop_tick(f->relay->cfg.loop).now;

    f->connect = NULL;
    bool known = fd >= 0 && net_peer(fd, &f->path.remote);
    if (fd >= 0)
        tcp_close(fd);
    f->state = FEED_ASKING;
    if (!known || request(f, "POST", "", now) < 0)
        again(f, now, "the WebRTC server cannot be reached");
}

static void look(struct feed *f, us_t now)
{
    const struct url *u = &f->relay->url;

    f->state = FEED_LOOKING;
    if (connect_open(&f->connect, f->relay->cfg.loop, u->host, u->port, on_connect, f) < 0)
        again(f, now, "the WebRTC server cannot be reached");
}

static bool read_port(struct bytes body, uint16_t *port)
{
    struct json_doc doc;
    int64_t n = 0;

    if (json_parse(&doc, body, RELAY_BODY_MAX) != 0)
        return false;
    bool ok = json_to_i64(json_member(doc.root, "port"), &n) && n > 0 && n <= UINT16_MAX;
    json_close(&doc);
    if (ok)
        *port = (uint16_t)n;
    return ok;
}

static void on_port(struct feed *f, const struct reply *a, us_t now)
{
    bool old = a->err == 0 && (a->status == 404 || a->status == 405); /* Lightspeed: one stream */

    f->owned = a->err == 0 && a->status == 200 && read_port(a->body, &f->port);
    if (!f->owned && !old) {
        LOG_W("relay", "status=%d error=\"%s\"", a->status, a->err ? err_text(a->err) : "");
        again(f, now,
              a->status == 401 ? "the WebRTC server wants a secret"
                               : "the WebRTC server takes no stream");
        return;
    }
    if (old)
        f->port = RELAY_PORT;
    f->path.remote.port = f->port;
    f->state = FEED_ON;
    LOG_I("relay", "port=%u", f->port);
    if (f->publisher == NULL)
        f->state = f->owned ? FEED_ENDING : FEED_OVER;
}

static void on_reply(struct relay *r, const struct reply *a, us_t now)
{
    for (uint32_t i = 0; i < r->feed_n; i++) {
        struct feed *f = r->feed[i];
        if (f->id != a->id)
            continue;
        f->id = 0;
        if (f->state == FEED_ASKING)
            on_port(f, a, now);
        else if (f->state == FEED_ENDING)
            f->state = FEED_OVER; /* whatever it says */
        return;
    }
}

/* ---- publishers ---- */

static struct feed *find(const struct relay *r, const struct publisher *p)
{
    for (uint32_t i = 0; i < r->feed_n; i++) {
        if (r->feed[i]->publisher == p)
            return r->feed[i];
    }
    return NULL;
}

static void leave(struct feed *f)
{
    f->publisher = NULL;
    if (f->state == FEED_ON)
        f->state = f->owned ? FEED_ENDING : FEED_OVER;
    else if (f->state == FEED_WAITING || f->state == FEED_LOOKING)
        f->state = FEED_OVER; /* asking: when the answer comes */
}

int relay_start(struct relay *r, struct publisher *p, struct tick tick)
{
    struct feed *f = NULL;

    for (uint32_t i = 0; i < r->feed_n; i++) {
        struct publisher *old = r->feed[i]->publisher;
        if (old == NULL || old->channel != p->channel)
            continue;
        f = r->feed[i];
        f->publisher = p; /* the viewers stay */
        old->ops->kick(old, "another publisher took over");
        return 0;
    }
    if (r->feed_n == RELAY_STREAMS_MAX)
        return E_LIMIT;
    f = mem_zero(sizeof *f);
    if (f == NULL)
        return E_NOMEM;
    *f = (struct feed){.relay = r, .publisher = p, .since = tick.now};
    for (int i = 0; i < 2; i++) {
        f->seq[i] = (uint16_t)rng_u64(&r->rng);
        f->ssrc[i] = (uint32_t)rng_u64(&r->rng);
    }
    r->feed[r->feed_n++] = f;
    look(f, tick.now);
    return 0;
}

void relay_media(struct relay *r, const struct publisher *p, const struct media *m)
{
    struct feed *f = find(r, p);

    if (f == NULL || f->state != FEED_ON || m->kind != MEDIA_RTP ||
        m->data.len + RTP_HEADER_BYTES > TX_DATAGRAM_MAX)
        return;
    f->seq[m->video] = (uint16_t)(f->seq[m->video] + 1 + m->lost_n);
    const struct rtp_header h = {.ts = m->rtp_ts,
                                 .ssrc = f->ssrc[m->video],
                                 .seq = f->seq[m->video],
                                 .pt = m->video ? PLAIN_VIDEO_PT : PLAIN_AUDIO_PT,
                                 .marker = m->marker};
    uint32_t len = RTP_HEADER_BYTES + (uint32_t)m->data.len;
    uint8_t *room = tx_claim(&r->tx, len);
    if (room == NULL)
        return;                                     /* lost like any */
    (void)rtp_write_header(room, len, &h, NULL, 0); /* fits */
    memcpy(room + RTP_HEADER_BYTES, m->data.p, m->data.len);
    tx_commit(&r->tx, &f->path, len, m->video ? TX_VIDEO : TX_AUDIO);
    r->packets++;
}

void relay_end(struct relay *r, const struct publisher *p)
{
    struct feed *f = find(r, p);

    if (f != NULL)
        leave(f);
}

void relay_stop(struct relay *r)
{
    for (uint32_t i = 0; i < r->feed_n; i++) {
        struct publisher *p = r->feed[i]->publisher;
        leave(r->feed[i]);
        if (p != NULL)
            p->ops->kick(p, "the service stops");
    }
}

bool relay_busy(const struct relay *r)
{
    return r->feed_n > 0;
}

/* ---- time ---- */

static void step(struct feed *f, us_t now)
{
    char query[32];

    if (f->state == FEED_WAITING && now >= f->again_at)
        look(f, now);
    if (f->state == FEED_ENDING && f->id == 0) {
        (void)snprintf(query, sizeof query, "?port=%u", f->port); /* fits */
        if (request(f, "DELETE", query, now) < 0)
            f->state = FEED_OVER;
    }
}

void relay_round(struct relay *r, struct tick tick)
{
    struct reply reply;
    uint32_t tag;

    if (!tx_empty(&r->tx))
        udp_send(&r->udp, &r->tx);
    tx_clear(&r->tx);
    fetch_tick(r->fetch, tick.now);
    while (fetch_done(r->fetch, &tag, &reply))
        on_reply(r, &reply, tick.now);
    for (uint32_t i = 0; i < r->feed_n;) {
        struct feed *f = r->feed[i];
        step(f, tick.now);
        if (f->state == FEED_OVER) {
            r->feed[i] = r->feed[--r->feed_n];
            free_feed(f);
        } else {
            i++;
        }
    }
}

us_t relay_deadline(const struct relay *r)
{
    us_t at = fetch_deadline(r->fetch);

    for (uint32_t i = 0; i < r->feed_n; i++) {
        const struct feed *f = r->feed[i];
        if (f->state == FEED_WAITING)
            at = us_min(at, f->again_at);
        else if (f->state == FEED_OVER || (f->state == FEED_ENDING && f->id == 0))
            at = 0;
    }
    return at;
}

void relay_get_counts(const struct relay *r, struct relay_counts *out)
{
    *out = (struct relay_counts){
        .streams = r->feed_n, .packets = r->packets, .refused = r->refused, .gave_up = r->gave_up};
}
