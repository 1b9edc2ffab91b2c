/* base/cursor.h - bounded cursors for every byte from outside.
 *
 * A reader (`struct rd`) never passes its end: a read beyond it yields zero and
 * sets a sticky error, so a parser reads a whole record and asks rd_ok() once.
 * A writer (`struct wr`) never passes its capacity, with the same sticky rule.
 * All integers are big endian unless the name ends in `le`.  Stack only; never
 * stored.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/base.h"

struct rd {
    const uint8_t *p, *end;
    bool failed;
};

struct wr {
    uint8_t *start, *p, *end;
    bool failed;
};

static inline struct rd rd_of(struct bytes b)
{
    return (struct rd){.p = b.p, .end = b.p + b.len};
}

static inline bool rd_ok(const struct rd *r)
{
    return !r->failed;
}

static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}

/* The next n bytes, or an empty span and the error bit. */
static inline struct bytes rd_bytes(struct rd *r, size_t n)
{
    if (r->failed || n > rd_left(r)) {
        r->failed = true;
        return (struct bytes){.p = r->end, .len = 0};
    }
    struct bytes b = {.p = r->p, .len = n};
    r->p += n;
    return b;
}

static inline void rd_skip(struct rd *r, size_t n)
{
    (void)rd_bytes(r, n); /* only the position and the error bit matter */
}

static inline struct bytes rd_rest(struct rd *r)
{
    return rd_bytes(r, rd_left(r));
}

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u24(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint16_t rd_u16le(struct rd *r);
uint32_t rd_u32le(struct rd *r);
uint64_t rd_u64le(struct rd *r);

static inline struct wr wr_of(void *buf, size_t cap)
{
    return (struct wr){.start = buf, .p = buf, .end = (uint8_t *)buf + cap};
}

static inline bool wr_ok(const struct wr *w)
{
    return !w->failed;
}

static inline size_t wr_len(const struct wr *w)
{
    return (size_t)(w->p - w->start);
}

static inline size_t wr_left(const struct wr *w)
{
    return (size_t)(w->end - w->p);
}

/* What has been written so far. */
static inline struct bytes wr_done(const struct wr *w)
{
    return (struct bytes){.p = w->start, .len = wr_len(w)};
}

/* Room for n bytes that the caller fills; NULL and the error bit when full. */
static inline uint8_t *wr_room(struct wr *w, size_t n)
{
    if (w->failed || n > wr_left(w)) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->p;
    w->p += n;
    return p;
}

void wr_bytes(struct wr *w, struct bytes b);
void wr_str(struct wr *w, const char *s);
void wr_zero(struct wr *w, size_t n);
void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u24(struct wr *w, uint32_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_u64(struct wr *w, uint64_t v);

/* Unaligned loads and stores for code that has checked its bounds already. */
static inline uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t load_u32(const uint8_t *p)
{
    return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

static inline void store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void store_u24(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 16);
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)v;
}

static inline void store_u32(uint8_t *p, uint32_t v)
{
    store_u16(p, (uint16_t)(v >> 16));
    store_u16(p + 2, (uint16_t)v);
}

static inline uint64_t load_u64(const uint8_t *p)
{
    return (uint64_t)load_u32(p) << 32 | load_u32(p + 4);
}

static inline void store_u64(uint8_t *p, uint64_t v)
{
    store_u32(p, (uint32_t)(v >> 32));
    store_u32(p + 4, (uint32_t)v);
}

#endif
