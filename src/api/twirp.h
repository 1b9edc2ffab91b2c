/* api/twirp.h - remote calls over HTTP: which method, in which encoding, and the answer.
 *
 * twirp_route() turns a request into a call with its message unpacked; whoever runs
 * it answers when he is ready, with twirp_answer() or twirp_refuse(), so a call may
 * wait for others.  Nothing is known here of tokens, rooms or time.
 *
 * Memory of a call lives in the arena given; texts of a table are static.
 */
#ifndef API_TWIRP_H
#define API_TWIRP_H

#include "wire/http.h"
#include "wire/pb_json.h"

enum {
    TWIRP_TEXT_MAX = 512,
    TWIRP_META_MAX = 2,
    TWIRP_META_VALUE_MAX = 384,
};

enum twirp_code {
    TWIRP_CANCELED,
    TWIRP_UNKNOWN,
    TWIRP_INVALID_ARGUMENT,
    TWIRP_MALFORMED,
    TWIRP_DEADLINE_EXCEEDED,
    TWIRP_NOT_FOUND,
    TWIRP_BAD_ROUTE,
    TWIRP_ALREADY_EXISTS,
    TWIRP_PERMISSION_DENIED,
    TWIRP_UNAUTHENTICATED,
    TWIRP_RESOURCE_EXHAUSTED,
    TWIRP_FAILED_PRECONDITION,
    TWIRP_ABORTED,
    TWIRP_OUT_OF_RANGE,
    TWIRP_UNIMPLEMENTED,
    TWIRP_INTERNAL,
    TWIRP_UNAVAILABLE,
    TWIRP_DATA_LOSS,
};

struct twirp_error {
    enum twirp_code code;
    char text[TWIRP_TEXT_MAX];
    struct {
        const char *key; /* static */
        char value[TWIRP_META_VALUE_MAX];
    } meta[TWIRP_META_MAX];
    uint32_t meta_n;
};

/* One row of a service's table; the owner switches on `id`. */
struct twirp_method {
    const char *service; /* "livekit.RoomService" */
    const char *name;    /* "CreateRoom" */
    int id;
    const ProtobufCMessageDescriptor *request, *response;
};

struct twirp_call {
    const struct twirp_method *method;
    bool json; /* else protobuf; the answer comes in the same encoding */
    ProtobufCMessage *request;
    uint32_t timeout_ms; /* X-Twirp-Timeout-Ms; 0 when not said */
};

/* What goes into the HTTP answer beside the body. */
struct twirp_head {
    int status;
    const char *content_type;
};

enum twirp_got {
    TWIRP_NOT_OURS, /* no such service in the table: the owner goes on looking */
    TWIRP_CALL,     /* *call is ready to be run */
    TWIRP_ERROR,    /* *err is to be answered */
};

enum twirp_got twirp_route(const struct twirp_method *table, size_t table_n,
                           const struct http_msg *m, struct arena *a, struct twirp_call *call,
                           struct twirp_error *err);

/* Appends the body; `response` is of call->method->response, or NULL for an empty one. */
struct twirp_head twirp_answer(const struct twirp_call *call, const ProtobufCMessage *response,
                               struct str *body);
struct twirp_head twirp_refuse(const struct twirp_error *err, struct str *body);

/* ---- making errors ---- */

/* An error raised as such: size limits, permissions, arguments. */
void twirp_fail(struct twirp_error *err, enum twirp_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* One that the original returns from behind its interceptor, which wraps the text:
 * "twirp error unknown: requested room does not exist". */
void twirp_fail_wrapped(struct twirp_error *err, enum twirp_code code, const char *text);
/* A grant is missing: unauthenticated, "permissions denied". */
void twirp_fail_grant(struct twirp_error *err);
/* Beyond TWIRP_META_MAX it is dropped. */
void twirp_add_meta(struct twirp_error *err, const char *key, const char *value);

/* ---- RoomService ---- */

enum twirp_rooms {
    ROOMS_CREATE_ROOM,
    ROOMS_LIST_ROOMS,
    ROOMS_DELETE_ROOM,
    ROOMS_LIST_PARTICIPANTS,
    ROOMS_GET_PARTICIPANT,
    ROOMS_REMOVE_PARTICIPANT,
    ROOMS_MUTE_PUBLISHED_TRACK,
    ROOMS_UPDATE_PARTICIPANT,
    ROOMS_UPDATE_SUBSCRIPTIONS,
    ROOMS_SEND_DATA,
    ROOMS_UPDATE_ROOM_METADATA,
    ROOMS_FORWARD_PARTICIPANT,
    ROOMS_MOVE_PARTICIPANT,
    ROOMS_PERFORM_RPC,
    ROOMS_METHODS
};

extern const struct twirp_method twirp_rooms[ROOMS_METHODS];

#endif
