/* wire/sdpfrag.h - the fragment of a description that WHIP and WHEP trickle.  (RFC 8840 s9, RFC
 * 9725 s4.3)
 *
 * application/trickle-ice-sdpfrag: new candidates of the other side, or the credentials of
 * an ICE restart.  Reads what matters to a lite agent, which learns addresses from checks:
 * the credentials, and that the rest is well formed.  Also puts other credentials into a whole
 * description.  No memory; spans point into the text.
 */
#ifndef WIRE_SDPFRAG_H
#define WIRE_SDPFRAG_H

#include "base/str.h"

enum {
    SDPFRAG_BYTES_MAX = 32 << 10,
    SDPFRAG_LINES_MAX = 1024,
};

struct sdpfrag {
    struct bytes ufrag, pwd; /* empty when not said */
    uint32_t candidate_n;    /* of a kind that we know */
    uint32_t strange_n;      /* others; they do no harm */
    bool end_of_candidates;
};

/* E_MALFORMED: no lines of SDP, or credentials that ICE does not allow or that differ from section
 * to section; E_TOO_LARGE. */
MUST_CHECK int sdpfrag_read(struct sdpfrag *f, struct bytes text);

/* Appends `sdp` with every pair of credentials replaced by this one. */
void sdpfrag_replace(struct str *out, struct bytes sdp, struct bytes ufrag, struct bytes pwd);

#endif
