/* client/incoming.h - one stream that our client receives.
 *
 * What its owner needs beside the section: the ssrc, and rtc's bookkeeping of loss,
 * jitter and what is missing.  It does not reorder: who records does.
 */
#ifndef CLIENT_INCOMING_H
#define CLIENT_INCOMING_H

#include "rtc/nack.h"
#include "rtc/report.h"

struct incoming {
    uint32_t ssrc; /* 0: the section carries nothing now */
    struct nack nack;
    struct report_rx report;
};

static inline void incoming_init(struct incoming *in, uint32_t ssrc, uint32_t clock_hz)
{
    in->ssrc = ssrc;
    nack_init(&in->nack);
    report_rx_init(&in->report, clock_hz);
}

#endif
