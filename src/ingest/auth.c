#include "ingest/auth.h"

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypt/hash.h"
#include "wire/url.h"
#include "wire/ws.h"

enum {
    QUESTION_MAX = 8 * AUTH_TEXT_MAX,
    OUT_MAX = 64 << 10,
    CHUNK_BYTES = 16 << 10,
};

enum call_state {
    CALL_ASK,        /* HTTP: a request to be taken by auth_ask() */
    CALL_ASKED,      /* HTTP: it is under way */
    CALL_CONNECT,    /* WebSocket: the owner is to connect */
    CALL_CONNECTING, /* it does */
    CALL_UPGRADE,    /* the handshake is awaited */
    CALL_OPEN,       /* the question went out */
    CALL_CLOSING,    /* what is left goes out, then the connection ends */
    CALL_GONE,       /* nothing is under way */
};

/* One question, or the news of one end. */
struct call {
    uint64_t id; /* of the connection too */
    enum call_state state;
    bool is_end;
    bool answered, told; /* the verdict stands; the owner has it */
    us_t until;
    char *text;
    struct tls tls;
    bool secure; /* tls is in use */
    struct http *http;
    struct ws *ws;
    char key[WS_KEY_CHARS + 1];
    struct str out; /* plain bytes for the other side */
    struct auth_event verdict;
};

struct auth {
    struct auth_cfg cfg;
    struct url url;
    bool web_socket;
    const char *target; /* of the request line, from the URL; "" for the root */
    struct rng rng;
    uint64_t ids;
    struct call *call[AUTH_CALLS_MAX];
    uint32_t call_n;
    struct http_header header[1];
    uint8_t chunk[CHUNK_BYTES];
};

/* ---- life ---- */

int auth_open(struct auth **ret, const struct auth_cfg *cfg)
{
    struct auth *a = mem_zero(sizeof *a);

    if (a == NULL)
        return E_NOMEM;
    a->cfg = *cfg;
    a->rng = rng_seed(cfg->seed);
    if (a->cfg.url == NULL)
        a->cfg.url = "";
    if (a->cfg.timeout_us == 0)
        a->cfg.timeout_us = AUTH_TIMEOUT_US;
    if (auth_wanted(a)) {
        const char *at = strstr(a->cfg.url, "://");
        int err = at == NULL ? E_INVAL : url_parse(&a->url, a->cfg.url);
        a->web_socket = strncmp(a->cfg.url, "ws", 2) == 0;
        if (err == 0 && a->web_socket && a->url.tls && cfg->tls == NULL)
            err = E_INVAL;
        if (err != 0) {
            mem_free(a);
            return err;
        }
        a->target = at + 3 + strcspn(at + 3, "/?#");
    }
    *ret = a;
    return 0;
}

bool auth_wanted(const struct auth *a)
{
    return a->cfg.url[0] != '\0';
}

static void call_free(struct call *c)
{
    if (c->text != NULL)
        mem_wipe(c->text, strlen(c->text)); /* it holds a key */
    mem_free(c->text);
    if (c->secure)
        tls_fini(&c->tls);
    http_free(c->http);
    ws_free(c->ws);
    str_fini(&c->out);
    mem_wipe(&c->verdict, sizeof c->verdict);
    mem_free(c);
}

void auth_free(struct auth *a)
{
    if (a == NULL)
        return;
    for (uint32_t i = 0; i < a->call_n; i++)
        call_free(a->call[i]);
    mem_free(a);
}

static struct call *find(struct auth *a, uint64_t id)
{
    for (uint32_t i = 0; i < a->call_n; i++)
        if (a->call[i]->id == id)
            return a->call[i];
    return NULL;
}

static bool is_done(const struct call *c)
{
    return c->state == CALL_GONE && (c->is_end || c->told);
}

