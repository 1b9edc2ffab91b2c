#include "wire/annexb.h"

#include "base/err.h"
#include "base/test.h"

TEST(annexb_units_are_cut_where_pictures_begin)
{
    /* AUD SPS PPS IDR(2 slices) | slice | SEI slice | slice */
    struct bytes in = test_hex("000000010910 0000000167aa 00000168bb 0000016588cc 000001650811 00"
                               "000001419a00 00 00000106ff 000001418800 01 000001418801");
    static const bool keys[] = {true, false, false, false};
    struct bytes unit;
    struct annexb a;
    size_t sum = 0;
    bool key;

    EXPECT_EQ(annexb_open(&a, in), 0);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        EXPECT(annexb_unit(&a, &unit, &key));
        EXPECT_EQ(key, keys[i]);
        EXPECT(unit.p == in.p + sum);
        sum += unit.len;
    }
    EXPECT(!annexb_unit(&a, &unit, &key));
    EXPECT_EQ(sum, in.len);
}

TEST(annexb_nal_units_lose_their_start_codes_and_trailing_zeros)
{
    struct annexb a = {.stream = test_hex("000000010910 000000 0167aabb 000001 00000168 0000")};
    struct bytes nal;

    EXPECT(annexb_nal(&a, &nal));
    EXPECT_BYTES(nal, test_hex("0910"));
    EXPECT(annexb_nal(&a, &nal));
    EXPECT_BYTES(nal, test_hex("67aabb"));
    EXPECT(annexb_nal(&a, &nal));
    EXPECT_BYTES(nal, test_hex("68"));
    EXPECT(!annexb_nal(&a, &nal));
    EXPECT_EQ(annexb_open(&a, test_hex("1a45dfa3")), E_UNSUPPORTED);
}

FUZZ(annexb, in)
{
    struct annexb a = {.stream = in}, nals = {.stream = in};
    size_t n = 0, in_units = 0;
    struct bytes b, nal;
    bool key;

    while (annexb_nal(&nals, &nal)) {
        EXPECT(nal.len > 0 && nal.p >= in.p && nal.p + nal.len <= in.p + in.len);
        n++;
    }
    while (annexb_unit(&a, &b, &key)) {
        struct annexb inner = {.stream = b};
        EXPECT(b.len > 0);
        while (annexb_nal(&inner, &nal))
            in_units++;
    }
    EXPECT_EQ(n, in_units); /* cutting loses nothing */
}
