#include "rtc/checklist.h"

enum {
    LOCAL_PRIORITY = (126 << 24) | (65535 << 8) | 255, /* a host candidate, RFC 8445 s5.1.2.1 */
};

void checklist_init(struct checklist *l, bool controlling)
{
    *l = (struct checklist){
        .controlling = controlling,
        .choosing = controlling,
        .pace_at = INT64_MIN,
        .succeeded_at = US_NEVER,
    };
}

void checklist_restart(struct checklist *l)
{
    l->remote_n = l->pair_n = 0;
    l->choosing = l->controlling;
    l->succeeded_at = US_NEVER;
}

void checklist_set_role(struct checklist *l, bool controlling)
{
    l->controlling = controlling;
    l->choosing = controlling;
    for (unsigned i = 0; i < l->pair_n; i++)
        l->pair[i].nominate = false;
}

/* RFC 8445 s6.1.2.3: G is the controlling side's priority, D the other's. */
static uint64_t pair_priority(const struct checklist *l, uint32_t remote)
{
    uint32_t g = l->controlling ? LOCAL_PRIORITY : remote;
    uint32_t d = l->controlling ? remote : LOCAL_PRIORITY;

    return ((uint64_t)u32_min(g, d) << 32) + 2 * (uint64_t)u32_max(g, d) + (g > d);
}

static struct check_pair *pair_find(struct checklist *l, const struct path *path)
{
    for (unsigned i = 0; i < l->pair_n; i++) {
        if (path_eq(&l->pair[i].path, path))
            return &l->pair[i];
    }
    return NULL;
}

static struct check_pair *pair_add(struct checklist *l, const struct path *path, uint32_t priority)
{
    struct check_pair *p = pair_find(l, path);

    if (p != NULL)
        return p;
    if (l->pair_n == CHECKLIST_PAIRS_MAX)
        return NULL;
    p = &l->pair[l->pair_n++];
    *p = (struct check_pair){.path = *path, .priority = pair_priority(l, priority)};
    return p;
}

static void pair_up(struct checklist *l, const struct addr *local, unsigned remote_at)
{
    const struct addr *remote = &l->remote[remote_at];

    if (local->family == remote->family && local->tcp == remote->tcp) {
        struct path path = {.local = *local, .remote = *remote};
        (void)pair_add(l, &path, l->remote_priority[remote_at]); /* full: the first ones stay */
    }
}

void checklist_add_local(struct checklist *l, const struct addr *addr)
{
    for (unsigned i = 0; i < l->local_n; i++) {
        if (addr_eq(&l->local[i], addr))
            return;
    }
    if (l->local_n == CHECKLIST_ADDRS_MAX)
        return;
    l->local[l->local_n++] = *addr;
    for (unsigned i = 0; i < l->remote_n; i++)
        pair_up(l, addr, i);
}

void checklist_add_remote(struct checklist *l, const struct addr *addr, uint32_t priority)
{
    for (unsigned i = 0; i < l->remote_n; i++) {
        if (addr_eq(&l->remote[i], addr))
            return;
    }
    if (l->remote_n == CHECKLIST_ADDRS_MAX)
        return;
    l->remote[l->remote_n] = *addr;
    l->remote_priority[l->remote_n] = priority;
    for (unsigned i = 0; i < l->local_n; i++)
        pair_up(l, &l->local[i], l->remote_n);
    l->remote_n++;
}

/* Room for an address that proved itself: the lowest pair that has not. */
static struct check_pair *pair_replace(struct checklist *l, const struct path *path,
                                       uint32_t priority)
{
    struct check_pair *worst = NULL;

    for (unsigned i = 0; i < l->pair_n; i++) {
        struct check_pair *p = &l->pair[i];
        if (p->state != PAIR_SUCCEEDED && (worst == NULL || p->priority < worst->priority))
            worst = p;
    }
    if (worst == NULL)
        worst = &l->pair[0];
    *worst = (struct check_pair){.path = *path, .priority = pair_priority(l, priority)};
    return worst;
}

struct check_pair *checklist_triggered(struct checklist *l, const struct path *path,
                                       uint32_t priority, bool nominated)
{
    struct check_pair *p = pair_add(l, path, priority);

    if (p == NULL)
        p = pair_replace(l, path, priority);
    if (p->state != PAIR_SUCCEEDED && p->state != PAIR_RUNNING) {
        p->state = PAIR_WAITING;
        p->triggered = true;
    }
    p->nominated |= nominated;
    return p;
}

void checklist_again(struct check_pair *pair)
{
    pair->state = PAIR_WAITING;
    pair->triggered = true;
    pair->tries = 0;
}

/* Regular nomination (RFC 8445 s8.1.1): the best pair that succeeded, once no better one is
 * still being checked or we waited long enough for it. */
