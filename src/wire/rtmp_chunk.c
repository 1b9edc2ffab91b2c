#include "wire/rtmp_chunk.h"

#include "base/err.h"
#include "base/mem.h"

enum {
    TIMESTAMP_EXTENDED = 0xffffff, /* s5.3.1.3: the real one follows the header */
    BUFFER_MIN = 512,
};

void rtmp_chunk_reader_init(struct rtmp_chunk_reader *r, size_t budget)
{
    *r = (struct rtmp_chunk_reader){.chunk_size = RTMP_CHUNK_SIZE_DEFAULT, .budget = budget};
}

static void release(struct rtmp_chunk_reader *r, struct rtmp_chunk_stream *s)
{
    mem_free(s->buf);
    r->used -= s->cap;
    s->buf = NULL;
    s->cap = 0;
}

void rtmp_chunk_reader_fini(struct rtmp_chunk_reader *r)
{
    for (unsigned i = 0; i < RTMP_CHUNK_STREAMS_MAX; i++)
        release(r, &r->stream[i]);
    assert(r->used == 0);
}

/* Up to n bytes: first those put back, then the wire's. */
static size_t take(struct rtmp_chunk_reader *r, struct bytes *wire, uint8_t *out, size_t n)
{
    size_t from_back = size_min(n, r->back_n), from_wire = size_min(n - from_back, wire->len);

    if (from_back > 0) {
        memcpy(out, r->back, from_back);
        r->back_n = (uint8_t)(r->back_n - from_back);
        memmove(r->back, r->back + from_back, r->back_n);
    }
    if (from_wire > 0) {
        memcpy(out + from_back, wire->p, from_wire);
        wire->p += from_wire;
        wire->len -= from_wire;
        r->received += from_wire;
    }
    return from_back + from_wire;
}

/* head holds n bytes, or there are no more for now. */
static bool gather(struct rtmp_chunk_reader *r, struct bytes *wire, unsigned n)
{
    assert(n <= RTMP_CHUNK_HEADER_MAX);
    if (r->head_n < n)
        r->head_n = (uint8_t)(r->head_n + take(r, wire, r->head + r->head_n, n - r->head_n));
    return r->head_n >= n;
}

static struct rtmp_chunk_stream *stream_find(struct rtmp_chunk_reader *r, uint32_t id)
{
    struct rtmp_chunk_stream *free_one = NULL;

    for (unsigned i = 0; i < RTMP_CHUNK_STREAMS_MAX; i++) {
        if (r->stream[i].id == id)
            return &r->stream[i];
        if (r->stream[i].id == 0 && free_one == NULL)
            free_one = &r->stream[i];
    }
    return free_one;
}

/* s5.3.1.1: 2..63 in one byte, 64..319 in two, 64..65599 in three. */
static unsigned basic_bytes(uint8_t first)
{
    return (first & 63) == 0 ? 2 : (first & 63) == 1 ? 3 : 1;
}

static uint32_t basic_id(const uint8_t *p)
{
    switch (p[0] & 63) {
    case 0:
        return 64u + p[1];
    case 1:
        return 64u + p[1] + 256u * p[2];
    default:
        return p[0] & 63;
    }
}

/* s5.3.1.2: the fields of a message header of type 0, 1 or 2; *field is its time stamp. */
static int read_fields(struct rtmp_chunk_reader *r, struct rtmp_chunk_stream *s, struct rd rd,
                       unsigned fmt)
{
    rd_skip(&rd, 3);
    if (fmt < 2) {
        s->length = rd_u24(&rd);
        s->type = rd_u8(&rd);
        if (s->length > RTMP_CHUNK_MESSAGE_MAX || s->length > r->budget)
            return E_TOO_LARGE;
    }
    if (fmt == 0)
        s->stream = rd_u32le(&rd);
    assert(rd_ok(&rd));
    s->delta = s->field;
    s->timestamp = fmt == 0 ? s->field : s->timestamp + s->field;
    s->seen = true;
    return 0;
}

