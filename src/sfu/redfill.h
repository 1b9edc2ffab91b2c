/* sfu/redfill.h - lost Opus packets out of the redundancy of the next one.  (RFC 2198)
 *
 * A RED packet repeats its predecessors.  What is missing of these when it arrives is put back
 * into the track as plain Opus packets in the publisher's numbers, once, for all subscribers; the
 * original, should it come after all, counts as a duplicate.  (livekit-server.md 5.4)
 */
#ifndef SFU_REDFILL_H
#define SFU_REDFILL_H

#include "sfu/plane.h"

/* `p` was accepted on rx and is not forwarded yet.  Does nothing for other codecs. */
void redfill(struct shard *s, struct rx *rx, const struct pkt *p);

#endif
