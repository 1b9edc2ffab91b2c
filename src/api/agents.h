/* api/agents.h - AgentDispatchService.  (livekit-server.md 1.6)
 *
 * Answers as the original does when no agent worker is connected: dispatches are kept with their
 * room and never have jobs.
 */
#ifndef API_AGENTS_H
#define API_AGENTS_H

#include "api/rooms.h"

/* Answers the request.  False: it is not for this service. */
bool agents_serve(struct rooms_call *call, const struct http_msg *req);

#endif
