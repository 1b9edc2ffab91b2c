#include "rtc/resend.h"

#include "base/err.h"
#include "base/test.h"

TEST(same_number_is_answered_three_times_a_tenth_of_a_second_apart)
{
    struct resend r = {0};

    EXPECT(resend_asked(&r, 7, 1000000));
    EXPECT(!resend_asked(&r, 7, 1099000));
    EXPECT(resend_asked(&r, 7, 1100000));
    EXPECT(resend_asked(&r, 7, 1300000));
    EXPECT(!resend_asked(&r, 7, 2000000));
    EXPECT(resend_asked(&r, 8, 2000000));
    EXPECT(resend_asked(&r, 7, 40000000)); /* another packet by now */
    EXPECT(resend_asked(&r, 7 + RESEND_SLOTS, 40000000));
}

TEST(history_gives_back_what_was_sent_until_it_is_overwritten)
{
    struct resend_history *h = NULL;
    struct bytes pkt;

    EXPECT_EQ(resend_history_open(&h, 4), 0);
    EXPECT(!resend_history_find(h, 0, &pkt));
    for (uint16_t i = 65534; i != 4; i++)
        resend_history_put(h, i, bytes_of(&i, 2), bytes_str("payload"));
    EXPECT(!resend_history_find(h, 65535, &pkt));
    EXPECT(resend_history_find(h, 0, &pkt));
    EXPECT_EQ(pkt.len, 9);
    EXPECT(bytes_eq_str(bytes_of(pkt.p + 2, 7), "payload"));
    resend_history_put(h, 4, bytes_str("ab"), bytes_of(NULL, 0));
    EXPECT(!resend_history_find(h, 0, &pkt));
    EXPECT(resend_history_find(h, 4, &pkt));
    EXPECT_EQ(pkt.len, 2);
    mem_refuse_nth(1);
    resend_history_put(h, 5, bytes_str("longer than the slot was before"), bytes_of(NULL, 0));
    mem_refuse_nth(0);
    EXPECT(!resend_history_find(h, 5, &pkt));
    resend_history_free(h);
    resend_history_free(NULL);
    mem_refuse_nth(1);
    EXPECT_EQ(resend_history_open(&h, 4), E_NOMEM);
    mem_refuse_nth(0);
    EXPECT_EQ(mem_live(), 0);
}
