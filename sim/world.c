#include "sim/world.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/cert.h"
#include "crypt/dtls.h"
#include "sim/clock.h"
#include "wire/rtp.h"
#include "wire/stun.h"

#include <stdio.h>

enum {
    TAG_HOME = 1, /* datagram of the true peers */
    SEEN_BITS = 8192 * 8,
    MEDIA_BYTES = 600,
    SPLIT_PIECES = 4,
    SPLIT_STRIDE = 16, /* record numbers kept free for pieces and their doubles */
};

static void fold(struct world *w, const void *p, size_t len)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < len; i++)
        w->hash = (w->hash ^ b[i]) * 0x100000001b3;
}

static void fold_u64(struct world *w, uint64_t v)
{
    fold(w, &v, sizeof v);
}

static void must(struct world *w, bool held, const char *invariant)
{
    if (held || w->broken != NULL)
        return;
    w->broken = invariant;
    fprintf(stderr, "seed %llu, %lld us: broken: %s\n", (unsigned long long)w->cfg.seed,
            (long long)w->now, invariant);
}

/* --- life --- */

static struct peer_local cred(const struct world *w, enum world_side_name side)
{
    struct peer_local l = {0};

    (void)snprintf(l.ufrag, sizeof l.ufrag, "%cfrag%03u", side == SERVER ? 's' : 'c', w->restart_n);
    (void)snprintf(l.pwd, sizeof l.pwd, "password-%c-of-24-chars-%03u", side == SERVER ? 's' : 'c',
                   w->restart_n);
    return l;
}

static void side_open(struct world *w, enum world_side_name name)
{
    static const uint8_t ip[2][4] = {{192, 0, 2, 1}, {10, 0, 0, 7}};
    struct world_side *s = &w->side[name];
    bool dtls_server = (name == SERVER) == (w->cfg.server_setup != PEER_SETUP_DTLS_CLIENT);

    addr_set_ip4(&s->addr, ip[name], name == SERVER ? 7882 : 40000);
    int err = cert_make(&s->cert, CLOCK_EPOCH_S);
    assert(err == 0);
    err = dtls_ctx_open(&s->dtls, s->cert);
    assert(err == 0);
    err = peer_open(&s->peer,
                    &(struct peer_cfg){
                        .role = name == SERVER ? PEER_SERVER : PEER_CLIENT,
                        .setup = dtls_server ? PEER_SETUP_DTLS_SERVER : PEER_SETUP_DTLS_CLIENT,
                        .local = cred(w, name),
                        .dtls = s->dtls,
                        .seed = rng_u64(&w->rng),
                    },
                    w->now);
    assert(err == 0);
    err = assoc_open(&s->assoc, !dtls_server, w->now);
    assert(err == 0);
    err = netem_open(&w->net[name], &w->cfg.net, rng_u64(&w->rng));
    assert(err == 0);
    s->media_at = US_NEVER;
    s->heard_at = US_NEVER;
}

void world_open(struct world *w, const struct world_cfg *cfg)
{
    static const uint8_t nat[4] = {198, 51, 100, 7}, evil[4] = {203, 0, 113, 66};

    *w = (struct world){
        .cfg = *cfg,
        .rng = rng_seed(cfg->seed),
        .now = US_PER_SEC,
        .hash = 0xcbf29ce484222325,
        .attack_at = cfg->hostile ? US_PER_SEC : US_NEVER,
    };
    clock_begin(cfg->seed);
    clock_set(w->now);
    addr_set_ip4(&w->public_addr[0], nat, 50000);
    w->public_n = 1;
    addr_set_ip4(&w->attacker, evil, 6666);
    int err = assoc_pool_init();
    assert(err == 0);
    side_open(w, SERVER);
    side_open(w, CLIENT);
}

void world_close(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        struct world_side *s = &w->side[i];
        assoc_free(s->assoc);
        peer_free(s->peer);
        dtls_ctx_free(s->dtls);
        cert_free(s->cert);
        netem_free(w->net[i]);
    }
    assoc_pool_fini();
}

