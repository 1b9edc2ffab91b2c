#include "app/buslink.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/local.h"
#include "crypt/crypt.h"
#include "io/dial.h"
#include "io/tcp.h"

struct buslink {
    struct loop *loop;
    char *path;
    buslink_event_fn *event;
    void *owner;
    struct psrpc *psrpc;
    struct tcp *tcp; /* NULL: down */
    struct local_line line;
    us_t retry_at; /* while down */
    bool said;     /* that it is down */
};

static void down(struct buslink *b)
{
    if (b->tcp == NULL)
        return;
    tcp_free(b->tcp);
    b->tcp = NULL;
    local_line_fini(&b->line);
    b->retry_at = loop_tick(b->loop).now + BUSLINK_RETRY_US;
    LOG_W("bus", "state=lost");
}

static void on_data(void *owner, struct bytes in)
{
    struct buslink *b = owner;
    struct tick tick = loop_tick(b->loop);
    struct bus_news news;
    int err = local_line_input(&b->line, in);

    while (local_line_news(&b->line, &news))
        psrpc_input(b->psrpc, &news, tick);
    if (err < 0)
        down(b);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner, int err)
{
    (void)err;
    down(owner);
}

static const struct tcp_handler handler = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

static void up(struct buslink *b, us_t now)
{
    int fd = dial_unix(b->path);

    b->retry_at = now + BUSLINK_RETRY_US;
    if (fd < 0 || tcp_open(&b->tcp, b->loop, fd, &handler, b) < 0) {
        if (!b->said)
            LOG_W("bus", "state=waiting path=%s", b->path);
        b->said = true;
        return;
    }
    b->said = false;
    local_line_init(&b->line);
    psrpc_connected(b->psrpc);
    LOG_I("bus", "state=up path=%s", b->path);
}

int buslink_open(struct buslink **ret, struct loop *loop, const char *path, buslink_event_fn *event,
                 void *owner)
{
    struct buslink *b = mem_zero(sizeof *b);
    uint64_t seed = 0;

    if (b == NULL)
        return E_NOMEM;
    b->loop = loop;
    b->event = event;
    b->owner = owner;
    b->path = mem_dup_str(path);
    int err = b->path != NULL ? crypt_random(&seed, sizeof seed) : E_NOMEM;
    if (!err)
        err = psrpc_open(&b->psrpc, seed);
    if (err) {
        buslink_free(b);
        return err;
    }
    *ret = b;
    return 0;
}

void buslink_free(struct buslink *b)
{
    if (b == NULL)
        return;
    if (b->tcp != NULL)
        local_line_fini(&b->line);
    tcp_free(b->tcp);
    psrpc_free(b->psrpc);
    mem_free(b->path);
    mem_free(b);
}

struct psrpc *buslink_psrpc(struct buslink *b)
{
    return b->psrpc;
}

bool buslink_up(const struct buslink *b)
{
    return b->tcp != NULL && b->line.greeted;
}

static void flush(struct buslink *b)
{
    struct bus_op op;
    struct bytes out;

    while (psrpc_output(b->psrpc, &op)) {
        if (b->tcp != NULL && local_line_op(&b->line, &op) < 0)
            down(b); /* operations are lost: those who wait hear of it by their deadline */
    }
    while (b->tcp != NULL && local_line_output(&b->line, &out)) {
        if (tcp_write(b->tcp, out) < 0)
            down(b);
    }
}

void buslink_round(struct buslink *b, struct tick tick)
{
    struct psrpc_event ev;

    if (b->tcp == NULL && tick.now >= b->retry_at)
        up(b, tick.now);
    psrpc_tick(b->psrpc, tick);
    while (psrpc_event(b->psrpc, &ev))
        b->event(b->owner, &ev, tick);
    flush(b);
}

us_t buslink_deadline(const struct buslink *b)
{
    us_t at = psrpc_deadline(b->psrpc);

    return b->tcp == NULL ? us_min(at, b->retry_at) : at;
}
