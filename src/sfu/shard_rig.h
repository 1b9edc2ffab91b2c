/* sfu/shard_rig.h - for tests and benchmarks: real clients around a shard in virtual time.
 *
 * Each client is the client half of rtc/peer with its own address; datagrams move at once and in
 * order unless a test takes them away.  Nothing here is part of the product.
 */
#ifndef SFU_SHARD_RIG_H
#define SFU_SHARD_RIG_H

#include "base/err.h"
#include "base/mem.h"
#include "crypt/cert.h"
#include "crypt/dtls.h"
#include "crypt/seal.h"
#include "sfu/shard.h"
#include "wire/rtcp.h"
#include "wire/stun.h"

#include <stdio.h>

enum {
    RIG_CLIENTS_MAX = 520,
    RIG_LOG = 256,
    RIG_EVENTS = 64,
    RIG_RTCP = 64,
    RIG_STEP_US = 5000,
};

struct rig_rtp { /* what a client received */
    struct rtp_view v;
    uint8_t head[256]; /* as much of the header */
    uint8_t payload[64];
};

struct rig_rtcp {
    struct rtcp_pkt pkt;
    uint8_t body[256];
};

struct rig_client {
    struct peer *peer;
    peer_id id;
    struct path path; /* as the client sees it */
    uint32_t rtp_n, rtcp_n, bad_n;
    struct rig_rtp rtp[RIG_LOG];
    struct rig_rtcp rtcp[RIG_RTCP];
    uint32_t data_n;
    enum peer_state state;
    uint64_t seq; /* of packets it sends */
};

struct rig {
    struct shard *shard;
    struct cert *cert, *client_cert;
    struct dtls_ctx *dtls;
    struct seal_engine *engine;
    struct tick tick;
    struct rtp_ext_ids ext;
    struct rng rng;
    struct rig_client *client[RIG_CLIENTS_MAX];
    unsigned client_n;
    struct pkt *batch[64]; /* to the shard */
    unsigned batch_n;
    bool skim; /* only count what is sent: for benchmarks */
    uint64_t sent_n, sent_bytes, train_n;
    struct evt event[RIG_EVENTS];
    uint32_t event_n;
    bool (*lose)(struct rig *r, struct bytes datagram, bool to_shard); /* true: it is lost */
    void *arg;
};

static inline struct addr rig_addr(uint32_t n, uint16_t port)
{
    struct addr a;
    uint8_t ip[4] = {10, 0, (uint8_t)(n >> 8), (uint8_t)n};

    addr_set_ip4(&a, ip, port);
    return a;
}

static inline int rig_open(struct rig *r, uint8_t index, struct rig *like)
{
    memset(r, 0, sizeof *r);
    r->rng = rng_seed(7 + index);
    r->tick = (struct tick){.now = 1000000, .wall_off_us = 1700000000 * US_PER_SEC};
    r->ext.id[RTP_EXT_MID] = 1;
    r->ext.id[RTP_EXT_RID] = 2;
    r->ext.id[RTP_EXT_REPAIRED_RID] = 3;
    r->ext.id[RTP_EXT_AUDIO_LEVEL] = 4;
    r->ext.id[RTP_EXT_ABS_SEND_TIME] = 5;
    r->ext.id[RTP_EXT_TWCC] = 6;
    if (like == NULL) {
        if (cert_make(&r->cert, 1700000000) != 0 || cert_make(&r->client_cert, 1700000000) != 0 ||
            dtls_ctx_open(&r->dtls, r->client_cert) != 0)
            return E_LIBRARY;
        r->engine = seal_engine_open(SEAL_BEST);
    } else {
        r->cert = like->cert;
        r->client_cert = like->client_cert;
        r->dtls = like->dtls;
        r->engine = like->engine;
    }
    struct shard_cfg cfg = {.index = index, .cert = r->cert, .engine = r->engine, .seed = 5};
    return shard_open(&r->shard, &cfg);
}

static inline void rig_close(struct rig *r, bool shared)
{
    for (unsigned i = 0; i < r->client_n; i++) {
        peer_free(r->client[i]->peer);
        mem_free(r->client[i]);
    }
    shard_free(r->shard);
    if (shared)
        return;
    dtls_ctx_free(r->dtls);
    cert_free(r->cert);
    cert_free(r->client_cert);
    seal_engine_free(r->engine);
}

