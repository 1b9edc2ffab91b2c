#include "io/sock.h"

#include "base/err.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int open_socket(const char *path, struct sockaddr_un *name)
{
    size_t n = strlen(path);

    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n >= sizeof name->sun_path)
        return E_TOO_LARGE;
    memcpy(name->sun_path, path, n + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int sock_dial(const char *path)
{
    struct sockaddr_un name;

    int fd = open_socket(path, &name);
    if (fd < 0)
        return fd;
    if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

/* A file that a listener left when it was killed. */
static int remove_stale(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EADDRINUSE; /* something else has this name: it is not ours to remove */
    int fd = sock_dial(path);
    if (fd >= 0) {
        close(fd);
        return -EADDRINUSE;
    }
    if (fd != -ECONNREFUSED && fd != E_NOENT)
        return fd == E_AGAIN ? -EADDRINUSE : fd;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int sock_listen(const char *path)
{
    struct sockaddr_un name;

    int fd = open_socket(path, &name);
    if (fd < 0)
        return fd;
    int err = remove_stale(path);
    /* The mode of a socket file is that of its descriptor when it is bound. */
    if (err == 0 && (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0 ||
                     chmod(path, 0600) < 0 || listen(fd, SOCK_BACKLOG) < 0))
        err = -errno;
    if (err == 0)
        return fd;
    close(fd);
    return err;
}

static bool is_ours(int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
           (who.uid == geteuid() || who.uid == 0);
}

int sock_accept(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return errno == EINTR || errno == ECONNABORTED ? E_AGAIN : -errno;
        if (is_ours(fd))
            return fd;
        close(fd);
    }
}

int sock_peer_pid(int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 ? (int)who.pid : 0;
}

void sock_unlisten(int fd, const char *path)
{
    if (fd < 0)
        return;
    (void)unlink(path); /* gone already is as good */
    close(fd);
}
