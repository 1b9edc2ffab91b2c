#include "room/room.h"

#include "base/mem.h"
#include "base/str.h"
#include "room/dispatch.h"
#include "room/pub.h"

enum {
    NONCES_N = 64, /* user packets remembered; chosen */
    SHARD_SOFT_DEFAULT = 400,
};

void house_init(struct house *h, const struct house_cfg *cfg)
{
    *h = (struct house){.cfg = *cfg, .rng = rng_seed(cfg->seed)};
    plane_init(&h->plane, cfg->shard_n);
    map_init(&h->by_name, rng_u64(&h->rng));
    heap_init(&h->due);
    h->facts.on = cfg->facts;
    if (h->cfg.peers_per_shard_soft == 0)
        h->cfg.peers_per_shard_soft = SHARD_SOFT_DEFAULT;
}

static void room_free(struct room *r)
{
    if (r == NULL)
        return;
    room_reap(r);
    dispatch_fini(r);
    map_fini(&r->by_identity);
    map_fini(&r->by_track);
    mem_free(r->member);
    mem_free(r->name);
    mem_free(r->metadata);
    mem_free(r);
}

void house_fini(struct house *h)
{
    struct heap_node *node;

    while ((node = heap_first(&h->due)) != NULL) {
        struct room *r = OWNER_OF(node, struct room, due);
        while (r->member_n > 0)
            member_part(r->member[r->member_n - 1], LIVEKIT__DISCONNECT_REASON__SERVER_SHUTDOWN);
        room_close(r);
    }
    house_reap(h);
    facts_fini(&h->facts);
    heap_fini(&h->due);
    map_fini(&h->by_name);
    plane_fini(&h->plane);
}

int64_t house_wall_ms(const struct house *h)
{
    return (h->tick.now + h->tick.wall_off_us) / US_PER_MS;
}

struct room *house_find(const struct house *h, const char *name)
{
    return map_find(&h->by_name, bytes_str(name));
}

static void make_trailer(struct room *r)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    for (size_t i = 0; i < 43; i++) /* 43 digits of base 62 hold 256 bits */
        r->sif_trailer[i] = digits[rng_below(&r->house->rng, 62)];
}

int house_create(struct house *h, const char *name, struct room **ret)
{
    if (h->cfg.limits.rooms != 0 && h->room_n >= h->cfg.limits.rooms)
        return E_LIMIT;
    struct room *r = mem_zero(sizeof *r);
    if (r == NULL)
        return E_NOMEM;
    r->house = h;
    map_init(&r->by_identity, rng_u64(&h->rng));
    map_init(&r->by_track, rng_u64(&h->rng));
    r->name = mem_dup_str(name);
    r->metadata = mem_dup_str("");
    if (r->name == NULL || r->metadata == NULL || !heap_set(&h->due, &r->due, h->tick.now))
        goto fail;
    if (!map_put(&h->by_name, bytes_str(name), r))
        goto fail;
    str_id(r->sid, sizeof r->sid, "RM_", &h->rng);
    make_trailer(r);
    r->empty_timeout_s = h->cfg.empty_timeout_s;
    r->departure_timeout_s = h->cfg.departure_timeout_s;
    r->max_participants = h->cfg.max_participants;
    r->playout_delay = h->cfg.playout_delay;
    r->min_playout_delay_ms = h->cfg.min_playout_delay_ms;
    r->max_playout_delay_ms = h->cfg.max_playout_delay_ms;
    r->sync_streams = h->cfg.sync_streams;
    r->created_ms = house_wall_ms(h);
    r->created_at = h->tick.now;
    r->emptied_at = h->tick.now;
    h->room_n++;
    *ret = r;
    return 0;

fail:
    heap_remove(&h->due, &r->due);
    room_free(r);
    return E_NOMEM;
}

struct room *house_due(const struct house *h)
{
    struct heap_node *node = heap_first(&h->due);
    return node != NULL && node->at <= h->tick.now ? OWNER_OF(node, struct room, due) : NULL;
}

us_t house_deadline(const struct house *h)
{
    return plane_waiting(&h->plane) ? us_min(heap_deadline(&h->due), h->tick.now + US_PER_MS)
                                    : heap_deadline(&h->due);
}

void house_reap(struct house *h)
{
    while (h->closed != NULL) {
        struct room *r = h->closed;
        h->closed = r->next_closed;
        room_free(r);
    }
}

void room_set_due(struct room *r, us_t at)
{
    assert(at != US_NEVER);
    if (r->closed)
        return;
    bool kept = heap_set(&r->house->due, &r->due, at);
    assert(kept); /* it is inside already: moving takes no memory */
}

void room_due(struct room *r, us_t at)
{
    if (at < r->due.at)
        room_set_due(r, at);
}

