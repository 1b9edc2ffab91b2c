#include "app/door.h"

#include "app/pages.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypt/hash.h"
#include "io/tcp.h"
#include "wire/http.h"
#include "wire/ws.h"

#include <stdio.h>

enum { LOCAL_BYTES_MAX = 8 << 20 };

enum { HEADERS_MAX = 24, HEADER_TEXT_MAX = 4096, WS_CHUNK_BYTES = 16 << 10 };

enum conn_state {
    CONN_HTTP, /* a request is coming in, or may */
    CONN_WAIT, /* the node has it */
    CONN_WS,
    CONN_END, /* our direction is ended; waiting for the other side's */
};

struct conn {
    struct heap_node due;
    uint64_t id;
    struct door *door;
    struct tcp *tcp;
    struct http *http;
    struct ws *ws;
    struct str rest; /* bytes behind the request that is being answered */
    struct addr from;
    enum conn_state state;
    bool known;         /* the node has heard of it */
    bool doomed;        /* freed at the next door_tick() */
    bool resume;        /* answered: goes on with `rest` at the next door_tick() */
    bool after_node;    /* but not before the node's answers to what came first are out */
    bool closing;       /* our close frame is queued */
    bool waiting;       /* a WebSocket with bytes for a reader, who is watched */
    us_t resume_due;    /* the deadline that `resume` displaced */
    uint64_t sent_seen; /* tcp_sent_bytes() when `due` was set for a stalled reader */
};

struct door {
    struct door_cfg cfg;
    struct tcp_listener *listener[DOOR_LISTENERS_MAX];
    uint32_t listener_n;
    struct map conns; /* by id */
    struct heap heap; /* by deadline */
    uint64_t next_id;
    uint32_t conn_n;
    uint64_t refused_n;
};

