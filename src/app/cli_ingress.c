#include "app/command.h"

#include "api/ingress.h"
#include "app/ingressd.h"
#include "app/streamkey.h"
#include "base/err.h"
#include "io/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20, PATH_BYTES_MAX = 4096 };

/* Flags and variables, by the key of the file that they set. */
static const struct named {
    const char *key, *flag, *variable;
} named[] = {
    {"ws_url", "ws-url", "LIVEKIT_WS_URL"},
    {"bus", "bus", "SLUICE_BUS"},
    {"address", "address", "LS_INGEST_ADDR"},
    {"log_file", "log-file", "LS_LOG"},
    {"ftl_port", "ftl-port", "INGEST_PORT"},
    {"rtmp_port", "rtmp-port", NULL},
    {"rtmps_port", "rtmps-port", NULL},
    {"rtp_port", "rtp-port", NULL},
    {"webrtc_server_url", "webrtc-server", "WEBRTC_SERVER_URL"},
    {"webrtc_server_secret", "webrtc-server-secret", "WEBRTC_SERVER_SECRET"},
    {"stream_key", "stream-key", "STREAM_KEY"},
    {"rtp_address", "rtp-address", NULL},
    {"rtp_ports", "rtp-ports", NULL},
    {"tls_cert_file", "tls-cert", NULL},
    {"tls_key_file", "tls-key", NULL},
    {"health_port", "health-port", NULL},
    {"prometheus_port", "prometheus-port", NULL},
    {"auth_url", "auth-url", "AUTH_WS_URL"},
    {"auth_ca", "auth-ca", NULL},
    {"on_duplicate", "on-duplicate", NULL},
    {"log_level", "log-level", NULL},
};

struct ingress_args {
    const char *config, *body, *data_dir, *ready_fd;
    const char *value[ARRAY_LEN(named)];
    bool with_parent; /* end with the process that started us */
};

static int complain(const struct ingress_conf *c)
{
    return command_misused("ingress", "%s", c->error[0] != '\0' ? c->error : "out of memory");
}

static int read_file(struct ingress_conf *c, const char *path)
{
    struct str text;

    str_init(&text, FILE_BYTES_MAX);
    int err = file_read(path, &text, NULL);
    if (err < 0) {
        str_fini(&text);
        return command_misused("ingress", "--config: cannot read %s: %s", path, err_text(err));
    }
    err = ingress_conf_yaml(c, path, str_bytes(&text));
    str_fini(&text);
    return err ? complain(c) : 0;
}

/* File or body, then variables, then flags. */
static int read_all(const struct command_args *a, const struct ingress_args *in,
                    struct ingress_conf *c)
{
    const char *path = in->config != NULL ? in->config : command_env(a, "INGRESS_CONFIG_FILE");
    const char *body = in->body != NULL ? in->body : command_env(a, "INGRESS_CONFIG_BODY");
    int ret = 0;

    if (body != NULL && in->config == NULL)
        ret = ingress_conf_yaml(c, "INGRESS_CONFIG_BODY", bytes_str(body)) ? complain(c) : 0;
    else if (path != NULL)
        ret = read_file(c, path);
    for (size_t i = 0; i < ARRAY_LEN(named) && ret == 0; i++) {
        const char *env = named[i].variable != NULL ? command_env(a, named[i].variable) : NULL;
        char flag[64];
        (void)snprintf(flag, sizeof flag, "--%s", named[i].flag); /* fits */
        if (env != NULL && ingress_conf_set(c, named[i].variable, named[i].key, env))
            ret = complain(c);
        else if (in->value[i] != NULL && ingress_conf_set(c, flag, named[i].key, in->value[i]))
            ret = complain(c);
    }
    if (ret == 0 && in->ready_fd != NULL && !str_to_i64(bytes_str(in->ready_fd), &c->ready_fd))
        ret = command_misused("ingress", "--ready-fd takes a number");
    return ret;
}

static int bus_path(const struct command_args *a, const struct ingress_args *in,
                    const struct ingress_conf *c, char out[PATH_BYTES_MAX])
{
    struct str dir;

    if (c->bus[0] != '\0') {
        (void)snprintf(out, PATH_BYTES_MAX, "%s", c->bus); /* cut when long: then not found */
        return 0;
    }
    str_init(&dir, PATH_BYTES_MAX - 16);
    int ret = creds_data_dir(a, in->data_dir != NULL ? in->data_dir : "", &dir);
    (void)snprintf(out, PATH_BYTES_MAX, "%s/bus.sock", str_text(&dir)); /* fits */
    str_fini(&dir);
    return ret;
}

