/* signal/transport.h - one connection of a session: its peer on a shard, its data channels.
 *
 * The association (SCTP) runs here on control; packets travel to and from the shard as
 * commands and events.
 */
#ifndef SIGNAL_TRANSPORT_H
#define SIGNAL_TRANSPORT_H

#include "signal/hub.h"

void transport_init(struct transport *t, struct session *s, uint8_t index);
void transport_fini(struct transport *t);
/* Opens the peer.  E_LIMIT, E_LIBRARY. */
MUST_CHECK int transport_open(struct transport *t, bool dtls_client);
/* What the other side's description says; new credentials restart ICE (then ours change
 * too and *restarted is set). */
int transport_set_remote(struct transport *t, const struct peer_remote *remote, bool *restarted);
/* New local credentials. */
int transport_restart(struct transport *t);
/* As if it had never been opened; gives the peer that it was, which is the caller's to end. */
peer_id transport_renew(struct transport *t);
/* ORDERs its end. */
void transport_close(struct transport *t);
/* Candidates of the peer's shard as trickled messages, the last one final. */
void transport_trickle(struct transport *t);
/* The nth candidate line; false when there is none. */
bool transport_candidate(const struct transport *t, uint32_t n, char *out, size_t cap);

void transport_state(struct transport *t, const struct evt_peer_state *ev);
void transport_data(struct transport *t, struct bytes packet);
/* Packets and events of the association. */
void transport_drain(struct transport *t);
/* Are reliable and lossy channel open? */
bool transport_ready(const struct transport *t);

/* A stamped packet for one member: held back while its channels are not open (reliable), or
 * dropped (lossy). */
void transport_deliver(struct session *s, bool reliable, struct bytes packet);
/* A packet for all members that carry `mark`. */
void transport_relay(struct room *r, uint64_t mark, bool reliable, struct bytes packet);

#endif
