#include "ingest/auth.h"

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/test.h"
#include "crypt/hash.h"
#include "wire/http.h"
#include "wire/ws.h"

/* Of "auth.test", its own authority, for a hundred years; made for this test alone. */
static const char test_cert[] = "-----BEGIN CERTIFICATE-----\n"
                                "MIIBlTCCATugAwIBAgIUP49Q0f+0i1vtqIqPDnJDmzBlvW0wCgYIKoZIzj0EAwIw\n"
                                "FDESMBAGA1UEAwwJYXV0aC50ZXN0MCAXDTI2MTEyMTE4NDUwOVoYDzIxMjYxMDI4\n"
                                "MTg0NTA5WjAUMRIwEAYDVQQDDAlhdXRoLnRlc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
                                "PQMBBwNCAAQlEFKXfTTzbnviBloMG23UCDo4rKm6UC7IApTWQWQ5U4BnAQfjZzfb\n"
                                "PvGppdR4j6+BFhoUBHXZ/MC3U5hqdeW0o2kwZzAdBgNVHQ4EFgQUgxwyxXB0aoGi\n"
                                "ShZXAkCU4effjnYwHwYDVR0jBBgwFoAUgxwyxXB0aoGiShZXAkCU4effjnYwDwYD\n"
                                "VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglhdXRoLnRlc3QwCgYIKoZIzj0EAwID\n"
                                "SAAwRQIhAMXyant/ZXbMmibFZpUeubgPRDfNVBvejR3wnoIsBuBQAiBkgen1nPYm\n"
                                "qNaVVvWf47MQ5DHKN9aDd4pO3zEqb8RLRQ==\n"
                                "-----END CERTIFICATE-----\n";
