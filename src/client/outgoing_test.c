#include "client/outgoing.h"

#include "base/test.h"

static struct outgoing started(uint8_t rtx_pt)
{
    struct section s = {.video = true, .mid = "1", .ssrc = 11, .rtx_ssrc = 12};
    struct section_codec codec = {.pt = 96, .rtx_pt = rtx_pt, .clock_hz = 90000};
    struct rng rng = rng_seed(3);
    struct outgoing o;

    EXPECT_EQ(outgoing_init(&o, &s, &codec, &rng), 0);
    return o;
}

TEST(numbers_follow_each_other_and_roll_over)
{
    struct outgoing o = started(97);
    struct outgoing_packet p;
    struct rtp_view v;

    o.next_seq = 65535;
    EXPECT_EQ(outgoing_make(&o, bytes_str("a"), 5, false, 0, &p), 0);
    EXPECT_EQ(p.roc, 0);
    EXPECT_EQ(outgoing_make(&o, bytes_str("b"), 5, true, 0, &p), 0);
    EXPECT_EQ(p.roc, 1);
    EXPECT_EQ(rtp_parse(&v, bytes_of(p.hdr, p.hdr_len), NULL), 0);
    EXPECT(v.seq == 0 && v.ssrc == 11 && v.pt == 96 && rtp_marker(&v));
    outgoing_fini(&o);
}

TEST(a_retransmission_has_its_own_stream_and_names_the_original)
{
    struct outgoing o = started(97);
    struct outgoing_packet p;
    struct rtp_view v;

    EXPECT_EQ(outgoing_make(&o, bytes_str("abc"), 5, true, 1000, &p), 0);
    uint16_t seq = (uint16_t)(o.next_seq - 1);
    EXPECT(outgoing_resend(&o, seq, 2000, &p));
    EXPECT(p.rtx && load_u16(p.prefix) == seq);
    EXPECT_BYTES(p.payload, bytes_str("abc"));
    EXPECT_EQ(rtp_parse(&v, bytes_of(p.hdr, p.hdr_len), NULL), 0);
    EXPECT(v.ssrc == 12 && v.pt == 97 && v.ts == 5 && rtp_marker(&v));
    EXPECT(!outgoing_resend(&o, seq, 3000, &p)); /* asked again too soon */
    EXPECT(!outgoing_resend(&o, (uint16_t)(seq + 1), US_PER_SEC, &p));
    outgoing_fini(&o);
}

TEST(without_rtx_the_packet_itself_goes_again_under_its_old_roll_over)
{
    struct outgoing o = started(0);
    struct outgoing_packet p;

    o.next_seq = 65535;
    EXPECT_EQ(outgoing_make(&o, bytes_str("x"), 5, true, 1, &p), 0);
    struct outgoing_packet first = p;
    EXPECT_EQ(outgoing_make(&o, bytes_str("y"), 6, true, 1, &p), 0);
    EXPECT(outgoing_resend(&o, 65535, US_PER_SEC, &p));
    EXPECT(!p.rtx);
    EXPECT_BYTES(bytes_of(p.hdr, p.hdr_len), bytes_of(first.hdr, first.hdr_len));
    EXPECT_BYTES(p.payload, bytes_str("x"));
    EXPECT_EQ(p.roc, 0);
    outgoing_fini(&o);
}

TEST(a_sender_report_maps_the_present_to_the_stream)
{
    struct outgoing o = started(97);
    struct outgoing_packet p;
    struct rtcp_sr sr;

    EXPECT(!outgoing_report(&o, (struct tick){.now = 5}, &sr));
    EXPECT_EQ(outgoing_make(&o, bytes_str("x"), 9000, true, US_PER_SEC, &p), 0);
    EXPECT(outgoing_report(&o, (struct tick){.now = US_PER_SEC * 3 / 2}, &sr));
    EXPECT_EQ(sr.rtp_ts, 9000 + 45000);
    EXPECT_EQ(sr.packets_n, 1);
    EXPECT(!outgoing_report(&o, (struct tick){.now = US_PER_SEC * 2}, &sr));
    outgoing_fini(&o);
}

TEST(what_was_lost_before_us_leaves_a_hole_in_the_numbers)
{
    struct outgoing o = started(97);
    struct outgoing_packet p;
    uint64_t before = o.next_seq;

    outgoing_skip(&o, 3);
    EXPECT_EQ(outgoing_make(&o, bytes_str("x"), 9000, true, 0, &p), 0);
    EXPECT_EQ(load_u16(p.hdr + 2), (uint16_t)(before + 3));
    outgoing_fini(&o);
}

TEST(a_clock_that_was_told_goes_before_the_time_of_sending)
{
    struct outgoing o = started(97);
    struct outgoing_packet p;
    struct rtcp_sr sr;

    outgoing_clock(&o, 9000, US_PER_SEC / 2);
    EXPECT_EQ(outgoing_make(&o, bytes_str("x"), 9000, true, US_PER_SEC, &p), 0);
    EXPECT(outgoing_report(&o, (struct tick){.now = US_PER_SEC}, &sr));
    EXPECT_EQ(sr.rtp_ts, 9000 + 45000);
    outgoing_fini(&o);
}
