#include "sfu/shard.h"

#include "base/test.h"
#include "sfu/shard_rig.h"

#define TRACK(n) handle_make(0, (n), 1)
#define SUB(n)   handle_make(0, (n), 1)

/* `n` connected clients; the first publishes a video track (index 1) that all others subscribe. */
static void stage(struct rig *r, unsigned n)
{
    EXPECT_EQ(rig_open(r, 0, NULL), 0);
    for (unsigned i = 0; i < n; i++)
        EXPECT(rig_join(r, 0) != NULL);
    rig_run(r, 2 * US_PER_SEC);
    for (unsigned i = 0; i < n; i++)
        EXPECT_EQ(r->client[i]->state, PEER_CONNECTED);
    struct cmd c = rig_video_track(r, TRACK(1), r->client[0]->id);
    rig_command(r, &c);
    for (unsigned i = 1; i < n; i++) {
        c = rig_subscription(r, SUB(i), TRACK(1), r->client[i]->id, 1000 * i);
        rig_command(r, &c);
    }
}

static void send_video(struct rig *r, struct rig_client *c, bool key, uint8_t mark)
{
    uint8_t buf[1000];
    struct rtp_header h = {
        .ts = (uint32_t)(r->tick.now * 9 / 100), .ssrc = 77, .pt = 96, .marker = true};
    struct rtp_ext_val ext[] = {{.id = 1, .len = 1, .data = (const uint8_t *)"0"},
                                {.id = 6, .len = 2, .data = buf}};

    h.seq = (uint16_t)c->seq;
    store_u16(buf, (uint16_t)c->seq);
    uint16_t twcc = (uint16_t)c->seq++;
    uint8_t num[2] = {(uint8_t)(twcc >> 8), (uint8_t)twcc};
    ext[1].data = num;
    rig_send(r, c, &h, ext, 2, rig_vp8(buf, 500 + mark, key, h.seq & 0x7fff, mark));
    rig_pump(r);
}

static const struct rig_rtcp *find_rtcp(const struct rig_client *c,
                                        bool (*is)(const struct rtcp_pkt *))
{
    for (uint32_t i = c->rtcp_n; i > 0 && i + RIG_RTCP > c->rtcp_n; i--) {
        if (is(&c->rtcp[(i - 1) % RIG_RTCP].pkt))
            return &c->rtcp[(i - 1) % RIG_RTCP];
    }
    return NULL;
}

static bool is_sr(const struct rtcp_pkt *p)
{
    return p->pt == RTCP_SR;
}

static bool is_rr_block(const struct rtcp_pkt *p)
{
    return p->pt == RTCP_RR && p->count > 0;
}

static uint64_t counter(const struct rig *r, enum shard_counter c)
{
    uint64_t all[SHARD_COUNTER_N];

    shard_counters(r->shard, all);
    return all[c];
}

TEST(video_of_one_reaches_all_others_under_their_own_numbers)
{
    static struct rig r;

    stage(&r, 4);
    send_video(&r, r.client[0], true, 1);
    rig_run(&r, 10000);
    for (uint8_t i = 2; i < 40; i++)
        send_video(&r, r.client[0], false, i);
    for (unsigned k = 1; k < 4; k++) {
        struct rig_client *c = r.client[k];
        EXPECT_EQ(c->rtp_n, 39);
        EXPECT_EQ(c->bad_n, 0);
        for (uint32_t i = 0; i < c->rtp_n; i++) {
            const struct rig_rtp *p = &c->rtp[i];
            EXPECT_EQ(p->v.ssrc, 1000 * k);
            EXPECT_EQ(p->v.pt, 120);
            EXPECT(rtp_marker(&p->v));
            EXPECT_EQ(p->v.seq, (uint16_t)(c->rtp[0].v.seq + i));
            EXPECT_EQ(p->v.payload_len, 501 + i);
            EXPECT_EQ(p->payload[20], i + 1);
            EXPECT(p->v.ext[RTP_EXT_MID] != 0 && p->v.ext[RTP_EXT_ABS_SEND_TIME] != 0);
        }
    }
    EXPECT(rig_event(&r, EVT_SUB_LIVE) != NULL);
    EXPECT_EQ(rig_event(&r, EVT_TRACK_LIVE)->track_live.width, 640);
    EXPECT_EQ(rig_event(&r, EVT_TRACK_LIVE)->track_live.codec, CODEC_VP8);
    rig_close(&r, false);
}

