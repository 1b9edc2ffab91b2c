#include "wire/amf.h"

#include "base/err.h"

enum marker { /* AMF0 s2.1 */
              M_NUMBER = 0,
              M_BOOLEAN = 1,
              M_STRING = 2,
              M_OBJECT = 3,
              M_NULL = 5,
              M_UNDEFINED = 6,
              M_REFERENCE = 7,
              M_ECMA_ARRAY = 8,
              M_OBJECT_END = 9,
              M_STRICT_ARRAY = 10,
              M_DATE = 11,
              M_LONG_STRING = 12,
              M_UNSUPPORTED = 13,
              M_RECORDSET = 14,
              M_XML = 15,
              M_TYPED_OBJECT = 16,
              M_AVMPLUS = 17,
};

enum marker3 { /* AMF3 s3.1 */
               M3_UNDEFINED = 0,
               M3_NULL = 1,
               M3_FALSE = 2,
               M3_TRUE = 3,
               M3_INTEGER = 4,
               M3_DOUBLE = 5,
               M3_STRING = 6,
               M3_XML_DOC = 7,
               M3_DATE = 8,
               M3_ARRAY = 9,
               M3_OBJECT = 10,
               M3_XML = 11,
               M3_BYTE_ARRAY = 12,
};

enum frame_kind {
    F_MEMBERS,       /* AMF0 object or ECMA array: until the end marker */
    F_LIST,          /* AMF0 strict array */
    F_SEALED,        /* AMF3 object: members that its class names */
    F_DYNAMIC,       /* AMF3 object: named members until an empty name */
    F_ARRAY_NAMED,   /* AMF3 array: likewise, then `left` without names */
    F_ARRAY_ORDINAL, /* AMF3 array: those */
};

void amf_open(struct amf *a, struct bytes in)
{
    a->rd = rd_of(in);
    a->depth = 0;
    a->strings_n = a->names_n = a->traits_n = 0;
}

bool amf_is_container(const struct amf_value *v)
{
    return v->type == AMF_OBJECT || v->type == AMF_ARRAY || v->type == AMF_LIST;
}

static double read_double(struct rd *r)
{
    uint64_t bits = rd_u64(r);
    double v;

    static_assert(sizeof v == sizeof bits, "IEEE 754 binary64");
    memcpy(&v, &bits, sizeof v);
    return v;
}

static int enter(struct amf *a, enum frame_kind kind, uint8_t trait, uint32_t left)
{
    if (a->depth == AMF_DEPTH_MAX)
        return E_LIMIT;
    a->frame[a->depth++] = (struct amf_frame){.kind = (uint8_t)kind, .trait = trait, .left = left};
    return 0;
}

/* AMF3 s1.3.1: one to four bytes, 29 bits. */
static uint32_t read_u29(struct rd *r)
{
    uint32_t v = 0;

    for (int i = 0; i < 3; i++) {
        uint8_t b = rd_u8(r);
        v = v << 7 | (b & 0x7f);
        if (!(b & 0x80))
            return v;
    }
    return v << 8 | rd_u8(r);
}

/* AMF3 s1.3.2: in line, or a reference to one before; the empty one is never referred to. */
static int read_string3(struct amf *a, struct bytes *out)
{
    uint32_t u = read_u29(&a->rd);

    if (!(u & 1)) {
        if (u >> 1 >= a->strings_n)
            return E_MALFORMED;
        *out = a->string[u >> 1];
        return 0;
    }
    *out = rd_bytes(&a->rd, u >> 1);
    if (!rd_ok(&a->rd))
        return E_TRUNCATED;
    if (out->len == 0)
        return 0;
    if (a->strings_n == AMF_STRINGS_MAX)
        return E_LIMIT;
    a->string[a->strings_n++] = *out;
    return 0;
}

/* A class described in line (AMF3 s3.12): its index. */
static int read_trait(struct amf *a, uint32_t u, uint8_t *index)
{
    uint32_t n = u >> 4;
    int err;

    if (u & 4)
        return E_UNSUPPORTED; /* externalizable: only its class knows its bytes */
    if (a->traits_n == AMF_TRAITS_MAX || n > AMF_NAMES_MAX - a->names_n)
        return E_LIMIT;
    struct amf_trait *t = &a->trait[a->traits_n];
    t->dynamic = (u & 8) != 0;
    t->first = (uint8_t)a->names_n;
    t->n = (uint8_t)n;
    err = read_string3(a, &t->name);
    for (uint32_t i = 0; i < n && err == 0; i++)
        err = read_string3(a, &a->name[a->names_n++]);
    *index = (uint8_t)a->traits_n++;
    return err;
}

