#include "sfu/relay.h"

#include "base/test.h"

TEST(packets_reports_and_wishes_arrive_in_order)
{
    handle to1 = handle_make(1, 7, 1), to2 = handle_make(2, 8, 1);
    struct relay_report r = {.sr = {.ntp = 99, .rtp_ts = 5, .at = 1}, .clock_off_us = -4}, r2;
    struct pkt_slab slab;
    struct relay_queue q;
    struct relay_rec rec;
    struct bytes b;
    uint8_t shard;

    pkt_slab_init(&slab, 10);
    relay_queue_init(&q);
    struct pkt *p = pkt_take(&slab), *copy = pkt_take(&slab);
    p->rtp.payload_off = 12;
    p->rtp.payload_len = 3;
    p->rtp.seq = 77;
    p->seq = 65536 + 77;
    p->layer = 2;
    memcpy(p->data, "0123456789abxyz", 15);
    EXPECT(!relay_push_packet(&q, to1, p)); /* no memory taken yet */
    EXPECT_EQ(relay_queue_open(&q), 0);
    EXPECT(relay_push_packet(&q, to1, p));
    EXPECT(relay_push_report(&q, to2, 1, &r));
    EXPECT(relay_push_wish(&q, to1, 2));

    EXPECT(relay_pop(&q, &shard, &b));
    EXPECT_EQ(shard, 1);
    EXPECT(relay_read(b, &rec));
    EXPECT(rec.kind == RELAY_PACKET && rec.track == to1 && rec.layer == 2);
    relay_unpack(b, &rec, copy);
    EXPECT_EQ(copy->seq, p->seq);
    EXPECT_BYTES(pkt_payload(copy), bytes_str("xyz"));
    EXPECT(!relay_read(bytes_of(b.p, b.len - 1), &rec));

    EXPECT(relay_pop(&q, &shard, &b));
    EXPECT(shard == 2 && relay_read(b, &rec));
    r2 = rec.report;
    EXPECT(r2.sr.ntp == 99 && r2.clock_off_us == -4 && rec.layer == 1);
    EXPECT(relay_pop(&q, &shard, &b));
    EXPECT(relay_read(b, &rec) && rec.kind == RELAY_WISH);
    EXPECT(!relay_pop(&q, &shard, &b));
    pkt_drop(&slab, p);
    pkt_drop(&slab, copy);
    relay_queue_fini(&q);
    pkt_slab_fini(&slab);
}

TEST(full_relay_queue_sheds)
{
    struct pkt_slab slab;
    struct relay_queue q;
    struct bytes b;
    uint8_t shard;
    unsigned n = 0, out = 0;

    pkt_slab_init(&slab, 10);
    relay_queue_init(&q);
    EXPECT_EQ(relay_queue_open(&q), 0);
    struct pkt *p = pkt_take(&slab);
    p->rtp.payload_off = 12;
    p->rtp.payload_len = 1200;
    while (relay_push_packet(&q, handle_make(1, 1, 1), p))
        n++;
    EXPECT(n > 700);
    while (relay_pop(&q, &shard, &b))
        out++;
    EXPECT_EQ(out, n);
    EXPECT(relay_push_packet(&q, handle_make(1, 1, 1), p)); /* room again */
    pkt_drop(&slab, p);
    relay_queue_fini(&q);
    pkt_slab_fini(&slab);
}
