#include "rtc/consent.h"

#include "base/test.h"

TEST(silent_peer_is_cut_off_at_thirty_seconds)
{
    struct rng rng = rng_seed(7);
    struct stun_tid tid;
    struct consent c;
    us_t now = 0;
    int asked = 0;

    consent_grant(&c, now, &rng);
    while (c.state == CONSENT_GRANTED) {
        EXPECT(consent_deadline(&c) > now); /* progress: never due in the past */
        now = consent_deadline(&c);
        asked += consent_check(&c, now, &rng, &tid);
    }
    EXPECT_EQ(now, 30 * US_PER_SEC);
    EXPECT(asked >= 4 && asked <= 7); /* gaps of 4..6 s */
    EXPECT_EQ(consent_deadline(&c), US_NEVER);
}

TEST(answer_to_an_older_check_extends_but_a_late_one_does_not)
{
    struct rng rng = rng_seed(1);
    struct stun_tid first, second;
    struct consent c;

    consent_grant(&c, 0, &rng);
    EXPECT(consent_check(&c, consent_deadline(&c), &rng, &first));
    EXPECT(consent_check(&c, consent_deadline(&c), &rng, &second));

    us_t at = 13 * US_PER_SEC;
    EXPECT(consent_answer(&c, at, &first));
    EXPECT_EQ(c.revoke_at, at + CONSENT_LIFETIME_US);
    EXPECT(!consent_answer(&c, c.revoke_at, &second)); /* the boundary belongs to revocation */
}

TEST(another_check_renews_only_while_granted)
{
    struct rng rng = rng_seed(2);
    struct stun_tid tid;
    struct consent c = {0};

    consent_renew(&c, 0);
    EXPECT_EQ(c.state, CONSENT_IDLE);
    consent_grant(&c, 0, &rng);
    consent_renew(&c, 20 * US_PER_SEC);
    EXPECT_EQ(c.revoke_at, 50 * US_PER_SEC);
    EXPECT(!consent_check(&c, c.revoke_at, &rng, &tid));
    consent_renew(&c, c.revoke_at);
    EXPECT_EQ(c.state, CONSENT_REVOKED);
}

/* Each input byte is a move: wait, ask, answer the latest, or answer garbage. */
FUZZ(consent, in)
{
    struct rng rng = rng_seed(3);
    struct stun_tid tid = {{0}}, junk = {{0xff}};
    struct consent c;
    us_t now = 0;

    consent_grant(&c, now, &rng);
    for (size_t i = 0; i < in.len; i++) {
        enum consent_state before = c.state;
        switch (in.p[i] & 3) {
        case 0:
            now += in.p[i] * (us_t)50000;
            break;
        case 1:
            (void)consent_check(&c, now, &rng, &tid);
            break;
        case 2:
            (void)consent_answer(&c, now, &tid);
            break;
        case 3:
            EXPECT(!consent_answer(&c, now, &junk));
            break;
        }
        EXPECT(c.state >= before); /* no way back */
        EXPECT(c.state != CONSENT_GRANTED || c.revoke_at <= now + CONSENT_LIFETIME_US);
    }
}
