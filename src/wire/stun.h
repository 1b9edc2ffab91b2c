/* wire/stun.h - STUN messages for ICE.  (RFC 8489, RFC 8445 s7, s16)
 *
 * Reads and writes Binding messages and their attributes; no transactions, no
 * retransmission, no addresses learnt: that is rtc/ice.  wire/ may not see
 * crypt/, so MESSAGE-INTEGRITY is done in two steps: this unit says which
 * bytes are signed and where the 20-byte tag stands, the caller computes
 * HMAC-SHA1.  FINGERPRINT is checked and written here.
 *
 * No allocation, no state.  A parsed message borrows the datagram.
 */
#ifndef WIRE_STUN_H
#define WIRE_STUN_H

#include "base/addr.h"
#include "base/base.h"
#include "base/cursor.h"

enum {
    STUN_HEADER_BYTES = 20,
    STUN_MESSAGE_MAX = 1280, /* chosen: over any ICE check, under any MTU; longer is refused */
    STUN_USERNAME_MAX = 513, /* RFC 5389 s15.3; RFC 8489 has 509 */
    STUN_TAG_BYTES = 20,     /* HMAC-SHA1 */
    STUN_UNKNOWN_MAX = 8,    /* unknown attributes remembered; more are counted only */
    STUN_ATTRS_MAX = 64,     /* attributes in a message; more is malformed */
};

enum stun_class {
    STUN_REQUEST = 0,
    STUN_INDICATION = 1,
    STUN_SUCCESS = 2,
    STUN_ERROR = 3,
};

enum { STUN_BINDING = 1 }; /* method */

enum stun_attr {
    STUN_MAPPED_ADDRESS = 0x0001,
    STUN_USERNAME = 0x0006,
    STUN_MESSAGE_INTEGRITY = 0x0008,
    STUN_ERROR_CODE = 0x0009,
    STUN_UNKNOWN_ATTRIBUTES = 0x000a,
    STUN_REALM = 0x0014,
    STUN_NONCE = 0x0015,
    STUN_MESSAGE_INTEGRITY_SHA256 = 0x001c,
    STUN_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_PRIORITY = 0x0024,
    STUN_USE_CANDIDATE = 0x0025,
    STUN_SOFTWARE = 0x8022,
    STUN_FINGERPRINT = 0x8028,
    STUN_ICE_CONTROLLED = 0x8029,
    STUN_ICE_CONTROLLING = 0x802a,
    STUN_NOMINATION = 0xc001,   /* libwebrtc; read and ignored */
    STUN_NETWORK_INFO = 0xc057, /* libwebrtc; read and ignored */
};

enum stun_role {
    STUN_ROLE_NONE,
    STUN_ROLE_CONTROLLING,
    STUN_ROLE_CONTROLLED,
};

struct stun_tid {
    uint8_t b[12];
};

struct stun_msg {
    enum stun_class cls;
    uint16_t method;
    struct stun_tid tid;
    struct bytes raw;      /* the whole message, borrowed */
    struct bytes username; /* p == NULL when absent; same below */
    struct bytes realm, nonce, software, error_reason;
    uint16_t integrity_at; /* offset of the MESSAGE-INTEGRITY attribute; 0: none */
    bool fingerprint;      /* present (a wrong one is a parse error) */
    bool use_candidate;    /* USE-CANDIDATE */
    bool has_priority;     /* PRIORITY */
    uint32_t priority;
    enum stun_role role;
    uint64_t tie_breaker; /* of ICE-CONTROLLING or ICE-CONTROLLED */
    struct addr mapped;   /* XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS; family 0: none */
    uint16_t error_code;  /* 300..699; 0: none */
    uint16_t unknown[STUN_UNKNOWN_MAX]; /* comprehension-required and not known here */
    uint16_t unknown_n;
};

struct stun_tid stun_tid_new(struct rng *rng);
bool stun_tid_eq(const struct stun_tid *a, const struct stun_tid *b);

/* Reads one whole message.  E_TRUNCATED, E_MALFORMED, E_TOO_LARGE; E_MISMATCH
 * when a FINGERPRINT is wrong.  Attributes after MESSAGE-INTEGRITY are ignored
 * except FINGERPRINT.  Of a repeated attribute the first counts. */
MUST_CHECK int stun_parse(struct stun_msg *m, struct bytes datagram);

/* The first attribute of that type before MESSAGE-INTEGRITY; p == NULL if none. */
struct bytes stun_find(const struct stun_msg *m, uint16_t type);

/* What the sender signed: copied to `scratch` with the length of the header
 * adjusted (RFC 8489 s14.5).  *tag is the 20 bytes to compare in constant time.
 * An empty span when the message has no MESSAGE-INTEGRITY. */
struct bytes stun_integrity_span(const struct stun_msg *m, uint8_t scratch[STUN_MESSAGE_MAX],
                                 struct bytes *tag);

/* The two halves of an ICE USERNAME "theirs:ours" at the first colon; false
 * without one. */
bool stun_username_split(struct bytes username, struct bytes *left, struct bytes *right);

/* Writing.  `w` must be fresh: its start is the message's.  Errors stick in w. */
void stun_begin(struct wr *w, enum stun_class cls, uint16_t method, const struct stun_tid *tid);
void stun_add_bytes(struct wr *w, uint16_t type, struct bytes value);
void stun_add_flag(struct wr *w, uint16_t type);
void stun_add_u32(struct wr *w, uint16_t type, uint32_t value);
void stun_add_u64(struct wr *w, uint16_t type, uint64_t value);
void stun_add_xor_addr(struct wr *w, uint16_t type, const struct addr *a);
void stun_add_error(struct wr *w, uint16_t code, const char *reason);
void stun_add_unknown(struct wr *w, const uint16_t *types, unsigned n);
/* Appends MESSAGE-INTEGRITY with a zero tag.  *span is what to sign with
 * HMAC-SHA1; the result goes to the returned place (STUN_TAG_BYTES) before
 * anything else is added.  NULL when w is full. */
uint8_t *stun_add_integrity(struct wr *w, struct bytes *span);
/* Appends FINGERPRINT; the last attribute. */
void stun_add_fingerprint(struct wr *w);
/* Completes the length.  E_TOO_LARGE when anything did not fit. */
MUST_CHECK int stun_end(struct wr *w);

#endif
