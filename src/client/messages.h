/* client/messages.h - what our client says to a LiveKit server, as bytes.
 *
 * Pure functions: each packs one SignalRequest, or the target of the WebSocket
 * request with its JoinRequest (livekit-server.md 1.4, 3.5).
 */
#ifndef CLIENT_MESSAGES_H
#define CLIENT_MESSAGES_H

#include "client/client.h"
#include "client/section.h"

enum { MESSAGES_PROTOCOL = 17 };

/* "/rtc/v1?join_request=..."; 0, E_NOMEM, E_TOO_LARGE. */
int messages_target(const struct client_cfg *cfg, const struct sections *ss, const char *offer,
                    struct str *out);
/* The target of one that resumes as participant `sid`. */
int messages_resume(const struct client_cfg *cfg, const char *sid, struct str *out);
int messages_offer(const char *sdp, uint32_t id, struct str *out);
int messages_ping(int64_t unix_ms, struct str *out);
int messages_mute(const char *sid, bool muted, struct str *out);
/* One attribute of ours. */
int messages_attribute(const char *name, const char *value, uint32_t id, struct str *out);
int messages_leave(struct str *out);
/* Quality HIGH and enabled: what a recorder wants of every track. */
int messages_track_setting(const char *const *sid, uint32_t n, struct str *out);

#endif
