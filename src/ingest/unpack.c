#include "ingest/unpack.h"

#include "base/err.h"
#include "base/mem.h"
#include "wire/av1.h"
#include "wire/h26x.h"

void unpack_init(struct unpack *u)
{
    *u = (struct unpack){.last_pts_us = INT64_MIN};
}

void unpack_fini(struct unpack *u)
{
    mem_free(u->unit);
    u->unit = NULL;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a < b ? b - a : a - b;
}

/* A new origin: the other kind's, when it has jumped to the same place before; else so that this
 * one goes on by one step. */
static void clock_rebase(struct unpack_clock *c, const struct unpack_clock *other, int64_t was)
{
    if (other->started && distance(c->ms + other->off, was) <= UNPACK_SHARED_MS)
        c->off = other->off;
    else
        c->off = was + c->step - c->ms;
}

static us_t clock_read(struct unpack *u, struct unpack_clock *c, struct unpack_clock *other,
                       uint32_t stamp, us_t now)
{
    if (!c->started) {
        c->step = 20;
        c->ms = stamp;
        if (other->started) { /* one origin for both, before and after a wrap */
            c->ms = other->ms + (int32_t)(stamp - other->last);
            c->off = other->off;
            if (distance(c->ms, other->ms) > UNPACK_JUMP_MS) {
                c->off += other->ms - c->ms;
                u->jumps++;
            }
        }
    } else {
        int64_t was = c->ms + c->off, step = (int32_t)(stamp - c->last);
        c->ms += step;
        if (distance(step, 0) > UNPACK_JUMP_MS &&
            distance(step, (now - c->at) / US_PER_MS) > UNPACK_PAUSE_MS) {
            clock_rebase(c, other, was);
            u->jumps++;
        } else if (step > 0 && step < 100) {
            c->step = step;
        }
    }
    c->started = true;
    c->last = stamp;
    c->at = now;
    return (c->ms + c->off) * US_PER_MS;
}

/* Room for one access unit of n bytes. */
static bool unit_room(struct unpack *u, size_t n)
{
    if (n > MEDIA_UNIT_BYTES_MAX)
        return false;
    if (n <= u->unit_cap)
        return true;
    size_t cap = u->unit_cap * 2 > n ? size_min(u->unit_cap * 2, MEDIA_UNIT_BYTES_MAX) : n;
    uint8_t *p = mem_resize(u->unit, cap);
    if (p == NULL)
        return false;
    u->unit = p;
    u->unit_cap = cap;
    return true;
}

static void write_nal(struct wr *w, struct bytes nal)
{
    wr_u32(w, 1); /* start code */
    wr_bytes(w, nal);
}

static enum codec codec_of(enum flv_codec c)
{
    switch (c) {
    case FLV_AVC:
        return CODEC_H264;
    case FLV_HEVC:
        return CODEC_H265;
    case FLV_AV1:
        return CODEC_AV1;
    case FLV_VP8:
        return CODEC_VP8;
    case FLV_VP9:
        return CODEC_VP9;
    case FLV_OPUS:
        return CODEC_OPUS;
    default:
        return CODEC_NONE;
    }
}

static unsigned nal_type(enum flv_codec c, struct bytes nal)
{
    return c == FLV_AVC ? nal.p[0] & 31u : nal.p[0] >> 1 & 63u;
}

/* What a NAL unit is to us. */
enum nal_use { NAL_KEEP, NAL_KEY, NAL_SET, NAL_DROP };

static enum nal_use nal_use(enum flv_codec c, struct bytes nal)
{
    enum { AVC_FILLER = 12, HEVC_FILLER = 38 };

    if (nal.len == 0)
        return NAL_DROP;
    unsigned t = nal_type(c, nal);
    if (c == FLV_AVC)
        return t == H264_IDR                      ? NAL_KEY
               : t == H264_SPS                    ? NAL_SET
               : t == H264_AUD || t == AVC_FILLER ? NAL_DROP
                                                  : NAL_KEEP;
    return t >= H265_BLA_W_LP && t <= H265_IRAP_LAST ? NAL_KEY
           : t == H265_SPS                           ? NAL_SET
           : t == H265_AUD || t == HEVC_FILLER       ? NAL_DROP
                                                     : NAL_KEEP;
}

/* Sizes into start codes; parameter sets before a picture to begin with, unless it brings them. */
static bool unpack_nals(struct unpack *u, struct bytes data, struct media *m)
{
    struct rd r = rd_of(data);
    size_t n = u->config_n;
    struct bytes nal;
    bool set = false;
    int err;

    while ((err = flv_nal(&r, u->length_bytes, &nal)) == 0) {
        enum nal_use use = nal_use(u->video, nal);
        if (use != NAL_DROP)
            n += 4 + nal.len;
        m->key |= use == NAL_KEY;
        set |= use == NAL_SET;
    }
    if (err != E_CLOSED || n == u->config_n || !unit_room(u, n))
        return false;
    struct wr w = wr_of(u->unit, u->unit_cap);
    if (m->key && !set)
        wr_bytes(&w, bytes_of(u->config, u->config_n));
    for (r = rd_of(data); flv_nal(&r, u->length_bytes, &nal) == 0;) {
        if (nal_use(u->video, nal) != NAL_DROP)
            write_nal(&w, nal);
    }
    assert(wr_ok(&w));
    m->data = wr_done(&w);
    return true;
}

