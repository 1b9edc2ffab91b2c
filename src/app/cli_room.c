#include "app/command.h"

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "crypt/token.h"
#include "io/clock.h"
#include "io/net.h"
#include "wire/url.h"

#include <stdio.h>

enum { WORDS_MAX = 4, FIELDS_MAX = 12, BODY_BYTES_MAX = 1 << 20 };

enum field_kind {
    FIELD_TEXT,
    FIELD_NUMBER,
    FIELD_TRUE,  /* a switch that says true */
    FIELD_FALSE, /* a switch that says false */
    FIELD_LIST,
    FIELD_MAP,    /* key=value */
    FIELD_BASE64, /* bytes */
    FIELD_LOSSY,  /* kind: LOSSY */
};

/* How one word or flag becomes a member of the request; "a.b" nests. */
struct field {
    const char *flag; /* NULL: a word */
    const char *json;
    enum field_kind kind;
};

enum grant { GRANT_CREATE, GRANT_LIST, GRANT_ADMIN };

struct verb {
    const char *name, *method;
    enum grant grant;
    uint32_t words_min; /* words that must be given; a list takes all that follow */
    struct field word[WORDS_MAX];
    struct field flag[FIELDS_MAX];
    const char *fixed; /* members that always stand there */
    const char *usage;
};

#define ROOM                                                                                       \
    {                                                                                              \
        NULL, "room", FIELD_TEXT                                                                   \
    }
#define IDENTITY                                                                                   \
    {                                                                                              \
        NULL, "identity", FIELD_TEXT                                                               \
    }

