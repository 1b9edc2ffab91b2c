#include "bus/psrpc.h"

#include "base/err.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/mem.h"
#include "bus/frame.h"
#include "crypt/hash.h"

#include "psrpc.pb-c.h"

#include <stdio.h>

enum {
    SERVICES_MAX = 16,                      /* that we ask; the table has fewer */
    EXPIRY_US_MAX = 300 * (int64_t)1000000, /* a caller may make us remember his call so long */
    CLIENT_ID_MAX = 128,                    /* bytes; the original's have 16 */
};

/* ---- what the machine holds ---- */

/* A request of ours. */
struct ask {
    struct heap_node due;
    psrpc_id id;
    char request_id[PSRPC_ID_MAX];
    const struct psrpc_method *method;
    char topic[PSRPC_TOPIC_MAX];
    bool choosing;  /* claims are being collected */
    us_t select_at; /* then the best claim wins */
    us_t expires_at;
    us_t short_circuit_us;
    float affinity_max, affinity; /* of the best claim */
    char server_id[CLIENT_ID_MAX];
    uint32_t claim_n;
    enum psrpc_code code; /* an error that came before a claim */
    char text[PSRPC_ERROR_TEXT_MAX];
};

enum call_state {
    CALL_QUEUED,  /* waits to learn whether the message is ours */
    CALL_ASKED,   /* waits for the owner's affinity */
    CALL_CLAIMED, /* waits for the caller's choice */
    CALL_RUNNING, /* the owner answers */
};

/* Somebody's call of a method that we serve. */
struct call {
    struct heap_node due;
    psrpc_id id;
    enum call_state state;
    const struct psrpc_method *method;
    char topic[PSRPC_TOPIC_MAX];
    char request_id[CLIENT_ID_MAX], client_id[CLIENT_ID_MAX];
    uint32_t tag; /* of the key asked for */
    us_t expires_at;
    struct str request;
};

/* A method and topic that we serve, or a service that we ask. */
struct served {
    const struct psrpc_method *method;
    char topic[PSRPC_TOPIC_MAX];
};

enum route_kind { ROUTE_REQUEST, ROUTE_CHOICE, ROUTE_CLAIM, ROUTE_ANSWER };

/* What a channel is to us. */
struct route {
    enum route_kind kind;
    struct served *served; /* REQUEST, CHOICE */
};

struct item {
    struct item *next;
    struct bus_op op; /* name and data point behind the item */
    size_t bytes;
};

struct fact {
    struct fact *next;
    struct psrpc_event ev;
    struct arena arena;
};

struct psrpc {
    struct rng rng;
    char client_id[PSRPC_ID_MAX], server_id[PSRPC_ID_MAX];
    psrpc_id last_id;
    uint32_t last_tag;
    struct map asks, asks_by_text; /* by psrpc_id; by request id */
    struct map calls;              /* by psrpc_id */
    struct map calls_by_tag, calls_by_text;
    struct map routes; /* by channel */
    struct heap due_asks, due_calls;
    const char *service[SERVICES_MAX];
    uint32_t service_n, served_n;
    struct item *out_first, **out_end, *out_lent;
    size_t out_bytes;
    struct fact *ev_first, **ev_end, *ev_lent;
    uint64_t dropped, refused;
    struct tick tick;
};

/* ---- output and events ---- */

static bool put_op(struct psrpc *p, const struct bus_op *op)
{
    size_t name_n = strlen(op->name) + 1, bytes = sizeof(struct item) + name_n + op->data.len;
    struct item *it;

    if (bytes > PSRPC_OUTPUT_BYTES_MAX - p->out_bytes || (it = mem_zero(bytes)) == NULL) {
        p->refused++;
        return false;
    }
    char *name = (char *)(it + 1);
    memcpy(name, op->name, name_n);
    if (op->data.len > 0)
        memcpy(name + name_n, op->data.p, op->data.len);
    it->op = *op;
    it->op.name = name;
    it->op.data = bytes_of(name + name_n, op->data.len);
    it->bytes = bytes;
    p->out_bytes += bytes;
    *p->out_end = it;
    p->out_end = &it->next;
    return true;
}

