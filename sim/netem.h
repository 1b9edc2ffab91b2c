/* sim/netem.h - one direction of a bad network.
 *
 * Datagrams go in with the time and come out by a deadline: late, out of order, twice,
 * damaged, or never.  Everything is drawn from one seeded generator, so a run repeats.  Used on
 * virtual time by sim/world and on real time by tests/impair.
 *
 * Holds at most NETEM_PACKETS_MAX datagrams (then the newest is lost, and counted).  One thread.
 */
#ifndef SIM_NETEM_H
#define SIM_NETEM_H

#include "base/base.h"

enum {
    NETEM_PACKETS_MAX = 20000,
    NETEM_DATAGRAM_MAX = 2048,
    NETEM_PPM = 1000000,
};

struct netem_cfg {
    us_t delay_us, jitter_us; /* uniform in delay .. delay + jitter; packets may overtake */
    uint32_t loss_ppm;        /* of a million */
    uint32_t burst;           /* mean length of a run of losses; 0 or 1: independent */
    uint32_t reorder_ppm;     /* these come at once, ahead of what is delayed */
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm; /* one bit flipped */
    uint64_t rate_bps;    /* bottleneck; 0: none */
    us_t queue_us;        /* what the bottleneck may hold; 0: 100 ms */
};

struct netem_stats {
    uint64_t in, out, lost, overflowed, duplicated, corrupted;
};

struct netem;

MUST_CHECK int netem_open(struct netem **ret, const struct netem_cfg *cfg, uint64_t seed);
void netem_free(struct netem *n);
/* Holds for datagrams that come from now on. */
void netem_set(struct netem *n, const struct netem_cfg *cfg);
const struct netem_cfg *netem_cfg(const struct netem *n);
/* Everything that comes in before `until` is lost. */
void netem_silence(struct netem *n, us_t until);

/* `tag` comes out with the datagram. */
void netem_push(struct netem *n, uint64_t tag, struct bytes datagram, us_t now);
/* A datagram that is due; *data is valid until the next call. */
bool netem_pop(struct netem *n, us_t now, uint64_t *tag, struct bytes *data);
us_t netem_deadline(const struct netem *n);
void netem_get_stats(const struct netem *n, struct netem_stats *st);

/* One setting by name, as a command line has it: "delay" (ms), "jitter" (ms), "loss" (%, may have
 * a fraction), "burst", "reorder" (%), "duplicate" (%), "corrupt" (%), "rate" (kbit/s),
 * "queue" (ms).  False when there is no such name or no such value. */
bool netem_parse(struct netem_cfg *cfg, struct bytes name, struct bytes value);

#endif
