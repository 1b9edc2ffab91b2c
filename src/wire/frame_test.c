#include "wire/frame.h"

#include "base/err.h"
#include "base/test.h"

static void give(struct frame_rx *f, struct bytes in)
{
    size_t cap;
    uint8_t *p = frame_rx_room(f, &cap);

    EXPECT(in.len <= cap);
    memcpy(p, in.p, in.len);
    frame_rx_filled(f, in.len);
}

TEST(frame_whole_frames_come_out_however_the_stream_is_cut)
{
    static const uint8_t stream[] = {0,    3, 0xaa, 0xbb, 0xcc, 0, 0, 0, 1,
                                     0xdd, 0, 2,    0xee, 0xff, 0, 5, 1};
    const struct bytes in = bytes_of(stream, sizeof stream);
    static const char *const want[] = {"aabbcc", "dd", "eeff"};

    for (size_t step = 1; step <= in.len; step++) {
        struct frame_rx f;
        struct bytes frame;
        size_t n = 0;

        frame_rx_init(&f);
        for (size_t at = 0; at < in.len; at += step) {
            give(&f, bytes_of(in.p + at, size_min(step, in.len - at)));
            while (frame_rx_next(&f, &frame) == 1) {
                EXPECT(n < ARRAY_LEN(want));
                EXPECT_BYTES(frame, test_hex(want[n]));
                n++;
            }
        }
        EXPECT_EQ(n, ARRAY_LEN(want));
        EXPECT_EQ(frame_rx_missing(&f), 4);
    }
}

TEST(frame_missing_bytes_never_reach_into_the_next_frame)
{
    struct bytes in = test_hex("0003 aabbcc 0001 dd");
    struct bytes frame;
    struct frame_rx f;
    size_t at = 0;

    frame_rx_init(&f);
    while (frame_rx_next(&f, &frame) == 0) {
        size_t n = frame_rx_missing(&f);
        EXPECT(n > 0);
        give(&f, bytes_of(in.p + at, n));
        at += n;
    }
    EXPECT_EQ(at, 5);
    EXPECT_BYTES(frame, test_hex("aabbcc"));
}

TEST(frame_too_long_ends_the_stream_for_good)
{
    static const uint8_t longest[FRAME_HEAD_BYTES + FRAME_MAX] = {FRAME_MAX >> 8, FRAME_MAX & 0xff};
    struct bytes frame;
    struct frame_rx f;

    frame_rx_init(&f);
    give(&f, bytes_of(longest, sizeof longest));
    EXPECT_EQ(frame_rx_next(&f, &frame), 1);
    EXPECT_EQ(frame.len, FRAME_MAX);
    uint8_t head[FRAME_HEAD_BYTES];
    frame_head(head, FRAME_MAX + 1);
    give(&f, bytes_of(head, sizeof head));
    EXPECT_EQ(frame_rx_next(&f, &frame), E_TOO_LARGE);
    give(&f, test_hex("0001 aa"));
    EXPECT_EQ(frame_rx_next(&f, &frame), E_TOO_LARGE);
    EXPECT_EQ(frame_rx_missing(&f), 0);
}

/* Whatever comes, in pieces whose sizes the input chooses: frames hold together, room is left. */
FUZZ(frame, in)
{
    struct frame_rx f;
    struct bytes frame;
    size_t at = 0, out = 0;
    int err = 0;

    frame_rx_init(&f);
    while (at < in.len && err == 0) {
        size_t cap, n = size_min(1 + in.p[at] * 16u, in.len - at);
        uint8_t *p = frame_rx_room(&f, &cap);
        EXPECT(cap > 0);
        n = size_min(n, cap);
        memcpy(p, in.p + at, n);
        frame_rx_filled(&f, n);
        at += n;
        while ((err = frame_rx_next(&f, &frame)) == 1) {
            EXPECT(frame.len > 0 && frame.len <= FRAME_MAX);
            out += FRAME_HEAD_BYTES + frame.len;
        }
        EXPECT(out <= at);
        EXPECT((frame_rx_missing(&f) == 0) == (err < 0));
    }
}
