#include "app/joiner.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypt/crypt.h"
#include "rtc/peer.h"
#include "wire/http.h"
#include "wire/ws.h"

#include <stdio.h>

enum {
    REFUSAL_TEXT_MAX = 512,
    WRITE_BYTES_MAX = 8 << 20,
    DATAGRAMS_PER_PUMP = 256, /* then the other socket gets its turn */
};

struct joiner {
    struct client *client;
    struct http *http;
    struct ws *ws;  /* NULL until the server switched protocols */
    struct str out; /* bytes for the stream */
    size_t out_at;
    int tcp, udp;
    struct addr local;
    uint8_t datagram[2048];
    int refused;
    char refusal[REFUSAL_TEXT_MAX];
    bool closed;
    uint64_t seed;
};

static int send_upgrade(struct joiner *j, const struct joiner_cfg *cfg)
{
    char key[WS_KEY_CHARS + 1], authority[URL_HOST_MAX + 8];
    struct http_header header[5];
    struct str target, bearer;
    struct rng rng = rng_seed(j->seed);

    ws_key_new(key, &rng);
    size_t n = ws_request_headers(key, header);
    str_init(&target, CLIENT_MESSAGE_BYTES_MAX);
    str_init(&bearer, 1 << 16);
    str_printf(&bearer, "Bearer %s", cfg->token);
    header[n++] = (struct http_header){.name = "Authorization", .value = str_text(&bearer)};
    url_authority(&cfg->url, authority);
    str_add(&target, cfg->url.path);
    int err = client_target(j->client, &target);
    if (!err)
        http_write_request(&j->out, "GET", str_text(&target), authority, header, n,
                           (struct bytes){0});
    if (!err && (target.failed || bearer.failed || j->out.failed))
        err = E_TOO_LARGE;
    str_fini(&target);
    str_fini(&bearer);
    return err;
}

