/* app/authlink.h - ingest/auth with its sockets: asks the operator's service from this process.
 *
 * One thread: that of its loop.  Where no service is configured it does nothing.
 */
#ifndef APP_AUTHLINK_H
#define APP_AUTHLINK_H

#include "ingest/auth.h"
#include "io/loop.h"

enum { AUTHLINK_AUTHORITIES_MAX = 4 << 20 };

struct authlink;

struct authlink_cfg {
    struct loop *loop;
    const char *url;         /* "": none */
    const char *authorities; /* PEM file for wss:// and https://; "": the system's */
    uint64_t seed;
};

/* E_INVAL: no such kind of address; -ENOENT: no file of authorities. */
MUST_CHECK int authlink_open(struct authlink **ret, const struct authlink_cfg *cfg);
void authlink_free(struct authlink *l); /* NULL allowed */
/* To ask, and for its events. */
struct auth *authlink_auth(struct authlink *l);
/* Moves everything that waits; call it after auth_start() and the like too. */
void authlink_round(struct authlink *l, struct tick tick);
us_t authlink_deadline(const struct authlink *l);
/* Something is under way: an end, perhaps, that must still be said. */
bool authlink_busy(const struct authlink *l);

#endif