static void describe(struct world *w, enum world_side_name to, bool fingerprint)
{
    enum world_side_name from = to == SERVER ? CLIENT : SERVER;
    struct peer_local l = cred(w, from);
    struct peer_remote r = {0};

    memcpy(r.ufrag, l.ufrag, sizeof r.ufrag);
    memcpy(r.pwd, l.pwd, sizeof r.pwd);
    if (fingerprint)
        r.fingerprint = w->side[from].cert->fingerprint;
    int err = peer_set_remote(w->side[to].peer, &r, w->now);
    must(w, err == 0, "a description is accepted");
    if (to == CLIENT) {
        peer_add_local_address(w->side[CLIENT].peer, &w->side[CLIENT].addr);
        peer_add_remote_candidate(w->side[CLIENT].peer, &w->side[SERVER].addr, 2130706431);
    }
}

void world_introduce(struct world *w)
{
    describe(w, SERVER, true);
    describe(w, CLIENT, true);
}

/* --- the network --- */

static const struct addr *public_now(const struct world *w)
{
    return &w->public_addr[w->public_n - 1];
}

enum { RECORD_BYTES = 13, HANDSHAKE_BYTES = 12 };

/* Makes room between the numbers of the records in the clear, so that pieces have some of their
 * own; false when it is no DTLS. */
static bool spread_records(uint8_t *p, size_t len)
{
    if (len < RECORD_BYTES || p[0] < 20 || p[0] > 63)
        return false;
    for (size_t at = 0; at + RECORD_BYTES <= len; at += RECORD_BYTES + load_u16(p + at + 11)) {
        if (load_u16(p + at + 3) == 0)
            store_u32(p + at + 7, load_u32(p + at + 7) * SPLIT_STRIDE);
    }
    return true;
}

/* The pieces of a ClientHello in records of their own, last first, each twice.  (RFC 6347
 * s4.2.3; both browsers send theirs in two.)  False: not DTLS, send it as it is. */
static bool split_hello(struct world *w, struct bytes d)
{
    uint8_t in[1500], out[1500];

    memcpy(in, d.p, d.len);
    if (!spread_records(in, d.len))
        return false;
    size_t body = d.len - RECORD_BYTES - HANDSHAKE_BYTES;
    if (d.len < RECORD_BYTES + HANDSHAKE_BYTES || in[0] != 22 || load_u16(in + 3) != 0 ||
        in[RECORD_BYTES] != 1 || load_u16(in + 11) != d.len - RECORD_BYTES) {
        netem_push(w->net[SERVER], TAG_HOME, bytes_of(in, d.len), w->now);
        return true;
    }
    uint32_t seq = load_u32(in + 7);
    size_t piece = (body + SPLIT_PIECES - 1) / SPLIT_PIECES;
    for (int i = 2 * SPLIT_PIECES - 1; i >= 0; i--) {
        size_t at = (size_t)(i / 2) * piece, n = size_min(piece, body - at);
        memcpy(out, in, RECORD_BYTES + HANDSHAKE_BYTES);
        store_u32(out + 7, seq + (uint32_t)(2 * SPLIT_PIECES - 1 - i));
        store_u16(out + 11, (uint16_t)(HANDSHAKE_BYTES + n));
        store_u24(out + RECORD_BYTES + 6, (uint32_t)at);
        store_u24(out + RECORD_BYTES + 9, (uint32_t)n);
        memcpy(out + RECORD_BYTES + HANDSHAKE_BYTES, in + RECORD_BYTES + HANDSHAKE_BYTES + at, n);
        netem_push(w->net[SERVER], TAG_HOME, bytes_of(out, RECORD_BYTES + HANDSHAKE_BYTES + n),
                   w->now);
    }
    return true;
}

