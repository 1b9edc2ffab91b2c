#include "room/pub.h"

#include "base/mem.h"
#include "base/test.h"
#include "room/dispatch.h"
#include "room/info.h"

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

/* ---- refused memory ---- */

/* Everything that allocates in this layer, once; whatever is refused, the rest goes on. */
static void live_through(struct house *h)
{
    static const struct pub_codec codec = {.c = {.codec = CODEC_OPUS, .pt = 111}};
    static const struct cmd_layer layer = {.ssrc = 7};
    static const struct token_pair attrs[] = {{.key = "a", .value = "1"},
                                              {.key = "b", .value = "2"}};
    struct member_cfg cfg = {.name = "n", .metadata = "m", .attribute = attrs, .attribute_n = 2};
    Livekit__RoomAgentDispatch agent = LIVEKIT__ROOM_AGENT_DISPATCH__INIT, *agents = &agent;
    Livekit__AddTrackRequest req = LIVEKIT__ADD_TRACK_REQUEST__INIT;
    struct room_wish wish = {.metadata = "room", .agent = &agents, .agent_n = 1};
    struct pub_media media = {
        .mid = "0", .codec = &codec, .codec_n = 1, .layer = &layer, .layer_n = 1};
    struct member *ann = NULL, *bob = NULL;
    struct room *r = NULL;
    struct pub *p = NULL;
    struct dispatch *d;

    cfg.grant = (struct grant){.can_subscribe = true, .can_publish = true};
    cfg.auto_subscribe = true;
    if (house_create(h, "demo", &r) != 0)
        return;
    (void)room_apply(r, &wish, true);
    d = dispatch_first(r);
    EXPECT(d == NULL || d->info != NULL);
    cfg.identity = "ann";
    if (room_join(r, &cfg, &ann) != 0)
        EXPECT(room_find(r, "ann") == NULL);
    cfg.identity = "bob";
    if (room_join(r, &cfg, &bob) != 0 || ann == NULL)
        return;
    (void)member_set_attr(ann, "c", "3");
    (void)member_set_name(ann, "other");
    EXPECT(ann->name != NULL);
    if (pub_add(ann, &req, &p) != 0)
        return;
    EXPECT(pub_find_in_room(r, p->info->sid) == p);
    media.peer = plane_take(&h->plane, 0, PLANE_PEER, ann, 0, 0);
    if (pub_go_live(p, &media) != 0) {
        EXPECT_EQ(p->state, PUB_PENDING);
        EXPECT_EQ(p->track, 0);
        return;
    }
    pub_set_muted(p, true);
    struct sub *s = sub_find(bob, p);
    static const struct cmd_pt_map map = {.in_pt = 111, .out_pt = 111};
    struct sub_target target = {.mid = "1", .stream = "s", .pt = &map, .pt_n = 1};
    target.peer = plane_take(&h->plane, 1, PLANE_PEER, bob, 0, 0);
    if (s != NULL && target.peer != 0) {
        sub_choose_ssrc(s, true);
        if (sub_attach(s, &target) != 0)
            EXPECT_EQ(s->id, 0);
    }
    struct arena a;
    arena_init(&a, 1 << 20);
    Livekit__Room *room = info_room(&a, r);
    Livekit__ParticipantInfo *info = info_member(&a, ann);
    EXPECT(room == NULL || room->sid != NULL);
    EXPECT(info == NULL || info->sid != NULL);
    arena_fini(&a);
}

TEST(every_refused_allocation_is_survived_and_nothing_stays_behind)
{
    int64_t live = mem_live();
    uint64_t made = 0;

    for (uint64_t nth = 0; nth == 0 || nth <= made; nth++) {
        struct house_cfg cfg = {.seed = 7, .shard_n = 2, .departure_timeout_s = 20};
        struct house h;

        house_init(&h, &cfg);
        h.tick = (struct tick){.now = US_PER_SEC};
        uint64_t before = mem_made();
        mem_refuse_nth(nth);
        live_through(&h);
        mem_refuse_nth(0);
        if (nth == 0)
            made = mem_made() - before;
        house_fini(&h);
        EXPECT_EQ(mem_live(), live);
    }
    EXPECT(made > 40);
}