TEST(closing_gives_every_block_back)
{
    static struct rig r;
    int64_t live = mem_live();
    struct cmd c = {.kind = CMD_PEER_CLOSE};

    stage(&r, 3);
    send_video(&r, r.client[0], true, 1);
    c.peer_close.peer = r.client[0]->id;
    rig_command(&r, &c);
    EXPECT_EQ(rig_event(&r, EVT_PEER_GONE)->peer_gone.peer, r.client[0]->id);
    EXPECT_EQ(counter(&r, SHARD_SUBS), 0);
    EXPECT_EQ(counter(&r, SHARD_TRACKS), 0);
    EXPECT_EQ(counter(&r, SHARD_PEERS), 2);
    EXPECT_EQ(counter(&r, SHARD_PKTS_USED), 0);
    rig_command(&r, &c);
    EXPECT_EQ(counter(&r, SHARD_STALE_COMMAND), 1);
    rig_close(&r, false);
    EXPECT_EQ(mem_live(), live);
}

static uint16_t lost_seq;
static unsigned lost_left;

/* Takes away one packet towards a subscriber with that outgoing number. */
static bool lose_one(struct rig *r, struct bytes d, bool to_shard)
{
    (void)r; /* one loss at a time */
    if (to_shard || lost_left == 0 || rtp_demux_kind(d) != RTP_DEMUX_RTP ||
        load_u16(d.p + 2) != lost_seq || load_u32(d.p + 8) != 1000)
        return false;
    lost_left--;
    return true;
}

TEST(a_nack_is_answered_from_the_shared_history_as_rtx)
{
    static struct rig r;
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);

    stage(&r, 2);
    struct rig_client *c = r.client[1];
    send_video(&r, r.client[0], true, 1);
    lost_seq = (uint16_t)(c->rtp[0].v.seq + 3);
    lost_left = 1;
    r.lose = lose_one;
    for (uint8_t i = 2; i < 20; i++)
        send_video(&r, r.client[0], false, i);
    EXPECT_EQ(c->rtp_n, 18);
    rtcp_write_nack(&w, 1, 1000, &lost_seq, 1);
    rig_send_rtcp(&r, c, wr_done(&w));
    rig_send_rtcp(&r, c, wr_done(&w)); /* at once again: ignored */
    rig_pump(&r);
    EXPECT_EQ(c->rtp_n, 19);
    const struct rig_rtp *p = &c->rtp[18];
    EXPECT_EQ(p->v.ssrc, 1001);
    EXPECT_EQ(p->v.pt, 121);
    EXPECT_EQ(load_u16(p->payload), lost_seq);
    EXPECT_EQ(p->payload[22], 4); /* the fourth packet's mark */
    EXPECT_EQ(counter(&r, SHARD_TX_RTX), 1);
    EXPECT_EQ(counter(&r, SHARD_NACK_IN), 2);
    rig_close(&r, false);
}

/* A publisher that comes back is another peer, with other numbers: subscribers get the next key
 * frame under the numbers that follow, sealed so that they can open it. */
TEST(a_track_goes_on_from_another_peer)
{
    static struct rig r;
    struct cmd c;

    stage(&r, 3); /* 0 publishes to 1 and 2 */
    struct rig_client *sub = r.client[1], *heir = r.client[2];
    for (uint8_t i = 1; i < 20; i++)
        send_video(&r, r.client[0], i == 1, i);
    EXPECT_EQ(sub->rtp_n, 19);
    uint16_t last = sub->rtp[18].v.seq;
    uint32_t last_ts = sub->rtp[18].v.ts;

    c = rig_video_track(&r, TRACK(1), heir->id);
    rig_command(&r, &c);
    struct cmd gone = {.kind = CMD_PEER_CLOSE};
    gone.peer_close.peer = r.client[0]->id;
    rig_command(&r, &gone);
    EXPECT_EQ(counter(&r, SHARD_TRACKS), 1);
    heir->seq = 40000;
    send_video(&r, heir, false, 1); /* nobody can begin here */
    EXPECT_EQ(sub->rtp_n, 19);
    for (uint8_t i = 2; i < 10; i++)
        send_video(&r, heir, i == 2, i);
    EXPECT_EQ(sub->rtp_n, 27);
    EXPECT_EQ(sub->bad_n, 0);
    for (uint16_t i = 0; i < 8; i++)
        EXPECT_EQ(sub->rtp[19 + i].v.seq, (uint16_t)(last + 1 + i));
    EXPECT((int32_t)(sub->rtp[19].v.ts - last_ts) > 0);

    /* Other layers are no continuation. */
    c.track_open.layer_n = 2;
    uint64_t stale = counter(&r, SHARD_STALE_COMMAND);
    rig_command(&r, &c);
    EXPECT_EQ(counter(&r, SHARD_STALE_COMMAND), stale + 1);
    rig_close(&r, false);
}

