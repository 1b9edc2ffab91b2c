#include "signal/response.h"

#include "base/json.h"
#include "base/mem.h"
#include "wire/pb.h"
#include "wire/pb_json.h"

static struct frame *pack(const Livekit__SignalResponse *m, bool json)
{
    struct str text;
    struct frame *f = NULL;

    str_init(&text, RESPONSE_BYTES_MAX);
    if (json)
        pb_json_write(&m->base, PB_JSON_SIGNAL, &text);
    else
        pb_pack(&m->base, &text);
    if (!text.failed)
        f = frame_new(str_bytes(&text));
    str_fini(&text);
    return f;
}

void response_send_shared(struct session *s, struct response_shared *sh)
{
    if (s->conn == 0 || s->stalled)
        return;
    if (s->voice != NULL) {
        s->stalled = !voice_say(s->voice, sh->message);
        if (s->stalled && s->member != NULL)
            room_touch(s->member->room);
        return;
    }
    struct frame **f = &sh->form[s->json];
    if (*f == NULL)
        *f = pack(sh->message, s->json);
    if (*f != NULL && outbox_send(&s->hub->out, s->conn, s->json, *f))
        return;
    /* A client that misses one message is worse off than one that resumes.  Not at once: our
     * callers walk lists that the end of a session changes. */
    s->stalled = true;
    if (s->member != NULL)
        room_touch(s->member->room);
}

void response_shared_fini(struct response_shared *sh)
{
    frame_drop(sh->form[0]);
    frame_drop(sh->form[1]);
}

void response_send(struct session *s, const Livekit__SignalResponse *m)
{
    struct response_shared sh = {.message = m};

    response_send_shared(s, &sh);
    response_shared_fini(&sh);
}

#define MESSAGE(var, which)                                                                        \
    Livekit__SignalResponse var = LIVEKIT__SIGNAL_RESPONSE__INIT;                                  \
    var.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_##which

void response_leave(struct session *s, Livekit__DisconnectReason reason,
                    Livekit__LeaveRequest__Action action)
{
    Livekit__LeaveRequest leave = LIVEKIT__LEAVE_REQUEST__INIT;
    MESSAGE(m, LEAVE);

    leave.reason = reason;
    leave.can_reconnect = action != LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT;
    if (s->protocol >= 13)
        leave.action = action;
    m.leave = &leave;
    response_send(s, &m);
}

void response_published(struct session *s, const char *cid, Livekit__TrackInfo *info)
{
    Livekit__TrackPublishedResponse p = LIVEKIT__TRACK_PUBLISHED_RESPONSE__INIT;
    MESSAGE(m, TRACK_PUBLISHED);

    p.cid = (char *)cid;
    p.track = info;
    m.track_published = &p;
    response_send(s, &m);
}

void response_unpublished(struct session *s, const char *sid)
{
    Livekit__TrackUnpublishedResponse p = LIVEKIT__TRACK_UNPUBLISHED_RESPONSE__INIT;
    MESSAGE(m, TRACK_UNPUBLISHED);

    p.track_sid = (char *)sid;
    m.track_unpublished = &p;
    response_send(s, &m);
}

void response_mute(struct session *s, const char *sid, bool muted)
{
    Livekit__MuteTrackRequest p = LIVEKIT__MUTE_TRACK_REQUEST__INIT;
    MESSAGE(m, MUTE);

    p.sid = (char *)sid;
    p.muted = muted;
    m.mute = &p;
    response_send(s, &m);
}

void response_subscribed(struct session *s, const char *sid)
{
    Livekit__TrackSubscribed p = LIVEKIT__TRACK_SUBSCRIBED__INIT;
    MESSAGE(m, TRACK_SUBSCRIBED);

    p.track_sid = (char *)sid;
    m.track_subscribed = &p;
    response_send(s, &m);
}

