#include "api/rooms.h"

#include "api/agents.h"
#include "api/answer.h"
#include "signal/request.h"
#include "signal/response.h"
#include "signal/rpc.h"
#include "signal/transport.h"

#include "livekit_room.pb-c.h"

/* ---- look-ups ---- */

static struct room *need_room(struct rooms_call *call, const char *name)
{
    struct room *r = house_find(&call->hub->house, name);

    if (r == NULL)
        answer_fail(call, TWIRP_NOT_FOUND, ANSWER_WRAPPED "requested room does not exist", NULL,
                    NULL);
    return r;
}

static struct member *need_member(struct rooms_call *call, const char *room, const char *identity)
{
    struct room *r = house_find(&call->hub->house, room);
    struct member *m = r != NULL ? room_find(r, identity) : NULL;

    if (m == NULL || m->session == NULL)
        answer_fail(call, TWIRP_NOT_FOUND, ANSWER_WRAPPED "participant does not exist", NULL, NULL);
    return m != NULL && m->session != NULL ? m : NULL;
}

static void reply_room(struct rooms_call *call, const struct room *r)
{
    Livekit__Room *info = info_room(call->arena, r);

    if (info != NULL)
        answer_reply(call, &info->base);
    else
        answer_fail(call, TWIRP_INTERNAL, "out of memory", NULL, NULL);
}

/* The original's own way with this error: the text is the argument's name, too. */
static void too_long(struct rooms_call *call, const char *text, uint32_t limit)
{
    char *msg = arena_printf(call->arena, "%s %u", text, limit);

    answer_fail(call, TWIRP_INVALID_ARGUMENT, msg != NULL ? msg : text, "argument", text);
}

static bool over(const char *text, uint32_t limit)
{
    return limit != 0 && strlen(text) > limit;
}

/* ---- rooms ---- */

static void create_room(struct rooms_call *call)
{
    Livekit__CreateRoomRequest *q = (void *)call->twirp.request;
    const struct room_limits *l = &call->hub->house.cfg.limits;
    struct room_wish wish = {.empty_timeout_s = q->empty_timeout,
                             .departure_timeout_s = q->departure_timeout,
                             .max_participants = q->max_participants,
                             .min_playout_delay_ms = q->min_playout_delay,
                             .max_playout_delay_ms = q->max_playout_delay,
                             .sync_streams = q->sync_streams,
                             .metadata = q->metadata,
                             .agent = q->agents,
                             .agent_n = q->n_agents};
    struct room *r;

    if (answer_grants(call) == NULL || !answer_grants(call)->room_create) {
        answer_deny(call);
        return;
    }
    if (q->egress != NULL) {
        answer_fail(call, TWIRP_INTERNAL, "egress not connected (redis required)", NULL, NULL);
        return;
    }
    if (over(q->name, l->room_name_len)) {
        char *msg = arena_printf(call->arena,
                                 ANSWER_WRAPPED "room name length exceeds limits: max length %u",
                                 l->room_name_len);
        answer_fail(call, TWIRP_INVALID_ARGUMENT, msg != NULL ? msg : "", NULL, NULL);
        return;
    }
    if (over(q->metadata, l->metadata_bytes)) {
        too_long(call, "metadata size exceeds limits", l->metadata_bytes);
        return;
    }
    if (*q->name == '\0') {
        answer_fail(call, TWIRP_INVALID_ARGUMENT, ANSWER_WRAPPED "no room name", NULL, NULL);
        return;
    }
    if (house_preset(&call->hub->house, q->room_preset, &wish) != 0) {
        answer_fail(call, TWIRP_INVALID_ARGUMENT,
                    ANSWER_WRAPPED "unknown room configuration in create room request", NULL, NULL);
        return;
    }
    bool is_new = house_find(&call->hub->house, q->name) == NULL;
    if (hub_room(call->hub, q->name, &wish, true, &r) != 0) {
        answer_fail(call, TWIRP_RESOURCE_EXHAUSTED,
                    ANSWER_WRAPPED "node has exceeded its configured limit", NULL, NULL);
        return;
    }
    if (!is_new)
        (void)room_apply(r, &wish, false); /* refused: the answer shows what holds */
    reply_room(call, r);
}