TEST(key_frames_are_asked_for_at_once_and_then_throttled)
{
    static struct rig r;
    uint8_t buf[64];

    stage(&r, 2);
    struct rig_client *pub = r.client[0], *c = r.client[1];
    send_video(&r, pub, false, 1); /* the ssrc becomes known */
    rig_run(&r, 200 * US_PER_MS);
    EXPECT(find_rtcp(pub, rtcp_is_pli) != NULL);
    uint64_t plis = counter(&r, SHARD_PLI_OUT);
    EXPECT_EQ(plis, 1);
    send_video(&r, pub, true, 2);
    EXPECT_EQ(c->rtp_n, 1);
    for (int i = 0; i < 100; i++) { /* a subscriber that asks all the time for a second */
        struct wr w = wr_of(buf, sizeof buf);
        rtcp_write_pli(&w, 1, 1000);
        rig_send_rtcp(&r, c, wr_done(&w));
        rig_run(&r, 10 * US_PER_MS);
    }
    EXPECT(counter(&r, SHARD_PLI_OUT) - plis <= 3);
    EXPECT(counter(&r, SHARD_PLI_OUT) - plis >= 1);
    EXPECT_EQ(counter(&r, SHARD_PLI_IN), 100);
    rig_close(&r, false);
}

static bool lose_up(struct rig *r, struct bytes d, bool to_shard)
{
    (void)r; /* one loss at a time */
    if (!to_shard || lost_left == 0 || rtp_demux_kind(d) != RTP_DEMUX_RTP ||
        load_u16(d.p + 2) != lost_seq)
        return false;
    lost_left--;
    return true;
}

TEST(the_publisher_hears_of_losses_arrivals_and_reports)
{
    static struct rig r;
    struct rtcp_nack_iter it;
    struct rtcp_fb fb;
    uint16_t seq;

    stage(&r, 2);
    struct rig_client *pub = r.client[0];
    lost_seq = (uint16_t)(pub->seq + 5);
    lost_left = 1;
    r.lose = lose_up;
    for (uint8_t i = 1; i < 60; i++) {
        send_video(&r, pub, i == 1, i);
        rig_run(&r, 20 * US_PER_MS);
    }
    const struct rig_rtcp *n = find_rtcp(pub, rtcp_is_nack);
    EXPECT(n != NULL);
    EXPECT_EQ(rtcp_parse_fb(&n->pkt, &fb), 0);
    EXPECT_EQ(fb.media, 77);
    rtcp_nack_init(&it, &fb);
    EXPECT(rtcp_nack_next(&it, &seq));
    EXPECT_EQ(seq, lost_seq);
    EXPECT(find_rtcp(pub, rtcp_is_twcc) != NULL);
    const struct rig_rtcp *rr = find_rtcp(pub, is_rr_block);
    EXPECT(rr != NULL);
    struct rtcp_report block[RTCP_REPORTS_MAX];
    uint32_t sender;
    unsigned blocks;
    EXPECT_EQ(rtcp_parse_reports(&rr->pkt, &sender, block, &blocks), 0);
    EXPECT_EQ(block[0].ssrc, 77);
    EXPECT_EQ(block[0].lost_n, 1);
    rig_close(&r, false);
}

TEST(sender_reports_keep_the_publishers_timeline)
{
    static struct rig r;
    uint8_t buf[128];

    stage(&r, 2);
    struct rig_client *pub = r.client[0], *c = r.client[1];
    send_video(&r, pub, true, 1);
    /* The publisher's clock is an hour slow. */
    int64_t pub_off = r.tick.wall_off_us - 3600 * US_PER_SEC;
    for (int i = 0; i < 80; i++) {
        if (i % 20 == 0) {
            struct wr w = wr_of(buf, sizeof buf);
            struct rtcp_sr sr = {.ssrc = 77,
                                 .ntp = rtcp_ntp_of_unix(r.tick.now + pub_off),
                                 .rtp_ts = (uint32_t)(r.tick.now * 9 / 100)};
            rtcp_write_sr(&w, &sr, NULL, 0);
            rig_send_rtcp(&r, pub, wr_done(&w));
        }
        send_video(&r, pub, false, 9);
        rig_run(&r, 50 * US_PER_MS);
    }
    const struct rig_rtcp *p = find_rtcp(c, is_sr);
    struct rtcp_sr sr;
    EXPECT(p != NULL);
    EXPECT_EQ(rtcp_parse_sr(&p->pkt, &sr), 0);
    EXPECT_EQ(sr.ssrc, 1000);
    us_t at = rtcp_unix_of_ntp(sr.ntp) - r.tick.wall_off_us;
    EXPECT(at > r.tick.now - 4 * US_PER_SEC && at <= r.tick.now);
    int32_t apart = (int32_t)(sr.rtp_ts - (uint32_t)(at * 9 / 100));
    EXPECT(apart >= -20 && apart <= 20);
    EXPECT(sr.packets_n > 0 && sr.octets_n > 500 * sr.packets_n);
    rig_close(&r, false);
}

