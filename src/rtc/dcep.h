/* rtc/dcep.h - the two messages that open a data channel.  (RFC 8832 s5)
 *
 * Reads and writes; which channels there are and which openings are refused is rtc/assoc's.
 * No state, no allocation; what is read borrows the message.
 */
#ifndef RTC_DCEP_H
#define RTC_DCEP_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    DCEP_ACK = 0x02,
    DCEP_OPEN = 0x03,
    DCEP_OPEN_BYTES = 12, /* of an OPEN without label and protocol */
};

struct dcep_open {
    bool ordered;
    bool timed;    /* `limit` is milliseconds, else retransmissions */
    int32_t limit; /* -1: reliable */
    struct bytes label;
};

/* Errors stick in w; the label is at most 65535 bytes. */
void dcep_write_open(struct wr *w, const struct dcep_open *o);
/* A whole message; false when it is no well-formed OPEN of a known type.  The protocol is read
 * over.
 */
bool dcep_read_open(struct bytes message, struct dcep_open *o);

#endif
