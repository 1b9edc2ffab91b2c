#include "base/conf.h"

#include "base/conf_table.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/yaml.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

enum { PATH_MAX_CHARS = 256, WORD_MAX = 64 };

/* Where a value was found: "server.yaml:12", "--udp-port", "LIVEKIT_KEYS". */
struct place {
    const char *name;
    int line;        /* 0: none */
    const char *key; /* of the value that is read; NULL: none, or the text names it */
};

static int refuse(struct conf *c, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int refuse(struct conf *c, struct place at, const char *fmt, ...)
{
    size_t n;
    va_list ap;

    if (at.line > 0)
        n = (size_t)snprintf(c->error, sizeof c->error, "%s:%d: ", at.name, at.line);
    else
        n = (size_t)snprintf(c->error, sizeof c->error, "%s: ", at.name);
    if (at.key != NULL && n < sizeof c->error)
        n += (size_t)snprintf(c->error + n, sizeof c->error - n, "%s: ", at.key);
    if (n < sizeof c->error) {
        va_start(ap, fmt);
        (void)vsnprintf(c->error + n, sizeof c->error - n, fmt, ap);
        va_end(ap);
    }
    return E_INVAL;
}

void conf_init(struct conf *c)
{
    memset(c, 0, sizeof *c);
    arena_init(&c->arena, CONF_ARENA_BYTES);
    str_init(&c->notice, CONF_NOTICE_MAX);
    c->strict = true;
    c->port = 7880;
    c->tcp_port = 7881;
    c->allow_tcp_fallback = true;
    c->ready_fd = -1;
    c->key_file = c->region = c->data_dir = c->meet_secret = "";
    c->rtmp_base_url = c->whip_base_url = c->stream_key = c->admin_secret = "";
    c->ingest_address = c->ingress_config = "";
    c->rtp_address = c->web_root = c->websocket_url = c->ice_servers = c->egress_config =
        c->log_file = "";
    c->web_port = 80;
    c->ftl_port = 8084;
    c->rtmp_port = 1935;
    c->prometheus_username = c->prometheus_password = "";
    c->webhook_key = c->auth_url = "";
    c->on_duplicate = "takeover";
    c->log_level = LOG_LEVEL_INFO;
    c->auto_create = true;
    c->empty_timeout_s = 300;
    c->departure_timeout_s = 20;
    c->max_metadata_size = 524288;
    c->max_attributes_size = 65536;
    c->max_room_name_length = 256;
    c->max_participant_identity_length = 256;
    c->max_participant_name_length = 256;
    c->signal_message_size_limit = 2 << 20;
    c->max_api_request_body_size = 10 << 20;
    c->max_connections = 20000;
}

void conf_fini(struct conf *c)
{
    for (uint32_t i = 0; i < c->key_n; i++)
        mem_wipe((char *)(uintptr_t)c->key[i].secret, strlen(c->key[i].secret));
    arena_fini(&c->arena);
    str_fini(&c->notice);
}

/* ---- words ---- */

/* Levenshtein distance, up to WORD_MAX characters; more counts as far. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1];
    size_t n = strlen(a), m = strlen(b);

    if (n > WORD_MAX || m > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = size_min(best, above + 1);
            row[j] = size_min(best, row[j - 1] + 1);
            diagonal = above;
        }
    }
    return row[m];
}

const char *conf_nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 2; /* chosen: farther is a guess, not help */

    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, words[i]);
        if (d < best_distance) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}

bool conf_duration(struct bytes text, us_t *out)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"ns", 0.001}, {"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 6e7}, {"h", 3.6e9}};
    double total = 0;
    size_t i = 0;

    if (bytes_eq_str(text, "0")) {
        *out = 0;
        return true;
    }
    while (i < text.len) {
        double v = 0, scale = 0;
        size_t digits = 0;
        for (; i < text.len && (isdigit(text.p[i]) || (text.p[i] == '.' && scale == 0)); i++) {
            if (text.p[i] == '.') {
                scale = 1;
                continue;
            }
            digits++;
            v = v * 10 + (text.p[i] - '0');
            scale *= 10;
        }
        size_t from = i;
        while (i < text.len && isalpha(text.p[i]))
            i++;
        size_t u = 0;
        while (u < ARRAY_LEN(units) &&
               !bytes_eq_str(bytes_of(text.p + from, i - from), units[u].unit))
            u++;
        if (digits == 0 || u == ARRAY_LEN(units))
            return false;
        total += v / (scale > 0 ? scale : 1) * units[u].us;
    }
    if (text.len == 0 || total > 1e15)
        return false;
    *out = (us_t)total;
    return true;
}

