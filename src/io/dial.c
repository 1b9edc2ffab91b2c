#include "io/dial.h"

#include "base/err.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MAX = 8, UDP_BUFFER_BYTES = 4 << 20 };

void dial_close(int fd)
{
    if (fd >= 0)
        (void)close(fd); /* nothing unsent matters here */
}

/* Waits for a non-blocking connect to end. */
static int connect_wait(int fd, us_t wait_us)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int err = 0;
    socklen_t len = sizeof err;

    if (poll(&p, 1, (int)(wait_us / US_PER_MS)) <= 0)
        return E_TIMEOUT;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        return -errno;
    return -err;
}

/* `soon`: one that takes longer than its neighbours on this machine is given back unfinished. */
static int connect_one(const struct addrinfo *ai, bool soon)
{
    int on = 1;
    int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int err = connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 ? 0 : -errno;
    if (err == -EINPROGRESS)
        err = connect_wait(fd, soon ? DIAL_SOON_US : DIAL_CONNECT_US);
    if (err == E_TIMEOUT && soon)
        err = 0;
    if (err) {
        dial_close(fd);
        return err;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only slower without */
    return fd;
}

static int dial(const char *host, uint16_t port, bool soon)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    char service[8];
    int fd = E_NOENT;

    (void)snprintf(service, sizeof service, "%u", (unsigned)port); /* fits */
    if (getaddrinfo(host, service, &hints, &list) != 0)
        return E_NOENT;
    for (const struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next)
        fd = connect_one(ai, soon);
    freeaddrinfo(list);
    return fd;
}

int dial_tcp(const char *host, uint16_t port)
{
    return dial(host, port, false);
}

int dial_tcp_soon(const char *host, uint16_t port)
{
    return dial(host, port, true);
}

int dial_unix(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (!str_copy(name.sun_path, sizeof name.sun_path, bytes_str(path)))
        return E_TOO_LARGE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&name, sizeof name) != 0) {
        int err = -errno;
        dial_close(fd);
        return err;
    }
    return fd;
}

static void to_sockaddr(const struct addr *a, struct sockaddr_storage *out, socklen_t *len)
{
    memset(out, 0, sizeof *out);
    if (a->family == 6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        memcpy(&in6->sin6_addr, a->ip, 16);
        *len = sizeof *in6;
        return;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port = htons(a->port);
    memcpy(&in->sin_addr, a->ip, 4);
    *len = sizeof *in;
}

static void from_sockaddr(const struct sockaddr_storage *ss, struct addr *out)
{
    if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
        addr_set_ip6(out, (const uint8_t *)&in6->sin6_addr, ntohs(in6->sin6_port));
        return;
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
    addr_set_ip4(out, (const uint8_t *)&in->sin_addr, ntohs(in->sin_port));
}

int dial_udp(int family, struct addr *local)
{
    struct sockaddr_storage ss;
    socklen_t len;
    int size = UDP_BUFFER_BYTES;
    struct addr any = {.family = (uint8_t)family};
    int fd = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size); /* bursts: best effort */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* likewise */
    to_sockaddr(&any, &ss, &len);
    if (bind(fd, (struct sockaddr *)&ss, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&ss, &len) != 0) {
        int err = -errno;
        dial_close(fd);
        return err;
    }
    from_sockaddr(&ss, local);
    return fd;
}

int dial_read(int fd, uint8_t *buf, size_t cap)
{
    ssize_t n = recv(fd, buf, cap, 0);

    if (n > 0)
        return (int)n;
    if (n == 0)
        return E_CLOSED;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int dial_write(int fd, struct bytes b)
{
    ssize_t n = send(fd, b.p, b.len, MSG_NOSIGNAL);

    if (n >= 0)
        return (int)n;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int dial_recv(int fd, struct addr *from, uint8_t *buf, size_t cap)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    ssize_t n = recvfrom(fd, buf, cap, 0, (struct sockaddr *)&ss, &len);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED ? 0 : -errno;
    from_sockaddr(&ss, from);
    return (int)n;
}

int dial_send(int fd, const struct addr *to, struct bytes b)
{
    struct sockaddr_storage ss;
    socklen_t len;

    to_sockaddr(to, &ss, &len);
    return sendto(fd, b.p, b.len, 0, (struct sockaddr *)&ss, len) >= 0 ? 0 : -errno;
}

int dial_wait(struct dial_wait *w, unsigned n, us_t timeout_us)
{
    struct pollfd p[WAIT_MAX];

    assert(n <= WAIT_MAX);
    for (unsigned i = 0; i < n; i++) {
        p[i].fd = w[i].fd;
        p[i].events =
            (short)((w[i].want & DIAL_READ ? POLLIN : 0) | (w[i].want & DIAL_WRITE ? POLLOUT : 0));
    }
    us_t us = us_clamp(timeout_us, 0, 60 * US_PER_SEC);
    struct timespec ts = {.tv_sec = us / US_PER_SEC, .tv_nsec = us % US_PER_SEC * 1000};
    int got = ppoll(p, n, &ts, NULL);
    for (unsigned i = 0; i < n; i++) {
        int re = got > 0 ? p[i].revents : 0;
        w[i].ready =
            (re & (POLLIN | POLLERR | POLLHUP) ? DIAL_READ : 0) | (re & POLLOUT ? DIAL_WRITE : 0);
    }
    return got < 0 && errno != EINTR ? -errno : 0;
}
