#include "app/command.h"

#include "app/streamkey.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "bus/local.h"
#include "bus/methods.h"
#include "crypt/crypt.h"
#include "io/clock.h"
#include "io/dial.h"
#include "io/file.h"

#include <stdio.h>

/* The Ingress API from the command line, and the default stream key. */

enum {
    REQUEST_BYTES_MAX = 1 << 20,
    ANSWER_BYTES_MAX = 64 << 20,
    PATH_BYTES_MAX = 4096,
    COLUMNS = 6,
    COLUMN_MAX = 60, /* longer texts are cut in the table; --json has them whole */
    ROWS_MAX = 20000,
    RESET_US = 5 * 1000 * 1000,
};

struct channels {
    const char *name; /* of the command, for its errors */
    struct creds creds;
    struct arena arena;
    struct str token;
    /* flags */
    const char *request, *type, *title, *room, *identity, *participant_name, *metadata, *url;
    const char *id, *limit;
    bool enable, disable, no_transcoding, json;
};

enum { FLAGS = 14 };

static void fill_flags(struct channels *c, struct flag out[FLAGS + CREDS_FLAGS])
{
    const struct flag flags[FLAGS] = {
        {"request", FLAG_TEXT, &c->request},
        {"type", FLAG_TEXT, &c->type},
        {"name", FLAG_TEXT, &c->title},
        {"room", FLAG_TEXT, &c->room},
        {"identity", FLAG_TEXT, &c->identity},
        {"participant-name", FLAG_TEXT, &c->participant_name},
        {"metadata", FLAG_TEXT, &c->metadata},
        {"from", FLAG_TEXT, &c->url},
        {"id", FLAG_TEXT, &c->id},
        {"limit", FLAG_TEXT, &c->limit},
        {"enable", FLAG_SWITCH, &c->enable},
        {"disable", FLAG_SWITCH, &c->disable},
        {"no-transcoding", FLAG_SWITCH, &c->no_transcoding},
        {"json", FLAG_SWITCH, &c->json},
    };
    memcpy(out, flags, sizeof flags);
    creds_flags(&c->creds, out + FLAGS);
}

/* ---- calls ---- */

static int call(struct channels *c, const char *method, struct bytes json, struct str *answer)
{
    return creds_call(c->name, &c->creds, method, str_text(&c->token), json, answer);
}

static int begin(struct channels *c, const struct command_args *a)
{
    struct token_video video = {.ingress_admin = true};

    arena_init(&c->arena, 4 << 20);
    str_init(&c->token, 64 << 10);
    int ret = creds_find(c->name, a, &c->creds, &c->arena);
    return ret != 0 ? ret : creds_token(c->name, &c->creds, &video, "", &c->token);
}

static void end(struct channels *c)
{
    if (c->token.p != NULL)
        mem_wipe(c->token.p, c->token.len);
    str_fini(&c->token);
    arena_fini(&c->arena);
}

/* ---- requests ---- */

static void add_member(struct str *s, const char *name, const char *text)
{
    if (text == NULL)
        return;
    str_printf(s, "%s\"%s\":", s->len > 1 ? "," : "", name);
    json_add_text(s, bytes_str(text));
}

static void add_bool(struct str *s, const char *name, bool value)
{
    str_printf(s, "%s\"%s\":%s", s->len > 1 ? "," : "", name, value ? "true" : "false");
}

static int add_type(struct channels *c, struct str *s)
{
    static const char *const types[][2] = {{"rtmp", "RTMP_INPUT"},
                                           {"ftl", "RTMP_INPUT"},
                                           {"whip", "WHIP_INPUT"},
                                           {"url", "URL_INPUT"}};

    if (c->type == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (str_ieq(bytes_str(c->type), types[i][0]) || strcmp(c->type, types[i][1]) == 0) {
            add_member(s, "input_type", types[i][1]);
            return 0;
        }
    }
    return command_misused(c->name, "--type is rtmp, ftl, whip or url, not '%.40s'", c->type);
}

