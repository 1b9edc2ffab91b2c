/* io/dial.h - plain sockets for command-line programs.
 *
 * One stream to a server, one datagram socket, waiting for both: what `sluice
 * join` and the room commands need, where an event loop would be more than the
 * job.  Servers use io/loop, io/tcp and io/udp.  Descriptors are non-blocking and
 * closed on exec.
 */
#ifndef IO_DIAL_H
#define IO_DIAL_H

#include "base/addr.h"
#include "base/base.h"

enum { DIAL_CONNECT_US = 10 * 1000 * 1000, DIAL_SOON_US = 50 * 1000 };

enum dial_ready { DIAL_READ = 1, DIAL_WRITE = 2 };

struct dial_wait {
    int fd;
    int want;  /* DIAL_READ | DIAL_WRITE */
    int ready; /* filled by dial_wait(); errors count as readable */
};

/* Connects to host (name or address): the descriptor, or negative. */
int dial_tcp(const char *host, uint16_t port);
/* The same, but returns while the connection is still being made: writes say 0 until it stands,
 * reads say why it does not.  Names are looked up before, which takes what it takes. */
int dial_tcp_soon(const char *host, uint16_t port);
/* A stream to a socket in the file system. */
int dial_unix(const char *path);
/* A datagram socket on any address of the family (4 or 6); *local gets the port.  The descriptor,
 * or negative. */
int dial_udp(int family, struct addr *local);
void dial_close(int fd);

/* Bytes moved; 0: would block; negative: error, E_CLOSED at the end of the stream. */
int dial_read(int fd, uint8_t *buf, size_t cap);
int dial_write(int fd, struct bytes b);
/* Length of the datagram; 0: none waiting; negative: error. */
int dial_recv(int fd, struct addr *from, uint8_t *buf, size_t cap);
/* 0; a datagram that cannot be sent is lost like any other. */
int dial_send(int fd, const struct addr *to, struct bytes b);
/* Sleeps until one is ready or `timeout_us` is over; n <= 8. */
int dial_wait(struct dial_wait *w, unsigned n, us_t timeout_us);

#endif
