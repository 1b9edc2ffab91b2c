#include "io/framed.h"

#include "base/err.h"
#include "base/test.h"
#include "io/clock.h"
#include "wire/frame.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS = 256 };

struct rig {
    struct loop *loop;
    struct framed *f;
    struct pkt_slab slab;
    struct tx tx;
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
    EXPECT_EQ(framed_open(&r->f, r->loop), 0);
    EXPECT_EQ(tx_init(&r->tx, TX_BYTES), 0);
    pkt_slab_init(&r->slab, SLOTS);
}

static void rig_close(struct rig *r)
{
    framed_free(r->f);
    loop_free(r->loop);
    tx_fini(&r->tx);
    pkt_slab_fini(&r->slab);
}

/* A connection over a socket pair, with the path of nth client; returns the other end. */
static int join(struct rig *r, uint16_t nth, struct path *path, const char *first)
{
    static const uint8_t ip[4] = {127, 0, 0, 1};
    int fd[2];

    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    addr_set_ip4(&path->remote, ip, (uint16_t)(5000 + nth));
    addr_set_ip4(&path->local, ip, 7881);
    path->remote.tcp = path->local.tcp = 1;
    EXPECT_EQ(framed_take(r->f, fd[0], path, bytes_str(first), 1000), 0);
    return fd[1];
}

static unsigned receive(struct rig *r, struct path *from, char out[][64])
{
    struct pkt *batch[FRAMED_BATCH];
    unsigned got;

    for (int i = 0; i < FRAMED_BATCH; i++)
        batch[i] = pkt_take(&r->slab);
    EXPECT(framed_ready(r->f));
    got = framed_recv(r->f, from, batch, FRAMED_BATCH, 2000);
    for (unsigned i = 0; i < FRAMED_BATCH; i++) {
        if (i < got)
            (void)snprintf(out[i], 64, "%.*s", batch[i]->len, (char *)batch[i]->data);
        pkt_drop(&r->slab, batch[i]);
    }
    return got;
}

static uint64_t count(struct rig *r, enum framed_counter c)
{
    uint64_t all[FRAMED_COUNTER_N];

    framed_counters(r->f, all);
    return all[c];
}

static void put(struct rig *r, const struct path *path, uint8_t byte, uint32_t len,
                enum tx_class class)
{
    uint8_t *p = tx_claim(&r->tx, len);

    EXPECT(p != NULL);
    memset(p, byte, len);
    tx_commit(&r->tx, path, len, class);
}

TEST(framed_frames_come_in_and_go_out_and_the_end_is_told)
{
    struct path path, from;
    char text[FRAMED_BATCH][64];
    uint8_t in[64];
    struct rig r;

    rig_open(&r);
    int fd = join(&r, 0, &path, "first");
    EXPECT_EQ(receive(&r, &from, text), 1);
    EXPECT_STR(text[0], "first");
    EXPECT(path_eq(&from, &path));
    EXPECT(!framed_ready(r.f));

    EXPECT_EQ(write(fd, "\0\3abc\0\2de\0", 10), 10);
    spin(&r);
    EXPECT_EQ(receive(&r, &from, text), 2);
    EXPECT_STR(text[0], "abc");
    EXPECT_STR(text[1], "de");
    EXPECT_EQ(write(fd, "\1f", 2), 2);
    spin(&r);
    EXPECT_EQ(receive(&r, &from, text), 1);
    EXPECT_STR(text[0], "f");

    put(&r, &path, 'x', 3, TX_CONTROL);
    put(&r, &path, 'y', 3, TX_VIDEO);
    framed_send(r.f, &r.tx);
    EXPECT_EQ(read(fd, in, sizeof in), 10);
    EXPECT_BYTES(bytes_of(in, 10), bytes_of("\0\3xxx\0\3yyy", 10));

    close(fd);
    spin(&r);
    EXPECT_EQ(receive(&r, &from, text), 0);
    EXPECT(framed_ended(r.f, &from));
    EXPECT(path_eq(&from, &path));
    EXPECT(!framed_ended(r.f, &from));
    EXPECT_EQ(count(&r, FRAMED_CLOSED), 1);
    EXPECT_EQ(count(&r, FRAMED_OPEN), 0);
    rig_close(&r);
}

