/* api/resource.h - the HTTP of a stream: what WHIP and WHEP have in common.
 *                  (RFC 9725, draft-ietf-wish-whep)
 *
 * Splits the path, answers with the headers that both protocols want, and serves the resource that
 * a POST made: PATCH (trickle, ICE restart), DELETE, OPTIONS.
 */
#ifndef API_RESOURCE_H
#define API_RESOURCE_H

#include "api/stream.h"
#include "wire/http.h"

enum {
    RESOURCE_SEGMENTS_MAX = 4,
    RESOURCE_PATH_MAX = 1024, /* bytes; longer ones are not found */
    RESOURCE_HEADERS_MAX = 3500,
};

struct resource_ask {
    struct streams *all;
    uint64_t conn;
    const struct http_msg *req;
    const struct addr *client; /* or NULL */
    struct arena *arena;
    const char *seg[RESOURCE_SEGMENTS_MAX]; /* of the path, decoded */
    uint32_t seg_n;
    bool json; /* errors as {"error": ...}, as the original's /whip/v1 writes them */
};

/* False: no path of ours (empty, too long, too deep, badly escaped). */
bool resource_read(struct resource_ask *q);
bool resource_method(const struct resource_ask *q, const char *method);
bool resource_type(const struct resource_ask *q, const char *type);
/* The credential of the Authorization header ("Bearer " may be missing); NULL without. */
const char *resource_bearer(const struct resource_ask *q);

/* A short answer; `text` may be NULL. */
void resource_answer(const struct resource_ask *q, int status, const char *text);
/* With more header lines (CRLF) and a body of this type. */
void resource_send(const struct resource_ask *q, int status, const char *type, const char *headers,
                   struct bytes body);
/* 201 with the answer; `base` is the path that the resource's id is put behind. */
void resource_created(const struct resource_ask *q, const struct stream *st, const char *base,
                      const char *more_headers, const struct str *answer);
void resource_options(const struct resource_ask *q, bool is_resource);
/* The description in the body, NUL-terminated; NULL: answered already. */
char *resource_sdp(const struct resource_ask *q);
/* The ETag of the original's /whip/v1: our ICE user name, bare. */
void resource_tag(struct stream *st);
void resource_patch(const struct resource_ask *q, struct stream *st);
void resource_delete(const struct resource_ask *q, struct stream *st);

#endif
