/* crypt/tls.h - one TLS stream over memory, as server or client.
 *
 * For HTTPS, secure WebSockets, RTMPS, Redis and TURN over TLS: bytes from the wire go in,
 * bytes for the wire come out, plain text on the other side.  TLS 1.2 and 1.3.  A client
 * always checks the chain against the given authorities and the name; there is no switch to
 * leave it out.  Files are the owner's: certificates come as PEM bytes.  The owner limits how
 * long a handshake may take.
 *
 * A context is shared by all streams of a thread and outlives them.  One thread at a time.
 */
#ifndef CRYPT_TLS_H
#define CRYPT_TLS_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    TLS_PENDING_MAX = 1 << 18, /* bytes waiting in either direction; more is refused */
    TLS_CHAIN_MAX = 10,        /* certificates of our own chain */
};

enum tls_state {
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_CLOSED, /* final: see tls.err */
};

struct tls_ctx;

/* Certificate chain (leaf first) and private key.  E_MALFORMED when they cannot be read or do
 * not belong together. */
MUST_CHECK int tls_ctx_open_server(struct tls_ctx **ret, struct bytes chain_pem,
                                   struct bytes key_pem);
/* The authorities a client believes; at least one. */
MUST_CHECK int tls_ctx_open_client(struct tls_ctx **ret, struct bytes authorities_pem);
void tls_ctx_free(struct tls_ctx *ctx);

struct tls {
    enum tls_state state;
    void *ssl;          /* OpenSSL's */
    void *in, *out;     /* its memory BIOs, owned by ssl */
    int err;            /* once CLOSED: E_CLOSED, E_AUTH (certificate), E_MALFORMED, ... */
    const char *reason; /* static text for the log once CLOSED, never NULL */
};

/* The client half needs the name (or IP address) it means to reach, and Unix time to judge dates;
 * the server half ignores both. */
MUST_CHECK int tls_init(struct tls *t, struct tls_ctx *ctx, const char *host, int64_t unix_s);
void tls_fini(struct tls *t);

/* Bytes from the wire.  E_LIMIT: read plain text first; nothing was taken.  E_CLOSED. */
MUST_CHECK int tls_input(struct tls *t, struct bytes wire);
/* Plain text that has arrived; *n may be 0.  E_CLOSED when there will be no more. */
MUST_CHECK int tls_read(struct tls *t, uint8_t *out, size_t cap, size_t *n);
/* Plain text to send: all of it or nothing.  E_STATE during the handshake; E_LIMIT: let
 * tls_output drain; E_CLOSED. */
MUST_CHECK int tls_write(struct tls *t, struct bytes plain);
/* Bytes for the wire, as many as fit; false when there are none. */
bool tls_output(struct tls *t, struct wr *w);
/* Queue close_notify and end; drain tls_output, then close the connection. */
void tls_close(struct tls *t);

#endif
