#include "io/lanes.h"

#include "base/err.h"
#include "base/test.h"
#include "io/clock.h"
#include "io/udp.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LANES = 3 };

struct rig {
    struct loop *loop;
    struct lanes *l;
    struct udp shared[2];
    us_t until;
};

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
    *r = (struct rig){0};
    EXPECT_EQ(loop_open(&r->loop), 0);
    loop_set_round(r->loop, on_round, r);
    EXPECT_EQ(lanes_open(&r->l, r->loop, LANES), 0);
    EXPECT_EQ(udp_open_shared(&r->shared[0], 0, true), 0);
    EXPECT_EQ(udp_open_shared(&r->shared[1], r->shared[0].port, false), 0);
}

static void rig_close(struct rig *r)
{
    lanes_free(r->l);
    udp_close(&r->shared[0]);
    udp_close(&r->shared[1]);
    loop_free(r->loop);
}

/* A client of the shared port, and the path by which it comes. */
static int client(struct rig *r, struct path *path)
{
    static const uint8_t ip[4] = {127, 0, 0, 1};
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons(r->shared[0].port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof name;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    EXPECT(fd >= 0);
    EXPECT_EQ(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    EXPECT_EQ(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    addr_set_ip4(&path->local, ip, r->shared[0].port);
    addr_set_ip4(&path->remote, ip, ntohs(name.sin_port));
    return fd;
}

TEST(lanes_bring_one_client_each_and_end_when_it_is_silent)
{
    struct path path[LANES + 1];
    int fd[LANES + 1];
    char in[8];
    struct rig r;
    us_t now = 1000;

    rig_open(&r);
    for (int i = 0; i <= LANES; i++)
        fd[i] = client(&r, &path[i]);
    for (int i = 0; i < LANES; i++)
        EXPECT_EQ(lanes_add(r.l, &path[i], now), 0);
    EXPECT_EQ(lanes_add(r.l, &path[LANES], now), E_LIMIT);
    EXPECT_EQ(lanes_n(r.l), LANES);
    EXPECT_EQ(lanes_next(r.l, now), -1);

    EXPECT_EQ(send(fd[1], "one", 3, 0), 3);
    EXPECT_EQ(send(fd[LANES], "far", 3, 0), 3);
    spin(&r);
    EXPECT(lanes_ready(r.l));
    now += LANES_IDLE_US - 1;
    int lane = lanes_next(r.l, now);
    EXPECT(lane >= 0);
    EXPECT_EQ(recv(lane, in, sizeof in, MSG_DONTWAIT), 3);
    EXPECT_EQ(in[0], 'o');
    EXPECT(recv(lane, in, sizeof in, MSG_DONTWAIT) < 0);
    EXPECT_EQ(lanes_next(r.l, now), -1); /* the other one is not for a lane */
    lanes_more(r.l);
    EXPECT_EQ(lanes_next(r.l, now), lane);

    EXPECT(lanes_deadline(r.l) != US_NEVER);
    lanes_tick(r.l, now);
    EXPECT_EQ(lanes_n(r.l), LANES);
    lanes_tick(r.l, now + LANES_LOOK_US);
    EXPECT_EQ(lanes_n(r.l), 1); /* two were silent */
    EXPECT_EQ(lanes_add(r.l, &path[1], now), E_EXIST);
    lanes_tick(r.l, now + LANES_IDLE_US + LANES_LOOK_US);
    EXPECT_EQ(lanes_n(r.l), 0);
    EXPECT_EQ(lanes_deadline(r.l), US_NEVER);
    for (int i = 0; i <= LANES; i++)
        close(fd[i]);
    rig_close(&r);
}
