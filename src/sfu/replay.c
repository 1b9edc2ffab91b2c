#include "sfu/replay.h"

#include "base/mem.h"

void replay_init(struct replay *r, uint32_t max)
{
    uint32_t cap = 1;

    assert(max > 0);
    while (cap < max)
        cap *= 2;
    *r = (struct replay){.mask = cap - 1, .max = max, .keep = REPLAY_KEEP_NONE};
}

static void leave(struct replay *r, struct pkt_slab *slab)
{
    struct replay_slot *s = &r->slot[r->first & r->mask];

    if (s->p != NULL) {
        pkt_drop(slab, s->p);
        s->p = NULL;
        r->n--;
    }
    r->first++;
}

void replay_trim(struct replay *r, struct pkt_slab *slab, uint32_t keep)
{
    while (r->n > keep)
        leave(r, slab);
}

void replay_fini(struct replay *r, struct pkt_slab *slab)
{
    replay_trim(r, slab, 0);
    mem_free(r->slot);
    *r = (struct replay){0};
}

void replay_expire(struct replay *r, struct pkt_slab *slab, us_t now)
{
    while (r->n > 0) {
        const struct replay_slot *oldest = &r->slot[r->first & r->mask];
        if (oldest->p != NULL && (oldest->at + REPLAY_AGE_US > now || r->first >= r->keep))
            return;
        leave(r, slab);
    }
}

bool replay_put(struct replay *r, struct pkt_slab *slab, struct pkt *p)
{
    if (r->slot == NULL) {
        r->slot = mem_array(r->mask + 1, sizeof *r->slot);
        if (r->slot == NULL)
            return false;
    }
    if (r->n == 0)
        r->first = r->newest = p->seq;
    if (p->seq > r->newest) {
        uint64_t floor = p->seq >= r->max ? p->seq - r->max + 1 : 0;
        while (r->n > 0 && r->first < floor)
            leave(r, slab);
        if (r->n == 0)
            r->first = p->seq;
        r->newest = p->seq;
    } else if (p->seq < r->first) {
        if (r->newest - p->seq >= r->max)
            return false;
        r->first = p->seq;
    }
    struct replay_slot *s = &r->slot[p->seq & r->mask];
    if (s->p != NULL)
        return false; /* a duplicate: the first one stays */
    *s = (struct replay_slot){.p = pkt_hold(p), .at = p->at};
    r->n++;
    replay_expire(r, slab, p->at);
    return true;
}

struct pkt *replay_find(const struct replay *r, uint64_t seq)
{
    if (r->n == 0 || seq < r->first || seq > r->newest)
        return NULL;
    return r->slot[seq & r->mask].p;
}
