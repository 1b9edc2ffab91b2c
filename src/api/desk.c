#include "api/desk.h"

#include "api/answer.h"
#include "api/ingress_check.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#include "sluice_io.pb-c.h"

enum { ARENA_BYTES = 64 << 20 };

enum desk_method { CREATE, UPDATE, LIST, DELETE, LIST_CHANNELS, ROTATE };

static const struct twirp_method table[] = {
    {"livekit.Ingress", "CreateIngress", CREATE, &livekit__create_ingress_request__descriptor,
     &livekit__ingress_info__descriptor},
    {"livekit.Ingress", "UpdateIngress", UPDATE, &livekit__update_ingress_request__descriptor,
     &livekit__ingress_info__descriptor},
    {"livekit.Ingress", "ListIngress", LIST, &livekit__list_ingress_request__descriptor,
     &livekit__list_ingress_response__descriptor},
    {"livekit.Ingress", "DeleteIngress", DELETE, &livekit__delete_ingress_request__descriptor,
     &livekit__ingress_info__descriptor},
    {"sluice.Channels", "ListChannels", LIST_CHANNELS, &sluice__list_channels_request__descriptor,
     &sluice__list_channels_response__descriptor},
    {"sluice.Channels", "RotateKey", ROTATE, &sluice__rotate_key_request__descriptor,
     &livekit__ingress_info__descriptor},
};

/* An HTTP call that waits for the store (serial) or for a process on the bus (ask). */
struct pending {
    struct pending *next;
    uint64_t conn, serial;
    psrpc_id ask;
    const struct twirp_method *method;
    bool json;
    char ingress_id[INGRESS_ID_MAX];
    struct str answer; /* the IngressInfo, when a process is being stopped */
};

struct desk {
    struct hub *hub;
    struct ingress_book *book;
    struct psrpc *bus;
    struct ioinfo io;
    struct ports ports;
    struct pending *pending;
    uint32_t pending_n;
    uint64_t calls, refused;
};

/* ---- answers ---- */

static const struct {
    enum psrpc_code psrpc;
    enum twirp_code twirp;
} meaning[] = {
    {PSRPC_CANCELED, TWIRP_CANCELED},
    {PSRPC_INVALID_ARGUMENT, TWIRP_INVALID_ARGUMENT},
    {PSRPC_MALFORMED_REQUEST, TWIRP_MALFORMED},
    {PSRPC_DEADLINE_EXCEEDED, TWIRP_DEADLINE_EXCEEDED},
    {PSRPC_NOT_FOUND, TWIRP_NOT_FOUND},
    {PSRPC_ALREADY_EXISTS, TWIRP_ALREADY_EXISTS},
    {PSRPC_PERMISSION_DENIED, TWIRP_PERMISSION_DENIED},
    {PSRPC_RESOURCE_EXHAUSTED, TWIRP_RESOURCE_EXHAUSTED},
    {PSRPC_FAILED_PRECONDITION, TWIRP_FAILED_PRECONDITION},
    {PSRPC_ABORTED, TWIRP_ABORTED},
    {PSRPC_OUT_OF_RANGE, TWIRP_OUT_OF_RANGE},
    {PSRPC_UNIMPLEMENTED, TWIRP_UNIMPLEMENTED},
    {PSRPC_INTERNAL, TWIRP_INTERNAL},
    {PSRPC_UNAVAILABLE, TWIRP_UNAVAILABLE},
    {PSRPC_DATA_LOSS, TWIRP_DATA_LOSS},
    {PSRPC_UNAUTHENTICATED, TWIRP_UNAUTHENTICATED},
};

static enum twirp_code twirp_of(enum psrpc_code code)
{
    for (size_t i = 0; i < ARRAY_LEN(meaning); i++) {
        if (meaning[i].psrpc == code)
            return meaning[i].twirp;
    }
    return TWIRP_UNKNOWN;
}

static void fail(struct desk *d, struct rooms_call *call, enum twirp_code code, const char *text)
{
    struct twirp_error err = {0};

    d->refused++;
    twirp_fail_wrapped(&err, code, text);
    answer_refuse(call, &err);
}