/* What the flags say, as a request. */
static int from_flags(struct channels *c, const char *id, struct str *s)
{
    str_add_char(s, '{');
    add_member(s, "ingress_id", id);
    int ret = add_type(c, s);
    add_member(s, "name", c->title);
    add_member(s, "room_name", c->room);
    add_member(s, "participant_identity", c->identity);
    add_member(s, "participant_name", c->participant_name);
    add_member(s, "participant_metadata", c->metadata);
    add_member(s, "url", c->url);
    if (c->enable || c->disable)
        add_bool(s, "enabled", c->enable);
    if (c->no_transcoding)
        add_bool(s, "enable_transcoding", false);
    str_add_char(s, '}');
    return ret == 0 && s->failed ? command_misused(c->name, "the request is too long") : ret;
}

/* A file is sent as it is, once it is seen to be an object. */
static int from_file(struct channels *c, const char *path, struct str *s)
{
    struct json_doc doc;

    int err = file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, s, NULL);
    if (err < 0)
        return command_misused(c->name, "cannot read %s: %s", path, err_text(err));
    err = json_parse(&doc, str_bytes(s), REQUEST_BYTES_MAX);
    if (err < 0)
        return command_misused(c->name, "%s holds no JSON: %s", path, err_text(err));
    bool object = json_kind_of(doc.root) == JSON_KIND_OBJECT;
    json_close(&doc);
    return object ? 0 : command_misused(c->name, "%s holds no JSON object", path);
}

static bool has_flags(const struct channels *c)
{
    return c->type != NULL || c->title != NULL || c->room != NULL || c->identity != NULL ||
           c->participant_name != NULL || c->metadata != NULL || c->url != NULL || c->enable ||
           c->disable || c->no_transcoding;
}

/* ---- answers ---- */

static struct bytes text_of(const struct json_t *v, const char *name)
{
    struct bytes b = bytes_str("");

    (void)json_to_text(json_member(v, name), &b); /* absent: "" */
    return b;
}

/* Control characters would move the cursor of whoever looks at a list. */
static int print_text(struct bytes b, size_t max)
{
    size_t n = size_min(b.len, max);
    int printed = 0;

    while (n > 0 && n < b.len && (b.p[n] & 0xc0) == 0x80)
        n--; /* a whole character */
    for (size_t i = 0; i < n; i++) {
        (void)putchar(b.p[i] < ' ' || b.p[i] == 0x7f ? '?' : b.p[i]);
        printed += (b.p[i] & 0xc0) != 0x80;
    }
    return printed;
}

static void print_line(const char *label, struct bytes b)
{
    (void)printf("%s", label);
    (void)print_text(b, b.len);
}

/* OBS' FTL wants the number and the key in one; only sluice knows the number. */
static void print_ftl(struct channels *c, struct bytes id)
{
    struct str request, answer;
    struct json_doc doc;

    str_init(&request, 4096);
    str_init(&answer, ANSWER_BYTES_MAX);
    str_add(&request, "{\"ingress_id\":");
    json_add_text(&request, id);
    str_add_char(&request, '}');
    c->creds.quiet = true; /* another server has no such method */
    if (call(c, "sluice.Channels/ListChannels", str_bytes(&request), &answer) == 0 &&
        json_parse(&doc, str_bytes(&answer), ANSWER_BYTES_MAX) == 0) {
        struct bytes key = text_of(json_item(json_member(doc.root, "items"), 0), "ftl_key");
        if (key.len > 0) {
            print_line("FTL key: ", key);
            (void)printf("\n");
        }
        json_close(&doc);
    }
    c->creds.quiet = false;
    str_fini(&request);
    str_fini(&answer);
}

static void print_info(struct channels *c, const struct json_t *v)
{
    const struct json_t *state = json_member(v, "state");
    struct bytes error = text_of(state, "error"), key = text_of(v, "stream_key");

    print_line("IngressID: ", text_of(v, "ingress_id"));
    print_line(" Status: ", text_of(state, "status"));
    print_line("\nURL: ", text_of(v, "url"));
    if (key.len > 0)
        print_line(" Stream Key: ", key);
    if (error.len > 0)
        print_line("\nError: ", error);
    (void)printf("\n");
    if (bytes_eq_str(text_of(v, "input_type"), "RTMP_INPUT"))
        print_ftl(c, text_of(v, "ingress_id"));
}

