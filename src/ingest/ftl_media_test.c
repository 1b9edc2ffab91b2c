#include "ingest/ftl_media.h"

#include "base/test.h"
#include "ingest/ftl_mux.h"
#include "wire/rtcp.h"
#include "wire/rtp.h"

static const struct ftl_stream stream = {.channel = 77,
                                         .audio_ssrc = 77,
                                         .video_ssrc = 78,
                                         .audio_pt = 97,
                                         .video_pt = 96,
                                         .audio = true,
                                         .video = true,
                                         .audio_codec = CODEC_OPUS,
                                         .video_codec = CODEC_H264};

static struct addr peer_addr(uint16_t port)
{
    struct addr a;
    uint8_t ip[4] = {192, 0, 2, 1};

    addr_set_ip4(&a, ip, port);
    return a;
}

static struct bytes packet(bool video, uint16_t seq, uint32_t ts, size_t payload)
{
    static uint8_t buf[2048];
    struct rtp_header h = {
        .ts = ts, .ssrc = video ? 78 : 77, .seq = seq, .pt = video ? 96 : 97, .marker = video};
    size_t n = rtp_write_header(buf, sizeof buf, &h, NULL, 0);

    memset(buf + n, 0x41, payload);
    return bytes_of(buf, n + payload);
}

static unsigned drain(struct ftl_media *m, bool video)
{
    struct media ev;
    unsigned n = 0;

    while (ftl_media_event(m, &ev))
        n += ev.kind == MEDIA_RTP && ev.video == video;
    return n;
}

TEST(the_flood_at_the_start_is_neither_media_nor_missing)
{
    struct addr from = peer_addr(5000), to;
    struct ftl_media *m = NULL;
    struct ftl_media_stats st;
    uint8_t buf[1500];
    struct wr w = wr_of(buf, sizeof buf);
    us_t now = 0;

    EXPECT_EQ(ftl_media_open(&m, &stream, &from, now), 0);
    for (uint16_t seq = 0; seq < 1337; seq++, now += 750)
        ftl_media_input(m, &from, packet(false, seq, 0, 1392), now);
    ftl_media_input(m, &from, packet(false, 0, 0, 160), now); /* before video: not sent either */
    EXPECT_EQ(drain(m, false), 0);
    ftl_media_input(m, &from, packet(true, 0, 0, 20), now);
    ftl_media_input(m, &from, packet(false, 1337, 0, 1392), now); /* a straggler of the flood */
    for (uint16_t seq = 0; seq < 10; seq++)
        ftl_media_input(m, &from, packet(false, seq, 960u * seq, 160), now);
    EXPECT_EQ(drain(m, false), 10);
    ftl_media_tick(m, now + US_PER_SEC);
    EXPECT(!ftl_media_output(m, &to, &w));
    ftl_media_get_stats(m, &st);
    EXPECT_EQ(st.flood, 1339);
    EXPECT_EQ(st.asked, 0);
    ftl_media_free(m);
}

TEST(the_port_of_the_first_packet_is_pinned)
{
    struct addr control = peer_addr(40000), a = peer_addr(5000), b = peer_addr(5001);
    struct ftl_media *m = NULL;
    struct ftl_media_stats st;

    EXPECT_EQ(ftl_media_open(&m, &stream, &control, 0), 0);
    ftl_media_input(m, &b, bytes_str("no packet of anybody"), 0);
    ftl_media_input(m, &a, packet(true, 0, 0, 20), 0);
    ftl_media_input(m, &b, packet(true, 1, 0, 20), 0);
    EXPECT_EQ(drain(m, true), 1);
    ftl_media_get_stats(m, &st);
    EXPECT_EQ(st.foreign, 2);
    ftl_media_free(m);
}

