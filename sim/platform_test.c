#include "sim/platform.h"

#include "base/str.h"
#include "base/test.h"

#include <stdlib.h>

enum { SIX = 6 };

/* A platform is large: one at a time, off the stack. */
static struct platform the;

static struct platform *fresh(const struct platform_cfg *cfg)
{
    platform_open(&the, cfg);
    return &the;
}

static void end(struct platform *p)
{
    EXPECT(p->broken == NULL);
    platform_close(p);
    EXPECT_EQ(mem_live(), 0);
}

static struct platform_cfg plain(uint64_t seed, uint32_t shards)
{
    return (struct platform_cfg){.seed = seed,
                                 .shard_n = shards,
                                 .peers_per_shard_soft = shards > 1 ? 2 : 0,
                                 .net.delay_us = 20000,
                                 .signal_us = 15000,
                                 .ring_us = 200,
                                 .loud = getenv("SIM_LOUD") != NULL};
}

static void seat_all(struct platform *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        (void)platform_join(p, 0, false);
        EXPECT(platform_run(p, 100 * US_PER_MS));
    }
}

static uint64_t join_and_empty(const struct platform_cfg *cfg)
{
    struct platform *p = fresh(cfg);

    seat_all(p, SIX);
    EXPECT(platform_settle(p, 20 * US_PER_SEC) >= 0);
    EXPECT(platform_empty(p));
    uint64_t hash = platform_hash(p);
    end(p);
    return hash;
}

TEST(six_people_see_and_hear_each_other_on_one_shard)
{
    struct platform_cfg cfg = plain(1, 1);
    struct platform *p = fresh(&cfg);

    seat_all(p, SIX);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT(platform_run(p, 5 * US_PER_SEC));
    EXPECT(platform_settled(p));
    /* 6 x 5 x (25 + 12.5) packets a second, for 5 s and more */
    EXPECT(p->media_n > 5500);
    EXPECT_EQ(platform_counter(p, SHARD_SUBS), SIX * (SIX - 1) * BOT_TRACKS);
    EXPECT_EQ(p->stale, 0);
    EXPECT_EQ(p->relayed, 0);
    EXPECT(platform_empty(p));
    end(p);
}

TEST(six_people_see_and_hear_each_other_over_three_shards)
{
    struct platform_cfg cfg = plain(2, 3);
    struct platform *p = fresh(&cfg);

    seat_all(p, SIX);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT(platform_run(p, 5 * US_PER_SEC));
    EXPECT(platform_settled(p));
    /* 6 x 5 x (25 + 12.5) packets a second, for 5 s and more */
    EXPECT(p->media_n > 5500);
    EXPECT(p->relayed > 0);
    EXPECT_EQ(p->stale, 0);
    EXPECT(platform_exact(p));
    EXPECT(platform_empty(p));
    end(p);
}

TEST(one_seed_gives_one_run)
{
    struct platform_cfg cfg = plain(3, 3);

    cfg.net = (struct netem_cfg){.delay_us = 10000, .jitter_us = 8000, .loss_ppm = 50000};
    cfg.block_ppm = cfg.shed_ppm = 10000;
    uint64_t first = join_and_empty(&cfg);
    EXPECT(join_and_empty(&cfg) == first);
    cfg.seed = 4;
    EXPECT(join_and_empty(&cfg) != first);
}

TEST(rooms_that_ended_leave_no_memory_behind)
{
    struct platform_cfg cfg = plain(5, 2);
    struct platform *p = fresh(&cfg);
    int64_t live[3];

    for (int i = 0; i < 3; i++) {
        seat_all(p, SIX);
        EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
        EXPECT(platform_empty(p));
        live[i] = mem_live();
    }
    EXPECT_EQ(live[1], live[2]); /* the first round grows tables that stay */
    end(p);
}

TEST(everybody_has_everything_under_loss)
{
    static const uint32_t loss_ppm[] = {50000, 200000};

    for (size_t i = 0; i < ARRAY_LEN(loss_ppm); i++) {
        struct platform_cfg cfg = plain(10 + i, 2);
        cfg.net.loss_ppm = loss_ppm[i];
        cfg.net.reorder_ppm = 10000;
        struct platform *p = fresh(&cfg);
        seat_all(p, SIX);
        EXPECT(platform_settle(p, 30 * US_PER_SEC) >= 0);
        EXPECT(platform_run(p, 10 * US_PER_SEC));
        platform_net(p, &(struct netem_cfg){.delay_us = 20000});
        EXPECT(platform_settle(p, 3 * US_PER_SEC) >= 0);
        EXPECT(platform_empty(p));
        end(p);
    }
}

