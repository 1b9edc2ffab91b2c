#include "wire/rtcp.h"

#include "base/err.h"
#include "base/test.h"

static struct bytes body_of(struct bytes one, struct rtcp_pkt *pkt)
{
    struct rtcp_iter it;

    rtcp_iter_init(&it, one);
    EXPECT(rtcp_next(&it, pkt));
    return pkt->body;
}

TEST(rtcp_walks_a_compound_and_stops_where_it_breaks)
{
    struct bytes in = test_hex("80c90001 00000007" /* RR */
                               "81cb0001 00000009" /* BYE */
                               "80cf0001 00000001" /* XR, stepped over by whoever reads */
                               "a0ca0002 00000000 00000004");
    struct rtcp_iter it;
    struct rtcp_pkt p;
    uint32_t gone = 0;

    rtcp_iter_init(&it, in);
    EXPECT(rtcp_next(&it, &p) && p.pt == RTCP_RR && p.count == 0);
    EXPECT(rtcp_next(&it, &p) && rtcp_parse_bye(&p, &gone, 1) == 1 && gone == 9);
    EXPECT(rtcp_next(&it, &p) && p.pt == RTCP_XR);
    EXPECT(rtcp_next(&it, &p) && p.pt == RTCP_SDES && p.body.len == 4); /* padding is gone */
    EXPECT(!rtcp_next(&it, &p) && !it.malformed);

    static const char *const bad[] = {"80c90002 00000007", "40c90001 00000007", "a0c90001 00000000",
                                      "a0c90001 00000008", "80c9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        rtcp_iter_init(&it, test_hex(bad[i]));
        EXPECT(!rtcp_next(&it, &p) && it.malformed);
        EXPECT(!rtcp_next(&it, &p));
    }
}

static bool same_report(const struct rtcp_report *a, const struct rtcp_report *b)
{
    return a->ssrc == b->ssrc && a->fraction_lost == b->fraction_lost && a->lost_n == b->lost_n &&
           a->highest_seq == b->highest_seq && a->jitter == b->jitter && a->lsr == b->lsr &&
           a->dlsr == b->dlsr;
}

TEST(rtcp_reports_are_a_pair)
{
    struct rng rng = rng_seed(5);
    uint8_t buf[1024];

    for (unsigned n = 0; n <= RTCP_REPORTS_MAX; n++) {
        struct rtcp_report in[RTCP_REPORTS_MAX], out[RTCP_REPORTS_MAX];
        struct rtcp_sr sr = {rng_u32(&rng), rng_u64(&rng), rng_u32(&rng), rng_u32(&rng), 4}, got;
        struct wr w = wr_of(buf, sizeof buf);
        struct rtcp_iter it;
        struct rtcp_pkt p;
        uint32_t sender = 0;
        unsigned m = 99;

        for (unsigned i = 0; i < n; i++)
            in[i] = (struct rtcp_report){rng_u32(&rng),
                                         (uint8_t)rng_u32(&rng),
                                         (int32_t)rng_below(&rng, 0x1000000) - 0x800000,
                                         rng_u32(&rng),
                                         rng_u32(&rng),
                                         rng_u32(&rng),
                                         rng_u32(&rng)};
        rtcp_write_sr(&w, &sr, in, n);
        rtcp_write_rr(&w, 42, in, n);
        EXPECT(wr_ok(&w) || n > 20);
        if (!wr_ok(&w))
            break;
        rtcp_iter_init(&it, wr_done(&w));
        EXPECT(rtcp_next(&it, &p));
        EXPECT_EQ(rtcp_parse_sr(&p, &got), 0);
        EXPECT(got.ssrc == sr.ssrc && got.ntp == sr.ntp && got.rtp_ts == sr.rtp_ts);
        EXPECT_EQ(rtcp_parse_reports(&p, &sender, out, &m), 0);
        EXPECT(sender == sr.ssrc && m == n);
        for (unsigned i = 0; i < n; i++)
            EXPECT(same_report(&in[i], &out[i]));
        EXPECT(rtcp_next(&it, &p));
        EXPECT_EQ(rtcp_parse_sr(&p, &got), E_UNSUPPORTED);
        EXPECT_EQ(rtcp_parse_reports(&p, &sender, out, &m), 0);
        EXPECT(sender == 42 && m == n);
    }
}

