#include "client/outgoing.h"

#include "base/err.h"
#include "base/mem.h"

int outgoing_init(struct outgoing *o, const struct section *s, const struct section_codec *codec,
                  struct rng *rng)
{
    uint32_t n = s->video ? OUTGOING_HISTORY_VIDEO : OUTGOING_HISTORY_AUDIO;

    *o = (struct outgoing){
        .ssrc = s->ssrc,
        .rtx_ssrc = s->rtx_ssrc,
        .clock_hz = codec->clock_hz,
        .pt = codec->pt,
        .rtx_pt = codec->rtx_pt,
        .next_seq = rng_below(rng, 1 << 15), /* low half: libsrtp's first guess of the roll-over */
        .next_rtx_seq = rng_below(rng, 1 << 15),
        .slot_n = n,
    };
    memcpy(o->mid, s->mid, sizeof o->mid);
    o->slot = mem_array(n, sizeof *o->slot);
    return o->slot != NULL ? 0 : E_NOMEM;
}

void outgoing_fini(struct outgoing *o)
{
    mem_free(o->slot);
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

    store_u24(abs, rtp_abs_send_time(now));
    out->hdr_len = rtp_write_header(out->hdr, sizeof out->hdr, h, ext, video ? 2 : 1);
    assert(out->hdr_len > 0);
}

int outgoing_make(struct outgoing *o, struct bytes payload, uint32_t ts, bool marker, us_t now,
                  struct outgoing_packet *out)
{
    if (payload.len > OUTGOING_PAYLOAD_MAX)
        return E_TOO_LARGE;
    uint64_t seq = o->next_seq++;
    struct outgoing_slot *s = &o->slot[seq & (o->slot_n - 1)];
    struct rtp_header h = {
        .ts = ts, .ssrc = o->ssrc, .seq = (uint16_t)seq, .pt = o->pt, .marker = marker};

    s->sent_at = now;
    s->ts = ts;
    s->seq = (uint16_t)seq;
    s->len = (uint16_t)payload.len;
    s->marker = marker;
    if (payload.len > 0)
        memcpy(s->payload, payload.p, payload.len);
    *out = (struct outgoing_packet){.roc = (uint32_t)(seq >> 16)};
    out->payload = bytes_of(s->payload, s->len);
    write_header(o, &h, now, out);
    o->packets_n++;
    o->octets_n += (uint32_t)payload.len;
    o->last_ts = ts;
    o->last_at = now;
    return 0;
}

bool outgoing_resend(struct outgoing *o, uint16_t seq, us_t now, struct outgoing_packet *out)
{
    struct outgoing_slot *s = &o->slot[seq & (o->slot_n - 1)];

    if (s->sent_at == 0 || s->seq != seq || now - s->sent_at < OUTGOING_RESEND_GAP_US)
        return false;
    struct rtp_header h = {
        .ts = s->ts, .ssrc = o->ssrc, .seq = seq, .pt = o->pt, .marker = s->marker};
    uint64_t back = (uint16_t)((uint16_t)o->next_seq - seq);

    *out = (struct outgoing_packet){.roc = (uint32_t)((o->next_seq - back) >> 16)};
    if (o->rtx_pt != 0 && o->rtx_ssrc != 0) {
        h.ssrc = o->rtx_ssrc;
        h.pt = o->rtx_pt;
        h.seq = (uint16_t)o->next_rtx_seq;
        out->roc = (uint32_t)(o->next_rtx_seq++ >> 16);
        out->rtx = true;
        store_u16(out->prefix, seq); /* RFC 4588 s4 */
    }
    s->sent_at = now;
    out->payload = bytes_of(s->payload, s->len);
    write_header(o, &h, now, out);
    return true;
}

bool outgoing_report(struct outgoing *o, struct tick tick, struct rtcp_sr *sr)
{
    if (o->packets_n == 0 || tick.now < o->report_at)
        return false;
    o->report_at = tick.now + OUTGOING_REPORT_US;
    /* RFC 3550 s6.4.1: the RTP time that corresponds to the NTP time, not to the last packet. */
    uint64_t since = (uint64_t)(tick.now - o->last_at) * o->clock_hz / (uint64_t)US_PER_SEC;
    *sr = (struct rtcp_sr){
        .ssrc = o->ssrc,
        .ntp = rtcp_ntp_of_unix(tick.now + tick.wall_off_us),
        .rtp_ts = o->last_ts + (uint32_t)since,
        .packets_n = o->packets_n,
        .octets_n = o->octets_n,
    };
    return true;
}
