#include "room/pub.h"

#include "base/test.h"

static void open_house(struct house *h)
{
    const struct house_cfg cfg = {
        .seed = 7, .shard_n = 1, .empty_timeout_s = 300, .departure_timeout_s = 20};

    house_init(h, &cfg);
    h->tick = (struct tick){.now = US_PER_SEC, .wall_off_us = 1700000000 * US_PER_SEC};
}

static struct room *make_room(struct house *h)
{
    struct room *r = NULL;

    EXPECT_EQ(house_create(h, "demo", &r), 0);
    return r;
}

static struct member *make_member(struct room *r, const char *identity, bool agent)
{
    struct member_cfg cfg = {.identity = identity, .name = "", .metadata = ""};
    struct member *m = NULL;

    cfg.grant = (struct grant){.can_subscribe = true, .can_publish = true, .agent = agent};
    EXPECT_EQ(room_join(r, &cfg, &m), 0);
    return m;
}

TEST(an_agent_alone_does_not_keep_a_room_open)
{
    struct house h;
    us_t at;

    open_house(&h);
    struct room *r = make_room(&h);
    (void)make_member(r, "agent", true);
    EXPECT(!room_expired(r, &at));
    EXPECT_EQ(at, h.tick.now + 300 * US_PER_SEC);
    struct member *person = make_member(r, "person", false);
    EXPECT(!room_expired(r, &at));
    EXPECT_EQ(at, US_NEVER);
    member_part(person, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
    EXPECT(!room_expired(r, &at));
    EXPECT_EQ(at, h.tick.now + 20 * US_PER_SEC);
    house_fini(&h);
}

TEST(a_room_whose_last_person_became_a_recorder_still_ends)
{
    struct house h;
    us_t at;

    open_house(&h);
    struct room *r = make_room(&h);
    struct member *m = make_member(r, "person", false);
    struct grant g = m->grant;
    g.recorder = true;
    member_set_grant(m, &g);
    EXPECT(!room_expired(r, &at));
    EXPECT_EQ(at, h.tick.now + 20 * US_PER_SEC);
    h.tick.now += 5 * US_PER_SEC;
    member_part(m, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
    h.tick.now += 15 * US_PER_SEC;
    EXPECT(room_expired(r, &at));
    house_fini(&h);
}

TEST(a_recorder_that_became_a_person_keeps_the_room)
{
    struct house h;
    us_t at;

    open_house(&h);
    struct room *r = make_room(&h);
    struct member *m = make_member(r, "agent", true);
    struct grant g = m->grant;
    g.agent = false;
    member_set_grant(m, &g);
    EXPECT(!room_expired(r, &at));
    EXPECT_EQ(at, US_NEVER);
    house_fini(&h);
}

TEST(a_publication_is_found_by_its_sid_while_it_lasts)
{
    Livekit__AddTrackRequest req = LIVEKIT__ADD_TRACK_REQUEST__INIT;
    char sid[ROOM_SID_MAX];
    struct pub *p = NULL;
    struct house h;

    open_house(&h);
    struct room *r = make_room(&h);
    struct member *m = make_member(r, "person", false);
    req.cid = (char *)"cam";
    req.type = LIVEKIT__TRACK_TYPE__VIDEO;
    EXPECT_EQ(pub_add(m, &req, &p), 0);
    EXPECT(str_copy(sid, sizeof sid, bytes_str(p->info->sid)));
    EXPECT(pub_find_in_room(r, sid) == p);
    EXPECT(pub_find_in_room(r, "TR_nobody") == NULL);
    EXPECT(pub_find_in_room(r, "") == NULL);
    pub_end(p);
    EXPECT(pub_find_in_room(r, sid) == NULL);
    house_fini(&h);
}