/* What the book says to a change that it does not take. */
static void fail_book(struct desk *d, struct rooms_call *call, int err)
{
    switch (err) {
    case E_NOENT:
        fail(d, call, TWIRP_NOT_FOUND, "ingress does not exist");
        break;
    case E_NOT_ALLOWED:
        fail(d, call, TWIRP_INVALID_ARGUMENT,
             "the default channel cannot be deleted; disable it, or make a new key");
        break;
    case E_LIMIT:
        fail(d, call, TWIRP_RESOURCE_EXHAUSTED, "too many ingresses, or changes under way");
        break;
    case E_INVAL:
        fail(d, call, TWIRP_INVALID_ARGUMENT, "this ingress has no stream key");
        break;
    default:
        fail(d, call, TWIRP_INTERNAL, err_text(err));
    }
}

/* ---- calls under way ---- */

static struct pending *remember(struct desk *d, struct rooms_call *call, const char *ingress_id)
{
    struct pending *p;

    if (d->pending_n >= DESK_WAITING_MAX || (p = mem_zero(sizeof *p)) == NULL)
        return NULL;
    p->conn = call->conn;
    p->method = call->twirp.method;
    p->json = call->twirp.json;
    (void)str_copy(p->ingress_id, sizeof p->ingress_id, bytes_str(ingress_id)); /* fits */
    str_init(&p->answer, 2 * INGRESS_BYTES_MAX);
    p->next = d->pending;
    d->pending = p;
    d->pending_n++;
    return p;
}

static struct pending *take(struct desk *d, uint64_t serial, psrpc_id ask)
{
    for (struct pending **at = &d->pending; *at != NULL; at = &(*at)->next) {
        struct pending *p = *at;
        if ((serial == 0 || p->serial != serial) && (ask == 0 || p->ask != ask))
            continue;
        *at = p->next;
        d->pending_n--;
        return p;
    }
    return NULL;
}

static void drop(struct pending *p)
{
    if (p->answer.p != NULL)
        mem_wipe(p->answer.p, p->answer.len);
    str_fini(&p->answer);
    mem_free(p);
}

static void forget(struct desk *d, struct pending *p)
{
    struct pending **at = &d->pending;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    d->pending_n--;
    drop(p);
}

/* A call to answer a remembered request with. */
static struct rooms_call call_of(struct desk *d, const struct pending *p, struct arena *a)
{
    return (struct rooms_call){.hub = d->hub,
                               .conn = p->conn,
                               .arena = a,
                               .twirp = {.method = p->method, .json = p->json}};
}

/* The change is asked for: its answer comes when the store has it. */
static void wait_store(struct desk *d, struct rooms_call *call, int err, uint64_t serial,
                       const char *id)
{
    struct pending *p = err == 0 ? remember(d, call, id) : NULL;

    if (p != NULL)
        p->serial = serial;
    else
        fail_book(d, call, err != 0 ? err : E_LIMIT);
}

/* ---- create ---- */

static void copy_optional(Livekit__IngressInfo *info, bool has_transcoding, bool transcoding,
                          bool has_enabled, bool enabled)
{
    if (has_transcoding) {
        info->_enable_transcoding_case =
            LIVEKIT__INGRESS_INFO___ENABLE_TRANSCODING_ENABLE_TRANSCODING;
        info->enable_transcoding = transcoding;
    }
    if (has_enabled) {
        info->_enabled_case = LIVEKIT__INGRESS_INFO___ENABLED_ENABLED;
        info->enabled = enabled;
    }
}

/* Unset: what comes by WHIP is passed through, the rest is transcoded. */
static void settle_transcoding(Livekit__IngressInfo *info)
{
    if (info->_enable_transcoding_case !=
        LIVEKIT__INGRESS_INFO___ENABLE_TRANSCODING_ENABLE_TRANSCODING) {
        info->_enable_transcoding_case =
            LIVEKIT__INGRESS_INFO___ENABLE_TRANSCODING_ENABLE_TRANSCODING;
        info->enable_transcoding = info->input_type != LIVEKIT__INGRESS_INPUT__WHIP_INPUT;
    }
    info->bypass_transcoding = !info->enable_transcoding;
}

static void fill_new(struct desk *d, Livekit__IngressInfo *info,
                     const Livekit__CreateIngressRequest *q)
{
    bool pull = q->input_type == LIVEKIT__INGRESS_INPUT__URL_INPUT;

    info->name = q->name;
    info->url = pull ? q->url : pb_text(ingress_base_url(d->book, q->input_type));
    info->input_type = q->input_type;
    info->audio = q->audio;
    info->video = q->video;
    info->room_name = q->room_name;
    info->participant_identity = q->participant_identity;
    info->participant_name = q->participant_name;
    info->participant_metadata = q->participant_metadata;
    info->reusable = !pull;
    copy_optional(info,
                  q->_enable_transcoding_case ==
                      LIVEKIT__CREATE_INGRESS_REQUEST___ENABLE_TRANSCODING_ENABLE_TRANSCODING,
                  q->enable_transcoding,
                  q->_enabled_case == LIVEKIT__CREATE_INGRESS_REQUEST___ENABLED_ENABLED,
                  q->enabled);
}

