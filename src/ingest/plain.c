#include "ingest/plain.h"

#include "base/err.h"
#include "base/mem.h"
#include "ingest/ftl_media.h"
#include "wire/rtcp.h"
#include "wire/rtp.h"

enum { AUDIO, VIDEO, KINDS };

struct side {
    struct ftl_media *media; /* NULL: no sender yet */
    struct addr from;
    uint32_t ssrc, clock_hz;
    us_t heard_at;
    us_t shift_us; /* added to its times */
    bool shifted;
    uint32_t ts; /* of the newest packet out, and its time before the shift */
    us_t pts_us;
    bool reported;
    us_t zero_us; /* by the sender's clock: when its time 0 was */
};

struct plain {
    struct side side[KINDS];
    bool begun, over;
    us_t begun_at, heard_at;
    struct plain_stats stats;
};

int plain_open(struct plain **ret)
{
    struct plain *p = mem_zero(sizeof *p);

    if (p == NULL)
        return E_NOMEM;
    p->side[AUDIO].clock_hz = 48000;
    p->side[VIDEO].clock_hz = 90000;
    *ret = p;
    return 0;
}

static void add_stats(struct plain_stats *sum, const struct ftl_media *m)
{
    struct ftl_media_stats s;

    if (m == NULL)
        return;
    ftl_media_get_stats(m, &s);
    sum->packets += s.packets;
    sum->bytes += s.bytes;
    sum->flood += s.flood;
    sum->foreign += s.foreign;
    sum->recovered += s.recovered;
    sum->duplicates += s.duplicates;
    sum->late += s.late;
    sum->lost += s.lost;
}

static void release(struct plain *p, struct side *s)
{
    add_stats(&p->stats, s->media);
    ftl_media_free(s->media);
    *s = (struct side){.clock_hz = s->clock_hz};
}

void plain_free(struct plain *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < KINDS; i++)
        ftl_media_free(p->side[i].media);
    mem_free(p);
}

/* ---- in ---- */

static bool heard_lately(us_t heard_at, us_t now)
{
    return now - heard_at < PLAIN_RELEASE_US;
}

/* One computer's stream: sound and picture of two would not belong together. */
static bool is_stranger(const struct plain *p, const struct addr *from, us_t now)
{
    for (int i = 0; i < KINDS; i++) {
        const struct side *s = &p->side[i];
        if (s->media != NULL && heard_lately(s->heard_at, now) && !addr_ip_eq(&s->from, from))
            return true;
    }
    return false;
}

static int pin(struct plain *p, struct side *s, const struct addr *from, uint32_t ssrc, us_t now)
{
    bool video = s == &p->side[VIDEO];
    const struct ftl_stream stream = {
        .video = video,
        .audio = !video,
        .video_ssrc = video ? ssrc : 0,
        .audio_ssrc = video ? 0 : ssrc,
        .video_pt = PLAIN_VIDEO_PT,
        .audio_pt = PLAIN_AUDIO_PT,
        .video_codec = CODEC_H264,
        .audio_codec = CODEC_OPUS,
    };

    release(p, s);
    int err = ftl_media_open(&s->media, &stream, from, now);
    if (err)
        return err;
    s->from = *from;
    s->ssrc = ssrc;
    p->stats.senders++;
    if (!p->begun)
        p->begun_at = now;
    p->begun = true;
    return 0;
}

static enum plain_seen on_rtp(struct plain *p, const struct addr *from, struct bytes d, us_t now)
{
    struct rtp_view v;

    if (rtp_parse(&v, d, NULL) || v.payload_len == 0 ||
        (v.pt != PLAIN_VIDEO_PT && v.pt != PLAIN_AUDIO_PT)) {
        p->stats.foreign++;
        return PLAIN_DROPPED;
    }
    struct side *s = &p->side[v.pt == PLAIN_VIDEO_PT ? VIDEO : AUDIO];
    if (v.pt == PLAIN_AUDIO_PT && v.payload_len > FTL_MEDIA_OPUS_MAX) {
        p->stats.flood++;
        return PLAIN_DROPPED;
    }
    bool same = s->media != NULL && s->ssrc == v.ssrc && addr_eq(&s->from, from);
    if (is_stranger(p, from, now) ||
        (s->media != NULL && !same && heard_lately(s->heard_at, now))) {
        p->stats.strangers++;
        return PLAIN_DROPPED;
    }
    if (!same && pin(p, s, from, v.ssrc, now)) {
        p->stats.foreign++;
        return PLAIN_DROPPED;
    }
    p->heard_at = s->heard_at = now;
    ftl_media_input(s->media, from, d, now);
    return PLAIN_TAKEN;
}

/* What the sender's clock said when the stream's time was 0; then sound is laid beside picture by
 * it. */
