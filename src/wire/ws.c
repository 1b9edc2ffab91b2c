#include "wire/ws.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdio.h>
#include <wslay/wslay.h>

/* wslay is given the bytes of one frame at a time, so that it completes one message at most;
 * it collects nothing (a message of a million one-byte fragments would cost it a hundred
 * times its size), and reports the payload as it comes. */

enum { HEADER_MAX = 14, BODY_KEPT_BYTES = 64 << 10, QUEUED_OVERHEAD_BYTES = 128 };

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct ws {
    wslay_event_context_ptr ctx;
    enum ws_role role;
    struct rng rng;
    size_t queue_max;
    int failed; /* the reason why no more input is taken */
    bool close_queued;

    struct bytes in; /* what wslay may read now */
    uint8_t header[HEADER_MAX];
    size_t header_n;
    uint64_t payload_left;
    bool in_payload;
    bool header_wrong;

    bool control_frame; /* the frame that is coming in */
    struct str body;    /* of the message that is coming in, or of the event last given */
    bool body_given;
    uint8_t control[WS_REASON_BYTES_MAX + 2];
    struct ws_event event;
    bool event_there;

    uint8_t *out;
    size_t out_n, out_cap;
};

/* ---- handshake ---- */

void ws_accept_text(char out[WS_KEY_CHARS + 37], const char *key)
{
    (void)snprintf(out, WS_KEY_CHARS + 37, "%.24s" GUID, key); /* fits by its parts */
}

static void put_base64(char *out, size_t cap, struct bytes b)
{
    struct str s;

    str_init(&s, cap);
    str_add_base64(&s, b, false, true);
    if (s.failed || !str_copy(out, cap, str_bytes(&s)))
        out[0] = '\0';
    str_fini(&s);
}

void ws_accept(char out[WS_ACCEPT_CHARS + 1], const uint8_t digest[WS_DIGEST_BYTES])
{
    put_base64(out, WS_ACCEPT_CHARS + 1, bytes_of(digest, WS_DIGEST_BYTES));
}

const char *ws_upgrade_key(const struct http_msg *m)
{
    const char *version = http_header_get(m, "sec-websocket-version");
    const char *key = http_header_get(m, "sec-websocket-key");
    uint8_t raw[16];
    size_t n;

    if (!m->upgrade || version == NULL || strcmp(version, "13") != 0 || key == NULL)
        return NULL;
    if (strlen(key) != WS_KEY_CHARS || !base64_decode(bytes_str(key), raw, sizeof raw, &n) ||
        n != sizeof raw)
        return NULL;
    return key;
}

void ws_key_new(char out[WS_KEY_CHARS + 1], struct rng *rng)
{
    uint8_t raw[16];

    rng_fill(rng, raw, sizeof raw);
    put_base64(out, WS_KEY_CHARS + 1, bytes_of(raw, sizeof raw));
}

size_t ws_request_headers(const char *key, struct http_header out[4])
{
    out[0] = (struct http_header){"Connection", "Upgrade"};
    out[1] = (struct http_header){"Upgrade", "websocket"};
    out[2] = (struct http_header){"Sec-WebSocket-Version", "13"};
    out[3] = (struct http_header){"Sec-WebSocket-Key", key};
    return 4;
}

/* ---- what wslay asks and tells ---- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags UNUSED,
                       void *user)
{
    struct ws *w = user;
    size_t n = size_min(len, w->in.len);

    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, w->in.p, n);
    w->in = bytes_of(w->in.p + n, w->in.len - n);
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len,
                       int flags UNUSED, void *user)
{
    struct ws *w = user;
    size_t n = size_min(len, w->out_cap - w->out_n);

    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(w->out + w->out_n, data, n);
    w->out_n += n;
    return (ssize_t)n;
}

static int on_genmask(wslay_event_context_ptr ctx UNUSED, uint8_t *buf, size_t len, void *user)
{
    struct ws *w = user;

    rng_fill(&w->rng, buf, len);
    return 0;
}

static void on_frame(wslay_event_context_ptr ctx UNUSED,
                     const struct wslay_event_on_frame_recv_start_arg *arg, void *user)
{
    struct ws *w = user;

    w->control_frame = (arg->opcode & 8) != 0;
}

/* Tells the peer why and reads no more. */
static void give_up(struct ws *w, uint16_t code, int why)
{
    if (w->failed)
        return;
    w->failed = why;
    (void)ws_close(w, code, ""); /* refused only when one is queued already */
    wslay_event_shutdown_read(w->ctx);
}

