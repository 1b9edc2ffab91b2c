#include "app/ingress_conf.h"

#include "base/conf.h"
#include "base/err.h"
#include "base/yaml.h"

#include <stdarg.h>
#include <stdio.h>

enum kind { TEXT, PORT, PORT_OR_OFF, RANGE, BOOL, LEVEL, DUPLICATE, UNUSED_KEY };

static const struct key {
    const char *name;
    enum kind kind;
    size_t at, off_at;
} keys[] = {
#define AT(f) offsetof(struct ingress_conf, f)
    {"ws_url", TEXT, AT(ws_url), 0},
    {"bus", TEXT, AT(bus), 0},
    {"address", TEXT, AT(address), 0},
    {"log_file", TEXT, AT(log_file), 0},
    {"auth_url", TEXT, AT(auth_url), 0},
    {"auth_ca", TEXT, AT(auth_ca), 0},
    {"ftl_port", PORT_OR_OFF, AT(ftl_port), AT(ftl_off)},
    {"rtmp_port", PORT_OR_OFF, AT(rtmp_port), AT(rtmp_off)},
    {"rtmps_port", PORT_OR_OFF, AT(rtmps_port), AT(rtmps_off)},
    {"webrtc_server_url", TEXT, AT(webrtc_url), 0},
    {"webrtc_server_secret", TEXT, AT(webrtc_secret), 0},
    {"stream_key", TEXT, AT(stream_key), 0},
    {"rtp_port", PORT_OR_OFF, AT(rtp_port), AT(rtp_off)},
    {"rtp_address", TEXT, AT(rtp_address), 0},
    {"rtp_ports", RANGE, AT(rtp_ports), 0},
    {"tls_cert_file", TEXT, AT(tls_cert_file), 0},
    {"tls_key_file", TEXT, AT(tls_key_file), 0},
    {"health_port", PORT, AT(health_port), 0},
    {"prometheus_port", PORT, AT(metrics_port), 0},
    {"on_duplicate", DUPLICATE, 0, 0},
    {"log_level", LEVEL, 0, 0},
    {"logging.level", LEVEL, 0, 0},
    {"logging.json", BOOL, AT(log_json), 0},
#undef AT
};

/* Of the original: known, and without effect here. "x." stands for all below it. */
static const char *const unused_keys[] = {
    "redis",
    "redis.",
    "api_key",
    "api_secret",
    "debug_handler_port",
    "whip_port",
    "http_relay_port",
    "logging",
    "logging.",
    "development",
    "whip_proxy_enabled",
    "enable_stream_latency_reduction",
    "cpu_cost",
    "cpu_cost.",
    "rtc_config",
    "rtc_config.",
};

void ingress_conf_init(struct ingress_conf *c)
{
    *c = (struct ingress_conf){.ws_url = "",
                               .bus = "",
                               .address = "",
                               .log_file = "",
                               .auth_url = "",
                               .auth_ca = "",
                               .rtmps_off = true,
                               .rtp_off = true,
                               .rtp_address = "",
                               .webrtc_url = "",
                               .webrtc_secret = "",
                               .stream_key = "",
                               .tls_cert_file = "",
                               .tls_key_file = "",
                               .ftl_port = INGRESS_CONF_FTL_PORT,
                               .rtmp_port = INGRESS_CONF_RTMP_PORT,
                               .log_level = LOG_LEVEL_INFO,
                               .ready_fd = -1};
    arena_init(&c->arena, 4 << 20);
    str_init(&c->notice, INGRESS_CONF_NOTICE_MAX);
}

void ingress_conf_fini(struct ingress_conf *c)
{
    arena_fini(&c->arena);
    str_fini(&c->notice);
}

