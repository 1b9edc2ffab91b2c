#include "ingest/lane.h"

#include "base/test.h"

static struct lane video_lane(void)
{
    struct media m = {.kind = MEDIA_VIDEO_CONFIG, .codec = CODEC_H264, .video = true, .width = 640};
    struct rng rng = rng_seed(1);
    struct lane l;
    bool other;

    m.height = 360;
    lane_init(&l, true, &rng);
    EXPECT(lane_config(&l, &m, &other));
    EXPECT(!other);
    EXPECT(!lane_config(&l, &m, &other));
    return l;
}

static struct media rtp(uint32_t ts, const char *payload, bool marker)
{
    return (struct media){.kind = MEDIA_RTP,
                          .codec = CODEC_H264,
                          .video = true,
                          .rtp_ts = ts,
                          .pts_us = (us_t)ts * US_PER_SEC / 90000,
                          .marker = marker,
                          .data = bytes_str(payload)};
}

TEST(nothing_leaves_before_a_key_frame_and_payloads_are_untouched)
{
    struct lane l = video_lane();
    struct lane_packet p;
    uint8_t buf[PACKETIZE_PAYLOAD_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    struct media slice = rtp(0, "\x41slice", true), sps = rtp(3000, "\x67\x42\xe0\x1f", false);
    struct media idr = rtp(3000, "\x65idr", true);

    EXPECT(!lane_media(&l, &slice, 0, NULL, &p));
    EXPECT(lane_media(&l, &sps, 33333, NULL, &p));
    EXPECT(p.gop);
    EXPECT(lane_payload(&l, &sps, &w, &p));
    EXPECT_BYTES(p.payload, sps.data);
    EXPECT(!p.marker && !lane_payload(&l, &sps, &w, &p));
    uint32_t first = p.ts;
    EXPECT(lane_media(&l, &idr, 40000, NULL, &p));
    EXPECT(!p.gop); /* of the same key frame */
    EXPECT_EQ(p.ts, first);
    slice = rtp(6000, "\x41next", true);
    EXPECT(lane_media(&l, &slice, 70000, NULL, &p));
    EXPECT_EQ(p.ts - first, 3000);
}

TEST(a_publisher_that_comes_back_continues_the_time_line)
{
    struct lane l = video_lane();
    struct lane_packet p;
    struct media key = rtp(0, "\x65idr", true);

    EXPECT(lane_media(&l, &key, 0, NULL, &p));
    uint32_t first = p.ts;
    key = rtp(900000, "\x65idr", true);
    EXPECT(lane_media(&l, &key, 10 * US_PER_SEC, NULL, &p));
    EXPECT_EQ(p.ts - first, 900000);
    lane_session(&l);
    key = rtp(0, "\x65idr", true); /* numbers from 0 again, 4 s later */
    EXPECT(lane_media(&l, &key, 14 * US_PER_SEC, NULL, &p));
    EXPECT_EQ(p.ts - first, 14 * 90000);
    lane_session(&l);
    key = rtp(0, "\x65idr", true); /* at once: never the same instant twice */
    EXPECT(lane_media(&l, &key, 13 * US_PER_SEC, NULL, &p));
    EXPECT(p.ts - first > 14 * 90000);
}

TEST(a_clock_that_jumps_is_laid_on_anew)
{
    struct lane l = video_lane();
    struct lane_packet p;
    struct media key = rtp(0, "\x65idr", true);

    EXPECT(lane_media(&l, &key, 0, NULL, &p));
    uint32_t first = p.ts;
    key = rtp(3000000000u, "\x65idr", true);
    EXPECT(lane_media(&l, &key, US_PER_SEC, NULL, &p));
    EXPECT(p.ts - first >= 89999 && p.ts - first <= 90001); /* in whole microseconds */
    key = rtp(90000, "\x65idr", true);
    EXPECT(lane_media(&l, &key, 2 * US_PER_SEC, NULL, &p));
    EXPECT_EQ(p.ts - first, 180000);
}

TEST(sound_is_laid_beside_the_picture)
{
    struct rng rng = rng_seed(2);
    struct lane l;
    struct lane_packet p;
    bool other;
    us_t hint = 40000;
    struct media m = {.kind = MEDIA_AUDIO, .codec = CODEC_OPUS, .data = bytes_str("\xfc\x01")};

    lane_init(&l, false, &rng);
    EXPECT(lane_config(&l, &m, &other));
    EXPECT(l.stereo);
    EXPECT(lane_media(&l, &m, 90000, &hint, &p));
    EXPECT_EQ(p.line_us, 40000);
    lane_session(&l);
    hint = 100 * US_PER_SEC; /* of a publisher whose two clocks have nothing in common */
    EXPECT(lane_media(&l, &m, 90000, &hint, &p));
    EXPECT_EQ(p.line_us, 90000);
}

TEST(pictures_shown_out_of_order_are_noticed)
{
    static const uint8_t unit[] = {0, 0, 0, 1, 0x65, 1, 2, 3};
    struct lane l = video_lane();
    struct lane_packet p;
    uint8_t buf[PACKETIZE_PAYLOAD_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    struct media m = {.kind = MEDIA_VIDEO,
                      .codec = CODEC_H264,
                      .video = true,
                      .key = true,
                      .pts_us = 80000,
                      .data = bytes_of(unit, sizeof unit)};

    EXPECT(lane_media(&l, &m, 0, NULL, &p));
    EXPECT(lane_payload(&l, &m, &w, &p));
    EXPECT(p.marker);
    EXPECT_BYTES(p.payload, test_hex("65010203"));
    EXPECT(!l.b_frames);
    m.pts_us = 40000;
    EXPECT(lane_media(&l, &m, 40000, NULL, &p));
    EXPECT(l.b_frames);
}
