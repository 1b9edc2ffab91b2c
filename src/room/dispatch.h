/* room/dispatch.h - which agents a room asks for.  (livekit-server.md 1.6, 1.8)
 *
 * A room keeps what was asked of it and says so again; no agent workers connect yet, so
 * no dispatch ever has a job.  A room that names no agents of its own asks for every worker
 * without a name: one dispatch that is made when somebody first looks.
 *
 * Owned by the room; heap through base/mem and one arena each.
 */
#ifndef ROOM_DISPATCH_H
#define ROOM_DISPATCH_H

#include "room/room.h"

enum {
    DISPATCHES_MAX = 64,          /* of one room; chosen */
    DISPATCH_BYTES_MAX = 1 << 20, /* of one: metadata and attributes at their limits; chosen */
};

struct dispatch {
    struct dispatch *next;
    struct arena arena;
    Livekit__AgentDispatch *info; /* in the arena */
};

/* E_LIMIT, E_NOMEM. */
MUST_CHECK int dispatch_add(struct room *r, const Livekit__RoomAgentDispatch *what,
                            struct dispatch **ret);
/* The first of the room's, the default one made if need be; follow ->next.  NULL when the heap
 * refuses. */
struct dispatch *dispatch_first(struct room *r);
struct dispatch *dispatch_find(struct room *r, const char *id);
/* Out of the room's list; the caller frees it. */
void dispatch_take(struct room *r, struct dispatch *d);
void dispatch_free(struct dispatch *d);
/* All of them; a room's end. */
void dispatch_fini(struct room *r);

#endif