/* A datagram leaves a side.  Addresses decide where it goes, as they would outside. */
static void depart(struct world *w, enum world_side_name from, const struct path *path,
                   struct bytes d)
{
    if (from == SERVER) {
        bool to_client = false;
        for (unsigned i = 0; i < w->public_n; i++)
            to_client |= addr_eq(&path->remote, &w->public_addr[i]);
        must(w, to_client, "the server sends to none but addresses that the client had");
        w->to_attacker += !to_client;
        w->side[SERVER].bytes_out += d.len;
        if (addr_eq(&path->remote, public_now(w)))
            netem_push(w->net[CLIENT], TAG_HOME, d, w->now);
        return;
    }
    must(w, addr_eq(&path->remote, &w->side[SERVER].addr), "the client sends to the server only");
    if (!w->cfg.split_hello || !split_hello(w, d))
        netem_push(w->net[SERVER], TAG_HOME, d, w->now);
}

static void media_input(struct world *w, enum world_side_name to, uint8_t *pkt, size_t len)
{
    struct world_side *s = &w->side[to];
    struct rtp_view v;

    if (peer_open_rtp(s->peer, pkt, &len, w->now) != 0) {
        s->media_bad_n++;
        return;
    }
    must(w, rtp_parse(&v, bytes_of(pkt, len), NULL) == 0, "opened media is RTP");
    must(w, v.payload_len == MEDIA_BYTES && v.ssrc == 77u + !to, "opened media is what was sent");
    struct bytes payload = rtp_payload(&v, pkt);
    uint32_t number = payload.len >= 4 ? load_u32(payload.p) : 0;
    uint32_t bit = number % SEEN_BITS;
    must(w, v.seq == (uint16_t)number, "number and payload belong together");
    must(w, (s->seen[bit / 8] & (1 << bit % 8)) == 0, "no media is accepted twice");
    s->seen[bit / 8] |= (uint8_t)(1 << bit % 8);
    if (s->heard_at != US_NEVER)
        s->gap_us = us_max(s->gap_us, w->now - s->heard_at);
    s->heard_at = w->now;
    s->media_n++;
}

static void arrive(struct world *w, enum world_side_name to, const struct path *path,
                   struct bytes d)
{
    uint8_t *pkt = w->arrived; /* events borrow it: it is drained before the next one comes */
    struct peer *p = w->side[to].peer;
    size_t len = d.len;

    memcpy(pkt, d.p, d.len);
    fold_u64(w, (uint64_t)w->now);
    fold(w, d.p, d.len);
    if (to == SERVER)
        w->side[SERVER].bytes_in += d.len;
    switch (rtp_demux_kind(d)) {
    case RTP_DEMUX_STUN:
    case RTP_DEMUX_DTLS:
        (void)peer_input(p, path, pkt, len, w->now); /* its counters say why not */
        break;
    case RTP_DEMUX_RTP:
        media_input(w, to, pkt, len);
        break;
    case RTP_DEMUX_RTCP:
        (void)peer_open_rtcp(p, pkt, &len, w->now); /* none is sent: only damage looks like it */
        break;
    case RTP_DEMUX_TURN_CHANNEL:
    case RTP_DEMUX_OTHER:
        break;
    }
}

static bool drain(struct world *w, enum world_side_name name);

static struct path arrival_path(const struct world *w, enum world_side_name to)
{
    if (to == SERVER)
        return (struct path){.local = w->side[SERVER].addr, .remote = *public_now(w)};
    return (struct path){.local = w->side[CLIENT].addr, .remote = w->side[SERVER].addr};
}

static void capture(struct world *w, enum world_side_name to, struct bytes d)
{
    struct world_capture *c = &w->captured[w->captured_n++ % WORLD_CAPTURED_MAX];

    c->to = to;
    c->len = size_min(d.len, sizeof c->data);
    memcpy(c->data, d.p, c->len);
}

