#include "signal/push.h"

#include "signal/signal_test.h"

static Livekit__ConnectionQualityUpdate *quality_to(struct hub *hub, uint64_t conn, struct arena *a)
{
    Livekit__SignalResponse *m =
        next_to(hub, conn, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_CONNECTION_QUALITY, a);
    return m != NULL ? m->connection_quality : NULL;
}

/* What a shard reports of the first publication. */
static void report(struct hub *hub, const struct pub *p, uint64_t packets, uint32_t lost)
{
    struct evt ev = {.kind = EVT_TRACK_STATS};

    ev.track_stats.track = p->track;
    ev.track_stats.packets = packets;
    ev.track_stats.lost = lost;
    hub_event(hub, &ev);
}

static void window(struct hub *hub)
{
    hub->house.tick.now += PUSH_QUALITY_US;
    hub_tick(hub);
}

TEST(quality_is_told_to_oneself_and_to_who_subscribes_when_its_class_changes)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann"), *bob = join(hub, 2, "bob");
    Livekit__ConnectionQualityUpdate *u;
    struct arena a;

    arena_init(&a, 1 << 22);
    ann->protocol = bob->protocol = 17;
    member_set_state(ann->member, LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE);
    member_set_state(bob->member, LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE);
    publish(ann);
    publish(ann);
    window(hub);
    u = quality_to(hub, 2, &a); /* both are new */
    EXPECT(u != NULL);
    EXPECT_EQ(u->n_updates, 2); /* Ann once, though Bob has two tracks of hers */
    drain_outbox(hub);
    report(hub, ann->member->pubs, 200, 100);
    window(hub);
    u = quality_to(hub, 2, &a);
    EXPECT(u != NULL);
    EXPECT_STR(u->updates[0]->participant_sid, bob->member->sid);
    EXPECT_EQ(u->updates[0]->quality, LIVEKIT__CONNECTION_QUALITY__EXCELLENT);
    EXPECT_STR(u->updates[1]->participant_sid, ann->member->sid);
    EXPECT_EQ(u->updates[1]->quality, LIVEKIT__CONNECTION_QUALITY__POOR);
    drain_outbox(hub);
    report(hub, ann->member->pubs, 400, 200);
    window(hub);
    EXPECT(quality_to(hub, 2, &a) == NULL); /* as before */
    arena_fini(&a);
    hub_free(hub);
}

TEST(a_publisher_of_whom_nothing_comes_is_lost_and_old_clients_hear_poor)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann");
    Livekit__ConnectionQualityUpdate *u;
    struct arena a;

    arena_init(&a, 1 << 22);
    ann->protocol = 17;
    ann->pc[PC_PUBLISHER].peer =
        plane_take(&hub->house.plane, 0, PLANE_PEER, &ann->pc[PC_PUBLISHER], 0, 0);
    member_set_state(ann->member, LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE);
    publish(ann);
    report(hub, ann->member->pubs, 200, 0);
    window(hub);
    drain_outbox(hub);
    window(hub);
    window(hub);
    u = quality_to(hub, 1, &a);
    EXPECT(u != NULL);
    EXPECT_EQ(u->updates[0]->quality, LIVEKIT__CONNECTION_QUALITY__LOST);
    drain_outbox(hub);
    ann->protocol = 10;
    window(hub);
    u = quality_to(hub, 1, &a);
    EXPECT(u != NULL);
    EXPECT_EQ(u->updates[0]->quality, LIVEKIT__CONNECTION_QUALITY__POOR);
    drain_outbox(hub);
    ann->protocol = 17;
    pub_set_muted(ann->member->pubs, true);
    window(hub);
    pub_set_muted(ann->member->pubs, false);
    window(hub); /* what it missed while muted does not count */
    EXPECT_EQ(ann->member->quality, LIVEKIT__CONNECTION_QUALITY__LOST); /* a mute mends nothing */
    report(hub, ann->member->pubs, 400, 0);
    window(hub);
    EXPECT_EQ(ann->member->quality, LIVEKIT__CONNECTION_QUALITY__GOOD);
    arena_fini(&a);
    hub_free(hub);
}

static void loud(struct hub *hub, const struct pub *p, float level)
{
    struct evt ev = {.kind = EVT_TRACK_LEVEL};

    ev.track_level.track = p->track;
    ev.track_level.level = level;
    ev.track_level.active = level > 0;
    hub_event(hub, &ev);
}

TEST(speakers_are_told_to_themselves_and_to_who_hears_them)
{
    struct hub *hub = open_hub();
    struct session *ann = join(hub, 1, "ann"), *bob = join(hub, 2, "bob");
    struct session *cid = join(hub, 3, "cid");
    Livekit__SignalResponse *m;
    struct arena a;

    arena_init(&a, 1 << 22);
    publish(ann);
    publish(bob);
    while (cid->member->subs != NULL)
        sub_end(cid->member->subs);
    drain_outbox(hub);
    loud(hub, ann->member->pubs, 0.4f);
    loud(hub, bob->member->pubs, 0.9f);
    hub_tick(hub);
    m = next_to(hub, 2, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SPEAKERS_CHANGED, &a);
    EXPECT(m != NULL);
    EXPECT_EQ(m->speakers_changed->n_speakers, 2);
    EXPECT_STR(m->speakers_changed->speakers[0]->sid, bob->member->sid);
    EXPECT_EQ(m->speakers_changed->speakers[1]->level * 8, 4); /* up to the next eighth */
    EXPECT(next_to(hub, 3, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SPEAKERS_CHANGED, &a) == NULL);
    loud(hub, ann->member->pubs, 0);
    hub->house.tick.now += PUSH_SPEAKERS_US;
    hub_tick(hub);
    m = next_to(hub, 2, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SPEAKERS_CHANGED, &a);
    EXPECT(m != NULL);
    EXPECT_EQ(m->speakers_changed->n_speakers, 1);
    EXPECT(!m->speakers_changed->speakers[0]->active);
    arena_fini(&a);
    hub_free(hub);
}
