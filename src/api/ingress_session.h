/* api/ingress_session.h - what an ingress is doing: its state, as sessions here and elsewhere say.
 * (egress-ingress.md 4.3)
 *
 * INACTIVE, BUFFERING when a publisher is accepted, PUBLISHING in the room, INACTIVE or ERROR at
 * the end.  A session is known by its start: what an older one says later is refused.  A state
 * holds at once and is written to the store behind.
 *
 * As api/ingress: control thread, time as an argument.
 */
#ifndef API_INGRESS_SESSION_H
#define API_INGRESS_SESSION_H

#include "api/ingress.h"

/* ---- a session in this process (WHIP) ---- */

/* Accepted: BUFFERING, a new resource id, started_at now.  A session before it is no longer
 * heard. */
MUST_CHECK int ingress_session_begin(struct ingress_book *b, struct ingress *i, struct tick tick);
/* On air.  Ignored unless `resource_id` is the session's, here and below. */
void ingress_session_live(struct ingress_book *b, const char *ingress_id, const char *resource_id,
                          const char *room_sid, struct tick tick);
/* `error` NULL or "": INACTIVE; else ERROR. */
void ingress_session_end(struct ingress_book *b, const char *ingress_id, const char *resource_id,
                         const char *error, struct tick tick);

/* ---- a session elsewhere reports (IOInfo.UpdateIngressState) ---- */

/* PSRPC_NOT_FOUND; PSRPC_FAILED_PRECONDITION when a newer session has reported.  Older reports of
 * the same session are accepted and change nothing. */
enum psrpc_code ingress_session_report(struct ingress_book *b, const char *ingress_id,
                                       const Livekit__IngressState *state, const char **why);
/* An ingress that was on air and cannot be any more: its process is gone.  Reports of the same
 * session that are newer put it back. */
void ingress_session_lost(struct ingress_book *b, struct ingress *i, struct tick tick);

#endif