bool conf_addr(struct bytes text, struct addr *out)
{
    size_t colon = text.len;
    uint64_t port;

    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct bytes ip = bytes_of(text.p, colon - 1);
    if (!str_to_u64(bytes_of(text.p + colon, text.len - colon), 65535, &port))
        return false;
    if (ip.len >= 2 && ip.p[0] == '[' && ip.p[ip.len - 1] == ']')
        ip = bytes_of(ip.p + 1, ip.len - 2);
    return addr_parse_ip(out, ip, (uint16_t)port);
}

static bool is_one_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_ieq(bytes_str(text), words[i]))
            return true;
    }
    return false;
}

static bool bool_of(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};

    if (!is_one_of(text, yes, ARRAY_LEN(yes)) && !is_one_of(text, no, ARRAY_LEN(no)))
        return false;
    *out = is_one_of(text, yes, ARRAY_LEN(yes));
    return true;
}

static bool number_of(const char *text)
{
    if (*text == '-')
        text++;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (!isdigit((unsigned char)*text) && *text != '.' && *text != '_')
            return false;
    }
    return true;
}

/* ---- values from text ---- */

static void *field(struct conf *c, const struct conf_opt *o)
{
    return (char *)c + o->at;
}

static void mark_set(struct conf *c, const struct conf_opt *o)
{
    if (o->set_at != 0)
        *(bool *)(void *)((char *)c + o->set_at) = true;
}

static int keep(struct conf *c, struct place at, const char *text, const char **out)
{
    const char *copy = arena_dup_str(&c->arena, text);

    if (copy == NULL)
        return refuse(c, at, "too much text; shorten it");
    *out = copy;
    return 0;
}

static int set_uint(struct conf *c, const struct conf_opt *o, struct place at, const char *text)
{
    int64_t v;

    if (!str_to_i64(bytes_str(text), &v))
        return refuse(c, at, "'%.60s' is not a number; give one from %lld to %lld", text,
                      (long long)o->min, (long long)o->max);
    if (v < o->min || v > o->max)
        return refuse(c, at, "%s is out of range; give a number from %lld to %lld", text,
                      (long long)o->min, (long long)o->max);
    if (o->type == CONF_INT)
        *(int64_t *)field(c, o) = v;
    else
        *(uint32_t *)field(c, o) = (uint32_t)v;
    return 0;
}

static int set_seconds(struct conf *c, const struct conf_opt *o, struct place at, const char *text)
{
    us_t us;
    uint64_t s;

    if (str_to_u64(bytes_str(text), UINT32_MAX, &s)) {
        *(uint32_t *)field(c, o) = (uint32_t)s;
        return 0;
    }
    if (!conf_duration(bytes_str(text), &us))
        return refuse(c, at, "'%.60s' is neither seconds nor a duration; write 300 or 5m", text);
    *(uint32_t *)field(c, o) = (uint32_t)(us / US_PER_SEC);
    return 0;
}

static int set_range(struct conf *c, const struct conf_opt *o, struct place at, const char *text)
{
    const char *dash = strchr(text, '-');
    size_t n = dash != NULL ? (size_t)(dash - text) : strlen(text);
    uint64_t first, last;

    if (!str_to_u64(bytes_of(text, n), 65535, &first))
        return refuse(c, at, "'%.60s' is no port; write 7882 or 7882-7892", text);
    last = first;
    if (dash != NULL && !str_to_u64(bytes_str(dash + 1), 65535, &last))
        return refuse(c, at, "'%.60s' is no range of ports; write 7882-7892", text);
    if (last < first)
        return refuse(c, at, "the range %.60s ends before it begins; write the lower port first",
                      text);
    *(struct conf_range *)field(c, o) =
        (struct conf_range){.first = (uint16_t)first, .last = (uint16_t)last};
    return 0;
}

