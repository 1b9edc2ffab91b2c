/* rtc/report.h - sender and receiver reports: the numbers in them.  (RFC 3550 s6.4, A.3, A.8)
 *
 * struct report_rx counts one incoming SSRC and fills its report block; struct report_tx
 * counts one outgoing SSRC and fills its sender report.  When to send, and into which
 * compound, is the owner's (the server: receiver reports each second, sender reports each
 * three).  wire/rtcp writes.
 *
 * Times of arrival are monotonic; NTP times come from the wall clock in struct tick.  No
 * allocation, copied with '='.
 */
#ifndef RTC_REPORT_H
#define RTC_REPORT_H

#include "base/base.h"
#include "wire/rtcp.h"

enum {
    REPORT_DROPOUT_MAX = 3000, /* RFC 3550 A.1: a jump ahead of more is suspect */
    REPORT_MISORDER_MAX = 100, /* as is one back of more: two in a row restart the count */
};

struct report_rx {
    bool started, resync;
    uint32_t clock_hz;
    uint16_t newest; /* highest sequence number of this cycle */
    uint16_t resync_seq;
    uint32_t cycles;                         /* times 65536 */
    uint32_t base;                           /* extended number of the first packet */
    uint32_t received_n;                     /* with duplicates, as RFC 3550 has it */
    uint32_t expected_prior, received_prior; /* at the last block */
    uint32_t transit;                        /* of the newest packet, in timestamp units */
    uint32_t jitter16;                       /* sixteen times the jitter */
    bool sr_known;
    uint64_t sr_ntp; /* the last sender report: this wall time .. */
    uint32_t sr_rtp; /* .. is this timestamp */
    us_t sr_at;      /* and when it came */
};

void report_rx_init(struct report_rx *r, uint32_t clock_hz);
/* A packet arrived; not for RTX.  Returns its extended sequence number. */
uint32_t report_rx_seen(struct report_rx *r, uint16_t seq, uint32_t ts, us_t now);
void report_rx_sr(struct report_rx *r, const struct rtcp_sr *sr, us_t now);
/* The next block, and the interval of fraction_lost starts anew.  False before the first
 * packet. */
bool report_rx_block(struct report_rx *r, uint32_t ssrc, us_t now, struct rtcp_report *out);
/* Packets lost so far, never negative; jitter. */
uint32_t report_rx_lost(const struct report_rx *r);
us_t report_rx_jitter_us(const struct report_rx *r);
/* Wall time (Unix, microseconds, the sender's clock) of a timestamp; false before the first
 * sender report. */
bool report_rx_wall(const struct report_rx *r, uint32_t ts, int64_t *unix_us);

struct report_tx {
    bool started;
    uint32_t clock_hz;
    uint32_t packets_n, octets_n; /* payload octets, as RFC 3550 counts */
    uint32_t last_ts;
    us_t last_at;
};

void report_tx_init(struct report_tx *t, uint32_t clock_hz);
void report_tx_sent(struct report_tx *t, uint32_t ts, size_t payload_bytes, us_t now);
/* False before the first packet.  The timestamp is the last packet's carried on to now, so
 * that both clocks of the report mean the same instant. */
bool report_tx_sr(const struct report_tx *t, uint32_t ssrc, struct tick tick, struct rtcp_sr *out);

/* Round trip from a block that came in about a stream of ours; -1 when it answers no SR. */
us_t report_round_trip(const struct rtcp_report *block, struct tick tick);

#endif
