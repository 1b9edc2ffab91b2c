/* api/ingress_check.h - is this ingress consistent?  (egress-ingress.md 4.1)
 *
 * The original's rules and words, with one difference: a stream that comes by RTMP or by URL may
 * ask not to be transcoded.  And limits of length, which the original has not.  Pure.
 */
#ifndef API_INGRESS_CHECK_H
#define API_INGRESS_CHECK_H

#include "base/base.h"

#include "livekit_ingress.pb-c.h"

enum { INGRESS_CHECK_LAYERS_MAX = 8, INGRESS_CHECK_WHY_MAX = 256 };

struct ingress_check_why {
    char text[INGRESS_CHECK_WHY_MAX]; /* "" when nothing is wrong */
};

/* The whole description; `publish`: as it must be to go on air, with a room.  Everything that can
 * be wrong is an invalid argument. */
bool ingress_check(const Livekit__IngressInfo *info, bool publish, struct ingress_check_why *why);

/* What to pull from: http, https or srt. */
bool ingress_check_url(const char *url, struct ingress_check_why *why);

#endif