/* Words between commas and spaces. */
static int add_to_list(struct conf *c, struct conf_list *list, struct place at, const char *text)
{
    const char *p = text;

    do {
        size_t n = strcspn(p, ", ");
        if (list->n == CONF_LIST_MAX)
            return refuse(c, at, "more than %d entries; remove some", CONF_LIST_MAX);
        const char *copy = arena_dup(&c->arena, bytes_of(p, n));
        if (copy == NULL)
            return refuse(c, at, "too much text; shorten it");
        list->text[list->n++] = copy;
        p += n;
        while (*p == ',' || *p == ' ')
            p++;
    } while (*p != '\0');
    return 0;
}

static int set_node_ip(struct conf *c, struct place at, const char *text)
{
    struct addr a;

    if (text[0] == '\0')
        return 0;
    if (!addr_parse_ip(&a, bytes_str(text), 0))
        return refuse(c, at, "'%.60s' is no IP address; write one like 203.0.113.9", text);
    if (a.family == 4)
        c->node_ip4 = a;
    else
        c->node_ip6 = a;
    return 0;
}

static int set_level(struct conf *c, const struct conf_opt *o, struct place at, const char *text)
{
    enum log_level *out = field(c, o);

    if (text[0] == '\0' || log_level_parse(bytes_str(text), out))
        return 0;
    return refuse(c, at, "'%.60s' is no log level; use error, warn, info or debug", text);
}

static int check_only(struct conf *c, const struct conf_opt *o, struct place at, const char *text)
{
    bool b;
    us_t us;

    if (o->type == CONF_BOOL && !bool_of(text, &b))
        return refuse(c, at, "'%.60s' is neither true nor false; write one of these", text);
    if (o->type == CONF_DURATION && !conf_duration(bytes_str(text), &us))
        return refuse(c, at, "'%.60s' is no duration; write one like 500ms or 1m30s", text);
    if (o->type == CONF_NUMBER && !number_of(text))
        return refuse(c, at, "'%.60s' is not a number; write one", text);
    return 0;
}

static int read_keys(struct conf *c, struct place at, struct bytes text);

static int set_text(struct conf *c, const struct conf_opt *o, struct place at, const char *text)
{
    if (o->mark != CONF_EFFECT)
        return check_only(c, o, at, text);
    mark_set(c, o);
    switch (o->type) {
    case CONF_TEXT:
        return keep(c, at, text, field(c, o));
    case CONF_BOOL:
        return bool_of(text, field(c, o))
                   ? 0
                   : refuse(c, at, "'%.60s' is neither true nor false; write one of these", text);
    case CONF_UINT:
    case CONF_INT:
        return set_uint(c, o, at, text);
    case CONF_SECONDS:
        return set_seconds(c, o, at, text);
    case CONF_LIST:
        return add_to_list(c, field(c, o), at, text);
    case CONF_RANGE:
        return set_range(c, o, at, text);
    case CONF_KEYS:
        c->key_n = 0;
        return read_keys(c, at, bytes_str(text));
    case CONF_NODE_IP:
        return set_node_ip(c, at, text);
    case CONF_ADDR:
        return conf_addr(bytes_str(text), field(c, o))
                   ? 0
                   : refuse(c, at, "'%.60s' is no ip:port; write one like 203.0.113.9:7882", text);
    case CONF_LEVEL:
        return set_level(c, o, at, text);
    default:
        return check_only(c, o, at, text);
    }
}

/* ---- keys ---- */

static int add_key(struct conf *c, struct place at, struct bytes id, struct bytes secret)
{
    if (id.len == 0 || secret.len == 0)
        return refuse(c, at, "a key needs an id and a secret; write 'key: secret'");
    if (c->key_n == CONF_KEYS_MAX)
        return refuse(c, at, "more than %d keys; remove some", CONF_KEYS_MAX);
    for (uint32_t i = 0; i < c->key_n; i++) {
        if (bytes_eq_str(id, c->key[i].id))
            return refuse(c, at, "the key '%.*s' stands here twice; remove one", (int)id.len,
                          (const char *)id.p);
    }
    struct conf_key *k = &c->key[c->key_n];
    k->id = arena_dup(&c->arena, id);
    k->secret = arena_dup(&c->arena, secret);
    if (k->id == NULL || k->secret == NULL)
        return refuse(c, at, "too much text; shorten it");
    c->key_n++;
    if (secret.len < 32)
        str_printf(&c->notice,
                   "the secret of key '%s' is shorter than 32 characters; `sluice generate-keys` "
                   "makes a better one\n",
                   k->id);
    return 0;
}

