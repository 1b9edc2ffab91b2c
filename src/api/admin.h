/* api/admin.h - the door of /admin: the secret of the data directory for a token of an hour.
 *
 *   POST /api/admin {"secret": "..."}  ->  {"token": "...", "expires_s": N}, or 403
 *
 * The token lets its holder use the Ingress API and list rooms; the page does the rest with it.
 * The secret is compared in constant time and stands in no log.  Without one nobody comes in.
 */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "api/node.h"
#include "signal/hub.h"

enum { ADMIN_TOKEN_S = 3600, ADMIN_BODY_MAX = 4096 };

/* False: another path. */
/* The time that it takes tells the length alone. */
bool admin_is_secret(const struct node_cfg *cfg, struct bytes given);
bool admin_http(struct hub *hub, const struct node_cfg *cfg, uint64_t conn,
                const struct http_msg *req);

#endif