/* Type 3: a message goes on, or one begins like the last.  s5.3.1.3 puts the extended time stamp
 * here too; senders that do not are told apart by its value. */
static bool continue_stream(struct rtmp_chunk_reader *r, struct rtmp_chunk_stream *s,
                            struct bytes *wire, unsigned basic)
{
    if (s->extended) {
        if (!gather(r, wire, basic + 4))
            return false;
        if (load_u32(r->head + basic) != s->field) {
            memcpy(r->back, r->head + basic, 4);
            r->back_n = 4;
        }
    }
    if (!s->open)
        s->timestamp += s->delta;
    return true;
}

/* 1: a chunk begins, r->last and r->left say which; 0: more bytes are needed. */
static int read_header(struct rtmp_chunk_reader *r, struct bytes *wire)
{
    static const uint8_t fields[] = {11, 7, 3, 0};
    struct rtmp_chunk_stream *s;
    unsigned basic, fmt, bytes;
    int err;

    if (!gather(r, wire, 1) || !gather(r, wire, basic_bytes(r->head[0])))
        return 0;
    basic = basic_bytes(r->head[0]);
    fmt = r->head[0] >> 6;
    bytes = basic + fields[fmt];
    s = stream_find(r, basic_id(r->head));
    if (s == NULL)
        return E_LIMIT;
    /* librtmp has begun a stream with type 1; anything shorter refers to nothing */
    if ((fmt < 3 && s->open) || (fmt > 1 && !s->seen))
        return E_MALFORMED;
    if (fmt == 3) {
        if (!continue_stream(r, s, wire, basic))
            return 0;
    } else {
        if (!gather(r, wire, bytes))
            return 0;
        uint32_t field = load_u32(r->head + basic) >> 8;
        s->extended = field == TIMESTAMP_EXTENDED;
        if (s->extended && !gather(r, wire, bytes + 4))
            return 0;
        s->field = s->extended ? load_u32(r->head + bytes) : field;
        err = read_fields(r, s, rd_of(bytes_of(r->head + basic, fields[fmt])), fmt);
        if (err)
            return err;
    }
    s->id = basic_id(r->head);
    s->open = true;
    r->last = s;
    r->left = u32_min(s->length - s->have, r->chunk_size);
    r->head_n = 0;
    return 1;
}

/* Room for `need` bytes of the message; doubles, so that what is held follows what has come. */
static int grow(struct rtmp_chunk_reader *r, struct rtmp_chunk_stream *s, uint32_t need)
{
    uint32_t cap = u32_min(s->length, u32_max(2 * s->cap, BUFFER_MIN));

    if (need <= s->cap)
        return 0;
    cap = u32_max(cap, need);
    for (unsigned i = 0; i < RTMP_CHUNK_STREAMS_MAX && r->used - s->cap + cap > r->budget; i++) {
        if (!r->stream[i].open)
            release(r, &r->stream[i]);
    }
    if (r->used - s->cap + cap > r->budget)
        cap = need;
    if (r->used - s->cap + cap > r->budget)
        return E_LIMIT;
    uint8_t *p = mem_resize(s->buf, cap);
    if (p == NULL)
        return E_NOMEM;
    r->used += cap - s->cap;
    s->buf = p;
    s->cap = cap;
    return 0;
}

/* s5.4.1, s5.4.2: what changes the reading of the bytes that follow. */
static int obey(struct rtmp_chunk_reader *r, const struct rtmp_chunk_message *m)
{
    if (m->type != RTMP_SET_CHUNK_SIZE && m->type != RTMP_ABORT)
        return 0;
    if (m->body.len < 4)
        return E_MALFORMED;
    uint32_t v = load_u32(m->body.p);
    if (m->type == RTMP_SET_CHUNK_SIZE) {
        if (v == 0 || v > INT32_MAX)
            return E_MALFORMED;
        r->chunk_size = u32_min(v, RTMP_CHUNK_SIZE_MAX);
        return 0;
    }
    for (unsigned i = 0; i < RTMP_CHUNK_STREAMS_MAX; i++) {
        if (r->stream[i].id == v && v != 0) {
            r->stream[i].open = false;
            r->stream[i].have = 0;
        }
    }
    return 0;
}