bool psrpc_output(struct psrpc *p, struct bus_op *op)
{
    mem_free(p->out_lent);
    p->out_lent = p->out_first;
    if (p->out_lent == NULL)
        return false;
    p->out_first = p->out_lent->next;
    if (p->out_first == NULL)
        p->out_end = &p->out_first;
    p->out_bytes -= p->out_lent->bytes;
    *op = p->out_lent->op;
    return true;
}

/* In its frame, on the channel of these parts. */
static bool publish(struct psrpc *p, const char *const *part, size_t n, const ProtobufCMessage *m)
{
    char channel[BUS_CHANNEL_MAX];
    struct str frame;

    str_init(&frame, BUS_MESSAGE_MAX);
    frame_pack(m, &frame);
    bool ok =
        !frame.failed && frame_channel(channel, part, n) &&
        put_op(p,
               &(struct bus_op){.kind = BUS_PUBLISH, .name = channel, .data = str_bytes(&frame)});
    str_fini(&frame);
    return ok;
}

/* An event whose message is read from `body`; false when it cannot be. */
static bool put_event(struct psrpc *p, const struct psrpc_event *ev,
                      const ProtobufCMessageDescriptor *d, struct bytes body)
{
    struct fact *f = mem_zero(sizeof *f);

    if (f == NULL)
        return false;
    arena_init(&f->arena, (size_t)BUS_MESSAGE_MAX * (PB_UNFOLD + 1));
    f->ev = *ev;
    f->ev.topic = arena_dup_str(&f->arena, ev->topic);
    f->ev.text = ev->text != NULL ? arena_dup_str(&f->arena, ev->text) : "";
    f->ev.message = d != NULL ? pb_unpack(&f->arena, d, body) : NULL;
    if (f->ev.topic == NULL || f->ev.text == NULL || (d != NULL && f->ev.message == NULL)) {
        arena_fini(&f->arena);
        mem_free(f);
        return false;
    }
    *p->ev_end = f;
    p->ev_end = &f->next;
    return true;
}

static void drop_fact(struct fact *f)
{
    if (f == NULL)
        return;
    arena_fini(&f->arena);
    mem_free(f);
}

bool psrpc_event(struct psrpc *p, struct psrpc_event *ev)
{
    drop_fact(p->ev_lent);
    p->ev_lent = p->ev_first;
    if (p->ev_lent == NULL)
        return false;
    p->ev_first = p->ev_lent->next;
    if (p->ev_first == NULL)
        p->ev_end = &p->ev_first;
    *ev = p->ev_lent->ev;
    return true;
}

/* ---- subscriptions ---- */

static void drop_route(struct psrpc *p, const char *channel)
{
    mem_free(map_take(&p->routes, bytes_str(channel)));
}

static int add_route(struct psrpc *p, const char *const *part, size_t n, struct route r)
{
    char channel[BUS_CHANNEL_MAX];
    struct route *copy;

    if (!frame_channel(channel, part, n))
        return E_TOO_LARGE;
    if (map_find(&p->routes, bytes_str(channel)) != NULL)
        return E_EXIST;
    if ((copy = mem_zero(sizeof *copy)) == NULL)
        return E_NOMEM;
    *copy = r;
    if (!map_put(&p->routes, bytes_str(channel), copy)) {
        mem_free(copy);
        return E_NOMEM;
    }
    if (!put_op(p, &(struct bus_op){.kind = BUS_SUBSCRIBE, .name = channel})) {
        drop_route(p, channel);
        return E_NOMEM;
    }
    return 0;
}

/* The route's served entry, which the caller frees with its last route; NULL: no such route. */
static struct served *end_route(struct psrpc *p, const char *const *part, size_t n)
{
    char channel[BUS_CHANNEL_MAX];

    if (!frame_channel(channel, part, n))
        return NULL;
    struct route *r = map_find(&p->routes, bytes_str(channel));
    if (r == NULL)
        return NULL;
    struct served *s = r->served;
    (void)put_op(p, &(struct bus_op){.kind = BUS_UNSUBSCRIBE, .name = channel}); /* full: we hear
                                                                       and drop what comes */
    drop_route(p, channel);
    return s;
}