static int show_info(struct channels *c, const struct str *answer)
{
    struct json_doc doc;

    if (c->json) {
        (void)printf("%s\n", str_text(answer));
        return 0;
    }
    if (json_parse(&doc, str_bytes(answer), ANSWER_BYTES_MAX) < 0)
        return command_failed(c->name, "the server's answer cannot be read");
    print_info(c, doc.root);
    json_close(&doc);
    return 0;
}

/* ---- the list ---- */

static struct bytes cell(const struct json_t *row, int column)
{
    static const char *const members[COLUMNS] = {"ingress_id", "name",   "stream_key",
                                                 "url",        "status", "error"};

    return column < 4 ? text_of(row, members[column])
                      : text_of(json_member(row, "state"), members[column]);
}

static size_t width_of(struct bytes b)
{
    size_t n = 0;

    for (size_t i = 0; i < size_min(b.len, COLUMN_MAX); i++)
        n += (b.p[i] & 0xc0) != 0x80;
    return n;
}

static void print_table(const struct json_t *items, size_t n)
{
    static const char *const heads[COLUMNS] = {"IngressID", "Name",   "StreamKey",
                                               "URL",       "Status", "Error"};
    size_t width[COLUMNS];

    for (int col = 0; col < COLUMNS; col++) {
        width[col] = strlen(heads[col]);
        for (size_t i = 0; i < n; i++) {
            size_t w = width_of(cell(json_item(items, i), col));
            width[col] = w > width[col] ? w : width[col];
        }
        (void)printf(col < COLUMNS - 1 ? "%-*s  " : "%.*s\n", (int)width[col], heads[col]);
    }
    for (size_t i = 0; i < n; i++) {
        for (int col = 0; col < COLUMNS; col++) {
            int w = print_text(cell(json_item(items, i), col), COLUMN_MAX);
            if (col < COLUMNS - 1)
                (void)printf("%*s", (int)width[col] - w + 2, "");
        }
        (void)printf("\n");
    }
}

static int list(struct channels *c, const struct flag_list *words)
{
    struct str request, answer;
    struct json_doc doc;
    uint64_t limit = ROWS_MAX;
    int ret = 0;

    if (words->n > 0)
        c->id = words->text[0];
    if (c->limit != NULL && !str_to_u64(bytes_str(c->limit), ROWS_MAX, &limit))
        return command_misused(c->name, "--limit takes a number, not '%.40s'", c->limit);
    str_init(&request, REQUEST_BYTES_MAX);
    str_init(&answer, ANSWER_BYTES_MAX);
    str_add_char(&request, '{');
    add_member(&request, "room_name", c->room);
    add_member(&request, "ingress_id", c->id);
    str_add_char(&request, '}');
    ret = call(c, "livekit.Ingress/ListIngress", str_bytes(&request), &answer);
    if (ret == 0 && c->json) {
        (void)printf("%s\n", str_text(&answer));
    } else if (ret == 0 && json_parse(&doc, str_bytes(&answer), ANSWER_BYTES_MAX) == 0) {
        const struct json_t *items = json_member(doc.root, "items");
        print_table(items, size_min(json_count(items), limit));
        json_close(&doc);
    } else if (ret == 0) {
        ret = command_failed(c->name, "the server's answer cannot be read");
    }
    str_fini(&request);
    str_fini(&answer);
    return ret;
}

/* ---- create, update, delete ---- */

static int send(struct channels *c, const char *method, const struct flag_list *words, bool new)
{
    const char *path = c->request;
    struct str request, answer;
    int ret;

    /* A word is a file; for update it may also be the id that the flags speak of. */
    if (path == NULL && words->n > 0 && !(has_flags(c) && !new))
        path = words->text[0];
    if (c->id == NULL && !new &&path == NULL && words->n > 0)
        c->id = words->text[0];
    if (path == NULL && !has_flags(c))
        return command_misused(c->name, "say what: --request FILE.json, or flags such as --room "
                                        "NAME --identity NAME");
    str_init(&request, REQUEST_BYTES_MAX);
    str_init(&answer, ANSWER_BYTES_MAX);
    ret = path != NULL ? from_file(c, path, &request) : from_flags(c, new ? NULL : c->id, &request);
    if (ret == 0)
        ret = call(c, method, str_bytes(&request), &answer);
    if (ret == 0)
        ret = show_info(c, &answer);
    str_fini(&request);
    str_fini(&answer);
    return ret;
}

