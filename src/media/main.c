/* media/main.c - sluice-media: AAC to Opus for one job.
 *
 * Standard input is a stream socket that both directions run on.  Ends with 0 when the job closes
 * it; 3 when a plugin is missing, with the name of its package on standard error.
 */
#include "base/base.h"
#include "media/lock.h"
#include "media/pipe.h"
#include "wire/childpipe.h"

#include <gst/gst.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    EXIT_PLUGIN = 3,
    EXIT_PIPE = 4,
    EXIT_RECORD = 5,
};

static const char usage[] = "usage: sluice-media [--plugins DIR]\n"
                            "AAC to Opus for one job of `sluice ingress`, over standard input.\n";

/* Plugins come by file: nothing is searched, so a start costs no scan of a registry. */
static void init(void)
{
    static const char *const paths[] = {"GST_PLUGIN_SYSTEM_PATH_1_0", "GST_PLUGIN_SYSTEM_PATH",
                                        "GST_PLUGIN_PATH_1_0", "GST_PLUGIN_PATH"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        (void)setenv(paths[i], "", 1);                   /* fails for a bad name only */
    (void)setenv("GST_REGISTRY_1_0", "/nonexistent", 1); /* likewise; nothing is written */
    (void)setenv("GST_REGISTRY_UPDATE", "no", 1);        /* likewise */
    gst_registry_fork_set_enabled(FALSE);
    gst_init(NULL, NULL);
}

static bool give(struct pipe *p, const struct childpipe_record *rec)
{
    switch (rec->kind) {
    case CHILDPIPE_AAC_CONFIG:
        pipe_config(p, rec->body);
        return true;
    case CHILDPIPE_AAC:
        pipe_push(p, rec->pts_us, rec->body);
        return true;
    default:
        return false;
    }
}

static int move(struct pipe *p)
{
    static uint8_t buf[4 * CHILDPIPE_RECORD_MAX];
    struct childpipe_record rec;
    char text[200];
    size_t n = 0, used;

    for (;;) {
        ssize_t got = read(STDIN_FILENO, buf + n, sizeof buf - n);
        if (got <= 0)
            return EXIT_SUCCESS;
        n += (size_t)got;
        size_t at = 0;
        int err;
        while ((err = childpipe_read(bytes_of(buf + at, n - at), &rec, &used)) == 1) {
            at += used;
            if (!give(p, &rec))
                return EXIT_RECORD;
        }
        if (err < 0)
            return EXIT_RECORD;
        memmove(buf, buf + at, n - at);
        n -= at;
        if (pipe_failed(p, text, sizeof text)) {
            (void)fprintf(stderr, "sluice-media: %s\n", text);
            return EXIT_PIPE;
        }
    }
}

static bool say_ready(void)
{
    struct childpipe_record ready = {.kind = CHILDPIPE_READY};
    uint8_t buf[CHILDPIPE_HEADER_BYTES];
    struct wr w = wr_of(buf, sizeof buf);

    childpipe_write(&w, &ready);
    return write(STDIN_FILENO, buf, wr_len(&w)) == (ssize_t)wr_len(&w);
}

int main(int argc, char **argv)
{
    const char *dir = GST_PLUGINS_DIR, *missing = NULL, *package = NULL;
    struct lock_report locked = {0};

    if (argc == 3 && strcmp(argv[1], "--plugins") == 0) {
        dir = argv[2];
    } else if (argc != 1) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
    init();
    struct pipe *p = pipe_load(dir, &missing, &package);
    if (p == NULL) {
        (void)fprintf(stderr,
                      "sluice-media: GStreamer's plugin %s cannot be loaded: install the "
                      "Debian package %s\n",
                      missing, package);
        return EXIT_PLUGIN;
    }
    if (lock_in(&locked) != 0 || !pipe_start(p, STDIN_FILENO) || !say_ready()) {
        (void)fprintf(stderr, "sluice-media: cannot start\n");
        return EXIT_PIPE;
    }
    int code = move(p);
    pipe_free(p);
    _exit(code); /* GStreamer keeps its registry for good, and a leak checker would have to trace us
                  */
}
