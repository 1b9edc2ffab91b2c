#include "app/command.h"

#include "app/server.h"
#include "app/streamkey.h"
#include "base/err.h"
#include "base/mem.h"
#include "crypt/crypt.h"
#include "io/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { KEY_FILE_OTHERS = 07, FILE_BYTES_MAX = 1 << 20 };

struct sources {
    const char *config, *body;
    bool loose;
};

static bool take_value(const struct command_args *a, int *i, const char *flag, const char **out)
{
    size_t n = strlen(flag);
    const char *arg = a->argv[*i];

    if (strncmp(arg, flag, n) != 0 || (arg[n] != '=' && arg[n] != '\0'))
        return false;
    if (arg[n] == '=')
        *out = arg + n + 1;
    else
        *out = *i + 1 < a->argc ? a->argv[++*i] : "";
    return true;
}

/* The flags that say where the rest comes from are looked for first. */
static void find_sources(const struct command_args *a, struct sources *s)
{
    const char *env = command_env(a, "LIVEKIT_CONFIG");

    *s = (struct sources){.config = "", .body = env != NULL ? env : ""};
    for (int i = 0; i < a->argc; i++) {
        (void)take_value(a, &i, "--config", &s->config);
        (void)take_value(a, &i, "--server-config", &s->config);
        (void)take_value(a, &i, "--config-body", &s->body);
        if (strcmp(a->argv[i], "--disable-strict-config") == 0)
            s->loose = true;
    }
}

static int read_text(const char *name, const char *flag, const char *path, struct str *out,
                     unsigned *mode)
{
    str_init(out, FILE_BYTES_MAX);
    int err = file_read(path, out, mode);
    if (err < 0) {
        str_fini(out);
        return command_misused(name, "%s: cannot read %s: %s", flag, path, err_text(err));
    }
    return 0;
}

static int complain(const struct conf *c)
{
    (void)fprintf(stderr, "%s\n", c->error[0] != '\0' ? c->error : "out of memory");
    return COMMAND_MISUSED;
}

static int read_config(const char *name, const struct sources *s, struct conf *c)
{
    struct str text;

    c->strict = !s->loose;
    if (s->config[0] != '\0') {
        int ret = read_text(name, "--config", s->config, &text, NULL);
        if (ret != 0)
            return ret;
        int err = conf_yaml(c, s->config, str_bytes(&text));
        str_fini(&text);
        return err < 0 ? complain(c) : 0;
    }
    if (s->body[0] == '\0')
        return 0;
    return conf_yaml(c, "--config-body", bytes_str(s->body)) < 0 ? complain(c) : 0;
}

static int read_flags(const char *name, const struct command_args *a, struct conf *c)
{
    const char *unused;

    for (int i = 0; i < a->argc;) {
        int at = i;
        if (strncmp(a->argv[i], "--", 2) != 0)
            return command_misused(name, "unknown word '%.60s'; `sluice help %s` lists the flags",
                                   a->argv[i], name);
        if (strcmp(a->argv[i], "--disable-strict-config") == 0 ||
            take_value(a, &at, "--config", &unused) ||
            take_value(a, &at, "--server-config", &unused) ||
            take_value(a, &at, "--config-body", &unused)) {
            i = at + 1;
            continue;
        }
        if (conf_flag(c, a->argc, a->argv, &i) < 0)
            return complain(c);
    }
    return 0;
}

static int read_key_file(const char *name, struct conf *c)
{
    unsigned mode = 0;
    struct str text;

    if (c->key_file[0] == '\0')
        return 0;
    int ret = read_text(name, "--key-file", c->key_file, &text, &mode);
    if (ret != 0)
        return ret;
    if (mode & KEY_FILE_OTHERS) {
        ret = command_misused(name, "--key-file: others may read %s; run chmod o-rwx on it",
                              c->key_file);
    } else {
        c->key_n = 0;
        if (conf_keys(c, c->key_file, str_bytes(&text)) < 0)
            ret = complain(c);
    }
    mem_wipe(text.p, text.len);
    str_fini(&text);
    return ret;
}

int command_conf(const char *name, const struct command_args *a, struct conf *c)
{
    struct sources s;

    find_sources(a, &s);
    int ret = read_config(name, &s, c);
    if (ret == 0 && conf_env(c, a->envp) < 0)
        ret = complain(c);
    if (ret == 0)
        ret = read_flags(name, a, c);
    if (ret == 0)
        ret = read_key_file(name, c);
    return ret;
}

