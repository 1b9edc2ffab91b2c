/* sfu/seqmap.h - how a publisher's numbers became a subscriber's, and back.
 *
 * A subscriber's sequence numbers have no gaps where packets were left out on purpose and
 * run on where another layer took over.  The relation is piecewise: one segment for
 * each stretch in which everything was only shifted.
 *
 *      in    100 101 102 | 103 (left out) | 104 105 | key frame of another layer 9000 ..
 *      out   700 701 702 |                | 703 704 | 705 ..
 *      off      +600     |                |  +599   | -8295
 *
 * The newest SEQMAP_MAX finished segments are kept; what is older is not mapped and its
 * packets are neither forwarded late nor sent again.  Numbers are extended (64 bits), so a
 * roll-over is nothing special.  No allocation.
 */
#ifndef SFU_SEQMAP_H
#define SFU_SEQMAP_H

#include "base/base.h"

enum { SEQMAP_MAX = 16 };

/* All changes that hold for a stretch of packets. */
struct seqmap_seg {
    uint64_t from;    /* first incoming number */
    uint64_t off;     /* out = in + off, modulo 2^64 */
    uint32_t n;       /* finished segments: incoming numbers covered */
    uint32_t ts_off;  /* timestamp */
    uint16_t pid_off; /* VP8 PictureID, TL0PICIDX and KEYIDX; 0 for other codecs */
    uint8_t tl0_off;
    uint8_t keyidx_off;
    uint8_t layer;
};

static_assert(sizeof(struct seqmap_seg) <= 40, "sixteen of them per subscription");

struct seqmap {
    uint32_t put_n; /* ever; the last SEQMAP_MAX are in seg[] */
    struct seqmap_seg seg[SEQMAP_MAX];
};

void seqmap_clear(struct seqmap *m);
/* `seg` ends before incoming number `end`; an empty one is not kept. */
void seqmap_push(struct seqmap *m, const struct seqmap_seg *seg, uint64_t end);
/* The segment that an incoming number of a layer fell in; NULL when forgotten or left out. */
const struct seqmap_seg *seqmap_forth(const struct seqmap *m, uint8_t layer, uint64_t in);
/* The segment that produced an outgoing number. */
const struct seqmap_seg *seqmap_back(const struct seqmap *m, uint64_t out);

#endif