static inline void rig_push(struct rig *r)
{
    if (r->batch_n > 0)
        shard_input(r->shard, r->batch, r->batch_n, r->tick);
    r->batch_n = 0;
}

static inline void rig_to_shard(struct rig *r, const struct path *from, struct bytes datagram)
{
    struct pkt *p;

    if (r->lose != NULL && r->lose(r, datagram, true))
        return;
    if (shard_lend(r->shard, &p, 1) != 1)
        return;
    p->path = (struct path){.local = from->remote, .remote = from->local};
    p->len = (uint16_t)datagram.len;
    memcpy(p->data, datagram.p, datagram.len);
    r->batch[r->batch_n++] = p;
    if (r->batch_n == ARRAY_LEN(r->batch))
        rig_push(r);
}

static inline void rig_client_drain(struct rig *r, struct rig_client *c)
{
    uint8_t buf[PEER_DATAGRAM_MAX];
    struct peer_event e;
    struct path path;

    for (;;) {
        struct wr w = wr_of(buf, sizeof buf);
        if (!peer_output(c->peer, &path, &w))
            break;
        rig_to_shard(r, &path, wr_done(&w));
    }
    while (peer_event(c->peer, &e)) {
        if (e.kind == PEER_EVT_STATE)
            c->state = e.state;
        c->data_n += e.kind == PEER_EVT_DATA;
    }
}

static inline void rig_client_rtcp(struct rig_client *c, struct bytes compound)
{
    struct rtcp_iter it;
    struct rtcp_pkt pkt;

    rtcp_iter_init(&it, compound);
    while (rtcp_next(&it, &pkt)) {
        struct rig_rtcp *log = &c->rtcp[c->rtcp_n++ % RIG_RTCP];
        size_t n = size_min(pkt.body.len, sizeof log->body);
        memcpy(log->body, pkt.body.p, n);
        log->pkt = pkt;
        log->pkt.body = bytes_of(log->body, n);
    }
    c->bad_n += it.malformed;
}

static inline void rig_client_input(struct rig *r, struct rig_client *c, struct bytes datagram)
{
    uint8_t buf[2048];
    size_t len = datagram.len;
    enum rtp_demux kind = rtp_demux_kind(datagram);

    memcpy(buf, datagram.p, len);
    if (kind == RTP_DEMUX_RTP) {
        struct rig_rtp *log = &c->rtp[c->rtp_n % RIG_LOG];
        if (peer_open_rtp(c->peer, buf, &len, r->tick.now) != 0 ||
            rtp_parse(&log->v, bytes_of(buf, len), &r->ext) != 0) {
            c->bad_n++;
            return;
        }
        struct bytes pl = rtp_payload(&log->v, buf);
        memcpy(log->payload, pl.p, size_min(pl.len, sizeof log->payload));
        memcpy(log->head, buf, size_min(log->v.payload_off, sizeof log->head));
        c->rtp_n++;
    } else if (kind == RTP_DEMUX_RTCP) {
        if (peer_open_rtcp(c->peer, buf, &len, r->tick.now) == 0)
            rig_client_rtcp(c, bytes_of(buf, len));
        else
            c->bad_n++;
    } else {
        (void)peer_input(c->peer, &c->path, buf, len, r->tick.now);
        rig_client_drain(r, c);
    }
}

static inline struct rig_client *rig_client_at(struct rig *r, const struct addr *a)
{
    for (unsigned i = 0; i < r->client_n; i++) {
        if (addr_eq(&r->client[i]->path.local, a))
            return r->client[i];
    }
    return NULL;
}

/* Everything in the arena to the clients. */
static inline bool rig_flush(struct rig *r)
{
    bool any = false;

    for (struct tx *tx = shard_tx(r->shard); !tx_empty(tx); tx = shard_tx(r->shard)) {
        any = true;
        r->train_n += tx->train_n;
        for (uint32_t i = 0; i < tx->train_n; i++) {
            const struct tx_train *t = &tx->train[i];
            r->sent_n += t->n;
            r->sent_bytes += t->len;
            struct rig_client *c = r->skim ? NULL : rig_client_at(r, &t->path.remote);
            for (uint32_t at = 0; c != NULL && at < t->len; at += t->seg) {
                struct bytes d = bytes_of(t->bytes + at, size_min(t->seg, t->len - at));
                if (r->lose == NULL || !r->lose(r, d, false))
                    rig_client_input(r, c, d);
            }
        }
        tx_clear(tx);
    }
    return any;
}

