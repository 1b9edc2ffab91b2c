/* api/join.h - who asks to join, with what: token, query or join_request, checks.
 *              (livekit-server.md 1.3, 1.4, 2)
 *
 * Everything that can be refused before the 101 is refused here, with the original's
 * status and text.  Reads; changes nothing.
 */
#ifndef API_JOIN_H
#define API_JOIN_H

#include "api/node.h"
#include "signal/hub.h"

enum {
    JOIN_REQUEST_MAX = 1 << 20, /* bytes of a join_request, unfolded (1.4) */
    JOIN_ARENA_BYTES = 16 << 20,
};

struct join_why {
    int status;       /* 0: none */
    const char *text; /* static or in the arena */
};

/* The claims of the token that came along; NULL and status 0 when there was none. */
struct token_claims *join_claims(const struct node_cfg *cfg, const struct http_msg *req,
                                 int64_t unix_s, struct arena *a, struct join_why *why);

struct join_ask {
    const struct node_cfg *cfg;
    const struct hub *hub;
    const struct http_msg *req;
    struct token_claims *claims; /* NULL: no token */
    bool v1, strict;
    struct arena *arena;
};

/* Fills cfg from the request; false: *why says what is wrong. cfg->claims is set, cfg->keep is the
 * caller's to set. */
bool join_read(const struct join_ask *ask, struct session_cfg *cfg, struct join_why *why);

#endif
