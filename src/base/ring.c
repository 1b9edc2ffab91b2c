#include "base/ring.h"

#include "base/err.h"
#include "base/mem.h"

/* Layout: each record is an 8-byte head (length, or RING_WRAP for "go on at the
 * start of the buffer") and the bytes, rounded up to 8.  head and tail run freely
 * and are masked on use. */
enum { RECORD_HEAD = 8 };
#define RING_WRAP UINT32_MAX

static uint32_t rounded(uint32_t len)
{
    return (len + 7u) & ~7u;
}

int ring_init(struct ring *r, uint32_t cap, uint32_t reserve_bytes)
{
    assert((cap & (cap - 1)) == 0);
    assert(cap >= 4 * RING_RECORD_MAX && reserve_bytes < cap / 2);
    memset(r, 0, sizeof *r);
    r->buf = mem_zero(cap);
    if (r->buf == NULL)
        return E_NOMEM;
    r->cap = cap;
    r->reserve_bytes = reserve_bytes;
    return 0;
}

void ring_fini(struct ring *r)
{
    mem_free(r->buf);
    memset(r, 0, sizeof *r);
}

static void put_head(struct ring *r, uint32_t at, uint32_t len)
{
    memcpy(r->buf + (at & (r->cap - 1)), &len, sizeof len);
}

void *ring_reserve(struct ring *r, uint32_t len, bool urgent)
{
    assert(len >= 1 && len <= RING_RECORD_MAX);
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    uint32_t need = RECORD_HEAD + rounded(len);
    uint32_t to_end = r->cap - (tail & (r->cap - 1));
    uint32_t skip = need > to_end ? to_end : 0;
    uint32_t free_bytes = r->cap - (tail - head);

    if (skip + need + (urgent ? 0 : r->reserve_bytes) > free_bytes)
        return NULL;
    if (skip > 0)
        put_head(r, tail, RING_WRAP);
    put_head(r, tail + skip, len);
    r->claimed = skip + need;
    return r->buf + ((tail + skip) & (r->cap - 1)) + RECORD_HEAD;
}

void ring_commit(struct ring *r)
{
    assert(r->claimed > 0);
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    atomic_store_explicit(&r->tail, tail + r->claimed, memory_order_release);
    r->claimed = 0;
}

struct bytes ring_peek(struct ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    uint32_t len;

    if (head == tail)
        return (struct bytes){0};
    memcpy(&len, r->buf + (head & (r->cap - 1)), sizeof len);
    if (len == RING_WRAP) {
        head += r->cap - (head & (r->cap - 1));
        atomic_store_explicit(&r->head, head, memory_order_release);
        memcpy(&len, r->buf + (head & (r->cap - 1)), sizeof len);
    }
    return bytes_of(r->buf + (head & (r->cap - 1)) + RECORD_HEAD, len);
}

void ring_release(struct ring *r)
{
    struct bytes b = ring_peek(r);

    assert(b.p != NULL);
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    atomic_store_explicit(&r->head, head + RECORD_HEAD + rounded((uint32_t)b.len),
                          memory_order_release);
}

bool ring_empty(const struct ring *r)
{
    return atomic_load_explicit(&r->head, memory_order_acquire) ==
           atomic_load_explicit(&r->tail, memory_order_acquire);
}