static int refuse(struct ingress_conf *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int refuse(struct ingress_conf *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(c->error, sizeof c->error, fmt, ap); /* cut when long */
    va_end(ap);
    return E_INVAL;
}

static int set_port(struct ingress_conf *c, const struct key *k, const char *where, const char *v)
{
    uint64_t port = 0;
    bool off = k->kind == PORT_OR_OFF && (strcmp(v, "off") == 0 || strcmp(v, "-1") == 0);

    if (!off && !str_to_u64(bytes_str(v), 65535, &port))
        return refuse(c, "%s: %s is a port (0 to 65535), not '%.40s'", where, k->name, v);
    if (k->kind == PORT_OR_OFF)
        *(bool *)(void *)((char *)c + k->off_at) = off;
    *(uint32_t *)(void *)((char *)c + k->at) = (uint32_t)port;
    return 0;
}

static int set_range(struct ingress_conf *c, const struct key *k, const char *where, const char *v)
{
    struct ingress_ports *out = (void *)((char *)c + k->at);
    size_t n = strcspn(v, "-");
    uint64_t first = 0, last = 0;

    if (v[n] != '-' || !str_to_u64(bytes_of(v, n), 65535, &first) ||
        !str_to_u64(bytes_str(v + n + 1), 65535, &last) || first == 0 || last < first)
        return refuse(c, "%s: %s is a range of ports like 20000-20100, not '%.40s'", where, k->name,
                      v);
    *out = (struct ingress_ports){.first = (uint16_t)first, .last = (uint16_t)last};
    return 0;
}

static int set_bool(struct ingress_conf *c, const struct key *k, const char *where, const char *v)
{
    if (strcmp(v, "true") != 0 && strcmp(v, "false") != 0)
        return refuse(c, "%s: %s is true or false, not '%.40s'", where, k->name, v);
    *(bool *)((char *)c + k->at) = v[0] == 't';
    return 0;
}

static int set(struct ingress_conf *c, const struct key *k, const char *where, const char *v)
{
    switch (k->kind) {
    case TEXT: {
        const char *copy = arena_dup_str(&c->arena, v);
        if (copy == NULL)
            return refuse(c, "%s: out of memory", where);
        *(const char **)(void *)((char *)c + k->at) = copy;
        return 0;
    }
    case PORT:
    case PORT_OR_OFF:
        return set_port(c, k, where, v);
    case RANGE:
        return set_range(c, k, where, v);
    case BOOL:
        return set_bool(c, k, where, v);
    case LEVEL:
        if (!log_level_parse(bytes_str(v), &c->log_level))
            return refuse(c, "%s: %s is error, warn, info or debug, not '%.40s'", where, k->name,
                          v);
        return 0;
    case DUPLICATE:
        if (strcmp(v, "takeover") != 0 && strcmp(v, "refuse") != 0)
            return refuse(c, "%s: on_duplicate is takeover or refuse, not '%.40s'", where, v);
        c->refuse_second = v[0] == 'r';
        return 0;
    case UNUSED_KEY:
        break;
    }
    return 0;
}

static const struct key *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static bool is_unused(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(unused_keys); i++) {
        size_t n = strlen(unused_keys[i]);
        bool below = unused_keys[i][n - 1] == '.';
        if (below ? strncmp(unused_keys[i], path, n) == 0 : strcmp(unused_keys[i], path) == 0)
            return true;
    }
    return false;
}

static void note_unknown(struct ingress_conf *c, const char *name, int line, const char *path)
{
    const char *words[ARRAY_LEN(keys)];

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        words[i] = keys[i].name;
    const char *near = conf_nearest(path, words, ARRAY_LEN(words));
    str_printf(&c->notice, "%s:%d: unknown key '%.60s'%s%s%s\n", name, line, path,
               near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
               near != NULL ? "'?" : "");
}

static int walk(struct ingress_conf *c, const char *name, const char *prefix,
                const struct yaml *map)
{
    for (const struct yaml *n = map->child; n != NULL; n = n->next) {
        char path[160], where[160];
        (void)snprintf(path, sizeof path, "%s%s%s", prefix, *prefix != '\0' ? "." : "",
                       n->key != NULL ? n->key : ""); /* cut when long: then unknown */
        (void)snprintf(where, sizeof where, "%s:%d", name, n->line);
        const struct key *k = find(path);
        int err = 0;
        if (k != NULL && n->kind == YAML_KIND_SCALAR)
            err = set(c, k, where, n->text);
        else if (strcmp(path, "logging") == 0 && n->kind == YAML_KIND_MAP)
            err = walk(c, name, path, n); /* no deeper: one word is compared */
        else if (is_unused(path))
            str_printf(&c->notice, "%s: '%s' is accepted and has no effect\n", where, path);
        else
            note_unknown(c, name, n->line, path);
        if (err)
            return err;
    }
    return 0;
}

int ingress_conf_yaml(struct ingress_conf *c, const char *name, struct bytes text)
{
    struct yaml *root;
    const char *why;
    int line = 0;
    int err = yaml_read(text, &c->arena, &root, &line, &why);

    if (err)
        return refuse(c, "%s:%d: %s", name, line, why != NULL ? why : err_text(err));
    if (root == NULL)
        return 0;
    if (root->kind != YAML_KIND_MAP)
        return refuse(c, "%s:%d: expected 'key: value' lines", name, root->line);
    return walk(c, name, "", root);
}

int ingress_conf_set(struct ingress_conf *c, const char *where, const char *key, const char *value)
{
    const struct key *k = find(key);

    assert(k != NULL);
    return set(c, k, where, value);
}
