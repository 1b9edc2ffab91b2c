#include "sim/platform.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/cert.h"
#include "crypt/dtls.h"
#include "crypt/token.h"
#include "rtc/assoc.h"
#include "rtc/peer.h"
#include "sim/clock.h"
#include "wire/http.h"

#include <stdio.h>

enum {
    BATCH = 32,
    BLOCKED_RETRY_US = 1000,
    EMPTY_TIMEOUT_S = 10,
    DEPARTURE_TIMEOUT_S = 5,
    EMPTY_LIMIT_US = 90 * 1000 * 1000,
    LIVE_US = 1500 * 1000, /* a track not heard for longer is not received */
    STALE_WINDOW_US = 2 * 1000 * 1000,
    PORT_FIRST = 20000,
    NOISE_US = 20 * 1000,
    TREE_DEPTH = 4,
    FAULT_ECHO_US = 2 * 1000 * 1000,
};

/* Letters of a WebSocket. */
enum { WIRE_MESSAGE, WIRE_TEXT, WIRE_CLOSED, WIRE_ACCEPT, WIRE_REFUSED };

static const char key_id[] = "devkey", key_secret[] = "a secret of the simulation, 32 ch";

static void fold(struct platform *p, const void *data, size_t len)
{
    const uint8_t *b = data;

    for (size_t i = 0; i < len; i++)
        p->hash = (p->hash ^ b[i]) * 0x100000001b3;
}

static void fold_u64(struct platform *p, uint64_t v)
{
    fold(p, &v, sizeof v);
}

static void must(struct platform *p, bool held, const char *invariant)
{
    if (held || p->broken != NULL)
        return;
    p->broken = invariant;
    fprintf(stderr, "seed %llu, %lld us: broken: %s\n", (unsigned long long)p->cfg.seed,
            (long long)p->now, invariant);
}

static struct tick tick_of(const struct platform *p)
{
    return (struct tick){.now = p->now, .wall_off_us = (int64_t)CLOCK_EPOCH_S * US_PER_SEC};
}

static us_t ring_at(struct platform *p)
{
    return p->now + (p->cfg.ring_us > 0 ? (us_t)rng_below(&p->rng, (uint64_t)p->cfg.ring_us) : 0);
}

static bool chance(struct platform *p, uint32_t ppm)
{
    return ppm > 0 && rng_below(&p->rng, NETEM_PPM) < ppm;
}

/* --- life --- */

static void shard_addr(struct addr *a, uint32_t shard)
{
    static const uint8_t ip[4] = {192, 0, 2, 1};

    addr_set_ip4(a, ip, (uint16_t)(7882 + shard));
}

static void open_server(struct platform *p)
{
    struct node_cfg *n = &p->node_cfg;

    *n = (struct node_cfg){.seed = rng_u64(&p->rng),
                           .key = {{key_id, key_secret}},
                           .key_n = 1,
                           .shard_n = p->cfg.shard_n,
                           .peers_per_shard_soft = p->cfg.peers_per_shard_soft,
                           .fingerprint = bytes_of(p->cert->fingerprint.digest, 32),
                           .region = "",
                           .auto_create = true,
                           .empty_timeout_s = EMPTY_TIMEOUT_S,
                           .departure_timeout_s = DEPARTURE_TIMEOUT_S,
                           .candidate_n = p->cfg.shard_n};
    for (uint32_t i = 0; i < p->cfg.shard_n; i++) {
        struct shard_cfg sc = {.index = (uint8_t)i, .cert = p->cert, .seed = rng_u64(&p->rng)};
        n->candidate[i].shard = (uint8_t)i;
        shard_addr(&n->candidate[i].addr, i);
        int err = shard_open(&p->shard[i], &sc);
        assert(err == 0);
    }
    int err = node_open(&p->node, n, tick_of(p));
    assert(err == 0);
}

void platform_open(struct platform *p, const struct platform_cfg *cfg)
{
    assert(cfg->shard_n >= 1 && cfg->shard_n <= PLATFORM_SHARDS_MAX);
    memset(p, 0, sizeof *p);
    p->cfg = *cfg;
    p->rng = rng_seed(cfg->seed);
    p->now = US_PER_SEC;
    p->hash = 0xcbf29ce484222325;
    p->retry_at = US_NEVER;
    p->closes_at = INT64_MIN / 2;
    p->conn_next = 1;
    clock_begin(cfg->seed);
    clock_set(p->now);
    int err = cert_make(&p->cert, CLOCK_EPOCH_S);
    assert(err == 0);
    err = cert_make(&p->bot_cert, CLOCK_EPOCH_S);
    assert(err == 0);
    err = dtls_ctx_open(&p->bot_dtls, p->bot_cert);
    assert(err == 0);
    open_server(p);
}

static void seat_fini(struct seat *s)
{
    if (s->bot.client != NULL)
        bot_close(&s->bot);
    mail_fini(&s->to_node);
    mail_fini(&s->to_bot);
    netem_free(s->up);
    netem_free(s->down);
    mem_free(s->stream);
}

void platform_close(struct platform *p)
{
    for (uint32_t i = 0; i < p->seat_n; i++)
        seat_fini(&p->seat[i]);
    node_free(p->node);
    for (uint32_t i = 0; i < p->cfg.shard_n; i++) {
        shard_free(p->shard[i]);
        mail_fini(&p->cmds[i]);
        mail_fini(&p->relays[i]);
        mail_fini(&p->evts[i]);
    }
    dtls_ctx_free(p->bot_dtls);
    cert_free(p->bot_cert);
    cert_free(p->cert);
}

/* --- joining --- */

