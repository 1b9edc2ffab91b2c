#include "base/base.h"

bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool bytes_eq_str(struct bytes a, const char *s)
{
    return bytes_eq(a, bytes_str(s));
}

/* splitmix64: spreads a small seed over the whole state. */
static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

struct rng rng_seed(uint64_t seed)
{
    struct rng rng;

    for (unsigned i = 0; i < 4; i++)
        rng.s[i] = splitmix(&seed);
    return rng;
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t out = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

uint32_t rng_u32(struct rng *rng)
{
    return (uint32_t)(rng_u64(rng) >> 32);
}

uint64_t rng_below(struct rng *rng, uint64_t below)
{
    assert(below > 0);
    /* Values under 2^64 mod below would favour small results; draw again. */
    uint64_t reject_under = (UINT64_MAX - below + 1) % below;
    uint64_t v;

    do
        v = rng_u64(rng);
    while (v < reject_under);
    return v % below;
}

void rng_fill(struct rng *rng, void *out, size_t len)
{
    uint8_t *p = out;

    while (len > 0) {
        uint64_t v = rng_u64(rng);
        size_t n = size_min(len, sizeof v);

        memcpy(p, &v, n);
        p += n;
        len -= n;
    }
}
