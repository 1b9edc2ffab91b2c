/* api/answer.h - how a Twirp call ends: a message, an error, a missing grant.
 *                (livekit-server.md 1.6)
 */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "api/rooms.h"

/* Errors that the original passes through two layers read like this. */
#define ANSWER_WRAPPED "twirp error unknown: "

void answer_reply(struct rooms_call *call, const ProtobufCMessage *m);
void answer_refuse(struct rooms_call *call, const struct twirp_error *err);
/* `meta_key` may be NULL. */
void answer_fail(struct rooms_call *call, enum twirp_code code, const char *msg,
                 const char *meta_key, const char *meta_value);
void answer_deny(struct rooms_call *call);

/* The video grant; NULL without one. */
const struct token_video *answer_grants(const struct rooms_call *call);
/* roomAdmin of this very room; else denied and false. */
bool answer_is_admin(struct rooms_call *call, const char *room);

#endif
