#include "client/recorder.h"

#include "base/test.h"

static struct client_media packet(uint16_t seq, const char *payload)
{
    return (struct client_media){.codec = CODEC_OPUS,
                                 .seq = seq,
                                 .ts = seq * 960u,
                                 .marker = false,
                                 .payload = bytes_str(payload)};
}

TEST(packets_out_of_order_are_put_back_and_a_lost_one_is_waited_for_in_vain)
{
    struct recorder r;
    struct client_media m;

    EXPECT_EQ(recorder_open(&r, CODEC_OPUS), 0);
    m = packet(10, "\xfc");
    recorder_push(&r, &m, 0);
    m = packet(12, "\xfc");
    recorder_push(&r, &m, 1000);
    EXPECT_EQ(r.frames_n, 1);
    m = packet(11, "\xfc");
    recorder_push(&r, &m, 2000);
    EXPECT_EQ(r.frames_n, 3);
    m = packet(14, "\xfc");
    recorder_push(&r, &m, 3000);
    EXPECT_EQ(r.frames_n, 3);
    m = packet(15, "\xfc");
    recorder_push(&r, &m, 3001 + RECORDER_HELD_US);
    EXPECT_EQ(r.frames_n, 5);
    m = packet(13, "\xfc"); /* too late */
    recorder_push(&r, &m, 3002 + RECORDER_HELD_US);
    EXPECT_EQ(r.frames_n, 5);
    EXPECT(recorder_take(&r).len > 100);
    EXPECT_EQ(recorder_take(&r).len, 0);
    recorder_close(&r);
}

TEST(a_video_file_begins_with_a_key_frame)
{
    struct recorder r;
    struct client_media m = {.codec = CODEC_VP8, .seq = 1, .ts = 1, .marker = true};

    EXPECT_EQ(recorder_open(&r, CODEC_VP8), 0);
    m.payload = bytes_of("\x10\x01xxxxxxxxxxx", 13); /* a delta frame */
    recorder_push(&r, &m, 0);
    EXPECT_EQ(recorder_take(&r).len, 0);
    m.seq = 2;
    m.payload = bytes_of("\x10\x00xx\x9d\x01\x2a\x40\x01\xf0\x00xx", 13);
    recorder_push(&r, &m, 0);
    EXPECT(recorder_take(&r).len > 32);
    recorder_close(&r);
}

/* Four bytes a packet: sequence step, time step, marker, payload byte. */
FUZZ(recorder, in)
{
    struct recorder r;
    uint16_t seq = 0;
    us_t now = 0;

    EXPECT_EQ(recorder_open(&r, CODEC_OPUS), 0);
    for (size_t i = 0; i + 4 <= in.len; i += 4) {
        seq = (uint16_t)(seq + (int8_t)in.p[i] * (in.p[i + 1] & 15));
        now += in.p[i + 1] * US_PER_MS;
        struct client_media m = {.codec = CODEC_OPUS,
                                 .seq = seq,
                                 .ts = seq * 960u,
                                 .payload = bytes_of(in.p + i + 3, 1)};
        recorder_push(&r, &m, now);
        (void)recorder_take(&r); /* as an owner does, so that nothing piles up */
    }
    recorder_close(&r);
}