static void mint(struct platform *p, const char *identity, uint32_t room, struct str *out)
{
    struct token_claims *c = mem_zero(sizeof *c);
    char name[16];

    assert(c != NULL);
    (void)snprintf(name, sizeof name, "room-%u", room);
    c->issuer = key_id;
    c->identity = identity;
    c->name = c->metadata = c->kind = c->room_preset = c->sha256 = "";
    c->expires_s = CLOCK_EPOCH_S + p->now / US_PER_SEC + 3600;
    c->has_video = true;
    c->video.room_join = true;
    c->video.room_admin = c->video.room_create = identity[0] == '\0';
    c->video.room = name;
    c->video.destination_room = "";
    bool ok = token_mint(out, c, bytes_str(key_secret));
    assert(ok);
    mem_free(c);
}

static void seat_init(struct platform *p, uint32_t i)
{
    struct seat *s = &p->seat[i];
    uint8_t inside[4] = {10, 0, 0, (uint8_t)(i + 2)}, outside[4] = {198, 51, 100, (uint8_t)(i + 2)};

    addr_set_ip4(&s->local, inside, 40000);
    addr_set_ip4(&s->public_addr, outside, PORT_FIRST);
    s->stream = mem_array(PLATFORM_STREAMS_MAX, sizeof *s->stream);
    assert(s->stream != NULL);
    int err = netem_open(&s->up, &p->cfg.net, rng_u64(&p->rng));
    assert(err == 0);
    err = netem_open(&s->down, &p->cfg.net, rng_u64(&p->rng));
    assert(err == 0);
}

static bool lossless(const struct platform *p)
{
    const struct netem_cfg *n = &p->cfg.net;

    return n->loss_ppm == 0 && n->reorder_ppm == 0 && n->jitter_us == 0 && n->duplicate_ppm == 0 &&
           n->corrupt_ppm == 0 && n->rate_bps == 0 && p->cfg.shed_ppm == 0;
}

static uint32_t join(struct platform *p, uint32_t room, const char *identity, bool noisy)
{
    uint32_t i = 0;

    while (i < p->seat_n && p->seat[i].state != SEAT_FREE)
        i++;
    assert(i < PLATFORM_BOTS_MAX && p->origin_n < PLATFORM_ORIGINS_MAX);
    if (i == p->seat_n) {
        seat_init(p, i);
        p->seat_n++;
    }
    struct seat *s = &p->seat[i];
    struct bot_cfg bc = {.serial = p->origin_n,
                         .room = room,
                         .identity = identity,
                         .hostile = noisy,
                         .deaf = p->deaf,
                         .resumes = p->resumes,
                         .dtls = p->bot_dtls,
                         .fingerprint = p->bot_cert->text,
                         .seed = rng_u64(&p->rng)};
    p->origin[p->origin_n++] = (struct origin){.seat = i, .room = room, .hostile = noisy};
    s->bot.strict = lossless(p) && p->now > p->faulty_until;
    int err = bot_open(&s->bot, &bc, p->now);
    assert(err == 0);
    client_add_address(s->bot.client, &s->local);
    s->state = SEAT_DIALING;
    s->conn = p->conn_next++;
    s->room = room;
    s->noisy = noisy;
    s->noise_at = noisy ? p->now : US_NEVER;
    s->dial_at = p->now + p->cfg.signal_us;
    s->public_addr.port = (uint16_t)(PORT_FIRST + (bc.serial * PLATFORM_PORTS) % 40000);
    s->port_first = s->public_addr.port;
    s->stream_n = 0;
    return i;
}

uint32_t platform_join(struct platform *p, uint32_t room, bool noisy)
{
    char identity[BOT_IDENTITY_MAX];

    (void)snprintf(identity, sizeof identity, "bot-%u", p->origin_n); /* fits */
    return join(p, room, identity, noisy);
}

uint32_t platform_join_as(struct platform *p, uint32_t room, const char *identity)
{
    return join(p, room, identity, false);
}

static void dial(struct platform *p, struct seat *s)
{
    struct str token, target;
    struct http_header h[2] = {{.name = "host", .value = "sim"}, {.name = "authorization"}};
    struct http_msg m = {.method = "GET", .header = h, .header_n = 2, .upgrade = true};

    s->dial_at = US_NEVER;
    str_init(&token, TOKEN_BYTES_MAX);
    str_init(&target, 1 << 20);
    str_add(&token, "Bearer ");
    mint(p, s->bot.identity, s->room, &token);
    int err = client_target(s->bot.client, &target);
    assert(err == 0 && !target.failed);
    char *query = strchr(target.p, '?');
    *query++ = '\0';
    m.path = target.p;
    m.query = query;
    h[1].value = str_text(&token);
    s->state = SEAT_OPEN;
    s->due_at = bot_deadline(&s->bot);
    bool known = node_http(p->node, s->conn, &m, &s->public_addr, tick_of(p));
    must(p, known, "the signalling route is there");
    p->node_poked = true;
    str_fini(&token);
    str_fini(&target);
}

static struct seat *by_conn(struct platform *p, uint64_t conn)
{
    for (uint32_t i = 0; i < p->seat_n; i++)
        if (p->seat[i].state != SEAT_FREE && p->seat[i].conn == conn)
            return &p->seat[i];
    return NULL;
}

/* --- out of a shard --- */

static bool is_media(const uint8_t *d, size_t len)
{
    return len >= 12 && d[0] >= 0x80 && d[0] < 0xc0 && (d[1] < 192 || d[1] > 223);
}

static struct platform_stream *stream_of(struct seat *s, uint32_t ssrc)
{
    for (uint32_t i = 0; i < s->stream_n; i++)
        if (s->stream[i].ssrc == ssrc)
            return &s->stream[i];
    if (s->stream_n == PLATFORM_STREAMS_MAX)
        return NULL;
    struct platform_stream *st = &s->stream[s->stream_n++];
    *st = (struct platform_stream){.ssrc = ssrc};
    return st;
}

