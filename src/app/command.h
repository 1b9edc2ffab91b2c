/* app/command.h - the commands of the one executable, and what they share.
 *
 * A command gets its arguments without its own name and returns the exit code: 0, 1 when the
 * work failed, 2 when it was asked wrongly; then one line on stderr names the flag and the
 * remedy.  Results go to stdout.
 */
#ifndef APP_COMMAND_H
#define APP_COMMAND_H

#include "base/arena.h"
#include "base/base.h"
#include "base/conf.h"
#include "base/str.h"
#include "crypt/token.h"

enum {
    COMMAND_OK = 0,
    COMMAND_FAILED = 1,
    COMMAND_MISUSED = 2,
    COMMAND_LIST_MAX = 64,
    COMMAND_ARGS_MAX = 256
};

struct command_args {
    int argc;
    const char *const *argv;
    const char *const *envp;
};

struct command {
    const char *name;
    int (*run)(const struct command_args *a);
    const char *summary; /* one line; NULL: not listed */
    const char *usage;   /* of `sluice help NAME` */
};

/* ---- flags ---- */

enum flag_kind { FLAG_TEXT, FLAG_SWITCH, FLAG_LIST };

struct flag_list {
    const char *text[COMMAND_LIST_MAX];
    uint32_t n;
};

struct flag {
    const char *name; /* without dashes */
    enum flag_kind kind;
    void *out; /* const char **, bool * or struct flag_list * */
};

/* Flags may stand anywhere, `--` ends them; the rest are words.  0, or COMMAND_MISUSED with the
 * line printed; `name` is the command's. */
MUST_CHECK int command_flags(const char *name, const struct command_args *a,
                             const struct flag *flags, size_t n, struct flag_list *words);
/* Prints "sluice NAME: ..." and returns COMMAND_MISUSED. */
int command_misused(const char *name, const char *fmt, ...) PRINTF_LIKE(2, 3);
int command_failed(const char *name, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *command_env(const struct command_args *a, const char *variable); /* NULL: unset */

/* ---- where the server is, and who we are ---- */

struct creds {
    const char *url, *key, *secret; /* after creds_find(): never NULL */
    const char *host;               /* --host: another word for --url */
    const char *data_dir;
    bool dev;
    bool quiet; /* creds_call() prints nothing when the server refuses */
};

enum { CREDS_FLAGS = 6 };

/* The flags that every command with credentials takes. */
void creds_flags(struct creds *c, struct flag out[CREDS_FLAGS]);
/* Flags, then the environment, then --dev, then the data directory. */
MUST_CHECK int creds_find(const char *name, const struct command_args *a, struct creds *c,
                          struct arena *arena);
/* The data directory's path; COMMAND_FAILED when there is no home either. */
MUST_CHECK int creds_data_dir(const struct command_args *a, const char *asked, struct str *out);
/* The keys of the data directory into conf, made at first start. 0 or -errno. */
MUST_CHECK int creds_keys(const char *dir, struct conf *conf, bool make, bool *made);

/* A secret that a file of the data directory keeps, made at first start (0600); in c's arena. */
MUST_CHECK int creds_secret(const char *dir, const char *file, struct conf *c, const char **out);

/* Appends a new "key: secret" line.  E_LIBRARY without random bytes. */
MUST_CHECK int creds_make(struct str *out);

/* ---- the server's configuration ---- */

/* File, variables, flags and key file into c, which was conf_init()ed; an exit code. */
MUST_CHECK int command_conf(const char *name, const struct command_args *a, struct conf *c);
/* conf_finish(), the log, the notices. */
MUST_CHECK int command_conf_finish(struct conf *c);

/* `sluice up`'s arguments with those of Project Lightspeed and ITGv2 in our words; into argv and
 * the arena.  0, or COMMAND_MISUSED with the line printed. */
MUST_CHECK int command_theirs(const struct command_args *a, const char *argv[], int max,
                              struct arena *arena, struct command_args *out);

/* A token for a short while: `video` says the grants; its strings may be NULL.  0, or
 * COMMAND_FAILED with the line printed. */
MUST_CHECK int creds_token(const char *name, const struct creds *c, const struct token_video *video,
                           const char *identity, struct str *out);

/* One Twirp call, of RoomService or "SERVICE/METHOD"; the body of the answer is appended to out. 0,
 * or COMMAND_FAILED with the line printed.  `token` grants what the method needs. */
MUST_CHECK int creds_call(const char *name, const struct creds *c, const char *method,
                          const char *token, struct bytes json, struct str *out);

/* ---- the commands ---- */

int command_up(const struct command_args *a);
int command_server(const struct command_args *a);
int command_token(const struct command_args *a);
int command_room(const struct command_args *a);
int command_create_room(const struct command_args *a);
int command_generate_keys(const struct command_args *a);
int command_ports(const struct command_args *a);
int command_join(const struct command_args *a);
int command_ingress(const struct command_args *a);
int command_lightspeed(const struct command_args *a);
int command_samples(const struct command_args *a);
int command_create_ingress(const struct command_args *a);
int command_update_ingress(const struct command_args *a);
int command_list_ingress(const struct command_args *a);
int command_delete_ingress(const struct command_args *a);
int command_obs(const struct command_args *a);
int command_key(const struct command_args *a);
/* `sluice ingress create|list|update|delete`; false: no such verb, so it is the process. */
bool command_channels(const struct command_args *a, int *ret);

#endif
