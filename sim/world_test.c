#include "sim/world.h"

#include "base/test.h"

/* A world is large: one at a time, off the stack. */
static struct world the;

static struct world *fresh(const struct world_cfg *cfg)
{
    world_open(&the, cfg);
    return &the;
}

static void end(struct world *w)
{
    EXPECT(w->broken == NULL);
    world_close(w);
    EXPECT_EQ(mem_live(), 0);
}

static bool media_flows(struct world *w, us_t span)
{
    uint64_t before[2] = {w->side[0].media_n, w->side[1].media_n};

    return world_run(w, span) && w->side[0].media_n > before[0] && w->side[1].media_n > before[1];
}

TEST(peers_connect_in_a_few_round_trips)
{
    struct world *w = fresh(&(struct world_cfg){.seed = 1, .net.delay_us = 20000});
    us_t took = world_connect(w, 5 * US_PER_SEC);

    /* check, nomination, two of DTLS 1.2 with cookie exchange or without: 40 ms each, and pacing */
    EXPECT(took > 0 && took <= 300 * US_PER_MS);
    EXPECT(world_run(w, 2 * US_PER_SEC));
    EXPECT(w->side[SERVER].media_n >= 95 && w->side[CLIENT].media_n >= 95);
    EXPECT(w->side[SERVER].assoc_up && w->side[CLIENT].assoc_up);
    end(w);
}

TEST(peers_connect_with_the_server_as_dtls_client)
{
    struct world *w = fresh(&(struct world_cfg){.seed = 2, .server_setup = PEER_SETUP_DTLS_CLIENT});

    EXPECT(world_connect(w, 5 * US_PER_SEC) > 0);
    EXPECT(media_flows(w, US_PER_SEC));
    end(w);
}

TEST(peers_connect_under_five_and_thirty_percent_loss)
{
    static const struct {
        uint32_t loss_ppm;
        us_t limit;
    } row[] = {{50000, 5 * US_PER_SEC}, {300000, 40 * US_PER_SEC}};

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        for (uint64_t seed = 1; seed <= 15; seed++) {
            struct world *w = fresh(&(struct world_cfg){
                .seed = seed,
                .net = {.delay_us = 20000, .loss_ppm = row[i].loss_ppm},
            });
            EXPECT(world_connect(w, row[i].limit) > 0);
            EXPECT(media_flows(w, 3 * US_PER_SEC));
            end(w);
        }
    }
}

TEST(client_hello_in_pieces_backwards_and_doubled_is_understood)
{
    struct world *w =
        fresh(&(struct world_cfg){.seed = 3, .split_hello = true, .net.delay_us = 10000});

    EXPECT(world_connect(w, 3 * US_PER_SEC) > 0);
    EXPECT(media_flows(w, US_PER_SEC));
    end(w);
}

TEST(restart_leaves_no_gap_in_media)
{
    struct world *w = fresh(&(struct world_cfg){.seed = 4, .net.delay_us = 20000});

    EXPECT(world_connect(w, 3 * US_PER_SEC) > 0);
    EXPECT(world_run(w, US_PER_SEC));
    world_mark(w);
    for (int i = 0; i < 4; i++) {
        world_restart(w, 100 * US_PER_MS);
        EXPECT(world_run(w, 3 * US_PER_SEC));
    }
    EXPECT(world_connected(w));
    EXPECT(w->side[SERVER].gap_us <= 2 * WORLD_MEDIA_US);
    EXPECT(w->side[CLIENT].gap_us <= 2 * WORLD_MEDIA_US);
    end(w);
}

TEST(a_changed_address_is_followed_within_two_seconds)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = fresh(&(struct world_cfg){.seed = seed, .net.delay_us = 20000});

        EXPECT(world_connect(w, 3 * US_PER_SEC) > 0);
        EXPECT(world_run(w, US_PER_SEC + (us_t)seed * 170000));
        world_mark(w);
        world_rebind(w);
        EXPECT(world_run(w, 3 * US_PER_SEC));
        EXPECT(world_connected(w));
        EXPECT(w->side[CLIENT].gap_us <= 2 * US_PER_SEC);
        EXPECT(addr_eq(&peer_path(w->side[SERVER].peer)->remote, &w->public_addr[w->public_n - 1]));
        end(w);
    }
}