/* The number and the key make the cipher's nonce: a second datagram under the same number, if it
 * is not the same datagram, gives its content away (RFC 3711 s9.1, RFC 7714 s8.1). */
static void check_media(struct platform *p, struct seat *s, struct bytes d)
{
    uint16_t seq = load_u16(d.p + 2);
    struct platform_stream *st = stream_of(s, load_u32(d.p + 8));
    uint64_t print = 0xcbf29ce484222325;

    must(p, st != NULL, "a bot is sent as many streams as there are tracks");
    if (st == NULL)
        return;
    for (size_t i = 0; i < d.len; i++)
        print = (print ^ d.p[i]) * 0x100000001b3;
    unsigned at = seq % PLATFORM_STREAM_WINDOW;
    int16_t ahead = st->n > 0 ? (int16_t)(uint16_t)(seq - st->highest) : 1;
    if (st->print[at] != 0 && st->seq[at] == seq)
        must(p, st->print[at] == print, "no number is used for two datagrams");
    else if (s->bot.strict && ahead != 1) {
        fprintf(stderr, "%s: ssrc %u, number %u after %u, packet %llu of it\n", s->bot.identity,
                load_u32(d.p + 8), seq, st->highest, (unsigned long long)st->n);
        must(p, false, "outgoing numbers are contiguous without loss");
    }
    st->seq[at] = seq;
    st->print[at] = print;
    if (ahead > 0)
        st->highest = seq;
    st->n++;
}

static void from_shard(struct platform *p, uint32_t shard, const struct path *path, struct bytes d)
{
    uint32_t i = (uint32_t)path->remote.ip[3] - 2;

    must(p, i < p->seat_n && addr_ip_eq(&path->remote, &p->seat[i].public_addr),
         "the server sends to addresses of bots only");
    if (p->broken != NULL)
        return;
    struct seat *s = &p->seat[i];
    if (s->state == SEAT_FREE || path->remote.port < s->port_first ||
        path->remote.port >= s->port_first + PLATFORM_PORTS)
        return; /* one that went */
    if (is_media(d.p, d.len))
        check_media(p, s, d);
    if (addr_eq(&path->remote, &s->public_addr))
        netem_push(s->down, shard, d, p->now);
}

static void send_trains(struct platform *p, uint32_t shard)
{
    for (struct tx *tx = shard_tx(p->shard[shard]); !tx_empty(tx); tx = shard_tx(p->shard[shard])) {
        for (uint32_t t = 0; t < tx->train_n; t++) {
            const struct tx_train *tr = &tx->train[t];
            for (uint32_t at = 0; at < tr->len; at += tr->seg)
                from_shard(p, shard, &tr->path,
                           bytes_of(tr->bytes + at, size_min(tr->seg, tr->len - at)));
        }
        tx_clear(tx);
    }
}

static void drain_shard(struct platform *p, uint32_t i)
{
    struct bytes record;
    struct evt ev;
    uint8_t to;

    send_trains(p, i);
    while (shard_relay_output(p->shard[i], &to, &record)) {
        must(p, to < p->cfg.shard_n && to != i, "relays lead to other shards");
        if (chance(p, p->cfg.shed_ppm)) {
            shard_relay_shed(p->shard[i]);
            p->sheds++;
            continue;
        }
        p->relayed++;
        mail_put(&p->relays[to], ring_at(p), i, 0, record);
    }
    while (shard_event(p->shard[i], &ev)) {
        if (!evt_urgent(&ev) && chance(p, p->cfg.shed_ppm)) {
            p->sheds++;
            continue;
        }
        mail_put(&p->evts[i], ring_at(p), ev.kind, 0, bytes_of(&ev, evt_len(&ev)));
    }
}

/* --- into a shard --- */

static uint64_t stale_count(const struct platform *p)
{
    return platform_counter(p, SHARD_STALE_COMMAND);
}

static void command(struct platform *p, uint32_t shard, const struct letter *l)
{
    struct cmd c;

    memcpy(&c, l->data, l->len);
    fold_u64(p, c.kind);
    uint64_t before = stale_count(p);
    if (c.kind == CMD_PEER_CLOSE || c.kind == CMD_TRACK_CLOSE || c.kind == CMD_SUB_DETACH ||
        c.kind == CMD_RELAY_CLOSE)
        p->closes_at = p->now;
    shard_command(p->shard[shard], &c, tick_of(p));
    if (stale_count(p) != before) {
        p->stale++;
        if (p->cfg.loud)
            fprintf(stderr, "%lld stale command %u\n", (long long)p->now, c.kind);
        must(p, p->now - p->closes_at < STALE_WINDOW_US, "only what was closed is unknown");
    }
    drain_shard(p, shard);
}

static bool input_datagrams(struct platform *p, uint32_t shard, struct pkt **batch, unsigned n)
{
    if (n == 0)
        return false;
    struct pkt *all[BATCH];
    unsigned lent = shard_lend(p->shard[shard], all, n);
    for (unsigned i = 0; i < n; i++)
        batch[i] = i < lent ? all[i] : NULL;
    return lent == n;
}