/* Claims and answers of a service come to us from its first request on. */
static int hear_service(struct psrpc *p, const char *service)
{
    const char *claims[] = {service, p->client_id, "CLAIM"};
    const char *answers[] = {service, p->client_id, "RES"};

    for (uint32_t i = 0; i < p->service_n; i++) {
        if (strcmp(p->service[i], service) == 0)
            return 0;
    }
    if (p->service_n == SERVICES_MAX)
        return E_LIMIT;
    int err = add_route(p, claims, 3, (struct route){.kind = ROUTE_CLAIM});
    if (err != 0)
        return err;
    err = add_route(p, answers, 3, (struct route){.kind = ROUTE_ANSWER});
    if (err != 0) {
        (void)end_route(p, claims, 3); /* nothing hangs on it */
        return err;
    }
    p->service[p->service_n++] = service;
    return 0;
}

int psrpc_serve(struct psrpc *p, const struct psrpc_method *method, const char *topic)
{
    const char *requests[] = {method->service, method->name, topic, "REQ"};
    const char *choices[] = {method->service, method->name, topic, "RCLAIM"};
    struct served *s;

    if (p->served_n == PSRPC_SERVED_MAX)
        return E_LIMIT;
    if ((s = mem_zero(sizeof *s)) == NULL)
        return E_NOMEM;
    s->method = method;
    int err = str_copy(s->topic, sizeof s->topic, bytes_str(topic)) ? 0 : E_TOO_LARGE;
    if (err == 0)
        err = add_route(p, requests, 4, (struct route){.kind = ROUTE_REQUEST, .served = s});
    if (err == 0 && (method->flags & PSRPC_CLAIM)) {
        err = add_route(p, choices, 4, (struct route){.kind = ROUTE_CHOICE, .served = s});
        if (err != 0)
            (void)end_route(p, requests, 4); /* s is freed below */
    }
    if (err != 0) {
        mem_free(s);
        return err;
    }
    p->served_n++;
    return 0;
}

void psrpc_unserve(struct psrpc *p, const struct psrpc_method *method, const char *topic)
{
    const char *requests[] = {method->service, method->name, topic, "REQ"};
    const char *choices[] = {method->service, method->name, topic, "RCLAIM"};

    struct served *s = end_route(p, requests, 4);
    if (s == NULL)
        return;
    if (method->flags & PSRPC_CLAIM)
        (void)end_route(p, choices, 4); /* the same entry */
    mem_free(s);
    p->served_n--;
}

void psrpc_connected(struct psrpc *p)
{
    struct item *old = p->out_first, *next;
    struct bytes key;
    uint32_t at = 0;
    void *value;

    p->out_first = NULL;
    p->out_end = &p->out_first;
    p->out_bytes = 0;
    while (map_next(&p->routes, &at, &key, &value)) {
        char channel[BUS_CHANNEL_MAX];
        (void)str_copy(channel, sizeof channel, key); /* it came from such a field */
        (void)put_op(p, &(struct bus_op){.kind = BUS_SUBSCRIBE, .name = channel}); /* counted */
    }
    for (; old != NULL; old = next) {
        next = old->next;
        if (old->op.kind == BUS_PUBLISH || old->op.kind == BUS_SET_NX) {
            old->next = NULL;
            *p->out_end = old;
            p->out_end = &old->next;
            p->out_bytes += old->bytes;
        } else {
            mem_free(old);
        }
    }
}

/* ---- asking ---- */

static void drop_ask(struct psrpc *p, struct ask *a)
{
    heap_remove(&p->due_asks, &a->due);
    (void)map_take_u64(&p->asks, a->id);
    (void)map_take(&p->asks_by_text, bytes_str(a->request_id));
    mem_free(a);
}

/* It is in the heap since it was registered, so that no memory is asked for. */
static void plan_due(struct psrpc *p, struct ask *a, us_t at)
{
    bool inside = heap_set(&p->due_asks, &a->due, at);

    assert(inside);
}

