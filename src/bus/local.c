#include "bus/local.h"

#include "base/cursor.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/mem.h"

/* Kinds on the stream; those of operations and of news are apart, so that a crossed wire shows. */
enum {
    WIRE_HELLO = 0x40, /* u8 version */
    WIRE_NEWS = 0x80,  /* added to bus_news_kind */
    HEAD_BYTES = 5,
    FIXED_MAX = 16,
    SWEEP_BYTES = 64 << 10, /* consumed input is moved away when there is so much */
};

/* ---- frames ---- */

static struct wr frame_begin(uint8_t *buf, size_t cap, uint8_t kind)
{
    struct wr w = wr_of(buf, cap);

    wr_u32(&w, 0);
    wr_u8(&w, kind);
    return w;
}

/* The head and what stands in it, then the data behind. */
static void frame_end(struct str *out, struct wr *w, struct bytes data)
{
    assert(wr_ok(w));
    store_u32(w->start, (uint32_t)(wr_len(w) - 4 + data.len));
    str_add_bytes(out, wr_done(w));
    if (data.len > 0)
        str_add_bytes(out, data);
}

static void wr_name(struct wr *w, const char *name)
{
    struct bytes b = bytes_str(name);

    wr_u16(w, (uint16_t)b.len);
    wr_bytes(w, b);
}

static void put_hello(struct str *out)
{
    uint8_t buf[HEAD_BYTES + 1];
    struct wr w = frame_begin(buf, sizeof buf, WIRE_HELLO);

    wr_u8(&w, LOCAL_VERSION);
    frame_end(out, &w, bytes_of(NULL, 0));
}

static void put_op(struct str *out, const struct bus_op *op)
{
    uint8_t buf[HEAD_BYTES + FIXED_MAX + BUS_CHANNEL_MAX];
    struct wr w = frame_begin(buf, sizeof buf, (uint8_t)op->kind);

    wr_name(&w, op->name);
    if (op->kind == BUS_SET_NX) {
        wr_u32(&w, op->tag);
        wr_u32(&w, op->ttl_ms);
    }
    frame_end(out, &w, op->kind == BUS_PUBLISH ? op->data : bytes_of(NULL, 0));
}

static void put_news(struct str *out, const struct bus_news *news)
{
    uint8_t buf[HEAD_BYTES + FIXED_MAX + BUS_CHANNEL_MAX];
    struct wr w = frame_begin(buf, sizeof buf, (uint8_t)(WIRE_NEWS + news->kind));

    if (news->kind == BUS_MESSAGE) {
        wr_name(&w, news->name);
    } else {
        wr_u32(&w, news->tag);
        wr_u8(&w, news->won);
    }
    frame_end(out, &w, news->kind == BUS_MESSAGE ? news->data : bytes_of(NULL, 0));
}

static bool rd_name(struct rd *r, char *out, size_t cap)
{
    struct bytes b = rd_bytes(r, rd_u16(r));

    return rd_ok(r) && b.len > 0 && memchr(b.p, 0, b.len) == NULL && str_copy(out, cap, b);
}

static bool read_op(struct rd *r, uint8_t kind, char name[BUS_CHANNEL_MAX], struct bus_op *op)
{
    *op = (struct bus_op){.kind = (enum bus_op_kind)kind, .name = name};
    if (!rd_name(r, name, kind == BUS_SET_NX ? BUS_KEY_MAX : BUS_CHANNEL_MAX))
        return false;
    if (kind == BUS_PUBLISH) {
        op->data = rd_rest(r);
        return op->data.len <= BUS_MESSAGE_MAX;
    }
    if (kind == BUS_SET_NX) {
        op->tag = rd_u32(r);
        op->ttl_ms = rd_u32(r);
        if (op->ttl_ms > BUS_TTL_MS_MAX)
            return false;
    } else if (kind != BUS_SUBSCRIBE && kind != BUS_UNSUBSCRIBE) {
        return false;
    }
    return rd_ok(r) && rd_left(r) == 0;
}

