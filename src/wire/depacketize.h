/* wire/depacketize.h - RTP payloads back into frames.
 * (RFC 7741, RFC 9628, RFC 6184 mode 1, RTP payload format for AV1, RFC 7587)
 *
 * For recording: what comes out is what IVF, Annex B and Ogg hold.  Packets come
 * in the order of their sequence numbers; who has a reordering buffer puts it
 * before.  A frame that lacks a packet is dropped whole and counted, and so is one
 * that grows past the ceiling.  Of VP9 with spatial layers the lowest is kept.
 *
 * Memory: one buffer that grows to `max_bytes`.
 */
#ifndef WIRE_DEPACKETIZE_H
#define WIRE_DEPACKETIZE_H

#include "base/base.h"
#include "wire/codec.h"

struct depacketize {
    enum codec codec;
    uint8_t *buf;
    size_t len, cap, max_bytes;
    uint32_t ts; /* of the frame in work, then of the finished one */
    uint16_t next_seq;
    bool has_seq; /* next_seq is known */
    bool open;    /* a frame is in work */
    bool ready;   /* buf holds a finished frame */
    bool key;
    bool unit_open;     /* AV1: an OBU, H.264: a NAL unit, waits for its end */
    size_t unit_at;     /* where it begins in buf */
    uint64_t dropped_n; /* frames begun and not finished */
};

struct depacketized {
    struct bytes data; /* valid until the next push; H.264 with start codes, AV1 with sizes */
    uint32_t ts;
    bool key;
};

/* E_UNSUPPORTED for a codec that it cannot do. */
MUST_CHECK int depacketize_init(struct depacketize *d, enum codec c, size_t max_bytes);
void depacketize_fini(struct depacketize *d);

struct depacketize_in {
    uint16_t seq;
    uint32_t ts;
    bool marker;
    struct bytes payload;
};

/* 0 when the packet was used or could not be (a part of a frame whose start is lost);
 * E_REPLAY for one that is not newer; E_MALFORMED, E_TOO_LARGE, E_NOMEM when the frame
 * in work is dropped for it. */
int depacketize_push(struct depacketize *d, const struct depacketize_in *in);
/* The frame that the last push completed. */
bool depacketize_frame(struct depacketize *d, struct depacketized *out);

#endif
