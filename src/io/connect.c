#include "io/connect.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/net.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

struct connect {
    struct loop *loop;
    struct loop_lookup *lookup;
    struct loop_watch *watch;
    int fd; /* -1: none */
    struct addr addr[LOOP_FOUND_MAX];
    uint32_t addr_n, at;
    connect_done_fn *done;
    void *owner;
};

static void drop_attempt(struct connect *c)
{
    loop_unwatch(c->watch);
    c->watch = NULL;
    if (c->fd >= 0)
        (void)close(c->fd); /* nothing was sent */
    c->fd = -1;
}

void connect_free(struct connect *c)
{
    if (c == NULL)
        return;
    loop_forget(c->lookup);
    drop_attempt(c);
    mem_free(c);
}

static void finish(struct connect *c, int fd)
{
    connect_done_fn *done = c->done;
    void *owner = c->owner;

    if (fd >= 0)
        c->fd = -1; /* the owner's */
    connect_free(c);
    done(owner, fd);
}

static void try_next(struct connect *c, int err);

static void on_ready(void *owner, unsigned events)
{
    struct connect *c = owner;
    int err = 0, on = 1;
    socklen_t len = sizeof err;

    (void)events;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        err = errno;
    if (err != 0) {
        drop_attempt(c);
        try_next(c, -err);
        return;
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only slower without */
    finish(c, c->fd);
}

static int try_one(struct connect *c, const struct addr *to)
{
    struct sockaddr_storage ss;
    socklen_t len = net_addr_to(to, &ss);

    c->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    if (connect(c->fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS)
        return -errno;
    return loop_watch(c->loop, &c->watch, c->fd, LOOP_WRITE, on_ready, c);
}

/* `err`: why the one before failed. */
static void try_next(struct connect *c, int err)
{
    while (c->at < c->addr_n) {
        err = try_one(c, &c->addr[c->at++]);
        if (err == 0)
            return;
        drop_attempt(c);
    }
    finish(c, err);
}

static void on_found(void *owner, int err, const struct addr *addr, uint32_t n)
{
    struct connect *c = owner;

    c->lookup = NULL;
    if (err == 0) {
        memcpy(c->addr, addr, n * sizeof *addr);
        c->addr_n = n;
    }
    try_next(c, err);
}

int connect_open(struct connect **ret, struct loop *loop, const char *host, uint16_t port,
                 connect_done_fn *done, void *owner)
{
    struct connect *c = mem_zero(sizeof *c);

    if (c == NULL)
        return E_NOMEM;
    *c = (struct connect){.loop = loop, .fd = -1, .done = done, .owner = owner};
    int err = loop_lookup(loop, &c->lookup, host, port, on_found, c);
    if (err < 0) {
        mem_free(c);
        return err;
    }
    *ret = c;
    return 0;
}
