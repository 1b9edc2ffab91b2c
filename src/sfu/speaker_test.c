#include "sfu/speaker.h"

#include "base/test.h"

enum { FRAME_US = 20 * 1000 };

TEST(voice_is_reported_at_the_end_of_each_window)
{
    struct speaker s;
    us_t now = 0;

    speaker_init(&s);
    for (int i = 1; i <= 60; i++) {
        bool due = speaker_observe(&s, 20, FRAME_US, now += FRAME_US);
        EXPECT_EQ(due, i % 20 == 0);
        if (i == 20) /* linear 0.1, smoothed by two thirds */
            EXPECT(s.active && s.smoothed > 0.0666f && s.smoothed < 0.0667f);
    }
    EXPECT(s.smoothed > 0.09f && s.smoothed < 0.1f);
}

TEST(silence_ends_with_one_report)
{
    struct speaker s;
    us_t now = 0;
    int reports = 0;

    speaker_init(&s);
    for (int i = 0; i < 100; i++)
        EXPECT(!speaker_observe(&s, 60, FRAME_US, now += FRAME_US));
    for (int i = 0; i < 20; i++)
        speaker_observe(&s, 5, FRAME_US, now += FRAME_US);
    EXPECT(s.active);
    for (int i = 0; i < 400; i++)
        reports += speaker_observe(&s, 127, FRAME_US, now += FRAME_US);
    EXPECT(!s.active);
    EXPECT(reports >= 1 && reports <= 4); /* while the smoothed level decays */
}

TEST(a_short_noise_is_not_speech)
{
    struct speaker s;
    us_t now = 0;

    speaker_init(&s);
    for (int i = 0; i < 20; i++)
        EXPECT(!speaker_observe(&s, i < 7 ? 0 : 127, FRAME_US, now += FRAME_US));
    EXPECT(!s.active);
}

TEST(a_track_that_stops_falls_silent_after_two_windows)
{
    struct speaker s;
    us_t now = 0;

    speaker_init(&s);
    for (int i = 0; i < 20; i++)
        speaker_observe(&s, 10, FRAME_US, now += FRAME_US);
    EXPECT(!speaker_tick(&s, now + 2 * SPEAKER_WINDOW_US - 1));
    EXPECT(speaker_tick(&s, now + 2 * SPEAKER_WINDOW_US));
    EXPECT(!s.active && s.smoothed == 0);
    EXPECT(!speaker_tick(&s, now + 10 * SPEAKER_WINDOW_US));
}
