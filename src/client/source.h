/* client/source.h - a media file as a live stream.
 *
 * Reads IVF (VP8, VP9, AV1), raw H.264 (Annex B) or Ogg with Opus from a span that
 * holds the whole file, hands out RTP payloads when they fall due, and begins
 * again at the end without a seam in the time stamps.  Asked for a key frame it
 * goes on from the next one in the file.  Nothing is decoded.
 */
#ifndef CLIENT_SOURCE_H
#define CLIENT_SOURCE_H

#include "base/base.h"
#include "wire/annexb.h"
#include "wire/ivf.h"
#include "wire/ogg.h"
#include "wire/packetize.h"

enum {
    SOURCE_FPS = 30,                     /* of raw H.264, which names none */
    SOURCE_KEYFRAME_GAP_US = 500 * 1000, /* jumps no more often */
    SOURCE_LATE_US = 500 * 1000,         /* farther behind: the clock moves, frames do not bunch */
    SOURCE_WHY_MAX = 160,
};

enum source_kind { SOURCE_IVF, SOURCE_H264, SOURCE_OGG };

struct source {
    enum source_kind kind;
    enum codec codec;
    struct bytes file;
    struct ivf ivf;
    struct annexb annexb;
    struct ogg ogg;
    struct packetize packetize;
    uint32_t clock_hz, ts_base;
    us_t start_at;    /* when position 0 was played; US_NEVER before source_start() */
    us_t position_us; /* of the frame that falls due next */
    us_t loop_us;     /* what earlier rounds lasted */
    us_t frame_us;    /* how long the last frame stays */
    us_t jumped_at;
    uint32_t ts; /* of the frame in work */
    bool loaded; /* `frame` waits for its time */
    struct bytes frame;
    uint16_t width, height; /* 0 when the file does not say */
};

/* Takes `file` for as long as the source lives.  E_UNSUPPORTED or E_MALFORMED; `why` then says in
 * words what the file is instead.  `video`: what the user asked for. */
MUST_CHECK int source_open(struct source *s, struct bytes file, bool video, struct rng *rng,
                           char why[SOURCE_WHY_MAX]);
void source_start(struct source *s, us_t now);
/* When the next frame falls due. */
us_t source_deadline(const struct source *s);
/* A frame is due: true, and source_payload() gives its payloads. */
bool source_due(struct source *s, us_t now);
bool source_payload(struct source *s, struct wr *w, uint32_t *ts, bool *marker);
/* Go on with the next key frame of the file. */
void source_keyframe(struct source *s, us_t now);

#endif
