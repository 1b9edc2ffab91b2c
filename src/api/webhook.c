#include "api/webhook.h"

#include "base/err.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypt/hash.h"
#include "crypt/token.h"
#include "wire/pb_json.h"

#include "livekit_webhook.pb-c.h"

enum {
    ID_MAX = 24,
    TOKEN_TEXT_MAX = 4096,
    TAIL_MAX = 32, /* ,"numDropped":4294967295} */
    ANSWER_MAX = 1 << 20,
    REDIRECTS_MAX = 10, /* as the original's client */
    HEADERS_N = 3,
    LENGTHS_N = 9,
};

/* Buckets of the original's histogram. */
static const uint32_t length_bound[LENGTHS_N] = {1, 2, 3, 4, 5, 10, 20, 40, 80};

/* What is said to every URL alike. */
struct event {
    uint32_t holders;
    us_t at;
    const char *name;
    char id[ID_MAX];
    size_t len;
    char body[]; /* a JSON object */
};

struct item {
    struct item *next;
    struct event *event;
    uint32_t dropped; /* before it, told with it */
};

enum line_state {
    LINE_READY,   /* in its target's list: its first item may go */
    LINE_FLYING,  /* its first item is on its way */
    LINE_RESTING, /* in the heap: its first item is tried again */
};

/* The queue of one resource for one URL; it ends when it is empty. */
struct line {
    struct heap_node due;
    struct target *target;
    struct line *next_ready;
    enum line_state state;
    uint32_t tries; /* of the first item */
    uint64_t ask;
    struct item *first, *last;
    uint32_t n;
    char *key;
};

struct target {
    const char *url;
    uint32_t index;
    struct map lines; /* by resource */
    struct line *ready, *ready_last;
    struct line *flying[WEBHOOK_FLIGHTS_MAX];
    uint32_t flying_n;
    uint64_t dropped; /* not told yet */
};

struct webhook {
    struct webhook_cfg cfg;
    struct rng rng;
    struct heap due;
    struct target *target;
    size_t bytes;
    uint64_t asks;
    uint32_t turn; /* the target asked next */
    struct str body, token;
    struct http_header header[HEADERS_N];
    struct webhook_trouble trouble[WEBHOOK_TROUBLES_MAX];
    uint32_t trouble_n, trouble_at;
    uint64_t succeeded, failed, aged, full;
    uint64_t length_n[LENGTHS_N + 1], length_sum;
};

/* ---- life ---- */

