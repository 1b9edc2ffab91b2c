/* app/child.h - a process of our own executable beside the server, kept running.
 *
 * Started again with growing pauses when it ends, unless it ended because it was asked wrongly
 * (exit code 2): then its own line on stderr says what to change.  Ends with us, also when we are
 * killed.  Control thread only.
 */
#ifndef APP_CHILD_H
#define APP_CHILD_H

#include "base/base.h"

#include <sys/types.h>

enum {
    CHILD_ARGS_MAX = 64,
    CHILD_STEADY_US = 10 * 1000 * 1000, /* having run so long, it begins with the shortest pause */
    CHILD_PAUSE_MIN_US = 200 * 1000,
    CHILD_PAUSE_MAX_US = 10 * 1000 * 1000,
};

struct child {
    const char *name;                    /* for the log */
    const char *argv[CHILD_ARGS_MAX];    /* NULL at the end; borrowed */
    pid_t pid;                           /* 0: not running */
    us_t started_at, pause_us, again_at; /* again_at US_NEVER: nothing is due */
    uint32_t starts;
    bool stopping;
};

/* argv is filled; starts it. */
void child_start(struct child *c, us_t now);
/* After SIGCHLD. */
void child_reap(struct child *c, us_t now);
void child_tick(struct child *c, us_t now);
us_t child_deadline(const struct child *c);
/* SIGINT, and no more starts. */
void child_stop(struct child *c);

#endif
