#include "api/node_test.h"

TEST(a_bad_token_is_refused_wherever_it_comes_along)
{
    static const char *const paths[] = {"/", "/nothing", "/rtc", "/rtc/validate", "/api/rooms"};
    struct fake *f = new_fake();

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        fake_get(f, 1, paths[i], "", "garbage", false);
        EXPECT_EQ(f->c[1].status, 401);
        EXPECT_STR(f->c[1].body, "invalid authorization token");
        fake_get(f, 1, paths[i], "access_token=garbage", NULL, false);
        EXPECT_EQ(f->c[1].status, 401);
    }
    fake_get(f, 1, "/api/rooms", "", NULL, false);
    EXPECT_EQ(f->c[1].status, 200);
    end_fake(f);
}

static char large[1200];

static void large_name(struct token_claims *c)
{
    c->name = large + 900;
}

static void large_metadata(struct token_claims *c)
{
    c->metadata = large + 100;
}

static void large_attribute(struct token_claims *c)
{
    static struct token_pair one;

    one = (struct token_pair){.key = "k", .value = large + 100};
    c->attribute = &one;
    c->attribute_n = 1;
}

TEST(a_token_beyond_the_limits_is_refused_before_the_101)
{
    static const struct {
        void (*change)(struct token_claims *);
        const char *text;
    } rows[] = {{large_name, "name length exceeds limits"},
                {large_metadata, "metadata size exceeds limits"},
                {large_attribute, "attributes size exceeds limits"}};
    struct fake *f = new_fake();

    memset(large, 'x', sizeof large - 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        f->c[1].status = 0;
        fake_join(f, 1, "alice", NULL, rows[i].change);
        EXPECT_EQ(f->c[1].status, 400);
        EXPECT_STR(f->c[1].body, rows[i].text);
        EXPECT(!f->c[1].accepted);
    }
    end_fake(f);
}

static void with_room_config(struct token_claims *c)
{
    c->room_config = "{\"maxParticipants\":1,\"metadata\":\"hey\",\"emptyTimeout\":33,"
                     "\"agents\":[{\"agentName\":\"a1\"}],\"unknown\":1}";
}

static void with_preset(struct token_claims *c)
{
    c->room_preset = "big";
}

static void with_bad_preset(struct token_claims *c)
{
    c->room_preset = "none";
}

TEST(a_tokens_room_config_makes_the_room_and_changes_no_other)
{
    struct fake *f = new_fake();

    fake_join(f, 1, "alice", NULL, with_room_config);
    const Livekit__Room *r = GOT(&f->c[1], JOIN)->join->room;
    EXPECT_EQ(r->max_participants, 1);
    EXPECT_EQ(r->empty_timeout, 33);
    EXPECT_STR(r->metadata, "hey");
    EXPECT(
        strstr(fake_call(f, "AgentDispatchService/ListDispatch", "{\"room\":\"demo\"}", all_grants),
               "\"agent_name\":\"a1\"") != NULL);
    f->c[2].status = 0;
    fake_join(f, 2, "bob", NULL, NULL);
    EXPECT_EQ(f->c[2].status, 503); /* full */
    end_fake(f);
    f = new_fake();
    fake_join(f, 1, "alice", NULL, NULL);
    fake_join(f, 2, "bob", NULL, with_room_config);
    EXPECT_EQ(GOT(&f->c[2], JOIN)->join->room->max_participants, 0);
    end_fake(f);
}

TEST(a_tokens_preset_makes_the_room_and_must_be_known)
{
    static const struct node_preset presets[] = {
        {.name = "big", .max_participants = 9, .departure_timeout_s = 5, .metadata = "m"}};
    struct node_cfg cfg = fake_cfg();
    struct fake *f;

    cfg.preset = presets;
    cfg.preset_n = 1;
    f = new_fake_with(&cfg);
    fake_join(f, 1, "alice", NULL, with_bad_preset);
    EXPECT_EQ(f->c[1].status, 400);
    EXPECT_STR(f->c[1].body, "unknown room configuration in create room request");
    fake_join(f, 1, "alice", NULL, with_preset);
    const Livekit__Room *r = GOT(&f->c[1], JOIN)->join->room;
    EXPECT_EQ(r->max_participants, 9);
    EXPECT_EQ(r->departure_timeout, 5);
    EXPECT_EQ(r->empty_timeout, 300);
    EXPECT_STR(r->metadata, "m");
    EXPECT(strstr(call(f, "CreateRoom",
                       "{\"name\":\"p\",\"roomPreset\":\"big\",\"maxParticipants\":3}"),
                  "\"max_participants\":3") != NULL);
    EXPECT(strstr(call(f, "CreateRoom", "{\"name\":\"q\",\"roomPreset\":\"none\"}"),
                  "twirp error unknown: unknown room configuration in create room request") !=
           NULL);
    EXPECT_EQ(f->c[8].status, 400);
    end_fake(f);
}

/* Joins as this browser says in its header, and publishes; the answer to that. */
static const Livekit__TrackInfo *publish_as(struct fake *f, const char *user_agent)
{
    char auth[8192];
    struct http_header h[2] = {{"authorization", auth}, {"user-agent", user_agent}};
    struct http_msg m = {.method = "GET",
                         .path = "/rtc",
                         .query = "protocol=17&sdk=js",
                         .header = h,
                         .header_n = 2,
                         .upgrade = true};
    struct str token;

    str_init(&token, 1 << 16);
    fake_token(f, "alice", "demo", NULL, &token);
    snprintf(auth, sizeof auth, "Bearer %s", str_text(&token));
    EXPECT(node_http(f->node, 1, &m, &(struct addr){0}, f->tick));
    str_fini(&token);
    fake_step(f);
    fake_add(f, 1, "cam", true);
    return GOT(&f->c[1], TRACK_PUBLISHED)->track_published->track;
}

TEST(what_a_client_does_not_say_of_itself_its_user_agent_does)
{
    struct fake *f = new_fake();

    const Livekit__TrackInfo *t =
        publish_as(f, "Mozilla/5.0 (OBS-Studio/30.1.2; Windows x86_64; en-US)");
    EXPECT_EQ(t->codecs[0]->video_layer_mode,
              LIVEKIT__VIDEO_LAYER__MODE__ONE_SPATIAL_LAYER_PER_STREAM_INCOMPLETE_RTCP_SR);
    end_fake(f);
    f = new_fake();
    (void)publish_as(f, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0");
    f->c[1].read_n = 0;
    const Livekit__JoinResponse *j = GOT(&f->c[1], JOIN)->join;
    for (size_t i = 0; i < j->n_enabled_publish_codecs; i++)
        EXPECT(strcmp(j->enabled_publish_codecs[i]->mime, "video/H264") != 0);
    end_fake(f);
}
