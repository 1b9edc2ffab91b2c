#include "api/twirp.h"

#include "base/json.h"

#include "livekit_models.pb-c.h"
#include "livekit_room.pb-c.h"

#include <stdarg.h>
#include <stdio.h>

#define PREFIX "/twirp/"

static const struct {
    const char *name;
    int status;
} codes[] = {
    [TWIRP_CANCELED] = {"canceled", 408},
    [TWIRP_UNKNOWN] = {"unknown", 500},
    [TWIRP_INVALID_ARGUMENT] = {"invalid_argument", 400},
    [TWIRP_MALFORMED] = {"malformed", 400},
    [TWIRP_DEADLINE_EXCEEDED] = {"deadline_exceeded", 408},
    [TWIRP_NOT_FOUND] = {"not_found", 404},
    [TWIRP_BAD_ROUTE] = {"bad_route", 404},
    [TWIRP_ALREADY_EXISTS] = {"already_exists", 409},
    [TWIRP_PERMISSION_DENIED] = {"permission_denied", 403},
    [TWIRP_UNAUTHENTICATED] = {"unauthenticated", 401},
    [TWIRP_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
    [TWIRP_FAILED_PRECONDITION] = {"failed_precondition", 412},
    [TWIRP_ABORTED] = {"aborted", 409},
    [TWIRP_OUT_OF_RANGE] = {"out_of_range", 400},
    [TWIRP_UNIMPLEMENTED] = {"unimplemented", 501},
    [TWIRP_INTERNAL] = {"internal", 500},
    [TWIRP_UNAVAILABLE] = {"unavailable", 503},
    [TWIRP_DATA_LOSS] = {"data_loss", 500},
};

#define ROOMS(id, name, in, out)                                                                   \
    [id] = {"livekit.RoomService", name, id, &livekit__##in##__descriptor,                         \
            &livekit__##out##__descriptor}

const struct twirp_method twirp_rooms[ROOMS_METHODS] = {
    ROOMS(ROOMS_CREATE_ROOM, "CreateRoom", create_room_request, room),
    ROOMS(ROOMS_LIST_ROOMS, "ListRooms", list_rooms_request, list_rooms_response),
    ROOMS(ROOMS_DELETE_ROOM, "DeleteRoom", delete_room_request, delete_room_response),
    ROOMS(ROOMS_LIST_PARTICIPANTS, "ListParticipants", list_participants_request,
          list_participants_response),
    ROOMS(ROOMS_GET_PARTICIPANT, "GetParticipant", room_participant_identity, participant_info),
    ROOMS(ROOMS_REMOVE_PARTICIPANT, "RemoveParticipant", room_participant_identity,
          remove_participant_response),
    ROOMS(ROOMS_MUTE_PUBLISHED_TRACK, "MutePublishedTrack", mute_room_track_request,
          mute_room_track_response),
    ROOMS(ROOMS_UPDATE_PARTICIPANT, "UpdateParticipant", update_participant_request,
          participant_info),
    ROOMS(ROOMS_UPDATE_SUBSCRIPTIONS, "UpdateSubscriptions", update_subscriptions_request,
          update_subscriptions_response),
    ROOMS(ROOMS_SEND_DATA, "SendData", send_data_request, send_data_response),
    ROOMS(ROOMS_UPDATE_ROOM_METADATA, "UpdateRoomMetadata", update_room_metadata_request, room),
    ROOMS(ROOMS_FORWARD_PARTICIPANT, "ForwardParticipant", forward_participant_request,
          forward_participant_response),
    ROOMS(ROOMS_MOVE_PARTICIPANT, "MoveParticipant", move_participant_request,
          move_participant_response),
    ROOMS(ROOMS_PERFORM_RPC, "PerformRpc", perform_rpc_request, perform_rpc_response),
};

/* ---- errors ---- */

void twirp_fail(struct twirp_error *err, enum twirp_code code, const char *fmt, ...)
{
    va_list ap;

    err->code = code;
    err->meta_n = 0;
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, ap); /* may be cut */
    va_end(ap);
}

void twirp_fail_wrapped(struct twirp_error *err, enum twirp_code code, const char *text)
{
    twirp_fail(err, code, "twirp error unknown: %s", text);
}

void twirp_fail_grant(struct twirp_error *err)
{
    twirp_fail(err, TWIRP_UNAUTHENTICATED, "permissions denied");
}

void twirp_add_meta(struct twirp_error *err, const char *key, const char *value)
{
    if (err->meta_n == TWIRP_META_MAX)
        return;
    err->meta[err->meta_n].key = key;
    (void)snprintf(err->meta[err->meta_n].value, TWIRP_META_VALUE_MAX, "%s",
                   value); /* may be cut */
    err->meta_n++;
}

struct twirp_head twirp_refuse(const struct twirp_error *err, struct str *body)
{
    str_printf(body, "{\"code\":\"%s\",\"msg\":", codes[err->code].name);
    json_add_text(body, bytes_str(err->text));
    for (uint32_t i = 0; i < err->meta_n; i++) {
        str_add(body, i == 0 ? ",\"meta\":{" : ",");
        json_add_text(body, bytes_str(err->meta[i].key));
        str_add_char(body, ':');
        json_add_text(body, bytes_str(err->meta[i].value));
    }
    str_add(body, err->meta_n > 0 ? "}}" : "}");
    return (struct twirp_head){.status = codes[err->code].status,
                               .content_type = "application/json"};
}

/* ---- a call ---- */

static enum twirp_got bad_route(struct twirp_error *err, const struct http_msg *m, const char *fmt,
                                const char *what)
{
    char text[TWIRP_TEXT_MAX], route[TWIRP_META_VALUE_MAX];

    (void)snprintf(text, sizeof text, fmt, what);                     /* may be cut */
    (void)snprintf(route, sizeof route, "%s %s", m->method, m->path); /* may be cut */
    twirp_fail(err, TWIRP_BAD_ROUTE, "%s", text);
    twirp_add_meta(err, "twirp_invalid_route", route);
    return TWIRP_ERROR;
}

static enum twirp_got malformed(struct twirp_error *err, bool json, const char *cause)
{
    twirp_fail(err, TWIRP_MALFORMED, "the %s request could not be decoded",
               json ? "json" : "protobuf");
    twirp_add_meta(err, "cause", cause);
    return TWIRP_ERROR;
}

/* Finds the row of "/twirp/SERVICE/METHOD"; *known says whether the service is in the table. */
static const struct twirp_method *find(const struct twirp_method *table, size_t n, const char *path,
                                       bool *known)
{
    const char *service = path + strlen(PREFIX), *slash;

    *known = false;
    if (strncmp(path, PREFIX, strlen(PREFIX)) != 0)
        return NULL;
    slash = strchr(service, '/');
    if (slash == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!bytes_eq_str(bytes_of(service, (size_t)(slash - service)), table[i].service))
            continue;
        *known = true;
        if (strcmp(slash + 1, table[i].name) == 0)
            return &table[i];
    }
    return NULL;
}

