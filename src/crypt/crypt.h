/* crypt/crypt.h - dice for secrets, and comparison that tells nothing.
 *
 * Key material comes from the operating system through OpenSSL's generator
 * (which the simulation replaces to be repeatable); protocol dice do not belong
 * here, see struct rng.  No state, any thread.
 */
#ifndef CRYPT_CRYPT_H
#define CRYPT_CRYPT_H

#include "base/base.h"

/* Fills out with secret random bytes.  E_LIBRARY when the system has none: the
 * caller must give up what it was about to protect. */
MUST_CHECK int crypt_random(void *out, size_t len);

/* Time depends on len alone. */
MUST_CHECK bool crypt_equal(const void *a, const void *b, size_t len);

#endif
