/* wire/ws.h - WebSocket (RFC 6455), server and client, without a socket.
 *
 * The handshake is HTTP's business: the helpers here only check and compute its
 * headers (SHA-1 lives in crypt/, so the digest is handed in).  Afterwards a
 * struct ws takes the bytes that arrive and gives messages, and takes messages
 * and gives bytes to send.  Pings are answered by itself; when to ping and when
 * a silent peer is gone is the owner's clock.  No extension is negotiated.
 *
 * Incoming messages end at WS_MESSAGE_BYTES_MAX (close 1009); outgoing bytes wait
 * in a queue with a ceiling: ws_send() then answers E_LIMIT, and the owner closes
 * a client that does not read.  Over wslay, which only ws.c knows.
 */
#ifndef WIRE_WS_H
#define WIRE_WS_H

#include "base/base.h"
#include "wire/http.h"

enum {
    WS_MESSAGE_BYTES_MAX = 2 << 20,
    WS_QUEUE_BYTES_MAX = 8 << 20, /* chosen: four of the largest messages */
    WS_ACCEPT_CHARS = 28,
    WS_KEY_CHARS = 24,
    WS_REASON_BYTES_MAX = 123,
    WS_DIGEST_BYTES = 20,
};

enum ws_role { WS_SERVER, WS_CLIENT };

enum ws_op { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct ws_event {
    enum ws_op op;
    struct bytes body;   /* valid until the next call on this ws */
    uint16_t close_code; /* WS_CLOSE: 1005 when none was given */
};

struct ws;

/* ---- handshake ---- */

/* The client's key followed by the GUID of s1.3, to be hashed with SHA-1. */
void ws_accept_text(char out[WS_KEY_CHARS + 37], const char *key);
/* The value of Sec-WebSocket-Accept. */
void ws_accept(char out[WS_ACCEPT_CHARS + 1], const uint8_t digest[WS_DIGEST_BYTES]);
/* The key of a request that is a proper upgrade (s4.2.1); NULL otherwise. */
const char *ws_upgrade_key(const struct http_msg *m);
/* A key for our own request. */
void ws_key_new(char out[WS_KEY_CHARS + 1], struct rng *rng);
/* The headers of our own request. */
size_t ws_request_headers(const char *key, struct http_header out[4]);

/* ---- connection ---- */

/* A client draws its masks from `rng`, which is copied. */
MUST_CHECK int ws_open(struct ws **ret, enum ws_role role, const struct rng *rng);
void ws_free(struct ws *w);
void ws_set_queue_max(struct ws *w, size_t max);

/* Feeds bytes.  At most one event results from each call: *used says how many
 * bytes were taken, and the caller goes on with the rest.  Negative: the peer
 * broke the protocol or a limit; a close frame may be waiting in ws_output(),
 * and no more input is taken. */
int ws_input(struct ws *w, struct bytes in, size_t *used);
/* The event that the last ws_input() completed, once. */
bool ws_event(struct ws *w, struct ws_event *out);

/* Queues a whole message.  E_LIMIT: the queue is full, nothing was added;
 * E_CLOSED: a close frame has been queued already. */
int ws_send(struct ws *w, enum ws_op op, struct bytes body);
/* Queues a close frame; once. */
int ws_close(struct ws *w, uint16_t code, const char *reason);

/* Takes up to `cap` bytes to send; 0 when there is nothing. */
size_t ws_output(struct ws *w, uint8_t *out, size_t cap);
/* About how many bytes wait to be sent. */
size_t ws_queued_bytes(const struct ws *w);
/* Close frames went both ways, or the peer broke the protocol and was told:
 * once ws_output() is empty the connection may be closed. */
bool ws_done(const struct ws *w);

#endif
