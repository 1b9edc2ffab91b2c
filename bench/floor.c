/* bench/floor.c - what the kernel alone costs: the same packets, bare.
 *
 * Sends as many packets of the same size, at the same pace and in the same batches as the
 * server would to N subscribers, to N loopback sockets that drop them in the kernel, with no
 * ingest and no encryption.  Prints one JSON line with CPU nanoseconds per packet: by plain
 * sendmmsg, and by sendmmsg of UDP_SEGMENT trains.  The server's number minus this one is the
 * server's own work.  Loopback only.
 */
#include "base/base.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVERS_MAX = 2000, PACKET_BYTES = 1186, BATCH = 64, TRAIN_MAX = 16 };

static uint8_t payload[PACKET_BYTES * TRAIN_MAX];
static struct sockaddr_in to[RECEIVERS_MAX];

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts); /* cannot fail for these clocks */
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int receiver(struct sockaddr_in *addr)
{
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog prog = {.len = 1, .filter = &drop};
    socklen_t len = sizeof *addr;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    *addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) != 0 ||
        bind(fd, (struct sockaddr *)addr, len) != 0 ||
        getsockname(fd, (struct sockaddr *)addr, &len) != 0)
        return -1;
    return fd;
}

/* One train of `n` packets (or one packet) to receiver `r` as a message. */
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

/* One burst of `burst` packets to everybody; returns packets sent. */
static uint64_t burst_out(int fd, unsigned receivers, unsigned burst, bool trains)
{
    static struct mmsghdr msg[BATCH];
    static struct iovec iov[BATCH];
    static _Alignas(8) uint8_t control[BATCH][CMSG_SPACE(sizeof(uint16_t))];
    unsigned queued = 0;
    uint64_t sent = 0;

    for (unsigned r = 0; r < receivers; r++) {
        for (unsigned i = 0; i < burst;) {
            unsigned n = trains ? (unsigned)size_min(burst - i, TRAIN_MAX) : 1;
            message(&msg[queued], &iov[queued], control[queued], r, n);
            sent += n;
            i += n;
            if (++queued == BATCH) {
                (void)sendmmsg(fd, msg, queued, 0); /* drops are the receivers' */
                queued = 0;
            }
        }
    }
    if (queued > 0)
        (void)sendmmsg(fd, msg, queued, 0); /* likewise */
    return sent;
}

static double run(int fd, unsigned receivers, unsigned burst, unsigned per_s, bool trains)
{
    int64_t period = 1000000000 / per_s, next = clock_ns(CLOCK_MONOTONIC);
    int64_t end = next + 4000000000, cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t sent = 0;

    while (next < end) {
        struct timespec at = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL); /* early is harmless */
        sent += burst_out(fd, receivers, burst, trains);
        next += period;
    }
    return (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / (double)sent;
}

int main(int argc, char **argv)
{
    unsigned receivers = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10;
    unsigned burst = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 9;
    unsigned per_s = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 30;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;

    if (receivers == 0 || receivers > RECEIVERS_MAX || burst == 0 || per_s == 0 || fd < 0) {
        fprintf(stderr, "usage: floor RECEIVERS BURST BURSTS_PER_SECOND\n");
        return 2;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* only slower without */
    for (unsigned r = 0; r < receivers; r++) {
        if (receiver(&to[r]) < 0) {
            perror("floor: receiver");
            return 1;
        }
    }
    double plain = run(fd, receivers, burst, per_s, false);
    double trains = run(fd, receivers, burst, per_s, true);
    printf("{\"receivers\":%u,\"burst\":%u,\"sendmmsg_ns\":%.0f,\"segmented_ns\":%.0f}\n",
           receivers, burst, plain, trains);
    return 0;
}