static void send_layer(struct rig *r, struct rig_client *c, unsigned layer, uint16_t seq, bool key)
{
    static const char *const rid[] = {"q", "h", "f"};
    uint8_t buf[400];
    struct rtp_header h = {.ts = (uint32_t)(r->tick.now * 9 / 100) + 1000000 * layer,
                           .ssrc = 500 + layer,
                           .seq = seq,
                           .pt = 96};
    struct rtp_ext_val ext[] = {{.id = 1, .len = 1, .data = (const uint8_t *)"0"},
                                {.id = 2, .len = 1, .data = (const uint8_t *)rid[layer]}};

    rig_send(r, c, &h, ext, 2, rig_vp8(buf, sizeof buf, key, seq, (uint8_t)layer));
}

TEST(simulcast_follows_the_wish_at_key_frames_and_falls_when_a_layer_dies)
{
    static struct rig r;
    struct cmd c;
    uint16_t seq = 1000;

    EXPECT_EQ(rig_open(&r, 0, NULL), 0);
    struct rig_client *pub = rig_join(&r, 0), *sub = rig_join(&r, 0);
    rig_run(&r, 2 * US_PER_SEC);
    c = rig_video_track(&r, TRACK(1), pub->id);
    c.track_open.layer_n = 3;
    for (uint8_t i = 0; i < 3; i++) {
        c.track_open.layer[i].spatial = i;
        c.track_open.layer[i].rid[0] = "qhf"[i];
    }
    rig_command(&r, &c);
    c = rig_subscription(&r, SUB(1), TRACK(1), sub->id, 1000);
    rig_command(&r, &c);
    unsigned last = 9, switches = 0;
    for (int step = 0; step < 200; step++, seq++) {
        for (unsigned l = 0; l < 3; l++) {
            if (step < 120 || l < 2) /* the top layer ends */
                send_layer(&r, pub, l, seq, step % 25 == 0);
        }
        rig_run(&r, 33 * US_PER_MS);
        if (step == 60) {
            c = (struct cmd){.kind = CMD_SUB_SET,
                             .sub_set = {.sub = SUB(1), .max_spatial = 0, .max_temporal = 3}};
            rig_command(&r, &c);
        }
        if (step == 90) {
            c.sub_set.max_spatial = 2;
            rig_command(&r, &c);
        }
        unsigned now = sub->rtp[(sub->rtp_n - 1) % RIG_LOG].payload[20];
        switches += now != last;
        last = now;
        if (step == 59)
            EXPECT_EQ(now, 2);
        if (step == 80)
            EXPECT_EQ(now, 0);
        if (step == 110)
            EXPECT_EQ(now, 2);
    }
    EXPECT_EQ(last, 1);
    EXPECT_EQ(switches, 4); /* 2, 0, 2, 1 */
    for (uint32_t i = 1; i < sub->rtp_n; i++) {
        EXPECT_EQ(sub->rtp[i].v.seq, (uint16_t)(sub->rtp[i - 1].v.seq + 1));
        EXPECT((int32_t)(sub->rtp[i].v.ts - sub->rtp[i - 1].v.ts) > 0);
        uint16_t pid = load_u16(sub->rtp[i].payload + 2),
                 was = load_u16(sub->rtp[i - 1].payload + 2);
        EXPECT_EQ(pid & 0x7fff, (was + 1) & 0x7fff);
    }
    rig_close(&r, false);
}

