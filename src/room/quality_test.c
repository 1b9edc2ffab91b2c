#include "room/quality.h"

#include "base/test.h"

static const struct quality_window clean = {
    .packets = 500, .span = 5 * US_PER_SEC, .loss_weight = 10, .rtt_us = 20000, .jitter_us = 1000};

static Livekit__ConnectionQuality class_of(const struct quality *q)
{
    return quality_class(quality_score(q));
}

TEST(a_clean_stream_is_excellent_and_so_is_one_that_has_not_begun)
{
    struct quality q = {0};

    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__EXCELLENT);
    quality_update(&q, &clean);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__EXCELLENT);
    EXPECT(quality_mos(quality_score(&q)) > 4.3f);
}

TEST(loss_weighs_by_codec_falls_fast_and_recovers_slowly)
{
    struct quality_window w = clean;
    struct quality q = {0};

    w.packets = 470;
    w.lost = 30; /* 6 % of video */
    quality_update(&q, &w);
    quality_update(&q, &w);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__GOOD);
    w.packets = 400;
    w.lost = 100;
    quality_update(&q, &w);
    quality_update(&q, &w);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__POOR);
    EXPECT(quality_score(&q) >= 30);
    int n = 0;
    while (class_of(&q) != LIVEKIT__CONNECTION_QUALITY__EXCELLENT && ++n < 20)
        quality_update(&q, &clean);
    EXPECT(n > 1 && n < 6);
    struct quality audio = {0};
    w.loss_weight = quality_loss_weight(false, true);
    w.packets = 470;
    w.lost = 30;
    quality_update(&audio, &w);
    EXPECT_EQ(class_of(&audio), LIVEKIT__CONNECTION_QUALITY__EXCELLENT); /* RED mends it */
}

TEST(delay_beyond_what_a_talk_bears_is_heard)
{
    struct quality_window w = clean;
    struct quality q = {0};

    w.rtt_us = 900 * 1000;
    quality_update(&q, &w);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__GOOD);
}

TEST(a_missing_layer_drops_a_class)
{
    struct quality_window w = clean;
    struct quality q = {0};

    w.distance = 1;
    quality_update(&q, &w);
    quality_update(&q, &w);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__GOOD);
    w.distance = 2;
    quality_update(&q, &w);
    quality_update(&q, &w);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__POOR);
}

TEST(nothing_at_all_is_poor_or_lost_and_a_mute_is_neither)
{
    struct quality q = {0};

    quality_dry(&q, true); /* not begun */
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__EXCELLENT);
    quality_update(&q, &clean);
    quality_dry(&q, false);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__POOR);
    quality_muted(&q);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__EXCELLENT);
    quality_dry(&q, true);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__LOST);
    quality_muted(&q);
    EXPECT_EQ(class_of(&q), LIVEKIT__CONNECTION_QUALITY__LOST);
}

TEST(a_rare_packet_that_is_lost_weighs_little)
{
    struct quality_window w = clean;
    struct quality busy = {0}, quiet = {0};

    quality_update(&busy, &clean);
    quality_update(&quiet, &clean);
    w.lost = 25;
    quality_update(&busy, &w);
    w.packets = 25;
    w.lost = 2; /* a larger share */
    quality_update(&quiet, &w);
    EXPECT(quality_score(&quiet) > quality_score(&busy));
}
