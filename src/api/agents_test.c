#include "api/node_test.h"

#define SERVICE "AgentDispatchService/"

static const char *say(struct fake *f, const char *method, const char *body)
{
    char path[96];

    snprintf(path, sizeof path, SERVICE "%s", method);
    return fake_call(f, path, body, all_grants);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

TEST(a_dispatch_is_said_back_and_listed_beside_the_rooms_own)
{
    struct fake *f = new_fake();
    char id[32] = "", body[128];

    const char *made = say(f, "CreateDispatch",
                           "{\"room\":\"demo\",\"agentName\":\"bob\",\"metadata\":\"m\","
                           "\"attributes\":{\"k\":\"v\"}}");
    EXPECT_EQ(f->c[8].status, 200);
    EXPECT(has(made, "\"agent_name\":\"bob\",\"room\":\"demo\",\"metadata\":\"m\""));
    EXPECT(has(made, "\"state\":{\"jobs\":[],\"created_at\":\"1700001000000000000\","
                     "\"deleted_at\":\"0\"}"));
    EXPECT(has(made, "\"restart_policy\":\"JRP_ON_FAILURE\",\"deployment\":\"\","
                     "\"attributes\":{\"k\":\"v\"}"));
    EXPECT(sscanf(made, "{\"id\":\"%15[A-Za-z0-9_]\"", id) == 1);
    const char *list = say(f, "ListDispatch", "{\"room\":\"demo\"}");
    EXPECT(has(list, "\"agent_name\":\"\"") && has(list, "\"agent_name\":\"bob\""));
    snprintf(body, sizeof body, "{\"room\":\"demo\",\"dispatchId\":\"%s\"}", id);
    list = say(f, "ListDispatch", body);
    EXPECT(!has(list, "\"agent_name\":\"\"") && has(list, "\"agent_name\":\"bob\""));
    EXPECT(has(say(f, "DeleteDispatch", body), id));
    EXPECT_EQ(f->c[8].status, 200);
    EXPECT_STR(say(f, "DeleteDispatch", body),
               "{\"code\":\"not_found\",\"msg\":\"twirp error unknown: dispatch ID not found\"}");
    EXPECT_STR(say(f, "ListDispatch", "{\"room\":\"demo\",\"dispatchId\":\"x\"}"),
               "{\"agent_dispatches\":[]}");
    end_fake(f);
}

TEST(a_room_that_names_its_agents_has_those_alone)
{
    struct fake *f = new_fake();

    (void)call(f, "CreateRoom",
               "{\"name\":\"demo\",\"agents\":[{\"agentName\":\"a1\",\"metadata\":\"m1\"}]}");
    EXPECT_EQ(f->c[8].status, 200);
    const char *list = say(f, "ListDispatch", "{\"room\":\"demo\"}");
    EXPECT(has(list, "\"agent_name\":\"a1\",\"room\":\"demo\",\"metadata\":\"m1\""));
    EXPECT(!has(list, "\"agent_name\":\"\""));
    end_fake(f);
}

TEST(dispatches_are_refused_in_the_originals_words)
{
    struct node_cfg cfg = fake_cfg();
    struct fake *f;
    char body[1200];

    cfg.auto_create = false;
    f = new_fake_with(&cfg);
    EXPECT_STR(say(f, "CreateDispatch", "{\"room\":\"demo\"}"),
               "{\"code\":\"unavailable\",\"msg\":\"twirp error unknown: no response from "
               "servers\"}");
    EXPECT_EQ(f->c[8].status, 503);
    EXPECT(has(say(f, "ListDispatch", "{\"room\":\"demo\"}"), "no response from servers"));
    EXPECT(has(say(f, "ListDispatch", "{\"room\":\"other\"}"), "permissions denied"));
    EXPECT_EQ(f->c[8].status, 401);
    EXPECT(has(say(f, "Nothing", "{}"), "bad_route"));
    EXPECT_EQ(f->c[8].status, 404);
    (void)call(f, "CreateRoom", "{\"name\":\"demo\"}");
    snprintf(body, sizeof body, "{\"room\":\"demo\",\"metadata\":\"%01100d\"}", 0);
    EXPECT(
        has(say(f, "CreateDispatch", body), "twirp error unknown: metadata size exceeds limits"));
    EXPECT_EQ(f->c[8].status, 400);
    for (int i = 0; i < 63; i++) {
        (void)say(f, "CreateDispatch", "{\"room\":\"demo\"}");
        EXPECT_EQ(f->c[8].status, 200);
    }
    (void)say(f, "CreateDispatch", "{\"room\":\"demo\"}");
    EXPECT_EQ(f->c[8].status, 429);
    end_fake(f);
}
