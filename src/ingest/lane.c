#include "ingest/lane.h"

#include "wire/opus.h"

enum { STEP_US = 1000 }; /* between the last of one session and the first of the next */

void lane_init(struct lane *l, bool video, struct rng *rng)
{
    *l = (struct lane){.video = video, .want_key = video, .last_us = -STEP_US};
    l->ts_base = rng_u32(rng);
}

bool lane_config(struct lane *l, const struct media *m, bool *other)
{
    struct lane before = *l;
    struct rng rng = rng_seed(l->ts_base);

    *other = false;
    if (m->codec == CODEC_NONE)
        return false;
    if (m->codec != l->codec) {
        *other = l->codec != CODEC_NONE;
        l->codec = m->codec;
        l->clock_hz = codec_rate_hz(m->codec);
        if (packetize_init(&l->packetize, m->codec, PACKETIZE_PAYLOAD_MAX, &rng)) {
            l->codec = CODEC_NONE;
            return false;
        }
        if (!l->video)
            l->stereo = m->kind == MEDIA_AUDIO_CONFIG ? m->channels != 1 : opus_stereo(m->data);
    }
    if (m->width != 0 && m->height != 0) {
        l->width = m->width;
        l->height = m->height;
    }
    if (m->channels != 0)
        l->channels = m->channels;
    if (m->rate_hz != 0)
        l->rate_hz = m->rate_hz;
    return l->codec != before.codec || l->width != before.width || l->height != before.height ||
           l->channels != before.channels || l->rate_hz != before.rate_hz;
}

void lane_session(struct lane *l)
{
    l->laid = false;
    l->want_key = l->video;
    l->key_seen = false;
    l->pts_max = INT64_MIN;
}

/* Lays the publisher's clock onto the line: beside the other lane's where that makes sense, so
 * that sound and picture stay together; else at now. */
static void lay(struct lane *l, us_t pts, us_t line_now, const us_t *hint)
{
    us_t shift = line_now - pts;

    if (hint != NULL && *hint - shift < LANE_JUMP_US && shift - *hint < LANE_JUMP_US)
        shift = *hint;
    l->shift_us = us_max(shift, l->last_us + STEP_US - pts);
    l->laid = true;
    l->pts_max = INT64_MIN;
}

static uint32_t ticks(const struct lane *l, us_t us)
{
    /* Whole seconds apart: 2^63 is far. */
    int64_t s = us / US_PER_SEC, rest = us % US_PER_SEC;

    return (uint32_t)(s * (int64_t)l->clock_hz + rest * (int64_t)l->clock_hz / US_PER_SEC);
}

static void count(struct lane *l, size_t bytes, bool frame, us_t now)
{
    l->bytes += bytes;
    l->frames += frame;
    if (l->count_at == 0)
        l->count_at = now;
    us_t span = now - l->count_at;
    if (span < LANE_COUNT_US)
        return;
    l->bitrate_bps = (uint32_t)(l->bytes * 8 * (uint64_t)US_PER_SEC / (uint64_t)span);
    l->framerate = (double)l->frames * (double)US_PER_SEC / (double)span;
    l->bytes = l->frames = 0;
    l->count_at = now;
}

/* True for the first packet of a key frame. */
static bool begins_group(struct lane *l, const struct media *m, uint32_t ts)
{
    struct codec_info info = {.key = m->key};

    if (!l->video)
        return false;
    if (m->kind == MEDIA_RTP)
        codec_inspect(l->codec, m->data, &info);
    if (!info.key || (l->key_seen && l->key_ts == ts))
        return false;
    l->key_seen = true;
    l->key_ts = ts;
    return true;
}

bool lane_media(struct lane *l, const struct media *m, us_t line_now, const us_t *hint,
                struct lane_packet *p)
{
    if (l->codec == CODEC_NONE || m->codec != l->codec || m->data.len == 0)
        return false;
    us_t line = m->pts_us + l->shift_us;
    if (!l->laid || line - line_now > LANE_JUMP_US || line_now - line > LANE_JUMP_US)
        lay(l, m->pts_us, line_now, hint);
    line = m->pts_us + l->shift_us;
    if (l->video && m->pts_us < l->pts_max && m->kind != MEDIA_RTP)
        l->b_frames = true;
    l->pts_max = us_max(l->pts_max, m->pts_us);
    l->last_us = us_max(l->last_us, line);
    *p = (struct lane_packet){
        .ts = l->ts_base +
              (m->kind == MEDIA_RTP ? m->rtp_ts + ticks(l, l->shift_us) : ticks(l, line)),
        .line_us = line,
        .lost_n = m->kind == MEDIA_RTP ? u32_min(m->lost_n, LANE_LOST_MAX) : 0,
    };
    p->gop = begins_group(l, m, p->ts);
    count(l, m->data.len, m->kind != MEDIA_RTP || m->marker, line_now);
    if (l->want_key && !p->gop)
        return false;
    l->want_key = false;
    if (m->kind == MEDIA_RTP)
        return true;
    return packetize_frame(&l->packetize, m->data) == 0;
}

bool lane_payload(struct lane *l, const struct media *m, struct wr *w, struct lane_packet *p)
{
    if (m->kind != MEDIA_RTP) {
        bool more = packetize_next(&l->packetize, w, &p->marker);
        p->payload = wr_done(w);
        return more;
    }
    if (p->payload.p != NULL)
        return false;
    p->payload = m->data;
    p->marker = m->marker;
    return true;
}