static void end_ask(struct psrpc *p, struct ask *a, enum psrpc_code code, const char *text)
{
    (void)put_event(p,
                    &(struct psrpc_event){.kind = PSRPC_EVT_FAILED,
                                          .id = a->id,
                                          .method = a->method,
                                          .topic = a->topic,
                                          .code = code,
                                          .text = text},
                    NULL, bytes_of(NULL, 0)); /* no memory at all: the owner's own deadline */
    drop_ask(p, a);
}

static bool register_ask(struct psrpc *p, struct ask *a)
{
    if (!map_put_u64(&p->asks, a->id, a))
        return false;
    if (!map_put(&p->asks_by_text, bytes_str(a->request_id), a))
        return false;
    return heap_set(&p->due_asks, &a->due, us_min(a->select_at, a->expires_at));
}

static bool send_ask(struct psrpc *p, const struct ask *a, const struct psrpc_ask *q)
{
    const char *channel[] = {a->method->service, a->method->name, a->topic, "REQ"};
    Internal__Request r = INTERNAL__REQUEST__INIT;
    int64_t wall_us = p->tick.now + p->tick.wall_off_us;
    struct str body;

    str_init(&body, BUS_MESSAGE_MAX);
    pb_pack(q->request, &body);
    r.request_id = pb_text(a->request_id);
    r.client_id = p->client_id;
    r.sent_at = wall_us * 1000;
    r.expiry = (wall_us + (a->expires_at - p->tick.now)) * 1000;
    r.multi = (a->method->flags & PSRPC_MULTI) != 0;
    r.raw_request.data = (uint8_t *)body.p;
    r.raw_request.len = body.len;
    bool ok = !body.failed && publish(p, channel, 4, &r.base);
    str_fini(&body);
    return ok;
}

static void plan_ask(struct ask *a, const struct psrpc_ask *q, us_t now)
{
    us_t timeout = q->timeout_us > 0 ? q->timeout_us : PSRPC_TIMEOUT_US;

    a->expires_at = now + timeout;
    a->select_at = US_NEVER;
    a->choosing = (a->method->flags & PSRPC_CLAIM) != 0;
    if (!a->choosing)
        return;
    a->select_at = now + (q->affinity_us > 0 ? q->affinity_us : PSRPC_AFFINITY_US);
    a->short_circuit_us = q->short_circuit_us > 0 ? q->short_circuit_us : PSRPC_SHORT_CIRCUIT_US;
    a->affinity_max = q->affinity_max;
}

int psrpc_request(struct psrpc *p, const struct psrpc_ask *q, struct tick tick, psrpc_id *id)
{
    p->tick = tick;
    if (p->asks.used >= PSRPC_REQUESTS_MAX)
        return E_LIMIT;
    int err = hear_service(p, q->method->service);
    if (err != 0)
        return err;
    struct ask *a = mem_zero(sizeof *a);
    if (a == NULL)
        return E_NOMEM;
    a->method = q->method;
    a->id = ++p->last_id;
    str_id(a->request_id, sizeof a->request_id, "REQ_", &p->rng);
    if (!str_copy(a->topic, sizeof a->topic, bytes_str(q->topic != NULL ? q->topic : "")))
        err = E_TOO_LARGE;
    plan_ask(a, q, tick.now);
    if (err == 0 && !register_ask(p, a))
        err = E_NOMEM;
    if (err == 0 && !send_ask(p, a, q))
        err = E_TOO_LARGE; /* or no room in the output */
    if (err != 0) {
        drop_ask(p, a);
        return err;
    }
    *id = a->id;
    return 0;
}

void psrpc_forget(struct psrpc *p, psrpc_id id)
{
    struct ask *a = map_find_u64(&p->asks, id);

    if (a != NULL)
        drop_ask(p, a);
}

