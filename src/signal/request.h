/* signal/request.h - what clients ask: one small function for each message.
 *
 * Requests change wishes and answer with what is known at once; the tick does the rest.
 */
#ifndef SIGNAL_REQUEST_H
#define SIGNAL_REQUEST_H

#include "signal/hub.h"

enum { REQUEST_SIDS_MAX = 4096 /* tracks named in one message; more are ignored; chosen */ };

/* A whole message of the socket.  False: not a message at all. */
bool request_message(struct session *s, bool text, struct bytes data);
/* One that is a struct already. */
void request_apply(struct session *s, const Livekit__SignalRequest *r);
void request_add_track(struct session *s, const Livekit__AddTrackRequest *req);
/* A client id has become free. */
void request_retry_queued(struct session *s);
/* Subscribes or unsubscribes; unknown tracks are passed over. */
void request_subscription(struct session *s, char **sid, size_t n, bool subscribe);

/* What the client wished of this track before it subscribed to it holds from the first packet. */
void request_recall(struct session *s, struct sub *u);

#endif
