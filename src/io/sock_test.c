#include "base/err.h"
#include "base/test.h"
#include "io/sock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(a_socket_is_for_its_owner_and_is_replaced_when_left_behind)
{
    char dir[] = "/tmp/sock-XXXXXX", path[64];
    struct stat st;

    EXPECT(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof path, "%s/s", dir);
    EXPECT_EQ(sock_dial(path), E_NOENT);
    int fd = sock_listen(path);
    EXPECT(fd >= 0);
    EXPECT_EQ(stat(path, &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600);
    EXPECT_EQ(sock_listen(path), -EADDRINUSE);
    int client = sock_dial(path);
    EXPECT(client >= 0);
    EXPECT_EQ(sock_peer_pid(client), getpid());
    int probe = sock_accept(fd), server = sock_accept(fd); /* the second listener's, and ours */
    EXPECT(probe >= 0 && server >= 0);
    EXPECT_EQ(sock_accept(fd), E_AGAIN);
    close(probe);
    close(client);
    close(server);
    close(fd); /* as if killed */
    EXPECT_EQ(sock_dial(path), -ECONNREFUSED);
    fd = sock_listen(path);
    EXPECT(fd >= 0);
    sock_unlisten(fd, path);
    EXPECT_EQ(stat(path, &st), -1);
    EXPECT_EQ(rmdir(dir), 0);
}

TEST(what_is_no_socket_is_left_alone)
{
    char dir[] = "/tmp/sock-XXXXXX", path[64], longer[200];

    EXPECT(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof path, "%s/s", dir);
    int fd = open(path, O_CREAT | O_RDWR, 0600);
    EXPECT(fd >= 0);
    close(fd);
    EXPECT_EQ(sock_listen(path), -EADDRINUSE);
    EXPECT_EQ(unlink(path), 0);
    EXPECT_EQ(rmdir(dir), 0);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    EXPECT_EQ(sock_listen(longer), E_TOO_LARGE);
}
