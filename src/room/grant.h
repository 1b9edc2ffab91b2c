/* room/grant.h - what a participant may do.  (livekit-server.md 2.2, 2.4)
 *
 * The effective permission, made from a token's grant or from UpdateParticipant, and
 * turned into what clients are told.  Plain values; no memory, no state.
 */
#ifndef ROOM_GRANT_H
#define ROOM_GRANT_H

#include "base/arena.h"
#include "crypt/token.h"

#include "livekit_models.pb-c.h"

struct grant {
    bool can_subscribe, can_publish, can_publish_data, can_update_metadata;
    bool hidden, recorder, agent;
    bool can_subscribe_metrics, can_manage_agent_session;
    uint32_t sources; /* one bit per TrackSource; 0: all */
};

void grant_of_token(struct grant *g, const struct token_video *v);
/* `recorder`, `hidden` and `agent` as the message says. */
void grant_of_permission(struct grant *g, const Livekit__ParticipantPermission *p);
/* NULL when the arena refuses. */
MUST_CHECK Livekit__ParticipantPermission *grant_to_permission(const struct grant *g,
                                                               struct arena *a);
bool grant_eq(const struct grant *a, const struct grant *b);
bool grant_may_publish(const struct grant *g, Livekit__TrackSource source);
/* Writes the grant back into claims, so that a refreshed token says what holds now. */
void grant_to_token(const struct grant *g, struct token_video *v);
/* "camera" and so on; "" when there is no such word. */
const char *grant_source_name(Livekit__TrackSource source);
/* STANDARD when unknown. */
Livekit__ParticipantInfo__Kind grant_kind(const char *word);

#endif