/* The time for claims is over, or a perfect one came. */
static void choose(struct psrpc *p, struct ask *a)
{
    const char *channel[] = {a->method->service, a->method->name, a->topic, "RCLAIM"};
    Internal__ClaimResponse c = INTERNAL__CLAIM_RESPONSE__INIT;
    char text[80];

    if (a->server_id[0] != '\0') {
        c.request_id = a->request_id;
        c.server_id = a->server_id;
        a->choosing = false;
        a->select_at = US_NEVER;
        if (!publish(p, channel, 4, &c.base))
            end_ask(p, a, PSRPC_INTERNAL, "the bus takes no more");
        else
            plan_due(p, a, a->expires_at);
        return;
    }
    if (a->claim_n > 0)
        (void)snprintf(text, sizeof text, "no servers available (received %u responses)",
                       a->claim_n);
    if (a->code != PSRPC_OK)
        end_ask(p, a, a->code, a->text);
    else
        end_ask(p, a, PSRPC_UNAVAILABLE, a->claim_n > 0 ? text : "no response from servers");
}

static void claim_came(struct psrpc *p, struct bytes frame, us_t now, struct arena *arena)
{
    Internal__ClaimRequest *c = frame_unpack(arena, &internal__claim_request__descriptor, frame);
    struct ask *a = c != NULL ? map_find(&p->asks_by_text, bytes_str(c->request_id)) : NULL;
    bool first = a != NULL && !(a->method->flags & PSRPC_AFFINITY);

    if (a == NULL || !a->choosing || strlen(c->server_id) >= sizeof a->server_id) {
        p->dropped++;
        return;
    }
    a->claim_n++;
    if (a->claim_n == 1)
        a->select_at = us_min(a->select_at, now + a->short_circuit_us);
    /* The first of equal ones keeps its place. */
    if (first || c->affinity > a->affinity) {
        (void)str_copy(a->server_id, sizeof a->server_id, bytes_str(c->server_id)); /* fits */
        a->affinity = c->affinity;
    }
    if (first || (a->affinity_max > 0 && a->affinity >= a->affinity_max))
        choose(p, a);
    else
        plan_due(p, a, us_min(a->select_at, a->expires_at));
}

static void answer_came(struct psrpc *p, struct bytes frame, struct arena *arena)
{
    Internal__Response *r = frame_unpack(arena, &internal__response__descriptor, frame);
    struct ask *a = r != NULL ? map_find(&p->asks_by_text, bytes_str(r->request_id)) : NULL;

    if (a == NULL) {
        p->dropped++;
        return;
    }
    bool failed = r->error[0] != '\0' || r->code[0] != '\0';
    if (a->choosing) { /* somebody could not read it; another may */
        if (failed && a->code == PSRPC_OK) {
            a->code = psrpc_code_of(r->code);
            (void)str_copy(a->text, sizeof a->text,
                           bytes_of(r->error, strnlen(r->error, sizeof a->text - 1)));
        }
        return;
    }
    struct psrpc_event ev = {
        .kind = PSRPC_EVT_ANSWER, .id = a->id, .method = a->method, .topic = a->topic};
    bool multi = (a->method->flags & PSRPC_MULTI) != 0;
    if (failed && multi)
        return; /* one of many; the others answer */
    if (failed)
        end_ask(p, a, r->code[0] != '\0' ? psrpc_code_of(r->code) : PSRPC_UNKNOWN, r->error);
    else if (put_event(p, &ev, a->method->response,
                       bytes_of(r->raw_response.data, r->raw_response.len))) {
        if (!multi)
            drop_ask(p, a);
    } else if (!multi)
        end_ask(p, a, PSRPC_MALFORMED_RESULT, "the answer cannot be read");
}

/* ---- serving ---- */

static void drop_call(struct psrpc *p, struct call *c)
{
    heap_remove(&p->due_calls, &c->due);
    (void)map_take_u64(&p->calls, c->id);
    (void)map_take_u64(&p->calls_by_tag, c->tag);
    (void)map_take(&p->calls_by_text, bytes_str(c->request_id));
    str_fini(&c->request);
    mem_free(c);
}

static bool register_call(struct psrpc *p, struct call *c)
{
    return map_put_u64(&p->calls, c->id, c) && map_put_u64(&p->calls_by_tag, c->tag, c) &&
           map_put(&p->calls_by_text, bytes_str(c->request_id), c) &&
           heap_set(&p->due_calls, &c->due, c->expires_at);
}