/* A worker begins to pull, and has it stored itself. */
static void launch(struct desk *d, struct rooms_call *call, Livekit__IngressInfo *info,
                   struct tick tick)
{
    Livekit__IngressState state = LIVEKIT__INGRESS_STATE__INIT;
    Rpc__StartIngressRequest q = RPC__START_INGRESS_REQUEST__INIT;
    struct psrpc_ask ask = {.method = &methods[METHOD_START_INGRESS],
                            .request = &q.base,
                            .timeout_us = DESK_START_US,
                            .affinity_max = 1};
    struct ingress draft = {.info = info};
    struct str token;

    str_init(&token, TOKEN_BYTES_MAX * 2);
    info->state = &state;
    q.info = info;
    q.ws_url = pb_text(ingress_ws_url(d->book));
    struct pending *p = NULL;
    if (ingress_token(d->book, &draft, tick, &token) == 0) {
        q.token = token.p;
        p = remember(d, call, info->ingress_id);
    }
    if (p == NULL || psrpc_request(d->bus, &ask, tick, &p->ask) != 0) {
        if (p != NULL)
            forget(d, p);
        fail(d, call, TWIRP_RESOURCE_EXHAUSTED, "too many calls under way");
    }
    info->state = NULL;
    str_fini(&token);
}

static void create(struct desk *d, struct rooms_call *call, struct tick tick)
{
    const Livekit__CreateIngressRequest *q = (void *)call->twirp.request;
    Livekit__IngressInfo info = LIVEKIT__INGRESS_INFO__INIT;
    bool pull = q->input_type == LIVEKIT__INGRESS_INPUT__URL_INPUT;
    char id[INGRESS_ID_MAX], key[INGRESS_KEY_MAX] = "";
    struct ingress_check_why why;
    uint64_t serial = 0;

    fill_new(d, &info, q);
    if (!pull && !ingress_new_key(INGRESS_KEY_CHARS, key)) {
        fail(d, call, TWIRP_INTERNAL, "the system gives no random bytes");
        return;
    }
    ingress_new_id(d->book, id);
    info.ingress_id = id;
    info.stream_key = key;
    if ((pull && !ingress_check_url(q->url, &why)) || !ingress_check(&info, pull, &why)) {
        fail(d, call, TWIRP_INVALID_ARGUMENT, why.text);
        return;
    }
    settle_transcoding(&info);
    if (pull) {
        launch(d, call, &info, tick);
        return;
    }
    int err = ingress_create(d->book, &info, &serial);
    wait_store(d, call, err, serial, id);
    mem_wipe(key, sizeof key);
}

/* ---- update, delete, rotate ---- */

static void keep_or(char **field, char *text)
{
    if (text[0] != '\0')
        *field = text;
}

static void update(struct desk *d, struct rooms_call *call)
{
    const Livekit__UpdateIngressRequest *q = (void *)call->twirp.request;
    const Livekit__IngressInfo *old = ingress_draft(d->book, q->ingress_id);
    struct ingress_check_why why;
    uint64_t serial = 0;

    if (old == NULL) {
        fail_book(d, call, E_NOENT);
        return;
    }
    if (!old->reusable) {
        fail(d, call, TWIRP_INVALID_ARGUMENT, "ingress is not reusable and cannot be modified");
        return;
    }
    Livekit__IngressInfo info = *old;
    keep_or(&info.name, q->name);
    keep_or(&info.room_name, q->room_name);
    keep_or(&info.participant_identity, q->participant_identity);
    keep_or(&info.participant_name, q->participant_name);
    keep_or(&info.participant_metadata, q->participant_metadata);
    if (q->audio != NULL)
        info.audio = q->audio;
    if (q->video != NULL)
        info.video = q->video;
    copy_optional(&info,
                  q->_enable_transcoding_case ==
                      LIVEKIT__UPDATE_INGRESS_REQUEST___ENABLE_TRANSCODING_ENABLE_TRANSCODING,
                  q->enable_transcoding,
                  q->_enabled_case == LIVEKIT__UPDATE_INGRESS_REQUEST___ENABLED_ENABLED,
                  q->enabled);
    if (!ingress_check(&info, false, &why)) {
        fail(d, call, TWIRP_INVALID_ARGUMENT, why.text);
        return;
    }
    settle_transcoding(&info);
    int err = ingress_update(d->book, &info, &serial);
    wait_store(d, call, err, serial, q->ingress_id);
}

