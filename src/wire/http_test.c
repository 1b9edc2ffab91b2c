#include "wire/http.h"
#include "base/test.h"

/* Feeds `text` in pieces of `step` bytes until something other than MORE results; *rest is
 * what was not taken. */
static enum http_got feed(struct http *h, struct bytes text, size_t step, struct bytes *rest)
{
    enum http_got got = HTTP_MORE;
    size_t at = 0;

    while (at < text.len && (got == HTTP_MORE || got == HTTP_BEGUN)) {
        size_t used, n = size_min(step, text.len - at);
        got = http_input(h, bytes_of(text.p + at, n), &used);
        EXPECT(used <= n);
        EXPECT(got != HTTP_MORE || used == n);
        at += used;
    }
    if (rest != NULL)
        *rest = bytes_of(text.p + at, text.len - at);
    return got;
}

static struct http *read_one(enum http_role role, const char *text, size_t step, enum http_got want)
{
    struct http *h;

    EXPECT_EQ(http_open(&h, role), 0);
    enum http_got got = feed(h, bytes_str(text), step, NULL);
    if (got != want)
        print_error("%s\n", text);
    EXPECT_EQ(got, want);
    return h;
}

static void expect_refused(const char *text, int status)
{
    for (size_t step = 1; step < 5000; step += 4998) {
        struct http *h = read_one(HTTP_SERVER, text, step, HTTP_REFUSED);
        if (http_refusal(h).status != status)
            print_error("%s\n", text);
        EXPECT_EQ(http_refusal(h).status, status);
        http_free(h);
    }
}

TEST(a_request_is_read_however_it_is_cut)
{
    static const char text[] = "POST /twirp/livekit.RoomService/CreateRoom?a=1&b=%20x HTTP/1.1\r\n"
                               "Host: localhost:7880\r\nContent-Type:  application/json \r\n"
                               "X-Empty:\r\nContent-Length: 11\r\n\r\n{\"name\":\"\"}GET";

    for (size_t step = 1; step < sizeof text; step++) {
        struct http *h = NULL;
        struct bytes rest;

        EXPECT_EQ(http_open(&h, HTTP_SERVER), 0);
        EXPECT(http_idle(h));
        EXPECT_EQ(feed(h, bytes_str(text), step, &rest), HTTP_WHOLE);
        EXPECT(bytes_eq_str(rest, "GET"));
        const struct http_msg *m = http_message(h);
        EXPECT_STR(m->method, "POST");
        EXPECT_STR(m->path, "/twirp/livekit.RoomService/CreateRoom");
        EXPECT_STR(m->query, "a=1&b=%20x");
        EXPECT_STR(http_header_get(m, "content-type"), "application/json");
        EXPECT_STR(http_header_get(m, "x-empty"), "");
        EXPECT(http_header_get(m, "x-none") == NULL);
        EXPECT(bytes_eq_str(m->body, "{\"name\":\"\"}"));
        EXPECT(m->keep_alive && !m->upgrade && !m->expect);
        EXPECT(!http_idle(h));
        http_next(h);
        EXPECT(http_idle(h));
        http_free(h);
    }
}

TEST(requests_follow_one_another)
{
    struct bytes in = bytes_str("GET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\n"
                                "HEAD //b?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                                "OPTIONS * HTTP/1.0\r\n\r\n"
                                "GET http://h:1/p?z=1 HTTP/1.1\r\nHost: x\r\n\r\n"
                                "GET http://h HTTP/1.1\r\nHost: x\r\n\r\n");
    static const struct {
        const char *path, *query;
        bool keep_alive;
    } want[] = {
        {"/a", "", true},    {"/b", "q", false}, {"*", "", false},
        {"/p", "z=1", true}, {"/", "", true},
    };
    struct http *h;

    EXPECT_EQ(http_open(&h, HTTP_SERVER), 0);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        EXPECT_EQ(feed(h, in, 1000, &in), HTTP_WHOLE);
        EXPECT_STR(http_message(h)->path, want[i].path);
        EXPECT_STR(http_message(h)->query, want[i].query);
        EXPECT_EQ(http_message(h)->keep_alive, want[i].keep_alive);
        http_next(h);
    }
    EXPECT_EQ(in.len, 0);
    http_free(h);
}

TEST(a_chunked_body_is_read)
{
    static const char text[] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
                               "4\r\nWiki\r\n006;ext=1\r\npedia \r\nB\r\nin \r\nchunks\r\n"
                               "0\r\nTrailer: x\r\nOther: y\r\n\r\nrest";
    struct bytes rest;

    for (size_t step = 1; step < sizeof text; step++) {
        struct http *h;
        EXPECT_EQ(http_open(&h, HTTP_SERVER), 0);
        EXPECT_EQ(feed(h, bytes_str(text), step, &rest), HTTP_WHOLE);
        EXPECT(bytes_eq_str(http_message(h)->body, "Wikipedia in \r\nchunks"));
        EXPECT(bytes_eq_str(rest, "rest"));
        http_free(h);
    }
}

