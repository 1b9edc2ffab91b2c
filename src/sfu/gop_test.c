#include "sfu/gop.h"

#include "base/test.h"
#include "sfu/shard_rig.h"

#define TRACK handle_make(0, 1, 1)
#define SUB   handle_make(0, 1, 1)

enum { FRAME_US = 33000, FRAME_TICKS = FRAME_US * 9 / 100 };

/* A publisher of an ingress' track and one client that is not subscribed yet. */
static void stage(struct rig *r, bool pli)
{
    EXPECT_EQ(rig_open(r, 0, NULL), 0);
    EXPECT(rig_join(r, 0) != NULL);
    EXPECT(rig_join(r, 0) != NULL);
    rig_run(r, 2 * US_PER_SEC);
    struct cmd c = rig_video_track(r, TRACK, r->client[0]->id);
    c.track_open.gop = true;
    c.track_open.codec[0].pli = pli;
    rig_command(r, &c);
}

static void frame(struct rig *r, bool key)
{
    struct rig_client *c = r->client[0];
    uint8_t buf[1000];
    struct rtp_header h = {.seq = (uint16_t)c->seq,
                           .ts = (uint32_t)(r->tick.now * 9 / 100),
                           .ssrc = 77,
                           .pt = 96,
                           .marker = true};
    struct rtp_ext_val mid = {.id = 1, .len = 1, .data = (const uint8_t *)"0"};

    c->seq++;
    rig_send(r, c, &h, &mid, 1, rig_vp8(buf, 500, key, h.seq & 0x7fff, (uint8_t)h.seq));
    rig_pump(r);
    rig_run(r, FRAME_US);
}

static void group(struct rig *r, unsigned frames)
{
    frame(r, true);
    for (unsigned i = 1; i < frames; i++)
        frame(r, false);
}

static void subscribe(struct rig *r)
{
    struct cmd c = rig_subscription(r, SUB, TRACK, r->client[1]->id, 1000);

    rig_command(r, &c);
}

static unsigned asked(const struct rig *r)
{
    const struct rig_client *c = r->client[0];
    unsigned n = 0;

    for (uint32_t i = 0; i < c->rtcp_n && i < RIG_RTCP; i++)
        n += rtcp_is_pli(&c->rtcp[i].pkt);
    return n;
}

TEST(newcomer_of_a_deaf_publisher_gets_the_group_squeezed_and_then_the_present)
{
    static struct rig r;
    const struct rig_client *c;

    stage(&r, false);
    group(&r, 90);
    subscribe(&r);
    rig_run(&r, 25000);
    c = r.client[1];
    EXPECT_EQ(c->rtp_n, 90);
    for (unsigned i = 0; i < 10; i++)
        frame(&r, false);
    EXPECT_EQ(c->rtp_n, 100);
    EXPECT_EQ(c->bad_n, 0);
    for (uint32_t i = 1; i < c->rtp_n; i++) {
        uint32_t step = c->rtp[i].v.ts - c->rtp[i - 1].v.ts;
        EXPECT_EQ(c->rtp[i].v.seq, (uint16_t)(c->rtp[i - 1].v.seq + 1));
        EXPECT(step > 0);
        if (i < 90)
            EXPECT(step < 100);
        if (i > 90)
            EXPECT(step > FRAME_TICKS / 2);
        EXPECT_EQ(c->rtp[i].payload[20], (uint8_t)(c->rtp[i - 1].payload[20] + 1));
    }
    rig_close(&r, false);
}

TEST(group_is_kept_beyond_the_age_of_the_history_and_given_back)
{
    static struct rig r;
    int64_t live = mem_live();

    stage(&r, false);
    group(&r, 200); /* 6.6 s */
    subscribe(&r);
    rig_run(&r, 100000);
    EXPECT_EQ(r.client[1]->rtp_n, 200);
    rig_close(&r, false);
    EXPECT_EQ(mem_live(), live);
}

