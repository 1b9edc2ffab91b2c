#include "signal/mline.h"

#include "base/test.h"

/* What we make of a section that offers VP8 at this rate. */
static int answer_at(uint32_t clock_hz)
{
    struct sdp offer, answer;
    struct mline_media media;
    struct arena a;

    arena_init(&a, 1 << 18);
    sdp_init(&offer, &a);
    sdp_init(&answer, &a);
    struct sdp_media *in = sdp_add_media(&offer, SDP_VIDEO);
    struct sdp_media *out = sdp_add_media(&answer, SDP_VIDEO);
    struct sdp_codec *c = sdp_add_codec(&offer, in);
    c->pt = 96;
    c->name = "VP8";
    c->clock_hz = clock_hz;
    struct mline_ctx ctx = {.sdp = &answer};
    int err = mline_answer_recv(&ctx, out, in, NULL, &media);
    arena_fini(&a);
    return err;
}

/* The data plane divides by the rate and multiplies with it. */
TEST(a_codec_at_another_clock_rate_than_its_own_is_not_ours)
{
    EXPECT_EQ(answer_at(90000), 0);
    EXPECT_EQ(answer_at(1), E_UNSUPPORTED);
    EXPECT_EQ(answer_at(UINT32_MAX), E_UNSUPPORTED);
}