static int remove_one(struct channels *c, const struct flag_list *words)
{
    struct str request, answer;

    if (c->id == NULL && words->n > 0)
        c->id = words->text[0];
    if (c->id == NULL)
        return command_misused(c->name, "which? --id IN_...");
    str_init(&request, 4096);
    str_init(&answer, ANSWER_BYTES_MAX);
    str_add(&request, "{\"ingress_id\":");
    json_add_text(&request, bytes_str(c->id));
    str_add_char(&request, '}');
    int ret = call(c, "livekit.Ingress/DeleteIngress", str_bytes(&request), &answer);
    if (ret == 0 && !c->json)
        (void)printf("Ingress %s deleted\n", c->id);
    else if (ret == 0)
        (void)printf("%s\n", str_text(&answer));
    str_fini(&request);
    str_fini(&answer);
    return ret;
}

enum verb { CREATE, UPDATE, LIST, DELETE };

static int run(const char *name, enum verb verb, const struct command_args *a)
{
    struct channels c = {.name = name};
    struct flag flags[FLAGS + CREDS_FLAGS];
    struct flag_list words;

    fill_flags(&c, flags);
    int ret = command_flags(name, a, flags, ARRAY_LEN(flags), &words);
    if (ret == 0 && words.n > 1)
        ret = command_misused(name, "'%.60s' is one word too many", words.text[1]);
    if (ret == 0)
        ret = begin(&c, a);
    if (ret == 0 && verb == LIST)
        ret = list(&c, &words);
    else if (ret == 0 && verb == DELETE)
        ret = remove_one(&c, &words);
    else if (ret == 0)
        ret = send(
            &c, verb == CREATE ? "livekit.Ingress/CreateIngress" : "livekit.Ingress/UpdateIngress",
            &words, verb == CREATE);
    end(&c);
    return ret;
}

int command_create_ingress(const struct command_args *a)
{
    return run("create-ingress", CREATE, a);
}

int command_update_ingress(const struct command_args *a)
{
    return run("update-ingress", UPDATE, a);
}

int command_list_ingress(const struct command_args *a)
{
    return run("list-ingress", LIST, a);
}

int command_delete_ingress(const struct command_args *a)
{
    return run("delete-ingress", DELETE, a);
}

bool command_channels(const struct command_args *a, int *ret)
{
    static const char *const verbs[] = {
        [CREATE] = "create", [UPDATE] = "update", [LIST] = "list", [DELETE] = "delete"};

    for (size_t i = 0; a->argc > 0 && i < ARRAY_LEN(verbs); i++) {
        if (strcmp(a->argv[0], verbs[i]) != 0)
            continue;
        struct command_args rest = {.argc = a->argc - 1, .argv = a->argv + 1, .envp = a->envp};
        *ret = run("ingress", (enum verb)i, &rest);
        return true;
    }
    return false;
}

/* ---- the default stream key ---- */

/* Moves bytes and time between the machine and the socket until the request has ended. */
static int converse(struct psrpc *p, struct local_line *l, int fd, psrpc_id id,
                    struct psrpc_event *ev)
{
    uint8_t buf[16384];
    us_t until = clock_now() + RESET_US;