TEST(speech_is_reported_each_window_and_muted_tracks_are_silent)
{
    static struct rig r;
    struct cmd c;
    unsigned levels = 0;

    EXPECT_EQ(rig_open(&r, 0, NULL), 0);
    struct rig_client *pub = rig_join(&r, 0), *sub = rig_join(&r, 0);
    rig_run(&r, 2 * US_PER_SEC);
    c = rig_audio_track(&r, TRACK(1), pub->id);
    rig_command(&r, &c);
    c = rig_subscription(&r, SUB(1), TRACK(1), sub->id, 1000);
    c.sub_attach.rtx_ssrc = 0;
    rig_command(&r, &c);
    for (uint16_t i = 0; i < 200; i++) {
        uint8_t level = i < 100 ? 15 : 127;
        struct rtp_header h = {.ts = i * 960u, .ssrc = 9, .seq = i, .pt = 111};
        struct rtp_ext_val ext = {.id = 4, .len = 1, .data = &level};
        rig_send(&r, pub, &h, &ext, 1, bytes_str("\xf8opus"));
        uint32_t before = r.event_n;
        rig_run(&r, 20 * US_PER_MS);
        for (uint32_t k = before; k < r.event_n; k++)
            levels += r.event[k % RIG_EVENTS].kind == EVT_TRACK_LEVEL;
    }
    EXPECT(levels >= 6 && levels <= 9);
    EXPECT(!rig_event(&r, EVT_TRACK_LEVEL)->track_level.active);
    EXPECT_EQ(sub->rtp_n, 200);
    EXPECT_EQ(sub->rtp[5].v.pt, 109);
    EXPECT(sub->rtp[5].v.ext[RTP_EXT_AUDIO_LEVEL] != 0);
    c = (struct cmd){.kind = CMD_TRACK_SET, .track_set = {.track = TRACK(1), .muted = true}};
    rig_command(&r, &c);
    struct rtp_header h = {.ts = 200 * 960u, .ssrc = 9, .seq = 200, .pt = 111};
    rig_send(&r, pub, &h, NULL, 0, bytes_str("\xf8opus"));
    rig_run(&r, 20 * US_PER_MS);
    EXPECT_EQ(sub->rtp_n, 200);
    rig_close(&r, false);
}

TEST(a_mute_leaves_no_gap_in_the_numbers)
{
    static struct rig r;
    struct cmd c = {.kind = CMD_TRACK_SET};

    stage(&r, 2);
    struct rig_client *sub = r.client[1];
    send_video(&r, r.client[0], true, 1);
    c.track_set = (struct cmd_track_set){.track = TRACK(1), .muted = true};
    rig_command(&r, &c);
    for (int i = 0; i < 100; i++)
        send_video(&r, r.client[0], i == 50, 2);
    c.track_set.muted = false;
    rig_command(&r, &c);
    send_video(&r, r.client[0], false, 3);
    EXPECT_EQ(sub->rtp_n, 1);
    send_video(&r, r.client[0], true, 4);
    EXPECT_EQ(sub->rtp_n, 2);
    EXPECT_EQ(sub->rtp[1].v.seq, (uint16_t)(sub->rtp[0].v.seq + 1));
    rig_close(&r, false);
}

TEST(opus_is_taken_out_of_red_for_those_who_want_it)
{
    static struct rig r;
    struct cmd c;
    /* One redundant block of 3 bytes, 960 before, and the primary. */
    static const uint8_t red[] = {0x80 | 111, 0x0f, 0x00, 3,   111, 'o',
                                  'l',        'd',  'n',  'e', 'w', '!'};

    EXPECT_EQ(rig_open(&r, 0, NULL), 0);
    struct rig_client *pub = rig_join(&r, 0), *a = rig_join(&r, 0), *b = rig_join(&r, 0);
    rig_run(&r, 2 * US_PER_SEC);
    c = rig_audio_track(&r, TRACK(1), pub->id);
    c.track_open.codec_n = 2;
    c.track_open.codec[1] = c.track_open.codec[0];
    c.track_open.codec[1].pt = 63;
    c.track_open.codec[1].codec = CODEC_RED;
    c.track_open.codec[1].red_pt = 111;
    rig_command(&r, &c);
    c = rig_subscription(&r, SUB(1), TRACK(1), a->id, 1000);
    c.sub_attach.pt[0] = (struct cmd_pt_map){.in_pt = 63, .out_pt = 109, .unred = true};
    rig_command(&r, &c);
    c = rig_subscription(&r, SUB(2), TRACK(1), b->id, 2000);
    c.sub_attach.pt[0] = (struct cmd_pt_map){.in_pt = 63, .out_pt = 64};
    rig_command(&r, &c);
    for (uint16_t i = 0; i < 3; i++) {
        struct rtp_header h = {.ts = i * 960u, .ssrc = 9, .seq = i, .pt = 63};
        rig_send(&r, pub, &h, NULL, 0, bytes_of(red, sizeof red));
        rig_run(&r, 20 * US_PER_MS);
    }
    EXPECT_EQ(a->rtp_n, 3);
    EXPECT_EQ(a->rtp[1].v.pt, 109);
    EXPECT_BYTES(bytes_of(a->rtp[1].payload, a->rtp[1].v.payload_len), bytes_str("new!"));
    EXPECT_EQ(b->rtp_n, 3);
    EXPECT_EQ(b->rtp[1].v.pt, 64);
    EXPECT_BYTES(bytes_of(b->rtp[1].payload, b->rtp[1].v.payload_len), bytes_of(red, sizeof red));
    rig_close(&r, false);
}

