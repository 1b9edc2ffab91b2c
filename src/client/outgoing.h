/* client/outgoing.h - one stream that our client sends.
 *
 * Numbers packets, writes their headers, repeats the last ones on request (RFC
 * 4588) and says when a sender report is due.  It seals nothing: it gives header
 * and payload, the owner seals them with its peer.  Counting and remembering are
 * rtc/report's and rtc/resend's.
 */
#ifndef CLIENT_OUTGOING_H
#define CLIENT_OUTGOING_H

#include "base/base.h"
#include "client/section.h"
#include "rtc/report.h"
#include "rtc/resend.h"
#include "wire/rtcp.h"

enum {
    OUTGOING_PAYLOAD_MAX = 1392,  /* an FTL client's; with everything around it under 1,480 bytes */
    OUTGOING_HISTORY_VIDEO = 512, /* packets, a power of two: a second of 5 Mb/s */
    OUTGOING_HISTORY_AUDIO = 64,
    OUTGOING_REPORT_US = 1000 * 1000,
};

/* A packet ready to be sealed. */
struct outgoing_packet {
    uint8_t hdr[RTP_HEADER_OUT_MAX];
    size_t hdr_len;
    uint8_t prefix[2]; /* RTX: the original sequence number */
    bool rtx;
    uint32_t roc;
    struct bytes payload; /* without the prefix */
};

struct outgoing {
    uint32_t ssrc, rtx_ssrc, clock_hz;
    uint8_t pt, rtx_pt;
    uint8_t level; /* the byte of RFC 6464; 0: not said */
    char mid[SECTION_MID_MAX];
    uint64_t next_seq, next_rtx_seq; /* extended: the roll-over counter is seq >> 16 */
    us_t report_at;
    bool clocked; /* clock_ts was captured at clock_at, whenever packets leave */
    uint32_t clock_ts;
    us_t clock_at;
    struct report_tx report;
    struct resend resend;
    struct resend_history *history;
};

/* E_NOMEM.  `codec` is what the answer took. */
MUST_CHECK int outgoing_init(struct outgoing *o, const struct section *s,
                             const struct section_codec *codec, struct rng *rng);
void outgoing_fini(struct outgoing *o);
/* A new packet; E_TOO_LARGE. */
int outgoing_make(struct outgoing *o, struct bytes payload, uint32_t ts, bool marker, us_t now,
                  struct outgoing_packet *out);
/* Leave out the next n numbers: lost before they came to us. */
void outgoing_skip(struct outgoing *o, uint32_t n);
/* Sender reports go by this from now on. */
void outgoing_clock(struct outgoing *o, uint32_t ts, us_t at);
/* Somebody misses `seq`.  False: too old, or asked again too soon. */
bool outgoing_resend(struct outgoing *o, uint16_t seq, us_t now, struct outgoing_packet *out);
/* A sender report is due: fills *sr. */
bool outgoing_report(struct outgoing *o, struct tick tick, struct rtcp_sr *sr);

#endif