int command_conf_finish(struct conf *c)
{
    if (conf_finish(c) < 0)
        return complain(c);
    int fd = STDERR_FILENO;
    if (c->log_file[0] != '\0') {
        fd = open(c->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0)
            return command_misused("server", "--log-file %s: %s", c->log_file, err_text(-errno));
    }
    log_setup(c->log_level, c->log_json, fd);
    if (c->notice.len > 0)
        (void)fprintf(stderr, "%s", str_text(&c->notice));
    return 0;
}

/* Where ingresses and keys are kept: the directory named, or the usual one; in development only
 * the one named, since many such servers may run side by side. */
static int keep_at(const struct command_args *a, struct conf *c)
{
    struct str dir, key;

    if (c->data_dir[0] == '\0' && c->dev)
        return 0;
    if (c->data_dir[0] == '\0' && command_env(a, "XDG_DATA_HOME") == NULL &&
        command_env(a, "HOME") == NULL) {
        LOG_W("data_dir", "kept=nothing reason=\"no home directory; name one with --data-dir\"");
        return 0;
    }
    str_init(&dir, 4000);
    str_init(&key, STREAMKEY_MAX + 1);
    int ret = creds_data_dir(a, c->data_dir[0] != '\0' ? c->data_dir : NULL, &dir);
    int err = ret == 0 && c->stream_key[0] == '\0' ? streamkey_load(str_text(&dir), true, &key) : 0;
    if (ret == 0 && err < 0)
        ret = command_misused("server", "cannot keep the stream key in %s/hash: %s", str_text(&dir),
                              err_text(err));
    if (ret == 0)
        err = creds_secret(str_text(&dir), "admin", c, &c->admin_secret);
    if (ret == 0 && err < 0)
        ret = command_misused("server", "cannot keep a secret in %s/admin: %s", str_text(&dir),
                              err_text(err));
    if (ret == 0) {
        c->data_dir = arena_dup(&c->arena, str_bytes(&dir));
        if (c->stream_key[0] == '\0')
            c->stream_key = arena_dup(&c->arena, str_bytes(&key));
        if (c->data_dir == NULL || c->stream_key == NULL)
            ret = command_failed("server", "out of memory");
    }
    str_fini(&key);
    str_fini(&dir);
    return ret;
}

int command_server(const struct command_args *a)
{
    char error[SERVER_ERROR_MAX] = "";
    struct conf c;

    conf_init(&c);
    int ret = command_conf("server", a, &c);
    if (ret == 0)
        ret = command_conf_finish(&c);
    if (ret == 0 && c.dev)
        (void)fprintf(stderr, "development mode: key '%s', secret '%s'; never expose this server\n",
                      c.key[0].id, c.key[0].secret);
    if (ret == 0)
        ret = keep_at(a, &c);
    if (ret == 0 && server_run(&c, NULL, error) < 0)
        ret = command_misused("server", "%s", error[0] != '\0' ? error : "out of memory");
    conf_fini(&c);
    return ret;
}

int command_generate_keys(const struct command_args *a)
{
    struct flag_list words;
    struct str out;

    int ret = command_flags("generate-keys", a, NULL, 0, &words);
    if (ret != 0)
        return ret;
    str_init(&out, 256);
    if (creds_make(&out) < 0) {
        ret = command_failed("generate-keys", "the system gives no random bytes");
    } else {
        const char *colon = strchr(out.p, ':');
        (void)printf("API Key:  %.*s\nAPI Secret: %s", (int)(colon - out.p), out.p, colon + 1);
        mem_wipe(out.p, out.len);
    }
    str_fini(&out);
    return ret;
}

/* What a firewall must let through. */
int command_ports(const struct command_args *a)
{
    struct conf c;

    conf_init(&c);
    int ret = command_conf("ports", a, &c);
    if (ret == 0) {
        uint16_t first = c.udp_port_set ? c.udp_port.first : 7882;
        uint16_t last = c.udp_port_set ? c.udp_port.last : 0;
        (void)printf("TCP Ports\n%u - HTTP service\n", c.port);
        if (c.prometheus_on || c.prometheus_port > 0)
            (void)printf("%u - Prometheus\n", c.prometheus_port);
        if (c.tcp_port > 0)
            (void)printf("%u - media (ICE/TCP)\n", c.tcp_port);
        (void)printf("UDP Ports\n");
        if (last == 0)
            (void)printf("%u and up, one for each worker - media\n", first);
        else if (last != first)
            (void)printf("%u-%u - media\n", first, last);
        else
            (void)printf("%u - media\n", first);
    }
    conf_fini(&c);
    return ret;
}
