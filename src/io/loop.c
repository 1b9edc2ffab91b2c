#include "io/loop.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/net.h"

#include <netdb.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

enum { LOOP_SIGNALS_MAX = 8, WALL_REFRESH_US = US_PER_SEC };

struct loop_signal_slot {
    uv_signal_t uv;
    loop_fn *fn;
    void *owner;
};

struct loop {
    uv_loop_t uv;
    uv_async_t async;
    uv_check_t check;     /* after polling: the round */
    uv_poll_t timer_poll; /* of timer_fd */
    int timer_fd;
    us_t alarm_at;
    int64_t wall_off_us;
    bool tells_log;
    us_t wall_at; /* when wall_off_us was last read */
    loop_fn *round;
    void *owner;
    struct loop_signal_slot signal[LOOP_SIGNALS_MAX];
    uint32_t signal_n;
};

struct loop_watch {
    uv_poll_t uv;
    loop_ready_fn *ready;
    void *owner;
};

struct tick loop_tick(struct loop *l)
{
    us_t now = clock_now();

    if (now - l->wall_at >= WALL_REFRESH_US || l->wall_at == 0) {
        l->wall_at = now;
        l->wall_off_us = clock_tick().wall_off_us;
    }
    if (l->tells_log)
        log_clock(now + l->wall_off_us);
    return (struct tick){.now = now, .wall_off_us = l->wall_off_us};
}

void loop_tell_log(struct loop *l)
{
    l->tells_log = true;
}

static void on_async(uv_async_t *async UNUSED)
{
    /* it has ended the poll: the check handle runs the round */
}

static void on_timer(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct loop *l = poll->data;
    uint64_t times;

    (void)!read(l->timer_fd, &times, sizeof times); /* only to make it unreadable again */
    l->alarm_at = US_NEVER;
}

static void on_check(uv_check_t *check)
{
    struct loop *l = check->data;

    if (l->round != NULL)
        l->round(l->owner);
}

int loop_open(struct loop **ret)
{
    struct loop *l = mem_zero(sizeof *l);

    if (l == NULL)
        return E_NOMEM;
    l->alarm_at = US_NEVER;
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->timer_fd < 0) {
        mem_free(l);
        return -errno;
    }
    int err = uv_loop_init(&l->uv);
    if (err < 0) {
        close(l->timer_fd);
        mem_free(l);
        return err;
    }
    l->async.data = l->check.data = l->timer_poll.data = l;
    err = uv_async_init(&l->uv, &l->async, on_async);
    if (err == 0)
        err = uv_check_init(&l->uv, &l->check);
    if (err == 0)
        err = uv_check_start(&l->check, on_check);
    if (err == 0)
        err = uv_poll_init(&l->uv, &l->timer_poll, l->timer_fd);
    if (err == 0)
        err = uv_poll_start(&l->timer_poll, UV_READABLE, on_timer);
    if (err < 0) {
        loop_free(l);
        return err;
    }
    *ret = l;
    return 0;
}

static void close_handle(uv_handle_t *h, void *arg UNUSED)
{
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    uv_walk(&l->uv, close_handle, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT); /* lets the closes finish */
    (void)uv_loop_close(&l->uv);
    close(l->timer_fd);
    mem_free(l);
}

void loop_set_round(struct loop *l, loop_fn *round, void *owner)
{
    l->round = round;
    l->owner = owner;
}

