#include "app/steer.h"

#include "base/err.h"
#include "base/mem.h"
#include "sfu/cmd.h"
#include "wire/stun.h"

int steer_init(struct steer *s, uint8_t me, uint8_t worker_n, uint64_t seed)
{
    *s = (struct steer){.me = me, .worker_n = worker_n, .seed = seed};
    paths_init(&s->now, STEER_ADDRS_MAX, seed);
    paths_init(&s->before, STEER_ADDRS_MAX, seed);
    s->guess = mem_array(STEER_GUESSES, sizeof *s->guess);
    s->tally = mem_array(STEER_TALLIES, sizeof *s->tally);
    return s->guess != NULL && s->tally != NULL ? 0 : E_NOMEM;
}

void steer_fini(struct steer *s)
{
    paths_fini(&s->now);
    paths_fini(&s->before);
    mem_free(s->guess);
    mem_free(s->tally);
    s->guess = NULL;
    s->tally = NULL;
}

bool steer_is_check(struct bytes datagram)
{
    return datagram.len > 0 && datagram.p[0] <= 3; /* RFC 7983 s7 */
}

/* Negative: it does not say. */
static int named(const struct steer *s, struct bytes datagram)
{
    struct bytes ours, theirs;
    struct stun_msg m;

    if (!steer_is_check(datagram) || stun_parse(&m, datagram) != 0 || m.username.p == NULL ||
        !stun_username_split(m.username, &ours, &theirs))
        return -1;
    int shard = cmd_ufrag_shard(ours);
    return shard < s->worker_n ? shard : -1;
}

uint8_t steer_owner(struct steer *s, const struct addr *remote, struct bytes datagram, bool known)
{
    struct steer_guess *g = &s->guess[addr_hash(remote, s->seed) % STEER_GUESSES];
    int owner = named(s, datagram); /* first: an address may change hands */

    if (owner >= 0) {
        *g = (struct steer_guess){.addr = *remote, .owner = (uint8_t)owner};
        return g->owner;
    }
    if (known)
        return s->me;
    uint32_t at = paths_find(&s->now, remote);
    if (at == PATHS_NONE)
        at = paths_find(&s->before, remote);
    if (at != PATHS_NONE)
        return (uint8_t)at;
    return addr_eq(&g->addr, remote) ? g->owner : s->me;
}

void steer_told(struct steer *s, const struct addr *remote, uint8_t owner, us_t now)
{
    if (now >= s->turn_at) {
        struct paths old = s->before;
        s->before = s->now;
        s->now = old;
        paths_fini(&s->now);
        paths_init(&s->now, STEER_ADDRS_MAX, s->seed);
        s->turn_at = now + STEER_LIFE_US;
    }
    (void)paths_put(&s->now, remote, owner); /* full: media waits for a check that finds room */
}

bool steer_busy(struct steer *s, const struct addr *remote, us_t now)
{
    struct steer_tally *t = &s->tally[addr_hash(remote, s->seed) % STEER_TALLIES];

    if (!addr_eq(&t->addr, remote) || now - t->since >= STEER_BUSY_US)
        *t = (struct steer_tally){.addr = *remote, .since = now};
    return ++t->n == STEER_BUSY;
}
