#include "crypt/token.h"

#include "base/err.h"
#include "base/json.h"
#include "crypt/hash.h"

/* The three parts of the compact form (RFC 7515 s7.1); the signature decoded. */
struct parts {
    struct bytes header, payload; /* decoded, in the arena */
    struct bytes signed_part;     /* what the signature covers */
    struct bytes signature;       /* decoded */
};

/* RFC 7515 s2: the URL alphabet without padding.  The shared decoder is more lenient. */
static bool base64url(struct bytes in, struct arena *a, struct bytes *out)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        if (in.p[i] == '=' || in.p[i] == '+' || in.p[i] == '/')
            return false;
    }
    uint8_t *p = arena_zero(a, in.len + 1);
    if (p == NULL || !base64_decode(in, p, in.len + 1, &n))
        return false;
    *out = bytes_of(p, n);
    return true;
}

static int split(struct bytes token, struct arena *a, struct parts *out)
{
    if (token.len == 0)
        return E_MALFORMED;
    if (token.len > TOKEN_BYTES_MAX)
        return E_TOO_LARGE;
    const uint8_t *end = token.p + token.len, *one = memchr(token.p, '.', token.len);
    if (one == NULL)
        return E_MALFORMED;
    const uint8_t *two = memchr(one + 1, '.', (size_t)(end - one - 1));
    if (two == NULL || memchr(two + 1, '.', (size_t)(end - two - 1)) != NULL)
        return E_MALFORMED;
    out->signed_part = bytes_of(token.p, (size_t)(two - token.p));
    if (one == token.p || two == one + 1 ||
        !base64url(bytes_of(token.p, (size_t)(one - token.p)), a, &out->header) ||
        !base64url(bytes_of(one + 1, (size_t)(two - one - 1)), a, &out->payload) ||
        !base64url(bytes_of(two + 1, (size_t)(end - two - 1)), a, &out->signature))
        return a->failed ? E_NOMEM : E_MALFORMED;
    return 0;
}

/* Only HS256 (RFC 7515 s4.1.1), whatever key the header may point at; an extension that must
 * be understood (s4.1.11) is not. */
static int check_header(struct bytes header)
{
    struct json_doc doc;
    struct bytes alg;
    int err = json_parse(&doc, header, TOKEN_BYTES_MAX);

    if (err)
        return E_MALFORMED;
    if (json_kind_of(doc.root) != JSON_KIND_OBJECT ||
        !json_to_text(json_member(doc.root, "alg"), &alg))
        err = E_MALFORMED;
    else if (!bytes_eq_str(alg, "HS256") || json_member(doc.root, "crit") != NULL)
        err = E_UNSUPPORTED;
    json_close(&doc);
    return err;
}

static int parse_payload(struct json_doc *doc, struct bytes payload)
{
    int err = json_parse(doc, payload, TOKEN_BYTES_MAX);

    if (err)
        return E_MALFORMED;
    if (json_kind_of(doc->root) == JSON_KIND_OBJECT)
        return 0;
    json_close(doc);
    return E_MALFORMED;
}

int token_peek_issuer(struct bytes token, struct arena *arena, const char **issuer)
{
    struct parts parts;
    struct json_doc doc;
    struct bytes iss;
    struct arena scratch; /* what is decoded is not kept: the claims live as long as a session */

    arena_init(&scratch, arena->max_bytes);
    int err = split(token, &scratch, &parts);
    if (err == 0)
        err = parse_payload(&doc, parts.payload);
    arena_fini(&scratch);
    if (err)
        return err;
    if (json_to_text(json_member(doc.root, "iss"), &iss)) {
        *issuer = arena_dup(arena, iss);
        err = *issuer == NULL ? E_NOMEM : 0;
    } else {
        err = E_MALFORMED;
    }
    json_close(&doc);
    return err;
}

/* ---- claims: absent and null are one; any other kind than the claim's own is an error ---- */

struct reader {
    struct arena *arena;
    int err;
};

static const struct json_t *claim(const struct json_t *object, const char *key)
{
    const struct json_t *v = json_member(object, key);

    return json_kind_of(v) == JSON_KIND_NULL ? NULL : v;
}

static const char *keep(struct reader *r, struct bytes text)
{
    const char *copy = arena_dup(r->arena, text);

    if (copy == NULL)
        r->err = E_NOMEM;
    return copy == NULL ? "" : copy;
}

static const char *read_text(struct reader *r, const struct json_t *object, const char *key)
{
    const struct json_t *v = claim(object, key);
    struct bytes text = {0};

    if (v == NULL)
        return "";
    if (!json_to_text(v, &text)) {
        r->err = E_MALFORMED;
        return "";
    }
    return keep(r, text);
}

