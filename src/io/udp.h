/* io/udp.h - the datagram path of one worker.
 *
 * One wildcard socket for IPv4 and one for IPv6 on the same port, with PKTINFO so that the
 * local address of every datagram is known and answers leave from it.  Received by
 * recvmmsg into lent packets, sent by sendmmsg, a train of equal segments being one message
 * with UDP_SEGMENT; where the kernel or device refuses that, segments go one by one from
 * then on.  When the socket refuses, video is shed before audio and control.
 *
 * Owner's thread only.  Hot: no allocation, no clock.
 */
#ifndef IO_UDP_H
#define IO_UDP_H

#include "base/addr.h"
#include "base/base.h"
#include "sfu/pkt.h"
#include "sfu/tx.h"

enum {
    UDP_BATCH = 64,            /* datagrams of one recvmmsg, messages of one sendmmsg */
    UDP_FEW = 16,              /* datagrams of one recvmmsg while fewer come at a time */
    UDP_BUFFER_BYTES = 4 << 20 /* asked for; the kernel grants up to net.core.*mem_max */
};

struct udp {
    int fd4, fd6; /* -1: this family is not to be had */
    uint16_t port;
    bool segment;     /* UDP_SEGMENT works */
    uint64_t shed_n;  /* datagrams given up because the socket refused */
    uint64_t error_n; /* unreachable and the like */
    uint64_t recv_calls_n, send_calls_n;
    uint64_t messages_n; /* sent: a train is one */
};

/* Port 0: any free one, the same for both families.  -errno. */
MUST_CHECK int udp_open(struct udp *u, uint16_t port);
/* On this address alone; port 0: any free one.  -errno. */
MUST_CHECK int udp_open_at(struct udp *u, const struct addr *at);
/* One of several on the same port (SO_REUSEPORT; the kernel spreads).  The first must find the
 * port free of others; it alone may ask for port 0. */
MUST_CHECK int udp_open_shared(struct udp *u, uint16_t port, bool first);
/* A socket on a shared port that hears one client alone; -errno. */
MUST_CHECK int udp_connected(const struct path *path);
void udp_close(struct udp *u);
/* Reads into batch[0..n), each with its path and len, n at most UDP_BATCH; returns how many
 * came, 0 when there is nothing. */
unsigned udp_recv_batch(struct udp *u, int fd, struct pkt **batch, unsigned n);
/* Sends every train; does not clear it. */
void udp_send(struct udp *u, const struct tx *tx);

#endif