static void send_response(struct psrpc *p, const struct call *c, Internal__Response *r)
{
    const char *channel[] = {c->method->service, c->client_id, "RES"};

    r->request_id = pb_text(c->request_id);
    r->server_id = p->server_id;
    r->sent_at = (p->tick.now + p->tick.wall_off_us) * 1000;
    (void)publish(p, channel, 3, &r->base); /* lost: the caller's deadline says so */
}

static void refuse(struct psrpc *p, struct call *c, enum psrpc_code code, const char *text)
{
    Internal__Response r = INTERNAL__RESPONSE__INIT;
    char cut[PSRPC_ERROR_TEXT_MAX];
    size_t n = strnlen(text, sizeof cut - 1);

    while (!pb_text_ok(bytes_of(text, n)) && n > 0)
        n--; /* never half a character */
    (void)str_copy(cut, sizeof cut, bytes_of(text, n));
    r.error = n > 0 ? cut : pb_text(psrpc_code_text(code));
    r.code = pb_text(psrpc_code_text(code));
    send_response(p, c, &r);
    drop_call(p, c);
}

/* The owner's turn. */
static void run_call(struct psrpc *p, struct call *c, enum psrpc_event_kind kind)
{
    struct psrpc_event ev = {.kind = kind,
                             .id = c->id,
                             .method = c->method,
                             .topic = c->topic,
                             .expires_at = c->expires_at};

    c->state = kind == PSRPC_EVT_CALL ? CALL_RUNNING : CALL_ASKED;
    if (!put_event(p, &ev, c->method->request, str_bytes(&c->request)))
        refuse(p, c, PSRPC_MALFORMED_REQUEST, "the request cannot be read");
}

static void claim(struct psrpc *p, struct call *c, float affinity)
{
    const char *channel[] = {c->method->service, c->client_id, "CLAIM"};
    Internal__ClaimRequest r = INTERNAL__CLAIM_REQUEST__INIT;

    r.request_id = c->request_id;
    r.server_id = p->server_id;
    r.affinity = affinity;
    c->state = CALL_CLAIMED;
    if (!publish(p, channel, 3, &r.base))
        drop_call(p, c);
}

/* The message is ours to answer. */
static void take_call(struct psrpc *p, struct call *c)
{
    if (pb_check(c->method->request, str_bytes(&c->request)) != 0)
        refuse(p, c, PSRPC_MALFORMED_REQUEST, "the request cannot be read");
    else if (!(c->method->flags & PSRPC_CLAIM))
        run_call(p, c, PSRPC_EVT_CALL);
    else if (c->method->flags & PSRPC_AFFINITY)
        run_call(p, c, PSRPC_EVT_OFFER);
    else
        claim(p, c, 1);
}

static void ask_for_key(struct psrpc *p, struct call *c, struct bytes frame)
{
    uint8_t digest[HASH_SHA256_BYTES];
    struct str key;

    hash_sha256(frame, digest);
    str_init(&key, BUS_KEY_MAX - 1);
    str_add_base64(&key, bytes_of(digest, sizeof digest), false, true);
    c->state = CALL_QUEUED;
    if (key.failed || !put_op(p, &(struct bus_op){.kind = BUS_SET_NX,
                                                  .name = str_text(&key),
                                                  .tag = c->tag,
                                                  .ttl_ms = PSRPC_QUEUE_TTL_MS}))
        drop_call(p, c);
    str_fini(&key);
}

/* When nobody waits any longer, on our clock; `now` or before: expired. */
static us_t expiry_of(const Internal__Request *r, struct tick tick)
{
    int64_t at = r->expiry / 1000 - tick.wall_off_us;

    return us_min(at, tick.now + EXPIRY_US_MAX);
}

static void request_came(struct psrpc *p, const struct served *s, struct bytes frame,
                         struct tick tick, struct arena *arena)
{
    Internal__Request *r = frame_unpack(arena, &internal__request__descriptor, frame);
    struct call *c;

