#include "sfu/fwd.h"

#include "sfu/link.h"
#include "wire/vpx.h"

void fwd_init(struct fwd *f, struct sub *sub, struct link *link, struct rng *rng)
{
    *f = (struct fwd){
        .now = {.layer = LAYER_NONE},
        .next = 1,
        .sub = sub,
        .link = link,
        .want = LAYER_NONE,
        .sid_now = sub->max_spatial,
        .sid_want = sub->max_spatial,
        .tid_max = sub->max_temporal,
    };
    /* In the lower half: RFC 3711 s3.3.1, the receiver guesses a roll-over count of zero. */
    f->now.off = rng_below(rng, 1 << 15);
}

void fwd_pause(struct fwd *f)
{
    f->flags |= FWD_PAUSED;
    f->flags &= (uint8_t)~FWD_CATCH_UP;
    if (f->now.layer == LAYER_NONE)
        return;
    seqmap_push(&f->sub->older, &f->now, f->next);
    f->now.layer = LAYER_NONE;
    f->now.from = f->next;
}

void fwd_resume(struct fwd *f)
{
    f->flags &= (uint8_t)~FWD_PAUSED;
}

static us_t ticks_us(int64_t ticks, uint32_t clock_hz)
{
    return ticks * US_PER_SEC / clock_hz;
}

/* The timestamp under which a newly joined layer continues: by the publisher's reports when they
 * are there and plausible, else by the time that passed. */
static uint32_t join_ts(const struct fwd *f, const struct pkt *p, const struct fwd_source *src,
                        uint8_t from_layer)
{
    const struct sub *s = f->sub;
    us_t passed = us_clamp(p->at - s->last_at, 0, 3600 * US_PER_SEC);
    uint32_t expected = s->last_ts + (uint32_t)(passed * src->clock_hz / US_PER_SEC);
    uint32_t ts = expected, delta;

    if (p->layer == from_layer)
        ts = p->rtp.ts + f->now.ts_off; /* the same stream after a pause */
    else if (from_layer < src->layer_n &&
             layer_ts_delta(&src->layer[from_layer], &src->layer[p->layer], src->clock_hz, &delta))
        ts = p->rtp.ts + delta + f->now.ts_off;
    us_t off = ticks_us((int32_t)(ts - expected), src->clock_hz);
    if (off > FWD_TS_JUMP_US || off < -FWD_TS_JUMP_US)
        ts = expected;
    if ((int32_t)(ts - s->last_ts) <= 0) /* a decoder wants time to move on */
        ts = s->last_ts + u32_max(1, src->clock_hz / 1000);
    return ts;
}

static void join_vp8(struct fwd *f, const struct pkt *p)
{
    struct vp8_desc d;

    if (p->codec != CODEC_VP8 || vp8_parse(&d, pkt_payload(p)) != 0 || !(f->flags & FWD_VP8)) {
        f->now.pid_off = 0;
        f->now.tl0_off = f->now.keyidx_off = 0;
        return;
    }
    f->now.pid_off = (uint16_t)(f->sub->last_pid + 1 - d.id);
    f->now.tl0_off = (uint8_t)(f->sub->last_tl0 + 1 - d.tl0);
    f->now.keyidx_off = (uint8_t)((f->sub->last_keyidx + 1 - d.keyidx) & 0x1f);
}

/* Join another layer's numbering to the last number sent; `clock` is the packet whose time goes on
 * from there, p itself unless it is older.  Cold. */
static void fwd_switch(struct fwd *f, const struct pkt *p, const struct pkt *clock,
                       const struct fwd_source *src)
{
    uint64_t out = fwd_last_out(f) + 1;
    uint8_t from_layer = f->now.layer;

    if (from_layer != LAYER_NONE)
        seqmap_push(&f->sub->older, &f->now, f->next);
    else if (f->sub->older.put_n > 0) /* after a pause: what came before it */
        from_layer = f->sub->older.seg[(f->sub->older.put_n - 1) % SEQMAP_MAX].layer;
    if (f->sub->sent)
        f->now.ts_off = join_ts(f, clock, src, from_layer) - clock->rtp.ts;
    else
        f->now.ts_off = 0;
    join_vp8(f, p);
    f->now.layer = p->layer;
    f->now.from = f->next = p->seq;
    f->now.off = out - p->seq;
    f->flags &= (uint8_t)~FWD_ANY;
}

/* Skip one incoming number so the receiver sees no gap.  When a newer packet has gone out already
 * its number is spent and the gap must stay. */