/* Datagrams of all bots that are due at this shard, in one batch as a socket would give them. */
static bool arrive(struct platform *p)
{
    struct pkt *batch[PLATFORM_SHARDS_MAX][BATCH];
    unsigned n[PLATFORM_SHARDS_MAX] = {0};
    bool any = false;
    uint64_t tag;
    struct bytes d;

    for (uint32_t i = 0; i < p->seat_n; i++) {
        struct seat *s = &p->seat[i];
        while (netem_pop(s->up, p->now, &tag, &d)) {
            uint32_t shard = (uint32_t)(tag & 0xff);
            struct pkt *pkt;
            any = true;
            if (!input_datagrams(p, shard, &pkt, 1))
                continue;
            fold_u64(p, (uint64_t)p->now);
            fold(p, d.p, d.len);
            pkt->len = (uint16_t)size_min(d.len, PKT_DATA_MAX);
            memcpy(pkt->data, d.p, pkt->len);
            pkt->path.remote = s->public_addr;
            pkt->path.remote.port = (uint16_t)(tag >> 8);
            shard_addr(&pkt->path.local, shard);
            batch[shard][n[shard]++] = pkt;
            if (n[shard] < BATCH)
                continue;
            shard_input(p->shard[shard], batch[shard], n[shard], tick_of(p));
            n[shard] = 0;
            drain_shard(p, shard);
        }
    }
    for (uint32_t k = 0; k < p->cfg.shard_n; k++) {
        if (n[k] == 0)
            continue;
        shard_input(p->shard[k], batch[k], n[k], tick_of(p));
        drain_shard(p, k);
    }
    return any;
}

static bool step_shards(struct platform *p)
{
    bool any = arrive(p);
    struct letter *l;

    for (uint32_t i = 0; i < p->cfg.shard_n; i++) {
        while ((l = mail_take(&p->cmds[i], p->now)) != NULL) {
            command(p, i, l);
            mem_free(l);
            any = true;
        }
        while ((l = mail_take(&p->relays[i], p->now)) != NULL) {
            shard_relay_input(p->shard[i], bytes_of(l->data, l->len), tick_of(p));
            drain_shard(p, i);
            mem_free(l);
            any = true;
        }
        if (shard_deadline(p->shard[i]) <= p->now) {
            shard_tick(p->shard[i], tick_of(p));
            drain_shard(p, i);
            any = true;
        }
    }
    return any;
}

/* --- the node --- */

static void put_command(struct platform *p, const struct node_out *out)
{
    must(p, out->shard < p->cfg.shard_n && !p->blocked[out->shard],
         "nothing is offered for a blocked shard");
    if (chance(p, p->cfg.block_ppm)) {
        p->blocks++;
        p->blocked[out->shard] = true;
        p->retry_at = p->now + BLOCKED_RETRY_US;
        node_cmd_blocked(p->node, out->shard);
        return;
    }
    mail_put(&p->cmds[out->shard], ring_at(p), out->cmd->kind, 0,
             bytes_of(out->cmd, cmd_len(out->cmd)));
}

static void put_wire(struct platform *p, const struct node_out *out)
{
    struct seat *s = by_conn(p, out->conn);
    us_t at = p->now + p->cfg.signal_us;

    if (out->kind == NODE_OUT_HTTP && s == NULL) {
        p->http_conn = out->conn;
        p->http_status = out->status;
        return;
    }
    if (s == NULL)
        return; /* cut meanwhile */
    switch (out->kind) {
    case NODE_OUT_WS_ACCEPT:
        mail_put(&s->to_bot, at, WIRE_ACCEPT, out->conn, (struct bytes){0});
        break;
    case NODE_OUT_WS_SEND:
        mail_put(&s->to_bot, at, out->text ? WIRE_TEXT : WIRE_MESSAGE, out->conn, out->data);
        break;
    case NODE_OUT_WS_CLOSE:
        mail_put(&s->to_bot, at, WIRE_CLOSED, out->conn, (struct bytes){0});
        break;
    case NODE_OUT_HTTP:
        p->refused++;
        mail_put(&s->to_bot, at, WIRE_REFUSED, out->conn, out->data);
        break;
    case NODE_OUT_CMD:
    case NODE_OUT_LOG:
    case NODE_OUT_ASK:
    case NODE_OUT_BUS:
    case NODE_OUT_STORE:
        break;
    }
}

static void drain_node(struct platform *p)
{
    struct node_out out;

    while (node_output(p->node, &out)) {
        fold_u64(p, out.kind);
        if (out.kind == NODE_OUT_CMD)
            put_command(p, &out);
        else if (out.kind == NODE_OUT_STORE)
            node_stored(p->node, out.store.serial, 0, tick_of(p));
        else if (out.kind != NODE_OUT_LOG && out.kind != NODE_OUT_BUS)
            put_wire(p, &out);
        else if (out.kind == NODE_OUT_LOG && p->cfg.loud)
            fprintf(stderr, "%lld %.*s\n", (long long)p->now, (int)out.data.len,
                    (const char *)out.data.p);
    }
}

static void hear_wire(struct platform *p, const struct letter *l)
{
    if (l->kind == WIRE_CLOSED)
        node_conn_closed(p->node, l->tag, tick_of(p));
    else
        node_ws_message(p->node, l->tag, l->kind == WIRE_TEXT, bytes_of(l->data, l->len),
                        tick_of(p));
}

static bool tick_bots(struct platform *p, bool all);

