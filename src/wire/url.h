/* wire/url.h - the few URLs that a client dials: http, https, ws, wss. */
#ifndef WIRE_URL_H
#define WIRE_URL_H

#include "base/base.h"

enum { URL_HOST_MAX = 256, URL_PATH_MAX = 1024 };

struct url {
    bool tls;
    char host[URL_HOST_MAX]; /* without brackets */
    uint16_t port;           /* the scheme's when not given */
    char path[URL_PATH_MAX]; /* without a trailing slash; "" for the root */
};

/* A missing scheme means ws.  E_MALFORMED, E_TOO_LARGE, E_UNSUPPORTED (another scheme). */
MUST_CHECK int url_parse(struct url *out, const char *text);
/* "host:port" for the Host header, brackets around IPv6; out holds URL_HOST_MAX + 8. */
void url_authority(const struct url *u, char out[URL_HOST_MAX + 8]);

#endif
