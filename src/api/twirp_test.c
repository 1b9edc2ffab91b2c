#include "api/twirp.h"
#include "base/test.h"

#include "livekit_models.pb-c.h"
#include "livekit_room.pb-c.h"

struct fixture {
    struct http *h;
    struct arena a;
    struct str body;
    struct twirp_call call;
    struct twirp_error err;
    enum twirp_got got;
};

/* One request through the HTTP reader and the router. */
static void route(struct fixture *f, const char *line, const char *type, struct bytes body)
{
    struct str s;
    size_t at = 0;

    *f = (struct fixture){0};
    arena_init(&f->a, 1 << 20);
    str_init(&f->body, 1 << 20);
    str_init(&s, 1 << 20);
    str_printf(&s,
               "%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nX-Twirp-Timeout-Ms: 2500\r\n"
               "Content-Length: %zu\r\n\r\n",
               line, type, body.len);
    if (body.len > 0)
        str_add_bytes(&s, body);
    EXPECT_EQ(http_open(&f->h, HTTP_SERVER), 0);
    while (at < s.len) {
        size_t used;
        enum http_got got = http_input(f->h, bytes_of(s.p + at, s.len - at), &used);
        at += used;
        EXPECT(got == HTTP_BEGUN || got == HTTP_WHOLE);
    }
    str_fini(&s);
    f->got = twirp_route(twirp_rooms, ROOMS_METHODS, http_message(f->h), &f->a, &f->call, &f->err);
}

static void done(struct fixture *f)
{
    http_free(f->h);
    arena_fini(&f->a);
    str_fini(&f->body);
}

static void expect_error(const char *line, const char *type, const char *body, int status,
                         const char *want)
{
    struct fixture f;

    route(&f, line, type, bytes_str(body));
    EXPECT_EQ(f.got, TWIRP_ERROR);
    struct twirp_head head = twirp_refuse(&f.err, &f.body);
    EXPECT_EQ(head.status, status);
    EXPECT_STR(head.content_type, "application/json");
    EXPECT_STR(str_text(&f.body), want);
    done(&f);
}

#define LIST "POST /twirp/livekit.RoomService/ListRooms"

TEST(a_call_in_json_is_answered_in_json)
{
    struct fixture f;

    route(&f, "POST /twirp/livekit.RoomService/CreateRoom", "Application/JSON; charset=utf-8",
          bytes_str("{\"name\":\"demo\",\"emptyTimeout\":10,\"departure_timeout\":\"5\",\"x\":1}"));
    EXPECT_EQ(f.got, TWIRP_CALL);
    EXPECT_EQ(f.call.method->id, ROOMS_CREATE_ROOM);
    EXPECT_EQ(f.call.timeout_ms, 2500);
    const Livekit__CreateRoomRequest *req = (const Livekit__CreateRoomRequest *)f.call.request;
    EXPECT_STR(req->name, "demo");
    EXPECT(req->empty_timeout == 10 && req->departure_timeout == 5);

    Livekit__Room *room = pb_new(&f.a, &livekit__room__descriptor);
    room->name = req->name;
    struct twirp_head head = twirp_answer(&f.call, &room->base, &f.body);
    EXPECT_EQ(head.status, 200);
    EXPECT_STR(head.content_type, "application/json");
    EXPECT(strstr(str_text(&f.body), "\"name\":\"demo\",\"empty_timeout\":0,") != NULL);
    EXPECT(strstr(str_text(&f.body), "\"version\":null") != NULL);
    done(&f);
}

TEST(a_call_in_protobuf_is_answered_in_protobuf)
{
    struct fixture f;

    route(&f, "POST /twirp/livekit.RoomService/DeleteRoom", "application/protobuf",
          test_hex("0a0464656d6f"));
    EXPECT_EQ(f.got, TWIRP_CALL);
    EXPECT_EQ(f.call.method->id, ROOMS_DELETE_ROOM);
    EXPECT_STR(((const Livekit__DeleteRoomRequest *)f.call.request)->room, "demo");
    struct twirp_head head = twirp_answer(&f.call, NULL, &f.body);
    EXPECT_EQ(head.status, 200);
    EXPECT_STR(head.content_type, "application/protobuf");
    EXPECT_EQ(f.body.len, 0);
    done(&f);

    route(&f, "POST /twirp/livekit.RoomService/DeleteRoom", "application/json", bytes_str("{}"));
    EXPECT_EQ(f.got, TWIRP_CALL);
    (void)twirp_answer(&f.call, NULL, &f.body);
    EXPECT_STR(str_text(&f.body), "{}");
    done(&f);
}

TEST(every_method_of_the_rooms_is_routed)
{
    for (int i = 0; i < ROOMS_METHODS; i++) {
        char line[128];
        struct fixture f;

        EXPECT_EQ(twirp_rooms[i].id, i);
        (void)snprintf(line, sizeof line, "POST /twirp/livekit.RoomService/%s",
                       twirp_rooms[i].name);
        route(&f, line, "application/json", bytes_str("{}"));
        EXPECT_EQ(f.got, TWIRP_CALL);
        EXPECT_EQ(f.call.method->id, i);
        done(&f);
    }
}

