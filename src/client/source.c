#include "client/source.h"

#include "base/err.h"
#include "wire/filekind.h"
#include "wire/opus.h"

#include <stdio.h>

enum { FRAMES_TRIED_MAX = 1 << 20 }; /* a file without a usable frame ends the search */

static int refuse(const struct source *s, bool video, char why[SOURCE_WHY_MAX])
{
    (void)snprintf(why, SOURCE_WHY_MAX, "is %s; %s", filekind_name(filekind_of(s->file)),
                   video ? "video takes IVF (VP8, VP9, AV1) or raw H.264 (Annex B)"
                         : "audio takes Ogg with Opus"); /* cut when long */
    return E_UNSUPPORTED;
}

static int open_video(struct source *s, char why[SOURCE_WHY_MAX])
{
    if (ivf_open(&s->ivf, s->file) == 0) {
        s->kind = SOURCE_IVF;
        s->codec = s->ivf.codec;
        s->width = s->ivf.width;
        s->height = s->ivf.height;
    } else if (annexb_open(&s->annexb, s->file) == 0) {
        s->kind = SOURCE_H264;
        s->codec = CODEC_H264;
    } else {
        return refuse(s, true, why);
    }
    return 0;
}

int source_open(struct source *s, struct bytes file, bool video, struct rng *rng,
                char why[SOURCE_WHY_MAX])
{
    *s = (struct source){.file = file, .start_at = US_NEVER, .jumped_at = -SOURCE_KEYFRAME_GAP_US};
    s->ts_base = rng_u32(rng);
    why[0] = '\0';
    if (video) {
        int err = open_video(s, why);
        if (err)
            return err;
    } else if (ogg_open(&s->ogg, file) == 0) {
        s->kind = SOURCE_OGG;
        s->codec = CODEC_OPUS;
    } else {
        return refuse(s, false, why);
    }
    s->clock_hz = codec_rate_hz(s->codec);
    return packetize_init(&s->packetize, s->codec, PACKETIZE_PAYLOAD_MAX, rng);
}

static void rewind_file(struct source *s)
{
    if (s->kind == SOURCE_IVF)
        ivf_rewind(&s->ivf);
    else if (s->kind == SOURCE_OGG)
        ogg_rewind(&s->ogg);
    else
        s->annexb.at = 0;
}

/* The next frame of the file and its place in it; false at the end. */
static bool read_frame(struct source *s, struct bytes *frame, us_t *position_us)
{
    struct ivf_frame f;
    struct ogg_packet p;
    bool key;

    switch (s->kind) {
    case SOURCE_IVF:
        if (ivf_next(&s->ivf, &f) != 0)
            return false;
        *frame = f.data;
        *position_us = f.at;
        return true;
    case SOURCE_OGG:
        if (ogg_next(&s->ogg, &p) != 0)
            return false;
        *frame = p.data;
        s->frame_us = p.duration_us;
        return true;
    default:
        s->frame_us = US_PER_SEC / SOURCE_FPS;
        return annexb_unit(&s->annexb, frame, &key);
    }
}

/* Loads the next frame and its due time; begins again at the end. */
static bool load(struct source *s)
{
    us_t before = s->position_us, in_file = 0;

    if (!read_frame(s, &s->frame, &in_file)) {
        rewind_file(s);
        if (!read_frame(s, &s->frame, &in_file))
            return false;
        if (s->kind == SOURCE_IVF) /* the others have moved past their last frame */
            before += s->frame_us > 0 ? s->frame_us : US_PER_SEC / SOURCE_FPS;
        s->loop_us = before;
        s->position_us = s->loop_us;
    } else if (s->kind == SOURCE_IVF) {
        s->position_us = us_max(s->loop_us + in_file, before);
        s->frame_us = s->position_us > before ? s->position_us - before : s->frame_us;
    }
    s->loaded = true;
    return true;
}

void source_start(struct source *s, us_t now)
{
    s->start_at = now;
    if (!load(s))
        s->start_at = US_NEVER; /* a file without frames is silent */
}

us_t source_deadline(const struct source *s)
{
    return s->start_at == US_NEVER ? US_NEVER : s->start_at + s->position_us;
}

/* IVF says when a frame begins, the others how long it lasts. */
static void advance(struct source *s)
{
    if (s->kind != SOURCE_IVF)
        s->position_us += s->frame_us;
    if (!load(s))
        s->start_at = US_NEVER;
}

bool source_due(struct source *s, us_t now)
{
    if (source_deadline(s) > now)
        return false;
    if (now - source_deadline(s) > SOURCE_LATE_US)
        s->start_at = now - s->position_us;
    s->ts = s->ts_base + (uint32_t)((uint64_t)s->position_us * s->clock_hz / (uint64_t)US_PER_SEC);
    bool good = packetize_frame(&s->packetize, s->frame) == 0;
    if (!good)
        advance(s);
    return good;
}

bool source_payload(struct source *s, struct wr *w, uint32_t *ts, bool *marker)
{
    *ts = s->ts;
    if (packetize_next(&s->packetize, w, marker))
        return true;
    advance(s);
    return false;
}

void source_keyframe(struct source *s, us_t now)
{
    if (s->kind == SOURCE_OGG || s->start_at == US_NEVER ||
        now - s->jumped_at < SOURCE_KEYFRAME_GAP_US)
        return;
    s->jumped_at = now;
    us_t due = s->position_us;
    for (unsigned i = 0; i < FRAMES_TRIED_MAX; i++) {
        if (packetize_frame(&s->packetize, s->frame) == 0 && s->packetize.key)
            break;
        advance(s);
        if (s->start_at == US_NEVER)
            return;
    }
    /* Its place in the file is later than its time: pull the clock, not the time stamps. */
    us_t skipped = s->position_us - due;
    s->position_us = due;
    s->loop_us -= skipped;
}
