/* signal/response.h - messages to a client: packed, shared, queued.
 *
 * Small functions named after what they say.  All are harmless while the socket is lost:
 * nothing is kept for later, a resume brings the whole picture.
 */
#ifndef SIGNAL_RESPONSE_H
#define SIGNAL_RESPONSE_H

#include "signal/hub.h"

enum { RESPONSE_BYTES_MAX = 64 << 20, /* building one */ RESPONSE_CHUNK_MAX = 128 << 10 };

/* A message packed at most once for each of the two forms. */
struct response_shared {
    const Livekit__SignalResponse *message;
    struct frame *form[2]; /* protobuf, JSON */
};

void response_send(struct session *s, const Livekit__SignalResponse *m);
void response_send_shared(struct session *s, struct response_shared *sh);
void response_shared_fini(struct response_shared *sh);

void response_leave(struct session *s, Livekit__DisconnectReason reason,
                    Livekit__LeaveRequest__Action action);
void response_published(struct session *s, const char *cid, Livekit__TrackInfo *info);
void response_unpublished(struct session *s, const char *sid);
void response_mute(struct session *s, const char *sid, bool muted);
void response_subscribed(struct session *s, const char *sid);
void response_permission(struct session *s, const char *publisher_sid, const char *sid,
                         bool allowed);
void response_subscription_error(struct session *s, const char *sid,
                                 Livekit__SubscriptionError err);
void response_sections(struct session *s, uint32_t audios, uint32_t videos);
void response_token(struct session *s, const char *token);
/* `echo` may be empty (request_case NOT_SET). */
void response_request(struct session *s, uint32_t id, Livekit__RequestResponse__Reason reason,
                      const char *message, Livekit__RequestResponse *echo);
void response_trickle(struct session *s, const char *candidate, int target, bool final);
/* Members as the others see them, in chunks. */
void response_update(struct session *s, Livekit__ParticipantInfo **list, size_t n);
void response_room(struct session *s);

#endif
