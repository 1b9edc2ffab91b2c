#include "base/map.h"

#include "base/mem.h"

enum { MAP_FIRST_CAP = 16 };

enum slot_state {
    SLOT_EMPTY,
    SLOT_LIVE,
    SLOT_DEAD, /* removed; probing goes on past it */
};

struct map_slot {
    enum slot_state state;
    uint32_t key_len; /* 0 with owned == NULL: a 64-bit key */
    uint64_t hash;    /* of the string, or the 64-bit key itself */
    char *owned;
    void *value;
};

void map_init(struct map *m, uint64_t seed)
{
    *m = (struct map){.seed = seed};
}

void map_fini(struct map *m)
{
    for (uint32_t i = 0; i < m->cap; i++)
        mem_free(m->slot[i].owned);
    mem_free(m->slot);
    map_init(m, m->seed);
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    return h;
}

static uint64_t hash_bytes(const struct map *m, struct bytes key)
{
    uint64_t h = m->seed ^ (key.len * 0x9e3779b97f4a7c15u);

    for (size_t i = 0; i < key.len; i++)
        h = mix(h ^ key.p[i]) + 0x9e3779b97f4a7c15u;
    return mix(h);
}

static bool slot_is(const struct map_slot *s, uint64_t hash, const struct bytes *key)
{
    if (s->state != SLOT_LIVE || s->hash != hash)
        return false;
    if (key == NULL)
        return s->owned == NULL;
    return s->owned != NULL && s->key_len == key->len && memcmp(s->owned, key->p, key->len) == 0;
}

static struct map_slot *lookup(const struct map *m, uint64_t hash, const struct bytes *key)
{
    if (m->cap == 0)
        return NULL;
    uint32_t at = (uint32_t)mix(hash ^ m->seed) & (m->cap - 1);
    for (; m->slot[at].state != SLOT_EMPTY; at = (at + 1) & (m->cap - 1)) {
        if (slot_is(&m->slot[at], hash, key))
            return &m->slot[at];
    }
    return NULL;
}

static struct map_slot *place(const struct map *m, uint64_t hash)
{
    uint32_t at = (uint32_t)mix(hash ^ m->seed) & (m->cap - 1);

    while (m->slot[at].state == SLOT_LIVE)
        at = (at + 1) & (m->cap - 1);
    return &m->slot[at];
}

static bool rebuild(struct map *m, uint32_t cap)
{
    struct map bigger = {.cap = cap, .used = m->used, .seed = m->seed};

    bigger.slot = mem_array(cap, sizeof *bigger.slot);
    if (bigger.slot == NULL)
        return false;
    for (uint32_t i = 0; i < m->cap; i++) {
        if (m->slot[i].state == SLOT_LIVE)
            *place(&bigger, m->slot[i].hash) = m->slot[i];
    }
    mem_free(m->slot);
    *m = bigger;
    return true;
}

/* Keep a quarter of the slots empty, so that probes end. */
static bool make_room(struct map *m)
{
    if (m->cap == 0)
        return rebuild(m, MAP_FIRST_CAP);
    if ((m->used + m->dead + 1) * 4 <= m->cap * 3)
        return true;
    return rebuild(m, m->used * 2 >= m->cap ? m->cap * 2 : m->cap);
}

static bool put(struct map *m, uint64_t hash, const struct bytes *key, void *value)
{
    struct map_slot *s = lookup(m, hash, key);

    if (s != NULL) {
        s->value = value;
        return true;
    }
    char *owned = NULL;
    if (key != NULL) {
        owned = mem_dup(key->p, key->len);
        if (owned == NULL)
            return false;
    }
    if (!make_room(m)) {
        mem_free(owned);
        return false;
    }
    s = place(m, hash);
    if (s->state == SLOT_DEAD)
        m->dead--;
    *s = (struct map_slot){
        .state = SLOT_LIVE,
        .key_len = key != NULL ? (uint32_t)key->len : 0,
        .hash = hash,
        .owned = owned,
        .value = value,
    };
    m->used++;
    return true;
}

static void *take(struct map *m, struct map_slot *s)
{
    if (s == NULL)
        return NULL;
    void *value = s->value;
    mem_free(s->owned);
    *s = (struct map_slot){.state = SLOT_DEAD};
    m->used--;
    m->dead++;
    return value;
}

bool map_put(struct map *m, struct bytes key, void *value)
{
    return put(m, hash_bytes(m, key), &key, value);
}

void *map_find(const struct map *m, struct bytes key)
{
    struct map_slot *s = lookup(m, hash_bytes(m, key), &key);
    return s != NULL ? s->value : NULL;
}

void *map_take(struct map *m, struct bytes key)
{
    return take(m, lookup(m, hash_bytes(m, key), &key));
}

bool map_put_u64(struct map *m, uint64_t key, void *value)
{
    return put(m, key, NULL, value);
}

void *map_find_u64(const struct map *m, uint64_t key)
{
    struct map_slot *s = lookup(m, key, NULL);
    return s != NULL ? s->value : NULL;
}

void *map_take_u64(struct map *m, uint64_t key)
{
    return take(m, lookup(m, key, NULL));
}

bool map_next(const struct map *m, uint32_t *at, struct bytes *key, void **value)
{
    for (; *at < m->cap; (*at)++) {
        struct map_slot *s = &m->slot[*at];
        if (s->state != SLOT_LIVE)
            continue;
        if (key != NULL)
            *key = s->owned != NULL ? bytes_of(s->owned, s->key_len)
                                    : bytes_of(&s->hash, sizeof s->hash);
        if (value != NULL)
            *value = s->value;
        (*at)++;
        return true;
    }
    return false;
}