static bool deliver(struct world *w)
{
    uint64_t tag;
    struct bytes d;
    bool any = false;

    for (int to = 0; to < 2; to++) {
        while (netem_pop(w->net[to], w->now, &tag, &d)) {
            struct path path = arrival_path(w, to);
            arrive(w, to, &path, d);
            (void)drain(w, to); /* what it has to say is seen by what it changed */
            if (w->cfg.hostile)
                capture(w, to, d);
            any = true;
        }
    }
    return any;
}

/* --- the attacker --- */

static size_t forge_request(struct world *w, uint8_t *out, size_t cap)
{
    struct wr wr = wr_of(out, cap);
    struct stun_tid tid = stun_tid_new(&w->rng);
    struct peer_local s = cred(w, SERVER), c = cred(w, CLIENT);
    char name[2 * PEER_UFRAG_MAX + 2];
    struct bytes span;

    (void)snprintf(name, sizeof name, "%s:%s", s.ufrag, c.ufrag);
    stun_begin(&wr, STUN_REQUEST, STUN_BINDING, &tid);
    stun_add_bytes(&wr, STUN_USERNAME, bytes_str(name));
    stun_add_u64(&wr, STUN_ICE_CONTROLLING, rng_u64(&w->rng));
    stun_add_flag(&wr, STUN_USE_CANDIDATE);
    uint8_t *mac = stun_add_integrity(&wr, &span);
    rng_fill(&w->rng, mac, STUN_TAG_BYTES); /* the password is what it lacks */
    stun_add_fingerprint(&wr);
    return stun_end(&wr) == 0 ? wr_len(&wr) : 0;
}

/* One datagram from a stranger, or forged as from the true other side. */
static void attack(struct world *w)
{
    uint8_t pkt[1500];
    size_t len = 0;
    enum world_side_name to = rng_below(&w->rng, 2) ? CLIENT : SERVER;
    bool stranger = rng_below(&w->rng, 2) != 0;

    switch (rng_below(&w->rng, 4)) {
    case 0: /* noise that looks like one protocol or the other */
        len = 1 + (size_t)rng_below(&w->rng, 200);
        rng_fill(&w->rng, pkt, len);
        pkt[0] =
            (uint8_t)(rng_below(&w->rng, 2) ? pkt[0] : (uint8_t[]){0, 22, 0x80, 20}[pkt[0] % 4]);
        break;
    case 1:
        to = SERVER;
        len = forge_request(w, pkt, sizeof pkt);
        break;
    default: { /* a captured datagram: as it was from elsewhere, or damaged as from home */
        if (w->captured_n == 0)
            return;
        uint64_t have = w->captured_n < WORLD_CAPTURED_MAX ? w->captured_n : WORLD_CAPTURED_MAX;
        const struct world_capture *c = &w->captured[rng_below(&w->rng, have)];
        to = c->to;
        len = c->len;
        memcpy(pkt, c->data, len);
        /* Handshake records in the clear can be spoilt by whoever sees the path; that is a failed
         * join and no hole, so the attacker of these runs leaves them alone. */
        if (!stranger && pkt[0] == 22 && load_u16(pkt + 3) == 0)
            stranger = true;
        if (!stranger)
            pkt[rng_below(&w->rng, len)] ^= (uint8_t)(1u << rng_below(&w->rng, 8));
        break;
    }
    }
    struct path path = arrival_path(w, to);
    if (!stranger && pkt[0] == 22 && len > 5 && load_u16(pkt + 3) == 0)
        stranger = true;
    if (stranger)
        path.remote = w->attacker;
    w->attacks++;
    arrive(w, to, &path, bytes_of(pkt, len));
    (void)drain(w, to);
}

/* --- steps --- */

