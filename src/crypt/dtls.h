/* crypt/dtls.h - one DTLS 1.2 association.  (RFC 6347, RFC 5764)
 *
 * The handshake is OpenSSL's, fed with records and asked for datagrams; its object
 * (about 70 kB) is freed as soon as the handshake is over.  From then on a record layer
 * of our own opens and seals application data and alerts with AES-GCM, and the last
 * flight is kept as bytes, to be repeated when the other side shows that it missed it.
 *
 * The other side's certificate is asked for but not judged: the owner compares
 * it with the fingerprint from SDP by dtls_verify(), which may come long after
 * DTLS_CONNECTED.  Until it matched, dtls_srtp_keys() and dtls_send() refuse, and
 * application data that arrives is held back (DTLS_HELD_MAX datagrams, later ones dropped).
 *
 * Owner's duty: feed only datagrams from a validated path; after any call drain
 * dtls_event and dtls_output until both say false, then read dtls_deadline.  Nothing
 * here reads a clock, but OpenSSL does during the handshake (gettimeofday), which the
 * simulation defines itself; set back by hand, that clock delays retransmission by as much.
 * Renegotiation, resumption, tickets and other versions are refused.  One thread at a time.
 */
#ifndef CRYPT_DTLS_H
#define CRYPT_DTLS_H

#include "base/base.h"
#include "base/cursor.h"
#include "crypt/cert.h"
#include "crypt/srtp.h"

enum {
    DTLS_MTU = 1200,                      /* datagrams of a handshake flight are no longer */
    DTLS_RECORD_OVERHEAD = 13 + 8 + 16,   /* header, explicit nonce, tag */
    DTLS_APP_MAX = 16384,                 /* RFC 5246 s6.2.1 */
    DTLS_RETRANSMIT_US = 100 * US_PER_MS, /* first; doubles (LiveKit's value) */
    DTLS_RETRANSMIT_MAX_US =
        10 * US_PER_SEC, /* chosen: OpenSSL gives up after 12, which spans the ceiling */
    DTLS_HANDSHAKE_US = 60 * US_PER_SEC, /* ceiling for the whole handshake */
    DTLS_HANDSHAKE_BYTES_MAX = 1 << 17,  /* accepted from the other side before it is over */
    DTLS_HANDSHAKE_RECORDS_MAX = 1024,   /* likewise; bounds what 1-byte fragments cost us */
    DTLS_REPEAT_US = 20 * US_PER_MS,     /* the last flight is repeated no more often */
    DTLS_OUT_MAX = 32,         /* datagrams waiting for dtls_output; the oldest goes first */
    DTLS_HELD_MAX = 8,         /* datagrams held until the peer is verified */
    DTLS_APP_PER_DATAGRAM = 8, /* records of one datagram; the rest is dropped */
};

enum dtls_role { DTLS_CLIENT, DTLS_SERVER };

enum dtls_state {
    DTLS_NEW,
    DTLS_HANDSHAKE,
    DTLS_CONNECTED, /* keys exist */
    DTLS_CLOSED,    /* final */
};

enum dtls_event_type {
    DTLS_EVENT_CONNECTED, /* handshake over; now dtls_verify() */
    DTLS_EVENT_APP_DATA,  /* data: in the input buffer, valid until the next call but dtls_event */
    DTLS_EVENT_CLOSED,    /* err says why: E_CLOSED close_notify, E_TIMEOUT, E_AUTH (alert), ... */
};

struct dtls_event {
    enum dtls_event_type type;
    struct bytes data;
    int err;
    uint8_t alert; /* TLS alert number when one was received, else 0 */
};

/* Shared by all associations of a thread: certificate, suites, profiles.  Outlives them. */
struct dtls_ctx;

/* E_NOMEM, E_LIBRARY.  Borrows cert, which must outlive ctx. */
MUST_CHECK int dtls_ctx_open(struct dtls_ctx **ret, const struct cert *cert);
/* Offer and take this profile alone: for peers that must not have the best one (benchmarks,
 * interoperability).  Before the first association.  E_UNSUPPORTED. */
