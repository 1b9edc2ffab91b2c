#include "api/join.h"

#include "api/browser.h"
#include "base/json.h"
#include "wire/gzip.h"
#include "wire/pb_json.h"

/* ---- token ---- */

static const struct node_key *find_key(const struct node_cfg *cfg, const char *id)
{
    for (uint32_t i = 0; i < cfg->key_n; i++)
        if (strcmp(cfg->key[i].id, id) == 0)
            return &cfg->key[i];
    return NULL;
}

static const char *token_of_form(const struct http_msg *req, struct arena *a)
{
    const char *type = http_header_get(req, "content-type");
    const char *token = http_query_get(a, req->query, "access_token");

    if (token != NULL || type == NULL || strncmp(type, "application/x-www-form-urlencoded", 33))
        return token;
    char *form = arena_dup(a, req->body);
    return form != NULL ? http_query_get(a, form, "access_token") : NULL;
}

struct token_claims *join_claims(const struct node_cfg *cfg, const struct http_msg *req,
                                 int64_t unix_s, struct arena *a, struct join_why *why)
{
    static const char bearer[] = "Bearer ";
    const char *header = http_header_get(req, "authorization"), *token, *issuer;
    struct token_claims *claims = NULL;

    *why = (struct join_why){0};
    if (header != NULL && strncmp(header, bearer, sizeof bearer - 1) != 0) {
        *why = (struct join_why){401, "invalid authorization header. Must start with Bearer "};
        return NULL;
    }
    token = header != NULL ? header + sizeof bearer - 1 : token_of_form(req, a);
    if (token == NULL || *token == '\0')
        return NULL;
    int err = token_peek_issuer(bytes_str(token), a, &issuer);
    const struct node_key *key = err == 0 ? find_key(cfg, issuer) : NULL;
    if (err == 0 && key == NULL)
        err = E_NOENT;
    if (err == 0)
        err = token_verify(bytes_str(token), bytes_str(key->secret), unix_s, a, &claims);
    if (err != 0) {
        *why = (struct join_why){401, token_refusal(err)};
        return NULL;
    }
    return claims;
}

/* ---- the request ---- */

static bool bad(struct join_why *why, int status, const char *text)
{
    *why = (struct join_why){status, text};
    return false;
}

static bool is_true(const char *text)
{
    return text != NULL && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0);
}

static int32_t number(const char *text)
{
    int64_t n = 0;

    if (text != NULL)
        (void)str_to_i64(bytes_str(text), &n); /* odd: 0, as the original reads it */
    return n >= INT32_MIN && n <= INT32_MAX ? (int32_t)n : 0;
}

static const char *ask(const struct join_ask *q, const char *key)
{
    const char *v = http_query_get(q->arena, q->req->query, key);
    return v != NULL ? v : "";
}

static Livekit__ClientInfo__SDK sdk_of(const char *word)
{
    static const char *const words[] = {"unknown", "js",       "swift",       "android", "flutter",
                                        "go",      "unity",    "reactnative", "rust",    "python",
                                        "cpp",     "unityweb", "node",        "unreal",  "esp32"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(bytes_str(word), words[i]))
            return (Livekit__ClientInfo__SDK)i;
    return LIVEKIT__CLIENT_INFO__SDK__UNKNOWN;
}

static void read_capabilities(const struct join_ask *q, Livekit__ClientInfo *c)
{
    const char *p = ask(q, "capabilities");

    c->capabilities = arena_array(q->arena, ROOM_CAPABILITIES_MAX, sizeof *c->capabilities);
    while (c->capabilities != NULL && *p != '\0' && c->n_capabilities < ROOM_CAPABILITIES_MAX) {
        size_t n = strcspn(p, ",");
        if (bytes_eq_str(bytes_of(p, n), "CAP_PACKET_TRAILER"))
            c->capabilities[c->n_capabilities++] =
                LIVEKIT__CLIENT_INFO__CAPABILITY__CAP_PACKET_TRAILER;
        else if (bytes_eq_str(bytes_of(p, n), "CAP_COMPRESSION_DEFLATE_RAW"))
            c->capabilities[c->n_capabilities++] =
                LIVEKIT__CLIENT_INFO__CAPABILITY__CAP_COMPRESSION_DEFLATE_RAW;
        p += n + (p[n] == ',');
    }
}

