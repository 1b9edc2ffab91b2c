#include "room/dispatch.h"

#include "base/mem.h"
#include "base/str.h"
#include "wire/pb.h"

void dispatch_free(struct dispatch *d)
{
    if (d == NULL)
        return;
    arena_fini(&d->arena);
    mem_free(d);
}

static Livekit__AgentDispatch *describe(struct dispatch *d, struct room *r,
                                        const Livekit__RoomAgentDispatch *what)
{
    Livekit__AgentDispatch *info = pb_new(&d->arena, &livekit__agent_dispatch__descriptor);
    const Livekit__RoomAgentDispatch *own = pb_clone(&d->arena, &what->base);
    char id[ROOM_SID_MAX];

    if (info == NULL || own == NULL)
        return NULL;
    str_id(id, sizeof id, "AD_", &r->house->rng);
    info->id = arena_dup_str(&d->arena, id);
    info->room = arena_dup_str(&d->arena, r->name);
    info->state = pb_new(&d->arena, &livekit__agent_dispatch_state__descriptor);
    if (info->id == NULL || info->room == NULL || info->state == NULL)
        return NULL;
    info->state->created_at = (r->house->tick.now + r->house->tick.wall_off_us) * 1000; /* ns */
    info->agent_name = own->agent_name;
    info->metadata = own->metadata;
    info->restart_policy = own->restart_policy;
    info->deployment = own->deployment;
    info->n_attributes = own->n_attributes;
    info->attributes = arena_array(&d->arena, own->n_attributes + 1, sizeof *info->attributes);
    for (size_t i = 0; info->attributes != NULL && i < own->n_attributes; i++) {
        Livekit__AgentDispatch__AttributesEntry *e =
            pb_new(&d->arena, &livekit__agent_dispatch__attributes_entry__descriptor);
        if (e == NULL)
            return NULL;
        e->key = own->attributes[i]->key;
        e->value = own->attributes[i]->value;
        info->attributes[i] = e;
    }
    return info->attributes != NULL ? info : NULL;
}

int dispatch_add(struct room *r, const Livekit__RoomAgentDispatch *what, struct dispatch **ret)
{
    struct dispatch **tail = &r->dispatches;

    if (r->dispatch_n >= DISPATCHES_MAX)
        return E_LIMIT;
    struct dispatch *d = mem_zero(sizeof *d);
    if (d == NULL)
        return E_NOMEM;
    arena_init(&d->arena, DISPATCH_BYTES_MAX);
    d->info = describe(d, r, what);
    if (d->info == NULL) {
        dispatch_free(d);
        return E_NOMEM;
    }
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = d;
    r->dispatch_n++;
    r->dispatched = true;
    *ret = d;
    return 0;
}

struct dispatch *dispatch_first(struct room *r)
{
    Livekit__RoomAgentDispatch any = LIVEKIT__ROOM_AGENT_DISPATCH__INIT;
    struct dispatch *d;

    if (!r->dispatched && dispatch_add(r, &any, &d) != 0)
        return NULL;
    return r->dispatches;
}

struct dispatch *dispatch_find(struct room *r, const char *id)
{
    for (struct dispatch *d = dispatch_first(r); d != NULL; d = d->next)
        if (strcmp(d->info->id, id) == 0)
            return d;
    return NULL;
}

void dispatch_take(struct room *r, struct dispatch *d)
{
    struct dispatch **at = &r->dispatches;

    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    d->next = NULL;
    r->dispatch_n--;
}

void dispatch_fini(struct room *r)
{
    while (r->dispatches != NULL) {
        struct dispatch *d = r->dispatches;
        dispatch_take(r, d);
        dispatch_free(d);
    }
}
