#include "sfu/speaker.h"

#include <math.h>

void speaker_init(struct speaker *s)
{
    *s = (struct speaker){.loudest = 127};
}

/* Close the window: the loudest frame, lowered by the part of the window that was quiet. */
static float window_level(const struct speaker *s)
{
    if (s->active_us * 100 < (us_t)SPEAKER_WINDOW_US * SPEAKER_ACTIVE_PCT)
        return 0;
    float share = (float)s->active_us / (float)SPEAKER_WINDOW_US;
    float minus_db = (float)s->loudest - 20.0f * log10f(share);
    return powf(10.0f, -minus_db / 20.0f);
}

bool speaker_observe(struct speaker *s, uint8_t minus_dbov, us_t frame_us, us_t now)
{
    frame_us = us_clamp(frame_us, 0, SPEAKER_FRAME_MAX_US);
    s->heard_at = now;
    s->observed_us += frame_us;
    if (minus_dbov <= SPEAKER_ACTIVE_LEVEL) {
        s->active_us += frame_us;
        if (minus_dbov < s->loudest)
            s->loudest = minus_dbov;
    }
    if (s->observed_us < SPEAKER_WINDOW_US)
        return false;

    bool was = s->active;
    s->smoothed += (window_level(s) - s->smoothed) * 2.0f / (float)(SPEAKER_SMOOTH_WINDOWS + 1);
    s->active = s->smoothed >= powf(10.0f, -(float)SPEAKER_ACTIVE_LEVEL / 20.0f);
    s->observed_us = s->active_us = 0;
    s->loudest = 127;
    return s->active || was;
}

bool speaker_tick(struct speaker *s, us_t now)
{
    if (!s->active || now - s->heard_at < 2 * (us_t)SPEAKER_WINDOW_US)
        return false;
    speaker_init(s);
    return true;
}
