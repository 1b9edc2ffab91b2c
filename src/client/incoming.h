/* client/incoming.h - one stream that our client receives.
 *
 * What its owner needs beside the section: the ssrc, and rtc's bookkeeping of loss,
 * jitter and what is missing.  It does not reorder: who records does.
 */
#ifndef CLIENT_INCOMING_H
#define CLIENT_INCOMING_H

#include "base/cursor.h"
#include "rtc/nack.h"
#include "rtc/report.h"

enum { INCOMING_SENDER = 1 }; /* ssrc of our reports while we send nothing */

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

/* Receiver reports of all these (NULL: none); false when there is nothing to report. */
bool incoming_report(struct incoming *const *in, uint32_t n, us_t now, struct wr *w);
/* Asks for what is missing; false when nothing is due. */
bool incoming_ask(struct incoming *in, us_t now, struct wr *w);

#endif
