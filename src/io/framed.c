#include "io/framed.h"

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "wire/frame.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static_assert((int)FRAME_MAX <= (int)PKT_DATA_MAX, "a frame fits into a packet");

struct conn {
    struct conn *next, **back; /* of all */
    struct conn *ready_next;
    bool ready;
    bool ended; /* closed; waits in `ended` for its path to be told, or in `ready` to be found */
    int fd;
    struct framed *owner;
    struct loop_watch *watch;
    struct path path;
    us_t heard_at;
    uint8_t *queue; /* bytes [head, tail) wait */
    uint32_t head, tail, cap;
    struct frame_rx rx;
};

struct framed {
    struct loop *loop;
    struct map by_remote;
    struct conn *all;
    struct conn *ready, **ready_end;
    struct conn *ended; /* through ready_next */
    us_t look_at;
    uint64_t counter[FRAMED_COUNTER_N];
};

static struct bytes key_of(const struct path *path)
{
    static_assert(sizeof path->remote == 20, "an address has no padding: its bytes are a key");
    return bytes_of((const uint8_t *)&path->remote, sizeof path->remote);
}

int framed_open(struct framed **ret, struct loop *loop)
{
    struct framed *f = mem_zero(sizeof *f);

    if (f == NULL)
        return E_NOMEM;
    f->loop = loop;
    f->ready_end = &f->ready;
    f->look_at = US_NEVER;
    map_init(&f->by_remote, 0);
    *ret = f;
    return 0;
}

static void conn_free(struct conn *c)
{
    mem_free(c->queue);
    mem_free(c);
}

/* The socket ends here; the path is told later, unless the owner knows. */
static void conn_end(struct framed *f, struct conn *c, enum framed_counter why)
{
    if (c->ended)
        return;
    c->ended = true;
    f->counter[why]++;
    f->counter[FRAMED_OPEN]--;
    loop_unwatch(c->watch);
    close(c->fd);
    (void)map_take(&f->by_remote, key_of(&c->path)); /* it is there */
    *c->back = c->next;
    if (c->next != NULL)
        c->next->back = c->back;
    if (c->ready)
        return; /* framed_recv() finds it */
    c->ready_next = f->ended;
    f->ended = c;
}

static void conn_ready(struct framed *f, struct conn *c)
{
    if (c->ready)
        return;
    c->ready = true;
    c->ready_next = NULL;
    *f->ready_end = c;
    f->ready_end = &c->ready_next;
}

static struct conn *take_ready(struct framed *f)
{
    struct conn *c = f->ready;

    f->ready = c->ready_next;
    if (f->ready == NULL)
        f->ready_end = &f->ready;
    c->ready = false;
    return c;
}

void framed_free(struct framed *f)
{
    struct path path;

    if (f == NULL)
        return;
    while (f->all != NULL)
        conn_end(f, f->all, FRAMED_CLOSED);
    while (f->ready != NULL)
        conn_free(take_ready(f));
    while (framed_ended(f, &path))
        continue;
    map_fini(&f->by_remote);
    mem_free(f);
}

/* ---- writing ---- */

static uint32_t waiting(const struct conn *c)
{
    return c->tail - c->head;
}