static inline void rig_events(struct rig *r)
{
    struct evt e;

    while (shard_event(r->shard, &e))
        r->event[r->event_n++ % RIG_EVENTS] = e;
}

/* Until nothing moves any more. */
static inline void rig_pump(struct rig *r)
{
    do {
        rig_push(r);
        rig_events(r);
    } while (rig_flush(r) || r->batch_n > 0);
}

static inline void rig_command(struct rig *r, const struct cmd *c)
{
    shard_command(r->shard, c, r->tick);
    rig_pump(r);
}

/* Let time pass in small steps. */
static inline void rig_run(struct rig *r, us_t us)
{
    us_t end = r->tick.now + us;

    while (r->tick.now < end) {
        r->tick.now = us_min(end, r->tick.now + RIG_STEP_US);
        for (unsigned i = 0; i < r->client_n; i++) {
            if (peer_deadline(r->client[i]->peer) <= r->tick.now)
                peer_tick(r->client[i]->peer, r->tick.now);
            rig_client_drain(r, r->client[i]);
        }
        if (shard_deadline(r->shard) <= r->tick.now)
            shard_tick(r->shard, r->tick);
        rig_pump(r);
    }
}

static inline const struct evt *rig_event(const struct rig *r, uint32_t kind)
{
    for (uint32_t i = r->event_n; i > 0 && i + RIG_EVENTS > r->event_n; i--) {
        const struct evt *e = &r->event[(i - 1) % RIG_EVENTS];
        if (e->kind == kind)
            return e;
    }
    return NULL;
}

/* A client and its peer on the shard, not connected yet. */
static inline struct rig_client *rig_join(struct rig *r, uint8_t shard)
{
    static const char hex[] = "0123456789abcdef";
    struct cmd c = {.kind = CMD_PEER_OPEN};
    unsigned n = r->client_n;
    struct rig_client *k = mem_zero(sizeof *k);
    struct peer_local mine = {.ufrag = "cli_0000", .pwd = "clientclientclientclient"};
    struct peer_local theirs = {.ufrag = "srv_0000", .pwd = "serverserverserverserver"};
    struct peer_remote remote = {.pwd = "serverserverserverserver"};

    if (k == NULL)
        return NULL;
    for (unsigned i = 0; i < 4; i++) {
        char d = hex[n >> (4 * i) & 15];
        mine.ufrag[4 + i] = theirs.ufrag[4 + i] = d;
    }
    k->id = handle_make(shard, n, 1);
    k->path = (struct path){.local = rig_addr(n + 1, 5000), .remote = rig_addr(60000, 7882)};
    k->seq = 0x10000 + rng_below(&r->rng, 30000);
    r->client[r->client_n++] = k;
    c.peer_open.peer = k->id;
    c.peer_open.local = theirs;
    c.peer_open.setup = PEER_SETUP_DTLS_SERVER;
    shard_command(r->shard, &c, r->tick);
    c.kind = CMD_PEER_REMOTE;
    c.peer_remote = (struct cmd_peer_remote){.peer = k->id};
    memcpy(c.peer_remote.remote.ufrag, mine.ufrag, sizeof mine.ufrag);
    memcpy(c.peer_remote.remote.pwd, mine.pwd, sizeof mine.pwd);
    c.peer_remote.remote.fingerprint = r->client_cert->fingerprint;
    shard_command(r->shard, &c, r->tick);

    struct peer_cfg cfg = {.role = PEER_CLIENT,
                           .setup = PEER_SETUP_DTLS_CLIENT,
                           .local = mine,
                           .dtls = r->dtls,
                           .engine = r->engine,
                           .seed = n + 1};
    if (peer_open(&k->peer, &cfg, r->tick.now) != 0)
        return NULL;
    memcpy(remote.ufrag, theirs.ufrag, sizeof theirs.ufrag);
    remote.fingerprint = r->cert->fingerprint;
    if (peer_set_remote(k->peer, &remote, r->tick.now) != 0)
        return NULL;
    peer_add_local_address(k->peer, &k->path.local);
    peer_add_remote_candidate(k->peer, &k->path.remote, 100);
    rig_client_drain(r, k);
    return k;
}

