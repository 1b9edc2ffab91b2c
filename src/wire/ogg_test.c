#include "wire/ogg.h"

#include "base/err.h"
#include "base/test.h"

static uint8_t file[70000];

static size_t make_file(struct rng *rng, unsigned n, size_t size_max)
{
    struct wr w = wr_of(file, sizeof file);
    uint8_t packet[OGG_PACKET_MAX];
    struct ogg_writer o;

    ogg_write_head(&o, &w, 77, 2, 312);
    for (unsigned i = 0; i < n; i++) {
        size_t len = 1 + i * (size_max - 1) / n;
        rng_fill(rng, packet, len);
        packet[0] = 0xfc; /* 20 ms */
        ogg_write_packet(&o, &w, bytes_of(packet, len), 0, i + 1 == n);
    }
    EXPECT(wr_ok(&w));
    EXPECT_EQ(o.granule, n * 960);
    return wr_len(&w);
}

TEST(ogg_what_is_written_is_read_and_read_again_after_rewinding)
{
    struct rng rng = rng_seed(2);
    size_t n = make_file(&rng, 30, 1200);
    static struct ogg o;
    struct ogg_packet p;

    EXPECT_EQ(ogg_open(&o, bytes_of(file, n)), 0);
    EXPECT(o.channels == 2 && o.pre_skip == 312);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 30; i++) {
            EXPECT_EQ(ogg_next(&o, &p), 0);
            EXPECT(p.data.len == 1 + i * 1199 / 30 && p.data.p[0] == 0xfc);
            EXPECT_EQ(p.duration_us, 20000);
        }
        EXPECT_EQ(ogg_next(&o, &p), E_CLOSED);
        ogg_rewind(&o);
    }
}

TEST(ogg_a_flipped_byte_or_a_cut_is_an_error)
{
    struct rng rng = rng_seed(2);
    size_t n = make_file(&rng, 2, 30);
    static struct ogg o;
    struct ogg_packet p;

    for (size_t i = 0; i < n; i++) {
        file[i] ^= 0x10;
        int err = ogg_open(&o, bytes_of(file, n));
        while (err == 0)
            err = ogg_next(&o, &p);
        EXPECT(err < 0 && err != E_CLOSED);
        file[i] ^= 0x10;
        err = ogg_open(&o, bytes_of(file, i));
        while (err == 0)
            err = ogg_next(&o, &p);
        EXPECT(err < 0);
    }
}

/* Rewrites one page after its bytes were changed. */
static void write_raw_page(struct wr *w, uint8_t flags, uint32_t serial, struct bytes lacing,
                           struct bytes data)
{
    size_t at = wr_len(w);
    uint32_t crc = 0;

    wr_str(w, "OggS");
    wr_u8(w, 0);
    wr_u8(w, flags);
    wr_zero(w, 8);
    wr_u8(w, (uint8_t)serial);
    wr_zero(w, 11);
    wr_u8(w, (uint8_t)lacing.len);
    wr_bytes(w, lacing);
    wr_bytes(w, data);
    for (size_t i = at; i < wr_len(w); i++) { /* bit by bit: another way than the unit's */
        crc ^= (uint32_t)w->start[i] << 24;
        for (int k = 0; k < 8; k++)
            crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
    }
    for (unsigned i = 0; i < 4; i++)
        w->start[at + 22 + i] = (uint8_t)(crc >> (8 * i));
}

TEST(ogg_packets_across_pages_are_joined_and_other_streams_stepped_over)
{
    struct bytes head = test_hex("4f70757348656164 01 02 3801 80bb0000 0000 00");
    uint8_t data[600], lace[8] = {19};
    struct wr w = wr_of(file, sizeof file);
    static struct ogg o;
    struct ogg_packet p;

    memset(data, 0xfc, sizeof data);
    write_raw_page(&w, 2, 9, bytes_of(lace, 1), bytes_of("not opus, not opus!", 19));
    write_raw_page(&w, 2, 5, bytes_of(lace, 1), head);
    lace[0] = 8;
    write_raw_page(&w, 0, 5, bytes_of(lace, 1), bytes_str("OpusTags"));
    write_raw_page(&w, 0, 5, bytes_of("\xff", 1), bytes_of(data, 255));
    write_raw_page(&w, 0, 9, bytes_of(lace, 1), bytes_of(data, 8));
    write_raw_page(&w, 1, 5, bytes_of("\x05\x07", 2), bytes_of(data, 12));
    write_raw_page(&w, 0, 5, bytes_of("\xff", 1), bytes_of(data, 255)); /* never goes on */
    write_raw_page(&w, 0, 5, bytes_of("\x04", 1), bytes_of(data, 4));
    write_raw_page(&w, 1, 5, bytes_of("\x03\x02", 2), bytes_of(data, 5)); /* never began */
    EXPECT(wr_ok(&w));
    EXPECT_EQ(ogg_open(&o, wr_done(&w)), 0);
    static const size_t want[] = {260, 7, 4, 2};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        EXPECT_EQ(ogg_next(&o, &p), 0);
        EXPECT_EQ(p.data.len, want[i]);
    }
    EXPECT_EQ(ogg_next(&o, &p), E_CLOSED);
}

TEST(ogg_other_files_are_refused)
{
    static struct ogg o;
    uint8_t lace = 10;
    struct wr w = wr_of(file, sizeof file);

    EXPECT_EQ(ogg_open(&o, bytes_str("DKIF")), E_UNSUPPORTED);
    EXPECT_EQ(ogg_open(&o, bytes_str("")), E_UNSUPPORTED);
    write_raw_page(&w, 2, 1, bytes_of(&lace, 1), bytes_of("\1vorbis...", 10));
    EXPECT_EQ(ogg_open(&o, wr_done(&w)), E_UNSUPPORTED);
}

FUZZ(ogg, in)
{
    static struct ogg o;
    struct ogg_packet p;
    size_t packets = 0;

    if (ogg_open(&o, in) != 0)
        return;
    while (ogg_next(&o, &p) == 0) {
        EXPECT(p.data.len > 0 && p.duration_us > 0);
        packets++;
    }
    EXPECT(packets < in.len);
}