static const char test_key[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPnwWmnJ4v7EXxDrF\n"
                               "CKR/IGEoHzBEad5n04+wWrGfb1ehRANCAAQlEFKXfTTzbnviBloMG23UCDo4rKm6\n"
                               "UC7IApTWQWQ5U4BnAQfjZzfbPvGppdR4j6+BFhoUBHXZ/MC3U5hqdeW0\n"
                               "-----END PRIVATE KEY-----\n";

static const struct auth_query rtmp = {
    .protocol = "rtmp", .key = "the key", .remote = "192.0.2.7:999"};
static const struct auth_query ftl = {.protocol = "ftl",
                                      .channel = 78,
                                      .challenge = "00ff",
                                      .digest = "abcd",
                                      .remote = "192.0.2.7:999"};

/* A unit, and a service on the other end of its one connection. */
struct rig {
    struct auth *a;
    struct tick tick;
    struct tls_ctx *client_ctx, *server_ctx;
    struct tls tls;
    bool secure, connected, closed;
    uint64_t conn;
    struct http *http;
    struct ws *ws;
    struct str heard;  /* text frames, each ended by a line feed */
    struct str target; /* of the request */
    const char *reply; /* to a text frame; NULL: silence */
    int status;        /* instead of 101, when not 0 */
    bool wrong_accept, close_unanswered;
};

static void rig_open(struct rig *r, const char *url)
{
    struct auth_cfg cfg = {.url = url, .seed = 5};

    *r = (struct rig){.tick = {.now = US_PER_SEC, .wall_off_us = 1900000000 * US_PER_SEC}};
    r->secure = strncmp(url, "wss", 3) == 0;
    EXPECT_EQ(tls_ctx_open_client(&r->client_ctx, bytes_str(test_cert)), 0);
    EXPECT_EQ(tls_ctx_open_server(&r->server_ctx, bytes_str(test_cert), bytes_str(test_key)), 0);
    cfg.tls = r->client_ctx;
    EXPECT_EQ(auth_open(&r->a, &cfg), 0);
    EXPECT_EQ(http_open(&r->http, HTTP_SERVER), 0);
    str_init(&r->heard, 65536);
    str_init(&r->target, 4096);
}

static void rig_close(struct rig *r)
{
    auth_free(r->a);
    if (r->secure && r->connected)
        tls_fini(&r->tls);
    tls_ctx_free(r->client_ctx);
    tls_ctx_free(r->server_ctx);
    http_free(r->http);
    ws_free(r->ws);
    str_fini(&r->heard);
    str_fini(&r->target);
}

static void server_send(struct rig *r, struct bytes plain)
{
    uint8_t buf[16384];
    struct wr w = wr_of(buf, sizeof buf);

    if (!r->secure) {
        auth_input(r->a, r->conn, plain);
        return;
    }
    EXPECT_EQ(tls_write(&r->tls, plain), 0);
    while (tls_output(&r->tls, &w)) {
        auth_input(r->a, r->conn, wr_done(&w));
        w = wr_of(buf, sizeof buf);
    }
}

static void server_upgrade(struct rig *r)
{
    const struct http_msg *m = http_message(r->http);
    char text[WS_KEY_CHARS + 37], accept[WS_ACCEPT_CHARS + 1];
    uint8_t digest[HASH_SHA1_BYTES];
    struct rng rng = rng_seed(1);
    struct str out;

    str_printf(&r->target, "%s?%s", m->path, m->query);
    EXPECT(ws_upgrade_key(m) != NULL);
    ws_accept_text(text, ws_upgrade_key(m));
    hash_sha1(bytes_str(text), digest);
    ws_accept(accept, digest);
    if (r->wrong_accept)
        accept[0] ^= 1;
    str_init(&out, 4096);
    if (r->status != 0)
        http_write_text(&out, r->status, "no", 0);
    else
        http_write_switch(&out, accept, NULL, 0);
    EXPECT_EQ(ws_open(&r->ws, WS_SERVER, &rng), 0);
    server_send(r, str_bytes(&out));
    str_fini(&out);
}

static void server_frames(struct rig *r, struct bytes in)
{
    uint8_t buf[16384];
    struct ws_event ev;
    size_t used, n;

    while (in.len > 0) {
        EXPECT_EQ(ws_input(r->ws, in, &used), 0);
        in.p += used;
        in.len -= used;
        while (ws_event(r->ws, &ev)) {
            if (ev.op != WS_TEXT)
                continue;
            str_add_bytes(&r->heard, ev.body);
            str_add_char(&r->heard, '\n');
            if (r->reply != NULL)
                EXPECT_EQ(ws_send(r->ws, WS_TEXT, bytes_str(r->reply)), 0);
            else if (r->close_unanswered)
                EXPECT_EQ(ws_close(r->ws, 1000, ""), 0);
        }
        while ((n = ws_output(r->ws, buf, sizeof buf)) > 0)
            server_send(r, bytes_of(buf, n));
    }
}

static void server_plain(struct rig *r, struct bytes in)
{
    size_t used;

    if (r->ws != NULL) {
        server_frames(r, in);
        return;
    }
    if (http_input(r->http, in, &used) == HTTP_WHOLE || http_message(r->http)->upgrade)
        server_upgrade(r);
}

static void server_input(struct rig *r, struct bytes in)
{
    uint8_t buf[16384];
    struct wr w = wr_of(buf, sizeof buf);
    size_t n;

    if (!r->secure) {
        server_plain(r, in);
        return;
    }
    EXPECT_EQ(tls_input(&r->tls, in), 0);
    while (tls_output(&r->tls, &w)) {
        auth_input(r->a, r->conn, wr_done(&w));
        w = wr_of(buf, sizeof buf);
    }
    while (tls_read(&r->tls, buf, sizeof buf, &n) == 0 && n > 0)
        server_plain(r, bytes_of(buf, n));
}

/* Moves bytes until both are quiet. */
static void pump(struct rig *r)
{
    struct auth_out out;

    while (auth_output(r->a, &out)) {
        if (out.kind == AUTH_OUT_CONNECT) {
            r->conn = out.conn;
            r->connected = true;
            EXPECT_STR(out.host, "auth.test");
            EXPECT_EQ(out.port, r->secure ? 443 : 8082);
            if (r->secure)
                EXPECT_EQ(tls_init(&r->tls, r->server_ctx, NULL, 0), 0);
            auth_connected(r->a, out.conn, r->tick);
        } else if (out.kind == AUTH_OUT_SEND) {
            uint8_t copy[32768];
            EXPECT_EQ(out.conn, r->conn);
            memcpy(copy, out.data.p, out.data.len);
            server_input(r, bytes_of(copy, out.data.len));
        } else {
            r->closed = true;
        }
    }
}

static struct auth_event verdict_of(struct rig *r, uint64_t id)
{
    struct auth_event ev;

    EXPECT(auth_event(r->a, &ev));
    EXPECT_EQ(ev.id, id);
    struct auth_event none;
    EXPECT(!auth_event(r->a, &none));
    return ev;
}

static struct auth_event ask_once(struct rig *r, const struct auth_query *q)
{
    uint64_t id;

    EXPECT_EQ(auth_start(r->a, q, r->tick, &id), 0);
    pump(r);
    struct auth_event ev = verdict_of(r, id);
    pump(r);
    EXPECT(r->closed);
    EXPECT_EQ(auth_deadline(r->a), US_NEVER);
    return ev;
}

TEST(without_an_address_nobody_is_asked)
{
    const struct auth_cfg cfg = {.url = ""};
    struct auth_out out;
    struct auth *a;

    EXPECT_EQ(auth_open(&a, &cfg), 0);
    EXPECT(!auth_wanted(a));
    auth_end(a, &rtmp, (struct tick){0});
    EXPECT(!auth_output(a, &out));
    EXPECT_EQ(auth_deadline(a), US_NEVER);
    auth_free(a);
}

TEST(an_address_of_another_kind_is_refused)
{
    static const char *const bad[] = {"localhost:8082", "ftp://auth.test/", "ws://",
                                      "wss://auth.test/"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct auth_cfg cfg = {.url = bad[i]};
        struct auth *a = NULL;
        EXPECT(auth_open(&a, &cfg) < 0);
        EXPECT(a == NULL);
    }
}

TEST(a_start_is_one_text_frame_and_its_reply_decides)
{
    static const char *const urls[] = {"ws://auth.test:8082/stream/auth?x=1",
                                       "wss://auth.test/stream/auth?x=1"};

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct rig r;
        rig_open(&r, urls[i]);
        r.reply = "{\"allow\":true,\"key\":\"k2\",\"stream\":\"show\",\"later\":[1]}";
        struct auth_event ev = ask_once(&r, &rtmp);
        EXPECT_EQ(ev.verdict, AUTH_ALLOWED);
        EXPECT_STR(ev.key, "k2");
        EXPECT_STR(ev.stream, "show");
        EXPECT_STR(ev.reason, "");
        EXPECT_STR(str_text(&r.heard), "{\"event\":\"start\",\"stream_key\":\"the key\","
                                       "\"protocol\":\"rtmp\",\"remote\":\"192.0.2.7:999\"}\n");
        EXPECT_STR(str_text(&r.target), "/stream/auth?x=1");
        rig_close(&r);
    }
}