static enum token_tri read_tri(struct reader *r, const struct json_t *object, const char *key)
{
    const struct json_t *v = claim(object, key);
    bool b = false;

    if (v == NULL)
        return TOKEN_UNSET;
    if (!json_to_bool(v, &b))
        r->err = E_MALFORMED;
    return b ? TOKEN_TRUE : TOKEN_FALSE;
}

static bool read_bool(struct reader *r, const struct json_t *object, const char *key)
{
    return read_tri(r, object, key) == TOKEN_TRUE;
}

/* An object or nothing. */
static const struct json_t *read_object(struct reader *r, const struct json_t *object,
                                        const char *key)
{
    const struct json_t *v = claim(object, key);

    if (v == NULL || json_kind_of(v) == JSON_KIND_OBJECT)
        return v;
    r->err = E_MALFORMED;
    return NULL;
}

static uint32_t read_list(struct reader *r, const struct json_t *object, const char *key,
                          const char **out, uint32_t max)
{
    const struct json_t *v = claim(object, key);
    size_t n = json_count(v);
    struct bytes text;

    if (v == NULL)
        return 0;
    if (json_kind_of(v) != JSON_KIND_LIST || n > max) {
        r->err = E_MALFORMED;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (!json_to_text(json_item(v, i), &text)) {
            r->err = E_MALFORMED;
            return 0;
        }
        out[i] = keep(r, text);
    }
    return (uint32_t)n;
}

static void read_attributes(struct reader *r, const struct json_t *root, struct token_claims *c)
{
    const struct json_t *v = read_object(r, root, "attributes"), *value;
    struct bytes key, text;
    uint32_t n = 0;
    void *at = NULL;

    while (v != NULL && json_next(v, &at, &key, &value))
        n++;
    if (n == 0)
        return;
    c->attribute =
        n <= TOKEN_ATTRIBUTES_MAX ? arena_array(r->arena, n, sizeof *c->attribute) : NULL;
    if (c->attribute == NULL) {
        r->err = n <= TOKEN_ATTRIBUTES_MAX ? E_NOMEM : E_MALFORMED;
        return;
    }
    at = NULL;
    while (json_next(v, &at, &key, &value)) {
        if (!json_to_text(value, &text)) {
            r->err = E_MALFORMED;
            return;
        }
        struct token_pair *pair = &c->attribute[c->attribute_n++];
        pair->key = keep(r, key);
        pair->value = keep(r, text);
    }
}

static void read_video(struct reader *r, const struct json_t *root, struct token_claims *c)
{
    const struct json_t *o = read_object(r, root, "video");
    struct token_video *v = &c->video;

    c->has_video = o != NULL;
    v->room_create = read_bool(r, o, "roomCreate");
    v->room_list = read_bool(r, o, "roomList");
    v->room_record = read_bool(r, o, "roomRecord");
    v->room_admin = read_bool(r, o, "roomAdmin");
    v->room_join = read_bool(r, o, "roomJoin");
    v->ingress_admin = read_bool(r, o, "ingressAdmin");
    v->hidden = read_bool(r, o, "hidden");
    v->recorder = read_bool(r, o, "recorder");
    v->agent = read_bool(r, o, "agent");
    v->can_publish = read_tri(r, o, "canPublish");
    v->can_subscribe = read_tri(r, o, "canSubscribe");
    v->can_publish_data = read_tri(r, o, "canPublishData");
    v->can_update_own_metadata = read_tri(r, o, "canUpdateOwnMetadata");
    v->can_subscribe_metrics = read_tri(r, o, "canSubscribeMetrics");
    v->can_manage_agent_session = read_tri(r, o, "canManageAgentSession");
    v->room = read_text(r, o, "room");
    v->destination_room = read_text(r, o, "destinationRoom");
    v->source_n = read_list(r, o, "canPublishSources", v->source, TOKEN_SOURCES_MAX);
}

static void read_room_config(struct reader *r, const struct json_t *root, struct token_claims *c)
{
    const struct json_t *o = read_object(r, root, "roomConfig");
    struct str text;

    if (o == NULL)
        return;
    str_init(&text, TOKEN_BYTES_MAX);
    json_print(o, &text);
    if (text.failed)
        r->err = E_TOO_LARGE;
    else
        c->room_config = keep(r, str_bytes(&text));
    str_fini(&text);
}

