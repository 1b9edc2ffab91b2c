/* signal/push.h - what the server says unasked: members, speakers, quality, the room.
 *                 (livekit-server.md 3.8, 5.8, 5.9)
 *
 * Once a tick for each room that is due.  Urgent news at once, the rest in batches.
 */
#ifndef SIGNAL_PUSH_H
#define SIGNAL_PUSH_H

#include "signal/hub.h"

enum {
    PUSH_BATCH_US = 3 * 1000000,
    PUSH_COUNTS_US = 5 * 1000000,
    PUSH_SPEAKERS_US = 400 * 1000,
    PUSH_QUALITY_US = 5 * 1000000,
    PUSH_DRY_US = 8 * 1000000, /* one report a window, and its delay; beyond: nothing came */
    PUSH_PROMPT_MEMBERS = 16,  /* chosen: in rooms up to this size nothing waits for the batch */
};

/* News of a room to its members; returns when it has more to say. */
us_t push_room(struct hub *hub, struct room *r);
/* Those who left while this session had no socket. */
void push_departed(struct session *s);

#endif
