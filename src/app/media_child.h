/* app/media_child.h - the process `sluice-media` of one stream, and the socket to it.
 *
 * Found beside our own executable.  It inherits standard error and nothing else of ours; its end
 * is told by the handler's `closed`.  The ingress process's thread only.
 */
#ifndef APP_MEDIA_CHILD_H
#define APP_MEDIA_CHILD_H

#include "io/tcp.h"

#include <sys/types.h>

struct media_child {
    pid_t pid; /* 0: none */
    struct tcp *tcp;
};

/* -ENOENT: it is not installed. */
MUST_CHECK int media_child_open(struct media_child *c, struct loop *loop,
                                const struct tcp_handler *handler, void *owner);
/* Ends it, in whatever state; says in the log how it ended when it was not we who ended it. */
void media_child_close(struct media_child *c, bool ours);

#endif