/* Frees what is over; called when no pointer to a call is held. */
static void sweep(struct auth *a)
{
    for (uint32_t i = 0; i < a->call_n;) {
        if (is_done(a->call[i])) {
            call_free(a->call[i]);
            a->call[i] = a->call[--a->call_n];
        } else {
            i++;
        }
    }
}

/* ---- questions ---- */

static void add_field(struct str *s, const char *name, const char *value)
{
    if (value == NULL)
        return;
    str_printf(s, "%s\"%s\":", s->len > 1 ? "," : "", name);
    json_add_text(s, bytes_str(value));
}

static bool fits(const char *text)
{
    return text == NULL || strlen(text) < AUTH_TEXT_MAX;
}

/* ITGv2 sends the digest where it has no key. */
static const char *key_of(const struct auth_query *q)
{
    return q->key != NULL ? q->key : q->digest;
}

static char *write_question(const struct auth_query *q, bool is_end)
{
    struct str s;

    str_init(&s, QUESTION_MAX);
    str_add_char(&s, '{');
    if (!is_end)
        add_field(&s, "event", "start");
    add_field(&s, "stream_key", key_of(q));
    if (is_end) {
        add_field(&s, "status", "ended");
    } else {
        if (q->channel != 0)
            str_printf(&s, ",\"channel_id\":%u", q->channel);
        add_field(&s, "protocol", q->protocol);
        add_field(&s, "remote", q->remote);
        add_field(&s, "hmac_challenge", q->challenge);
        add_field(&s, "hmac_digest", q->digest);
    }
    str_add_char(&s, '}');
    char *text = s.failed ? NULL : mem_dup(s.p, s.len);
    if (s.p != NULL)
        mem_wipe(s.p, s.len);
    str_fini(&s);
    return text;
}

static int begin(struct auth *a, const struct auth_query *q, bool is_end, us_t now, uint64_t *id)
{
    if (key_of(q) == NULL)
        return E_INVAL;
    if (!fits(q->key) || !fits(q->protocol) || !fits(q->challenge) || !fits(q->digest) ||
        !fits(q->remote))
        return E_TOO_LARGE;
    if (a->call_n == AUTH_CALLS_MAX)
        return E_LIMIT;
    struct call *c = mem_zero(sizeof *c);
    if (c == NULL)
        return E_NOMEM;
    str_init(&c->out, OUT_MAX);
    c->text = write_question(q, is_end);
    if (c->text == NULL) {
        call_free(c);
        return E_NOMEM;
    }
    c->id = *id = ++a->ids;
    c->is_end = is_end;
    c->until = now + a->cfg.timeout_us;
    c->state = a->web_socket ? CALL_CONNECT : CALL_ASK;
    a->call[a->call_n++] = c;
    return 0;
}

int auth_start(struct auth *a, const struct auth_query *q, struct tick tick, uint64_t *id)
{
    assert(auth_wanted(a));
    return begin(a, q, false, tick.now, id);
}

void auth_end(struct auth *a, const struct auth_query *q, struct tick tick)
{
    uint64_t id;

    if (auth_wanted(a))
        (void)begin(a, q, true, tick.now, &id); /* refused: the service never hears of it */
}

/* ---- verdicts ---- */

static void decide(struct call *c, enum auth_verdict verdict, const char *why)
{
    if (c->is_end || c->answered)
        return;
    c->answered = true;
    c->verdict.id = c->id;
    c->verdict.verdict = verdict;
    c->verdict.why = why;
}

/* The connection ends; what stands in `out` is still sent. */
static void hang_up(struct call *c)
{
    if (c->state == CALL_CONNECT || c->state == CALL_ASK || c->state == CALL_ASKED)
        c->state = CALL_GONE;
    else if (c->state != CALL_GONE)
        c->state = CALL_CLOSING;
}

static void fail(struct call *c, const char *why)
{
    decide(c, AUTH_UNREACHABLE, why);
    if (c->state != CALL_CLOSING)
        str_clear(&c->out);
    hang_up(c);
}

