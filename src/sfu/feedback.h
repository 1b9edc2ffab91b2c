/* sfu/feedback.h - RTCP of a shard, in and out.
 *
 * From publishers: sender reports.  From subscribers: receiver reports, NACK (answered from the
 * publisher's replay), PLI and FIR (throttled towards the publisher).  To publishers: receiver
 * reports each second, NACK, transport-wide feedback or a constant REMB.  To subscribers:
 * sender reports each three seconds, on our own wall clock, all tracks of a publisher by one and
 * the same offset to its clock so that sound and picture stay together.
 */
#ifndef SFU_FEEDBACK_H
#define SFU_FEEDBACK_H

#include "sfu/plane.h"

/* A decrypted compound packet from the link. */
void feedback_arrived(struct shard *s, struct link *l, struct bytes compound);
/* Send what is due by now. */
void feedback_tick(struct shard *s, struct link *l);

#endif
