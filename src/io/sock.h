/* io/sock.h - Unix sockets by path, for the owner of the machine's account alone.
 *
 * Opens descriptors; io/tcp moves their bytes.  Whoever connects is another process of the same
 * user (or root): others are turned away by the file's mode and, where that fails, by who they
 * are.
 */
#ifndef IO_SOCK_H
#define IO_SOCK_H

#include "base/base.h"

enum { SOCK_PATH_MAX = 108, SOCK_BACKLOG = 64 };

/* Listens, mode 0600; a socket that nobody listens on any more is replaced.  The descriptor, or
 * -EADDRINUSE (somebody does), E_TOO_LARGE (the path), -errno. */
MUST_CHECK int sock_listen(const char *path);
/* The next one that may come in; E_AGAIN: none. */
MUST_CHECK int sock_accept(int fd);
/* Connects at once, or not at all: E_NOENT, -ECONNREFUSED (nobody listens), -errno. */
MUST_CHECK int sock_dial(const char *path);
/* Who listens at the other end; 0: unknown. */
int sock_peer_pid(int fd);
/* Closes and removes the path. */
void sock_unlisten(int fd, const char *path);

#endif
