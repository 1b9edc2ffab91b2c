#include "rtc/checklist.h"

#include "base/test.h"

static struct addr addr_at(uint8_t last, uint16_t port)
{
    struct addr a = {0};
    const uint8_t ip[4] = {192, 0, 2, last};

    addr_set_ip4(&a, ip, port);
    return a;
}

static void open_list(struct checklist *l, bool controlling, unsigned remotes)
{
    struct addr local = addr_at(1, 1000);

    checklist_init(l, controlling);
    checklist_add_local(l, &local);
    for (unsigned i = 0; i < remotes; i++) {
        struct addr r = addr_at((uint8_t)(10 + i), 2000);
        checklist_add_remote(l, &r, 1000 - i); /* the first is the best */
    }
}

TEST(checks_are_paced_and_go_by_priority)
{
    static struct checklist l;
    struct rng rng = rng_seed(1);
    struct checklist_check c;

    open_list(&l, true, 3);
    for (uint8_t i = 0; i < 3; i++) {
        us_t now = US_PER_SEC + i * (us_t)CHECKLIST_PACE_US;
        EXPECT(checklist_next(&l, now, &rng, &c));
        EXPECT_EQ(c.path.remote.ip[3], 10 + i);
        EXPECT(!c.use_candidate);
        EXPECT(!checklist_next(&l, now, &rng, &c));
        EXPECT_EQ(checklist_deadline(&l), now + (i < 2 ? CHECKLIST_PACE_US : 150000));
    }
}

TEST(a_check_is_repeated_seven_times_and_the_list_starts_over)
{
    static const us_t gap[] = {250000, 500000, 1000000, 2000000, 2000000, 2000000, 2000000};
    static struct checklist l;
    struct rng rng = rng_seed(1);
    struct checklist_check c, again;
    us_t now = US_PER_SEC;

    open_list(&l, true, 1);
    EXPECT(checklist_next(&l, now, &rng, &c));
    for (unsigned i = 0; i < CHECKLIST_TRIES_MAX; i++) {
        EXPECT_EQ(checklist_deadline(&l), now + gap[i]);
        now += gap[i];
        EXPECT_EQ(checklist_next(&l, now, &rng, &again), i + 1 < CHECKLIST_TRIES_MAX);
        EXPECT(stun_tid_eq(&c.tid, &again.tid));
    }
    EXPECT_EQ(l.pair[0].state, PAIR_FAILED);
    EXPECT_EQ(checklist_deadline(&l), now + CHECKLIST_RETRY_US);
    EXPECT(checklist_next(&l, now + CHECKLIST_RETRY_US, &rng, &again));
    EXPECT(!stun_tid_eq(&c.tid, &again.tid));
}

TEST(the_best_pair_is_nominated_and_a_better_one_is_waited_for_briefly)
{
    for (int better_answers = 0; better_answers < 2; better_answers++) {
        static struct checklist l;
        struct rng rng = rng_seed(1);
        struct checklist_check c[2], n;
        us_t now = US_PER_SEC;

        open_list(&l, true, 2);
        EXPECT(checklist_next(&l, now, &rng, &c[0]));
        now += CHECKLIST_PACE_US;
        EXPECT(checklist_next(&l, now, &rng, &c[1]));
        EXPECT(checklist_answered(&l, &c[1].path, &c[1].tid, now) != NULL);
        EXPECT(!checklist_next(&l, now + CHECKLIST_PACE_US, &rng, &n));
        if (better_answers)
            EXPECT(checklist_answered(&l, &c[0].path, &c[0].tid, now + 60000) != NULL);
        us_t at = better_answers ? now + 60000 : now + CHECKLIST_BETTER_US;
        EXPECT(checklist_deadline(&l) <= at);
        EXPECT(checklist_next(&l, at, &rng, &n));
        EXPECT(n.use_candidate);
        EXPECT(path_eq(&n.path, &c[better_answers ? 0 : 1].path));
    }
}

TEST(answers_from_elsewhere_or_to_nothing_do_not_count)
{
    static struct checklist l;
    struct rng rng = rng_seed(1);
    struct checklist_check c;
    struct stun_tid other = {{1}};

    open_list(&l, true, 1);
    EXPECT(checklist_next(&l, 0, &rng, &c));
    struct path wrong = c.path;
    wrong.remote.port++;
    EXPECT(checklist_answered(&l, &wrong, &c.tid, 1) == NULL);
    EXPECT(checklist_answered(&l, &c.path, &other, 1) == NULL);
    EXPECT_EQ(l.pair[0].state, PAIR_RUNNING);
    EXPECT(checklist_answered(&l, &c.path, &c.tid, 1) == &l.pair[0]);
}

TEST(more_addresses_than_the_limit_are_ignored_but_a_proven_one_finds_room)
{
    static struct checklist l;
    struct path learnt = {.local = addr_at(1, 1000), .remote = addr_at(99, 9)};

    open_list(&l, false, CHECKLIST_ADDRS_MAX + 5);
    EXPECT_EQ(l.remote_n, CHECKLIST_ADDRS_MAX);
    for (uint16_t i = 0; i < CHECKLIST_ADDRS_MAX + 5; i++) {
        struct addr local = addr_at(2, (uint16_t)(3000 + i));
        checklist_add_local(&l, &local);
    }
    EXPECT_EQ(l.pair_n, CHECKLIST_PAIRS_MAX);
    struct check_pair *p = checklist_triggered(&l, &learnt, 5, true);
    EXPECT_EQ(l.pair_n, CHECKLIST_PAIRS_MAX);
    EXPECT(path_eq(&p->path, &learnt));
    EXPECT(p->triggered && p->nominated);
}