int joiner_open(struct joiner **ret, const struct joiner_cfg *cfg, struct tick tick)
{
    struct joiner *j = mem_zero(sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->tcp = j->udp = -1;
    str_init(&j->out, WRITE_BYTES_MAX);
    int err = crypt_random(&j->seed, sizeof j->seed);
    if (!err)
        err = cfg->url.tls ? E_UNSUPPORTED : 0;
    if (!err)
        err = client_open(&j->client, &cfg->client, tick.now);
    if (!err)
        err = http_open(&j->http, HTTP_CLIENT);
    if (!err) {
        j->udp = dial_udp(4, &j->local);
        err = j->udp < 0 ? j->udp : 0;
    }
    if (!err) {
        client_add_address(j->client, &j->local);
        j->tcp = cfg->soon ? dial_tcp_soon(cfg->url.host, cfg->url.port)
                           : dial_tcp(cfg->url.host, cfg->url.port);
        err = j->tcp < 0 ? j->tcp : 0;
    }
    if (!err)
        err = send_upgrade(j, cfg);
    if (err) {
        joiner_free(j);
        return err;
    }
    joiner_flush(j);
    *ret = j;
    return 0;
}

void joiner_free(struct joiner *j)
{
    if (j == NULL)
        return;
    client_free(j->client);
    http_free(j->http);
    ws_free(j->ws);
    str_fini(&j->out);
    dial_close(j->tcp);
    dial_close(j->udp);
    mem_free(j);
}

struct client *joiner_client(struct joiner *j)
{
    return j->client;
}

int joiner_media_fd(const struct joiner *j)
{
    return j->udp;
}

int joiner_refusal(const struct joiner *j, const char **text)
{
    *text = j->refusal;
    return j->refused;
}

void joiner_waits(const struct joiner *j, struct dial_wait out[2])
{
    bool writing = j->out.len > j->out_at;

    out[0] = (struct dial_wait){.fd = j->closed ? -1 : j->tcp,
                                .want = DIAL_READ | (writing ? DIAL_WRITE : 0)};
    out[1] = (struct dial_wait){.fd = j->udp, .want = DIAL_READ};
}

us_t joiner_deadline(const struct joiner *j)
{
    return client_deadline(j->client);
}

static void stream_lost(struct joiner *j)
{
    if (j->closed)
        return;
    j->closed = true;
    client_socket_closed(j->client);
}

static void write_stream(struct joiner *j)
{
    while (!j->closed && j->out_at < j->out.len) {
        int n = dial_write(j->tcp, bytes_of(j->out.p + j->out_at, j->out.len - j->out_at));
        if (n < 0)
            stream_lost(j);
        if (n <= 0)
            return;
        j->out_at += (size_t)n;
    }
    str_clear(&j->out);
    j->out_at = 0;
}

void joiner_flush(struct joiner *j)
{
    uint8_t chunk[JOINER_READ_BYTES];
    struct bytes msg;
    struct path path;
    size_t n;

    while (j->ws != NULL && client_message_output(j->client, &msg)) {
        if (ws_send(j->ws, WS_BINARY, msg) != 0)
            stream_lost(j);
    }
    while (j->ws != NULL && (n = ws_output(j->ws, chunk, sizeof chunk)) > 0)
        str_add_bytes(&j->out, bytes_of(chunk, n));
    if (j->out.failed)
        stream_lost(j);
    write_stream(j);
    struct wr w = wr_of(chunk, PEER_DATAGRAM_MAX);
    while (client_datagram_output(j->client, &path, &w)) {
        (void)dial_send(j->udp, &path.remote, wr_done(&w)); /* lost like any datagram */
        w = wr_of(chunk, PEER_DATAGRAM_MAX);
    }
}

/* The answer to the upgrade: 101, or a refusal with its text. */
static size_t upgrade_input(struct joiner *j, struct bytes in)
{
    size_t used = 0;
    enum http_got got = http_input(j->http, in, &used);

    if (got == HTTP_BEGUN && http_message(j->http)->upgrade)
        got = HTTP_WHOLE;
    if (got == HTTP_REFUSED) {
        stream_lost(j);
        return in.len;
    }
    if (got != HTTP_WHOLE)
        return used;
    const struct http_msg *m = http_message(j->http);
    struct rng rng = rng_seed(j->seed + 1);
    if (m->status == 101 && ws_open(&j->ws, WS_CLIENT, &rng) == 0)
        return used;
    j->refused = m->status;
    (void)snprintf(j->refusal, sizeof j->refusal, "%.*s", (int)size_min(m->body.len, 500),
                   (const char *)m->body.p); /* cut when long */
    stream_lost(j);
    return in.len;
}

static size_t ws_bytes(struct joiner *j, struct bytes in, struct tick tick)
{
    struct ws_event ev;
    size_t used = 0;

    if (ws_input(j->ws, in, &used) < 0) {
        stream_lost(j);
        return in.len;
    }
    while (ws_event(j->ws, &ev)) {
        if (ev.op == WS_BINARY || ev.op == WS_TEXT)
            client_message(j->client, ev.op == WS_TEXT, ev.body, tick);
        else if (ev.op == WS_CLOSE)
            stream_lost(j);
    }
    return used;
}

static void read_stream(struct joiner *j, struct tick tick)
{
    uint8_t buf[JOINER_READ_BYTES];
    int n = 0;

    while (!j->closed && (n = dial_read(j->tcp, buf, sizeof buf)) > 0) {
        struct bytes in = bytes_of(buf, (size_t)n);
        while (in.len > 0 && !j->closed) {
            size_t used = j->ws != NULL ? ws_bytes(j, in, tick) : upgrade_input(j, in);
            in.p += used;
            in.len -= used;
        }
    }
    if (n < 0) {
        if (j->ws == NULL && !j->closed && http_input_end(j->http) == HTTP_WHOLE)
            j->refused = http_message(j->http)->status;
        stream_lost(j);
    }
}

void joiner_pump(struct joiner *j, struct tick tick)
{
    read_stream(j, tick);
    client_tick(j->client, tick);
    joiner_flush(j);
}

bool joiner_media(struct joiner *j, struct tick tick, struct client_media *media)
{
    struct path path = {.local = j->local};

    for (unsigned i = 0; i < DATAGRAMS_PER_PUMP; i++) {
        int n = dial_recv(j->udp, &path.remote, j->datagram, sizeof j->datagram);
        if (n <= 0)
            return false;
        if (client_datagram(j->client, &path, j->datagram, (size_t)n, tick, media))
            return true;
    }
    return false;
}

bool joiner_event(struct joiner *j, struct client_event *ev)
{
    return client_event(j->client, ev);
}
