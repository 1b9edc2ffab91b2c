#include "io/udp.h"

#include "base/err.h"
#include "io/net.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONTROL_BYTES = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)),
    PORT_TRIES = 16, /* for a port that is free in both families */
};

struct message {
    struct iovec iov;
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
};

static int set_options(int fd, int family, bool shared)
{
    int on = 1, bytes = UDP_BUFFER_BYTES;

    /* A smaller buffer is a smaller buffer: the kernel's ceiling is not our error. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        return -1;
    if (family == AF_INET)
        return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return -1;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
}

/* A bound socket, or -errno; *port is replaced by the real one. */
static int open_one(int family, uint16_t *port, bool shared)
{
    struct sockaddr_storage name = {.ss_family = (sa_family_t)family};
    socklen_t len = sizeof name;

    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (family == AF_INET)
        ((struct sockaddr_in *)(void *)&name)->sin_port = htons(*port);
    else
        ((struct sockaddr_in6 *)(void *)&name)->sin6_port = htons(*port);
    if (set_options(fd, family, shared) < 0 ||
        bind(fd, (struct sockaddr *)&name, sizeof name) < 0 ||
        getsockname(fd, (struct sockaddr *)&name, &len) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    *port = ntohs(((struct sockaddr_in *)(void *)&name)->sin_port); /* same place in both */
    return fd;
}

static bool family_missing(int err)
{
    return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL || err == -EPROTONOSUPPORT;
}

static int open_both(struct udp *u, uint16_t port, bool shared)
{
    for (int i = 0; i < PORT_TRIES; i++) {
        *u = (struct udp){.fd4 = -1, .fd6 = -1, .port = port, .segment = true};
        u->fd4 = open_one(AF_INET, &u->port, shared);
        if (u->fd4 < 0 && !family_missing(u->fd4))
            return u->fd4;
        u->fd6 = open_one(AF_INET6, &u->port, shared);
        if (u->fd6 >= 0 || (family_missing(u->fd6) && u->fd4 >= 0))
            return 0;
        int err = u->fd6;
        udp_close(u);
        if (port != 0 || err != -EADDRINUSE)
            return err;
    }
    return -EADDRINUSE;
}

int udp_open_at(struct udp *u, const struct addr *at)
{
    struct sockaddr_storage name = {0};
    socklen_t len = net_addr_to(at, &name), real = sizeof name;
    int family = name.ss_family;

    *u = (struct udp){.fd4 = -1, .fd6 = -1, .segment = true};
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (set_options(fd, family, false) < 0 || bind(fd, (struct sockaddr *)&name, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&name, &real) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    u->port = ntohs(((struct sockaddr_in *)(void *)&name)->sin_port); /* same place in both */
    *(family == AF_INET ? &u->fd4 : &u->fd6) = fd;
    return 0;
}

int udp_open(struct udp *u, uint16_t port)
{
    return open_both(u, port, false);
}

int udp_open_shared(struct udp *u, uint16_t port, bool first)
{
    if (first) { /* SO_REUSEPORT would let a second server of the same user in unnoticed */
        int err = open_both(u, port, false);
        if (err < 0)
            return err;
        port = u->port;
        udp_close(u);
    }
    return open_both(u, port, true);
}

int udp_connected(const struct path *path)
{
    struct sockaddr_storage local = {0}, remote = {0};
    socklen_t local_len = net_addr_to(&path->local, &local);
    socklen_t remote_len = net_addr_to(&path->remote, &remote);

    int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (set_options(fd, local.ss_family, true) < 0 ||
        bind(fd, (struct sockaddr *)&local, local_len) < 0 ||
        connect(fd, (struct sockaddr *)&remote, remote_len) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

void udp_close(struct udp *u)
{
    if (u->fd4 >= 0)
        close(u->fd4);
    if (u->fd6 >= 0)
        close(u->fd6);
    u->fd4 = u->fd6 = -1;
}

static void local_of(struct msghdr *h, uint16_t port, struct addr *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            addr_set_ip4(out, (const uint8_t *)&info.ipi_addr, port);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            addr_set_ip6(out, (const uint8_t *)&info.ipi6_addr, port);
        }
    }
}

unsigned udp_recv_batch(struct udp *u, int fd, struct pkt **batch, unsigned n)
{
    struct mmsghdr msg[UDP_BATCH];
    struct message m[UDP_BATCH];

    assert(n <= UDP_BATCH);
    for (unsigned i = 0; i < n; i++) {
        m[i].iov = (struct iovec){.iov_base = batch[i]->data, .iov_len = PKT_DATA_MAX};
        msg[i].msg_hdr = (struct msghdr){.msg_name = &m[i].name,
                                         .msg_namelen = sizeof m[i].name,
                                         .msg_iov = &m[i].iov,
                                         .msg_iovlen = 1,
                                         .msg_control = m[i].control,
                                         .msg_controllen = sizeof m[i].control};
    }
    int got = recvmmsg(fd, msg, n, MSG_DONTWAIT, NULL);
    u->recv_calls_n++;
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            u->error_n++;
        return 0;
    }
    for (int i = 0; i < got; i++) {
        struct pkt *p = batch[i];
        bool cut = (msg[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        p->len = cut ? PKT_LEN_CUT : (uint16_t)msg[i].msg_len;
        memset(&p->path, 0, sizeof p->path);
        net_addr_from(&m[i].name, &p->path.remote);
        local_of(&msg[i].msg_hdr, u->port, &p->path.local);
    }
    return (unsigned)got;
}

static void add_control(struct msghdr *h, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)((uint8_t *)h->msg_control + h->msg_controllen);

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    h->msg_controllen += CMSG_SPACE(len);
}

static void fill(struct mmsghdr *msg, struct message *m, const struct path *path, struct bytes data,
                 uint16_t segment)
{
    m->iov = (struct iovec){.iov_base = (void *)(uintptr_t)data.p, .iov_len = data.len};
    struct msghdr *h = &msg->msg_hdr;
    *h = (struct msghdr){.msg_name = &m->name,
                         .msg_namelen = net_addr_to(&path->remote, &m->name),
                         .msg_iov = &m->iov,
                         .msg_iovlen = 1,
                         .msg_control = m->control};
    memset(m->control, 0, sizeof m->control);
    if (path->local.family == 4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, path->local.ip, 4);
        add_control(h, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (path->local.family == 6) {
        struct in6_pktinfo info = {0};
        memcpy(&info.ipi6_addr, path->local.ip, 16);
        add_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (segment != 0)
        add_control(h, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    if (h->msg_controllen == 0)
        h->msg_control = NULL;
}

static void send_segments(struct udp *u, int fd, const struct tx_train *t)
{
    for (uint32_t at = 0; at < t->len; at += t->seg) {
        struct mmsghdr msg;
        struct message m;
        fill(&msg, &m, &t->path, bytes_of(t->bytes + at, size_min(t->seg, t->len - at)), 0);
        u->send_calls_n++;
        u->messages_n++;
        if (sendmsg(fd, &msg.msg_hdr, MSG_DONTWAIT) < 0) {
            if (errno == EAGAIN || errno == ENOBUFS)
                u->shed_n++;
            else
                u->error_n++;
        }
    }
}

/* The first message of a batch was refused: drop it, or send it another way. */
static void refused(struct udp *u, int fd, const struct tx_train *t, int error)
{
    if (t->n > 1 && (error == EINVAL || error == EIO || error == EOPNOTSUPP)) {
        /* No UDP_SEGMENT here.  EINVAL also means a segment over the path's MTU: that is
         * one destination's matter, so only EIO and EOPNOTSUPP switch it off for all. */
        if (error != EINVAL)
            u->segment = false;
        send_segments(u, fd, t);
        return;
    }
    if (error == EAGAIN || error == ENOBUFS)
        u->shed_n += t->n;
    else
        u->error_n++;
}

static void flush(struct udp *u, int fd, struct mmsghdr *msg, const struct tx_train **train,
                  unsigned n)
{
    unsigned at = 0;

    while (at < n) {
        u->send_calls_n++;
        int sent = sendmmsg(fd, msg + at, n - at, MSG_DONTWAIT);
        if (sent > 0) {
            at += (unsigned)sent;
            u->messages_n += (unsigned)sent;
            continue;
        }
        if (errno == EINTR)
            continue;
        refused(u, fd, train[at], errno);
        at++;
    }
}

/* Trains of one class and family. */
static void send_some(struct udp *u, const struct tx *tx, uint8_t class, uint8_t family)
{
    struct mmsghdr msg[UDP_BATCH];
    struct message m[UDP_BATCH];
    const struct tx_train *train[UDP_BATCH];
    int fd = family == 4 ? u->fd4 : u->fd6;
    unsigned n = 0;

    if (fd < 0)
        return;
    for (uint32_t i = 0; i < tx->train_n; i++) {
        const struct tx_train *t = &tx->train[i];
        if (t->class != class || t->path.remote.family != family || t->path.remote.tcp)
            continue;
        if (t->n > 1 && !u->segment) {
            send_segments(u, fd, t);
            continue;
        }
        fill(&msg[n], &m[n], &t->path, bytes_of(t->bytes, t->len), t->n > 1 ? t->seg : 0);
        train[n++] = t;
        if (n == UDP_BATCH) {
            flush(u, fd, msg, train, n);
            n = 0;
        }
    }
    flush(u, fd, msg, train, n);
}

void udp_send(struct udp *u, const struct tx *tx)
{
    unsigned there = 0; /* which classes and families are in it at all */

    for (uint32_t i = 0; i < tx->train_n; i++)
        there |= 1u << (tx->train[i].class * 2 + (tx->train[i].path.remote.family == 6));
    for (uint8_t class = TX_CONTROL; class <= TX_VIDEO; class ++) {
        if (there & (1u << (class * 2)))
            send_some(u, tx, class, 4);
        if (there & (2u << (class * 2)))
            send_some(u, tx, class, 6);
    }
}