static bool read_attributes(const struct join_ask *q, struct session_cfg *cfg)
{
    const char *text = ask(q, "attributes");
    size_t cap = strlen(text), n;
    uint8_t *raw;
    struct json_doc doc;
    const struct json_t *v;
    struct bytes key, value;
    void *at = NULL;

    if (cap == 0)
        return true;
    if ((raw = arena_zero(q->arena, cap)) == NULL ||
        !base64_decode(bytes_str(text), raw, cap, &n) ||
        json_parse(&doc, bytes_of(raw, n), JOIN_REQUEST_MAX) != 0)
        return false;
    struct attr *attr = arena_array(q->arena, json_count(doc.root) + 1, sizeof *attr);
    bool ok = attr != NULL && json_kind_of(doc.root) == JSON_KIND_OBJECT;
    while (ok && json_next(doc.root, &at, &key, &v)) {
        ok = json_to_text(v, &value);
        if (!ok)
            break;
        attr[cfg->attr_n].key = arena_dup(q->arena, key);
        attr[cfg->attr_n].value = arena_dup(q->arena, value);
        ok = attr[cfg->attr_n].key != NULL && attr[cfg->attr_n].value != NULL;
        cfg->attr_n += ok;
    }
    json_close(&doc);
    cfg->attr = attr;
    if (!ok)
        cfg->attr_n = 0;
    return ok;
}

/* What a browser did not say of itself, its User-Agent does. */
static void augment(const struct join_ask *q, Livekit__ClientInfo *c)
{
    const char *ua = http_header_get(q->req, "user-agent");
    struct browser b;

    if (c->sdk != LIVEKIT__CLIENT_INFO__SDK__JS &&
        c->sdk != LIVEKIT__CLIENT_INFO__SDK__REACT_NATIVE &&
        c->sdk != LIVEKIT__CLIENT_INFO__SDK__FLUTTER &&
        c->sdk != LIVEKIT__CLIENT_INFO__SDK__UNITY && c->sdk != LIVEKIT__CLIENT_INFO__SDK__UNKNOWN)
        return;
    browser_read(&b, ua != NULL ? ua : "");
    char *version = arena_dup_str(q->arena, b.version);
    char *os_version = arena_dup_str(q->arena, b.os_version);
    char *device = arena_dup_str(q->arena, b.device);
    if (version == NULL || os_version == NULL || device == NULL)
        return;
    if (*c->browser == '\0') {
        c->browser = (char *)b.family; /* static; nobody writes it */
        c->browser_version = version;
    }
    if (*c->os == '\0') {
        c->os = (char *)b.os;
        c->os_version = os_version;
    }
    if (*c->device_model == '\0')
        c->device_model = device;
}

static bool publish_only(const struct join_ask *q, struct session_cfg *cfg, struct join_why *why)
{
    const char *suffix = ask(q, "publish");

    if (*suffix == '\0')
        return true;
    if (!token_may_publish(&cfg->claims->video))
        return bad(why, 401, "no permissions to access the room");
    cfg->claims->video.can_subscribe = TOKEN_FALSE;
    cfg->claims->identity = arena_printf(q->arena, "%s#%s", cfg->claims->identity, suffix);
    return cfg->claims->identity != NULL || bad(why, 500, "out of memory");
}

