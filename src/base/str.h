/* base/str.h - growing text with a ceiling, numbers, ids, base64.
 *
 * `struct str` starts empty without memory and never grows past its ceiling:
 * then it sets a sticky `failed`, and the owner asks once at the end.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/base.h"

struct str {
    char *p; /* NUL-terminated once anything was added; else NULL */
    size_t len, cap, max;
    bool failed;
};

void str_init(struct str *s, size_t max);
void str_fini(struct str *s);
void str_clear(struct str *s); /* empties; keeps the memory and clears `failed` */
void str_add(struct str *s, const char *text);
void str_add_bytes(struct str *s, struct bytes b);
void str_add_char(struct str *s, char c);
void str_printf(struct str *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "" while empty. */
const char *str_text(const struct str *s);
static inline struct bytes str_bytes(const struct str *s)
{
    return (struct bytes){.p = (const uint8_t *)s->p, .len = s->len};
}

/* Whole-span decimal; false on anything else or overflow; *out untouched then. */
bool str_to_u64(struct bytes text, uint64_t max, uint64_t *out);
bool str_to_i64(struct bytes text, int64_t *out);

/* Copy into a fixed field, NUL-terminated; false (and an empty field) when it
 * does not fit. */
bool str_copy(char *out, size_t cap, struct bytes text);

/* Case-insensitive ASCII comparison. */
bool str_ieq(struct bytes a, const char *b);

/* LiveKit ids: prefix and 12 characters of the base57 alphabet (no 0 1 I O l).
 * cap must hold strlen(prefix) + 13. */
void str_id(char *out, size_t cap, const char *prefix, struct rng *rng);

/* Base64, RFC 4648.  Decoding accepts the standard and the URL alphabet, with or
 * without padding, and nothing else.  Returns false on bad input or when out is
 * too small; *n is written on success. */
bool base64_decode(struct bytes text, uint8_t *out, size_t cap, size_t *n);
/* Appends; `url` chooses the URL alphabet, `pad` the trailing '='. */
void str_add_base64(struct str *s, struct bytes b, bool url, bool pad);

#endif
