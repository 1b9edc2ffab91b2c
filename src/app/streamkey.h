/* app/streamkey.h - the default stream key: a file `hash` in the data directory.
 *
 * Made at the first start, read from then on, never changed by itself; deleting the file makes a
 * new one.  One line of printable characters without blanks, since encoders take no others.
 */
#ifndef APP_STREAMKEY_H
#define APP_STREAMKEY_H

#include "base/str.h"

enum { STREAMKEY_CHARS = 32 /* Lightspeed's */, STREAMKEY_MAX = 99 /* what OBS takes over FTL */ };

/* Appends the key; `make`: a new one when there is no file.  E_NOENT, E_MALFORMED (the file holds
 * no key), -errno. */
MUST_CHECK int streamkey_load(const char *dir, bool make, struct str *out);
/* Writes a new key in its place and appends it. */
MUST_CHECK int streamkey_make(const char *dir, struct str *out);
/* Could this be one? */
bool streamkey_ok(struct bytes key);

#endif