static bool step_node(struct platform *p)
{
    struct letter *l;
    struct evt ev;

    for (uint32_t i = 0; i < p->cfg.shard_n; i++) {
        while ((l = mail_take(&p->evts[i], p->now)) != NULL) {
            memcpy(&ev, l->data, l->len);
            fold_u64(p, ev.kind);
            node_event(p->node, (uint8_t)i, &ev, tick_of(p));
            mem_free(l);
            p->node_poked = true;
        }
    }
    for (uint32_t i = 0; i < p->seat_n; i++) {
        struct seat *s = &p->seat[i];
        if (s->state != SEAT_FREE && s->dial_at <= p->now)
            dial(p, s);
        while ((l = mail_take(&s->to_node, p->now)) != NULL) {
            hear_wire(p, l);
            mem_free(l);
            p->node_poked = true;
        }
    }
    if (!p->node_poked && node_deadline(p->node) > p->now && p->retry_at > p->now)
        return false;
    p->node_poked = false;
    p->retry_at = US_NEVER;
    memset(p->blocked, 0, sizeof p->blocked);
    /* usrsctp's state is of the whole process: its timers serve the bots' associations too. */
    bool timers = assoc_pool_deadline() <= p->now;
    node_tick(p->node, tick_of(p));
    drain_node(p);
    if (timers)
        (void)tick_bots(p, true);
    return true;
}

/* --- bots --- */

static void vacate(struct platform *p, struct seat *s)
{
    struct origin *o = &p->origin[s->bot.serial];

    memcpy(o->sid, s->bot.sid, sizeof o->sid);
    o->gone = true;
    bot_close(&s->bot);
    s->state = SEAT_FREE;
    s->noise_at = US_NEVER;
    s->dial_at = US_NEVER;
}

static void from_bot(struct platform *p, struct seat *s, const struct path *path, struct bytes d)
{
    struct addr to;
    uint32_t shard = (uint32_t)path->remote.port - 7882;

    must(p, shard < p->cfg.shard_n, "bots send to the server only");
    if (shard >= p->cfg.shard_n)
        return;
    s->shard = shard;
    shard_addr(&to, shard);
    must(p, addr_eq(&to, &path->remote), "bots send to the server only");
    netem_push(s->up, shard | (uint64_t)s->public_addr.port << 8, d, p->now);
}

static void capture(struct platform *p, struct bytes msg)
{
    struct platform_capture *c = &p->captured[p->captured_n++ % PLATFORM_CAPTURED_MAX];

    c->len = (uint32_t)size_min(msg.len, sizeof c->data);
    memcpy(c->data, msg.p, c->len);
}

/* Registers what a bot has learnt about itself, for others to be compared with. */
static void enrol(struct platform *p, const struct bot *b)
{
    struct origin *o = &p->origin[b->serial];

    memcpy(o->sid, b->sid, sizeof o->sid);
    for (unsigned t = 0; t < BOT_TRACKS; t++)
        memcpy(o->track[t], b->out[t].sid, sizeof o->track[t]);
}