TEST(what_is_not_ours_is_left_to_others)
{
    static const char *const lines[] = {
        "POST /twirp/livekit.Egress/ListEgress",
        "POST /twirp/livekit.RoomService",
        "POST /twirp/",
        "GET /",
        "POST /twirp",
        "POST /Twirp/livekit.RoomService/ListRooms",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct fixture f;
        route(&f, lines[i], "application/json", bytes_str("{}"));
        EXPECT_EQ(f.got, TWIRP_NOT_OURS);
        done(&f);
    }
}

TEST(errors_say_what_the_original_says)
{
    expect_error("GET /twirp/livekit.RoomService/ListRooms", "application/json", "", 404,
                 "{\"code\":\"bad_route\",\"msg\":\"unsupported method \\\"GET\\\" (only POST is "
                 "allowed)\",\"meta\":{\"twirp_invalid_route\":\"GET "
                 "/twirp/livekit.RoomService/ListRooms\"}}");
    expect_error("POST /twirp/livekit.RoomService/Nothing", "application/json", "{}", 404,
                 "{\"code\":\"bad_route\",\"msg\":\"no handler for path "
                 "\\\"/twirp/livekit.RoomService/Nothing\\\"\",\"meta\":{\"twirp_invalid_route\":"
                 "\"POST /twirp/livekit.RoomService/Nothing\"}}");
    expect_error(LIST, "text/plain", "{}", 404,
                 "{\"code\":\"bad_route\",\"msg\":\"unexpected Content-Type: \\\"text/plain\\\"\","
                 "\"meta\":{\"twirp_invalid_route\":\"POST "
                 "/twirp/livekit.RoomService/ListRooms\"}}");
    expect_error(LIST, "application/json", "{", 400,
                 "{\"code\":\"malformed\",\"msg\":\"the json request could not be decoded\","
                 "\"meta\":{\"cause\":\"json: syntax error\"}}");
    expect_error(LIST, "application/json", "", 400,
                 "{\"code\":\"malformed\",\"msg\":\"the json request could not be decoded\","
                 "\"meta\":{\"cause\":\"json: syntax error\"}}");
    expect_error(LIST, "application/protobuf", "\x0a", 400,
                 "{\"code\":\"malformed\",\"msg\":\"the protobuf request could not be decoded\","
                 "\"meta\":{\"cause\":\"the message is malformed or too large\"}}");
}

TEST(errors_of_handlers_have_their_status)
{
    struct twirp_error err;
    struct str body;

    str_init(&body, 4096);
    twirp_fail_wrapped(&err, TWIRP_NOT_FOUND, "requested room does not exist");
    EXPECT_EQ(twirp_refuse(&err, &body).status, 404);
    EXPECT_STR(str_text(&body), "{\"code\":\"not_found\",\"msg\":\"twirp error unknown: requested "
                                "room does not exist\"}");
    str_clear(&body);
    twirp_fail_grant(&err);
    EXPECT_EQ(twirp_refuse(&err, &body).status, 401);
    EXPECT_STR(str_text(&body), "{\"code\":\"unauthenticated\",\"msg\":\"permissions denied\"}");
    str_clear(&body);
    twirp_fail(&err, TWIRP_INVALID_ARGUMENT, "name size exceeds limit %d", 256);
    twirp_add_meta(&err, "argument", "name \"x\"");
    for (int i = 0; i < 5; i++)
        twirp_add_meta(&err, "more", "");
    EXPECT_EQ(twirp_refuse(&err, &body).status, 400);
    EXPECT_STR(str_text(&body), "{\"code\":\"invalid_argument\",\"msg\":\"name size exceeds limit "
                                "256\",\"meta\":{\"argument\":\"name \\\"x\\\"\",\"more\":\"\"}}");
    str_fini(&body);
}

TEST(an_answer_beyond_the_ceiling_is_an_error)
{
    struct fixture f;

    route(&f, LIST, "application/json", bytes_str("{}"));
    struct str small;
    str_init(&small, 60);
    Livekit__ListRoomsResponse *resp = pb_new(&f.a, &livekit__list_rooms_response__descriptor);
    Livekit__Room *room = pb_new(&f.a, &livekit__room__descriptor);
    resp->n_rooms = 1;
    resp->rooms = &room;
    EXPECT_EQ(twirp_answer(&f.call, &resp->base, &small).status, 500);
    EXPECT_STR(str_text(&small), "{\"code\":\"internal\",\"msg\":\"out of memory\"}");
    str_fini(&small);
    done(&f);
}

/* Bytes as the body of every method, in both encodings: a call or an error, never more. */
FUZZ(twirp, in)
{
    if (in.len == 0)
        return;

    const struct twirp_method *row = &twirp_rooms[(in.p[0] >> 1) % ROOMS_METHODS];
    char line[128];
    struct fixture f;

    (void)snprintf(line, sizeof line, "POST /twirp/livekit.RoomService/%s", row->name);
    route(&f, line, in.p[0] & 1 ? "application/json" : "application/protobuf",
          bytes_of(in.p + 1, in.len - 1));
    EXPECT(f.got == TWIRP_CALL || f.got == TWIRP_ERROR);
    if (f.got == TWIRP_CALL)
        EXPECT(f.call.method == row && f.call.request->descriptor == row->request);
    else
        EXPECT_EQ(twirp_refuse(&f.err, &f.body).status, 400);
    done(&f);
}