static struct bytes unquoted(struct bytes b)
{
    if (b.len >= 2 && (b.p[0] == '"' || b.p[0] == '\'') && b.p[b.len - 1] == b.p[0])
        return bytes_of(b.p + 1, b.len - 2);
    return b;
}

static bool in_set(uint8_t ch, const char *set)
{
    return ch != '\0' && strchr(set, ch) != NULL;
}

static struct bytes take_word(struct bytes *rest, const char *stop)
{
    size_t i = 0;

    while (i < rest->len && !in_set(rest->p[i], stop))
        i++;
    struct bytes w = bytes_of(rest->p, i);
    *rest = bytes_of(rest->p + i, rest->len - i);
    return unquoted(w);
}

static void skip_set(struct bytes *rest, const char *set)
{
    while (rest->len > 0 && in_set(rest->p[0], set))
        *rest = bytes_of(rest->p + 1, rest->len - 1);
}

static int read_keys(struct conf *c, struct place at, struct bytes text)
{
    for (;;) {
        skip_set(&text, " \t\r\n,{}");
        if (text.len == 0)
            break;
        if (text.p[0] == '#') {
            (void)take_word(&text, "\n"); /* a comment */
            continue;
        }
        struct bytes id = take_word(&text, ": \t\r\n,");
        skip_set(&text, " \t");
        if (text.len == 0 || text.p[0] != ':')
            return refuse(c, at, "no ':' after '%.*s'; write 'key: secret'",
                          (int)size_min(id.len, 40), (const char *)id.p);
        text = bytes_of(text.p + 1, text.len - 1);
        skip_set(&text, " \t");
        struct bytes secret = take_word(&text, " \t\r\n,}");
        int err = add_key(c, at, id, secret);
        if (err < 0)
            return err;
    }
    return c->key_n > 0 ? 0 : refuse(c, at, "no key in it; write 'key: secret'");
}

int conf_keys(struct conf *c, const char *name, struct bytes text)
{
    return read_keys(c, (struct place){.name = name}, text);
}

/* ---- the file ---- */

static const struct conf_opt *by_key(const char *key)
{
    for (size_t i = 0; i < conf_table_n; i++) {
        if (conf_table[i].key != NULL && strcmp(conf_table[i].key, key) == 0)
            return &conf_table[i];
    }
    return NULL;
}

static bool is_section(const char *path)
{
    size_t n = strlen(path);

    for (size_t i = 0; i < conf_table_n; i++) {
        const char *k = conf_table[i].key;
        if (k != NULL && strncmp(k, path, n) == 0 && k[n] == '.')
            return true;
    }
    return false;
}

static void note_without_effect(struct conf *c, struct place at, const char *what)
{
    if (at.line > 0)
        str_printf(&c->notice, "%s:%d: '%s' is read but has no effect in this version\n", at.name,
                   at.line, what);
    else
        str_printf(&c->notice, "%s has no effect in this version\n", at.name);
}

static int set_keys_map(struct conf *c, struct place at, const struct yaml *n)
{
    c->key_n = 0;
    for (const struct yaml *m = n->child; m != NULL; m = m->next) {
        at.line = m->line;
        if (m->kind != YAML_KIND_SCALAR)
            return refuse(c, at, "'keys' takes 'key: secret' lines");
        at.key = "keys";
        int err = add_key(c, at, bytes_str(m->key), bytes_str(m->text));
        if (err < 0)
            return err;
    }
    return 0;
}

static int set_two(struct conf *c, const struct conf_opt *o, struct place at, const struct yaml *n)
{
    const char *start = NULL, *end = NULL;
    char text[32];

    for (const struct yaml *m = n->child; m != NULL; m = m->next) {
        at.line = m->line;
        if (m->kind != YAML_KIND_SCALAR)
            return refuse(c, at, "'%s' takes a single value here", m->key);
        if (o->type == CONF_NODE_IP &&
            (strcmp(m->key, "ipv4") == 0 || strcmp(m->key, "ipv6") == 0)) {
            struct place here = at;
            here.key = o->key;
            int err = set_node_ip(c, here, m->text);
            if (err < 0)
                return err;
        } else if (o->type == CONF_RANGE && strcmp(m->key, "start") == 0) {
            start = m->text;
        } else if (o->type == CONF_RANGE && strcmp(m->key, "end") == 0) {
            end = m->text;
        } else {
            return refuse(c, at, "unknown key '%s.%s'; it takes %s", o->key, m->key,
                          o->type == CONF_RANGE ? "start and end" : "ipv4 and ipv6");
        }
    }
    if (o->type == CONF_NODE_IP)
        return 0;
    if (start == NULL || end == NULL)
        return refuse(c, at, "'%s' needs both start and end", o->key);
    (void)snprintf(text, sizeof text, "%.8s-%.8s", start, end);
    at.key = o->key;
    return set_text(c, o, at, text);
}