TEST(media_is_back_at_once_after_eight_seconds_of_silence)
{
    struct world *w = fresh(&(struct world_cfg){.seed = 6, .net.delay_us = 20000});

    EXPECT(world_connect(w, 3 * US_PER_SEC) > 0);
    EXPECT(world_run(w, US_PER_SEC));
    world_mark(w);
    world_silence(w, 8 * US_PER_SEC);
    EXPECT(world_run(w, 10 * US_PER_SEC));
    EXPECT(w->side[SERVER].gap_us <= 8 * US_PER_SEC + 100 * US_PER_MS);
    EXPECT(w->side[CLIENT].gap_us <= 8 * US_PER_SEC + 100 * US_PER_MS);
    EXPECT(world_connected(w));
    end(w);
}

TEST(data_and_media_are_back_after_twenty_seconds_of_silence)
{
    static const uint8_t message[60000];
    struct world *w = fresh(&(struct world_cfg){.seed = 7, .net.delay_us = 20000});

    EXPECT(world_connect(w, 3 * US_PER_SEC) > 0);
    EXPECT(world_run(w, US_PER_SEC));
    world_silence(w, 20 * US_PER_SEC);
    EXPECT_EQ(world_say(w, CLIENT, bytes_of(message, sizeof message)), 0);
    EXPECT(world_run(w, 20 * US_PER_SEC));
    EXPECT_EQ(w->side[CLIENT].state, PEER_DISCONNECTED);
    EXPECT(world_run(w, 6 * US_PER_SEC));
    EXPECT(world_connected(w));
    EXPECT(media_flows(w, US_PER_SEC));
    EXPECT_EQ(w->side[SERVER].data_bytes, sizeof message);
    end(w);
}

TEST(forty_seconds_of_silence_fail_and_a_restart_revives)
{
    struct world *w = fresh(&(struct world_cfg){.seed = 8, .net.delay_us = 20000});

    EXPECT(world_connect(w, 3 * US_PER_SEC) > 0);
    world_silence(w, 40 * US_PER_SEC);
    EXPECT(world_run(w, 41 * US_PER_SEC));
    EXPECT_EQ(w->side[SERVER].state, PEER_FAILED);
    EXPECT_EQ(w->side[CLIENT].reason, PEER_REASON_SILENT);
    world_restart(w, 100 * US_PER_MS);
    EXPECT(world_run(w, US_PER_SEC));
    EXPECT(world_connected(w));
    EXPECT(media_flows(w, US_PER_SEC));
    end(w);
}

TEST(reordered_doubled_and_damaged_datagrams_do_no_harm)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = fresh(&(struct world_cfg){
            .seed = seed,
            .net = {.delay_us = 10000,
                    .jitter_us = 60000,
                    .reorder_ppm = 50000,
                    .duplicate_ppm = 100000},
        });
        EXPECT(world_connect(w, 20 * US_PER_SEC) > 0);
        world_net(w, &(struct netem_cfg){.delay_us = 10000,
                                         .jitter_us = 60000,
                                         .duplicate_ppm = 100000,
                                         .corrupt_ppm = 50000});
        EXPECT(media_flows(w, 5 * US_PER_SEC));
        EXPECT(world_connected(w));
        EXPECT(w->side[SERVER].media_bad_n > 0);
        end(w);
    }
}

TEST(large_messages_cross_a_lossy_network_both_ways)
{
    static uint8_t message[60000];
    struct world *w = fresh(&(struct world_cfg){
        .seed = 9,
        .net = {.delay_us = 20000, .loss_ppm = 50000},
    });
    uint32_t sum = 0;

    EXPECT(world_connect(w, 10 * US_PER_SEC) > 0);
    for (int i = 0; i < 10; i++) {
        rng_fill(&w->rng, message, sizeof message);
        for (size_t k = 0; k < sizeof message; k++)
            sum = sum * 31 + message[k];
        EXPECT_EQ(world_say(w, SERVER, bytes_of(message, sizeof message)), 0);
        EXPECT_EQ(world_say(w, CLIENT, bytes_of(message, sizeof message)), 0);
    }
    EXPECT(world_run(w, 60 * US_PER_SEC));
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(w->side[i].data_n, 10);
        EXPECT_EQ(w->side[i].data_bytes, 600000);
        EXPECT_EQ(w->side[i].data_sum, sum);
    }
    end(w);
}

