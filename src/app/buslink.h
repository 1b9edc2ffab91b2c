/* app/buslink.h - this process's end of the bus: psrpc over the socket that the server serves.
 *
 * Connects, and connects again when the server was away; requests under way wait for their
 * deadline meanwhile, new ones fail with theirs.  One thread: that of its loop.
 */
#ifndef APP_BUSLINK_H
#define APP_BUSLINK_H

#include "bus/psrpc.h"
#include "io/loop.h"

enum { BUSLINK_RETRY_US = 500 * 1000 };

struct buslink;

typedef void buslink_event_fn(void *owner, const struct psrpc_event *ev, struct tick tick);

/* The path need not exist yet. */
MUST_CHECK int buslink_open(struct buslink **ret, struct loop *loop, const char *path,
                            buslink_event_fn *event, void *owner);
void buslink_free(struct buslink *b); /* NULL allowed */
struct psrpc *buslink_psrpc(struct buslink *b);
bool buslink_up(const struct buslink *b);
/* Moves everything both ways; events are delivered from here. */
void buslink_round(struct buslink *b, struct tick tick);
us_t buslink_deadline(const struct buslink *b);

#endif