TEST(a_bot_is_back_after_eight_seconds_of_silence)
{
    struct platform_cfg cfg = plain(20, 2);
    struct platform *p = fresh(&cfg);

    seat_all(p, 4);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    platform_silence(p, 1, 8 * US_PER_SEC);
    EXPECT(platform_run(p, 4 * US_PER_SEC));
    EXPECT(!platform_settled(p));
    EXPECT(platform_run(p, 4 * US_PER_SEC));
    us_t took = platform_settle(p, 5 * US_PER_SEC);
    EXPECT(took >= 0);
    EXPECT_EQ(p->origin_n, 4); /* nobody joined anew */
    EXPECT(platform_empty(p));
    end(p);
}

TEST(a_bot_whose_address_changes_goes_on)
{
    struct platform_cfg cfg = plain(21, 2);
    struct platform *p = fresh(&cfg);

    seat_all(p, 4);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    for (uint32_t i = 0; i < 4; i++) {
        platform_rebind(p, i);
        EXPECT(platform_run(p, 1700 * US_PER_MS));
        EXPECT(platform_settle(p, 3 * US_PER_SEC) >= 0);
    }
    EXPECT_EQ(p->origin_n, 4);
    EXPECT(platform_empty(p));
    end(p);
}

TEST(a_muted_track_is_silent_and_comes_back)
{
    struct platform_cfg cfg = plain(22, 2);
    struct platform *p = fresh(&cfg);

    seat_all(p, 4);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    for (uint32_t t = 0; t < BOT_TRACKS; t++) {
        bot_mute(&p->seat[0].bot, t, true);
        EXPECT(platform_run(p, 3 * US_PER_SEC));
        for (uint32_t i = 0; i < p->seat[1].bot.heard_n; i++) {
            const struct bot_heard *h = &p->seat[1].bot.heard[i];
            if (strcmp(h->sid, p->seat[0].bot.out[t].sid) == 0)
                EXPECT(p->now - h->heard_at > 2 * US_PER_SEC);
        }
        bot_mute(&p->seat[0].bot, t, false);
        EXPECT(platform_run(p, US_PER_SEC / 2));
        EXPECT(platform_settle(p, 2 * US_PER_SEC) >= 0);
    }
    EXPECT(platform_empty(p));
    end(p);
}

/* Its mirrors on other shards were opened as muted and stayed so. */
TEST(who_joins_while_a_track_is_muted_hears_it_later)
{
    struct platform_cfg cfg = plain(25, 2);
    struct platform *p = fresh(&cfg);

    seat_all(p, 2);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    for (uint32_t t = 0; t < BOT_TRACKS; t++)
        bot_mute(&p->seat[0].bot, t, true);
    EXPECT(platform_run(p, US_PER_SEC / 2)); /* the server knows when the next ones come */
    seat_all(p, 2);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    for (uint32_t t = 0; t < BOT_TRACKS; t++)
        bot_mute(&p->seat[0].bot, t, false);
    EXPECT(platform_settle(p, 2 * US_PER_SEC) >= 0);
    EXPECT(p->relayed > 0);
    EXPECT(platform_empty(p));
    end(p);
}

TEST(who_is_removed_is_gone_for_the_others)
{
    struct platform_cfg cfg = plain(23, 3);
    struct platform *p = fresh(&cfg);

    seat_all(p, SIX);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT_EQ(platform_kick(p, 2), 200);
    EXPECT(platform_run(p, US_PER_SEC));
    EXPECT_EQ(platform_count(p), SIX - 1);
    EXPECT(platform_settle(p, US_PER_SEC) >= 0);
    EXPECT(platform_exact(p));
    for (uint32_t i = 3; i < SIX; i++) /* until one shard is left */
        EXPECT_EQ(platform_kick(p, i), 200);
    EXPECT(platform_run(p, US_PER_SEC));
    EXPECT(platform_settle(p, US_PER_SEC) >= 0);
    EXPECT(platform_exact(p));
    EXPECT(platform_empty(p));
    end(p);
}