static const struct verb verbs[] = {
    {"create",
     "CreateRoom",
     GRANT_CREATE,
     0,
     {{NULL, "name", FIELD_TEXT}},
     {{"name", "name", FIELD_TEXT},
      {"empty-timeout", "empty_timeout", FIELD_NUMBER},
      {"departure-timeout", "departure_timeout", FIELD_NUMBER},
      {"max-participants", "max_participants", FIELD_NUMBER},
      {"metadata", "metadata", FIELD_TEXT}},
     NULL,
     "NAME [--empty-timeout S] [--departure-timeout S] [--max-participants N] [--metadata TEXT]"},
    {"list", "ListRooms", GRANT_LIST, 0, {{NULL, "names", FIELD_LIST}}, {{0}}, NULL, "[NAME...]"},
    {"delete", "DeleteRoom", GRANT_CREATE, 1, {ROOM}, {{0}}, NULL, "ROOM"},
    {"participants", "ListParticipants", GRANT_ADMIN, 1, {ROOM}, {{0}}, NULL, "ROOM"},
    {"participant",
     "GetParticipant",
     GRANT_ADMIN,
     2,
     {ROOM, IDENTITY},
     {{0}},
     NULL,
     "ROOM IDENTITY"},
    {"kick", "RemoveParticipant", GRANT_ADMIN, 2, {ROOM, IDENTITY}, {{0}}, NULL, "ROOM IDENTITY"},
    {"mute",
     "MutePublishedTrack",
     GRANT_ADMIN,
     3,
     {ROOM, IDENTITY, {NULL, "track_sid", FIELD_TEXT}},
     {{0}},
     "\"muted\":true",
     "ROOM IDENTITY TRACK_SID"},
    {"unmute",
     "MutePublishedTrack",
     GRANT_ADMIN,
     3,
     {ROOM, IDENTITY, {NULL, "track_sid", FIELD_TEXT}},
     {{0}},
     "\"muted\":false",
     "ROOM IDENTITY TRACK_SID"},
    {"update-participant",
     "UpdateParticipant",
     GRANT_ADMIN,
     2,
     {ROOM, IDENTITY},
     {{"metadata", "metadata", FIELD_TEXT},
      {"name", "name", FIELD_TEXT},
      {"attribute", "attributes", FIELD_MAP}},
     NULL,
     "ROOM IDENTITY [--name TEXT] [--metadata TEXT] [--attribute KEY=VALUE]"},
    {"permissions",
     "UpdateParticipant",
     GRANT_ADMIN,
     2,
     {ROOM, IDENTITY},
     {{"publish", "permission.can_publish", FIELD_TRUE},
      {"no-publish", "permission.can_publish", FIELD_FALSE},
      {"subscribe", "permission.can_subscribe", FIELD_TRUE},
      {"no-subscribe", "permission.can_subscribe", FIELD_FALSE},
      {"data", "permission.can_publish_data", FIELD_TRUE},
      {"no-data", "permission.can_publish_data", FIELD_FALSE},
      {"update-metadata", "permission.can_update_metadata", FIELD_TRUE},
      {"hidden", "permission.hidden", FIELD_TRUE}},
     NULL,
     "ROOM IDENTITY [--publish] [--subscribe] [--data] [--update-metadata] [--hidden]: "
     "replaces all permissions"},
    {"subscribe",
     "UpdateSubscriptions",
     GRANT_ADMIN,
     3,
     {ROOM, IDENTITY, {NULL, "track_sids", FIELD_LIST}},
     {{0}},
     "\"subscribe\":true",
     "ROOM IDENTITY TRACK_SID..."},
    {"unsubscribe",
     "UpdateSubscriptions",
     GRANT_ADMIN,
     3,
     {ROOM, IDENTITY, {NULL, "track_sids", FIELD_LIST}},
     {{0}},
     "\"subscribe\":false",
     "ROOM IDENTITY TRACK_SID..."},
    {"metadata",
     "UpdateRoomMetadata",
     GRANT_ADMIN,
     2,
     {ROOM, {NULL, "metadata", FIELD_TEXT}},
     {{0}},
     NULL,
     "ROOM TEXT"},
    {"send-data",
     "SendData",
     GRANT_ADMIN,
     2,
     {ROOM, {NULL, "data", FIELD_BASE64}},
     {{"topic", "topic", FIELD_TEXT},
      {"to", "destination_identities", FIELD_LIST},
      {"lossy", "kind", FIELD_LOSSY}},
     NULL,
     "ROOM TEXT [--topic T] [--to IDENTITY]... [--lossy]"},
    {"rpc",
     "PerformRpc",
     GRANT_ADMIN,
     3,
     {ROOM,
      {NULL, "destination_identity", FIELD_TEXT},
      {NULL, "method", FIELD_TEXT},
      {NULL, "payload", FIELD_TEXT}},
     {{"timeout-ms", "response_timeout_ms", FIELD_NUMBER}},
     NULL,
     "ROOM IDENTITY METHOD [PAYLOAD] [--timeout-ms N]"},
    {"move",
     "MoveParticipant",
     GRANT_ADMIN,
     3,
     {ROOM, IDENTITY, {NULL, "destination_room", FIELD_TEXT}},
     {{0}},
     NULL,
     "ROOM IDENTITY DESTINATION"},
    {"forward",
     "ForwardParticipant",
     GRANT_ADMIN,
     3,
     {ROOM, IDENTITY, {NULL, "destination_room", FIELD_TEXT}},
     {{0}},
     NULL,
     "ROOM IDENTITY DESTINATION"},
};

/* ---- the request ---- */

struct body {
    struct str json;
    const char *open; /* the submessage being written, or NULL */
    size_t open_n;
};

static void add_comma(struct str *s)
{
    if (s->len > 0 && s->p[s->len - 1] != '{' && s->p[s->len - 1] != '[')
        str_add_char(s, ',');
}

/* The member's name; fields of one submessage stand together in the table. */
static void add_name(struct body *b, const char *json)
{
    const char *dot = strchr(json, '.');
    size_t n = dot != NULL ? (size_t)(dot - json) : 0;

    if (b->open != NULL && (n != b->open_n || strncmp(json, b->open, n) != 0)) {
        str_add_char(&b->json, '}');
        b->open = NULL;
    }
    add_comma(&b->json);
    if (n > 0 && b->open == NULL) {
        str_printf(&b->json, "\"%.*s\":{", (int)n, json);
        b->open = json;
        b->open_n = n;
    }
    str_printf(&b->json, "\"%s\":", dot != NULL ? dot + 1 : json);
}

