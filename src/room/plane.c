#include "room/plane.h"

#include "base/mem.h"

struct plane_item {
    struct plane_item *next;
    struct cmd cmd; /* cut to cmd_len() */
};

static const uint32_t kind_max[PLANE_KIND_N] = {PLANE_PEERS_MAX, PLANE_TRACKS_MAX, PLANE_SUBS_MAX};

void plane_init(struct plane *p, uint32_t shard_n)
{
    assert(shard_n >= 1 && shard_n <= PLANE_SHARDS_MAX);
    *p = (struct plane){.shard_n = shard_n};
    for (uint32_t s = 0; s < shard_n; s++)
        for (int k = 0; k < PLANE_KIND_N; k++)
            handle_pool_init(&p->shard[s].table[k].pool, (uint8_t)s, kind_max[k]);
}

void plane_fini(struct plane *p)
{
    for (uint32_t s = 0; s < p->shard_n; s++) {
        struct plane_shard *sh = &p->shard[s];

        while (sh->first != NULL) {
            struct plane_item *it = sh->first;
            sh->first = it->next;
            mem_free(it);
        }
        for (int k = 0; k < PLANE_KIND_N; k++) {
            handle_pool_fini(&sh->table[k].pool);
            mem_free(sh->table[k].slot);
        }
    }
    p->shard_n = 0;
}

static bool grow(struct plane_table *t, uint32_t index)
{
    uint32_t cap = t->cap ? t->cap : 64;

    while (cap <= index)
        cap *= 2;
    struct plane_slot *slot = mem_resize(t->slot, cap * sizeof *slot);
    if (slot == NULL)
        return false;
    memset(slot + t->cap, 0, (cap - t->cap) * sizeof *slot);
    t->slot = slot;
    t->cap = cap;
    return true;
}

handle plane_take(struct plane *p, uint8_t shard, enum plane_kind kind, void *owner, handle inner,
                  handle outer)
{
    assert(shard < p->shard_n);
    struct plane_table *t = &p->shard[shard].table[kind];
    handle h = handle_take(&t->pool);

    if (h == 0)
        return 0;
    uint32_t i = handle_index(h);
    if (i >= t->cap && !grow(t, i)) {
        handle_drop(&t->pool, h);
        return 0;
    }
    t->slot[i] = (struct plane_slot){.h = h, .owner = owner, .inner = inner, .outer = outer};
    return h;
}

static struct plane_slot *find(const struct plane *p, enum plane_kind kind, handle h)
{
    uint8_t s = handle_shard(h);

    if (h == 0 || s >= p->shard_n)
        return NULL;
    const struct plane_table *t = &p->shard[s].table[kind];
    uint32_t i = handle_index(h);
    return i < t->cap && t->slot[i].h == h ? &t->slot[i] : NULL;
}

static void release(struct plane_table *t, struct plane_slot *slot)
{
    if (slot->closing)
        t->closing_n--;
    if (slot->unsent)
        t->unsent_n--;
    handle_drop(&t->pool, slot->h);
    *slot = (struct plane_slot){0};
}

void plane_rehang(struct plane *p, enum plane_kind kind, handle h, handle inner)
{
    struct plane_slot *slot = find(p, kind, h);

    if (slot != NULL)
        slot->inner = inner;
}

void plane_untake(struct plane *p, enum plane_kind kind, handle h)
{
    struct plane_slot *slot = find(p, kind, h);

    if (slot != NULL)
        release(&p->shard[handle_shard(h)].table[kind], slot);
}

static bool push_close(struct plane *p, enum plane_kind kind, handle h)
{
    struct cmd c = {0};

    if (kind == PLANE_PEER) {
        c.kind = CMD_PEER_CLOSE;
        c.peer_close.peer = h;
    } else if (kind == PLANE_TRACK) {
        c.kind = CMD_TRACK_CLOSE;
        c.track_close.track = h;
    } else {
        c.kind = CMD_SUB_DETACH;
        c.sub_detach.sub = h;
    }
    return plane_push(p, handle_shard(h), &c);
}

void plane_close(struct plane *p, enum plane_kind kind, handle h)
{
    struct plane_slot *slot = find(p, kind, h);

    if (slot == NULL || slot->closing)
        return;
    struct plane_table *t = &p->shard[handle_shard(h)].table[kind];
    slot->owner = NULL;
    slot->closing = true;
    t->closing_n++;
    slot->unsent = !push_close(p, kind, h);
    t->unsent_n += slot->unsent;
}

void *plane_owner(const struct plane *p, enum plane_kind kind, handle h)
{
    const struct plane_slot *slot = find(p, kind, h);
    return slot != NULL && !slot->closing ? slot->owner : NULL;
}

uint32_t plane_used(const struct plane *p, uint8_t shard, enum plane_kind kind)
{
    return p->shard[shard].table[kind].pool.used_n;
}