    if (r == NULL || expiry_of(r, tick) <= tick.now || p->calls.used >= PSRPC_CALLS_MAX ||
        strlen(r->request_id) >= sizeof c->request_id ||
        strlen(r->client_id) >= sizeof c->client_id ||
        map_find(&p->calls_by_text, bytes_str(r->request_id)) != NULL ||
        (c = mem_zero(sizeof *c)) == NULL) {
        p->dropped++;
        return;
    }
    c->id = ++p->last_id;
    c->tag = ++p->last_tag;
    c->method = s->method;
    c->expires_at = expiry_of(r, tick);
    memcpy(c->topic, s->topic, sizeof c->topic);
    (void)str_copy(c->request_id, sizeof c->request_id, bytes_str(r->request_id)); /* fits */
    (void)str_copy(c->client_id, sizeof c->client_id, bytes_str(r->client_id));    /* fits */
    str_init(&c->request, BUS_MESSAGE_MAX);
    if (r->raw_request.len > 0)
        str_add_bytes(&c->request, bytes_of(r->raw_request.data, r->raw_request.len));
    if (c->request.failed || !register_call(p, c)) {
        p->dropped++;
        drop_call(p, c);
    } else if (c->method->flags & PSRPC_QUEUE) {
        ask_for_key(p, c, frame);
    } else {
        take_call(p, c);
    }
}

static void choice_came(struct psrpc *p, struct bytes frame, struct arena *arena)
{
    Internal__ClaimResponse *r = frame_unpack(arena, &internal__claim_response__descriptor, frame);
    struct call *c = r != NULL ? map_find(&p->calls_by_text, bytes_str(r->request_id)) : NULL;

    if (c == NULL || c->state != CALL_CLAIMED) {
        p->dropped++; /* most are for other servers of the method */
        return;
    }
    if (strcmp(r->server_id, p->server_id) == 0)
        run_call(p, c, PSRPC_EVT_CALL);
    else
        drop_call(p, c);
}

static void key_came(struct psrpc *p, const struct bus_news *news)
{
    struct call *c = map_find_u64(&p->calls_by_tag, news->tag);

    if (c == NULL || c->state != CALL_QUEUED)
        return;
    if (news->won)
        take_call(p, c);
    else
        drop_call(p, c);
}

void psrpc_offer(struct psrpc *p, psrpc_id call, float affinity)
{
    struct call *c = map_find_u64(&p->calls, call);

    if (c == NULL || c->state != CALL_ASKED)
        return;
    if (affinity < 0)
        drop_call(p, c);
    else
        claim(p, c, affinity);
}

void psrpc_answer(struct psrpc *p, psrpc_id call, const ProtobufCMessage *response,
                  struct tick tick)
{
    struct call *c = map_find_u64(&p->calls, call);
    Internal__Response r = INTERNAL__RESPONSE__INIT;
    struct str body;

    p->tick = tick;
    if (c == NULL || c->state != CALL_RUNNING)
        return;
    assert(response == NULL || response->descriptor == c->method->response);
    str_init(&body, BUS_MESSAGE_MAX);
    if (response != NULL)
        pb_pack(response, &body);
    if (body.failed) {
        refuse(p, c, PSRPC_MALFORMED_RESULT, "the answer is too large");
    } else {
        r.raw_response.data = (uint8_t *)body.p;
        r.raw_response.len = body.len;
        send_response(p, c, &r);
        drop_call(p, c);
    }
    str_fini(&body);
}

void psrpc_refuse(struct psrpc *p, psrpc_id call, enum psrpc_code code, const char *text,
                  struct tick tick)
{
    struct call *c = map_find_u64(&p->calls, call);

    p->tick = tick;
    if (c != NULL && c->state == CALL_RUNNING)
        refuse(p, c, code, text);
}

/* ---- the machine ---- */