TEST(ftl_brings_challenge_and_digest)
{
    struct rig r;

    rig_open(&r, "ws://auth.test:8082");
    r.reply = "{\"allow\":true}";
    EXPECT_EQ(ask_once(&r, &ftl).verdict, AUTH_ALLOWED);
    EXPECT_STR(str_text(&r.heard),
               "{\"event\":\"start\",\"stream_key\":\"abcd\",\"channel_id\":78,"
               "\"protocol\":\"ftl\",\"remote\":\"192.0.2.7:999\",\"hmac_challenge\":\"00ff\","
               "\"hmac_digest\":\"abcd\"}\n");
    EXPECT_STR(str_text(&r.target), "/?");
    rig_close(&r);
}

TEST(an_end_is_sent_and_nothing_is_awaited)
{
    static const char *const urls[] = {"ws://auth.test:8082/", "wss://auth.test/"};
    struct auth_event ev;

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct rig r;
        rig_open(&r, urls[i]);
        auth_end(r.a, &ftl, r.tick);
        pump(&r);
        EXPECT_STR(str_text(&r.heard), "{\"stream_key\":\"abcd\",\"status\":\"ended\"}\n");
        EXPECT(r.closed);
        EXPECT(!auth_event(r.a, &ev));
        EXPECT_EQ(auth_deadline(r.a), US_NEVER);
        rig_close(&r);
    }
}

