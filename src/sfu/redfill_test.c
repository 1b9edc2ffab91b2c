#include "sfu/redfill.h"

#include "base/test.h"
#include "sfu/shard_rig.h"
#include "wire/opus.h"

#define TRACK(n) handle_make(0, (n), 1)
#define SUB(n)   handle_make(0, (n), 1)

/* A publisher of RED, one who takes the Opus inside (client 1), one who takes RED (client 2). */
static void stage(struct rig *r)
{
    struct cmd c;

    EXPECT_EQ(rig_open(r, 0, NULL), 0);
    struct rig_client *pub = rig_join(r, 0), *a = rig_join(r, 0), *b = rig_join(r, 0);
    rig_run(r, 2 * US_PER_SEC);
    c = rig_audio_track(r, TRACK(1), pub->id);
    c.track_open.codec_n = 2;
    c.track_open.codec[1] = c.track_open.codec[0];
    c.track_open.codec[1].pt = 63;
    c.track_open.codec[1].codec = CODEC_RED;
    c.track_open.codec[1].red_pt = 111;
    rig_command(r, &c);
    c = rig_subscription(r, SUB(1), TRACK(1), a->id, 1000);
    c.sub_attach.pt[0] = (struct cmd_pt_map){.in_pt = 63, .out_pt = 109, .unred = true};
    rig_command(r, &c);
    c = rig_subscription(r, SUB(2), TRACK(1), b->id, 2000);
    c.sub_attach.pt[0] = (struct cmd_pt_map){.in_pt = 63, .out_pt = 64};
    rig_command(r, &c);
}

/* Number i says "pi"; it repeats the two before it. */
static void send(struct rig *r, uint16_t i)
{
    struct rtp_header h = {.ts = 10000 + i * 960u, .ssrc = 9, .seq = i, .pt = 63};
    char text[3][2] = {
        {'p', (char)('0' + i - 2)}, {'p', (char)('0' + i - 1)}, {'p', (char)('0' + i)}};
    struct red_block block[3];
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);

    for (unsigned k = 0; k < 3; k++)
        block[k] = (struct red_block){
            .pt = 111, .ts_offset = (uint16_t)((2 - k) * 960), .data = bytes_of(text[k], 2)};
    red_write(&w, block, 3);
    rig_send(r, r->client[0], &h, NULL, 0, wr_done(&w));
    rig_run(r, 20 * US_PER_MS);
}

static uint64_t count_of(const struct rig *r, enum shard_counter which)
{
    uint64_t all[SHARD_COUNTER_N];

    shard_counters(r->shard, all);
    return all[which];
}

static void expect_opus(const struct rig_client *c, uint32_t at, char i)
{
    const char want[2] = {'p', i};

    EXPECT_EQ(c->rtp[at].v.pt, 109);
    EXPECT_BYTES(bytes_of(c->rtp[at].payload, c->rtp[at].v.payload_len), bytes_of(want, 2));
    EXPECT_EQ(c->rtp[at].v.seq, (uint16_t)(c->rtp[0].v.seq + at));
    EXPECT_EQ(c->rtp[at].v.ts - c->rtp[0].v.ts, at * 960);
}

TEST(lost_opus_comes_out_of_the_next_packets_redundancy_once)
{
    static struct rig r;

    stage(&r);
    send(&r, 3);
    send(&r, 6); /* 4 and 5 are lost */
    const struct rig_client *a = r.client[1], *b = r.client[2];
    EXPECT_EQ(a->rtp_n, 4);
    for (uint32_t i = 0; i < 4; i++)
        expect_opus(a, i, (char)('3' + i));
    /* Who takes RED gets the missing ones as plain Opus. */
    EXPECT_EQ(b->rtp_n, 4);
    EXPECT_EQ(b->rtp[0].v.pt, 64);
    EXPECT_EQ(b->rtp[1].v.pt, 109);
    EXPECT_EQ(b->rtp[3].v.pt, 64);
    EXPECT_EQ(count_of(&r, SHARD_RED_FILLED), 2);
    /* They come after all: one number is never sealed over two contents. */
    send(&r, 4);
    send(&r, 5);
    EXPECT_EQ(a->rtp_n, 4);
    EXPECT_EQ(b->rtp_n, 4);
    EXPECT_EQ(count_of(&r, SHARD_DROP_REPLAYED), 2);
    send(&r, 7);
    EXPECT_EQ(a->rtp_n, 5);
    expect_opus(a, 4, '7');
    rig_close(&r, false);
}

TEST(what_is_there_and_what_was_before_the_beginning_is_not_filled)
{
    static struct rig r;

    stage(&r);
    for (uint16_t i = 3; i < 8; i++)
        send(&r, i);
    EXPECT_EQ(r.client[1]->rtp_n, 5);
    EXPECT_EQ(count_of(&r, SHARD_RED_FILLED), 0);
    rig_close(&r, false);
}

TEST(redundancy_of_another_codec_is_not_believed)
{
    static struct rig r;
    static const uint8_t red[] = {0x80 | 96, 0x0f, 0x00, 2, 111, 'x', 'x', 'p', '6'};

    stage(&r);
    send(&r, 3);
    struct rtp_header h = {.ts = 10000 + 5 * 960u, .ssrc = 9, .seq = 5, .pt = 63};
    rig_send(&r, r.client[0], &h, NULL, 0, bytes_of(red, sizeof red));
    rig_run(&r, 20 * US_PER_MS);
    EXPECT_EQ(r.client[1]->rtp_n, 2);
    EXPECT_EQ(count_of(&r, SHARD_RED_FILLED), 0);
    rig_close(&r, false);
}