void psrpc_input(struct psrpc *p, const struct bus_news *news, struct tick tick)
{
    struct arena arena;

    p->tick = tick;
    if (news->kind == BUS_SET_DONE) {
        key_came(p, news);
        return;
    }
    const struct route *r = map_find(&p->routes, bytes_str(news->name));
    if (r == NULL || news->data.len > BUS_MESSAGE_MAX) {
        p->dropped++;
        return;
    }
    arena_init(&arena, (size_t)BUS_MESSAGE_MAX * 2 * (PB_UNFOLD + 1));
    if (r->kind == ROUTE_REQUEST)
        request_came(p, r->served, news->data, tick, &arena);
    else if (r->kind == ROUTE_CHOICE)
        choice_came(p, news->data, &arena);
    else if (r->kind == ROUTE_CLAIM)
        claim_came(p, news->data, tick.now, &arena);
    else
        answer_came(p, news->data, &arena);
    arena_fini(&arena);
}

void psrpc_tick(struct psrpc *p, struct tick tick)
{
    struct heap_node *n;

    p->tick = tick;
    while ((n = heap_first(&p->due_asks)) != NULL && n->at <= tick.now) {
        struct ask *a = OWNER_OF(n, struct ask, due);
        bool multi = (a->method->flags & PSRPC_MULTI) != 0;
        if (a->choosing)
            choose(p, a);
        else if (multi)
            end_ask(p, a, PSRPC_OK, "");
        else
            end_ask(p, a, PSRPC_DEADLINE_EXCEEDED, "request timed out");
    }
    while ((n = heap_first(&p->due_calls)) != NULL && n->at <= tick.now)
        drop_call(p, OWNER_OF(n, struct call, due));
}

us_t psrpc_deadline(const struct psrpc *p)
{
    return us_min(heap_deadline(&p->due_asks), heap_deadline(&p->due_calls));
}

int psrpc_open(struct psrpc **ret, uint64_t seed)
{
    struct psrpc *p = mem_zero(sizeof *p);

    if (p == NULL)
        return E_NOMEM;
    p->rng = rng_seed(seed);
    str_id(p->client_id, sizeof p->client_id, "CLI_", &p->rng);
    str_id(p->server_id, sizeof p->server_id, "SRV_", &p->rng);
    map_init(&p->asks, rng_u64(&p->rng));
    map_init(&p->asks_by_text, rng_u64(&p->rng));
    map_init(&p->calls, rng_u64(&p->rng));
    map_init(&p->calls_by_tag, rng_u64(&p->rng));
    map_init(&p->calls_by_text, rng_u64(&p->rng));
    map_init(&p->routes, rng_u64(&p->rng));
    heap_init(&p->due_asks);
    heap_init(&p->due_calls);
    p->out_end = &p->out_first;
    p->ev_end = &p->ev_first;
    *ret = p;
    return 0;
}

static void free_exchanges(struct psrpc *p)
{
    struct heap_node *n;

    while ((n = heap_first(&p->due_asks)) != NULL)
        drop_ask(p, OWNER_OF(n, struct ask, due));
    while ((n = heap_first(&p->due_calls)) != NULL)
        drop_call(p, OWNER_OF(n, struct call, due));
}

void psrpc_free(struct psrpc *p)
{
    struct bus_op op;
    struct psrpc_event ev;
    uint32_t at = 0;
    void *value;

    if (p == NULL)
        return;
    free_exchanges(p);
    while (psrpc_output(p, &op))
        ;
    while (psrpc_event(p, &ev))
        ;
    while (map_next(&p->routes, &at, NULL, &value)) {
        struct route *r = value;
        if (r->kind == ROUTE_REQUEST)
            mem_free(r->served);
        mem_free(r);
    }
    map_fini(&p->asks);
    map_fini(&p->asks_by_text);
    map_fini(&p->calls);
    map_fini(&p->calls_by_tag);
    map_fini(&p->calls_by_text);
    map_fini(&p->routes);
    heap_fini(&p->due_asks);
    heap_fini(&p->due_calls);
    mem_free(p);
}

void psrpc_get_counts(const struct psrpc *p, struct psrpc_counts *out)
{
    *out = (struct psrpc_counts){.requests = p->asks.used,
                                 .calls = p->calls.used,
                                 .served = p->served_n,
                                 .dropped = p->dropped,
                                 .refused = p->refused};
}