static void drain_bot(struct platform *p, struct seat *s)
{
    uint8_t buf[PEER_DATAGRAM_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    struct bytes msg;
    struct path path;

    bot_events(&s->bot, p->now);
    while (client_message_output(s->bot.client, &msg)) {
        capture(p, msg);
        mail_put(&s->to_node, p->now + p->cfg.signal_us, WIRE_MESSAGE, s->conn, msg);
    }
    while (client_datagram_output(s->bot.client, &path, &w)) {
        from_bot(p, s, &path, wr_done(&w));
        w = wr_of(buf, sizeof buf);
    }
    enrol(p, &s->bot);
    must(p, s->bot.broken == NULL, s->bot.broken);
    s->due_at = bot_deadline(&s->bot);
    if (!s->bot.ended)
        return;
    mail_put(&s->to_node, p->now + p->cfg.signal_us, WIRE_CLOSED, s->conn, (struct bytes){0});
    vacate(p, s);
}

static void check_body(struct platform *p, const struct seat *s, const struct client_media *m,
                       const struct bot_body *body)
{
    const struct bot_heard *h = &s->bot.heard[m->track];

    must(p, body->sender < p->origin_n && body->track < BOT_TRACKS, "senders exist");
    if (p->broken != NULL)
        return;
    const struct origin *o = &p->origin[body->sender];
    must(p, o->room == s->room, "no packet reaches another room");
    must(p, body->sender != s->bot.serial, "nobody receives himself");
    if (o->track[body->track][0] != '\0')
        must(p, strcmp(o->track[body->track], h->sid) == 0, "a section carries the track it names");
}

static bool is_hostile(const struct platform *p, const char *sid)
{
    for (uint32_t i = 0; i < p->origin_n; i++)
        if (p->origin[i].hostile && strcmp(p->origin[i].sid, sid) == 0)
            return true;
    return false;
}

static void to_client(struct platform *p, struct seat *s, uint32_t shard, struct bytes d)
{
    struct path path = {.local = s->local};
    uint8_t copy[NETEM_DATAGRAM_MAX];
    struct client_media media;
    struct bot_body body;

    fold_u64(p, (uint64_t)p->now);
    fold(p, d.p, d.len);
    memcpy(copy, d.p, d.len);
    shard_addr(&path.remote, shard);
    if (!client_datagram(s->bot.client, &path, copy, d.len, tick_of(p), &media))
        return;
    p->media_n++;
    if (bot_media(&s->bot, &media, p->now, &body))
        check_body(p, s, &media, &body);
    else
        must(p, is_hostile(p, s->bot.heard[media.track].publisher), "payloads arrive as sent");
}

static bool hear_server(struct platform *p, struct seat *s)
{
    struct letter *l = mail_take(&s->to_bot, p->now);

    if (l == NULL)
        return false;
    if (s->state != SEAT_FREE && l->tag == s->conn) {
        fold_u64(p, l->len);
        if (l->kind == WIRE_MESSAGE)
            client_message(s->bot.client, false, bytes_of(l->data, l->len), tick_of(p));
        else if (l->kind == WIRE_REFUSED || l->kind == WIRE_CLOSED)
            client_socket_closed(s->bot.client);
        drain_bot(p, s);
    }
    mem_free(l);
    return true;
}

static bool hear_network(struct platform *p, struct seat *s)
{
    uint64_t tag;
    struct bytes d;
    bool any = false;

    while (netem_pop(s->down, p->now, &tag, &d)) {
        any = true;
        if (s->state == SEAT_FREE)
            continue;
        to_client(p, s, (uint32_t)tag, d);
        drain_bot(p, s);
    }
    return any;
}

static bool tick_bots(struct platform *p, bool all)
{
    bool any = false;

    for (uint32_t i = 0; i < p->seat_n; i++) {
        struct seat *s = &p->seat[i];
        bool due = s->state == SEAT_OPEN && s->due_at <= p->now;
        if (s->state != SEAT_OPEN || !(all || due))
            continue;
        client_tick(s->bot.client, tick_of(p));
        bot_tick(&s->bot, tick_of(p));
        drain_bot(p, s);
        any = any || due;
    }
    return any;
}

/* --- a hostile bot --- */

/* A tree of fields with numbers that exist and types that may not fit. */
static size_t random_tree(struct rng *rng, uint8_t *out, size_t cap, int depth)
{
    size_t n = 0, fields = 1 + (size_t)rng_below(rng, 4);

    for (size_t f = 0; f < fields && n + 12 < cap; f++) {
        uint32_t field = 1 + (uint32_t)rng_below(rng, depth == TREE_DEPTH ? 22 : 12);
        bool nested = rng_below(rng, 3) > 0;
        uint32_t key = field << 3 | (nested ? 2 : 0);
        if (key >= 128) {
            out[n++] = (uint8_t)(key & 127) | 128;
            out[n++] = (uint8_t)(key >> 7);
        } else {
            out[n++] = (uint8_t)key;
        }
        if (!nested) {
            out[n++] = (uint8_t)rng_below(rng, 128);
            continue;
        }
        size_t len = depth > 0
                         ? random_tree(rng, out + n + 1, size_min(cap - n - 1, 120), depth - 1)
                         : (size_t)rng_below(rng, 10);
        if (depth == 0)
            memset(out + n + 1, 'a', len);
        out[n] = (uint8_t)len;
        n += 1 + len;
    }
    return n;
}

static void noise_signal(struct platform *p, struct seat *s)
{
    uint8_t buf[2048];
    size_t len = 0;

    switch (rng_below(&p->rng, 3)) {
    case 0:
        len = random_tree(&p->rng, buf, sizeof buf, TREE_DEPTH);
        break;
    case 1:
        len = (size_t)rng_below(&p->rng, 100);
        rng_fill(&p->rng, buf, len);
        break;
    default: { /* what somebody said, bent */
        if (p->captured_n == 0)
            return;
        uint64_t have =
            p->captured_n < PLATFORM_CAPTURED_MAX ? p->captured_n : PLATFORM_CAPTURED_MAX;
        const struct platform_capture *c = &p->captured[rng_below(&p->rng, have)];
        len = c->len;
        memcpy(buf, c->data, len);
        for (uint64_t k = rng_below(&p->rng, 4); k > 0 && len > 0; k--)
            buf[rng_below(&p->rng, len)] ^= (uint8_t)(1u << rng_below(&p->rng, 8));
        break;
    }
    }
    mail_put(&s->to_node, p->now + p->cfg.signal_us, WIRE_MESSAGE, s->conn, bytes_of(buf, len));
}

static void noise_datagram(struct platform *p, struct seat *s)
{
    static const uint8_t first[] = {0, 1, 20, 22, 23, 63, 0x80, 0x90, 0xa0, 64};
    uint8_t buf[300];
    size_t len = 1 + (size_t)rng_below(&p->rng, sizeof buf - 1);

    rng_fill(&p->rng, buf, len);
    buf[0] = first[rng_below(&p->rng, sizeof first)];
    netem_push(s->up, rng_below(&p->rng, p->cfg.shard_n) | (uint64_t)s->public_addr.port << 8,
               bytes_of(buf, len), p->now);
}

static void make_noise(struct platform *p)
{
    for (uint32_t i = 0; i < p->seat_n; i++) {
        struct seat *s = &p->seat[i];
        if (s->state != SEAT_OPEN || p->now < s->noise_at)
            continue;
        s->noise_at = p->now + 1 + (us_t)rng_below(&p->rng, NOISE_US);
        noise_datagram(p, s);
        if (s->bot.joined && rng_below(&p->rng, 3) == 0)
            noise_signal(p, s);
    }
}

/* --- steps --- */

static us_t deadline(const struct platform *p)
{
    us_t at = us_min(node_deadline(p->node), p->retry_at);

    for (uint32_t i = 0; i < p->cfg.shard_n; i++) {
        at = us_min(at, shard_deadline(p->shard[i]));
        at = us_min(at, us_min(mail_deadline(&p->cmds[i]), mail_deadline(&p->relays[i])));
        at = us_min(at, mail_deadline(&p->evts[i]));
    }
    for (uint32_t i = 0; i < p->seat_n; i++) {
        const struct seat *s = &p->seat[i];
        at = us_min(at, us_min(netem_deadline(s->up), netem_deadline(s->down)));
        at = us_min(at, us_min(mail_deadline(&s->to_node), mail_deadline(&s->to_bot)));
        if (s->state == SEAT_DIALING)
            at = us_min(at, s->dial_at);
        else if (s->state == SEAT_OPEN)
            at = us_min(at, us_min(us_min(s->due_at, s->noise_at), s->dial_at));
    }
    return at;
}

static void check(struct platform *p)
{
    for (uint32_t i = 0; i < p->cfg.shard_n; i++)
        must(p, shard_deadline(p->shard[i]) > p->now, "a shard leaves no deadline in the past");
    must(p, node_deadline(p->node) > p->now, "the node leaves no deadline in the past");
    for (uint32_t i = 0; i < p->seat_n; i++)
        must(p, p->seat[i].state != SEAT_OPEN || p->seat[i].due_at > p->now,
             "a bot leaves no deadline in the past");
}

static void step(struct platform *p)
{
    int rounds = 0;
    bool any = true;

    clock_set(p->now);
    make_noise(p);
    while (any && p->broken == NULL) {
        any = tick_bots(p, false);
        any = step_shards(p) || any;
        any = step_node(p) || any;
        for (uint32_t i = 0; i < p->seat_n; i++) {
            while (hear_server(p, &p->seat[i]))
                any = true;
            any = hear_network(p, &p->seat[i]) || any;
        }
        if (++rounds > PLATFORM_ROUNDS_MAX)
            must(p, false, "a step ends");
    }
    check(p);
}

bool platform_run(struct platform *p, us_t span)
{
    us_t end = p->now + span;

    for (uint32_t i = 0; i < p->seat_n; i++) /* a test may have told them something */
        p->seat[i].due_at = bot_deadline(&p->seat[i].bot);
    while (p->broken == NULL) {
        step(p);
        us_t at = us_max(deadline(p), p->now + 1);
        if (at > end)
            break;
        p->now = at;
    }
    p->now = end;
    return p->broken == NULL;
}

/* --- what should be --- */

static const struct bot_heard *heard_of(const struct bot *b, const char *sid)
{
    for (uint32_t i = 0; i < b->heard_n; i++)
        if (b->heard[i].used && strcmp(b->heard[i].sid, sid) == 0)
            return &b->heard[i];
    return NULL;
}

/* What `to` lacks of `from`; NULL when nothing. */
static const char *lacks(const struct platform *p, const struct seat *to, const struct seat *from)
{
    bool known = false;

    if (!to->bot.connected)
        return "a connection";
    if (from == to || from->room != to->room || from->noisy)
        return NULL;
    for (uint32_t i = 0; i < to->bot.known_n; i++)
        known |= strcmp(to->bot.known[i], from->bot.sid) == 0;
    if (!known)
        return "news of the participant";
    for (uint32_t t = 0; t < BOT_TRACKS && !from->bot.silent && !to->bot.deaf; t++) {
        const struct bot_out *o = &from->bot.out[t];
        const struct bot_heard *h = heard_of(&to->bot, o->sid);
        if (o->sid[0] == '\0')
            return "a publication";
        if (h == NULL)
            return t == 0 ? "the audio track" : "the video track";
        if (o->muted)
            continue;
        if (!h->started || p->now - h->heard_at > LIVE_US)
            return t == 0 ? "audio packets" : "video packets";
        if (h->key_wait_at != US_NEVER)
            return "a key frame";
    }
    return NULL;
}

static uint32_t others_of(const struct platform *p, const struct seat *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->seat_n; i++)
        n += &p->seat[i] != s && p->seat[i].state == SEAT_OPEN && p->seat[i].room == s->room &&
             !p->seat[i].noisy;
    return n;
}