/* Every allocation of a join, a publication and a subscription refused in turn: control hears of it
 * or everything works, and nothing stays behind. */
TEST(commands_survive_every_refused_allocation)
{
    for (uint64_t nth = 1; nth < 40; nth++) {
        static struct rig r;
        int64_t live = mem_live();
        EXPECT_EQ(rig_open(&r, 0, NULL), 0);
        EXPECT(rig_join(&r, 0) != NULL);
        struct cmd open = {.kind = CMD_PEER_OPEN,
                           .peer_open = {.peer = handle_make(0, 9, 1),
                                         .local = {.ufrag = "abcd", .pwd = "x"},
                                         .setup = PEER_SETUP_DTLS_SERVER}};
        struct cmd t = rig_video_track(&r, TRACK(1), handle_make(0, 9, 1));
        t.track_open.layer[0] = (struct cmd_layer){.ssrc = 5, .rtx_ssrc = 6};
        struct cmd s = rig_subscription(&r, SUB(1), TRACK(1), r.client[0]->id, 1000);
        mem_refuse_nth(nth);
        shard_command(r.shard, &open, r.tick);
        shard_command(r.shard, &t, r.tick);
        shard_command(r.shard, &s, r.tick);
        mem_refuse_nth(0);
        rig_events(&r);
        bool told = rig_event(&r, EVT_PEER_GONE) || rig_event(&r, EVT_TRACK_GONE) ||
                    rig_event(&r, EVT_SUB_GONE);
        EXPECT(told || counter(&r, SHARD_SUBS) == 1);
        rig_close(&r, false);
        EXPECT_EQ(mem_live(), live);
    }
}

TEST(data_passes_both_ways)
{
    static struct rig r;
    struct cmd c = {.kind = CMD_PEER_DATA};

    stage(&r, 2);
    c.peer_data.peer = r.client[1]->id;
    c.peer_data.len = 5;
    memcpy(c.peer_data.data, "hello", 5);
    rig_command(&r, &c);
    EXPECT_EQ(r.client[1]->data_n, 1);
    EXPECT_EQ(peer_send_data(r.client[1]->peer, bytes_str("world!"), r.tick.now), 0);
    rig_client_drain(&r, r.client[1]);
    rig_pump(&r);
    const struct evt *e = rig_event(&r, EVT_PEER_DATA);
    EXPECT(e != NULL && e->peer_data.len == 6 && e->peer_data.peer == r.client[1]->id);
    rig_close(&r, false);
}

TEST(a_fan_out_larger_than_the_arena_goes_on_after_each_flush)
{
    static struct rig r;
    uint8_t buf[1000];

    stage(&r, 21);
    send_video(&r, r.client[0], true, 1);
    for (uint16_t i = 0; i < 60; i++) { /* one batch: 60 packets to 20 subscribers, 1.2 MB */
        struct rig_client *c = r.client[0];
        struct rtp_header h = {.ts = 5, .ssrc = 77, .pt = 96, .seq = (uint16_t)c->seq++};
        rig_send(&r, c, &h, NULL, 0, rig_vp8(buf, sizeof buf, false, h.seq & 0x7fff, 2));
    }
    EXPECT_EQ(r.batch_n, 60);
    rig_pump(&r);
    for (unsigned k = 1; k <= 20; k++) {
        EXPECT_EQ(r.client[k]->rtp_n, 61);
        for (uint32_t i = 1; i < 61; i++)
            EXPECT_EQ(r.client[k]->rtp[i].v.seq, (uint16_t)(r.client[k]->rtp[0].v.seq + i));
    }
    EXPECT_EQ(counter(&r, SHARD_SHED_TX_FULL), 0);
    rig_close(&r, false);
}

TEST(steady_forwarding_allocates_nothing)
{
    static struct rig r;

    stage(&r, 41);
    r.skim = true;
    send_video(&r, r.client[0], true, 1);
    for (int i = 0; i < 1500; i++) /* histories and tables reach their size */
        send_video(&r, r.client[0], false, 2);
    uint64_t made = mem_made(), sent = r.sent_n;
    for (int i = 0; i < 10000; i++) {
        r.tick.now += 1000;
        send_video(&r, r.client[0], false, 3);
        if (shard_deadline(r.shard) <= r.tick.now)
            shard_tick(r.shard, r.tick);
    }
    EXPECT_EQ(mem_made(), made);
    EXPECT(r.sent_n - sent >= 400000);
    rig_close(&r, false);
}

