/* wire/gzip.h - what was compressed with gzip, bounded.  (RFC 1952)
 *
 * One call, no state.  zlib allocates inside and gives everything back.
 */
#ifndef WIRE_GZIP_H
#define WIRE_GZIP_H

#include "base/str.h"

/* Appends the content of `in` to `out`, whose ceiling bounds it.  E_TOO_LARGE when that is
 * reached, E_MALFORMED, E_NOMEM. */
MUST_CHECK int gzip_inflate(struct bytes in, struct str *out);

#endif
