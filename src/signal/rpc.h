/* signal/rpc.h - remote procedure calls that the API makes to a participant.
 *                (livekit-server.md 4.7)
 *
 * The server is the caller: request out as a data packet, ack within 2 s, response within
 * the time asked for.  Results wait in the hub until rpc_result() takes them.
 */
#ifndef SIGNAL_RPC_H
#define SIGNAL_RPC_H

#include "signal/hub.h"

enum {
    RPC_ACK_US = 2 * 1000000,
    RPC_RESPONSE_MS = 10000, /* when not asked otherwise */
    RPC_PAYLOAD_MAX = 15360,
    RPC_CONNECTION_TIMEOUT = 1501,
    RPC_RESPONSE_TIMEOUT = 1502,
    RPC_RECIPIENT_DISCONNECTED = 1503,
};

void rpc_init(struct hub *hub);
/* E_TOO_LARGE, E_LIMIT, E_NOMEM. */
MUST_CHECK int rpc_call(struct hub *hub, struct member *to, const char *method, const char *payload,
                        uint32_t timeout_ms, uint64_t conn);
/* Is this packet an ack or response to one of ours?  Then it goes no further. */
bool rpc_answered(struct hub *hub, const struct member *from, const struct data_packet *d);
/* The next that ended; payload becomes the caller's. */
bool rpc_result(struct hub *hub, struct rpc_result *out);
/* Its calls end: nobody is there to answer. */
void rpc_left(struct session *s);
/* Ends what is over its time; costs what is due. */
void rpc_tick(struct hub *hub);
void rpc_fini(struct hub *hub);

#endif
