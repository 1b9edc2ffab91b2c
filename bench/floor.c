/* bench/floor.c - what the kernel alone costs: the same packets, bare.
 *
 * Sends as many packets of the same size, at the same pace and in as many messages as the
 * server did to N subscribers (a burst is one message with UDP_SEGMENT, or several), to N loopback
 * sockets with the filter of the load's, with no ingest and no encryption.  Prints one JSON line
 * with CPU nanoseconds per packet.  The server's number minus this one is the server's own work.
 * Loopback only.
 */
#include "base/base.h"
#include "base/cursor.h"

#include "drop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVERS_MAX = 2000, PACKET_BYTES = 1190, BATCH = 64, BURST_MAX = 16 };

static uint8_t payload[PACKET_BYTES * BURST_MAX];
static struct sockaddr_in to[RECEIVERS_MAX];

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts); /* cannot fail for these clocks */
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int receiver(struct sockaddr_in *addr)
{
    socklen_t len = sizeof *addr;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    *addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || drop_attach(fd) != 0 || bind(fd, (struct sockaddr *)addr, len) != 0 ||
        getsockname(fd, (struct sockaddr *)addr, &len) != 0)
        return -1;
    return fd;
}

/* `n` packets to receiver `r` as one message: a train of segments when there are several. */
static void message(struct mmsghdr *m, struct iovec *iov, uint8_t *control, unsigned r, unsigned n)
{
    iov->iov_base = payload;
    iov->iov_len = (size_t)n * PACKET_BYTES;
    *m = (struct mmsghdr){
        .msg_hdr = {
            .msg_name = &to[r], .msg_namelen = sizeof to[r], .msg_iov = iov, .msg_iovlen = 1}};
    if (n < 2)
        return;
    m->msg_hdr.msg_control = control;
    m->msg_hdr.msg_controllen = CMSG_SPACE(sizeof(uint16_t));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m->msg_hdr);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t size = PACKET_BYTES;
    memcpy(CMSG_DATA(c), &size, sizeof size);
}

/* RTP to the filter's eye; every DROP_SAMPLE-th passes. */
static void number(uint32_t seq)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        uint8_t *p = payload + (size_t)i * PACKET_BYTES;
        p[0] = 0x80;
        p[1] = 96;
        store_u16(p + 2, (uint16_t)(seq + i));
    }
}

/* One burst of `burst` packets to everybody, in `pieces` messages each. */
static void burst_out(int fd, unsigned receivers, unsigned burst, unsigned pieces)
{
    static struct mmsghdr msg[BATCH];
    static struct iovec iov[BATCH];
    static _Alignas(8) uint8_t control[BATCH][CMSG_SPACE(sizeof(uint16_t))];
    unsigned queued = 0;

    for (unsigned piece = 0; piece < pieces; piece++) {
        unsigned n = (piece + 1) * burst / pieces - piece * burst / pieces;
        for (unsigned r = 0; r < receivers; r++) {
            message(&msg[queued], &iov[queued], control[queued], r, n);
            if (++queued < BATCH && (r + 1 < receivers || piece + 1 < pieces))
                continue;
            (void)sendmmsg(fd, msg, queued, 0); /* drops are the receivers' */
            queued = 0;
        }
    }
}

/* `pieces_100`: messages that a receiver gets of a hundred bursts. */
static double run(int fd, unsigned receivers, unsigned burst, unsigned per_s, unsigned pieces_100)
{
    int64_t period = 1000000000 / per_s, next = clock_ns(CLOCK_MONOTONIC);
    int64_t end = next + 1500000000, cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t sent = 0;

    for (unsigned k = 0; next < end; k++, next += period) {
        struct timespec at = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL); /* early is harmless */
        number(k * burst);
        burst_out(fd, receivers, burst, (k + 1) * pieces_100 / 100 - k * pieces_100 / 100);
        sent += (uint64_t)receivers * burst;
    }
    return (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / (double)sent;
}

static unsigned number_of(int argc, char **argv, int at, unsigned otherwise)
{
    return argc > at ? (unsigned)strtoul(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    unsigned receivers = number_of(argc, argv, 1, 10), burst = number_of(argc, argv, 2, 9);
    unsigned per_s = number_of(argc, argv, 3, 30), pieces_100 = number_of(argc, argv, 4, 100);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;

    if (receivers == 0 || receivers > RECEIVERS_MAX || burst == 0 || burst > BURST_MAX ||
        per_s == 0 || pieces_100 < 100 || pieces_100 > 100 * burst || fd < 0) {
        fprintf(stderr, "usage: floor RECEIVERS BURST BURSTS_PER_SECOND MESSAGES_PER_100_BURSTS\n");
        return 2;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* only slower without */
    for (unsigned r = 0; r < receivers; r++) {
        if (receiver(&to[r]) < 0) {
            perror("floor: receiver");
            return 1;
        }
    }
    printf("{\"receivers\":%u,\"burst\":%u,\"pieces_100\":%u,\"ns\":%.0f}\n", receivers, burst,
           pieces_100, run(fd, receivers, burst, per_s, pieces_100));
    return 0;
}
