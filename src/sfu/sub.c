#include "sfu/sub.h"

#include "sfu/gop.h"

#include "base/cursor.h"
#include "sfu/link.h"
#include "sfu/track.h"
#include "wire/opus.h"
#include "wire/vpx.h"

static_assert(SUB_TEMPLATE_MAX <= 255, "offsets into the template are bytes");

void sub_init(struct sub *s, const struct cmd_sub_attach *a, struct rng *rng, us_t now)
{
    *s = (struct sub){
        .id = a->sub,
        .ssrc = a->ssrc,
        .rtx_ssrc = a->rtx_ssrc,
        .ext = a->ext,
        .pt_n = (uint8_t)u32_min(a->pt_n, CMD_CODECS_MAX),
        .max_spatial = a->max_spatial,
        .max_temporal = a->max_temporal,
        .attached_at = now,
        /* In the lower half, so that the roll-over counter starts with the receiver's. */
        .rtx_seq = rng_below(rng, 1 << 15),
        .sr_at = now + (us_t)rng_below(rng, SUB_SR_US),
        .stats_at = now + (us_t)rng_below(rng, SUB_STATS_US),
    };
    memcpy(s->pt, a->pt, sizeof s->pt);
    memcpy(s->mid, a->mid, sizeof s->mid - 1);
    memcpy(s->cname, a->cname, sizeof s->cname - 1);
    s->playout_on = s->ext.id[RTP_EXT_PLAYOUT_DELAY] != 0;
    rtp_playout_delay(s->playout, a->min_playout_ms, a->max_playout_ms);
}

void sub_reported(struct sub *s)
{
    /* Where packets are repeated under their own number they must stay the same to the last bit:
     * there the element stays. */
    if (!s->playout_on || s->rtx_ssrc == 0)
        return;
    s->playout_on = false;
    s->hdr_len = 0;
}

uint16_t sub_sig_of(const struct rtp_view *v, const uint8_t *data)
{
    uint16_t sig = 0;

    if (v->ext_off == 0)
        return 0;
    if (rtp_ext(v, data, RTP_EXT_AUDIO_LEVEL).len == 1)
        sig |= SUB_SIG_LEVEL;
    if (rtp_ext(v, data, RTP_EXT_VIDEO_ORIENTATION).len == 1)
        sig |= SUB_SIG_ORIENTATION;
    size_t capture = rtp_ext(v, data, RTP_EXT_ABS_CAPTURE_TIME).len;
    if (capture == 8)
        sig |= SUB_SIG_CAPTURE8;
    else if (capture == 16)
        sig |= SUB_SIG_CAPTURE16;
    size_t dd = rtp_ext(v, data, RTP_EXT_DEPENDENCY_DESCRIPTOR).len;
    return (uint16_t)(sig | (dd & 0xff) << 8);
}

const struct cmd_pt_map *sub_pt(struct sub *s, uint8_t in_pt)
{
    if (s->pt[s->pt_at].in_pt == in_pt && s->pt_at < s->pt_n)
        return &s->pt[s->pt_at];
    for (uint8_t i = 0; i < s->pt_n; i++) {
        if (s->pt[i].in_pt == in_pt) {
            s->pt_at = i;
            return &s->pt[i];
        }
    }
    return NULL;
}

enum { EL_MID, EL_SEND_TIME, EL_TWCC, EL_LEVEL, EL_ORIENT, EL_PLAYOUT, EL_CAPTURE, EL_DD, EL_N };

static_assert((int)EL_N <= (int)RTP_EXT_OUT_MAX, "all elements fit in a written header");

/* The header for packets that carry `sig`, with zeroes where values change. */
static size_t write_template(const struct sub *s, uint16_t sig, uint8_t *out, size_t cap,
                             struct rtp_ext_val el[EL_N])
{
    const uint8_t *id = s->ext.id;
    size_t mid_len = strlen(s->mid);
    struct rtp_header h = {.ssrc = s->ssrc};

