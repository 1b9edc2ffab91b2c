#include "base/handle.h"

#include "base/mem.h"

enum { POOL_FIRST_CAP = 64 };

void handle_pool_init(struct handle_pool *pool, uint8_t shard, uint32_t max)
{
    assert(max >= 1 && max <= HANDLE_INDEX_MAX);
    *pool = (struct handle_pool){.shard = shard, .max = max};
}

void handle_pool_fini(struct handle_pool *pool)
{
    mem_free(pool->gen);
    mem_free(pool->free);
    handle_pool_init(pool, pool->shard, pool->max);
}

static bool pool_grow(struct handle_pool *pool)
{
    uint32_t cap = pool->cap == 0 ? POOL_FIRST_CAP : pool->cap * 2;

    cap = u32_min(cap, pool->max);
    if (cap <= pool->cap)
        return false;
    uint32_t *free_list = mem_resize(pool->free, cap * sizeof *free_list);
    if (free_list == NULL)
        return false;
    pool->free = free_list;
    uint32_t *gen = mem_resize(pool->gen, cap * sizeof *gen);
    if (gen == NULL)
        return false;
    pool->gen = gen;
    for (uint32_t i = cap; i > pool->cap; i--) {
        pool->gen[i - 1] = 0;
        pool->free[pool->free_n++] = i - 1; /* low indices leave first */
    }
    pool->cap = cap;
    return true;
}

handle handle_take(struct handle_pool *pool)
{
    if (pool->free_n == 0 && !pool_grow(pool))
        return 0;
    uint32_t index = pool->free[--pool->free_n];
    pool->gen[index]++;
    pool->used_n++;
    assert(pool->gen[index] & 1);
    return handle_make(pool->shard, index, pool->gen[index]);
}

bool handle_live(const struct handle_pool *pool, handle h)
{
    uint32_t index = handle_index(h);

    return h != 0 && handle_shard(h) == pool->shard && index < pool->cap &&
           pool->gen[index] == handle_gen(h) && (handle_gen(h) & 1);
}

void handle_drop(struct handle_pool *pool, handle h)
{
    if (!handle_live(pool, h))
        return;
    pool->gen[handle_index(h)]++;
    pool->free[pool->free_n++] = handle_index(h);
    pool->used_n--;
}
