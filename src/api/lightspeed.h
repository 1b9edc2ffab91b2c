/* api/lightspeed.h - the /websocket of Project Lightspeed and ITGv2.  (ftl-lightspeed.md 2.3, 3.1)
 *
 * Text frames {"event": ..., "data": {...}}; the server speaks first: info with the number
 * of connections, then an offer with every candidate inside, picture first, one MediaStream.
 * What is published later needs no other offer.  When only the socket drops, the media goes on;
 * the page that comes back is known by its certificate and is offered an ICE restart.
 */
#ifndef API_LIGHTSPEED_H
#define API_LIGHTSPEED_H

#include "api/stream.h"
#include "wire/http.h"

enum {
    LIGHTSPEED_PORT = 65535,      /* --rtp-port of the originals: the default stream */
    LIGHTSPEED_INFO_US = 25000000 /* info is said again so often: finds dead sockets */
};

/* GET /websocket; false: another path. */
bool lightspeed_http(struct streams *all, uint64_t conn, const struct http_msg *req,
                     const struct addr *client);
/* False: the socket is nobody's here. */
bool lightspeed_message(struct streams *all, uint64_t conn, bool text, struct bytes data);
bool lightspeed_closed(struct streams *all, uint64_t conn);
/* The room's stream is over: its sockets are closed, its viewers leave. */
void lightspeed_close(struct streams *all, const char *room);
void lightspeed_news(struct stream *st, uint64_t heard);
/* What is due; returns the next time. */
us_t lightspeed_tick(struct streams *all, us_t now);

#endif