static void choose(struct checklist *l, us_t now)
{
    struct check_pair *best = NULL;

    if (!l->choosing || l->succeeded_at == US_NEVER)
        return;
    for (unsigned i = 0; i < l->pair_n; i++) {
        struct check_pair *p = &l->pair[i];
        if (p->state == PAIR_SUCCEEDED && (best == NULL || p->priority > best->priority))
            best = p;
    }
    if (best == NULL)
        return;
    for (unsigned i = 0; i < l->pair_n && now < l->succeeded_at + CHECKLIST_BETTER_US; i++) {
        const struct check_pair *p = &l->pair[i];
        if (p->priority > best->priority && p->state != PAIR_FAILED)
            return;
    }
    l->choosing = false;
    best->nominate = true;
    checklist_again(best);
}

static void send_check(struct check_pair *p, us_t now, struct checklist_check *out)
{
    us_t rto = CHECKLIST_RTO_US;

    for (unsigned i = 0; i < p->tries && rto < CHECKLIST_RTO_MAX_US; i++)
        rto *= 2;
    p->tries++;
    p->at = now + us_min(rto, CHECKLIST_RTO_MAX_US);
    p->sent_at = now;
    *out = (struct checklist_check){.path = p->path, .tid = p->tid, .use_candidate = p->nominate};
}

static struct check_pair *next_new(struct checklist *l)
{
    struct check_pair *best = NULL;

    for (unsigned i = 0; i < l->pair_n; i++) {
        struct check_pair *p = &l->pair[i];
        if (p->state != PAIR_WAITING)
            continue;
        if (best == NULL || p->triggered > best->triggered ||
            (p->triggered == best->triggered && p->priority > best->priority))
            best = p;
    }
    return best;
}

static void give_up(struct checklist *l, struct check_pair *p, us_t now)
{
    p->state = PAIR_FAILED;
    p->at = now + CHECKLIST_RETRY_US;
    if (p->nominate) { /* the chosen one fell silent: choose another */
        p->nominate = false;
        l->choosing = l->controlling;
    }
}

/* Is there nothing left but failures?  Then the list would stay silent for good although the
 * network may only have been bad: failed pairs get another turn until ICE itself gives up. */
static bool all_failed(const struct checklist *l)
{
    for (unsigned i = 0; i < l->pair_n; i++) {
        if (l->pair[i].state != PAIR_FAILED)
            return false;
    }
    return true;
}

static void revive(struct checklist *l, us_t now)
{
    if (!all_failed(l))
        return;
    for (unsigned i = 0; i < l->pair_n; i++) {
        if (now >= l->pair[i].at)
            l->pair[i].state = PAIR_WAITING;
    }
}

bool checklist_next(struct checklist *l, us_t now, struct rng *rng, struct checklist_check *out)
{
    choose(l, now);
    for (unsigned i = 0; i < l->pair_n; i++) {
        struct check_pair *p = &l->pair[i];
        if (p->state != PAIR_RUNNING || now < p->at)
            continue;
        if (p->tries < CHECKLIST_TRIES_MAX) {
            send_check(p, now, out);
            return true;
        }
        give_up(l, p, now);
    }
    revive(l, now);
    struct check_pair *p = next_new(l);
    if (p == NULL || now < l->pace_at)
        return false;
    l->pace_at = now + CHECKLIST_PACE_US;
    p->state = PAIR_RUNNING;
    p->triggered = false;
    p->tries = 0;
    p->tid = stun_tid_new(rng);
    send_check(p, now, out);
    return true;
}

us_t checklist_deadline(const struct checklist *l)
{
    us_t at = US_NEVER;
    bool waiting = false, succeeded = false, retry = all_failed(l);

    for (unsigned i = 0; i < l->pair_n; i++) {
        const struct check_pair *p = &l->pair[i];
        if (p->state == PAIR_RUNNING || retry)
            at = us_min(at, p->at);
        waiting |= p->state == PAIR_WAITING;
        succeeded |= p->state == PAIR_SUCCEEDED;
    }
    if (waiting)
        at = us_min(at, us_max(l->pace_at, 0));
    if (l->choosing && succeeded)
        at = us_min(at, l->succeeded_at + CHECKLIST_BETTER_US);
    return at;
}

struct check_pair *checklist_asked(struct checklist *l, const struct stun_tid *tid)
{
    for (unsigned i = 0; i < l->pair_n; i++) {
        if (l->pair[i].tries > 0 && stun_tid_eq(&l->pair[i].tid, tid))
            return &l->pair[i];
    }
    return NULL;
}

struct check_pair *checklist_answered(struct checklist *l, const struct path *path,
                                      const struct stun_tid *tid, us_t now)
{
    struct check_pair *p = checklist_asked(l, tid);

    /* RFC 8445 s7.2.5.2.1: an answer from elsewhere does not count. */
    if (p == NULL || !addr_eq(&p->path.remote, &path->remote))
        return NULL;
    if (p->state == PAIR_RUNNING || p->state == PAIR_FAILED) {
        p->state = PAIR_SUCCEEDED;
        l->succeeded_at = us_min(l->succeeded_at, now);
        p->nominated |= p->nominate;
    }
    choose(l, now);
    return p;
}
