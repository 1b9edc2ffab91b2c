#include "io/fetch.h"

#include "base/err.h"
#include "base/test.h"
#include "io/tcp.h"

#include <stdlib.h>

enum { PEERS_MAX = 32, BIG = 100000 };

/* A server of few words: what it answers depends on the path. */
struct rig {
    struct loop *loop;
    struct tcp_listener *listener;
    struct fetch *fetch;
    struct tcp *peer[PEERS_MAX];
    char asked[PEERS_MAX][4096];
    size_t asked_n[PEERS_MAX];
    uint32_t peer_n;
    uint16_t port;
    struct reply answer[PEERS_MAX];
    char body[PEERS_MAX][128];
    uint32_t answer_n, wanted;
    us_t give_up_at;
};

struct who {
    struct rig *rig;
    uint32_t index;
};

static struct who whos[PEERS_MAX];

static void say(struct tcp *t, const char *text)
{
    EXPECT_EQ(tcp_write(t, bytes_str(text)), 0);
}

static void say_big(struct tcp *t)
{
    static char block[BIG];

    memset(block, 'x', sizeof block);
    say(t, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    EXPECT_EQ(tcp_write(t, bytes_of(block, sizeof block)), 0);
}

static void serve(struct rig *r, uint32_t i)
{
    const char *in = r->asked[i], *path = strchr(in, ' ') + 1;
    struct tcp *t = r->peer[i];
    char text[256];

    if (strncmp(path, "/ok", 3) == 0)
        say(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    else if (strncmp(path, "/retry", 6) == 0)
        say(t, "HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(path, "/file", 5) == 0)
        say(t, "HTTP/1.1 302 F\r\nLocation: file:///etc/hostname\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(path, "/https", 6) == 0)
        say(t, "HTTP/1.1 302 F\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(path, "/big", 4) == 0)
        say_big(t);
    else if (strncmp(path, "/drop", 5) == 0)
        tcp_end(t);
    else if (strncmp(path, "/moved", 6) == 0) {
        (void)snprintf(text, sizeof text,
                       "HTTP/1.1 307 M\r\nLocation: http://127.0.0.1:%u/ok\r\n"
                       "Content-Length: 0\r\n\r\n",
                       r->port);
        say(t, text);
    } /* "/silent": nothing */
}

static void on_data(void *owner, struct bytes in)
{
    struct who *w = owner;
    struct rig *r = w->rig;
    char *all = r->asked[w->index];
    size_t *n = &r->asked_n[w->index];

    EXPECT(*n + in.len < sizeof r->asked[0]);
    memcpy(all + *n, in.p, in.len);
    *n += in.len;
    all[*n] = '\0';
    const char *end = strstr(all, "\r\n\r\n");
    const char *length = strstr(all, "Content-Length: ");
    if (end == NULL)
        return;
    size_t body = length != NULL && length < end ? strtoul(length + 16, NULL, 10) : 0;
    if (*n < (size_t)(end + 4 - all) + body)
        return;
    serve(r, w->index);
    *n = 0;
}

static void on_closed(void *owner, int err UNUSED)
{
    struct who *w = owner;

    tcp_free(w->rig->peer[w->index]);
    w->rig->peer[w->index] = NULL;
}

static void on_accept(void *owner, int fd, const struct addr *from UNUSED)
{
    static const struct tcp_handler handler = {.data = on_data, .closed = on_closed};
    struct rig *r = owner;
    struct who *w = &whos[r->peer_n];

    EXPECT(r->peer_n < PEERS_MAX);
    *w = (struct who){.rig = r, .index = r->peer_n};
    if (tcp_open(&r->peer[r->peer_n], r->loop, fd, &handler, w) == 0) /* else refused by a test */
        r->peer_n++;
}

static void round_of(void *owner)
{
    struct rig *r = owner;
    us_t now = loop_tick(r->loop).now;
    struct reply a;
    uint32_t tag;

    fetch_tick(r->fetch, now);
    while (fetch_done(r->fetch, &tag, &a)) {
        EXPECT_EQ(tag, 9);
        r->answer[r->answer_n] = a;
        size_t n = size_min(a.body.len, sizeof r->body[0] - 1);
        if (n > 0)
            memcpy(r->body[r->answer_n], a.body.p, n);
        r->answer_n++;
    }
    if (r->answer_n >= r->wanted || now >= r->give_up_at)
        loop_stop(r->loop);
    loop_alarm(r->loop, us_min(fetch_deadline(r->fetch), r->give_up_at));
}

static void rig_open(struct rig *r, uint32_t flying_max, size_t bytes_max)
{
    struct addr at;

    memset(r, 0, sizeof *r);
    EXPECT_EQ(loop_open(&r->loop), 0);
    EXPECT(addr_parse_ip(&at, bytes_str("127.0.0.1"), 0));
    EXPECT_EQ(tcp_listen(&r->listener, r->loop, &at, bytes_str(""), on_accept, r), 0);
    r->port = tcp_listener_port(r->listener);
    const struct fetch_cfg cfg = {
        .loop = r->loop, .user_agent = "tester", .flying_max = flying_max, .bytes_max = bytes_max};
    EXPECT_EQ(fetch_open(&r->fetch, &cfg), 0);
    loop_set_round(r->loop, round_of, r);
}

static void rig_close(struct rig *r)
{
    fetch_free(r->fetch);
    for (uint32_t i = 0; i < r->peer_n; i++)
        tcp_free(r->peer[i]);
    tcp_unlisten(r->listener);
    loop_free(r->loop);
}

static int start(struct rig *r, const char *path, struct ask a)
{
    char url[128];

    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", r->port, path);
    a.url = url;
    a.method = a.method != NULL ? a.method : "POST";
    a.timeout_us = a.timeout_us != 0 ? a.timeout_us : 5 * US_PER_SEC;
    a.answer_max = a.answer_max != 0 ? a.answer_max : 1000;
    return fetch_start(r->fetch, 9, &a, loop_tick(r->loop).now);
}

static void run(struct rig *r, uint32_t wanted)
{
    r->wanted = wanted;
    r->give_up_at = loop_tick(r->loop).now + 20 * US_PER_SEC;
    loop_run(r->loop);
    EXPECT_EQ(r->answer_n, wanted);
}

TEST(a_post_arrives_with_its_headers_and_its_answer_comes_back)
{
    const struct http_header h[] = {{"Authorization", "token"}, {"Content-Type", "a/b"}};
    struct rig r;

    rig_open(&r, 0, 0);
    EXPECT_EQ(start(&r, "/ok?x=1",
                    (struct ask){.id = 77, .header = h, .header_n = 2, .body = bytes_str("12345")}),
              0);
    EXPECT_EQ(fetch_busy(r.fetch), 1);
    run(&r, 1);
    EXPECT_EQ(r.answer[0].id, 77);
    EXPECT_EQ(r.answer[0].err, 0);
    EXPECT_EQ(r.answer[0].status, 200);
    EXPECT_STR(r.body[0], "hello");
    EXPECT(strncmp(r.asked[0], "POST /ok?x=1 HTTP/1.1\r\n", 23) == 0);
    EXPECT(strstr(r.asked[0], "\r\nAuthorization: token\r\n") != NULL);
    EXPECT(strstr(r.asked[0], "\r\nContent-Type: a/b\r\n") != NULL);
    EXPECT(strstr(r.asked[0], "\r\nUser-Agent: tester\r\n") != NULL);
    EXPECT(strstr(r.asked[0], "Expect") == NULL);
    EXPECT(strstr(r.asked[0], "\r\n\r\n12345") != NULL);
    EXPECT_EQ(fetch_busy(r.fetch), 0);
    rig_close(&r);
}

TEST(each_way_to_fail_has_its_error)
{
    static const struct {
        const char *path;
        int err, status;
    } row[] = {{"/file", E_UNSUPPORTED, 0}, {"/https", E_UNSUPPORTED, 0}, {"/big", E_TOO_LARGE, 0},
               {"/drop", E_CLOSED, 0},      {"/retry", 0, 503},           {"/moved", 0, 200},
               {"/silent", E_TIMEOUT, 0}};
    struct rig r;

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        rig_open(&r, 0, 0);
        us_t began = loop_tick(r.loop).now;
        EXPECT_EQ(start(&r, row[i].path,
                        (struct ask){.timeout_us = 300 * US_PER_MS * (i < 6 ? 30 : 1),
                                     .redirects = 3,
                                     .body = bytes_str("{}")}),
                  0);
        run(&r, 1);
        EXPECT_EQ(r.answer[0].err, row[i].err);
        EXPECT_EQ(r.answer[0].status, row[i].status);
        EXPECT_EQ(r.answer[0].retry_after_us, row[i].status == 503 ? 7 * US_PER_SEC : 0);
        if (row[i].err == E_TIMEOUT)
            EXPECT(loop_tick(r.loop).now - began >= 300 * US_PER_MS);
        rig_close(&r);
    }
}

TEST(a_redirect_is_an_answer_where_none_may_be_followed)
{
    struct rig r;

    rig_open(&r, 0, 0);
    EXPECT_EQ(start(&r, "/moved", (struct ask){.method = "GET"}), 0);
    run(&r, 1);
    EXPECT_EQ(r.answer[0].status, 307);
    EXPECT_EQ(r.peer_n, 1);
    rig_close(&r);
}

TEST(nobody_listens_there)
{
    struct rig r;

    rig_open(&r, 0, 0);
    tcp_unlisten(r.listener);
    r.listener = NULL;
    EXPECT_EQ(start(&r, "/ok", (struct ask){.id = 1}), 0);
    run(&r, 1);
    EXPECT_EQ(r.answer[0].err, -ECONNREFUSED);
    fetch_free(r.fetch);
    loop_free(r.loop);
}

TEST(what_is_over_a_ceiling_is_refused_at_once)
{
    struct ask a = {.method = "POST", .url = "file:///etc/hostname", .timeout_us = US_PER_SEC};
    struct rig r;

    rig_open(&r, 0, 10);
    EXPECT_EQ(fetch_start(r.fetch, 9, &a, 0), E_INVAL);
    EXPECT_EQ(start(&r, "/ok", (struct ask){.body = bytes_str("12345678901")}), E_LIMIT);
    EXPECT_EQ(start(&r, "/ok", (struct ask){.body = bytes_str("123456")}), 0);
    EXPECT_EQ(start(&r, "/ok", (struct ask){.body = bytes_str("123456")}), E_LIMIT);
    run(&r, 1);
    EXPECT_EQ(r.answer[0].status, 200);
    rig_close(&r);
}

TEST(one_after_the_other_where_one_may_fly)
{
    struct rig r;

    rig_open(&r, 1, 0);
    for (uint64_t i = 0; i < 5; i++)
        EXPECT_EQ(start(&r, "/ok", (struct ask){.id = i}), 0);
    run(&r, 5);
    for (uint64_t i = 0; i < 5; i++)
        EXPECT_EQ(r.answer[i].id, i);
    EXPECT_EQ(r.peer_n, 1); /* over one connection */
    rig_close(&r);
}

TEST(a_silent_server_holds_up_nobody_else)
{
    struct rig r;

    rig_open(&r, 0, 0);
    EXPECT_EQ(start(&r, "/silent", (struct ask){.id = 1}), 0);
    EXPECT_EQ(start(&r, "/ok", (struct ask){.id = 2}), 0);
    run(&r, 1);
    EXPECT_EQ(r.answer[0].id, 2);
    EXPECT_EQ(fetch_busy(r.fetch), 1);
    rig_close(&r); /* with one under way */
}

TEST(each_refused_allocation_is_refused_or_answered)
{
    struct rig r;

    rig_open(&r, 0, 0);
    for (uint64_t nth = 1; nth < 8; nth++) {
        r.answer_n = 0;
        mem_refuse_nth(nth);
        int err =
            start(&r, "/ok",
                  (struct ask){.id = nth, .timeout_us = 300 * US_PER_MS, .body = bytes_str("x")});
        if (err == 0)
            run(&r, 1);
        mem_refuse_nth(0);
        EXPECT(err == 0 || err == E_NOMEM);
    }
    r.answer_n = 0;
    EXPECT_EQ(start(&r, "/ok", (struct ask){.id = 1}), 0);
    run(&r, 1);
    EXPECT_EQ(r.answer[0].status, 200);
    rig_close(&r);
}
