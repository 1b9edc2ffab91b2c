#include "sfu/fwd.h"

#include "base/test.h"
#include "sfu/link.h"
#include "wire/codec.h"

enum { LAYERS = 3, OUT_MAX = 60000 };

/* A publisher of three layers and one subscriber, without transports. */
struct stage {
    struct fwd fwd;
    struct sub sub;
    struct link link;
    struct layer layer[LAYERS];
    struct fwd_source src;
    uint64_t seq[LAYERS];
    uint32_t ts[LAYERS];
    struct rng rng;
};

static void stage_init(struct stage *g, uint64_t seed)
{
    struct cmd_sub_attach a = {.ssrc = 1, .pt_n = 1, .max_spatial = 2, .max_temporal = 3};

    memset(g, 0, sizeof *g);
    g->rng = rng_seed(seed);
    a.pt[0] = (struct cmd_pt_map){.in_pt = 96, .out_pt = 100};
    g->src =
        (struct fwd_source){.layer = g->layer, .layer_n = LAYERS, .video = true, .clock_hz = 90000};
    sub_init(&g->sub, &a, &g->rng, 0);
    fwd_init(&g->fwd, &g->sub, &g->link, &g->rng);
    g->link.up = true;
    for (unsigned i = 0; i < LAYERS; i++) {
        g->layer[i] = (struct layer){.seen = true, .live = true};
        g->seq[i] = 65536 + rng_below(&g->rng, 65536);
        g->ts[i] = rng_u32(&g->rng);
    }
}

static struct pkt make(struct stage *g, uint8_t layer, bool key, us_t at)
{
    struct pkt p = {.seq = g->seq[layer]++, .at = at, .layer = layer, .codec = CODEC_H264};

    p.rtp = (struct rtp_view){.seq = (uint16_t)p.seq,
                              .pt = 96,
                              .ts = g->ts[layer] + (uint32_t)(at * 9 / 100),
                              .payload_off = 12,
                              .payload_len = 100};
    p.flags = (uint8_t)(PKT_FRAME_START | (key ? PKT_KEY : 0));
    return p;
}

static bool send(struct stage *g, const struct pkt *p, struct sub_emit *e)
{
    if (!fwd_admit(&g->fwd, p, &g->src, e))
        return false;
    g->sub.sent = true;
    return true;
}

TEST(nothing_flows_before_a_key_frame_of_the_wanted_layer)
{
    static struct stage g;
    struct sub_emit e;

    stage_init(&g, 1);
    EXPECT(fwd_choose(&g.fwd, &g.src, 0)); /* waits */
    EXPECT_EQ(g.fwd.want, 2);
    struct pkt p = make(&g, 2, false, 0), low = make(&g, 0, true, 0), key = make(&g, 2, true, 0);
    EXPECT(!send(&g, &p, &e));
    EXPECT(!send(&g, &low, &e));
    EXPECT(send(&g, &key, &e));
    EXPECT(e.seq < 1 << 15); /* a receiver guesses a roll-over count of zero */
    EXPECT_EQ(e.ts, key.rtp.ts);
}

TEST(old_layer_flows_until_the_new_one_has_a_key_frame_and_numbers_run_on)
{
    static struct stage g;
    struct sub_emit e;

    stage_init(&g, 2);
    g.fwd.want = 0;
    struct pkt p = make(&g, 0, true, 0);
    EXPECT(send(&g, &p, &e));
    uint64_t out = e.seq;
    g.fwd.want = 2;
    for (int i = 1; i < 30; i++) {
        us_t at = i * 33333;
        p = make(&g, 0, false, at);
        bool low = send(&g, &p, &e);
        if (low)
            EXPECT_EQ(e.seq, ++out);
        p = make(&g, 2, i == 10, at);
        bool high = send(&g, &p, &e);
        if (high)
            EXPECT_EQ(e.seq, ++out);
        EXPECT_EQ(low, i <= 10);
        EXPECT_EQ(high, i >= 10);
    }
}

TEST(reports_align_the_timestamps_of_layers)
{
    static struct stage g;
    struct sub_emit e;

    stage_init(&g, 3);
    for (unsigned i = 0; i < LAYERS; i++) /* at time 0 by the publisher's clock */
        g.layer[i].sr = (struct layer_sr){.ntp = (uint64_t)1000 << 32, .rtp_ts = g.ts[i], .at = 1};
    g.fwd.want = 0;
    struct pkt p = make(&g, 0, true, 0);
    EXPECT(send(&g, &p, &e));
    uint32_t first = e.ts;
    g.fwd.want = 2;
    p = make(&g, 2, true, 100000);
    p.at += 15000; /* the network's delay is not the picture's */
    EXPECT(send(&g, &p, &e));
    EXPECT_EQ(e.ts - first, 9000);
    /* Without reports the arrival decides; and a report beyond belief is not believed. */
    g.layer[1].sr =
        (struct layer_sr){.ntp = (uint64_t)1000 << 32, .rtp_ts = g.ts[1] + 900000, .at = 1};
    g.fwd.want = 1;
    p = make(&g, 1, true, 200000);
    EXPECT(send(&g, &p, &e));
    EXPECT_EQ(e.ts - first, 9000 + (200000 - 115000) * 9 / 100);
}

