#include "wire/pb_json.h"

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef const ProtobufCFieldDescriptor field_desc;
typedef const ProtobufCMessageDescriptor message_desc;

enum { NUMBER_CHARS_MAX = 40 };

/* ---- what both directions need ---- */

/* proto3's lowerCamelCase: an underscore goes, and the letter after it grows. */
static void add_camel(struct str *out, const char *name)
{
    for (; *name != '\0'; name++) {
        char c = *name;
        if (c == '_' && name[1] != '\0') {
            c = *++name;
            if (c >= 'a' && c <= 'z')
                c = (char)(c - 'a' + 'A');
        }
        str_add_char(out, c);
    }
}

static bool camel_eq(const char *name, struct bytes text)
{
    size_t at = 0;

    for (; *name != '\0'; name++) {
        char c = *name;
        if (c == '_' && name[1] != '\0') {
            c = *++name;
            if (c >= 'a' && c <= 'z')
                c = (char)(c - 'a' + 'A');
        }
        if (at >= text.len || text.p[at++] != (uint8_t)c)
            return false;
    }
    return at == text.len;
}

/* map<K, V> reaches us as repeated messages "…Entry" of key = 1 and value = 2. */
static bool is_map(field_desc *f)
{
    if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    message_desc *d = f->descriptor;
    size_t n = strlen(d->short_name);
    return n > 5 && strcmp(d->short_name + n - 5, "Entry") == 0 && d->n_fields == 2 &&
           strcmp(d->fields[0].name, "key") == 0 && strcmp(d->fields[1].name, "value") == 0;
}

static size_t element_size(field_desc *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 8;
    }
}

/* ---- writing ---- */

struct writer {
    struct str *out;
    enum pb_json_style style;
};

static void write_message(const struct writer *w, const ProtobufCMessage *m);

