#include "ingest/plain.h"

#include "base/test.h"
#include "wire/rtcp.h"
#include "wire/rtp.h"

static struct addr host(uint8_t last, uint16_t port)
{
    uint8_t ip[4] = {192, 0, 2, last};
    struct addr a;

    addr_set_ip4(&a, ip, port);
    return a;
}

static struct bytes packet(uint8_t pt, uint32_t ssrc, uint16_t seq, uint32_t ts, size_t payload)
{
    static uint8_t buf[2048];
    struct rtp_header h = {.ts = ts, .ssrc = ssrc, .seq = seq, .pt = pt, .marker = pt == 96};
    size_t n = rtp_write_header(buf, sizeof buf, &h, NULL, 0);

    memset(buf + n, 0x41, payload);
    return bytes_of(buf, n + payload);
}

/* How many packets of that kind come out; the last one's time. */
static unsigned drain(struct plain *p, bool video, us_t *pts)
{
    struct media ev;
    unsigned n = 0;

    while (plain_event(p, &ev)) {
        if (ev.kind == MEDIA_RTP && ev.video == video) {
            n++;
            if (pts != NULL)
                *pts = ev.pts_us;
        }
    }
    return n;
}

TEST(sound_and_picture_from_two_sockets_are_one_stream)
{
    struct addr v = host(1, 5000), a = host(1, 5002), from;
    us_t at_v = -1, at_a = -1, now = 1000000;
    struct plain *p = NULL;

    EXPECT_EQ(plain_open(&p), 0);
    EXPECT(!plain_from(p, &from));
    EXPECT_EQ(plain_input(p, &v, packet(96, 11, 700, 0xfffffff0, 100), now), PLAIN_TAKEN);
    EXPECT_EQ(plain_input(p, &a, packet(97, 22, 900, 123456789, 50), now + 20000), PLAIN_TAKEN);
    EXPECT(plain_from(p, &from) && addr_eq(&from, &v));
    EXPECT_EQ(drain(p, true, &at_v), 1);
    EXPECT_EQ(plain_input(p, &v, packet(96, 11, 701, 3000 - 16, 100), now + 33000), PLAIN_TAKEN);
    EXPECT_EQ(drain(p, true, &at_v), 1);
    EXPECT(at_v > 33000 && at_v < 34000); /* over the wrap of its time stamps */
    EXPECT_EQ(plain_input(p, &a, packet(97, 22, 901, 123456789 + 960, 50), now + 40000),
              PLAIN_TAKEN);
    (void)drain(p, false, &at_a); /* the first was drained with the picture */
    EXPECT(at_a >= 39000 && at_a <= 41000);
    plain_free(p);
}

TEST(a_stranger_is_dropped_until_the_first_is_silent)
{
    struct addr first = host(1, 5000), other = host(2, 6000), port = host(1, 5001);
    struct plain_stats st;
    struct plain *p = NULL;
    us_t now = 0;

    EXPECT_EQ(plain_open(&p), 0);
    for (uint16_t i = 0; i < 10; i++, now += 33000) {
        EXPECT_EQ(plain_input(p, &first, packet(96, 1, i, i * 3000u, 90), now), PLAIN_TAKEN);
        EXPECT_EQ(plain_input(p, &other, packet(96, 1, i, i * 3000u, 90), now), PLAIN_DROPPED);
        EXPECT_EQ(plain_input(p, &other, packet(97, 2, i, i * 960u, 90), now), PLAIN_DROPPED);
        EXPECT_EQ(plain_input(p, &port, packet(96, 1, i, i * 3000u, 90), now), PLAIN_DROPPED);
        EXPECT_EQ(plain_input(p, &first, packet(96, 7, i, i * 3000u, 90), now), PLAIN_DROPPED);
    }
    EXPECT_EQ(drain(p, true, NULL), 10);
    plain_get_stats(p, &st);
    EXPECT_EQ(st.strangers, 40);
    EXPECT_EQ(st.packets, 10);
    EXPECT_EQ(st.senders, 1);
    now += PLAIN_RELEASE_US;
    EXPECT_EQ(plain_input(p, &other, packet(96, 1, 0, 5, 90), now), PLAIN_TAKEN);
    EXPECT_EQ(plain_input(p, &first, packet(96, 1, 11, 33000, 90), now), PLAIN_DROPPED);
    EXPECT_EQ(drain(p, true, NULL), 1);
    plain_free(p);
}