static void exchange(struct rig *a, struct rig *b)
{
    struct bytes record;
    uint8_t to;

    while (shard_relay_output(a->shard, &to, &record)) {
        EXPECT_EQ(to, 1);
        shard_relay_input(b->shard, record, b->tick);
    }
    while (shard_relay_output(b->shard, &to, &record)) {
        EXPECT_EQ(to, 0);
        shard_relay_input(a->shard, record, a->tick);
    }
    rig_pump(a);
    rig_pump(b);
}

TEST(a_relay_carries_a_track_to_another_shard_and_its_wishes_back)
{
    static struct rig a, b;
    struct cmd c;
    track_id mirror = handle_make(1, 3, 1);

    EXPECT_EQ(rig_open(&a, 0, NULL), 0);
    EXPECT_EQ(rig_open(&b, 1, &a), 0);
    struct rig_client *pub = rig_join(&a, 0), *sub = rig_join(&b, 1);
    rig_run(&a, 2 * US_PER_SEC);
    rig_run(&b, 2 * US_PER_SEC);
    c = rig_video_track(&a, TRACK(1), pub->id);
    rig_command(&a, &c);
    c.track_open.track = mirror;
    c.track_open.home = TRACK(1);
    c.track_open.peer = 0;
    rig_command(&b, &c);
    c = (struct cmd){.kind = CMD_RELAY_OPEN, .relay = {.track = TRACK(1), .mirror = mirror}};
    rig_command(&a, &c);
    c = rig_subscription(&b, handle_make(1, 1, 1), mirror, sub->id, 1000);
    rig_command(&b, &c);
    send_video(&a, pub, false, 1);
    exchange(&a, &b);
    rig_run(&a, 200 * US_PER_MS);
    rig_run(&b, 200 * US_PER_MS);
    exchange(&a, &b); /* the wish travels home */
    EXPECT(find_rtcp(pub, rtcp_is_pli) != NULL);
    for (uint8_t i = 1; i < 30; i++) {
        send_video(&a, pub, i == 1, i);
        exchange(&a, &b);
    }
    EXPECT_EQ(sub->rtp_n, 29);
    EXPECT_EQ(sub->rtp[28].payload[20], 29);
    c = (struct cmd){.kind = CMD_RELAY_CLOSE, .relay = {.track = TRACK(1), .mirror = mirror}};
    rig_command(&a, &c);
    send_video(&a, pub, false, 1);
    exchange(&a, &b);
    EXPECT_EQ(sub->rtp_n, 29);
    rig_close(&b, true);
    rig_close(&a, false);
}

TEST(strangers_change_nothing)
{
    static struct rig r;
    struct path from = {.local = rig_addr(999, 1), .remote = rig_addr(60000, 7882)};
    uint8_t junk[100] = {0x80, 96};

    stage(&r, 2);
    uint64_t sent = r.sent_n;
    rig_to_shard(&r, &from, bytes_of(junk, sizeof junk)); /* RTP from nowhere */
    junk[0] = 22;
    rig_to_shard(&r, &from, bytes_of(junk, sizeof junk)); /* DTLS from nowhere */
    junk[0] = 0;
    rig_to_shard(&r, &from, bytes_of(junk, sizeof junk)); /* STUN that is none */
    junk[0] = 0x80;
    rig_to_shard(&r, &r.client[0]->path, bytes_of(junk, sizeof junk)); /* no valid tag */
    rig_pump(&r);
    EXPECT_EQ(counter(&r, SHARD_DROP_UNKNOWN_PEER), 3);
    EXPECT_EQ(counter(&r, SHARD_DROP_UNAUTHENTICATED), 1);
    EXPECT_EQ(r.sent_n, sent);
    rig_close(&r, false);
}

/* Binding indications are not signed: whoever knows a name could send one in another's. */
TEST(an_indication_brings_no_address)
{
    static struct rig r;
    struct path from = {.local = rig_addr(999, 1), .remote = rig_addr(60000, 7882)};
    struct stun_tid tid = stun_tid_new(&r.rng);
    uint8_t buf[200], junk[100] = {0x80, 96};
    struct wr w = wr_of(buf, sizeof buf);

    stage(&r, 2);
    stun_begin(&w, STUN_INDICATION, STUN_BINDING, &tid);
    stun_add_bytes(&w, STUN_USERNAME, bytes_str("srv_0000:cli_0000"));
    stun_add_fingerprint(&w);
    EXPECT_EQ(stun_end(&w), 0);
    rig_to_shard(&r, &from, wr_done(&w));
    rig_to_shard(&r, &from, bytes_of(junk, sizeof junk));
    rig_pump(&r);
    EXPECT_EQ(counter(&r, SHARD_DROP_UNKNOWN_PEER), 1);
    EXPECT_EQ(counter(&r, SHARD_DROP_UNAUTHENTICATED), 0);
    rig_close(&r, false);
}