static int read_object3(struct amf *a, struct amf_value *v)
{
    uint32_t u = read_u29(&a->rd);
    uint8_t index;
    int err = 0;

    if (!(u & 1)) {
        v->type = AMF_REFERENCE;
        v->n = u >> 1;
        return 0;
    }
    if (u & 2) {
        err = read_trait(a, u, &index);
        if (err)
            return err;
    } else {
        if (u >> 2 >= a->traits_n)
            return E_MALFORMED;
        index = (uint8_t)(u >> 2);
    }
    v->type = AMF_OBJECT;
    v->text = a->trait[index].name;
    return enter(a, F_SEALED, index, a->trait[index].n);
}

/* What an array, date, XML or byte array begins with: a reference, or a length. */
static bool read_length3(struct amf *a, struct amf_value *v, uint32_t *n)
{
    uint32_t u = read_u29(&a->rd);

    *n = u >> 1;
    if (u & 1)
        return true;
    v->type = AMF_REFERENCE;
    v->n = *n;
    return false;
}

static int read_long3(struct amf *a, struct amf_value *v, uint8_t marker)
{
    uint32_t n;

    if (!read_length3(a, v, &n))
        return 0;
    switch (marker) {
    case M3_DATE:
        v->type = AMF_DATE;
        v->number = read_double(&a->rd);
        return 0;
    case M3_ARRAY:
        v->type = AMF_ARRAY;
        v->n = n;
        return enter(a, F_ARRAY_NAMED, 0, n);
    case M3_BYTE_ARRAY:
        v->type = AMF_BYTES;
        break;
    default:
        v->type = AMF_XML;
    }
    v->text = rd_bytes(&a->rd, n);
    return 0;
}

static int read_value3(struct amf *a, struct amf_value *v)
{
    uint8_t marker = rd_u8(&a->rd);

    switch (marker) {
    case M3_UNDEFINED:
        v->type = AMF_UNDEFINED;
        return 0;
    case M3_NULL:
        v->type = AMF_NULL;
        return 0;
    case M3_FALSE:
    case M3_TRUE:
        v->type = AMF_BOOL;
        v->boolean = marker == M3_TRUE;
        return 0;
    case M3_INTEGER: {
        uint32_t u = read_u29(&a->rd);
        v->type = AMF_NUMBER;
        v->number = u & 0x10000000 ? (double)u - 0x20000000 : (double)u; /* 29 bits, signed */
        return 0;
    }
    case M3_DOUBLE:
        v->type = AMF_NUMBER;
        v->number = read_double(&a->rd);
        return 0;
    case M3_STRING:
        v->type = AMF_STRING;
        return read_string3(a, &v->text);
    case M3_OBJECT:
        return read_object3(a, v);
    case M3_XML_DOC:
    case M3_XML:
    case M3_DATE:
    case M3_ARRAY:
    case M3_BYTE_ARRAY:
        return read_long3(a, v, marker);
    default:
        return E_UNSUPPORTED; /* vectors, dictionaries */
    }
}

static int read_container0(struct amf *a, struct amf_value *v, uint8_t marker)
{
    switch (marker) {
    case M_STRICT_ARRAY:
        v->type = AMF_LIST;
        v->n = rd_u32(&a->rd);
        return enter(a, F_LIST, 0, v->n);
    case M_ECMA_ARRAY:
        v->type = AMF_ARRAY;
        v->n = rd_u32(&a->rd); /* often 0, or wrong: the end marker counts */
        return enter(a, F_MEMBERS, 0, 0);
    case M_TYPED_OBJECT:
        v->text = rd_bytes(&a->rd, rd_u16(&a->rd));
        break;
    default:
        break;
    }
    v->type = AMF_OBJECT;
    return enter(a, F_MEMBERS, 0, 0);
}

static int read_value0(struct amf *a, struct amf_value *v, uint8_t marker)
{
    switch (marker) {
    case M_NUMBER:
        v->type = AMF_NUMBER;
        v->number = read_double(&a->rd);
        return 0;
    case M_BOOLEAN:
        v->type = AMF_BOOL;
        v->boolean = rd_u8(&a->rd) != 0;
        return 0;
    case M_STRING:
        v->type = AMF_STRING;
        v->text = rd_bytes(&a->rd, rd_u16(&a->rd));
        return 0;
    case M_LONG_STRING:
    case M_XML:
        v->type = marker == M_XML ? AMF_XML : AMF_STRING;
        v->text = rd_bytes(&a->rd, rd_u32(&a->rd));
        return 0;
    case M_NULL:
        v->type = AMF_NULL;
        return 0;
    case M_UNDEFINED:
        v->type = AMF_UNDEFINED;
        return 0;
    case M_UNSUPPORTED:
        v->type = AMF_UNSUPPORTED;
        return 0;
    case M_REFERENCE:
        v->type = AMF_REFERENCE;
        v->n = rd_u16(&a->rd);
        return 0;
    case M_DATE:
        v->type = AMF_DATE;
        v->number = read_double(&a->rd);
        rd_skip(&a->rd, 2); /* time zone: reserved, to be ignored (s2.13) */
        return 0;
    case M_OBJECT:
    case M_ECMA_ARRAY:
    case M_STRICT_ARRAY:
    case M_TYPED_OBJECT:
        return read_container0(a, v, marker);
    case M_AVMPLUS:
        a->strings_n = a->names_n = a->traits_n = 0;
        return read_value3(a, v);
    default:
        return E_MALFORMED; /* movie clip and record set are reserved */
    }
}

