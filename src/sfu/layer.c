#include "sfu/layer.h"

void layer_init(struct layer *l, enum layer_kind kind)
{
    *l = (struct layer){.kind = kind};
}

static us_t cycle_us(const struct layer *l)
{
    return l->kind == LAYER_LONE ? LAYER_LONE_CYCLE_US : LAYER_CYCLE_US;
}

bool layer_observe(struct layer *l, uint32_t bytes, us_t now)
{
    l->packets++;
    l->bytes += bytes;
    l->cycle_n++;
    l->cycle_bytes += bytes;
    if (l->seen)
        return false;
    l->seen = l->live = true;
    l->cycle_at = now + cycle_us(l);
    return true;
}

us_t layer_deadline(const struct layer *l)
{
    return l->seen ? l->cycle_at : US_NEVER;
}

bool layer_tick(struct layer *l, us_t now)
{
    if (now < layer_deadline(l))
        return false;
    uint32_t need = l->kind == LAYER_HIGH ? LAYER_HIGH_PACKETS : LAYER_LOW_PACKETS;
    uint8_t cycles = l->kind == LAYER_HIGH  ? LAYER_HIGH_CYCLES
                     : l->kind == LAYER_LOW ? LAYER_LOW_CYCLES
                                            : 1;
    us_t span = cycle_us(l) + (now - l->cycle_at);
    bool good = l->cycle_n >= need, was = l->live;

    l->bps = (uint32_t)((uint64_t)l->cycle_bytes * 8 * US_PER_SEC / (uint64_t)span);
    l->cycle_n = l->cycle_bytes = 0;
    l->cycle_at = now + cycle_us(l);
    if (l->live) {
        l->live = good;
        l->good_n = 0;
    } else {
        l->good_n = good ? (uint8_t)(l->good_n + 1) : 0;
        l->live = l->good_n >= cycles;
    }
    return l->live != was;
}

bool layer_pli(struct layer *l, us_t now)
{
    us_t gap = l->kind == LAYER_HIGH ? LAYER_PLI_HIGH_US : LAYER_PLI_LOW_US;

    if (!l->pli_wanted || (l->pli_at != 0 && now - l->pli_at < gap))
        return false;
    l->pli_wanted = false;
    l->pli_at = now;
    return true;
}

void layer_key_seen(struct layer *l)
{
    l->pli_wanted = false;
}

uint8_t layer_choose(const struct layer *l, uint8_t n, uint8_t max)
{
    uint8_t above = LAYER_NONE, dead = LAYER_NONE;

    for (uint8_t i = n; i > 0; i--) {
        uint8_t at = (uint8_t)(i - 1);
        if (at > max && l[at].live)
            above = at;
        if (at <= max && l[at].live)
            return at;
        if (at <= max && l[at].seen && dead == LAYER_NONE)
            dead = at;
    }
    return above != LAYER_NONE ? above : dead;
}

bool layer_ts_delta(const struct layer *a, const struct layer *b, uint32_t clock_hz,
                    uint32_t *delta)
{
    if (a->sr.at == 0 || b->sr.at == 0)
        return false;
    /* a's timestamp at the instant of b's report: NTP is 32.32 seconds. */
    int64_t apart = (int64_t)(b->sr.ntp - a->sr.ntp);
    int64_t limit = (int64_t)3600 << 32; /* reports an hour apart do not tell */
    if (apart > limit || apart < -limit)
        return false;
    int64_t ticks = (apart >> 16) * (int64_t)clock_hz >> 16;
    *delta = a->sr.rtp_ts + (uint32_t)ticks - b->sr.rtp_ts;
    return true;
}
