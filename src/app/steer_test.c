#include "app/steer.h"

#include "base/cursor.h"
#include "base/test.h"
#include "sfu/cmd.h"
#include "wire/stun.h"

static struct addr client(uint16_t port)
{
    static const uint8_t ip[4] = {192, 0, 2, 1};
    struct addr a;

    addr_set_ip4(&a, ip, port);
    return a;
}

static struct bytes check(uint8_t *out, size_t cap, char letter)
{
    struct stun_tid tid = {{1}};
    struct wr w = wr_of(out, cap);
    char user[] = "_frag123:them";

    user[0] = letter;
    stun_begin(&w, STUN_REQUEST, STUN_BINDING, &tid);
    stun_add_bytes(&w, STUN_USERNAME, bytes_str(user));
    stun_add_fingerprint(&w);
    EXPECT_EQ(stun_end(&w), 0);
    return wr_done(&w);
}

TEST(steer_checks_go_by_their_name_and_the_rest_by_what_owners_said)
{
    static const uint8_t media[] = {0x80, 96, 0, 1};
    struct bytes rtp = bytes_of(media, sizeof media);
    uint8_t buf[200];
    struct addr a = client(1), b = client(2);
    struct steer s;

    EXPECT_EQ(steer_init(&s, 1, 4, 7), 0);
    EXPECT_EQ(steer_owner(&s, &a, check(buf, sizeof buf, cmd_ufrag_letter(3)), false), 3);
    EXPECT_EQ(steer_owner(&s, &a, check(buf, sizeof buf, cmd_ufrag_letter(2)), true), 2);
    EXPECT_EQ(steer_owner(&s, &b, check(buf, sizeof buf, cmd_ufrag_letter(4)), false), 1);
    EXPECT_EQ(steer_owner(&s, &b, check(buf, sizeof buf, '-'), false), 1);
    EXPECT_EQ(steer_owner(&s, &a, rtp, false), 2); /* where its last check went */
    EXPECT_EQ(steer_owner(&s, &b, rtp, false), 1);

    steer_told(&s, &a, 3, 1000);
    EXPECT_EQ(steer_owner(&s, &a, rtp, false), 3);
    EXPECT_EQ(steer_owner(&s, &a, rtp, true), 1);
    EXPECT_EQ(steer_owner(&s, &b, rtp, false), 1);
    steer_told(&s, &a, 2, 2000); /* it changed hands */
    EXPECT_EQ(steer_owner(&s, &a, rtp, false), 2);
    EXPECT_EQ(steer_owner(&s, &a, bytes_of(media, 0), false), 2);
    steer_fini(&s);
}

TEST(steer_forgets_addresses_that_nobody_renews)
{
    static const uint8_t media[] = {0x80};
    struct bytes rtp = bytes_of(media, 1);
    struct addr old = client(1), kept = client(2);
    struct steer s;
    us_t now = 1000;

    EXPECT_EQ(steer_init(&s, 0, 2, 7), 0);
    steer_told(&s, &old, 1, now);
    for (int i = 0; i < 40; i++, now += STEER_LIFE_US / 10) {
        steer_told(&s, &kept, 1, now);
        EXPECT_EQ(steer_owner(&s, &kept, rtp, false), 1);
        if (i < 10)
            EXPECT_EQ(steer_owner(&s, &old, rtp, false), 1);
    }
    EXPECT_EQ(steer_owner(&s, &old, rtp, false), 0);
    steer_fini(&s);
}

TEST(steer_busy_is_said_once_a_second_of_those_who_send_much)
{
    struct addr a = client(1);
    struct steer s;
    us_t now = 0;
    int said = 0;

    EXPECT_EQ(steer_init(&s, 0, 2, 7), 0);
    for (int i = 0; i < 100; i++, now += STEER_BUSY_US / STEER_BUSY + 2000)
        said += steer_busy(&s, &a, now);
    EXPECT_EQ(said, 0);
    for (int i = 0; i < 3000; i++, now += 1000)
        said += steer_busy(&s, &a, now);
    EXPECT(said >= 3 && said <= 4);
    steer_fini(&s);
}