static const char full_text[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    "Retry-After: 5\r\nContent-Length: 51\r\n\r\nthis server has as many connections as it can "
    "take\n";

static us_t now_of(const struct door *d)
{
    return loop_tick(d->cfg.loop).now;
}

/* ---- life of a connection ---- */

/* Every connection stays in the heap for all its life, so that moving it cannot fail. */
static void conn_move(struct conn *c, us_t at)
{
    bool moved = heap_set(&c->door->heap, &c->due, at);

    assert(moved && at != US_NEVER);
}

static void conn_due(struct conn *c, us_t at)
{
    c->sent_seen = tcp_sent_bytes(c->tcp);
    conn_move(c, at);
}

static void conn_free(struct conn *c)
{
    struct door *d = c->door;

    (void)map_take_u64(&d->conns, c->id);
    heap_remove(&d->heap, &c->due);
    tcp_free(c->tcp);
    http_free(c->http);
    ws_free(c->ws);
    str_fini(&c->rest);
    d->conn_n--;
    mem_free(c);
}

/* Gone, and the node hears of it. */
static void conn_gone(struct conn *c)
{
    struct door *d = c->door;
    uint64_t id = c->id;
    bool known = c->known;

    conn_free(c);
    if (known)
        node_conn_closed(d->cfg.node, id, loop_tick(d->cfg.loop));
}

/* To be freed at the next tick: for places where the node must not be entered. */
static void conn_doom(struct conn *c)
{
    c->doomed = true;
    conn_move(c, 0);
}

static void conn_end(struct conn *c)
{
    c->state = CONN_END;
    tcp_end(c->tcp);
    conn_due(c, now_of(c->door) + DOOR_LINGER_US);
}

static void conn_write(struct conn *c, struct str *s)
{
    if (s->failed || tcp_write(c->tcp, str_bytes(s)) < 0)
        conn_doom(c);
    str_fini(s);
}

/* ---- answers ---- */

/* "Name: value\r\n..." into pointers; the text is cut up in place. */
static size_t split_headers(char *text, struct http_header *out, size_t max)
{
    size_t n = 0;

    while (*text != '\0' && n < max) {
        char *end = strstr(text, "\r\n");
        char *colon = strchr(text, ':');
        if (end == NULL || colon == NULL || colon > end)
            break;
        *end = *colon = '\0';
        out[n++] = (struct http_header){.name = text, .value = colon + 1 + strspn(colon + 1, " ")};
        text = end + 2;
    }
    return n;
}

struct answer {
    int status;
    const char *type, *headers; /* headers: CRLF lines or NULL */
    struct bytes body;
    bool close;
};

static void conn_answer(struct conn *c, const struct answer *a)
{
    const struct http_msg *m = http_message(c->http);
    struct http_header h[HEADERS_MAX + HTTP_CORS_HEADERS + 1];
    char text[HEADER_TEXT_MAX];
    unsigned flags = 0;
    struct str s;

    (void)snprintf(text, sizeof text, "%s", a->headers != NULL ? a->headers : "");
    size_t n = split_headers(text, h, HEADERS_MAX);
    if (a->type != NULL)
        h[n++] = (struct http_header){.name = "Content-Type", .value = a->type};
    n += http_cors(m, h + n);
    if (a->close || !m->keep_alive || m->upgrade)
        flags |= HTTP_CLOSE;
    if (strcmp(m->method, "HEAD") == 0)
        flags |= HTTP_NO_BODY;
    str_init(&s, TCP_QUEUE_BYTES_MAX);
    http_write_response(&s, a->status, h, n, a->body, flags);
    conn_write(c, &s);
    if (c->doomed)
        return;
    if (flags & HTTP_CLOSE) {
        conn_end(c);
        return;
    }
    http_next(c->http);
    c->state = CONN_HTTP;
    conn_due(c, now_of(c->door) + DOOR_IDLE_US);
}

static void conn_answer_text(struct conn *c, int status, const char *text)
{
    conn_answer(c, &(struct answer){.status = status,
                                    .type = "text/plain; charset=utf-8",
                                    .body = bytes_str(text)});
}

static bool wants_html(const struct http_msg *m)
{
    const char *accept = http_header_get(m, "accept");

    return accept != NULL && strstr(accept, "text/html") != NULL;
}

/* A page of ours; false when there is none at this path. */
static bool serve_page(struct conn *c, const struct http_msg *m)
{
    char headers[128];
    const struct page *p = c->door->cfg.pages ? pages_find(m->path) : NULL;

    if (p == NULL || (strcmp(m->method, "GET") != 0 && strcmp(m->method, "HEAD") != 0))
        return false;
    const char *have = http_header_get(m, "if-none-match");
    bool same = have != NULL && strcmp(have, p->etag) == 0;
    (void)snprintf(headers, sizeof headers,
                   "ETag: %s\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n",
                   p->etag);
    conn_answer(c,
                &(struct answer){.status = same ? 304 : 200,
                                 .type = p->type,
                                 .headers = headers,
                                 .body = same ? (struct bytes){0}
                                              : bytes_of(p->start, (size_t)(p->end - p->start))});
    return true;
}

static void answer_locally(struct conn *c, const struct http_msg *m)
{
    struct door *d = c->door;
    struct str body;

    str_init(&body, LOCAL_BYTES_MAX);
    int status = d->cfg.local(d->cfg.local_owner, m, &body);
    const char *ask = status == 401 ? "WWW-Authenticate: Basic realm=\"metrics\"\r\n" : NULL;
    conn_answer(c, &(struct answer){.status = status,
                                    .type = d->cfg.local_type != NULL ? *d->cfg.local_type
                                                                      : "text/plain; version=0.0.4",
                                    .headers = ask,
                                    .body = str_bytes(&body)});
    str_fini(&body);
}

/* A whole request is there. */
static void conn_request(struct conn *c)
{
    const struct http_msg *m = http_message(c->http);
    struct door *d = c->door;

    if (d->cfg.node == NULL) {
        answer_locally(c, m);
        return;
    }
    /* The start page is for browsers; health checks get the node's OK at the same path. */
    if (strcmp(m->path, "/") == 0 && wants_html(m) && serve_page(c, m))
        return;
    c->state = CONN_WAIT;
    c->known = true;
    conn_due(c, now_of(d) + DOOR_ANSWER_US);
    if (node_http(d->cfg.node, c->id, m, &c->from, loop_tick(d->cfg.loop)))
        return;
    c->known = false;
    if (http_is_preflight(m)) {
        conn_answer(c, &(struct answer){.status = 204});
        return;
    }
    if (serve_page(c, m))
        return;
    conn_answer_text(c, 404, "404 page not found\n");
}

/* Reading goes on at the next tick: the node is giving its output just now, and must not be
 * entered. */
static void resume_later(struct conn *c)
{
    if (c->doomed || c->state == CONN_END)
        return;
    c->resume = true;
    c->resume_due = c->due.at;
    conn_move(c, 0);
}

/* ---- bytes in ---- */

static void pump_ws(struct conn *c)
{
    uint8_t buf[WS_CHUNK_BYTES];

    while (tcp_queued_bytes(c->tcp) < DOOR_AHEAD_BYTES) {
        size_t n = ws_output(c->ws, buf, sizeof buf);
        if (n == 0)
            break;
        if (tcp_write(c->tcp, bytes_of(buf, n)) < 0) {
            conn_doom(c);
            return;
        }
    }
    if (tcp_queued_bytes(c->tcp) == 0 && ws_done(c->ws)) {
        conn_end(c);
        return;
    }
    bool waits = tcp_queued_bytes(c->tcp) > 0 || c->closing;
    if (c->doomed || c->resume || waits == c->waiting)
        return;
    c->waiting = waits;
    conn_due(c, now_of(c->door) + (waits ? DOOR_STALL_US : DOOR_QUIET_US));
}

/* A client that says leave and closes in one breath is still owed the answer, and nothing can be
 * sent once its close frame was read: that waits until the node has answered. */
static bool close_waits(struct conn *c, struct bytes in)
{
    if (in.len == 0 || (in.p[0] & 0x0f) != WS_CLOSE)
        return false;
    str_add_bytes(&c->rest, in); /* at most one read: reading stops now */
    tcp_pause(c->tcp, true);
    c->after_node = true;
    resume_later(c);
    return true;
}

static void feed_ws(struct conn *c, struct bytes in)
{
    struct door *d = c->door;

    while (in.len > 0) {
        struct ws_event ev;
        size_t used = 0;
        int err = ws_input(c->ws, in, &used);
        in = bytes_of(in.p + used, in.len - used);
        if (ws_event(c->ws, &ev)) {
            bool message = ev.op == WS_TEXT || ev.op == WS_BINARY;
            if (message)
                node_ws_message(d->cfg.node, c->id, ev.op == WS_TEXT, ev.body,
                                loop_tick(d->cfg.loop));
            if (message && close_waits(c, in))
                break;
            if (ev.op == WS_CLOSE)
                in.len = 0; /* nothing follows a close frame */
        }
        if (err < 0 || (used == 0 && in.len > 0))
            break;
    }
    pump_ws(c);
    if (c->state == CONN_END && c->known) {
        c->known = false;
        node_conn_closed(d->cfg.node, c->id, loop_tick(d->cfg.loop));
    }
}

static void refuse_request(struct conn *c)
{
    struct http_refusal r = http_refusal(c->http);
    struct str s;

    str_init(&s, 4096);
    http_write_text(&s, r.status, r.text, HTTP_CLOSE);
    conn_write(c, &s);
    if (!c->doomed)
        conn_end(c);
}

static void head_arrived(struct conn *c)
{
    const struct http_msg *m = http_message(c->http);
    struct str s;

    conn_due(c, now_of(c->door) + DOOR_BODY_US);
    if (!m->expect)
        return;
    str_init(&s, 64);
    str_add(&s, "HTTP/1.1 100 Continue\r\n\r\n");
    conn_write(c, &s);
}

static void feed_http(struct conn *c, struct bytes in)
{
    while (c->state == CONN_HTTP && !c->doomed && in.len > 0 &&
           tcp_queued_bytes(c->tcp) < DOOR_AHEAD_BYTES) {
        size_t used = 0;
        bool idle = http_idle(c->http);
        if (idle)
            conn_due(c, now_of(c->door) + DOOR_HEAD_US);
        enum http_got got = http_input(c->http, in, &used);
        in = bytes_of(in.p + used, in.len - used);
        if (got == HTTP_REFUSED) {
            refuse_request(c);
        } else if (got == HTTP_BEGUN) {
            head_arrived(c);
        } else if (got == HTTP_WHOLE) {
            conn_request(c);
        }
    }
    bool full = c->state == CONN_HTTP && tcp_queued_bytes(c->tcp) >= DOOR_AHEAD_BYTES;
    if (c->doomed || (c->state != CONN_WAIT && !full))
        return;
    if (full)
        conn_due(c, now_of(c->door) + DOOR_STALL_US);
    str_add_bytes(&c->rest, in); /* at most one read: reading stops now */
    tcp_pause(c->tcp, true);
}

static void on_data(void *owner, struct bytes in)
{
    struct conn *c = owner;

    if (c->state == CONN_WS)
        feed_ws(c, in);
    else if (c->state == CONN_HTTP)
        feed_http(c, in);
}

static void go_on(struct conn *c);

static void on_drained(void *owner)
{
    struct conn *c = owner;

    if (c->state == CONN_HTTP && !c->doomed && !c->resume) {
        conn_due(c, now_of(c->door) + DOOR_IDLE_US);
        go_on(c);
        return;
    }
    if (c->state != CONN_WS)
        return;
    pump_ws(c);
    if (c->state == CONN_END && c->known) {
        c->known = false;
        node_conn_closed(c->door->cfg.node, c->id, loop_tick(c->door->cfg.loop));
    }
}

/* Who ends his half after asking still gets all of the answer, while he takes it. */
static void on_closed(void *owner, int err)
{
    struct conn *c = owner;
    bool answered = c->state == CONN_HTTP || c->state == CONN_END;

    if (err != 0 || c->doomed || !answered || tcp_queued_bytes(c->tcp) == 0) {
        conn_gone(c);
        return;
    }
    c->state = CONN_END;
    tcp_end(c->tcp);
    conn_due(c, now_of(c->door) + DOOR_STALL_US);
}

static const struct tcp_handler conn_handler = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

static int conn_open(struct door *d, int fd, const struct addr *from)
{
    struct conn *c = mem_zero(sizeof *c);

    if (c == NULL) {
        tcp_refuse(fd, bytes_str(full_text));
        return E_NOMEM;
    }
    c->door = d;
    c->id = ++d->next_id;
    c->from = *from;
    str_init(&c->rest, TCP_READ_BYTES);
    d->conn_n++;
    int err = tcp_open(&c->tcp, d->cfg.loop, fd, &conn_handler, c);
    if (err == 0)
        err = http_open(&c->http, HTTP_SERVER);
    if (err == 0)
        http_set_body_max(c->http, d->cfg.body_bytes_max);
    if (err == 0 && !map_put_u64(&d->conns, c->id, c))
        err = E_NOMEM;
    if (err == 0 && !heap_set(&d->heap, &c->due, now_of(d) + DOOR_HEAD_US))
        err = E_NOMEM;
    if (err < 0)
        conn_free(c);
    return err;
}

static void on_accept(void *owner, int fd, const struct addr *from)
{
    struct door *d = owner;

    if (d->conn_n >= d->cfg.connections_max) {
        tcp_refuse(fd, bytes_str(full_text));
        d->refused_n++;
        LOG_W("connection_refused", "reason=\"limit.max_connections\" connections=%u", d->conn_n);
        return;
    }
    int err = conn_open(d, fd, from);
    if (err < 0)
        LOG_W("connection_refused", "reason=\"%s\"", err_text(err));
}

/* ---- the node's answers ---- */

/* The request is answered: read on, first what came behind it. */
static void go_on(struct conn *c)
{
    struct str rest = c->rest;

    str_init(&c->rest, TCP_READ_BYTES);
    if (c->state == CONN_HTTP || c->state == CONN_WS)
        tcp_pause(c->tcp, false);
    if (c->state == CONN_HTTP && rest.len > 0)
        feed_http(c, str_bytes(&rest));
    else if (c->state == CONN_WS)
        feed_ws(c, str_bytes(&rest));
    str_fini(&rest);
}

static void ws_accepted(struct conn *c, const struct node_out *out)
{
    const char *key = ws_upgrade_key(http_message(c->http));
    char text[WS_KEY_CHARS + 37], accept[WS_ACCEPT_CHARS + 1];
    char lines[HEADER_TEXT_MAX];
    struct http_header h[HEADERS_MAX];
    uint8_t digest[HASH_SHA1_BYTES];
    struct str s;

    if (key == NULL) {
        conn_answer_text(c, 400, "this is no WebSocket handshake (RFC 6455)\n");
        return;
    }
    ws_accept_text(text, key);
    hash_sha1(bytes_str(text), digest);
    ws_accept(accept, digest);
    struct rng rng = rng_seed(c->door->cfg.seed ^ c->id);
    if (ws_open(&c->ws, WS_SERVER, &rng) < 0) {
        conn_doom(c);
        return;
    }
    (void)snprintf(lines, sizeof lines, "%s", out->headers != NULL ? out->headers : "");
    size_t n = split_headers(lines, h, HEADERS_MAX);
    str_init(&s, 8192);
    http_write_switch(&s, accept, h, n);
    conn_write(c, &s);
    http_free(c->http);
    c->http = NULL;
    c->state = CONN_WS;
    if (!c->doomed)
        conn_due(c, now_of(c->door) + DOOR_QUIET_US);
}

static void ws_out(struct conn *c, const struct node_out *out)
{
    int err;

    if (out->kind == NODE_OUT_WS_CLOSE) {
        err = ws_close(c->ws, out->ws_code, "");
        c->closing = true;
    } else
        err = ws_send(c->ws, out->text ? WS_TEXT : WS_BINARY, out->data);
    if (err == E_LIMIT) {
        LOG_I("slow_reader_closed", "conn=%llu queued_bytes=%zu", (unsigned long long)c->id,
              ws_queued_bytes(c->ws));
        conn_doom(c);
        return;
    }
    pump_ws(c);
}

void door_output(struct door *d, const struct node_out *out, us_t now UNUSED)
{
    struct conn *c = map_find_u64(&d->conns, out->conn);

    if (c == NULL || c->doomed)
        return;
    if (out->kind == NODE_OUT_HTTP && c->state == CONN_WAIT) {
        c->known = false;
        conn_answer(c, &(struct answer){.status = out->status,
                                        .type = out->content_type,
                                        .headers = out->headers,
                                        .body = out->data});
        resume_later(c);
    } else if (out->kind == NODE_OUT_WS_ACCEPT && c->state == CONN_WAIT) {
        ws_accepted(c, out);
        resume_later(c);
    } else if ((out->kind == NODE_OUT_WS_SEND || out->kind == NODE_OUT_WS_CLOSE) &&
               c->state == CONN_WS) {
        ws_out(c, out);
    }
}

/* ---- time ---- */

static void conn_overdue(struct conn *c, us_t now)
{
    bool progress = tcp_sent_bytes(c->tcp) != c->sent_seen;

    if (c->resume && c->after_node && !c->doomed) {
        c->after_node = false;
        conn_due(c, now + 1); /* the node is asked before the next tick */
        return;
    }
    if (c->resume && !c->doomed) {
        c->resume = false;
        conn_due(c, c->resume_due);
        go_on(c);
        return;
    }
    if (c->doomed || c->state == CONN_END) {
        /* A long answer to a reader that keeps reading is not cut off. */
        if (!c->doomed && tcp_queued_bytes(c->tcp) > 0 && progress)
            conn_due(c, now + DOOR_STALL_US);
        else
            conn_gone(c);
        return;
    }
    if (c->state == CONN_WS && !c->closing && (progress || !c->waiting)) {
        conn_due(c, now + (c->waiting ? DOOR_STALL_US : DOOR_QUIET_US));
        return;
    }
    if (c->state == CONN_WAIT) {
        c->known = false;
        node_conn_closed(c->door->cfg.node, c->id, loop_tick(c->door->cfg.loop));
        conn_answer(c, &(struct answer){.status = 503,
                                        .type = "text/plain",
                                        .body = bytes_str("the server could not answer in time\n"),
                                        .close = true});
        return;
    }
    if (c->state == CONN_HTTP && http_idle(c->http) && tcp_queued_bytes(c->tcp) > 0 && progress) {
        conn_due(c, now + DOOR_STALL_US);
        return;
    }
    if (c->state == CONN_HTTP && !http_idle(c->http)) {
        struct str s;
        str_init(&s, 1024);
        http_write_text(&s, 408, "the request took too long to arrive\n", HTTP_CLOSE);
        conn_write(c, &s);
        if (!c->doomed)
            conn_end(c);
        return;
    }
    conn_gone(c);
}

void door_tick(struct door *d, struct tick tick)
{
    struct heap_node *n;

    while ((n = heap_first(&d->heap)) != NULL && n->at <= tick.now) {
        struct conn *c = OWNER_OF(n, struct conn, due);
        conn_overdue(c, tick.now);
    }
}

us_t door_deadline(const struct door *d)
{
    return heap_deadline(&d->heap);
}

uint32_t door_connections(const struct door *d)
{
    return d->conn_n;
}

uint64_t door_refused(const struct door *d)
{
    uint64_t n = d->refused_n;

    for (uint32_t i = 0; i < d->listener_n; i++)
        n += tcp_listener_refused(d->listener[i]);
    return n;
}

void door_finish(struct door *d)
{
    uint32_t at = 0;
    void *v;

    while (map_next(&d->conns, &at, NULL, &v)) {
        struct conn *c = v;
        if (c->state == CONN_HTTP && tcp_queued_bytes(c->tcp) == 0)
            conn_doom(c);
    }
}

bool door_busy(const struct door *d)
{
    uint32_t at = 0;
    void *v;

    while (map_next(&d->conns, &at, NULL, &v)) {
        struct conn *c = v;
        if (tcp_queued_bytes(c->tcp) > 0 || (c->ws != NULL && ws_queued_bytes(c->ws) > 0))
            return true;
    }
    return false;
}

/* ---- life ---- */

int door_open(struct door **ret, const struct door_cfg *cfg)
{
    struct door *d = mem_zero(sizeof *d);

    if (d == NULL)
        return E_NOMEM;
    d->cfg = *cfg;
    map_init(&d->conns, cfg->seed);
    heap_init(&d->heap);
    *ret = d;
    return 0;
}

int door_listen(struct door *d, const struct addr *at, uint16_t *port)
{
    if (d->listener_n == DOOR_LISTENERS_MAX)
        return E_LIMIT;
    int err = tcp_listen(&d->listener[d->listener_n], d->cfg.loop, at, bytes_str(full_text),
                         on_accept, d);
    if (err < 0)
        return err;
    *port = tcp_listener_port(d->listener[d->listener_n++]);
    return 0;
}

void door_shut(struct door *d)
{
    for (uint32_t i = 0; i < d->listener_n; i++)
        tcp_unlisten(d->listener[i]);
    d->listener_n = 0;
}

void door_free(struct door *d)
{
    uint32_t at;
    void *v;

    if (d == NULL)
        return;
    door_shut(d);
    while (at = 0, map_next(&d->conns, &at, NULL, &v))
        conn_free(v);
    map_fini(&d->conns);
    heap_fini(&d->heap);
    mem_free(d);
}
