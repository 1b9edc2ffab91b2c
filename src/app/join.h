/* app/join.h - `sluice join`: a participant for the command line.
 *
 * Publishes files as live streams, records what it receives, and prints one line
 * per participant, track and first frame.  One participant, one thread, two
 * sockets.
 */
#ifndef APP_JOIN_H
#define APP_JOIN_H

#include "base/base.h"

#include <signal.h>

enum { JOIN_FILES_MAX = 8 };

struct join_options {
    const char *url, *token;
    const char *file[JOIN_FILES_MAX]; /* paths */
    bool video[JOIN_FILES_MAX];       /* else audio */
    unsigned file_n;
    struct bytes sample_video, sample_audio; /* instead of files: embedded clips; p NULL without */
    const char *record_dir;                  /* NULL: nothing is recorded */
    us_t duration_us;                        /* 0: until stopped */
    bool no_subscribe;
    bool quiet;
    bool yield; /* mute while others publish: the test picture of a room */
};

/* Until the session ends, the time is over or *stop becomes true.  Exit code: 0, or 1 with a line
 * on stderr. */
int join_run(const struct join_options *o, const volatile sig_atomic_t *stop);

#endif
