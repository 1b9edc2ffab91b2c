#include "api/answer.h"

#include "wire/pb.h"

enum { ANSWER_BYTES_MAX = 64 << 20 };

static void put(struct rooms_call *call, struct twirp_head head, struct str *body)
{
    outbox_http(&call->hub->out, call->conn, head.status, head.content_type, str_bytes(body));
    str_fini(body);
}

void answer_reply(struct rooms_call *call, const ProtobufCMessage *m)
{
    struct str body;

    str_init(&body, ANSWER_BYTES_MAX);
    put(call, twirp_answer(&call->twirp, m, &body), &body);
}

void answer_refuse(struct rooms_call *call, const struct twirp_error *err)
{
    struct str body;

    str_init(&body, 1 << 16);
    put(call, twirp_refuse(err, &body), &body);
}

/* `meta_key` may be NULL. */
void answer_fail(struct rooms_call *call, enum twirp_code code, const char *msg,
                 const char *meta_key, const char *meta_value)
{
    struct twirp_error err = {0};

    twirp_fail(&err, code, "%s", msg);
    if (meta_key != NULL)
        twirp_add_meta(&err, meta_key, meta_value);
    answer_refuse(call, &err);
}

void answer_deny(struct rooms_call *call)
{
    struct twirp_error err = {0};

    twirp_fail_grant(&err);
    answer_refuse(call, &err);
}

const struct token_video *answer_grants(const struct rooms_call *call)
{
    return call->claims != NULL && call->claims->has_video ? &call->claims->video : NULL;
}

bool answer_is_admin(struct rooms_call *call, const char *room)
{
    const struct token_video *v = answer_grants(call);

    if (v != NULL && v->room_admin && strcmp(v->room, room) == 0)
        return true;
    answer_deny(call);
    return false;
}