static void on_chunk(wslay_event_context_ptr ctx UNUSED,
                     const struct wslay_event_on_frame_recv_chunk_arg *arg, void *user)
{
    struct ws *w = user;

    if (w->control_frame || arg->data_length == 0 || w->failed)
        return;
    str_add_bytes(&w->body, bytes_of(arg->data, arg->data_length));
    if (w->body.failed)
        give_up(w, WSLAY_CODE_MESSAGE_TOO_BIG, E_TOO_LARGE);
}

static void on_message(wslay_event_context_ptr ctx UNUSED,
                       const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct ws *w = user;
    bool is_control = (arg->opcode & 8) != 0;
    size_t skip = arg->opcode == WSLAY_CONNECTION_CLOSE ? 2 : 0; /* the code */

    if (w->failed)
        return;
    w->event = (struct ws_event){.op = (enum ws_op)arg->opcode};
    w->event_there = true;
    if (!is_control) {
        w->event.body = str_bytes(&w->body);
        w->body_given = true;
        return;
    }
    if (arg->opcode == WSLAY_CONNECTION_CLOSE)
        w->event.close_code = arg->status_code ? arg->status_code : 1005;
    if (arg->msg_length > skip && arg->msg_length <= sizeof w->control) {
        memcpy(w->control, arg->msg + skip, arg->msg_length - skip);
        w->event.body = bytes_of(w->control, arg->msg_length - skip);
    }
}

/* ---- life cycle ---- */

int ws_open(struct ws **ret, enum ws_role role, const struct rng *rng)
{
    static const struct wslay_event_callbacks calls = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_genmask,
        .on_frame_recv_start_callback = on_frame,
        .on_frame_recv_chunk_callback = on_chunk,
        .on_msg_recv_callback = on_message,
    };
    struct ws *w = mem_zero(sizeof *w);

    if (w == NULL)
        return E_NOMEM;
    w->role = role;
    w->rng = *rng;
    w->queue_max = WS_QUEUE_BYTES_MAX;
    str_init(&w->body, WS_MESSAGE_BYTES_MAX);
    int err = role == WS_SERVER ? wslay_event_context_server_init(&w->ctx, &calls, w)
                                : wslay_event_context_client_init(&w->ctx, &calls, w);
    if (err) {
        w->ctx = NULL;
        ws_free(w);
        return E_NOMEM;
    }
    wslay_event_config_set_no_buffering(w->ctx, 1);
    wslay_event_config_set_max_recv_msg_length(w->ctx, WS_MESSAGE_BYTES_MAX);
    *ret = w;
    return 0;
}

void ws_free(struct ws *w)
{
    if (w == NULL)
        return;
    if (w->ctx != NULL)
        wslay_event_context_free(w->ctx);
    str_fini(&w->body);
    mem_free(w);
}

void ws_set_queue_max(struct ws *w, size_t max)
{
    w->queue_max = max;
}

/* ---- input ---- */

/* One byte of a frame's header (s5.2); true when it is whole. */
static bool header_byte(struct ws *w, uint8_t c)
{
    w->header[w->header_n++] = c;
    if (w->header_n < 2)
        return false;

    const uint8_t *h = w->header;
    uint8_t len = h[1] & 0x7f;
    bool masked = (h[1] & 0x80) != 0, control = (h[0] & 8) != 0, final = (h[0] & 0x80) != 0;
    /* s5.1: a client masks, a server does not; s5.5: control frames are whole and short.
     * wslay would close without a code. */
    bool half_code = (h[0] & 15) == WS_CLOSE && len == 1; /* s5.5.1: two bytes or none */
    if (masked != (w->role == WS_SERVER) || half_code || (control && (!final || len > 125)))
        w->header_wrong = true;
    size_t ext = len == 127 ? 8 : len == 126 ? 2 : 0;
    if (w->header_n < 2 + ext + (masked ? 4 : 0))
        return false;
    w->payload_left = ext == 0 ? len : 0;
    for (size_t i = 0; i < ext; i++)
        w->payload_left = w->payload_left << 8 | h[2 + i];
    if (ext > 0 && w->payload_left < (ext == 2 ? 126 : 65536)) /* s5.2: the shortest form */
        w->header_wrong = true;
    return true;
}

/* How many of these bytes belong to the frame that is coming in. */
static size_t frame_span(struct ws *w, struct bytes in)
{
    size_t n = 0;

    while (n < in.len && !w->in_payload)
        w->in_payload = header_byte(w, in.p[n++]);
    if (!w->in_payload)
        return n;
    size_t more = w->payload_left < in.len - n ? (size_t)w->payload_left : in.len - n;
    w->payload_left -= more;
    if (w->payload_left == 0) {
        w->in_payload = false;
        w->header_n = 0;
    }
    return n + more;
}