TEST(rtcp_report_counts_beyond_the_body_are_refused)
{
    struct rtcp_report out[RTCP_REPORTS_MAX];
    struct rtcp_pkt p;
    uint32_t sender;
    unsigned n = 3;

    (void)body_of(test_hex("9fc90001 00000007"), &p);
    EXPECT_EQ(rtcp_parse_reports(&p, &sender, out, &n), E_TRUNCATED);
    EXPECT_EQ(n, 3);
}

TEST(rtcp_lost_count_is_clamped_not_wrapped)
{
    struct rtcp_report r = {.lost_n = 0x7fffffff}, out[RTCP_REPORTS_MAX];
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);
    struct rtcp_pkt p;
    uint32_t sender;
    unsigned n;

    rtcp_write_rr(&w, 1, &r, 1);
    (void)body_of(wr_done(&w), &p);
    EXPECT_EQ(rtcp_parse_reports(&p, &sender, out, &n), 0);
    EXPECT_EQ(out[0].lost_n, 0x7fffff);
}

TEST(rtcp_source_description_carries_cname_and_mid)
{
    static const char *const names[] = {"", "a", "ab", "abc", "abcd", "PA_x|TR_y"};
    uint8_t buf[300];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (size_t j = 0; j < ARRAY_LEN(names); j++) {
            struct wr w = wr_of(buf, sizeof buf);
            struct rtcp_pkt p;
            rtcp_write_sdes(&w, 77, bytes_str(names[i]), bytes_str(names[j]));
            EXPECT(wr_ok(&w));
            (void)body_of(wr_done(&w), &p);
            EXPECT(bytes_eq_str(rtcp_sdes_find(&p, 77, RTCP_SDES_CNAME), names[i]));
            EXPECT(bytes_eq_str(rtcp_sdes_find(&p, 77, RTCP_SDES_MID), names[j]));
            EXPECT(rtcp_sdes_find(&p, 78, RTCP_SDES_CNAME).p == NULL);
        }
    }
    struct rtcp_pkt p; /* two chunks; the second is asked for */
    (void)body_of(test_hex("82ca0005 00000001 0101 61 00 00000002 0102 6263 00 000000"), &p);
    EXPECT(bytes_eq_str(rtcp_sdes_find(&p, 2, RTCP_SDES_CNAME), "bc"));
}

TEST(rtcp_nack_is_a_pair_across_the_wrap)
{
    struct rng rng = rng_seed(9);
    uint8_t buf[2048];

    for (int round = 0; round < 500; round++) {
        uint16_t seq[RTCP_NACK_WRITE_MAX], at = (uint16_t)(65400 + rng_below(&rng, 200)), got;
        unsigned n = 1 + (unsigned)rng_below(&rng, RTCP_NACK_WRITE_MAX), i = 0;
        struct wr w = wr_of(buf, sizeof buf);
        struct rtcp_nack_iter it;
        struct rtcp_pkt p;
        struct rtcp_fb fb;

        for (unsigned k = 0; k < n; k++)
            seq[k] = at = (uint16_t)(at + 1 + rng_below(&rng, rng_below(&rng, 2) ? 2 : 40));
        rtcp_write_nack(&w, 1, 2, seq, n);
        (void)body_of(wr_done(&w), &p);
        EXPECT(rtcp_is_nack(&p));
        EXPECT_EQ(rtcp_parse_fb(&p, &fb), 0);
        EXPECT(fb.sender == 1 && fb.media == 2);
        rtcp_nack_init(&it, &fb);
        while (rtcp_nack_next(&it, &got)) {
            EXPECT(i < n);
            EXPECT_EQ(got, seq[i++]);
        }
        EXPECT_EQ(i, n);
    }
}

TEST(rtcp_picture_requests_are_a_pair)
{
    struct rtcp_fir in[2] = {{0xabcdef01, 7}, {3, 255}}, out[RTCP_FIR_MAX];
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);
    struct rtcp_iter it;
    struct rtcp_pkt p;
    struct rtcp_fb fb;

    rtcp_write_pli(&w, 5, 6);
    rtcp_write_fir(&w, 5, in, 2);
    rtcp_iter_init(&it, wr_done(&w));
    EXPECT(rtcp_next(&it, &p) && rtcp_is_pli(&p) && !rtcp_is_fir(&p));
    EXPECT_EQ(rtcp_parse_fb(&p, &fb), 0);
    EXPECT(fb.sender == 5 && fb.media == 6 && fb.fci.len == 0);
    EXPECT(rtcp_next(&it, &p) && rtcp_is_fir(&p));
    EXPECT_EQ(rtcp_parse_fir(&p, out), 2);
    EXPECT(out[0].ssrc == in[0].ssrc && out[0].seq == 7 && out[1].seq == 255);
}

