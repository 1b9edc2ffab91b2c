#include "sfu/rx.h"

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "sfu/sub.h" /* sub_sig_of */
#include "wire/codec.h"
#include "wire/dd.h"
#include "wire/vpx.h"

void rx_init(struct rx *rx, struct track *track, uint8_t layer, uint32_t clock_hz)
{
    *rx = (struct rx){.track = track, .layer = layer, .clock_hz = clock_hz};
    nack_init(&rx->nack);
    report_rx_init(&rx->report, clock_hz);
}

/* What the templates of the last key frame were, and which packet brought them. */
struct rx_dd {
    struct dd_structure st;
    uint64_t seq;
};

void rx_fini(struct rx *rx)
{
    mem_free(rx->dd);
    rx->dd = NULL;
}

void rx_restart(struct rx *rx, uint32_t ssrc)
{
    rx->ssrc = ssrc;
    rx->odd = false;
    if (!rx->started)
        return;
    rx_fini(rx);         /* it describes the old stream */
    rx->started = false; /* extend() goes on in a later cycle: nothing of before can be meant */
    memset(rx->window, 0, sizeof rx->window);
    nack_init(&rx->nack);
    report_rx_init(&rx->report, rx->clock_hz);
}

static bool window_test_set(struct rx *rx, uint64_t seq)
{
    uint64_t *word = &rx->window[seq / 64 % (RX_WINDOW / 64)], bit = (uint64_t)1 << seq % 64;
    bool was = (*word & bit) != 0;

    *word |= bit;
    return was;
}

static void window_advance(struct rx *rx, uint64_t seq)
{
    if (seq - rx->top >= RX_WINDOW) {
        memset(rx->window, 0, sizeof rx->window);
    } else {
        for (uint64_t s = rx->top + 1; s <= seq; s++)
            rx->window[s / 64 % (RX_WINDOW / 64)] &= ~((uint64_t)1 << s % 64);
    }
    rx->top = seq;
}

static void begin(struct rx *rx, uint16_t seq)
{
    /* Two cycles on: a number from before the restart cannot be reached from here. */
    rx->top = (((rx->top >> 16) + 2) << 16) + seq;
    rx->base = rx->top;
    rx->started = true;
    (void)window_test_set(rx, rx->top); /* the first of all */
}

/* RFC 3550 A.1: a sender that restarts begins anywhere; two in a row far off are believed. */
static bool restarted(struct rx *rx, uint16_t seq)
{
    bool follows = rx->odd && seq == rx->odd_next;

    rx->odd = true;
    rx->odd_next = (uint16_t)(seq + 1);
    return follows;
}

static int extend(struct rx *rx, uint16_t seq, uint64_t *ret)
{
    int16_t ahead = (int16_t)(uint16_t)(seq - (uint16_t)rx->top);
    uint64_t ext = rx->top + (uint64_t)(int64_t)ahead;

    if (!rx->started) {
        begin(rx, seq);
        *ret = rx->top;
        return 0;
    }
    if (ahead <= -RX_WINDOW) {
        if (!restarted(rx, seq))
            return E_REPLAY;
        rx_restart(rx, rx->ssrc);
        begin(rx, seq);
        *ret = rx->top;
        return 0;
    }
    rx->odd = false;
    if (ahead > 0)
        window_advance(rx, ext);
    else if (ext < rx->base)
        return E_REPLAY; /* from before the first packet we saw */
    if (window_test_set(rx, ext))
        return E_REPLAY;
    *ret = ext;
    return 0;
}

/* Only the first packet of an AV1 frame says in its payload what layer it is of; the descriptor
 * says it in each (RTP Payload Format For AV1 s4.1). */
