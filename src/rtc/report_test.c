#include "rtc/report.h"

#include "base/test.h"

TEST(loss_is_counted_per_interval_and_in_all)
{
    struct report_rx r;
    struct rtcp_report b;

    report_rx_init(&r, 90000);
    EXPECT(!report_rx_block(&r, 1, 0, &b));
    for (unsigned i = 0; i < 100; i++) {
        if (i % 4 != 3)
            (void)report_rx_seen(&r, (uint16_t)(65500 + i), i * 3000, i * (us_t)33333);
    }
    EXPECT(report_rx_block(&r, 9, 0, &b));
    EXPECT_EQ(b.ssrc, 9);
    EXPECT_EQ(b.highest_seq, 65500 + 98);
    EXPECT_EQ(b.lost_n, 24);
    EXPECT_EQ(b.fraction_lost, 24 * 256 / 99);
    EXPECT_EQ(b.lsr, 0);
    EXPECT_EQ(report_rx_lost(&r), 24);
    for (unsigned i = 99; i < 110; i++)
        (void)report_rx_seen(&r, (uint16_t)(65500 + i), i * 3000, i * (us_t)33333);
    EXPECT(report_rx_block(&r, 9, 0, &b));
    EXPECT_EQ(b.fraction_lost, 0);
    EXPECT_EQ(b.lost_n, 24);
}

TEST(steady_arrival_has_no_jitter_and_alternating_delay_converges)
{
    struct report_rx r;

    report_rx_init(&r, 90000);
    for (unsigned i = 0; i < 500; i++)
        (void)report_rx_seen(&r, (uint16_t)i, i * 1800, i * (us_t)20000);
    EXPECT_EQ(report_rx_jitter_us(&r), 0);
    for (unsigned i = 500; i < 1000; i++)
        (void)report_rx_seen(&r, (uint16_t)i, i * 1800, i * (us_t)20000 + (i % 2) * 10000);
    EXPECT(report_rx_jitter_us(&r) > 9500 && report_rx_jitter_us(&r) < 10500);
}

TEST(extended_numbers_survive_reordering_around_the_wrap)
{
    struct report_rx r;

    report_rx_init(&r, 48000);
    EXPECT_EQ(report_rx_seen(&r, 65534, 0, 0), 65534);
    EXPECT_EQ(report_rx_seen(&r, 1, 0, 0), 65537);
    EXPECT_EQ(report_rx_seen(&r, 65535, 0, 0), 65535);
    EXPECT_EQ(report_rx_seen(&r, 0, 0, 0), 65536);
    EXPECT_EQ(report_rx_lost(&r), 0);
}

TEST(a_lone_wild_number_is_ignored_and_two_in_a_row_restart)
{
    struct report_rx r;
    struct rtcp_report b;

    report_rx_init(&r, 48000);
    (void)report_rx_seen(&r, 100, 0, 0);
    (void)report_rx_seen(&r, 20000, 0, 0);
    (void)report_rx_seen(&r, 101, 0, 0);
    EXPECT(report_rx_block(&r, 1, 0, &b));
    EXPECT_EQ(b.highest_seq, 101);
    (void)report_rx_seen(&r, 20000, 0, 0);
    (void)report_rx_seen(&r, 20001, 0, 0);
    EXPECT(report_rx_block(&r, 1, 0, &b));
    EXPECT_EQ(b.highest_seq, 20001);
    EXPECT_EQ(b.lost_n, 0);
}

TEST(sender_report_maps_both_clocks_to_one_instant_and_rtt_comes_back)
{
    struct report_tx t;
    struct report_rx r;
    struct rtcp_sr sr;
    struct rtcp_report b;
    struct tick tick = {.now = 70 * US_PER_SEC, .wall_off_us = 1700000000 * US_PER_SEC};
    int64_t wall;

    report_tx_init(&t, 48000);
    EXPECT(!report_tx_sr(&t, 5, tick, &sr));
    report_tx_sent(&t, 1000, 160, tick.now);
    tick.now += 500 * US_PER_MS;
    EXPECT(report_tx_sr(&t, 5, tick, &sr));
    EXPECT_EQ(sr.rtp_ts, 1000 + 24000);
    EXPECT_EQ(sr.packets_n, 1);
    EXPECT_EQ(sr.octets_n, 160);

    report_rx_init(&r, 48000);
    EXPECT(!report_rx_wall(&r, 0, &wall));
    (void)report_rx_seen(&r, 1, 1000, 3 * US_PER_SEC);
    report_rx_sr(&r, &sr, 3 * US_PER_SEC);
    EXPECT(report_rx_wall(&r, 1000, &wall));
    EXPECT((wall - (tick.now + tick.wall_off_us - 500000)) / 2 == 0); /* NTP fractions round */
    EXPECT(report_rx_block(&r, 5, 4 * US_PER_SEC, &b));
    tick.now += 1080 * US_PER_MS; /* 1 s there, 80 ms on the way */
    us_t rtt = report_round_trip(&b, tick);
    EXPECT(rtt > 79900 && rtt < 80100);
}
