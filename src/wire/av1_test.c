#include "wire/av1.h"

#include "base/err.h"
#include "base/test.h"

/* First temporal unit of a libaom stream of 96x64: delimiter, sequence header, frame. */
static const char unit_hex[] = "12000a0d200000032dffcdaf92021a0040"
                               "3203071400";

TEST(av1_units_of_a_real_stream_are_walked)
{
    struct rd r = rd_of(test_hex(unit_hex));
    struct av1_obu obu;
    uint16_t w = 0, h = 0;

    EXPECT_EQ(av1_obu_read(&r, &obu), 0);
    EXPECT(obu.type == AV1_TEMPORAL_DELIMITER && obu.body.len == 0 && obu.has_size);
    EXPECT_EQ(av1_obu_read(&r, &obu), 0);
    EXPECT(obu.type == AV1_SEQUENCE_HEADER && obu.body.len == 13);
    EXPECT(av1_sequence_size(obu.body, &w, &h) && w == 96 && h == 64);
    EXPECT(!av1_sequence_size(bytes_of(obu.body.p, 4), &w, &h));
    EXPECT_EQ(av1_obu_read(&r, &obu), 0);
    EXPECT(obu.type == AV1_FRAME && rd_left(&r) == 0);
    EXPECT_EQ(av1_obu_read(&r, &obu), E_TRUNCATED);
}

TEST(av1_payload_with_a_sequence_header_is_a_key_frame)
{
    struct av1_info info;

    /* N, W = 2: sequence header with its length, frame without */
    av1_inspect(test_hex("28 0e 08 200000032dffcdaf92021a0040 30 071400"), &info);
    EXPECT(info.key && info.start && info.end);
    EXPECT(info.width == 96 && info.height == 64);
    av1_inspect(test_hex("90 0102"), &info); /* Z: goes on from before */
    EXPECT(!info.key && !info.start && info.end);
    av1_inspect(test_hex("50 3448 0102"), &info); /* Y; temporal 2, spatial 1 */
    EXPECT(info.start && !info.end && info.tid == 2 && info.sid == 1);
    av1_inspect(test_hex("88 00"), &info); /* Z with N contradicts itself */
    EXPECT(!info.key && !info.start);
}

TEST(av1_elements_with_and_without_a_count)
{
    struct av1_element e;
    struct av1_iter it;

    EXPECT_EQ(av1_iter_init(&it, test_hex("c0 02 aabb 01 cc")), 0); /* Z Y, W = 0 */
    EXPECT(av1_next(&it, &e) && e.continues && !e.continued && e.data.len == 2);
    EXPECT(av1_next(&it, &e) && !e.continues && e.continued && e.data.len == 1);
    EXPECT(!av1_next(&it, &e) && rd_ok(&it.rd));
    EXPECT_EQ(av1_iter_init(&it, test_hex("30 01 aa 01 bb ccdd")), 0); /* W = 3 */
    EXPECT(av1_next(&it, &e) && av1_next(&it, &e) && av1_next(&it, &e));
    EXPECT(e.data.len == 2 && !av1_next(&it, &e));
    EXPECT_EQ(av1_iter_init(&it, test_hex("20 05 aa")), 0);
    EXPECT(!av1_next(&it, &e) && !rd_ok(&it.rd));
    EXPECT_EQ(av1_iter_init(&it, test_hex("")), E_TRUNCATED);
}

TEST(av1_leb128_is_a_pair_and_bounded)
{
    static const uint32_t values[] = {0, 1, 127, 128, 16383, 16384, 0xffffffff};
    uint8_t buf[8];

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct wr w = wr_of(buf, sizeof buf);
        av1_write_leb128(&w, values[i]);
        struct rd r = rd_of(wr_done(&w));
        EXPECT_EQ(av1_leb128(&r), values[i]);
        EXPECT(rd_ok(&r) && rd_left(&r) == 0);
    }
    struct rd r = rd_of(test_hex("ffffffff10"));
    EXPECT(av1_leb128(&r) == 0 && !rd_ok(&r));
    r = rd_of(test_hex("808080808080808000"));
    EXPECT(av1_leb128(&r) == 0 && !rd_ok(&r));
}

FUZZ(av1, in)
{
    struct av1_element e;
    struct av1_info info;
    struct av1_iter it;
    struct av1_obu obu;
    size_t sum = 0, n = 0;

    av1_inspect(in, &info);
    EXPECT(info.sid < 4 && info.tid < 8);
    if (av1_iter_init(&it, in) == 0) {
        for (; av1_next(&it, &e); n++)
            sum += e.data.len;
        EXPECT(sum < in.len && n <= in.len);
    }
    struct rd r = rd_of(in);
    while (rd_left(&r) > 0 && av1_obu_read(&r, &obu) == 0)
        EXPECT(obu.body.p + obu.body.len <= in.p + in.len);
}