static void inspect_dd(struct rx *rx, struct pkt *p)
{
    struct bytes ext = rtp_ext(&p->rtp, p->data, RTP_EXT_DEPENDENCY_DESCRIPTOR);
    struct dd_structure st;
    struct dd_frame f;

    if (ext.len == 0 || (rx->dd == NULL && (rx->dd = mem_zero(sizeof *rx->dd)) == NULL))
        return;                        /* no memory: as if it had none */
    bool newer = p->seq > rx->dd->seq; /* what comes late must not undo a newer key frame's */
    if (!newer)
        st = rx->dd->st;
    if (dd_parse(&f, newer ? &rx->dd->st : &st, ext) != 0)
        return;
    if (newer && f.has_structure)
        rx->dd->seq = p->seq;
    p->sid = f.sid;
    p->tid = f.tid;
    p->flags &= (uint8_t) ~(PKT_FRAME_START | PKT_FRAME_END);
    p->flags |= (uint8_t)((f.first ? PKT_FRAME_START : 0) | (f.last ? PKT_FRAME_END : 0));
}

static void inspect(struct rx *rx, struct pkt *p, enum codec codec)
{
    struct codec_info info = {0};
    struct vp8_desc d;

    p->codec = (uint8_t)codec;
    p->sid = p->tid = p->tl0 = p->keyidx = 0;
    if (!codec_is_video(codec)) {
        p->flags = PKT_KEY | PKT_FRAME_START | PKT_FRAME_END; /* each stands alone */
        return;
    }
    codec_inspect(codec, pkt_payload(p), &info);
    p->flags =
        (uint8_t)((info.key ? PKT_KEY : 0) | (info.start_of_frame ? PKT_FRAME_START : 0) |
                  (info.end_of_frame ? PKT_FRAME_END : 0) | (info.layer_sync ? PKT_SYNC : 0) |
                  (info.has_picture_id ? PKT_HAS_PICTURE_ID : 0) |
                  (info.has_tl0 ? PKT_HAS_TL0 : 0));
    p->picture_id = info.picture_id;
    p->tl0 = info.tl0;
    p->sid = info.sid;
    p->tid = info.tid;
    if (codec == CODEC_VP8 && vp8_parse(&d, pkt_payload(p)) == 0)
        p->keyidx = d.keyidx;
    if (codec == CODEC_AV1)
        inspect_dd(rx, p);
}

/* RFC 4588 s4: the payload begins with the original number.  Nothing is moved. */
static int unwrap(const struct rx *rx, struct pkt *p, uint8_t media_pt)
{
    if (p->rtp.payload_len < 2 || rtp_pad_only(&p->rtp))
        return E_NOENT; /* padding on the RTX stream: a probe */
    p->rtp.seq = load_u16(p->data + p->rtp.payload_off);
    p->rtp.payload_off = (uint16_t)(p->rtp.payload_off + 2);
    p->rtp.payload_len = (uint16_t)(p->rtp.payload_len - 2);
    p->rtp.ssrc = rx->ssrc;
    p->rtp.pt = media_pt;
    return 0;
}

int rx_accept(struct rx *rx, struct pkt *p, const struct cmd_codec *codec)
{
    if (codec == NULL)
        return E_NOENT;
    bool repair = p->rtp.pt == codec->rtx_pt && p->rtp.pt != codec->pt;
    if (repair) {
        int err = rx->started ? unwrap(rx, p, codec->pt) : E_NOENT;
        if (err)
            return err;
    }
    int err = extend(rx, p->rtp.seq, &p->seq);
    if (err)
        return err;
    if (codec->nack)
        (void)nack_seen(&rx->nack, p->rtp.seq, p->at); /* duplicates are known already */
    if (!repair)
        (void)report_rx_seen(&rx->report, p->rtp.seq, p->rtp.ts, p->at);
    p->ext_sig = sub_sig_of(&p->rtp, p->data);
    p->layer = rx->layer;
    inspect(rx, p, (enum codec)codec->codec);
    return 0;
}

bool rx_fill(struct rx *rx, uint64_t seq, bool nack)
{
    if (!rx->started || seq < rx->base || seq >= rx->top || rx->top - seq >= RX_WINDOW ||
        window_test_set(rx, seq))
        return false;
    if (nack)
        (void)nack_seen(&rx->nack, (uint16_t)seq,
                        0); /* no longer missing; the time plays no part */
    return true;
}
