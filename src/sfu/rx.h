/* sfu/rx.h - one incoming stream: its media ssrc and the RTX ssrc that repairs it.
 *
 * Extends sequence numbers, unwraps retransmissions (RFC 4588), drops duplicates, fills in
 * what the payload says of itself, and feeds rtc/nack and rtc/report.  Embedded in its track.
 * No allocation.
 */
#ifndef SFU_RX_H
#define SFU_RX_H

#include "rtc/nack.h"
#include "rtc/report.h"
#include "sfu/cmd.h"
#include "sfu/pkt.h"

enum { RX_WINDOW = 1024 }; /* numbers behind the newest that may still come */

struct track;

struct rx {
    uint32_t ssrc, rtx_ssrc; /* 0: not learnt yet */
    uint8_t layer;
    bool started;
    bool odd; /* the last packet was far off; a successor means the sender restarted */
    uint16_t odd_next;
    uint32_t clock_hz;
    struct track *track;
    uint64_t base, top; /* first and newest extended number */
    uint64_t window[RX_WINDOW / 64];
    struct nack nack;
    struct report_rx report;
    struct rx_dd *dd; /* AV1 with dependency descriptors; NULL until the first comes */
};

struct rx_dd;

void rx_init(struct rx *rx, struct track *track, uint8_t layer, uint32_t clock_hz);
void rx_fini(struct rx *rx);
/* The stream goes on under another ssrc: its numbers continue after ours. */
void rx_restart(struct rx *rx, uint32_t ssrc);

/* A decrypted and parsed packet on either ssrc; codec NULL when its payload type is not ours.
 * Completes p for everyone behind.  0; E_REPLAY: a duplicate or too late; E_NOENT: the payload type
 * is unknown, or a probe on the RTX stream.  Hot. */
int rx_accept(struct rx *rx, struct pkt *p, const struct cmd_codec *codec);

/* A number that is missing came by other means: true, and its packet would now be a duplicate.
 * False: it is there, or too old. */
bool rx_fill(struct rx *rx, uint64_t seq, bool nack);

#endif
