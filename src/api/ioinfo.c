#include "api/ioinfo.h"

#include "api/ports.h"
#include "base/err.h"
#include "base/mem.h"

enum { ANSWER_BYTES_MAX = 4 * INGRESS_BYTES_MAX };

static const enum method served[] = {METHOD_CREATE_INGRESS, METHOD_GET_INGRESS_INFO,
                                     METHOD_UPDATE_INGRESS_STATE, METHOD_GET_CHANNEL,
                                     METHOD_ROTATE_KEY};

int ioinfo_init(struct ioinfo *io, struct ingress_book *book, struct psrpc *bus, uint64_t seed)
{
    *io = (struct ioinfo){.book = book, .bus = bus, .sweep_at = US_NEVER};
    map_init(&io->swept, seed);
    for (size_t i = 0; i < ARRAY_LEN(served); i++) {
        int err = psrpc_serve(bus, &methods[served[i]], "");
        if (err != 0)
            return err;
    }
    return 0;
}

void ioinfo_fini(struct ioinfo *io)
{
    map_fini(&io->swept);
}

/* ---- whose key, whose channel ---- */

/* An ingress without a room cannot be joined yet: no token. */
static char *token_of(const struct ioinfo *io, const struct ingress *i, struct arena *a,
                      struct tick tick)
{
    struct str text;
    char *copy = NULL;

    if (i->info->room_name[0] == '\0' || i->info->participant_identity[0] == '\0')
        return pb_text("");
    str_init(&text, TOKEN_BYTES_MAX * 2);
    if (ingress_token(io->book, i, tick, &text) == 0)
        copy = arena_dup(a, str_bytes(&text));
    str_fini(&text);
    return copy;
}

static void answer_info(struct ioinfo *io, psrpc_id call, const struct ingress *i, struct tick tick)
{
    Rpc__GetIngressInfoResponse__FeatureFlagsEntry any =
        RPC__GET_INGRESS_INFO_RESPONSE__FEATURE_FLAGS_ENTRY__INIT;
    Rpc__GetIngressInfoResponse__FeatureFlagsEntry *flags[] = {&any};
    Rpc__GetIngressInfoResponse r = RPC__GET_INGRESS_INFO_RESPONSE__INIT;
    struct arena a;

    if (i == NULL) {
        psrpc_refuse(io->bus, call, PSRPC_NOT_FOUND, "ingress does not exist", tick);
        return;
    }
    arena_init(&a, ANSWER_BYTES_MAX);
    r.info = ingress_info(i, &a);
    r.token = token_of(io, i, &a, tick);
    r.ws_url = pb_text(ingress_ws_url(io->book));
    if (i->fallback) {
        any.key = pb_text(ADMIT_ANY_PROTOCOL);
        any.value = pb_text("true");
        r.feature_flags = flags;
        r.n_feature_flags = 1;
    }
    if (r.info != NULL && r.token != NULL)
        psrpc_answer(io->bus, call, &r.base, tick);
    else
        psrpc_refuse(io->bus, call, PSRPC_RESOURCE_EXHAUSTED, "out of memory", tick);
    arena_fini(&a);
}

/* A stream that was asked for by number is in no book. */
static void answer_port(struct ioinfo *io, psrpc_id call, const struct ports_entry *e,
                        struct tick tick)
{
    Livekit__IngressInfo info = LIVEKIT__INGRESS_INFO__INIT;
    Livekit__IngressState state = LIVEKIT__INGRESS_STATE__INIT;
    struct ingress i = {.info = &info, .state = &state, .fallback = true};

    info.ingress_id = pb_text(e->id);
    info.name = info.room_name = info.participant_identity = info.participant_name =
        pb_text(e->room);
    info.reusable = true;
    answer_info(io, call, &i, tick);
}

static void get_info(struct ioinfo *io, const struct psrpc_event *ev, struct tick tick)
{
    const Rpc__GetIngressInfoRequest *q = ev->message;

    const struct ports_entry *e = io->ports != NULL ? ports_find(io->ports, q->ingress_id) : NULL;

    if (e != NULL)
        answer_port(io, ev->id, e, tick);
    else if (q->ingress_id[0] != '\0')
        answer_info(io, ev->id, ingress_by_id(io->book, q->ingress_id), tick);
    else if (q->stream_key[0] != '\0')
        answer_info(io, ev->id, ingress_by_key(io->book, bytes_str(q->stream_key)), tick);
    else
        psrpc_refuse(io->bus, ev->id, PSRPC_UNKNOWN,
                     "request needs to specify either IngressId or StreamKey", tick);
}

static void get_channel(struct ioinfo *io, const struct psrpc_event *ev, struct tick tick)
{
    const Sluice__GetChannelRequest *q = ev->message;

    answer_info(io, ev->id, ingress_by_channel(io->book, q->channel_id), tick);
}

/* ---- reports and changes ---- */

static void update_state(struct ioinfo *io, const struct psrpc_event *ev, struct tick tick)
{
    const Rpc__UpdateIngressStateRequest *q = ev->message;
    const char *why = "no state";
    enum psrpc_code code = PSRPC_INVALID_ARGUMENT;

    if (q->state != NULL)
        code = ingress_session_report(io->book, q->ingress_id, q->state, &why);
    if (code == PSRPC_OK)
        psrpc_answer(io->bus, ev->id, NULL, tick);
    else
        psrpc_refuse(io->bus, ev->id, code, why, tick);
}

