/* app/steer.h - whose datagram is it?  For several workers that share one UDP port.
 *
 * The kernel spreads datagrams over the workers' sockets by a hash of the addresses, so most
 * reach a worker that does not know their sender.  A check says by its ufrag where it
 * belongs; everything else goes where the owner of its address said that it belongs (and until
 * then where its last check went: a client's first flight follows its first check).  The
 * owner says so to the worker that a check came through, once the check proved
 * itself: a stranger moves nothing.  What nobody knows stays where it is, and is counted there.
 *
 * An address that sends many strays is worth a socket of its own; this unit counts, the worker
 * opens it.  Owner's thread only; allocates when its tables grow.
 */
#ifndef APP_STEER_H
#define APP_STEER_H

#include "base/addr.h"
#include "base/base.h"
#include "sfu/paths.h"

enum {
    STEER_ADDRS_MAX = 65536,          /* of others that are remembered; more: at their next check */
    STEER_LIFE_US = 60 * 1000 * 1000, /* at least, without a check that renews it */
    STEER_BUSY = 25,                  /* strays of one address in a second: it publishes */
    STEER_BUSY_US = 1000 * 1000,
    STEER_GUESSES = 1024, /* addresses whose owner has not spoken; one in each place */
    STEER_TALLIES = 1024, /* addresses counted at a time; of two in one place the last one is */
};

struct steer_tally {
    struct addr addr;
    uint32_t n;
    us_t since;
};

struct steer_guess {
    struct addr addr;
    uint8_t owner;
};

struct steer {
    uint8_t me, worker_n;
    uint64_t seed;
    struct paths now, before; /* two generations: the older is thrown away */
    us_t turn_at;
    struct steer_guess *guess; /* [STEER_GUESSES] */
    struct steer_tally *tally; /* [STEER_TALLIES] */
};

/* E_NOMEM; fini either way. */
MUST_CHECK int steer_init(struct steer *s, uint8_t me, uint8_t worker_n, uint64_t seed);
void steer_fini(struct steer *s);

/* Hot.  The worker of a datagram; `known`: our shard knows its sender. */
uint8_t steer_owner(struct steer *s, const struct addr *remote, struct bytes datagram, bool known);
/* Is it a check, whose owner answers with where its sender belongs? */
bool steer_is_check(struct bytes datagram);
/* A worker says that the address is its. */
void steer_told(struct steer *s, const struct addr *remote, uint8_t owner, us_t now);
/* One more stray of ours; true once each time that STEER_BUSY came in time. */
bool steer_busy(struct steer *s, const struct addr *remote, us_t now);

#endif
