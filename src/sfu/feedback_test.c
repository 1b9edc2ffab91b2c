#include "sfu/feedback.h"

#include "base/test.h"
#include "sfu/shard_rig.h"

#define TRACK(n) handle_make(0, 100 + (n), 1)
#define SUB(n)   handle_make(0, 200 + (n), 1)

/* Two clients; the second is subscribed to the first's picture, with what `change` adds. */
static void one_to_one(struct rig *r, void (*change)(struct rig *, struct cmd_sub_attach *))
{
    struct cmd c;

    EXPECT_EQ(rig_open(r, 0, NULL), 0);
    struct rig_client *pub = rig_join(r, 0), *sub = rig_join(r, 0);
    rig_run(r, 2 * US_PER_SEC);
    c = rig_video_track(r, TRACK(1), pub->id);
    rig_command(r, &c);
    c = rig_subscription(r, SUB(1), TRACK(1), sub->id, 1000);
    if (change != NULL)
        change(r, &c.sub_attach);
    rig_command(r, &c);
}

static void picture(struct rig *r, uint16_t i, bool key)
{
    struct rtp_header h = {.ts = i * 3000u, .ssrc = 77, .seq = i, .pt = 96, .marker = true};
    uint8_t buf[200];

    rig_send(r, r->client[0], &h, NULL, 0, rig_vp8(buf, sizeof buf, key, i, (uint8_t)i));
    rig_run(r, 33 * US_PER_MS);
}

static void report_received(struct rig *r)
{
    struct rtcp_report block = {.ssrc = 1000};
    uint8_t buf[128];
    struct wr w = wr_of(buf, sizeof buf);

    rtcp_write_rr(&w, 1, &block, 1);
    rig_send_rtcp(r, r->client[1], wr_done(&w));
    rig_pump(r);
}

/* The bytes of the element in the packet last received; `len` 0 when it has none. */
static struct bytes playout_of(const struct rig_client *c)
{
    const struct rig_rtp *p = &c->rtp[(c->rtp_n - 1) % RIG_LOG];
    return rtp_ext(&p->v, p->head, RTP_EXT_PLAYOUT_DELAY);
}

static void with_playout(struct rig *r, struct cmd_sub_attach *a)
{
    r->ext.id[RTP_EXT_PLAYOUT_DELAY] = 9;
    a->ext.id[RTP_EXT_PLAYOUT_DELAY] = 9;
    a->min_playout_ms = 100;
    a->max_playout_ms = 2000;
}

static void with_playout_without_rtx(struct rig *r, struct cmd_sub_attach *a)
{
    with_playout(r, a);
    a->rtx_ssrc = 0;
}

TEST(the_playout_delay_is_told_until_the_receiver_reports_packets)
{
    static const uint8_t told[] = {0, 0xa0, 0xc8}; /* 10 and 200 steps of 10 ms */
    static struct rig r;

    one_to_one(&r, with_playout);
    picture(&r, 1, true);
    picture(&r, 2, false);
    EXPECT_EQ(r.client[1]->rtp_n, 2);
    EXPECT_BYTES(playout_of(r.client[1]), bytes_of(told, sizeof told));
    report_received(&r);
    picture(&r, 3, false);
    EXPECT_EQ(playout_of(r.client[1]).len, 0);
    rig_close(&r, false);
}

TEST(where_packets_are_repeated_as_they_were_the_playout_delay_stays)
{
    static struct rig r;

    one_to_one(&r, with_playout_without_rtx);
    picture(&r, 1, true);
    report_received(&r);
    picture(&r, 2, false);
    EXPECT_EQ(playout_of(r.client[1]).len, 3);
    rig_close(&r, false);
}

TEST(without_agreement_no_playout_delay_is_told)
{
    static struct rig r;

    one_to_one(&r, NULL);
    picture(&r, 1, true);
    EXPECT_EQ(r.client[1]->rtp_n, 1);
    EXPECT_EQ(playout_of(r.client[1]).len, 0);
    rig_close(&r, false);
}

/* ---- REMB ---- */

static unsigned turn;

static bool lose_a_third(struct rig *r, struct bytes d, bool to_shard)
{
    (void)r;
    return to_shard && rtp_demux_kind(d) == RTP_DEMUX_RTP && turn++ % 3 == 0;
}

/* The rate that the publisher was told last; 0: none. */
static uint64_t told_rate(const struct rig_client *c)
{
    struct rtcp_remb remb;

    for (uint32_t i = c->rtcp_n; i > 0 && i + RIG_RTCP > c->rtcp_n; i--)
        if (rtcp_parse_remb(&c->rtcp[(i - 1) % RIG_RTCP].pkt, &remb) == 0)
            return remb.rate_bps;
    return 0;
}

TEST(a_publisher_without_transport_cc_is_bounded_by_what_gets_through)
{
    static struct rig r;
    struct cmd c;
    uint16_t seq = 0;

    EXPECT_EQ(rig_open(&r, 0, NULL), 0);
    struct rig_client *pub = rig_join(&r, 0);
    rig_run(&r, 2 * US_PER_SEC);
    c = rig_video_track(&r, TRACK(1), pub->id);
    c.track_open.codec[0].twcc = false;
    c.track_open.codec[0].remb = true;
    c.track_open.codec[0].nack = false; /* the log of what it hears stays short */
    rig_command(&r, &c);
    for (int i = 0; i < 90; i++)
        picture(&r, seq++, i == 0);
    EXPECT_EQ(told_rate(pub), PLANE_REMB_BPS);
    turn = 0;
    r.lose = lose_a_third;
    for (int i = 0; i < 120; i++)
        picture(&r, seq++, false);
    uint64_t low = told_rate(pub);
    EXPECT(low < PLANE_REMB_BPS / 10);
    EXPECT(low >= PLANE_REMB_MIN_BPS * 9 / 10); /* its mantissa rounds */
    r.lose = NULL;
    for (int i = 0; i < 240; i++)
        picture(&r, seq++, false);
    EXPECT(told_rate(pub) > low);
    EXPECT(told_rate(pub) < PLANE_REMB_BPS);
    rig_close(&r, false);
}
