/* rtc/twcc_rx.h - arrival times for transport-wide congestion feedback.
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01 s3)
 *
 * Records when each transport sequence number of one publisher arrived and decides when a
 * feedback message is due (livekit-server.md 4.4: more than 20 packets and 100 ms; or 50 ms
 * when a frame ended; or more than 100 packets).  Arrival that goes backwards by more than
 * the record, or jumps ahead by more, starts the record anew.
 *
 * No allocation; TWCC_RX_MAX times 4 bytes.
 */
#ifndef RTC_TWCC_RX_H
#define RTC_TWCC_RX_H

#include "base/base.h"
#include "base/cursor.h"
#include "wire/twcc.h"

enum {
    TWCC_RX_MAX = 512, /* numbers between the first unreported and the newest */
    TWCC_RX_PACKETS = 20,
    TWCC_RX_PACKETS_MAX = 100,
    TWCC_RX_US = 100000,
    TWCC_RX_MARKER_US = 50000,
    TWCC_RX_HOLD_US = 250000, /* chosen: a trickle of packets is reported by then at the latest */
};

struct twcc_rx {
    bool started, marker;
    uint8_t fb_count;
    uint16_t first;           /* first number not reported yet */
    uint16_t span;            /* numbers from `first` to the newest, inclusive */
    uint16_t held_n;          /* arrivals among them */
    us_t base_at;             /* arrivals are kept as microseconds after this */
    us_t first_at;            /* arrival of the first held */
    us_t newest_at;           /* and of the last */
    uint32_t at[TWCC_RX_MAX]; /* by number % TWCC_RX_MAX; 0: did not arrive, else 1 + us */
};

void twcc_rx_init(struct twcc_rx *t);
/* A packet arrived; `marker`: it ended a frame. */
void twcc_rx_seen(struct twcc_rx *t, uint16_t seq, bool marker, us_t now);
/* Appends one message when one is due; false otherwise (w untouched).  Call until false.
 * w needs TWCC_MESSAGE_MAX. */
bool twcc_rx_report(struct twcc_rx *t, uint32_t sender, uint32_t media, us_t now, struct wr *w);
/* When a message will be due if nothing more arrives; US_NEVER when nothing is held. */
us_t twcc_rx_deadline(const struct twcc_rx *t);

#endif
