/* wire/rtp.h - RTP packets, parsed once on arrival.  (RFC 3550, RFC 8285, RFC 7983)
 *
 * A `struct rtp_view` says where everything in a packet stands; it holds no
 * pointers, so it may live in the head of the packet's slot and is copied with
 * '='.  Numbers of the extension elements are negotiated per connection: a
 * `struct rtp_ext_ids` translates.  No state, no allocation; payloads are not
 * looked into (wire/codec does).
 */
#ifndef WIRE_RTP_H
#define WIRE_RTP_H

#include "base/base.h"

enum {
    RTP_HEADER_BYTES = 12,    /* fixed part */
    RTP_EXT_AT_MAX = 255,     /* an element that begins farther into its block is not seen */
    RTP_EXT_OUT_MAX = 12,     /* elements in a written header */
    RTP_HEADER_OUT_MAX = 256, /* bytes of a written header */
    RTP_PACKET_MAX = 65535,
};

/* RFC 7983 s7 with RFC 5761 s4 for RTCP: who owns a datagram, by its first bytes. */
enum rtp_demux {
    RTP_DEMUX_OTHER, /* too short, ZRTP, QUIC, unassigned: drop and count */
    RTP_DEMUX_STUN,
    RTP_DEMUX_DTLS,
    RTP_DEMUX_TURN_CHANNEL,
    RTP_DEMUX_RTP,
    RTP_DEMUX_RTCP,
};

enum rtp_ext {
    RTP_EXT_MID,
    RTP_EXT_RID,
    RTP_EXT_REPAIRED_RID,
    RTP_EXT_AUDIO_LEVEL,
    RTP_EXT_ABS_SEND_TIME,
    RTP_EXT_TWCC,
    RTP_EXT_DEPENDENCY_DESCRIPTOR,
    RTP_EXT_PLAYOUT_DELAY,
    RTP_EXT_ABS_CAPTURE_TIME,
    RTP_EXT_FRAME_MARKING,
    RTP_EXT_VIDEO_ORIENTATION,
    RTP_EXT_N,
};

/* Negotiated numbers 1..255; 0: not negotiated. */
struct rtp_ext_ids {
    uint8_t id[RTP_EXT_N];
};

enum rtp_flag {
    RTP_MARKER = 1,
    RTP_PAD_ONLY = 2,     /* no payload, only padding (a bandwidth probe) or nothing at all */
    RTP_EXT_TWO_BYTE = 4, /* the extension block has the two-byte form */
};

struct rtp_view {
    uint32_t ts;
    uint32_t ssrc;
    uint16_t seq;
    uint8_t pt;             /* 0..127 */
    uint8_t flags;          /* enum rtp_flag */
    uint16_t ext_off;       /* first byte of the extension block's elements; 0: no block */
    uint16_t payload_off;   /* also the length of the whole header */
    uint16_t payload_len;   /* without padding */
    uint8_t ext[RTP_EXT_N]; /* data of the element, from ext_off; 0: absent */
};

static_assert(sizeof(struct rtp_view) <= 32,
              "the view shares a 64-byte head with the packet's own fields");

enum rtp_demux rtp_demux_kind(struct bytes datagram);

/* E_TRUNCATED or E_MALFORMED; *v is written on success only.  `ids` may be NULL.
 * An extension block of unknown form, or one whose elements overrun it, is
 * skipped from there on and the packet stays good (RFC 8285 s4.1). */
MUST_CHECK int rtp_parse(struct rtp_view *v, struct bytes pkt, const struct rtp_ext_ids *ids);

static inline bool rtp_marker(const struct rtp_view *v)
{
    return (v->flags & RTP_MARKER) != 0;
}

static inline bool rtp_pad_only(const struct rtp_view *v)
{
    return (v->flags & RTP_PAD_ONLY) != 0;
}

static inline struct bytes rtp_payload(const struct rtp_view *v, const uint8_t *pkt)
{
    return (struct bytes){.p = pkt + v->payload_off, .len = v->payload_len};
}

/* The data of an element; p == NULL when the packet has none. */
struct bytes rtp_ext(const struct rtp_view *v, const uint8_t *pkt, enum rtp_ext e);

/* Values.  False when absent or of the wrong length; outputs untouched then. */
bool rtp_ext_audio_level(const struct rtp_view *v, const uint8_t *pkt, uint8_t *minus_dbov,
                         bool *voice); /* RFC 6464 */
bool rtp_ext_twcc(const struct rtp_view *v, const uint8_t *pkt, uint16_t *seq);
bool rtp_ext_abs_send_time(const struct rtp_view *v, const uint8_t *pkt, uint32_t *t24);

/* 6.18 fixed point seconds from any clock in microseconds. */
uint32_t rtp_abs_send_time(us_t at);
/* Playout delay: min and max in milliseconds, 10 ms steps, 12 bits each. */
void rtp_playout_delay(uint8_t out[3], uint32_t min_ms, uint32_t max_ms);

/* URI of an element (RFC 8285 s5); RTP_EXT_N when we do not know it. */
const char *rtp_ext_uri(enum rtp_ext e);
enum rtp_ext rtp_ext_of_uri(struct bytes uri);
/* What a number stands for; RTP_EXT_N when not negotiated. */
enum rtp_ext rtp_ext_of_id(const struct rtp_ext_ids *ids, uint8_t id);

/* Writing. */
struct rtp_header {
    uint32_t ts, ssrc;
    uint16_t seq;
    uint8_t pt;
    bool marker;
};

struct rtp_ext_val {
    uint8_t id;          /* 1..255; an element with id 0 is left out */
    uint8_t len;         /* 1..255 */
    uint16_t at;         /* written: where the data stands, from the packet's start; 0: left out */
    const uint8_t *data; /* NULL: zeroes, to be patched later at `at` */
};

/* Fixed header and extension block (one-byte form when every element allows,
 * else two-byte); no block when nothing remains of ext[0..n).  n is at most
 * RTP_EXT_OUT_MAX.  Returns the header's length, 0 when `cap` is too small. */
size_t rtp_write_header(uint8_t *out, size_t cap, const struct rtp_header *h,
                        struct rtp_ext_val *ext, unsigned n);

/* Overwrite the per-packet fields of a header made before. */
static inline void rtp_patch_header(uint8_t *p, const struct rtp_header *h)
{
    p[1] = (uint8_t)((h->marker ? 0x80 : 0) | (h->pt & 0x7f));
    p[2] = (uint8_t)(h->seq >> 8);
    p[3] = (uint8_t)h->seq;
    for (int i = 0; i < 4; i++) {
        p[4 + i] = (uint8_t)(h->ts >> (24 - 8 * i));
        p[8 + i] = (uint8_t)(h->ssrc >> (24 - 8 * i));
    }
}

/* Serial number arithmetic (RFC 1982): is a newer than b? */
static inline bool rtp_seq_newer(uint16_t a, uint16_t b)
{
    return (int16_t)(uint16_t)(a - b) > 0;
}

#endif
