/* base/handle.h - names for objects that may be gone when the name arrives.
 *
 * A handle is 64 bits: shard 8, index 24, generation 32.  Looking up a stale one
 * finds nothing, so "it closed while your message was in flight" needs no
 * special case.  0 is never a valid handle.
 *
 * A `handle_pool` gives out handles; the objects live where the owner keeps
 * them, in an array by index or behind pointers.  The control thread owns the
 * pools and the shards only look handles up, which is why the two are apart.
 */
#ifndef BASE_HANDLE_H
#define BASE_HANDLE_H

#include "base/base.h"

typedef uint64_t handle;

enum {
    HANDLE_INDEX_MAX = 1 << 24,
    HANDLE_SHARD_MAX = 256,
};

static inline handle handle_make(uint8_t shard, uint32_t index, uint32_t gen)
{
    return ((uint64_t)shard << 56) | ((uint64_t)index << 32) | gen;
}

static inline uint8_t handle_shard(handle h)
{
    return (uint8_t)(h >> 56);
}

static inline uint32_t handle_index(handle h)
{
    return (uint32_t)(h >> 32) & (HANDLE_INDEX_MAX - 1);
}

static inline uint32_t handle_gen(handle h)
{
    return (uint32_t)h;
}

struct handle_pool {
    uint32_t *gen;  /* generation by index; odd while in use */
    uint32_t *free; /* stack of free indices */
    uint32_t cap, free_n, used_n, max;
    uint8_t shard;
};

/* At most `max` handles at a time (1..HANDLE_INDEX_MAX); grows by doubling. */
void handle_pool_init(struct handle_pool *pool, uint8_t shard, uint32_t max);
void handle_pool_fini(struct handle_pool *pool);
/* 0 when the ceiling or the heap refuses. */
MUST_CHECK handle handle_take(struct handle_pool *pool);
/* The handle and every copy of it become stale.  Stale handles are ignored. */
void handle_drop(struct handle_pool *pool, handle h);
bool handle_live(const struct handle_pool *pool, handle h);

#endif
