/* bus/methods.h - the remote methods that this program calls or serves.  (egress-ingress.md 2.4)
 *
 * Data alone.  The services IOInfo (of the server), IngressInternal and IngressHandler (of an
 * ingress) are LiveKit's; SluiceIO is ours.
 */
#ifndef BUS_METHODS_H
#define BUS_METHODS_H

#include "bus/psrpc.h"

#include "livekit_ingress.pb-c.h"
#include "rpc_ingress.pb-c.h"
#include "rpc_io.pb-c.h"
#include "sluice_io.pb-c.h"

enum method {
    /* The server's; no topic. */
    METHOD_CREATE_INGRESS,       /* livekit.IngressInfo -> rpc.CreateIngressResponse */
    METHOD_GET_INGRESS_INFO,     /* rpc.GetIngressInfoRequest -> rpc.GetIngressInfoResponse */
    METHOD_UPDATE_INGRESS_STATE, /* rpc.UpdateIngressStateRequest -> Empty */
    METHOD_GET_CHANNEL,          /* sluice.GetChannelRequest -> rpc.GetIngressInfoResponse */
    METHOD_ROTATE_KEY,           /* sluice.RotateKeyRequest -> livekit.IngressInfo */
    /* An ingress's. */
    METHOD_START_INGRESS,       /* rpc.StartIngressRequest -> livekit.IngressInfo */
    METHOD_OPEN_PORT,           /* sluice.OpenPortRequest -> sluice.OpenPortResponse */
    METHOD_CLOSE_PORT,          /* sluice.ClosePortRequest -> Empty; topic: the port */
    METHOD_LIST_ACTIVE_INGRESS, /* rpc.ListActiveIngressRequest -> rpc.ListActiveIngressResponse */
    /* A session's; topic: the ingress id. */
    METHOD_UPDATE_INGRESS, /* livekit.UpdateIngressRequest -> livekit.IngressState */
    METHOD_DELETE_INGRESS, /* livekit.DeleteIngressRequest -> livekit.IngressState */
    METHODS
};

extern const struct psrpc_method methods[METHODS];

#endif
