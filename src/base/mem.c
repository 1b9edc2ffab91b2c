#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_int_fast64_t live;
static atomic_uint_fast64_t made;
static atomic_uint_fast64_t refuse_at;

/* Counts one allocation; false when a test wants this one refused. */
static bool granted(void)
{
    uint64_t n = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
    return n != atomic_load_explicit(&refuse_at, memory_order_relaxed);
}

void *mem_zero(size_t size)
{
    assert(size > 0);
    if (!granted())
        return NULL;
    void *p = calloc(1, size);
    if (p != NULL)
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return p;
}

void *mem_lines(size_t size)
{
    size_t whole = (size + MEM_LINE_BYTES - 1) / MEM_LINE_BYTES * MEM_LINE_BYTES;

    assert(size > 0);
    if (!granted())
        return NULL;
    void *p = aligned_alloc(MEM_LINE_BYTES, whole);
    if (p == NULL)
        return NULL;
    atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return memset(p, 0, whole);
}

void *mem_array(size_t n, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total) || total == 0)
        return NULL;
    return mem_zero(total);
}

void *mem_resize(void *p, size_t size)
{
    assert(size > 0);
    if (!granted())
        return NULL;
    void *q = realloc(p, size);
    if (q != NULL && p == NULL)
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return q;
}

char *mem_dup(const void *p, size_t len)
{
    char *copy = mem_zero(len + 1);

    if (copy != NULL && len > 0)
        memcpy(copy, p, len);
    return copy;
}

char *mem_dup_str(const char *s)
{
    return mem_dup(s, strlen(s));
}

void mem_free(void *p)
{
    if (p == NULL)
        return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(p);
}

void mem_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0); /* whether anything could be given back is all it says */
#endif
}

void mem_wipe(void *p, size_t len)
{
    if (len > 0)
        explicit_bzero(p, len);
}

int64_t mem_live(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed);
}

uint64_t mem_made(void)
{
    return atomic_load_explicit(&made, memory_order_relaxed);
}

void mem_refuse_nth(uint64_t nth)
{
    uint64_t at = nth == 0 ? 0 : atomic_load_explicit(&made, memory_order_relaxed) + nth;
    atomic_store_explicit(&refuse_at, at, memory_order_relaxed);
}