static void on_report(struct side *s, const struct rtcp_sr *sr)
{
    if (s->media == NULL || !s->shifted || sr->ssrc != s->ssrc)
        return;
    int32_t ahead = (int32_t)(sr->rtp_ts - s->ts);
    s->zero_us = rtcp_unix_of_ntp(sr->ntp) - s->pts_us - (int64_t)ahead * US_PER_SEC / s->clock_hz;
    s->reported = true;
}

static void align(struct plain *p)
{
    struct side *a = &p->side[AUDIO], *v = &p->side[VIDEO];

    if (!a->reported || !v->reported || !a->shifted || !v->shifted)
        return;
    us_t shift = v->shift_us + a->zero_us - v->zero_us, off = shift - a->shift_us;
    if (off < FTL_MEDIA_SKEW_MAX_US && off > -FTL_MEDIA_SKEW_MAX_US)
        a->shift_us = shift;
}

/* Reports may come from a port beside that of the media. */
static enum plain_seen on_rtcp(struct plain *p, const struct addr *from, struct bytes d, us_t now)
{
    struct rtcp_iter it;
    struct rtcp_pkt pkt;
    struct rtcp_sr sr;

    if (is_stranger(p, from, now)) {
        p->stats.strangers++;
        return PLAIN_DROPPED;
    }
    rtcp_iter_init(&it, d);
    while (rtcp_next(&it, &pkt)) {
        if (rtcp_parse_sr(&pkt, &sr) == 0)
            for (int i = 0; i < KINDS; i++)
                on_report(&p->side[i], &sr);
    }
    align(p);
    return PLAIN_TAKEN;
}

enum plain_seen plain_input(struct plain *p, const struct addr *from, struct bytes d, us_t now)
{
    if (p->over || d.len < 4) {
        p->stats.foreign++;
        return PLAIN_DROPPED;
    }
    if (d.p[1] == PLAIN_PING_PT) {
        bool ours = d.len <= PLAIN_PING_MAX && d.p[0] >> 6 == 2 && !is_stranger(p, from, now);
        p->stats.strangers += !ours;
        return ours ? PLAIN_ECHO : PLAIN_DROPPED;
    }
    if (d.p[1] >= RTCP_SR && d.p[1] <= RTCP_XR)
        return on_rtcp(p, from, d, now);
    return on_rtp(p, from, d, now);
}

/* ---- out ---- */

bool plain_from(const struct plain *p, struct addr *from)
{
    const struct side *s = &p->side[p->side[VIDEO].media != NULL ? VIDEO : AUDIO];

    if (!p->begun || p->over || s->media == NULL)
        return false;
    *from = s->from;
    return true;
}

bool plain_output(struct plain *p, struct addr *to, struct wr *w)
{
    for (int i = 0; i < KINDS; i++) {
        if (p->side[i].media != NULL && ftl_media_output(p->side[i].media, to, w))
            return true;
    }
    return false;
}

/* Until there are reports: what came first was sent first. */
static void place(struct plain *p, struct side *s, struct media *ev)
{
    if (ev->kind != MEDIA_RTP)
        return;
    if (!s->shifted)
        s->shift_us = s->heard_at - p->begun_at - ev->pts_us;
    s->shifted = true;
    s->ts = ev->rtp_ts;
    s->pts_us = ev->pts_us;
    ev->pts_us += s->shift_us;
    ev->dts_us = ev->pts_us;
}

bool plain_event(struct plain *p, struct media *ev)
{
    for (int i = KINDS - 1; i >= 0; i--) {
        struct side *s = &p->side[i];
        while (s->media != NULL && ftl_media_event(s->media, ev)) {
            if (ev->kind == MEDIA_END) { /* one kind alone is silent: the other goes on */
                release(p, s);
                break;
            }
            place(p, s, ev);
            return true;
        }
    }
    if (!p->over)
        return false;
    for (int i = 0; i < KINDS; i++)
        release(p, &p->side[i]);
    p->over = p->begun = false;
    *ev = (struct media){.kind = MEDIA_END, .reason = "no media came"};
    return true;
}

/* ---- time ---- */

void plain_tick(struct plain *p, us_t now)
{
    for (int i = 0; i < KINDS; i++) {
        if (p->side[i].media != NULL)
            ftl_media_tick(p->side[i].media, now);
    }
    if (p->begun && now - p->heard_at >= PLAIN_SILENCE_US)
        p->over = true;
}

us_t plain_deadline(const struct plain *p)
{
    us_t at = p->begun && !p->over ? p->heard_at + PLAIN_SILENCE_US : US_NEVER;

    for (int i = 0; i < KINDS; i++) {
        if (p->side[i].media != NULL)
            at = us_min(at, ftl_media_deadline(p->side[i].media));
    }
    return at;
}

void plain_get_stats(const struct plain *p, struct plain_stats *out)
{
    *out = p->stats;
    for (int i = 0; i < KINDS; i++)
        add_stats(out, p->side[i].media);
}
