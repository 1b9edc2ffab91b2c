#include "io/file.h"

#include "base/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_PATH_MAX = 4096 };

int file_read(const char *path, struct str *out, unsigned *mode)
{
    uint8_t buf[8192];
    struct stat st;
    int err = 0;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && mode != NULL)
        *mode = st.st_mode & 07777;
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = -errno;
        if (n <= 0)
            break;
        str_add_bytes(out, bytes_of(buf, (size_t)n));
        if (out->failed) {
            err = E_TOO_LARGE;
            break;
        }
    }
    close(fd);
    return err;
}

static int write_all(int fd, struct bytes data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.p, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data = bytes_of(data.p + n, data.len - (size_t)n);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int file_write(const char *path, struct bytes data, unsigned mode)
{
    char temp[FILE_PATH_MAX];

    int n = snprintf(temp, sizeof temp, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof temp)
        return -ENAMETOOLONG;
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    int err = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data);
    close(fd);
    if (err == 0 && rename(temp, path) < 0)
        err = -errno;
    if (err < 0)
        (void)unlink(temp); /* the first error is the one to report */
    return err;
}

int file_make_dir(const char *path, unsigned mode)
{
    char part[FILE_PATH_MAX];

    if (strlen(path) >= sizeof part)
        return -ENAMETOOLONG;
    for (const char *p = path; *p != '\0';) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        size_t n = (size_t)(p - path);
        bool last = p[strspn(p, "/")] == '\0';
        memcpy(part, path, n);
        part[n] = '\0';
        if (n > 0 && mkdir(part, last ? mode : 0755) < 0 && errno != EEXIST)
            return -errno;
        p += strspn(p, "/");
    }
    return 0;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
