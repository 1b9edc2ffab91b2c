#include "api/agents.h"

#include "api/answer.h"
#include "room/dispatch.h"

/* The room's node does not answer where there is no room (1.6). */
static struct room *need_room(struct rooms_call *call, const char *name)
{
    struct room *r = house_find(&call->hub->house, name);

    if (r == NULL)
        answer_fail(call, TWIRP_UNAVAILABLE, ANSWER_WRAPPED "no response from servers", NULL, NULL);
    return r;
}

static size_t attribute_bytes(const Livekit__CreateAgentDispatchRequest *q)
{
    size_t sum = 0;

    for (size_t i = 0; i < q->n_attributes; i++)
        sum += strlen(q->attributes[i]->key) + strlen(q->attributes[i]->value);
    return sum;
}

/* One message as the other: both are what an agent is asked for with. */
static bool describe(struct arena *a, const Livekit__CreateAgentDispatchRequest *q,
                     Livekit__RoomAgentDispatch *what)
{
    livekit__room_agent_dispatch__init(what);
    what->agent_name = q->agent_name;
    what->metadata = q->metadata;
    what->restart_policy = q->restart_policy;
    what->deployment = q->deployment;
    what->n_attributes = q->n_attributes;
    what->attributes = arena_array(a, q->n_attributes + 1, sizeof *what->attributes);
    for (size_t i = 0; what->attributes != NULL && i < q->n_attributes; i++) {
        Livekit__RoomAgentDispatch__AttributesEntry *e =
            pb_new(a, &livekit__room_agent_dispatch__attributes_entry__descriptor);
        if (e == NULL)
            return false;
        e->key = q->attributes[i]->key;
        e->value = q->attributes[i]->value;
        what->attributes[i] = e;
    }
    return what->attributes != NULL;
}

static void create_dispatch(struct rooms_call *call)
{
    Livekit__CreateAgentDispatchRequest *q = (void *)call->twirp.request;
    const struct room_limits *l = &call->hub->house.cfg.limits;
    Livekit__RoomAgentDispatch what;
    struct dispatch *d;
    struct room *r;

    if (!answer_is_admin(call, q->room))
        return;
    if (l->metadata_bytes != 0 && strlen(q->metadata) > l->metadata_bytes) {
        answer_fail(call, TWIRP_INVALID_ARGUMENT, ANSWER_WRAPPED "metadata size exceeds limits",
                    NULL, NULL);
        return;
    }
    if (l->attributes_bytes != 0 && attribute_bytes(q) > l->attributes_bytes) {
        answer_fail(call, TWIRP_INVALID_ARGUMENT, ANSWER_WRAPPED "attribute size exceeds limits",
                    NULL, NULL);
        return;
    }
    if (call->hub->cfg.auto_create && hub_room(call->hub, q->room, NULL, false, &r) != 0) {
        answer_fail(call, TWIRP_RESOURCE_EXHAUSTED,
                    ANSWER_WRAPPED "node has exceeded its configured limit", NULL, NULL);
        return;
    }
    if ((r = need_room(call, q->room)) == NULL)
        return;
    if (describe(call->arena, q, &what) && dispatch_first(r) != NULL &&
        dispatch_add(r, &what, &d) == 0)
        answer_reply(call, &d->info->base);
    else
        answer_fail(call, TWIRP_RESOURCE_EXHAUSTED, ANSWER_WRAPPED "too many dispatches", NULL,
                    NULL);
}

static void delete_dispatch(struct rooms_call *call)
{
    Livekit__DeleteAgentDispatchRequest *q = (void *)call->twirp.request;
    struct dispatch *d;
    struct room *r;

    if (!answer_is_admin(call, q->room) || (r = need_room(call, q->room)) == NULL)
        return;
    if ((d = dispatch_find(r, q->dispatch_id)) == NULL) {
        answer_fail(call, TWIRP_NOT_FOUND, ANSWER_WRAPPED "dispatch ID not found", NULL, NULL);
        return;
    }
    dispatch_take(r, d);
    answer_reply(call, &d->info->base);
    dispatch_free(d);
}

static void list_dispatch(struct rooms_call *call)
{
    Livekit__ListAgentDispatchRequest *q = (void *)call->twirp.request;
    Livekit__ListAgentDispatchResponse a = LIVEKIT__LIST_AGENT_DISPATCH_RESPONSE__INIT;
    struct room *r;

    if (!answer_is_admin(call, q->room) || (r = need_room(call, q->room)) == NULL)
        return;
    a.agent_dispatches = arena_array(call->arena, DISPATCHES_MAX, sizeof *a.agent_dispatches);
    for (struct dispatch *d = dispatch_first(r); a.agent_dispatches != NULL && d != NULL;
         d = d->next)
        if (*q->dispatch_id == '\0' || strcmp(q->dispatch_id, d->info->id) == 0)
            a.agent_dispatches[a.n_agent_dispatches++] = d->info;
    answer_reply(call, &a.base);
}

/* ---- dispatch ---- */

enum { CREATE_DISPATCH, DELETE_DISPATCH, LIST_DISPATCH, METHODS };

#define METHOD(id, name, in, out)                                                                  \
    [id] = {"livekit.AgentDispatchService", name, id, &livekit__##in##__descriptor,                \
            &livekit__##out##__descriptor}

static const struct twirp_method table[METHODS] = {
    METHOD(CREATE_DISPATCH, "CreateDispatch", create_agent_dispatch_request, agent_dispatch),
    METHOD(DELETE_DISPATCH, "DeleteDispatch", delete_agent_dispatch_request, agent_dispatch),
    METHOD(LIST_DISPATCH, "ListDispatch", list_agent_dispatch_request,
           list_agent_dispatch_response),
};

typedef void method_fn(struct rooms_call *call);

static method_fn *const methods[METHODS] = {
    [CREATE_DISPATCH] = create_dispatch,
    [DELETE_DISPATCH] = delete_dispatch,
    [LIST_DISPATCH] = list_dispatch,
};

bool agents_serve(struct rooms_call *call, const struct http_msg *req)
{
    struct twirp_error err = {0};

    switch (twirp_route(table, METHODS, req, call->arena, &call->twirp, &err)) {
    case TWIRP_CALL:
        methods[call->twirp.method->id](call);
        return true;
    case TWIRP_ERROR:
        answer_refuse(call, &err);
        return true;
    case TWIRP_NOT_OURS:
        break;
    }
    return false;
}
