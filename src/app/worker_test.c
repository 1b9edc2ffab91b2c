#include "app/worker.h"

#include "base/test.h"
#include "crypt/cert.h"
#include "io/clock.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 2, PEERS = 200 };

struct crew {
    struct worker *worker[WORKER_MAX];
    struct wake control;
    struct loop *loop;
    struct cert *cert;
};

static void crew_open(struct crew *c)
{
    memset(c, 0, sizeof *c);
    EXPECT_EQ(loop_open(&c->loop), 0);
    c->control.loop = c->loop;
    EXPECT_EQ(cert_make(&c->cert, clock_tick().wall_off_us / US_PER_SEC), 0);
    for (uint8_t i = 0; i < WORKERS; i++) {
        struct worker_cfg cfg = {.index = i,
                                 .worker_n = WORKERS,
                                 .seed = i,
                                 .cert = c->cert,
                                 .all = c->worker,
                                 .control = &c->control};
        EXPECT_EQ(worker_open(&c->worker[i], &cfg), 0);
    }
    for (int i = 0; i < WORKERS; i++)
        EXPECT_EQ(worker_start(c->worker[i]), 0);
}

static void crew_close(struct crew *c)
{
    for (int i = 0; i < WORKERS; i++)
        worker_stop(c->worker[i]);
    for (int i = 0; i < WORKERS; i++)
        worker_free(c->worker[i]);
    cert_free(c->cert);
    loop_free(c->loop);
}

static void tell(struct crew *c, int worker, const struct cmd *cmd)
{
    while (!worker_command(c->worker[worker], cmd)) {
        worker_kick(c->worker[worker]);
        (void)sched_yield();
    }
    worker_kick(c->worker[worker]);
}

static int gone_peers(struct crew *c, int worker)
{
    struct evt ev;
    int n = 0;

    while (worker_event(c->worker[worker], &ev))
        n += ev.kind == EVT_PEER_GONE;
    return n;
}

TEST(worker_rings_carry_lives_of_peers_both_ways)
{
    struct handle_pool pool[WORKERS];
    struct crew c;
    int gone = 0;

    crew_open(&c);
    for (uint8_t i = 0; i < WORKERS; i++)
        handle_pool_init(&pool[i], i, 1 << 16);
    for (int p = 0; p < PEERS; p++) {
        for (int i = 0; i < WORKERS; i++) {
            struct cmd open = {
                .kind = CMD_PEER_OPEN,
                .peer_open = {.peer = handle_take(&pool[i]),
                              .setup = PEER_SETUP_DTLS_SERVER,
                              .local = {.ufrag = "ufrag000", .pwd = "0123456789012345678901ab"}}};
            open.peer_open.local.ufrag[4] = (char)('a' + p % 26);
            open.peer_open.local.ufrag[5] = (char)('a' + p / 26);
            struct cmd end = {.kind = CMD_PEER_CLOSE, .peer_close = {.peer = open.peer_open.peer}};
            tell(&c, i, &open);
            tell(&c, i, &end);
        }
        gone += gone_peers(&c, 0) + gone_peers(&c, 1);
    }
    us_t until = clock_now() + 20 * US_PER_SEC;
    while (gone < PEERS * WORKERS && clock_now() < until) {
        gone += gone_peers(&c, 0) + gone_peers(&c, 1);
        (void)sched_yield();
    }
    EXPECT_EQ(gone, PEERS * WORKERS);
    crew_close(&c);
    for (int i = 0; i < WORKERS; i++)
        handle_pool_fini(&pool[i]);
}

TEST(worker_counts_and_drops_datagrams_of_strangers)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    uint64_t counters[SHARD_COUNTER_N] = {0};
    struct crew c;

    crew_open(&c);
    name.sin_port = htons(worker_port(c.worker[0]));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    EXPECT(fd >= 0);
    us_t until = clock_now() + 5 * US_PER_SEC;
    while (counters[SHARD_RX_PACKETS] == 0 && clock_now() < until) {
        static const char junk[] = "\x80nobody knows this sender";
        (void)sendto(fd, junk, sizeof junk, 0, (struct sockaddr *)&name, sizeof name);
        worker_counters(c.worker[0], counters);
        (void)sched_yield();
    }
    EXPECT(counters[SHARD_RX_PACKETS] > 0);
    EXPECT_EQ(counters[SHARD_TX_PACKETS], 0); /* strangers are not answered */
    close(fd);
    crew_close(&c);
}
