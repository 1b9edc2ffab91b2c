/* api/browser.h - what a User-Agent header says of browser, system and device.
 *                 (livekit-server.md 1.4)
 *
 * Fills what a client left out about itself.  Knows the families that people use and names them
 * as uap-core does ("Mobile Safari", "Mac OS X"); everything else is "Other".  Pure; no memory.
 */
#ifndef API_BROWSER_H
#define API_BROWSER_H

#include "base/base.h"

enum { BROWSER_TEXT_MAX = 64 };

struct browser {
    const char *family, *os;           /* static */
    char version[BROWSER_TEXT_MAX];    /* "126.0.6478.127"; "" when not said */
    char os_version[BROWSER_TEXT_MAX]; /* likewise */
    char device[BROWSER_TEXT_MAX];     /* "iPhone", "Pixel 7"; "Other" */
};

void browser_read(struct browser *b, const char *user_agent);

#endif
