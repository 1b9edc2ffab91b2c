#include "base/cursor.h"

/* n bytes as one big-endian number; zero and the error bit past the end. */
static uint64_t read_be(struct rd *r, size_t n)
{
    struct bytes b = rd_bytes(r, n);
    uint64_t v = 0;

    for (size_t i = 0; i < b.len; i++)
        v = (v << 8) | b.p[i];
    return v;
}

static uint64_t read_le(struct rd *r, size_t n)
{
    struct bytes b = rd_bytes(r, n);
    uint64_t v = 0;

    for (size_t i = b.len; i > 0; i--)
        v = (v << 8) | b.p[i - 1];
    return v;
}

static void write_be(struct wr *w, uint64_t v, size_t n)
{
    uint8_t *p = wr_room(w, n);

    if (p == NULL)
        return;
    for (size_t i = n; i > 0; i--) {
        p[i - 1] = (uint8_t)v;
        v >>= 8;
    }
}

uint8_t rd_u8(struct rd *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t rd_u16(struct rd *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t rd_u24(struct rd *r)
{
    return (uint32_t)read_be(r, 3);
}

uint32_t rd_u32(struct rd *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t rd_u64(struct rd *r)
{
    return read_be(r, 8);
}

uint16_t rd_u16le(struct rd *r)
{
    return (uint16_t)read_le(r, 2);
}

uint32_t rd_u32le(struct rd *r)
{
    return (uint32_t)read_le(r, 4);
}

uint64_t rd_u64le(struct rd *r)
{
    return read_le(r, 8);
}

void wr_bytes(struct wr *w, struct bytes b)
{
    uint8_t *p = wr_room(w, b.len);

    if (p != NULL && b.len > 0)
        memcpy(p, b.p, b.len);
}

void wr_str(struct wr *w, const char *s)
{
    wr_bytes(w, bytes_str(s));
}

void wr_zero(struct wr *w, size_t n)
{
    uint8_t *p = wr_room(w, n);

    if (p != NULL)
        memset(p, 0, n);
}

void wr_u8(struct wr *w, uint8_t v)
{
    write_be(w, v, 1);
}

void wr_u16(struct wr *w, uint16_t v)
{
    write_be(w, v, 2);
}

void wr_u24(struct wr *w, uint32_t v)
{
    write_be(w, v, 3);
}

void wr_u32(struct wr *w, uint32_t v)
{
    write_be(w, v, 4);
}

void wr_u64(struct wr *w, uint64_t v)
{
    write_be(w, v, 8);
}
