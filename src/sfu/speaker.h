/* sfu/speaker.h - how loudly does this track speak?  (livekit-server.md 5.8)
 *
 * Fed with the level of each audio packet (RFC 6464: 0 loudest, 127 silence); each
 * full window of observed audio yields one smoothed linear level.  Facts about a whole room are
 * made on control.  No allocation.
 */
#ifndef SFU_SPEAKER_H
#define SFU_SPEAKER_H

#include "base/base.h"

enum {
    SPEAKER_WINDOW_US = 400 * 1000,
    SPEAKER_ACTIVE_LEVEL = 35,         /* -dBov: louder frames count as speech */
    SPEAKER_ACTIVE_PCT = 40,           /* of a window that must be speech */
    SPEAKER_SMOOTH_WINDOWS = 2,        /* factor 2 / (n + 1) */
    SPEAKER_FRAME_MAX_US = 120 * 1000, /* longest Opus packet */
};

struct speaker {
    us_t observed_us, active_us; /* of the open window */
    us_t heard_at;
    uint8_t loudest; /* -dBov */
    bool active;     /* as last reported */
    float smoothed;  /* linear */
};

void speaker_init(struct speaker *s);
/* One packet of `frame_us` with a level.  True: a window is complete and the owner should
 * report s->smoothed and s->active (only while active, and once when that ends). */
bool speaker_observe(struct speaker *s, uint8_t minus_dbov, us_t frame_us, us_t now);
/* Time arrived.  True: nothing was heard for two windows and the level fell to 0: report. */
bool speaker_tick(struct speaker *s, us_t now);

#endif
