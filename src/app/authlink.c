#include "app/authlink.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/connect.h"
#include "io/fetch.h"
#include "io/file.h"
#include "io/tcp.h"

static const char system_authorities[] = "/etc/ssl/certs/ca-certificates.crt";

/* A connection of auth's. */
struct wire {
    struct wire *next;
    struct authlink *link;
    uint64_t conn;
    struct connect *connect; /* while it is being made */
    struct tcp *tcp;
    bool ending; /* auth is done with it; what is queued still goes out */
    us_t end_at; /* then */
};

struct authlink {
    struct loop *loop;
    struct auth *auth;
    struct tls_ctx *tls;
    struct fetch *fetch; /* for http:// and https:// */
    struct wire *wires;
};

enum { LINGER_US = 2 * 1000 * 1000 };

/* ---- life ---- */

static int open_tls(struct authlink *l, const char *path)
{
    struct str pem;

    str_init(&pem, AUTHLINK_AUTHORITIES_MAX);
    int err = file_read(path[0] != '\0' ? path : system_authorities, &pem, NULL);
    if (err == 0)
        err = tls_ctx_open_client(&l->tls, str_bytes(&pem));
    str_fini(&pem);
    return err;
}

int authlink_open(struct authlink **ret, const struct authlink_cfg *cfg)
{
    struct authlink *l = mem_zero(sizeof *l);
    struct fetch_cfg fetch = {
        .loop = cfg->loop,
        .user_agent = "sluice/" SLUICE_VERSION,
        .authorities = cfg->authorities[0] != '\0' ? cfg->authorities : NULL,
    };
    int err = 0;

    if (l == NULL)
        return E_NOMEM;
    l->loop = cfg->loop;
    if (strncmp(cfg->url, "wss:", 4) == 0)
        err = open_tls(l, cfg->authorities);
    else if (strncmp(cfg->url, "http", 4) == 0)
        err = fetch_open(&l->fetch, &fetch);
    const struct auth_cfg auth = {.url = cfg->url, .seed = cfg->seed, .tls = l->tls};
    if (err == 0)
        err = auth_open(&l->auth, &auth);
    if (err < 0) {
        authlink_free(l);
        return err;
    }
    *ret = l;
    return 0;
}

static void wire_free(struct wire *w)
{
    struct wire **at = &w->link->wires;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    connect_free(w->connect);
    tcp_free(w->tcp);
    mem_free(w);
}

void authlink_free(struct authlink *l)
{
    if (l == NULL)
        return;
    while (l->wires != NULL)
        wire_free(l->wires);
    fetch_free(l->fetch);
    auth_free(l->auth);
    tls_ctx_free(l->tls);
    mem_free(l);
}

struct auth *authlink_auth(struct authlink *l)
{
    return l->auth;
}

/* ---- connections ---- */

static struct wire *find(const struct authlink *l, uint64_t conn)
{
    for (struct wire *w = l->wires; w != NULL; w = w->next)
        if (w->conn == conn)
            return w;
    return NULL;
}

static void on_data(void *owner, struct bytes in)
{
    struct wire *w = owner;

    if (!w->ending)
        auth_input(w->link->auth, w->conn, in);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner, int err)
{
    struct wire *w = owner;

    if (!w->ending)
        auth_closed(w->link->auth, w->conn, err);
    wire_free(w);
}

static const struct tcp_handler handler = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

static void on_connect(void *owner, int fd)
{
    struct wire *w = owner;

    w->connect = NULL;
    int err = fd < 0 ? fd : tcp_open(&w->tcp, w->link->loop, fd, &handler, w);
    if (err < 0) {
        auth_closed(w->link->auth, w->conn, err);
        wire_free(w);
        return;
    }
    auth_connected(w->link->auth, w->conn, loop_tick(w->link->loop));
}

static void open_wire(struct authlink *l, const struct auth_out *out)
{
    struct wire *w = mem_zero(sizeof *w);

    if (w == NULL) {
        auth_closed(l->auth, out->conn, E_NOMEM);
        return;
    }
    *w = (struct wire){.next = l->wires, .link = l, .conn = out->conn};
    l->wires = w;
    int err = connect_open(&w->connect, l->loop, out->host, out->port, on_connect, w);
    if (err < 0) {
        wire_free(w);
        auth_closed(l->auth, out->conn, err);
    }
}

static void put(struct authlink *l, const struct auth_out *out, us_t now)
{
    struct wire *w = find(l, out->conn);

    if (out->kind == AUTH_OUT_CONNECT) {
        open_wire(l, out);
    } else if (w == NULL) {
        return; /* lost meanwhile: auth has heard */
    } else if (out->kind == AUTH_OUT_SEND) {
        if (tcp_write(w->tcp, out->data) < 0) {
            auth_closed(l->auth, w->conn, E_LIMIT);
            wire_free(w);
        }
    } else if (w->tcp == NULL) {
        wire_free(w);
    } else {
        w->ending = true;
        w->end_at = now + LINGER_US;
        tcp_end(w->tcp);
    }
}

/* ---- the round ---- */

static void move_http(struct authlink *l, struct tick tick)
{
    struct reply reply;
    struct ask ask;
    uint32_t tag;

    fetch_tick(l->fetch, tick.now);
    while (fetch_done(l->fetch, &tag, &reply))
        auth_answer(l->auth, &reply);
    while (auth_ask(l->auth, &ask)) {
        int err = fetch_start(l->fetch, 0, &ask, tick.now);
        const struct reply none = {.id = ask.id, .err = err};
        if (err < 0)
            auth_answer(l->auth, &none);
    }
}

void authlink_round(struct authlink *l, struct tick tick)
{
    struct auth_out out;
    struct wire *after;

    auth_tick(l->auth, tick.now);
    if (l->fetch != NULL)
        move_http(l, tick);
    while (auth_output(l->auth, &out))
        put(l, &out, tick.now);
    for (struct wire *w = l->wires; w != NULL; w = after) {
        after = w->next;
        if (w->ending && tick.now >= w->end_at)
            wire_free(w);
    }
}

us_t authlink_deadline(const struct authlink *l)
{
    us_t at = auth_deadline(l->auth);

    if (l->fetch != NULL)
        at = us_min(at, fetch_deadline(l->fetch));
    for (const struct wire *w = l->wires; w != NULL; w = w->next)
        if (w->ending)
            at = us_min(at, w->end_at);
    return at;
}

bool authlink_busy(const struct authlink *l)
{
    return auth_deadline(l->auth) != US_NEVER || l->wires != NULL ||
           (l->fetch != NULL && fetch_busy(l->fetch) > 0);
}