static bool read_news(struct rd *r, uint8_t kind, char name[BUS_CHANNEL_MAX], struct bus_news *news)
{
    *news = (struct bus_news){.kind = (enum bus_news_kind)(kind - WIRE_NEWS), .name = name};
    name[0] = '\0';
    if (kind == WIRE_NEWS + BUS_MESSAGE) {
        if (!rd_name(r, name, BUS_CHANNEL_MAX))
            return false;
        news->data = rd_rest(r);
        return news->data.len <= BUS_MESSAGE_MAX;
    }
    if (kind != WIRE_NEWS + BUS_SET_DONE)
        return false;
    news->tag = rd_u32(r);
    news->won = rd_u8(r) != 0;
    return rd_ok(r) && rd_left(r) == 0;
}

/* ---- a stream of frames ---- */

void local_line_init(struct local_line *l)
{
    *l = (struct local_line){0};
    str_init(&l->in, 2 * LOCAL_FRAME_MAX);
    str_init(&l->out, LOCAL_QUEUE_BYTES_MAX + LOCAL_FRAME_MAX);
    put_hello(&l->out);
}

void local_line_fini(struct local_line *l)
{
    str_fini(&l->in);
    str_fini(&l->out);
}

static int line_fail(struct local_line *l, int err)
{
    if (l->failed == 0)
        l->failed = err;
    return l->failed;
}

/* Forgets what was read. */
static void sweep(struct local_line *l)
{
    if (l->read == 0 || (l->read < l->in.len && l->read < SWEEP_BYTES))
        return;
    memmove(l->in.p, l->in.p + l->read, l->in.len - l->read);
    l->in.len -= l->read;
    l->read = 0;
}

/* A whole frame whose kind is in *kind and whose rest is in *r.  False: not yet, or failed. */
static bool line_frame(struct local_line *l, uint8_t *kind, struct rd *r)
{
    if (l->failed != 0 || l->in.len - l->read < HEAD_BYTES)
        return false;
    const uint8_t *p = (const uint8_t *)l->in.p + l->read;
    uint32_t n = load_u32(p);
    if (n == 0 || n > LOCAL_FRAME_MAX) {
        (void)line_fail(l, n == 0 ? E_MALFORMED : E_TOO_LARGE); /* stays in the line */
        return false;
    }
    if (l->in.len - l->read < 4 + (size_t)n)
        return false;
    *kind = p[4];
    *r = rd_of(bytes_of(p + HEAD_BYTES, n - 1));
    l->read += 4 + (size_t)n;
    return true;
}

/* The first frame, and no other, is the greeting.  False: the frame was it, or the line failed. */
static bool past_hello(struct local_line *l, uint8_t kind, struct rd *r)
{
    if (l->greeted && kind != WIRE_HELLO)
        return true;
    if (l->greeted || kind != WIRE_HELLO || rd_left(r) == 0)
        (void)line_fail(l, E_MALFORMED); /* stays in the line */
    else if (rd_u8(r) != LOCAL_VERSION)
        (void)line_fail(l, E_UNSUPPORTED); /* the same */
    else
        l->greeted = true;
    return false;
}

/* The head of a frame that is too long is refused before its bytes are kept. */
int local_line_input(struct local_line *l, struct bytes in)
{
    sweep(l);
    if (l->failed == 0 && in.len > 0)
        str_add_bytes(&l->in, in);
    if (l->in.failed)
        return line_fail(l, l->in.len + in.len > l->in.max ? E_TOO_LARGE : E_NOMEM);
    if (l->in.len - l->read >= 4 && load_u32((const uint8_t *)l->in.p + l->read) > LOCAL_FRAME_MAX)
        return line_fail(l, E_TOO_LARGE);
    return l->failed;
}

bool local_line_news(struct local_line *l, struct bus_news *news)
{
    struct rd r;
    uint8_t kind;

    while (line_frame(l, &kind, &r)) {
        if (!past_hello(l, kind, &r))
            continue;
        if (read_news(&r, kind, l->name, news))
            return true;
        (void)line_fail(l, E_MALFORMED); /* stays in the line */
    }
    sweep(l);
    return false;
}

/* What the owner was given is taken. */
static void settle(struct local_line *l)
{
    if (l->lent == 0)
        return;
    memmove(l->out.p, l->out.p + l->lent, l->out.len - l->lent);
    l->out.len -= l->lent;
    l->lent = 0;
}

