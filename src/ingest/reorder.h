/* ingest/reorder.h - one incoming RTP stream put in order, with what is missing asked for again.
 *
 * For a sender that resends on a generic NACK and knows no RTX: an FTL client.  Packets go out
 * in the order of their numbers; behind a gap they wait until the packet comes or is given up.
 * Timing adapts: the first question waits as long as this path has been seen to reorder (three
 * later packets are proof enough while it has not), repetitions wait for the measured round trip,
 * and giving up for a few of them.  Every question counts as a dropped frame in the streamer's
 * program, so none is asked in vain.
 *
 * The heap is touched in open and for a slot's first use: never more than `slots` packets of
 * REORDER_PACKET_MAX.  One thread; the owner brings the clock.
 */
#ifndef INGEST_REORDER_H
#define INGEST_REORDER_H

#include "base/base.h"

enum {
    REORDER_PACKET_MAX = 1500,
    REORDER_SLOTS_MAX = 1024,
    REORDER_ASK_MAX = 64,       /* numbers in one question */
    REORDER_MISSING_MAX = 256,  /* beyond: the oldest are given up */
    REORDER_WAIT_US = 5 * 1000, /* before the first question .. */
    REORDER_WAIT_MAX_US = 30 * 1000,
    REORDER_LATER_N = 3, /* packets past the gap that prove a loss */
    REORDER_RETRY_MIN_US = 10 * 1000,
    REORDER_RETRY_UNKNOWN_US = 40 * 1000, /* while no round trip was measured */
    REORDER_GIVE_UP_MIN_US = 150 * 1000,
    REORDER_GIVE_UP_MAX_US = 500 * 1000,
    REORDER_FIRST_MAX = 64,  /* numbers begin at 0: so many before the first may be missing */
    REORDER_JUMP_MAX = 3000, /* RFC 3550 A.1: more is another stream; two in a row prove it */
};

struct reorder_packet {
    uint32_t ts;
    bool marker;
    struct bytes payload; /* valid until the next call */
    uint32_t lost_n;      /* given up right before it */
};

enum reorder_seen { REORDER_TAKEN, REORDER_DUPLICATE, REORDER_LATE, REORDER_JUMP };

struct reorder_counts {
    uint64_t received, recovered, duplicates, late, lost, asked, restarts;
};

struct reorder;

/* `slots`: a power of two, at most REORDER_SLOTS_MAX.  E_NOMEM. */
MUST_CHECK int reorder_open(struct reorder **ret, unsigned slots);
void reorder_free(struct reorder *r);

/* payload.len <= REORDER_PACKET_MAX. */
enum reorder_seen reorder_seen(struct reorder *r, uint16_t seq, uint32_t ts, bool marker,
                               struct bytes payload, us_t now);
bool reorder_next(struct reorder *r, struct reorder_packet *out);
/* Numbers to ask for now, ascending; at most REORDER_ASK_MAX, the rest a little later.  Also gives
 * up what is too old. */
unsigned reorder_due(struct reorder *r, us_t now, uint16_t seq[REORDER_ASK_MAX]);
us_t reorder_deadline(const struct reorder *r);
/* Round trip of questions; 0: none measured yet. */
us_t reorder_rtt_us(const struct reorder *r);
const struct reorder_counts *reorder_counts(const struct reorder *r);

#endif
