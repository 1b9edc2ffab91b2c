/* api/whep.h - watching over HTTP.  (draft-ietf-wish-whep, the client offers)
 *
 * POST /whep/ROOM    application/sdp   201: an answer whose sections stand open; a room without a
 *                                      publisher is waited in, and who publishes later appears
 *                                      without another POST
 * PATCH, DELETE, OPTIONS /whep/ROOM/ID as WHIP's
 * GET /whep/ROOM/ID                    JSON: viewers, publisher, layers
 * POST /whep/ROOM/ID/layer             JSON {"encodingId": "high" | "medium" | "low" | a rid |
 * "auto"}
 *
 * Rooms are public unless the configuration names them private: then an access token for the room
 * that may subscribe is asked for.
 */
#ifndef API_WHEP_H
#define API_WHEP_H

#include "api/resource.h"

bool whep_http(struct streams *all, uint64_t conn, const struct http_msg *req,
               const struct addr *client);
void whep_news(struct stream *st, uint64_t heard);
/* May whoever asks watch this room?  0, 401 or 403. */
int whep_may_watch(const struct hub *hub, const struct node_cfg *cfg, const struct http_msg *req,
                   const char *room);
/* A viewer's claims in `keep`; NULL without memory. */
struct token_claims *whep_claims(const struct streams *all, const char *room, struct arena *keep);

#endif
