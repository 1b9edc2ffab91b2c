#include "media/lock.h"

#include "base/err.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ADDRESS_SPACE_MAX = 1 << 30, /* libavcodec and ORC map about 300 MB */
    FILES_MAX = 64,
    LANDLOCK_ALL = (1 << 13) - 1, /* every right of the first version */
};

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

static int limit(int what, rlim_t v)
{
    struct rlimit l = {.rlim_cur = v, .rlim_max = v};

    return setrlimit(what, &l) == 0 ? 0 : -errno;
}

static int limits(void)
{
    int err = limit(RLIMIT_CORE, 0);

    if (err == 0)
        err = limit(RLIMIT_FSIZE, 0);
    if (err == 0)
        err = limit(RLIMIT_NOFILE, FILES_MAX);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (err == 0)
        err = limit(RLIMIT_AS, ADDRESS_SPACE_MAX);
#endif
    return err;
}

static bool landlock(void)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ALL};
    long fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);

    if (fd < 0)
        return false;
    bool done = syscall(SYS_landlock_restrict_self, (int)fd, 0) == 0; /* no rule: nothing */
    (void)close((int)fd);                                             /* it has done its work */
    return done;
}

/* Refused with EPERM: what reaches out of this process. */
static bool filter(void)
{
#ifdef OUR_ARCH
    static const int refused[] = {
        SYS_socket, SYS_socketpair, SYS_connect, SYS_bind,     SYS_listen,
        SYS_accept, SYS_accept4,    SYS_execve,  SYS_execveat, SYS_ptrace,
        SYS_kill,   SYS_tkill,      SYS_mount,   SYS_setuid,   SYS_process_vm_writev,
    };
    enum { HEAD = 4, N = ARRAY_LEN(refused) };
    struct sock_filter code[HEAD + N + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };

    for (unsigned i = 0; i < N; i++)
        code[HEAD + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                      (uint32_t)refused[i], (uint8_t)(N - i), 0);
    code[HEAD + N] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[HEAD + N + 1] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & 0xffff));
    struct sock_fprog prog = {.len = HEAD + N + 2, .filter = code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
#else
    return false;
#endif
}

int lock_in(struct lock_report *report)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    int err = limits();
    if (err)
        return err;
    report->landlock = landlock();
    report->filter = filter();
    return 0;
}
