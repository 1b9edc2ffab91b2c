/* app/webroot.h - a folder of files over HTTP: the built React page of Project Lightspeed or
 * ITGv2.  (ftl-lightspeed.md 2.3)
 *
 * GET and HEAD of plain files below the folder; `..` and hidden files are not found.  Two paths are
 * not the folder's: /config.json says where this server's socket is, whatever the build says; a
 * path without a file and without a dot in its last part is index.html, as such pages want it.
 *
 * Control thread; a file is read whole, WEBROOT_FILE_MAX at most.
 */
#ifndef APP_WEBROOT_H
#define APP_WEBROOT_H

#include "base/str.h"
#include "wire/http.h"

enum { WEBROOT_FILE_MAX = 8 << 20, WEBROOT_PATH_MAX = 4096 };

struct webroot {
    const char *dir;
    const char *ws_url; /* of /config.json; "": the host asked, and ws_port */
    uint16_t ws_port;
};

/* Appends to body; *type is the content's, static.  The status. */
int webroot_get(const struct webroot *w, const struct http_msg *m, struct str *body,
                const char **type);

#endif
