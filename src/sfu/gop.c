#include "sfu/gop.h"

void gop_init(struct gop *g, bool on, bool deaf, struct replay *r)
{
    *g = (struct gop){.on = on, .deaf = deaf};
    if (on)
        replay_init(r, GOP_PACKETS_MAX);
}

void gop_key(struct gop *g, struct replay *r, const struct pkt *p)
{
    if (!g->on)
        return;
    if (g->from != 0 && p->rtp.ts == g->ts) { /* another packet of the same picture */
        if (p->seq < g->from)
            g->from = r->keep = p->seq;
        return;
    }
    if (p->seq < g->from) /* late, of an older group */
        return;
    g->from = r->keep = p->seq;
    g->ts = p->rtp.ts;
    g->at = p->at;
    if (g->asked && p->at - g->asked_at <= GOP_PATIENCE_US)
        g->deaf = false;
    g->asked = false;
}

void gop_asked(struct gop *g, us_t now)
{
    if (g->asked)
        return;
    g->asked = true;
    g->asked_at = now;
}

void gop_forget(struct gop *g, struct replay *r)
{
    g->from = 0;
    r->keep = REPLAY_KEEP_NONE;
}

void gop_tick(struct gop *g, struct replay *r, us_t now)
{
    if (g->asked && now - g->asked_at > GOP_PATIENCE_US)
        g->deaf = true;
    if (g->from != 0 && now - g->at > GOP_AGE_US)
        gop_forget(g, r);
}

const struct pkt *gop_serve(const struct gop *g, const struct replay *r, us_t since, us_t now)
{
    if (!g->on || g->from == 0)
        return NULL;
    if (!g->deaf && now - g->at > GOP_FRESH_US && now - since < GOP_PATIENCE_US)
        return NULL;
    return replay_find(r, g->from); /* NULL: outgrown, or given up for want of memory */
}

uint32_t gop_step_bytes(uint32_t layer_bps)
{
    uint64_t bps = (uint64_t)layer_bps * GOP_RATE;

    bps = bps < GOP_BPS_MIN ? GOP_BPS_MIN : bps > GOP_BPS_MAX ? GOP_BPS_MAX : bps;
    return (uint32_t)(bps / 8 * GOP_STEP_US / US_PER_SEC);
}
