#include "base/str.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

void str_init(struct str *s, size_t max)
{
    *s = (struct str){.max = max};
}

void str_fini(struct str *s)
{
    mem_free(s->p);
    str_init(s, s->max);
}

void str_clear(struct str *s)
{
    s->len = 0;
    s->failed = false;
    if (s->p != NULL)
        s->p[0] = '\0';
}

static bool room(struct str *s, size_t extra)
{
    if (s->failed || extra > s->max - s->len) {
        s->failed = true;
        return false;
    }
    if (s->p != NULL && s->len + extra + 1 <= s->cap)
        return true;
    size_t cap = s->cap == 0 ? 64 : s->cap;
    while (cap < s->len + extra + 1)
        cap *= 2;
    char *grown = mem_resize(s->p, cap);
    if (grown == NULL) {
        s->failed = true;
        return false;
    }
    s->p = grown;
    s->cap = cap;
    return true;
}

void str_add_bytes(struct str *s, struct bytes b)
{
    if (!room(s, b.len))
        return;
    if (b.len > 0)
        memcpy(s->p + s->len, b.p, b.len);
    s->len += b.len;
    s->p[s->len] = '\0';
}

void str_add(struct str *s, const char *text)
{
    str_add_bytes(s, bytes_str(text));
}

void str_add_char(struct str *s, char c)
{
    str_add_bytes(s, bytes_of(&c, 1));
}

void str_printf(struct str *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !room(s, (size_t)n)) {
        s->failed = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(s->p + s->len, (size_t)n + 1, fmt, ap); /* length known from the first pass */
    va_end(ap);
    s->len += (size_t)n;
}

const char *str_text(const struct str *s)
{
    return s->p != NULL ? s->p : "";
}

bool str_to_u64(struct bytes text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = text.p[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

bool str_to_i64(struct bytes text, int64_t *out)
{
    bool negative = text.len > 0 && text.p[0] == '-';
    uint64_t v;

    if (negative) {
        text.p++;
        text.len--;
    }
    if (!str_to_u64(text, INT64_MAX, &v))
        return false;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

bool str_copy(char *out, size_t cap, struct bytes text)
{
    assert(cap > 0);
    if (text.len >= cap) {
        out[0] = '\0';
        return false;
    }
    if (text.len > 0)
        memcpy(out, text.p, text.len);
    out[text.len] = '\0';
    return true;
}

bool str_ieq(struct bytes a, const char *b)
{
    return a.len == strlen(b) && strncasecmp((const char *)a.p, b, a.len) == 0;
}

void str_id(char *out, size_t cap, const char *prefix, struct rng *rng)
{
    static const char alphabet[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    size_t n = strlen(prefix);

    assert(cap >= n + 13);
    memcpy(out, prefix, n);
    for (size_t i = 0; i < 12; i++)
        out[n + i] = alphabet[rng_below(rng, sizeof alphabet - 1)];
    out[n + 12] = '\0';
}

/* 0..63, or 64 for a character outside both alphabets. */
static unsigned base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - (unsigned)'A';
    if (c >= 'a' && c <= 'z')
        return c - (unsigned)'a' + 26;
    if (c >= '0' && c <= '9')
        return c - (unsigned)'0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return 64;
}

bool base64_decode(struct bytes text, uint8_t *out, size_t cap, size_t *n)
{
    size_t len = text.len, done = 0;
    uint32_t acc = 0;
    unsigned bits = 0;

    for (unsigned pad = 0; pad < 2 && len > 0 && text.p[len - 1] == '='; pad++)
        len--;
    if (len % 4 == 1 || (len != text.len && text.len % 4 != 0))
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned v = base64_value(text.p[i]);
        if (v > 63)
            return false;
        acc = ((acc << 6) | v) & 0xffffffu;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (done == cap)
                return false;
            out[done++] = (uint8_t)(acc >> bits);
        }
    }
    *n = done;
    return true;
}

void str_add_base64(struct str *s, struct bytes b, bool url, bool pad)
{
    static const char standard[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char for_url[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *alphabet = url ? for_url : standard;

    for (size_t i = 0; i < b.len; i += 3) {
        size_t n = size_min(3, b.len - i);
        uint32_t v = (uint32_t)b.p[i] << 16;
        v |= n > 1 ? (uint32_t)b.p[i + 1] << 8 : 0;
        v |= n > 2 ? b.p[i + 2] : 0u;
        for (size_t k = 0; k <= n; k++)
            str_add_char(s, alphabet[(v >> (18 - 6 * k)) & 63]);
        for (size_t k = n; pad && k < 3; k++)
            str_add_char(s, '=');
    }
}
