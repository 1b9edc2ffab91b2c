#include "wire/pb.h"

#include "base/err.h"
#include "base/mem.h"

/* ---- text ---- */

/* Length of the well-formed sequence at p (RFC 3629 s4); 0 for anything else. */
static size_t utf8_len(const uint8_t *p, size_t left, bool nul)
{
    uint8_t lo = 0x80, hi = 0xbf;
    size_t n;

    if (p[0] < 0x80)
        return nul || p[0] != 0;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        lo = 0xa0; /* no overlong form */
    if (p[0] == 0xed)
        hi = 0x9f; /* no surrogate */
    if (p[0] == 0xf0)
        lo = 0x90;
    if (p[0] == 0xf4)
        hi = 0x8f; /* nothing beyond U+10FFFF */
    if (n > left || p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

static bool text_ok(struct bytes b, bool nul)
{
    for (size_t i = 0; i < b.len;) {
        size_t n = utf8_len(b.p + i, b.len - i, nul);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

bool pb_text_ok(struct bytes b)
{
    return text_ok(b, false);
}

/* ---- single fields ---- */

static uint64_t rd_varint(struct rd *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = rd_u8(r);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    r->failed = true; /* an eleventh byte */
    return 0;
}

bool pb_field_next(struct rd *r, struct pb_field *f)
{
    if (!rd_ok(r) || rd_left(r) == 0)
        return false;

    const uint8_t *start = r->p;
    uint64_t tag = rd_varint(r);
    *f = (struct pb_field){.no = (uint32_t)(tag >> 3), .wire = (enum pb_wire)(tag & 7)};
    if (tag > UINT32_MAX || f->no == 0)
        r->failed = true;
    switch (tag & 7) {
    case PB_VARINT:
        f->num = rd_varint(r);
        break;
    case PB_FIXED64:
        f->num = rd_u64le(r);
        break;
    case PB_BYTES: {
        uint64_t len = rd_varint(r);
        f->bytes = rd_bytes(r, len > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)len);
        break;
    }
    case PB_FIXED32:
        f->num = rd_u32le(r);
        break;
    default:
        r->failed = true;
        break;
    }
    f->whole = bytes_of(start, (size_t)(r->p - start));
    return rd_ok(r);
}

bool pb_field_find(struct bytes msg, uint32_t no, struct pb_field *f)
{
    struct rd r = rd_of(msg);
    struct pb_field at, last;
    bool found = false;

    while (pb_field_next(&r, &at)) {
        if (at.no == no) {
            last = at;
            found = true;
        }
    }
    if (!found || !rd_ok(&r))
        return false;
    *f = last;
    return true;
}

void pb_put_varint(struct wr *w, uint64_t v)
{
    while (v >= 0x80) {
        wr_u8(w, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    wr_u8(w, (uint8_t)v);
}

static void put_tag(struct wr *w, uint32_t no, enum pb_wire wire)
{
    pb_put_varint(w, (uint64_t)no << 3 | wire);
}

void pb_put_u64(struct wr *w, uint32_t no, uint64_t v)
{
    put_tag(w, no, PB_VARINT);
    pb_put_varint(w, v);
}

void pb_put_bytes(struct wr *w, uint32_t no, struct bytes b)
{
    put_tag(w, no, PB_BYTES);
    pb_put_varint(w, b.len);
    wr_bytes(w, b);
}

void pb_put_str(struct wr *w, uint32_t no, const char *s)
{
    pb_put_bytes(w, no, bytes_str(s));
}

void pb_put_float(struct wr *w, uint32_t no, float v)
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof bits);
    put_tag(w, no, PB_FIXED32);
    for (int i = 0; i < 4; i++)
        wr_u8(w, (uint8_t)(bits >> (8 * i)));
}

int pb_copy_without(struct wr *w, struct bytes msg, const uint32_t *drop, size_t drop_n)
{
    struct rd r = rd_of(msg);
    struct pb_field f;

    while (pb_field_next(&r, &f)) {
        bool dropped = false;
        for (size_t i = 0; i < drop_n; i++)
            dropped |= drop[i] == f.no;
        if (!dropped)
            wr_bytes(w, f.whole);
    }
    if (!rd_ok(&r))
        return E_MALFORMED;
    return wr_ok(w) ? 0 : E_TOO_LARGE;
}

/* ---- whole messages ---- */

static int check(const ProtobufCMessageDescriptor *d, struct bytes frame, bool nul, int depth)
{
    struct rd r = rd_of(frame);
    struct pb_field f;
    int err;

    if (depth > PB_DEPTH_MAX)
        return E_TOO_LARGE;
    while (pb_field_next(&r, &f)) {
        const ProtobufCFieldDescriptor *fd = protobuf_c_message_descriptor_get_field(d, f.no);
        if (fd == NULL || f.wire != PB_BYTES)
            continue;
        if (fd->type == PROTOBUF_C_TYPE_STRING && !text_ok(f.bytes, nul))
            return E_MALFORMED;
        if (fd->type == PROTOBUF_C_TYPE_MESSAGE) {
            err = check(fd->descriptor, f.bytes, nul, depth + 1);
            if (err)
                return err;
        }
    }
    return rd_ok(&r) ? 0 : E_MALFORMED;
}

int pb_check(const ProtobufCMessageDescriptor *d, struct bytes frame)
{
    return check(d, frame, false, 1);
}

int pb_check_relayed(const ProtobufCMessageDescriptor *d, struct bytes frame)
{
    return check(d, frame, true, 1);
}

void *pb_new(struct arena *a, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = arena_zero(a, d->sizeof_message);

    if (m != NULL)
        protobuf_c_message_init(d, m);
    return m;
}

/* protobuf-c's view of an arena.  What it frees early stays until the arena goes. */
struct budget {
    struct arena *arena;
    size_t left;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *b = data;

    if (size > b->left)
        return NULL;
    b->left -= size;
    return arena_zero(b->arena, size ? size : 1);
}

static void budget_free(void *data UNUSED, void *p UNUSED)
{
}

static void *unpack(struct arena *a, const ProtobufCMessageDescriptor *d, struct bytes frame,
                    size_t max)
{
    static const uint8_t nothing[1];
    struct budget b = {.arena = a, .left = max};
    ProtobufCAllocator alloc = {
        .alloc = budget_alloc,
        .free = budget_free,
        .allocator_data = &b,
    };

    return protobuf_c_message_unpack(d, &alloc, frame.len, frame.p ? frame.p : nothing);
}

void *pb_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, struct bytes frame)
{
    if (pb_check(d, frame) < 0)
        return NULL;
    return unpack(a, d, frame, PB_UNFOLD_BASE_BYTES + PB_UNFOLD * frame.len);
}

size_t pb_size(const ProtobufCMessage *m)
{
    return protobuf_c_message_get_packed_size(m);
}

struct sink {
    ProtobufCBuffer base;
    struct str *out;
};

static void sink_append(ProtobufCBuffer *b, size_t len, const uint8_t *data)
{
    str_add_bytes(OWNER_OF(b, struct sink, base)->out, bytes_of(data, len));
}

void pb_pack(const ProtobufCMessage *m, struct str *out)
{
    struct sink sink = {.base = {.append = sink_append}, .out = out};

    (void)protobuf_c_message_pack_to_buffer(m, &sink.base); /* out->failed says more */
}

void pb_pack_wr(const ProtobufCMessage *m, struct wr *out)
{
    uint8_t *p = wr_room(out, pb_size(m));

    if (p != NULL)
        (void)protobuf_c_message_pack(m, p); /* its length is what was asked for above */
}

void *pb_clone(struct arena *a, const ProtobufCMessage *m)
{
    size_t n = pb_size(m);
    uint8_t *p = mem_zero(n ? n : 1);
    void *copy = NULL;

    if (p == NULL)
        return NULL;
    n = protobuf_c_message_pack(m, p);
    copy = unpack(a, m->descriptor, bytes_of(p, n), SIZE_MAX); /* ours: the arena's ceiling holds */
    mem_free(p);
    return copy;
}

const char *pb_enum_name(const ProtobufCEnumDescriptor *d, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);

    return v != NULL ? v->name : "";
}
