/* wire/annexb.h - raw H.264: NAL units between start codes, cut into pictures.
 * (H.264 annex B, s7.4.1.2.3)
 *
 * Reads from a span that holds the whole stream or one access unit of it.
 */
#ifndef WIRE_ANNEXB_H
#define WIRE_ANNEXB_H

#include "base/base.h"

struct annexb {
    struct bytes stream;
    size_t at; /* of the next start code */
};

/* E_UNSUPPORTED when it does not begin like H.264 (filekind_of() says what it is). */
MUST_CHECK int annexb_open(struct annexb *a, struct bytes stream);
/* The next NAL unit without start code and trailing zeros; false at the end. */
bool annexb_nal(struct annexb *a, struct bytes *nal);
/* The next access unit with its start codes, and whether it holds an IDR picture;
 * false at the end. */
bool annexb_unit(struct annexb *a, struct bytes *unit, bool *key);

#endif