/* A field that is there must be text that fits. */
static bool take_text(const struct json_t *reply, const char *name, char out[AUTH_TEXT_MAX])
{
    const struct json_t *v = json_member(reply, name);
    struct bytes text;

    if (v == NULL || json_kind_of(v) == JSON_KIND_NULL)
        return true;
    return json_to_text(v, &text) && str_copy(out, AUTH_TEXT_MAX, text);
}

static void read_reply(struct call *c, struct bytes text)
{
    struct auth_event v = {0};
    struct json_doc doc;
    bool allow = false;

    if (c->is_end || c->answered)
        return;
    if (json_parse(&doc, text, AUTH_REPLY_MAX) != 0) {
        decide(c, AUTH_UNREACHABLE, "the reply is no JSON");
        return;
    }
    bool readable = json_to_bool(json_member(doc.root, "allow"), &allow) &&
                    take_text(doc.root, "key", v.key) && take_text(doc.root, "stream", v.stream) &&
                    take_text(doc.root, "reason", v.reason);
    json_close(&doc);
    if (readable) {
        c->verdict = v;
        decide(c, allow ? AUTH_ALLOWED : AUTH_REFUSED, NULL);
    } else {
        decide(c, AUTH_UNREACHABLE, "the reply has no \"allow\", or a field that is no short text");
    }
    mem_wipe(&v, sizeof v);
}

void auth_cancel(struct auth *a, uint64_t id)
{
    struct call *c = find(a, id);

    if (c == NULL)
        return;
    c->answered = c->told = true;
    str_clear(&c->out);
    hang_up(c);
    sweep(a);
}

bool auth_event(struct auth *a, struct auth_event *out)
{
    for (uint32_t i = 0; i < a->call_n; i++) {
        struct call *c = a->call[i];
        if (!c->answered || c->told)
            continue;
        *out = c->verdict;
        c->told = true;
        sweep(a);
        return true;
    }
    return false;
}

/* ---- HTTP ---- */

bool auth_ask(struct auth *a, struct ask *out)
{
    for (uint32_t i = 0; i < a->call_n; i++) {
        struct call *c = a->call[i];
        if (c->state != CALL_ASK)
            continue;
        c->state = CALL_ASKED;
        a->header[0] = (struct http_header){"Content-Type", "application/json"};
        *out = (struct ask){.id = c->id,
                            .method = "POST",
                            .url = a->cfg.url,
                            .header = a->header,
                            .header_n = 1,
                            .body = bytes_str(c->text),
                            .timeout_us = a->cfg.timeout_us,
                            .answer_max = AUTH_REPLY_MAX};
        return true;
    }
    return false;
}

void auth_answer(struct auth *a, const struct reply *in)
{
    struct call *c = find(a, in->id);

    if (c == NULL || c->state != CALL_ASKED)
        return;
    if (in->err != 0)
        decide(c, AUTH_UNREACHABLE, "the service cannot be reached");
    else if (in->status < 200 || in->status > 299)
        decide(c, AUTH_UNREACHABLE, "the service answers with an error");
    else
        read_reply(c, in->body);
    c->state = CALL_GONE;
    sweep(a);
}

/* ---- WebSocket ---- */

static bool write_upgrade(struct auth *a, struct call *c)
{
    struct http_header header[4];
    char host[URL_HOST_MAX + 8], target[1 + URL_PATH_MAX];

    ws_key_new(c->key, &a->rng);
    size_t n = ws_request_headers(c->key, header);
    size_t len = strcspn(a->target, "#");
    if (len + 2 > sizeof target)
        return false;
    target[0] = '/';
    memcpy(target + 1, a->target, len);
    target[1 + len] = '\0';
    url_authority(&a->url, host);
    http_write_request(&c->out, "GET", a->target[0] == '/' ? target + 1 : target, host, header, n,
                       (struct bytes){0});
    return !c->out.failed && http_open(&c->http, HTTP_CLIENT) == 0;
}