int local_line_op(struct local_line *l, const struct bus_op *op)
{
    if (l->failed != 0)
        return l->failed;
    if (op->data.len > BUS_MESSAGE_MAX || strlen(op->name) >= BUS_CHANNEL_MAX)
        return E_TOO_LARGE;
    settle(l);
    if (l->out.len > LOCAL_QUEUE_BYTES_MAX - HEAD_BYTES - BUS_CHANNEL_MAX - op->data.len)
        return E_LIMIT;
    put_op(&l->out, op);
    return l->out.failed ? line_fail(l, E_NOMEM) : 0;
}

bool local_line_output(struct local_line *l, struct bytes *out)
{
    settle(l);
    if (l->out.len == 0)
        return false;
    *out = str_bytes(&l->out);
    l->lent = l->out.len;
    return true;
}

/* ---- the hub ---- */

struct client {
    uint32_t id; /* 0: the place is free */
    bool framed;
    struct local_line line; /* framed: its input; `out` is what it shall get */
    struct map channels;    /* that it listens to: struct channel */
    int failed;
};

struct channel {
    uint32_t listener_n, cap;
    uint32_t *listener; /* ids */
    char name[];
};

/* A key that somebody has set. */
struct key {
    struct heap_node due;
    char name[BUS_KEY_MAX];
};

/* News for a client inside the process. */
struct parcel {
    struct parcel *next;
    uint32_t client;
    struct bus_news news; /* name and data point behind the parcel */
    size_t bytes;
};

struct local_hub {
    struct client client[LOCAL_CLIENTS_MAX];
    uint32_t last_id, client_n, turn;
    struct map channels, keys;
    struct heap due_keys;
    struct rng rng;
    struct parcel *first, **end, *lent;
    size_t parcel_bytes;
    uint64_t messages, lost;
};

int local_hub_open(struct local_hub **ret, uint64_t seed)
{
    struct local_hub *h = mem_zero(sizeof *h);

    if (h == NULL)
        return E_NOMEM;
    h->rng = rng_seed(seed);
    map_init(&h->channels, rng_u64(&h->rng));
    map_init(&h->keys, rng_u64(&h->rng));
    heap_init(&h->due_keys);
    h->end = &h->first;
    *ret = h;
    return 0;
}

static struct client *find_client(struct local_hub *h, uint32_t id)
{
    for (uint32_t i = 0; i < LOCAL_CLIENTS_MAX && id != 0; i++) {
        if (h->client[i].id == id)
            return &h->client[i];
    }
    return NULL;
}

uint32_t local_hub_join(struct local_hub *h, bool framed)
{
    for (uint32_t i = 0; i < LOCAL_CLIENTS_MAX; i++) {
        struct client *c = &h->client[i];
        if (c->id != 0)
            continue;
        *c = (struct client){.id = ++h->last_id, .framed = framed};
        local_line_init(&c->line);
        if (c->line.out.failed) {
            local_line_fini(&c->line);
            c->id = 0;
            return 0;
        }
        map_init(&c->channels, rng_u64(&h->rng));
        h->client_n++;
        return c->id;
    }
    return 0;
}

static void forget_channel(struct local_hub *h, struct channel *ch)
{
    (void)map_take(&h->channels, bytes_str(ch->name));
    mem_free(ch->listener);
    mem_free(ch);
}

static void unlisten(struct local_hub *h, struct channel *ch, uint32_t client)
{
    for (uint32_t i = 0; i < ch->listener_n; i++) {
        if (ch->listener[i] == client)
            ch->listener[i--] = ch->listener[--ch->listener_n];
    }
    if (ch->listener_n == 0)
        forget_channel(h, ch);
}

void local_hub_leave(struct local_hub *h, uint32_t client)
{
    struct client *c = find_client(h, client);
    uint32_t at = 0;
    void *value;

    if (c == NULL)
        return;
    while (map_next(&c->channels, &at, NULL, &value))
        unlisten(h, value, client);
    map_fini(&c->channels);
    local_line_fini(&c->line);
    *c = (struct client){0};
    h->client_n--;
}

static void drop_key(struct local_hub *h, struct key *k)
{
    heap_remove(&h->due_keys, &k->due);
    (void)map_take(&h->keys, bytes_str(k->name));
    mem_free(k);
}

