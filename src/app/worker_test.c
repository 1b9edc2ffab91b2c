#include "app/worker.h"

#include "base/cursor.h"
#include "base/err.h"
#include "base/test.h"
#include "crypt/cert.h"
#include "crypt/hash.h"
#include "io/clock.h"
#include "wire/stun.h"

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

static void crew_open_as(struct crew *c, bool one_port)
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
                                 .one_port = one_port,
                                 .udp_port = one_port && i > 0 ? worker_port(c->worker[0]) : 0,
                                 .control = &c->control};
        EXPECT_EQ(worker_open(&c->worker[i], &cfg), 0);
    }
    for (int i = 0; i < WORKERS; i++)
        EXPECT_EQ(worker_start(c->worker[i]), 0);
}

static void crew_open(struct crew *c)
{
    crew_open_as(c, false);
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

static void stranger_says(int fd, const struct sockaddr_in *to, struct crew *c, uint64_t want)
{
    uint64_t counters[SHARD_COUNTER_N] = {0};
    us_t until = clock_now() + 5 * US_PER_SEC;

    (void)sendto(fd, "\x7fjunk", 5, 0, (const struct sockaddr *)to, sizeof *to);
    do {
        (void)sched_yield();
        worker_counters(c->worker[0], counters);
    } while (counters[SHARD_DROP_MALFORMED] < want && clock_now() < until);
    EXPECT_EQ(counters[SHARD_DROP_MALFORMED], want);
}

/* With nothing else to do it still shows what came between two of its snapshots. */
TEST(worker_that_idles_shows_its_last_counts)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    struct crew c;

    crew_open(&c);
    name.sin_port = htons(worker_port(c.worker[0]));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    EXPECT(fd >= 0);
    for (uint64_t n = 1; n <= 4; n++)
        stranger_says(fd, &name, &c, n);
    close(fd);
    crew_close(&c);
}

/* ---- one port for both ---- */

enum { CALLERS = 24, MEDIA = 60 };

struct caller {
    int fd;
    uint8_t home; /* its peer's worker */
    char ufrag[9];
    bool answered;
};

static const char password[] = "0123456789012345678901ab";

