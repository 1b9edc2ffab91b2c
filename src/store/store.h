/* store/store.h - what must survive a restart: records by kind and id, in SQLite.
 *
 * One file in WAL mode, readable by its owner alone.  A record's body is opaque here.  Calls block
 * on the disk: after the start only the thread of app/keeper makes them, in batches that are
 * durable as a whole.  The one unit that includes sqlite3.h.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/base.h"

enum {
    STORE_ERROR_MAX = 256,
    STORE_KIND_MAX = 32,      /* bytes of a kind with its NUL */
    STORE_ID_MAX = 256,       /* bytes of an id with its NUL */
    STORE_BODY_MAX = 1 << 20, /* bytes of a body; beyond: E_TOO_LARGE */
    STORE_BUSY_MS = 2000,     /* wait for whoever looks into the file meanwhile */
};

/* A wish of whoever keeps records. */
struct store_op {
    uint64_t serial; /* comes back when it is durable, or failed */
    bool erase;      /* else put */
    const char *kind, *id;
    struct bytes body;
};

struct store;

/* Opens or makes the file.  Negative, with one line for people in error: no access, damaged,
 * another program's, of a later version. */
MUST_CHECK int store_open(struct store **ret, const char *path, char error[STORE_ERROR_MAX]);
void store_free(struct store *s);

/* Walks the records of a kind by id: start with first = true; false at the end.  Spans are valid
 * until the next call.  *err gets 0, or why the walk ended early. */
bool store_next(struct store *s, const char *kind, bool first, struct bytes *id, struct bytes *body,
                int *err);

/* Everything between begin and commit, or nothing.  Negative: nothing holds, and rolled back. */
MUST_CHECK int store_begin(struct store *s);
MUST_CHECK int store_apply(struct store *s, const struct store_op *op);
MUST_CHECK int store_commit(struct store *s);
/* Of the last failure; for the log. */
const char *store_error(const struct store *s);

#endif
