#include "wire/opus.h"

#include "base/err.h"
#include "base/test.h"

TEST(opus_durations_follow_table_2_of_rfc_6716)
{
    static const struct {
        const char *hex;
        us_t us;
    } table[] = {
        {"00", 10000},  {"18", 60000},   {"60", 10000},    {"68", 20000}, {"78", 20000},
        {"80", 2500},   {"98", 20000},   {"fc", 20000},    {"f8", 20000}, {"fd", 40000},
        {"fe", 40000},  {"fb03", 60000}, {"fb06", 120000}, {"fb07", 0},   {"ff", 0},
        {"19", 120000}, {"", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        EXPECT_EQ(opus_duration(test_hex(table[i].hex)), table[i].us);
    EXPECT(opus_stereo(test_hex("fc")) && !opus_stereo(test_hex("f8")));
}

TEST(red_blocks_come_oldest_first_and_the_primary_last)
{
    struct red_block b[RED_BLOCKS_MAX];
    unsigned n = 0;

    /* pt 111; 960 samples ago 2 bytes; then the primary of 3 */
    EXPECT_EQ(red_parse(test_hex("ef 0f0002 6f aabb 010203"), b, &n), 0);
    EXPECT_EQ(n, 2);
    EXPECT(b[0].pt == 111 && b[0].ts_offset == 960 && b[0].data.len == 2);
    EXPECT(b[1].pt == 111 && b[1].ts_offset == 0);
    EXPECT_BYTES(b[1].data, test_hex("010203"));
    EXPECT_EQ(red_parse(test_hex("6f 01"), b, &n), 0);
    EXPECT_EQ(n, 1);
    n = 7;
    EXPECT_EQ(red_parse(test_hex(""), b, &n), E_TRUNCATED);
    EXPECT_EQ(red_parse(test_hex("ef0f00"), b, &n), E_TRUNCATED);
    EXPECT_EQ(red_parse(test_hex("ef0f0005 6f 01"), b, &n), E_TRUNCATED);
    EXPECT_EQ(red_parse(test_hex("ef000000ef000000ef000000ef000000ef000000ef000000ef000000ef000000"
                                 "6f"),
                        b, &n),
              E_MALFORMED);
    EXPECT_EQ(n, 7);
}

TEST(red_is_a_pair)
{
    struct rng rng = rng_seed(4);
    uint8_t data[RED_BLOCK_BYTES_MAX], buf[4096];

    rng_fill(&rng, data, sizeof data);
    for (int round = 0; round < 300; round++) {
        struct red_block in[RED_BLOCKS_MAX] = {{0}}, out[RED_BLOCKS_MAX];
        unsigned n = 1 + (unsigned)rng_below(&rng, RED_BLOCKS_MAX), m = 0;
        struct wr w = wr_of(buf, sizeof buf);

        for (unsigned i = 0; i < n; i++) {
            in[i].pt = (uint8_t)rng_below(&rng, 128);
            in[i].ts_offset = i + 1 < n ? (uint16_t)rng_below(&rng, RED_OFFSET_MAX + 1) : 0;
            in[i].data = bytes_of(data, (size_t)rng_below(&rng, 400));
        }
        red_write(&w, in, n);
        EXPECT(wr_ok(&w));
        EXPECT_EQ(red_parse(wr_done(&w), out, &m), 0);
        EXPECT_EQ(m, n);
        for (unsigned i = 0; i < n; i++) {
            EXPECT(in[i].pt == out[i].pt && in[i].ts_offset == out[i].ts_offset);
            EXPECT_BYTES(in[i].data, out[i].data);
        }
    }
}

FUZZ(red, in)
{
    struct red_block b[RED_BLOCKS_MAX];
    unsigned n = 0;
    size_t sum = 0;

    if (red_parse(in, b, &n) != 0)
        return;
    EXPECT(n >= 1 && n <= RED_BLOCKS_MAX);
    for (unsigned i = 0; i < n; i++) {
        sum += b[i].data.len;
        EXPECT(opus_duration(b[i].data) <= OPUS_PACKET_MAX_US);
    }
    EXPECT_EQ(sum + 4 * (n - 1) + 1, in.len);
}
