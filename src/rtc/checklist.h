/* rtc/checklist.h - the candidate pairs of a full ICE agent and when to check each.
 * (RFC 8445 s6.1.2, s6.1.4, s7.2.5, s8.1.1)
 *
 * Forms pairs from local and remote addresses, orders them, paces ordinary and triggered
 * checks, repeats them, and chooses which pair to nominate when we are controlling.  It
 * neither writes nor reads STUN: rtc/ice does, with the transaction ids given out here.
 *
 * Limits: CHECKLIST_ADDRS_MAX addresses a side and CHECKLIST_PAIRS_MAX pairs; more are ignored,
 * except that an address learnt from an authenticated check takes the place of the lowest
 * pair that has not succeeded.  No allocation.
 */
#ifndef RTC_CHECKLIST_H
#define RTC_CHECKLIST_H

#include "base/addr.h"
#include "base/base.h"
#include "wire/stun.h"

enum {
    CHECKLIST_ADDRS_MAX = 16,
    CHECKLIST_PAIRS_MAX = 48,
    CHECKLIST_PACE_US = 50000,      /* Ta, RFC 8445 s14.2 */
    CHECKLIST_RTO_US = 250000,      /* first repetition; doubles (RFC 8445 s14.3 has 500 ms: */
    CHECKLIST_RTO_MAX_US = 2000000, /* shorter, because joining waits for it) */
    CHECKLIST_TRIES_MAX = 7,        /* Rc, RFC 8489 s6.2.1 */
    CHECKLIST_RETRY_US = 1000000,   /* chosen: when every pair failed, they are tried again */
    CHECKLIST_BETTER_US = 100000,   /* chosen: how long a better pair may delay nomination */
};

enum pair_state { PAIR_WAITING, PAIR_RUNNING, PAIR_SUCCEEDED, PAIR_FAILED };

struct check_pair {
    struct path path;
    uint64_t priority; /* RFC 8445 s6.1.2.3 */
    enum pair_state state;
    uint8_t tries;
    bool triggered; /* checked before the ordinary ones */
    bool nominate;  /* our checks carry USE-CANDIDATE */
    bool nominated; /* the controlling side chose it; ours: answered with USE-CANDIDATE */
    us_t at;        /* RUNNING: repeat or give up */
    us_t sent_at;   /* of the last request, for the round trip */
    struct stun_tid tid;
};

struct checklist {
    struct addr local[CHECKLIST_ADDRS_MAX];
    struct addr remote[CHECKLIST_ADDRS_MAX];
    uint32_t remote_priority[CHECKLIST_ADDRS_MAX];
    uint8_t local_n, remote_n, pair_n;
    bool controlling;
    bool choosing;     /* controlling and nothing is being nominated yet */
    us_t pace_at;      /* the next new check not before */
    us_t succeeded_at; /* the first success; US_NEVER before */
    struct check_pair pair[CHECKLIST_PAIRS_MAX];
};

struct checklist_check {
    struct path path;
    struct stun_tid tid;
    bool use_candidate;
};

void checklist_init(struct checklist *l, bool controlling);
/* ICE restart: pairs and remote addresses are forgotten, local ones stay. */
void checklist_restart(struct checklist *l);
void checklist_set_role(struct checklist *l, bool controlling);
void checklist_add_local(struct checklist *l, const struct addr *addr);
void checklist_add_remote(struct checklist *l, const struct addr *addr, uint32_t priority);

/* An authenticated request came in on `path`: check back (RFC 8445 s7.3.1.4).  `nominated`:
 * it carried USE-CANDIDATE and we are controlled.  Returns the pair. */
struct check_pair *checklist_triggered(struct checklist *l, const struct path *path,
                                       uint32_t priority, bool nominated);
/* The next check to send now; false when none is due.  Call until false. */
bool checklist_next(struct checklist *l, us_t now, struct rng *rng, struct checklist_check *out);
us_t checklist_deadline(const struct checklist *l);
/* An authenticated success response: the pair that it answers, or NULL. */
struct check_pair *checklist_answered(struct checklist *l, const struct path *path,
                                      const struct stun_tid *tid, us_t now);
/* The pair of a transaction id (for error responses), or NULL. */
struct check_pair *checklist_asked(struct checklist *l, const struct stun_tid *tid);
/* Check again at once, under a new transaction id (RFC 8445 s7.2.5.1 after 487). */
void checklist_again(struct check_pair *pair);

#endif