TEST(a_pause_leaves_no_gap_and_needs_a_key_frame)
{
    static struct stage g;
    struct sub_emit e;

    stage_init(&g, 4);
    g.fwd.want = 1;
    struct pkt p = make(&g, 1, true, 0);
    EXPECT(send(&g, &p, &e));
    uint64_t out = e.seq;
    uint32_t ts = e.ts;
    fwd_pause(&g.fwd);
    p = make(&g, 1, true, 1000000);
    EXPECT(!send(&g, &p, &e));
    fwd_resume(&g.fwd);
    p = make(&g, 1, false, 2000000);
    EXPECT(!send(&g, &p, &e));
    p = make(&g, 1, true, 3000000);
    EXPECT(send(&g, &p, &e));
    EXPECT_EQ(e.seq, out + 1);
    EXPECT_EQ(e.ts, ts + 270000); /* the same stream: its own clock goes on */
}

TEST(upper_temporal_layers_are_left_out_without_gaps)
{
    static struct stage g;
    struct sub_emit e;

    stage_init(&g, 5);
    g.fwd.want = 0;
    g.fwd.tid_max = 0;
    struct pkt p = make(&g, 0, true, 0);
    EXPECT(send(&g, &p, &e));
    uint64_t out = e.seq;
    for (int i = 1; i < 100; i++) {
        p = make(&g, 0, false, i * 33333);
        p.tid = (uint8_t)(i % 2);
        EXPECT_EQ(send(&g, &p, &e), i % 2 == 0);
        if (i % 2 == 0)
            EXPECT_EQ(e.seq, ++out);
    }
}

TEST(vp8_numbers_run_on_over_a_switch)
{
    static struct stage g;
    struct sub_emit e;

    stage_init(&g, 6);
    g.fwd.want = 0;
    for (uint16_t i = 0; i < 10; i++) {
        uint8_t layer = i < 5 ? 0 : 1;
        g.fwd.want = layer;
        struct pkt p = make(&g, layer, i == 0 || i == 5, i * 33333);
        p.codec = CODEC_VP8;
        p.flags |= PKT_HAS_PICTURE_ID | PKT_HAS_TL0;
        p.picture_id = (uint16_t)(layer == 0 ? 100 + i : 30000 + i);
        p.tl0 = (uint8_t)(layer == 0 ? 7 + i : 200 + i);
        p.keyidx = layer == 0 ? 3 : 9;
        /* X, I L K; 15-bit id */
        memcpy(p.data + 12, (uint8_t[]){0x90, 0xd0, 0x80, 0, 0, 0, 0, 0}, 8);
        p.data[14] = (uint8_t)(0x80 | p.picture_id >> 8);
        p.data[15] = (uint8_t)p.picture_id;
        p.data[16] = p.tl0;
        p.data[17] = p.keyidx;
        EXPECT(send(&g, &p, &e));
        EXPECT_EQ((uint16_t)(p.picture_id + e.seg->pid_off), 100 + i);
        EXPECT_EQ((uint8_t)(p.tl0 + e.seg->tl0_off), 7 + i);
        EXPECT_EQ((p.keyidx + e.seg->keyidx_off) & 0x1f, layer == 0 ? 3 : 4);
    }
}

TEST(upper_spatial_layers_inside_a_stream_are_left_out_and_the_marker_moves)
{
    static struct stage g;
    struct sub_emit e;
    uint64_t last = 0;

    stage_init(&g, 9);
    g.src.svc = true;
    g.sub.max_spatial = 1;
    (void)fwd_choose(&g.fwd, &g.src, 0); /* waits for its first key picture */
    for (int i = 0; i < 30; i++) {
        if (i == 10) { /* more from the next key picture on */
            g.sub.max_spatial = 2;
            EXPECT(fwd_choose(&g.fwd, &g.src, 0));
        }
        if (i == 25) { /* less at once */
            g.sub.max_spatial = 0;
            EXPECT(!fwd_choose(&g.fwd, &g.src, 0));
        }
        uint8_t top = i < 20 ? 1 : i < 25 ? 2 : 0;
        for (uint8_t sid = 0; sid < 3; sid++) {
            struct pkt p = make(&g, 0, i % 20 == 0 && sid == 0, i * 33333);
            p.codec = CODEC_VP9;
            p.sid = sid;
            p.flags |= PKT_FRAME_END;
            p.rtp.flags = sid == 2 ? RTP_MARKER : 0;
            bool sent = send(&g, &p, &e);
            EXPECT_EQ(sent, sid <= top);
            if (!sent)
                continue;
            EXPECT_EQ(e.marker, sid == top);
            EXPECT(last == 0 || e.seq == last + 1);
            last = e.seq;
        }
    }
}