static void send_media(struct world *w, enum world_side_name from)
{
    struct world_side *s = &w->side[from];
    uint8_t hdr[RTP_HEADER_BYTES], payload[MEDIA_BYTES], out[1500];
    const struct path *path = peer_path(s->peer);
    struct rtp_header h = {.pt = 96, .seq = (uint16_t)s->media_seq, .ts = s->media_seq * 1800};

    h.ssrc = 77u + from;
    s->media_at = w->now + WORLD_MEDIA_US;
    memset(payload, (int)(s->media_seq & 0xff), sizeof payload);
    store_u32(payload, s->media_seq);
    size_t n = rtp_write_header(hdr, sizeof hdr, &h, NULL, 0);
    size_t len = peer_seal_rtp(s->peer, bytes_of(hdr, n), bytes_of(payload, sizeof payload),
                               s->media_seq >> 16, out, sizeof out);
    if (len == 0 || path == NULL)
        return;
    s->media_seq++;
    depart(w, from, path, bytes_of(out, len));
}

static void hear_peer(struct world *w, enum world_side_name name, const struct peer_event *ev)
{
    struct world_side *s = &w->side[name];

    fold_u64(w, (uint64_t)ev->kind * 16 + ev->state);
    if (ev->kind == PEER_EVT_DATA) {
        must(w, s->state == PEER_CONNECTED || s->state == PEER_DISCONNECTED,
             "data comes from connected peers only");
        assoc_input(s->assoc, ev->data, w->now);
    }
    if (ev->kind != PEER_EVT_STATE)
        return;
    s->state = ev->state;
    s->reason = ev->reason;
    if (ev->state != PEER_CONNECTED)
        return;
    assoc_start(s->assoc, w->now);
    if (s->media_at == US_NEVER && !w->cfg.quiet)
        s->media_at = w->now;
}

static void hear_assoc(struct world *w, enum world_side_name name, const struct assoc_event *ev)
{
    struct world_side *s = &w->side[name];

    fold_u64(w, (uint64_t)ev->kind * 256 + ev->id);
    switch (ev->kind) {
    case ASSOC_EVT_UP:
        s->assoc_up = true;
        break;
    case ASSOC_EVT_MESSAGE:
        s->data_n++;
        s->data_bytes += ev->data.len;
        for (size_t i = 0; i < ev->data.len; i++)
            s->data_sum = s->data_sum * 31 + ev->data.p[i];
        break;
    case ASSOC_EVT_DOWN:
        s->assoc_up = false;
        break;
    case ASSOC_EVT_OPEN:
    case ASSOC_EVT_CHANNEL_CLOSED:
        break;
    }
}

static bool drain(struct world *w, enum world_side_name name)
{
    struct world_side *s = &w->side[name];
    uint8_t buf[PEER_DATAGRAM_MAX];
    struct wr wr = wr_of(buf, sizeof buf);
    struct peer_event ev;
    struct assoc_event av;
    struct path path;
    bool any = false;

    while (peer_event(s->peer, &ev)) {
        hear_peer(w, name, &ev);
        any = true;
    }
    while (assoc_event(s->assoc, &av)) {
        hear_assoc(w, name, &av);
        any = true;
    }
    while (assoc_output(s->assoc, &wr)) {
        (void)peer_send_data(s->peer, wr_done(&wr), w->now); /* refused is lost: SCTP repeats */
        wr = wr_of(buf, sizeof buf);
        any = true;
    }
    while (peer_output(s->peer, &path, &wr)) {
        depart(w, name, &path, wr_done(&wr));
        wr = wr_of(buf, sizeof buf);
        any = true;
    }
    return any;
}

static us_t deadline(const struct world *w)
{
    us_t at = us_min(assoc_pool_deadline(), w->attack_at);

    for (int i = 0; i < 2; i++) {
        at = us_min(at, us_min(peer_deadline(w->side[i].peer), w->side[i].media_at));
        at = us_min(at, netem_deadline(w->net[i]));
    }
    return at;
}