static void watch_again(struct conn *c)
{
    loop_watch_set(c->watch, waiting(c) > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void write_queue(struct framed *f, struct conn *c)
{
    while (c->head < c->tail) {
        ssize_t n = send(c->fd, c->queue + c->head, waiting(c), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN)
                conn_end(f, c, FRAMED_CLOSED);
            return;
        }
        c->head += (uint32_t)n;
    }
    mem_free(c->queue); /* idle connections hold no buffer */
    c->queue = NULL;
    c->head = c->tail = c->cap = 0;
    watch_again(c);
}

static bool grow(struct conn *c, uint32_t need)
{
    uint32_t have = waiting(c), cap = c->cap > 0 ? c->cap : 8192;

    if (c->head > 0) {
        memmove(c->queue, c->queue + c->head, have);
        c->head = 0;
        c->tail = have;
    }
    while (cap < have + have / 2 + need) /* slack: else each frame would move them all */
        cap *= 2;
    if (cap == c->cap)
        return true;
    uint8_t *p = mem_resize(c->queue, cap);
    if (p == NULL)
        return false;
    c->queue = p;
    c->cap = cap;
    return true;
}

/* The bytes of one frame from `skip` on.  False: no memory. */
static bool enqueue(struct conn *c, const struct tx_train *t, uint32_t skip)
{
    uint8_t head[FRAME_HEAD_BYTES];
    uint32_t len = FRAME_HEAD_BYTES + t->len - skip;

    if (c->tail + len > c->cap && !grow(c, len))
        return false;
    frame_head(head, t->len);
    for (; skip < FRAME_HEAD_BYTES; skip++)
        c->queue[c->tail++] = head[skip];
    uint32_t left = t->len - (skip - FRAME_HEAD_BYTES);
    memcpy(c->queue + c->tail, t->bytes + (skip - FRAME_HEAD_BYTES), left);
    c->tail += left;
    return true;
}

static bool queue_takes(const struct conn *c, const struct tx_train *t)
{
    static const uint32_t ceiling[] = {[TX_CONTROL] = FRAMED_QUEUE_BYTES,
                                       [TX_AUDIO] = FRAMED_AUDIO_BYTES,
                                       [TX_VIDEO] = FRAMED_VIDEO_BYTES};

    return waiting(c) + FRAME_HEAD_BYTES + t->len <= ceiling[t->class];
}

/* As much of the run as the socket takes at once: how many bytes, framing included; negative when
 * it is broken. */
static ssize_t write_run(struct conn *c, const struct tx_train *t, unsigned n)
{
    uint8_t head[FRAMED_BATCH][FRAME_HEAD_BYTES];
    struct iovec iov[2 * FRAMED_BATCH];
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2 * n};

    for (unsigned i = 0; i < n; i++) {
        frame_head(head[i], t[i].len);
        iov[2 * i] = (struct iovec){.iov_base = head[i], .iov_len = FRAME_HEAD_BYTES};
        iov[2 * i + 1] =
            (struct iovec){.iov_base = (void *)(uintptr_t)t[i].bytes, .iov_len = t[i].len};
    }
    ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

/* Neighbouring trains of one path. */
static void send_run(struct framed *f, struct conn *c, const struct tx_train *t, unsigned n)
{
    uint32_t was = waiting(c);
    ssize_t sent = was > 0 ? 0 : write_run(c, t, n);

    if (sent < 0) {
        conn_end(f, c, FRAMED_CLOSED);
        f->counter[FRAMED_SHED] += n;
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = FRAME_HEAD_BYTES + t[i].len;
        if (sent >= (ssize_t)len) {
            sent -= (ssize_t)len;
            continue;
        }
        /* What was begun must be ended; the rest is shed where the queue says so. */
        if ((sent == 0 && !queue_takes(c, &t[i])) || !enqueue(c, &t[i], (uint32_t)sent)) {
            f->counter[FRAMED_SHED]++;
            if (sent > 0) {
                conn_end(f, c, FRAMED_CLOSED);
                return;
            }
        }
        sent = 0;
    }
    if (was == 0 && waiting(c) > 0)
        watch_again(c);
}

void framed_send(struct framed *f, const struct tx *tx)
{
    if (f->counter[FRAMED_OPEN] == 0)
        return;
    for (uint32_t i = 0; i < tx->train_n;) {
        const struct tx_train *t = &tx->train[i];
        uint32_t n = 1;
        if (!t->path.remote.tcp) {
            i++;
            continue;
        }
        while (n < FRAMED_BATCH && i + n < tx->train_n && path_eq(&t[n].path, &t->path))
            n++;
        struct conn *c = map_find(&f->by_remote, key_of(&t->path));
        if (c != NULL)
            send_run(f, c, t, n);
        else
            f->counter[FRAMED_SHED] += n;
        i += n;
    }
}

/* ---- reading ---- */

static void on_ready(void *owner, unsigned events)
{
    struct conn *c = owner;

    if (events & LOOP_READ)
        conn_ready(c->owner, c);
    if ((events & LOOP_WRITE) && waiting(c) > 0)
        write_queue(c->owner, c);
}

static void set_options(int fd)
{
    int on = 1, unsent = FRAMED_UNSENT_BYTES, stuck = FRAMED_STUCK_MS;

    /* Without them it is slower to notice and fuller before it does; it still works. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stuck, sizeof stuck);
}

static int refuse(struct framed *f, int fd, int err)
{
    f->counter[FRAMED_REFUSED]++;
    close(fd);
    return err;
}

static void put_first(struct conn *c, struct bytes first)
{
    uint8_t head[FRAME_HEAD_BYTES];
    size_t cap;
    uint8_t *p = frame_rx_room(&c->rx, &cap);

    frame_head(head, first.len);
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, first.p, first.len);
    frame_rx_filled(&c->rx, sizeof head + first.len);
}

int framed_take(struct framed *f, int fd, const struct path *path, struct bytes first, us_t now)
{
    struct conn *old = map_find(&f->by_remote, key_of(path));

    assert(first.len <= FRAME_MAX && path->remote.tcp != 0);
    if (old != NULL && !path_eq(&old->path, path))
        return refuse(f, fd, E_EXIST);
    if (old != NULL)
        conn_end(f, old, FRAMED_CLOSED); /* the same pair again: the old one is over */
    if (f->counter[FRAMED_OPEN] == FRAMED_MAX)
        return refuse(f, fd, E_LIMIT);
    struct conn *c = mem_zero(sizeof *c);
    if (c == NULL)
        return refuse(f, fd, E_NOMEM);
    c->fd = fd;
    c->owner = f;
    c->path = *path;
    c->heard_at = now;
    frame_rx_init(&c->rx);
    set_options(fd);
    if (!map_put(&f->by_remote, key_of(path), c)) {
        mem_free(c);
        return refuse(f, fd, E_NOMEM);
    }
    int err = loop_watch(f->loop, &c->watch, fd, LOOP_READ, on_ready, c);
    if (err < 0) {
        (void)map_take(&f->by_remote, key_of(path)); /* just put */
        mem_free(c);
        return refuse(f, fd, err);
    }
    c->next = f->all;
    c->back = &f->all;
    if (f->all != NULL)
        f->all->back = &c->next;
    f->all = c;
    f->counter[FRAMED_TAKEN]++;
    f->counter[FRAMED_OPEN]++;
    f->look_at = us_min(f->look_at, now + FRAMED_LOOK_US);
    put_first(c, first);
    conn_ready(f, c);
    return 0;
}

bool framed_ready(const struct framed *f)
{
    return f->ready != NULL;
}

/* More of the stream; false when there is none now. */
static bool read_some(struct framed *f, struct conn *c)
{
    size_t cap;
    uint8_t *p = frame_rx_room(&c->rx, &cap);

    ssize_t n = recv(c->fd, p, cap, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            conn_end(f, c, FRAMED_CLOSED);
        return false;
    }
    frame_rx_filled(&c->rx, (size_t)n);
    return true;
}

unsigned framed_recv(struct framed *f, struct path *from, struct pkt **batch, unsigned n, us_t now)
{
    struct conn *c = take_ready(f);
    struct bytes frame;
    bool more = true;
    unsigned got = 0;

    *from = c->path;
    if (c->ended) { /* while it waited here */
        c->ready_next = f->ended;
        f->ended = c;
        return 0;
    }
    while (got < n && more) {
        int found = frame_rx_next(&c->rx, &frame);
        if (found == 0) {
            more = read_some(f, c);
            continue;
        }
        if (found < 0) {
            conn_end(f, c, FRAMED_MALFORMED);
            return got;
        }
        memcpy(batch[got]->data, frame.p, frame.len);
        batch[got]->len = (uint16_t)frame.len;
        batch[got]->path = c->path;
        got++;
    }
    if (got > 0)
        c->heard_at = now;
    if (more && !c->ended)
        conn_ready(f, c);
    return got;
}

void framed_drop(struct framed *f, const struct path *path)
{
    struct conn *c = map_find(&f->by_remote, key_of(path));

    if (c != NULL && path_eq(&c->path, path))
        conn_end(f, c, FRAMED_UNPROVEN);
}

void framed_sweep(struct framed *f, framed_known_fn *known, void *owner)
{
    struct conn *c = f->all;

    while (c != NULL) {
        struct conn *next = c->next;
        if (!c->ready && !known(owner, &c->path))
            conn_end(f, c, FRAMED_UNPROVEN);
        c = next;
    }
}

bool framed_ended(struct framed *f, struct path *path)
{
    struct conn *c = f->ended;

    if (c == NULL)
        return false;
    f->ended = c->ready_next;
    *path = c->path;
    conn_free(c);
    return true;
}

void framed_tick(struct framed *f, us_t now)
{
    struct conn *c = f->all;

    if (now < f->look_at)
        return;
    while (c != NULL) {
        struct conn *next = c->next;
        if (now - c->heard_at >= FRAMED_IDLE_US)
            conn_end(f, c, FRAMED_IDLE);
        c = next;
    }
    f->look_at = f->all != NULL ? now + FRAMED_LOOK_US : US_NEVER;
}

us_t framed_deadline(const struct framed *f)
{
    return f->look_at;
}

void framed_counters(const struct framed *f, uint64_t out[FRAMED_COUNTER_N])
{
    memcpy(out, f->counter, sizeof f->counter);
}