TEST(a_deleted_room_ends_for_everybody_and_its_name_is_free_again)
{
    struct platform_cfg cfg = plain(51, 2);
    struct platform *p = fresh(&cfg);

    seat_all(p, 4);
    (void)platform_join(p, 1, false);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT_EQ(platform_delete_room(p, 0), 200);
    EXPECT(platform_run(p, US_PER_SEC));
    EXPECT_EQ(platform_count(p), 1); /* the other room's */
    EXPECT_EQ(platform_counter(p, SHARD_SUBS), 0);
    EXPECT_EQ(platform_delete_room(p, 0), 404);
    seat_all(p, 3);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT(platform_empty(p));
    end(p);
}

TEST(who_loses_the_socket_hears_on_and_resumes)
{
    for (uint64_t seed = 52; seed < 55; seed++) {
        struct platform_cfg cfg = plain(seed, 2);
        struct platform *p = fresh(&cfg);

        p->resumes = true;
        seat_all(p, 4);
        EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
        platform_cut_socket(p, 1, 2 * US_PER_SEC);
        for (int i = 0; i < 19; i++) { /* media never stops; bots are strict about gaps */
            EXPECT(platform_run(p, 100 * US_PER_MS));
            EXPECT(platform_settled(p));
        }
        EXPECT(platform_run(p, US_PER_SEC));
        EXPECT_EQ(p->seat[1].bot.resumed_n, 1);
        EXPECT(platform_settled(p));
        EXPECT(platform_run(p, 5 * US_PER_SEC));
        EXPECT(platform_settled(p));
        EXPECT(platform_exact(p));
        EXPECT(platform_empty(p));
        end(p);
    }
}

TEST(who_was_away_learns_of_those_who_came_and_went)
{
    struct platform_cfg cfg = plain(56, 2);
    struct platform *p = fresh(&cfg);

    p->resumes = true;
    seat_all(p, 3);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    platform_cut_socket(p, 0, 3 * US_PER_SEC);
    EXPECT(platform_run(p, 500 * US_PER_MS));
    platform_leave(p, 1);
    EXPECT(platform_run(p, 500 * US_PER_MS));
    (void)platform_join(p, 0, false);
    (void)platform_join(p, 0, false);
    EXPECT(platform_run(p, US_PER_SEC));
    EXPECT(!platform_settled(p)); /* nobody could tell it */
    EXPECT(platform_run(p, 2 * US_PER_SEC));
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT_EQ(p->seat[0].bot.resumed_n, 1);
    EXPECT(platform_exact(p));
    EXPECT(platform_empty(p));
    end(p);
}

/* Everybody knows who speaks, and of nobody else. */
static bool all_know_speakers(const struct platform *p)
{
    for (uint32_t i = 0; i < p->seat_n; i++) {
        uint32_t loud = 0;
        for (uint32_t k = 0; k < p->seat_n; k++) {
            const struct bot *of = &p->seat[k].bot;
            loud += of->loud;
            if (bot_hears_speak(&p->seat[i].bot, of->sid) != of->loud)
                return false;
        }
        if (p->seat[i].bot.speaking_n != loud)
            return false;
    }
    return true;
}

TEST(speakers_are_known_to_all_and_silence_too)
{
    struct platform_cfg cfg = plain(57, 3);
    struct platform *p = fresh(&cfg);

    seat_all(p, SIX);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT(all_know_speakers(p));
    bot_speak(&p->seat[2].bot, true);
    EXPECT(platform_run(p, 2 * US_PER_SEC));
    EXPECT(all_know_speakers(p));
    bot_speak(&p->seat[5].bot, true);
    bot_speak(&p->seat[2].bot, false);
    EXPECT(platform_run(p, 3 * US_PER_SEC));
    EXPECT(all_know_speakers(p));
    bot_mute(&p->seat[5].bot, 0, true); /* a muted voice is none */
    p->seat[5].bot.loud = false;
    EXPECT(platform_run(p, 3 * US_PER_SEC));
    EXPECT(all_know_speakers(p));
    EXPECT(platform_empty(p));
    end(p);
}

TEST(two_rooms_do_not_mix)
{
    struct platform_cfg cfg = plain(24, 2);
    struct platform *p = fresh(&cfg);
    struct node_counts c;

    for (uint32_t i = 0; i < 8; i++)
        (void)platform_join(p, i % 2, false);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    node_get_counts(p->node, &c);
    EXPECT_EQ(c.rooms, 2);
    EXPECT_EQ(platform_counter(p, SHARD_SUBS) <= 2 * 4 * 3 * BOT_TRACKS + 12 * BOT_TRACKS, true);
    EXPECT(platform_run(p, 3 * US_PER_SEC));
    EXPECT(platform_empty(p));
    end(p);
}

