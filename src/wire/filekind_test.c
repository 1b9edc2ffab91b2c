#include "wire/filekind.h"

#include "base/test.h"

TEST(filekind_knows_what_people_hand_over_by_mistake)
{
    static const struct {
        const char *hex;
        enum filekind want;
    } table[] = {
        {"", FILEKIND_EMPTY},
        {"444b49460000200056503830", FILEKIND_IVF},
        {"4f676753000200000000000000000000000000000000000000000113 4f70757348656164",
         FILEKIND_OGG_OPUS},
        {"4f676753000200000000000000000000000000000000000000000113 01766f7262697300", FILEKIND_OGG},
        {"000000016742c00b", FILEKIND_H264},
        {"00000001091000000001", FILEKIND_H264},
        {"0000000140010c01", FILEKIND_H265},
        {"1a45dfa3", FILEKIND_MATROSKA},
        {"000000206674797069736f6d", FILEKIND_MP4},
        {"524946460000000057415645", FILEKIND_WAVE},
        {"89504e47", FILEKIND_IMAGE},
        {"68656c6c6f0a", FILEKIND_TEXT},
        {"00ff00ff", FILEKIND_UNKNOWN},
        {"000001b3", FILEKIND_UNKNOWN}, /* MPEG-2 video */
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        EXPECT_EQ(filekind_of(test_hex(table[i].hex)), table[i].want);
    for (int k = 0; k < FILEKIND_N; k++)
        EXPECT(filekind_name((enum filekind)k)[0] == 'a');
}

FUZZ(filekind, in)
{
    enum filekind k = filekind_of(in);

    EXPECT((int)k >= 0 && k < FILEKIND_N);
    EXPECT((in.len == 0) == (k == FILEKIND_EMPTY));
}
