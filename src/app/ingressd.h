/* app/ingressd.h - the ingress process: the doors for FTL and RTMP, what is on air, health,
 * metrics.
 *
 * Puts the parts together; every decision is in them.  Runs on the calling thread until a signal:
 * SIGTERM and SIGQUIT let streams that are on finish and take no new ones, SIGINT ends them with a
 * word to each streamer, and a second signal ends at once.
 */
#ifndef APP_INGRESSD_H
#define APP_INGRESSD_H

#include "app/ingress_conf.h"

enum {
    INGRESSD_ERROR_MAX = 256,
    INGRESSD_STOP_US = 3 * 1000 * 1000, /* for last words and last reports */
};

/* 0 after an orderly stop; negative with one line in error when it could not start. */
MUST_CHECK int ingressd_run(const struct ingress_conf *conf, const char *bus,
                            char error[INGRESSD_ERROR_MAX]);

#endif
