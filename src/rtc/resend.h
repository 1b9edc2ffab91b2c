/* rtc/resend.h - the sender's side of NACK: whether to answer, and what was sent.
 *
 * struct resend guards one outgoing SSRC against being asked too often; it holds no
 * packets (the SFU finds them through its offset map in the publisher's ring).
 * struct resend_history is the ring of sent packets that our own clients answer from; the
 * server has none.
 *
 * resend: no allocation, one KiB, a table by sequence number in which a newer number takes
 * the place of one RESEND_SLOTS away.  History: allocates in open and for each slot's first
 * use, never more than slots * RESEND_PACKET_MAX.
 */
#ifndef RTC_RESEND_H
#define RTC_RESEND_H

#include "base/base.h"

enum {
    RESEND_SLOTS = 128,   /* chosen: NACKs speak of the last few hundred ms */
    RESEND_TIMES_MAX = 3, /* livekit-server.md 5.3: ignored after 3 times */
    RESEND_GAP_MS = 100,  /* and within 100 ms */
    RESEND_PACKET_MAX = 1500,
};

struct resend_slot {
    uint32_t at_ms; /* last answered */
    uint16_t seq;
    uint16_t times; /* 0: empty */
};

struct resend {
    struct resend_slot slot[RESEND_SLOTS];
};

/* The other side asked for `seq`: true to send it again (counted as sent). */
bool resend_asked(struct resend *r, uint16_t seq, us_t now);

struct resend_history;

/* `packets`: a power of two.  E_NOMEM. */
MUST_CHECK int resend_history_open(struct resend_history **ret, unsigned packets);
void resend_history_free(struct resend_history *h);
/* Remember a sent packet, unencrypted, header and payload; one over RESEND_PACKET_MAX or
 * without memory is not remembered. */
void resend_history_put(struct resend_history *h, uint16_t seq, struct bytes hdr,
                        struct bytes payload);
/* False when it is gone.  *pkt is valid until the next put. */
bool resend_history_find(const struct resend_history *h, uint16_t seq, struct bytes *pkt);

#endif
