#include "wire/flv.h"

#include "base/err.h"
#include "base/test.h"

static struct flv_media video(const char *hex)
{
    struct flv_media m = {0};
    struct flv_iter it;

    EXPECT_EQ(flv_video(&it, test_hex(hex)), 0);
    EXPECT_EQ(flv_next(&it, &m), 0);
    return m;
}

static struct flv_media audio(const char *hex)
{
    struct flv_media m = {0};
    struct flv_iter it;

    EXPECT_EQ(flv_audio(&it, test_hex(hex)), 0);
    EXPECT_EQ(flv_next(&it, &m), 0);
    return m;
}

static int video_error(const char *hex)
{
    struct flv_media m;
    struct flv_iter it;
    int err = flv_video(&it, test_hex(hex));

    while (err == 0)
        err = flv_next(&it, &m);
    return err;
}

TEST(flv_plain_avc_and_aac)
{
    struct flv_media m = video("17 00 000000 0142");

    EXPECT(m.codec == FLV_AVC && m.kind == FLV_CONFIG && m.key && m.data.len == 2);
    m = video("27 01 ffffd8 00000001 65");
    EXPECT(m.kind == FLV_FRAME && !m.key && m.cts_ms == -40 && m.data.len == 5);
    m = video("1c 01 000028 aa");
    EXPECT(m.codec == FLV_HEVC && m.key && m.cts_ms == 40);
    EXPECT_EQ(video("17 02 000000").kind, FLV_END);
    EXPECT_EQ(video("57 00").kind, FLV_OTHER); /* a command to a player */
    m = video("22 00112233");
    EXPECT(m.codec == FLV_UNKNOWN && m.id == 2);
    m = audio("af 00 1210");
    EXPECT(m.codec == FLV_AAC && m.kind == FLV_CONFIG && m.data.len == 2);
    m = audio("af 01 21");
    EXPECT(m.kind == FLV_FRAME && m.data.len == 1);
    EXPECT_EQ(audio("2f fffb").codec, FLV_MP3);
    m = audio("72 00");
    EXPECT(m.codec == FLV_UNKNOWN && m.id == 7);
}

TEST(flv_enhanced_headers)
{
    struct flv_media m = video("90 68766331 01"); /* hvc1 */

    EXPECT(m.enhanced && m.codec == FLV_HEVC && m.kind == FLV_CONFIG && m.key);
    m = video("a1 68766331 000014 aabb");
    EXPECT(m.kind == FLV_FRAME && !m.key && m.cts_ms == 20 && m.data.len == 2);
    m = video("a3 61766331 aabb"); /* avc1, no composition time */
    EXPECT(m.codec == FLV_AVC && m.kind == FLV_FRAME && m.cts_ms == 0 && m.data.len == 2);
    m = video("91 61763031 0a0b");
    EXPECT(m.codec == FLV_AV1 && m.key && m.data.len == 2);
    EXPECT_EQ(video("d4 76703039 02").kind, FLV_META);
    EXPECT_EQ(video("95 61763031 02").kind, FLV_OTHER);
    EXPECT_EQ(video("91 61626364 02").codec, FLV_UNKNOWN);
    EXPECT_EQ(video("91 4f707573 02").codec, FLV_UNKNOWN); /* Opus is no picture */
    m = audio("90 4f707573 4f707573");
    EXPECT(m.codec == FLV_OPUS && m.kind == FLV_CONFIG);
    m = audio("91 6d703461 21");
    EXPECT(m.codec == FLV_AAC && m.kind == FLV_FRAME && m.data.len == 1);
    EXPECT_EQ(audio("94 6d703461 0102").kind, FLV_OTHER);
}

TEST(flv_modex_carries_nanoseconds_and_wraps_the_packet_type)
{
    struct flv_media m = video("97 02 03d090 01 61763031 aa"); /* 250,000 ns, then frames */

    EXPECT(m.codec == FLV_AV1 && m.kind == FLV_FRAME && m.extra_ns == 250000);
    m = audio("97 00aa11 4f707573 bb"); /* one of an unknown kind */
    EXPECT(m.codec == FLV_OPUS && m.extra_ns == 0 && m.data.len == 1);
    EXPECT_EQ(video_error("97 02 03d0"), E_TRUNCATED);
    EXPECT_EQ(video_error("97 000007 000007 000007 000007 000007 000007 000007 000007 000007"),
              E_MALFORMED);
}

