#include "ingest/ftl_media.h"

#include "base/err.h"
#include "base/mem.h"
#include "ingest/reorder.h"
#include "wire/rtcp.h"
#include "wire/rtp.h"

enum { QUESTION_SENDER = 1 }; /* our own number in questions: nobody reads it */

enum { AUDIO, VIDEO, KINDS };

struct part {
    bool announced;
    uint32_t ssrc;
    uint8_t pt;
    enum codec codec;
    uint32_t clock_hz;
    struct reorder *reorder;
    bool ts_known;
    uint64_t ts; /* unwrapped; of the newest packet out */
    bool sr_known;
    int64_t sr_unix_us; /* when time stamp 0 was, by the sender's clock */
    uint16_t asked[REORDER_ASK_MAX];
    unsigned asked_n;
};

struct ftl_media {
    struct part part[KINDS];
    struct addr from; /* port 0 until the first packet */
    us_t silence_at;
    us_t skew_us; /* added to audio */
    bool video_seen, ended, end_told;
    bool config_due;
    struct reorder_packet held; /* behind a config that goes first */
    bool held_any;
    struct ftl_media_stats stats;
};

int ftl_media_open(struct ftl_media **ret, const struct ftl_stream *s, const struct addr *peer,
                   us_t now)
{
    struct ftl_media *m = mem_zero(sizeof *m);

    if (m == NULL)
        return E_NOMEM;
    m->from = *peer;
    m->from.port = 0;
    m->silence_at = now + FTL_MEDIA_SILENCE_US;
    m->part[AUDIO] = (struct part){.announced = s->audio,
                                   .ssrc = s->audio_ssrc,
                                   .pt = s->audio_pt,
                                   .codec = s->audio_codec,
                                   .clock_hz = 48000};
    m->part[VIDEO] = (struct part){.announced = s->video,
                                   .ssrc = s->video_ssrc,
                                   .pt = s->video_pt,
                                   .codec = s->video_codec,
                                   .clock_hz = 90000};
    int err = reorder_open(&m->part[AUDIO].reorder, FTL_MEDIA_AUDIO_SLOTS);
    if (!err)
        err = reorder_open(&m->part[VIDEO].reorder, FTL_MEDIA_VIDEO_SLOTS);
    if (err) {
        ftl_media_free(m);
        return err;
    }
    *ret = m;
    return 0;
}

void ftl_media_free(struct ftl_media *m)
{
    if (m == NULL)
        return;
    for (int i = 0; i < KINDS; i++)
        reorder_free(m->part[i].reorder);
    mem_free(m);
}

/* ---- in ---- */

/* Both reports count from one instant of the sender's clock: their difference is how much later
 * one stream began than the other. */
static void on_report(struct ftl_media *m, const struct rtcp_sr *sr)
{
    struct part *p = &m->part[sr->ssrc == m->part[VIDEO].ssrc ? VIDEO : AUDIO];

    if (sr->ssrc != p->ssrc || !p->ts_known)
        return;
    int32_t ahead = (int32_t)(sr->rtp_ts - (uint32_t)p->ts);
    int64_t ts = (int64_t)p->ts + ahead;
    p->sr_unix_us = rtcp_unix_of_ntp(sr->ntp) - ts * US_PER_SEC / p->clock_hz;
    p->sr_known = true;
    if (!m->part[AUDIO].sr_known || !m->part[VIDEO].sr_known)
        return;
    us_t skew = m->part[AUDIO].sr_unix_us - m->part[VIDEO].sr_unix_us;
    if (skew < FTL_MEDIA_SKEW_MAX_US && skew > -FTL_MEDIA_SKEW_MAX_US)
        m->skew_us = skew;
}

static void on_rtcp(struct ftl_media *m, struct bytes d)
{
    struct rtcp_iter it;
    struct rtcp_pkt pkt;
    struct rtcp_sr sr;

    rtcp_iter_init(&it, d);
    while (rtcp_next(&it, &pkt)) {
        if (rtcp_parse_sr(&pkt, &sr) == 0)
            on_report(m, &sr);
    }
}

static void on_rtp(struct ftl_media *m, const struct addr *from, struct bytes d, us_t now)
{
    struct rtp_view v;

    if (rtp_parse(&v, d, NULL) || v.payload_len == 0 || v.payload_len > REORDER_PACKET_MAX) {
        m->stats.foreign++;
        return;
    }
    struct part *p = &m->part[v.ssrc == m->part[VIDEO].ssrc ? VIDEO : AUDIO];
    if (!p->announced || v.ssrc != p->ssrc || v.pt != p->pt) {
        m->stats.foreign++;
        return;
    }
    m->from.port = from->port;
    m->silence_at = now + FTL_MEDIA_SILENCE_US;
    if (p == &m->part[VIDEO])
        m->video_seen = true;
    else if ((m->part[VIDEO].announced && !m->video_seen) || v.payload_len > FTL_MEDIA_OPUS_MAX) {
        m->stats.flood++;
        return;
    }
    m->stats.packets++;
    m->stats.bytes += d.len;
    (void)reorder_seen(p->reorder, v.seq, v.ts, rtp_marker(&v), rtp_payload(&v, d.p),
                       now); /* it counts what it refuses */
}