static void read_claims(struct reader *r, const struct json_t *root, struct token_claims *c)
{
    const struct json_t *sip = read_object(r, root, "sip"), *agent = read_object(r, root, "agent");

    c->issuer = read_text(r, root, "iss");
    c->identity = read_text(r, root, "sub");
    if (c->identity[0] == '\0')
        c->identity = read_text(r, root, "jti");
    c->name = read_text(r, root, "name");
    c->metadata = read_text(r, root, "metadata");
    c->kind = read_text(r, root, "kind");
    c->room_preset = read_text(r, root, "roomPreset");
    c->sha256 = read_text(r, root, "sha256");
    c->kind_detail_n = read_list(r, root, "kindDetails", c->kind_detail, TOKEN_KIND_DETAILS_MAX);
    c->sip_admin = read_bool(r, sip, "admin");
    c->sip_call = read_bool(r, sip, "call");
    c->agent_admin = read_bool(r, agent, "admin");
    read_attributes(r, root, c);
    read_video(r, root, c);
    read_room_config(r, root, c);
}

/* RFC 7519 s2: a NumericDate is a JSON number, fractions allowed.  1: absent. */
static int read_date(const struct json_t *root, const char *key, int64_t *out)
{
    const double limit = 9007199254740992.0; /* 2^53: beyond it no date is exact, nor sensible */
    const struct json_t *v = claim(root, key);
    double d;

    if (v == NULL)
        return 1;
    if (!json_to_double(v, &d) || !(d >= -limit && d <= limit))
        return E_MALFORMED;
    *out = (int64_t)d;
    return 0;
}

static int check_dates(const struct json_t *root, int64_t now_s, struct token_claims *c)
{
    int64_t issued_s;
    int exp = read_date(root, "exp", &c->expires_s), nbf = read_date(root, "nbf", &c->not_before_s);

    if (exp < 0 || nbf < 0 || read_date(root, "iat", &issued_s) < 0)
        return E_MALFORMED;
    if (exp != 0) /* never issued without an end */
        return E_EXPIRED;
    if (now_s > c->expires_s + TOKEN_LEEWAY_S)
        return E_EXPIRED;
    if (nbf == 0 && now_s < c->not_before_s - TOKEN_LEEWAY_S)
        return E_STATE;
    return 0;
}

static int authenticate(const struct parts *parts, struct bytes secret)
{
    uint8_t want[HASH_SHA256_BYTES];
    int err = check_header(parts->header);

    if (err)
        return err;
    if (secret.len == 0)
        return E_AUTH; /* an empty secret would sign anything */
    hash_hmac_sha256(secret, parts->signed_part, want);
    if (parts->signature.len != sizeof want || !crypt_equal(want, parts->signature.p, sizeof want))
        return E_AUTH;
    return 0;
}

int token_verify(struct bytes token, struct bytes secret, int64_t unix_s, struct arena *arena,
                 struct token_claims **out)
{
    struct parts parts;
    struct json_doc doc;
    struct reader r = {.arena = arena};
    struct arena scratch;

    arena_init(&scratch, arena->max_bytes);
    int err = split(token, &scratch, &parts);
    if (err == 0)
        err = authenticate(&parts, secret);
    if (err == 0)
        err = parse_payload(&doc, parts.payload);
    arena_fini(&scratch);
    if (err)
        return err;
    struct token_claims *c = arena_zero(arena, sizeof *c);
    if (c == NULL) {
        json_close(&doc);
        return E_NOMEM;
    }
    err = check_dates(doc.root, unix_s, c);
    if (err == 0) {
        read_claims(&r, doc.root, c);
        err = r.err;
    }
    json_close(&doc);
    if (err == 0)
        *out = c;
    return err;
}

const char *token_refusal(int err)
{
    switch (err) {
    case E_NOENT:
        return "invalid API key";
    case E_AUTH:
        return "invalid authorization token: error in cryptographic primitive";
    case E_UNSUPPORTED:
        return "invalid authorization token: unexpected signature algorithm";
    case E_EXPIRED:
        return "invalid authorization token: validation failed, token is expired (exp)";
    case E_STATE:
        return "invalid authorization token: validation failed, token not valid yet (nbf)";
    default:
        return "invalid authorization token";
    }
}

/* ---- minting ---- */

static void add_key(struct str *s, const char *key)
{
    if (s->len > 0 && s->p[s->len - 1] != '{')
        str_add_char(s, ',');
    json_add_text(s, bytes_str(key));
    str_add_char(s, ':');
}

static void add_text(struct str *s, const char *key, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    add_key(s, key);
    json_add_text(s, bytes_str(text));
}

static void add_tri(struct str *s, const char *key, enum token_tri v)
{
    if (v == TOKEN_UNSET)
        return;
    add_key(s, key);
    str_add(s, v == TOKEN_TRUE ? "true" : "false");
}

static void add_flag(struct str *s, const char *key, bool v)
{
    add_tri(s, key, v ? TOKEN_TRUE : TOKEN_UNSET);
}

