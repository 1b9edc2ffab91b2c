/* wire/twcc.h - transport-wide congestion control feedback.
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01)
 *
 * Turns arrival times into the RTPFB message of type 15 and back.  When to send
 * one, and what to conclude from it, is rtc/'s.  Times in a message are
 * multiples of 250 us from a reference in multiples of 64 ms that wraps after
 * 24 bits; only differences of what is read mean anything.
 */
#ifndef WIRE_TWCC_H
#define WIRE_TWCC_H

#include "base/base.h"
#include "base/cursor.h"
#include "wire/rtcp.h"

enum {
    TWCC_WRITE_MAX = 500,    /* packets in one written message: at most 1,200 bytes */
    TWCC_MESSAGE_MAX = 1200, /* bytes of a written message */
    TWCC_TICK_US = 250,      /* unit of a delta */
    TWCC_REF_US = 64000,     /* unit of the reference time */
};

#define TWCC_LOST ((us_t)-1) /* did not arrive */

/* Appends one message on packets first_seq, first_seq + 1, ...: arrival_at[i] is
 * when it came, or TWCC_LOST.  Returns how many of the n it covers: fewer when
 * two arrivals lie more than 8.1 s apart or n > TWCC_WRITE_MAX; call again for
 * the rest with the next fb_count.  Errors stick in w.  n > 0. */
unsigned twcc_write(struct wr *w, const struct rtcp_fb *from, uint8_t fb_count, uint16_t first_seq,
                    const us_t *arrival_at, unsigned n);

struct twcc_iter {
    struct rd chunks, deltas;
    us_t at;       /* of the last packet that arrived */
    uint32_t left; /* statuses still to come */
    uint16_t seq;  /* of the next status */
    uint16_t chunk, chunk_left;
    uint8_t fb_count;
};

struct twcc_status {
    uint16_t seq;
    bool received;
    us_t at; /* meaningful when received; on the sender's of the feedback clock, modulo 2^24 * 64 ms
              */
};

/* `fb` of a packet for which rtcp_is_twcc(); checked as a whole here.  E_TRUNCATED,
 * E_MALFORMED. */
MUST_CHECK int twcc_parse(struct twcc_iter *it, const struct rtcp_fb *fb);
/* The status of the next sequence number; false at the end. */
bool twcc_next(struct twcc_iter *it, struct twcc_status *out);

#endif
