#include "sim/netem.h"

#include "base/err.h"
#include "base/heap.h"
#include "base/mem.h"
#include "base/str.h"

enum { QUEUE_DEFAULT_US = 100000 };

struct parcel {
    struct heap_node due;
    uint64_t tag;
    uint64_t order; /* among equals the first in goes first */
    size_t len;
    uint8_t data[];
};

struct netem {
    struct netem_cfg cfg;
    struct rng rng;
    struct heap heap;
    struct parcel *out; /* what netem_pop() lent last */
    us_t silent_until;
    us_t link_free_at; /* when the bottleneck has sent what it holds */
    uint64_t order;
    bool losing; /* inside a burst */
    struct netem_stats stats;
};

int netem_open(struct netem **ret, const struct netem_cfg *cfg, uint64_t seed)
{
    struct netem *n = mem_zero(sizeof *n);

    if (n == NULL)
        return E_NOMEM;
    n->cfg = *cfg;
    n->rng = rng_seed(seed);
    n->silent_until = INT64_MIN;
    heap_init(&n->heap);
    *ret = n;
    return 0;
}

static struct parcel *parcel_of(struct heap_node *node)
{
    return OWNER_OF(node, struct parcel, due);
}

void netem_free(struct netem *n)
{
    struct heap_node *node;

    if (n == NULL)
        return;
    while ((node = heap_first(&n->heap)) != NULL) {
        heap_remove(&n->heap, node);
        mem_free(parcel_of(node));
    }
    mem_free(n->out);
    heap_fini(&n->heap);
    mem_free(n);
}

void netem_set(struct netem *n, const struct netem_cfg *cfg)
{
    n->cfg = *cfg;
}

const struct netem_cfg *netem_cfg(const struct netem *n)
{
    return &n->cfg;
}

void netem_silence(struct netem *n, us_t until)
{
    n->silent_until = until;
}

void netem_get_stats(const struct netem *n, struct netem_stats *st)
{
    *st = n->stats;
}

static bool chance(struct netem *n, uint32_t ppm)
{
    return ppm > 0 && rng_below(&n->rng, NETEM_PPM) < ppm;
}

/* Gilbert's model: from inside a burst each packet ends it with 1/burst, and bursts begin as often
 * as makes the share of losses right. */
static bool lost(struct netem *n)
{
    const struct netem_cfg *c = &n->cfg;

    if (c->burst <= 1 || c->loss_ppm >= NETEM_PPM)
        return chance(n, c->loss_ppm);
    if (n->losing)
        n->losing = !chance(n, NETEM_PPM / c->burst);
    else
        n->losing = chance(n, (uint32_t)((uint64_t)c->loss_ppm * (NETEM_PPM / c->burst) /
                                         (NETEM_PPM - c->loss_ppm)));
    return n->losing;
}

/* When the datagram leaves the bottleneck; US_NEVER when its queue is full. */
static us_t through_link(struct netem *n, size_t len, us_t now)
{
    us_t queue = n->cfg.queue_us > 0 ? n->cfg.queue_us : QUEUE_DEFAULT_US;

    if (n->cfg.rate_bps == 0)
        return now;
    if (n->link_free_at < now)
        n->link_free_at = now;
    if (n->link_free_at - now > queue)
        return US_NEVER;
    n->link_free_at += (us_t)((uint64_t)len * 8 * US_PER_SEC / n->cfg.rate_bps);
    return n->link_free_at;
}

static void put(struct netem *n, uint64_t tag, struct bytes datagram, us_t leaves_at)
{
    us_t at = leaves_at;

    if (!chance(n, n->cfg.reorder_ppm)) {
        at += n->cfg.delay_us;
        if (n->cfg.jitter_us > 0)
            at += (us_t)rng_below(&n->rng, (uint64_t)n->cfg.jitter_us + 1);
    }
    struct parcel *p = n->heap.n < NETEM_PACKETS_MAX ? mem_zero(sizeof *p + datagram.len) : NULL;
    if (p == NULL) {
        n->stats.overflowed++;
        return;
    }
    p->tag = tag;
    p->order = n->order++;
    p->len = datagram.len;
    memcpy(p->data, datagram.p, datagram.len);
    if (chance(n, n->cfg.corrupt_ppm)) {
        p->data[rng_below(&n->rng, p->len)] ^= (uint8_t)(1u << rng_below(&n->rng, 8));
        n->stats.corrupted++;
    }
    if (!heap_set(&n->heap, &p->due, at)) {
        mem_free(p);
        n->stats.overflowed++;
    }
}