TEST(red_that_is_none_is_not_sent_and_not_repeated)
{
    static struct rig r;
    static const uint8_t good[] = {111, 'x'}, bad[] = {0x80};
    struct cmd c;

    EXPECT_EQ(rig_open(&r, 0, NULL), 0);
    struct rig_client *pub = rig_join(&r, 0), *a = rig_join(&r, 0);
    rig_run(&r, 2 * US_PER_SEC);
    c = rig_audio_track(&r, TRACK(1), pub->id);
    c.track_open.codec[0].pt = 63;
    c.track_open.codec[0].codec = CODEC_RED;
    rig_command(&r, &c);
    c = rig_subscription(&r, SUB(1), TRACK(1), a->id, 1000);
    c.sub_attach.pt[0] =
        (struct cmd_pt_map){.in_pt = 63, .out_pt = 109, .out_rtx_pt = 110, .unred = true};
    rig_command(&r, &c);
    for (uint16_t i = 0; i < 3; i++) {
        struct rtp_header h = {.ts = i * 960u, .ssrc = 9, .seq = i, .pt = 63};
        rig_send(&r, pub, &h, NULL, 0,
                 i == 1 ? bytes_of(bad, sizeof bad) : bytes_of(good, sizeof good));
        rig_run(&r, 20 * US_PER_MS);
    }
    EXPECT_EQ(a->rtp_n, 2);
    uint16_t missing = (uint16_t)(a->rtp[0].v.seq + 1);
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);
    rtcp_write_rr(&w, 1, NULL, 0);
    rtcp_write_nack(&w, 1, 1000, &missing, 1);
    rig_send_rtcp(&r, a, wr_done(&w));
    rig_pump(&r);
    EXPECT_EQ(counter(&r, SHARD_NACK_IN), 1);
    EXPECT_EQ(a->rtp_n, 2);
    rig_close(&r, false);
}

TEST(shard_open_survives_every_refused_allocation)
{
    struct cert *cert;
    int64_t live;

    EXPECT_EQ(cert_make(&cert, 0), 0);
    live = mem_live();
    for (uint64_t nth = 1;; nth++) {
        struct shard_cfg cfg = {.cert = cert};
        struct shard *s = NULL;
        mem_refuse_nth(nth);
        int err = shard_open(&s, &cfg);
        mem_refuse_nth(0);
        if (err == 0) {
            shard_free(s);
            EXPECT(nth > 3);
            break;
        }
        EXPECT(s == NULL);
        EXPECT_EQ(mem_live(), live);
    }
    EXPECT_EQ(mem_live(), live);
    cert_free(cert);
}

static bool lose_all(struct rig *r, struct bytes d, bool to_shard)
{
    (void)r; /* the answers do not matter */
    (void)d;
    return !to_shard;
}

/* First byte: who sends and how; the rest is a datagram, or the plain text of one that
 * authenticates. */
FUZZ(shard_input, in)
{
    static struct rig r;
    static bool staged;
    struct rtp_header h = {.ts = 5, .ssrc = 77, .pt = 96};
    struct path stranger = {.local = rig_addr(999, 1), .remote = rig_addr(60000, 7882)};

    if (!staged) { /* kept over all inputs: a handshake takes a millisecond */
        stage(&r, 3);
        send_video(&r, r.client[0], true, 1);
        r.lose = lose_all;
        staged = true;
    }
    if (in.len < 4 || in.len > 1200)
        return;
    struct rig_client *c = r.client[in.p[0] >> 4 & 1];
    struct bytes rest = bytes_of(in.p + 2, in.len - 2);
    r.tick.now += in.p[1] * US_PER_MS;
    h.seq = (uint16_t)c->seq++;
    h.pt = in.p[0] & 8 ? 97 : 96;
    switch (in.p[0] & 3) {
    case 0:
        rig_to_shard(&r, &c->path, rest);
        break;
    case 1:
        rig_to_shard(&r, &stranger, rest);
        break;
    case 2:
        rig_send(&r, c, &h, NULL, 0, rest);
        break;
    case 3:
        if (rest.len >= 8)
            rig_send_rtcp(&r, c, rest);
        break;
    }
    rig_push(&r);
    shard_tick(r.shard, r.tick);
    rig_pump(&r);
    EXPECT_EQ(counter(&r, SHARD_SUBS), 2);
    EXPECT(shard_deadline(r.shard) > r.tick.now);
    EXPECT(counter(&r, SHARD_PKTS_USED) <= 2000);
}