void room_touch(struct room *r)
{
    room_due(r, r->house->tick.now);
}

void room_close(struct room *r)
{
    assert(r->member_n == 0);
    if (r->closed)
        return;
    fact_room_finished(r);
    heap_remove(&r->house->due, &r->due);
    (void)map_take(&r->house->by_name, bytes_str(r->name)); /* it is there */
    r->closed = true;
    r->next_closed = r->house->closed;
    r->house->closed = r;
    r->house->room_n--;
}

struct member *room_find(const struct room *r, const char *identity)
{
    return map_find(&r->by_identity, bytes_str(identity));
}

struct member *room_find_sid(const struct room *r, const char *sid)
{
    for (uint32_t i = 0; i < r->member_n; i++)
        if (strcmp(r->member[i]->sid, sid) == 0)
            return r->member[i];
    return NULL;
}

uint32_t room_count(const struct room *r)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->member_n; i++)
        n += !member_is_dependent(r->member[i]);
    return n;
}

uint32_t room_publishers(const struct room *r)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->member_n; i++)
        n += member_is_publisher(r->member[i]);
    return n;
}

bool room_recording(const struct room *r)
{
    for (uint32_t i = 0; i < r->member_n; i++)
        if (r->member[i]->grant.recorder)
            return true;
    return false;
}

bool room_is_full(const struct room *r)
{
    return r->max_participants != 0 && room_count(r) >= r->max_participants;
}

bool room_expired(const struct room *r, us_t *expires_at)
{
    uint32_t s = r->ever_joined ? r->departure_timeout_s : r->empty_timeout_s;

    *expires_at = US_NEVER;
    if (r->emptied_at == US_NEVER)
        return false;
    *expires_at = r->emptied_at + s * US_PER_SEC;
    return r->house->tick.now >= *expires_at;
}

static bool set_text(char **field, const char *text)
{
    char *copy = mem_dup_str(text);

    if (copy == NULL)
        return false;
    mem_free(*field);
    *field = copy;
    return true;
}

bool room_set_metadata(struct room *r, const char *metadata)
{
    if (!set_text(&r->metadata, metadata))
        return false;
    r->news = true;
    room_touch(r);
    return true;
}

static uint32_t either(uint32_t said, uint32_t preset)
{
    return said != 0 ? said : preset;
}

int house_preset(const struct house *h, const char *name, struct room_wish *wish)
{
    const struct room_wish *p = NULL;

    if (*name == '\0')
        return 0;
    for (uint32_t i = 0; i < h->cfg.preset_n && p == NULL; i++)
        if (strcmp(h->cfg.preset[i].name, name) == 0)
            p = &h->cfg.preset[i].wish;
    if (p == NULL)
        return E_NOENT;
    wish->empty_timeout_s = either(wish->empty_timeout_s, p->empty_timeout_s);
    wish->departure_timeout_s = either(wish->departure_timeout_s, p->departure_timeout_s);
    wish->max_participants = either(wish->max_participants, p->max_participants);
    wish->min_playout_delay_ms = either(wish->min_playout_delay_ms, p->min_playout_delay_ms);
    wish->max_playout_delay_ms = either(wish->max_playout_delay_ms, p->max_playout_delay_ms);
    wish->sync_streams |= p->sync_streams;
    if (wish->metadata == NULL || *wish->metadata == '\0')
        wish->metadata = p->metadata;
    if (wish->agent_n == 0) {
        wish->agent = p->agent;
        wish->agent_n = p->agent_n;
    }
    return 0;
}

int room_apply(struct room *r, const struct room_wish *wish, bool created)
{
    struct dispatch *d;
    int err = 0;

    r->empty_timeout_s = either(wish->empty_timeout_s, r->empty_timeout_s);
    r->departure_timeout_s = either(wish->departure_timeout_s, r->departure_timeout_s);
    r->max_participants = either(wish->max_participants, r->max_participants);
    if (wish->min_playout_delay_ms > 0 || wish->max_playout_delay_ms > 0) {
        r->playout_delay = true;
        r->min_playout_delay_ms = wish->min_playout_delay_ms;
        r->max_playout_delay_ms = wish->max_playout_delay_ms;
    }
    r->sync_streams |= wish->sync_streams;
    if (wish->metadata != NULL && *wish->metadata != '\0' && !room_set_metadata(r, wish->metadata))
        err = E_NOMEM;
    for (size_t i = 0; created && i < wish->agent_n && err == 0; i++)
        err = dispatch_add(r, wish->agent[i], &d);
    room_touch(r);
    return err;
}