TEST(the_services_refusal_has_its_reason)
{
    struct rig r;

    rig_open(&r, "ws://auth.test:8082/");
    r.reply = "{\"allow\":false,\"reason\":\"not today\"}";
    struct auth_event ev = ask_once(&r, &rtmp);
    EXPECT_EQ(ev.verdict, AUTH_REFUSED);
    EXPECT_STR(ev.reason, "not today");
    rig_close(&r);
}

TEST(every_reply_that_is_no_yes_refuses)
{
    static const char *const replies[] = {"",
                                          "true",
                                          "[]",
                                          "{}",
                                          "{\"allow\":\"true\"}",
                                          "{\"allow\":1}",
                                          "{\"allow\":null}",
                                          "nonsense",
                                          "{\"allow\":true,\"key\":7}",
                                          "{\"allow\":true",
                                          "{\"allow\":true,\"allow\":true}",
                                          "{\"allow\":true,\"stream\":\"\\u0000\"}"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct rig r;
        rig_open(&r, "ws://auth.test:8082/");
        r.reply = replies[i];
        struct auth_event ev = ask_once(&r, &rtmp);
        EXPECT_EQ(ev.verdict, AUTH_UNREACHABLE);
        EXPECT(ev.why != NULL);
        EXPECT_STR(ev.key, "");
        rig_close(&r);
    }
}

TEST(a_reply_over_its_ceiling_refuses)
{
    struct rig r;
    struct str big;

    str_init(&big, 65536);
    str_add(&big, "{\"allow\":true,\"x\":\"");
    for (int i = 0; i < AUTH_REPLY_MAX; i++)
        str_add_char(&big, 'x');
    str_add(&big, "\"}");
    rig_open(&r, "ws://auth.test:8082/");
    r.reply = str_text(&big);
    EXPECT_EQ(ask_once(&r, &rtmp).verdict, AUTH_UNREACHABLE);
    rig_close(&r);
    str_fini(&big);
}

TEST(a_service_that_refuses_the_socket_or_closes_it_refuses)
{
    for (int i = 0; i < 4; i++) {
        struct rig r;
        rig_open(&r, "ws://auth.test:8082/");
        r.reply = i < 3 ? "{\"allow\":true}" : NULL;
        r.status = i == 0 ? 404 : i == 1 ? 200 : 0;
        r.wrong_accept = i == 2;
        r.close_unanswered = i == 3;
        EXPECT_EQ(ask_once(&r, &rtmp).verdict, AUTH_UNREACHABLE);
        rig_close(&r);
    }
}

TEST(a_lost_connection_refuses_in_every_state)
{
    for (int steps = 0; steps < 3; steps++) {
        struct auth_out out;
        struct rig r;
        uint64_t id;
        rig_open(&r, "ws://auth.test:8082/");
        EXPECT_EQ(auth_start(r.a, &rtmp, r.tick, &id), 0);
        EXPECT(auth_output(r.a, &out));
        r.conn = out.conn;
        if (steps > 0)
            auth_connected(r.a, out.conn, r.tick);
        if (steps > 1)
            pump(&r);
        auth_closed(r.a, r.conn, steps == 0 ? -ECONNREFUSED : 0);
        EXPECT_EQ(verdict_of(&r, id).verdict, AUTH_UNREACHABLE);
        EXPECT(!auth_output(r.a, &out));
        EXPECT_EQ(auth_deadline(r.a), US_NEVER);
        rig_close(&r);
    }
}