#define ROOM_AT(name, kind, field)                                                                 \
    {                                                                                              \
        .key = name, .type = kind, .at = offsetof(struct conf_room, field), .max = UINT32_MAX      \
    }

static const struct conf_opt room_table[] = {
    ROOM_AT("empty_timeout", CONF_SECONDS, empty_timeout_s),
    ROOM_AT("departure_timeout", CONF_SECONDS, departure_timeout_s),
    ROOM_AT("max_participants", CONF_UINT, max_participants),
    ROOM_AT("metadata", CONF_TEXT, metadata),
    ROOM_AT("min_playout_delay", CONF_UINT, min_playout_delay_ms),
    ROOM_AT("max_playout_delay", CONF_UINT, max_playout_delay_ms),
    ROOM_AT("sync_streams", CONF_BOOL, sync_streams),
};

static int set_room_key(struct conf *c, const struct conf_room *room, struct place at,
                        const struct yaml *n)
{
    const char *words[ARRAY_LEN(room_table)];

    at.line = n->line;
    for (size_t i = 0; i < ARRAY_LEN(room_table); i++) {
        struct conf_opt o = room_table[i];
        words[i] = o.key;
        if (strcmp(n->key, o.key) != 0)
            continue;
        if (n->kind != YAML_KIND_SCALAR)
            return refuse(c, at, "'%s' takes a single value", o.key);
        at.key = o.key;
        o.at += (size_t)((const char *)room - (const char *)c);
        return set_text(c, &o, at, n->text);
    }
    if (strcmp(n->key, "egress") == 0 || strcmp(n->key, "agents") == 0) {
        note_without_effect(c, at, n->key);
        return 0;
    }
    const char *near = conf_nearest(n->key, words, ARRAY_LEN(words));
    return refuse(c, at, "unknown key '%s' of a room configuration; %s%s", n->key,
                  near != NULL ? "did you mean " : "remove it", near != NULL ? near : "");
}

static int set_rooms(struct conf *c, struct place at, const struct yaml *n)
{
    c->room_n = 0;
    for (const struct yaml *m = n->child; m != NULL; m = m->next) {
        at.line = m->line;
        if (c->room_n == CONF_ROOMS_MAX)
            return refuse(c, at, "more than %d room configurations; remove some", CONF_ROOMS_MAX);
        struct conf_room *room = &c->room[c->room_n];
        *room = (struct conf_room){.metadata = ""};
        int err = keep(c, at, m->key, &room->name);
        if (err < 0)
            return err;
        c->room_n++;
        for (const struct yaml *k = m->child; k != NULL; k = k->next)
            if ((err = set_room_key(c, room, at, k)) < 0)
                return err;
    }
    return 0;
}

static int set_yaml_list(struct conf *c, const struct conf_opt *o, struct place at,
                         const struct yaml *n)
{
    struct conf_list *list = field(c, o);

    list->n = 0;
    for (const struct yaml *m = n->child; m != NULL; m = m->next) {
        at.line = m->line;
        if (m->kind != YAML_KIND_SCALAR)
            return refuse(c, at, "'%s' takes a list of plain values", o->key);
        at.key = o->key;
        int err = add_to_list(c, list, at, m->text);
        if (err < 0)
            return err;
    }
    return 0;
}

