#include "app/command.h"

#include <stdio.h>

/* Project Lightspeed's and ITGv2's words for `sluice up`'s.  (ftl-lightspeed.md 2.1, 2.2, 2.4)
 * Other variables of theirs are read by `up` itself: LS_INGEST_ADDR, STREAM_KEY, INGEST_PORT,
 * LS_LOG, ICE_SERVERS, WEBSOCKET_URL, WEB_PORT. */
static const struct word {
    const char *theirs[2], *variable, *ours;
} words[] = {
    {{"--address", "-a"}, NULL, "--ingest-address"},
    {{"--stream-key", "-k"}, NULL, "--stream-key"},
    {{"--log-file", "-l"}, NULL, "--log-file"},
    {{"--addr", NULL}, NULL, "--bind"},
    {{"--ip", NULL}, "WEBSOCKET_HOST", "--node-ip"},
    {{"--ports", NULL}, NULL, ""},
    {{"--ws-port", NULL}, "WEBSOCKET_PORT", "--ws-port"},
    {{"--ice-servers", NULL}, NULL, "--ice-servers"},
    {{"--ssl-cert", NULL}, NULL, NULL},
    {{"--ssl-key", NULL}, NULL, NULL},
};

struct translation {
    struct command_args *out;
    const char **argv;
    int max;
    struct arena *arena;
    const char *value[ARRAY_LEN(words)];
};

static int put(struct translation *t, const char *text)
{
    if (text == NULL || t->out->argc == t->max)
        return command_misused("up", "too many arguments");
    t->argv[t->out->argc++] = text;
    return 0;
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
    size_t n = strcspn(range, "-");

    if (range[n] == '\0')
        return command_misused("up", "--ports takes a range such as 20000-20500, not '%.40s'",
                               range);
    int ret = put(t, arena_printf(t->arena, "--rtc.port_range_start=%.*s", (int)n, range));
    return ret != 0 ? ret
                    : put(t, arena_printf(t->arena, "--rtc.port_range_end=%s", range + n + 1));
}

static int put_word(struct translation *t, const struct word *w, const char *value)
{
    if (strcmp(value, "none") == 0)
        return 0; /* their word for a flag that was not given */
    if (w->ours == NULL)
        return command_misused("up", "%s: TLS is not served here yet; put a proxy in front",
                               w->theirs[0]);
    if (w->ours[0] == '\0')
        return put_ports(t, value);
    return put(t, arena_printf(t->arena, "%s=%s", w->ours,
                               strcmp(value, "localhost") == 0 ? "127.0.0.1" : value));
}

int command_theirs(const struct command_args *a, const char *argv[], int max, struct arena *arena,
                   struct command_args *out)
{
    struct translation t = {.out = out, .argv = argv, .max = max, .arena = arena};
    int ret = 0;

    *out = (struct command_args){.argv = argv, .envp = a->envp};
    for (size_t k = 0; k < ARRAY_LEN(words) && ret == 0; k++) { /* flags overrule them */
        const char *v = words[k].variable != NULL ? command_env(a, words[k].variable) : NULL;
        if (v != NULL)
            ret = put_word(&t, &words[k], v);
    }
    for (int i = 0; i < a->argc && ret == 0; i++) {
        if (strcmp(a->argv[i], "run") != 0 && /* the last word of their compose file */
            !take(&t, a, &i))
            ret = put(&t, a->argv[i]);
    }
    for (size_t k = 0; k < ARRAY_LEN(words) && ret == 0; k++) {
        if (t.value[k] != NULL)
            ret = put_word(&t, &words[k], t.value[k]);
    }
    return ret;
}

static bool is_given(const struct command_args *a, const char *flag)
{
    size_t n = strlen(flag);

    for (int i = 0; i < a->argc; i++) {
        if (strncmp(a->argv[i], flag, n) == 0 && (a->argv[i][n] == '=' || a->argv[i][n] == '\0'))
            return true;
    }
    return false;
}

int command_lightspeed(const struct command_args *a)
{
    const char *argv[COMMAND_ARGS_MAX];
    int n = 0;

    /* Their defaults, where they are not ours. */
    if (!is_given(a, "--addr") && !is_given(a, "--bind"))
        argv[n++] = "--addr=localhost";
    if (!is_given(a, "--ports") && !is_given(a, "--udp-port"))
        argv[n++] = "--ports=20000-20500";
    argv[n++] = "--rtp-port=65535";
    if (a->argc > COMMAND_ARGS_MAX - n)
        return command_misused("lightspeed", "too many arguments");
    for (int i = 0; i < a->argc; i++)
        argv[n++] = a->argv[i];
    return command_up(&(struct command_args){.argc = n, .argv = argv, .envp = a->envp});
}
