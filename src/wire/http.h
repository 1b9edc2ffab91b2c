/* wire/http.h - HTTP/1.1 messages from bytes and to bytes, both roles.
 *
 * A struct http turns the bytes of one connection into whole messages, one at a
 * time (a pipelined request waits in the caller's buffer until the last one was
 * answered), under limits and with the strict reading that leaves nothing to
 * smuggle: two lengths, a length beside chunks, folded lines or bare line feeds
 * are refused.  Writers append whole messages to a str.  It routes nothing, keeps
 * no time (slow clients are the caller's clock) and opens no socket.
 *
 * Over http-parser, which only http.c knows.
 */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include "base/arena.h"
#include "base/str.h"

enum {
    HTTP_HEAD_BYTES_MAX = 16 << 10,     /* request line and headers; beyond: 431 */
    HTTP_BODY_BYTES_MAX = 10 << 20,     /* default; beyond: 413 */
    HTTP_HEADERS_MAX = 100,             /* beyond: 431 */
    HTTP_CHUNK_OVERHEAD_MAX = 64 << 10, /* chunk sizes, extensions and trailers; beyond: 400 */
    HTTP_CORS_HEADERS = 6,
};

enum http_role { HTTP_SERVER, HTTP_CLIENT };

struct http_header {
    const char *name; /* lower case when read; written as given */
    const char *value;
};

struct http_msg {
    const char *method; /* "GET"; requests only */
    const char *path;   /* before '?', not percent-decoded; a leading "//" has lost one slash */
    const char *query;  /* after '?', raw; "" without */
    int status;         /* responses only */
    struct http_header *header;
    uint32_t header_n;
    struct bytes body;
    bool keep_alive; /* the sender would like another message on this connection */
    bool upgrade;    /* "Upgrade: websocket" asked for, or 101 answered: the bytes that follow
                        this message are not HTTP */
    bool expect;     /* "Expect: 100-continue" */
};

enum http_got {
    HTTP_MORE,    /* all consumed, not whole yet */
    HTTP_BEGUN,   /* the head is there and a body follows: look, then feed the rest */
    HTTP_WHOLE,   /* http_message() is whole: answer, http_next(), feed the rest */
    HTTP_REFUSED, /* final: http_refusal() says what to answer, then close */
};

struct http_refusal {
    int status;       /* 400, 413, 431, 501, 505 */
    const char *text; /* body to answer */
};

struct http;

MUST_CHECK int http_open(struct http **ret, enum http_role role);
void http_free(struct http *h);

/* The ceiling for bodies; at HTTP_BEGUN it may be set for this message alone. */
void http_set_body_max(struct http *h, size_t max);

/* Feeds bytes; *used says how many were taken (all of them on HTTP_MORE).  Call
 * again with the rest after HTTP_BEGUN, and after http_next() following HTTP_WHOLE. */
enum http_got http_input(struct http *h, struct bytes in, size_t *used);
/* Responses that end with the connection: the other side has closed. */
enum http_got http_input_end(struct http *h);
/* A client says which method its request had: a response to HEAD has no body. */
void http_expect_head(struct http *h);

/* After HTTP_BEGUN (without body) and HTTP_WHOLE; valid until http_next(). */
const struct http_msg *http_message(const struct http *h);
struct http_refusal http_refusal(const struct http *h);
/* Nothing of a message has come in yet: the connection is idle. */
bool http_idle(const struct http *h);
/* Forget this message and await the next. */
void http_next(struct http *h);

/* ---- reading a message ---- */

/* NULL when absent; the first when repeated.  `name` in lower case. */
const char *http_header_get(const struct http_msg *m, const char *name);
/* Is the token one of a comma-separated header, in any case? */
bool http_header_has(const struct http_msg *m, const char *name, const char *token);
/* First value of a key, percent-decoded ('+' is a space), in the arena; NULL when
 * absent, badly escaped or holding NUL. */
char *http_query_get(struct arena *a, const char *query, const char *key);
/* Percent-decoded copy; NULL when badly escaped or holding NUL.  `plus`: '+' is a space. */
char *http_decode(struct arena *a, struct bytes text, bool plus);
/* Appends, escaping all but unreserved characters (RFC 3986 s2.3). */
void http_encode(struct str *out, const char *text);

/* ---- writing ---- */

enum http_write_flags {
    HTTP_CLOSE = 1,   /* "Connection: close" */
    HTTP_NO_BODY = 2, /* answer to HEAD: the length without the content */
};

/* Status line, the headers given, Content-Length (not on 1xx, 204, 304) and body. */
void http_write_response(struct str *out, int status, const struct http_header *header,
                         size_t header_n, struct bytes body, unsigned flags);
/* A plain-text answer. */
void http_write_text(struct str *out, int status, const char *text, unsigned flags);
/* The 101 answer; `accept` from ws_accept(). */
void http_write_switch(struct str *out, const char *accept, const struct http_header *header,
                       size_t header_n);
void http_write_request(struct str *out, const char *method, const char *target, const char *host,
                        const struct http_header *header, size_t header_n, struct bytes body);

/* Any origin may read any answer (section 1.1 of the contract): fills `out` for a
 * request with an Origin header and returns how many; 0 without one. */
size_t http_cors(const struct http_msg *m, struct http_header out[HTTP_CORS_HEADERS]);
/* An OPTIONS request that asks for permission: answer 204 with http_cors(). */
bool http_is_preflight(const struct http_msg *m);

const char *http_status_text(int status);

#endif