TEST(silence_refuses_after_three_seconds_exactly)
{
    struct rig r;
    struct auth_event ev;
    uint64_t id;

    rig_open(&r, "wss://auth.test/");
    EXPECT_EQ(auth_start(r.a, &rtmp, r.tick, &id), 0);
    pump(&r);
    us_t due = r.tick.now + AUTH_TIMEOUT_US;
    EXPECT_EQ(auth_deadline(r.a), due);
    auth_tick(r.a, due - 1);
    EXPECT(!auth_event(r.a, &ev));
    auth_tick(r.a, due);
    EXPECT_EQ(verdict_of(&r, id).verdict, AUTH_UNREACHABLE);
    pump(&r);
    EXPECT(r.closed);
    EXPECT_EQ(auth_deadline(r.a), US_NEVER);
    rig_close(&r);
}

TEST(a_certificate_for_another_name_refuses)
{
    struct auth_cfg cfg = {.url = "wss://other.test/", .seed = 5};
    struct auth_out out;
    struct auth *a;
    struct rig r;
    uint64_t id;

    rig_open(&r, "wss://auth.test/");
    cfg.tls = r.client_ctx;
    auth_free(r.a);
    EXPECT_EQ(auth_open(&a, &cfg), 0);
    r.a = a;
    EXPECT_EQ(auth_start(a, &rtmp, r.tick, &id), 0);
    EXPECT(auth_output(a, &out));
    r.conn = out.conn;
    r.connected = true;
    EXPECT_EQ(tls_init(&r.tls, r.server_ctx, NULL, 0), 0);
    auth_connected(a, out.conn, r.tick);
    while (auth_output(a, &out) && out.kind == AUTH_OUT_SEND) {
        uint8_t buf[16384];
        struct wr w = wr_of(buf, sizeof buf);
        (void)!tls_input(&r.tls, out.data); /* an alert ends it */
        while (tls_output(&r.tls, &w)) {
            auth_input(a, r.conn, wr_done(&w));
            w = wr_of(buf, sizeof buf);
        }
    }
    EXPECT_EQ(verdict_of(&r, id).verdict, AUTH_UNREACHABLE);
    EXPECT_EQ(r.heard.len, 0);
    rig_close(&r);
}

TEST(over_http_it_is_a_post_of_the_same)
{
    static const struct {
        int err, status;
        const char *body;
        enum auth_verdict want;
    } row[] = {{0, 200, "{\"allow\":true}", AUTH_ALLOWED},
               {0, 200, "{\"allow\":false}", AUTH_REFUSED},
               {0, 403, "{\"allow\":true}", AUTH_UNREACHABLE},
               {0, 302, "{\"allow\":true}", AUTH_UNREACHABLE},
               {0, 204, "", AUTH_UNREACHABLE},
               {E_TIMEOUT, 0, "", AUTH_UNREACHABLE}};

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct ask ask;
        struct rig r;
        uint64_t id;
        rig_open(&r, "https://auth.test/hook");
        EXPECT_EQ(auth_start(r.a, &rtmp, r.tick, &id), 0);
        EXPECT(auth_ask(r.a, &ask));
        EXPECT_STR(ask.url, "https://auth.test/hook");
        EXPECT_STR(ask.method, "POST");
        EXPECT_EQ(ask.redirects, 0);
        EXPECT_STR((const char *)ask.body.p, "{\"event\":\"start\",\"stream_key\":\"the key\","
                                             "\"protocol\":\"rtmp\",\"remote\":\"192.0.2.7:999\"}");
        const struct reply in = {.id = ask.id,
                                 .err = row[i].err,
                                 .status = row[i].status,
                                 .body = bytes_str(row[i].body)};
        EXPECT(!auth_ask(r.a, &ask));
        auth_answer(r.a, &in);
        EXPECT_EQ(verdict_of(&r, id).verdict, row[i].want);
        auth_end(r.a, &rtmp, r.tick);
        EXPECT(auth_ask(r.a, &ask));
        EXPECT_STR((const char *)ask.body.p, "{\"stream_key\":\"the key\",\"status\":\"ended\"}");
        rig_close(&r);
    }
}