static void fwd_withhold(struct fwd *f, const struct pkt *p)
{
    if (p->seq < f->next)
        return;
    seqmap_push(&f->sub->older, &f->now, p->seq);
    f->now.from = f->next = p->seq + 1;
    f->now.off--;
    if (p->codec == CODEC_VP8 && (p->flags & PKT_HAS_PICTURE_ID) && (p->flags & PKT_FRAME_START))
        f->now.pid_off--; /* nor a gap in its pictures */
}

static bool fwd_may_join(const struct fwd *f, const struct pkt *p)
{
    if (!(p->flags & PKT_KEY))
        return false;
    return p->layer == f->want || ((f->flags & FWD_ANY) && p->layer <= f->sub->max_spatial);
}

/* Spatial layers inside one stream: fewer from the next picture on, more from a key picture. */
static bool svc_over(struct fwd *f, const struct pkt *p)
{
    if (f->sid_want != f->sid_now && p->sid == 0 && (p->flags & PKT_FRAME_START) &&
        (f->sid_want < f->sid_now || (p->flags & PKT_KEY)))
        f->sid_now = f->sid_want;
    return p->sid > f->sid_now;
}

static void note_sent(struct fwd *f, const struct pkt *p, const struct sub_emit *e)
{
    struct sub *s = f->sub;

    f->next = p->seq + 1;
    s->last_ts = e->ts;
    s->last_at = p->at;
    if (p->codec == CODEC_VP8 && (p->flags & PKT_HAS_PICTURE_ID)) {
        s->last_pid = (uint16_t)(p->picture_id + e->seg->pid_off);
        if (p->flags & PKT_HAS_TL0)
            s->last_tl0 = (uint8_t)(p->tl0 + e->seg->tl0_off);
        s->last_keyidx = (uint8_t)((p->keyidx + e->seg->keyidx_off) & 0x1f);
        f->flags |= FWD_VP8;
    }
}

/* Cold: only of those who came in the middle, and not for long. */
static uint32_t squeezed(struct fwd *f, const struct pkt *p, const struct seqmap_seg *seg)
{
    if (p->seq > f->sub->squeeze.until + REPLAY_VIDEO)
        f->flags &= (uint8_t)~FWD_SQUEEZED;
    return sub_ts(f->sub, p, seg);
}

static inline bool admit(struct fwd *f, const struct pkt *p, const struct fwd_source *src,
                         struct sub_emit *e)
{
    if (p->layer != f->now.layer) {
        if (!fwd_may_join(f, p))
            return false;
        fwd_switch(f, p, p, src);
    }
    bool marker = rtp_marker(&p->rtp);
    if (src->svc) {
        if (svc_over(f, p)) {
            fwd_withhold(f, p);
            return false;
        }
        marker |= p->sid == f->sid_now && (p->flags & PKT_FRAME_END);
    }
    if (p->tid > f->tid_max || rtp_pad_only(&p->rtp) || sub_pt(f->sub, p->rtp.pt) == NULL) {
        fwd_withhold(f, p);
        return false;
    }
    const struct seqmap_seg *seg = &f->now;
    if (p->seq < f->now.from) {
        seg = seqmap_forth(&f->sub->older, p->layer, p->seq);
        if (seg == NULL)
            return false; /* older than the last switch, or than we remember */
    }
    *e = (struct sub_emit){
        .seq = p->seq + seg->off,
        .ts = p->rtp.ts + seg->ts_off,
        .marker = marker,
        .seg = seg,
    };
    if (f->flags & FWD_SQUEEZED)
        e->ts = squeezed(f, p, seg);
    if (p->seq >= f->next)
        note_sent(f, p, e);
    return true;
}

bool fwd_admit(struct fwd *f, const struct pkt *p, const struct fwd_source *src, struct sub_emit *e)
{
    return !(f->flags & (FWD_PAUSED | FWD_CATCH_UP)) && admit(f, p, src, e);
}

static_assert(FWD_BATCH_MAX * (PKT_DATA_MAX - RTP_HEADER_BYTES + SUB_TEMPLATE_MAX + 2 + 16) <=
                  TX_BYTES,
              "an empty arena takes the batch of one forwarder, whatever is in it");

/* The most that one forwarder can write of a batch. */
static uint32_t batch_bytes(struct pkt *const *batch, unsigned n)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += batch[i]->rtp.payload_len + sub_header_max(batch[i]) + 2 + 16;
    return sum;
}

static inline uint32_t emit(struct sub *s, struct pkt *p, const struct sub_emit *e,
                            struct fwd_source *src, us_t now, struct tx *tx)
{
    uint32_t len = sub_emit(s, p, e, false, now, tx);

    if (len == 0)
        return 0; /* shed: its number stays spent, a NACK may bring it back */
    s->packets++;
    s->octets += p->rtp.payload_len;
    s->wire_bytes += len;
    src->fresh |= !s->sent;
    s->sent = true;
    return len;
}

