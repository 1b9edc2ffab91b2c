#include "sfu/rx.h"

#include "base/err.h"
#include "base/test.h"
#include "wire/dd.h"
#include "wire/codec.h"

static const struct cmd_codec opus = {
    .pt = 111, .codec = CODEC_OPUS, .rtx_pt = 112, .nack = true, .clock_hz = 48000};

static int feed(struct rx *rx, struct pkt *p, uint16_t seq, us_t at)
{
    memset(p, 0, sizeof *p);
    p->at = at;
    p->rtp =
        (struct rtp_view){.seq = seq, .pt = 111, .ssrc = 5, .payload_off = 12, .payload_len = 9};
    return rx_accept(rx, p, &opus);
}

TEST(sequence_numbers_are_extended_over_the_roll_over)
{
    struct rx rx;
    struct pkt p;
    uint64_t before = 0;

    rx_init(&rx, NULL, 0, 48000);
    rx.ssrc = 5;
    for (uint32_t i = 0; i < 200000; i++) {
        EXPECT_EQ(feed(&rx, &p, (uint16_t)(65000 + i), 1000), 0);
        EXPECT(i == 0 || p.seq == before + 1);
        EXPECT_EQ((uint16_t)p.seq, p.rtp.seq);
        before = p.seq;
    }
}

TEST(each_packet_is_accepted_once_whatever_the_order)
{
    enum { N = 5000 };
    static uint8_t got[N];
    struct rng rng = rng_seed(4);
    struct rx rx;
    struct pkt p;

    rx_init(&rx, NULL, 0, 48000);
    EXPECT_EQ(feed(&rx, &p, 0, 1), 0);
    uint64_t base = p.seq;
    for (uint32_t front = 1; front < N - 40; front += (uint32_t)rng_below(&rng, 2)) {
        uint32_t k = front + (uint32_t)rng_below(&rng, 40);
        int err = feed(&rx, &p, (uint16_t)k, 1);
        EXPECT_EQ(err, got[k] ? E_REPLAY : 0);
        if (err == 0)
            EXPECT_EQ(p.seq, base + k);
        got[k] = 1;
    }
}

TEST(a_retransmission_becomes_the_packet_it_repeats)
{
    struct rx rx;
    struct pkt p;
    uint16_t ask[NACK_MISSING_MAX];

    rx_init(&rx, NULL, 0, 48000);
    rx.ssrc = 5;
    rx.rtx_ssrc = 6;
    EXPECT_EQ(feed(&rx, &p, 100, 1), 0);
    uint64_t first = p.seq;
    EXPECT_EQ(feed(&rx, &p, 102, 1), 0);
    EXPECT_EQ(nack_due(&rx.nack, 1 + NACK_FIRST_US, 0, ask, 100), 1);
    EXPECT_EQ(ask[0], 101);

    memset(&p, 0, sizeof p);
    p.rtp = (struct rtp_view){.seq = 9, .pt = 112, .ssrc = 6, .payload_off = 12, .payload_len = 5};
    memcpy(p.data + 12,
           "\x00\x65"
           "abc",
           5); /* 101 */
    EXPECT_EQ(rx_accept(&rx, &p, &opus), 0);
    EXPECT_EQ(p.seq, first + 1);
    EXPECT(p.rtp.pt == 111 && p.rtp.ssrc == 5 && p.rtp.seq == 101);
    EXPECT_BYTES(pkt_payload(&p), bytes_str("abc"));
    EXPECT_EQ(nack_deadline(&rx.nack), US_NEVER);

    memset(&p, 0, sizeof p);
    p.rtp = (struct rtp_view){.pt = 112, .ssrc = 6, .payload_off = 12, .payload_len = 1};
    EXPECT_EQ(rx_accept(&rx, &p, &opus), E_NOENT); /* too short to repeat anything */
    EXPECT_EQ(rx_accept(&rx, &p, NULL), E_NOENT);
}

TEST(a_sender_that_starts_anew_is_followed_after_two_packets)
{
    struct rx rx;
    struct pkt p;

    rx_init(&rx, NULL, 0, 48000);
    EXPECT_EQ(feed(&rx, &p, 30000, 1), 0);
    uint64_t before = p.seq;
    EXPECT_EQ(feed(&rx, &p, 10, 1), E_REPLAY);
    EXPECT_EQ(feed(&rx, &p, 11, 1), 0);
    EXPECT(p.seq > before + RX_WINDOW);
    EXPECT_EQ(feed(&rx, &p, 12, 1), 0);
    rx_restart(&rx, 77);
    before = p.seq;
    EXPECT_EQ(feed(&rx, &p, 13, 1), 0);
    EXPECT(p.seq > before + RX_WINDOW);
}

/* One AV1 packet with this descriptor; what was made of it stands in *p. */
static void feed_dd(struct rx *rx, struct pkt *p, uint16_t seq, struct bytes dd)
{
    static const struct cmd_codec av1 = {.pt = 35, .codec = CODEC_AV1, .clock_hz = 90000};
    static const struct rtp_ext_ids ids = {.id = {[RTP_EXT_DEPENDENCY_DESCRIPTOR] = 1}};
    struct rtp_header h = {.seq = seq, .pt = 35, .ssrc = 5};
    struct rtp_ext_val ext = {.id = 1, .len = (uint8_t)dd.len, .data = dd.p};
    static const uint8_t middle[] = {0x80 | 0x40, 1, 2, 3}; /* of an OBU: says nothing itself */

    memset(p, 0, sizeof *p);
    size_t n = rtp_write_header(p->data, sizeof p->data, &h, &ext, 1);
    memcpy(p->data + n, middle, sizeof middle);
    p->len = (uint16_t)(n + sizeof middle);
    EXPECT_EQ(rtp_parse(&p->rtp, bytes_of(p->data, p->len), &ids), 0);
    EXPECT_EQ(rx_accept(rx, p, &av1), 0);
}

TEST(an_av1_packet_is_of_the_layer_that_its_descriptor_names)
{
    /* Two temporal layers (the structure of dd_test's L1T2): key frame; upper layer; base layer. */
    struct bytes key = test_hex("85010080a11eb85141010c05fc02cc");
    static struct pkt p;
    struct dd_structure st = {0};
    struct dd_frame f;
    struct rx rx;

    EXPECT_EQ(dd_parse(&f, &st, key), 0);
    uint8_t upper = 0;
    while (upper < st.template_n && st.tmpl[upper].tid == 0)
        upper++;
    EXPECT(upper < st.template_n);
    uint8_t delta[3] = {(uint8_t)(0x40 | ((upper + st.id_offset) & 63)), 1, 1};
    rx_init(&rx, NULL, 0, 90000);
    rx.ssrc = 5;
    feed_dd(&rx, &p, 10, bytes_of(delta, 3)); /* before any key frame: unknown */
    EXPECT_EQ(p.tid, 0);
    feed_dd(&rx, &p, 11, key);
    EXPECT_EQ(p.tid, 0);
    EXPECT(p.flags & PKT_FRAME_START);
    feed_dd(&rx, &p, 12, bytes_of(delta, 3));
    EXPECT_EQ(p.tid, 1);
    EXPECT_EQ(p.flags & (PKT_FRAME_START | PKT_FRAME_END), PKT_FRAME_END);
    rx_fini(&rx);
}
