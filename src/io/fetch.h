/* io/fetch.h - requests to HTTP and HTTPS servers elsewhere, many at a time, on one loop.
 *
 * The only unit that knows libcurl.  It sends what units below asked for (wire/ask.h) and gives
 * each one answer.  Certificates are always checked.  What may be under way is bounded in number
 * and bytes; an answer over its ceiling, a redirect to another scheme and a protocol that is not
 * HTTP end the request.  Nothing is logged here: URLs and headers may hold secrets.
 *
 * Thread of its loop only.  Names are resolved on a thread of libcurl's, so that a slow name
 * server holds nobody up.
 */
#ifndef IO_FETCH_H
#define IO_FETCH_H

#include "io/loop.h"
#include "wire/ask.h"

enum {
    FETCH_FLYING_MAX = 256,      /* requests on the wire; chosen */
    FETCH_WAITING_MAX = 1024,    /* beyond those, in order; then E_LIMIT */
    FETCH_BYTES_MAX = 64 << 20,  /* bodies of all of them; then E_LIMIT */
    FETCH_URL_MAX = 8192,        /* longer: E_INVAL */
    FETCH_CONNECT_US = 5000000,  /* until a connection stands, or the request's own time */
    FETCH_CONNECTIONS_MAX = 64,  /* kept open for the next request */
    FETCH_RETRY_AFTER_S = 86400, /* a longer wish counts as this */
};

struct fetch;

struct fetch_cfg {
    struct loop *loop;
    const char *user_agent;
    const char *authorities; /* PEM file believed beside none other; NULL: the system's */
    uint32_t flying_max;     /* 0: FETCH_FLYING_MAX; for tests */
    size_t bytes_max;        /* 0: FETCH_BYTES_MAX; for tests */
};

MUST_CHECK int fetch_open(struct fetch **ret, const struct fetch_cfg *cfg);
/* What is under way gets no answer any more. */
void fetch_free(struct fetch *f);

/* Copies.  `tag` says whose it is.  E_INVAL (not HTTP), E_LIMIT, E_NOMEM: no answer will come. */
MUST_CHECK int fetch_start(struct fetch *f, uint32_t tag, const struct ask *ask, us_t now);
void fetch_tick(struct fetch *f, us_t now);
us_t fetch_deadline(const struct fetch *f);
/* The next answer, valid until the next call; false when there is none. */
bool fetch_done(struct fetch *f, uint32_t *tag, struct reply *out);
/* Requests without an answer yet. */
uint32_t fetch_busy(const struct fetch *f);

#endif