TEST(squeezed_packet_is_sent_again_under_the_same_time_stamp)
{
    static struct rig r;
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);

    stage(&r, false);
    group(&r, 60);
    subscribe(&r);
    rig_run(&r, 25000);
    struct rig_client *c = r.client[1];
    EXPECT_EQ(c->rtp_n, 60);
    struct rig_rtp lost = c->rtp[40];
    uint16_t seq = lost.v.seq;
    rtcp_write_rr(&w, 5, NULL, 0);
    rtcp_write_nack(&w, 5, 1000, &seq, 1);
    rig_send_rtcp(&r, c, wr_done(&w));
    rig_run(&r, 10000);
    EXPECT_EQ(c->rtp_n, 61);
    EXPECT_EQ(c->rtp[60].v.ssrc, 1001);
    EXPECT_EQ(c->rtp[60].v.ts, lost.v.ts);
    rig_close(&r, false);
}

TEST(publisher_that_answers_is_asked_before_an_old_group_is_served)
{
    static struct rig r;

    stage(&r, true);
    group(&r, 60); /* older than GOP_FRESH_US */
    subscribe(&r);
    rig_run(&r, 20000);
    EXPECT_EQ(asked(&r), 1);
    EXPECT_EQ(r.client[1]->rtp_n, 0);
    frame(&r, true);
    EXPECT_EQ(r.client[1]->rtp_n, 1);
    rig_close(&r, false);
}

TEST(publisher_that_never_answers_is_found_deaf)
{
    static struct rig r;

    stage(&r, true);
    group(&r, 60);
    subscribe(&r);
    for (unsigned i = 0; i < 14; i++)
        frame(&r, false);
    EXPECT_EQ(r.client[1]->rtp_n, 74);
    rig_close(&r, false);
}

TEST(paused_in_the_middle_of_catching_up_and_resumed)
{
    static struct rig r;
    struct cmd c = {.kind = CMD_SUB_SET};

    stage(&r, false);
    group(&r, 90);
    c.sub_set = (struct cmd_sub_set){.sub = SUB, .max_spatial = 2, .max_temporal = 3};
    subscribe(&r);
    rig_run(&r, RIG_STEP_US);
    uint32_t before = r.client[1]->rtp_n;
    EXPECT(before > 0 && before < 90);
    c.sub_set.paused = true;
    rig_command(&r, &c);
    frame(&r, false);
    EXPECT_EQ(r.client[1]->rtp_n, before);
    c.sub_set.paused = false;
    rig_command(&r, &c);
    rig_run(&r, 40000);
    const struct rig_client *k = r.client[1];
    EXPECT_EQ(k->rtp_n, before + 91);
    for (uint32_t i = 1; i < k->rtp_n; i++) {
        EXPECT_EQ(k->rtp[i].v.seq, (uint16_t)(k->rtp[i - 1].v.seq + 1));
        EXPECT((int32_t)(k->rtp[i].v.ts - k->rtp[i - 1].v.ts) > 0);
    }
    rig_close(&r, false);
}

TEST(outgrown_group_serves_nobody)
{
    struct replay r;
    struct gop g;
    struct pkt p = {.seq = 9, .at = 1000};

    gop_init(&g, true, true, &r);
    gop_key(&g, &r, &p);
    EXPECT_EQ(g.from, 9);
    EXPECT_EQ(r.keep, 9);
    EXPECT(gop_serve(&g, &r, 0, 2000) == NULL); /* the ring no longer holds it */
    gop_tick(&g, &r, 1000 + GOP_AGE_US + 1);
    EXPECT_EQ(g.from, 0);
    EXPECT(r.keep == REPLAY_KEEP_NONE);
    replay_fini(&r, NULL);
}

TEST(a_step_is_bounded_both_ways)
{
    EXPECT_EQ(gop_step_bytes(0), GOP_BPS_MIN / 8 / 200);
    EXPECT_EQ(gop_step_bytes(UINT32_MAX), GOP_BPS_MAX / 8 / 200);
    EXPECT_EQ(gop_step_bytes(4000000), 4000000 * GOP_RATE / 8 / 200);
}
