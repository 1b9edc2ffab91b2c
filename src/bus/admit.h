/* bus/admit.h - may this ingress publish, by this protocol, now?  (egress-ingress.md 4.1, 4.9)
 *
 * The rules that every door asks alike: the server for WHIP, an ingress process for RTMP and FTL.
 * Pure; texts are static.
 */
#ifndef BUS_ADMIT_H
#define BUS_ADMIT_H

#include "base/base.h"
#include "bus/psrpc_code.h"

#include "livekit_ingress.pb-c.h"
#include "rpc_io.pb-c.h"

enum admit_way { ADMIT_RTMP, ADMIT_FTL, ADMIT_WHIP, ADMIT_URL };

/* In GetIngressInfoResponse.feature_flags, beside "true": the default channel, whose key works on
 * every way in. */
#define ADMIT_ANY_PROTOCOL "any_protocol"
bool admit_any_protocol(const Rpc__GetIngressInfoResponse *r);

/* PSRPC_OK, or why not: another protocol's key (invalid_argument "invalid ingress type"), disabled
 * (permission_denied), no room or identity to publish as (invalid_argument). */
enum psrpc_code admit_check(const Livekit__IngressInfo *info, bool any_protocol, enum admit_way way,
                            const char **why);

#endif
