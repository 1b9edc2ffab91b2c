#include "sfu/seqmap.h"

void seqmap_clear(struct seqmap *m)
{
    m->put_n = 0;
}

void seqmap_push(struct seqmap *m, const struct seqmap_seg *seg, uint64_t end)
{
    if (end <= seg->from)
        return;
    uint64_t n = end - seg->from;
    struct seqmap_seg *s = &m->seg[m->put_n++ % SEQMAP_MAX];
    *s = *seg;
    s->n = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
    s->from = end - s->n; /* of an endless stretch its end is what may be asked for */
}

static uint32_t kept(const struct seqmap *m)
{
    return u32_min(m->put_n, SEQMAP_MAX);
}

const struct seqmap_seg *seqmap_forth(const struct seqmap *m, uint8_t layer, uint64_t in)
{
    for (uint32_t i = 1; i <= kept(m); i++) {
        const struct seqmap_seg *s = &m->seg[(m->put_n - i) % SEQMAP_MAX];
        if (s->layer == layer && in - s->from < s->n)
            return s;
    }
    return NULL;
}

const struct seqmap_seg *seqmap_back(const struct seqmap *m, uint64_t out)
{
    for (uint32_t i = 1; i <= kept(m); i++) {
        const struct seqmap_seg *s = &m->seg[(m->put_n - i) % SEQMAP_MAX];
        if (out - s->off - s->from < s->n)
            return s;
    }
    return NULL;
}