void loop_run(struct loop *l)
{
    if (l->round != NULL)
        l->round(l->owner);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

void loop_alarm(struct loop *l, us_t at)
{
    struct itimerspec its = {0};

    /* Deadlines are put off far more often than they pass: one that rings too early costs a look
     * around, setting it anew each time would cost a system call. */
    if (l->alarm_at <= at)
        return;
    l->alarm_at = at;
    at = us_max(at, 1); /* zero would disarm */
    its.it_value.tv_sec = at / US_PER_SEC;
    its.it_value.tv_nsec = at % US_PER_SEC * 1000;
    int err = timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
    assert(err == 0);
}

void loop_wake(struct loop *l)
{
    (void)uv_async_send(&l->async); /* fails only while closing */
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct loop_watch *w = OWNER_OF(poll, struct loop_watch, uv);
    unsigned ready = 0;

    if (status < 0)
        ready = LOOP_READ | LOOP_WRITE; /* let the read or write find the error */
    if (events & UV_READABLE)
        ready |= LOOP_READ;
    if (events & UV_WRITABLE)
        ready |= LOOP_WRITE;
    w->ready(w->owner, ready);
}

void loop_watch_set(struct loop_watch *w, unsigned events)
{
    int uv = 0;

    if (events & LOOP_READ)
        uv |= UV_READABLE;
    if (events & LOOP_WRITE)
        uv |= UV_WRITABLE;
    if (uv != 0)
        (void)uv_poll_start(&w->uv, uv, on_ready);
    else
        (void)uv_poll_stop(&w->uv);
}

int loop_watch(struct loop *l, struct loop_watch **ret, int fd, unsigned events,
               loop_ready_fn *ready, void *owner)
{
    struct loop_watch *w = mem_zero(sizeof *w);

    if (w == NULL)
        return E_NOMEM;
    int err = uv_poll_init(&l->uv, &w->uv, fd);
    if (err < 0) {
        mem_free(w);
        return err;
    }
    w->ready = ready;
    w->owner = owner;
    loop_watch_set(w, events);
    *ret = w;
    return 0;
}

static void free_watch(uv_handle_t *h)
{
    mem_free(OWNER_OF((uv_poll_t *)(void *)h, struct loop_watch, uv));
}

void loop_unwatch(struct loop_watch *w)
{
    if (w == NULL)
        return;
    (void)uv_poll_stop(&w->uv); /* before the descriptor goes */
    uv_close((uv_handle_t *)&w->uv, free_watch);
}

static void on_signal(uv_signal_t *uv, int signum UNUSED)
{
    struct loop_signal_slot *s = OWNER_OF(uv, struct loop_signal_slot, uv);

    s->fn(s->owner);
}

int loop_signal(struct loop *l, int signum, loop_fn *fn, void *owner)
{
    if (l->signal_n == LOOP_SIGNALS_MAX)
        return E_LIMIT;
    struct loop_signal_slot *s = &l->signal[l->signal_n++];
    s->fn = fn;
    s->owner = owner;
    int err = uv_signal_init(&l->uv, &s->uv);
    return err < 0 ? err : uv_signal_start(&s->uv, on_signal, signum);
}

/* ---- names ---- */

struct loop_lookup {
    uv_getaddrinfo_t uv;
    uint16_t port;
    loop_found_fn *found; /* NULL: forgotten */
    void *owner;
};

static void on_lookup(uv_getaddrinfo_t *uv, int status, struct addrinfo *list)
{
    struct loop_lookup *k = OWNER_OF(uv, struct loop_lookup, uv);
    struct addr addr[LOOP_FOUND_MAX];
    uint32_t n = 0;

    for (struct addrinfo *ai = list; ai != NULL && n < LOOP_FOUND_MAX; ai = ai->ai_next) {
        struct sockaddr_storage ss = {0};
        memcpy(&ss, ai->ai_addr, size_min(ai->ai_addrlen, sizeof ss));
        net_addr_from(&ss, &addr[n]);
        addr[n++].port = k->port;
    }
    uv_freeaddrinfo(list);
    if (k->found != NULL)
        k->found(k->owner, status < 0 || n == 0 ? -EHOSTUNREACH : 0, addr, n);
    mem_free(k);
}

int loop_lookup(struct loop *l, struct loop_lookup **ret, const char *host, uint16_t port,
                loop_found_fn *found, void *owner)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct loop_lookup *k = mem_zero(sizeof *k);

    if (k == NULL)
        return E_NOMEM;
    *k = (struct loop_lookup){.port = port, .found = found, .owner = owner};
    int err = uv_getaddrinfo(&l->uv, &k->uv, on_lookup, host, NULL, &hints);
    if (err < 0) {
        mem_free(k);
        return err;
    }
    *ret = k;
    return 0;
}

void loop_forget(struct loop_lookup *k)
{
    if (k == NULL)
        return;
    k->found = NULL;
    (void)uv_cancel((uv_req_t *)&k->uv); /* one that has begun ends by itself */
}