void response_permission(struct session *s, const char *publisher_sid, const char *sid,
                         bool allowed)
{
    Livekit__SubscriptionPermissionUpdate p = LIVEKIT__SUBSCRIPTION_PERMISSION_UPDATE__INIT;
    MESSAGE(m, SUBSCRIPTION_PERMISSION_UPDATE);

    p.participant_sid = (char *)publisher_sid;
    p.track_sid = (char *)sid;
    p.allowed = allowed;
    m.subscription_permission_update = &p;
    response_send(s, &m);
}

void response_subscription_error(struct session *s, const char *sid, Livekit__SubscriptionError err)
{
    Livekit__SubscriptionResponse p = LIVEKIT__SUBSCRIPTION_RESPONSE__INIT;
    MESSAGE(m, SUBSCRIPTION_RESPONSE);

    p.track_sid = (char *)sid;
    p.err = err;
    m.subscription_response = &p;
    response_send(s, &m);
}

void response_sections(struct session *s, uint32_t audios, uint32_t videos)
{
    Livekit__MediaSectionsRequirement p = LIVEKIT__MEDIA_SECTIONS_REQUIREMENT__INIT;
    MESSAGE(m, MEDIA_SECTIONS_REQUIREMENT);

    p.num_audios = audios;
    p.num_videos = videos;
    m.media_sections_requirement = &p;
    response_send(s, &m);
}

void response_token(struct session *s, const char *token)
{
    MESSAGE(m, REFRESH_TOKEN);

    m.refresh_token = (char *)token;
    response_send(s, &m);
}

void response_request(struct session *s, uint32_t id, Livekit__RequestResponse__Reason reason,
                      const char *message, Livekit__RequestResponse *echo)
{
    MESSAGE(m, REQUEST_RESPONSE);

    if (reason == LIVEKIT__REQUEST_RESPONSE__REASON__OK && s->protocol < 15)
        return;
    echo->request_id = id;
    echo->reason = reason;
    echo->message = (char *)message;
    m.request_response = echo;
    response_send(s, &m);
}

void response_trickle(struct session *s, const char *candidate, int target, bool final)
{
    Livekit__TrickleRequest p = LIVEKIT__TRICKLE_REQUEST__INIT;
    struct str json;
    MESSAGE(m, TRICKLE);

    str_init(&json, 1024);
    str_add(&json, "{\"candidate\":");
    json_add_text(&json, bytes_str(candidate));
    /* Both must be there with their types: one client refuses null (subtlety 15). */
    str_add(&json, ",\"sdpMid\":\"0\",\"sdpMLineIndex\":0,\"usernameFragment\":null}");
    p.candidateinit = (char *)str_text(&json);
    p.target = (Livekit__SignalTarget)target;
    p.final = final;
    m.trickle = &p;
    if (!json.failed)
        response_send(s, &m);
    str_fini(&json);
}

void response_update(struct session *s, Livekit__ParticipantInfo **list, size_t n)
{
    Livekit__ParticipantUpdate u = LIVEKIT__PARTICIPANT_UPDATE__INIT;
    MESSAGE(m, UPDATE);
    size_t from = 0, bytes = 0;

    m.update = &u;
    for (size_t i = 0; i < n; i++) {
        size_t len = pb_size(&list[i]->base);
        if (i > from && bytes + len > RESPONSE_CHUNK_MAX) {
            u.participants = list + from;
            u.n_participants = i - from;
            response_send(s, &m);
            from = i;
            bytes = 0;
        }
        bytes += len;
    }
    if (n == from)
        return;
    u.participants = list + from;
    u.n_participants = n - from;
    response_send(s, &m);
}

void response_room(struct session *s)
{
    Livekit__RoomUpdate u = LIVEKIT__ROOM_UPDATE__INIT;
    struct arena a;
    MESSAGE(m, ROOM_UPDATE);

    arena_init(&a, RESPONSE_BYTES_MAX);
    u.room = info_room(&a, s->member->room);
    m.room_update = &u;
    if (u.room != NULL)
        response_send(s, &m);
    arena_fini(&a);
}