static void forget_body(struct ws *w)
{
    w->body_given = false;
    if (w->body.cap > BODY_KEPT_BYTES) {
        str_fini(&w->body);
        str_init(&w->body, WS_MESSAGE_BYTES_MAX);
    }
    str_clear(&w->body);
}

static int read_frame(struct ws *w, struct bytes part)
{
    w->in = part;
    int err = wslay_event_recv(w->ctx);
    if (err)
        give_up(w, WSLAY_CODE_PROTOCOL_ERROR, err == WSLAY_ERR_NOMEM ? E_NOMEM : E_MALFORMED);
    if (w->failed)
        return w->failed;
    if (!wslay_event_get_read_enabled(w->ctx) && !wslay_event_get_close_received(w->ctx)) {
        w->close_queued = true; /* by wslay, with its reason */
        w->failed = E_MALFORMED;
    } else if (ws_queued_bytes(w) > w->queue_max + WS_MESSAGE_BYTES_MAX) {
        w->failed = E_LIMIT; /* pings and no reading */
    }
    return w->failed;
}

int ws_input(struct ws *w, struct bytes in, size_t *used)
{
    *used = 0;
    if (w->body_given)
        forget_body(w);
    w->event_there = false;
    if (w->failed)
        return w->failed;
    while (*used < in.len && !w->event_there) {
        if (wslay_event_get_close_received(w->ctx)) {
            *used = in.len; /* s5.5.1: nothing counts after a close frame */
            return 0;
        }
        struct bytes rest = bytes_of(in.p + *used, in.len - *used);
        size_t n = frame_span(w, rest);
        *used += n;
        if (w->header_wrong)
            give_up(w, WSLAY_CODE_PROTOCOL_ERROR, E_MALFORMED);
        else if (w->payload_left > WS_MESSAGE_BYTES_MAX) /* before any of it is kept */
            give_up(w, WSLAY_CODE_MESSAGE_TOO_BIG, E_TOO_LARGE);
        if (w->failed)
            return w->failed;
        int err = read_frame(w, bytes_of(rest.p, n));
        if (err)
            return err;
    }
    return 0;
}

bool ws_event(struct ws *w, struct ws_event *out)
{
    if (!w->event_there)
        return false;
    *out = w->event;
    w->event_there = false;
    return true;
}

/* ---- output ---- */

size_t ws_queued_bytes(const struct ws *w)
{
    return wslay_event_get_queued_msg_length(w->ctx) +
           QUEUED_OVERHEAD_BYTES * wslay_event_get_queued_msg_count(w->ctx);
}

int ws_send(struct ws *w, enum ws_op op, struct bytes body)
{
    struct wslay_event_msg msg = {.opcode = (uint8_t)op, .msg = body.p, .msg_length = body.len};

    assert(op != WS_CLOSE);
    if (w->close_queued || w->failed)
        return E_CLOSED;
    if (body.len > w->queue_max || ws_queued_bytes(w) > w->queue_max - body.len)
        return E_LIMIT;
    switch (wslay_event_queue_msg(w->ctx, &msg)) {
    case 0:
        return 0;
    case WSLAY_ERR_NO_MORE_MSG:
        return E_CLOSED;
    case WSLAY_ERR_NOMEM:
        return E_NOMEM;
    default:
        return E_INVAL;
    }
}

int ws_close(struct ws *w, uint16_t code, const char *reason)
{
    if (w->close_queued)
        return E_CLOSED;
    w->close_queued = true;
    size_t n = size_min(strlen(reason), WS_REASON_BYTES_MAX);
    int err = wslay_event_queue_close(w->ctx, code, (const uint8_t *)reason, n);
    return err == 0 ? 0 : err == WSLAY_ERR_NOMEM ? E_NOMEM : E_CLOSED;
}

size_t ws_output(struct ws *w, uint8_t *out, size_t cap)
{
    w->out = out;
    w->out_n = 0;
    w->out_cap = cap;
    if (cap > 0 && wslay_event_send(w->ctx) != 0 && !w->failed)
        w->failed = E_LIBRARY;
    w->out = NULL;
    w->out_cap = 0;
    return w->out_n;
}

bool ws_done(const struct ws *w)
{
    if (w->failed)
        return !wslay_event_want_write(w->ctx);
    return wslay_event_get_close_received(w->ctx) && wslay_event_get_close_sent(w->ctx);
}