static void add_list(struct str *s, const char *key, const char *const *item, uint32_t n)
{
    if (n == 0)
        return;
    add_key(s, key);
    for (uint32_t i = 0; i < n; i++) {
        str_add_char(s, i == 0 ? '[' : ',');
        json_add_text(s, bytes_str(item[i]));
    }
    str_add_char(s, ']');
}

static void add_video(struct str *s, const struct token_video *v)
{
    add_key(s, "video");
    str_add_char(s, '{');
    add_flag(s, "roomCreate", v->room_create);
    add_flag(s, "roomList", v->room_list);
    add_flag(s, "roomRecord", v->room_record);
    add_flag(s, "roomAdmin", v->room_admin);
    add_flag(s, "roomJoin", v->room_join);
    add_text(s, "room", v->room);
    add_text(s, "destinationRoom", v->destination_room);
    add_tri(s, "canPublish", v->can_publish);
    add_tri(s, "canSubscribe", v->can_subscribe);
    add_tri(s, "canPublishData", v->can_publish_data);
    add_list(s, "canPublishSources", v->source, v->source_n);
    add_tri(s, "canUpdateOwnMetadata", v->can_update_own_metadata);
    add_flag(s, "ingressAdmin", v->ingress_admin);
    add_flag(s, "hidden", v->hidden);
    add_flag(s, "recorder", v->recorder);
    add_flag(s, "agent", v->agent);
    add_tri(s, "canSubscribeMetrics", v->can_subscribe_metrics);
    add_tri(s, "canManageAgentSession", v->can_manage_agent_session);
    str_add_char(s, '}');
}

static void add_pairs(struct str *s, const struct token_claims *c)
{
    if (c->attribute_n == 0)
        return;
    add_key(s, "attributes");
    str_add_char(s, '{');
    for (uint32_t i = 0; i < c->attribute_n; i++) {
        add_key(s, c->attribute[i].key);
        json_add_text(s, bytes_str(c->attribute[i].value));
    }
    str_add_char(s, '}');
}

static void add_claims(struct str *s, const struct token_claims *c)
{
    str_add_char(s, '{');
    add_text(s, "iss", c->issuer);
    add_text(s, "sub", c->identity);
    add_key(s, "exp");
    str_printf(s, "%lld", (long long)c->expires_s);
    if (c->not_before_s != 0) {
        add_key(s, "nbf");
        str_printf(s, "%lld", (long long)c->not_before_s);
    }
    add_text(s, "name", c->name);
    add_text(s, "metadata", c->metadata);
    add_text(s, "kind", c->kind);
    add_list(s, "kindDetails", c->kind_detail, c->kind_detail_n);
    add_text(s, "roomPreset", c->room_preset);
    add_text(s, "sha256", c->sha256);
    add_pairs(s, c);
    if (c->has_video)
        add_video(s, &c->video);
    if (c->sip_admin || c->sip_call) {
        add_key(s, "sip");
        str_add_char(s, '{');
        add_flag(s, "admin", c->sip_admin);
        add_flag(s, "call", c->sip_call);
        str_add_char(s, '}');
    }
    if (c->agent_admin) {
        add_key(s, "agent");
        str_add(s, "{\"admin\":true}");
    }
    if (c->room_config != NULL) {
        add_key(s, "roomConfig");
        str_add(s, c->room_config);
    }
    str_add_char(s, '}');
}

bool token_mint(struct str *out, const struct token_claims *claims, struct bytes secret)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    uint8_t mac[HASH_SHA256_BYTES];
    struct str payload;
    size_t from = out->len;

    str_init(&payload, TOKEN_BYTES_MAX);
    add_claims(&payload, claims);
    str_add_base64(out, bytes_str(header), true, false);
    str_add_char(out, '.');
    str_add_base64(out, str_bytes(&payload), true, false);
    bool ok = !payload.failed && !out->failed;
    str_fini(&payload);
    if (!ok)
        return false;
    hash_hmac_sha256(secret, bytes_of(out->p + from, out->len - from), mac);
    str_add_char(out, '.');
    str_add_base64(out, bytes_of(mac, sizeof mac), true, false);
    return !out->failed && out->len - from <= TOKEN_BYTES_MAX;
}

bool token_may_publish(const struct token_video *v)
{
    return v->can_publish != TOKEN_FALSE;
}

bool token_may_subscribe(const struct token_video *v)
{
    return v->can_subscribe != TOKEN_FALSE;
}

bool token_may_publish_data(const struct token_video *v)
{
    return v->can_publish_data == TOKEN_UNSET ? token_may_publish(v)
                                              : v->can_publish_data == TOKEN_TRUE;
}
