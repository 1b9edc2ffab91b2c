#include "ingest/unpack.h"

#include "base/test.h"

static const char *const avc_config = "17 00 000000 01 42c01f ff e1 0004 6742c01f 01 0002 68ce";

struct rig {
    struct unpack u;
    us_t now;
    const char *reason;
    struct media m;
};

static void begin(struct rig *r)
{
    *r = (struct rig){.now = 0};
    unpack_init(&r->u);
}

static bool give(struct rig *r, uint8_t type, uint32_t ms, const char *hex)
{
    struct flv_tag tag = {.type = type, .timestamp = ms, .body = test_hex(hex)};

    return unpack_message(&r->u, &tag, r->now, &r->m, &r->reason);
}

static bool picture(struct rig *r, uint32_t ms, const char *hex)
{
    return give(r, FLV_TAG_VIDEO, ms, hex);
}

static bool sound(struct rig *r, uint32_t ms)
{
    return give(r, FLV_TAG_AUDIO, ms, "af 01 21");
}

TEST(unpack_key_frames_get_parameter_sets_and_filler_is_left_out)
{
    struct rig r;

    begin(&r);
    EXPECT(picture(&r, 0, avc_config));
    EXPECT(r.m.kind == MEDIA_VIDEO_CONFIG && r.m.codec == CODEC_H264);
    EXPECT_BYTES(r.m.data, test_hex("00000001 6742c01f 00000001 68ce"));
    EXPECT(!picture(&r, 0, avc_config)); /* again: no news */
    EXPECT(picture(&r, 40, "17 01 000000 00000002 09f0 00000002 6588 00000003 0cffff"));
    EXPECT(r.m.kind == MEDIA_VIDEO && r.m.key && r.m.dts_us == 40000 && r.m.pts_us == 40000);
    EXPECT_BYTES(r.m.data, test_hex("00000001 6742c01f 00000001 68ce 00000001 6588"));
    EXPECT(picture(&r, 80, "27 01 000028 00000002 419a"));
    EXPECT(!r.m.key && r.m.pts_us == 120000);
    EXPECT_BYTES(r.m.data, test_hex("00000001 419a"));
    EXPECT(picture(&r, 120, "17 01 000000 00000004 6742c01e 00000002 6588")); /* brings its own */
    EXPECT_BYTES(r.m.data, test_hex("00000001 6742c01e 00000001 6588"));
    EXPECT(r.reason == NULL && r.u.dropped == 0);
    unpack_fini(&r.u);
}

TEST(unpack_new_parameter_sets_are_news)
{
    struct rig r;

    begin(&r);
    EXPECT(picture(&r, 0, avc_config));
    EXPECT(picture(&r, 9, "17 00 000000 01 42c01f fd e1 0004 6742c028 01 0002 68ce"));
    EXPECT(picture(&r, 9, "17 01 000000 0002 6588")); /* sizes of two bytes now */
    EXPECT_BYTES(r.m.data, test_hex("00000001 6742c028 00000001 68ce 00000001 6588"));
    unpack_fini(&r.u);
}

TEST(unpack_hevc_and_av1)
{
    struct rig r;

    begin(&r);
    EXPECT(picture(&r, 0,
                   "90 68766331 01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f 01"
                   "21 0001 0002 4201"));
    EXPECT(r.m.codec == CODEC_H265);
    EXPECT(picture(&r, 0, "91 68766331 000000 00000003 260100"));
    EXPECT(r.m.key);
    EXPECT_BYTES(r.m.data, test_hex("00000001 4201 00000001 260100"));
    unpack_fini(&r.u);

    begin(&r); /* the same record under AVC's number, as OBS 28 did */
    EXPECT(picture(&r, 0,
                   "17 00 000000 01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f 01"
                   "21 0001 0002 4201"));
    EXPECT(r.m.codec == CODEC_H265);
    EXPECT(picture(&r, 0, "17 01 000000 00000003 260100"));
    EXPECT(r.m.key && r.m.codec == CODEC_H265);
    unpack_fini(&r.u);

    begin(&r);
    EXPECT(picture(&r, 0, "90 61763031 81000c00 0a03aabbcc"));
    EXPECT(r.m.codec == CODEC_AV1);
    EXPECT(picture(&r, 0, "91 61763031 3202 1122"));
    EXPECT(r.m.key);
    EXPECT_BYTES(r.m.data, test_hex("0a03aabbcc 32021122"));
    EXPECT(picture(&r, 5, "a1 61763031 3202 1122"));
    EXPECT(!r.m.key);
    EXPECT_BYTES(r.m.data, test_hex("32021122"));
    unpack_fini(&r.u);
}