/* OBUs as they are, with the sequence header of the configuration where a key frame has none. */
static bool unpack_obus(struct unpack *u, struct bytes data, bool key, struct media *m)
{
    struct rd r = rd_of(data);
    struct av1_obu obu;
    bool sequence = false;

    while (rd_left(&r) > 0) {
        if (av1_obu_read(&r, &obu) != 0)
            return false;
        sequence |= obu.type == AV1_SEQUENCE_HEADER;
    }
    m->key = key || sequence;
    m->data = data;
    if (!m->key || sequence)
        return true;
    if (!unit_room(u, u->config_n + data.len))
        return false;
    struct wr w = wr_of(u->unit, u->unit_cap);
    wr_bytes(&w, bytes_of(u->config, u->config_n));
    wr_bytes(&w, data);
    m->data = wr_done(&w);
    return true;
}

/* HEVC under AVC's number (OBS before 29.1) is known by its record. */
static bool sets_read(struct unpack *u, enum flv_codec *codec, struct bytes record,
                      struct flv_sets *sets)
{
    if (*codec == FLV_AVC && flv_avc_config(record, sets) == 0 &&
        (sets->n == 0 || nal_type(FLV_AVC, sets->nal[0]) == H264_SPS))
        return true;
    if (flv_hevc_config(record, sets) != 0 || sets->n == 0)
        return false;
    unsigned t = nal_type(FLV_HEVC, sets->nal[0]);
    if (t < H265_VPS || t > H265_PPS)
        return false;
    u->mislabelled = *codec == FLV_AVC;
    *codec = FLV_HEVC;
    return true;
}

/* The configuration as it goes before key frames; false when it cannot be read. */
static bool config_read(struct unpack *u, enum flv_codec *codec, struct bytes record, struct wr *w,
                        struct media *m)
{
    struct flv_sets sets;
    struct bytes obus;

    m->width = u->meta_width;
    m->height = u->meta_height;
    switch (*codec) {
    case FLV_AVC:
    case FLV_HEVC:
        if (!sets_read(u, codec, record, &sets))
            return false;
        u->length_bytes = sets.length_bytes;
        for (unsigned i = 0; i < sets.n; i++)
            write_nal(w, sets.nal[i]);
        if (*codec == FLV_AVC && sets.n > 0)
            (void)h264_sps_size(sets.nal[0], &m->width, &m->height); /* else as announced */
        break;
    case FLV_AV1:
        if (flv_av1_config(record, &obus) != 0)
            return false;
        wr_bytes(w, obus);
        struct rd r = rd_of(obus);
        struct av1_obu obu;
        if (rd_left(&r) > 0 && av1_obu_read(&r, &obu) == 0 && obu.type == AV1_SEQUENCE_HEADER)
            (void)av1_sequence_size(obu.body, &m->width, &m->height); /* else as announced */
        break;
    default:
        break; /* VP8, VP9: nothing that a decoder needs */
    }
    return wr_ok(w);
}

static bool video_bad(struct unpack *u, const char *why, const char **reason)
{
    u->dropped++;
    if (++u->bad_n >= UNPACK_BAD_MAX)
        *reason = why;
    return false;
}

