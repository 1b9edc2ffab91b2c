/* sim/world.h - two real peers with data channels on a virtual network and clock.
 *
 * The server half and the client half of rtc/peer, each with an association of rtc/assoc,
 * joined by sim/netem.  Both send media each 20 ms once connected.  world_run() steps to the
 * earliest deadline of any part; after each step the invariants are checked (broken(): the
 * run stops with a line that names it).  One seed fixes a run: world_hash() of two runs of the
 * same scenario are equal.
 *
 * Shards and bots join here when they stand: a side is what has an input, an output, a tick and
 * a deadline.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/addr.h"
#include "base/base.h"
#include "rtc/assoc.h"
#include "rtc/peer.h"
#include "sim/netem.h"

enum {
    WORLD_MEDIA_US = 20000,
    WORLD_ADDRS_MAX = 16,    /* addresses that the client had */
    WORLD_CAPTURED_MAX = 64, /* datagrams that the attacker may play back */
    WORLD_STEPS_MAX = 200,   /* rounds without the clock moving: a livelock */
};

enum world_side_name { SERVER, CLIENT };

struct world_side {
    struct cert *cert;
    struct dtls_ctx *dtls;
    struct peer *peer;
    struct assoc *assoc;
    struct addr addr; /* the server's; the client's own, behind its NAT */
    enum peer_state state;
    enum peer_reason reason;
    bool assoc_up;
    uint16_t channel; /* ours, when has_channel */
    bool has_channel;
    uint32_t media_seq; /* next to send */
    us_t media_at;
    us_t heard_at, gap_us; /* last media that came, and the longest pause since world_mark() */
    uint64_t media_n, media_bad_n;
    uint8_t seen[8192]; /* one bit a media number: none may come twice */
    uint64_t data_n, data_bytes;
    uint32_t data_sum;
    uint64_t bytes_out, bytes_in; /* of the server before the client's address is proven */
};

struct world_cfg {
    uint64_t seed;
    struct netem_cfg net;         /* both ways */
    enum peer_setup server_setup; /* UNKNOWN: DTLS server */
    bool hostile;                 /* an attacker injects each few milliseconds */
    bool split_hello;             /* the ClientHello travels in pieces, doubled and backwards */
    bool quiet;                   /* no media */
};

struct world_capture {
    enum world_side_name to;
    size_t len;
    uint8_t data[1500];
};

struct world {
    struct world_cfg cfg;
    struct rng rng;
    us_t now;
    struct world_side side[2];
    struct netem *net[2];                     /* by receiver */
    struct addr public_addr[WORLD_ADDRS_MAX]; /* of the client; the last is today's */
    unsigned public_n;
    struct addr attacker;
    us_t attack_at;
    uint64_t attacks, to_attacker;
    struct world_capture captured[WORLD_CAPTURED_MAX];
    uint64_t captured_n;
    uint8_t arrived[NETEM_DATAGRAM_MAX];
    unsigned restart_n;
    uint64_t hash;
    const char *broken; /* the invariant that did not hold; NULL */
};

void world_open(struct world *w, const struct world_cfg *cfg);
void world_close(struct world *w);
/* Descriptions are exchanged and the client begins. */
void world_introduce(struct world *w);
/* False when an invariant broke. */
bool world_run(struct world *w, us_t span);
/* Runs until both are connected; how long that took, or -1. */
us_t world_connect(struct world *w, us_t limit);
bool world_connected(const struct world *w);

/* Faults. */
void world_net(struct world *w, const struct netem_cfg *net);
void world_silence(struct world *w, us_t span);
void world_rebind(struct world *w); /* the client's NAT gives it another address */
/* New credentials on both sides, exchanged `delay` apart as signalling would. */
void world_restart(struct world *w, us_t delay);

/* The pause counters of both sides start afresh. */
void world_mark(struct world *w);
/* A message over the channel of that side; it opens one first when it has none. */
int world_say(struct world *w, enum world_side_name from, struct bytes data);
uint64_t world_hash(const struct world *w);

#endif