TEST(messages_reach_everybody_else_in_order)
{
    struct platform_cfg cfg = plain(26, 2);

    cfg.net.loss_ppm = 50000;
    struct platform *p = fresh(&cfg);
    seat_all(p, 4);
    (void)platform_join(p, 1, false);
    EXPECT(platform_settle(p, 20 * US_PER_SEC) >= 0);
    EXPECT(platform_run(p, US_PER_SEC)); /* channels are open */
    for (int n = 0; n < 50; n++) {
        for (uint32_t i = 0; i < 5; i++)
            bot_say(&p->seat[i].bot, n % 5 != 0, p->now);
        EXPECT(platform_run(p, 20 * US_PER_MS));
    }
    EXPECT(platform_run(p, 5 * US_PER_SEC));
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_EQ(p->seat[i].bot.data_n[true], 3 * 40);
        EXPECT(p->seat[i].bot.data_n[false] > 10 && p->seat[i].bot.data_n[false] <= 3 * 10);
    }
    EXPECT_EQ(p->seat[4].bot.data_n[true] + p->seat[4].bot.data_n[false], 0);
    EXPECT(platform_empty(p));
    end(p);
}

TEST(who_comes_again_takes_the_place_of_himself)
{
    struct platform_cfg cfg = plain(27, 2);
    struct platform *p = fresh(&cfg);

    seat_all(p, 3);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    for (int i = 0; i < 5; i++) {
        (void)platform_join_as(p, 0, "Twin");
        EXPECT(platform_run(p, (us_t)i * 70 * US_PER_MS));
    }
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT_EQ(platform_count(p), 4);
    EXPECT_EQ(platform_counter(p, SHARD_PEERS), 4);
    EXPECT(platform_empty(p));
    end(p);
}

TEST(a_hostile_bot_disturbs_nobody)
{
    for (uint64_t seed = 30; seed < 33; seed++) {
        struct platform_cfg cfg = plain(seed, 2);
        struct platform *p = fresh(&cfg);
        seat_all(p, 4);
        EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
        for (int i = 0; i < 20; i++) {
            if (platform_count(p) == 4)
                (void)platform_join(p, 0, true);
            EXPECT(platform_run(p, US_PER_SEC));
            if (!platform_settled(p))
                platform_explain(p);
            EXPECT(platform_settled(p));
        }
        EXPECT(platform_empty(p));
        end(p);
    }
}

TEST(full_rings_delay_and_lose_nothing_that_matters)
{
    struct platform_cfg cfg = plain(40, 3);
    struct platform *p;

    cfg.block_ppm = 300000;
    cfg.ring_us = 3000;
    p = fresh(&cfg);
    seat_all(p, SIX);
    EXPECT(platform_settle(p, 8 * US_PER_SEC) >= 0);
    EXPECT(p->blocks > 10);
    EXPECT_EQ(p->stale, 0);
    EXPECT(platform_empty(p));
    end(p);
    cfg.shed_ppm = 100000;
    p = fresh(&cfg);
    seat_all(p, SIX);
    EXPECT(platform_settle(p, 15 * US_PER_SEC) >= 0);
    EXPECT(platform_run(p, 5 * US_PER_SEC));
    EXPECT(platform_settled(p));
    EXPECT(p->sheds > 100);
    EXPECT(platform_empty(p));
    end(p);
}

/* --- churn --- */

enum { CHURN_SEATS = 7 };