/* While one packet is sealed, what the next ones need comes closer: each of three steps follows a
 * pointer that the step before it has brought (forwarder, link, peer, key). */
static inline void fetch_ahead(const struct fwd *f, uint32_t left)
{
    if (left > 8)
        __builtin_prefetch(&f[8], 1);
    if (left > 3) {
        __builtin_prefetch(f[3].link, 1);
        sub_prefetch(f[3].sub);
    }
    if (left > 2)
        peer_prefetch(f[2].link->peer);
    if (left > 1)
        peer_prefetch_key(f[1].link->peer);
}

uint32_t fwd_batch(struct fwd *f, uint32_t n, struct pkt *const *batch, unsigned batch_n,
                   struct fwd_source *src, us_t now, struct tx *tx)
{
    uint32_t need = batch_bytes(batch, batch_n);

    for (uint32_t k = 0; k < n; k++, f++) { /* one subscriber's state and key stay hot */
        fetch_ahead(f, n - k);
        if (!f->link->up)
            continue;
        if (!tx_has_room(tx, batch_n, need) && !tx_empty(tx))
            return k;
        for (unsigned i = 0; i < batch_n; i++) {
            struct pkt *p = batch[i];
            struct sub_emit e;
            if (fwd_admit(f, p, src, &e))
                (void)emit(f->sub, p, &e, src, now, tx);
        }
    }
    return n;
}

void fwd_begin_catch_up(struct fwd *f, const struct pkt *first, const struct pkt *newest,
                        const struct fwd_source *src)
{
    struct sub *s = f->sub;
    uint8_t layer = first->layer;

    fwd_switch(f, first, newest, src);
    seqmap_clear(&s->older); /* squeezed and plain packets of one number must not be mixed up */
    s->squeeze = (struct sub_squeeze){
        .from = first->seq, .until = newest->seq, .ts = newest->rtp.ts, .layer = layer};
    f->flags |= FWD_CATCH_UP | FWD_SQUEEZED;
    uint32_t begin = sub_ts(s, first, &f->now);
    if (s->sent && (int32_t)(begin - s->last_ts) <= 0) /* a decoder wants time to move on */
        f->now.ts_off += s->last_ts - begin + u32_max(1, src->clock_hz / 1000);
}

bool fwd_catch_up(struct fwd *f, const struct replay *r, struct fwd_source *src, uint32_t bytes,
                  us_t now, struct tx *tx)
{
    uint32_t sent = 0;

    while (f->next <= r->newest && r->n > 0) {
        struct pkt *p = replay_find(r, f->next);
        struct sub_emit e;
        if (p == NULL) { /* lost so far: its number is spent, a NACK may bring it back */
            f->next++;
            continue;
        }
        if (sent >= bytes || !tx_has_room(tx, 1, batch_bytes(&p, 1)))
            return false;
        if (admit(f, p, src, &e))
            sent += emit(f->sub, p, &e, src, now, tx);
    }
    f->flags &= (uint8_t)~FWD_CATCH_UP;
    return true;
}

bool fwd_choose(struct fwd *f, const struct fwd_source *src, us_t now)
{
    struct sub *s = f->sub;
    bool waits;

    f->tid_max = s->max_temporal;
    if (f->flags & FWD_PAUSED)
        return false;
    if (!src->video) {
        f->want = 0;
        return false;
    }
    if (src->svc) {
        f->want = 0;
        f->sid_want = s->max_spatial;
        waits = f->now.layer == LAYER_NONE || f->sid_want > f->sid_now;
        return waits && f->link->up;
    }
    f->want = layer_choose(src->layer, src->layer_n, s->max_spatial);
    waits = f->want != LAYER_NONE && f->want != f->now.layer;
    if (f->now.layer == LAYER_NONE && now - s->attached_at >= FWD_ACQUIRE_US)
        f->flags |= FWD_ANY;
    return waits && f->link->up;
}

bool fwd_origin(const struct fwd *f, uint16_t seq, uint8_t *layer, uint64_t *in, struct sub_emit *e)
{
    uint64_t last = fwd_last_out(f);
    uint64_t out = last - (uint16_t)((uint16_t)last - seq); /* at or before the last one */
    const struct seqmap_seg *seg = NULL;

    if (!f->sub->sent)
        return false;
    if (f->now.layer != LAYER_NONE && out - f->now.off >= f->now.from && out - f->now.off < f->next)
        seg = &f->now;
    else
        seg = seqmap_back(&f->sub->older, out);
    if (seg == NULL)
        return false;
    *layer = seg->layer;
    *in = out - seg->off;
    *e = (struct sub_emit){.seq = out, .seg = seg};
    return true;
}