TEST(unpack_sound)
{
    struct rig r;

    begin(&r);
    EXPECT(!sound(&r, 0)); /* without configuration */
    EXPECT(give(&r, FLV_TAG_AUDIO, 0, "af 00 1210"));
    EXPECT(r.m.kind == MEDIA_AUDIO_CONFIG && r.m.foreign == MEDIA_AAC && r.m.rate_hz == 44100);
    EXPECT(!give(&r, FLV_TAG_AUDIO, 0, "af 00 1210"));
    EXPECT(sound(&r, 23));
    EXPECT(r.m.kind == MEDIA_AUDIO && r.m.foreign == MEDIA_AAC && r.m.data.len == 1);
    EXPECT(give(&r, FLV_TAG_AUDIO, 0, "90 4f707573 4f70757348656164 01 02 3801 80bb0000 0000 00"));
    EXPECT(r.m.codec == CODEC_OPUS && r.m.foreign == MEDIA_NATIVE && r.m.channels == 2);
    EXPECT(give(&r, FLV_TAG_AUDIO, 40, "91 4f707573 fc00"));
    EXPECT(r.m.codec == CODEC_OPUS && r.m.data.len == 2);
    EXPECT(!give(&r, FLV_TAG_AUDIO, 40, "2f fffb90")); /* MP3: silent, not the end */
    EXPECT(r.reason == NULL);
    EXPECT_STR(r.u.silent, "MP3");
    unpack_fini(&r.u);
}

TEST(unpack_track_0_of_many)
{
    struct rig r;

    begin(&r);
    EXPECT(picture(&r, 0,
                   "96 10 61766331 01 000000 00 000011 01 42c01f ff e1 0004 6742c01f 01 0002 68ce"
                   ""));
    EXPECT(r.m.kind == MEDIA_VIDEO_CONFIG);
    EXPECT(!picture(&r, 0, "96 01 61766331 03 000000 00000002 6588")); /* track 3 alone */
    EXPECT(r.u.dropped == 0);
    unpack_fini(&r.u);
}

TEST(unpack_clocks_wrap_together)
{
    struct rig r;

    begin(&r);
    EXPECT(picture(&r, 0, avc_config));
    EXPECT(give(&r, FLV_TAG_AUDIO, 0, "af 00 1210"));
    EXPECT(picture(&r, 0xfffffff0, "17 01 000000 00000002 6588"));
    us_t first = r.m.dts_us;
    EXPECT(sound(&r, 0x00000004)); /* begins behind the wrap */
    EXPECT_EQ(r.m.pts_us - first, 20000);
    EXPECT(picture(&r, 0x00000018, "27 01 000000 00000002 419a"));
    EXPECT_EQ(r.m.dts_us - first, 40000);
    EXPECT_EQ(r.u.jumps, 0);
    unpack_fini(&r.u);
}

