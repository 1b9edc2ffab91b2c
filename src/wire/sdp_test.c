#include "wire/sdp.h"
#include "base/test.h"

TEST(lists_end_at_their_limits_and_keep_what_they_hold)
{
    struct arena a;
    struct sdp s;

    arena_init(&a, 1 << 20);
    sdp_init(&s, &a);
    for (int i = 0; i < SDP_MEDIA_MAX; i++)
        EXPECT(sdp_add_media(&s, SDP_AUDIO) != NULL);
    EXPECT(sdp_add_media(&s, SDP_AUDIO) == NULL);
    struct sdp_media *m = &s.media[7];
    for (uint32_t i = 0; i < SDP_SSRCS_MAX; i++)
        EXPECT(sdp_add_ssrc(&s, m, i) != NULL);
    EXPECT(sdp_add_ssrc(&s, m, 99) == NULL);
    for (uint32_t i = 0; i < SDP_SSRCS_MAX; i++)
        EXPECT_EQ(m->ssrc[i].ssrc, i);
    EXPECT(sdp_find_ssrc(m, 63) == &m->ssrc[63]);
    EXPECT(sdp_find_ssrc(m, 64) == NULL);
    arena_fini(&a);
}

TEST(an_arena_that_is_full_refuses)
{
    struct arena a;
    struct sdp s;

    arena_init(&a, 100);
    sdp_init(&s, &a);
    EXPECT(sdp_add_media(&s, SDP_VIDEO) == NULL);
    EXPECT_EQ(s.media_n, 0);
    arena_fini(&a);
}

TEST(parameters_of_a_format_are_found)
{
    const char *fmtp = "apt=96; x-google=1 ;Level=5;empty=;packetization-mode=1";

    EXPECT(bytes_eq_str(sdp_fmtp_get(fmtp, "apt"), "96"));
    EXPECT(bytes_eq_str(sdp_fmtp_get(fmtp, "x-google"), "1"));
    EXPECT(bytes_eq_str(sdp_fmtp_get(fmtp, "level"), "5"));
    EXPECT(sdp_fmtp_get(fmtp, "empty").p != NULL && sdp_fmtp_get(fmtp, "empty").len == 0);
    EXPECT(bytes_eq_str(sdp_fmtp_get(fmtp, "packetization-mode"), "1"));
    EXPECT(sdp_fmtp_get(fmtp, "mode").p == NULL);
    EXPECT(sdp_fmtp_get(fmtp, "ap").p == NULL);
    EXPECT(sdp_fmtp_get("111/111", "apt").p == NULL);
    EXPECT(sdp_fmtp_get("", "apt").p == NULL);
    EXPECT(sdp_fmtp_get(NULL, "apt").p == NULL);
    EXPECT(sdp_fmtp_get("apt", "apt").p == NULL);
}

TEST(a_direction_is_mirrored)
{
    EXPECT_EQ(sdp_dir_mirror(SDP_SENDONLY), SDP_RECVONLY);
    EXPECT_EQ(sdp_dir_mirror(SDP_RECVONLY), SDP_SENDONLY);
    EXPECT_EQ(sdp_dir_mirror(SDP_SENDRECV), SDP_SENDRECV);
    EXPECT_EQ(sdp_dir_mirror(SDP_INACTIVE), SDP_INACTIVE);
}
