/* wire/ask.h - an HTTP request that a unit below app/ wants sent, and what came back.
 *
 * Who asks owns the bytes until its next call; app/ has the request sent (io/fetch) and brings
 * exactly one answer for each, in any order.  Header values may be secrets: nobody logs them.
 */
#ifndef WIRE_ASK_H
#define WIRE_ASK_H

#include "base/base.h"
#include "wire/http.h"

struct ask {
    uint64_t id; /* the asker's own; comes back with the answer */
    const char *method;
    const char *url; /* http:// or https:// */
    const struct http_header *header;
    uint32_t header_n;
    struct bytes body;
    us_t timeout_us;    /* from now to the last byte of the answer */
    uint32_t redirects; /* followed at most; never to another scheme */
    size_t answer_max;  /* bytes of the answer's body; beyond: E_TOO_LARGE */
};

struct reply {
    uint64_t id;
    int err;             /* 0: an answer came, whatever its status says */
    int status;          /* 0 with an error */
    us_t retry_after_us; /* what the Retry-After header asks for in seconds; 0: nothing */
    struct bytes body;
};

#endif
