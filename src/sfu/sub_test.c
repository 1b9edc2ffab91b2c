#include "sfu/sub.h"

#include "base/test.h"
#include "sfu/shard_rig.h"

#define TRACK(n) handle_make(0, (n), 1)
#define SUB(n)   handle_make(0, (n), 1)

enum { DD_ID = 12, DD_LARGE = 150 };

/* A subscriber that is passed dependency descriptors. */
static void stage(struct rig *r)
{
    struct cmd c;

    EXPECT_EQ(rig_open(r, 0, NULL), 0);
    r->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = DD_ID;
    struct rig_client *pub = rig_join(r, 0), *sub = rig_join(r, 0);
    rig_run(r, 2 * US_PER_SEC);
    c = rig_video_track(r, TRACK(1), pub->id);
    rig_command(r, &c);
    c = rig_subscription(r, SUB(1), TRACK(1), sub->id, 1000);
    c.sub_attach.ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = DD_ID;
    rig_command(r, &c);
}

static void send(struct rig *r, uint16_t i, bool key, uint8_t dd_len)
{
    struct rtp_header h = {.ts = i * 3000u, .ssrc = 77, .seq = i, .pt = 96, .marker = true};
    uint8_t buf[200], dd[DD_LARGE];
    struct rtp_ext_val ext[] = {{.id = DD_ID, .len = dd_len, .data = dd}};

    memset(dd, i, sizeof dd);
    rig_send(r, r->client[0], &h, ext, 1, rig_vp8(buf, sizeof buf, key, i, (uint8_t)i));
    rig_run(r, 33 * US_PER_MS);
}

TEST(dependency_descriptors_go_through_also_those_longer_than_a_template)
{
    static struct rig r;
    uint8_t want[DD_LARGE];

    stage(&r);
    send(&r, 1, true, DD_LARGE);
    send(&r, 2, false, 4);
    send(&r, 3, true, DD_LARGE);
    send(&r, 4, false, 4);
    const struct rig_client *c = r.client[1];
    EXPECT_EQ(c->rtp_n, 4);
    EXPECT_EQ(c->bad_n, 0);
    for (uint32_t i = 0; i < 4; i++) {
        const struct rig_rtp *p = &c->rtp[i];
        struct bytes dd = rtp_ext(&p->v, p->head, RTP_EXT_DEPENDENCY_DESCRIPTOR);
        memset(want, (int)i + 1, sizeof want);
        EXPECT_BYTES(dd, bytes_of(want, i % 2 == 0 ? DD_LARGE : 4));
        EXPECT(p->v.ext[RTP_EXT_MID] != 0 && p->v.ext[RTP_EXT_ABS_SEND_TIME] != 0);
        EXPECT_EQ(p->v.payload_len, 200);
    }
    rig_close(&r, false);
}

/* The number that a retransmission puts before its payload must not land in what is copied. */
TEST(dependency_descriptor_is_whole_in_a_retransmission)
{
    static struct rig r;
    uint8_t buf[64], want[DD_LARGE];

    stage(&r);
    send(&r, 1, true, DD_LARGE);
    send(&r, 2, false, 4);
    struct rig_client *c = r.client[1];
    for (uint32_t i = 0; i < 2; i++) {
        struct wr w = wr_of(buf, sizeof buf);
        uint16_t seq = c->rtp[i].v.seq;
        rtcp_write_rr(&w, 1, NULL, 0);
        rtcp_write_nack(&w, 1, 1000, &seq, 1);
        rig_send_rtcp(&r, c, wr_done(&w));
        rig_run(&r, 10 * US_PER_MS);
        EXPECT_EQ(c->rtp_n, 3 + i);
        const struct rig_rtp *p = &c->rtp[2 + i];
        EXPECT_EQ(p->v.ssrc, 1001);
        memset(want, (int)i + 1, sizeof want);
        EXPECT_BYTES(rtp_ext(&p->v, p->head, RTP_EXT_DEPENDENCY_DESCRIPTOR),
                     bytes_of(want, i == 0 ? DD_LARGE : 4));
    }
    rig_close(&r, false);
}
