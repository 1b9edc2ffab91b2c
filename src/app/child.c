#include "app/child.h"

#include "base/err.h"
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

enum { ASKED_WRONGLY = 2 };

extern char **environ;

static void pause_then_again(struct child *c, us_t now)
{
    c->pause_us = us_clamp(c->pause_us * 2, CHILD_PAUSE_MIN_US, CHILD_PAUSE_MAX_US);
    c->again_at = now + c->pause_us;
}

/* In a group of its own: Ctrl-C at the terminal is ours to pass on, once. */
void child_start(struct child *c, us_t now)
{
    posix_spawn_file_actions_t io;
    posix_spawnattr_t attr;

    c->started_at = now;
    c->again_at = US_NEVER;
    c->starts++;
    if (posix_spawn_file_actions_init(&io) != 0 || posix_spawnattr_init(&attr) != 0) {
        pause_then_again(c, now);
        return;
    }
    (void)posix_spawn_file_actions_addopen(&io, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    int err = posix_spawn(&c->pid, "/proc/self/exe", &io, &attr, (char *const *)(uintptr_t)c->argv,
                          environ);
    (void)posix_spawn_file_actions_destroy(&io);
    (void)posix_spawnattr_destroy(&attr);
    if (err != 0) {
        c->pid = 0;
        LOG_W("child", "name=%s error=\"cannot start: %s\"", c->name, err_text(-err));
        pause_then_again(c, now);
    }
}

void child_reap(struct child *c, us_t now)
{
    int status;

    if (c->pid == 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    c->pid = 0;
    if (c->stopping)
        return;
    bool wrong = WIFEXITED(status) && WEXITSTATUS(status) == ASKED_WRONGLY;
    LOG_W("child", "name=%s ended=%d starts=%u%s", c->name, status, c->starts,
          wrong ? " again=0" : "");
    if (wrong)
        return;
    if (now - c->started_at >= CHILD_STEADY_US)
        c->pause_us = 0;
    pause_then_again(c, now);
}

void child_tick(struct child *c, us_t now)
{
    if (c->pid == 0 && !c->stopping && now >= child_deadline(c))
        child_start(c, now);
}

us_t child_deadline(const struct child *c)
{
    return c->stopping || c->starts == 0 ? US_NEVER : c->again_at;
}

void child_stop(struct child *c)
{
    c->stopping = true;
    if (c->pid != 0)
        (void)kill(c->pid, SIGINT); /* it may have gone just now */
}
