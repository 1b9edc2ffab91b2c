#include "app/command.h"

#include "base/err.h"
#include "io/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "crypt/crypt.h"
#include "io/dial.h"
#include "io/file.h"
#include "wire/http.h"
#include "wire/url.h"

#include <stdio.h>

enum {
    KEY_RANDOM_CHARS = 12,
    SECRET_RANDOM_BYTES = 32,
    KEY_FILE_BYTES_MAX = 64 << 10,
    CALL_BYTES_MAX = 16 << 20,
    FILE_SECRET_BYTES = 12,
    FILE_SECRET_TEXT_MAX = 256,
    CALL_US = 30 * 1000 * 1000,
};

void creds_flags(struct creds *c, struct flag out[CREDS_FLAGS])
{
    const struct flag flags[CREDS_FLAGS] = {
        {"url", FLAG_TEXT, &c->url},           {"host", FLAG_TEXT, &c->host},
        {"api-key", FLAG_TEXT, &c->key},       {"api-secret", FLAG_TEXT, &c->secret},
        {"data-dir", FLAG_TEXT, &c->data_dir}, {"dev", FLAG_SWITCH, &c->dev},
    };
    memcpy(out, flags, sizeof flags);
}

int creds_data_dir(const struct command_args *a, const char *asked, struct str *out)
{
    const char *base;

    if (asked == NULL || asked[0] == '\0')
        asked = command_env(a, "SLUICE_DATA_DIR");
    if (asked != NULL)
        str_add(out, asked);
    else if ((base = command_env(a, "XDG_DATA_HOME")) != NULL)
        str_printf(out, "%s/sluice", base);
    else if ((base = command_env(a, "HOME")) != NULL)
        str_printf(out, "%s/.local/share/sluice", base);
    else
        return command_misused("up", "no home directory; name one with --data-dir");
    return out->failed ? command_misused("up", "--data-dir: the path is too long") : 0;
}

