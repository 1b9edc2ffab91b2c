/* api/whip.h - publishing over HTTP: an offer is posted, an answer comes back.
 *              (RFC 9725; egress-ingress.md 4.5; livekit-server.md 1.7)
 *
 * POST of application/sdp to /APP or /APP/KEY makes a participant that publishes what the
 * offer sends: at most one sound and one picture, simulcast included.  Who it is, the stream key
 * says (kind INGRESS), or an access token that may publish.  /whip/v1 is the original server's:
 * tokens only.  A second publisher under the same name takes over.  Knows no viewer.
 */
#ifndef API_WHIP_H
#define API_WHIP_H

#include "api/resource.h"

/* Serves the request if it is one for WHIP; false: it is not. */
bool whip_http(struct streams *all, uint64_t conn, const struct http_msg *req,
               const struct addr *client);
/* What a stream of this kind has heard. */
void whip_news(struct stream *st, uint64_t heard);
/* The ingress changed under its session: deleted, disabled, a new key. */
void whip_stop(struct streams *all, const char *ingress_id, const char *resource_id);

#endif
