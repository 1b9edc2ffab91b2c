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

static void expect_layers(const char *rids, bool broad, const char *ranked)
{
    struct cmd_layer layer[CMD_LAYERS_MAX];
    struct sdp_rid rid[CMD_LAYERS_MAX] = {0};
    struct sdp_media m = {.kind = SDP_VIDEO, .rid = rid};
    char name[CMD_LAYERS_MAX][2] = {{0}}, got[CMD_LAYERS_MAX + 1] = "";

    for (uint32_t i = 0; rids[i] != '\0'; i++) {
        name[i][0] = rids[i];
        rid[m.rid_n++] = (struct sdp_rid){
            .id = name[i], .send = true, .simulcast = true, .simulcast_pos = (uint16_t)i};
    }
    uint32_t n = mline_layers(&m, broad, layer);
    for (uint32_t i = 0; i < n; i++) {
        got[i] = layer[i].rid[0];
        EXPECT_EQ(layer[i].spatial, i);
    }
    EXPECT_STR(got, ranked);
}

TEST(layers_rank_by_livekits_names_or_from_the_best_that_is_listed_first)
{
    expect_layers("qhf", false, "qhf");
    expect_layers("fhq", false, "qhf");
    expect_layers("hf", false, "hf");
    expect_layers("210", false, "210");
    expect_layers("qhf", true, "qhf");
    expect_layers("012", true, "210"); /* OBS */
    expect_layers("01", true, "10");
    expect_layers("210", true, "210");
    expect_layers("abc", true, "cba");
    expect_layers("abc", false, "abc");
}
