/* api/pages.h - what our own pages ask: a token for a room, what is on air, counts.
 *
 * Small JSON answers; not LiveKit's.
 */
#ifndef API_PAGES_H
#define API_PAGES_H

#include "api/node.h"
#include "signal/hub.h"

/* False: not one of these paths. */
bool pages_http(struct hub *hub, const struct node_cfg *cfg, uint64_t conn,
                const struct http_msg *req);

#endif