TEST(unpack_jumps_are_closed_up_and_both_kinds_stay_together)
{
    struct rig r;

    begin(&r);
    EXPECT(picture(&r, 0, avc_config));
    EXPECT(give(&r, FLV_TAG_AUDIO, 0, "af 00 1210"));
    EXPECT(picture(&r, 1000, "17 01 000000 00000002 6588"));
    EXPECT(sound(&r, 1010));
    EXPECT(picture(&r, 1040, "27 01 000000 00000002 419a"));
    EXPECT(picture(&r, 3600000, "27 01 000000 00000002 419a")); /* an hour on */
    EXPECT_EQ(r.m.dts_us, 1080000);
    EXPECT(sound(&r, 3600010));
    EXPECT_EQ(r.m.pts_us, 1090000);
    EXPECT_EQ(r.u.jumps, 2);
    EXPECT(picture(&r, 0, "27 01 000000 00000002 419a")); /* and back to 0 */
    EXPECT_EQ(r.m.dts_us, 1120000);
    EXPECT(sound(&r, 10));
    EXPECT_EQ(r.m.pts_us, 1130000);
    r.now += 15 * US_PER_SEC; /* a pause is no jump */
    EXPECT(picture(&r, 15000, "27 01 000000 00000002 419a"));
    EXPECT_EQ(r.m.dts_us, 1120000 + 15 * US_PER_SEC);
    EXPECT_EQ(r.u.jumps, 4);
    unpack_fini(&r.u);
}

TEST(unpack_b_frames_are_noticed)
{
    struct rig r;

    begin(&r);
    EXPECT(picture(&r, 0, avc_config));
    EXPECT(picture(&r, 0, "17 01 000028 00000002 6588"));
    EXPECT(picture(&r, 40, "27 01 000050 00000002 419a")); /* shown at 120 */
    EXPECT(!r.u.b_frames);
    EXPECT(picture(&r, 80, "27 01 000000 00000002 019a")); /* shown at 80 */
    EXPECT(r.u.b_frames);
    EXPECT(picture(&r, 120, "27 01 7fffff 00000002 019a")); /* two hours late: nonsense */
    EXPECT_EQ(r.m.pts_us, r.m.dts_us);
    unpack_fini(&r.u);
}

TEST(unpack_contradictions_end_the_stream_with_a_reason)
{
    struct rig r;

    begin(&r);
    for (int i = 0; i < UNPACK_BAD_MAX - 1; i++)
        EXPECT(!picture(&r, 0, "17 01 000000 00000002 6588"));
    EXPECT(r.reason == NULL);
    EXPECT(!picture(&r, 0, "17 01 000000 00000002 6588"));
    EXPECT_STR(r.reason, "the video came without its codec configuration");
    unpack_fini(&r.u);

    begin(&r);
    EXPECT(picture(&r, 0, avc_config));
    for (int i = 0; i < UNPACK_BAD_MAX; i++)
        EXPECT(!picture(&r, 0, "17 01 000000 fffffff0 6588")); /* 4 GB */
    EXPECT_STR(r.reason, "the video contradicts its codec configuration");
    unpack_fini(&r.u);

    begin(&r);
    EXPECT(picture(&r, 0, avc_config));
    EXPECT(!picture(&r, 0, "90 61763031 81000c00 0a03aabbcc"));
    EXPECT_STR(r.reason, "the video codec changed in the middle of the stream");
    unpack_fini(&r.u);

    begin(&r);
    EXPECT(!picture(&r, 0, "22 00"));
    EXPECT_STR(r.reason, "this video codec cannot be shown in browsers: choose H.264");
    unpack_fini(&r.u);
}

TEST(unpack_refused_memory_loses_a_picture_and_no_more)
{
    struct rig r;

    begin(&r);
    EXPECT(picture(&r, 0, avc_config));
    mem_refuse_nth(1);
    EXPECT(!picture(&r, 0, "17 01 000000 00000002 6588"));
    mem_refuse_nth(0);
    EXPECT(picture(&r, 0, "17 01 000000 00000002 6588"));
    EXPECT_EQ(r.u.dropped, 1);
    unpack_fini(&r.u);
}
