/* wire/rtcp.h - RTCP compound packets, read and written.
 * (RFC 3550 s6, RFC 4585, RFC 5104, RFC 5506, draft-alvestrand-rmcat-remb-03)
 *
 * Knows the formats and nothing of when to send them (rtc/report, rtc/nack).
 * Packet types not listed are stepped over.  Transport-wide feedback has a unit
 * of its own, wire/twcc.  No state, no allocation; parsed values borrow the
 * datagram.
 */
#ifndef WIRE_RTCP_H
#define WIRE_RTCP_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    RTCP_REPORTS_MAX = 31,     /* in one SR or RR, by the format */
    RTCP_REMB_SSRCS_MAX = 32,  /* kept of a REMB; the format allows 255 */
    RTCP_FIR_MAX = 32,         /* entries kept of a FIR */
    RTCP_NACK_WRITE_MAX = 256, /* sequence numbers in one written NACK */
    RTCP_CNAME_MAX = 255,
};

enum rtcp_pt {
    RTCP_SR = 200,
    RTCP_RR = 201,
    RTCP_SDES = 202,
    RTCP_BYE = 203,
    RTCP_APP = 204,
    RTCP_RTPFB = 205,
    RTCP_PSFB = 206,
    RTCP_XR = 207,
};

enum rtcp_rtpfb {
    RTCP_RTPFB_NACK = 1,
    RTCP_RTPFB_TWCC = 15,
};

enum rtcp_psfb {
    RTCP_PSFB_PLI = 1,
    RTCP_PSFB_FIR = 4,
    RTCP_PSFB_AFB = 15, /* REMB, when its identifier says so */
};

enum rtcp_sdes_item {
    RTCP_SDES_CNAME = 1,
    RTCP_SDES_MID = 15, /* RFC 8843 s15.2 */
};

/* One packet of a compound. */
struct rtcp_pkt {
    uint8_t pt;
    uint8_t count;     /* report count, source count or feedback message type */
    struct bytes body; /* after the 4-byte header, without padding */
};

struct rtcp_iter {
    struct rd rd;
    bool malformed; /* the compound broke off: what came before was good */
};

void rtcp_iter_init(struct rtcp_iter *it, struct bytes compound);
/* The next packet; false at the end or at the first malformed one. */
bool rtcp_next(struct rtcp_iter *it, struct rtcp_pkt *pkt);

struct rtcp_report {
    uint32_t ssrc;         /* the source that is reported on */
    uint8_t fraction_lost; /* of 256, since the last report */
    int32_t lost_n;        /* cumulative, 24 bits signed */
    uint32_t highest_seq;  /* extended */
    uint32_t jitter;       /* in timestamp units */
    uint32_t lsr, dlsr;    /* middle of the NTP time of the last SR; 1/65536 s since */
};

struct rtcp_sr {
    uint32_t ssrc;
    uint64_t ntp;
    uint32_t rtp_ts;
    uint32_t packets_n, octets_n;
};

/* Header fields of any feedback packet (RFC 4585 s6.1). */
struct rtcp_fb {
    uint32_t sender, media;
    struct bytes fci;
};

/* All return 0, E_TRUNCATED, or E_UNSUPPORTED when it is another kind of packet. */
MUST_CHECK int rtcp_parse_sr(const struct rtcp_pkt *pkt, struct rtcp_sr *sr);
MUST_CHECK int rtcp_parse_fb(const struct rtcp_pkt *pkt, struct rtcp_fb *fb);
/* Report blocks of an SR or RR: *n of them (what fits in the body). */
MUST_CHECK int rtcp_parse_reports(const struct rtcp_pkt *pkt, uint32_t *sender,
                                  struct rtcp_report out[RTCP_REPORTS_MAX], unsigned *n);
/* The value of an item in the chunk of a source; p == NULL when there is none. */
struct bytes rtcp_sdes_find(const struct rtcp_pkt *pkt, uint32_t ssrc, uint8_t item);

struct rtcp_nack_iter {
    struct rd rd;
    uint16_t pid, blp;
    bool pid_due;
};

/* fb of a NACK; then all missing sequence numbers in the order of the packet. */
void rtcp_nack_init(struct rtcp_nack_iter *it, const struct rtcp_fb *fb);
bool rtcp_nack_next(struct rtcp_nack_iter *it, uint16_t *seq);

bool rtcp_is_nack(const struct rtcp_pkt *pkt);
bool rtcp_is_pli(const struct rtcp_pkt *pkt);
bool rtcp_is_fir(const struct rtcp_pkt *pkt);
bool rtcp_is_twcc(const struct rtcp_pkt *pkt);
bool rtcp_is_remb(const struct rtcp_pkt *pkt);

struct rtcp_fir {
    uint32_t ssrc;
    uint8_t seq;
};
/* Returns how many entries were stored. */
unsigned rtcp_parse_fir(const struct rtcp_pkt *pkt, struct rtcp_fir out[RTCP_FIR_MAX]);

struct rtcp_remb {
    uint32_t sender;
    uint64_t rate_bps;
    uint32_t ssrc[RTCP_REMB_SSRCS_MAX];
    unsigned ssrc_n;
};
MUST_CHECK int rtcp_parse_remb(const struct rtcp_pkt *pkt, struct rtcp_remb *remb);

/* Sources that say goodbye; returns how many were stored. */
unsigned rtcp_parse_bye(const struct rtcp_pkt *pkt, uint32_t *out, unsigned max);

/* Writing: each appends one packet; errors stick in w. */
void rtcp_write_sr(struct wr *w, const struct rtcp_sr *sr, const struct rtcp_report *reports,
                   unsigned n);
void rtcp_write_rr(struct wr *w, uint32_t sender, const struct rtcp_report *reports, unsigned n);
/* CNAME, and MID when mid.len > 0. */
void rtcp_write_sdes(struct wr *w, uint32_t ssrc, struct bytes cname, struct bytes mid);
void rtcp_write_bye(struct wr *w, const uint32_t *ssrc, unsigned n);
/* seq[] in ascending serial order, n <= RTCP_NACK_WRITE_MAX, n > 0. */
void rtcp_write_nack(struct wr *w, uint32_t sender, uint32_t media, const uint16_t *seq,
                     unsigned n);
void rtcp_write_pli(struct wr *w, uint32_t sender, uint32_t media);
void rtcp_write_fir(struct wr *w, uint32_t sender, const struct rtcp_fir *fir, unsigned n);
void rtcp_write_remb(struct wr *w, const struct rtcp_remb *remb);

/* NTP timestamps (32.32 seconds since 1900) from and to Unix microseconds. */
uint64_t rtcp_ntp_of_unix(int64_t unix_us);
int64_t rtcp_unix_of_ntp(uint64_t ntp);
static inline uint32_t rtcp_ntp_mid(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}
/* RFC 3550 s6.4.1: round trip from a report that arrived at `ntp_now`; -1 when
 * the block answers no SR or time runs backwards. */
us_t rtcp_round_trip(uint64_t ntp_now, const struct rtcp_report *r);

#endif
