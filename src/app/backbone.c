#include "app/backbone.h"

#include "app/keeper.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/sock.h"
#include "io/tcp.h"

#include <stdarg.h>
#include <stdio.h>

enum { ANSWERS_MAX = 4096, PATH_BYTES_MAX = 4096 };

/* A process on the bus. */
struct line {
    struct backbone *b;
    struct line *next;
    struct tcp *tcp;
    uint32_t client;
    int pid;
};

struct backbone {
    struct loop *loop;
    struct wake *control;
    char path[PATH_BYTES_MAX]; /* of the socket */
    int listener;              /* -1: none */
    struct loop_watch *watch;
    struct local_hub *hub;
    uint32_t node; /* its place on the hub */
    struct line *lines;
    uint32_t left_n; /* processes that left since the last round */
    struct store *store;
    struct keeper *keeper;
    struct {
        uint64_t serial;
        int err;
    } answer[ANSWERS_MAX]; /* to writes that nobody keeps, or that could not be handed over */
    uint32_t answer_n;
};

static int refuse(char error[BACKBONE_ERROR_MAX], int err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int refuse(char error[BACKBONE_ERROR_MAX], int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(error, BACKBONE_ERROR_MAX, fmt, ap); /* may be cut */
    va_end(ap);
    return err;
}

/* ---- processes on the bus ---- */

static void drop_line(struct line *l)
{
    struct backbone *b = l->b;

    for (struct line **at = &b->lines; *at != NULL; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    local_hub_leave(b->hub, l->client);
    b->left_n++;
    LOG_I("bus", "state=left pid=%d", l->pid);
    tcp_free(l->tcp);
    mem_free(l);
}

static void on_data(void *owner, struct bytes in)
{
    struct line *l = owner;

    int err = local_hub_input(l->b->hub, l->client, in, loop_tick(l->b->loop).now);
    if (err < 0) {
        LOG_W("bus", "state=refused pid=%d error=\"%s\"", l->pid, err_text(err));
        drop_line(l);
    }
}

static void on_drained(void *owner UNUSED)
{
}

static void on_closed(void *owner, int err UNUSED)
{
    drop_line(owner);
}

static const struct tcp_handler handler = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

static void accept_one(struct backbone *b, int fd)
{
    struct line *l = mem_zero(sizeof *l);
    int pid = sock_peer_pid(fd);

    if (l == NULL) {
        tcp_close(fd);
        return;
    }
    l->b = b;
    l->pid = pid;
    l->client = local_hub_join(b->hub, true);
    if (tcp_open(&l->tcp, b->loop, fd, &handler, l) < 0 || l->client == 0) {
        LOG_W("bus", "state=refused pid=%d error=\"no room for another process\"", pid);
        local_hub_leave(b->hub, l->client);
        tcp_free(l->tcp);
        mem_free(l);
        return;
    }
    l->next = b->lines;
    b->lines = l;
    LOG_I("bus", "state=joined pid=%d", pid);
}

static void on_acceptable(void *owner, unsigned events UNUSED)
{
    struct backbone *b = owner;
    int fd;

    for (int i = 0; i < TCP_ACCEPTS_PER_ROUND && (fd = sock_accept(b->listener)) >= 0; i++)
        accept_one(b, fd);
}

static struct line *find_line(const struct backbone *b, uint32_t client)
{
    for (struct line *l = b->lines; l != NULL; l = l->next) {
        if (l->client == client)
            return l;
    }
    return NULL;
}

/* ---- opening ---- */

static int open_bus(struct backbone *b, const char *dir, char error[BACKBONE_ERROR_MAX])
{
    (void)snprintf(b->path, sizeof b->path, "%s/bus.sock", dir); /* too long: refused below */
    b->listener = sock_listen(b->path);
    if (b->listener == -EADDRINUSE)
        return refuse(error, b->listener,
                      "another sluice uses the data directory %s; stop it, or choose another with "
                      "--data-dir",
                      dir);
    if (b->listener == E_TOO_LARGE)
        return refuse(error, b->listener,
                      "the path of the data directory is too long for a socket in it (%s)", dir);
    if (b->listener < 0)
        return refuse(error, b->listener, "cannot open %s: %s", b->path, err_text(b->listener));
    int err = loop_watch(b->loop, &b->watch, b->listener, LOOP_READ, on_acceptable, b);
    return err < 0 ? refuse(error, err, "cannot open the bus: %s", err_text(err)) : 0;
}

static int open_dir(struct backbone *b, const char *dir, char error[BACKBONE_ERROR_MAX])
{
    char path[PATH_BYTES_MAX];

    int err = file_make_dir(dir, 0700);
    if (err < 0)
        return refuse(error, err, "the data directory %s: %s; choose another with --data-dir", dir,
                      err_text(err));
    err = open_bus(b, dir, error);
    if (err < 0)
        return err;
    (void)snprintf(path, sizeof path, "%s/sluice.db", dir); /* shorter than the socket's limit */
    return store_open(&b->store, path, error);
}

int backbone_open(struct backbone **ret, const struct backbone_cfg *cfg,
                  char error[BACKBONE_ERROR_MAX])
{
    struct backbone *b = mem_zero(sizeof *b);

    static_assert((int)BACKBONE_ERROR_MAX >= (int)STORE_ERROR_MAX, "store_open() fills it");
    if (b == NULL)
        return refuse(error, E_NOMEM, "out of memory");
    b->loop = cfg->loop;
    b->control = cfg->control;
    b->listener = -1;
    int err = local_hub_open(&b->hub, cfg->seed);
    if (err == 0 && (b->node = local_hub_join(b->hub, false)) == 0)
        err = E_NOMEM;
    if (err < 0)
        (void)refuse(error, err, "out of memory");
    if (err == 0 && cfg->dir != NULL)
        err = open_dir(b, cfg->dir, error);
    if (err < 0) {
        backbone_close(b);
        return err;
    }
    *ret = b;
    return 0;
}

void backbone_close(struct backbone *b)
{
    if (b == NULL)
        return;
    loop_unwatch(b->watch);
    sock_unlisten(b->listener, b->path);
    while (b->lines != NULL)
        drop_line(b->lines);
    local_hub_free(b->hub);
    keeper_close(b->keeper);
    store_free(b->store);
    mem_free(b);
}

/* ---- the store ---- */

int backbone_load(struct backbone *b, struct node *node, char error[BACKBONE_ERROR_MAX])
{
    struct bytes id, body;
    const char *kind;
    char dir[PATH_BYTES_MAX];
    int err = 0;

    if (b->store == NULL)
        return 0;
    for (uint32_t k = 0; (kind = node_store_kind(k)) != NULL && err == 0; k++) {
        for (bool first = true; store_next(b->store, kind, first, &id, &body, &err);
             first = false) {
            int skipped = node_load(node, kind, id, body);
            if (skipped < 0 && skipped != E_NOENT)
                LOG_W("store", "skipped=%s/%.*s error=\"%s\"", kind, (int)size_min(id.len, 64),
                      (const char *)id.p, err_text(skipped));
        }
    }
    if (err < 0)
        return refuse(error, err, "the database cannot be read: %s", store_error(b->store));
    struct store *store = b->store;
    b->store = NULL;
    size_t n = strlen(b->path) - strlen("/bus.sock");
    (void)str_copy(dir, sizeof dir, bytes_of(b->path, n)); /* fits: a part of it */
    err = keeper_open(&b->keeper, store, dir, b->control);
    return err < 0 ? refuse(error, err, "cannot start a thread: %s", err_text(err)) : 0;
}

static void put_store(struct backbone *b, const struct store_op *op)
{
    int err = b->keeper != NULL ? keeper_put(b->keeper, op) : 0;

    if ((err == 0 && b->keeper != NULL) || op->serial == 0)
        return;
    assert(b->answer_n < ANSWERS_MAX); /* INGRESS_CHANGES_MAX are under way at most */
    b->answer[b->answer_n].serial = op->serial;
    b->answer[b->answer_n++].err = err;
}

void backbone_put(struct backbone *b, const struct node_out *out, us_t now)
{
    if (out->kind == NODE_OUT_BUS)
        local_hub_op(b->hub, b->node, &out->bus, now);
    else
        put_store(b, &out->store);
}

static bool take_stored(struct backbone *b, struct node *node, struct tick tick)
{
    uint32_t n = b->answer_n;
    bool any = n > 0;
    uint64_t serial;
    int err;

    b->answer_n = 0;
    for (uint32_t i = 0; i < n; i++)
        node_stored(node, b->answer[i].serial, b->answer[i].err, tick);
    while (b->keeper != NULL && keeper_done(b->keeper, &serial, &err)) {
        node_stored(node, serial, err, tick);
        any = true;
    }
    if (b->keeper != NULL)
        keeper_kick(b->keeper);
    return any;
}

/* ---- the round ---- */

static void write_out(struct backbone *b, const struct local_out *out)
{
    struct line *l = find_line(b, out->client);

    if (l == NULL)
        return;
    if (out->kind == LOCAL_OUT_BYTES && tcp_queued_bytes(l->tcp) < BACKBONE_LINE_BYTES_MAX &&
        tcp_write(l->tcp, out->data) == 0)
        return;
    LOG_W("bus", "state=dropped pid=%d error=\"it does not read\"", l->pid);
    drop_line(l);
}

bool backbone_round(struct backbone *b, struct node *node, struct tick tick)
{
    struct local_out out;
    bool any = take_stored(b, node, tick);

    while (local_hub_output(b->hub, &out)) {
        if (out.kind != LOCAL_OUT_NEWS) {
            write_out(b, &out);
            continue;
        }
        node_bus_news(node, &out.news, tick);
        any = true;
    }
    for (; b->left_n > 0; b->left_n--) {
        node_bus_left(node, tick);
        any = true;
    }
    local_hub_tick(b->hub, tick.now);
    return any;
}

bool backbone_waits(const struct backbone *b)
{
    return b->answer_n > 0 || (b->keeper != NULL && keeper_has_done(b->keeper));
}

void backbone_metrics(const struct backbone *b, struct str *out)
{
    struct local_counts n;

    local_hub_get_counts(b->hub, &n);
    str_printf(out,
               "# TYPE sluice_bus_processes gauge\nsluice_bus_processes %u\n"
               "# TYPE sluice_bus_channels gauge\nsluice_bus_channels %u\n"
               "# TYPE sluice_bus_messages_total counter\nsluice_bus_messages_total %llu\n"
               "# TYPE sluice_bus_unheard_total counter\nsluice_bus_unheard_total %llu\n",
               n.clients - 1, n.channels, (unsigned long long)n.messages,
               (unsigned long long)n.lost);
}
