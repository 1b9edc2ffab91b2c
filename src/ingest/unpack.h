/* ingest/unpack.h - audio and video messages of RTMP into events of a stream.
 *
 * One message in, at most one event out (ingest/media.h): a configuration when it is new, a
 * picture as Annex B or OBUs that a decoder can begin with when it says so, a packet of sound.
 * Keeps the clocks of both kinds of media on one origin, without wraps and jumps.  Repeated
 * configurations are silent; a stream that contradicts its configuration for long, or changes its
 * codec, is ended with a reason.  Track 0 is taken, others are skipped.  Memory: one access unit.
 */
#ifndef INGEST_UNPACK_H
#define INGEST_UNPACK_H

#include "base/base.h"
#include "ingest/media.h"
#include "wire/flv.h"

enum {
    UNPACK_JUMP_MS = 10000,        /* a larger step of time stamps begins a new origin .. */
    UNPACK_PAUSE_MS = 5000,        /* .. unless about as much time has passed */
    UNPACK_SHARED_MS = 1000,       /* how near audio and video must come to share one again */
    UNPACK_CTS_MAX_MS = 5000,      /* pictures are not shown later than that */
    UNPACK_BAD_MAX = 60,           /* frames in a row that are of no use */
    UNPACK_AUDIO_BYTES_MAX = 8191, /* AAC: 13 bits in ADTS */
};

struct unpack_clock {
    bool started;
    uint32_t last; /* as received */
    int64_t ms;    /* the same without wraps */
    int64_t off;   /* to the stream's origin */
    int64_t step;  /* the last sound one */
    us_t at;       /* when it came */
};

struct unpack {
    struct unpack_clock video_clock, audio_clock;
    enum flv_codec video, audio; /* FLV_UNKNOWN: nothing yet */
    const char *silent;          /* name of a sound codec that cannot be carried; NULL */
    uint8_t length_bytes;        /* of NAL sizes */
    bool configured;             /* video has its configuration */
    bool mislabelled;            /* HEVC under AVC's number */
    bool enhanced, b_frames;
    uint16_t width, height;           /* of the configuration */
    uint16_t meta_width, meta_height; /* of onMetaData, where the codec's own is not read */
    us_t last_pts_us;
    unsigned bad_n; /* in a row */
    uint32_t video_n, audio_n, dropped, jumps;
    size_t config_n, audio_config_n;
    uint8_t *unit; /* the access unit last given out */
    size_t unit_cap;
    uint8_t config[MEDIA_CONFIG_BYTES_MAX]; /* parameter sets as Annex B, or OBUs */
    uint8_t audio_config[64];               /* AudioSpecificConfig or Opus head */
};

void unpack_init(struct unpack *u);
void unpack_fini(struct unpack *u);

/* What came in a message of type audio or video.  True: *m is an event, its spans valid until the
 * next call and as long as `body`.  *reason is set (static text) when the stream must end. */
bool unpack_message(struct unpack *u, const struct flv_tag *tag, us_t now, struct media *m,
                    const char **reason);

#endif
