#include "app/command.h"

#include <stdio.h>

enum { ARGS_MAX = 2 * COMMAND_LIST_MAX, TEXT_BYTES_MAX = 512 };

/* Project Lightspeed's and ITGv2's words for `sluice up`'s.  (ftl-lightspeed.md 2.1, 2.2, 2.4) */
static const struct word {
    const char *theirs[2], *variable, *ours;
} words[] = {
    {{"--address", "-a"}, NULL, "--ingest-address"}, /* LS_INGEST_ADDR is read by `up` itself, as */
    {{"--stream-key", "-k"}, NULL, "--stream-key"},  /* are STREAM_KEY and INGEST_PORT */
    {{"--log-file", "-l"}, "LS_LOG", NULL},
    {{"--addr", NULL}, NULL, "--bind"},
    {{"--ip", NULL}, "WEBSOCKET_HOST", "--node-ip"},
    {{"--ports", NULL}, NULL, ""},
    {{"--ws-port", NULL}, "WEBSOCKET_PORT", "--ws-port"},
    {{"--rtp-port", NULL}, NULL, NULL},
    {{"--ice-servers", NULL}, "ICE_SERVERS", "--rtc.stun_servers"},
    {{"--ssl-cert", NULL}, NULL, NULL},
    {{"--ssl-key", NULL}, NULL, NULL},
};

struct translation {
    const char *argv[ARGS_MAX];
    int argc;
    const char *value[ARRAY_LEN(words)];
    char first[TEXT_BYTES_MAX], last[TEXT_BYTES_MAX]; /* of --ports */
};

static bool put(struct translation *t, const char *flag, const char *value)
{
    if (t->argc + 2 > ARGS_MAX)
        return false;
    t->argv[t->argc++] = flag;
    if (value != NULL)
        t->argv[t->argc++] = value;
    return true;
}

/* The value of one of their flags at *i, in either spelling; NULL: another flag. */
static const char *value_of(const struct command_args *a, int *i, const char *flag)
{
    const char *arg = a->argv[*i];
    size_t n = flag != NULL ? strlen(flag) : 0;

    if (n == 0 || strncmp(arg, flag, n) != 0)
        return NULL;
    if (arg[n] == '=')
        return arg + n + 1;
    return arg[n] == '\0' && *i + 1 < a->argc ? a->argv[++*i] : NULL;
}

/* True when it was one of theirs. */
static bool take(struct translation *t, const struct command_args *a, int *i)
{
    for (size_t k = 0; k < ARRAY_LEN(words); k++) {
        for (size_t s = 0; s < ARRAY_LEN(words[k].theirs); s++) {
            const char *v = value_of(a, i, words[k].theirs[s]);
            if (v != NULL) {
                t->value[k] = v;
                return true;
            }
        }
    }
    return false;
}

/* "20000-20500": the workers' ports lie in it. */
static int put_ports(struct translation *t, const char *range)
{
    const char *dash = strchr(range, '-');

    if (dash == NULL ||
        !str_copy(t->first, sizeof t->first, bytes_of(range, (size_t)(dash - range))) ||
        !str_copy(t->last, sizeof t->last, bytes_str(dash + 1)))
        return command_misused("lightspeed",
                               "--ports takes a range such as 20000-20500, not '%.40s'", range);
    return put(t, "--rtc.port_range_start", t->first) && put(t, "--rtc.port_range_end", t->last)
               ? 0
               : COMMAND_MISUSED;
}

static int put_word(struct translation *t, const struct word *w, const char *value)
{
    if (strncmp(w->theirs[0], "--ssl", 5) == 0)
        return command_misused("lightspeed", "%s: TLS is not served here yet; put a proxy in front",
                               w->theirs[0]);
    if (w->ours == NULL) {
        (void)fprintf(stderr, "sluice lightspeed: %s is accepted and has no effect\n",
                      w->theirs[0]);
        return 0;
    }
    if (strcmp(w->theirs[0], "--ports") == 0)
        return put_ports(t, value);
    if (strcmp(value, "none") == 0)
        return 0; /* their word for a flag that was not given */
    return put(t, w->ours, strcmp(value, "localhost") == 0 ? "127.0.0.1" : value) ? 0
                                                                                  : COMMAND_MISUSED;
}

int command_lightspeed(const struct command_args *a)
{
    struct translation t = {0};
    bool bound = false; /* by our own flag */
    int ret = 0;

    for (int i = 0; i < a->argc && ret == 0; i++) {
        if (strcmp(a->argv[i], "run") == 0 || take(&t, a, &i))
            continue; /* their compose file ends the line with "run" */
        bound = bound || strncmp(a->argv[i], "--bind", 6) == 0;
        if (!put(&t, a->argv[i], NULL))
            ret = command_misused("lightspeed", "too many arguments");
    }
    for (size_t k = 0; k < ARRAY_LEN(words) && ret == 0; k++) {
        const char *v = t.value[k];
        if (v == NULL && words[k].variable != NULL)
            v = command_env(a, words[k].variable);
        if (v == NULL && !bound && strcmp(words[k].theirs[0], "--addr") == 0)
            v = "localhost"; /* their default */
        if (v != NULL)
            ret = put_word(&t, &words[k], v);
    }
    return ret != 0 ? ret
                    : command_up(
                          &(struct command_args){.argc = t.argc, .argv = t.argv, .envp = a->envp});
}
