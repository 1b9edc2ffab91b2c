#include "wire/vpx.h"

#include "base/err.h"
#include "base/test.h"

TEST(vp8_reads_every_field_of_the_descriptor)
{
    /* X N S, I L T K; 15-bit id 0x123, TL0 0x44, tid 2 Y keyidx 5 */
    struct bytes in = test_hex("b0f0 8123 44 a5 00");
    struct vp8_desc d;

    EXPECT_EQ(vp8_parse(&d, in), 0);
    EXPECT(d.len == 6 && d.start && d.part == 0 && d.discardable && d.wide && d.sync);
    EXPECT(d.id == 0x123 && d.tl0 == 0x44 && d.tid == 2 && d.keyidx == 5);
    EXPECT(d.id_at == 2 && d.tl0_at == 4 && d.tk_at == 5);
    EXPECT(vp8_key(&d, in));
    EXPECT_EQ(vp8_parse(&d, test_hex("00 01")), 0);
    EXPECT(d.len == 1 && d.id_at == 0 && !d.start);
    EXPECT_EQ(vp8_parse(&d, test_hex("9080 05 01")), 0);
    EXPECT(d.len == 3 && d.id == 5 && !d.wide && !vp8_key(&d, test_hex("9080 05 01")));
}

TEST(vp8_truncated_descriptors_are_refused_at_every_length)
{
    struct bytes in = test_hex("b0f0 8123 44 a5 00");
    struct vp8_desc d;

    for (size_t n = 0; n < in.len; n++)
        EXPECT_EQ(vp8_parse(&d, bytes_of(in.p, n)), E_TRUNCATED);
}

TEST(vp8_patch_keeps_every_width)
{
    static const char *const from[] = {"90f0 8123 44 a5 00", "90e0 23 44 80 00", "9080 05 00",
                                       "10 00"};
    static const char *const want[] = {"90f0 f777 99 bf 00", "90e0 77 99 80 00", "9080 77 00",
                                       "10 00"};

    for (size_t i = 0; i < ARRAY_LEN(from); i++) {
        struct bytes in = test_hex(from[i]);
        struct vp8_desc d;
        uint8_t buf[16];
        memcpy(buf, in.p, in.len);
        EXPECT_EQ(vp8_parse(&d, in), 0);
        vp8_patch(buf, &d, 0x7777, 0x99, 0x1f);
        EXPECT_BYTES(bytes_of(buf, in.len), test_hex(want[i]));
    }
}

TEST(vp8_size_comes_from_a_key_frame_of_a_real_encoder)
{
    uint16_t w = 0, h = 0;

    EXPECT(vp8_size(test_hex("b026009d012a60004000007088858588"), &w, &h));
    EXPECT(w == 96 && h == 64);
    EXPECT(!vp8_size(test_hex("d10400071010001ed32250"), &w, &h));
    EXPECT(!vp8_size(test_hex("b026009d012a600040"), &w, &h));
}

TEST(vp9_reads_layers_and_the_scalability_structure)
{
    struct vp9_desc d;

    /* I L B V; id 0x123; tid 1 U sid 0; tl0 7; one layer 96x64 */
    EXPECT_EQ(vp9_parse(&d, test_hex("aa 8123 30 07 10 0060 0040 00")), 0);
    EXPECT(d.len == 10 && d.id == 0x123 && d.wide && d.tid == 1 && d.switch_up && d.tl0 == 7);
    EXPECT(d.ss_layers_n == 1 && d.width == 96 && d.height == 64 && vp9_key(&d));
    /* three layers with a picture group of two: the highest size counts */
    EXPECT_EQ(vp9_parse(&d, test_hex("8a 05 58 0010 0010 0020 0020 0040 0030 02 0401 2801 02 ff")),
              0);
    EXPECT(d.ss_layers_n == 3 && d.width == 64 && d.height == 48 && !d.wide);
    EXPECT_EQ(d.len, 21);
    /* spatial layer 2, inter-layer predicted: part of a key picture, not its start */
    EXPECT_EQ(vp9_parse(&d, test_hex("ac 8123 05 07 00")), 0);
    EXPECT(d.sid == 2 && d.inter_layer && d.start && d.end && !vp9_key(&d));
    /* flexible mode with two references, no TL0PICIDX */
    EXPECT_EQ(vp9_parse(&d, test_hex("f8 8123 40 03 04 00")), 0);
    EXPECT(d.flexible && !d.has_tl0 && d.tid == 2 && d.len == 6 && d.inter_pic);
}

TEST(vp9_hostile_descriptors_are_refused)
{
    struct bytes in = test_hex("8a 05 58 0010 0010 0020 0020 0040 0030 02 0401 2801 02 ff");
    struct vp9_desc d;

    EXPECT_EQ(vp9_parse(&d, test_hex("50 03 03 03 02 00")), E_MALFORMED);
    for (size_t n = 0; n < in.len; n++)
        EXPECT_EQ(vp9_parse(&d, bytes_of(in.p, n)), E_TRUNCATED);
}

TEST(vp9_size_comes_from_a_key_frame_of_a_real_encoder)
{
    uint16_t w = 0, h = 0;

    EXPECT(vp9_size(test_hex("a2498342e005f003f60838241c18"), &w, &h));
    EXPECT(w == 96 && h == 64);
    EXPECT(!vp9_size(test_hex("a6004092f0212500002c73bbc061"), &w, &h));
}

FUZZ(vp8, in)
{
    struct vp8_desc d;
    uint8_t copy[16];

    if (vp8_parse(&d, in) != 0)
        return;
    EXPECT(d.len < in.len && d.len <= VP8_DESC_MAX);
    memcpy(copy, in.p, d.len);
    vp8_patch(copy, &d, d.id, d.tl0, d.keyidx); /* with its own numbers nothing changes */
    EXPECT(memcmp(copy, in.p, d.len) == 0);
    EXPECT(!vp8_key(&d, in) || d.start);
}

FUZZ(vp9, in)
{
    struct vp9_desc d;
    uint16_t w, h;

    if (vp9_parse(&d, in) != 0)
        return;
    EXPECT(d.len < in.len && d.sid < VP9_LAYERS_MAX && d.tid < 8);
    if (vp9_size(bytes_of(in.p + d.len, in.len - d.len), &w, &h))
        EXPECT(w > 0 && h > 0);
}
