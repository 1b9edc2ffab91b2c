#include "signal/negotiate.h"

#include "signal/signal_test.h"
#include "wire/pb.h"

/* Sections that the next requirement for this connection asks for; -1: none was said. */
static int asked_for(struct hub *hub, uint64_t conn)
{
    const struct outbox_item *it;
    int n = -1;

    while ((it = outbox_next(&hub->out)) != NULL) {
        struct arena a;
        if (it->kind != OUTBOX_SEND || it->conn != conn)
            continue;
        arena_init(&a, 1 << 22);
        Livekit__SignalResponse *m = pb_unpack(&a, &livekit__signal_response__descriptor,
                                               bytes_of(it->frame->data, it->frame->len));
        EXPECT(m != NULL);
        if (m->message_case == LIVEKIT__SIGNAL_RESPONSE__MESSAGE_MEDIA_SECTIONS_REQUIREMENT)
            n = (int)(m->media_sections_requirement->num_audios +
                      m->media_sections_requirement->num_videos);
        arena_fini(&a);
    }
    return n;
}

TEST(sections_are_asked_for_up_to_what_a_description_may_hold_and_then_no_more)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct hub *hub = open_hub();

    struct session *bob = join(hub, 1, "bob");
    for (uint64_t i = 0; i < ARRAY_LEN(names); i++) {
        struct session *s = join(hub, 2 + i, names[i]);
        for (int k = 0; k < ROOM_PUBS_MAX; k++)
            publish(s);
    }
    EXPECT_EQ(bob->member->sub_n, ARRAY_LEN(names) * ROOM_PUBS_MAX);
    drain_outbox(hub);
    bob->pc[PC_PUBLISHER].peer =
        plane_take(&hub->house.plane, 0, PLANE_PEER, &bob->pc[PC_PUBLISHER], 0, 0);
    room_touch(bob->member->room);
    hub_tick(hub);
    EXPECT_EQ(asked_for(hub, 1), SDP_MEDIA_MAX - ROOM_PUBS_MAX);
    hub->house.tick.now += US_PER_SEC;
    room_touch(bob->member->room);
    hub_tick(hub);
    EXPECT_EQ(asked_for(hub, 1), -1);
    hub_free(hub);
}
