#include "signal/transport.h"

#include "base/mem.h"
#include "signal/request.h"
#include "signal/rpc.h"
#include "signal/signal_test.h"

enum { SEEN_MAX = 16, TEXT_MAX = 32 };

/* The client's end of one connection's data, on the other side of the shard's queue. */
struct far {
    struct hub *hub;
    struct transport *t;
    struct assoc *assoc;
    struct assoc_event opened[SEEN_MAX];
    uint32_t opened_n, got_n;
    char got[SEEN_MAX][TEXT_MAX];
    uint16_t got_id[SEEN_MAX];
};

static void hear(struct far *f)
{
    struct assoc_event ev;

    while (assoc_event(f->assoc, &ev)) {
        if (ev.kind == ASSOC_EVT_OPEN && f->opened_n < SEEN_MAX)
            f->opened[f->opened_n++] = ev;
        if (ev.kind == ASSOC_EVT_MESSAGE && f->got_n < SEEN_MAX) {
            f->got_id[f->got_n] = ev.id;
            (void)str_copy(f->got[f->got_n++], TEXT_MAX, ev.data); /* ours are short */
        }
    }
}

static void carry(struct far *f)
{
    const struct cmd *c;
    uint8_t shard, buf[ASSOC_PACKET_MAX];

    while ((c = plane_head(&f->hub->house.plane, &shard)) != NULL) {
        if (c->kind == CMD_PEER_DATA && c->peer_data.peer == f->t->peer)
            assoc_input(f->assoc, bytes_of(c->peer_data.data, c->peer_data.len),
                        f->hub->house.tick.now);
        plane_pop(&f->hub->house.plane, shard);
    }
    for (;;) {
        struct wr w = wr_of(buf, sizeof buf);
        if (!assoc_output(f->assoc, &w))
            break;
        transport_data(f->t, wr_done(&w));
    }
    hear(f);
}

static void run(struct far *f, us_t span)
{
    us_t end = f->hub->house.tick.now + span;

    while (f->hub->house.tick.now < end) {
        f->hub->house.tick.now += 5 * US_PER_MS;
        hub_tick(f->hub);
        for (int i = 0; i < 8; i++) {
            transport_drain(f->t);
            carry(f);
        }
        drain_outbox(f->hub);
    }
}

static void connect(struct far *f, struct session *s, int index)
{
    struct evt_peer_state up = {.state = PEER_CONNECTED};

    *f = (struct far){.hub = s->hub, .t = &s->pc[index]};
    up.peer = f->t->peer;
    EXPECT_EQ(assoc_open(&f->assoc, true, s->hub->house.tick.now), 0);
    assoc_start(f->assoc, s->hub->house.tick.now);
    transport_state(f->t, &up);
}

static uint16_t open_channel(struct far *f, const char *label, bool reliable)
{
    struct assoc_channel_cfg cfg = {
        .label = label, .ordered = reliable, .max_retransmits = reliable ? -1 : 0};
    uint16_t id = 0;

    EXPECT_EQ(assoc_channel_open(f->assoc, &cfg, &id), 0);
    return id;
}

static void close_all(struct far *f)
{
    assoc_free(f->assoc);
    hub_free(f->hub);
}

TEST(subtlety_10_two_connections_the_server_opens_three_channels_on_the_subscribers)
{
    static const struct {
        const char *label;
        bool reliable;
    } want[] = {{"_reliable", true}, {"_lossy", false}, {"_data_track", false}};
    struct hub *hub = open_hub();
    struct session *s = join_dual(hub, 1, "ann");
    struct far f;

    hub_tick(hub);
    EXPECT(s->subscriber_primary);
    connect(&f, s, PC_SUBSCRIBER);
    EXPECT_EQ(s->member->state, LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE); /* before any channel */
    transport_deliver(s, true, bytes_str("held"));
    transport_deliver(s, false, bytes_str("dropped"));
    run(&f, US_PER_SEC);
    EXPECT_EQ(f.opened_n, 3);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct assoc_event *ev = &f.opened[i];
        EXPECT_STR(ev->label, want[i].label);
        EXPECT_EQ(ev->ordered, want[i].reliable);
        EXPECT_EQ(ev->reliable, want[i].reliable);
        EXPECT(ev->remote);
    }
    EXPECT_EQ(f.got_n, 1);
    EXPECT_STR(f.got[0], "held");
    EXPECT_EQ(f.got_id[0], f.opened[0].id);
    transport_deliver(s, false, bytes_str("now"));
    run(&f, US_PER_SEC);
    EXPECT_EQ(f.got_n, 2);
    EXPECT_EQ(f.got_id[1], f.opened[1].id);
    close_all(&f);
}

