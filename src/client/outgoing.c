#include "client/outgoing.h"

#include "base/err.h"

int outgoing_init(struct outgoing *o, const struct section *s, const struct section_codec *codec,
                  struct rng *rng)
{
    *o = (struct outgoing){
        .ssrc = s->ssrc,
        .rtx_ssrc = s->rtx_ssrc,
        .clock_hz = codec->clock_hz,
        .pt = codec->pt,
        .level = o->level, /* may have been said before */
        .rtx_pt = codec->rtx_pt,
        .next_seq = rng_below(rng, 1 << 15), /* low half: libsrtp's first guess of the roll-over */
        .next_rtx_seq = rng_below(rng, 1 << 15),
    };
    memcpy(o->mid, s->mid, sizeof o->mid);
    report_tx_init(&o->report, codec->clock_hz);
    return resend_history_open(&o->history,
                               s->video ? OUTGOING_HISTORY_VIDEO : OUTGOING_HISTORY_AUDIO);
}

void outgoing_fini(struct outgoing *o)
{
    resend_history_free(o->history);
    *o = (struct outgoing){0};
}

static void write_header(const struct outgoing *o, const struct rtp_header *h, us_t now,
                         struct outgoing_packet *out)
{
    uint8_t abs[3];
    struct rtp_ext_val ext[] = {
        {.id = SECTION_MID_ID, .len = (uint8_t)strlen(o->mid), .data = (const uint8_t *)o->mid},
        {.id = SECTION_ABS_SEND_TIME_ID, .len = sizeof abs, .data = abs},
    };
    bool video = o->clock_hz == 90000;

    if (!video)
        ext[1] = (struct rtp_ext_val){
            .id = o->level != 0 ? SECTION_AUDIO_LEVEL_ID : 0, .len = 1, .data = &o->level};

    store_u24(abs, rtp_abs_send_time(now));
    out->hdr_len = rtp_write_header(out->hdr, sizeof out->hdr, h, ext, ARRAY_LEN(ext));
    assert(out->hdr_len > 0);
}

int outgoing_make(struct outgoing *o, struct bytes payload, uint32_t ts, bool marker, us_t now,
                  struct outgoing_packet *out)
{
    if (payload.len > OUTGOING_PAYLOAD_MAX)
        return E_TOO_LARGE;
    uint64_t seq = o->next_seq++;
    struct rtp_header h = {
        .ts = ts, .ssrc = o->ssrc, .seq = (uint16_t)seq, .pt = o->pt, .marker = marker};

    *out = (struct outgoing_packet){.roc = (uint32_t)(seq >> 16), .payload = payload};
    write_header(o, &h, now, out);
    resend_history_put(o->history, (uint16_t)seq, bytes_of(out->hdr, out->hdr_len), payload);
    report_tx_sent(&o->report, ts, payload.len, now);
    return 0;
}

void outgoing_skip(struct outgoing *o, uint32_t n)
{
    o->next_seq += n;
}

void outgoing_clock(struct outgoing *o, uint32_t ts, us_t at)
{
    o->clocked = true;
    o->clock_ts = ts;
    o->clock_at = at;
}

bool outgoing_resend(struct outgoing *o, uint16_t seq, us_t now, struct outgoing_packet *out)
{
    struct bytes pkt;
    struct rtp_view v;

    if (!resend_history_find(o->history, seq, &pkt) || rtp_parse(&v, pkt, NULL) ||
        !resend_asked(&o->resend, seq, now))
        return false;
    uint64_t back = (uint16_t)((uint16_t)o->next_seq - seq);

    *out = (struct outgoing_packet){.roc = (uint32_t)((o->next_seq - back) >> 16),
                                    .payload = rtp_payload(&v, pkt.p)};
    if (o->rtx_pt == 0 || o->rtx_ssrc == 0) {
        /* To the letter: one nonce must never seal two contents. */
        out->hdr_len = v.payload_off;
        memcpy(out->hdr, pkt.p, v.payload_off);
        return true;
    }
    struct rtp_header h = {.ts = v.ts,
                           .ssrc = o->rtx_ssrc,
                           .seq = (uint16_t)o->next_rtx_seq,
                           .pt = o->rtx_pt,
                           .marker = rtp_marker(&v)};
    out->roc = (uint32_t)(o->next_rtx_seq++ >> 16);
    out->rtx = true;
    store_u16(out->prefix, seq); /* RFC 4588 s4 */
    write_header(o, &h, now, out);
    return true;
}

bool outgoing_report(struct outgoing *o, struct tick tick, struct rtcp_sr *sr)
{
    if (tick.now < o->report_at || !report_tx_sr(&o->report, o->ssrc, tick, sr))
        return false;
    if (o->clocked) {
        int64_t ahead = (tick.now - o->clock_at) * (int64_t)o->clock_hz / US_PER_SEC;
        sr->rtp_ts = o->clock_ts + (uint32_t)ahead;
    }
    o->report_at = tick.now + OUTGOING_REPORT_US;
    return true;
}