void netem_push(struct netem *n, uint64_t tag, struct bytes datagram, us_t now)
{
    n->stats.in++;
    if (datagram.len == 0 || datagram.len > NETEM_DATAGRAM_MAX || now < n->silent_until ||
        lost(n)) {
        n->stats.lost++;
        return;
    }
    us_t at = through_link(n, datagram.len, now);
    if (at == US_NEVER) {
        n->stats.overflowed++;
        return;
    }
    put(n, tag, datagram, at);
    if (chance(n, n->cfg.duplicate_ppm)) {
        put(n, tag, datagram, at);
        n->stats.duplicated++;
    }
}

us_t netem_deadline(const struct netem *n)
{
    return heap_deadline(&n->heap);
}

/* The heap says nothing on ties: among those due at the same instant take the oldest, so that a
 * plain delay keeps order. */
static struct parcel *oldest_due(struct netem *n)
{
    struct heap_node *first = heap_first(&n->heap);
    struct parcel *best = parcel_of(first);

    for (uint32_t i = 0; i < n->heap.n; i++) {
        struct parcel *p = parcel_of(n->heap.node[i]);
        if (p->due.at == first->at && p->order < best->order)
            best = p;
    }
    return best;
}

bool netem_pop(struct netem *n, us_t now, uint64_t *tag, struct bytes *data)
{
    mem_free(n->out);
    n->out = NULL;
    if (heap_deadline(&n->heap) > now)
        return false;
    struct parcel *p = oldest_due(n);
    heap_remove(&n->heap, &p->due);
    n->out = p;
    n->stats.out++;
    *tag = p->tag;
    *data = bytes_of(p->data, p->len);
    return true;
}

/* "5" or "0.25" of a hundred, as parts of a million. */
static bool parse_pct(struct bytes value, uint32_t *ppm)
{
    uint64_t whole, part = 0;
    size_t dot = 0;

    while (dot < value.len && value.p[dot] != '.')
        dot++;
    if (!str_to_u64(bytes_of(value.p, dot), 100, &whole))
        return false;
    if (dot < value.len) {
        struct bytes digits = bytes_of(value.p + dot + 1, value.len - dot - 1);
        if (digits.len == 0 || digits.len > 4 || !str_to_u64(digits, 9999, &part))
            return false;
        for (size_t i = digits.len; i < 4; i++)
            part *= 10;
    }
    *ppm = (uint32_t)u32_min(NETEM_PPM, (uint32_t)(whole * 10000 + part));
    return true;
}

bool netem_parse(struct netem_cfg *cfg, struct bytes name, struct bytes value)
{
    const struct {
        const char *name;
        uint32_t *ppm;
        us_t *ms;
    } known[] = {
        {"delay", NULL, &cfg->delay_us},      {"jitter", NULL, &cfg->jitter_us},
        {"queue", NULL, &cfg->queue_us},      {"loss", &cfg->loss_ppm, NULL},
        {"reorder", &cfg->reorder_ppm, NULL}, {"duplicate", &cfg->duplicate_ppm, NULL},
        {"corrupt", &cfg->corrupt_ppm, NULL},
    };
    uint64_t v;

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!bytes_eq_str(name, known[i].name))
            continue;
        if (known[i].ppm != NULL)
            return parse_pct(value, known[i].ppm);
        if (!str_to_u64(value, 60000, &v))
            return false;
        *known[i].ms = (us_t)v * US_PER_MS;
        return true;
    }
    if (bytes_eq_str(name, "burst") && str_to_u64(value, 1000, &v)) {
        cfg->burst = (uint32_t)v;
        return true;
    }
    if (bytes_eq_str(name, "rate") && str_to_u64(value, 10000000, &v)) {
        cfg->rate_bps = v * 1000;
        return true;
    }
    return false;
}