static int set_node(struct conf *c, const struct conf_opt *o, struct place at, const struct yaml *n)
{
    if (n->kind == YAML_KIND_SCALAR && n->text[0] == '\0' && !n->quoted)
        return 0; /* null: the default stays */
    if (o->mark == CONF_NOTICE)
        note_without_effect(c, at, o->key);
    if (o->type == CONF_ANY)
        return 0;
    if (o->type == CONF_KEYS && n->kind == YAML_KIND_MAP)
        return set_keys_map(c, at, n);
    if (o->type == CONF_ROOM && n->kind == YAML_KIND_MAP)
        return set_rooms(c, at, n);
    if (o->type == CONF_ROOM)
        return refuse(c, at, "'%s' takes a name and, below it, keys", o->key);
    if ((o->type == CONF_RANGE || o->type == CONF_NODE_IP) && n->kind == YAML_KIND_MAP)
        return set_two(c, o, at, n);
    if (o->type == CONF_LIST && n->kind == YAML_KIND_LIST)
        return set_yaml_list(c, o, at, n);
    if (n->kind != YAML_KIND_SCALAR)
        return refuse(c, at, "'%s' takes a single value", o->key);
    if (o->type == CONF_LIST)
        ((struct conf_list *)field(c, o))->n = 0;
    at.key = o->key;
    return set_text(c, o, at, n->text);
}

static int unknown_key(struct conf *c, struct place at, const char *path)
{
    const char *words[CONF_OPTS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < conf_table_n; i++) {
        if (conf_table[i].key != NULL)
            words[n++] = conf_table[i].key;
    }
    const char *near = conf_nearest(path, words, n);
    if (!c->strict) {
        str_printf(&c->notice, "%s:%d: unknown key '%s' is ignored\n", at.name, at.line, path);
        return 0;
    }
    if (near != NULL)
        return refuse(c, at,
                      "unknown key '%s'; did you mean '%s'? Correct it, or start with "
                      "--disable-strict-config",
                      path, near);
    return refuse(c, at, "unknown key '%s'; remove it, or start with --disable-strict-config",
                  path);
}

/* Sections nest three deep; the tree's own depth is bounded by yaml_read(). */
static int walk(struct conf *c, const char *name, const char *prefix, const struct yaml *map)
{
    for (const struct yaml *n = map->child; n != NULL; n = n->next) {
        struct place at = {.name = name, .line = n->line};
        char path[PATH_MAX_CHARS];
        int err;

        int len = snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] ? "." : "", n->key);
        if (len < 0 || (size_t)len >= sizeof path)
            return refuse(c, at, "this key is too long");
        const struct conf_opt *o = by_key(path);
        if (o != NULL)
            err = set_node(c, o, at, n);
        else if (!is_section(path))
            err = unknown_key(c, at, path);
        else if (n->kind == YAML_KIND_MAP)
            err = walk(c, name, path, n);
        else if (n->kind == YAML_KIND_SCALAR && n->text[0] == '\0')
            err = 0; /* an empty section */
        else
            err = refuse(c, at, "'%s' is a section; indent its keys below it", path);
        if (err < 0)
            return err;
    }
    return 0;
}

int conf_yaml(struct conf *c, const char *name, struct bytes text)
{
    struct yaml *root = NULL;
    struct place at = {.name = name};
    const char *why;

    int err = yaml_read(text, &c->arena, &root, &at.line, &why);
    if (err < 0)
        return refuse(c, at, "%s", why);
    if (root == NULL)
        return 0;
    at.line = root->line;
    if (root->kind == YAML_KIND_SCALAR && root->text[0] == '\0')
        return 0;
    if (root->kind != YAML_KIND_MAP)
        return refuse(c, at, "expected 'key: value' lines");
    return walk(c, name, "", root);
}

/* ---- environment and flags ---- */

/* LIVEKIT_RTC_TCP_PORT for rtc.tcp_port. */
static bool env_is_key(const char *env, size_t n, const char *key)
{
    static const char prefix[] = "LIVEKIT_";
    size_t p = sizeof prefix - 1;

    if (n != p + strlen(key) || strncmp(env, prefix, p) != 0)
        return false;
    for (size_t i = 0; key[i] != '\0'; i++) {
        int want = key[i] == '.' ? '_' : toupper((unsigned char)key[i]);
        if (env[p + i] != want)
            return false;
    }
    return true;
}

static const struct conf_opt *by_env(const char *env, size_t n)
{
    for (size_t i = 0; i < conf_table_n; i++) {
        const struct conf_opt *o = &conf_table[i];
        if (o->env != NULL && strlen(o->env) == n && strncmp(env, o->env, n) == 0)
            return o;
        if (o->key != NULL && o->type != CONF_ANY && o->type != CONF_ROOM &&
            env_is_key(env, n, o->key))
            return o;
    }
    return NULL;
}