/* "APIxxxxxxxxxxxx" and 43 characters from 32 secret bytes. */
int creds_make(struct str *out)
{
    static const char alphabet[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    uint8_t dice[KEY_RANDOM_CHARS], secret[SECRET_RANDOM_BYTES];

    if (crypt_random(dice, sizeof dice) < 0 || crypt_random(secret, sizeof secret) < 0)
        return E_LIBRARY;
    str_add(out, "API");
    for (size_t i = 0; i < sizeof dice; i++)
        str_add_char(out, alphabet[dice[i] % (sizeof alphabet - 1)]);
    str_add(out, ": ");
    str_add_base64(out, bytes_of(secret, sizeof secret), true, false);
    str_add(out, "\n");
    mem_wipe(secret, sizeof secret);
    return out->failed ? E_NOMEM : 0;
}

int creds_keys(const char *dir, struct conf *conf, bool make, bool *made)
{
    char path[4096];
    struct str text;

    *made = false;
    (void)snprintf(path, sizeof path, "%s/keys", dir);
    str_init(&text, KEY_FILE_BYTES_MAX);
    int err = file_read(path, &text, NULL);
    if (err == E_NOENT && make) {
        err = file_make_dir(dir, 0700);
        if (err == 0)
            err = creds_make(&text);
        if (err == 0)
            err = file_write(path, str_bytes(&text), 0600);
        *made = err == 0;
    }
    if (err == 0)
        err = conf_keys(conf, path, str_bytes(&text));
    mem_wipe(text.p, text.len);
    str_fini(&text);
    return err;
}

int creds_secret(const char *dir, const char *file, struct conf *c, const char **out)
{
    char path[4096];
    struct str text;
    uint8_t dice[FILE_SECRET_BYTES];

    (void)snprintf(path, sizeof path, "%s/%s", dir, file); /* cut when long: refused below */
    str_init(&text, FILE_SECRET_TEXT_MAX);
    int err = file_read(path, &text, NULL);
    if (err == E_NOENT) {
        err = crypt_random(dice, sizeof dice);
        str_add_base64(&text, bytes_of(dice, sizeof dice), true, false);
        if (err == 0)
            err = file_make_dir(dir, 0700);
        if (err == 0)
            err = file_write(path, str_bytes(&text), 0600);
    }
    if (err == 0) {
        const char *copy =
            arena_dup(&c->arena, bytes_of(str_text(&text), strcspn(str_text(&text), "\r\n")));
        err = copy != NULL ? 0 : E_NOMEM;
        if (err == 0)
            *out = copy;
    }
    str_fini(&text);
    return err;
}

static int keys_of_data_dir(const char *name, const struct command_args *a, struct creds *c,
                            struct arena *arena)
{
    struct conf conf;
    struct str dir;
    bool made;

    str_init(&dir, 4000);
    conf_init(&conf);
    int err = creds_data_dir(a, c->data_dir, &dir);
    if (err == 0 && creds_keys(str_text(&dir), &conf, false, &made) < 0)
        err = command_misused(name, "no API key; give --api-key and --api-secret, or set "
                                    "LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or use --dev");
    if (err == 0) {
        c->key = arena_dup_str(arena, conf.key[0].id);
        c->secret = arena_dup_str(arena, conf.key[0].secret);
        if (c->key == NULL || c->secret == NULL)
            err = command_failed(name, "out of memory");
    }
    conf_fini(&conf);
    str_fini(&dir);
    return err;
}

int creds_find(const char *name, const struct command_args *a, struct creds *c, struct arena *arena)
{
    if (c->url == NULL)
        c->url = c->host;
    if (c->url == NULL)
        c->url = command_env(a, "LIVEKIT_URL");
    if (c->url == NULL)
        c->url = "ws://localhost:7880";
    if (c->key == NULL && c->secret == NULL && !c->dev) {
        c->key = command_env(a, "LIVEKIT_API_KEY");
        c->secret = command_env(a, "LIVEKIT_API_SECRET");
    }
    if ((c->key == NULL) != (c->secret == NULL))
        return command_misused(name, "%s is missing; a key needs its secret",
                               c->key == NULL ? "--api-key" : "--api-secret");
    if (c->key != NULL)
        return 0;
    if (c->dev) {
        c->key = "devkey";
        c->secret = "secret";
        return 0;
    }
    return keys_of_data_dir(name, a, c, arena);
}

/* ---- one call ---- */

static int send_all(int fd, struct bytes b)
{
    while (b.len > 0) {
        struct dial_wait w = {.fd = fd, .want = DIAL_WRITE};
        int n = dial_write(fd, b);
        if (n < 0)
            return n;
        b = bytes_of(b.p + n, b.len - (size_t)n);
        if (n == 0 && dial_wait(&w, 1, CALL_US) < 0)
            return E_TIMEOUT;
    }
    return 0;
}

static int read_answer(int fd, struct http *h)
{
    uint8_t buf[16384];

    for (;;) {
        struct dial_wait w = {.fd = fd, .want = DIAL_READ};
        int n = dial_read(fd, buf, sizeof buf);
        if (n == E_CLOSED)
            return http_input_end(h) == HTTP_WHOLE ? 0 : E_CLOSED;
        if (n < 0)
            return n;
        if (n == 0) {
            if (dial_wait(&w, 1, CALL_US) < 0 || w.ready == 0)
                return E_TIMEOUT;
            continue;
        }
        struct bytes in = bytes_of(buf, (size_t)n);
        while (in.len > 0) {
            size_t used = 0;
            enum http_got got = http_input(h, in, &used);
            if (got == HTTP_WHOLE)
                return 0;
            if (got == HTTP_REFUSED)
                return E_MALFORMED;
            in = bytes_of(in.p + used, in.len - used);
        }
    }
}

/* Twirp's {"code":..,"msg":..} as one line. */
static int explain(const char *name, const struct http_msg *m)
{
    struct json_doc doc;
    struct bytes code = bytes_str("error"), msg = m->body;
    bool parsed = json_parse(&doc, m->body, CALL_BYTES_MAX) == 0;

    if (parsed) {
        (void)json_to_text(json_member(doc.root, "code"), &code); /* the defaults stay */
        (void)json_to_text(json_member(doc.root, "msg"), &msg);
    }
    int ret = command_failed(name, "%.*s (%.*s, HTTP %d)", (int)size_min(msg.len, 300),
                             (const char *)msg.p, (int)code.len, (const char *)code.p, m->status);
    if (parsed)
        json_close(&doc);
    return ret;
}

static void write_call(struct str *out, const struct url *url, const char *method,
                       const char *token, struct bytes json)
{
    char host[URL_HOST_MAX + 8], target[URL_PATH_MAX + 64];
    struct str bearer;

    url_authority(url, host);
    (void)snprintf(target, sizeof target, "%s/twirp/%s%s", url->path,
                   strchr(method, '/') != NULL ? "" : "livekit.RoomService/", method); /* fits */
    str_init(&bearer, 128 << 10);
    str_printf(&bearer, "Bearer %s", token);
    struct http_header h[] = {
        {"Authorization", str_text(&bearer)},
        {"Content-Type", "application/json"},
        {"Connection", "close"},
    };
    http_write_request(out, "POST", target, host, h, ARRAY_LEN(h), json);
    str_fini(&bearer);
}

int creds_call(const char *name, const struct creds *c, const char *method, const char *token,
               struct bytes json, struct str *out)
{
    struct http *h = NULL;
    struct url url;
    struct str request;

    if (url_parse(&url, c->url) < 0)
        return command_misused(name, "--url: '%.100s' is no address; write http://HOST:7880",
                               c->url);
    if (url.tls)
        return command_misused(name, "--url: https is not spoken yet; use the http port");
    int fd = dial_tcp(url.host, url.port);
    if (fd < 0)
        return command_failed(name, "no server at %s (%s); start one, or name it with --url",
                              c->url, err_text(fd));
    str_init(&request, CALL_BYTES_MAX);
    write_call(&request, &url, method, token, json);
    int err = request.failed ? E_TOO_LARGE : send_all(fd, str_bytes(&request));
    if (err == 0)
        err = http_open(&h, HTTP_CLIENT);
    if (err == 0) {
        http_set_body_max(h, CALL_BYTES_MAX);
        err = read_answer(fd, h);
    }
    int ret = 0;
    if (err < 0)
        ret = command_failed(name, "%s did not answer: %s", c->url, err_text(err));
    else if (http_message(h)->status != 200)
        ret = c->quiet ? COMMAND_FAILED : explain(name, http_message(h));
    else
        str_add_bytes(out, http_message(h)->body);
    http_free(h);
    dial_close(fd);
    str_fini(&request);
    return ret;
}

int creds_token(const char *name, const struct creds *c, const struct token_video *video,
                const char *identity, struct str *out)
{
    struct token_claims *claims = mem_zero(sizeof *claims);
    struct tick t = clock_tick();

    if (claims == NULL)
        return command_failed(name, "out of memory");
    claims->issuer = c->key;
    claims->identity = identity;
    claims->name = claims->metadata = claims->kind = claims->room_preset = claims->sha256 = "";
    claims->expires_s = (t.now + t.wall_off_us) / US_PER_SEC + TOKEN_TTL_S;
    claims->has_video = true;
    claims->video = *video;
    claims->video.room = video->room != NULL ? video->room : "";
    claims->video.destination_room = video->destination_room != NULL ? video->destination_room : "";
    bool ok = token_mint(out, claims, bytes_str(c->secret));
    mem_free(claims);
    return ok ? 0 : command_failed(name, "cannot make a token");
}