/* As the client wants it: first in the datagram, one RTCP packet, our number for its stream. */
TEST(a_lost_packet_is_asked_for_as_the_client_understands_it)
{
    struct addr from = peer_addr(5000), to;
    struct ftl_media *m = NULL;
    uint8_t buf[1500];
    struct wr w = wr_of(buf, sizeof buf);

    EXPECT_EQ(ftl_media_open(&m, &stream, &from, 0), 0);
    ftl_media_input(m, &from, packet(true, 0, 0, 20), 0);
    ftl_media_input(m, &from, packet(true, 3, 3000, 20), 0);
    EXPECT_EQ(drain(m, true), 1);
    ftl_media_tick(m, ftl_media_deadline(m));
    EXPECT(ftl_media_output(m, &to, &w));
    EXPECT(addr_eq(&to, &from));
    EXPECT_BYTES(wr_done(&w), test_hex("81cd0003000000010000004e00010001"));
    EXPECT(!ftl_media_output(m, &to, &w));
    ftl_media_input(m, &from, packet(true, 1, 3000, 20), 6000);
    ftl_media_input(m, &from, packet(true, 2, 3000, 20), 6000);
    EXPECT_EQ(drain(m, true), 3);
    ftl_media_free(m);
}

TEST(silence_ends_a_stream_once)
{
    struct addr from = peer_addr(5000);
    struct ftl_media *m = NULL;
    struct media ev;

    EXPECT_EQ(ftl_media_open(&m, &stream, &from, 0), 0);
    EXPECT_EQ(ftl_media_deadline(m), FTL_MEDIA_SILENCE_US);
    ftl_media_input(m, &from, packet(true, 0, 0, 20), 1000);
    EXPECT_EQ(drain(m, true), 1);
    EXPECT_EQ(ftl_media_deadline(m), 1000 + FTL_MEDIA_SILENCE_US);
    ftl_media_tick(m, 1000 + FTL_MEDIA_SILENCE_US);
    EXPECT(ftl_media_event(m, &ev));
    EXPECT_EQ(ev.kind, MEDIA_END);
    EXPECT(!ftl_media_event(m, &ev));
    EXPECT_EQ(ftl_media_deadline(m), US_NEVER);
    ftl_media_free(m);
}

static void report(struct ftl_media *m, uint32_t ssrc, int64_t unix_us, uint32_t ts)
{
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);
    struct rtcp_sr sr = {.ssrc = ssrc, .ntp = rtcp_ntp_of_unix(unix_us), .rtp_ts = ts};
    struct addr from = peer_addr(5000);

    rtcp_write_sr(&w, &sr, NULL, 0);
    ftl_media_input(m, &from, wr_done(&w), 0);
}

TEST(reports_of_the_sender_align_sound_with_picture)
{
    struct addr from = peer_addr(5000);
    struct ftl_media *m = NULL;
    struct media ev;
    int64_t unix_us = 1700000000 * US_PER_SEC;

    EXPECT_EQ(ftl_media_open(&m, &stream, &from, 0), 0);
    ftl_media_input(m, &from, packet(true, 0, 90000, 20), 0);
    EXPECT(ftl_media_event(m, &ev));
    EXPECT_EQ(ev.pts_us, US_PER_SEC);
    ftl_media_input(m, &from, packet(false, 0, 48000, 20), 0);
    EXPECT(ftl_media_event(m, &ev));
    EXPECT_EQ(ev.pts_us, US_PER_SEC); /* until then: both began together */
    report(m, 78, unix_us, 90000);
    report(m, 77, unix_us + 40000, 48000);
    ftl_media_input(m, &from, packet(false, 1, 48960, 20), 0);
    EXPECT(ftl_media_event(m, &ev));
    EXPECT(ev.pts_us >= US_PER_SEC + 59998 && ev.pts_us <= US_PER_SEC + 60002);
    ftl_media_free(m);
}

