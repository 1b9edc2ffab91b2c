/* signal/outbox.h - what control wants said on its connections, in order.
 *
 * A queue of HTTP answers, WebSocket frames, closes and log lines.  A frame that goes
 * to many connections is packed once and shared (counted, one thread).  Over
 * OUTBOX_BYTES_MAX waiting bytes log lines are dropped and `failed` stays set for
 * frames: the owner of the connection then closes it, and its client resumes.
 */
#ifndef SIGNAL_OUTBOX_H
#define SIGNAL_OUTBOX_H

#include "base/base.h"
#include "base/str.h"

enum {
    OUTBOX_BYTES_MAX = 256 << 20, /* chosen: the owner drains after each call, so this is an end */
    OUTBOX_LOG_MAX = 512,         /* one log line */
};

enum outbox_kind { OUTBOX_HTTP, OUTBOX_ACCEPT, OUTBOX_SEND, OUTBOX_CLOSE, OUTBOX_LOG };

struct frame {
    uint32_t holders;
    size_t len;
    uint8_t data[];
};

struct outbox_item {
    struct outbox_item *next;
    enum outbox_kind kind;
    uint64_t conn;
    int status;               /* HTTP */
    const char *content_type; /* static text */
    char *headers;            /* CRLF lines, the item's own; or NULL */
    bool text;
    uint16_t ws_code;
    int level;
    struct frame *frame; /* NULL: empty */
};

struct outbox {
    struct outbox_item *first, *last, *lent;
    size_t waiting_bytes;
    uint64_t refused;
};

void outbox_init(struct outbox *o);
void outbox_fini(struct outbox *o);

/* One holder; NULL when the heap refuses. */
MUST_CHECK struct frame *frame_new(struct bytes data);
void frame_drop(struct frame *f);

void outbox_http(struct outbox *o, uint64_t conn, int status, const char *content_type,
                 struct bytes body);
/* With header lines of its own, each ended by CRLF; copied. */
void outbox_http_headers(struct outbox *o, uint64_t conn, int status, const char *content_type,
                         const char *headers, struct bytes body);
void outbox_accept(struct outbox *o, uint64_t conn);
/* Holds the frame for itself.  False: refused. */
bool outbox_send(struct outbox *o, uint64_t conn, bool text, struct frame *f);
void outbox_close(struct outbox *o, uint64_t conn, uint16_t ws_code);
void outbox_log(struct outbox *o, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The next item, valid until the next call; NULL when there is none. */
const struct outbox_item *outbox_next(struct outbox *o);

#endif
