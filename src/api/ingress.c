#include "api/ingress.h"

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypt/hash.h"

#include "sluice_io.pb-c.h"

enum { KEY_SECRET_BYTES = 32, EVENTS_MAX = INGRESS_EVENTS_MAX, SLACK_BYTES = 4096 };

/* A change that waits for the store. */
struct change {
    struct change *next;
    uint64_t serial;
    enum ingress_change_kind kind;
    bool stored;
    int err;
    struct arena arena;
    const Livekit__IngressInfo *info; /* CREATED, UPDATED */
    char id[INGRESS_ID_MAX];
    uint32_t channel;
    uint64_t order;
};

/* A write for the store; the body stands behind it. */
struct write {
    struct write *next;
    uint64_t serial;
    bool erase;
    const char *kind; /* static */
    char id[INGRESS_ID_MAX];
    size_t len;
    uint8_t body[];
};

struct ingress_book {
    struct rng rng;
    struct arena texts; /* of the configuration */
    const char *rtmp_base_url, *whip_base_url, *ws_url, *key_id, *key_secret;
    uint8_t hash_secret[KEY_SECRET_BYTES];
    struct map by_id, by_key, by_channel;
    struct ingress *first, *last;
    uint32_t n, pending_n, dirty_n, next_channel;
    uint64_t last_serial, last_order;
    struct change *changes, **changes_end;
    struct write *writes, **writes_end, *lent;
    struct ingress *deleted; /* lent by ingress_done() */
    struct arena answer;     /* the same */
    struct ingress_event event[EVENTS_MAX];
    uint32_t event_at, event_n;
};

/* ---- texts ---- */

static int copy_text(struct ingress_book *b, const char **to, const char *text)
{
    if (text == NULL)
        return 0;
    const char *copy = arena_dup_str(&b->texts, text);
    if (copy == NULL)
        return E_NOMEM;
    *to = copy;
    return 0;
}

int ingress_set_urls(struct ingress_book *b, const char *rtmp, const char *whip, const char *ws)
{
    int err = copy_text(b, &b->rtmp_base_url, rtmp);

    if (err == 0)
        err = copy_text(b, &b->whip_base_url, whip);
    struct ingress *i = ingress_by_id(b, INGRESS_DEFAULT_ID);
    if (i != NULL && i->fallback)
        i->info->url = pb_text(b->rtmp_base_url);
    return err != 0 ? err : copy_text(b, &b->ws_url, ws);
}

const char *ingress_ws_url(const struct ingress_book *b)
{
    return b->ws_url;
}

const char *ingress_base_url(const struct ingress_book *b, Livekit__IngressInput type)
{
    if (type == LIVEKIT__INGRESS_INPUT__RTMP_INPUT)
        return b->rtmp_base_url;
    return type == LIVEKIT__INGRESS_INPUT__WHIP_INPUT ? b->whip_base_url : "";
}

/* ---- keys ---- */

/* Found by a hash that nobody outside can compute: what a lookup takes says nothing of the key. */
static void key_hash(const struct ingress_book *b, struct bytes key, uint8_t out[HASH_SHA256_BYTES])
{
    hash_hmac_sha256(bytes_of(b->hash_secret, sizeof b->hash_secret), key, out);
}

struct ingress *ingress_by_key(const struct ingress_book *b, struct bytes key)
{
    uint8_t h[HASH_SHA256_BYTES];

    if (key.len == 0 || key.len >= INGRESS_KEY_MAX)
        return NULL;
    key_hash(b, key, h);
    struct ingress *i = map_find(&b->by_key, bytes_of(h, sizeof h));
    if (i == NULL)
        return NULL;
    const char *own = i->info->stream_key;
    return strlen(own) == key.len && crypt_equal(own, key.p, key.len) ? i : NULL;
}

static bool put_key(struct ingress_book *b, const char *key, struct ingress *i)
{
    uint8_t h[HASH_SHA256_BYTES];

    if (key[0] == '\0')
        return true;
    key_hash(b, bytes_str(key), h);
    return map_put(&b->by_key, bytes_of(h, sizeof h), i);
}

static void take_key(struct ingress_book *b, const char *key)
{
    uint8_t h[HASH_SHA256_BYTES];

    if (key[0] == '\0')
        return;
    key_hash(b, bytes_str(key), h);
    (void)map_take(&b->by_key, bytes_of(h, sizeof h)); /* the book does not free by it */
}