/* A sender that resends what is asked, over a line that loses: nothing is missing at the end. */
TEST(five_per_cent_of_loss_is_repaired)
{
    struct rng rng = rng_seed(5);
    struct addr from = peer_addr(5000), to;
    struct ftl_media *m = NULL;
    struct ftl_media_stats st;
    uint16_t seq = 0;
    unsigned got = 0;
    us_t now = 0;

    EXPECT_EQ(ftl_media_open(&m, &stream, &from, 0), 0);
    while (seq < 5000) {
        uint8_t buf[1500];
        struct wr w = wr_of(buf, sizeof buf);
        struct rtcp_nack_iter it;
        struct rtcp_iter all;
        struct rtcp_pkt pkt;
        struct rtcp_fb fb;
        uint16_t missing;
        now += 2 * US_PER_MS;
        if (rng_below(&rng, 100) >= 5)
            ftl_media_input(m, &from, packet(true, seq, seq * 180u, 20), now);
        seq++;
        got += drain(m, true);
        ftl_media_tick(m, now);
        if (!ftl_media_output(m, &to, &w))
            continue;
        rtcp_iter_init(&all, wr_done(&w));
        EXPECT(rtcp_next(&all, &pkt) && rtcp_parse_fb(&pkt, &fb) == 0);
        rtcp_nack_init(&it, &fb);
        while (rtcp_nack_next(&it, &missing)) {
            if (rng_below(&rng, 100) >= 5)
                ftl_media_input(m, &from, packet(true, missing, missing * 180u, 20), now);
        }
        got += drain(m, true);
    }
    ftl_media_get_stats(m, &st);
    EXPECT_EQ(st.lost, 0);
    EXPECT(got > 4980);
    EXPECT(st.asked < 5000 * 7 / 100);
    ftl_media_free(m);
}

TEST(the_port_is_shared_by_address_and_number_and_closed_to_strangers)
{
    struct addr a = peer_addr(40000), b = a, none = {0};
    struct ftl_mux x;
    void *owner;
    int one, two;
    uint8_t ping[24] = {0x81, 0xfa, 0x00, 0x18}, windows[12] = {0x81, 0xfa, 0x00, 0x0c};

    b.ip[3] = 2;
    ftl_mux_init(&x, 1);
    EXPECT_EQ(ftl_mux_route(&x, &a, packet(true, 0, 0, 20), 0, &owner), FTL_ROUTE_NONE);
    EXPECT_EQ(ftl_mux_route(&x, &a, bytes_of(ping, 24), 0, &owner), FTL_ROUTE_NONE);
    EXPECT_EQ(ftl_mux_add(&x, &a, &stream, &one), FTL_OK);
    EXPECT_EQ(ftl_mux_add(&x, &a, &stream, &two), FTL_AUDIO_SSRC);
    EXPECT_EQ(ftl_mux_add(&x, &b, &stream, &two), FTL_OK);
    EXPECT_EQ(ftl_mux_route(&x, &a, packet(true, 0, 0, 20), 0, &owner), FTL_ROUTE_MEDIA);
    EXPECT(owner == &one);
    EXPECT_EQ(ftl_mux_route(&x, &b, packet(false, 0, 0, 20), 0, &owner), FTL_ROUTE_MEDIA);
    EXPECT(owner == &two);
    EXPECT_EQ(ftl_mux_route(&x, &a, bytes_of(ping, 24), 0, &owner), FTL_ROUTE_ECHO);
    EXPECT_EQ(ftl_mux_route(&x, &a, bytes_of(windows, 12), 0, &owner), FTL_ROUTE_ECHO);
    ftl_mux_remove(&x, &a, &stream, &none, 0);
    EXPECT_EQ(ftl_mux_route(&x, &a, packet(true, 0, 0, 20), 0, &owner), FTL_ROUTE_NONE);
    EXPECT_EQ(ftl_mux_route(&x, &a, bytes_of(ping, 24), 0, &owner), FTL_ROUTE_NONE);
    EXPECT_EQ(ftl_mux_route(&x, &b, bytes_of(ping, 24), 0, &owner), FTL_ROUTE_ECHO);
    ftl_mux_remove(&x, &b, &stream, &none, 0);
    ftl_mux_fini(&x);
}

