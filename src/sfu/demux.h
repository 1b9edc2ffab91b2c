/* sfu/demux.h - from a received datagram to the peer and the stream it belongs to.
 *
 * First byte: STUN, DTLS, RTP or RTCP (RFC 7983).  The remote address names the peer; STUN from
 * elsewhere is looked up by the ufrag it names, and its address is remembered only after the peer
 * authenticated it.  Streams without a known ssrc are recognised by mid and rid, or
 * by their payload type.
 */
#ifndef SFU_DEMUX_H
#define SFU_DEMUX_H

#include "sfu/plane.h"

/* One datagram; p stays the caller's. */
void demux_packet(struct shard *s, struct pkt *p);

/* Forget the ssrcs of a stream. */
void demux_forget(struct link *l, struct rx *rx);

#endif
