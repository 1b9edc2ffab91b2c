/* app/door.h - HTTP and WebSocket connections of the main port.
 *
 * Turns bytes of strangers into whole requests and messages for the node, under limits of
 * size and time, and the node's answers into bytes.  Serves the pages.  Knows no room.
 *
 * A connection is a number that is never given out twice.  Whoever is too slow, too large or
 * one too many is told so and closed; the others notice nothing.  Control thread only.
 */
#ifndef APP_DOOR_H
#define APP_DOOR_H

#include "api/node.h"
#include "base/base.h"
#include "base/str.h"
#include "io/loop.h"

enum {
    DOOR_LISTENERS_MAX = 16,
    DOOR_HEAD_US = 10 * 1000 * 1000,   /* from the first byte of a request to its last header */
    DOOR_BODY_US = 30 * 1000 * 1000,   /* for the rest of it */
    DOOR_IDLE_US = 75 * 1000 * 1000,   /* between requests */
    DOOR_ANSWER_US = 90 * 1000 * 1000, /* for the node */
    DOOR_STALL_US = 20 * 1000 * 1000,  /* a reader that takes nothing for so long is closed */
    DOOR_LINGER_US = 2 * 1000 * 1000,  /* for the other side's end after ours */
    DOOR_QUIET_US = 600 * 1000 * 1000, /* a WebSocket that owes nothing is looked at so often: the
                                          node's own pings find the dead */
    DOOR_AHEAD_BYTES = 256 << 10,      /* moved from the WebSocket's queue to the socket's; with so
                                          much unread no further request is looked at */
};

struct door;

/* Answers every request of a door without a node: appends to body, returns the status. */
typedef int door_local_fn(void *owner, const struct http_msg *m, struct str *body);

struct door_cfg {
    struct loop *loop;
    struct node *node; /* NULL: `local` answers */
    door_local_fn *local;
    void *local_owner;
    const char *const
        *local_type; /* where `local` leaves its content type; NULL: that of metrics */
    uint32_t connections_max;
    size_t body_bytes_max;
    bool pages;
    uint64_t seed;
};

MUST_CHECK int door_open(struct door **ret, const struct door_cfg *cfg);
void door_free(struct door *d);
/* `at` with port 0 gets any free one; *port is the real one. */
MUST_CHECK int door_listen(struct door *d, const struct addr *at, uint16_t *port);
/* No newcomers from now on. */
void door_shut(struct door *d);

/* What the node answers: NODE_OUT_HTTP and NODE_OUT_WS_*. Unknown connections are gone ones. */
void door_output(struct door *d, const struct node_out *out, us_t now);
void door_tick(struct door *d, struct tick tick);
us_t door_deadline(const struct door *d);
uint32_t door_connections(const struct door *d);
uint64_t door_refused(const struct door *d);
/* Stopping: every connection is ended once what waits for it is written. */
void door_finish(struct door *d);
/* Bytes still wait to be written to somebody. */
bool door_busy(const struct door *d);

#endif
