/* room/info.h - rooms and members as clients are told of them.
 *
 * Builds protobuf messages that borrow: strings and TrackInfos are the objects' own, so
 * a message lives no longer than the call that packs it.  NULL when the arena refuses.
 */
#ifndef ROOM_INFO_H
#define ROOM_INFO_H

#include "room/room.h"

MUST_CHECK Livekit__ParticipantInfo *info_member(struct arena *a, const struct member *m);
MUST_CHECK Livekit__Room *info_room(struct arena *a, const struct room *r);
/* Members that others may see, `except` left out; NULL list and *n = 0 when there are none. */
Livekit__ParticipantInfo **info_members(struct arena *a, const struct room *r,
                                        const struct member *except, bool hidden_too, size_t *n);

#endif
