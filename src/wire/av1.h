/* wire/av1.h - AV1 in RTP payloads and in files.
 * (RTP Payload Format For AV1 v1.0; AV1 bitstream specification s5.3 to s5.5)
 *
 * The aggregation header and its elements, OBU headers, and the picture size in a
 * sequence header.  The dependency descriptor is wire/dd.  Stateless.
 */
#ifndef WIRE_AV1_H
#define WIRE_AV1_H

#include "base/base.h"
#include "base/cursor.h"

enum av1_obu_type {
    AV1_SEQUENCE_HEADER = 1,
    AV1_TEMPORAL_DELIMITER = 2,
    AV1_FRAME_HEADER = 3,
    AV1_TILE_GROUP = 4,
    AV1_METADATA = 5,
    AV1_FRAME = 6,
    AV1_REDUNDANT_FRAME_HEADER = 7,
    AV1_TILE_LIST = 8,
    AV1_PADDING = 15,
};

/* Walks the OBU elements of one payload. */
struct av1_iter {
    struct rd rd;
    bool z;         /* the first element continues one of the packet before */
    bool y;         /* the last element goes on in the next packet */
    bool n;         /* first packet of a coded video sequence */
    uint8_t w;      /* elements, when not 0: the last has no length */
    uint8_t seen_n; /* elements given out */
};

struct av1_element {
    struct bytes data;
    bool continues; /* its beginning was in an earlier packet */
    bool continued; /* its end comes in a later one */
};

/* E_TRUNCATED on an empty payload, E_MALFORMED when Z and N are both set (s4.4). */
MUST_CHECK int av1_iter_init(struct av1_iter *it, struct bytes payload);
/* False at the end, or where a length overruns (rd.failed is set then). */
bool av1_next(struct av1_iter *it, struct av1_element *e);

struct av1_obu {
    uint8_t type; /* enum av1_obu_type */
    uint8_t tid, sid;
    bool has_ext, has_size;
    struct bytes head; /* 1 or 2 bytes, without the size field */
    struct bytes body;
};

/* An OBU at r: with a size field its body, without one all that is left. */
MUST_CHECK int av1_obu_read(struct rd *r, struct av1_obu *obu);
/* Unsigned number of at most 8 bytes and 32 bits (s4.10.5); else the error bit. */
uint32_t av1_leb128(struct rd *r);
void av1_write_leb128(struct wr *w, uint32_t v);
/* Largest picture of a sequence header's body. */
bool av1_sequence_size(struct bytes body, uint16_t *width, uint16_t *height);

struct av1_info {
    bool key;   /* N: a new coded video sequence begins with this packet */
    bool start; /* the payload begins with a new OBU */
    bool end;   /* nothing of it goes on in the next packet */
    uint8_t tid, sid;
    uint16_t width, height;
};

void av1_inspect(struct bytes payload, struct av1_info *info);

#endif