static void check(struct world *w)
{
    const struct path *p = peer_path(w->side[SERVER].peer);
    bool known = p == NULL;

    for (unsigned i = 0; i < w->public_n && p != NULL; i++)
        known |= addr_eq(&p->remote, &w->public_addr[i]);
    must(w, known, "the server's pair leads to an address that the client had");
    for (int i = 0; i < 2; i++) {
        const struct world_side *s = &w->side[i];
        must(w, peer_deadline(s->peer) > w->now, "no deadline is left in the past");
        must(w, s->state == peer_state(s->peer), "states are told");
        must(w, assoc_queued(s->assoc) <= ASSOC_QUEUE_MAX, "queues keep their limit");
    }
    if (p == NULL)
        must(w, w->side[SERVER].bytes_out <= 3 * w->side[SERVER].bytes_in,
             "no amplification before nomination");
}

static void step(struct world *w)
{
    int rounds = 0;

    clock_set(w->now);
    assoc_pool_tick(w->now);
    for (int i = 0; i < 2; i++) {
        peer_tick(w->side[i].peer, w->now);
        if (w->now >= w->side[i].media_at)
            send_media(w, i);
    }
    if (w->now >= w->attack_at) {
        attack(w);
        w->attack_at = w->now + 1000 + (us_t)rng_below(&w->rng, 5000);
    }
    while (deliver(w) || drain(w, SERVER) || drain(w, CLIENT)) {
        if (++rounds > WORLD_STEPS_MAX) {
            must(w, false, "a step ends");
            return;
        }
    }
    check(w);
}

bool world_run(struct world *w, us_t span)
{
    us_t end = w->now + span;

    while (w->broken == NULL) {
        step(w);
        us_t at = us_max(deadline(w), w->now + 1);
        if (at > end)
            break;
        w->now = at;
    }
    w->now = end;
    return w->broken == NULL;
}

bool world_connected(const struct world *w)
{
    return w->side[SERVER].state == PEER_CONNECTED && w->side[CLIENT].state == PEER_CONNECTED;
}

us_t world_connect(struct world *w, us_t limit)
{
    us_t begun = w->now;

    world_introduce(w);
    while (w->now < begun + limit && !world_connected(w)) {
        if (!world_run(w, 10 * US_PER_MS))
            return -1;
    }
    return world_connected(w) ? w->now - begun : -1;
}

/* --- faults --- */

void world_net(struct world *w, const struct netem_cfg *net)
{
    netem_set(w->net[SERVER], net);
    netem_set(w->net[CLIENT], net);
}

void world_silence(struct world *w, us_t span)
{
    netem_silence(w->net[SERVER], w->now + span);
    netem_silence(w->net[CLIENT], w->now + span);
}

void world_rebind(struct world *w)
{
    assert(w->public_n < WORLD_ADDRS_MAX);
    w->public_addr[w->public_n] = *public_now(w);
    w->public_addr[w->public_n].port++;
    w->public_n++;
}

void world_restart(struct world *w, us_t delay)
{
    w->restart_n++;
    struct peer_local s = cred(w, SERVER), c = cred(w, CLIENT);

    peer_restart(w->side[CLIENT].peer, &c, w->now); /* the client offers .. */
    if (!world_run(w, delay))
        return;
    describe(w, SERVER, true);
    peer_restart(w->side[SERVER].peer, &s, w->now);
    if (world_run(w, delay)) /* .. and the answer is on its way */
        describe(w, CLIENT, true);
}

void world_mark(struct world *w)
{
    for (int i = 0; i < 2; i++)
        w->side[i].gap_us = 0;
}

int world_say(struct world *w, enum world_side_name from, struct bytes data)
{
    struct world_side *s = &w->side[from];

    if (!s->has_channel) {
        const struct assoc_channel_cfg cfg = {"_reliable", true, -1};
        int err = assoc_channel_open(s->assoc, &cfg, &s->channel);
        if (err)
            return err;
        s->has_channel = true;
    }
    return assoc_send(s->assoc, s->channel, data, true);
}

uint64_t world_hash(const struct world *w)
{
    return w->hash;
}
