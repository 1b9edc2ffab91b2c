/* base/ring.h - one writer, one reader, records of variable length.
 *
 * Carries typed records between two threads without a lock.  A record is
 * contiguous.  The writer reserves and commits; the reader peeks and releases.
 * Full means false: the writer keeps its wish and tries again at its next tick.
 * `reserve_bytes` at the end of the ring are refused to ordinary records and
 * granted to life-cycle ones, so that "closed" always finds room.
 *
 * Threads: exactly one calls the writer's half, exactly one the reader's.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include "base/base.h"

#include <stdatomic.h>

enum { RING_RECORD_MAX = 4096 };

struct ring {
    uint8_t *buf;
    uint32_t cap, reserve_bytes;        /* cap: a power of two */
    _Alignas(64) _Atomic uint32_t head; /* next byte to read; the reader's */
    _Alignas(64) _Atomic uint32_t tail; /* next byte to write; the writer's */
    uint32_t claimed;                   /* writer: bytes of the open reservation */
};

/* cap: power of two, at least 4 * RING_RECORD_MAX.  E_NOMEM when refused. */
MUST_CHECK int ring_init(struct ring *r, uint32_t cap, uint32_t reserve_bytes);
void ring_fini(struct ring *r);

/* Writer: room for one record of len bytes (1..RING_RECORD_MAX), 8-byte aligned,
 * or NULL when full.  `urgent` may use the reserved bytes. */
void *ring_reserve(struct ring *r, uint32_t len, bool urgent);
void ring_commit(struct ring *r);

/* Reader: the oldest record, or an empty span with p == NULL. */
struct bytes ring_peek(struct ring *r);
void ring_release(struct ring *r);

/* Either side: a hint only. */
bool ring_empty(const struct ring *r);

#endif