MUST_CHECK int dtls_ctx_restrict(struct dtls_ctx *ctx, enum srtp_profile only);
void dtls_ctx_free(struct dtls_ctx *ctx);

/* Both master keys as this side uses them. */
struct dtls_srtp_keys {
    enum srtp_profile profile;
    struct srtp_master tx, rx;
};

struct dtls_queue { /* copies of datagrams, oldest first */
    struct bytes *item;
    uint32_t n;
};

struct dtls_span {
    uint8_t *p;
    uint32_t len;
};

struct dtls_hs; /* what exists during the handshake only: OpenSSL's object and its buffers */

struct dtls {
    enum dtls_state state;
    enum dtls_role role;
    bool verified;          /* the fingerprint matched */
    bool proven;            /* a record showed that the other side has our last flight */
    bool connected_pending; /* events not drained yet */
    bool closed_pending;
    uint8_t alert; /* received, for the event */
    int close_err;
    struct dtls_hs *hs; /* NULL once connected */
    const struct seal_engine *engine;
    struct seal_key tx, rx;
    uint8_t tx_salt[4], rx_salt[4]; /* implicit half of the nonce (RFC 5288 s3) */
    uint64_t tx_next;               /* 48-bit number of our next epoch-1 record */
    uint64_t rx_top, rx_seen;       /* replay window of 64: highest seen + 1, and the bits below */
    us_t expire_at;                 /* handshake ceiling */
    us_t retransmit_at;             /* handshake flight */
    us_t repeat_at;                 /* the last flight is not repeated before */
    struct dtls_queue out;          /* for dtls_output */
    struct dtls_queue last;         /* our last flight while not proven */
    struct dtls_queue held;         /* application data from before verification */
    struct bytes peer_der;          /* the other side's certificate until verified */
    struct dtls_srtp_keys srtp;     /* wiped by dtls_fini */
    struct dtls_span app[DTLS_APP_PER_DATAGRAM]; /* opened, not yet drained */
    uint8_t app_n, app_at;
    uint32_t hs_bytes, hs_records; /* taken in during the handshake, against the limits */
    uint32_t dropped_n; /* records dropped: malformed, unauthenticated, replayed, unexpected */
};

/* The client's first flight is ready for dtls_output afterwards.  E_NOMEM, E_LIBRARY; fini either
 * way.  engine seals application data and may be NULL. */
MUST_CHECK int dtls_init(struct dtls *d, struct dtls_ctx *ctx, enum dtls_role role,
                         const struct seal_engine *engine, us_t now);
/* Wipes keys; accepts zeroed structs. */
void dtls_fini(struct dtls *d);

/* One datagram, opened in place.  0, or why (all of) it was dropped; a lasting fault shows
 * as DTLS_EVENT_CLOSED. */
int dtls_input(struct dtls *d, uint8_t *datagram, size_t len, us_t now);
void dtls_tick(struct dtls *d, us_t now);
/* One datagram per call; w needs DTLS_MTU bytes of room, else it is refused and kept. */
bool dtls_output(struct dtls *d, struct wr *w);
bool dtls_event(struct dtls *d, struct dtls_event *ev);
us_t dtls_deadline(const struct dtls *d);

/* Compare the other side's certificate with what SDP says.  0; E_STATE before
 * DTLS_EVENT_CONNECTED; E_MISMATCH closes the association.  Data held back is delivered now. */
MUST_CHECK int dtls_verify(struct dtls *d, const struct cert_fingerprint *fp);

/* E_STATE before dtls_verify() succeeded; E_UNSUPPORTED when no profile was agreed. */
MUST_CHECK int dtls_srtp_keys(const struct dtls *d, struct dtls_srtp_keys *out);

/* Seal application data as one datagram, straight into w.  E_STATE unless connected and
 * verified; E_TOO_LARGE. */
MUST_CHECK int dtls_send(struct dtls *d, struct bytes app, struct wr *w);

/* Something else proved that the other side has our last flight (an SRTP packet opened): the copy
 * of it is released.  A record that opens does the same by itself. */
void dtls_prove(struct dtls *d);

/* Queue close_notify (when connected) and end; DTLS_EVENT_CLOSED follows with E_CLOSED. */
void dtls_close(struct dtls *d);

#endif
