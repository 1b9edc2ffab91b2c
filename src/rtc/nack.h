/* rtc/nack.h - which packets of an incoming stream are missing, and when to ask for them.
 * (RFC 4585 s6.2.1; the schedule is livekit-server.md 5.3's)
 *
 * One struct nack watches one SSRC's sequence numbers (media only; a packet recovered
 * through RTX is announced by its original number).  It writes no RTCP and knows no
 * history of packets.  A gap wider than NACK_MISSING_MAX asks for its newest part only;
 * what that gives up shows in given_up_n, and the owner may want a key frame then.
 *
 * No allocation; copied with '='; the owner brings the clock.
 */
#ifndef RTC_NACK_H
#define RTC_NACK_H

#include "base/base.h"

enum {
    NACK_MISSING_MAX = 100, /* livekit: queue 100 */
    NACK_TRIES_MAX = 5,     /* livekit: then given up */
    NACK_FIRST_US = 10000,  /* chosen: lets a reordered packet arrive before it is asked for */
    NACK_INTERVAL_MIN_US = 20000, /* livekit: interval clamp(RTT * 1.25^n, 20..400 ms) */
    NACK_INTERVAL_MAX_US = 400000,
};

enum nack_seen {
    NACK_SEEN_NEW,       /* newer than all before */
    NACK_SEEN_RECOVERED, /* was missing */
    NACK_SEEN_OLD,       /* neither: a duplicate, or given up before */
};

struct nack_item {
    us_t ask_at;
    uint16_t seq;
    uint8_t tries;
};

struct nack {
    bool started;
    uint16_t newest;
    uint16_t missing_n;
    uint32_t asked_n;                           /* numbers asked for, with repetitions */
    uint32_t given_up_n;                        /* numbers never recovered */
    struct nack_item missing[NACK_MISSING_MAX]; /* in serial order, oldest first */
};

/* Forget everything: the stream starts anew. */
void nack_init(struct nack *n);
enum nack_seen nack_seen(struct nack *n, uint16_t seq, us_t now);
/* The numbers to ask for now, in serial order, at most `max` (those left over stay due);
 * returns how many.  `rtt_us` 0: unknown, counts as 100 ms. */
unsigned nack_due(struct nack *n, us_t now, us_t rtt_us, uint16_t *seq, unsigned max);
us_t nack_deadline(const struct nack *n);

#endif
