#include "sfu/pkt.h"

#include "base/mem.h"

/* A step is one block: its head in the place of the first two slots, then the slots.  Each has
 * its own stack of free slots, so an idle one can be given back without a search; it is no list
 * through the slots, because taking one must not wait for memory that nobody looked at lately. */
struct pkt_step {
    uint8_t *slots; /* first slot, on a cache line's edge whatever the heap gave */
    uint32_t used_n;
    uint32_t fresh_n; /* slots never handed out yet: their pages stay untouched */
    uint32_t at;      /* index in the slab */
    uint32_t free_n;
    uint16_t free[PKT_STEP_SLOTS]; /* indexes of slots */
};

static_assert(sizeof(struct pkt_step) + PKT_HEAD_BYTES <= 2 * PKT_SLOT_BYTES,
              "the head fits in two slots");

void pkt_slab_init(struct pkt_slab *slab, uint32_t slots_max)
{
    uint32_t steps = (slots_max + PKT_STEP_SLOTS - 1) / PKT_STEP_SLOTS;

    *slab = (struct pkt_slab){.steps_max = u32_min(u32_max(steps, 1), PKT_STEPS_MAX)};
}

void pkt_slab_fini(struct pkt_slab *slab)
{
    assert(slab->used_n == 0);
    for (uint32_t i = 0; i < slab->step_n; i++)
        mem_free(slab->step[i]);
    mem_free(slab->step);
    *slab = (struct pkt_slab){0};
}

static bool step_full(const struct pkt_step *s)
{
    return s->free_n == 0 && s->fresh_n == 0;
}

static bool slab_grow(struct pkt_slab *slab)
{
    if (slab->step_n == slab->steps_max)
        return false;
    if (slab->step == NULL) {
        slab->step = mem_array(slab->steps_max, sizeof(struct pkt_step *));
        if (slab->step == NULL)
            return false;
    }
    struct pkt_step *s = mem_zero(PKT_STEP_BYTES);
    if (s == NULL)
        return false;
    uintptr_t edge = ((uintptr_t)(s + 1) + PKT_HEAD_BYTES - 1) & ~(uintptr_t)(PKT_HEAD_BYTES - 1);
    s->slots = (uint8_t *)edge;
    s->fresh_n = PKT_STEP_SLOTS;
    s->at = slab->step_n;
    slab->step[slab->step_n++] = s;
    return true;
}

static struct pkt *slot_at(const struct pkt_step *s, uint32_t i)
{
    return (struct pkt *)(void *)(s->slots + (size_t)i * PKT_SLOT_BYTES);
}

struct pkt *pkt_take(struct pkt_slab *slab)
{
    while (slab->hint < slab->step_n && step_full(slab->step[slab->hint]))
        slab->hint++;
    if (slab->hint == slab->step_n && !slab_grow(slab))
        return NULL;

    struct pkt_step *s = slab->step[slab->hint];
    struct pkt *p;
    if (s->free_n > 0) {
        p = slot_at(s, s->free[--s->free_n]);
    } else {
        p = slot_at(s, --s->fresh_n);
        p->step = s;
    }
    s->used_n++;
    slab->used_n++;
    p->refs = 1;
    p->len = 0;
    p->seq = 0;
    p->flags = 0;
    return p;
}

void pkt_drop(struct pkt_slab *slab, struct pkt *p)
{
    if (p == NULL)
        return;
    assert(p->refs > 0);
    if (--p->refs > 0)
        return;
    struct pkt_step *s = p->step;
    s->free[s->free_n++] = (uint16_t)(((uint8_t *)p - s->slots) / PKT_SLOT_BYTES);
    s->used_n--;
    slab->used_n--;
    if (s->at < slab->hint)
        slab->hint = s->at;
}

void pkt_slab_trim(struct pkt_slab *slab)
{
    while (slab->step_n > 1) {
        struct pkt_step *last = slab->step[slab->step_n - 1];
        uint32_t free_n = slab->step_n * PKT_STEP_SLOTS - slab->used_n;
        if (last->used_n > 0 || free_n < 2 * PKT_STEP_SLOTS)
            return;
        mem_free(last);
        slab->step_n--;
        slab->hint = u32_min(slab->hint, slab->step_n);
    }
}
