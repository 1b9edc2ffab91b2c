#include "wire/codec.h"

#include "base/test.h"

TEST(codec_names_translate_both_ways)
{
    for (int c = CODEC_NONE + 1; c < CODEC_N; c++) {
        EXPECT_EQ(codec_of_mime(bytes_str(codec_mime((enum codec)c))), c);
        EXPECT_EQ(codec_of_name(bytes_str(codec_name((enum codec)c)), 0), c);
        EXPECT(!(codec_is_audio((enum codec)c) && codec_is_video((enum codec)c)));
    }
    EXPECT_EQ(codec_of_mime(bytes_str("VIDEO/vp8")), CODEC_VP8);
    EXPECT_EQ(codec_of_mime(bytes_str("")), CODEC_NONE);
    EXPECT_EQ(codec_of_name(bytes_str(""), 0), CODEC_NONE);
    EXPECT_EQ(codec_of_name(bytes_str("red"), 48000), CODEC_RED);
    EXPECT_EQ(codec_of_name(bytes_str("red"), 90000), CODEC_NONE);
    EXPECT_STR(codec_name(CODEC_H264), "H264");
    EXPECT(codec_rate_hz(CODEC_OPUS) == 48000 && codec_channels(CODEC_OPUS) == 2);
}

TEST(codec_one_question_for_every_codec)
{
    static const struct {
        enum codec codec;
        const char *hex;
        bool key, start;
        uint16_t w, h;
    } table[] = {
        {CODEC_VP8, "9080 8123 b026009d012a600040000070", true, true, 96, 64},
        {CODEC_VP8, "8080 8123 b026009d012a600040000070", false, false, 0, 0},
        {CODEC_VP9, "88 8123 a2498342e005f003f60838241c18", true, true, 96, 64},
        {CODEC_VP9, "c8 8123 a6004092f021", false, true, 0, 0},
        {CODEC_AV1, "28 0e 08 200000032dffcdaf92021a0040 30 071400", true, true, 96, 64},
        {CODEC_H264, "6742c00bd90626c044000003000400000300503c50a920", true, true, 96, 64},
        {CODEC_H265, "6201 14 80", false, false, 0, 0},
        {CODEC_OPUS, "fc", true, true, 0, 0},
        {CODEC_RTX, "0000", false, false, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct codec_info info;
        codec_inspect(table[i].codec, test_hex(table[i].hex), &info);
        EXPECT_EQ(info.key, table[i].key);
        EXPECT_EQ(info.start_of_frame, table[i].start);
        EXPECT_EQ(info.width, table[i].w);
        EXPECT_EQ(info.height, table[i].h);
        codec_inspect(table[i].codec, (struct bytes){0}, &info);
        EXPECT(!info.key && !info.start_of_frame);
    }
}
