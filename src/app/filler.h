/* app/filler.h - the test picture of `sluice up`: a child that joins room `live`.
 *
 * Runs `sluice join --sample --yield` as a process of its own and starts it again, with
 * growing pauses, when it ends.  Control thread only.
 */
#ifndef APP_FILLER_H
#define APP_FILLER_H

#include "base/base.h"
#include "base/conf.h"

#include <sys/types.h>

enum { FILLER_FAST_US = 10 * 1000 * 1000, FILLER_FAST_MAX = 5 };

struct filler {
    pid_t pid; /* 0: not running */
    us_t started_at;
    uint32_t fast_n; /* ends soon after their start, in a row: at the maximum it is left alone */
    uint16_t port;
    const struct conf *conf;
    bool stopping;
};

void filler_start(struct filler *f, const struct conf *conf, uint16_t http_port);
/* After SIGCHLD. */
void filler_child(struct filler *f);
void filler_stop(struct filler *f);

#endif
