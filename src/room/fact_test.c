#include "room/fact.h"

#include "base/test.h"
#include "room/pub.h"

static void open_house(struct house *h, bool facts)
{
    const struct house_cfg cfg = {
        .seed = 7, .shard_n = 1, .empty_timeout_s = 300, .departure_timeout_s = 20, .facts = facts};

    house_init(h, &cfg);
    h->tick = (struct tick){.now = US_PER_SEC, .wall_off_us = 1700000000 * US_PER_SEC};
}

static struct room *make_room(struct house *h)
{
    struct room *r = NULL;

    EXPECT_EQ(house_create(h, "demo", &r), 0);
    return r;
}

static struct member *make_member(struct room *r, const char *identity)
{
    struct member_cfg cfg = {.identity = identity, .name = "", .metadata = "{}"};
    struct member *m = NULL;

    cfg.grant = (struct grant){.can_subscribe = true, .can_publish = true};
    EXPECT_EQ(room_join(r, &cfg, &m), 0);
    return m;
}

static void publish(struct member *m)
{
    Livekit__AddTrackRequest req = LIVEKIT__ADD_TRACK_REQUEST__INIT;
    struct plane *plane = &m->room->house->plane;
    struct pub *p = NULL;

    req.cid = (char[]){"cid"};
    req.name = (char[]){"microphone"};
    EXPECT_EQ(pub_add(m, &req, &p), 0);
    peer_id peer = plane_take(plane, 0, PLANE_PEER, m, 0, 0);
    const struct pub_codec codec = {.c = {.codec = CODEC_OPUS, .pt = 111}};
    const struct cmd_layer layer = {.ssrc = 1};
    const struct pub_media media = {
        .peer = peer, .mid = "0", .codec = &codec, .codec_n = 1, .layer = &layer, .layer_n = 1};
    EXPECT_EQ(pub_go_live(p, &media), 0);
}

static void expect_next(struct house *h, enum fact_kind kind, const char *identity)
{
    struct fact *f = fact_take(&h->facts);

    EXPECT(f != NULL);
    EXPECT_EQ(f->kind, kind);
    EXPECT_STR(f->room->name, "demo");
    EXPECT((f->member != NULL) == (identity != NULL));
    if (identity != NULL)
        EXPECT_STR(f->member->identity, identity);
    if (kind == FACT_MEMBER_LEFT || kind == FACT_MEMBER_ABORTED)
        EXPECT_EQ(f->member->is_publisher, kind == FACT_MEMBER_LEFT);
    EXPECT((f->track != NULL) == (kind == FACT_TRACK_PUBLISHED || kind == FACT_TRACK_UNPUBLISHED));
    fact_free(f);
}

static void live(struct house *h)
{
    struct room *r = make_room(h);
    struct member *ann = make_member(r, "ann"), *bob = make_member(r, "bob");

    member_set_state(ann, LIVEKIT__PARTICIPANT_INFO__STATE__JOINED);
    member_set_state(ann, LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE);
    member_set_state(ann, LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE);
    publish(ann);
    member_part(bob, LIVEKIT__DISCONNECT_REASON__JOIN_FAILURE);
    member_part(ann, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
    room_close(r);
}

TEST(the_life_of_a_room_leaves_its_facts_in_order)
{
    struct house h;

    open_house(&h, true);
    live(&h);
    expect_next(&h, FACT_ROOM_STARTED, NULL);
    expect_next(&h, FACT_MEMBER_JOINED, "ann");
    expect_next(&h, FACT_TRACK_PUBLISHED, "ann");
    expect_next(&h, FACT_MEMBER_ABORTED, "bob");
    expect_next(&h, FACT_TRACK_UNPUBLISHED, "ann");
    expect_next(&h, FACT_MEMBER_LEFT, "ann");
    expect_next(&h, FACT_ROOM_FINISHED, NULL);
    EXPECT(fact_take(&h.facts) == NULL);
    EXPECT_EQ(h.facts.lost, 0);
    house_fini(&h);
}

TEST(nothing_is_recorded_when_nobody_listens)
{
    struct house h;

    open_house(&h, false);
    live(&h);
    EXPECT(fact_take(&h.facts) == NULL);
    EXPECT_EQ(h.facts.lost, 0);
    house_fini(&h);
}

TEST(facts_that_nobody_takes_end_with_the_house)
{
    int64_t before = mem_live();
    struct house h;

    open_house(&h, true);
    live(&h);
    house_fini(&h);
    EXPECT_EQ(mem_live(), before);
}

TEST(facts_beyond_the_ceiling_are_counted)
{
    struct house h;

    open_house(&h, true);
    for (int i = 0; i < FACTS_MAX / 2 + 10; i++) {
        struct room *r = make_room(&h);
        room_close(r);
        house_reap(&h);
    }
    EXPECT_EQ(h.facts.n, FACTS_MAX);
    EXPECT_EQ(h.facts.lost, 20);
    house_fini(&h);
}

/* A fact is lost as a whole or is there as a whole. */
TEST(facts_survive_each_refused_allocation)
{
    struct house h;

    open_house(&h, true);
    struct room *r = make_room(&h);
    struct member *ann = make_member(r, "ann");
    fact_room_started(r);
    expect_next(&h, FACT_ROOM_STARTED, NULL);
    for (uint64_t nth = 1;; nth++) {
        uint64_t lost = h.facts.lost;
        mem_refuse_nth(nth);
        fact_member(ann, FACT_MEMBER_JOINED);
        mem_refuse_nth(0);
        if (h.facts.lost == lost)
            break;
        EXPECT(h.facts.first == NULL);
        EXPECT(nth < 100);
    }
    expect_next(&h, FACT_MEMBER_JOINED, "ann");
    house_fini(&h);
}