int conf_env(struct conf *c, const char *const *envp)
{
    for (; *envp != NULL; envp++) {
        const char *eq = strchr(*envp, '=');
        if (eq == NULL || eq[1] == '\0')
            continue;
        const struct conf_opt *o = by_env(*envp, (size_t)(eq - *envp));
        if (o == NULL)
            continue;
        char *name = arena_dup(&c->arena, bytes_of(*envp, (size_t)(eq - *envp)));
        if (name == NULL)
            return E_NOMEM;
        struct place at = {.name = name};
        if (o->mark == CONF_NOTICE)
            note_without_effect(c, at, name);
        if (o->type == CONF_LIST && o->mark == CONF_EFFECT)
            ((struct conf_list *)field(c, o))->n = 0;
        int err = set_text(c, o, at, eq + 1);
        if (err < 0)
            return err;
    }
    return 0;
}

static const struct conf_opt *by_flag(const char *flag, size_t n)
{
    for (size_t i = 0; i < conf_table_n; i++) {
        const struct conf_opt *o = &conf_table[i];
        if (o->flag != NULL && strlen(o->flag) == n && strncmp(flag, o->flag, n) == 0)
            return o;
        if (o->key != NULL && o->type != CONF_ANY && o->type != CONF_ROOM &&
            strchr(o->key, '.') != NULL && strlen(o->key) == n && strncmp(flag, o->key, n) == 0)
            return o;
    }
    return NULL;
}

static int unknown_flag(struct conf *c, const char *arg, size_t n)
{
    const char *words[CONF_OPTS_MAX];
    char flag[WORD_MAX];
    size_t words_n = 0;

    for (size_t i = 0; i < conf_table_n; i++) {
        if (conf_table[i].flag != NULL)
            words[words_n++] = conf_table[i].flag;
    }
    (void)snprintf(flag, sizeof flag, "%.*s", (int)n, arg);
    const char *near = conf_nearest(flag, words, words_n);
    struct place at = {.name = "sluice"};
    if (near != NULL)
        (void)refuse(c, at, "unknown flag '--%s'; did you mean '--%s'?", flag, near);
    else
        (void)refuse(c, at, "unknown flag '--%s'; `sluice help server` lists them", flag);
    return E_NOENT;
}

int conf_flag(struct conf *c, int argc, const char *const *argv, int *at)
{
    const char *arg = argv[*at];
    char name[WORD_MAX + 3];

    assert(arg[0] == '-' && arg[1] == '-');
    const char *eq = strchr(arg, '=');
    size_t n = eq != NULL ? (size_t)(eq - arg) - 2 : strlen(arg) - 2;
    const struct conf_opt *o = by_flag(arg + 2, n);
    if (o == NULL)
        return unknown_flag(c, arg + 2, n);
    (void)snprintf(name, sizeof name, "--%.*s", (int)n, arg + 2);
    struct place where = {.name = name};
    const char *value = eq != NULL ? eq + 1 : NULL;
    if (value == NULL && o->type == CONF_BOOL) {
        value = "true";
    } else if (value == NULL) {
        if (*at + 1 >= argc)
            return refuse(c, where, "needs a value; write %s=VALUE", name);
        value = argv[++*at];
    }
    ++*at;
    if (o->mark == CONF_NOTICE)
        note_without_effect(c, where, name);
    if (o->type == CONF_LIST && o->mark == CONF_EFFECT && !c->flagged[o - conf_table]) {
        ((struct conf_list *)field(c, o))->n = 0;
        c->flagged[o - conf_table] = 1;
    }
    return set_text(c, o, where, value);
}

bool conf_help(uint32_t *at, const char **flag, const char **argument, const char **help)
{
    while (*at < conf_table_n) {
        const struct conf_opt *o = &conf_table[(*at)++];
        if (o->flag == NULL || o->help == NULL)
            continue;
        *flag = o->flag;
        *argument = o->type == CONF_BOOL                          ? ""
                    : o->type == CONF_UINT || o->type == CONF_INT ? "N"
                    : o->type == CONF_RANGE                       ? "N|A-B"
                    : o->type == CONF_ADDR                        ? "IP:PORT"
                    : o->type == CONF_NODE_IP                     ? "IP"
                                                                  : "TEXT";
        *help = o->help;
        return true;
    }
    return false;
}