static int udp_socket(uint16_t port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    EXPECT(fd >= 0);
    EXPECT_EQ(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

static void pass(us_t us)
{
    for (us_t until = clock_now() + us; clock_now() < until;)
        (void)sched_yield();
}

static void send_check(const struct caller *c, uint8_t nth, const char *pwd)
{
    struct stun_tid tid = {{nth, (uint8_t)c->fd, 3}};
    uint8_t buf[300];
    struct wr w = wr_of(buf, sizeof buf);
    struct bytes span;
    char user[32];

    (void)snprintf(user, sizeof user, "%s:them", c->ufrag);
    stun_begin(&w, STUN_REQUEST, STUN_BINDING, &tid);
    stun_add_bytes(&w, STUN_USERNAME, bytes_str(user));
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_u64(&w, STUN_ICE_CONTROLLING, 1);
    stun_add_flag(&w, STUN_USE_CANDIDATE);
    uint8_t *tag = stun_add_integrity(&w, &span);
    hash_hmac_sha1(bytes_str(pwd), span, tag);
    stun_add_fingerprint(&w);
    EXPECT_EQ(stun_end(&w), 0);
    EXPECT_EQ(send(c->fd, buf, wr_len(&w), 0), wr_len(&w));
}

static uint64_t stray(const struct crew *c, enum stray_counter k)
{
    uint64_t all[STRAY_COUNTER_N], sum = 0;

    for (int i = 0; i < WORKERS; i++) {
        worker_strays(c->worker[i], all);
        sum += all[k];
    }
    return sum;
}

static uint64_t counted(const struct crew *c, int worker, enum shard_counter k)
{
    uint64_t all[SHARD_COUNTER_N];

    worker_counters(c->worker[worker], all);
    return all[k];
}

/* Peers on both workers whose clients come by whatever socket the kernel picks: every check is
 * answered, and media is counted where its peer lives, not as a stranger's. */
TEST(worker_one_port_for_all_brings_datagrams_to_their_owners)
{
    static const uint8_t rtp[40] = {0x80, 96, 0, 1};
    struct handle_pool pool[WORKERS];
    struct caller caller[CALLERS];
    struct crew c;
    us_t until;

    crew_open_as(&c, true);
    EXPECT_EQ(worker_port(c.worker[0]), worker_port(c.worker[1]));
    for (uint8_t i = 0; i < WORKERS; i++)
        handle_pool_init(&pool[i], i, 100);
    for (int i = 0; i < CALLERS; i++) {
        struct caller *k = &caller[i];
        *k = (struct caller){.fd = udp_socket(worker_port(c.worker[0])),
                             .home = (uint8_t)(i % WORKERS)};
        (void)snprintf(k->ufrag, sizeof k->ufrag, "%cfrag%03d", cmd_ufrag_letter(k->home), i);
        struct cmd open = {
            .kind = CMD_PEER_OPEN,
            .peer_open = {.peer = handle_take(&pool[k->home]), .setup = PEER_SETUP_DTLS_SERVER}};
        memcpy(open.peer_open.local.ufrag, k->ufrag, sizeof k->ufrag);
        memcpy(open.peer_open.local.pwd, password, sizeof password);
        tell(&c, k->home, &open);
    }
    int answered = 0;
    uint64_t sent = 0;
    until = clock_now() + 10 * US_PER_SEC;
    for (uint8_t nth = 0; answered < CALLERS && clock_now() < until; nth++) {
        for (int i = 0; i < CALLERS; i++) {
            uint8_t in[300];
            if (!caller[i].answered)
                send_check(&caller[i], nth, password);
            sent += 1 + !caller[i].answered;
            send_check(&caller[i], nth, "not the password");
            while (recv(caller[i].fd, in, sizeof in, 0) > 0) {
                answered += !caller[i].answered;
                caller[i].answered = true;
            }
        }
        pass(5000);
    }
    EXPECT_EQ(answered, CALLERS);
    EXPECT(stray(&c, STRAY_GIVEN) > 0); /* one in 2^24 runs would have none */

    uint64_t strangers[WORKERS];
    while (counted(&c, 0, SHARD_RX_PACKETS) + counted(&c, 1, SHARD_RX_PACKETS) < sent &&
           clock_now() < until)
        pass(1000);
    for (int i = 0; i < WORKERS; i++)
        strangers[i] = counted(&c, i, SHARD_DROP_UNKNOWN_PEER);
    until = clock_now() + 10 * US_PER_SEC;
    uint64_t want = CALLERS / WORKERS * MEDIA;
    for (int n = 0; n < MEDIA; n++) {
        for (int i = 0; i < CALLERS; i++)
            (void)send(caller[i].fd, rtp, sizeof rtp, 0);
        pass(2000);
    }
    while ((counted(&c, 0, SHARD_DROP_STATE) < want || counted(&c, 1, SHARD_DROP_STATE) < want ||
            stray(&c, STRAY_LANES) == 0) &&
           clock_now() < until) {
        for (int i = 0; i < CALLERS; i++) /* wakes them, so that they count */
            send_check(&caller[i], 200, password);
        pass(50000);
    }
    for (int i = 0; i < WORKERS; i++) {
        EXPECT_EQ(counted(&c, i, SHARD_DROP_STATE), want);
        EXPECT_EQ(counted(&c, i, SHARD_DROP_UNKNOWN_PEER), strangers[i]);
    }
    EXPECT(stray(&c, STRAY_LANES) > 0);
    EXPECT_EQ(stray(&c, STRAY_SHED), 0);

    /* Those with a lane stray no more. */
    uint64_t given = stray(&c, STRAY_GIVEN);
    for (int i = 0; i < CALLERS; i++)
        (void)send(caller[i].fd, rtp, sizeof rtp, 0);
    until = clock_now() + 5 * US_PER_SEC;
    while (counted(&c, 0, SHARD_DROP_STATE) + counted(&c, 1, SHARD_DROP_STATE) <
               WORKERS * want + CALLERS &&
           clock_now() < until)
        pass(20000);
    EXPECT_EQ(stray(&c, STRAY_GIVEN), given);
    for (int i = 0; i < CALLERS; i++)
        close(caller[i].fd);
    crew_close(&c);
    for (int i = 0; i < WORKERS; i++)
        handle_pool_fini(&pool[i]);
}

TEST(worker_a_shared_port_is_not_shared_with_another_server)
{
    struct worker_cfg cfg = {.worker_n = 2, .one_port = true};
    struct worker *other;
    struct crew c;

    crew_open_as(&c, true);
    cfg.udp_port = worker_port(c.worker[0]);
    cfg.cert = c.cert;
    EXPECT_EQ(worker_open(&other, &cfg), -EADDRINUSE);
    crew_close(&c);
}
