/* base/err.h - one space of error numbers.
 *
 * Functions that can fail return int: 0, or negative.  Small negatives are
 * -errno; reasons of our own live below ERR_FIRST.  err_text() prints both.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <errno.h>

enum err {
    E_INVAL = -EINVAL,
    E_NOMEM = -ENOMEM,
    E_AGAIN = -EAGAIN,
    E_EXIST = -EEXIST,
    E_NOENT = -ENOENT,

    ERR_FIRST = -5000,
    E_TRUNCATED = -5001, /* input ends before its own lengths say */
    E_MALFORMED = -5002, /* violates the format */
    E_TOO_LARGE = -5003, /* over a stated limit */
    E_AUTH = -5004,      /* tag, signature or password does not match */
    E_REPLAY = -5005,    /* seen before, or older than the window */
    E_UNSUPPORTED = -5006,
    E_STATE = -5007,  /* not now: the machine is in another state */
    E_LIMIT = -5008,  /* a configured ceiling is reached */
    E_CLOSED = -5009, /* the other side has ended */
    E_TIMEOUT = -5010,
    E_MISMATCH = -5011, /* fingerprint, role or description contradicts */
    E_NOT_ALLOWED = -5012,
    E_EXPIRED = -5013,
    E_LIBRARY = -5014, /* a library refused without a usable reason */
};

/* Static text; never NULL. */
const char *err_text(int err);

#endif
