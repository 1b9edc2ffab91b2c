#include "signal/request.h"

#include "base/mem.h"
#include "signal/signal_test.h"
#include "wire/pb.h"

static void say(struct session *s, const Livekit__SignalRequest *r)
{
    struct str raw;

    str_init(&raw, 1 << 16);
    pb_pack(&r->base, &raw);
    EXPECT(request_message(s, false, str_bytes(&raw)));
    str_fini(&raw);
}

static void simulate(struct session *s, Livekit__SimulateScenario__ScenarioCase which, int32_t n)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__SimulateScenario sim = LIVEKIT__SIMULATE_SCENARIO__INIT;

    sim.scenario_case = which;
    if (which == LIVEKIT__SIMULATE_SCENARIO__SCENARIO_SPEAKER_UPDATE)
        sim.speaker_update = n;
    else
        sim.node_failure = true;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SIMULATE;
    r.simulate = &sim;
    say(s, &r);
}

#define SCENARIO(word) LIVEKIT__SIMULATE_SCENARIO__SCENARIO_##word

TEST(a_simulated_speaker_is_heard_by_itself_and_falls_silent)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann");
    Livekit__SignalResponse *m;
    struct arena a;

    arena_init(&a, 1 << 22);
    drain_outbox(hub);
    simulate(ann, SCENARIO(SPEAKER_UPDATE), 2);
    hub_tick(hub);
    m = next_to(hub, 1, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SPEAKERS_CHANGED, &a);
    EXPECT(m != NULL && m->speakers_changed->speakers[0]->active);
    hub->house.tick.now += 3 * US_PER_SEC;
    hub_tick(hub);
    m = next_to(hub, 1, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SPEAKERS_CHANGED, &a);
    EXPECT(m != NULL && !m->speakers_changed->speakers[0]->active);
    arena_fini(&a);
    hub_free(hub);
}

TEST(a_simulated_server_leave_says_shutdown_and_a_node_failure_nothing)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann"), *bob = join(hub, 2, "bob");
    Livekit__SignalResponse *m;
    struct arena a;

    arena_init(&a, 1 << 22);
    drain_outbox(hub);
    simulate(ann, SCENARIO(SERVER_LEAVE), 0);
    m = next_to(hub, 1, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_LEAVE, &a);
    EXPECT(m != NULL);
    EXPECT_EQ(m->leave->reason, LIVEKIT__DISCONNECT_REASON__SERVER_SHUTDOWN);
    EXPECT_EQ(m->leave->action, LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
    simulate(bob, SCENARIO(NODE_FAILURE), 0);
    EXPECT(next_to(hub, 2, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_LEAVE, &a) == NULL);
    EXPECT_EQ(hub->session_n, 0);
    hub_tick(hub);
    arena_fini(&a);
    hub_free(hub);
}

TEST(a_simulated_cut_on_resume_ends_the_next_socket_and_spares_the_one_after)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann");

    /* Connected, so that the loss of the socket is survived. */
    ann->pc[PC_PUBLISHER].peer =
        plane_take(&hub->house.plane, 0, PLANE_PEER, &ann->pc[PC_PUBLISHER], 0, 0);
    ann->pc[PC_PUBLISHER].ever_connected = true;
    simulate(ann, SCENARIO(DISCONNECT_SIGNAL_ON_RESUME), 0);
    hub_closed(hub, 1);
    EXPECT_EQ(ann->conn, 0);
    resume_as(hub, 2, "ann");
    EXPECT_EQ(ann->conn, 0);
    resume_as(hub, 3, "ann");
    EXPECT_EQ(ann->conn, 3);
    EXPECT_EQ(hub->session_n, 1);
    hub_free(hub);
}

TEST(scenarios_that_are_not_ours_change_nothing)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann");

    simulate(ann, SCENARIO(MIGRATION), 0);
    simulate(ann, SCENARIO(LEAVE_REQUEST_FULL_RECONNECT), 0);
    EXPECT(!ann->ended);
    hub_free(hub);
}

/* How many commands of this kind wait for the shard; takes them. */
static uint32_t take_commands(struct hub *hub, uint32_t kind, bool *muted)
{
    const struct cmd *c;
    uint32_t n = 0;
    uint8_t shard;

    while ((c = plane_head(&hub->house.plane, &shard)) != NULL) {
        if (c->kind == kind) {
            n++;
            *muted = c->track_set.muted;
        }
        plane_pop(&hub->house.plane, shard);
    }
    return n;
}

TEST(a_mute_that_the_shard_had_no_room_for_is_told_later)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann");
    bool muted = false;

    publish(ann);
    (void)take_commands(hub, 0, &muted);
    struct plane_shard *sh = &hub->house.plane.shard[0];
    sh->queued_n += PLANE_QUEUE_MAX; /* as if so many waited */
    pub_set_muted(ann->member->pubs, true);
    hub_tick(hub);
    sh->queued_n -= PLANE_QUEUE_MAX;
    EXPECT_EQ(take_commands(hub, CMD_TRACK_SET, &muted), 0);
    hub->house.tick.now += PUB_SETTLE_US;
    EXPECT(hub_deadline(hub) <= hub->house.tick.now);
    hub_tick(hub);
    EXPECT_EQ(take_commands(hub, CMD_TRACK_SET, &muted), 1);
    EXPECT(muted);
    hub->house.tick.now += US_PER_SEC;
    room_touch(ann->member->room);
    hub_tick(hub);
    EXPECT_EQ(take_commands(hub, CMD_TRACK_SET, &muted), 0);
    hub_free(hub);
}

TEST(a_mute_taken_back_before_the_shard_had_room_is_no_command_at_all)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann");
    bool muted = false;

    publish(ann);
    (void)take_commands(hub, 0, &muted);
    struct plane_shard *sh = &hub->house.plane.shard[0];
    sh->queued_n += PLANE_QUEUE_MAX;
    pub_set_muted(ann->member->pubs, true);
    pub_set_muted(ann->member->pubs, false);
    sh->queued_n -= PLANE_QUEUE_MAX;
    hub->house.tick.now += US_PER_SEC;
    hub_tick(hub);
    EXPECT_EQ(take_commands(hub, CMD_TRACK_SET, &muted), 0);
    hub_free(hub);
}