static void delete_ingress(struct desk *d, struct rooms_call *call)
{
    const Livekit__DeleteIngressRequest *q = (void *)call->twirp.request;
    uint64_t serial = 0;

    int err = ingress_delete(d->book, q->ingress_id, &serial);
    wait_store(d, call, err, serial, q->ingress_id);
}

static void rotate(struct desk *d, struct rooms_call *call)
{
    const Sluice__RotateKeyRequest *q = (void *)call->twirp.request;
    uint64_t serial = 0;

    int err = ingress_rotate(d->book, q->ingress_id, &serial);
    wait_store(d, call, err, serial, q->ingress_id);
}

/* ---- lists ---- */

static void list(struct desk *d, struct rooms_call *call)
{
    const Livekit__ListIngressRequest *q = (void *)call->twirp.request;
    Livekit__ListIngressResponse r = LIVEKIT__LIST_INGRESS_RESPONSE__INIT;
    const struct ingress *one = ingress_by_id(d->book, q->ingress_id);

    if (q->ingress_id[0] != '\0' && one == NULL) {
        fail_book(d, call, E_NOENT);
        return;
    }
    r.items = arena_array(call->arena, ingress_count(d->book) + 1, sizeof *r.items);
    bool ok = r.items != NULL;
    for (const struct ingress *i = ingress_next(d->book, NULL); ok && i != NULL;
         i = ingress_next(d->book, i)) {
        if ((one != NULL && i != one) || (one == NULL && q->room_name[0] != '\0' &&
                                          strcmp(i->info->room_name, q->room_name) != 0))
            continue;
        r.items[r.n_items] = ingress_info(i, call->arena);
        ok = r.items[r.n_items] != NULL;
        r.n_items += ok;
    }
    if (ok)
        answer_reply(call, &r.base);
    else
        fail(d, call, TWIRP_RESOURCE_EXHAUSTED, "the answer is too large; ask for one room");
}

static Sluice__Channel *channel_of(const struct ingress *i, struct arena *a)
{
    Sluice__Channel *c = pb_new(a, &sluice__channel__descriptor);
    bool ftl = i->fallback || i->info->input_type == LIVEKIT__INGRESS_INPUT__RTMP_INPUT;

    if (c == NULL)
        return NULL;
    c->ingress_id = i->info->ingress_id;
    c->channel_id = i->channel;
    c->any_protocol = i->fallback;
    if (ftl && (c->ftl_key = arena_printf(a, "%u-%s", i->channel, i->info->stream_key)) == NULL)
        return NULL;
    return c;
}

static void list_channels(struct desk *d, struct rooms_call *call)
{
    const Sluice__ListChannelsRequest *q = (void *)call->twirp.request;
    Sluice__ListChannelsResponse r = SLUICE__LIST_CHANNELS_RESPONSE__INIT;

    r.items = arena_array(call->arena, ingress_count(d->book) + 1, sizeof *r.items);
    bool ok = r.items != NULL;
    for (const struct ingress *i = ingress_next(d->book, NULL); ok && i != NULL;
         i = ingress_next(d->book, i)) {
        if (q->ingress_id[0] != '\0' && strcmp(q->ingress_id, i->info->ingress_id) != 0)
            continue;
        r.items[r.n_items] = channel_of(i, call->arena);
        ok = r.items[r.n_items] != NULL;
        r.n_items += ok;
    }
    if (ok)
        answer_reply(call, &r.base);
    else
        fail(d, call, TWIRP_RESOURCE_EXHAUSTED, "the answer is too large");
}

/* ---- dispatch ---- */

static bool may(struct rooms_call *call)
{
    const struct token_video *v = answer_grants(call);

    if (v != NULL && v->ingress_admin)
        return true;
    answer_deny(call);
    return false;
}

static void run(struct desk *d, struct rooms_call *call, struct tick tick)
{
    d->calls++;
    if (call->twirp.method->id == CREATE) { /* the original looks at this first */
        const Livekit__CreateIngressRequest *q = (void *)call->twirp.request;
        if ((unsigned)q->input_type > LIVEKIT__INGRESS_INPUT__URL_INPUT) {
            fail(d, call, TWIRP_INVALID_ARGUMENT, "invalid ingress type");
            return;
        }
    }
    if (!may(call))
        return;
    switch ((enum desk_method)call->twirp.method->id) {
    case CREATE:
        create(d, call, tick);
        break;
    case UPDATE:
        update(d, call);
        break;
    case LIST:
        list(d, call);
        break;
    case DELETE:
        delete_ingress(d, call);
        break;
    case LIST_CHANNELS:
        list_channels(d, call);
        break;
    case ROTATE:
        rotate(d, call);
        break;
    }
}

