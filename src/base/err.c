#include "base/err.h"

#include <stddef.h>
#include <string.h>

const char *err_text(int err)
{
    static const char *const own[] = {
        "truncated", "malformed",     "too large",   "authentication failed",
        "replayed",  "unsupported",   "wrong state", "limit reached",
        "closed",    "timed out",     "mismatch",    "not allowed",
        "expired",   "library error",
    };

    if (err == 0)
        return "success";
    if (err < ERR_FIRST) {
        size_t i = (size_t)(ERR_FIRST - err) - 1;
        return i < sizeof own / sizeof own[0] ? own[i] : "unknown error";
    }
    const char *text = strerrordesc_np(-err);
    return text != NULL ? text : "unknown error";
}
