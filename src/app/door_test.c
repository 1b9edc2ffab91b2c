#include "app/door.h"

#include "base/test.h"
#include "crypt/hash.h"
#include "io/clock.h"
#include "wire/ws.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A node that answers at once: /hello says hello, /echo gives the body back, /later answers one
 * round later, /rtc is a WebSocket that echoes and closes on "bye". */
struct node {
    struct node_out out[64];
    char text[64][4096];
    uint32_t n, given;
    _Atomic uint32_t closed_n;
};

static struct node fake;

static void answer(uint64_t conn, enum node_out_kind kind, bool text, struct bytes data)
{
    uint32_t i = fake.n++ % 64;

    memcpy(fake.text[i], data.p, size_min(data.len, sizeof fake.text[i]));
    fake.out[i] = (struct node_out){.kind = kind,
                                    .conn = conn,
                                    .status = 200,
                                    .content_type = "text/plain",
                                    .headers = "X-One: 1\r\nX-Two: 2\r\n",
                                    .data = bytes_of(fake.text[i], size_min(data.len, 4096)),
                                    .text = text,
                                    .ws_code = 1000};
}

bool node_http(struct node *n UNUSED, uint64_t conn, const struct http_msg *req,
               const struct addr *client UNUSED, struct tick tick UNUSED)
{
    if (strcmp(req->path, "/hello") == 0)
        answer(conn, NODE_OUT_HTTP, false, bytes_str("hello"));
    else if (strcmp(req->path, "/echo") == 0)
        answer(conn, NODE_OUT_HTTP, false, req->body);
    else if (strcmp(req->path, "/rtc") == 0)
        answer(conn, NODE_OUT_WS_ACCEPT, false, bytes_str(""));
    else
        return strcmp(req->path, "/never") == 0;
    return true;
}

void node_ws_message(struct node *n UNUSED, uint64_t conn, bool text, struct bytes data,
                     struct tick tick UNUSED)
{
    answer(conn, NODE_OUT_WS_SEND, text, data);
    if (bytes_eq_str(data, "bye"))
        answer(conn, NODE_OUT_WS_CLOSE, false, bytes_str(""));
}

void node_conn_closed(struct node *n UNUSED, uint64_t conn UNUSED, struct tick tick UNUSED)
{
    atomic_fetch_add(&fake.closed_n, 1);
}

struct house {
    struct loop *loop;
    struct door *door;
    uint16_t port;
    atomic_bool stop;
    pthread_t thread;
};

static void house_round(void *owner)
{
    struct house *h = owner;
    struct tick tick = loop_tick(h->loop);

    if (atomic_load(&h->stop)) {
        loop_stop(h->loop);
        return;
    }
    do {
        door_tick(h->door, tick);
        while (fake.given < fake.n)
            door_output(h->door, &fake.out[fake.given++ % 64], tick.now);
    } while (door_deadline(h->door) <= tick.now);
    loop_alarm(h->loop, door_deadline(h->door));
}

static void *house_main(void *arg)
{
    struct house *h = arg;

    loop_run(h->loop);
    return NULL;
}

static void house_open(struct house *h, uint32_t connections_max)
{
    struct addr at;

    memset(h, 0, sizeof *h);
    fake.n = fake.given = 0;
    atomic_store(&fake.closed_n, 0);
    EXPECT_EQ(loop_open(&h->loop), 0);
    struct door_cfg cfg = {.loop = h->loop,
                           .node = &fake,
                           .connections_max = connections_max,
                           .body_bytes_max = 2000,
                           .seed = 1};
    EXPECT_EQ(door_open(&h->door, &cfg), 0);
    EXPECT(addr_parse_ip(&at, bytes_str("127.0.0.1"), 0));
    EXPECT_EQ(door_listen(h->door, &at, &h->port), 0);
    loop_set_round(h->loop, house_round, h);
    EXPECT_EQ(pthread_create(&h->thread, NULL, house_main, h), 0);
}

static void house_close(struct house *h)
{
    atomic_store(&h->stop, true);
    loop_wake(h->loop);
    (void)pthread_join(h->thread, NULL);
    door_free(h->door);
    loop_free(h->loop);
}