/* The answer comes when the store has it. */
static void wait_for(struct ioinfo *io, const struct psrpc_event *ev, int err, uint64_t serial,
                     struct tick tick)
{
    if (err == 0 && io->waiting_n < IOINFO_WAITING_MAX) {
        io->waiting[io->waiting_n].serial = serial;
        io->waiting[io->waiting_n].call = ev->id;
        io->waiting[io->waiting_n++].info = ev->method == &methods[METHOD_ROTATE_KEY];
        return;
    }
    enum psrpc_code code = err == E_NOENT   ? PSRPC_NOT_FOUND
                           : err == E_EXIST ? PSRPC_ALREADY_EXISTS
                           : err == E_INVAL ? PSRPC_INVALID_ARGUMENT
                                            : PSRPC_RESOURCE_EXHAUSTED;
    psrpc_refuse(io->bus, ev->id, code,
                 err == E_NOENT ? "ingress does not exist" : err_text(err != 0 ? err : E_LIMIT),
                 tick);
}

/* What a worker has begun to pull. */
static void create(struct ioinfo *io, const struct psrpc_event *ev, struct tick tick)
{
    const Livekit__IngressInfo *info = ev->message;
    uint64_t serial = 0;

    int err = ingress_create(io->book, info, &serial);
    if (err == E_EXIST) /* told twice */
        psrpc_answer(io->bus, ev->id, NULL, tick);
    else
        wait_for(io, ev, err, serial, tick);
}

static void rotate(struct ioinfo *io, const struct psrpc_event *ev, struct tick tick)
{
    const Sluice__RotateKeyRequest *q = ev->message;
    uint64_t serial = 0;

    int err = ingress_rotate(io->book, q->ingress_id, &serial);
    wait_for(io, ev, err, serial, tick);
}

bool ioinfo_done(struct ioinfo *io, const struct ingress_done *done, struct tick tick)
{
    for (uint32_t i = 0; i < io->waiting_n; i++) {
        if (io->waiting[i].serial != done->serial)
            continue;
        psrpc_id call = io->waiting[i].call;
        bool info = io->waiting[i].info;
        io->waiting[i] = io->waiting[--io->waiting_n];
        if (done->err == 0)
            psrpc_answer(io->bus, call, info ? &done->info->base : NULL, tick);
        else
            psrpc_refuse(io->bus, call, PSRPC_INTERNAL, err_text(done->err), tick);
        return true;
    }
    return false;
}

/* ---- who is still on air ---- */

void ioinfo_left(struct ioinfo *io, us_t now)
{
    io->sweep_at = us_min(io->sweep_at, now + IOINFO_SWEEP_US);
}

static void begin_sweep(struct ioinfo *io, struct tick tick)
{
    Rpc__ListActiveIngressRequest q = RPC__LIST_ACTIVE_INGRESS_REQUEST__INIT;

    io->sweep_at = US_NEVER;
    io->sweep_from_ns = (tick.now + tick.wall_off_us) * 1000;
    if (io->sweep != 0)
        psrpc_forget(io->bus, io->sweep);
    io->sweep = 0;
    if (psrpc_request(
            io->bus,
            &(struct psrpc_ask){.method = &methods[METHOD_LIST_ACTIVE_INGRESS], .request = &q.base},
            tick, &io->sweep) != 0)
        io->sweep_at = tick.now + IOINFO_SWEEP_US; /* the bus is full: again later */
}

static void note_active(struct ioinfo *io, const Rpc__ListActiveIngressResponse *r)
{
    for (size_t i = 0; i < r->n_ingress_ids; i++) {
        if (!map_put(&io->swept, bytes_str(r->ingress_ids[i]), io))
            io->sweep_at = 0; /* not known whole: the next tick begins anew */
    }
    for (size_t i = 0; i < r->n_ingress_sessions; i++) {
        if (!map_put(&io->swept, bytes_str(r->ingress_sessions[i]->ingress_id), io))
            io->sweep_at = 0; /* the same */
    }
}

static void end_sweep(struct ioinfo *io, struct tick tick)
{
    struct ingress *next;

    for (struct ingress *i = ingress_next(io->book, NULL); i != NULL && io->sweep_at == US_NEVER;
         i = next) {
        next = ingress_next(io->book, i);
        if (ingress_on_air(i) && !i->local && i->state->updated_at < io->sweep_from_ns &&
            map_find(&io->swept, bytes_str(i->info->ingress_id)) == NULL)
            ingress_session_lost(io->book, i, tick);
    }
    io->sweep = 0;
    uint64_t seed = io->swept.seed;
    map_fini(&io->swept);
    map_init(&io->swept, seed);
}

bool ioinfo_event(struct ioinfo *io, const struct psrpc_event *ev, struct tick tick)
{
    if (ev->kind == PSRPC_EVT_CALL) {
        if (ev->method == &methods[METHOD_GET_INGRESS_INFO])
            get_info(io, ev, tick);
        else if (ev->method == &methods[METHOD_GET_CHANNEL])
            get_channel(io, ev, tick);
        else if (ev->method == &methods[METHOD_UPDATE_INGRESS_STATE])
            update_state(io, ev, tick);
        else if (ev->method == &methods[METHOD_CREATE_INGRESS])
            create(io, ev, tick);
        else
            rotate(io, ev, tick);
        return true;
    }
    if (io->sweep == 0 || ev->id != io->sweep)
        return false;
    if (ev->kind == PSRPC_EVT_ANSWER)
        note_active(io, ev->message);
    else
        end_sweep(io, tick);
    return true;
}

void ioinfo_tick(struct ioinfo *io, struct tick tick)
{
    if (tick.now >= io->sweep_at)
        begin_sweep(io, tick);
}

us_t ioinfo_deadline(const struct ioinfo *io)
{
    return io->sweep_at;
}
