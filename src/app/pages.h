/* app/pages.h - the web pages that the executable carries.
 *
 * Files of web/dist, embedded by the build (none with -Dweb=disabled).  `/` is index.html,
 * `/meet/ROOM` meet.html, `/watch/ROOM` watch.html; every other path is a file's own.
 */
#ifndef APP_PAGES_H
#define APP_PAGES_H

#include "base/base.h"

struct page {
    const char *path; /* "/meet.html" */
    const char *type; /* Content-Type */
    const char *etag; /* quoted, from the content */
    const uint8_t *start, *end;
};

/* Made by tools/embed. */
extern const struct page pages_table[];
extern const size_t pages_table_n;

/* NULL when there is none. */
const struct page *pages_find(const char *path);

#endif