static int add_map(struct body *b, const struct flag_list *values)
{
    str_add_char(&b->json, '{');
    for (uint32_t i = 0; i < values->n; i++) {
        const char *eq = strchr(values->text[i], '=');
        if (eq == NULL)
            return command_misused("room", "--attribute takes key=value, not '%.60s'",
                                   values->text[i]);
        add_comma(&b->json);
        json_add_text(&b->json, bytes_of(values->text[i], (size_t)(eq - values->text[i])));
        str_add_char(&b->json, ':');
        json_add_text(&b->json, bytes_str(eq + 1));
    }
    str_add_char(&b->json, '}');
    return 0;
}

static void add_list(struct body *b, const struct flag_list *values)
{
    str_add_char(&b->json, '[');
    for (uint32_t i = 0; i < values->n; i++) {
        add_comma(&b->json);
        json_add_text(&b->json, bytes_str(values->text[i]));
    }
    str_add_char(&b->json, ']');
}

static int add_field(struct body *b, const struct field *f, const struct flag_list *values)
{
    const char *text = values->text[values->n - 1]; /* the last one given counts */
    uint64_t number;

    if (f->kind == FIELD_NUMBER && !str_to_u64(bytes_str(text), UINT32_MAX, &number))
        return command_misused("room", "--%s takes a number, not '%.40s'", f->flag, text);
    add_name(b, f->json);
    switch (f->kind) {
    case FIELD_TEXT:
        json_add_text(&b->json, bytes_str(text));
        break;
    case FIELD_NUMBER:
        str_add(&b->json, text);
        break;
    case FIELD_TRUE:
    case FIELD_FALSE:
        str_add(&b->json, f->kind == FIELD_TRUE ? "true" : "false");
        break;
    case FIELD_LIST:
        add_list(b, values);
        break;
    case FIELD_MAP:
        return add_map(b, values);
    case FIELD_BASE64:
        str_add_char(&b->json, '"');
        str_add_base64(&b->json, bytes_str(text), false, true);
        str_add_char(&b->json, '"');
        break;
    case FIELD_LOSSY:
        str_add(&b->json, "\"LOSSY\"");
        break;
    }
    return 0;
}

static bool is_switch(enum field_kind kind)
{
    return kind == FIELD_TRUE || kind == FIELD_FALSE || kind == FIELD_LOSSY;
}

static int add_words(struct body *b, const struct verb *v, const struct flag_list *words)
{
    uint32_t at = 1; /* after the verb */

    for (int i = 0; i < WORDS_MAX && v->word[i].json != NULL && at < words->n; i++) {
        struct flag_list one = {.text = {words->text[at]}, .n = 1};
        if (v->word[i].kind == FIELD_LIST) {
            while (++at < words->n)
                one.text[one.n++] = words->text[at];
        } else {
            at++;
        }
        int err = add_field(b, &v->word[i], &one);
        if (err != 0)
            return err;
    }
    if (at < words->n)
        return command_misused("room", "'%.60s' is one word too many; write sluice room %s %s",
                               words->text[at], v->name, v->usage);
    return 0;
}

static int build(struct body *b, const struct verb *v, const struct flag_list *words,
                 const struct flag_list *given, const bool *on)
{
    str_add_char(&b->json, '{');
    if (words->n < v->words_min + 1)
        return command_misused("room", "something is missing; write sluice room %s %s", v->name,
                               v->usage);
    int err = add_words(b, v, words);
    for (int i = 0; i < FIELDS_MAX && v->flag[i].json != NULL && err == 0; i++) {
        struct flag_list none = {.text = {""}, .n = 1};
        bool set = is_switch(v->flag[i].kind) ? on[i] : given[i].n > 0;
        if (set)
            err = add_field(b, &v->flag[i], is_switch(v->flag[i].kind) ? &none : &given[i]);
    }
    if (b->open != NULL)
        str_add_char(&b->json, '}');
    if (v->fixed != NULL) {
        add_comma(&b->json);
        str_add(&b->json, v->fixed);
    }
    str_add_char(&b->json, '}');
    return err == 0 && b->json.failed ? command_misused("room", "the request is too long") : err;
}