/* What went out under a number: layer and incoming number. */
struct content {
    uint64_t in;
    uint8_t layer;
    bool used;
};

static void check_origin(struct stage *g, const struct content *sent, uint64_t out)
{
    struct sub_emit e;
    uint8_t layer;
    uint64_t in;

    if (!sent[out].used || !fwd_origin(&g->fwd, (uint16_t)out, &layer, &in, &e))
        return; /* forgotten is allowed, wrong is not */
    EXPECT_EQ(in, sent[out].in);
    EXPECT_EQ(layer, sent[out].layer);
    EXPECT_EQ(e.seq, out);
}

/* Packets of all layers in random order, with loss, while wishes change. */
static void random_round(uint64_t seed)
{
    static struct content sent[OUT_MAX];
    static struct stage g;
    struct pkt held[8];
    unsigned held_n = 0;
    uint64_t top = 0, bottom = 0;
    struct sub_emit e;

    memset(sent, 0, sizeof sent);
    stage_init(&g, seed);
    g.fwd.want = 0;
    for (us_t at = 0; at < 3000; at++) {
        for (uint8_t l = 0; l < LAYERS; l++) {
            struct pkt p = make(&g, l, rng_below(&g.rng, 20) == 0, at * 5000);
            p.tid = (uint8_t)rng_below(&g.rng, 3);
            if (p.flags & PKT_KEY)
                p.tid = 0;
            if (rng_below(&g.rng, 50) == 0)
                continue; /* lost */
            if (held_n < ARRAY_LEN(held) && rng_below(&g.rng, 4) == 0) {
                held[held_n++] = p; /* late */
                continue;
            }
            if (held_n > 0 && rng_below(&g.rng, 3) == 0) {
                struct pkt swap = held[--held_n];
                held[held_n++] = p;
                p = swap;
            }
            if (!send(&g, &p, &e))
                continue;
            EXPECT(e.seq < OUT_MAX);
            EXPECT(!sent[e.seq].used); /* never twice, whatever the content */
            sent[e.seq] = (struct content){.in = p.seq, .layer = p.layer, .used = true};
            bottom = bottom == 0 ? e.seq : bottom;
            top = e.seq > top ? e.seq : top;
            EXPECT(fwd_last_out(&g.fwd) >= top);
            check_origin(&g, sent, top - rng_below(&g.rng, top - bottom + 1 < 50 ? 1 : 50));
        }
        if (rng_below(&g.rng, 40) == 0)
            g.fwd.want = (uint8_t)rng_below(&g.rng, LAYERS);
        if (rng_below(&g.rng, 60) == 0)
            g.fwd.tid_max = (uint8_t)rng_below(&g.rng, 3);
        if (rng_below(&g.rng, 200) == 0) {
            fwd_pause(&g.fwd);
            fwd_resume(&g.fwd);
        }
    }
    EXPECT(top > bottom + 500);
}

TEST(outgoing_numbers_never_repeat_in_random_order)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        random_round(seed);
}

TEST(without_loss_or_reordering_outgoing_numbers_are_contiguous)
{
    static struct stage g;
    struct sub_emit e;
    uint64_t last = 0;

    stage_init(&g, 8);
    for (us_t at = 0; at < 5000; at++) {
        for (uint8_t l = 0; l < LAYERS; l++) {
            struct pkt p = make(&g, l, rng_below(&g.rng, 20) == 0, at * 5000);
            p.tid = p.flags & PKT_KEY ? 0 : (uint8_t)rng_below(&g.rng, 3);
            if (!send(&g, &p, &e))
                continue;
            EXPECT(last == 0 || e.seq == last + 1);
            last = e.seq;
        }
        if (rng_below(&g.rng, 40) == 0)
            g.fwd.want = (uint8_t)rng_below(&g.rng, LAYERS);
        if (rng_below(&g.rng, 60) == 0)
            g.fwd.tid_max = (uint8_t)rng_below(&g.rng, 3);
    }
    EXPECT(last > 1000);
}
