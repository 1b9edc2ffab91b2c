#include "rtc/consent.h"

enum {
    GAP_MIN_US = CONSENT_PERIOD_US / 5 * 4,
    GAP_SPREAD_US = CONSENT_PERIOD_US / 5 * 2,
};

static_assert((int64_t)CONSENT_ASKED_MAX * GAP_MIN_US >= CONSENT_LIFETIME_US,
              "asked[] must span a lifetime of the shortest gaps");

/* s5.1: every gap is drawn anew from 0.8..1.2 periods, so that peers drift out of step. */
static us_t draw_gap(struct rng *rng)
{
    return GAP_MIN_US + (us_t)rng_below(rng, GAP_SPREAD_US + 1);
}

void consent_grant(struct consent *c, us_t now, struct rng *rng)
{
    *c = (struct consent){
        .state = CONSENT_GRANTED,
        .check_at = now + draw_gap(rng),
        .revoke_at = now + CONSENT_LIFETIME_US,
    };
}

us_t consent_deadline(const struct consent *c)
{
    return c->state == CONSENT_GRANTED ? us_min(c->check_at, c->revoke_at) : US_NEVER;
}

bool consent_check(struct consent *c, us_t now, struct rng *rng, struct stun_tid *tid)
{
    if (now < consent_deadline(c))
        return false;
    assert(c->state == CONSENT_GRANTED);

    if (now >= c->revoke_at) {
        c->state = CONSENT_REVOKED;
        return false;
    }
    c->check_at = now + draw_gap(rng); /* from now, not from due: a stalled loop must not burst */
    *tid = stun_tid_new(rng);
    c->asked[c->asked_n++ % CONSENT_ASKED_MAX] = *tid;
    return true;
}

bool consent_answer(struct consent *c, us_t now, const struct stun_tid *tid)
{
    uint32_t n = u32_min(c->asked_n, CONSENT_ASKED_MAX);

    if (c->state != CONSENT_GRANTED || now >= c->revoke_at)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!stun_tid_eq(&c->asked[i], tid))
            continue;
        c->revoke_at = now + CONSENT_LIFETIME_US;
        return true;
    }
    return false;
}

void consent_renew(struct consent *c, us_t now)
{
    if (c->state == CONSENT_GRANTED && now < c->revoke_at)
        c->revoke_at = now + CONSENT_LIFETIME_US;
}