/* ---- the call ---- */

static int mint(const char *name, const struct creds *c, enum grant grant, const char *room,
                const char *destination, struct str *out)
{
    struct token_video video = {.room_create = grant == GRANT_CREATE,
                                .room_list = grant == GRANT_LIST,
                                .room_admin = grant == GRANT_ADMIN,
                                .room = room,
                                .destination_room = destination};

    return creds_token(name, c, &video, "", out);
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *words[ARRAY_LEN(verbs)];

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        words[i] = verbs[i].name;
    const char *near = conf_nearest(name, words, ARRAY_LEN(verbs));
    if (near != NULL)
        return command_misused("room", "unknown verb '%.40s'; did you mean '%s'?", name, near);
    return command_misused("room", "unknown verb '%.40s'; `sluice help room` lists them", name);
}

static int run_verb(const struct command_args *a, const struct verb *v)
{
    struct creds creds = {0};
    struct flag flags[CREDS_FLAGS + FIELDS_MAX];
    struct flag_list words, given[FIELDS_MAX] = {0};
    bool on[FIELDS_MAX] = {0};
    struct body body = {0};
    struct str token, answer;
    struct arena arena;
    size_t n = CREDS_FLAGS;

    creds_flags(&creds, flags);
    for (int i = 0; i < FIELDS_MAX && v->flag[i].json != NULL; i++) {
        bool sw = is_switch(v->flag[i].kind);
        flags[n++] = (struct flag){.name = v->flag[i].flag,
                                   .kind = sw ? FLAG_SWITCH : FLAG_LIST,
                                   .out = sw ? (void *)&on[i] : (void *)&given[i]};
    }
    int ret = command_flags("room", a, flags, n, &words);
    if (ret != 0)
        return ret;
    arena_init(&arena, 1 << 20);
    str_init(&body.json, BODY_BYTES_MAX);
    str_init(&token, 64 << 10);
    str_init(&answer, 16 << 20);
    ret = build(&body, v, &words, given, on);
    if (ret == 0)
        ret = creds_find("room", a, &creds, &arena);
    const char *destination =
        v->word[2].json != NULL && strcmp(v->word[2].json, "destination_room") == 0 ? words.text[3]
                                                                                    : "";
    if (ret == 0)
        ret = mint("room", &creds, v->grant, words.n > 1 ? words.text[1] : "", destination, &token);
    if (ret == 0)
        ret =
            creds_call("room", &creds, v->method, str_text(&token), str_bytes(&body.json), &answer);
    if (ret == 0)
        (void)printf("%s\n", str_text(&answer));
    str_fini(&answer);
    str_fini(&token);
    str_fini(&body.json);
    arena_fini(&arena);
    return ret;
}

/* Does this flag, which may stand before the verb, take the next argument? */
static bool takes_next(const char *arg)
{
    static const char *const flags[] = {"--url", "--host", "--api-key", "--api-secret",
                                        "--data-dir"};

    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (strcmp(arg, flags[i]) == 0)
            return true;
    }
    return false;
}

