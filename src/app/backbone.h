/* app/backbone.h - what stands behind the node on this machine: the bus at its socket, the store
 * in its file.
 *
 * Opens `bus.sock` and `sluice.db` in the data directory, gives the node its records, moves its
 * operations and brings what comes of them.  Without a data directory nothing is kept and no other
 * process can come: writes are answered at once, and the bus is the node's alone.
 *
 * Control thread.
 */
#ifndef APP_BACKBONE_H
#define APP_BACKBONE_H

#include "api/node.h"
#include "app/wake.h"
#include "bus/local.h"

enum { BACKBONE_ERROR_MAX = 320, BACKBONE_LINE_BYTES_MAX = 8 << 20 /* unread by a process */ };

struct backbone;

struct backbone_cfg {
    struct loop *loop;
    struct wake *control;
    const char *dir; /* NULL: none */
    uint64_t seed;
};

/* Negative, with one line in error. */
MUST_CHECK int backbone_open(struct backbone **ret, const struct backbone_cfg *cfg,
                             char error[BACKBONE_ERROR_MAX]);
/* Everything handed over is written; NULL allowed. */
void backbone_close(struct backbone *b);

/* The records of the store, once, before the node does anything else. */
MUST_CHECK int backbone_load(struct backbone *b, struct node *node, char error[BACKBONE_ERROR_MAX]);
/* NODE_OUT_BUS and NODE_OUT_STORE. */
void backbone_put(struct backbone *b, const struct node_out *out, us_t now);
/* Brings the node what has come, and moves bytes.  True: the node has something to do. */
bool backbone_round(struct backbone *b, struct node *node, struct tick tick);
/* Something waits that the round before did not see? */
bool backbone_waits(const struct backbone *b);
void backbone_metrics(const struct backbone *b, struct str *out);

#endif
