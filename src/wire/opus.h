/* wire/opus.h - the first byte of an Opus packet, and RED around Opus.
 * (RFC 6716 s3.1, RFC 7587, RFC 2198)
 *
 * How long a packet lasts, and which packets a redundant payload holds.  Nothing
 * is decoded.  Stateless.
 */
#ifndef WIRE_OPUS_H
#define WIRE_OPUS_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    OPUS_RATE_HZ = 48000,
    OPUS_PACKET_MAX_US = 120000, /* RFC 6716 s3.4 R5 */
    RED_BLOCKS_MAX = 8,          /* redundant blocks and the primary; more is malformed */
    RED_OFFSET_MAX = 0x3fff,     /* 14 bits of timestamp */
    RED_BLOCK_BYTES_MAX = 0x3ff, /* 10 bits of length */
};

/* Duration of a packet; 0 when it is empty or longer than allowed. */
us_t opus_duration(struct bytes packet);
bool opus_stereo(struct bytes packet);

struct red_block {
    uint8_t pt;
    uint16_t ts_offset; /* before the packet's timestamp; 0 for the primary */
    struct bytes data;
};

/* Oldest first, the primary last; *n of them.  E_TRUNCATED, E_MALFORMED. */
MUST_CHECK int red_parse(struct bytes payload, struct red_block out[RED_BLOCKS_MAX], unsigned *n);
/* Same order.  Errors stick in w. */
void red_write(struct wr *w, const struct red_block *block, unsigned n);

#endif
