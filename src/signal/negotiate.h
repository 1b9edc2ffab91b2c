/* signal/negotiate.h - offers and answers of a session, in both modes.
 *                      (livekit-server.md 3.4, 3.5, 4.5, 4.6)
 *
 * One connection: the client alone offers.  What we send goes into sections that it
 * offers recvonly; when these do not suffice we ask for more, once, and for a round
 * (0/0) when something must change in sections that exist.
 * Standing sections (session.standing): every section that the other side can receive on is
 * answered sendonly with all codecs that we share, or offered so, before there is anything to send.
 * What changes later needs a round with this process alone: its adapter says the same offer, or the
 * same answer, again. Two connections: the client offers on the publisher's, we on the
 * subscriber's, one offer at a time, changes meanwhile are gathered.
 */
#ifndef SIGNAL_NEGOTIATE_H
#define SIGNAL_NEGOTIATE_H

#include "signal/hub.h"

enum { NEGOTIATE_BYTES_MAX = 16 << 20 /* one description and its answer, unfolded */ };

/* The client's offer: answers it.  Any error: this connection cannot go on. */
MUST_CHECK int negotiate_offer(struct session *s, const Livekit__SessionDescription *desc);
/* The client's answer to our offer; one that answers an older offer is ignored (0). */
MUST_CHECK int negotiate_answer(struct session *s, const Livekit__SessionDescription *desc);
/* An announcement came: is its media there already? */
void negotiate_announced(struct session *s, struct pub *p);
/* Wishes against what is: at the end of a tick; returns when to look again. */
us_t negotiate_tick(struct session *s, us_t now);
/* First offer of the subscriber's connection, at once. */
void negotiate_begin(struct session *s);
/* The socket was replaced: what was under way is lost. */
void negotiate_resumed(struct session *s);

#endif