TEST(framed_a_full_queue_sheds_video_then_audio_then_control_and_stays_whole)
{
    static const struct {
        enum tx_class class;
        uint32_t ceiling;
    } steps[] = {{TX_VIDEO, FRAMED_VIDEO_BYTES},
                 {TX_AUDIO, FRAMED_AUDIO_BYTES},
                 {TX_CONTROL, FRAMED_QUEUE_BYTES}};
    struct path path, from;
    char text[FRAMED_BATCH][64];
    uint64_t sent = 0, shed = 0, read_n = 0;
    struct frame_rx rx;
    struct bytes frame;
    struct rig r;

    rig_open(&r);
    int fd = join(&r, 0, &path, "first");
    (void)receive(&r, &from, text);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        for (uint64_t before = count(&r, FRAMED_SHED); count(&r, FRAMED_SHED) == before;) {
            for (int n = 0; n < 20; n++, sent++)
                put(&r, &path, (uint8_t)i, 1000, steps[i].class);
            framed_send(r.f, &r.tx);
            tx_clear(&r.tx);
        }
    }
    shed = count(&r, FRAMED_SHED);
    EXPECT(shed >= 3 && shed <= 60);

    frame_rx_init(&rx);
    for (int idle = 0; idle < 3;) {
        size_t cap;
        uint8_t *p = frame_rx_room(&rx, &cap);
        ssize_t n = read(fd, p, cap);
        if (n <= 0) {
            idle++;
            spin(&r); /* the queue goes on as the socket takes it */
            continue;
        }
        idle = 0;
        frame_rx_filled(&rx, (size_t)n);
        while (frame_rx_next(&rx, &frame) == 1) {
            EXPECT_EQ(frame.len, 1000);
            read_n++;
        }
    }
    EXPECT_EQ(read_n, sent - shed);
    close(fd);
    rig_close(&r);
}

static bool is_first(void *owner UNUSED, const struct path *path)
{
    return path->remote.port == 5000;
}

TEST(framed_a_sweep_ends_the_forgotten_and_spares_the_unread)
{
    struct path path[3], from;
    char text[FRAMED_BATCH][64];
    struct rig r;
    int fd[3];

    rig_open(&r);
    for (uint16_t i = 0; i < 3; i++) {
        fd[i] = join(&r, i, &path[i], "first");
        if (i < 2)
            EXPECT_EQ(receive(&r, &from, text), 1);
    }
    framed_sweep(r.f, is_first, NULL);
    EXPECT_EQ(count(&r, FRAMED_OPEN), 2);
    EXPECT(framed_ended(r.f, &from));
    EXPECT_EQ(from.remote.port, 5001);
    EXPECT_EQ(receive(&r, &from, text), 1);
    framed_sweep(r.f, is_first, NULL);
    EXPECT_EQ(count(&r, FRAMED_OPEN), 1);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    rig_close(&r);
}

TEST(framed_breaks_floods_and_silence_end_one_connection_each)
{
    struct path path[4], from;
    char text[FRAMED_BATCH][64];
    struct rig r;
    int fd[4];

    rig_open(&r);
    for (uint16_t i = 0; i < 4; i++) {
        fd[i] = join(&r, i, &path[i], "first");
        EXPECT_EQ(receive(&r, &from, text), 1);
    }
    EXPECT_EQ(write(fd[0], "\xff\xff", 2), 2);
    spin(&r);
    EXPECT_EQ(receive(&r, &from, text), 0);
    EXPECT_EQ(count(&r, FRAMED_MALFORMED), 1);
    framed_drop(r.f, &path[1]);
    EXPECT_EQ(count(&r, FRAMED_UNPROVEN), 1);

    /* The same remote address on another local one: the newcomer goes. */
    struct path other = path[2];
    other.local.ip[3] = 9;
    EXPECT_EQ(framed_take(r.f, dup(fd[2]), &other, bytes_str("x"), 1), E_EXIST);
    EXPECT_EQ(count(&r, FRAMED_REFUSED), 1);
    EXPECT_EQ(count(&r, FRAMED_OPEN), 2);

    us_t at = framed_deadline(r.f);
    EXPECT(at != US_NEVER);
    framed_tick(r.f, at);
    EXPECT_EQ(count(&r, FRAMED_OPEN), 2);
    framed_tick(r.f, at + FRAMED_IDLE_US);
    EXPECT_EQ(count(&r, FRAMED_IDLE), 2);
    EXPECT_EQ(count(&r, FRAMED_OPEN), 0);
    for (int i = 0; i < 4; i++) {
        EXPECT(framed_ended(r.f, &from));
        EXPECT_EQ(read(fd[i], text, 1), 0);
        close(fd[i]);
    }
    EXPECT(!framed_ended(r.f, &from));
    EXPECT_EQ(framed_deadline(r.f), US_NEVER);
    rig_close(&r);
}
