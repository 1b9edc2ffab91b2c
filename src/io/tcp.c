#include "io/tcp.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/net.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

struct tcp_listener {
    int fd, reserve_fd; /* reserve: an open /dev/null, given up to accept when none is left */
    struct loop_watch *watch;
    struct bytes refusal;
    tcp_accept_fn *accept;
    void *owner;
    uint16_t port;
    uint64_t refused_n;
};

struct tcp {
    int fd;
    struct loop_watch *watch;
    const struct tcp_handler *handler;
    void *owner;
    uint8_t *queue; /* bytes [head, tail) wait */
    size_t head, tail, cap;
    uint64_t sent_bytes;
    bool paused, ending, ended;
    bool eof; /* the other side ended; nothing is read any more */
};

/* ---- listener ---- */

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void tcp_refuse(int fd, struct bytes text)
{
    uint8_t sink[2048];

    /* What was asked is read first: closing over unread bytes would reset the connection
     * before the answer is seen. */
    (void)!recv(fd, sink, sizeof sink, MSG_DONTWAIT);
    (void)!send(fd, text.p, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    close(fd);
}

int tcp_read(int fd, uint8_t *out, size_t cap)
{
    ssize_t n = recv(fd, out, cap, MSG_DONTWAIT);

    if (n > 0)
        return (int)n;
    if (n == 0)
        return E_CLOSED;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

bool tcp_local(int fd, struct addr *out)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        return false;
    net_addr_from(&name, out);
    return out->family != 0;
}

void tcp_close(int fd)
{
    close(fd);
}

static bool out_of_descriptors(struct tcp_listener *l)
{
    if (l->reserve_fd >= 0)
        close(l->reserve_fd);
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        tcp_refuse(fd, l->refusal);
        l->refused_n++;
    }
    l->reserve_fd = open_reserve();
    return fd >= 0;
}

static void on_acceptable(void *owner, unsigned events UNUSED)
{
    struct tcp_listener *l = owner;

    for (int i = 0; i < TCP_ACCEPTS_PER_ROUND; i++) {
        struct sockaddr_storage name = {0};
        socklen_t len = sizeof name;
        struct addr from;
        int on = 1;

        int fd = accept4(l->fd, (struct sockaddr *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            if (!out_of_descriptors(l))
                return;
            continue;
        }
        if (fd < 0)
            return; /* EAGAIN, or a connection that is gone already */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        net_addr_from(&name, &from);
        l->accept(l->owner, fd, &from);
    }
}

static int bind_listener(const struct addr *at, uint16_t *port)
{
    struct sockaddr_storage name = {0};
    socklen_t len = net_addr_to(at, &name);
    int on = 1;

    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->family == 6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&name, len) < 0 || listen(fd, TCP_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&name, &len) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    *port = ntohs(((struct sockaddr_in *)(void *)&name)->sin_port); /* same place in IPv6 */
    return fd;
}

int tcp_listen(struct tcp_listener **ret, struct loop *loop, const struct addr *at,
               struct bytes refusal, tcp_accept_fn *accept, void *owner)
{
    struct tcp_listener *l = mem_zero(sizeof *l);

    if (l == NULL)
        return E_NOMEM;
    l->reserve_fd = -1;
    l->refusal = refusal;
    l->accept = accept;
    l->owner = owner;
    l->fd = bind_listener(at, &l->port);
    int err = l->fd < 0 ? l->fd : loop_watch(loop, &l->watch, l->fd, LOOP_READ, on_acceptable, l);
    if (err < 0) {
        tcp_unlisten(l);
        return err;
    }
    l->reserve_fd = open_reserve();
    *ret = l;
    return 0;
}

uint16_t tcp_listener_port(const struct tcp_listener *l)
{
    return l->port;
}

uint64_t tcp_listener_refused(const struct tcp_listener *l)
{
    return l->refused_n;
}

void tcp_unlisten(struct tcp_listener *l)
{
    if (l == NULL)
        return;
    loop_unwatch(l->watch);
    if (l->fd >= 0)
        close(l->fd);
    if (l->reserve_fd >= 0)
        close(l->reserve_fd);
    mem_free(l);
}

/* ---- connection ---- */

static void update_watch(struct tcp *t)
{
    unsigned events = 0;

    if (!t->paused && !t->eof)
        events |= LOOP_READ;
    if (t->tail > t->head)
        events |= LOOP_WRITE;
    loop_watch_set(t->watch, events);
}