bool desk_serve(struct desk *d, struct rooms_call *call, const struct http_msg *req,
                struct tick tick)
{
    struct twirp_error err = {0};

    switch (twirp_route(table, ARRAY_LEN(table), req, call->arena, &call->twirp, &err)) {
    case TWIRP_CALL:
        run(d, call, tick);
        return true;
    case TWIRP_ERROR:
        answer_refuse(call, &err);
        return true;
    case TWIRP_NOT_OURS:
        break;
    }
    return false;
}

/* ---- what was waited for ---- */

/* Tells the process that has it on air to end that; false: nothing is under way. */
static bool stop_elsewhere(struct desk *d, struct pending *p, const struct ingress_done *done,
                           struct tick tick)
{
    Livekit__UpdateIngressRequest u = LIVEKIT__UPDATE_INGRESS_REQUEST__INIT;
    Livekit__DeleteIngressRequest q = LIVEKIT__DELETE_INGRESS_REQUEST__INIT;
    bool deleted = done->kind == INGRESS_DELETED;
    struct psrpc_ask ask = {.topic = done->ingress_id,
                            .method =
                                &methods[deleted ? METHOD_DELETE_INGRESS : METHOD_UPDATE_INGRESS],
                            .request = deleted ? &q.base : &u.base};
    psrpc_id id = 0;

    if (!done->on_air || done->local)
        return false;
    u.ingress_id = q.ingress_id = pb_text(done->ingress_id);
    if (p != NULL)
        pb_pack(&done->info->base, &p->answer);
    if (psrpc_request(d->bus, &ask, tick, &id) != 0 || p == NULL || p->answer.failed)
        return false;
    p->ask = id;
    p->serial = 0;
    return true;
}

static void reply_info(struct desk *d, struct pending *p, const Livekit__IngressInfo *info,
                       struct arena *a)
{
    struct rooms_call call = call_of(d, p, a);

    if (p->method->id != DELETE || info->state == NULL) {
        answer_reply(&call, &info->base);
        return;
    }
    Livekit__IngressState state = *info->state;
    Livekit__IngressInfo gone = *info;
    state.status = LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE;
    gone.state = &state;
    answer_reply(&call, &gone.base);
}

static void change_done(struct desk *d, const struct ingress_done *done, struct tick tick)
{
    struct pending *p = take(d, done->serial, 0);
    bool under_way = done->err == 0 && stop_elsewhere(d, p, done, tick);
    struct arena a;

    if (done->err != 0)
        outbox_log(&d->hub->out, LOG_LEVEL_ERROR, "event=ingress_store ingress=%s error=\"%s\"",
                   done->ingress_id, err_text(done->err));
    if (p == NULL)
        return;
    if (under_way) {
        p->next = d->pending;
        d->pending = p;
        d->pending_n++;
        return;
    }
    arena_init(&a, ARENA_BYTES);
    if (done->err == 0) {
        reply_info(d, p, done->info, &a);
    } else {
        struct rooms_call call = call_of(d, p, &a);
        fail_book(d, &call, done->err);
    }
    arena_fini(&a);
    drop(p);
}

/* The process has stopped it, or is not there any more. */
static void stop_done(struct desk *d, struct pending *p, const struct psrpc_event *ev,
                      struct tick tick)
{
    struct ingress *i = ingress_by_id(d->book, p->ingress_id);
    struct arena a;

    if (ev->kind == PSRPC_EVT_FAILED && ev->code == PSRPC_UNAVAILABLE && i != NULL)
        ingress_session_lost(d->book, i, tick);
    arena_init(&a, ARENA_BYTES);
    const Livekit__IngressInfo *info =
        pb_unpack(&a, &livekit__ingress_info__descriptor, str_bytes(&p->answer));
    struct rooms_call call = call_of(d, p, &a);
    if (info != NULL)
        reply_info(d, p, info, &a);
    else
        fail(d, &call, TWIRP_INTERNAL, "out of memory");
    arena_fini(&a);
}