void ingress_new_id(struct ingress_book *b, char id[INGRESS_ID_MAX])
{
    do
        str_id(id, INGRESS_ID_MAX, "IN_", &b->rng);
    while (ingress_draft(b, id) != NULL);
}

void ingress_new_resource(struct ingress_book *b, const struct ingress *i, char id[INGRESS_ID_MAX])
{
    bool whip = i->info->input_type == LIVEKIT__INGRESS_INPUT__WHIP_INPUT;

    str_id(id, INGRESS_ID_MAX, whip ? "WH_" : "RT_", &b->rng);
}

bool ingress_new_key(size_t chars, char key[INGRESS_KEY_MAX])
{
    /* Six bits of dice choose one of 57 letters, or are thrown again: no letter is likelier. */
    static const char letters[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    uint8_t dice[64];
    size_t n = 0;

    assert(chars < INGRESS_KEY_MAX);
    while (n < chars) {
        if (crypt_random(dice, sizeof dice) < 0)
            return false;
        for (size_t i = 0; i < sizeof dice && n < chars; i++) {
            uint8_t at = dice[i] & 63;
            if (at < sizeof letters - 1)
                key[n++] = letters[at];
        }
    }
    key[n] = '\0';
    mem_wipe(dice, sizeof dice);
    return true;
}

/* ---- looking up ---- */

struct ingress *ingress_by_id(const struct ingress_book *b, const char *id)
{
    return map_find(&b->by_id, bytes_str(id));
}

struct ingress *ingress_by_channel(const struct ingress_book *b, uint32_t channel)
{
    return channel == 0 ? NULL : map_find_u64(&b->by_channel, channel);
}

struct ingress *ingress_next(const struct ingress_book *b, const struct ingress *at)
{
    return at == NULL ? b->first : at->next;
}

uint32_t ingress_count(const struct ingress_book *b)
{
    return b->n;
}

bool ingress_on_air(const struct ingress *i)
{
    return i->state->status == LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_BUFFERING ||
           i->state->status == LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_PUBLISHING;
}

Livekit__IngressInfo *ingress_info(const struct ingress *i, struct arena *a)
{
    Livekit__IngressInfo *info = pb_clone(a, &i->info->base);

    if (info == NULL)
        return NULL;
    info->state = pb_clone(a, &i->state->base);
    return info->state != NULL ? info : NULL;
}

enum psrpc_code ingress_may(const struct ingress *i, enum admit_way way, const char **why)
{
    return admit_check(i->info, i->fallback, way, why);
}

struct token_claims *ingress_claims(const struct ingress_book *b, const struct ingress *i,
                                    struct arena *a, struct tick tick)
{
    struct token_claims *c = arena_zero(a, sizeof *c);

    if (c == NULL)
        return NULL;
    c->issuer = b->key_id;
    c->identity = arena_dup_str(a, i->info->participant_identity);
    c->name = arena_dup_str(a, i->info->participant_name);
    c->metadata = arena_dup_str(a, i->info->participant_metadata);
    c->kind = "ingress";
    c->room_preset = c->sha256 = "";
    c->expires_s = (tick.now + tick.wall_off_us) / US_PER_SEC + INGRESS_TOKEN_TTL_S;
    c->has_video = true;
    c->video.room_join = true;
    c->video.room = arena_dup_str(a, i->info->room_name);
    c->video.destination_room = "";
    c->video.can_publish = TOKEN_TRUE;
    c->video.can_subscribe = TOKEN_FALSE;
    c->video.can_update_own_metadata = TOKEN_TRUE;
    c->attribute = arena_zero(a, sizeof *c->attribute);
    if (c->attribute == NULL)
        return NULL;
    c->attribute[0] =
        (struct token_pair){"ingress.ingressID", arena_dup_str(a, i->info->ingress_id)};
    c->attribute_n = 1;
    return c->identity != NULL && c->name != NULL && c->metadata != NULL && c->video.room != NULL &&
                   c->attribute[0].value != NULL
               ? c
               : NULL;
}

int ingress_token(const struct ingress_book *b, const struct ingress *i, struct tick tick,
                  struct str *out)
{
    struct arena a;

    arena_init(&a, INGRESS_BYTES_MAX);
    const struct token_claims *c = ingress_claims(b, i, &a, tick);
    bool ok = c != NULL && token_mint(out, c, bytes_str(b->key_secret));
    arena_fini(&a);
    return ok ? 0 : E_NOMEM;
}

/* ---- the list ---- */

static void drop_ingress(struct ingress *i)
{
    if (i == NULL)
        return;
    arena_fini(&i->arena);
    arena_fini(&i->state_arena);
    mem_free(i);
}

static void unlink_ingress(struct ingress_book *b, struct ingress *i)
{
    (void)map_take(&b->by_id, bytes_str(i->info->ingress_id)); /* we hold it */
    take_key(b, i->info->stream_key);
    if (i->channel != 0)
        (void)map_take_u64(&b->by_channel, i->channel); /* the same */
    if (i->prev != NULL)
        i->prev->next = i->next;
    else
        b->first = i->next;
    if (i->next != NULL)
        i->next->prev = i->prev;
    else
        b->last = i->prev;
    b->n--;
}

/* Behind those that were made before. */
static void link_ingress(struct ingress_book *b, struct ingress *i)
{
    struct ingress *at = b->last;

    while (at != NULL && at->serial > i->serial)
        at = at->prev;
    i->prev = at;
    i->next = at != NULL ? at->next : b->first;
    if (i->next != NULL)
        i->next->prev = i;
    else
        b->last = i;
    if (at != NULL)
        at->next = i;
    else
        b->first = i;
    b->n++;
}

static Livekit__IngressState *empty_state(struct arena *a)
{
    return pb_new(a, &livekit__ingress_state__descriptor);
}

/* A new entry with a copy of `info`; `order` says its place. */
static int add_ingress(struct ingress_book *b, const Livekit__IngressInfo *info, uint32_t channel,
                       uint64_t order, struct ingress **ret)
{
    struct ingress *i = mem_zero(sizeof *i);

    if (i == NULL)
        return E_NOMEM;
    arena_init(&i->arena, INGRESS_BYTES_MAX + SLACK_BYTES);
    arena_init(&i->state_arena, INGRESS_BYTES_MAX);
    i->info = pb_clone(&i->arena, &info->base);
    i->state = empty_state(&i->state_arena);
    i->channel = channel;
    i->serial = order;
    if (i->info == NULL || i->state == NULL) {
        drop_ingress(i);
        return E_NOMEM;
    }
    i->info->state = NULL;
    link_ingress(b, i);
    if (!map_put(&b->by_id, bytes_str(i->info->ingress_id), i) ||
        !put_key(b, i->info->stream_key, i) ||
        (channel != 0 && !map_put_u64(&b->by_channel, channel, i))) {
        unlink_ingress(b, i);
        drop_ingress(i);
        return E_NOMEM;
    }
    *ret = i;
    return 0;
}

/* ---- writes ---- */

static bool put_write(struct ingress_book *b, uint64_t serial, const char *kind, const char *id,
                      const struct str *body)
{
    size_t len = body != NULL ? body->len : 0;
    struct write *w = mem_zero(sizeof *w + len + 1);

    if (w == NULL)
        return false;
    w->serial = serial;
    w->kind = kind;
    w->erase = body == NULL;
    w->len = len;
    (void)str_copy(w->id, sizeof w->id, bytes_str(id)); /* ids fit, checked when they came */
    if (len > 0)
        memcpy(w->body, body->p, len);
    *b->writes_end = w;
    b->writes_end = &w->next;
    return true;
}

static bool write_record(struct ingress_book *b, const struct change *c)
{
    Sluice__IngressRecord r = SLUICE__INGRESS_RECORD__INIT;
    Livekit__IngressInfo info = *c->info;
    struct str body;

    info.state = NULL;
    if (strcmp(c->id, INGRESS_DEFAULT_ID) == 0)
        info.stream_key = pb_text(""); /* it lives in its file alone */
    r.info = &info;
    r.channel_id = c->channel;
    r.serial = c->order;
    str_init(&body, STORE_BODY_MAX);
    pb_pack(&r.base, &body);
    bool ok = !body.failed && put_write(b, c->serial, INGRESS_RECORD, c->id, &body);
    if (body.p != NULL)
        mem_wipe(body.p, body.len);
    str_fini(&body);
    return ok;
}

/* The default key has a file of its own. */
static bool write_key_file(struct ingress_book *b, const struct change *c)
{
    struct str body;

    str_init(&body, INGRESS_KEY_MAX + 1);
    str_add(&body, c->info->stream_key);
    str_add_char(&body, '\n');
    bool ok = !body.failed && put_write(b, c->serial, INGRESS_FILE, "hash", &body);
    if (body.p != NULL)
        mem_wipe(body.p, body.len);
    str_fini(&body);
    return ok;
}

/* States are written behind: the last one of each ingress, when nothing else waits. */
static bool write_state(struct ingress_book *b)
{
    struct str body;

    for (struct ingress *i = b->first; i != NULL && b->dirty_n > 0; i = i->next) {
        if (!i->state_dirty)
            continue;
        i->state_dirty = false;
        b->dirty_n--;
        str_init(&body, STORE_BODY_MAX);
        pb_pack(&i->state->base, &body);
        bool ok = !body.failed && put_write(b, 0, INGRESS_STATE, i->info->ingress_id, &body);
        str_fini(&body);
        if (ok)
            return true;
    }
    return false;
}

static void mark_state(struct ingress_book *b, struct ingress *i)
{
    b->dirty_n += !i->state_dirty;
    i->state_dirty = true;
}

bool ingress_store_op(struct ingress_book *b, struct store_op *op)
{
    if (b->lent != NULL)
        mem_wipe(b->lent->body, b->lent->len);
    mem_free(b->lent);
    b->lent = NULL;
    if (b->writes == NULL && !write_state(b))
        return false;
    struct write *w = b->lent = b->writes;
    b->writes = w->next;
    if (b->writes == NULL)
        b->writes_end = &b->writes;
    *op = (struct store_op){.serial = w->serial,
                            .erase = w->erase,
                            .kind = w->kind,
                            .id = w->id,
                            .body = bytes_of(w->body, w->len)};
    return true;
}

/* ---- changes ---- */

const Livekit__IngressInfo *ingress_draft(const struct ingress_book *b, const char *id)
{
    const struct ingress *i = ingress_by_id(b, id);
    const Livekit__IngressInfo *info = i != NULL ? i->info : NULL;

    for (const struct change *c = b->changes; c != NULL; c = c->next) {
        if (strcmp(c->id, id) == 0)
            info = c->info; /* NULL: it will be deleted */
    }
    return info;
}

static void drop_change(struct change *c)
{
    arena_fini(&c->arena);
    mem_free(c);
}

/* Makes a change and has its writes queued. */
static int begin_change(struct ingress_book *b, enum ingress_change_kind kind, const char *id,
                        const Livekit__IngressInfo *info, uint64_t *serial)
{
    struct change *c;
    bool key_only = false, ok;

    if (b->pending_n >= INGRESS_CHANGES_MAX)
        return E_LIMIT;
    if ((c = mem_zero(sizeof *c)) == NULL)
        return E_NOMEM;
    arena_init(&c->arena, INGRESS_BYTES_MAX + SLACK_BYTES);
    c->kind = kind;
    c->serial = ++b->last_serial;
    (void)str_copy(c->id, sizeof c->id, bytes_str(id)); /* checked by the caller */
    const struct ingress *old = ingress_by_id(b, id);
    c->channel = old != NULL ? old->channel : 0;
    c->order = old != NULL ? old->serial : ++b->last_order;
    if (info != NULL) {
        const Livekit__IngressInfo *before = ingress_draft(b, id);
        c->info = pb_clone(&c->arena, &info->base);
        key_only = old != NULL && old->fallback && before != NULL &&
                   strcmp(before->stream_key, info->stream_key) != 0;
        if (kind == INGRESS_CREATED && info->input_type != LIVEKIT__INGRESS_INPUT__URL_INPUT)
            c->channel = b->next_channel++;
    }
    if (kind == INGRESS_DELETED)
        ok = put_write(b, 0, INGRESS_STATE, id, NULL) &&
             put_write(b, c->serial, INGRESS_RECORD, id, NULL);
    else
        ok = c->info != NULL && (key_only ? write_key_file(b, c) : write_record(b, c));
    if (!ok) {
        drop_change(c);
        return E_NOMEM;
    }
    *b->changes_end = c;
    b->changes_end = &c->next;
    b->pending_n++;
    *serial = c->serial;
    return 0;
}

int ingress_create(struct ingress_book *b, const Livekit__IngressInfo *info, uint64_t *serial)
{
    if (info->ingress_id[0] == '\0' || strlen(info->ingress_id) >= INGRESS_ID_MAX ||
        strlen(info->stream_key) >= INGRESS_KEY_MAX)
        return E_INVAL;
    if (ingress_draft(b, info->ingress_id) != NULL ||
        ingress_by_key(b, bytes_str(info->stream_key)) != NULL)
        return E_EXIST;
    if (b->n + b->pending_n >= INGRESS_MAX)
        return E_LIMIT;
    return begin_change(b, INGRESS_CREATED, info->ingress_id, info, serial);
}

int ingress_update(struct ingress_book *b, const Livekit__IngressInfo *info, uint64_t *serial)
{
    if (ingress_draft(b, info->ingress_id) == NULL)
        return E_NOENT;
    return begin_change(b, INGRESS_UPDATED, info->ingress_id, info, serial);
}

int ingress_delete(struct ingress_book *b, const char *id, uint64_t *serial)
{
    const struct ingress *i = ingress_by_id(b, id);

    if (ingress_draft(b, id) == NULL)
        return E_NOENT;
    if (i != NULL && i->fallback)
        return E_NOT_ALLOWED;
    return begin_change(b, INGRESS_DELETED, id, NULL, serial);
}

int ingress_rotate(struct ingress_book *b, const char *id, uint64_t *serial)
{
    const Livekit__IngressInfo *old = ingress_draft(b, id);
    char key[INGRESS_KEY_MAX];

    if (old == NULL)
        return E_NOENT;
    if (old->stream_key[0] == '\0')
        return E_INVAL;
    bool fallback = strcmp(id, INGRESS_DEFAULT_ID) == 0;
    if (!ingress_new_key(fallback ? INGRESS_DEFAULT_CHARS : INGRESS_KEY_CHARS, key))
        return E_LIBRARY;
    Livekit__IngressInfo info = *old;
    info.stream_key = key;
    int err = ingress_update(b, &info, serial);
    mem_wipe(key, sizeof key);
    return err;
}

void ingress_stored(struct ingress_book *b, uint64_t serial, int err)
{
    for (struct change *c = b->changes; c != NULL && serial != 0; c = c->next) {
        if (c->serial == serial) {
            c->stored = true;
            c->err = err;
            return;
        }
    }
}

/* ---- events ---- */

static void put_event(struct ingress_book *b, enum ingress_event_kind kind, const struct ingress *i)
{
    if (b->event_n == EVENTS_MAX) { /* nobody takes them: the oldest goes */
        b->event_at = (b->event_at + 1) % EVENTS_MAX;
        b->event_n--;
    }
    struct ingress_event *ev = &b->event[(b->event_at + b->event_n++) % EVENTS_MAX];
    ev->kind = kind;
    (void)str_copy(ev->ingress_id, sizeof ev->ingress_id,
                   bytes_str(i->info->ingress_id)); /* fits */
    (void)str_copy(ev->resource_id, sizeof ev->resource_id,
                   bytes_str(i->state->resource_id)); /* too long: "" */
}

bool ingress_event(struct ingress_book *b, struct ingress_event *ev)
{
    if (b->event_n == 0)
        return false;
    *ev = b->event[b->event_at];
    b->event_at = (b->event_at + 1) % EVENTS_MAX;
    b->event_n--;
    return true;
}

/* ---- changes come to hold ---- */

static int apply_update(struct ingress_book *b, struct ingress *i, struct change *c)
{
    Livekit__IngressInfo *info = (Livekit__IngressInfo *)(uintptr_t)c->info; /* in our arena */
    bool key_new = strcmp(info->stream_key, i->info->stream_key) != 0;
    struct arena arena = i->arena;

    if (key_new && !put_key(b, info->stream_key, i))
        return E_NOMEM;
    if (key_new)
        take_key(b, i->info->stream_key);
    info->state = NULL;
    i->info = info;
    i->arena = c->arena;
    c->arena = arena;
    if (i->state->status == LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_ERROR) {
        i->state->status = LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE;
        mark_state(b, i);
    }
    return 0;
}

/* The entry as it is now, or was. */
static int apply(struct ingress_book *b, struct change *c, struct ingress **ret)
{
    struct ingress *i = ingress_by_id(b, c->id);

    *ret = i;
    if (c->kind == INGRESS_CREATED)
        return i != NULL ? E_EXIST : add_ingress(b, c->info, c->channel, c->order, ret);
    if (i == NULL)
        return E_NOENT;
    if (ingress_on_air(i) && i->local)
        put_event(b, INGRESS_EVT_STOP, i);
    if (c->kind == INGRESS_UPDATED)
        return apply_update(b, i, c);
    b->dirty_n -= i->state_dirty;
    i->state_dirty = false;
    unlink_ingress(b, i);
    b->deleted = i;
    return 0;
}

bool ingress_done(struct ingress_book *b, struct ingress_done *done)
{
    struct change *c = b->changes;
    struct ingress *i = NULL;

    drop_ingress(b->deleted);
    b->deleted = NULL;
    arena_fini(&b->answer);
    if (c == NULL || !c->stored)
        return false;
    b->changes = c->next;
    if (b->changes == NULL)
        b->changes_end = &b->changes;
    b->pending_n--;
    *done = (struct ingress_done){.serial = c->serial, .kind = c->kind, .err = c->err};
    (void)str_copy(done->ingress_id, sizeof done->ingress_id, bytes_str(c->id)); /* fits */
    if (done->err == 0)
        done->err = apply(b, c, &i);
    if (done->err == 0) {
        done->on_air = ingress_on_air(i);
        done->local = i->local;
        done->info = ingress_info(i, &b->answer);
        done->err = done->info == NULL ? E_NOMEM : 0;
    }
    drop_change(c);
    return true;
}

/* ---- sessions ---- */

static bool ends(Livekit__IngressState__Status s)
{
    return s == LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE ||
           s == LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_ERROR ||
           s == LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_COMPLETE;
}

void ingress_set_state(struct ingress_book *b, struct ingress *i, struct arena *a,
                       Livekit__IngressState *state)
{
    Livekit__IngressState__Status before = i->state->status;

    arena_fini(&i->state_arena);
    i->state_arena = *a;
    i->state = state;
    mark_state(b, i);
    if (state->status == before)
        return;
    if (state->status == LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_PUBLISHING)
        put_event(b, INGRESS_EVT_STARTED, i);
    else if (ends(state->status))
        put_event(b, INGRESS_EVT_ENDED, i);
}

/* ---- life ---- */

static int make_default(struct ingress_book *b, const char *key)
{
    Livekit__IngressInfo info = LIVEKIT__INGRESS_INFO__INIT;
    struct ingress *i;

    if (key == NULL || key[0] == '\0')
        return 0;
    if (strlen(key) >= INGRESS_KEY_MAX)
        return E_TOO_LARGE;
    info.ingress_id = pb_text(INGRESS_DEFAULT_ID);
    info.name = pb_text("default");
    info.stream_key = pb_text(key);
    info.room_name = info.participant_identity = pb_text("live");
    info.reusable = true;
    info.bypass_transcoding = true;
    info._enable_transcoding_case = LIVEKIT__INGRESS_INFO___ENABLE_TRANSCODING_ENABLE_TRANSCODING;
    int err = add_ingress(b, &info, INGRESS_CHANNEL_DEFAULT, 0, &i);
    if (err == 0)
        i->fallback = true;
    return err;
}

int ingress_open(struct ingress_book **ret, const struct ingress_cfg *cfg)
{
    struct ingress_book *b = mem_zero(sizeof *b);

    if (b == NULL)
        return E_NOMEM;
    b->rng = rng_seed(cfg->seed);
    b->changes_end = &b->changes;
    b->writes_end = &b->writes;
    b->next_channel = INGRESS_CHANNEL_FIRST;
    arena_init(&b->texts, 1 << 16);
    arena_init(&b->answer, 4 * INGRESS_BYTES_MAX);
    map_init(&b->by_id, rng_u64(&b->rng));
    map_init(&b->by_key, rng_u64(&b->rng));
    map_init(&b->by_channel, rng_u64(&b->rng));
    b->rtmp_base_url = b->whip_base_url = b->ws_url = b->key_id = b->key_secret = "";
    int err = crypt_random(b->hash_secret, sizeof b->hash_secret);
    if (err == 0)
        err = ingress_set_urls(b, cfg->rtmp_base_url, cfg->whip_base_url, cfg->ws_url);
    if (err == 0)
        err = copy_text(b, &b->key_id, cfg->key_id);
    if (err == 0)
        err = copy_text(b, &b->key_secret, cfg->key_secret);
    if (err == 0)
        err = make_default(b, cfg->default_key);
    if (err != 0) {
        ingress_free(b);
        return err;
    }
    *ret = b;
    return 0;
}

void ingress_free(struct ingress_book *b)
{
    struct change *c, *next_c;
    struct write *w, *next_w;

    if (b == NULL)
        return;
    while (b->first != NULL) {
        struct ingress *i = b->first;
        unlink_ingress(b, i);
        drop_ingress(i);
    }
    drop_ingress(b->deleted);
    for (c = b->changes; c != NULL; c = next_c) {
        next_c = c->next;
        drop_change(c);
    }
    for (w = b->writes; w != NULL; w = next_w) {
        next_w = w->next;
        mem_free(w);
    }
    mem_free(b->lent);
    arena_fini(&b->texts);
    arena_fini(&b->answer);
    map_fini(&b->by_id);
    map_fini(&b->by_key);
    map_fini(&b->by_channel);
    mem_wipe(b->hash_secret, sizeof b->hash_secret);
    mem_free(b);
}

/* ---- from the store ---- */

/* What was changed of the default channel; its key is the file's. */
static int load_default(struct ingress *i, const Livekit__IngressInfo *info)
{
    struct arena a;

    arena_init(&a, INGRESS_BYTES_MAX + SLACK_BYTES);
    Livekit__IngressInfo *copy = pb_clone(&a, &info->base);
    if (copy != NULL)
        copy->stream_key = arena_dup_str(&a, i->info->stream_key);
    if (copy == NULL || copy->stream_key == NULL) {
        arena_fini(&a);
        return E_NOMEM;
    }
    copy->state = NULL;
    arena_fini(&i->arena);
    i->arena = a;
    i->info = copy;
    return 0;
}

static int load_record(struct ingress_book *b, const char *id, const Sluice__IngressRecord *r)
{
    struct ingress *i = ingress_by_id(b, id);

    if (r->info == NULL || strcmp(r->info->ingress_id, id) != 0 ||
        strlen(r->info->stream_key) >= INGRESS_KEY_MAX)
        return E_MALFORMED;
    if (i != NULL && i->fallback)
        return load_default(i, r->info);
    if (strcmp(id, INGRESS_DEFAULT_ID) == 0)
        return 0; /* no default channel this time */
    if (i != NULL || ingress_by_key(b, bytes_str(r->info->stream_key)) != NULL ||
        ingress_by_channel(b, r->channel_id) != NULL)
        return E_EXIST;
    if (b->n >= INGRESS_MAX)
        return E_LIMIT;
    int err = add_ingress(b, r->info, r->channel_id, r->serial, &i);
    if (err == 0 && r->channel_id >= b->next_channel && r->channel_id < INT32_MAX)
        b->next_channel = r->channel_id + 1;
    if (err == 0 && r->serial > b->last_order)
        b->last_order = r->serial;
    return err;
}

static int load_state(struct ingress_book *b, const char *id, struct bytes body)
{
    struct ingress *i = ingress_by_id(b, id);
    struct arena a;

    if (i == NULL)
        return E_NOENT;
    arena_init(&a, INGRESS_BYTES_MAX);
    Livekit__IngressState *s = pb_unpack(&a, &livekit__ingress_state__descriptor, body);
    if (s == NULL) {
        arena_fini(&a);
        return E_MALFORMED;
    }
    arena_fini(&i->state_arena);
    i->state_arena = a;
    i->state = s;
    if (ingress_on_air(i)) /* its process may come back and say so */
        s->status = LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE;
    return 0;
}

int ingress_load(struct ingress_book *b, const char *kind, struct bytes id, struct bytes body)
{
    char text[INGRESS_ID_MAX];
    struct arena a;

    if (!pb_text_ok(id) || !str_copy(text, sizeof text, id) || text[0] == '\0')
        return E_MALFORMED;
    if (strcmp(kind, INGRESS_STATE) == 0)
        return load_state(b, text, body);
    arena_init(&a, 2 * INGRESS_BYTES_MAX);
    const Sluice__IngressRecord *r = pb_unpack(&a, &sluice__ingress_record__descriptor, body);
    int err = r != NULL ? load_record(b, text, r) : E_MALFORMED;
    arena_fini(&a);
    return err;
}
