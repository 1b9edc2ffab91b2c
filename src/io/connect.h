/* io/connect.h - a stream to a host, without waiting for it.
 *
 * Looks the name up, tries its addresses one after the other and hands over the descriptor of the
 * first that takes the connection.  Time is the owner's: it gives up with connect_free().
 *
 * One thread: that of its loop.
 */
#ifndef IO_CONNECT_H
#define IO_CONNECT_H

#include "io/loop.h"

struct connect;

/* fd >= 0: the owner's from now on; negative: why no address took it.  Frees itself before. */
typedef void connect_done_fn(void *owner, int fd);

/* `done` is never called within this call. */
MUST_CHECK int connect_open(struct connect **ret, struct loop *loop, const char *host,
                            uint16_t port, connect_done_fn *done, void *owner);
/* Gives up; NULL allowed. */
void connect_free(struct connect *c);

#endif
