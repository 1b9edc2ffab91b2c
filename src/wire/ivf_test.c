#include "wire/ivf.h"

#include "base/err.h"
#include "base/test.h"

TEST(ivf_what_is_written_is_read_and_read_again_after_rewinding)
{
    struct ivf in = {.codec = CODEC_VP9, .width = 640, .height = 360, .rate = 90000, .scale = 1};
    uint8_t buf[256];
    struct wr w = wr_of(buf, sizeof buf);
    struct ivf_frame frame;
    struct ivf f;

    ivf_write_header(&w, &in);
    for (unsigned i = 0; i < 3; i++) {
        ivf_write_frame_header(&w, i * 10, i * 3000);
        wr_zero(&w, (size_t)i * 10);
    }
    EXPECT_EQ(ivf_open(&f, wr_done(&w)), 0);
    EXPECT(f.codec == CODEC_VP9 && f.width == 640 && f.height == 360);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++) {
            EXPECT_EQ(ivf_next(&f, &frame), 0);
            EXPECT(frame.data.len == i * 10 && frame.pts == i * 3000);
            EXPECT_EQ(frame.at, (us_t)i * 3000 * 1000000 / 90000);
        }
        EXPECT_EQ(ivf_next(&f, &frame), E_CLOSED);
        ivf_rewind(&f);
    }
    for (size_t n = 0; n < wr_len(&w); n++) {
        int err = ivf_open(&f, bytes_of(buf, n));
        EXPECT(err == (n < 4 ? E_UNSUPPORTED : n < IVF_HEADER_BYTES ? E_MALFORMED : 0));
        while (err == 0)
            err = ivf_next(&f, &frame);
        EXPECT(err < 0);
    }
}

TEST(ivf_other_files_and_other_codecs_are_refused)
{
    struct ivf f;

    EXPECT_EQ(ivf_open(&f, bytes_str("OggS")), E_UNSUPPORTED);
    EXPECT_EQ(ivf_open(&f, test_hex("444b494600002000 48323634 6000 4000 0a000000 01000000"
                                    "00000000 00000000")),
              E_UNSUPPORTED);
    EXPECT_EQ(ivf_open(&f, test_hex("444b494600002000 56503830 6000 4000 00000000 01000000"
                                    "00000000 00000000")),
              E_MALFORMED);
}

FUZZ(ivf, in)
{
    struct ivf_frame frame;
    struct ivf f;
    size_t sum = 0;

    if (ivf_open(&f, in) != 0)
        return;
    while (ivf_next(&f, &frame) == 0) {
        sum += frame.data.len + IVF_FRAME_HEADER_BYTES;
        EXPECT(frame.at >= 0);
    }
    EXPECT(sum <= in.len);
}