static void bus_answer(struct desk *d, const struct psrpc_event *ev, struct tick tick)
{
    struct pending *p = take(d, 0, ev->id);
    struct arena a;

    if (p == NULL)
        return; /* a session stopped for a call on the bus */
    if (p->method->id != CREATE) {
        stop_done(d, p, ev, tick);
        drop(p);
        return;
    }
    arena_init(&a, 1 << 20);
    struct rooms_call call = call_of(d, p, &a);
    if (ev->kind == PSRPC_EVT_ANSWER)
        answer_reply(&call, ev->message);
    else
        fail(d, &call, twirp_of(ev->code), ev->text);
    arena_fini(&a);
    drop(p);
}

static void drain(struct desk *d, struct tick tick)
{
    struct ingress_done done;
    struct psrpc_event ev;

    while (ingress_done(d->book, &done)) {
        if (ioinfo_done(&d->io, &done, tick))
            (void)stop_elsewhere(d, NULL, &done, tick); /* nobody waits for that */
        else
            change_done(d, &done, tick);
    }
    while (psrpc_event(d->bus, &ev)) {
        if (!ioinfo_event(&d->io, &ev, tick) && !ports_event(&d->ports, &ev))
            bus_answer(d, &ev, tick);
    }
}

void desk_bus_news(struct desk *d, const struct bus_news *news, struct tick tick)
{
    psrpc_input(d->bus, news, tick);
    drain(d, tick);
}

void desk_bus_left(struct desk *d, struct tick tick)
{
    ioinfo_left(&d->io, tick.now);
    ports_left(&d->ports);
}

void desk_stored(struct desk *d, uint64_t serial, int err, struct tick tick)
{
    ingress_stored(d->book, serial, err);
    drain(d, tick);
}

void desk_tick(struct desk *d, struct tick tick)
{
    psrpc_tick(d->bus, tick);
    ioinfo_tick(&d->io, tick);
    drain(d, tick);
}

us_t desk_deadline(const struct desk *d)
{
    return us_min(psrpc_deadline(d->bus), ioinfo_deadline(&d->io));
}

bool desk_bus_op(struct desk *d, struct bus_op *op)
{
    return psrpc_output(d->bus, op);
}

bool desk_store_op(struct desk *d, struct store_op *op)
{
    return ingress_store_op(d->book, op);
}

/* ---- life ---- */

int desk_open(struct desk **ret, const struct ingress_cfg *cfg, struct hub *hub)
{
    struct desk *d = mem_zero(sizeof *d);

    if (d == NULL)
        return E_NOMEM;
    d->hub = hub;
    int err = ingress_open(&d->book, cfg);
    if (err == 0)
        err = psrpc_open(&d->bus, cfg->seed + 1);
    if (err == 0)
        err = ioinfo_init(&d->io, d->book, d->bus, cfg->seed + 2);
    ports_init(&d->ports, hub, d->bus);
    d->io.ports = &d->ports;
    if (err != 0) {
        desk_free(d);
        return err;
    }
    *ret = d;
    return 0;
}

void desk_free(struct desk *d)
{
    if (d == NULL)
        return;
    while (d->pending != NULL) {
        struct pending *p = d->pending;
        d->pending = p->next;
        drop(p);
    }
    ioinfo_fini(&d->io);
    psrpc_free(d->bus);
    ingress_free(d->book);
    mem_free(d);
}

struct ingress_book *desk_book(struct desk *d)
{
    return d->book;
}

struct ports *desk_ports(struct desk *d)
{
    return &d->ports;
}

void desk_metrics(const struct desk *d, struct str *out)
{
    struct psrpc_counts n;
    uint32_t on_air = 0;

    psrpc_get_counts(d->bus, &n);
    for (const struct ingress *i = ingress_next(d->book, NULL); i != NULL;
         i = ingress_next(d->book, i))
        on_air += ingress_on_air(i);
    str_printf(out,
               "# TYPE sluice_ingresses gauge\nsluice_ingresses %u\n"
               "# TYPE sluice_ingresses_on_air gauge\nsluice_ingresses_on_air %u\n"
               "# TYPE sluice_ingress_calls_total counter\nsluice_ingress_calls_total %llu\n"
               "# TYPE sluice_bus_dropped_total counter\nsluice_bus_dropped_total %llu\n"
               "# TYPE sluice_bus_refused_total counter\nsluice_bus_refused_total %llu\n",
               ingress_count(d->book), on_air, (unsigned long long)d->calls,
               (unsigned long long)n.dropped, (unsigned long long)n.refused);
}