static bool is_http(const char *url)
{
    return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

int webhook_open(struct webhook **ret, const struct webhook_cfg *cfg)
{
    if (cfg->url_n > WEBHOOK_URLS_MAX)
        return E_LIMIT;
    if (cfg->url_n > 0 && (cfg->key_id == NULL || cfg->key_secret == NULL))
        return E_INVAL;
    for (uint32_t i = 0; i < cfg->url_n; i++)
        if (!is_http(cfg->url[i]))
            return E_INVAL;
    struct webhook *w = mem_zero(sizeof *w);
    if (w == NULL)
        return E_NOMEM;
    w->cfg = *cfg;
    w->rng = rng_seed(cfg->seed);
    heap_init(&w->due);
    str_init(&w->body, WEBHOOK_BODY_MAX + TAIL_MAX);
    str_init(&w->token, TOKEN_TEXT_MAX);
    if (w->cfg.age_max_us == 0)
        w->cfg.age_max_us = WEBHOOK_AGE_DEFAULT_US;
    if (w->cfg.depth_max == 0)
        w->cfg.depth_max = WEBHOOK_DEPTH_DEFAULT;
    w->target = mem_array(u32_max(cfg->url_n, 1), sizeof *w->target);
    if (w->target == NULL) {
        webhook_free(w);
        return E_NOMEM;
    }
    for (uint32_t i = 0; i < cfg->url_n; i++) {
        w->target[i].url = cfg->url[i];
        w->target[i].index = i;
        map_init(&w->target[i].lines, rng_u64(&w->rng));
    }
    *ret = w;
    return 0;
}

static void event_drop(struct webhook *w, struct event *e)
{
    assert(e->holders > 0);
    if (--e->holders > 0)
        return;
    w->bytes -= e->len;
    mem_free(e);
}

static void pop_item(struct webhook *w, struct line *l)
{
    struct item *it = l->first;

    l->first = it->next;
    if (l->first == NULL)
        l->last = NULL;
    l->n--;
    l->tries = 0;
    event_drop(w, it->event);
    mem_free(it);
}

static void free_line(struct webhook *w, struct line *l)
{
    while (l->first != NULL)
        pop_item(w, l);
    heap_remove(&w->due, &l->due);
    mem_free(l->key);
    mem_free(l);
}

void webhook_free(struct webhook *w)
{
    if (w == NULL)
        return;
    for (uint32_t i = 0; w->target != NULL && i < w->cfg.url_n; i++) {
        uint32_t at = 0;
        void *l;
        while (map_next(&w->target[i].lines, &at, NULL, &l))
            free_line(w, l);
        map_fini(&w->target[i].lines);
    }
    mem_free(w->target);
    heap_fini(&w->due);
    str_fini(&w->body);
    if (w->token.p != NULL)
        mem_wipe(w->token.p, w->token.len);
    str_fini(&w->token);
    mem_free(w);
}

/* ---- trouble ---- */

static void add_trouble(struct webhook *w, const struct target *t, const struct event *e,
                        const struct webhook_trouble *what)
{
    if (w->trouble_n - w->trouble_at == WEBHOOK_TROUBLES_MAX)
        return;
    struct webhook_trouble *out = &w->trouble[w->trouble_n++ % WEBHOOK_TROUBLES_MAX];
    *out = *what;
    out->url = t->index;
    out->event = e->name;
    memcpy(out->id, e->id, sizeof out->id);
}

bool webhook_trouble(struct webhook *w, struct webhook_trouble *out)
{
    if (w->trouble_at == w->trouble_n)
        return false;
    *out = w->trouble[w->trouble_at++ % WEBHOOK_TROUBLES_MAX];
    return true;
}

static void drop_full(struct webhook *w, struct target *t, const struct event *e)
{
    static const struct webhook_trouble what = {.kind = WEBHOOK_FULL};

    t->dropped++;
    w->full++;
    add_trouble(w, t, e, &what);
}

/* ---- in ---- */

static bool is_listed(const char *const *list, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct webhook *w, const char *name)
{
    const struct webhook_cfg *c = &w->cfg;

    if (c->url_n == 0)
        return false;
    if (c->include_n > 0) /* comes before what is excluded */
        return is_listed(c->include, c->include_n, name);
    return !is_listed(c->exclude, c->exclude_n, name);
}

static void make_ready(struct line *l)
{
    struct target *t = l->target;

    l->state = LINE_READY;
    l->next_ready = NULL;
    if (t->ready_last != NULL)
        t->ready_last->next_ready = l;
    else
        t->ready = l;
    t->ready_last = l;
}

static struct line *line_of(struct target *t, const char *key)
{
    struct line *l = map_find(&t->lines, bytes_str(key));

    if (l != NULL)
        return l;
    l = mem_zero(sizeof *l);
    if (l == NULL)
        return NULL;
    l->target = t;
    l->key = mem_dup_str(key);
    if (l->key == NULL || !map_put(&t->lines, bytes_str(key), l)) {
        mem_free(l->key);
        mem_free(l);
        return NULL;
    }
    return l;
}

static void end_line(struct webhook *w, struct line *l)
{
    (void)map_take(&l->target->lines, bytes_str(l->key)); /* it is there */
    free_line(w, l);
}

static void note_length(struct webhook *w, uint32_t n)
{
    int i = 0;

    while (i < LENGTHS_N && n > length_bound[i])
        i++;
    w->length_n[i]++;
    w->length_sum += n;
}

/* One more for a resource at one URL. */
static void put(struct webhook *w, struct target *t, const char *key, struct event *e)
{
    struct line *l = line_of(t, key);
    struct item *it = NULL;

    if (l != NULL) {
        uint32_t waiting = l->n - (l->state != LINE_READY || l->tries > 0 ? 1 : 0);
        if (l->n == 0 || waiting < w->cfg.depth_max)
            it = mem_zero(sizeof *it);
    }
    if (it == NULL) {
        if (l != NULL && l->n == 0)
            end_line(w, l);
        drop_full(w, t, e);
        return;
    }
    it->event = e;
    e->holders++;
    if (l->last != NULL)
        l->last->next = it;
    else
        l->first = it;
    l->last = it;
    note_length(w, ++l->n);
    if (l->n == 1)
        make_ready(l);
}

static void publish(struct webhook *w, Livekit__WebhookEvent *m, const char *name, const char *key,
                    struct tick tick)
{
    struct event lost = {.name = name};
    struct event *e = NULL;

    str_id(lost.id, sizeof lost.id, "EV_", &w->rng);
    m->event = pb_text(name);
    m->id = lost.id;
    m->created_at = (tick.now + tick.wall_off_us) / US_PER_SEC;
    str_clear(&w->body);
    pb_json_write(&m->base, PB_JSON_SIGNAL, &w->body);
    if (!w->body.failed && w->body.len <= WEBHOOK_BODY_MAX &&
        w->bytes + w->body.len <= WEBHOOK_BYTES_MAX)
        e = mem_zero(sizeof *e + w->body.len);
    if (e == NULL) {
        for (uint32_t i = 0; i < w->cfg.url_n; i++)
            drop_full(w, &w->target[i], &lost);
        return;
    }
    *e = lost;
    e->holders = 1;
    e->at = tick.now;
    e->len = w->body.len;
    memcpy(e->body, w->body.p, e->len);
    w->bytes += e->len;
    for (uint32_t i = 0; i < w->cfg.url_n; i++)
        put(w, &w->target[i], key, e);
    event_drop(w, e);
}

void webhook_fact(struct webhook *w, const struct fact *f, struct tick tick)
{
    static const char *const names[] = {
        [FACT_ROOM_STARTED] = "room_started",
        [FACT_ROOM_FINISHED] = "room_finished",
        [FACT_MEMBER_JOINED] = "participant_joined",
        [FACT_MEMBER_LEFT] = "participant_left",
        [FACT_MEMBER_ABORTED] = "participant_connection_aborted",
        [FACT_TRACK_PUBLISHED] = "track_published",
        [FACT_TRACK_UNPUBLISHED] = "track_unpublished",
    };
    Livekit__WebhookEvent m = LIVEKIT__WEBHOOK_EVENT__INIT;
    Livekit__Room small = LIVEKIT__ROOM__INIT;
    const char *name = names[f->kind];

    if (!is_wanted(w, name))
        return;
    m.room = f->room;
    m.participant = f->member;
    m.track = f->track;
    if (f->track != NULL && !w->cfg.full_room) {
        small.sid = f->room->sid;
        small.name = f->room->name;
        m.room = &small;
    }
    publish(w, &m, name, f->room->name, tick);
}

void webhook_ingress(struct webhook *w, bool started, const Livekit__IngressInfo *info,
                     struct tick tick)
{
    const char *name = started ? "ingress_started" : "ingress_ended";
    Livekit__WebhookEvent m = LIVEKIT__WEBHOOK_EVENT__INIT;
    Livekit__Room room = LIVEKIT__ROOM__INIT;
    Livekit__IngressInfo copy = *info;

    if (!is_wanted(w, name))
        return;
    copy.stream_key = pb_text(""); /* whoever has it may publish (originals.md) */
    room.name = copy.room_name;
    m.room = &room;
    m.ingress_info = &copy;
    publish(w, &m, name, copy.ingress_id, tick);
}

void webhook_lost(struct webhook *w, uint64_t n)
{
    for (uint32_t i = 0; i < w->cfg.url_n; i++)
        w->target[i].dropped += n;
    w->full += n * w->cfg.url_n;
}

/* ---- out ---- */

static struct line *take_ready(struct target *t)
{
    struct line *l = t->ready;

    t->ready = l->next_ready;
    if (t->ready == NULL)
        t->ready_last = NULL;
    return l;
}

/* Those that waited too long for their first try. */
static void drop_aged(struct webhook *w, struct line *l, us_t now)
{
    static const struct webhook_trouble what = {.kind = WEBHOOK_AGED};

    while (l->first != NULL && l->tries == 0 && now - l->first->event->at > w->cfg.age_max_us) {
        add_trouble(w, l->target, l->first->event, &what);
        l->target->dropped++;
        w->aged++;
        pop_item(w, l);
    }
}

/* The body as it is sent: with the count of those that were dropped before it. */
static struct bytes body_of(struct webhook *w, struct line *l)
{
    struct item *it = l->first;
    struct event *e = it->event;

    if (l->tries == 0) {
        it->dropped = (uint32_t)(l->target->dropped < INT32_MAX ? l->target->dropped : INT32_MAX);
        l->target->dropped = 0;
    }
    if (it->dropped == 0)
        return bytes_of(e->body, e->len);
    str_clear(&w->body);
    str_add_bytes(&w->body, bytes_of(e->body, e->len - 1));
    str_printf(&w->body, ",\"numDropped\":%u}", it->dropped);
    return w->body.failed ? (struct bytes){0} : str_bytes(&w->body);
}

static bool sign(struct webhook *w, struct bytes body, int64_t unix_s)
{
    uint8_t digest[HASH_SHA256_BYTES];
    struct str sum;

    hash_sha256(body, digest);
    str_init(&sum, 2 * sizeof digest);
    str_add_base64(&sum, bytes_of(digest, sizeof digest), false, true);
    const struct token_claims claims = {.issuer = w->cfg.key_id,
                                        .identity = "",
                                        .name = "",
                                        .metadata = "",
                                        .kind = "",
                                        .room_preset = "",
                                        .sha256 = str_text(&sum),
                                        .not_before_s = unix_s,
                                        .expires_s = unix_s + WEBHOOK_TOKEN_S};
    str_clear(&w->token);
    bool ok = !sum.failed && token_mint(&w->token, &claims, bytes_str(w->cfg.key_secret));
    str_fini(&sum);
    return ok;
}

static void rest_or_fail(struct webhook *w, struct line *l, const struct reply *in, us_t now);

static bool send_first(struct webhook *w, struct line *l, struct ask *out, struct tick tick)
{
    struct target *t = l->target;
    struct bytes body = body_of(w, l);

    l->tries++;
    if (body.p == NULL || !sign(w, body, (tick.now + tick.wall_off_us) / US_PER_SEC)) {
        const struct reply none = {.err = E_NOMEM};
        rest_or_fail(w, l, &none, tick.now);
        return false;
    }
    w->header[0] = (struct http_header){"Authorization", str_text(&w->token)};
    w->header[1] = (struct http_header){"Content-Type", "application/webhook+json"};
    w->header[2] = (struct http_header){"User-Agent", "LiveKit"};
    l->state = LINE_FLYING;
    l->ask = ++w->asks;
    t->flying[t->flying_n++] = l;
    *out = (struct ask){.id = l->ask,
                        .method = "POST",
                        .url = t->url,
                        .header = w->header,
                        .header_n = HEADERS_N,
                        .body = body,
                        .timeout_us = WEBHOOK_TIMEOUT_US,
                        .redirects = REDIRECTS_MAX,
                        .answer_max = ANSWER_MAX};
    return true;
}

bool webhook_output(struct webhook *w, struct ask *out, struct tick tick)
{
    for (uint32_t i = 0; i < w->cfg.url_n; i++) {
        struct target *t = &w->target[w->turn++ % w->cfg.url_n];
        while (t->ready != NULL && t->flying_n < WEBHOOK_FLIGHTS_MAX) {
            struct line *l = take_ready(t);
            drop_aged(w, l, tick.now);
            if (l->first == NULL)
                end_line(w, l);
            else if (send_first(w, l, out, tick))
                return true;
        }
    }
    return false;
}

/* ---- answers and time ---- */

/* Its first item is done with. */
static void go_on(struct webhook *w, struct line *l)
{
    pop_item(w, l);
    if (l->first == NULL)
        end_line(w, l);
    else
        make_ready(l);
}

static bool is_temporary(const struct reply *in)
{
    if (in->err != 0)
        return in->err != E_AUTH && in->err != E_UNSUPPORTED && in->err != E_INVAL;
    return in->status == 429 || in->status == 0 || (in->status >= 500 && in->status != 501);
}

static void give_up(struct webhook *w, struct line *l, const struct reply *in)
{
    const struct webhook_trouble what = {
        .kind = WEBHOOK_FAILED, .err = in->err, .status = in->status};

    add_trouble(w, l->target, l->first->event, &what);
    w->failed++;
    if (in->err != 0 || is_temporary(in)) /* else it arrived, and was not liked */
        l->target->dropped += (uint64_t)l->first->dropped + 1;
    go_on(w, l);
}

static void rest_or_fail(struct webhook *w, struct line *l, const struct reply *in, us_t now)
{
    us_t wait = WEBHOOK_WAIT_MIN_US << (l->tries - 1);

    if (in->retry_after_us > 0 && (in->status == 429 || in->status == 503))
        wait = in->retry_after_us;
    if (!is_temporary(in) || l->tries >= WEBHOOK_TRIES ||
        !heap_set(&w->due, &l->due, now + us_min(wait, WEBHOOK_WAIT_MAX_US))) {
        give_up(w, l, in);
        return;
    }
    l->state = LINE_RESTING;
}

static struct line *land(struct webhook *w, uint64_t ask)
{
    for (uint32_t i = 0; i < w->cfg.url_n; i++) {
        struct target *t = &w->target[i];
        for (uint32_t k = 0; k < t->flying_n; k++) {
            struct line *l = t->flying[k];
            if (l->ask != ask)
                continue;
            t->flying[k] = t->flying[--t->flying_n];
            return l;
        }
    }
    return NULL;
}

void webhook_answer(struct webhook *w, const struct reply *in, us_t now)
{
    struct line *l = land(w, in->id);

    if (l == NULL)
        return;
    assert(l->state == LINE_FLYING);
    if (in->err != 0 || in->status < 200 || in->status >= 400) {
        rest_or_fail(w, l, in, now);
        return;
    }
    w->succeeded++;
    go_on(w, l);
}

void webhook_tick(struct webhook *w, us_t now)
{
    struct heap_node *node;

    while ((node = heap_first(&w->due)) != NULL && node->at <= now) {
        heap_remove(&w->due, node);
        make_ready(OWNER_OF(node, struct line, due));
    }
}

us_t webhook_deadline(const struct webhook *w)
{
    for (uint32_t i = 0; i < w->cfg.url_n; i++)
        if (w->target[i].ready != NULL && w->target[i].flying_n < WEBHOOK_FLIGHTS_MAX)
            return 0;
    return heap_deadline(&w->due);
}

bool webhook_busy(const struct webhook *w)
{
    for (uint32_t i = 0; i < w->cfg.url_n; i++)
        if (w->target[i].ready != NULL || w->target[i].flying_n > 0)
            return true;
    return false;
}

void webhook_metrics(const struct webhook *w, struct str *out)
{
    static const char total[] = "livekit_webhook_dispatch_total";
    static const char length[] = "livekit_webhook_queue_length";
    uint64_t sum = 0;

    if (w->cfg.url_n == 0)
        return;
    str_printf(out, "# TYPE %s counter\n", total);
    str_printf(out, "%s{status=\"success\",reason=\"\"} %llu\n", total,
               (unsigned long long)w->succeeded);
    str_printf(out, "%s{status=\"failure\",reason=\"\"} %llu\n", total,
               (unsigned long long)w->failed);
    str_printf(out, "%s{status=\"drop\",reason=\"age\"} %llu\n", total,
               (unsigned long long)w->aged);
    str_printf(out, "%s{status=\"drop\",reason=\"queue is full\"} %llu\n", total,
               (unsigned long long)w->full);
    str_printf(out, "# TYPE %s histogram\n", length);
    for (int i = 0; i < LENGTHS_N; i++) {
        sum += w->length_n[i];
        str_printf(out, "%s_bucket{le=\"%u\"} %llu\n", length, length_bound[i],
                   (unsigned long long)sum);
    }
    sum += w->length_n[LENGTHS_N];
    str_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %llu\n%s_count %llu\n", length,
               (unsigned long long)sum, length, (unsigned long long)w->length_sum, length,
               (unsigned long long)sum);
}