/* Everything that the socket takes; -errno when it is broken. */
static int write_queue(struct tcp *t)
{
    while (t->head < t->tail) {
        ssize_t n = send(t->fd, t->queue + t->head, t->tail - t->head, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        t->head += (size_t)n;
        t->sent_bytes += (uint64_t)n;
    }
    mem_free(t->queue); /* idle connections hold no buffer */
    t->queue = NULL;
    t->head = t->tail = t->cap = 0;
    if (t->ending && !t->ended) {
        t->ended = true;
        (void)shutdown(t->fd, SHUT_WR);
    }
    return 0;
}

static void read_some(struct tcp *t)
{
    uint8_t buf[TCP_READ_BYTES];

    ssize_t n = recv(t->fd, buf, sizeof buf, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    int err = n < 0 ? -errno : 0;
    if (n == 0) {
        t->eof = true;
        if (t->tail > t->head)
            update_watch(t); /* the owner may wait for the rest of the queue */
    }
    if (n <= 0)
        t->handler->closed(t->owner, err);
    else if (!t->ending)
        t->handler->data(t->owner, bytes_of(buf, (size_t)n));
}

static void on_ready(void *owner, unsigned events)
{
    struct tcp *t = owner;

    if ((events & LOOP_WRITE) && t->tail > t->head) {
        int err = write_queue(t);
        if (err < 0) {
            t->handler->closed(t->owner, err);
            return;
        }
        update_watch(t);
        if (t->tail == t->head && t->ending && t->eof) {
            t->handler->closed(t->owner, 0);
            return;
        }
        if (t->tail == t->head && !t->ending) {
            t->handler->drained(t->owner);
            return; /* it may be gone; what can be read is reported again */
        }
    }
    if ((events & LOOP_READ) && !t->paused && !t->eof)
        read_some(t);
}

int tcp_open(struct tcp **ret, struct loop *loop, int fd, const struct tcp_handler *handler,
             void *owner)
{
    struct tcp *t = mem_zero(sizeof *t);

    if (t == NULL) {
        close(fd);
        return E_NOMEM;
    }
    t->fd = fd;
    t->handler = handler;
    t->owner = owner;
    int err = loop_watch(loop, &t->watch, fd, LOOP_READ, on_ready, t);
    if (err < 0) {
        tcp_free(t);
        return err;
    }
    *ret = t;
    return 0;
}

void tcp_free(struct tcp *t)
{
    if (t == NULL)
        return;
    loop_unwatch(t->watch);
    close(t->fd);
    mem_free(t->queue);
    mem_free(t);
}

static int enqueue(struct tcp *t, struct bytes out)
{
    size_t waiting = t->tail - t->head;

    if (waiting + out.len > TCP_QUEUE_BYTES_MAX)
        return E_LIMIT;
    if (t->head > 0) {
        memmove(t->queue, t->queue + t->head, waiting);
        t->head = 0;
        t->tail = waiting;
    }
    if (t->tail + out.len > t->cap) {
        size_t cap = t->cap > 0 ? t->cap : 4096;
        while (cap < t->tail + out.len)
            cap *= 2;
        uint8_t *p = mem_resize(t->queue, cap);
        if (p == NULL)
            return E_NOMEM;
        t->queue = p;
        t->cap = cap;
    }
    memcpy(t->queue + t->tail, out.p, out.len);
    t->tail += out.len;
    return 0;
}

int tcp_write(struct tcp *t, struct bytes out)
{
    if (t->ending)
        return E_CLOSED;
    if (t->head == t->tail) {
        ssize_t n = send(t->fd, out.p, out.len, MSG_NOSIGNAL);
        if (n > 0) {
            t->sent_bytes += (uint64_t)n;
            out = bytes_of(out.p + n, out.len - (size_t)n);
        }
        /* A broken socket is found by the next read. */
    }
    if (out.len == 0)
        return 0;
    int err = enqueue(t, out);
    if (err == 0)
        update_watch(t);
    return err;
}

size_t tcp_queued_bytes(const struct tcp *t)
{
    return t->tail - t->head;
}

uint64_t tcp_sent_bytes(const struct tcp *t)
{
    return t->sent_bytes;
}

void tcp_quick(struct tcp *t)
{
    int on = 1;

    (void)setsockopt(t->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on); /* only slower without */
}

void tcp_pause(struct tcp *t, bool paused)
{
    if (t->paused == paused)
        return;
    t->paused = paused;
    update_watch(t);
}

void tcp_end(struct tcp *t)
{
    if (t->ending)
        return;
    t->ending = true;
    t->paused = false;    /* to see the other side's end */
    (void)write_queue(t); /* a broken socket is found by the next read */
    update_watch(t);
}