void local_hub_free(struct local_hub *h)
{
    struct parcel *next;
    struct heap_node *n;

    if (h == NULL)
        return;
    for (uint32_t i = 0; i < LOCAL_CLIENTS_MAX; i++)
        local_hub_leave(h, h->client[i].id);
    while ((n = heap_first(&h->due_keys)) != NULL)
        drop_key(h, OWNER_OF(n, struct key, due));
    for (struct parcel *p = h->first; p != NULL; p = next) {
        next = p->next;
        mem_free(p);
    }
    mem_free(h->lent);
    map_fini(&h->channels);
    map_fini(&h->keys);
    heap_fini(&h->due_keys);
    mem_free(h);
}

/* ---- what clients want ---- */

static void tell(struct local_hub *h, struct client *c, const struct bus_news *news)
{
    size_t name_n = news->name != NULL ? strlen(news->name) + 1 : 1;
    size_t bytes = sizeof(struct parcel) + name_n + news->data.len;
    struct parcel *p;

    if (c->framed) {
        settle(&c->line);
        if (c->line.out.len > LOCAL_QUEUE_BYTES_MAX)
            c->failed = E_LIMIT; /* it does not read */
        else
            put_news(&c->line.out, news);
        if (c->line.out.failed)
            c->failed = E_NOMEM;
        return;
    }
    if (bytes > LOCAL_QUEUE_BYTES_MAX - h->parcel_bytes || (p = mem_zero(bytes)) == NULL) {
        h->lost++;
        return;
    }
    char *name = (char *)(p + 1);
    if (news->name != NULL)
        memcpy(name, news->name, name_n);
    if (news->data.len > 0)
        memcpy(name + name_n, news->data.p, news->data.len);
    p->client = c->id;
    p->news = *news;
    p->news.name = name;
    p->news.data = bytes_of(name + name_n, news->data.len);
    p->bytes = bytes;
    h->parcel_bytes += bytes;
    *h->end = p;
    h->end = &p->next;
}

static struct channel *make_channel(struct local_hub *h, const char *name)
{
    size_t n = strlen(name) + 1;
    struct channel *ch;

    if (h->channels.used >= LOCAL_CHANNELS_MAX || (ch = mem_zero(sizeof *ch + n)) == NULL)
        return NULL;
    memcpy(ch->name, name, n);
    if (map_put(&h->channels, bytes_str(name), ch))
        return ch;
    mem_free(ch);
    return NULL;
}

