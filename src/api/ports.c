#include "api/ports.h"

#include "api/admin.h"
#include "api/join.h"
#include "api/lightspeed.h"
#include "base/err.h"

#include <stdio.h>

enum { SCRATCH_BYTES = 1 << 16 };

void ports_init(struct ports *p, struct hub *hub, struct psrpc *bus)
{
    p->hub = hub;
    p->bus = bus;
    p->n = 0;
}

static void answer(struct ports *p, uint64_t conn, int status, const char *text)
{
    outbox_http(&p->hub->out, conn, status, "text/plain; charset=utf-8", bytes_str(text));
}

/* ---- who may ---- */

static bool may(const struct ports *p, const struct node_cfg *cfg, const struct http_msg *req)
{
    static const char bearer[] = "Bearer ";
    const char *header = http_header_get(req, "authorization");
    struct join_why why;
    struct arena a;

    if (header == NULL || strncmp(header, bearer, sizeof bearer - 1) != 0)
        return false;
    if (admin_is_secret(cfg, bytes_str(header + sizeof bearer - 1)))
        return true;
    arena_init(&a, JOIN_ARENA_BYTES);
    const struct token_claims *c =
        join_claims(cfg, req, house_wall_ms(&p->hub->house) / 1000, &a, &why);
    bool ok = why.status == 0 && c != NULL && c->has_video && c->video.ingress_admin;
    arena_fini(&a);
    return ok;
}

/* ---- asking ---- */

static struct ports_entry *by_port(const struct ports *p, uint64_t port)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->entry[i].ask == 0 && p->entry[i].port == port)
            return (struct ports_entry *)&p->entry[i];
    }
    return NULL;
}

static void drop(struct ports *p, struct ports_entry *e)
{
    *e = p->entry[--p->n];
}

static void open_port(struct ports *p, uint64_t conn, uint64_t port)
{
    Sluice__OpenPortRequest q = SLUICE__OPEN_PORT_REQUEST__INIT;
    const struct psrpc_ask ask = {
        .method = &methods[METHOD_OPEN_PORT], .request = &q.base, .timeout_us = PORTS_ASK_US};
    struct ports_entry *e = &p->entry[p->n];

    q.port = (uint32_t)port;
    if (p->n == PORTS_MAX) {
        answer(p, conn, 503, "too many streams\n");
        return;
    }
    *e = (struct ports_entry){.conn = conn};
    if (psrpc_request(p->bus, &ask, p->hub->house.tick, &e->ask) < 0)
        answer(p, conn, 503, "too many calls under way\n");
    else
        p->n++;
}

/* To the process that has the port. */
static int ask_owner(struct ports *p, const struct ports_entry *e, bool probe, psrpc_id *id)
{
    Sluice__ClosePortRequest q = SLUICE__CLOSE_PORT_REQUEST__INIT;
    char topic[8];
    const struct psrpc_ask ask = {.method = &methods[METHOD_CLOSE_PORT],
                                  .topic = topic,
                                  .request = &q.base,
                                  .timeout_us = PORTS_ASK_US};

    (void)snprintf(topic, sizeof topic, "%u", e->port); /* fits */
    q.port = e->port;
    q.probe = probe;
    return psrpc_request(p->bus, &ask, p->hub->house.tick, id);
}

static void end(struct ports *p, struct ports_entry *e)
{
    if (e->probe != 0)
        psrpc_forget(p->bus, e->probe);
    lightspeed_close(p->all, e->room);
    drop(p, e);
}

static void close_port(struct ports *p, uint64_t conn, uint64_t port)
{
    struct ports_entry *e = by_port(p, port);
    psrpc_id id = 0;

    if (e != NULL && ask_owner(p, e, false, &id) < 0) {
        answer(p, conn, 503, "too many calls under way\n");
        return;
    }
    if (e != NULL)
        end(p, e); /* when the process is gone, so is the port */
    answer(p, conn, 204, "");
}

void ports_left(struct ports *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct ports_entry *e = &p->entry[i];
        if (e->ask == 0 && e->probe == 0 && ask_owner(p, e, true, &e->probe) < 0)
            e->probe = 0; /* the next time */
    }
}

/* ?port=N; false: not a number.  Absent: 0. */
static bool read_port(const struct http_msg *req, bool *there, uint64_t *port)
{
    struct arena a;

    arena_init(&a, SCRATCH_BYTES);
    const char *text = http_query_get(&a, req->query, "port");
    *there = text != NULL && *text != '\0';
    *port = 0;
    bool ok = !*there || str_to_u64(bytes_str(text), UINT16_MAX, port);
    arena_fini(&a);
    return ok;
}

bool ports_http(struct ports *p, uint64_t conn, const struct http_msg *req,
                const struct node_cfg *cfg)
{
    bool post = strcmp(req->method, "POST") == 0, there;
    uint64_t port;

    if (strcmp(req->path, "/stream") != 0)
        return false;
    if (!post && strcmp(req->method, "DELETE") != 0)
        answer(p, conn, 405, "POST makes a stream, DELETE ends it\n");
    else if (!may(p, cfg, req))
        answer(p, conn, 401, "send Authorization: Bearer with the secret of /admin\n");
    else if (!read_port(req, &there, &port) || (!post && !there))
        answer(p, conn, 400, "port is a number\n");
    else if (!post)
        close_port(p, conn, port);
    else if (port != 0 && (by_port(p, port) != NULL || port == LIGHTSPEED_PORT))
        answer(p, conn, 500, "the port is in use\n");
    else
        open_port(p, conn, port);
    return true;
}

/* ---- answers ---- */

static bool probed(struct ports *p, const struct psrpc_event *ev)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct ports_entry *e = &p->entry[i];
        if (e->probe == 0 || e->probe != ev->id)
            continue;
        e->probe = 0;
        if (ev->kind == PSRPC_EVT_FAILED)
            end(p, e);
        return true;
    }
    return false;
}

bool ports_event(struct ports *p, const struct psrpc_event *ev)
{
    const Sluice__OpenPortResponse *r = ev->message;
    struct ports_entry *e = NULL;
    char text[32];

    for (uint32_t i = 0; i < p->n && e == NULL; i++) {
        if (p->entry[i].ask != 0 && p->entry[i].ask == ev->id)
            e = &p->entry[i];
    }
    if (ev->kind == PSRPC_EVT_CALL || ev->kind == PSRPC_EVT_OFFER)
        return false;
    if (e == NULL)
        return probed(p, ev);
    if (ev->kind != PSRPC_EVT_ANSWER || r == NULL || r->port == 0 || r->port > UINT16_MAX) {
        bool none = ev->kind == PSRPC_EVT_FAILED && ev->code == PSRPC_UNAVAILABLE;
        answer(p, e->conn, none ? 503 : 500,
               none ? "no ingress is running\n" : "the port cannot be opened\n");
        drop(p, e);
        return true;
    }
    e->ask = 0;
    e->port = (uint16_t)r->port;
    (void)snprintf(e->room, sizeof e->room, "stream-%u", e->port); /* fit */
    (void)snprintf(e->id, sizeof e->id, "PORT_%u", e->port);
    (void)snprintf(text, sizeof text, "{\"port\":%u}\n", e->port);
    answer(p, e->conn, 200, text);
    return true;
}

const char *ports_room(const struct ports *p, uint64_t port)
{
    const struct ports_entry *e = by_port(p, port);

    return e != NULL ? e->room : NULL;
}

const struct ports_entry *ports_find(const struct ports *p, const char *id)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->entry[i].ask == 0 && strcmp(p->entry[i].id, id) == 0)
            return &p->entry[i];
    }
    return NULL;
}
