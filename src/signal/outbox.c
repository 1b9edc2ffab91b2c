#include "signal/outbox.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

void outbox_init(struct outbox *o)
{
    *o = (struct outbox){0};
}

static void item_free(struct outbox_item *it)
{
    if (it == NULL)
        return;
    frame_drop(it->frame);
    mem_free(it->headers);
    mem_free(it);
}

void outbox_fini(struct outbox *o)
{
    while (outbox_next(o) != NULL)
        ;
}

struct frame *frame_new(struct bytes data)
{
    struct frame *f = mem_zero(sizeof *f + data.len + 1);

    if (f == NULL)
        return NULL;
    f->holders = 1;
    f->len = data.len;
    if (data.len > 0)
        memcpy(f->data, data.p, data.len);
    return f;
}

void frame_drop(struct frame *f)
{
    if (f == NULL)
        return;
    assert(f->holders > 0);
    if (--f->holders == 0)
        mem_free(f);
}

static struct outbox_item *put(struct outbox *o, enum outbox_kind kind, uint64_t conn,
                               struct frame *f)
{
    struct outbox_item *it;
    size_t len = f != NULL ? f->len : 0;

    if (o->waiting_bytes + len > OUTBOX_BYTES_MAX || (it = mem_zero(sizeof *it)) == NULL) {
        o->refused++;
        return NULL;
    }
    it->kind = kind;
    it->conn = conn;
    it->frame = f;
    if (f != NULL)
        f->holders++;
    if (o->last != NULL)
        o->last->next = it;
    else
        o->first = it;
    o->last = it;
    o->waiting_bytes += len;
    return it;
}

void outbox_http(struct outbox *o, uint64_t conn, int status, const char *content_type,
                 struct bytes body)
{
    outbox_http_headers(o, conn, status, content_type, NULL, body);
}

void outbox_http_headers(struct outbox *o, uint64_t conn, int status, const char *content_type,
                         const char *headers, struct bytes body)
{
    char *copy = headers != NULL ? mem_dup(headers, strlen(headers)) : NULL;
    struct frame *f = frame_new(body);
    struct outbox_item *it = f != NULL ? put(o, OUTBOX_HTTP, conn, f) : NULL;

    frame_drop(f);
    if (it == NULL) {
        mem_free(copy);
        return; /* counted; the owner's time limit for an answer ends the connection */
    }
    it->headers = copy; /* NULL without memory: the answer goes out bare */
    it->status = status;
    it->content_type = content_type;
}

void outbox_accept(struct outbox *o, uint64_t conn)
{
    (void)put(o, OUTBOX_ACCEPT, conn, NULL); /* as above */
}

bool outbox_send(struct outbox *o, uint64_t conn, bool text, struct frame *f)
{
    struct outbox_item *it = put(o, OUTBOX_SEND, conn, f);

    if (it == NULL)
        return false;
    it->text = text;
    return true;
}

void outbox_close(struct outbox *o, uint64_t conn, uint16_t ws_code)
{
    struct outbox_item *it = put(o, OUTBOX_CLOSE, conn, NULL);

    if (it != NULL)
        it->ws_code = ws_code;
}

void outbox_log(struct outbox *o, int level, const char *fmt, ...)
{
    char line[OUTBOX_LOG_MAX];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    struct frame *f = frame_new(bytes_of(line, size_min((size_t)n, sizeof line - 1)));
    struct outbox_item *it = f != NULL ? put(o, OUTBOX_LOG, 0, f) : NULL;
    frame_drop(f);
    if (it != NULL)
        it->level = level;
}

const struct outbox_item *outbox_next(struct outbox *o)
{
    item_free(o->lent);
    o->lent = o->first;
    if (o->first == NULL)
        return NULL;
    o->first = o->lent->next;
    if (o->first == NULL)
        o->last = NULL;
    if (o->lent->frame != NULL)
        o->waiting_bytes -= o->lent->frame->len;
    return o->lent;
}
