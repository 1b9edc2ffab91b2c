/* wire/bits.h - a bounded cursor over bits, most significant first.
 *
 * For the headers that codecs pack by the bit.  A read past the end yields zero
 * and sets a sticky error, as in base/cursor.  Stack only.
 */
#ifndef WIRE_BITS_H
#define WIRE_BITS_H

#include "base/base.h"

struct bits {
    const uint8_t *p;
    size_t at, end; /* in bits */
    bool failed;
};

static inline struct bits bits_of(struct bytes b)
{
    return (struct bits){.p = b.p, .end = b.len * 8};
}

static inline bool bits_ok(const struct bits *b)
{
    return !b->failed;
}

static inline size_t bits_left(const struct bits *b)
{
    return b->end - b->at;
}

/* n is 0..32. */
uint32_t bits_u(struct bits *b, unsigned n);
static inline bool bits_flag(struct bits *b)
{
    return bits_u(b, 1) != 0;
}
void bits_skip(struct bits *b, size_t n);
/* Exp-Golomb (H.264 s9.1); values over 2^32 - 2 fail. */
uint32_t bits_ue(struct bits *b);
int32_t bits_se(struct bits *b);
/* Non-symmetric unsigned below n (AV1 s4.10.7); n > 0. */
uint32_t bits_ns(struct bits *b, uint32_t n);

#endif