int command_room(const struct command_args *a)
{
    for (int i = 0; i < a->argc; i++) {
        if (a->argv[i][0] == '-') {
            i += takes_next(a->argv[i]);
            continue;
        }
        const struct verb *v = find_verb(a->argv[i]);
        return v != NULL ? run_verb(a, v) : unknown_verb(a->argv[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        (void)printf("sluice room %s %s\n", verbs[i].name, verbs[i].usage);
    return COMMAND_OK;
}

/* ---- create-room ---- */

/* The address that clients reach: the server's own, seen from here. */
static void node_ip(const char *url_text, char out[URL_HOST_MAX])
{
    struct net_interface list[NET_INTERFACES_MAX];
    struct url url;
    struct addr a;

    (void)snprintf(out, URL_HOST_MAX, "127.0.0.1");
    if (url_parse(&url, url_text) < 0)
        return;
    bool is_ip = addr_parse_ip(&a, bytes_str(url.host), 0);
    if (strcmp(url.host, "localhost") != 0 && !(is_ip && addr_is_loopback(&a))) {
        (void)snprintf(out, URL_HOST_MAX, "%s", url.host);
        return;
    }
    uint32_t n = net_interfaces(list, NET_INTERFACES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        char text[ADDR_TEXT_MAX];
        if (list[i].loopback || list[i].link_local || list[i].addr.family != 4)
            continue;
        addr_ip_text(&list[i].addr, text);
        (void)snprintf(out, URL_HOST_MAX, "%s", text);
        return;
    }
}

static int print_room(const struct creds *c, const char *identity, struct bytes answer)
{
    struct json_doc doc;
    struct bytes sid = {0}, name = {0}, created = bytes_str("0");
    char ip[URL_HOST_MAX], room[512];
    struct str token, out;

    if (json_parse(&doc, answer, BODY_BYTES_MAX) < 0)
        return command_failed("create-room", "the server's answer is no JSON");
    (void)json_to_text(json_member(doc.root, "sid"), &sid); /* empty when it is not there */
    (void)json_to_text(json_member(doc.root, "name"), &name);
    (void)json_to_text(json_member(doc.root, "creation_time"), &created);
    (void)str_copy(room, sizeof room, name); /* names end at 256 */
    str_init(&token, 64 << 10);
    str_init(&out, 128 << 10);
    node_ip(c->url, ip);
    struct token_video video = {.room_join = true, .room = room};
    int ret = creds_token("create-room", c, &video, identity, &token);
    if (ret == 0) {
        str_add(&out, "{\"sid\":");
        json_add_text(&out, sid);
        str_add(&out, ",\"name\":");
        json_add_text(&out, name);
        str_add(&out, ",\"node_ip\":");
        json_add_text(&out, bytes_str(ip));
        str_printf(&out, ",\"creation_time\":%.*s,\"token\":", (int)created.len,
                   (const char *)created.p);
        json_add_text(&out, str_bytes(&token));
        str_add_char(&out, '}');
        (void)printf("%s\n", str_text(&out));
    }
    str_fini(&out);
    str_fini(&token);
    json_close(&doc);
    return ret;
}

int command_create_room(const struct command_args *a)
{
    struct creds c = {0};
    const char *name = NULL, *identity = "user";
    struct flag flags[CREDS_FLAGS + 2];
    struct flag_list words;
    struct arena arena;
    struct str body, token, answer;
    char made[32];

    creds_flags(&c, flags);
    flags[CREDS_FLAGS] = (struct flag){"name", FLAG_TEXT, &name};
    flags[CREDS_FLAGS + 1] = (struct flag){"identity", FLAG_TEXT, &identity};
    int ret = command_flags("create-room", a, flags, ARRAY_LEN(flags), &words);
    if (ret != 0)
        return ret;
    if (name == NULL && words.n > 0)
        name = words.text[0];
    if (name == NULL) {
        struct rng rng = rng_seed((uint64_t)clock_now());
        str_id(made, sizeof made, "room-", &rng);
        name = made;
    }
    arena_init(&arena, 1 << 20);
    str_init(&body, BODY_BYTES_MAX);
    str_init(&token, 64 << 10);
    str_init(&answer, BODY_BYTES_MAX);
    str_add(&body, "{\"name\":");
    json_add_text(&body, bytes_str(name));
    str_add_char(&body, '}');
    ret = creds_find("create-room", a, &c, &arena);
    if (ret == 0)
        ret = mint("create-room", &c, GRANT_CREATE, "", "", &token);
    if (ret == 0)
        ret = creds_call("create-room", &c, "CreateRoom", str_text(&token), str_bytes(&body),
                         &answer);
    if (ret == 0)
        ret = print_room(&c, identity, str_bytes(&answer));
    str_fini(&answer);
    str_fini(&token);
    str_fini(&body);
    arena_fini(&arena);
    return ret;
}
