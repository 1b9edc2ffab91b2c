/* io/lanes.h - connected sockets of one worker beside a port that several workers share.
 *
 * A lane is a UDP socket on the shared port, connected to one client, so that the kernel brings
 * that client's datagrams to this worker.  Only reading: what is sent goes through the shared
 * socket.  Between its birth and its connect a lane may get anybody's datagrams: whoever reads it
 * looks at each address, as with the shared one.  A lane that nothing came through for
 * LANES_IDLE_US ends (the client left, or its address changed).
 *
 * Bounded: the kernel walks all connected sockets of an address and port for each datagram that has
 * none (before 6.13 for every datagram).  Measured on 6.18: 64 of them cost such a datagram 0.2 us,
 * 256 cost 1.7, 1,024 cost 6.7; crossing a ring costs 0.1 and now and then a wake-up.
 */
#ifndef IO_LANES_H
#define IO_LANES_H

#include "base/addr.h"
#include "base/base.h"
#include "io/loop.h"

enum {
    LANES_ALL_MAX = 64, /* of all workers of a port together */
    LANES_IDLE_US = 15 * 1000 * 1000,
    LANES_LOOK_US = 5 * 1000 * 1000,
};

struct lanes;

MUST_CHECK int lanes_open(struct lanes **ret, struct loop *loop, uint32_t max);
void lanes_free(struct lanes *l); /* NULL allowed */

/* path.local as the client reaches us.  E_LIMIT, E_EXIST, E_NOMEM, -errno. */
int lanes_add(struct lanes *l, const struct path *path, us_t now);
/* A socket that may have something, or -1; when it may have more after it was read: lanes_more().
 */
int lanes_next(struct lanes *l, us_t now);
void lanes_more(struct lanes *l);
bool lanes_ready(const struct lanes *l);
void lanes_tick(struct lanes *l, us_t now);
us_t lanes_deadline(const struct lanes *l);
uint32_t lanes_n(const struct lanes *l);

#endif
