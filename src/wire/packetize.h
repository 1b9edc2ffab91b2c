/* wire/packetize.h - frames into RTP payloads.
 * (RFC 7741, RFC 9628, RFC 6184 mode 1, RFC 7798, RTP payload format for AV1, RFC 7587)
 *
 * For our own publishing half: one frame goes in, payloads of bounded size come
 * out one by one; the last of a frame carries the marker.  The struct remembers
 * picture numbers between frames.  No allocation: the frame is borrowed until its
 * last payload is out.
 */
#ifndef WIRE_PACKETIZE_H
#define WIRE_PACKETIZE_H

#include "base/base.h"
#include "base/cursor.h"
#include "wire/annexb.h"
#include "wire/codec.h"

enum {
    PACKETIZE_PAYLOAD_MAX = 1180, /* leaves room for headers, tag and tunnels in 1,280 bytes */
    PACKETIZE_PAYLOAD_MIN = 64,
};

struct packetize {
    enum codec codec;
    uint16_t max;        /* bytes of a payload */
    uint16_t picture_id; /* 15 bits; VP8 and VP9 */
    bool started;        /* a frame was given before */
    bool key;            /* the current frame is a key frame */
    struct bytes frame;
    size_t at;              /* bytes of the frame (VP8, VP9) or of the unit that are out */
    uint16_t width, height; /* VP9: of the last key frame */
    struct annexb nals;
    struct bytes unit, next; /* H.264, H.265: NAL unit in work, and the one after it */
    struct rd obus;          /* AV1: units not yet begun */
    bool first;              /* nothing of the frame is out */
};

/* max: PACKETIZE_PAYLOAD_MIN..65535.  E_UNSUPPORTED for a codec that it cannot do. */
MUST_CHECK int packetize_init(struct packetize *p, enum codec c, uint16_t max, struct rng *rng);

/* A frame of VP8 or VP9, a temporal unit of AV1 with sizes in its OBUs, an access
 * unit of H.264 or H.265 in Annex B, or a packet of an audio codec.  E_MALFORMED when it is
 * none; E_TOO_LARGE for an audio packet over max. */
MUST_CHECK int packetize_frame(struct packetize *p, struct bytes frame);
/* Appends the next payload to w (of at least `max` free bytes); false when the frame is out. */
bool packetize_next(struct packetize *p, struct wr *w, bool *marker);

#endif