static void churn_once(struct platform *p, struct rng *rng)
{
    uint32_t i = (uint32_t)rng_below(rng, p->seat_n);
    bool there = p->seat[i].state == SEAT_OPEN && p->seat[i].bot.connected;

    if (platform_count(p) < 2 || (platform_count(p) < CHURN_SEATS && rng_below(rng, 3) == 0)) {
        if (rng_below(rng, 6) == 0)
            (void)platform_join_as(p, (uint32_t)rng_below(rng, 2), "Twin");
        else
            (void)platform_join(p, (uint32_t)rng_below(rng, 2), false);
        return;
    }
    switch (rng_below(rng, 11)) {
    case 0:
        platform_leave(p, i);
        break;
    case 1:
        platform_cut(p, i);
        break;
    case 2:
        if (there)
            (void)platform_kick(p, i);
        break;
    case 3:
        if (there)
            platform_silence(p, i, (us_t)rng_below(rng, 8 * US_PER_SEC));
        break;
    case 4:
        if (there && p->seat[i].public_addr.port < p->seat[i].port_first + PLATFORM_PORTS - 1)
            platform_rebind(p, i);
        break;
    case 5:
        if (there)
            bot_miss_keys(&p->seat[i].bot, p->now);
        break;
    case 6:
    case 7:
        if (there)
            bot_say(&p->seat[i].bot, rng_below(rng, 4) > 0, p->now);
        break;
    default:
        if (there)
            bot_mute(&p->seat[i].bot, (uint32_t)rng_below(rng, BOT_TRACKS), rng_below(rng, 2) > 0);
    }
}

static void churn(uint64_t seed, us_t span)
{
    struct rng rng = rng_seed(seed);
    struct platform_cfg cfg = plain(seed, 1 + (uint32_t)rng_below(&rng, 3));

    cfg.net.loss_ppm = (uint32_t)rng_below(&rng, 3) * 25000;
    cfg.net.jitter_us = (us_t)rng_below(&rng, 2) * 10000;
    cfg.ring_us = (us_t)rng_below(&rng, 5000);
    cfg.block_ppm = (uint32_t)rng_below(&rng, 2) * 50000;
    cfg.shed_ppm = (uint32_t)rng_below(&rng, 2) * 1000;
    struct platform *p = fresh(&cfg);
    us_t until = p->now + span;
    (void)platform_join(p, 0, false);
    while (p->now < until) {
        churn_once(p, &rng);
        EXPECT(platform_run(p, (us_t)rng_below(&rng, 800 * US_PER_MS)));
    }
    EXPECT(platform_run(p, 8 * US_PER_SEC)); /* silences end */
    EXPECT(platform_settle(p, 60 * US_PER_SEC) >= 0);
    struct node_counts c;
    do { /* of who was cut off alone in his room nobody knows but the server */
        EXPECT(platform_run(p, US_PER_SEC));
        node_get_counts(p->node, &c);
    } while (c.members > platform_count(p) && p->now < until + 70 * US_PER_SEC);
    EXPECT(platform_exact(p));
    EXPECT(platform_empty(p));
    end(p);
}

/* SIM_SEEDS=N: a tenth as many instead (make soak; one takes a second); SIM_SEED=N: that one. */
TEST(guests_come_and_go_at_random)
{
    const char *n = getenv("SIM_SEEDS"), *one = getenv("SIM_SEED");
    uint64_t first = 100, seeds = 12;

    if (n != NULL && str_to_u64(bytes_str(n), UINT64_MAX, &seeds))
        seeds = (seeds + 9) / 10;
    if (one != NULL && str_to_u64(bytes_str(one), UINT64_MAX, &first))
        seeds = 1;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        churn(seed, 20 * US_PER_SEC);
}

/* One answer names all tracks; their events outnumber the client's queue. */
TEST(a_newcomer_learns_of_seventy_tracks_at_once)
{
    struct platform_cfg cfg = plain(51, 1);
    struct platform *p = fresh(&cfg);

    p->deaf = true;
    for (uint32_t i = 0; i < 35; i++)
        (void)platform_join(p, 0, false);
    EXPECT(platform_settle(p, 10 * US_PER_SEC) >= 0);
    p->deaf = false;
    (void)platform_join(p, 0, false);
    EXPECT(platform_settle(p, 5 * US_PER_SEC) >= 0);
    EXPECT(platform_empty(p));
    end(p);
}

/* A minute of CPU: in the soak only. */
TEST(fifty_people_see_and_hear_each_other)
{
    struct platform_cfg cfg = plain(50, 3);

    if (getenv("SIM_SEEDS") == NULL)
        return;
    cfg.peers_per_shard_soft = 17;
    struct platform *p = fresh(&cfg);
    seat_all(p, 50);
    EXPECT(platform_settle(p, 10 * US_PER_SEC) >= 0);
    EXPECT(platform_run(p, 5 * US_PER_SEC));
    EXPECT(platform_settled(p));
    EXPECT_EQ(platform_counter(p, SHARD_SUBS), 50 * 49 * BOT_TRACKS);
    EXPECT(platform_empty(p));
    end(p);
}
