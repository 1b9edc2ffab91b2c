#include "wire/frame.h"

#include "base/err.h"

static_assert((int)FRAME_BUFFER_BYTES >= FRAME_HEAD_BYTES + FRAME_MAX, "a frame fits");

void frame_rx_init(struct frame_rx *f)
{
    f->at = f->used = 0;
    f->broken = false;
}

uint8_t *frame_rx_room(struct frame_rx *f, size_t *cap)
{
    if (f->at > 0) {
        f->used = (uint16_t)(f->used - f->at);
        memmove(f->buf, f->buf + f->at, f->used);
        f->at = 0;
    }
    *cap = sizeof f->buf - f->used;
    return f->buf + f->used;
}

void frame_rx_filled(struct frame_rx *f, size_t n)
{
    assert(n <= sizeof f->buf - f->used);
    f->used = (uint16_t)(f->used + n);
}

static size_t have(const struct frame_rx *f)
{
    return (size_t)(f->used - f->at);
}

static size_t announced(const struct frame_rx *f)
{
    return (size_t)f->buf[f->at] << 8 | f->buf[f->at + 1];
}

int frame_rx_next(struct frame_rx *f, struct bytes *frame)
{
    while (!f->broken && have(f) >= FRAME_HEAD_BYTES) {
        size_t len = announced(f);
        if (len > FRAME_MAX) {
            f->broken = true;
            break;
        }
        if (have(f) < FRAME_HEAD_BYTES + len)
            return 0;
        *frame = bytes_of(f->buf + f->at + FRAME_HEAD_BYTES, len);
        f->at = (uint16_t)(f->at + FRAME_HEAD_BYTES + len);
        if (len > 0)
            return 1;
    }
    return f->broken ? E_TOO_LARGE : 0;
}

size_t frame_rx_missing(const struct frame_rx *f)
{
    if (f->broken)
        return 0;
    if (have(f) < FRAME_HEAD_BYTES)
        return FRAME_HEAD_BYTES - have(f);
    size_t whole = FRAME_HEAD_BYTES + announced(f);
    return whole > have(f) ? whole - have(f) : 0;
}
