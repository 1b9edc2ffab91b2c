#include "wire/dd.h"

#include "base/err.h"
#include "base/test.h"

/* Writes bits from text, so that a vector can be read beside the specification. */
static struct bytes bit_text(const char *text)
{
    static uint8_t out[256];
    size_t n = 0;

    memset(out, 0, sizeof out);
    for (; *text != 0; text++) {
        if (*text != '0' && *text != '1')
            continue;
        if (*text == '1')
            out[n / 8] |= (uint8_t)(0x80 >> (n % 8));
        n++;
    }
    return bytes_of(out, (n + 7) / 8);
}

/* L1T2 with one chain: templates key, base, top. */
#define L1T2                                                                                       \
    "000101 00001 "                       /* id offset 5, two targets */                           \
    "00 01 11 "                           /* layers: same, next temporal, end: three templates */  \
    "1010 1110 0001 "                     /* dti: key S S, base R S, top - D */                    \
    "0 1 0001 0 1 0000 0 "                /* fdiffs: none; 2; 1 */                                 \
    "10 0000 0010 0001 "                  /* one chain; its fdiffs */                              \
    "1 0000000101111111 0000000010110011" /* 384 x 180 */

TEST(dd_reads_a_structure_of_one_spatial_and_two_temporal_layers)
{
    struct dd_structure st = {0};
    struct dd_frame f;

    /* chain_cnt is ns(3): 0 is "0", 1 is "10"; decode_target_protected_by, ns(1), has no bits */
    EXPECT_EQ(dd_parse(&f, &st, bit_text("10 000101 0000000100000000 10000" L1T2)), 0);
    EXPECT(st.known && st.template_n == 3 && st.target_n == 2 && st.chain_n == 1);
    EXPECT(st.active == 3 && st.target_tid[0] == 0 && st.target_tid[1] == 1);
    EXPECT(f.first && !f.last && f.has_structure && f.number == 256);
    EXPECT(f.sid == 0 && f.tid == 0 && f.fdiff_n == 0 && f.width == 384 && f.height == 180);
    EXPECT(dd_dti_of(&f, 0) == DD_SWITCH && dd_dti_of(&f, 1) == DD_SWITCH);

    /* three bytes refer to the template 7: the upper temporal layer */
    EXPECT_EQ(dd_parse(&f, &st, test_hex("c7 0101")), 0);
    EXPECT(f.first && f.last && f.tid == 1 && f.number == 257 && !f.has_structure);
    EXPECT(dd_dti_of(&f, 0) == DD_NOT_PRESENT && dd_dti_of(&f, 1) == DD_DISCARDABLE);
    EXPECT(f.fdiff_n == 1 && f.fdiff[0] == 1 && f.chain_fdiff[0] == 1);
}

TEST(dd_frame_may_differ_from_its_template)
{
    struct dd_structure st = {0};
    struct dd_frame f;

    EXPECT_EQ(dd_parse(&f, &st, bit_text("10 000101 0000000100000000 10000" L1T2)), 0);
    /* active targets, dtis, fdiffs and chains of its own */
    EXPECT_EQ(dd_parse(&f, &st,
                       bit_text("11 000110 0000000100000010 01111 01 1110 "
                                "01 0011 10 00000100 00 00000110")),
              0);
    EXPECT(st.active == 1 && f.has_active);
    EXPECT(dd_dti_of(&f, 0) == DD_REQUIRED && dd_dti_of(&f, 1) == DD_SWITCH);
    EXPECT(f.fdiff_n == 2 && f.fdiff[0] == 4 && f.fdiff[1] == 5 && f.chain_fdiff[0] == 6);
}

TEST(dd_without_a_known_template_asks_for_a_key_frame)
{
    struct dd_structure st = {0};
    struct dd_frame f = {.number = 5};

    EXPECT_EQ(dd_parse(&f, &st, test_hex("c70101")), E_STATE);
    EXPECT_EQ(dd_parse(&f, &st, bit_text("10 000101 0000000100000000 01000 1")), E_STATE);
    EXPECT_EQ(dd_parse(&f, &st, bit_text("10 000101 0000000100000000 10000" L1T2)), 0);
    EXPECT_EQ(dd_parse(&f, &st, test_hex("c80101")), E_STATE);
    EXPECT_EQ(f.number, 256);
}

TEST(dd_truncation_and_excess_leave_the_structure_alone)
{
    struct bytes in = bit_text("10 000101 0000000100000000 10000" L1T2);
    struct dd_structure st = {.target_n = 9};
    struct dd_frame f;
    uint8_t ones[64];

    for (size_t n = 0; n < in.len; n++)
        EXPECT(dd_parse(&f, &st, bytes_of(in.p, n)) < 0);
    memset(ones, 0x55, sizeof ones); /* temporal layers without end */
    ones[3] = 0x80;
    EXPECT_EQ(dd_parse(&f, &st, bytes_of(ones, sizeof ones)), E_MALFORMED);
    EXPECT(!st.known && st.target_n == 9);
}

FUZZ(dd, in)
{
    struct dd_structure st = {0};
    struct dd_frame f;
    size_t half = in.len > 0 ? in.p[0] % 64u : 0;

    if (in.len == 0)
        return;
    in = bytes_of(in.p + 1, in.len - 1);
    half = size_min(half, in.len);
    for (int i = 0; i < 2; i++) { /* a key frame's descriptor, and one that uses it */
        struct bytes part = i == 0 ? bytes_of(in.p, half) : bytes_of(in.p + half, in.len - half);
        if (dd_parse(&f, &st, part) != 0)
            continue;
        EXPECT(st.known && st.template_n <= DD_TEMPLATES_MAX && st.target_n <= DD_TARGETS_MAX);
        EXPECT(st.chain_n <= st.target_n && f.fdiff_n <= DD_FDIFFS_MAX);
        EXPECT(f.sid < DD_SPATIAL_MAX && f.tid < DD_TEMPORAL_MAX);
    }
}
