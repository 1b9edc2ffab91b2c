#include "wire/bits.h"

#include "base/test.h"

TEST(bits_read_across_bytes_and_stop_at_the_end)
{
    struct bits b = bits_of(test_hex("a5f01234"));

    EXPECT_EQ(bits_u(&b, 4), 0xa);
    EXPECT_EQ(bits_u(&b, 6), 0x17);
    EXPECT_EQ(bits_u(&b, 0), 0);
    EXPECT_EQ(bits_u(&b, 22), 0x301234);
    EXPECT(bits_ok(&b) && bits_left(&b) == 0);
    EXPECT(!bits_flag(&b) && !bits_ok(&b));
    b = bits_of(test_hex("ffffffff"));
    EXPECT_EQ(bits_u(&b, 32), 0xffffffff);
}

TEST(bits_exp_golomb_table)
{
    /* 1 010 011 00100 00101 -> 0 1 2 3 4 */
    struct bits b = bits_of(test_hex("a64280"));

    for (uint32_t want = 0; want < 4; want++)
        EXPECT_EQ(bits_ue(&b), want);
    b = bits_of(test_hex("a64280"));
    EXPECT(bits_se(&b) == 0 && bits_se(&b) == 1 && bits_se(&b) == -1 && bits_se(&b) == 2);
    b = bits_of(test_hex("00000000ffffffffff"));
    EXPECT(bits_ue(&b) == 0 && !bits_ok(&b)); /* 32 zeros */
    b = bits_of(test_hex("00000001fffffffe"));
    EXPECT(bits_ue(&b) == 0xfffffffe && bits_ok(&b));
}

TEST(bits_non_symmetric_values_use_the_short_codes_first)
{
    /* n = 5: 00 01 10 110 111 */
    struct bits b = bits_of(test_hex("1b70"));

    EXPECT(bits_ns(&b, 5) == 0 && bits_ns(&b, 5) == 1 && bits_ns(&b, 5) == 2);
    EXPECT(bits_ns(&b, 5) == 3 && bits_ns(&b, 5) == 4);
    EXPECT_EQ(bits_ns(&b, 1), 0);
}
