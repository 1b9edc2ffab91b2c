#include "app/media_child.h"

#include "base/err.h"
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096 };

static const char name[] = "sluice-media";

/* Beside /proc/self/exe. */
static int find(char path[PATH_BYTES_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_BYTES_MAX - sizeof name - 1);

    if (n <= 0)
        return -ENOENT;
    while (n > 0 && path[n - 1] != '/')
        n--;
    memcpy(path + n, name, sizeof name);
    return access(path, X_OK) == 0 ? 0 : -ENOENT;
}

static int spawn(const char *path, int fd, pid_t *pid)
{
    static char *const no_env[] = {NULL};
    const char *argv[] = {name, NULL};
    posix_spawn_file_actions_t io;

    if (posix_spawn_file_actions_init(&io) != 0)
        return E_NOMEM;
    int err = posix_spawn_file_actions_adddup2(&io, fd, STDIN_FILENO);
    if (err == 0)
        err = posix_spawn_file_actions_addopen(&io, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (err == 0)
        err = posix_spawn(pid, path, &io, NULL, (char *const *)(uintptr_t)argv, no_env);
    (void)posix_spawn_file_actions_destroy(&io); /* nothing to lose */
    return -err;
}

int media_child_open(struct media_child *c, struct loop *loop, const struct tcp_handler *handler,
                     void *owner)
{
    char path[PATH_BYTES_MAX];
    int fd[2], err = find(path);
    pid_t pid = 0;

    if (err)
        return err;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0)
        return -errno;
    err = spawn(path, fd[1], &pid);
    (void)close(fd[1]); /* the child has its own */
    if (err) {
        (void)close(fd[0]); /* nobody is there */
        return err;
    }
    *c = (struct media_child){.pid = pid};
    if (fcntl(fd[0], F_SETFL, O_NONBLOCK) != 0) {
        err = -errno;
        (void)close(fd[0]); /* the child sees it */
    } else {
        err = tcp_open(&c->tcp, loop, fd[0], handler, owner);
    }
    if (err)
        media_child_close(c, true);
    return err;
}

/* It is gone already or does not outlive the signal: the wait is a moment. */
void media_child_close(struct media_child *c, bool ours)
{
    int status = 0;

    tcp_free(c->tcp);
    c->tcp = NULL;
    if (c->pid == 0)
        return;
    (void)kill(c->pid, SIGKILL); /* a zombie does not mind */
    if (waitpid(c->pid, &status, 0) == c->pid && !ours)
        LOG_W("media_child", "pid=%d ended=%d signal=%d", (int)c->pid,
              WIFEXITED(status) ? WEXITSTATUS(status) : -1,
              WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    c->pid = 0;
}