static int dial(const struct house *h)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(h->port)};
    struct timeval tv = {.tv_sec = 5};

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    EXPECT_EQ(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* Reads until `want` is seen or the other side ends. */
static const char *read_until(int fd, const char *want)
{
    static char buf[65536];
    size_t n = 0;

    buf[0] = '\0';
    while (want == NULL || strstr(buf, want) == NULL) {
        ssize_t got = recv(fd, buf + n, sizeof buf - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        buf[n] = '\0';
    }
    return buf;
}

static void say(int fd, const char *text)
{
    EXPECT_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

TEST(door_answers_and_keeps_the_connection)
{
    struct house h;

    house_open(&h, 10);
    int fd = dial(&h);
    say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *r = read_until(fd, "hello");
    EXPECT(strncmp(r, "HTTP/1.1 200 OK\r\n", 17) == 0);
    EXPECT(strstr(r, "\r\nX-Two: 2\r\n") != NULL);
    say(fd, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT(strstr(read_until(fd, "not found\n"), "404") != NULL);
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
    EXPECT(strstr(read_until(fd, NULL), "\r\n\r\nabc") != NULL);
    close(fd);
    house_close(&h);
}

TEST(door_answers_pipelined_requests_in_order)
{
    struct house h;

    house_open(&h, 10);
    int fd = dial(&h);
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\ntwo"
            "GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nthree");
    const char *r = read_until(fd, "three");
    const char *one = strstr(r, "\r\n\r\none"), *two = strstr(r, "\r\n\r\ntwo");
    EXPECT(one != NULL && two != NULL && one < two);
    EXPECT(strstr(two, "404") != NULL);
    close(fd);
    house_close(&h);
}

/* One who asks 4000 times without reading is no longer listened to while his answers wait; once
 * he reads, and though he has ended his half, he gets every one of them. */
TEST(door_waits_for_who_does_not_read_and_then_gives_all)
{
    static char ask[2100], buf[1 << 16];
    struct timeval tv = {.tv_usec = 300000}, late = {.tv_sec = 5};
    size_t sent = 0, got = 0, n;
    struct house h;

    house_open(&h, 10);
    int fd = dial(&h);
    int head =
        snprintf(ask, sizeof ask, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n");
    size_t len = (size_t)head + 2000;
    memset(ask + head, '~', 2000);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    for (n = 0; n < 4000; n++) {
        ssize_t w = send(fd, ask, len, MSG_NOSIGNAL);
        sent += w > 0 ? (size_t)w : 0;
        if (w < (ssize_t)len)
            break;
    }
    size_t asked = sent / len;
    EXPECT(asked > 100);
    (void)shutdown(fd, SHUT_WR);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &late, sizeof late);
    for (ssize_t r; (r = recv(fd, buf, sizeof buf, 0)) > 0;)
        for (ssize_t i = 0; i < r; i++)
            got += buf[i] == '~';
    EXPECT_EQ(got, asked * 2000);
    close(fd);
    house_close(&h);
}

TEST(door_refuses_what_is_too_large_or_broken_and_goes_on)
{
    struct house h;

    house_open(&h, 10);
    int fd = dial(&h);
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n");
    EXPECT(strstr(read_until(fd, NULL), "413") != NULL);
    close(fd);
    fd = dial(&h);
    say(fd, "NONSENSE\r\n\r\n");
    EXPECT(strstr(read_until(fd, NULL), "400") != NULL);
    close(fd);
    fd = dial(&h);
    say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT(strstr(read_until(fd, "hello"), "200") != NULL);
    close(fd);
    house_close(&h);
}

TEST(door_tells_one_too_many_why)
{
    struct house h;

    house_open(&h, 1);
    int first = dial(&h);
    say(first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)read_until(first, "hello");
    int second = dial(&h);
    EXPECT(strstr(read_until(second, NULL), "503 Service Unavailable") != NULL);
    say(first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT(strstr(read_until(first, "hello"), "200") != NULL);
    close(first);
    close(second);
    house_close(&h);
}

TEST(door_without_descriptors_refuses_newcomers_and_keeps_the_rest)
{
    struct rlimit before, few;
    struct house h;
    int fill[256], n = 0;

    house_open(&h, 100);
    int first = dial(&h);
    say(first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)read_until(first, "hello");
    int second = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 128;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (n < 256 && (fill[n] = dup(first)) >= 0)
        n++;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(h.port)};
    struct timeval tv = {.tv_sec = 5};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(second, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    EXPECT_EQ(connect(second, (struct sockaddr *)&name, sizeof name), 0);
    EXPECT(strstr(read_until(second, NULL), "503 Service Unavailable") != NULL);
    say(first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT(strstr(read_until(first, "hello"), "200") != NULL);
    while (n > 0)
        close(fill[--n]);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(second);
    close(first);
    house_close(&h);
}

TEST(door_carries_websocket_messages_both_ways_and_closes)
{
    static const uint8_t hi[] = {0x81, 0x82, 0, 0, 0, 0, 'h', 'i'};
    static const uint8_t bye[] = {0x81, 0x83, 0, 0, 0, 0, 'b', 'y', 'e'};
    struct house h;

    house_open(&h, 10);
    int fd = dial(&h);
    /* The first frame comes in the same segment as the handshake. */
    say(fd, "GET /rtc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    EXPECT_EQ(send(fd, hi, sizeof hi, 0), (ssize_t)sizeof hi);
    const char *r = read_until(fd, "\x81\x02hi");
    EXPECT(strstr(r, "101 Switching Protocols") != NULL);
    EXPECT(strstr(r, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL); /* RFC 6455 s1.3 */
    EXPECT(strstr(r, "\x81\x02hi") != NULL);
    EXPECT_EQ(send(fd, bye, sizeof bye, 0), (ssize_t)sizeof bye);
    EXPECT(strstr(read_until(fd, "\x88\x02"), "\x81\x03"
                                              "bye") != NULL);
    static const uint8_t close_frame[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
    EXPECT_EQ(send(fd, close_frame, sizeof close_frame, 0), (ssize_t)sizeof close_frame);
    uint8_t rest[16];
    EXPECT_EQ(recv(fd, rest, sizeof rest, 0), 0); /* the server ends the stream */
    close(fd);
    house_close(&h);
    EXPECT_EQ(atomic_load(&fake.closed_n), 1);
}

TEST(door_tells_the_node_when_a_client_goes_away)
{
    struct house h;

    house_open(&h, 10);
    int fd = dial(&h);
    say(fd, "GET /rtc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    (void)read_until(fd, "\r\n\r\n");
    close(fd);
    us_t until = clock_now() + 5 * US_PER_SEC;
    while (atomic_load(&fake.closed_n) == 0 && clock_now() < until)
        (void)sched_yield();
    EXPECT_EQ(atomic_load(&fake.closed_n), 1);
    house_close(&h);
}