static bool video_config(struct unpack *u, const struct flv_media *f, struct media *m,
                         const char **reason)
{
    uint8_t buf[MEDIA_CONFIG_BYTES_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    enum flv_codec codec = f->codec;

    if (!config_read(u, &codec, f->data, &w, m))
        return video_bad(u, "the codec configuration of the video cannot be read", reason);
    if (u->configured && codec != u->video) {
        *reason = "the video codec changed in the middle of the stream";
        return false;
    }
    bool same = u->configured && m->width == u->width && m->height == u->height &&
                bytes_eq(wr_done(&w), bytes_of(u->config, u->config_n));
    u->configured = true;
    u->video = codec;
    u->width = m->width;
    u->height = m->height;
    u->config_n = wr_len(&w);
    memcpy(u->config, buf, u->config_n);
    m->kind = MEDIA_VIDEO_CONFIG;
    m->data = bytes_of(u->config, u->config_n);
    return !same;
}

static bool video_frame(struct unpack *u, const struct flv_media *f, uint32_t stamp, us_t now,
                        struct media *m, const char **reason)
{
    bool taken = false;

    m->kind = MEDIA_VIDEO;
    m->dts_us = clock_read(u, &u->video_clock, &u->audio_clock, stamp, now) + f->extra_ns / 1000;
    m->pts_us = m->dts_us;
    if (f->cts_ms >= -UNPACK_CTS_MAX_MS && f->cts_ms <= UNPACK_CTS_MAX_MS)
        m->pts_us += f->cts_ms * US_PER_MS;
    if (f->data.len == 0)
        return false; /* an empty frame only moves the clock */
    if (!u->configured)
        return video_bad(u, "the video came without its codec configuration", reason);
    if (f->codec != u->video && !(u->mislabelled && f->codec == FLV_AVC)) {
        *reason = "the video codec changed in the middle of the stream";
        return false;
    }
    switch (u->video) {
    case FLV_AVC:
    case FLV_HEVC:
        taken = unpack_nals(u, f->data, m);
        break;
    case FLV_AV1:
        taken = unpack_obus(u, f->data, f->key, m);
        break;
    default:
        m->key = f->key;
        m->data = f->data;
        taken = f->data.len <= MEDIA_UNIT_BYTES_MAX;
    }
    if (!taken)
        return video_bad(u, "the video contradicts its codec configuration", reason);
    if (m->pts_us < u->last_pts_us && u->last_pts_us - m->pts_us < US_PER_SEC)
        u->b_frames = true;
    u->last_pts_us = m->pts_us;
    u->bad_n = 0;
    u->video_n++;
    return true;
}

static bool video_message(struct unpack *u, const struct flv_media *f, uint32_t stamp, us_t now,
                          struct media *m, const char **reason)
{
    enum codec codec;
    bool event;

    if (f->kind != FLV_CONFIG && f->kind != FLV_FRAME)
        return false;
    codec = codec_of(f->codec);
    if (codec == CODEC_NONE) {
        *reason = "this video codec cannot be shown in browsers: choose H.264";
        return false;
    }
    m->video = true;
    if (f->kind == FLV_FRAME && !u->configured && (codec == CODEC_VP8 || codec == CODEC_VP9))
        event = video_config(u, f, m, reason); /* they need none: this frame makes it */
    else
        event = f->kind == FLV_CONFIG ? video_config(u, f, m, reason)
                                      : video_frame(u, f, stamp, now, m, reason);
    m->codec = codec_of(u->video);
    return event;
}

static bool audio_config(struct unpack *u, const struct flv_media *f, struct media *m)
{
    struct flv_opus opus;
    struct flv_aac aac;

    if (f->codec == FLV_AAC && flv_aac_config(f->data, &aac) == 0) {
        m->rate_hz = aac.rate_hz;
        m->channels = aac.channels;
    } else if (f->codec == FLV_OPUS && flv_opus_config(f->data, &opus) == 0 && opus.channels <= 2) {
        m->rate_hz = 48000;
        m->channels = opus.channels;
    } else {
        u->dropped++;
        return false;
    }
    if (f->data.len > sizeof u->audio_config) {
        u->dropped++;
        return false;
    }
    bool same =
        u->audio == f->codec && bytes_eq(f->data, bytes_of(u->audio_config, u->audio_config_n));
    u->audio = f->codec;
    u->audio_config_n = f->data.len;
    memcpy(u->audio_config, f->data.p, f->data.len);
    m->kind = MEDIA_AUDIO_CONFIG;
    m->data = bytes_of(u->audio_config, u->audio_config_n);
    return !same;
}

static bool audio_message(struct unpack *u, const struct flv_media *f, uint32_t stamp, us_t now,
                          struct media *m)
{
    if (f->kind != FLV_CONFIG && f->kind != FLV_FRAME)
        return false;
    m->codec = codec_of(f->codec);
    m->foreign = f->codec == FLV_AAC      ? MEDIA_AAC
                 : f->codec == FLV_MP3    ? MEDIA_MP3
                 : m->codec == CODEC_NONE ? MEDIA_FOREIGN_OTHER
                                          : MEDIA_NATIVE;
    if (f->codec != FLV_AAC && f->codec != FLV_OPUS)
        u->silent = flv_codec_text(f->codec);
    if (f->kind == FLV_CONFIG)
        return audio_config(u, f, m);
    m->kind = MEDIA_AUDIO;
    m->pts_us = clock_read(u, &u->audio_clock, &u->video_clock, stamp, now) + f->extra_ns / 1000;
    m->dts_us = m->pts_us;
    m->data = f->data;
    if (f->data.len == 0)
        return false;
    if (f->data.len > UNPACK_AUDIO_BYTES_MAX || f->codec != u->audio) {
        u->dropped++; /* sound that cannot be used does not end the picture */
        return false;
    }
    u->audio_n++;
    return true;
}

bool unpack_message(struct unpack *u, const struct flv_tag *tag, us_t now, struct media *m,
                    const char **reason)
{
    bool video = tag->type == FLV_TAG_VIDEO;
    struct flv_media f;
    struct flv_iter it;
    int err;

    *m = (struct media){0};
    if (tag->body.len == 0)
        return false; /* seen from encoders that pause */
    err = video ? flv_video(&it, tag->body) : flv_audio(&it, tag->body);
    while (err == 0) {
        err = flv_next(&it, &f);
        if (err || f.track != 0)
            continue;
        u->enhanced |= f.enhanced;
        return video ? video_message(u, &f, tag->timestamp, now, m, reason)
                     : audio_message(u, &f, tag->timestamp, now, m);
    }
    if (err == E_CLOSED)
        return false; /* other tracks alone */
    return video ? video_bad(u, "the video cannot be read", reason) : (u->dropped++, false);
}