TEST(an_attacker_neither_stops_nor_moves_nor_hears_anything)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct world *w = fresh(&(struct world_cfg){
            .seed = seed,
            .hostile = true,
            .net = {.delay_us = 20000, .jitter_us = 5000, .loss_ppm = 20000},
        });
        struct peer_stats st;

        EXPECT(world_connect(w, 10 * US_PER_SEC) > 0);
        world_mark(w);
        EXPECT(media_flows(w, 10 * US_PER_SEC));
        EXPECT(world_connected(w));
        EXPECT(w->side[CLIENT].gap_us < 300 * US_PER_MS);
        EXPECT(w->side[SERVER].gap_us < 300 * US_PER_MS);
        EXPECT_EQ(w->to_attacker, 0);
        EXPECT(w->attacks > 2000);
        peer_get_stats(w->side[SERVER].peer, &st);
        EXPECT(st.drop_unauthenticated > 100 && st.drop_malformed > 0);
        end(w);
    }
}

static uint64_t whole_run(uint64_t seed)
{
    static const uint8_t message[20000];
    struct world *w = fresh(&(struct world_cfg){
        .seed = seed,
        .hostile = true,
        .net = {.delay_us = 20000, .jitter_us = 20000, .loss_ppm = 100000, .duplicate_ppm = 10000},
    });

    (void)world_connect(w, 20 * US_PER_SEC);
    EXPECT_EQ(world_say(w, SERVER, bytes_of(message, sizeof message)), 0);
    EXPECT_EQ(world_say(w, CLIENT, bytes_of(message, sizeof message)), 0);
    EXPECT(world_run(w, 2 * US_PER_SEC));
    world_restart(w, 50 * US_PER_MS);
    world_rebind(w);
    EXPECT(world_run(w, 5 * US_PER_SEC));
    uint64_t hash = world_hash(w);
    end(w);
    return hash;
}

TEST(one_seed_is_one_run)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        EXPECT_EQ(whole_run(seed), whole_run(seed));
    EXPECT(whole_run(1) != whole_run(2));
}

/* Whatever the network does, when it is well again media flows. */
TEST(random_networks_heal)
{
    for (uint64_t seed = 100; seed < 130; seed++) {
        struct rng dice = rng_seed(seed);
        struct world *w = fresh(&(struct world_cfg){
            .seed = seed,
            .hostile = rng_below(&dice, 2) != 0,
            .split_hello = rng_below(&dice, 2) != 0,
            .net = {.delay_us = (us_t)rng_below(&dice, 200000),
                    .jitter_us = (us_t)rng_below(&dice, 100000),
                    .loss_ppm = (uint32_t)rng_below(&dice, 200000),
                    .burst = (uint32_t)rng_below(&dice, 5),
                    .duplicate_ppm = (uint32_t)rng_below(&dice, 50000)},
        });
        EXPECT(world_connect(w, 50 * US_PER_SEC) > 0);
        for (int i = 0; i < 4; i++) {
            switch (rng_below(&dice, 3)) {
            case 0:
                world_rebind(w);
                break;
            case 1:
                world_silence(w, (us_t)rng_below(&dice, 9000000));
                break;
            default:
                world_restart(w, 100 * US_PER_MS);
                break;
            }
            EXPECT(world_run(w, (us_t)rng_below(&dice, 12000000)));
        }
        world_net(w, &(struct netem_cfg){.delay_us = 20000});
        EXPECT(world_run(w, 12 * US_PER_SEC));
        EXPECT(world_connected(w));
        EXPECT(media_flows(w, US_PER_SEC));
        end(w);
    }
}
