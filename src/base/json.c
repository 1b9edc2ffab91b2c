#include "base/json.h"

#include "base/err.h"

#include <jansson.h>
#include <stdio.h>

/* Depth and number of values, before jansson (which recurses) sees the text. */
static int scan(struct bytes text)
{
    size_t depth = 0, values = 1;
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
            continue;
        }
        if (c == '"')
            quoted = true;
        else if (c == ',')
            values++;
        else if (c == ']' || c == '}')
            depth -= depth > 0;
        else if (c == '[' || c == '{') {
            values++;
            depth++;
        }
        if (depth > JSON_DEPTH_MAX || values > JSON_VALUES_MAX)
            return E_TOO_LARGE;
    }
    return 0;
}

int json_parse(struct json_doc *doc, struct bytes text, size_t max_bytes)
{
    json_error_t detail;

    doc->root = NULL;
    if (text.len > max_bytes)
        return E_TOO_LARGE;
    if (text.len == 0)
        return E_MALFORMED;
    int err = scan(text);
    if (err)
        return err;
    doc->root = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
                           &detail);
    return doc->root == NULL ? E_MALFORMED : 0;
}

void json_close(struct json_doc *doc)
{
    json_decref(doc->root);
    doc->root = NULL;
}

enum json_kind json_kind_of(const struct json_t *v)
{
    if (v == NULL)
        return JSON_KIND_NONE;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_LIST;
    case JSON_STRING:
        return JSON_KIND_TEXT;
    case JSON_INTEGER:
        return JSON_KIND_INT;
    case JSON_REAL:
        return JSON_KIND_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOL;
    case JSON_NULL:
        break;
    }
    return JSON_KIND_NULL;
}

const struct json_t *json_member(const struct json_t *v, const char *key)
{
    return json_object_get(v, key);
}

size_t json_count(const struct json_t *v)
{
    return json_is_object(v) ? json_object_size(v) : json_array_size(v);
}

const struct json_t *json_item(const struct json_t *v, size_t i)
{
    return json_array_get(v, i);
}

bool json_next(const struct json_t *v, void **at, struct bytes *key, const struct json_t **value)
{
    struct json_t *object = (struct json_t *)(uintptr_t)v; /* jansson's iterators are not const */

    *at = *at == NULL ? json_object_iter(object) : json_object_iter_next(object, *at);
    if (*at == NULL)
        return false;
    *key = bytes_str(json_object_iter_key(*at));
    *value = json_object_iter_value(*at);
    return true;
}

bool json_to_text(const struct json_t *v, struct bytes *out)
{
    if (!json_is_string(v))
        return false;
    *out = bytes_of(json_string_value(v), json_string_length(v));
    return true;
}

bool json_to_i64(const struct json_t *v, int64_t *out)
{
    if (!json_is_integer(v))
        return false;
    *out = json_integer_value(v);
    return true;
}

bool json_to_double(const struct json_t *v, double *out)
{
    if (!json_is_number(v))
        return false;
    *out = json_number_value(v);
    return true;
}

bool json_to_bool(const struct json_t *v, bool *out)
{
    if (!json_is_boolean(v))
        return false;
    *out = json_is_true(v);
    return true;
}

static int print_piece(const char *p, size_t len, void *out)
{
    str_add_bytes(out, bytes_of(p, len));
    return ((struct str *)out)->failed ? -1 : 0;
}

void json_print(const struct json_t *v, struct str *out)
{
    if (json_dump_callback(v, print_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        out->failed = true;
}

/* Length of the UTF-8 sequence at p (RFC 3629 s4), 0 when it is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    uint32_t code = n <= 1 ? p[0] : p[0] & (0x7fu >> n);

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    bool bad = code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000);
    return bad ? 0 : n;
}

static void add_escaped(struct str *out, uint8_t c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *at = memchr(plain, c, sizeof plain - 1);
    char text[8];

    if (at != NULL)
        (void)snprintf(text, sizeof text, "\\%c", letter[at - plain]);
    else
        (void)snprintf(text, sizeof text, "\\u%04x", c); /* six characters */
    str_add(out, text);
}

void json_add_text(struct str *out, struct bytes text)
{
    str_add_char(out, '"');
    for (size_t i = 0; i < text.len;) {
        const uint8_t *p = text.p + i;
        size_t n = utf8_len(p, text.len - i);
        if (n == 1 && (*p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f))
            add_escaped(out, *p);
        else if (n > 0)
            str_add_bytes(out, bytes_of(p, n));
        else
            str_add(out, "\xef\xbf\xbd");
        i += n > 0 ? n : 1;
    }
    str_add_char(out, '"');
}