/* The shortest of the exact texts: tries the digits that always read back, and fewer. */
static void write_real(struct str *out, double v, bool single)
{
    char text[NUMBER_CHARS_MAX];

    if (isnan(v) || isinf(v)) {
        str_add(out, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    for (int digits = single ? 6 : 15;; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v); /* fits by its digits */
        double back = strtod(text, NULL);
        if (digits >= (single ? 9 : 17) || (single ? (float)back == (float)v : back == v))
            break;
    }
    str_add(out, text);
}

static void write_enum(struct str *out, field_desc *f, int v)
{
    const char *name = pb_enum_name(f->descriptor, v);

    if (*name != '\0')
        str_printf(out, "\"%s\"", name);
    else
        str_printf(out, "%d", v);
}

static void write_value(const struct writer *w, field_desc *f, const void *at)
{
    struct str *out = w->out;

    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        str_printf(out, "%d", *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        str_printf(out, "%u", *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        str_printf(out, "\"%lld\"", (long long)*(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        str_printf(out, "\"%llu\"", (unsigned long long)*(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        write_real(out, (double)*(const float *)at, true);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        write_real(out, *(const double *)at, false);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        str_add(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(out, f, *(const int *)at);
        break;
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(const char *const *)at;
        json_add_text(out, bytes_str(s ? s : ""));
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = at;
        str_add_char(out, '"');
        str_add_base64(out, bytes_of(b->data, b->len), false, true);
        str_add_char(out, '"');
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *m = *(const ProtobufCMessage *const *)at;
        if (m != NULL)
            write_message(w, m);
        else
            str_add(out, "null");
        break;
    }
    }
}

/* A map's key is always text in JSON. */
static void write_entry(const struct writer *w, const ProtobufCMessage *entry)
{
    field_desc *key = &entry->descriptor->fields[0], *value = &entry->descriptor->fields[1];
    bool quoted = key->type == PROTOBUF_C_TYPE_STRING || element_size(key) == 8;

    if (!quoted)
        str_add_char(w->out, '"');
    write_value(w, key, (const char *)entry + key->offset);
    str_add(w->out, quoted ? ":" : "\":");
    write_value(w, value, (const char *)entry + value->offset);
}

static void write_repeated(const struct writer *w, field_desc *f, const char *list, size_t n)
{
    bool map = is_map(f);

    str_add_char(w->out, map ? '{' : '[');
    for (size_t i = 0; i < n; i++) {
        const char *at = list + i * element_size(f);
        if (i > 0)
            str_add_char(w->out, ',');
        if (map)
            write_entry(w, *(const ProtobufCMessage *const *)(const void *)at);
        else
            write_value(w, f, at);
    }
    str_add_char(w->out, map ? '}' : ']');
}

/* Is there something to say about a field that is neither repeated nor in a oneof? */
static bool is_set(field_desc *f, const void *at)
{
    static const uint8_t zero[8];

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(const char *const *)at;
        return s != NULL && *s != '\0';
    }
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len > 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(void *const *)at != NULL;
    default:
        return memcmp(at, zero, element_size(f)) != 0;
    }
}

static void write_name(const struct writer *w, field_desc *f, bool first)
{
    str_add(w->out, first ? "\"" : ",\"");
    if (w->style == PB_JSON_TWIRP)
        str_add(w->out, f->name);
    else
        add_camel(w->out, f->name);
    str_add(w->out, "\":");
}

static void write_message(const struct writer *w, const ProtobufCMessage *m)
{
    bool first = true;

    str_add_char(w->out, '{');
    for (unsigned i = 0; i < m->descriptor->n_fields && !w->out->failed; i++) {
        field_desc *f = &m->descriptor->fields[i];
        const char *at = (const char *)m + f->offset;
        const void *count = (const char *)m + f->quantifier_offset;
        bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
        size_t n = repeated ? *(const size_t *)count : 0;

        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            /* an unset member is not said in either style */
            if (*(const uint32_t *)count != f->id)
                continue;
        } else if (w->style == PB_JSON_SIGNAL && (repeated ? n == 0 : !is_set(f, at))) {
            continue;
        }
        write_name(w, f, first);
        first = false;
        if (repeated)
            write_repeated(w, f, *(const char *const *)(const void *)at, n);
        else
            write_value(w, f, at);
    }
    str_add_char(w->out, '}');
}

void pb_json_write(const ProtobufCMessage *m, enum pb_json_style style, struct str *out)
{
    struct writer w = {.out = out, .style = style};

    write_message(&w, m);
}

/* ---- reading ---- */

struct reader {
    struct arena *arena;
    size_t left; /* of the unfolding limit */
    struct pb_why *why;
};

static void *take(struct reader *r, size_t n, size_t size)
{
    if (n > r->left / size)
        return NULL;
    r->left -= n * size;
    return arena_array(r->arena, n, size);
}

static int refuse(struct reader *r, const char *field, const char *what)
{
    (void)snprintf(r->why->text, sizeof r->why->text, "%s: %s", field, what); /* may be cut */
    return E_MALFORMED;
}

static int too_large(struct reader *r)
{
    (void)snprintf(r->why->text, sizeof r->why->text, "message too large"); /* fits */
    return E_TOO_LARGE;
}

static int read_message(struct reader *r, message_desc *d, const struct json_t *v,
                        ProtobufCMessage **out);

/* A whole number written as 5, "5" or 5.0. */
static bool to_int(const struct json_t *v, int64_t *out)
{
    struct bytes text;
    double real;

    if (json_to_i64(v, out))
        return true;
    if (json_to_text(v, &text))
        return str_to_i64(text, out);
    if (!json_to_double(v, &real) || !(real > -9.2e18 && real < 9.2e18) || real != trunc(real))
        return false;
    *out = (int64_t)real;
    return true;
}

static bool to_uint(const struct json_t *v, uint64_t *out)
{
    struct bytes text;
    int64_t i;

    if (json_to_text(v, &text))
        return str_to_u64(text, UINT64_MAX, out);
    if (!to_int(v, &i) || i < 0)
        return false;
    *out = (uint64_t)i;
    return true;
}

static bool to_real(const struct json_t *v, double *out)
{
    struct bytes text;
    char copy[NUMBER_CHARS_MAX];
    char *end;

    if (json_to_double(v, out))
        return true;
    if (!json_to_text(v, &text) || text.len == 0 || !str_copy(copy, sizeof copy, text))
        return false;
    if (strcmp(copy, "NaN") == 0 || strcmp(copy, "Infinity") == 0 ||
        strcmp(copy, "-Infinity") == 0) {
        *out = strtod(copy, NULL);
        return true;
    }
    if (strspn(copy, "+-.0123456789eE") != text.len)
        return false;
    *out = strtod(copy, &end);
    return *end == '\0';
}

/* 0, or 1 for a name that we do not know, which is as good as absent. */
static int read_enum(struct reader *r, field_desc *f, const struct json_t *v, void *at)
{
    struct bytes text;
    char name[96];
    int64_t number;

    if (json_to_text(v, &text)) {
        if (!str_copy(name, sizeof name, text))
            return 1;
        const ProtobufCEnumValue *e =
            protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, name);
        if (e == NULL)
            return 1;
        *(int *)at = e->value;
        return 0;
    }
    if (!to_int(v, &number) || number < INT32_MIN || number > INT32_MAX)
        return refuse(r, f->name, "invalid value for enum field");
    *(int *)at = (int)number;
    return 0;
}

static int read_number(struct reader *r, field_desc *f, const struct json_t *v, void *at)
{
    bool is_signed = f->type == PROTOBUF_C_TYPE_INT32 || f->type == PROTOBUF_C_TYPE_SINT32 ||
                     f->type == PROTOBUF_C_TYPE_SFIXED32 || f->type == PROTOBUF_C_TYPE_INT64 ||
                     f->type == PROTOBUF_C_TYPE_SINT64 || f->type == PROTOBUF_C_TYPE_SFIXED64;
    bool narrow = element_size(f) == 4;
    int64_t i = 0;
    uint64_t u = 0;

    if (is_signed ? !to_int(v, &i) || (narrow && (i < INT32_MIN || i > INT32_MAX))
                  : !to_uint(v, &u) || (narrow && u > UINT32_MAX))
        return refuse(r, f->name, "invalid number");
    if (is_signed)
        u = (uint64_t)i;
    if (narrow)
        *(uint32_t *)at = (uint32_t)u;
    else
        *(uint64_t *)at = u;
    return 0;
}

static int read_text(struct reader *r, field_desc *f, struct bytes text, void *at)
{
    char *copy = take(r, text.len + 1, 1);

    if (copy == NULL)
        return too_large(r);
    if (!pb_text_ok(text))
        return refuse(r, f->name, "invalid text");
    memcpy(copy, text.p, text.len);
    *(char **)at = copy;
    return 0;
}

static int read_bytes(struct reader *r, field_desc *f, const struct json_t *v, void *at)
{
    struct bytes text;
    ProtobufCBinaryData b = {0};

    if (!json_to_text(v, &text))
        return refuse(r, f->name, "invalid value for bytes field");
    size_t cap = text.len / 4 * 3 + 3;
    b.data = take(r, cap, 1);
    if (b.data == NULL)
        return too_large(r);
    if (!base64_decode(text, b.data, cap, &b.len))
        return refuse(r, f->name, "invalid base64");
    *(ProtobufCBinaryData *)at = b;
    return 0;
}

static int read_value(struct reader *r, field_desc *f, const struct json_t *v, void *at)
{
    struct bytes text;
    double real;
    bool yes;

    switch (f->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        if (!to_real(v, &real))
            return refuse(r, f->name, "invalid number");
        if (f->type == PROTOBUF_C_TYPE_FLOAT)
            *(float *)at = (float)real;
        else
            *(double *)at = real;
        return 0;
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_to_bool(v, &yes))
            return refuse(r, f->name, "invalid value for bool field");
        *(protobuf_c_boolean *)at = yes;
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(r, f, v, at);
    case PROTOBUF_C_TYPE_STRING:
        if (!json_to_text(v, &text))
            return refuse(r, f->name, "invalid value for string field");
        return read_text(r, f, text, at);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(r, f, v, at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(r, f->descriptor, v, at);
    default:
        return read_number(r, f, v, at);
    }
}

static int read_list(struct reader *r, field_desc *f, const struct json_t *v, char **list,
                     size_t *n)
{
    size_t count = json_count(v), kept = 0;

    if (json_kind_of(v) != JSON_KIND_LIST)
        return refuse(r, f->name, "expected a list");
    if (count == 0)
        return 0;
    *list = take(r, count, element_size(f));
    if (*list == NULL)
        return too_large(r);
    for (size_t i = 0; i < count; i++) {
        const struct json_t *item = json_item(v, i);
        if (json_kind_of(item) == JSON_KIND_NULL)
            return refuse(r, f->name, "null in a list");
        int err = read_value(r, f, item, *list + kept * element_size(f));
        if (err < 0)
            return err;
        kept += err == 0;
    }
    *n = kept;
    return 0;
}

/* Keys that are not text stand in quotes, so they are read as numbers in text. */
static int read_key(struct reader *r, field_desc *key, struct bytes text, void *at)
{
    uint64_t u;
    int64_t i;

    if (key->type == PROTOBUF_C_TYPE_STRING)
        return read_text(r, key, text, at);
    if (key->type == PROTOBUF_C_TYPE_UINT32 && str_to_u64(text, UINT32_MAX, &u))
        *(uint32_t *)at = (uint32_t)u;
    else if (key->type == PROTOBUF_C_TYPE_UINT64 && str_to_u64(text, UINT64_MAX, &u))
        *(uint64_t *)at = u;
    else if (key->type == PROTOBUF_C_TYPE_INT64 && str_to_i64(text, &i))
        *(int64_t *)at = i;
    else
        return refuse(r, key->name, "invalid key of a map");
    return 0;
}

static int read_map(struct reader *r, field_desc *f, const struct json_t *v, char **list, size_t *n)
{
    message_desc *d = f->descriptor;
    const struct json_t *value;
    struct bytes key;
    void *at = NULL;
    size_t kept = 0;

    if (json_kind_of(v) != JSON_KIND_OBJECT)
        return refuse(r, f->name, "expected an object");
    if (json_count(v) == 0)
        return 0;
    ProtobufCMessage **entries = take(r, json_count(v), sizeof *entries);
    if (entries == NULL)
        return too_large(r);
    while (json_next(v, &at, &key, &value)) {
        ProtobufCMessage *e = take(r, 1, d->sizeof_message);
        if (e == NULL)
            return too_large(r);
        protobuf_c_message_init(d, e);
        int err = read_key(r, &d->fields[0], key, (char *)e + d->fields[0].offset);
        if (err == 0)
            err = read_value(r, &d->fields[1], value, (char *)e + d->fields[1].offset);
        if (err < 0)
            return err;
        if (err == 0)
            entries[kept++] = e;
    }
    *list = (char *)entries;
    *n = kept;
    return 0;
}

static int read_field(struct reader *r, ProtobufCMessage *m, field_desc *f, const struct json_t *v)
{
    void *at = (char *)m + f->offset, *count = (char *)m + f->quantifier_offset;
    uint32_t *which = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF ? count : NULL;
    int err;

    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return is_map(f) ? read_map(r, f, v, at, count) : read_list(r, f, v, at, count);
    if (which != NULL && *which != 0)
        return refuse(r, f->name, "another member of its oneof is set");
    if (which != NULL)
        memset(at, 0, element_size(f));
    err = read_value(r, f, v, at);
    if (err == 0 && which != NULL)
        *which = f->id;
    return err < 0 ? err : 0;
}

static field_desc *find_field(message_desc *d, struct bytes name)
{
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (bytes_eq_str(name, d->fields[i].name) || camel_eq(d->fields[i].name, name))
            return &d->fields[i];
    }
    return NULL;
}

static int read_message(struct reader *r, message_desc *d, const struct json_t *v,
                        ProtobufCMessage **out)
{
    const struct json_t *value;
    struct bytes name;
    void *at = NULL;

    if (json_kind_of(v) != JSON_KIND_OBJECT)
        return refuse(r, d->short_name, "expected an object");
    ProtobufCMessage *m = take(r, 1, d->sizeof_message);
    if (m == NULL)
        return too_large(r);
    protobuf_c_message_init(d, m);
    while (json_next(v, &at, &name, &value)) {
        field_desc *f = find_field(d, name);
        if (f == NULL || json_kind_of(value) == JSON_KIND_NULL)
            continue;
        int err = read_field(r, m, f, value);
        if (err)
            return err;
    }
    *out = m;
    return 0;
}

void *pb_json_read(struct arena *a, const ProtobufCMessageDescriptor *d, struct bytes text,
                   struct pb_why *why)
{
    struct pb_why unread;
    struct reader r = {
        .arena = a,
        .left = PB_UNFOLD_BASE_BYTES + PB_UNFOLD * text.len,
        .why = why ? why : &unread,
    };
    struct json_doc doc;
    ProtobufCMessage *m = NULL;

    r.why->text[0] = '\0';
    int err = json_parse(&doc, text, text.len);
    if (err) {
        (void)refuse(&r, "json", err == E_TOO_LARGE ? "too large" : "syntax error");
        return NULL;
    }
    err = read_message(&r, d, doc.root, &m);
    json_close(&doc);
    return err ? NULL : m;
}
