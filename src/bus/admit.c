#include "bus/admit.h"

bool admit_any_protocol(const Rpc__GetIngressInfoResponse *r)
{
    for (size_t i = 0; i < r->n_feature_flags; i++) {
        if (strcmp(r->feature_flags[i]->key, ADMIT_ANY_PROTOCOL) == 0)
            return strcmp(r->feature_flags[i]->value, "true") == 0;
    }
    return false;
}

static bool suits(const Livekit__IngressInfo *info, enum admit_way way)
{
    switch (info->input_type) {
    case LIVEKIT__INGRESS_INPUT__RTMP_INPUT:
        return way == ADMIT_RTMP || way == ADMIT_FTL;
    case LIVEKIT__INGRESS_INPUT__WHIP_INPUT:
        return way == ADMIT_WHIP;
    case LIVEKIT__INGRESS_INPUT__URL_INPUT:
        return way == ADMIT_URL;
    default:
        return false;
    }
}

enum psrpc_code admit_check(const Livekit__IngressInfo *info, bool any_protocol, enum admit_way way,
                            const char **why)
{
    *why = "";
    if (!(any_protocol && way != ADMIT_URL) && !suits(info, way)) {
        *why = "invalid ingress type";
        return PSRPC_INVALID_ARGUMENT;
    }
    if (info->_enabled_case == LIVEKIT__INGRESS_INFO___ENABLED_ENABLED && !info->enabled) {
        *why = "session is disabled";
        return PSRPC_PERMISSION_DENIED;
    }
    if (info->room_name[0] == '\0') {
        *why = "invalid ingress: no room name";
        return PSRPC_INVALID_ARGUMENT;
    }
    if (info->participant_identity[0] == '\0') {
        *why = "invalid ingress: no participant identity";
        return PSRPC_INVALID_ARGUMENT;
    }
    return PSRPC_OK;
}