void auth_connected(struct auth *a, uint64_t conn, struct tick tick)
{
    struct call *c = find(a, conn);

    if (c == NULL || c->state != CALL_CONNECTING)
        return;
    c->state = CALL_UPGRADE;
    if (a->url.tls) {
        if (tls_init(&c->tls, a->cfg.tls, a->url.host, (tick.now + tick.wall_off_us) / US_PER_SEC) <
            0) {
            fail(c, "out of memory");
            return;
        }
        c->secure = true;
    }
    if (!write_upgrade(a, c))
        fail(c, "out of memory");
}

static bool is_accepted(const struct call *c, const struct http_msg *m)
{
    const char *given = http_header_get(m, "sec-websocket-accept");
    char text[WS_KEY_CHARS + 37], want[WS_ACCEPT_CHARS + 1];
    uint8_t digest[HASH_SHA1_BYTES];

    ws_accept_text(text, c->key);
    hash_sha1(bytes_str(text), digest);
    ws_accept(want, digest);
    return m->status == 101 && given != NULL && strcmp(given, want) == 0;
}

static void take_frames(struct call *c)
{
    uint8_t chunk[1024];
    size_t n;

    while ((n = ws_output(c->ws, chunk, sizeof chunk)) > 0)
        str_add_bytes(&c->out, bytes_of(chunk, n));
}

/* The other side speaks WebSocket now: say what there is to say. */
static void speak(struct auth *a, struct call *c)
{
    struct rng rng = rng_seed(rng_u64(&a->rng));

    if (ws_open(&c->ws, WS_CLIENT, &rng) < 0 || ws_send(c->ws, WS_TEXT, bytes_str(c->text)) < 0) {
        fail(c, "out of memory");
        return;
    }
    c->state = CALL_OPEN;
    take_frames(c); /* first: a close frame would overtake the text */
    if (c->is_end) {
        (void)ws_close(c->ws, 1000, ""); /* refused only when it is closing */
        take_frames(c);
        hang_up(c);
    }
}

static size_t upgrade_input(struct auth *a, struct call *c, struct bytes in)
{
    size_t used = 0;
    enum http_got got = http_input(c->http, in, &used);

    if (got == HTTP_BEGUN && http_message(c->http)->upgrade)
        got = HTTP_WHOLE;
    if (got == HTTP_MORE || got == HTTP_BEGUN)
        return used;
    if (got == HTTP_WHOLE && is_accepted(c, http_message(c->http)))
        speak(a, c);
    else
        fail(c, "the service refuses the WebSocket");
    return used;
}

static size_t frames_input(struct call *c, struct bytes in)
{
    struct ws_event ev;
    size_t used = 0;

    if (ws_input(c->ws, in, &used) < 0) {
        fail(c, "the service breaks the WebSocket protocol");
        return in.len;
    }
    while (c->state == CALL_OPEN && ws_event(c->ws, &ev)) {
        if (ev.op == WS_CLOSE) {
            fail(c, "the service closed without a reply");
        } else if (ev.op == WS_TEXT || ev.op == WS_BINARY) {
            read_reply(c, ev.body);
            (void)ws_close(c->ws, 1000, ""); /* refused only when it is closing */
            take_frames(c);
            hang_up(c);
        }
    }
    if (c->state == CALL_OPEN)
        take_frames(c); /* pongs */
    return used;
}

static void plain_input(struct auth *a, struct call *c, struct bytes in)
{
    while (in.len > 0 && (c->state == CALL_UPGRADE || c->state == CALL_OPEN)) {
        size_t used = c->state == CALL_OPEN ? frames_input(c, in) : upgrade_input(a, c, in);
        in.p += used;
        in.len -= used;
    }
}

