/* signal/remote.h - what a description says of the other end: ICE credentials, fingerprint.
 */
#ifndef SIGNAL_REMOTE_H
#define SIGNAL_REMOTE_H

#include "sfu/cmd.h" /* struct peer_remote */
#include "wire/sdp.h"

/* From the first section that is not rejected; sha-256 where several fingerprints are given.
 * E_MALFORMED: nothing to connect; E_TOO_LARGE, E_UNSUPPORTED. */
MUST_CHECK int remote_read(const struct sdp *sdp, struct peer_remote *remote);

#endif
