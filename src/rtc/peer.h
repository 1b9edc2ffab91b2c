/* rtc/peer.h - one WebRTC transport: ICE, DTLS and SRTP of one bundle.
 *
 * Bytes in, bytes out, events drained.  A peer knows addresses and keys; it
 * knows neither tracks nor rooms nor sockets.  Both halves of the protocol are
 * this one code: the server runs it as ICE lite (controlled), our own clients as
 * full controlling agent.
 *
 * RTP and RTCP pass through peer_open_* (in place) and peer_seal_* without being
 * queued.  STUN and DTLS go through peer_input(); what they answer waits in
 * peer_output().  SCTP travels as DTLS application data: PEER_EVT_DATA in,
 * peer_send_data() out; the association itself is rtc/assoc, which the owner
 * keeps where it likes (the server: on the control thread).
 *
 * After any call that changes the machine drain peer_output() and peer_event()
 * until both say false, then read peer_deadline(); keys come into being while events are
 * drained.  A DTLS datagram is listened to only from an address that sent an authenticated
 * check.  One thread; allocates in peer_open(), in the handshake and for each queued data
 * packet, never for media.
 */
#ifndef RTC_PEER_H
#define RTC_PEER_H

#include "base/addr.h"
#include "base/base.h"
#include "base/cursor.h"
#include "crypt/cert.h" /* struct cert_fingerprint */

enum {
    PEER_UFRAG_MAX = 32, /* our own are 8 characters; RFC 8839 allows 256, browsers send 4..8 */
    PEER_PWD_MAX = 64,   /* ours: 24 characters */
    PEER_DATAGRAM_MAX = 1500, /* room that peer_output() needs */
    PEER_DATA_QUEUE_MAX =
        64, /* data packets waiting for peer_output(); SCTP repeats what is shed */
};

enum peer_role {
    PEER_SERVER, /* ICE lite, controlled */
    PEER_CLIENT, /* full ICE, controlling */
};

enum peer_setup {
    PEER_SETUP_UNKNOWN,
    PEER_SETUP_DTLS_SERVER, /* we said a=setup:passive */
    PEER_SETUP_DTLS_CLIENT, /* we said a=setup:active */
};

enum peer_state {
    PEER_NEW,          /* no authenticated check yet */
    PEER_CONNECTING,   /* checks or DTLS are on their way, or the fingerprint is awaited */
    PEER_CONNECTED,    /* keys in place and fingerprint verified: media may flow */
    PEER_DISCONNECTED, /* liveness lapsed; comes back to CONNECTED by itself */
    PEER_FAILED,       /* final until an ICE restart (liveness) or for good (DTLS) */
    PEER_CLOSED,
};

enum peer_reason {
    PEER_REASON_NONE,
    PEER_REASON_SILENT,      /* no authenticated request for the liveness time */
    PEER_REASON_DTLS,        /* handshake refused or timed out */
    PEER_REASON_FINGERPRINT, /* certificate is not the one that signalling named */
    PEER_REASON_ALERT,       /* the other side sent close_notify or a fatal alert */
    PEER_REASON_OWNER,       /* peer_close() */
};

/* What the remote description says. */
struct peer_remote {
    char ufrag[PEER_UFRAG_MAX + 1];
    char pwd[PEER_PWD_MAX + 1];
    struct cert_fingerprint fingerprint; /* n == 0: not known yet */
};

/* What the local description says; chosen by the owner (control, with real dice). */
struct peer_local {
    char ufrag[PEER_UFRAG_MAX + 1];
    char pwd[PEER_PWD_MAX + 1];
};

enum peer_event_kind {
    PEER_EVT_STATE, /* state, reason */
    PEER_EVT_DATA,  /* data: one SCTP packet, inside the datagram given to peer_input(), valid
                       until the next call */
    PEER_EVT_PATH,  /* the selected pair changed; path */
};

struct peer_event {
    enum peer_event_kind kind;
    enum peer_state state;
    enum peer_reason reason;
    struct path path;
    struct bytes data;
};