/* Channels 77 and 78 behind one address: the picture of one has the number of the other's sound. */
TEST(neighbouring_channels_share_an_address)
{
    struct addr a = peer_addr(5000), b = peer_addr(5001);
    struct ftl_stream next = stream;
    uint8_t report[28] = {0x80, 200, 0, 6, 0, 0, 0, 78};
    struct ftl_mux x;
    void *owner;
    int one, two;

    next.audio_ssrc = 78;
    next.video_ssrc = 79;
    ftl_mux_init(&x, 1);
    EXPECT_EQ(ftl_mux_add(&x, &a, &stream, &one), FTL_OK);
    EXPECT_EQ(ftl_mux_add(&x, &a, &next, &two), FTL_OK);
    EXPECT_EQ(ftl_mux_route(&x, &a, packet(true, 0, 0, 20), 0, &owner), FTL_ROUTE_MEDIA);
    EXPECT(owner == &one);
    EXPECT_EQ(ftl_mux_route(&x, &b, bytes_of(report, sizeof report), 0, &owner), FTL_ROUTE_NONE);
    EXPECT(ftl_mux_pin(&x, &b, &two));
    EXPECT_EQ(ftl_mux_route(&x, &b, bytes_of(report, sizeof report), 0, &owner), FTL_ROUTE_MEDIA);
    EXPECT(owner == &two);
    ftl_mux_remove(&x, &a, &next, &b, 0);
    EXPECT_EQ(ftl_mux_route(&x, &b, bytes_of(report, sizeof report), 0, &owner), FTL_ROUTE_NONE);
    ftl_mux_fini(&x);
}

/* The old sender goes on for a moment, with the numbers that the new one has too. */
TEST(a_port_whose_stream_was_taken_over_is_not_the_next_streams)
{
    struct addr old = peer_addr(5000), new = peer_addr(5001);
    struct ftl_mux x;
    void *owner;
    int one, two;

    ftl_mux_init(&x, 1);
    EXPECT_EQ(ftl_mux_add(&x, &old, &stream, &one), FTL_OK);
    EXPECT(ftl_mux_pin(&x, &old, &one));
    ftl_mux_remove(&x, &old, &stream, &old, 1000);
    EXPECT_EQ(ftl_mux_add(&x, &old, &stream, &two), FTL_OK);
    EXPECT_EQ(ftl_mux_route(&x, &old, packet(true, 9, 0, 20), 2000, &owner), FTL_ROUTE_NONE);
    EXPECT_EQ(ftl_mux_route(&x, &new, packet(true, 0, 0, 20), 2000, &owner), FTL_ROUTE_MEDIA);
    EXPECT(owner == &two);
    us_t later = 1000 + FTL_MUX_STALE_US;
    EXPECT_EQ(ftl_mux_route(&x, &old, packet(true, 0, 0, 20), later, &owner), FTL_ROUTE_MEDIA);
    struct addr none = {0};
    ftl_mux_remove(&x, &old, &stream, &none, later);
    ftl_mux_fini(&x);
}

/* Two bytes say how long a datagram is, and how much time passes before it. */
FUZZ(ftl_media, in)
{
    struct addr from = peer_addr(5000), to;
    struct ftl_media *m = NULL;
    struct ftl_mux x;
    int mine;
    us_t now = 0;

    EXPECT_EQ(ftl_media_open(&m, &stream, &from, now), 0);
    ftl_mux_init(&x, 1);
    EXPECT_EQ(ftl_mux_add(&x, &from, &stream, &mine), FTL_OK);
    while (in.len > 2) {
        size_t n = size_min(in.len - 2, in.p[0] * (size_t)8);
        uint8_t buf[1500];
        struct media ev;
        struct wr w = wr_of(buf, sizeof buf);
        void *owner;
        now += in.p[1] * US_PER_MS;
        struct bytes d = bytes_of(in.p + 2, n);
        if (ftl_mux_route(&x, &from, d, now, &owner) == FTL_ROUTE_MEDIA)
            ftl_media_input(m, &from, d, now);
        ftl_media_tick(m, now);
        while (ftl_media_event(m, &ev))
            EXPECT(ev.data.len <= n || ev.kind == MEDIA_RTP);
        while (ftl_media_output(m, &to, &w))
            w = wr_of(buf, sizeof buf);
        EXPECT(ftl_media_deadline(m) > now);
        in = bytes_of(in.p + 2 + n, in.len - 2 - n);
    }
    ftl_mux_fini(&x);
    ftl_media_free(m);
}