static int deliver(struct rtmp_chunk_reader *r, struct rtmp_chunk_stream *s,
                   struct rtmp_chunk_message *m)
{
    *m = (struct rtmp_chunk_message){
        .type = s->type,
        .chunk_stream = s->id,
        .stream = s->stream,
        .timestamp = s->timestamp,
        .body = bytes_of(s->buf, s->length),
    };
    s->open = false;
    s->have = 0;
    r->done = s;
    int err = obey(r, m);
    return err ? err : 1;
}

int rtmp_chunk_read(struct rtmp_chunk_reader *r, struct bytes *wire, struct rtmp_chunk_message *m)
{
    int err;

    if (r->done != NULL && r->done->cap > RTMP_CHUNK_KEEP_MAX)
        release(r, r->done);
    r->done = NULL;
    for (;;) {
        if (r->left == 0) {
            err = read_header(r, wire);
            if (err <= 0)
                return err;
        }
        struct rtmp_chunk_stream *s = r->last;
        uint32_t n = (uint32_t)size_min(r->left, wire->len + r->back_n);
        if (n == 0 && r->left > 0)
            return 0;
        err = grow(r, s, s->have + n);
        if (err)
            return err;
        if (n > 0)
            (void)take(r, wire, s->buf + s->have, n); /* n is there */
        s->have += n;
        r->left -= n;
        if (r->left == 0 && s->have == s->length)
            return deliver(r, s, m);
    }
}

static unsigned id_bytes(uint32_t id)
{
    return id < 64 ? 1 : id < 320 ? 2 : 3;
}

static void write_basic(struct wr *w, unsigned fmt, uint32_t id)
{
    if (id < 64) {
        wr_u8(w, (uint8_t)(fmt << 6 | id));
    } else if (id < 320) {
        wr_u8(w, (uint8_t)(fmt << 6));
        wr_u8(w, (uint8_t)(id - 64));
    } else {
        wr_u8(w, (uint8_t)(fmt << 6 | 1));
        wr_u8(w, (uint8_t)((id - 64) & 0xff));
        wr_u8(w, (uint8_t)((id - 64) >> 8));
    }
}

static void write_u32le(struct wr *w, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        wr_u8(w, (uint8_t)(v >> (8 * i)));
}

void rtmp_chunk_write(struct wr *w, const struct rtmp_chunk_message *m, uint32_t chunk_size)
{
    bool extended = m->timestamp >= TIMESTAMP_EXTENDED;
    size_t at = 0;

    assert(m->chunk_stream >= 2 && m->chunk_stream <= 65599);
    assert(chunk_size > 0 && m->body.len <= RTMP_CHUNK_SIZE_MAX);
    do {
        size_t n = size_min(m->body.len - at, chunk_size);
        write_basic(w, at == 0 ? 0 : 3, m->chunk_stream);
        if (at == 0) {
            wr_u24(w, extended ? TIMESTAMP_EXTENDED : m->timestamp);
            wr_u24(w, (uint32_t)m->body.len);
            wr_u8(w, m->type);
            write_u32le(w, m->stream);
        }
        if (extended)
            wr_u32(w, m->timestamp);
        wr_bytes(w, bytes_of(m->body.p + at, n));
        at += n;
    } while (at < m->body.len);
}

size_t rtmp_chunk_size(const struct rtmp_chunk_message *m, uint32_t chunk_size)
{
    size_t chunks = m->body.len == 0 ? 1 : (m->body.len + chunk_size - 1) / chunk_size;
    size_t each = id_bytes(m->chunk_stream) + (m->timestamp >= TIMESTAMP_EXTENDED ? 4 : 0);

    return 11 + chunks * each + m->body.len;
}