    while (clock_now() < until) {
        struct dial_wait w = {.fd = fd, .want = DIAL_READ};
        struct bus_news news;
        struct bus_op op;
        struct bytes out;
        while (psrpc_output(p, &op)) {
            if (local_line_op(l, &op) < 0)
                return E_CLOSED;
        }
        while (local_line_output(l, &out)) {
            if (dial_write(fd, out) != (int)out.len)
                return E_CLOSED; /* a few hundred bytes fit into any socket */
        }
        while (psrpc_event(p, ev)) {
            if (ev->id == id)
                return 0;
        }
        (void)dial_wait(&w, 1, US_PER_SEC / 10); /* the loop looks at the clock */
        int n = dial_read(fd, buf, sizeof buf);
        if (n < 0 || local_line_input(l, bytes_of(buf, (size_t)n)) < 0)
            return E_CLOSED;
        while (local_line_news(l, &news))
            psrpc_input(p, &news, clock_tick());
        psrpc_tick(p, clock_tick());
    }
    return E_TIMEOUT;
}

/* The server that runs makes the key: it knows who has to be sent away. */
static int reset_by_server(int fd, struct str *key)
{
    Sluice__RotateKeyRequest q = SLUICE__ROTATE_KEY_REQUEST__INIT;
    struct psrpc_ask ask = {
        .method = &methods[METHOD_ROTATE_KEY], .request = &q.base, .timeout_us = RESET_US};
    struct local_line line;
    struct psrpc_event ev;
    struct psrpc *p = NULL;
    uint64_t seed = 0;
    psrpc_id id = 0;

    q.ingress_id = pb_text("IN_live");
    local_line_init(&line);
    int err = crypt_random(&seed, sizeof seed);
    if (err == 0)
        err = psrpc_open(&p, seed);
    if (err == 0)
        err = psrpc_request(p, &ask, clock_tick(), &id);
    if (err == 0)
        err = converse(p, &line, fd, id, &ev);
    if (err == 0 && ev.kind != PSRPC_EVT_ANSWER)
        err = command_failed("key", "the server says: %s", ev.text);
    else if (err == 0)
        str_add(key, ((Livekit__IngressInfo *)ev.message)->stream_key);
    else
        err = command_failed("key", "the server does not answer on its bus: %s", err_text(err));
    psrpc_free(p);
    local_line_fini(&line);
    return err;
}

static int reset(const char *dir, struct str *key)
{
    char path[PATH_BYTES_MAX];

    (void)snprintf(path, sizeof path, "%s/bus.sock", dir); /* cut when long: not found */
    int fd = dial_unix(path);
    if (fd >= 0) {
        int ret = reset_by_server(fd, key);
        dial_close(fd);
        return ret;
    }
    int err = streamkey_make(dir, key);
    return err < 0 ? command_failed("key", "cannot write %s/hash: %s", dir, err_text(err)) : 0;
}

int command_key(const struct command_args *a)
{
    const char *data_dir = NULL;
    struct flag flags[] = {{"data-dir", FLAG_TEXT, &data_dir}};
    struct flag_list words;
    struct str dir, key;

    int ret = command_flags("key", a, flags, ARRAY_LEN(flags), &words);
    if (ret != 0)
        return ret;
    bool show = words.n == 0 || strcmp(words.text[0], "show") == 0;
    if (words.n > 1 || (!show && strcmp(words.text[0], "reset") != 0))
        return command_misused("key", "write sluice key show, or sluice key reset");
    str_init(&dir, PATH_BYTES_MAX - 16);
    str_init(&key, 256);
    ret = creds_data_dir(a, data_dir, &dir);
    if (ret == 0 && !show)
        ret = reset(str_text(&dir), &key);
    if (ret == 0 && show) {
        int err = streamkey_load(str_text(&dir), false, &key);
        if (err == E_NOENT)
            ret = command_failed("key",
                                 "there is no key in %s yet; `sluice up` makes one, and so "
                                 "does `sluice key reset`",
                                 str_text(&dir));
        else if (err == E_MALFORMED)
            ret = command_failed("key", "%s/hash holds no stream key; `sluice key reset` makes one",
                                 str_text(&dir));
        else if (err < 0)
            ret = command_failed("key", "cannot read %s/hash: %s", str_text(&dir), err_text(err));
    }
    if (ret == 0)
        (void)printf("%s\n", str_text(&key));
    if (key.p != NULL)
        mem_wipe(key.p, key.len);
    str_fini(&key);
    str_fini(&dir);
    return ret;
}
