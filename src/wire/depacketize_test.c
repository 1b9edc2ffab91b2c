#include "wire/depacketize.h"

#include "base/cursor.h"
#include "base/err.h"
#include "base/test.h"

static int push(struct depacketize *d, uint16_t seq, uint32_t ts, bool marker, const char *hex)
{
    struct depacketize_in in = {seq, ts, marker, test_hex(hex)};

    return depacketize_push(d, &in);
}

TEST(depacketize_drops_a_frame_that_lacks_a_packet_and_goes_on_with_the_next)
{
    struct depacketized out;
    struct depacketize d;

    EXPECT_EQ(depacketize_init(&d, CODEC_VP8, 1000), 0);
    EXPECT_EQ(push(&d, 9, 0, true, "00 aa"), 0); /* end of a frame whose start we missed */
    EXPECT(!depacketize_frame(&d, &out));
    EXPECT_EQ(push(&d, 10, 1, false, "10 00 01"), 0);
    EXPECT_EQ(push(&d, 12, 1, true, "00 03"), 0); /* 11 is lost */
    EXPECT(!depacketize_frame(&d, &out));
    EXPECT_EQ(d.dropped_n, 1);
    EXPECT_EQ(push(&d, 13, 2, false, "10 01 04"), 0);
    EXPECT_EQ(push(&d, 12, 1, true, "00 03"), E_REPLAY);
    EXPECT_EQ(push(&d, 14, 2, false, ""), 0); /* padding */
    EXPECT_EQ(push(&d, 15, 2, true, "00 05"), 0);
    EXPECT(depacketize_frame(&d, &out));
    EXPECT_BYTES(out.data, test_hex("010405"));
    EXPECT(out.ts == 2 && !out.key);
    EXPECT(!depacketize_frame(&d, &out));
    EXPECT_EQ(push(&d, 16, 3, false, "10 00 04"), 0); /* its marker never comes */
    EXPECT_EQ(push(&d, 17, 4, true, "10 00 07"), 0);
    EXPECT(depacketize_frame(&d, &out) && out.ts == 4 && out.key);
    EXPECT_EQ(d.dropped_n, 2);
    depacketize_fini(&d);
}

TEST(depacketize_h264_fragments_out_of_place_are_refused)
{
    struct depacketized out;
    struct depacketize d;

    EXPECT_EQ(depacketize_init(&d, CODEC_H264, 1000), 0);
    EXPECT_EQ(push(&d, 1, 1, false, "6742"), 0);
    EXPECT_EQ(push(&d, 2, 1, false, "7c05aa"), E_MALFORMED); /* middle without start */
    EXPECT_EQ(push(&d, 3, 2, false, "7c8588"), 0);
    EXPECT_EQ(push(&d, 4, 2, false, "7c8588"), E_MALFORMED); /* start in the middle */
    EXPECT_EQ(push(&d, 5, 3, true, "7c8588"), E_MALFORMED);  /* marker in the middle */
    EXPECT_EQ(push(&d, 6, 4, false, "7c8588"), 0);
    EXPECT_EQ(push(&d, 7, 4, true, "7c45bb"), 0);
    EXPECT(depacketize_frame(&d, &out) && out.key);
    EXPECT_BYTES(out.data, test_hex("000000016588bb"));
    EXPECT_EQ(d.dropped_n, 3);
    depacketize_fini(&d);
}

TEST(depacketize_av1_takes_units_with_sizes_of_their_own)
{
    struct depacketized out;
    struct depacketize d;

    EXPECT_EQ(depacketize_init(&d, CODEC_AV1, 1000), 0);
    EXPECT_EQ(push(&d, 1, 1, true, "08 04 32020102"), 0);
    EXPECT(depacketize_frame(&d, &out) && out.key);
    EXPECT_BYTES(out.data, test_hex("1200 32020102"));
    EXPECT_EQ(push(&d, 2, 2, true, "10 1200"), 0); /* a delimiter alone */
    EXPECT(depacketize_frame(&d, &out));
    EXPECT_BYTES(out.data, test_hex("1200"));
    EXPECT_EQ(push(&d, 3, 3, false, "50 30aa"), 0);
    EXPECT_EQ(push(&d, 4, 3, false, "10 30aa"), E_MALFORMED); /* should have gone on */
    depacketize_fini(&d);
}

TEST(depacketize_stops_at_its_ceiling_and_survives_a_full_heap)
{
    struct depacketize_in in = {.payload = test_hex("1000")};
    uint8_t big[600] = {0x10};
    struct depacketized out;
    struct depacketize d;

    EXPECT_EQ(depacketize_init(&d, CODEC_VP8, 1000), 0);
    mem_refuse_nth(1);
    EXPECT_EQ(depacketize_push(&d, &in), E_NOMEM);
    mem_refuse_nth(0);
    in = (struct depacketize_in){.seq = 1, .payload = bytes_of(big, sizeof big)};
    EXPECT_EQ(depacketize_push(&d, &in), 0);
    in.seq = 2;
    EXPECT_EQ(depacketize_push(&d, &in), E_TOO_LARGE);
    EXPECT(!depacketize_frame(&d, &out));
    depacketize_fini(&d);
    EXPECT_EQ(depacketize_init(&d, CODEC_RTX, 1000), E_UNSUPPORTED);
}

/* A codec, then packets: flags, length, payload. */
FUZZ(depacketize, in)
{
    static const enum codec codecs[] = {CODEC_VP8, CODEC_VP9, CODEC_AV1, CODEC_H264};
    struct depacketize_in packet = {.seq = 65000};
    struct rd r = rd_of(in);
    struct depacketized out;
    struct depacketize d;

    EXPECT_EQ(depacketize_init(&d, codecs[rd_u8(&r) & 3], 700), 0);
    while (rd_left(&r) > 2) {
        uint8_t flags = rd_u8(&r);
        size_t len = rd_u8(&r);
        packet.seq = (uint16_t)(packet.seq + 1 + (flags >> 6 == 3 ? 1 : 0));
        packet.ts += (flags >> 4 & 3) == 3;
        packet.marker = flags & 1;
        packet.payload = rd_bytes(&r, size_min(len, rd_left(&r)));
        if (depacketize_push(&d, &packet) != 0)
            EXPECT(!d.ready);
        if (depacketize_frame(&d, &out))
            EXPECT(out.data.len > 0 && out.data.len <= 700);
    }
    depacketize_fini(&d);
}