TEST(rtcp_remb_keeps_18_significant_bits)
{
    static const uint64_t rates[] = {0, 1, 262143, 262144, 1500000, 2500000000, 1ull << 60};

    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct rtcp_remb in = {.sender = 1, .rate_bps = rates[i], .ssrc = {8, 9}, .ssrc_n = 2};
        struct rtcp_remb out;
        uint8_t buf[64];
        struct wr w = wr_of(buf, sizeof buf);
        struct rtcp_pkt p;

        rtcp_write_remb(&w, &in);
        (void)body_of(wr_done(&w), &p);
        EXPECT_EQ(rtcp_parse_remb(&p, &out), 0);
        EXPECT(out.rate_bps <= in.rate_bps && in.rate_bps - out.rate_bps <= in.rate_bps >> 17);
        EXPECT(out.ssrc_n == 2 && out.ssrc[1] == 9 && out.sender == 1);
    }
    struct rtcp_remb out;
    struct rtcp_pkt p; /* exponent 63: as much as can be said */
    (void)body_of(test_hex("8fce0004 00000001 00000000 52454d42 00ffffff"), &p);
    EXPECT_EQ(rtcp_parse_remb(&p, &out), 0);
    EXPECT(out.rate_bps == UINT64_MAX >> 1);
}

TEST(rtcp_ntp_time_goes_there_and_back)
{
    struct rng rng = rng_seed(1);

    EXPECT(rtcp_ntp_of_unix(0) == 2208988800ull << 32);
    for (int i = 0; i < 2000; i++) {
        int64_t us = (int64_t)rng_below(&rng, 2000000000ull * 1000000);
        EXPECT_EQ(rtcp_unix_of_ntp(rtcp_ntp_of_unix(us)), us);
    }
}

TEST(rtcp_round_trip_is_now_minus_report_minus_delay)
{
    /* RFC 3550 figure 2: A 0xb710:8000 (the ntp middle), LSR 0xb705:2000, DLSR 5.25 s -> 6.125 s */
    struct rtcp_report r = {.lsr = 0xb7052000, .dlsr = 0x00054000};

    EXPECT_EQ(rtcp_round_trip(0xb7108000ull << 16, &r), 6125000);
    EXPECT_EQ(rtcp_round_trip(0xb7052000ull << 16, &r), -1);
    r.lsr = 0;
    EXPECT_EQ(rtcp_round_trip(0xb7108000ull << 16, &r), -1);
}

FUZZ(rtcp, in)
{
    struct rtcp_report reports[RTCP_REPORTS_MAX];
    struct rtcp_fir fir[RTCP_FIR_MAX];
    struct rtcp_nack_iter nacks;
    struct rtcp_remb remb;
    struct rtcp_iter it;
    struct rtcp_pkt p;
    struct rtcp_sr sr;
    struct rtcp_fb fb;
    uint32_t ssrc, bye[4];
    unsigned n = 0;
    uint16_t seq;

    rtcp_iter_init(&it, in);
    for (size_t packets = 0; rtcp_next(&it, &p); packets++) {
        EXPECT(packets <= in.len / 4);
        EXPECT(p.body.p >= in.p && p.body.p + p.body.len <= in.p + in.len);
        if (rtcp_parse_sr(&p, &sr) == 0)
            EXPECT_EQ(p.pt, RTCP_SR);
        if (rtcp_parse_reports(&p, &ssrc, reports, &n) == 0)
            EXPECT(n <= RTCP_REPORTS_MAX);
        (void)rtcp_sdes_find(&p, 1, RTCP_SDES_CNAME);
        EXPECT(rtcp_parse_fir(&p, fir) <= RTCP_FIR_MAX);
        EXPECT(rtcp_parse_bye(&p, bye, 4) <= 4);
        if (rtcp_parse_remb(&p, &remb) == 0)
            EXPECT(remb.ssrc_n <= RTCP_REMB_SSRCS_MAX);
        if (rtcp_parse_fb(&p, &fb) == 0) {
            rtcp_nack_init(&nacks, &fb);
            for (n = 0; rtcp_nack_next(&nacks, &seq); n++)
                EXPECT(n < fb.fci.len / 4 * 17);
        }
    }
}