static void secure_input(struct auth *a, struct call *c, struct bytes in)
{
    uint8_t plain[4096];
    size_t n = 0;

    if (tls_input(&c->tls, in) < 0) {
        fail(c, c->tls.state == TLS_CLOSED ? c->tls.reason : "too much at once");
        return;
    }
    while (c->state != CALL_CLOSING && tls_read(&c->tls, plain, sizeof plain, &n) == 0 && n > 0)
        plain_input(a, c, bytes_of(plain, n));
    if (c->tls.state == TLS_CLOSED)
        fail(c, c->tls.reason);
}

void auth_input(struct auth *a, uint64_t conn, struct bytes in)
{
    struct call *c = find(a, conn);

    if (c == NULL || (c->state != CALL_UPGRADE && c->state != CALL_OPEN))
        return;
    if (c->secure)
        secure_input(a, c, in);
    else
        plain_input(a, c, in);
}

void auth_closed(struct auth *a, uint64_t conn, int err)
{
    struct call *c = find(a, conn);

    if (c == NULL || c->state < CALL_CONNECTING)
        return;
    decide(c, AUTH_UNREACHABLE,
           c->state == CALL_CONNECTING || err != 0 ? "the service cannot be reached"
                                                   : "the service closed without a reply");
    c->state = CALL_GONE;
    sweep(a);
}

/* Bytes for the wire into the chunk; 0: none. */
static size_t take_bytes(struct auth *a, struct call *c)
{
    struct wr w = wr_of(a->chunk, sizeof a->chunk);

    if (!c->secure) {
        size_t n = size_min(c->out.len, sizeof a->chunk);
        if (n == 0)
            return 0;
        memcpy(a->chunk, c->out.p, n);
        memmove(c->out.p, c->out.p + n, c->out.len - n);
        c->out.len -= n;
        return n;
    }
    if (c->out.len > 0 && c->tls.state == TLS_OPEN && tls_write(&c->tls, str_bytes(&c->out)) == 0)
        str_clear(&c->out);
    if (c->state == CALL_CLOSING && c->tls.state == TLS_OPEN)
        tls_close(&c->tls);
    return tls_output(&c->tls, &w) ? wr_done(&w).len : 0;
}

static bool output_of(struct auth *a, struct call *c, struct auth_out *out)
{
    *out = (struct auth_out){.conn = c->id, .host = a->url.host, .port = a->url.port};
    if (c->state == CALL_CONNECT) {
        c->state = CALL_CONNECTING;
        out->kind = AUTH_OUT_CONNECT;
        return true;
    }
    if (c->state != CALL_UPGRADE && c->state != CALL_OPEN && c->state != CALL_CLOSING)
        return false;
    size_t n = take_bytes(a, c);
    if (n > 0) {
        out->kind = AUTH_OUT_SEND;
        out->data = bytes_of(a->chunk, n);
        return true;
    }
    if (c->state != CALL_CLOSING)
        return false;
    c->state = CALL_GONE;
    out->kind = AUTH_OUT_CLOSE;
    return true;
}

bool auth_output(struct auth *a, struct auth_out *out)
{
    for (uint32_t i = 0; i < a->call_n; i++)
        if (output_of(a, a->call[i], out))
            return true;
    sweep(a);
    return false;
}

/* ---- time ---- */

void auth_tick(struct auth *a, us_t now)
{
    for (uint32_t i = 0; i < a->call_n; i++) {
        struct call *c = a->call[i];
        if (now < c->until || c->state == CALL_GONE)
            continue;
        c->until = US_NEVER;
        fail(c, "the service does not answer in time");
    }
    sweep(a);
}

us_t auth_deadline(const struct auth *a)
{
    us_t at = US_NEVER;

    for (uint32_t i = 0; i < a->call_n; i++) {
        const struct call *c = a->call[i];
        if (c->answered && !c->told)
            return 0; /* an event waits */
        if (c->state != CALL_GONE)
            at = us_min(at, c->until);
    }
    return at;
}
