/* ingest/lane.h - one track of a job: its clock, its packets, its numbers.
 *
 * Maps the times of whatever publisher feeds it to one RTP time line that never stops: each
 * publisher's session is laid onto it at the moment it begins, a jump is laid on anew.  Cuts
 * access units into payloads; RTP payloads pass untouched, their time stamps moved by a constant.
 * Counts what IngressState wants to know.  No allocation, no clock.
 */
#ifndef INGEST_LANE_H
#define INGEST_LANE_H

#include "base/base.h"
#include "base/cursor.h"
#include "ingest/media.h"
#include "wire/packetize.h"

enum {
    LANE_JUMP_US = 5 * 1000 * 1000,  /* of the publisher's clock against ours: laid on anew */
    LANE_LOST_MAX = 1000,            /* numbers left out for one gap */
    LANE_COUNT_US = 2 * 1000 * 1000, /* span of bit rate and frame rate */
};

struct lane {
    enum codec codec; /* CODEC_NONE: nothing was seen yet */
    bool video, stereo;
    uint16_t width, height;
    uint32_t rate_hz, clock_hz;
    uint8_t channels;
    struct packetize packetize;
    uint32_t ts_base;
    /* This session's place on the time line. */
    bool laid;
    us_t shift_us; /* line = pts + shift */
    us_t last_us;  /* newest on the line */
    us_t pts_max;
    bool b_frames;
    bool want_key; /* video: nothing leaves before a key frame */
    uint32_t key_ts;
    bool key_seen;
    /* Counting. */
    us_t count_at;
    uint64_t bytes;
    uint32_t frames;
    uint32_t bitrate_bps;
    double framerate;
};

/* One payload ready to go. */
struct lane_packet {
    uint32_t ts;
    us_t line_us; /* of its time stamp */
    bool marker;
    bool gop;        /* the first of a key frame: what came before is not needed */
    uint32_t lost_n; /* numbers to leave out before it */
    struct bytes payload;
};

void lane_init(struct lane *l, bool video, struct rng *rng);
/* What is told about the stream before its media; true when something changed.  *other: it is
 * another codec than before. */
bool lane_config(struct lane *l, const struct media *m, bool *other);
/* Another publisher, or the same one anew. */
void lane_session(struct lane *l);

/* Takes VIDEO, AUDIO or RTP; `line_now` is now on the time line, `hint` the other lane's shift or
 * NULL.  False: nothing of it is to be sent. */
bool lane_media(struct lane *l, const struct media *m, us_t line_now, const us_t *hint,
                struct lane_packet *p);
/* For VIDEO and AUDIO after lane_media(): the payloads, one a call, into w of at least
 * PACKETIZE_PAYLOAD_MAX free bytes.  For RTP: the payload itself, once. */
bool lane_payload(struct lane *l, const struct media *m, struct wr *w, struct lane_packet *p);

#endif