TEST(silence_ends_it_and_the_next_one_begins_anew)
{
    struct addr a = host(1, 5000), from;
    struct plain *p = NULL;
    struct media ev;

    EXPECT_EQ(plain_open(&p), 0);
    EXPECT_EQ(plain_deadline(p), US_NEVER);
    EXPECT_EQ(plain_input(p, &a, packet(96, 1, 0, 0, 90), 1000), PLAIN_TAKEN);
    EXPECT_EQ(drain(p, true, NULL), 1);
    EXPECT(plain_deadline(p) <= 1000 + PLAIN_SILENCE_US);
    plain_tick(p, 1000 + PLAIN_SILENCE_US);
    EXPECT(plain_event(p, &ev) && ev.kind == MEDIA_END);
    EXPECT(!plain_event(p, &ev));
    EXPECT(!plain_from(p, &from));
    EXPECT_EQ(plain_deadline(p), US_NEVER);
    EXPECT_EQ(plain_input(p, &a, packet(96, 1, 0, 0, 90), 30000000), PLAIN_TAKEN);
    EXPECT_EQ(drain(p, true, NULL), 1);
    plain_free(p);
}

/* What an FTL client sends to whatever port it was told. */
TEST(the_client_of_a_foreign_ingest_is_understood)
{
    static const uint8_t ping[24] = {0x81, 0xfa, 0, 0x18};
    struct addr a = host(1, 5000), b = host(2, 5000), to;
    uint8_t question[600], big[200] = {0x81, 0xfa};
    struct wr w = wr_of(question, sizeof question);
    struct plain_stats st;
    struct plain *p = NULL;
    us_t now = 0;

    EXPECT_EQ(plain_open(&p), 0);
    EXPECT_EQ(plain_input(p, &a, bytes_of(ping, 24), now), PLAIN_ECHO);
    EXPECT_EQ(plain_input(p, &a, bytes_of(ping, 12), now), PLAIN_ECHO);
    EXPECT_EQ(plain_input(p, &a, bytes_of(big, sizeof big), now), PLAIN_DROPPED);
    for (uint16_t i = 0; i < 1337; i++, now += 750)
        EXPECT_EQ(plain_input(p, &a, packet(97, 77, i, 0, 1392), now), PLAIN_DROPPED);
    EXPECT_EQ(plain_input(p, &a, packet(96, 78, 0, 0, 90), now), PLAIN_TAKEN);
    EXPECT_EQ(plain_input(p, &a, packet(97, 77, 0, 0, 90), now), PLAIN_TAKEN);
    EXPECT_EQ(plain_input(p, &b, bytes_of(ping, 24), now), PLAIN_DROPPED);
    EXPECT_EQ(plain_input(p, &a, packet(96, 78, 5, 3000, 90), now), PLAIN_TAKEN);
    EXPECT_EQ(drain(p, true, NULL), 1);
    now += 100000;
    plain_tick(p, now);
    EXPECT(plain_output(p, &to, &w) && addr_eq(&to, &a));
    EXPECT_EQ(question[1], RTCP_RTPFB);
    plain_get_stats(p, &st);
    EXPECT_EQ(st.flood, 1337);
    plain_free(p);
}

FUZZ(plain, in)
{
    struct plain *p = NULL;
    struct media ev;
    struct addr to;
    us_t now = 0;

    EXPECT_EQ(plain_open(&p), 0);
    while (in.len > 2) {
        struct addr from = host(in.p[1] & 1, (uint16_t)(5000 + (in.p[1] >> 6)));
        size_t n = size_min(in.len - 2, in.p[0] * (size_t)8);
        uint8_t buf[600];
        struct wr w = wr_of(buf, sizeof buf);
        (void)plain_input(p, &from, bytes_of(in.p + 2, n), now);
        now += (us_t)(in.p[1] & 0x3e) * 10000;
        in = bytes_of(in.p + 2 + n, in.len - 2 - n);
        plain_tick(p, now);
        while (plain_output(p, &to, &w))
            w = wr_of(buf, sizeof buf);
        while (plain_event(p, &ev))
            EXPECT(ev.data.len <= 65535);
    }
    plain_free(p);
}
