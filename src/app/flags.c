#include "app/command.h"

#include <stdarg.h>
#include <stdio.h>

static void complain(const char *name, const char *fmt, va_list ap)
{
    (void)fprintf(stderr, "sluice %s: ", name);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
}

int command_misused(const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(name, fmt, ap);
    va_end(ap);
    return COMMAND_MISUSED;
}

int command_failed(const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(name, fmt, ap);
    va_end(ap);
    return COMMAND_FAILED;
}

const char *command_env(const struct command_args *a, const char *variable)
{
    size_t n = strlen(variable);

    for (const char *const *e = a->envp; *e != NULL; e++) {
        if (strncmp(*e, variable, n) == 0 && (*e)[n] == '=' && (*e)[n + 1] != '\0')
            return *e + n + 1;
    }
    return NULL;
}

static const struct flag *find_flag(const struct flag *flags, size_t n, const char *arg, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(flags[i].name) == len && strncmp(flags[i].name, arg, len) == 0)
            return &flags[i];
    }
    return NULL;
}

static int unknown_flag(const char *name, const char *arg, const struct flag *flags, size_t n)
{
    const char *words[COMMAND_LIST_MAX];
    char bare[64];

    for (size_t i = 0; i < n && i < COMMAND_LIST_MAX; i++)
        words[i] = flags[i].name;
    (void)snprintf(bare, sizeof bare, "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
    const char *near = conf_nearest(bare, words, size_min(n, COMMAND_LIST_MAX));
    if (near != NULL)
        return command_misused(name, "unknown flag '--%s'; did you mean '--%s'?", bare, near);
    return command_misused(name, "unknown flag '--%s'; `sluice help %s` lists them", bare, name);
}

static int add_word(const char *name, struct flag_list *list, const char *text)
{
    if (list->n == COMMAND_LIST_MAX)
        return command_misused(name, "more than %d values", COMMAND_LIST_MAX);
    list->text[list->n++] = text;
    return 0;
}

static int take_flag(const char *name, const struct flag *f, const char *value)
{
    if (f->kind == FLAG_LIST)
        return add_word(name, f->out, value);
    if (f->kind == FLAG_TEXT) {
        *(const char **)f->out = value;
        return 0;
    }
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return command_misused(name, "--%s is true or false, not '%.60s'", f->name, value);
    *(bool *)f->out = value[0] == 't';
    return 0;
}

int command_flags(const char *name, const struct command_args *a, const struct flag *flags,
                  size_t n, struct flag_list *words)
{
    bool ended = false;

    words->n = 0;
    for (int i = 0; i < a->argc; i++) {
        const char *arg = a->argv[i];
        int err;
        if (ended || arg[0] != '-' || arg[1] != '-') {
            if (!ended && arg[0] == '-' && arg[1] != '\0')
                return command_misused(name, "unknown flag '%s'; `sluice help %s` lists them", arg,
                                       name);
            err = add_word(name, words, arg);
        } else if (arg[2] == '\0') {
            ended = true;
            err = 0;
        } else {
            size_t len = strcspn(arg + 2, "=");
            const struct flag *f = find_flag(flags, n, arg + 2, len);
            const char *value = arg[2 + len] == '=' ? arg + 3 + len : NULL;
            if (f == NULL)
                return unknown_flag(name, arg, flags, n);
            if (value == NULL && f->kind == FLAG_SWITCH)
                value = "true";
            if (value == NULL && i + 1 < a->argc)
                value = a->argv[++i];
            if (value == NULL)
                return command_misused(name, "--%s needs a value; write --%s=VALUE", f->name,
                                       f->name);
            err = take_flag(name, f, value);
        }
        if (err != 0)
            return err;
    }
    return 0;
}