uint8_t room_pick_shard(const struct room *r)
{
    const struct plane *p = &r->house->plane;
    uint32_t here[PLANE_SHARDS_MAX] = {0};
    uint8_t home = 0, idlest = 0;

    for (uint32_t i = 0; i < r->member_n; i++)
        here[r->member[i]->shard]++;
    for (uint32_t s = 1; s < p->shard_n; s++) {
        if (here[s] > here[home])
            home = (uint8_t)s;
        if (plane_used(p, (uint8_t)s, PLANE_PEER) < plane_used(p, idlest, PLANE_PEER))
            idlest = (uint8_t)s;
    }
    bool crowded = plane_used(p, home, PLANE_PEER) >= r->house->cfg.peers_per_shard_soft;
    return r->member_n == 0 || here[home] == 0 || crowded ? idlest : home;
}

static void member_free(struct member *m)
{
    if (m == NULL)
        return;
    assert(m->pubs == NULL);
    assert(m->subs == NULL);
    for (uint32_t i = 0; i < m->attr_n; i++) {
        mem_free(m->attr[i].key);
        mem_free(m->attr[i].value);
    }
    mem_free(m->attr);
    arena_fini(&m->policy_arena);
    mem_free(m->identity);
    mem_free(m->name);
    mem_free(m->metadata);
    mem_free(m);
}

void room_reap(struct room *r)
{
    while (r->left != NULL) {
        struct member *m = r->left;
        r->left = m->next_left;
        member_free(m);
    }
}

bool room_nonce_seen(struct room *r, struct bytes nonce)
{
    uint64_t key[2] = {0};

    if (nonce.len == 0)
        return false;
    memcpy(key, nonce.p, size_min(nonce.len, sizeof key));
    uint32_t n = u32_min(r->nonce_n, NONCES_N);
    for (uint32_t i = 0; i < n; i++)
        if (r->nonce[i][0] == key[0] && r->nonce[i][1] == key[1])
            return true;
    uint32_t at = r->nonce_n++ % NONCES_N;
    r->nonce[at][0] = key[0];
    r->nonce[at][1] = key[1];
    return false;
}

static bool make_room_for_one(struct room *r)
{
    if (r->member_n < r->member_cap)
        return true;
    uint32_t cap = r->member_cap ? r->member_cap * 2 : 8;
    struct member **member = mem_resize(r->member, cap * sizeof *member);
    if (member == NULL)
        return false;
    r->member = member;
    r->member_cap = cap;
    return true;
}

/* Recorders and agents do not keep a room open, and who is one may change. */
static void note_occupancy(struct room *r)
{
    bool anybody = room_count(r) > 0;

    if (anybody) {
        r->ever_joined = true;
        r->emptied_at = US_NEVER;
    } else if (r->emptied_at == US_NEVER) {
        r->emptied_at = r->house->tick.now;
    }
}

int room_join(struct room *r, const struct member_cfg *cfg, struct member **ret)
{
    struct house *h = r->house;

    assert(room_find(r, cfg->identity) == NULL);
    if (h->cfg.limits.members != 0 && h->member_n >= h->cfg.limits.members)
        return E_LIMIT;
    struct member *m = mem_zero(sizeof *m);
    if (m == NULL)
        return E_NOMEM;
    m->room = r;
    arena_init(&m->policy_arena, ROOM_POLICY_BYTES_MAX);
    m->identity = mem_dup_str(cfg->identity);
    m->name = mem_dup_str(cfg->name);
    m->metadata = mem_dup_str(cfg->metadata);
    if (m->identity == NULL || m->name == NULL || m->metadata == NULL)
        goto fail;
    for (uint32_t i = 0; i < cfg->attribute_n; i++)
        if (member_set_attr(m, cfg->attribute[i].key, cfg->attribute[i].value) != 0)
            goto fail;
    if (!make_room_for_one(r) || !map_put(&r->by_identity, bytes_str(m->identity), m))
        goto fail;
    str_id(m->sid, sizeof m->sid, "PA_", &h->rng);
    m->grant = cfg->grant;
    m->kind = cfg->kind;
    m->auto_subscribe = cfg->auto_subscribe;
    m->adaptive_stream = cfg->adaptive_stream;
    m->joined_ms = house_wall_ms(h);
    m->quality = LIVEKIT__CONNECTION_QUALITY__EXCELLENT;
    m->score = 5;
    m->version = 0;
    m->news = NEWS_NONE;
    m->shard = room_pick_shard(r);
    r->member[r->member_n++] = m;
    h->member_n++;
    note_occupancy(r);
    r->counts_news = true;
    room_touch(r);
    *ret = m;
    return 0;

fail:
    member_free(m);
    return E_NOMEM;
}

static void remember_departed(struct room *r, const struct member *m)
{
    struct departed *d = &r->departed[r->departed_n++ % ROOM_DEPARTED_MAX];
    struct bytes id = bytes_str(m->identity);

    memcpy(d->sid, m->sid, sizeof d->sid);
    id.len = size_min(id.len, sizeof d->identity - 1);
    (void)str_copy(d->identity, sizeof d->identity, id); /* cut to fit */
    d->reason = m->reason;
    d->version = m->version;
    d->at = r->house->tick.now;
}

