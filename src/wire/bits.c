#include "wire/bits.h"

uint32_t bits_u(struct bits *b, unsigned n)
{
    uint32_t v = 0;

    assert(n <= 32);
    if (b->failed || n > bits_left(b)) {
        b->failed = true;
        return 0;
    }
    for (unsigned i = 0; i < n; i++, b->at++)
        v = (v << 1) | ((b->p[b->at >> 3] >> (7 - (b->at & 7))) & 1u);
    return v;
}

void bits_skip(struct bits *b, size_t n)
{
    if (b->failed || n > bits_left(b))
        b->failed = true;
    else
        b->at += n;
}

uint32_t bits_ue(struct bits *b)
{
    unsigned zeros = 0;

    while (bits_ok(b) && zeros < 32 && !bits_flag(b))
        zeros++;
    if (zeros == 32)
        b->failed = true;
    uint32_t rest = bits_u(b, zeros & 31);
    return b->failed ? 0 : (uint32_t)((1ull << zeros) - 1) + rest;
}

int32_t bits_se(struct bits *b)
{
    uint32_t v = bits_ue(b);

    return v & 1 ? (int32_t)(v / 2 + 1) : -(int32_t)(v / 2);
}

uint32_t bits_ns(struct bits *b, uint32_t n)
{
    unsigned w = 32 - (unsigned)__builtin_clz(n);
    uint32_t m = (uint32_t)((1ull << w) - n);

    assert(n > 0);
    uint32_t v = bits_u(b, w - 1);
    if (v < m)
        return v;
    return (v << 1) - m + bits_u(b, 1);
}
