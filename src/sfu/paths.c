#include "sfu/paths.h"

#include "base/mem.h"

enum { PATHS_FIRST_CAP = 64 };

void paths_init(struct paths *p, uint32_t max, uint64_t seed)
{
    *p = (struct paths){.max = max, .seed = seed};
}

void paths_fini(struct paths *p)
{
    mem_free(p->slot);
    *p = (struct paths){0};
}

static uint32_t home_of(const struct paths *p, const struct addr *a)
{
    return (uint32_t)addr_hash(a, p->seed) & (p->cap - 1);
}

/* The slot that holds `a`, or the empty one where it belongs. */
static uint32_t probe(const struct paths *p, const struct addr *a)
{
    uint32_t at = home_of(p, a);

    while (p->slot[at].addr.family != 0 && !addr_eq(&p->slot[at].addr, a))
        at = (at + 1) & (p->cap - 1);
    return at;
}

uint32_t paths_find(const struct paths *p, const struct addr *a)
{
    if (p->cap == 0 || a->family == 0)
        return PATHS_NONE;
    const struct paths_slot *s = &p->slot[probe(p, a)];
    return s->addr.family != 0 ? s->owner : PATHS_NONE;
}

static bool paths_grow(struct paths *p)
{
    struct paths old = *p;
    uint32_t cap = p->cap == 0 ? PATHS_FIRST_CAP : p->cap * 2;
    struct paths_slot *slot = mem_array(cap, sizeof *slot);

    if (slot == NULL)
        return false;
    p->slot = slot;
    p->cap = cap;
    for (uint32_t i = 0; i < old.cap; i++) {
        if (old.slot[i].addr.family != 0)
            p->slot[probe(p, &old.slot[i].addr)] = old.slot[i];
    }
    mem_free(old.slot);
    return true;
}

bool paths_put(struct paths *p, const struct addr *a, uint32_t owner)
{
    assert(owner != PATHS_NONE);
    if (a->family == 0)
        return false;
    if (p->cap > 0) {
        struct paths_slot *s = &p->slot[probe(p, a)];
        if (s->addr.family != 0) {
            s->owner = owner;
            return true;
        }
    }
    if (p->used >= p->max)
        return false;
    if (2 * (p->used + 1) > p->cap && !paths_grow(p))
        return false;
    p->slot[probe(p, a)] = (struct paths_slot){.addr = *a, .owner = owner};
    p->used++;
    return true;
}

void paths_remove(struct paths *p, const struct addr *a, uint32_t owner)
{
    if (p->cap == 0 || a->family == 0)
        return;
    uint32_t hole = probe(p, a);
    if (p->slot[hole].addr.family == 0 || p->slot[hole].owner != owner)
        return;

    /* Close the hole: whoever sits behind it and would not be found past it moves in. */
    uint32_t mask = p->cap - 1;
    for (uint32_t at = (hole + 1) & mask; p->slot[at].addr.family != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(p, &p->slot[at].addr);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            p->slot[hole] = p->slot[at];
            hole = at;
        }
    }
    p->slot[hole] = (struct paths_slot){0};
    p->used--;
}