static int leave(struct amf *a, struct amf_value *v)
{
    assert(a->depth > 0);
    a->depth--;
    v->type = AMF_END;
    return 0;
}

static int next_member0(struct amf *a, struct amf_value *v)
{
    v->key = rd_bytes(&a->rd, rd_u16(&a->rd));
    uint8_t marker = rd_u8(&a->rd);

    if (marker == M_OBJECT_END && v->key.len == 0 && rd_ok(&a->rd))
        return leave(a, v);
    return read_value0(a, v, marker);
}

/* A named member of AMF3; the empty name ends them: *last. */
static int next_named3(struct amf *a, struct amf_value *v, bool *last)
{
    int err = read_string3(a, &v->key);

    *last = err == 0 && rd_ok(&a->rd) && v->key.len == 0;
    return err || *last ? err : read_value3(a, v);
}

static int next_ordinal3(struct amf *a, struct amf_frame *f, struct amf_value *v)
{
    if (f->left == 0)
        return leave(a, v);
    f->left--;
    return read_value3(a, v);
}

static int next_member3(struct amf *a, struct amf_frame *f, struct amf_value *v)
{
    const struct amf_trait *t = &a->trait[f->trait];
    bool last;
    int err;

    switch (f->kind) {
    case F_SEALED:
        if (f->left > 0) {
            v->key = a->name[t->first + (t->n - f->left--)];
            return read_value3(a, v);
        }
        if (!t->dynamic)
            return leave(a, v);
        f->kind = F_DYNAMIC;
        /* fall through */
    case F_DYNAMIC:
        err = next_named3(a, v, &last);
        return err == 0 && last ? leave(a, v) : err;
    case F_ARRAY_NAMED:
        err = next_named3(a, v, &last);
        if (err || !last)
            return err;
        f->kind = F_ARRAY_ORDINAL;
        return next_ordinal3(a, f, v);
    default:
        return next_ordinal3(a, f, v);
    }
}

int amf_next(struct amf *a, struct amf_value *v)
{
    struct amf_frame *f = a->depth > 0 ? &a->frame[a->depth - 1] : NULL;
    int err;

    *v = (struct amf_value){.type = AMF_NULL};
    if (f == NULL) {
        if (rd_left(&a->rd) == 0)
            return rd_ok(&a->rd) ? E_CLOSED : E_TRUNCATED;
        err = read_value0(a, v, rd_u8(&a->rd));
    } else if (f->kind == F_MEMBERS) {
        err = next_member0(a, v);
    } else if (f->kind == F_LIST) {
        if (f->left == 0)
            return leave(a, v);
        f->left--;
        err = read_value0(a, v, rd_u8(&a->rd));
    } else {
        err = next_member3(a, f, v);
    }
    return rd_ok(&a->rd) ? err : E_TRUNCATED;
}

int amf_skip(struct amf *a, const struct amf_value *v)
{
    unsigned outside = a->depth - 1;
    struct amf_value inner;

    if (!amf_is_container(v))
        return 0;
    while (a->depth > outside) {
        int err = amf_next(a, &inner);
        if (err)
            return err;
    }
    return 0;
}

void amf_write_number(struct wr *w, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    wr_u8(w, M_NUMBER);
    wr_u64(w, bits);
}

void amf_write_bool(struct wr *w, bool v)
{
    wr_u8(w, M_BOOLEAN);
    wr_u8(w, v);
}

void amf_write_string(struct wr *w, struct bytes text)
{
    if (text.len > 0xffff) {
        wr_u8(w, M_LONG_STRING);
        wr_u32(w, (uint32_t)text.len);
    } else {
        wr_u8(w, M_STRING);
        wr_u16(w, (uint16_t)text.len);
    }
    wr_bytes(w, text);
}

void amf_write_text(struct wr *w, const char *text)
{
    amf_write_string(w, bytes_str(text));
}

void amf_write_null(struct wr *w)
{
    wr_u8(w, M_NULL);
}

void amf_write_object(struct wr *w)
{
    wr_u8(w, M_OBJECT);
}

void amf_write_array(struct wr *w, uint32_t n)
{
    wr_u8(w, M_ECMA_ARRAY);
    wr_u32(w, n);
}

void amf_write_list(struct wr *w, uint32_t n)
{
    wr_u8(w, M_STRICT_ARRAY);
    wr_u32(w, n);
}

void amf_write_key(struct wr *w, const char *key)
{
    struct bytes b = bytes_str(key);

    assert(b.len > 0 && b.len <= 0xffff);
    wr_u16(w, (uint16_t)b.len);
    wr_bytes(w, b);
}

void amf_write_end(struct wr *w)
{
    wr_u16(w, 0);
    wr_u8(w, M_OBJECT_END);
}
