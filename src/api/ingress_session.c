#include "api/ingress_session.h"

#include "base/err.h"

static int64_t wall_ns(struct tick tick)
{
    return (tick.now + tick.wall_off_us) * 1000;
}

int ingress_session_begin(struct ingress_book *b, struct ingress *i, struct tick tick)
{
    char *id;
    struct arena a;

    arena_init(&a, INGRESS_BYTES_MAX);
    Livekit__IngressState *s = pb_new(&a, &livekit__ingress_state__descriptor);
    if (s == NULL || (id = arena_zero(&a, INGRESS_ID_MAX)) == NULL) {
        arena_fini(&a);
        return E_NOMEM;
    }
    ingress_new_resource(b, i, id);
    s->status = LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_BUFFERING;
    s->resource_id = id;
    s->started_at = wall_ns(tick);
    if (s->started_at <= i->state->started_at)
        s->started_at = i->state->started_at + 1; /* the wall clock went back */
    s->updated_at = s->started_at;
    i->local = true;
    ingress_set_state(b, i, &a, s);
    return 0;
}

/* The session's ingress, with a copy of its state to change; NULL: another session, or none. */
static struct ingress *session_copy(const struct ingress_book *b, const char *ingress_id,
                                    const char *resource_id, struct arena *a,
                                    Livekit__IngressState **copy)
{
    struct ingress *i = ingress_by_id(b, ingress_id);

    if (i == NULL || !i->local || strcmp(i->state->resource_id, resource_id) != 0)
        return NULL;
    arena_init(a, INGRESS_BYTES_MAX);
    *copy = pb_clone(a, &i->state->base);
    if (*copy != NULL)
        return i;
    arena_fini(a);
    return NULL;
}

void ingress_session_live(struct ingress_book *b, const char *ingress_id, const char *resource_id,
                          const char *room_sid, struct tick tick)
{
    Livekit__IngressState *s;
    struct arena a;

    struct ingress *i = session_copy(b, ingress_id, resource_id, &a, &s);
    if (i == NULL)
        return;
    s->status = LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_PUBLISHING;
    s->room_id = arena_dup_str(&a, room_sid);
    if (s->room_id == NULL)
        s->room_id = pb_text("");
    s->updated_at = wall_ns(tick);
    ingress_set_state(b, i, &a, s);
}

/* The error of a state, cut at a whole character; the rest of the arena has room for it. */
static char *cut_error(struct arena *a, const char *text)
{
    size_t n = strnlen(text, INGRESS_ERROR_MAX - 1);

    while (n > 0 && !pb_text_ok(bytes_of(text, n)))
        n--;
    char *cut = arena_dup(a, bytes_of(text, n));
    return cut != NULL ? cut : pb_text("");
}

void ingress_session_end(struct ingress_book *b, const char *ingress_id, const char *resource_id,
                         const char *error, struct tick tick)
{
    Livekit__IngressState *s;
    struct arena a;

    struct ingress *i = session_copy(b, ingress_id, resource_id, &a, &s);
    if (i == NULL)
        return;
    bool failed = error != NULL && error[0] != '\0';
    s->status = failed ? LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_ERROR
                       : LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE;
    s->error = failed ? cut_error(&a, error) : pb_text("");
    s->ended_at = s->updated_at = wall_ns(tick);
    i->local = false;
    ingress_set_state(b, i, &a, s);
}

void ingress_session_lost(struct ingress_book *b, struct ingress *i, struct tick tick)
{
    struct arena a;

    if (!ingress_on_air(i) || i->local)
        return;
    arena_init(&a, INGRESS_BYTES_MAX);
    Livekit__IngressState *s = pb_clone(&a, &i->state->base);
    if (s == NULL) {
        arena_fini(&a);
        return;
    }
    s->status = LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE;
    s->error = cut_error(&a, "the ingress process ended");
    s->ended_at = wall_ns(tick); /* updated_at stays: what it says next counts again */
    ingress_set_state(b, i, &a, s);
}

enum psrpc_code ingress_session_report(struct ingress_book *b, const char *ingress_id,
                                       const Livekit__IngressState *state, const char **why)
{
    struct ingress *i = ingress_by_id(b, ingress_id);
    struct arena a;

    *why = "";
    if (i == NULL) {
        *why = "ingress does not exist";
        return PSRPC_NOT_FOUND;
    }
    if ((unsigned)state->status > LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_COMPLETE) {
        *why = "invalid ingress state";
        return PSRPC_INVALID_ARGUMENT;
    }
    if (state->started_at < i->state->started_at) {
        *why = "trying to ovewrite an ingress with an older version"; /* the original's words */
        return PSRPC_FAILED_PRECONDITION;
    }
    if (state->started_at == i->state->started_at && state->updated_at < i->state->updated_at)
        return PSRPC_OK; /* overtaken on its way */
    arena_init(&a, INGRESS_BYTES_MAX);
    Livekit__IngressState *s = pb_clone(&a, &state->base);
    if (s == NULL) {
        arena_fini(&a);
        *why = "the state is too large";
        return PSRPC_RESOURCE_EXHAUSTED;
    }
    if (strlen(s->error) >= INGRESS_ERROR_MAX)
        s->error = cut_error(&a, state->error);
    i->local = false;
    ingress_set_state(b, i, &a, s);
    return PSRPC_OK;
}
