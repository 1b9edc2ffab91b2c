/* wire/frame.h - datagrams inside a stream: two bytes of length, then the bytes.  (RFC 4571 s2,
 * which RFC 6544 s3 takes for ICE over TCP)
 *
 * The reader lends the room that a socket is read into and gives whole frames out of it.  A
 * frame longer than FRAME_MAX ends the stream: nothing behind it can be trusted.  Empty frames
 * mean nothing (s2) and are skipped.  No allocation, no time.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/base.h"

enum {
    FRAME_HEAD_BYTES = 2,
    FRAME_MAX = 1920,          /* as long as a datagram we receive may be; the format has 65535 */
    FRAME_BUFFER_BYTES = 4096, /* at least one whole frame */
};

struct frame_rx {
    uint16_t at, used; /* buf[at..used) was not given out yet */
    bool broken;
    uint8_t buf[FRAME_BUFFER_BYTES];
};

void frame_rx_init(struct frame_rx *f);
/* Where the stream's next bytes belong, never without room once frame_rx_next() said 0;
 * invalidates the last frame. */
uint8_t *frame_rx_room(struct frame_rx *f, size_t *cap);
void frame_rx_filled(struct frame_rx *f, size_t n);
/* 1: the next frame, inside the reader; 0: bytes are missing; E_TOO_LARGE, for good. */
int frame_rx_next(struct frame_rx *f, struct bytes *frame);
/* How many bytes the frame under way lacks, as far as is known: reading no more than that
 * leaves what follows it in the socket. */
size_t frame_rx_missing(const struct frame_rx *f);

/* len at most 65535. */
static inline void frame_head(uint8_t out[FRAME_HEAD_BYTES], size_t len)
{
    assert(len <= UINT16_MAX);
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
}

#endif
