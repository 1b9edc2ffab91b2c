/* client/recorder.h - a received track as a growing file.
 *
 * Puts packets back into order for a moment, makes frames of them and gives the
 * bytes of the file: IVF for VP8, VP9 and AV1, Annex B for H.264, Ogg for Opus.
 * Gaps stay gaps: time comes from the stream's time stamps.  Writes no file
 * itself: the owner appends what recorder_take() gives.
 */
#ifndef CLIENT_RECORDER_H
#define CLIENT_RECORDER_H

#include "base/base.h"
#include "base/str.h"
#include "client/client.h"
#include "wire/depacketize.h"
#include "wire/ogg.h"

enum {
    RECORDER_HELD_MAX = 64,        /* packets waiting for an earlier one */
    RECORDER_HELD_US = 250 * 1000, /* and for how long: three retransmissions */
    RECORDER_FRAME_BYTES_MAX = 4 << 20,
    RECORDER_OUT_BYTES_MAX = 16 << 20,
    RECORDER_PAYLOAD_MAX = 1500,
};

struct recorder_held {
    us_t came_at;
    uint16_t seq, len;
    uint32_t ts;
    bool marker, used;
    uint8_t payload[RECORDER_PAYLOAD_MAX];
};

struct recorder {
    enum codec codec;
    struct depacketize de;
    struct ogg_writer ogg;
    struct recorder_held *held; /* [RECORDER_HELD_MAX] by sequence number */
    struct str out;
    bool started, wrote_head;
    uint16_t next_seq;
    uint32_t first_ts, last_ts;
    uint64_t ext_ts; /* since the first frame */
    uint64_t frames_n;
    uint16_t width, height;
};

/* E_UNSUPPORTED (codec), E_NOMEM. */
MUST_CHECK int recorder_open(struct recorder *r, enum codec codec);
void recorder_close(struct recorder *r);
void recorder_push(struct recorder *r, const struct client_media *m, us_t now);
/* Bytes to append to the file; empty when there are none.  Valid until the next call. */
struct bytes recorder_take(struct recorder *r);
/* File name ending: ".ivf", ".h264", ".ogg". */
const char *recorder_ending(enum codec codec);

#endif