TEST(flv_multitrack_in_its_three_forms)
{
    struct flv_media m = video("96 01 61766331 05 000000 aa"); /* one track, number 5 */
    struct flv_iter it;

    EXPECT(m.codec == FLV_AVC && m.track == 5 && m.data.len == 1 && m.kind == FLV_FRAME);
    EXPECT_EQ(flv_video(&it, test_hex("96 11 61766331 00 000005 000014 aabb 01 000004 000000 cc")),
              0);
    EXPECT_EQ(flv_next(&it, &m), 0);
    EXPECT(m.track == 0 && m.cts_ms == 20 && m.data.len == 2);
    EXPECT_EQ(flv_next(&it, &m), 0);
    EXPECT(m.track == 1 && m.data.len == 1);
    EXPECT_EQ(flv_next(&it, &m), E_CLOSED);
    EXPECT_EQ(flv_audio(&it, test_hex("95 21 4f707573 00 000002 aabb 6d703461 01 000001 cc")), 0);
    EXPECT_EQ(flv_next(&it, &m), 0);
    EXPECT(m.codec == FLV_OPUS && m.data.len == 2);
    EXPECT_EQ(flv_next(&it, &m), 0);
    EXPECT(m.codec == FLV_AAC && m.track == 1);
    EXPECT_EQ(flv_next(&it, &m), E_CLOSED);
    EXPECT_EQ(video_error("96 11 61766331 00 ffffff aa"), E_TRUNCATED);
    EXPECT_EQ(video_error("96 31 61766331"), E_MALFORMED);
    EXPECT_EQ(video_error("96 16 61766331"), E_MALFORMED);
    EXPECT_EQ(video_error("96"), E_TRUNCATED);
    EXPECT_EQ(video_error(""), E_TRUNCATED);
}

TEST(flv_avc_configurations)
{
    struct flv_sets s;

    EXPECT_EQ(flv_avc_config(test_hex("01 42c01f ff e1 0004 67aabbcc 01 0002 68ee"), &s), 0);
    EXPECT(s.n == 2 && s.length_bytes == 4 && s.profile == 0x42 && s.level == 0x1f);
    EXPECT(s.nal[0].len == 4 && s.nal[1].len == 2 && s.nal[1].p[0] == 0x68);
    EXPECT_EQ(flv_avc_config(test_hex("01 42c01f fe e0 00"), &s), E_MALFORMED); /* 3 bytes */
    EXPECT_EQ(flv_avc_config(test_hex("00 42c01f ff e0 00"), &s), E_MALFORMED);
    EXPECT_EQ(flv_avc_config(test_hex("01 42c01f ff e1 ffff 67"), &s), E_TRUNCATED);
    EXPECT_EQ(flv_avc_config(test_hex("01 42c01f ff e1 0000 00"), &s), E_MALFORMED);
    EXPECT_EQ(flv_avc_config(test_hex("01 42c01f ff e0"), &s), E_TRUNCATED);
    uint8_t many[6 + 31 * 3 + 1 + 2 * 3] = {1, 0x42, 0, 31, 0xff, 0xff};
    for (size_t i = 6; i < 6 + 31 * 3; i += 3)
        many[i + 1] = 1;
    many[6 + 31 * 3] = 2;
    many[6 + 31 * 3 + 2] = 1;
    many[6 + 31 * 3 + 5] = 1;
    EXPECT_EQ(flv_avc_config(bytes_of(many, sizeof many), &s), E_LIMIT);
}

TEST(flv_hevc_and_av1_configurations)
{
    struct bytes obus;
    struct flv_sets s;

    EXPECT_EQ(flv_hevc_config(test_hex("01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f 02"
                                       "20 0001 0003 400102 21 0002 0002 4201 0001 42"),
                              &s),
              0);
    EXPECT(s.n == 3 && s.length_bytes == 4 && s.profile == 1 && s.level == 0x5d);
    EXPECT_EQ(flv_hevc_config(test_hex("01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f ff"
                                       "20 0000"),
                              &s),
              E_TRUNCATED);
    EXPECT_EQ(flv_av1_config(test_hex("81 000c00 0a01aa"), &obus), 0);
    EXPECT_EQ(obus.len, 3);
    EXPECT_EQ(flv_av1_config(test_hex("01 000c00"), &obus), E_MALFORMED);
    EXPECT_EQ(flv_av1_config(test_hex("81 00"), &obus), E_TRUNCATED);
}

TEST(flv_nal_units_by_their_sizes)
{
    struct rd r = rd_of(test_hex("0002 6500 0000 0001 41"));
    struct bytes nal;

    EXPECT_EQ(flv_nal(&r, 2, &nal), 0);
    EXPECT_EQ(nal.len, 2);
    EXPECT_EQ(flv_nal(&r, 2, &nal), 0);
    EXPECT_EQ(nal.len, 0);
    EXPECT_EQ(flv_nal(&r, 2, &nal), 0);
    EXPECT_EQ(flv_nal(&r, 2, &nal), E_CLOSED);
    r = rd_of(test_hex("ffffffff 65"));
    EXPECT_EQ(flv_nal(&r, 4, &nal), E_MALFORMED);
    r = rd_of(test_hex("0000"));
    EXPECT_EQ(flv_nal(&r, 4, &nal), E_MALFORMED);
}

