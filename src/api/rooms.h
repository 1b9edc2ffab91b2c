/* api/rooms.h - RoomService, and the services that are not here.  (livekit-server.md 1.6)
 *
 * Each method: grant, limits, effect, answer.  What is off answers as the original does
 * without Redis.
 */
#ifndef API_ROOMS_H
#define API_ROOMS_H

#include "api/twirp.h"
#include "signal/hub.h"

enum { ROOMS_ARENA_BYTES = 64 << 20 /* a request unfolded, and the answer to it */ };

struct rooms_call {
    struct hub *hub;
    uint64_t conn;
    const struct token_claims *claims; /* NULL: no token */
    struct arena *arena;
    struct twirp_call twirp;
    bool later; /* the answer comes when an event does (PerformRpc) */
};

/* Answers the request, or marks the call `later`.  False: no such service. */
bool rooms_serve(struct rooms_call *call, const struct http_msg *req);
/* The answer to a PerformRpc call that was marked; takes nothing. */
void rooms_rpc_done(struct rooms_call *call, const struct rpc_result *result);

#endif
