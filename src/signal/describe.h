/* signal/describe.h - the lines that every description of ours has, and how one is sent.
 *                     (livekit-server.md 3.4, 3.5, 4.1)
 */
#ifndef SIGNAL_DESCRIBE_H
#define SIGNAL_DESCRIBE_H

#include "signal/session.h"
#include "wire/sdp.h"

/* E_NOMEM. */
MUST_CHECK int describe_begin(struct transport *t, struct sdp *sdp, struct arena *a);
/* Credentials and the like; candidates in the first section of the bundle (*candidates says
 * whether it had them).  E_NOMEM. */
MUST_CHECK int describe_common(struct transport *t, struct sdp *sdp, struct sdp_media *m,
                               enum sdp_setup setup, bool *candidates);
void describe_data(struct sdp_media *m);
/* With the track of each section that we send on. */
void describe_send(struct session *s, struct transport *t, const struct sdp *sdp, bool answer,
                   uint32_t id);

#endif