uint32_t plane_closing(const struct plane *p)
{
    uint32_t n = 0;

    for (uint32_t s = 0; s < p->shard_n; s++)
        for (int k = 0; k < PLANE_KIND_N; k++)
            n += p->shard[s].table[k].closing_n;
    return n;
}

static bool push(struct plane_shard *sh, const struct cmd *c, size_t len)
{
    struct plane_item *it = mem_zero(offsetof(struct plane_item, cmd) + len);

    if (it == NULL)
        return false;
    memcpy(&it->cmd, c, len);
    if (sh->last != NULL)
        sh->last->next = it;
    else
        sh->first = it;
    sh->last = it;
    sh->queued_n++;
    return true;
}

bool plane_push(struct plane *p, uint8_t shard, const struct cmd *c)
{
    struct plane_shard *sh = &p->shard[shard];

    return sh->queued_n < PLANE_QUEUE_MAX && push(sh, c, cmd_len(c));
}

void plane_push_data(struct plane *p, peer_id peer, struct bytes packet)
{
    struct plane_shard *sh = &p->shard[handle_shard(peer)];
    struct cmd c;

    if (packet.len > CMD_DATA_MAX || sh->queued_n >= PLANE_DATA_QUEUE_MAX) {
        p->data_dropped++;
        return;
    }
    c.kind = CMD_PEER_DATA;
    c.peer_data.peer = peer;
    c.peer_data.len = (uint16_t)packet.len;
    memcpy(c.peer_data.data, packet.p, packet.len);
    if (!push(sh, &c, cmd_len(&c)))
        p->data_dropped++;
}

/* The end of a track ends its subscriptions, that of a peer its tracks and both kinds of
 * subscription, without events of their own. */
static void release_subs(struct plane_table *subs, handle track, handle peer)
{
    for (uint32_t i = 0; i < subs->cap && subs->closing_n > 0; i++) {
        struct plane_slot *s = &subs->slot[i];
        if (s->closing && ((track != 0 && s->inner == track) || (peer != 0 && s->outer == peer)))
            release(subs, s);
    }
}

static void gone(struct plane *p, enum plane_kind kind, handle h)
{
    struct plane_slot *slot = find(p, kind, h);

    if (slot == NULL || !slot->closing)
        return;
    struct plane_table *table = p->shard[handle_shard(h)].table;
    release(&table[kind], slot);
    if (kind == PLANE_TRACK)
        release_subs(&table[PLANE_SUB], h, 0);
    if (kind != PLANE_PEER)
        return;
    release_subs(&table[PLANE_SUB], 0, h);
    struct plane_table *tracks = &table[PLANE_TRACK];
    for (uint32_t i = 0; i < tracks->cap && tracks->closing_n > 0; i++) {
        struct plane_slot *t = &tracks->slot[i];
        if (!t->closing || t->inner != h)
            continue;
        release_subs(&table[PLANE_SUB], t->h, 0);
        release(tracks, t);
    }
}

void plane_gone(struct plane *p, const struct evt *ev)
{
    if (ev->kind == EVT_PEER_GONE)
        gone(p, PLANE_PEER, ev->peer_gone.peer);
    else if (ev->kind == EVT_TRACK_GONE)
        gone(p, PLANE_TRACK, ev->track_gone.track);
    else if (ev->kind == EVT_SUB_GONE)
        gone(p, PLANE_SUB, ev->sub_gone.sub);
}

const struct cmd *plane_head(struct plane *p, uint8_t *shard)
{
    for (uint32_t s = 0; s < p->shard_n; s++) {
        struct plane_shard *sh = &p->shard[s];
        if (sh->first != NULL && !sh->blocked) {
            *shard = (uint8_t)s;
            return &sh->first->cmd;
        }
    }
    return NULL;
}

void plane_pop(struct plane *p, uint8_t shard)
{
    struct plane_shard *sh = &p->shard[shard];
    struct plane_item *it = sh->first;

    assert(it != NULL);
    sh->first = it->next;
    if (sh->first == NULL)
        sh->last = NULL;
    sh->queued_n--;
    mem_free(it);
}

void plane_block(struct plane *p, uint8_t shard)
{
    p->shard[shard].blocked = true;
}

void plane_tick(struct plane *p)
{
    for (uint32_t s = 0; s < p->shard_n; s++) {
        p->shard[s].blocked = false;
        for (int k = 0; k < PLANE_KIND_N; k++) {
            struct plane_table *t = &p->shard[s].table[k];
            for (uint32_t i = 0; i < t->cap && t->unsent_n > 0; i++) {
                if (!t->slot[i].unsent || !push_close(p, (enum plane_kind)k, t->slot[i].h))
                    continue;
                t->slot[i].unsent = false;
                t->unsent_n--;
            }
        }
    }
}

bool plane_waiting(const struct plane *p)
{
    for (uint32_t s = 0; s < p->shard_n; s++) {
        if (p->shard[s].blocked)
            return true;
        for (int k = 0; k < PLANE_KIND_N; k++)
            if (p->shard[s].table[k].unsent_n > 0)
                return true;
    }
    return false;
}