void member_part(struct member *m, Livekit__DisconnectReason reason)
{
    struct room *r = m->room;

    assert(!m->gone);
    while (m->subs != NULL)
        sub_end(m->subs);
    while (m->pubs != NULL)
        pub_end(m->pubs);
    m->gone = true;
    m->reason = reason;
    m->state = LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED;
    m->version++;
    (void)map_take(&r->by_identity, bytes_str(m->identity)); /* it is there */
    uint32_t i = 0;
    while (r->member[i] != m)
        i++;
    memmove(r->member + i, r->member + i + 1, (r->member_n - i - 1) * sizeof *r->member);
    r->member_n--;
    r->house->member_n--;
    m->next_left = r->left;
    r->left = m;
    if (!m->grant.hidden && m->announced)
        remember_departed(r, m);
    note_occupancy(r);
    r->counts_news = true;
    fact_member(m, m->was_active ? FACT_MEMBER_LEFT : FACT_MEMBER_ABORTED);
    room_touch(r);
}

void member_changed(struct member *m, enum member_news news)
{
    m->version++;
    if (m->news < news)
        m->news = news;
    room_touch(m->room);
}

void member_set_state(struct member *m, Livekit__ParticipantInfo__State state)
{
    if (m->state == state)
        return;
    m->state = state;
    member_changed(m, NEWS_LATER);
    if (state == LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE && !m->was_active) {
        m->was_active = true;
        fact_member(m, FACT_MEMBER_JOINED);
    }
}

bool member_is_dependent(const struct member *m)
{
    return m->kind == LIVEKIT__PARTICIPANT_INFO__KIND__AGENT ||
           m->kind == LIVEKIT__PARTICIPANT_INFO__KIND__EGRESS || m->grant.agent ||
           m->grant.recorder;
}

bool member_is_publisher(const struct member *m)
{
    for (const struct pub *p = m->pubs; p != NULL; p = p->next)
        if (p->state == PUB_LIVE)
            return true;
    return false;
}

void member_set_grant(struct member *m, const struct grant *g)
{
    m->grant = *g;
    note_occupancy(m->room);
    m->room->counts_news = true;
    member_changed(m, NEWS_NOW);
}

bool member_set_name(struct member *m, const char *name)
{
    if (!set_text(&m->name, name))
        return false;
    member_changed(m, NEWS_NOW);
    return true;
}

bool member_set_metadata(struct member *m, const char *metadata)
{
    if (!set_text(&m->metadata, metadata))
        return false;
    member_changed(m, NEWS_NOW);
    return true;
}

static int add_attr(struct member *m, const char *key, const char *value)
{
    if (m->attr_n >= ROOM_ATTRIBUTES_MAX)
        return E_LIMIT;
    struct attr *attr = mem_resize(m->attr, (m->attr_n + 1) * sizeof *attr);
    if (attr == NULL)
        return E_NOMEM;
    m->attr = attr;
    struct attr a = {.key = mem_dup_str(key), .value = mem_dup_str(value)};
    if (a.key == NULL || a.value == NULL) {
        mem_free(a.key);
        mem_free(a.value);
        return E_NOMEM;
    }
    m->attr[m->attr_n++] = a;
    return 0;
}

int member_set_attr(struct member *m, const char *key, const char *value)
{
    for (uint32_t i = 0; i < m->attr_n; i++) {
        if (strcmp(m->attr[i].key, key) != 0)
            continue;
        if (*value != '\0')
            return set_text(&m->attr[i].value, value) ? 0 : E_NOMEM;
        mem_free(m->attr[i].key);
        mem_free(m->attr[i].value);
        m->attr[i] = m->attr[--m->attr_n];
        return 0;
    }
    return *value == '\0' ? 0 : add_attr(m, key, value);
}

size_t member_attr_bytes(const struct member *m)
{
    size_t n = 0;

    for (uint32_t i = 0; i < m->attr_n; i++)
        n += strlen(m->attr[i].key) + strlen(m->attr[i].value);
    return n;
}

static const struct attr *find_attr(const struct attr *attr, uint32_t n, const char *key)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(attr[i].key, key) == 0)
            return &attr[i];
    return NULL;
}

size_t member_attr_bytes_with(const struct member *m, const struct attr *attr, uint32_t n)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < m->attr_n; i++)
        if (find_attr(attr, n, m->attr[i].key) == NULL)
            sum += strlen(m->attr[i].key) + strlen(m->attr[i].value);
    for (uint32_t i = 0; i < n; i++)
        if (*attr[i].value != '\0')
            sum += strlen(attr[i].key) + strlen(attr[i].value);
    return sum;
}
