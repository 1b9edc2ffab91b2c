/* client/incoming.h - one stream that our client receives.
 *
 * Extends sequence numbers, counts loss and jitter for receiver reports
 * (RFC 3550 A.3, A.8) and lists what is missing for NACK.  It does not reorder:
 * who records does.
 */
#ifndef CLIENT_INCOMING_H
#define CLIENT_INCOMING_H

#include "base/base.h"
#include "wire/rtcp.h"

enum {
    INCOMING_MISSING_MAX = 128,
    INCOMING_NACK_TRIES = 5,
    INCOMING_NACK_GAP_US = 60 * 1000,
    INCOMING_NACK_FIRST_US = 10 * 1000, /* reordering settles within */
    INCOMING_JUMP_MAX = 1000,           /* farther: the sender restarted */
};

struct incoming_missing {
    uint16_t seq;
    uint8_t tries;
    us_t ask_at;
};

struct incoming {
    uint32_t ssrc, clock_hz;
    bool started;
    uint64_t first_seq, highest_seq; /* extended */
    uint64_t received_n, expected_before, received_before;
    uint32_t jitter_q4; /* in 1/16 timestamp units */
    uint32_t last_transit;
    uint32_t lsr; /* middle of the last sender report */
    us_t sr_at;
    struct incoming_missing missing[INCOMING_MISSING_MAX];
    uint32_t missing_n;
};

void incoming_init(struct incoming *in, uint32_t ssrc, uint32_t clock_hz);
/* A packet arrived (also one that came as a retransmission). */
void incoming_seen(struct incoming *in, uint16_t seq, uint32_t ts, us_t now);
void incoming_sender_report(struct incoming *in, const struct rtcp_sr *sr, us_t now);
/* False before the first packet. */
bool incoming_report(struct incoming *in, us_t now, struct rtcp_report *out);
/* Sequence numbers to ask for now, ascending; returns how many. */
unsigned incoming_nack(struct incoming *in, us_t now, uint16_t out[INCOMING_MISSING_MAX]);
us_t incoming_nack_deadline(const struct incoming *in);
uint32_t incoming_lost(const struct incoming *in);

#endif
