/* base/base.h - the words every other unit is written in.
 *
 * Time, byte spans, dice and a few attributes.  Nothing here allocates, reads
 * a clock or knows a protocol.  All times are microseconds; a us_t is either
 * an instant on the monotonic clock or a duration, and the name says which
 * (`_at`, `_us`).
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int64_t us_t;

#define US_PER_MS  ((us_t)1000)
#define US_PER_SEC ((us_t)1000000)
#define US_NEVER   INT64_MAX

/* One reading of both clocks.  `wall_off_us` added to a monotonic instant gives
 * Unix time in microseconds; it is refreshed once a second by the loop. */
struct tick {
    us_t now;
    int64_t wall_off_us;
};

/* Borrowed bytes: valid for the call unless a comment says otherwise. */
struct bytes {
    const uint8_t *p;
    size_t len;
};

/* Seeded generator (xoshiro256**) for protocol dice: jitter, ids, first sequence
 * numbers.  Never for keys, passwords or tokens: those come from crypt/hash. */
struct rng {
    uint64_t s[4];
};

#define ARRAY_LEN(a)                 (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define MUST_CHECK                   __attribute__((warn_unused_result))
#define UNUSED                       __attribute__((unused))

/* Recover the owner of an embedded struct. */
#define OWNER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline us_t us_min(us_t a, us_t b)
{
    return a < b ? a : b;
}

static inline us_t us_max(us_t a, us_t b)
{
    return a > b ? a : b;
}

static inline us_t us_clamp(us_t v, us_t lo, us_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline uint32_t u32_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t u32_max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline struct bytes bytes_of(const void *p, size_t len)
{
    return (struct bytes){.p = p, .len = len};
}

/* The characters of a NUL-terminated string, without the NUL. */
static inline struct bytes bytes_str(const char *s)
{
    return (struct bytes){.p = (const uint8_t *)s, .len = strlen(s)};
}

/* Not constant-time: never for secrets (crypt_equal is). */
bool bytes_eq(struct bytes a, struct bytes b);
bool bytes_eq_str(struct bytes a, const char *s);

struct rng rng_seed(uint64_t seed);
uint64_t rng_u64(struct rng *rng);
uint32_t rng_u32(struct rng *rng);
/* Uniform in [0, below); below > 0. */
uint64_t rng_below(struct rng *rng, uint64_t below);
void rng_fill(struct rng *rng, void *out, size_t len);

#endif