static bool add_listener(struct channel *ch, uint32_t client)
{
    if (ch->listener_n == ch->cap) {
        uint32_t cap = ch->cap == 0 ? 2 : ch->cap * 2;
        uint32_t *grown = mem_resize(ch->listener, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        ch->listener = grown;
        ch->cap = cap;
    }
    ch->listener[ch->listener_n++] = client;
    return true;
}

/* A client that cannot be given what it subscribes to is closed: it would wait in vain. */
static int subscribe(struct local_hub *h, struct client *c, const char *name)
{
    struct channel *ch = map_find(&h->channels, bytes_str(name));

    if (map_find(&c->channels, bytes_str(name)) != NULL)
        return 0;
    if (c->channels.used >= LOCAL_SUBSCRIPTIONS_MAX)
        return E_LIMIT;
    if (ch == NULL && (ch = make_channel(h, name)) == NULL)
        return h->channels.used >= LOCAL_CHANNELS_MAX ? E_LIMIT : E_NOMEM;
    bool ok = add_listener(ch, c->id);
    if (ok && map_put(&c->channels, bytes_str(name), ch))
        return 0;
    unlisten(h, ch, c->id);
    return E_NOMEM;
}

static void publish(struct local_hub *h, const struct bus_op *op)
{
    const struct channel *ch = map_find(&h->channels, bytes_str(op->name));
    struct bus_news news = {.kind = BUS_MESSAGE, .name = op->name, .data = op->data};

    h->messages++;
    if (ch == NULL) {
        h->lost++;
        return;
    }
    for (uint32_t i = 0; i < ch->listener_n; i++)
        tell(h, find_client(h, ch->listener[i]), &news);
}

static bool set_nx(struct local_hub *h, const struct bus_op *op, us_t now)
{
    struct key *k;

    if (map_find(&h->keys, bytes_str(op->name)) != NULL || h->keys.used >= LOCAL_KEYS_MAX ||
        (k = mem_zero(sizeof *k)) == NULL)
        return false;
    (void)str_copy(k->name, sizeof k->name, bytes_str(op->name)); /* read into such a field */
    if (map_put(&h->keys, bytes_str(op->name), k) &&
        heap_set(&h->due_keys, &k->due, now + op->ttl_ms * US_PER_MS))
        return true;
    drop_key(h, k);
    return false;
}

static int perform(struct local_hub *h, struct client *c, const struct bus_op *op, us_t now)
{
    struct channel *ch;

    local_hub_tick(h, now);
    switch (op->kind) {
    case BUS_PUBLISH:
        publish(h, op);
        return 0;
    case BUS_SUBSCRIBE:
        return subscribe(h, c, op->name);
    case BUS_UNSUBSCRIBE:
        if ((ch = map_take(&c->channels, bytes_str(op->name))) != NULL)
            unlisten(h, ch, c->id);
        return 0;
    case BUS_SET_NX:
        tell(h, c,
             &(struct bus_news){.kind = BUS_SET_DONE, .tag = op->tag, .won = set_nx(h, op, now)});
        return 0;
    }
    return E_MALFORMED;
}

int local_hub_input(struct local_hub *h, uint32_t client, struct bytes in, us_t now)
{
    struct client *c = find_client(h, client);
    struct bus_op op;
    struct rd r;
    uint8_t kind;
    int err;

    if (c == NULL)
        return E_CLOSED;
    assert(c->framed);
    err = local_line_input(&c->line, in);
    while (err == 0 && line_frame(&c->line, &kind, &r)) {
        if (!past_hello(&c->line, kind, &r))
            continue;
        err = read_op(&r, kind, c->line.name, &op) ? perform(h, c, &op, now) : E_MALFORMED;
    }
    sweep(&c->line);
    if (err == 0)
        err = c->line.failed;
    if (err != 0)
        local_hub_leave(h, client);
    return err;
}

void local_hub_op(struct local_hub *h, uint32_t client, const struct bus_op *op, us_t now)
{
    struct client *c = find_client(h, client);

    if (c == NULL)
        return;
    assert(!c->framed);
    (void)perform(h, c, op, now); /* a subscription too many: its owner's limits are lower */
}

/* ---- out ---- */

static bool next_parcel(struct local_hub *h, struct local_out *out)
{
    mem_free(h->lent);
    h->lent = h->first;
    if (h->lent == NULL)
        return false;
    h->first = h->lent->next;
    if (h->first == NULL)
        h->end = &h->first;
    h->parcel_bytes -= h->lent->bytes;
    *out = (struct local_out){
        .kind = LOCAL_OUT_NEWS, .client = h->lent->client, .news = h->lent->news};
    return true;
}

bool local_hub_output(struct local_hub *h, struct local_out *out)
{
    if (next_parcel(h, out))
        return true;
    for (; h->turn < LOCAL_CLIENTS_MAX; h->turn++) {
        struct client *c = &h->client[h->turn];
        if (c->id == 0 || !c->framed)
            continue;
        if (c->failed != 0) {
            *out =
                (struct local_out){.kind = LOCAL_OUT_CLOSE, .client = c->id, .reason = c->failed};
            local_hub_leave(h, c->id);
            return true;
        }
        struct bytes data;
        if (local_line_output(&c->line, &data)) {
            *out = (struct local_out){.kind = LOCAL_OUT_BYTES, .client = c->id, .data = data};
            return true;
        }
    }
    h->turn = 0;
    return false;
}

void local_hub_tick(struct local_hub *h, us_t now)
{
    struct heap_node *n;

    while ((n = heap_first(&h->due_keys)) != NULL && n->at <= now)
        drop_key(h, OWNER_OF(n, struct key, due));
}

void local_hub_get_counts(const struct local_hub *h, struct local_counts *out)
{
    *out = (struct local_counts){.clients = h->client_n,
                                 .channels = h->channels.used,
                                 .keys = h->keys.used,
                                 .messages = h->messages,
                                 .lost = h->lost};
}
