/* app/worker.h - one media thread: a shard, its sockets, its loop and its rings.
 *
 * Moves bytes between a shard and the world and decides nothing.  Control talks to it
 * through two rings, other workers through one relay ring for each ordered pair (and with one UDP
 * port for all, one for strays); nobody waits for anybody.  Full rings: a command is refused and
 * control tries again at its next tick; statistics are dropped and counted; a life-cycle event that
 * finds no room even in the reserve is held here, and the shard's events with it; a relay record is
 * shed.
 *
 * worker_open() to worker_start() and worker_stop() to worker_free() belong to control; in
 * between only the functions marked so.
 */
#ifndef APP_WORKER_H
#define APP_WORKER_H

#include "app/wake.h"
#include "base/base.h"
#include "io/framed.h"
#include "sfu/cmd.h"
#include "sfu/shard.h"

enum {
    WORKER_MAX = 64,
    WORKER_CMD_RING_BYTES = 1 << 19,
    WORKER_EVT_RING_BYTES = 1 << 19,
    WORKER_RELAY_RING_BYTES = 1 << 20,
    WORKER_STRAY_RING_BYTES = 1 << 18,
    WORKER_RESERVE_BYTES = 1 << 16, /* for life-cycle records */
    WORKER_BATCHES = 8,             /* of UDP_BATCH datagrams before commands get their turn */
    WORKER_COMMANDS = 256,          /* before datagrams get theirs */
    WORKER_FIRST_BYTES = 600,       /* of a connection's first frame */
};

/* With one port for all. */
enum stray_counter {
    STRAY_GIVEN, /* datagrams that crossed to their owner */
    STRAY_SHED,  /* the ring was full */
    STRAY_LANES, /* gauge: connected sockets */
    STRAY_COUNTER_N,
};

struct worker;
struct cert;

struct worker_cfg {
    uint8_t index, worker_n;
    uint16_t udp_port; /* 0: any */
    bool one_port;     /* all workers share it: strays cross to their owners */
    uint64_t seed;
    const struct cert *cert;
    struct worker *const *all; /* [worker_n], filled before the first worker_start() */
    struct wake *control;      /* knocked when there are events */
};

/* -errno of the port, or E_*. */
MUST_CHECK int worker_open(struct worker **ret, const struct worker_cfg *cfg);
MUST_CHECK int worker_start(struct worker *w);
void worker_stop(struct worker *w); /* waits for the thread */
void worker_free(struct worker *w);

uint16_t worker_port(const struct worker *w);

/* Control thread.  False: the ring is full. */
MUST_CHECK bool worker_command(struct worker *w, const struct cmd *c);
/* Control thread.  Hands over a media connection whose first frame was read; takes fd when true. */
MUST_CHECK bool worker_hand(struct worker *w, int fd, const struct path *path, struct bytes first);
/* Once after a round of commands. */
void worker_kick(struct worker *w);
/* The next event; false when there is none. */
bool worker_event(struct worker *w, struct evt *out);
bool worker_has_events(const struct worker *w);
/* A snapshot at most a second old. */
void worker_counters(const struct worker *w, uint64_t out[SHARD_COUNTER_N]);
void worker_streams(const struct worker *w, uint64_t out[FRAMED_COUNTER_N]);
void worker_strays(const struct worker *w, uint64_t out[STRAY_COUNTER_N]);

#endif
