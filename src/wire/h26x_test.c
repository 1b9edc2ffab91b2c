#include "wire/h26x.h"

#include "base/test.h"

TEST(h264_size_of_real_parameter_sets)
{
    static const struct {
        const char *hex;
        uint16_t w, h;
    } table[] = {
        {"6742c00bd90626c044000003000400000300503c50a920", 96, 64},             /* baseline */
        {"67640009acd94626c044000003000400000300503c489658", 96, 64},           /* high */
        {"67640028acd940780227e5c044000003000400000300503c60c658", 1920, 1080}, /* cropped */
    };
    uint16_t w, h;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct bytes sps = test_hex(table[i].hex);
        w = h = 0;
        EXPECT(h264_sps_size(sps, &w, &h));
        EXPECT(w == table[i].w && h == table[i].h);
        EXPECT(!h264_sps_size(bytes_of(sps.p, 6), &w, &h));
    }
    EXPECT(!h264_sps_size(test_hex("68ce3c80"), &w, &h));
}

TEST(h264_key_frames_are_seen_in_every_packing)
{
    static const struct {
        const char *hex;
        bool key, start, discardable;
    } table[] = {
        {"6588", true, true, false},                   /* IDR, first slice */
        {"6508", true, false, false},                  /* IDR, later slice */
        {"4188", false, true, false},                  /* slice */
        {"0188", false, true, true},                   /* slice nobody refers to */
        {"7c8588", true, true, false},                 /* FU-A, start of IDR */
        {"7c0588", false, false, false},               /* FU-A, middle of IDR */
        {"7c4588", false, false, false},               /* FU-A, end */
        {"5c8188", false, true, false},                /* FU-A, start of slice */
        {"78 0002 6742 0002 68ce", true, true, false}, /* STAP-A of SPS and PPS */
        {"78 0002 0910 0002 4188", false, true, false},
        {"78 0009 67", false, false, true}, /* broken off */
        {"0910", false, true, true},
        {"", false, false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct h26x_info info;
        h264_inspect(test_hex(table[i].hex), &info);
        EXPECT_EQ(info.key, table[i].key);
        EXPECT_EQ(info.start, table[i].start);
        EXPECT_EQ(info.discardable, table[i].discardable);
    }
}

TEST(h264_parameter_set_in_an_aggregate_tells_the_size)
{
    struct h26x_info info;

    h264_inspect(test_hex("78 0017 6742c00bd90626c044000003000400000300503c50a920 0002 68cb"),
                 &info);
    EXPECT(info.key && info.width == 96 && info.height == 64);
}

TEST(h265_key_frames_are_seen_in_every_packing)
{
    static const struct {
        const char *hex;
        bool key, start;
        uint8_t tid;
    } table[] = {
        {"2801 80", true, true, 0},                      /* IDR_N_LP (20) */
        {"0203 80", false, true, 2},                     /* TRAIL_R, TemporalId 2 */
        {"0201 00", false, false, 0},                    /* later segment */
        {"6201 94 80", true, true, 0},                   /* FU, start of 20 */
        {"6201 14 80", false, false, 0},                 /* FU, middle */
        {"6001 0003 4001ff 0003 4201ff", true, true, 0}, /* AP of VPS and SPS */
        {"4401", false, true, 0},                        /* PPS */
        {"40", false, false, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct h26x_info info;
        h265_inspect(test_hex(table[i].hex), &info);
        EXPECT_EQ(info.key, table[i].key);
        EXPECT_EQ(info.start, table[i].start);
        EXPECT_EQ(info.tid, table[i].tid);
    }
}

FUZZ(h264, in)
{
    struct h26x_info info;
    uint16_t w = 1, h = 1;

    h264_inspect(in, &info);
    EXPECT((info.width == 0) == (info.height == 0));
    if (h264_sps_size(in, &w, &h))
        EXPECT(w > 0 && h > 0 && w <= 16384 && h <= 16384);
}

FUZZ(h265, in)
{
    struct h26x_info info;

    h265_inspect(in, &info);
    EXPECT(info.tid < 8);
}
