/* bench/drop.h - a receiver that costs the sender as little as a distant one would.
 *
 * A socket filter lets STUN, DTLS, RTCP and every 64th media packet through and drops the rest in
 * the kernel, which counts them.  The load's sockets and those of the floor carry the same one:
 * on loopback the receiving half runs on the sender's account.
 */
#ifndef BENCH_DROP_H
#define BENCH_DROP_H

#include "base/base.h"

#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum { DROP_SAMPLE = 64 };

/* Passes what is not media, and one media packet of DROP_SAMPLE by its sequence number. */
static inline int drop_attach(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),          /* the UDP header comes first */
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 128, 0, 6), /* STUN, DTLS: pass */
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 192, 0, 1), /* RTCP 192..223: pass */
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 224, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 10),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, DROP_SAMPLE - 1, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffff),
    };
    struct sock_fprog prog = {.len = ARRAY_LEN(code), .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog);
}

/* Packets that the filter, or a full buffer, kept from the socket. */
static inline uint64_t drop_count(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof info;

    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
        return 0;
    return info[SK_MEMINFO_DROPS];
}

#endif