    memset(el, 0, EL_N * sizeof *el);
    if (mid_len > 0)
        el[EL_MID] = (struct rtp_ext_val){
            .id = id[RTP_EXT_MID], .len = (uint8_t)mid_len, .data = (const uint8_t *)s->mid};
    el[EL_SEND_TIME] = (struct rtp_ext_val){.id = id[RTP_EXT_ABS_SEND_TIME], .len = 3};
    el[EL_TWCC] = (struct rtp_ext_val){.id = id[RTP_EXT_TWCC], .len = 2};
    if (sig & SUB_SIG_LEVEL)
        el[EL_LEVEL] = (struct rtp_ext_val){.id = id[RTP_EXT_AUDIO_LEVEL], .len = 1};
    if (sig & SUB_SIG_ORIENTATION)
        el[EL_ORIENT] = (struct rtp_ext_val){.id = id[RTP_EXT_VIDEO_ORIENTATION], .len = 1};
    if (s->playout_on)
        el[EL_PLAYOUT] =
            (struct rtp_ext_val){.id = id[RTP_EXT_PLAYOUT_DELAY], .len = 3, .data = s->playout};
    if (sig & (SUB_SIG_CAPTURE8 | SUB_SIG_CAPTURE16))
        el[EL_CAPTURE] = (struct rtp_ext_val){.id = id[RTP_EXT_ABS_CAPTURE_TIME],
                                              .len = sig & SUB_SIG_CAPTURE8 ? 8 : 16};
    if (sig >> 8)
        el[EL_DD] = (struct rtp_ext_val){.id = id[RTP_EXT_DEPENDENCY_DESCRIPTOR],
                                         .len = (uint8_t)(sig >> 8)};
    for (unsigned i = 0; i < EL_N; i++) {
        if (el[i].len == 0)
            el[i].id = 0;
    }
    return rtp_write_header(out, cap, &h, el, EL_N);
}

/* The descriptor is the last element: every place is within a template's length. */
static struct sub_at places(const struct rtp_ext_val el[EL_N])
{
    return (struct sub_at){
        .send_time = (uint8_t)el[EL_SEND_TIME].at,
        .twcc = (uint8_t)el[EL_TWCC].at,
        .level = (uint8_t)el[EL_LEVEL].at,
        .orientation = (uint8_t)el[EL_ORIENT].at,
        .capture = (uint8_t)el[EL_CAPTURE].at,
        .dd = (uint8_t)el[EL_DD].at,
    };
}

/* Cold: another set of elements than the last packet's. */
static void make_template(struct sub *s, uint16_t sig)
{
    struct rtp_ext_val el[EL_N];
    size_t n = write_template(s, sig, s->hdr, sizeof s->hdr, el);

    s->hdr_len = (uint8_t)n;
    s->hdr_sig = sig;
    if (n == 0)
        return;
    s->at = places(el);
}

static void copy_ext(uint8_t *to, const struct pkt *p, enum rtp_ext e)
{
    struct bytes b = rtp_ext(&p->rtp, p->data, e);

    memcpy(to, b.p, b.len);
}

static void fill_ext(uint8_t *out, const struct sub_at *at, const struct pkt *p)
{
    if (at->level)
        copy_ext(out + at->level, p, RTP_EXT_AUDIO_LEVEL);
    if (at->orientation)
        copy_ext(out + at->orientation, p, RTP_EXT_VIDEO_ORIENTATION);
    if (at->capture)
        copy_ext(out + at->capture, p, RTP_EXT_ABS_CAPTURE_TIME);
    if (at->dd)
        copy_ext(out + at->dd, p, RTP_EXT_DEPENDENCY_DESCRIPTOR);
}

static void fill_values(struct sub *s, const struct sub_at *at, const struct pkt *p, us_t now,
                        uint8_t *out)
{
    if (p->ext_sig != 0)
        fill_ext(out, at, p);
    if (at->send_time)
        store_u24(out + at->send_time, rtp_abs_send_time(now));
    if (at->twcc)
        store_u16(out + at->twcc, s->link->twcc_seq++);
}

/* Cold: a header that is longer than a template.  A receiver that gets descriptors must get that of
 * each key frame: it explains all others. */
static size_t write_large(struct sub *s, const struct pkt *p, const struct rtp_header *h, us_t now,
                          uint8_t *out)
{
    struct rtp_ext_val el[EL_N];
    size_t n = write_template(s, p->ext_sig, out, sub_header_max(p), el);
    struct sub_at at = places(el);

    assert(n >= RTP_HEADER_BYTES);
    rtp_patch_header(out, h);
    fill_values(s, &at, p, now, out);
    return n;
}

/* Header into out; its length. */
static size_t write_header(struct sub *s, const struct pkt *p, const struct rtp_header *h, us_t now,
                           uint8_t *out)
{
    uint16_t sig = p->ext_sig;

    if (s->hdr_len == 0 || s->hdr_sig != sig)
        make_template(s, sig);
    if (s->hdr_len == 0)
        return write_large(s, p, h, now, out);
    assert(s->hdr_len >= RTP_HEADER_BYTES);
    memcpy(out, s->hdr, sizeof s->hdr); /* all of it: a constant length is a few moves */
    rtp_patch_header(out, h);
    fill_values(s, &s->at, p, now, out);
    return s->hdr_len;
}

