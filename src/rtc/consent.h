/* rtc/consent.h - may we keep sending to this address?  (RFC 7675 s5.1)
 *
 * A remote side that stops answering must stop receiving media.  One struct
 * consent watches one selected candidate pair and says when to ask again, with
 * which transaction id, and when permission has lapsed.
 *
 * The owner brings the clock and the dice: nothing here reads a timer or a
 * socket.  No allocation; the struct may be copied with '='.
 */
#ifndef RTC_CONSENT_H
#define RTC_CONSENT_H

#include "base/base.h" /* us_t, US_NEVER, struct rng */
#include "wire/stun.h" /* struct stun_tid */

enum {
    CONSENT_PERIOD_US = 5000000,    /* nominal gap between checks */
    CONSENT_LIFETIME_US = 30000000, /* silence that revokes */
    CONSENT_ASKED_MAX = 8,          /* unanswered checks remembered */
};

enum consent_state {
    CONSENT_IDLE,    /* no pair selected yet */
    CONSENT_GRANTED, /* media may flow */
    CONSENT_REVOKED, /* final; only an ICE restart grants again */
};

struct consent {
    enum consent_state state;
    uint32_t asked_n; /* checks sent in all; the last CONSENT_ASKED_MAX sit in asked[] */
    us_t check_at;    /* next check falls due; meaningful while GRANTED */
    us_t revoke_at;   /* permission lapses;    meaningful while GRANTED */
    struct stun_tid asked[CONSENT_ASKED_MAX];
};

/* A pair was selected: permission runs afresh from `now`. */
void consent_grant(struct consent *c, us_t now, struct rng *rng);

/* When consent_check() next has work; US_NEVER outside GRANTED. */
us_t consent_deadline(const struct consent *c);

/* Let time reach `now`.  True: send a Binding request carrying *tid.
 * Read c->state afterwards; this is the only call that revokes. */
bool consent_check(struct consent *c, us_t now, struct rng *rng, struct stun_tid *tid);

/* An authenticated Binding success came in.  False: it answers no check of
 * ours, or comes too late; the caller counts it and drops it. */
bool consent_answer(struct consent *c, us_t now, const struct stun_tid *tid);

/* Another check on the same pair was answered: as good as one of ours.  Ignored outside
 * GRANTED and from revoke_at on. */
void consent_renew(struct consent *c, us_t now);

#endif