/* One RTP packet from a client; `ext` elements are written by number. */
static inline void rig_send(struct rig *r, struct rig_client *c, const struct rtp_header *h,
                            struct rtp_ext_val *ext, unsigned ext_n, struct bytes payload)
{
    uint8_t hdr[RTP_HEADER_OUT_MAX], out[2048];
    size_t n = rtp_write_header(hdr, sizeof hdr, h, ext, ext_n);

    n = peer_seal_rtp(c->peer, bytes_of(hdr, n), payload, 0, out, sizeof out);
    if (n > 0)
        rig_to_shard(r, &c->path, bytes_of(out, n));
}

static inline void rig_send_rtcp(struct rig *r, struct rig_client *c, struct bytes compound)
{
    uint8_t out[2048];
    size_t n = peer_seal_rtcp(c->peer, compound, out, sizeof out);

    if (n > 0)
        rig_to_shard(r, &c->path, bytes_of(out, n));
}

static inline struct cmd rig_video_track(const struct rig *r, track_id id, peer_id peer)
{
    struct cmd c = {.kind = CMD_TRACK_OPEN};

    c.track_open = (struct cmd_track_open){
        .track = id, .peer = peer, .video = true, .mid = "0", .codec_n = 1, .layer_n = 1};
    c.track_open.ext = r->ext;
    c.track_open.codec[0] = (struct cmd_codec){.pt = 96,
                                               .codec = CODEC_VP8,
                                               .rtx_pt = 97,
                                               .nack = true,
                                               .pli = true,
                                               .twcc = true,
                                               .clock_hz = 90000};
    return c;
}

static inline struct cmd rig_audio_track(const struct rig *r, track_id id, peer_id peer)
{
    struct cmd c = {.kind = CMD_TRACK_OPEN};

    c.track_open =
        (struct cmd_track_open){.track = id, .peer = peer, .mid = "1", .codec_n = 1, .layer_n = 1};
    c.track_open.ext = r->ext;
    c.track_open.codec[0] =
        (struct cmd_codec){.pt = 111, .codec = CODEC_OPUS, .nack = true, .clock_hz = 48000};
    return c;
}

static inline struct cmd rig_subscription(const struct rig *r, sub_id id, track_id track,
                                          peer_id peer, uint32_t ssrc)
{
    struct cmd c = {.kind = CMD_SUB_ATTACH};

    c.sub_attach = (struct cmd_sub_attach){.sub = id,
                                           .track = track,
                                           .peer = peer,
                                           .ssrc = ssrc,
                                           .rtx_ssrc = ssrc + 1,
                                           .mid = "7",
                                           .cname = "PA_x|TR_y",
                                           .pt_n = 2,
                                           .max_spatial = 2,
                                           .max_temporal = 3};
    c.sub_attach.pt[0] = (struct cmd_pt_map){.in_pt = 96, .out_pt = 120, .out_rtx_pt = 121};
    c.sub_attach.pt[1] = (struct cmd_pt_map){.in_pt = 111, .out_pt = 109};
    c.sub_attach.ext.id[RTP_EXT_MID] = r->ext.id[RTP_EXT_MID];
    c.sub_attach.ext.id[RTP_EXT_ABS_SEND_TIME] = r->ext.id[RTP_EXT_ABS_SEND_TIME];
    c.sub_attach.ext.id[RTP_EXT_AUDIO_LEVEL] = r->ext.id[RTP_EXT_AUDIO_LEVEL];
    return c;
}

/* A VP8 payload of `len` bytes (at least 20); the byte after its head is `mark`. */
static inline struct bytes rig_vp8(uint8_t *buf, size_t len, bool key, uint16_t pid, uint8_t mark)
{
    uint8_t head[] = {0x90, 0xe0, (uint8_t)(0x80 | pid >> 8), (uint8_t)pid, (uint8_t)pid, 0x20};
    uint8_t frame[] = {key ? 0x10 : 0x11, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0xe0, 1};

    memcpy(buf, head, sizeof head);
    memcpy(buf + sizeof head, frame, sizeof frame);
    memset(buf + 16, mark, len - 16);
    return bytes_of(buf, len);
}

#endif
