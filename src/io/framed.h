/* io/framed.h - the media connections over TCP of one worker.  (RFC 6544, passive side)
 *
 * Takes connections whose first frame somebody else has read, reads frames into lent packets
 * and writes those trains of a send arena whose path is a TCP one.  What a socket does not take
 * waits in a queue per connection; a full queue sheds, video before audio before control, and
 * the receiver asks again as after any loss.  A connection that is silent, breaks its framing,
 * stops taking bytes or is dropped by its owner ends; only its path ends with it.
 *
 * Connections are found by their remote address: of two with the same one (another local
 * address) the newcomer is refused.  Owner's thread only.  Allocates for a connection and for a
 * queue, not for a packet that the socket takes.
 */
#ifndef IO_FRAMED_H
#define IO_FRAMED_H

#include "base/addr.h"
#include "base/base.h"
#include "io/loop.h"
#include "sfu/pkt.h"
#include "sfu/tx.h"

enum {
    FRAMED_MAX = 4096, /* connections; more are refused */
    FRAMED_BATCH = 64, /* datagrams of one framed_recv(), frames of one write */
    /* A queue that holds so much takes no more of this class.  Chosen: a key frame of 300 kB
     * passes, and 5 Mb/s waits well under a second. */
    FRAMED_VIDEO_BYTES = 384 << 10,
    FRAMED_AUDIO_BYTES = 448 << 10,
    FRAMED_QUEUE_BYTES = 512 << 10,
    FRAMED_UNSENT_BYTES = 64 << 10,    /* what the kernel may hold and not send yet */
    FRAMED_IDLE_US = 60 * 1000 * 1000, /* without a frame; checks come every few seconds */
    FRAMED_STUCK_MS = 40 * 1000,       /* bytes unacknowledged: the silence that ICE allows */
    FRAMED_LOOK_US = 10 * 1000 * 1000, /* how often idleness is looked for */
};

enum framed_counter {
    FRAMED_TAKEN,
    FRAMED_REFUSED, /* too many, the same address, or no memory */
    FRAMED_CLOSED,  /* the other side ended, or the network did */
    FRAMED_IDLE,
    FRAMED_MALFORMED, /* a frame too long */
    FRAMED_UNPROVEN,  /* dropped by the owner: its first message was not authentic */
    FRAMED_SHED,      /* datagrams given up because a queue was full or its connection gone */
    FRAMED_OPEN,      /* gauge */
    FRAMED_COUNTER_N,
};

struct framed;

MUST_CHECK int framed_open(struct framed **ret, struct loop *loop);
void framed_free(struct framed *f); /* NULL allowed */

/* Takes fd, also on failure: E_LIMIT, E_EXIST, E_NOMEM.  `first` is a frame that was read. */
int framed_take(struct framed *f, int fd, const struct path *path, struct bytes first, us_t now);
/* Is there something to read? */
bool framed_ready(const struct framed *f);
/* Frames of one connection, which *from names, into batch[0..n); how many. */
unsigned framed_recv(struct framed *f, struct path *from, struct pkt **batch, unsigned n, us_t now);
/* Those trains that go to TCP paths. */
void framed_send(struct framed *f, const struct tx *tx);
/* Its owner does not want it (any more). */
void framed_drop(struct framed *f, const struct path *path);
/* Ends those that their owner no longer knows; not those whose first frame it has not seen.  For
 * every now and then: one participant may open many, and few of its addresses are kept. */
typedef bool framed_known_fn(void *owner, const struct path *path);
void framed_sweep(struct framed *f, framed_known_fn *known, void *owner);
/* A path that ended by itself; false when there is none. */
bool framed_ended(struct framed *f, struct path *path);
void framed_tick(struct framed *f, us_t now);
us_t framed_deadline(const struct framed *f);

void framed_counters(const struct framed *f, uint64_t out[FRAMED_COUNTER_N]);

#endif
