#include "sfu/link.h"

bool link_send_rtcp(struct link *l, struct tx *tx, struct bytes rtcp)
{
    if (!l->up || rtcp.len == 0)
        return false;
    uint8_t *out = tx_claim(tx, TX_DATAGRAM_MAX);
    size_t n = out != NULL ? peer_seal_rtcp(l->peer, rtcp, out, TX_DATAGRAM_MAX) : 0;
    if (n == 0)
        return false;
    tx_commit(tx, &l->path, (uint32_t)n, TX_CONTROL);
    return true;
}