/* Hostile guests come and go as they like. */
static uint32_t good_known(const struct platform *p, const struct seat *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->bot.known_n; i++)
        n += !is_hostile(p, s->bot.known[i]);
    return n;
}

static bool settled(const struct platform *p, bool explain)
{
    bool all = true;

    for (uint32_t i = 0; i < p->seat_n; i++) {
        const struct seat *s = &p->seat[i];
        if (s->state == SEAT_FREE || s->noisy)
            continue;
        for (uint32_t k = 0; k < p->seat_n; k++) {
            if (p->seat[k].state == SEAT_FREE)
                continue;
            const char *what = lacks(p, s, &p->seat[k]);
            all = all && what == NULL;
            if (explain && what != NULL)
                fprintf(stderr, "  %s (seat %u) lacks of %s (seat %u): %s\n", s->bot.identity, i,
                        p->seat[k].bot.identity, k, what);
        }
        if (good_known(p, s) != others_of(p, s)) {
            all = false;
            if (explain)
                fprintf(stderr, "  %s knows %u others of %u\n", s->bot.identity, good_known(p, s),
                        others_of(p, s));
        }
    }
    return all;
}

bool platform_settled(const struct platform *p)
{
    return settled(p, false);
}

bool platform_exact(struct platform *p)
{
    uint64_t peers = 0, tracks = 0, subs = 0;

    for (uint32_t i = 0; i < p->seat_n; i++) {
        const struct seat *from = &p->seat[i];
        uint32_t reached = 1u << from->shard; /* shards that hold its tracks */
        if (from->state == SEAT_FREE)
            continue;
        peers++;
        for (uint32_t k = 0; k < p->seat_n; k++) {
            const struct seat *to = &p->seat[k];
            if (k == i || to->state == SEAT_FREE || to->room != from->room)
                continue;
            reached |= 1u << to->shard;
            subs += BOT_TRACKS;
        }
        tracks += (uint64_t)__builtin_popcount(reached) * BOT_TRACKS;
    }
    must(p, platform_counter(p, SHARD_PEERS) == peers, "there are as many peers as bots");
    must(p, platform_counter(p, SHARD_SUBS) == subs, "there are as many subscriptions as wanted");
    must(p, platform_counter(p, SHARD_TRACKS) == tracks, "mirrors are where somebody subscribes");
    return p->broken == NULL;
}

void platform_explain(const struct platform *p)
{
    fprintf(stderr, "seed %llu, %lld us: not settled\n", (unsigned long long)p->cfg.seed,
            (long long)p->now);
    (void)settled(p, true);
}