static bool named(const Livekit__ListRoomsRequest *q, const struct room *r)
{
    for (size_t i = 0; i < q->n_names; i++)
        if (strcmp(q->names[i], r->name) == 0)
            return true;
    return q->n_names == 0;
}

static void list_rooms(struct rooms_call *call)
{
    Livekit__ListRoomsRequest *q = (void *)call->twirp.request;
    Livekit__ListRoomsResponse a = LIVEKIT__LIST_ROOMS_RESPONSE__INIT;
    const struct house *h = &call->hub->house;
    uint32_t at = 0;
    void *value;

    if (answer_grants(call) == NULL || !answer_grants(call)->room_list) {
        answer_deny(call);
        return;
    }
    a.rooms = arena_array(call->arena, h->room_n + 1, sizeof *a.rooms);
    while (a.rooms != NULL && map_next(&h->by_name, &at, NULL, &value)) {
        if (!named(q, value) || a.n_rooms >= h->room_n)
            continue;
        a.rooms[a.n_rooms] = info_room(call->arena, value);
        a.n_rooms += a.rooms[a.n_rooms] != NULL;
    }
    answer_reply(call, &a.base);
}

static void delete_room(struct rooms_call *call)
{
    Livekit__DeleteRoomRequest *q = (void *)call->twirp.request;
    Livekit__DeleteRoomResponse a = LIVEKIT__DELETE_ROOM_RESPONSE__INIT;
    struct room *r;

    if (answer_grants(call) == NULL || !answer_grants(call)->room_create) {
        answer_deny(call);
        return;
    }
    if ((r = need_room(call, q->room)) == NULL)
        return;
    hub_delete_room(call->hub, r, LIVEKIT__DISCONNECT_REASON__ROOM_DELETED);
    answer_reply(call, &a.base);
}

static void update_room_metadata(struct rooms_call *call)
{
    Livekit__UpdateRoomMetadataRequest *q = (void *)call->twirp.request;
    uint32_t limit = call->hub->house.cfg.limits.metadata_bytes;
    struct room *r;

    if (over(q->metadata, limit)) {
        too_long(call, "metadata size exceeds limits", limit);
        return;
    }
    if (!answer_is_admin(call, q->room) || (r = need_room(call, q->room)) == NULL)
        return;
    if (room_set_metadata(r, q->metadata))
        reply_room(call, r);
    else
        answer_fail(call, TWIRP_INTERNAL, "out of memory", NULL, NULL);
}

/* ---- participants ---- */

static void list_participants(struct rooms_call *call)
{
    Livekit__ListParticipantsRequest *q = (void *)call->twirp.request;
    Livekit__ListParticipantsResponse a = LIVEKIT__LIST_PARTICIPANTS_RESPONSE__INIT;
    struct room *r;

    if (!answer_is_admin(call, q->room))
        return;
    if ((r = house_find(&call->hub->house, q->room)) != NULL)
        a.participants = info_members(call->arena, r, NULL, true, &a.n_participants);
    answer_reply(call, &a.base);
}

static void reply_member(struct rooms_call *call, const struct member *m)
{
    Livekit__ParticipantInfo *info = info_member(call->arena, m);

    if (info != NULL)
        answer_reply(call, &info->base);
    else
        answer_fail(call, TWIRP_INTERNAL, "out of memory", NULL, NULL);
}

static void get_participant(struct rooms_call *call)
{
    Livekit__RoomParticipantIdentity *q = (void *)call->twirp.request;
    struct member *m;

    if (answer_is_admin(call, q->room) && (m = need_member(call, q->room, q->identity)) != NULL)
        reply_member(call, m);
}

