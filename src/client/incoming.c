#include "client/incoming.h"

#include "wire/rtcp.h"

bool incoming_report(struct incoming *const *in, uint32_t n, us_t now, struct wr *w)
{
    struct rtcp_report blocks[RTCP_REPORTS_MAX];
    unsigned block_n = 0;

    for (uint32_t i = 0; i < n && block_n < RTCP_REPORTS_MAX; i++) {
        if (in[i] != NULL && in[i]->ssrc != 0 &&
            report_rx_block(&in[i]->report, in[i]->ssrc, now, &blocks[block_n]))
            block_n++;
    }
    if (block_n == 0)
        return false;
    rtcp_write_rr(w, INCOMING_SENDER, blocks, block_n);
    rtcp_write_sdes(w, INCOMING_SENDER, bytes_str("sluice"), (struct bytes){0});
    return true;
}

bool incoming_ask(struct incoming *in, us_t now, struct wr *w)
{
    uint16_t seq[NACK_MISSING_MAX];
    unsigned n = nack_due(&in->nack, now, 0, seq, NACK_MISSING_MAX);

    if (n == 0 || in->ssrc == 0)
        return false;
    rtcp_write_rr(w, INCOMING_SENDER, NULL, 0);
    rtcp_write_nack(w, INCOMING_SENDER, in->ssrc, seq, n);
    return true;
}