TEST(flv_audio_configurations)
{
    struct flv_aac a;
    struct flv_opus o;

    EXPECT_EQ(flv_aac_config(test_hex("1210"), &a), 0); /* LC, 44.1 kHz, stereo */
    EXPECT(a.object_type == 2 && a.rate_hz == 44100 && a.channels == 2 && !a.sbr);
    EXPECT_EQ(a.frame_samples, 1024);
    EXPECT_EQ(flv_aac_config(test_hex("118856e500"), &a), 0); /* as ffmpeg writes it */
    EXPECT(a.rate_hz == 48000 && a.channels == 1);
    EXPECT_EQ(flv_aac_config(test_hex("2b920800"), &a), 0); /* HE-AAC: 22.05 to 44.1 kHz */
    EXPECT(a.object_type == 2 && a.sbr && a.rate_hz == 22050);
    EXPECT_EQ(flv_aac_config(test_hex("12"), &a), E_TRUNCATED);
    EXPECT_EQ(flv_aac_config(test_hex("1690"), &a), E_MALFORMED); /* rate 13 */
    EXPECT_EQ(flv_aac_config(test_hex("1278"), &a), E_MALFORMED); /* layout 15 */
    EXPECT_EQ(flv_opus_config(test_hex("4f70757348656164 01 02 3801 80bb0000 0000 00"), &o), 0);
    EXPECT(o.channels == 2 && o.pre_skip == 312 && o.mapping == 0);
    EXPECT_EQ(flv_opus_config(test_hex("4f70757348656164 11 02 3801 80bb0000 0000 00"), &o),
              E_MALFORMED);
    EXPECT_EQ(flv_opus_config(test_hex("4f70757348656164 01 02 3801 80bb0000 0000"), &o),
              E_TRUNCATED);
}

TEST(flv_tags_are_written_and_read)
{
    struct flv_tag in = {.type = FLV_TAG_VIDEO, .timestamp = 0x81020304, .body = bytes_str("abc")};
    struct flv_tag tag;
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);

    wr_bytes(&w, test_hex("464c56 01 05 00000009 00000000"));
    flv_tag_write(&w, &in);
    flv_tag_write(&w, &in);
    struct rd r = rd_of(bytes_of(buf, wr_len(&w) - 4)); /* without the last back pointer */
    EXPECT_EQ(flv_open(&r), 0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(flv_tag_read(&r, &tag), 0);
        EXPECT(tag.type == in.type && tag.timestamp == in.timestamp);
        EXPECT_BYTES(tag.body, in.body);
    }
    EXPECT_EQ(flv_tag_read(&r, &tag), E_CLOSED);
    r = rd_of(test_hex("09 ffffff 000000 00 000000 aa"));
    EXPECT_EQ(flv_tag_read(&r, &tag), E_TRUNCATED);
    r = rd_of(test_hex("464c56 01 05 00000000 00000000"));
    EXPECT_EQ(flv_open(&r), E_MALFORMED);
    r = rd_of(bytes_str("FLVxx"));
    EXPECT_EQ(flv_open(&r), E_TRUNCATED);
}

/* The first byte says what the rest is taken for. */
FUZZ(flv, in)
{
    struct flv_sets sets;
    struct flv_aac aac;
    struct flv_opus opus;
    struct flv_media m;
    struct flv_iter it;
    struct bytes b;
    size_t sum = 0;

    if (in.len == 0)
        return;
    struct bytes rest = bytes_of(in.p + 1, in.len - 1);
    if ((in.p[0] & 1 ? flv_audio : flv_video)(&it, rest) == 0) {
        while (flv_next(&it, &m) == 0)
            sum += m.data.len;
        EXPECT(sum <= rest.len);
    }
    if (flv_avc_config(rest, &sets) == 0 || flv_hevc_config(rest, &sets) == 0) {
        EXPECT(sets.n <= FLV_SETS_MAX);
        struct rd r = rd_of(rest);
        while (flv_nal(&r, sets.length_bytes, &b) == 0)
            EXPECT(b.len < rest.len);
    }
    if (flv_aac_config(rest, &aac) == 0)
        EXPECT(aac.rate_hz > 0 && aac.rate_hz <= 96000 && aac.channels <= 8);
    if (flv_opus_config(rest, &opus) == 0)
        EXPECT(opus.channels > 0);
    if (flv_av1_config(rest, &b) == 0)
        EXPECT_EQ(b.len, rest.len - 4);
    struct rd r = rd_of(rest);
    struct flv_tag tag;
    while (flv_tag_read(&r, &tag) == 0)
        EXPECT(tag.body.len < rest.len);
}