/* The classic form: all in the query. */
static bool read_query(const struct join_ask *q, struct session_cfg *cfg, struct join_why *why)
{
    Livekit__ClientInfo *c = pb_new(q->arena, &livekit__client_info__descriptor);
    const char *auto_subscribe = ask(q, "auto_subscribe");

    if (c == NULL)
        return bad(why, 500, "out of memory");
    c->sdk = sdk_of(ask(q, "sdk"));
    c->version = (char *)ask(q, "version");
    c->protocol = number(ask(q, "protocol"));
    c->client_protocol = number(ask(q, "client_protocol"));
    c->os = (char *)ask(q, "os");
    c->os_version = (char *)ask(q, "os_version");
    c->browser = (char *)ask(q, "browser");
    c->browser_version = (char *)ask(q, "browser_version");
    c->device_model = (char *)ask(q, "device_model");
    c->network = (char *)ask(q, "network");
    read_capabilities(q, c);
    augment(q, c);
    cfg->client = c;
    cfg->auto_subscribe = *auto_subscribe == '\0' || is_true(auto_subscribe);
    cfg->adaptive_stream = is_true(ask(q, "adaptive_stream"));
    cfg->reconnect = is_true(ask(q, "reconnect"));
    cfg->sid = cfg->reconnect ? ask(q, "sid") : "";
    if (!read_attributes(q, cfg) && q->strict)
        return bad(why, 400, "cannot decode attributes");
    return publish_only(q, cfg, why);
}

/* base64url, protobuf, perhaps gzip, protobuf. */
static Livekit__JoinRequest *unwrap(const struct join_ask *q, const char *text,
                                    struct join_why *why)
{
    size_t cap = strlen(text), n;
    uint8_t *raw = arena_zero(q->arena, cap + 1);
    struct bytes inner;
    struct str plain;

    if (cap > 2 * JOIN_REQUEST_MAX)
        return bad(why, 400, "join request too large"), NULL;
    if (raw == NULL || !base64_decode(bytes_str(text), raw, cap, &n))
        return bad(why, 400, "cannot base64 decode wrapped join request"), NULL;
    Livekit__WrappedJoinRequest *w =
        pb_unpack(q->arena, &livekit__wrapped_join_request__descriptor, bytes_of(raw, n));
    if (w == NULL)
        return bad(why, 400, "cannot unmarshal wrapped join request"), NULL;
    inner = bytes_of(w->join_request.data, w->join_request.len);
    str_init(&plain, JOIN_REQUEST_MAX);
    int err = 0;
    if (w->compression == LIVEKIT__WRAPPED_JOIN_REQUEST__COMPRESSION__GZIP) {
        err = gzip_inflate(inner, &plain);
        inner = str_bytes(&plain);
    }
    Livekit__JoinRequest *j = NULL;
    if (err == E_TOO_LARGE || inner.len > JOIN_REQUEST_MAX)
        (void)bad(why, 400, "join request too large");
    else if (err != 0)
        (void)bad(why, 400, "cannot read decompressed join request");
    else if ((j = pb_unpack(q->arena, &livekit__join_request__descriptor, inner)) == NULL)
        (void)bad(why, 400, "cannot unmarshal join request");
    str_fini(&plain);
    return j;
}

static bool read_join_request(const struct join_ask *q, const char *text, struct session_cfg *cfg,
                              struct join_why *why)
{
    const Livekit__JoinRequest *j = unwrap(q, text, why);
    const Livekit__ConnectionSettings *set;
    Livekit__ClientInfo *client;