/* Streams for a WebRTC server elsewhere are opened by one key, Lightspeed's. */
static int foreign_key(const struct command_args *a, const struct ingress_args *in,
                       struct ingress_conf *c)
{
    struct str dir, key;

    if (c->webrtc_url[0] == '\0')
        return 0;
    str_init(&dir, PATH_BYTES_MAX - 16);
    str_init(&key, STREAMKEY_MAX + 1);
    int err = 0;
    int ret = creds_data_dir(a, in->data_dir != NULL ? in->data_dir : "", &dir);
    if (ret == 0 && c->stream_key[0] == '\0')
        err = streamkey_load(str_text(&dir), true, &key);
    if (ret == 0 && err == 0 && c->stream_key[0] == '\0')
        err = ingress_conf_set(c, "hash", "stream_key", str_text(&key));
    if (ret == 0 && err < 0)
        ret = command_misused("ingress", "cannot keep the stream key in %s/hash: %s",
                              str_text(&dir), err_text(err));
    if (ret == 0)
        (void)printf("Stream key: %u-%s\n", INGRESS_CHANNEL_DEFAULT, c->stream_key);
    (void)fflush(stdout);
    str_fini(&dir);
    str_fini(&key);
    return ret;
}

static int open_log(const struct ingress_conf *c)
{
    int fd = STDERR_FILENO;

    if (c->log_file[0] != '\0') {
        fd = open(c->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0)
            return command_misused("ingress", "--log-file %s: %s", c->log_file, err_text(-errno));
    }
    log_setup(c->log_level, c->log_json, fd);
    if (c->notice.len > 0)
        (void)fputs(str_text(&c->notice), stderr);
    return 0;
}

/* The originals' short flags, spelt out. */
static const char *spelt(const char *arg)
{
    return strcmp(arg, "-a") == 0   ? "--address"
           : strcmp(arg, "-l") == 0 ? "--log-file"
           : strcmp(arg, "-k") == 0 ? "--stream-key"
                                    : arg;
}

int command_ingress(const struct command_args *a)
{
    struct ingress_args in = {0};
    struct ingress_conf c;
    struct flag_list words;
    struct flag flags[ARRAY_LEN(named) + 5] = {
        {"config", FLAG_TEXT, &in.config},
        {"config-body", FLAG_TEXT, &in.body},
        {"data-dir", FLAG_TEXT, &in.data_dir},
        {"ready-fd", FLAG_TEXT, &in.ready_fd},
        {"with-parent", FLAG_SWITCH, &in.with_parent},
    };
    const char *argv[COMMAND_LIST_MAX];
    struct command_args spelt_out = {.argv = argv, .envp = a->envp};
    char error[INGRESSD_ERROR_MAX], bus[PATH_BYTES_MAX];
    int verb;

    if (command_channels(a, &verb))
        return verb;
    for (; spelt_out.argc < a->argc && spelt_out.argc < COMMAND_LIST_MAX; spelt_out.argc++)
        argv[spelt_out.argc] = spelt(a->argv[spelt_out.argc]);
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        flags[5 + i] = (struct flag){named[i].flag, FLAG_TEXT, &in.value[i]};
    int ret = command_flags("ingress", &spelt_out, flags, ARRAY_LEN(flags), &words);
    if (ret == 0 && words.n > 0)
        ret = command_misused("ingress", "unknown word '%.40s'; `sluice help ingress` says more",
                              words.text[0]);
    if (ret != 0)
        return ret;
    if (in.with_parent && prctl(PR_SET_PDEATHSIG, SIGINT) == 0 && getppid() == 1)
        return COMMAND_FAILED; /* it has gone already */
    ingress_conf_init(&c);
    ret = read_all(a, &in, &c);
    if (ret == 0)
        ret = bus_path(a, &in, &c, bus);
    if (ret == 0)
        ret = foreign_key(a, &in, &c);
    if (ret == 0)
        ret = open_log(&c);
    if (ret == 0 && ingressd_run(&c, bus, error) < 0)
        ret = command_misused("ingress", "%s", error[0] != '\0' ? error : "out of memory");
    ingress_conf_fini(&c);
    return ret;
}
