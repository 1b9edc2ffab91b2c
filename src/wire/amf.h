/* wire/amf.h - values of Action Message Format, AMF0 whole and AMF3 where it occurs in RTMP.
 * (AMF 0 specification 2007, AMF 3 specification 2013)
 *
 * A reader that walks a sequence of values: a container is announced, its members follow one by
 * one, AMF_END closes it.  AMF0's marker 0x11 switches to AMF3 for one value.  A reference to an
 * object seen before is reported and not followed; AMF3 vectors and dictionaries are refused.
 * Spans borrow the input.  No allocation, no recursion, work linear in the input.
 */
#ifndef WIRE_AMF_H
#define WIRE_AMF_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    AMF_DEPTH_MAX = 16,   /* containers in containers; real clients: 3 */
    AMF_STRINGS_MAX = 64, /* AMF3: strings of one value that may be referred to */
    AMF_NAMES_MAX = 64,   /* AMF3: member names of all classes of one value */
    AMF_TRAITS_MAX = 8,   /* AMF3: classes of one value */
};

enum amf_type {
    AMF_NUMBER,
    AMF_BOOL,
    AMF_STRING,
    AMF_OBJECT, /* container: members with keys */
    AMF_ARRAY,  /* container: members with keys (ECMA array); AMF3: then members without */
    AMF_LIST,   /* container: members without keys (strict array) */
    AMF_NULL,
    AMF_UNDEFINED,
    AMF_REFERENCE,
    AMF_DATE,
    AMF_XML,
    AMF_BYTES, /* AMF3 byte array */
    AMF_UNSUPPORTED,
    AMF_END, /* of the innermost container */
};

struct amf_value {
    enum amf_type type;
    struct bytes key;  /* name of the member, inside OBJECT and ARRAY */
    struct bytes text; /* STRING, XML, BYTES; OBJECT: name of its class, mostly empty */
    double number;     /* NUMBER; DATE: milliseconds since 1970 */
    bool boolean;
    uint32_t n; /* LIST: members; ARRAY: as announced, not to be trusted; REFERENCE: its index */
};

struct amf_frame {
    uint8_t kind;  /* which container */
    uint8_t trait; /* AMF3 object: its class */
    uint32_t left; /* members to come, where known */
};

struct amf_trait {
    struct bytes name;
    bool dynamic;
    uint8_t first, n; /* its member names */
};

struct amf {
    struct rd rd;
    unsigned depth;
    struct amf_frame frame[AMF_DEPTH_MAX];
    /* AMF3's tables; they begin anew with each marker 0x11 */
    unsigned strings_n, names_n, traits_n;
    struct bytes string[AMF_STRINGS_MAX];
    struct bytes name[AMF_NAMES_MAX];
    struct amf_trait trait[AMF_TRAITS_MAX];
};

void amf_open(struct amf *a, struct bytes in);
/* The next value.  E_CLOSED at the end of the input; E_TRUNCATED, E_MALFORMED, E_LIMIT and
 * E_UNSUPPORTED are final. */
MUST_CHECK int amf_next(struct amf *a, struct amf_value *v);
/* Walks over the members of the container *v that amf_next() has just announced, with its END;
 * nothing to do for other values. */
MUST_CHECK int amf_skip(struct amf *a, const struct amf_value *v);
bool amf_is_container(const struct amf_value *v);

/* Writers of AMF0; errors stick in w.  A text over 65,535 bytes is written as a long string. */
void amf_write_number(struct wr *w, double v);
void amf_write_bool(struct wr *w, bool v);
void amf_write_string(struct wr *w, struct bytes text);
void amf_write_text(struct wr *w, const char *text);
void amf_write_null(struct wr *w);
/* Begin; then amf_write_key() before each member, and amf_write_end(). */
void amf_write_object(struct wr *w);
void amf_write_array(struct wr *w, uint32_t n);
void amf_write_list(struct wr *w, uint32_t n); /* n values follow; no end */
void amf_write_key(struct wr *w, const char *key);
void amf_write_end(struct wr *w);

#endif