struct dtls_ctx;    /* crypt/dtls.h */
struct seal_engine; /* crypt/seal.h */

struct peer_cfg {
    enum peer_role role;
    enum peer_setup setup; /* may stay UNKNOWN on a client until the answer */
    struct peer_local local;
    struct dtls_ctx *dtls;            /* certificate and suites; borrowed for the peer's life */
    const struct seal_engine *engine; /* borrowed; NULL: OpenSSL */
    uint64_t seed;                    /* for protocol dice */
};

struct peer;

struct peer_stats {
    uint64_t drop_unauthenticated, drop_malformed, drop_replayed, drop_state;
    us_t rtt_us;           /* client half: last consent round trip; else 0 */
    uint16_t srtp_profile; /* RFC 5764 / 7714 number once connected */
};

/* E_NOMEM when refused. */
MUST_CHECK int peer_open(struct peer **ret, const struct peer_cfg *cfg, us_t now);
void peer_free(struct peer *p); /* NULL allowed; sends nothing */
/* close_notify is queued for peer_output(). */
void peer_close(struct peer *p, us_t now);

/* The remote description, whole or in parts; again with new credentials for an ICE
 * restart: the old pair keeps working until the new one is nominated. */
int peer_set_remote(struct peer *p, const struct peer_remote *remote, us_t now);
void peer_set_setup(struct peer *p, enum peer_setup setup, us_t now);
/* New local credentials (ICE restart); the old ones stay good until a check with the new
 * ones arrives. */
void peer_restart(struct peer *p, const struct peer_local *local, us_t now);
/* Client half: where to check, and from where.  At most 16 each; more are ignored. */
void peer_add_remote_candidate(struct peer *p, const struct addr *addr, uint32_t priority);
void peer_add_local_address(struct peer *p, const struct addr *addr);

/* A STUN or DTLS datagram that arrived on `path`; decrypted in place.  0, or why it was
 * dropped. */
int peer_input(struct peer *p, const struct path *path, uint8_t *datagram, size_t len, us_t now);
void peer_tick(struct peer *p, us_t now);
/* One datagram to send; false when there is none. */
bool peer_output(struct peer *p, struct path *path, struct wr *w);
bool peer_event(struct peer *p, struct peer_event *ev);
us_t peer_deadline(const struct peer *p);

enum peer_state peer_state(const struct peer *p);
/* Has an authenticated check come from there?  Lately: the oldest of many are forgotten. */
bool peer_proven(const struct peer *p, const struct path *path);
/* The selected path; NULL before nomination. */
const struct path *peer_path(const struct peer *p);
void peer_get_stats(const struct peer *p, struct peer_stats *st);

/* Hot: decrypt in place; *len shrinks.  0, E_AUTH, E_REPLAY, E_TRUNCATED, E_STATE. */
int peer_open_rtp(struct peer *p, uint8_t *pkt, size_t *len, us_t now);
int peer_open_rtcp(struct peer *p, uint8_t *pkt, size_t *len, us_t now);

/* Hot: header and payload into out as one SRTP packet.  `roc` is the roll-over counter of
 * this ssrc, kept by the caller beside its sequence number.  Bytes written, or 0 when not
 * connected or `cap` is too small (cap >= hdr + payload + 16). */
size_t peer_seal_rtp(struct peer *p, struct bytes hdr, struct bytes payload, uint32_t roc,
                     uint8_t *out, size_t cap);
/* What peer_seal_rtp() will read, for a loop over many peers: first the peer, and a packet later,
 * when that has arrived, the key that it points to. */
void peer_prefetch(const struct peer *p);
void peer_prefetch_key(const struct peer *p);
size_t peer_seal_rtcp(struct peer *p, struct bytes rtcp, uint8_t *out, size_t cap);
/* One SCTP packet as a DTLS record, for peer_output().  E_STATE unless CONNECTED or
 * DISCONNECTED, E_LIMIT when PEER_DATA_QUEUE_MAX wait, E_TOO_LARGE, E_NOMEM. */
int peer_send_data(struct peer *p, struct bytes sctp, us_t now);

#endif