void ftl_media_input(struct ftl_media *m, const struct addr *from, struct bytes d, us_t now)
{
    if (m->ended)
        return;
    if (d.len < 4 || !addr_ip_eq(from, &m->from) ||
        (m->from.port != 0 && from->port != m->from.port)) {
        m->stats.foreign++;
        return;
    }
    if (d.p[1] >= RTCP_SR && d.p[1] <= RTCP_XR)
        on_rtcp(m, d);
    else
        on_rtp(m, from, d, now);
}

/* ---- out ---- */

bool ftl_media_from(const struct ftl_media *m, struct addr *from)
{
    if (m->from.port == 0)
        return false;
    *from = m->from;
    return true;
}

bool ftl_media_output(struct ftl_media *m, struct addr *to, struct wr *w)
{
    for (int i = 0; i < KINDS; i++) {
        struct part *p = &m->part[i];
        if (p->asked_n == 0)
            continue;
        rtcp_write_nack(w, QUESTION_SENDER, p->ssrc, p->asked, p->asked_n);
        p->asked_n = 0;
        *to = m->from;
        return wr_ok(w);
    }
    return false;
}

static us_t pts_of(struct ftl_media *m, struct part *p, uint32_t ts)
{
    if (!p->ts_known)
        p->ts = ts;
    else
        p->ts = (uint64_t)us_max(0, (int64_t)p->ts + (int32_t)(ts - (uint32_t)p->ts));
    p->ts_known = true;
    us_t pts = (us_t)(p->ts * (uint64_t)US_PER_SEC / p->clock_hz);
    return p == &m->part[AUDIO] ? pts + m->skew_us : pts;
}

static void tell_packet(struct ftl_media *m, struct part *p, const struct reorder_packet *k,
                        struct media *ev)
{
    *ev = (struct media){
        .kind = MEDIA_RTP,
        .codec = p->codec,
        .video = p == &m->part[VIDEO],
        .marker = k->marker,
        .rtp_ts = k->ts,
        .lost_n = k->lost_n,
        .data = k->payload,
    };
    ev->pts_us = ev->dts_us = pts_of(m, p, k->ts);
}

/* The size always comes from the stream: clients announce a constant. */
static bool size_changed(struct ftl_media *m, const struct reorder_packet *k)
{
    struct codec_info info;

    codec_inspect(m->part[VIDEO].codec, k->payload, &info);
    if (info.width == 0 || info.height == 0 ||
        (info.width == m->stats.width && info.height == m->stats.height))
        return false;
    m->stats.width = info.width;
    m->stats.height = info.height;
    return true;
}

bool ftl_media_event(struct ftl_media *m, struct media *ev)
{
    struct reorder_packet k;

    if (m->held_any) {
        m->held_any = false;
        tell_packet(m, &m->part[VIDEO], &m->held, ev);
        return true;
    }
    if (reorder_next(m->part[VIDEO].reorder, &k)) {
        if (!size_changed(m, &k)) {
            tell_packet(m, &m->part[VIDEO], &k, ev);
            return true;
        }
        m->held = k; /* its bytes stay where they are until reorder is called again */
        m->held_any = true;
        *ev = (struct media){.kind = MEDIA_VIDEO_CONFIG,
                             .codec = m->part[VIDEO].codec,
                             .video = true,
                             .width = m->stats.width,
                             .height = m->stats.height};
        return true;
    }
    if (reorder_next(m->part[AUDIO].reorder, &k)) {
        tell_packet(m, &m->part[AUDIO], &k, ev);
        return true;
    }
    if (!m->ended || m->end_told)
        return false;
    m->end_told = true;
    *ev = (struct media){.kind = MEDIA_END, .reason = "no media came"};
    return true;
}

/* ---- time ---- */

void ftl_media_tick(struct ftl_media *m, us_t now)
{
    if (m->ended)
        return;
    for (int i = 0; i < KINDS; i++) {
        struct part *p = &m->part[i];
        if (p->asked_n == 0)
            p->asked_n = reorder_due(p->reorder, now, p->asked);
    }
    if (now >= m->silence_at)
        m->ended = true;
}

us_t ftl_media_deadline(const struct ftl_media *m)
{
    us_t at = m->silence_at;

    if (m->ended)
        return US_NEVER;
    for (int i = 0; i < KINDS; i++)
        at = us_min(at, reorder_deadline(m->part[i].reorder));
    return at;
}

void ftl_media_get_stats(const struct ftl_media *m, struct ftl_media_stats *out)
{
    *out = m->stats;
    for (int i = 0; i < KINDS; i++) {
        const struct reorder_counts *c = reorder_counts(m->part[i].reorder);
        out->recovered += c->recovered;
        out->duplicates += c->duplicates;
        out->late += c->late;
        out->lost += c->lost;
        out->asked += c->asked;
        out->rtt_us = us_max(out->rtt_us, reorder_rtt_us(m->part[i].reorder));
    }
}
