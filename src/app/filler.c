#include "app/filler.h"

#include "base/err.h"
#include "base/log.h"
#include "io/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

static void spawn(struct filler *f)
{
    char url[64], key[512], secret[512];
    const char *argv[] = {"sluice",         "join",       "--room",   "live",
                          "--identity",     "testsignal", "--sample", "--yield",
                          "--no-subscribe", "--quiet",    NULL};
    char *envp[] = {url, key, secret, NULL}; /* never in argv: ps(1) shows that to everybody */
    posix_spawn_file_actions_t io;

    (void)snprintf(url, sizeof url, "LIVEKIT_URL=ws://localhost:%u", f->port);
    (void)snprintf(key, sizeof key, "LIVEKIT_API_KEY=%s", f->conf->key[0].id);
    (void)snprintf(secret, sizeof secret, "LIVEKIT_API_SECRET=%s", f->conf->key[0].secret);
    f->started_at = clock_now();
    f->pid = 0;
    if (posix_spawn_file_actions_init(&io) != 0)
        return;
    (void)posix_spawn_file_actions_addopen(&io, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&io, 1, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&io, 2, "/dev/null", O_WRONLY, 0);
    int err =
        posix_spawn(&f->pid, "/proc/self/exe", &io, NULL, (char *const *)(uintptr_t)argv, envp);
    (void)posix_spawn_file_actions_destroy(&io);
    if (err != 0) {
        f->pid = 0;
        LOG_W("test_picture", "error=\"cannot start: %s\"", err_text(-err));
    }
}

void filler_start(struct filler *f, const struct conf *conf, uint16_t http_port)
{
    *f = (struct filler){.conf = conf, .port = http_port};
    spawn(f);
}

void filler_child(struct filler *f)
{
    int status;

    if (f->pid == 0 || waitpid(f->pid, &status, WNOHANG) != f->pid)
        return;
    f->pid = 0;
    if (f->stopping)
        return;
    f->fast_n = clock_now() - f->started_at < FILLER_FAST_US ? f->fast_n + 1 : 0;
    LOG_W("test_picture", "ended=%d restarts=%u", status, f->fast_n);
    if (f->fast_n < FILLER_FAST_MAX)
        spawn(f);
}

void filler_stop(struct filler *f)
{
    f->stopping = true;
    if (f->pid != 0)
        (void)kill(f->pid, SIGTERM);
}
