#include "app/gate.h"

#include "base/cursor.h"
#include "base/err.h"
#include "base/test.h"
#include "io/clock.h"
#include "sfu/cmd.h"
#include "wire/frame.h"
#include "wire/stun.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct rig {
    struct loop *loop;
    struct gate *gate;
    uint16_t port;
    us_t until;
    int handed_fd, handed_n;
    uint8_t worker;
    struct path path;
    uint8_t first[GATE_FIRST_BYTES];
    size_t first_len;
    bool refuse;
};

static bool on_hand(void *owner, uint8_t worker, int fd, const struct path *path,
                    struct bytes first)
{
    struct rig *r = owner;

    if (r->refuse)
        return false;
    r->handed_n++;
    r->handed_fd = fd;
    r->worker = worker;
    r->path = *path;
    memcpy(r->first, first.p, first.len);
    r->first_len = first.len;
    return true;
}

static void on_round(void *owner)
{
    struct rig *r = owner;

    if (clock_now() >= r->until)
        loop_stop(r->loop);
    else
        loop_alarm(r->loop, r->until);
}

static void spin(struct rig *r)
{
    r->until = clock_now() + 20 * US_PER_MS;
    loop_run(r->loop);
}

static void rig_open(struct rig *r)
{
    static const uint8_t ip[4] = {127, 0, 0, 1};
    struct addr at;

    *r = (struct rig){.handed_fd = -1};
    EXPECT_EQ(loop_open(&r->loop), 0);
    loop_set_round(r->loop, on_round, r);
    EXPECT_EQ(gate_open(&r->gate, r->loop, 3, on_hand, r), 0);
    addr_set_ip4(&at, ip, 0);
    EXPECT_EQ(gate_listen(r->gate, &at, &r->port), 0);
}

static void rig_close(struct rig *r)
{
    gate_free(r->gate);
    loop_free(r->loop);
    if (r->handed_fd >= 0)
        close(r->handed_fd);
}

static int call(struct rig *r)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons(r->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    EXPECT(fd >= 0);
    EXPECT_EQ(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* A framed check for a peer of that worker; returns its length. */
static size_t check(uint8_t *out, size_t cap, uint8_t worker, enum stun_class class)
{
    struct stun_tid tid = {{1, 2, 3}};
    struct wr w = wr_of(out + FRAME_HEAD_BYTES, cap - FRAME_HEAD_BYTES);
    char user[] = "_frag123:them";

    user[0] = cmd_ufrag_letter(worker);
    stun_begin(&w, class, STUN_BINDING, &tid);
    stun_add_bytes(&w, STUN_USERNAME, bytes_str(user));
    stun_add_fingerprint(&w);
    EXPECT_EQ(stun_end(&w), 0);
    frame_head(out, wr_len(&w));
    return FRAME_HEAD_BYTES + wr_len(&w);
}

static uint64_t count(struct rig *r, enum gate_counter c)
{
    uint64_t all[GATE_COUNTER_N];

    gate_counters(r->gate, all);
    return all[c];
}

static bool is_closed(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

TEST(gate_hands_a_check_to_the_worker_it_names_and_leaves_what_follows)
{
    uint8_t out[300];
    char rest[8];
    struct rig r;

    rig_open(&r);
    size_t len = check(out, sizeof out, 2, STUN_REQUEST);
    memcpy(out + len, "rest", 4);
    int fd = call(&r);
    for (size_t i = 0; i < 3; i++) { /* in pieces */
        EXPECT_EQ(send(fd, out + i, 1, 0), 1);
        spin(&r);
    }
    EXPECT_EQ(r.handed_n, 0);
    EXPECT(send(fd, out + 3, len + 1, 0) > 0);
    spin(&r);
    EXPECT_EQ(r.handed_n, 1);
    EXPECT_EQ(r.worker, 2);
    EXPECT_BYTES(bytes_of(r.first, r.first_len), bytes_of(out + 2, len - 2));
    EXPECT(r.path.remote.tcp && r.path.local.tcp && r.path.local.port == r.port);
    EXPECT_EQ(recv(r.handed_fd, rest, sizeof rest, MSG_DONTWAIT), 4);
    EXPECT_EQ(count(&r, GATE_HANDED), 1);
    EXPECT_EQ(gate_deadline(r.gate), US_NEVER);
    close(fd);
    rig_close(&r);
}

TEST(gate_strangers_are_closed_by_reason)
{
    uint8_t out[4][300];
    size_t len[4];
    struct rig r;
    int fd[4];

    rig_open(&r);
    len[0] = check(out[0], sizeof out[0], 3, STUN_REQUEST); /* there are three workers */
    len[1] = check(out[1], sizeof out[1], 0, STUN_SUCCESS);
    len[2] = (size_t)snprintf((char *)out[2], sizeof out[2], "GET / HTTP/1.1\r\n\r\n");
    len[3] = check(out[3], sizeof out[3], 0, STUN_REQUEST);
    out[3][2] = 22; /* no STUN */
    for (int i = 0; i < 4; i++) {
        fd[i] = call(&r);
        EXPECT(send(fd[i], out[i], len[i], 0) > 0);
        spin(&r);
        EXPECT(is_closed(fd[i]));
        EXPECT_EQ(count(&r, GATE_MALFORMED), i + 1);
        close(fd[i]);
    }
    fd[0] = call(&r);
    close(fd[0]);
    spin(&r);
    EXPECT_EQ(count(&r, GATE_CLOSED), 1);
    r.refuse = true;
    fd[0] = call(&r);
    EXPECT(send(fd[0], out[1], check(out[1], sizeof out[1], 0, STUN_REQUEST), 0) > 0);
    spin(&r);
    EXPECT(is_closed(fd[0]));
    EXPECT_EQ(count(&r, GATE_REFUSED), 1);
    close(fd[0]);
    EXPECT_EQ(r.handed_n, 0);
    rig_close(&r);
}

TEST(gate_who_says_too_little_is_closed_in_time_and_the_oldest_gives_way)
{
    static int fd[GATE_WAITING_MAX + 20];
    uint8_t out[300];
    struct rig r;

    rig_open(&r);
    for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
        fd[i] = call(&r);
        EXPECT_EQ(send(fd[i], "", 1, 0), 1); /* half a length */
        if (i % 64 == 63)
            spin(&r);
    }
    spin(&r);
    EXPECT_EQ(count(&r, GATE_ACCEPTED), ARRAY_LEN(fd));
    EXPECT_EQ(count(&r, GATE_CROWDED_OUT), 20);
    for (size_t i = 0; i < ARRAY_LEN(fd); i++)
        EXPECT_EQ(is_closed(fd[i]), i < 20);

    int honest = call(&r); /* in the middle of it */
    size_t len = check(out, sizeof out, 1, STUN_REQUEST);
    EXPECT_EQ(send(honest, out, len, 0), len);
    spin(&r);
    EXPECT_EQ(r.handed_n, 1);

    us_t at = gate_deadline(r.gate);
    gate_tick(r.gate, at - 1);
    EXPECT_EQ(count(&r, GATE_TIMED_OUT), 0);
    gate_tick(r.gate, at + GATE_FIRST_US);
    EXPECT_EQ(count(&r, GATE_TIMED_OUT), GATE_WAITING_MAX - 1);
    EXPECT_EQ(gate_deadline(r.gate), US_NEVER);
    for (size_t i = 0; i < ARRAY_LEN(fd); i++)
        close(fd[i]);
    close(honest);
    rig_close(&r);
}
