/* base/json.h - JSON from outside, and JSON text of our own.
 *
 * A thin, bounded face of jansson: text over a stated size, nesting over
 * JSON_DEPTH_MAX, more than JSON_VALUES_MAX values, duplicate members and strings with
 * NUL are refused before or while parsing.  Values are borrowed from the document.  A
 * NULL value is allowed everywhere and is "absent", so look-ups can be chained.
 * Writing needs no tree: json_add_text() quotes into a struct str.  Any thread, one
 * document in one thread.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/base.h"
#include "base/str.h"

enum {
    JSON_DEPTH_MAX = 32,     /* chosen: protojson of ours nests under 12 */
    JSON_VALUES_MAX = 65536, /* bounds the tree to a few MB */
};

/* Not JSON_STRING and so on: those names are jansson's. */
enum json_kind {
    JSON_KIND_NONE,
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT,
    JSON_KIND_REAL,
    JSON_KIND_TEXT,
    JSON_KIND_LIST,
    JSON_KIND_OBJECT
};

struct json_t; /* one value */

struct json_doc {
    struct json_t *root;
};

/* Exactly one value of any kind.  E_TOO_LARGE over max_bytes, depth or count; E_MALFORMED. */
MUST_CHECK int json_parse(struct json_doc *doc, struct bytes text, size_t max_bytes);
void json_close(struct json_doc *doc);

enum json_kind json_kind_of(const struct json_t *v);
/* Member of an object; NULL when absent or v is no object. */
const struct json_t *json_member(const struct json_t *v, const char *key);
/* Elements of a list or members of an object; 0 for anything else. */
size_t json_count(const struct json_t *v);
const struct json_t *json_item(const struct json_t *v, size_t i);
/* Walk an object: start with *at = NULL; false at the end. */
bool json_next(const struct json_t *v, void **at, struct bytes *key, const struct json_t **value);

/* False, and *out untouched, when v is not of that kind. */
bool json_to_text(const struct json_t *v, struct bytes *out);
bool json_to_i64(const struct json_t *v, int64_t *out);
bool json_to_double(const struct json_t *v, double *out); /* integers too */
bool json_to_bool(const struct json_t *v, bool *out);

/* Compact text of a value, in its order of members. */
void json_print(const struct json_t *v, struct str *out);

/* A quoted and escaped string.  Bytes that are not UTF-8 become U+FFFD. */
void json_add_text(struct str *out, struct bytes text);

#endif
