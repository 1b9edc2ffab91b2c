/* room/quality.h - how well one stream gets through, as a number.  (livekit-server.md 5.9)
 *
 * A score from 0 to 100 of each window of statistics, by loss, delay and layers that are missing,
 * smoothed: it falls fast and recovers slowly.  Plain values; no memory, no clock.
 */
#ifndef ROOM_QUALITY_H
#define ROOM_QUALITY_H

#include "base/base.h"

#include "livekit_models.pb-c.h"

enum {
    QUALITY_GOOD_OVER = 80, /* above: EXCELLENT */
    QUALITY_POOR_OVER = 40, /* above: GOOD */
    QUALITY_LOST_OVER = 20, /* above: POOR */
};

struct quality {
    float score;
    float rate; /* packets a second when it is busy: fewer of them weigh less */
    bool begun;
};

/* What happened since the last window. */
struct quality_window {
    uint64_t packets, lost;
    uint32_t jitter_us, rtt_us;
    us_t span;
    float loss_weight; /* points for each percent */
    float distance;    /* spatial layers that were wanted and did not come */
};

/* Points for each percent of loss: of Opus with its own FEC, RED, video (5.9). */
float quality_loss_weight(bool video, bool red);
void quality_update(struct quality *q, const struct quality_window *w);
/* Nothing came at all: the sender rests, or its whole connection is silent. */
void quality_dry(struct quality *q, bool connection_dead);
/* A track that is muted has nothing to complain of. */
void quality_muted(struct quality *q);
/* 100 before the first window. */
float quality_score(const struct quality *q);

Livekit__ConnectionQuality quality_class(float score);
/* Mean opinion score, 1 to 4.5. */
float quality_mos(float score);

#endif
