#include "signal/response.h"

#include "signal/signal_test.h"

TEST(a_message_without_room_ends_the_socket_at_the_next_tick_and_not_under_the_caller)
{
    struct hub *hub = open_hub();

    struct session *alice = join(hub, 1, "alice"), *bob = join(hub, 2, "bob");
    publish(alice);
    publish(alice);
    EXPECT_EQ(bob->member->sub_n, 2);
    drain_outbox(hub);
    /* Bob's subscriptions have news, and there is no room to tell. */
    hub->out.waiting_bytes += OUTBOX_BYTES_MAX;
    response_permission(bob, "PA_x", "TR_x", true);
    EXPECT(bob->stalled);
    EXPECT(!bob->ended);
    EXPECT_EQ(bob->member->sub_n, 2);
    hub->out.waiting_bytes -= OUTBOX_BYTES_MAX;
    hub_tick(hub);
    EXPECT(map_find_u64(&hub->by_conn, 2) == NULL);
    EXPECT_EQ(hub->session_n, 1);
    hub_free(hub);
}

TEST(no_room_in_the_middle_of_a_tick_ends_everybody_in_order)
{
    struct hub *hub = open_hub();

    struct session *alice = join(hub, 1, "alice");
    (void)join(hub, 2, "bob");
    publish(alice);
    publish(alice);
    drain_outbox(hub);
    hub->out.waiting_bytes += OUTBOX_BYTES_MAX;
    hub_tick(hub);
    EXPECT_EQ(hub->session_n, 0);
    EXPECT_EQ(hub->house.sub_n, 0);
    hub->out.waiting_bytes -= OUTBOX_BYTES_MAX;
    hub_free(hub);
}
