#include "io/lanes.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/udp.h"

#include <unistd.h>

struct lane {
    int fd;
    struct path path;
    struct loop_watch *watch;
    bool ready;
    us_t heard_at;
};

struct lanes {
    struct loop *loop;
    uint32_t max, n, ready_n, at; /* at: the one that lanes_next() gave last */
    us_t look_at;
    struct lane **lane; /* [max] */
};

int lanes_open(struct lanes **ret, struct loop *loop, uint32_t max)
{
    struct lanes *l = mem_zero(sizeof *l);

    if (l == NULL)
        return E_NOMEM;
    l->loop = loop;
    l->max = max;
    l->look_at = US_NEVER;
    l->lane = mem_array(max, sizeof *l->lane);
    if (l->lane == NULL) {
        mem_free(l);
        return E_NOMEM;
    }
    *ret = l;
    return 0;
}

static void lane_free(struct lane *a)
{
    loop_unwatch(a->watch);
    close(a->fd);
    mem_free(a);
}

void lanes_free(struct lanes *l)
{
    if (l == NULL)
        return;
    for (uint32_t i = 0; i < l->n; i++)
        lane_free(l->lane[i]);
    mem_free(l->lane);
    mem_free(l);
}

static void on_ready(void *owner, unsigned events UNUSED)
{
    ((struct lane *)owner)->ready = true;
}

int lanes_add(struct lanes *l, const struct path *path, us_t now)
{
    if (l->n == l->max)
        return E_LIMIT;
    for (uint32_t i = 0; i < l->n; i++) {
        if (path_eq(&l->lane[i]->path, path))
            return E_EXIST;
    }
    struct lane *a = mem_zero(sizeof *a);
    if (a == NULL)
        return E_NOMEM;
    a->path = *path;
    a->heard_at = now;
    a->fd = udp_connected(path);
    int err = a->fd < 0 ? a->fd : loop_watch(l->loop, &a->watch, a->fd, LOOP_READ, on_ready, a);
    if (err < 0) {
        if (a->fd >= 0)
            close(a->fd);
        mem_free(a);
        return err;
    }
    l->lane[l->n++] = a;
    l->look_at = us_min(l->look_at, now + LANES_LOOK_US);
    return 0;
}

bool lanes_ready(const struct lanes *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->lane[i]->ready)
            return true;
    }
    return false;
}

int lanes_next(struct lanes *l, us_t now)
{
    for (uint32_t i = 0; i < l->n; i++) {
        l->at = l->at + 1 < l->n ? l->at + 1 : 0; /* each in its turn */
        struct lane *a = l->lane[l->at];
        if (!a->ready)
            continue;
        a->ready = false;
        a->heard_at = now;
        return a->fd;
    }
    return -1;
}

void lanes_more(struct lanes *l)
{
    l->lane[l->at]->ready = true;
}

void lanes_tick(struct lanes *l, us_t now)
{
    if (now < l->look_at)
        return;
    for (uint32_t i = l->n; i > 0; i--) {
        struct lane *a = l->lane[i - 1];
        if (a->ready || now - a->heard_at < LANES_IDLE_US)
            continue;
        lane_free(a);
        l->lane[i - 1] = l->lane[--l->n];
    }
    l->look_at = l->n > 0 ? now + LANES_LOOK_US : US_NEVER;
}

us_t lanes_deadline(const struct lanes *l)
{
    return l->look_at;
}

uint32_t lanes_n(const struct lanes *l)
{
    return l->n;
}