TEST(questions_beyond_a_ceiling_are_refused_at_once)
{
    struct auth_query q = rtmp;
    char text[AUTH_TEXT_MAX + 1];
    struct rig r;
    uint64_t id;

    memset(text, 'k', sizeof text);
    text[AUTH_TEXT_MAX] = '\0';
    rig_open(&r, "ws://auth.test:8082/");
    q.key = text;
    EXPECT_EQ(auth_start(r.a, &q, r.tick, &id), E_TOO_LARGE);
    q.key = NULL;
    EXPECT_EQ(auth_start(r.a, &q, r.tick, &id), E_INVAL);
    for (int i = 0; i < AUTH_CALLS_MAX; i++)
        EXPECT_EQ(auth_start(r.a, &rtmp, r.tick, &id), 0);
    EXPECT_EQ(auth_start(r.a, &rtmp, r.tick, &id), E_LIMIT);
    rig_close(&r);
}

TEST(a_publisher_that_went_away_gets_no_answer)
{
    struct auth_event ev;
    struct rig r;
    uint64_t id;

    rig_open(&r, "ws://auth.test:8082/");
    EXPECT_EQ(auth_start(r.a, &rtmp, r.tick, &id), 0);
    pump(&r);
    auth_cancel(r.a, id);
    pump(&r);
    EXPECT(r.closed);
    EXPECT(!auth_event(r.a, &ev));
    EXPECT_EQ(auth_deadline(r.a), US_NEVER);
    rig_close(&r);
}

/* Each allocation refused in turn: never a yes that nobody said, and nothing stays behind. */
TEST(a_refused_allocation_never_lets_anybody_in)
{
    for (uint64_t nth = 1; nth < 60; nth++) {
        int64_t before = mem_live();
        struct auth_event ev;
        struct rig r;
        uint64_t id;
        rig_open(&r, "ws://auth.test:8082/");
        r.reply = "{\"allow\":false}";
        mem_refuse_nth(nth);
        int err = auth_start(r.a, &rtmp, r.tick, &id);
        struct auth_out out;
        if (err == 0 && auth_output(r.a, &out)) {
            r.conn = out.conn;
            auth_connected(r.a, out.conn, r.tick);
            (void)auth_output(r.a, &out); /* the request, if there was memory for it */
        }
        mem_refuse_nth(0);
        auth_tick(r.a, r.tick.now + AUTH_TIMEOUT_US);
        EXPECT((err == 0) == auth_event(r.a, &ev));
        if (err == 0)
            EXPECT(ev.verdict != AUTH_ALLOWED);
        rig_close(&r);
        EXPECT_EQ(mem_live(), before);
    }
}

/* What a service sends, in pieces: no byte of it lets anybody in unless a frame says so. */
FUZZ(auth, in)
{
    struct auth_out out;
    struct auth_event ev;
    struct rig r;
    uint64_t id;

    rig_open(&r, "ws://auth.test:8082/");
    EXPECT_EQ(auth_start(r.a, &rtmp, r.tick, &id), 0);
    EXPECT(auth_output(r.a, &out));
    auth_connected(r.a, out.conn, r.tick);
    uint64_t conn = out.conn;
    if (in.len > 0 && in.p[0] % 2 == 0) { /* past the handshake */
        r.conn = conn;
        r.reply = NULL;
        pump(&r);
    }
    for (size_t at = 1; at < in.len; at += 1 + in.p[0] % 64) {
        auth_input(r.a, conn, bytes_of(in.p + at, size_min(1 + in.p[0] % 64, in.len - at)));
        while (auth_output(r.a, &out))
            EXPECT(out.kind != AUTH_OUT_CONNECT);
    }
    auth_tick(r.a, r.tick.now + AUTH_TIMEOUT_US);
    EXPECT(auth_event(r.a, &ev));
    EXPECT(ev.id == id);
    rig_close(&r);
}
