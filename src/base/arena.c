#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){.max_bytes = max_bytes};
}

void arena_fini(struct arena *a)
{
    struct arena_block *b = a->blocks;

    while (b != NULL) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    arena_init(a, a->max_bytes);
}

static struct arena_block *block_add(struct arena *a, size_t size)
{
    size_t first = ARENA_FIRST_BYTES - sizeof(struct arena_block);
    size_t cap = ARENA_BLOCK_BYTES - sizeof(struct arena_block);

    if (a->blocks == NULL && size <= first)
        cap = first;
    else if (size > cap / 4)
        cap = size > cap ? size : cap;
    struct arena_block *b = mem_zero(sizeof *b + cap);
    if (b == NULL)
        return NULL;
    b->cap = cap;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *arena_zero(struct arena *a, size_t size)
{
    size_t align = sizeof(max_align_t);

    if (a->failed || size > a->max_bytes) {
        a->failed = true;
        return NULL;
    }
    size = (size + align - 1) / align * align;
    if (size == 0)
        size = align;
    if (size > a->max_bytes - a->used_bytes) {
        a->failed = true;
        return NULL;
    }
    struct arena_block *b = a->blocks;
    if (b == NULL || size > b->cap - b->used)
        b = block_add(a, size);
    if (b == NULL) {
        a->failed = true;
        return NULL;
    }
    void *p = b->data + b->used;
    b->used += size;
    a->used_bytes += size;
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total)) {
        a->failed = true;
        return NULL;
    }
    return arena_zero(a, total);
}

char *arena_dup(struct arena *a, struct bytes b)
{
    char *copy = arena_zero(a, b.len + 1);

    if (copy != NULL && b.len > 0)
        memcpy(copy, b.p, b.len);
    return copy;
}

char *arena_dup_str(struct arena *a, const char *s)
{
    return arena_dup(a, bytes_str(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        a->failed = true;
        return NULL;
    }
    char *out = arena_zero(a, (size_t)n + 1);
    if (out == NULL)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(out, (size_t)n + 1, fmt, ap); /* length known from the first pass */
    va_end(ap);
    return out;
}
