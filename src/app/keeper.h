/* app/keeper.h - the thread that writes to the store, so that control never waits for a disk.
 *
 * Control hands writes over; the keeper makes batches of what waits, has them durable, and says so
 * in the same order.  A batch that fails is tried write by write, so that one bad write spoils no
 * other.  Writes of kind "file" replace a file of the data directory.
 *
 * Control's half is the functions here; the store belongs to the keeper's thread from
 * keeper_open() to keeper_close().
 */
#ifndef APP_KEEPER_H
#define APP_KEEPER_H

#include "app/wake.h"
#include "store/store.h"

enum {
    KEEPER_RING_BYTES = 1 << 18, /* above all writes that a book has under way */
    KEEPER_BATCH_MAX = 256,
};

struct keeper;

/* Takes the store, also on failure.  `dir` is copied. */
MUST_CHECK int keeper_open(struct keeper **ret, struct store *store, const char *dir,
                           struct wake *control);
/* Waits until everything handed over is written; NULL allowed. */
void keeper_close(struct keeper *k);

/* Copies the write.  E_LIMIT, E_NOMEM: it is not taken. */
MUST_CHECK int keeper_put(struct keeper *k, const struct store_op *op);
/* After a round of puts. */
void keeper_kick(struct keeper *k);
/* The next write that is durable, or failed. */
bool keeper_done(struct keeper *k, uint64_t *serial, int *err);
/* Any wait? For the reader about to sleep. */
bool keeper_has_done(const struct keeper *k);

#endif