TEST(an_upgrade_is_seen)
{
    struct http *h = read_one(HTTP_SERVER,
                              "GET /rtc?access_token=x HTTP/1.1\r\nHost: x\r\n"
                              "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Version: 13\r\n\r\n",
                              7, HTTP_WHOLE);

    EXPECT(http_message(h)->upgrade);
    http_free(h);
    h = read_one(HTTP_SERVER,
                 "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 99,
                 HTTP_WHOLE);
    EXPECT(!http_message(h)->upgrade);
    http_free(h);
}

#define REQ "POST / HTTP/1.1\r\nHost: x\r\n"

/* Two readers of one of these might disagree where it ends or what it says. */
TEST(nothing_is_smuggled)
{
    static const char *const bad[] = {
        REQ "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        REQ "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        REQ "Content-Length: 3, 3\r\n\r\nabc",
        REQ "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        REQ "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        REQ "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        REQ "Content-Length: +3\r\n\r\nabc",
        REQ "Content-Length: -3\r\n\r\nabc",
        REQ "Content-Length: 0x3\r\n\r\nabc",
        REQ "Content-Length: 3 4\r\n\r\nabc",
        REQ "Content-Length: 99999999999999999999\r\n\r\nabc",
        REQ "Content-Length:\r\n\r\n",
        REQ "X: a\r\n folded\r\n\r\n",
        REQ "X: a\r\n\tfolded\r\n\r\n",
        REQ " X: a\r\n\r\n",
        REQ "X: a\nContent-Length: 3\r\n\r\nabc",
        REQ "X: a\rContent-Length: 3\r\n\r\nabc",
        REQ "X: a\x01z\r\n\r\n",
        REQ "X: a\x7fz\r\n\r\n",
        REQ "no colon\r\n\r\n",
        REQ ": no name\r\n\r\n",
        REQ "X y: z\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET rtc HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\x16\x03\x01\x02 TLS hello\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n000000001\r\nx\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n0\r\n\n",
        REQ "Transfer-Encoding: chunked\r\n\r\n0\r\nT: x\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_refused(bad[i], 400);
    expect_refused(REQ "Transfer-Encoding: gzip, chunked\r\n\r\n", 501);
    expect_refused(REQ "Transfer-Encoding: xchunked\r\n\r\n", 501);
    expect_refused(REQ "Transfer-Encoding: identity\r\n\r\n", 501);
    expect_refused("GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505);
}

TEST(limits_have_their_own_answers)
{
    struct str s;

    str_init(&s, 1 << 20);
    str_add(&s, "GET / HTTP/1.1\r\nHost: x\r\nCookie: ");
    for (int i = 0; i < HTTP_HEAD_BYTES_MAX; i++)
        str_add_char(&s, 'c');
    expect_refused(str_text(&s), 431);
    str_clear(&s);
    str_add(&s, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < HTTP_HEADERS_MAX; i++)
        str_add(&s, "a: b\r\n");
    str_add(&s, "\r\n");
    expect_refused(str_text(&s), 431);
    str_fini(&s);

    expect_refused(REQ "Content-Length: 10485761\r\n\r\n", 413);
    struct http *h = read_one(HTTP_SERVER, REQ "Content-Length: 10485760\r\n\r\n", 999, HTTP_BEGUN);
    http_free(h);
}

TEST(a_body_has_a_ceiling_with_and_without_a_length)
{
    static const struct {
        const char *head, *body;
    } cases[] = {
        {REQ "Content-Length: 6\r\n\r\n", "abcdef"},
        {REQ "Transfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t max = 5; max <= 6; max++) {
            struct http *h = read_one(HTTP_SERVER, cases[i].head, 999, HTTP_BEGUN);
            http_set_body_max(h, max); /* for this message alone */
            EXPECT_EQ(feed(h, bytes_str(cases[i].body), 1, NULL),
                      max == 6 ? HTTP_WHOLE : HTTP_REFUSED);
            if (max == 5) {
                EXPECT_EQ(http_refusal(h).status, 413);
                EXPECT_STR(http_refusal(h).text, "request body too large");
            }
            http_free(h);
        }
    }
    struct http *h;
    EXPECT_EQ(http_open(&h, HTTP_SERVER), 0);
    http_set_body_max(h, 5);
    EXPECT_EQ(feed(h, bytes_str(cases[0].head), 999, NULL), HTTP_REFUSED);
    EXPECT_EQ(http_refusal(h).status, 413);
    http_free(h);
    /* a chunk is refused by its size line */
    h = read_one(HTTP_SERVER, cases[1].head, 999, HTTP_BEGUN);
    http_set_body_max(h, 5);
    EXPECT_EQ(feed(h, bytes_str("3\r\nabc\r\n2\r\nde\r\n1\r\n"), 1, NULL), HTTP_REFUSED);
    EXPECT_EQ(http_refusal(h).status, 413);
    http_free(h);
}

TEST(a_client_that_waits_to_be_asked_is_seen_before_its_body)
{
    struct http *h = read_one(HTTP_SERVER, REQ "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
                              999, HTTP_BEGUN);

    EXPECT(http_message(h)->expect);
    EXPECT_EQ(feed(h, bytes_str("ok"), 1, NULL), HTTP_WHOLE);
    http_free(h);
}

TEST(responses_are_read)
{
    struct http *h = read_one(HTTP_CLIENT,
                              "HTTP/1.1 100 Continue\r\n\r\n"
                              "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
                              3, HTTP_WHOLE);
    EXPECT_EQ(http_message(h)->status, 404);
    EXPECT(bytes_eq_str(http_message(h)->body, "gone"));
    http_free(h);

    h = read_one(HTTP_CLIENT, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 99,
                 HTTP_WHOLE);
    EXPECT(http_message(h)->upgrade);
    http_free(h);
    h = read_one(HTTP_CLIENT, "HTTP/1.1 204 No Content\r\n\r\n", 99, HTTP_WHOLE);
    http_free(h);

    h = read_one(HTTP_CLIENT, "HTTP/1.0 200 OK\r\n\r\nuntil", 5, HTTP_MORE);
    EXPECT_EQ(feed(h, bytes_str(" the end"), 99, NULL), HTTP_MORE);
    EXPECT_EQ(http_input_end(h), HTTP_WHOLE);
    EXPECT(bytes_eq_str(http_message(h)->body, "until the end"));
    EXPECT(!http_message(h)->keep_alive);
    http_free(h);

    EXPECT_EQ(http_open(&h, HTTP_CLIENT), 0);
    http_expect_head(h);
    EXPECT_EQ(feed(h, bytes_str("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), 99, NULL),
              HTTP_WHOLE);
    http_free(h);
    h = read_one(HTTP_CLIENT, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo", 99, HTTP_MORE);
    EXPECT_EQ(http_input_end(h), HTTP_REFUSED);
    http_free(h);
}

static void expect_query(const char *query, const char *key, const char *want)
{
    struct arena a;

    arena_init(&a, 4096);
    char *got = http_query_get(&a, query, key);
    if (want == NULL) {
        EXPECT(got == NULL);
    } else {
        EXPECT(got != NULL);
        EXPECT_STR(got, want);
    }
    arena_fini(&a);
}

TEST(a_query_is_decoded)
{
    expect_query("a=1&b=2", "b", "2");
    expect_query("a=1&b=2&b=3", "b", "2");
    expect_query("ab=1&a=2", "a", "2");
    expect_query("a", "a", "");
    expect_query("a=", "a", "");
    expect_query("&&a=x", "a", "x");
    expect_query("", "a", NULL);
    expect_query("b=a", "a", NULL);
    expect_query("a=x+y%2B%c3%A9", "a", "x y+\xc3\xa9");
    expect_query("a=%", "a", NULL);
    expect_query("a=%4", "a", NULL);
    expect_query("a=%4g", "a", NULL);
    expect_query("a=%00", "a", NULL);
    expect_query("a=%41", "a", "A");
}

/* Whatever comes in, in pieces: never more taken than given, and the end is the end. */
FUZZ(http, in)
{
    struct http *h;
    size_t at = 1;

    if (in.len == 0 || http_open(&h, in.p[0] & 1 ? HTTP_CLIENT : HTTP_SERVER) != 0)
        return;
    size_t step = 1 + (in.p[0] >> 1);
    http_set_body_max(h, 1000);
    while (at < in.len) {
        size_t used, n = size_min(step, in.len - at);
        enum http_got got = http_input(h, bytes_of(in.p + at, n), &used);
        EXPECT(used <= n);
        at += used;
        if (got == HTTP_REFUSED) {
            EXPECT(http_refusal(h).status >= 400);
            break;
        }
        if (got == HTTP_WHOLE) {
            const struct http_msg *m = http_message(h);
            EXPECT(m->body.len <= 1000);
            EXPECT(m->status != 0 || (m->path[0] == '/' || m->path[0] == '*'));
            (void)http_header_has(m, "connection", "upgrade"); /* to be read under ASan */
            http_next(h);
        } else {
            EXPECT(got == HTTP_BEGUN || used == n);
        }
    }
    http_free(h);
}
