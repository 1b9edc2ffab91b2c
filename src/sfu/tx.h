/* sfu/tx.h - the send arena: what leaves a shard, in the order of its sealing.
 *
 * Datagrams are written one after the other into one buffer.  Neighbours that go to
 * the same path and have equal length form a *train*, which one segmented send
 * (UDP_SEGMENT) carries; the last of a train may be shorter.  The owner sends all trains and
 * calls tx_clear().  When the arena is full tx_claim() says NULL and the caller sheds.
 *
 *     bytes  [ 1200 | 1200 | 1200 | 740 ][ 1200 | 1200 ][ 96 ]
 *     train    path A, seg 1200, n 4       path B, n 2   path C, n 1
 *
 * One thread; memory is taken by tx_init() only.
 */
#ifndef SFU_TX_H
#define SFU_TX_H

#include "base/addr.h"
#include "base/base.h"

enum {
    TX_BYTES =
        128 << 10, /* of the arena: written and read again while it is in the nearest caches */
    TX_TRAINS_MAX = 2048,
    TX_SEGMENTS_MAX = 16,   /* in a train; the kernel takes 64, performance.md 8.3 says 16 */
    TX_DATAGRAM_MAX = 2048, /* longest single claim */
};

enum tx_class {             /* what to shed first when the socket refuses: highest first */
                TX_CONTROL, /* STUN, DTLS, RTCP */
                TX_AUDIO,
                TX_VIDEO,
};

struct tx_train {
    struct path path;
    const uint8_t *bytes;
    uint32_t len;  /* of all segments */
    uint16_t seg;  /* length of every segment but the last */
    uint8_t n;     /* segments */
    uint8_t class; /* enum tx_class */
};

struct tx {
    uint8_t *buf;
    uint32_t cap, used;
    uint32_t train_n;
    bool open; /* the last train takes another segment */
    struct tx_train *train;
    uint64_t packets, bytes; /* ever committed */
};

MUST_CHECK int tx_init(struct tx *tx, uint32_t cap);
void tx_fini(struct tx *tx);

/* Room for a datagram of at most `max` bytes, NULL when full; then tx_commit() with its real
 * length, or nothing. */
static inline uint8_t *tx_claim(struct tx *tx, uint32_t max)
{
    assert(max <= TX_DATAGRAM_MAX);
    if (max > tx->cap - tx->used || tx->train_n == TX_TRAINS_MAX)
        return NULL;
    return tx->buf + tx->used;
}

void tx_commit(struct tx *tx, const struct path *path, uint32_t len, enum tx_class class);

/* Would n claims of `max` bytes succeed? */
static inline bool tx_has_room(const struct tx *tx, uint32_t n, uint32_t bytes)
{
    return bytes <= tx->cap - tx->used && n <= TX_TRAINS_MAX - tx->train_n;
}

static inline bool tx_empty(const struct tx *tx)
{
    return tx->train_n == 0;
}

/* Everything was sent or given up. */
void tx_clear(struct tx *tx);

#endif