static void remove_participant(struct rooms_call *call)
{
    Livekit__RoomParticipantIdentity *q = (void *)call->twirp.request;
    Livekit__RemoveParticipantResponse a = LIVEKIT__REMOVE_PARTICIPANT_RESPONSE__INIT;
    struct member *m;

    if (!answer_is_admin(call, q->room) || (m = need_member(call, q->room, q->identity)) == NULL)
        return;
    session_end(m->session, LIVEKIT__DISCONNECT_REASON__PARTICIPANT_REMOVED,
                LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
    answer_reply(call, &a.base);
}

static void mute_track(struct rooms_call *call)
{
    Livekit__MuteRoomTrackRequest *q = (void *)call->twirp.request;
    Livekit__MuteRoomTrackResponse a = LIVEKIT__MUTE_ROOM_TRACK_RESPONSE__INIT;
    struct member *m;
    struct pub *p;

    if (!answer_is_admin(call, q->room))
        return;
    if (!q->muted && !call->hub->cfg.enable_remote_unmute) {
        answer_fail(call, TWIRP_FAILED_PRECONDITION, ANSWER_WRAPPED "remote unmute not enabled",
                    NULL, NULL);
        return;
    }
    if ((m = need_member(call, q->room, q->identity)) == NULL)
        return;
    if ((p = pub_find(m, q->track_sid)) == NULL) {
        answer_fail(call, TWIRP_NOT_FOUND, ANSWER_WRAPPED "track is not found", NULL, NULL);
        return;
    }
    if (p->info->muted != q->muted) {
        pub_set_muted(p, q->muted);
        response_mute(m->session, p->info->sid, q->muted);
    }
    a.track = p->info;
    answer_reply(call, &a.base);
}

static bool fits(struct rooms_call *call, const struct member *m,
                 const Livekit__UpdateParticipantRequest *q, const struct attr *attr, uint32_t n)
{
    const struct room_limits *l = &call->hub->house.cfg.limits;

    if (over(q->name, l->participant_name_len))
        too_long(call, "name length exceeds limits", l->participant_name_len);
    else if (over(q->metadata, l->metadata_bytes))
        too_long(call, "metadata size exceeds limits", l->metadata_bytes);
    else if (n > 0 && l->attributes_bytes != 0 &&
             member_attr_bytes_with(m, attr, n) > l->attributes_bytes)
        too_long(call, "attribute size exceeds limits", l->attributes_bytes);
    else
        return true;
    return false;
}

static void update_participant(struct rooms_call *call)
{
    Livekit__UpdateParticipantRequest *q = (void *)call->twirp.request;
    struct attr attr[ROOM_ATTRIBUTES_MAX];
    struct member *m;
    struct grant g;
    uint32_t n = 0;

    if (!answer_is_admin(call, q->room) || (m = need_member(call, q->room, q->identity)) == NULL)
        return;
    for (size_t i = 0; i < q->n_attributes && n < ROOM_ATTRIBUTES_MAX; i++)
        attr[n++] = (struct attr){.key = q->attributes[i]->key, .value = q->attributes[i]->value};
    if (!fits(call, m, q, attr, n))
        return;
    bool ok = (*q->name == '\0' || member_set_name(m, q->name)) &&
              (*q->metadata == '\0' || member_set_metadata(m, q->metadata));
    for (uint32_t i = 0; i < n && ok; i++)
        ok = member_set_attr(m, attr[i].key, attr[i].value) == 0;
    if (n > 0)
        member_changed(m, NEWS_NOW);
    if (q->permission != NULL) {
        grant_of_permission(&g, q->permission);
        session_set_grant(m->session, &g);
    } else {
        session_send_token(m->session);
    }
    reply_member(call, m);
}

static void update_subscriptions(struct rooms_call *call)
{
    Livekit__UpdateSubscriptionsRequest *q = (void *)call->twirp.request;
    Livekit__UpdateSubscriptionsResponse a = LIVEKIT__UPDATE_SUBSCRIPTIONS_RESPONSE__INIT;
    struct member *m;

    if (!answer_is_admin(call, q->room) || (m = need_member(call, q->room, q->identity)) == NULL)
        return;
    request_subscription(m->session, q->track_sids, q->n_track_sids, q->subscribe);
    for (size_t i = 0; i < q->n_participant_tracks; i++)
        request_subscription(m->session, q->participant_tracks[i]->track_sids,
                             q->participant_tracks[i]->n_track_sids, q->subscribe);
    answer_reply(call, &a.base);
}

/* ---- data ---- */

static bool pack_data(struct hub *hub, const Livekit__SendDataRequest *q, struct wr *w)
{
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;
    Livekit__UserPacket u = LIVEKIT__USER_PACKET__INIT;

    u.payload = q->data;
    u.destination_sids = q->destination_sids;
    u.n_destination_sids = q->n_destination_sids;
    u.destination_identities = q->destination_identities;
    u.n_destination_identities = q->n_destination_identities;
    u.nonce = q->nonce;
    if (q->_topic_case == LIVEKIT__SEND_DATA_REQUEST___TOPIC_TOPIC) {
        u._topic_case = LIVEKIT__USER_PACKET___TOPIC_TOPIC;
        u.topic = q->topic;
    }
    p.kind = q->kind;
    p.destination_identities = q->destination_identities;
    p.n_destination_identities = q->n_destination_identities;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_USER;
    p.user = &u;
    *w = wr_of(hub->packet, sizeof hub->packet);
    pb_pack_wr(&p.base, w);
    return wr_ok(w);
}

static void send_data(struct rooms_call *call)
{
    Livekit__SendDataRequest *q = (void *)call->twirp.request;
    Livekit__SendDataResponse a = LIVEKIT__SEND_DATA_RESPONSE__INIT;
    struct data_packet d;
    struct room *r;
    struct wr w;

    if (!answer_is_admin(call, q->room) || (r = need_room(call, q->room)) == NULL)
        return;
    if (q->nonce.len != 0 && q->nonce.len != 16) {
        char *msg = arena_printf(
            call->arena, "nonce should be 16-bytes or not present, got: %zu bytes", q->nonce.len);
        answer_fail(call, TWIRP_INVALID_ARGUMENT, msg != NULL ? msg : "", NULL, NULL);
        return;
    }
    if (!pack_data(call->hub, q, &w) || wr_len(&w) > DATA_PACKET_MAX ||
        data_read(&d, wr_done(&w)) != 0) {
        answer_fail(call, TWIRP_INVALID_ARGUMENT, "data packet too large", "argument", "data");
        return;
    }
    if (!room_nonce_seen(r, d.nonce))
        transport_relay(r, data_mark_targets(&d, r, NULL),
                        q->kind == LIVEKIT__DATA_PACKET__KIND__RELIABLE, wr_done(&w));
    answer_reply(call, &a.base);
}

static void perform_rpc(struct rooms_call *call)
{
    Livekit__PerformRpcRequest *q = (void *)call->twirp.request;
    struct member *m;

    if (!answer_is_admin(call, q->room))
        return;
    if (*q->destination_identity == '\0') {
        answer_fail(call, TWIRP_INVALID_ARGUMENT, ANSWER_WRAPPED "destination identity is required",
                    NULL, NULL);
        return;
    }
    if ((m = need_member(call, q->room, q->destination_identity)) == NULL)
        return;
    int err = rpc_call(call->hub, m, q->method, q->payload, q->response_timeout_ms, call->conn);
    if (err == E_TOO_LARGE)
        answer_fail(call, TWIRP_INVALID_ARGUMENT,
                    ANSWER_WRAPPED "RpcError 1402: Request payload too large", NULL, NULL);
    else if (err != 0)
        answer_fail(call, TWIRP_RESOURCE_EXHAUSTED, ANSWER_WRAPPED "too many calls", NULL, NULL);
    else
        call->later = true;
}

/* The original's reading of the codes that clients send (4.7). */
static enum twirp_code rpc_code(uint32_t code)
{
    switch (code) {
    case 1400: /* unsupported method */
    case 1402: /* request too large */
        return TWIRP_INVALID_ARGUMENT;
    case 1401:
        return TWIRP_NOT_FOUND;
    case 1403:
    case 1404:
        return TWIRP_UNIMPLEMENTED;
    case RPC_CONNECTION_TIMEOUT:
    case RPC_RESPONSE_TIMEOUT:
        return TWIRP_CANCELED;
    case RPC_RECIPIENT_DISCONNECTED:
        return TWIRP_UNAVAILABLE;
    default:
        return TWIRP_INTERNAL;
    }
}

void rooms_rpc_done(struct rooms_call *call, const struct rpc_result *result)
{
    Livekit__PerformRpcResponse a = LIVEKIT__PERFORM_RPC_RESPONSE__INIT;
    const char *text = result->payload != NULL ? result->payload : "";

    if (result->ok) {
        a.payload = (char *)text;
        answer_reply(call, &a.base);
        return;
    }
    char *msg = arena_printf(call->arena, ANSWER_WRAPPED "RpcError %u: %s", result->code, text);
    answer_fail(call, rpc_code(result->code), msg != NULL ? msg : text, NULL, NULL);
}

static void between_rooms(struct rooms_call *call)
{
    const struct token_video *v = answer_grants(call);
    /* Both requests are the same three strings. */
    Livekit__MoveParticipantRequest *q = (void *)call->twirp.request;

    if (!answer_is_admin(call, q->room))
        return;
    if (strcmp(v->destination_room, q->destination_room) != 0)
        answer_deny(call);
    else if (strcmp(q->room, q->destination_room) == 0)
        answer_fail(call, TWIRP_INVALID_ARGUMENT,
                    "destination room cannot be the same as source room ", "argument",
                    "destination room cannot be the same as source room");
    else
        answer_fail(call, TWIRP_UNKNOWN, ANSWER_WRAPPED "not implemented", NULL, NULL);
}

static_assert(offsetof(Livekit__ForwardParticipantRequest, destination_room) ==
                  offsetof(Livekit__MoveParticipantRequest, destination_room),
              "between_rooms() reads both as one");

/* ---- dispatch ---- */

typedef void method_fn(struct rooms_call *call);

static method_fn *const methods[ROOMS_METHODS] = {
    [ROOMS_CREATE_ROOM] = create_room,
    [ROOMS_LIST_ROOMS] = list_rooms,
    [ROOMS_DELETE_ROOM] = delete_room,
    [ROOMS_LIST_PARTICIPANTS] = list_participants,
    [ROOMS_GET_PARTICIPANT] = get_participant,
    [ROOMS_REMOVE_PARTICIPANT] = remove_participant,
    [ROOMS_MUTE_PUBLISHED_TRACK] = mute_track,
    [ROOMS_UPDATE_PARTICIPANT] = update_participant,
    [ROOMS_UPDATE_SUBSCRIPTIONS] = update_subscriptions,
    [ROOMS_SEND_DATA] = send_data,
    [ROOMS_UPDATE_ROOM_METADATA] = update_room_metadata,
    [ROOMS_FORWARD_PARTICIPANT] = between_rooms,
    [ROOMS_MOVE_PARTICIPANT] = between_rooms,
    [ROOMS_PERFORM_RPC] = perform_rpc,
};

/* Services of parts that are not connected: every method answers so. */
static const struct {
    const char *prefix;
    bool sip; /* else Egress, by roomRecord */
    const char *msg;
} absent[] = {
    {"/twirp/livekit.Egress/", false, ANSWER_WRAPPED "egress not connected (redis required)"},
    {"/twirp/livekit.SIP/", true, ANSWER_WRAPPED "sip not connected (redis required)"},
};

static bool is_absent(struct rooms_call *call, const struct http_msg *req)
{
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        if (strncmp(req->path, absent[i].prefix, strlen(absent[i].prefix)) != 0 ||
            strcmp(req->method, "POST") != 0)
            continue;
        const struct token_claims *c = call->claims;
        bool may = c != NULL && (absent[i].sip ? c->sip_admin || c->sip_call
                                               : c->has_video && c->video.room_record);
        if (may)
            answer_fail(call, TWIRP_INTERNAL, absent[i].msg, NULL, NULL);
        else
            answer_deny(call);
        return true;
    }
    return false;
}

bool rooms_serve(struct rooms_call *call, const struct http_msg *req)
{
    struct twirp_error err = {0};

    switch (twirp_route(twirp_rooms, ROOMS_METHODS, req, call->arena, &call->twirp, &err)) {
    case TWIRP_CALL:
        methods[call->twirp.method->id](call);
        return true;
    case TWIRP_ERROR:
        answer_refuse(call, &err);
        return true;
    case TWIRP_NOT_OURS:
        break;
    }
    return agents_serve(call, req) || is_absent(call, req);
}