us_t platform_settle(struct platform *p, us_t limit)
{
    us_t begun = p->now;

    while (p->now < begun + limit) {
        if (!platform_run(p, 50 * US_PER_MS))
            return -1;
        if (platform_settled(p))
            return p->now - begun;
    }
    platform_explain(p);
    return -1;
}

bool platform_empty(struct platform *p)
{
    struct node_counts c;
    us_t end = p->now + EMPTY_LIMIT_US;

    for (uint32_t i = 0; i < p->seat_n; i++)
        if (p->seat[i].state != SEAT_FREE)
            platform_leave(p, i);
    do {
        if (!platform_run(p, US_PER_SEC))
            return false;
        node_get_counts(p->node, &c);
    } while (p->now < end && c.rooms > 0);
    if (!platform_run(p, 5 * US_PER_SEC))
        return false;
    node_get_counts(p->node, &c);
    must(p, c.rooms + c.members + c.sessions + c.pubs + c.subs + c.conns == 0,
         "empty rooms leave nothing in the node");
    must(p,
         platform_counter(p, SHARD_PEERS) + platform_counter(p, SHARD_TRACKS) +
                 platform_counter(p, SHARD_SUBS) + platform_counter(p, SHARD_PKTS_USED) ==
             0,
         "empty rooms leave nothing in the shards");
    return p->broken == NULL;
}

/* --- what happens to them --- */

void platform_leave(struct platform *p, uint32_t seat)
{
    struct seat *s = &p->seat[seat];

    if (s->state == SEAT_FREE)
        return;
    if (s->state == SEAT_DIALING) {
        vacate(p, s);
        return;
    }
    client_leave(s->bot.client, p->now);
    drain_bot(p, s);
}

void platform_cut(struct platform *p, uint32_t seat)
{
    struct seat *s = &p->seat[seat];

    if (s->state == SEAT_FREE)
        return;
    if (s->state == SEAT_OPEN)
        mail_put(&s->to_node, p->now + p->cfg.signal_us, WIRE_CLOSED, s->conn, (struct bytes){0});
    vacate(p, s);
}

/* A RoomService call with every right on this room; the status of the answer. */
static int call(struct platform *p, uint32_t room, const char *method, const char *body)
{
    struct str token;
    char path[96];
    struct http_header h[3] = {{.name = "host", .value = "sim"},
                               {.name = "content-type", .value = "application/json"},
                               {.name = "authorization"}};
    struct http_msg m = {.method = "POST",
                         .path = path,
                         .query = "",
                         .body = bytes_str(body),
                         .header = h,
                         .header_n = 3};

    (void)snprintf(path, sizeof path, "/twirp/livekit.RoomService/%s", method);
    str_init(&token, TOKEN_BYTES_MAX);
    str_add(&token, "Bearer ");
    mint(p, "", room, &token);
    h[2].value = str_text(&token);
    p->http_status = 0;
    (void)node_http(p->node, p->conn_next++, &m, &p->seat[0].public_addr, tick_of(p));
    p->node_poked = true;
    drain_node(p);
    str_fini(&token);
    return p->http_status;
}

void platform_cut_socket(struct platform *p, uint32_t seat, us_t away)
{
    struct seat *s = &p->seat[seat];

    assert(s->state == SEAT_OPEN);
    mail_put(&s->to_node, p->now + p->cfg.signal_us, WIRE_CLOSED, s->conn, (struct bytes){0});
    client_socket_closed(s->bot.client);
    s->conn = p->conn_next++;
    s->dial_at = p->now + away;
}

int platform_delete_room(struct platform *p, uint32_t room)
{
    char body[64];

    (void)snprintf(body, sizeof body, "{\"room\":\"room-%u\"}", room);
    return call(p, room, "DeleteRoom", body);
}

/* What is lost now may show for a while, in the streams of all. */
static void faulty(struct platform *p, us_t until)
{
    p->faulty_until = us_max(p->faulty_until, until + FAULT_ECHO_US);
    for (uint32_t i = 0; i < p->seat_n; i++)
        p->seat[i].bot.strict = false;
}

void platform_silence(struct platform *p, uint32_t seat, us_t span)
{
    netem_silence(p->seat[seat].up, p->now + span);
    netem_silence(p->seat[seat].down, p->now + span);
    faulty(p, p->now + span);
}

void platform_rebind(struct platform *p, uint32_t seat)
{
    struct seat *s = &p->seat[seat];

    s->public_addr.port++;
    assert(s->public_addr.port < s->port_first + PLATFORM_PORTS);
    faulty(p, p->now); /* what was on its way to the old one is lost */
}

void platform_net(struct platform *p, const struct netem_cfg *net)
{
    p->cfg.net = *net;
    for (uint32_t i = 0; i < p->seat_n; i++) {
        netem_set(p->seat[i].up, net);
        netem_set(p->seat[i].down, net);
        p->seat[i].bot.strict = p->seat[i].bot.strict && lossless(p);
    }
}

int platform_kick(struct platform *p, uint32_t seat)
{
    struct seat *s = &p->seat[seat];
    char body[128];

    (void)snprintf(body, sizeof body, "{\"room\":\"room-%u\",\"identity\":\"%s\"}", s->room,
                   s->bot.identity);
    return call(p, s->room, "RemoveParticipant", body);
}

uint32_t platform_count(const struct platform *p)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->seat_n; i++)
        n += p->seat[i].state != SEAT_FREE;
    return n;
}

uint64_t platform_hash(const struct platform *p)
{
    return p->hash;
}

uint64_t platform_counter(const struct platform *p, enum shard_counter which)
{
    uint64_t sum = 0, one[SHARD_COUNTER_N];

    for (uint32_t i = 0; i < p->cfg.shard_n; i++) {
        shard_counters(p->shard[i], one);
        sum += one[which];
    }
    return sum;
}