/* Bytes of the payload that differ for this subscriber; put back after sealing. */
struct patch {
    uint8_t *at;
    uint8_t n;
    uint8_t was[VP8_DESC_MAX + 2];
};

static void patch_begin(struct patch *c, uint8_t *at, size_t n)
{
    assert(n <= sizeof c->was);
    c->at = at;
    c->n = (uint8_t)n;
    memcpy(c->was, at, n);
}

static void patch_vp8(struct patch *c, struct pkt *p, const struct seqmap_seg *seg)
{
    struct vp8_desc d;
    uint8_t *payload = p->data + p->rtp.payload_off;

    if (vp8_parse(&d, pkt_payload(p)) != 0)
        return; /* not understood: passed on as it is */
    patch_begin(c, payload, d.len);
    vp8_patch(payload, &d, (uint16_t)(d.id + seg->pid_off), (uint8_t)(d.tl0 + seg->tl0_off),
              (uint8_t)(d.keyidx + seg->keyidx_off));
}

static void patch_end(const struct patch *c)
{
    if (c->n > 0)
        memcpy(c->at, c->was, c->n);
}

/* RFC 2198: the primary is the last block. */
static struct bytes unred(struct bytes payload)
{
    struct red_block block[RED_BLOCKS_MAX];
    unsigned n;

    if (red_parse(payload, block, &n) != 0 || n == 0)
        return (struct bytes){0};
    return block[n - 1].data;
}

uint32_t sub_emit(struct sub *s, struct pkt *p, const struct sub_emit *e, bool again, us_t now,
                  struct tx *tx)
{
    const struct cmd_pt_map *pt = sub_pt(s, p->rtp.pt);
    struct bytes payload = pkt_payload(p);
    uint32_t room = (uint32_t)payload.len + sub_header_max(p) + 2 + 16;
    uint8_t *out = pt != NULL && room <= TX_DATAGRAM_MAX ? tx_claim(tx, room) : NULL;

    if (out == NULL)
        return 0;
    bool rtx = again && sub_has_rtx(s, pt);
    uint64_t seq = rtx ? s->rtx_seq++ : e->seq;
    struct rtp_header h = {
        .ts = e->ts,
        .ssrc = rtx ? s->rtx_ssrc : s->ssrc,
        .seq = (uint16_t)seq,
        .pt = rtx ? pt->out_rtx_pt : pt->out_pt,
        .marker = e->marker,
    };
    struct patch vp8 = {0}, osn = {0};

    if ((e->seg->pid_off | e->seg->tl0_off | e->seg->keyidx_off) != 0)
        patch_vp8(&vp8, p, e->seg);
    if (pt->unred)
        payload = unred(payload);
    if (payload.p == NULL)
        return 0; /* RED that is none: nothing was patched, audio has no VP8 */
    /* A stream without RTX repeats packets under their own number, and one number must never
     * be sealed over two contents: its send time is the arrival, the same each time. */
    size_t hdr = write_header(s, p, &h, sub_has_rtx(s, pt) ? now : p->at, out);
    if (rtx) { /* RFC 4588 s4: the original number goes before the payload, */
        patch_begin(&osn, p->data + (payload.p - p->data) - 2, 2);
        store_u16(osn.at, (uint16_t)e->seq); /* over extensions that are copied by now */
        payload = bytes_of(osn.at, payload.len + 2);
    }
    size_t n =
        peer_seal_rtp(s->link->peer, bytes_of(out, hdr), payload, (uint32_t)(seq >> 16), out, room);
    patch_end(&osn);
    patch_end(&vp8);
    if (n > 0)
        tx_commit(tx, &s->link->path, (uint32_t)n, s->track->video ? TX_VIDEO : TX_AUDIO);
    return (uint32_t)n;
}

uint32_t sub_ts(const struct sub *s, const struct pkt *p, const struct seqmap_seg *seg)
{
    const struct sub_squeeze *q = &s->squeeze;
    uint32_t ts = p->rtp.ts;

    if (p->seq >= q->from && p->seq <= q->until && p->layer == q->layer &&
        (int32_t)(q->ts - ts) > 0)
        ts = q->ts - (q->ts - ts) / GOP_SQUEEZE;
    return ts + seg->ts_off;
}

bool sub_may_repeat(const struct sub *s, const struct cmd_pt_map *pt)
{
    return sub_has_rtx(s, pt) || (s->ext.id[RTP_EXT_TWCC] == 0 && !s->track->svc);
}