/* The media type without parameters and blanks. */
static struct bytes media_type(const struct http_msg *m)
{
    const char *type = http_header_get(m, "content-type");
    size_t n = type ? strcspn(type, ";") : 0;

    while (n > 0 && (type[n - 1] == ' ' || type[n - 1] == '\t'))
        n--;
    return bytes_of(type ? type : "", n);
}

enum twirp_got twirp_route(const struct twirp_method *table, size_t table_n,
                           const struct http_msg *m, struct arena *a, struct twirp_call *call,
                           struct twirp_error *err)
{
    const char *timeout = http_header_get(m, "x-twirp-timeout-ms");
    struct pb_why why = {.text = "the message is malformed or too large"};
    uint64_t ms = 0;
    bool known;

    const struct twirp_method *method = find(table, table_n, m->path, &known);
    if (!known)
        return TWIRP_NOT_OURS;
    if (strcmp(m->method, "POST") != 0)
        return bad_route(err, m, "unsupported method \"%s\" (only POST is allowed)", m->method);
    if (method == NULL)
        return bad_route(err, m, "no handler for path \"%s\"", m->path);

    struct bytes type = media_type(m);
    bool json = str_ieq(type, "application/json");
    if (!json && !str_ieq(type, "application/protobuf")) {
        const char *said = http_header_get(m, "content-type");
        return bad_route(err, m, "unexpected Content-Type: \"%s\"", said ? said : "");
    }
    ProtobufCMessage *request = json ? pb_json_read(a, method->request, m->body, &why)
                                     : pb_unpack(a, method->request, m->body);
    if (request == NULL)
        return malformed(err, json, why.text);
    if (timeout != NULL)
        (void)str_to_u64(bytes_str(timeout), UINT32_MAX, &ms); /* nonsense is as good as none */
    *call = (struct twirp_call){
        .method = method,
        .json = json,
        .request = request,
        .timeout_ms = (uint32_t)ms,
    };
    return TWIRP_CALL;
}

static void add_message(const struct twirp_call *call, const ProtobufCMessage *m, struct str *body)
{
    if (call->json)
        pb_json_write(m, PB_JSON_TWIRP, body);
    else
        pb_pack(m, body);
}

struct twirp_head twirp_answer(const struct twirp_call *call, const ProtobufCMessage *response,
                               struct str *body)
{
    struct arena a;

    arena_init(&a, 1 << 16);
    if (response == NULL)
        response = pb_new(&a, call->method->response);
    if (response != NULL) {
        assert(response->descriptor == call->method->response);
        add_message(call, response, body);
    }
    arena_fini(&a);
    if (response == NULL || body->failed) {
        struct twirp_error err;
        twirp_fail(&err, TWIRP_INTERNAL, "out of memory");
        str_clear(body);
        return twirp_refuse(&err, body);
    }
    return (struct twirp_head){
        .status = 200,
        .content_type = call->json ? "application/json" : "application/protobuf",
    };
}
