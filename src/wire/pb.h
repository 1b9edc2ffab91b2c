/* wire/pb.h - protobuf in and out (as JSON: wire/pb_json.h).
 *
 * Over protobuf-c and the descriptors generated from proto/.  Messages from
 * outside are unpacked only into an arena with a ceiling and only after their
 * strings were found to be UTF-8 without NUL, so the rest of the program may
 * treat every string field as C text.  Nothing here knows what a message means.
 * Data packets are not unpacked and packed again: pb_field_* and pb_put_* change
 * single fields on the wire bytes, and fields that we do not know survive.
 *
 * No allocation outside the arena or the str given.  Higher layers include this
 * header and the generated ones ("livekit_rtc.pb-c.h"), never protobuf-c's.
 */
#ifndef WIRE_PB_H
#define WIRE_PB_H

#include "base/arena.h"
#include "base/cursor.h"
#include "base/str.h"

#include <protobuf-c/protobuf-c.h>

enum {
    PB_UNFOLD = 8,                  /* chosen: bytes unpacked per byte of the frame */
    PB_UNFOLD_BASE_BYTES = 1 << 16, /* chosen: what the smallest frame may take */
    PB_DEPTH_MAX = 16,              /* chosen: messages in messages; ours nest 7 deep */
};

/* ---- whole messages ---- */

/* A message with every field at its default, to be filled and packed; NULL when
 * the arena refuses.  Cast-free: `Livekit__Room *r = pb_new(a, &livekit__room__descriptor)`. */
MUST_CHECK void *pb_new(struct arena *a, const ProtobufCMessageDescriptor *d);

/* Text for a field of a message that will only be packed: the generated structs say
 * char *, and nobody writes through it. */
static inline char *pb_text(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* The message in `frame`, living in the arena; never to be freed otherwise.
 * NULL: malformed, text that is not UTF-8 or holds NUL, nested too deep, or
 * unfolding beyond PB_UNFOLD times the frame. */
MUST_CHECK void *pb_unpack(struct arena *a, const ProtobufCMessageDescriptor *d,
                           struct bytes frame);

/* Checks what pb_unpack() checks, and builds nothing: 0, E_MALFORMED, E_TOO_LARGE. */
int pb_check(const ProtobufCMessageDescriptor *d, struct bytes frame);
/* The same for what is passed on and never becomes C text: NUL is allowed. */
int pb_check_relayed(const ProtobufCMessageDescriptor *d, struct bytes frame);

size_t pb_size(const ProtobufCMessage *m);
/* Appends; a str or wr that cannot hold it all has `failed` set. */
void pb_pack(const ProtobufCMessage *m, struct str *out);
void pb_pack_wr(const ProtobufCMessage *m, struct wr *out);
/* A deep copy in another arena; NULL when that refuses. */
MUST_CHECK void *pb_clone(struct arena *a, const ProtobufCMessage *m);

/* The name of an enum's value, "" when it has none. */
const char *pb_enum_name(const ProtobufCEnumDescriptor *d, int value);

/* ---- single fields on the wire bytes ---- */

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint32_t no;
    enum pb_wire wire;
    uint64_t num;       /* PB_VARINT, PB_FIXED*: the value */
    struct bytes bytes; /* PB_BYTES: the content */
    struct bytes whole; /* tag and value, to be copied unchanged */
};

/* The next field of one message; false at the end and on malformed input (then
 * r->failed).  Groups (wire types 3 and 4) count as malformed. */
bool pb_field_next(struct rd *r, struct pb_field *f);
/* The last occurrence of a field, as a parser would take it; false when absent or malformed. */
bool pb_field_find(struct bytes msg, uint32_t no, struct pb_field *f);

void pb_put_varint(struct wr *w, uint64_t v);
void pb_put_u64(struct wr *w, uint32_t no, uint64_t v);
void pb_put_bytes(struct wr *w, uint32_t no, struct bytes b);
void pb_put_str(struct wr *w, uint32_t no, const char *s);
void pb_put_float(struct wr *w, uint32_t no, float v);
/* Copies the fields of `msg` except those numbered in drop[]; E_MALFORMED or 0. */
int pb_copy_without(struct wr *w, struct bytes msg, const uint32_t *drop, size_t drop_n);

/* UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL. */
bool pb_text_ok(struct bytes b);

#endif
