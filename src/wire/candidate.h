/* wire/candidate.h - the ICE candidate line.  (RFC 8839 s5.1, RFC 6544 s4.5)
 *
 * Reads and writes "candidate:..." as it stands in SDP attributes and in
 * trickled messages.  A host name ending in ".local" (mDNS) is flagged, never
 * resolved; any other name is refused.
 */
#ifndef WIRE_CANDIDATE_H
#define WIRE_CANDIDATE_H

#include "base/addr.h"
#include "base/base.h"

enum {
    CANDIDATE_TEXT_MAX = 384,      /* longest line written, with NUL */
    CANDIDATE_LINE_MAX = 1024,     /* longest line read */
    CANDIDATE_FOUNDATION_MAX = 33, /* 32 ice-chars and NUL */
    CANDIDATE_UFRAG_MAX = 257,     /* 256 and NUL, RFC 8839 s5.4 */
};

enum candidate_type {
    CANDIDATE_HOST,
    CANDIDATE_SRFLX,
    CANDIDATE_PRFLX,
    CANDIDATE_RELAY,
};

enum candidate_tcp {
    CANDIDATE_UDP, /* not TCP */
    CANDIDATE_TCP_ACTIVE,
    CANDIDATE_TCP_PASSIVE,
    CANDIDATE_TCP_SO,
};

struct candidate {
    char foundation[CANDIDATE_FOUNDATION_MAX];
    uint16_t component; /* 1..256 */
    uint32_t priority;
    enum candidate_type type;
    enum candidate_tcp tcp;
    struct addr addr;                /* family 0 when `mdns` */
    struct addr related;             /* raddr, rport; family 0: none */
    bool mdns;                       /* the address was a name ending in ".local" */
    char ufrag[CANDIDATE_UFRAG_MAX]; /* "" when absent */
};

/* With or without "a=" before and CR LF behind.  E_MALFORMED; E_UNSUPPORTED for a
 * transport or a host name that we do not do; E_TOO_LARGE. */
MUST_CHECK int candidate_parse(struct candidate *c, struct bytes line);

/* "candidate:..." without "a=".  Returns the length; 0 if it does not fit. */
size_t candidate_text(const struct candidate *c, char *out, size_t cap);

/* RFC 8445 s5.1.2.1 with its recommended type preferences. */
uint32_t candidate_priority(enum candidate_type type, uint16_t local_pref, uint16_t component);

#endif