    if (j == NULL)
        return false;
    client = j->client_info != NULL ? j->client_info
                                    : pb_new(q->arena, &livekit__client_info__descriptor);
    if (client == NULL)
        return bad(why, 500, "out of memory");
    augment(q, client);
    set = j->connection_settings;
    cfg->single = true;
    cfg->client = client;
    cfg->auto_subscribe = set != NULL && set->auto_subscribe;
    cfg->adaptive_stream = set != NULL && set->adaptive_stream;
    cfg->metadata = j->metadata;
    cfg->reconnect = j->reconnect;
    cfg->sid = j->reconnect ? j->participant_sid : "";
    cfg->add_track = j->add_track_requests;
    cfg->add_track_n = j->n_add_track_requests;
    cfg->offer = j->publisher_offer;
    struct attr *attr = arena_array(q->arena, j->n_participant_attributes + 1, sizeof *attr);
    if (attr == NULL)
        return bad(why, 500, "out of memory");
    for (size_t i = 0; i < j->n_participant_attributes; i++)
        attr[i] = (struct attr){.key = j->participant_attributes[i]->key,
                                .value = j->participant_attributes[i]->value};
    cfg->attr = attr;
    cfg->attr_n = (uint32_t)j->n_participant_attributes;
    return true;
}

/* The room that the token describes, should this join make it. */
static bool read_wish(const struct join_ask *q, struct session_cfg *cfg, struct join_why *why)
{
    const Livekit__RoomConfiguration *c;

    if (cfg->claims->room_config == NULL)
        return true;
    c = pb_json_read(q->arena, &livekit__room_configuration__descriptor,
                     bytes_str(cfg->claims->room_config), NULL);
    if (c == NULL)
        return bad(why, 401, token_refusal(E_MALFORMED));
    cfg->wish = (struct room_wish){.empty_timeout_s = c->empty_timeout,
                                   .departure_timeout_s = c->departure_timeout,
                                   .max_participants = c->max_participants,
                                   .min_playout_delay_ms = c->min_playout_delay,
                                   .max_playout_delay_ms = c->max_playout_delay,
                                   .sync_streams = c->sync_streams,
                                   .metadata = c->metadata,
                                   .agent = c->agents,
                                   .agent_n = c->n_agents};
    return true;
}

/* ---- what the request may and must say ---- */

static bool check(const struct join_ask *q, const struct session_cfg *cfg, struct join_why *why)
{
    const struct token_claims *c = cfg->claims;
    const struct node_limits *l = &q->cfg->limits;

    if (*c->identity == '\0')
        return bad(why, 400, "identity cannot be empty");
    if (l->max_participant_identity_length != 0 &&
        strlen(c->identity) > l->max_participant_identity_length) {
        const char *text =
            arena_printf(q->arena, "participant identity length exceeds limits: max length %u",
                         l->max_participant_identity_length);
        return bad(why, 400, text);
    }
    if (*c->video.room == '\0')
        return bad(why, 400, "no room name");
    if (l->max_room_name_length != 0 && strlen(c->video.room) > l->max_room_name_length) {
        const char *text = arena_printf(q->arena, "room name length exceeds limits: max length %u",
                                        l->max_room_name_length);
        return bad(why, 400, text);
    }
    bool own = (cfg->metadata != NULL && *cfg->metadata != '\0') || cfg->attr_n > 0;
    if (own && c->video.can_update_own_metadata != TOKEN_TRUE)
        return bad(why, 401, "no permissions to access the room");
    if (!q->cfg->auto_create && house_find(&q->hub->house, c->video.room) == NULL)
        return bad(why, 404, "requested room does not exist");
    return true;
}

bool join_read(const struct join_ask *q, struct session_cfg *cfg, struct join_why *why)
{
    const char *wrapped = ask(q, "join_request");
    bool ok;

    *why = (struct join_why){0};
    if (q->claims == NULL || !q->claims->has_video)
        return bad(why, 401, "no permissions to access the room");
    if (q->v1 && *wrapped == '\0')
        return bad(why, 400, "join_request is required");
    if (!q->claims->video.room_join)
        return bad(why, 401, "permissions denied");
    cfg->claims = q->claims;
    cfg->sid = "";
    cfg->json = strcmp(ask(q, "format"), "json") == 0;
    ok = *wrapped != '\0' ? read_join_request(q, wrapped, cfg, why) : read_query(q, cfg, why);
    return ok && check(q, cfg, why) && read_wish(q, cfg, why);
}