TEST(subtlety_10_one_connection_the_clients_channels_serve_both_ways_when_both_are_open)
{
    struct hub *hub = open_hub();
    struct session *s = join(hub, 1, "ann");
    struct far f;

    s->pc[PC_PUBLISHER].wants_data = true;
    EXPECT_EQ(transport_open(&s->pc[PC_PUBLISHER], false), 0);
    connect(&f, s, PC_PUBLISHER);
    EXPECT_EQ(s->member->state, LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE);
    transport_deliver(s, true, bytes_str("one"));
    uint16_t reliable = open_channel(&f, "_reliable", true);
    run(&f, US_PER_SEC);
    EXPECT_EQ(f.got_n, 0); /* one of the two is not enough */
    transport_deliver(s, true, bytes_str("two"));
    uint16_t lossy = open_channel(&f, "_lossy", false);
    run(&f, US_PER_SEC);
    EXPECT_EQ(f.got_n, 2);
    EXPECT_STR(f.got[0], "one");
    EXPECT_STR(f.got[1], "two");
    EXPECT_EQ(f.got_id[0], reliable);
    for (uint32_t i = 0; i < f.opened_n; i++)
        EXPECT(!f.opened[i].remote); /* the server opens none */
    transport_deliver(s, false, bytes_str("three"));
    run(&f, US_PER_SEC);
    EXPECT_EQ(f.got_id[2], lossy);
    close_all(&f);
}

TEST(what_is_held_for_a_client_without_channels_has_a_ceiling)
{
    struct hub *hub = open_hub();
    struct session *s = join(hub, 1, "ann");
    static char large[10000];

    for (int i = 0; i < 20; i++)
        transport_deliver(s, true, bytes_of(large, sizeof large));
    EXPECT(s->held_bytes <= SESSION_HELD_MAX);
    EXPECT_EQ(hub->data_refused, 10);
    hub_free(hub);
}

/* ---- refused memory ---- */

static void live_through(struct hub *hub)
{
    Livekit__SubscriptionPermission policy = LIVEKIT__SUBSCRIPTION_PERMISSION__INIT;
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    struct session *ann, *bob = try_join(hub, 2, "bob", false);
    struct rpc_result result;

    (void)try_join(hub, 1, "ann", true);
    hub_tick(hub);
    ann = hub_session(hub, 1); /* what found no room for a message has ended */
    if (ann != NULL) {
        Livekit__AddTrackRequest add = LIVEKIT__ADD_TRACK_REQUEST__INIT;
        add.cid = (char *)"cid";
        request_add_track(ann, &add);
        request_add_track(ann, &add); /* waits for the first to end */
        r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SUBSCRIPTION_PERMISSION;
        policy.all_participants = true;
        r.subscription_permission = &policy;
        request_apply(ann, &r);
        if (transport_open(&ann->pc[PC_PUBLISHER], false) != 0)
            EXPECT_EQ(ann->pc[PC_PUBLISHER].peer, 0);
        transport_deliver(ann, true, bytes_str("held"));
        if (rpc_call(hub, ann->member, "m", "p", 0, 9) != 0)
            EXPECT_EQ(hub->rpc_n, 0);
    }
    hub->house.tick.now += US_PER_SEC;
    hub_tick(hub);
    hub_closed(hub, 1);
    if (bob != NULL)
        resume_as(hub, 3, "bob");
    hub_tick(hub);
    while (rpc_result(hub, &result))
        mem_free(result.payload);
}

TEST(every_refused_allocation_is_survived_by_the_hub_and_nothing_stays_behind)
{
    uint64_t made = 0;

    for (uint64_t nth = 0; nth == 0 || nth <= made; nth++) {
        int64_t live = mem_live();
        struct hub *hub = open_hub();
        uint64_t before = mem_made();

        mem_refuse_nth(nth);
        live_through(hub);
        mem_refuse_nth(0);
        if (nth == 0)
            made = mem_made() - before;
        /* Whoever is left can still be served. */
        struct session *eve = join(hub, 4, "eve");
        EXPECT(eve != NULL);
        hub_tick(hub);
        EXPECT(!eve->ended);
        hub_free(hub);
        EXPECT_EQ(mem_live(), live);
    }
    EXPECT(made > 100);
}
