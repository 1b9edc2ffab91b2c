#include "bus/methods.h"

#include "google/protobuf/empty.pb-c.h"

#define IO (PSRPC_CLAIM | PSRPC_QUEUE)

const struct psrpc_method methods[METHODS] = {
    [METHOD_CREATE_INGRESS] = {"IOInfo", "CreateIngress", IO, &livekit__ingress_info__descriptor,
                               &rpc__create_ingress_response__descriptor},
    [METHOD_GET_INGRESS_INFO] = {"IOInfo", "GetIngressInfo", IO,
                                 &rpc__get_ingress_info_request__descriptor,
                                 &rpc__get_ingress_info_response__descriptor},
    [METHOD_UPDATE_INGRESS_STATE] = {"IOInfo", "UpdateIngressState", IO,
                                     &rpc__update_ingress_state_request__descriptor,
                                     &google__protobuf__empty__descriptor},
    [METHOD_GET_CHANNEL] = {"SluiceIO", "GetChannel", IO, &sluice__get_channel_request__descriptor,
                            &rpc__get_ingress_info_response__descriptor},
    [METHOD_ROTATE_KEY] = {"SluiceIO", "RotateKey", IO, &sluice__rotate_key_request__descriptor,
                           &livekit__ingress_info__descriptor},
    [METHOD_START_INGRESS] = {"IngressInternal", "StartIngress", PSRPC_AFFINITY | PSRPC_CLAIM,
                              &rpc__start_ingress_request__descriptor,
                              &livekit__ingress_info__descriptor},
    [METHOD_OPEN_PORT] = {"SluiceIngress", "OpenPort", IO, &sluice__open_port_request__descriptor,
                          &sluice__open_port_response__descriptor},
    [METHOD_CLOSE_PORT] = {"SluiceIngress", "ClosePort", IO,
                           &sluice__close_port_request__descriptor,
                           &google__protobuf__empty__descriptor},
    [METHOD_LIST_ACTIVE_INGRESS] = {"IngressInternal", "ListActiveIngress", PSRPC_MULTI,
                                    &rpc__list_active_ingress_request__descriptor,
                                    &rpc__list_active_ingress_response__descriptor},
    [METHOD_UPDATE_INGRESS] = {"IngressHandler", "UpdateIngress", IO,
                               &livekit__update_ingress_request__descriptor,
                               &livekit__ingress_state__descriptor},
    [METHOD_DELETE_INGRESS] = {"IngressHandler", "DeleteIngress", IO,
                               &livekit__delete_ingress_request__descriptor,
                               &livekit__ingress_state__descriptor},
};
