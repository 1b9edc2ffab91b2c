#include "wire/stun.h"

#include "base/err.h"

enum {
    MAGIC = 0x2112a442,
    FINGERPRINT_XOR = 0x5354554e, /* RFC 8489 s14.7 */
    FAMILY_IP4 = 1,
    FAMILY_IP6 = 2,
};

struct stun_tid stun_tid_new(struct rng *rng)
{
    struct stun_tid tid;

    rng_fill(rng, tid.b, sizeof tid.b);
    return tid;
}

bool stun_tid_eq(const struct stun_tid *a, const struct stun_tid *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* CRC-32 of ISO 3309, four bits at a time: a message is a hundred bytes. */
static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

/* MAPPED-ADDRESS and XOR-MAPPED-ADDRESS (RFC 8489 s14.1, s14.2). */
static int read_addr(struct bytes v, const struct stun_tid *tid, bool xored, struct addr *a)
{
    struct rd r = rd_of(v);
    uint8_t mask[16] = {0x21, 0x12, 0xa4, 0x42}, ip[16];

    rd_skip(&r, 1);
    uint8_t family = rd_u8(&r);
    uint16_t port = rd_u16(&r);
    size_t n = family == FAMILY_IP4 ? 4 : 16;
    struct bytes b = rd_bytes(&r, n);

    if (!rd_ok(&r) || rd_left(&r) > 0 || (family != FAMILY_IP4 && family != FAMILY_IP6))
        return E_MALFORMED;
    memcpy(mask + 4, tid->b, sizeof tid->b);
    for (size_t i = 0; i < n; i++)
        ip[i] = (uint8_t)(b.p[i] ^ (xored ? mask[i] : 0));
    if (xored)
        port ^= MAGIC >> 16;
    *a = (struct addr){0};
    if (family == FAMILY_IP4)
        addr_set_ip4(a, ip, port);
    else
        addr_set_ip6(a, ip, port);
    return 0;
}

static int read_error(struct stun_msg *m, struct bytes v)
{
    if (v.len < 4)
        return E_MALFORMED;
    unsigned cls = v.p[2] & 7, number = v.p[3];

    if (cls < 3 || cls > 6 || number > 99) /* RFC 8489 s14.8 */
        return E_MALFORMED;
    m->error_code = (uint16_t)(cls * 100 + number);
    m->error_reason = bytes_of(v.p + 4, v.len - 4);
    return 0;
}

static int read_role(struct stun_msg *m, enum stun_role role, struct bytes v)
{
    struct rd r = rd_of(v);

    /* RFC 8445 s7.1.1: one of the two.  A message with both contradicts itself. */
    if (v.len != 8 || (m->role != STUN_ROLE_NONE && m->role != role))
        return E_MALFORMED;
    m->role = role;
    m->tie_breaker = rd_u64(&r);
    return 0;
}

static void keep_first(struct bytes *field, struct bytes v)
{
    if (field->p == NULL)
        *field = v;
}

static int read_attr(struct stun_msg *m, uint16_t type, struct bytes v)
{
    switch (type) {
    case STUN_USERNAME:
        if (v.len > STUN_USERNAME_MAX)
            return E_MALFORMED;
        keep_first(&m->username, v);
        return 0;
    case STUN_REALM:
        keep_first(&m->realm, v);
        return 0;
    case STUN_NONCE:
        keep_first(&m->nonce, v);
        return 0;
    case STUN_SOFTWARE:
        keep_first(&m->software, v);
        return 0;
    case STUN_PRIORITY:
        if (v.len != 4)
            return E_MALFORMED;
        if (!m->has_priority)
            m->priority = load_u32(v.p);
        m->has_priority = true;
        return 0;
    case STUN_USE_CANDIDATE:
        m->use_candidate = true;
        return 0;
    case STUN_ICE_CONTROLLING:
        return read_role(m, STUN_ROLE_CONTROLLING, v);
    case STUN_ICE_CONTROLLED:
        return read_role(m, STUN_ROLE_CONTROLLED, v);
    case STUN_XOR_MAPPED_ADDRESS:
        return read_addr(v, &m->tid, true, &m->mapped);
    case STUN_MAPPED_ADDRESS:
        return m->mapped.family ? 0 : read_addr(v, &m->tid, false, &m->mapped);
    case STUN_ERROR_CODE:
        return read_error(m, v);
    case STUN_UNKNOWN_ATTRIBUTES:
    case STUN_MESSAGE_INTEGRITY_SHA256: /* we never announce it, and SHA1 stands beside it */
        return 0;
    default:
        if (type < 0x8000 && m->unknown_n < STUN_UNKNOWN_MAX) /* RFC 8489 s14: to be understood */
            m->unknown[m->unknown_n++] = type;
        return 0;
    }
}

static int read_fingerprint(struct stun_msg *m, struct bytes v)
{
    size_t before = (size_t)(v.p - 4 - m->raw.p);

    if (v.len != 4 || v.p + 4 != m->raw.p + m->raw.len) /* RFC 8489 s14.7: the last attribute */
        return E_MALFORMED;
    if (load_u32(v.p) != (crc32_of(m->raw.p, before) ^ FINGERPRINT_XOR))
        return E_MISMATCH;
    m->fingerprint = true;
    return 0;
}

/* One attribute header and value; the padding is stepped over. */
static struct bytes next_attr(struct rd *r, uint16_t *type)
{
    *type = rd_u16(r);
    uint16_t len = rd_u16(r);
    struct bytes v = rd_bytes(r, len);

    rd_skip(r, (4 - len % 4u) % 4);
    return v;
}

static int read_attrs(struct stun_msg *m, struct rd r)
{
    int err = 0;

    for (unsigned n = 0; err == 0 && rd_left(&r) > 0; n++) {
        uint16_t at = (uint16_t)(r.p - m->raw.p), type;
        struct bytes v = next_attr(&r, &type);

        if (!rd_ok(&r) || n == STUN_ATTRS_MAX)
            return E_MALFORMED;
        if (type == STUN_FINGERPRINT) {
            err = read_fingerprint(m, v);
        } else if (m->integrity_at != 0) {
            continue; /* RFC 8489 s14.5: what follows the tag is not protected by it */
        } else if (type == STUN_MESSAGE_INTEGRITY) {
            if (v.len != STUN_TAG_BYTES)
                return E_MALFORMED;
            m->integrity_at = at;
        } else {
            err = read_attr(m, type, v);
        }
    }
    return err;
}

int stun_parse(struct stun_msg *out, struct bytes datagram)
{
    struct rd r = rd_of(datagram);
    struct stun_msg m = {.raw = datagram};

    if (datagram.len < STUN_HEADER_BYTES)
        return E_TRUNCATED;
    if (datagram.len > STUN_MESSAGE_MAX)
        return E_TOO_LARGE;
    uint16_t type = rd_u16(&r), len = rd_u16(&r);
    if (type >= 0x4000 || rd_u32(&r) != MAGIC || len % 4 != 0)
        return E_MALFORMED;
    if (len != datagram.len - STUN_HEADER_BYTES)
        return len > datagram.len - STUN_HEADER_BYTES ? E_TRUNCATED : E_MALFORMED;
    memcpy(m.tid.b, rd_bytes(&r, sizeof m.tid.b).p, sizeof m.tid.b);

    /* RFC 8489 s5: the two class bits sit between the bits of the method. */
    m.cls = (enum stun_class)(((type >> 7) & 2) | ((type >> 4) & 1));
    m.method = (uint16_t)((type & 0xf) | ((type >> 1) & 0x70) | ((type >> 2) & 0xf80));
    int err = read_attrs(&m, r);
    if (err)
        return err;
    *out = m;
    return 0;
}

struct bytes stun_find(const struct stun_msg *m, uint16_t wanted)
{
    size_t end = m->integrity_at ? m->integrity_at : m->raw.len;
    struct rd r = rd_of(bytes_of(m->raw.p + STUN_HEADER_BYTES, end - STUN_HEADER_BYTES));

    while (rd_left(&r) > 0 && rd_ok(&r)) {
        uint16_t type;
        struct bytes v = next_attr(&r, &type);
        if (rd_ok(&r) && type == wanted)
            return v;
    }
    return (struct bytes){0};
}

struct bytes stun_integrity_span(const struct stun_msg *m, uint8_t scratch[STUN_MESSAGE_MAX],
                                 struct bytes *tag)
{
    if (m->integrity_at == 0)
        return (struct bytes){0};
    assert((size_t)m->integrity_at + 4 + STUN_TAG_BYTES <= m->raw.len);
    assert(m->raw.len <= STUN_MESSAGE_MAX);

    memcpy(scratch, m->raw.p, m->integrity_at);
    /* The signer saw a length that ends with this attribute. */
    store_u16(scratch + 2, (uint16_t)(m->integrity_at + 4 + STUN_TAG_BYTES - STUN_HEADER_BYTES));
    *tag = bytes_of(m->raw.p + m->integrity_at + 4, STUN_TAG_BYTES);
    return bytes_of(scratch, m->integrity_at);
}

bool stun_username_split(struct bytes username, struct bytes *left, struct bytes *right)
{
    const uint8_t *colon = username.len > 0 ? memchr(username.p, ':', username.len) : NULL;

    if (colon == NULL)
        return false;
    *left = bytes_of(username.p, (size_t)(colon - username.p));
    *right = bytes_of(colon + 1, username.len - left->len - 1);
    return true;
}

void stun_begin(struct wr *w, enum stun_class cls, uint16_t method, const struct stun_tid *tid)
{
    assert(w->p == w->start);
    assert(method < 0x1000);

    unsigned c = (unsigned)cls;
    wr_u16(w, (uint16_t)((method & 0xf) | ((method & 0x70) << 1) | ((method & 0xf80) << 2) |
                         ((c & 1) << 4) | ((c & 2) << 7)));
    wr_u16(w, 0);
    wr_u32(w, MAGIC);
    wr_bytes(w, bytes_of(tid->b, sizeof tid->b));
}

/* The header's length as if the message ended `more` bytes after what is written. */
static void set_length(struct wr *w, size_t more)
{
    if (!wr_ok(w))
        return;
    assert(wr_len(w) >= STUN_HEADER_BYTES);
    store_u16(w->start + 2, (uint16_t)(wr_len(w) + more - STUN_HEADER_BYTES));
}

void stun_add_bytes(struct wr *w, uint16_t type, struct bytes value)
{
    if (value.len > STUN_MESSAGE_MAX) {
        w->failed = true;
        return;
    }
    wr_u16(w, type);
    wr_u16(w, (uint16_t)value.len);
    wr_bytes(w, value);
    wr_zero(w, (4 - value.len % 4) % 4);
}

void stun_add_flag(struct wr *w, uint16_t type)
{
    stun_add_bytes(w, type, (struct bytes){0});
}

void stun_add_u32(struct wr *w, uint16_t type, uint32_t value)
{
    wr_u16(w, type);
    wr_u16(w, 4);
    wr_u32(w, value);
}

void stun_add_u64(struct wr *w, uint16_t type, uint64_t value)
{
    wr_u16(w, type);
    wr_u16(w, 8);
    wr_u64(w, value);
}

void stun_add_xor_addr(struct wr *w, uint16_t type, const struct addr *a)
{
    size_t n = a->family == 4 ? 4 : 16;

    assert(a->family == 4 || a->family == 6);
    wr_u16(w, type);
    wr_u16(w, (uint16_t)(4 + n));
    wr_u8(w, 0);
    wr_u8(w, a->family == 4 ? FAMILY_IP4 : FAMILY_IP6);
    wr_u16(w, (uint16_t)(a->port ^ (MAGIC >> 16)));
    uint8_t *ip = wr_room(w, n);
    if (ip == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        ip[i] = a->ip[i] ^ w->start[4 + i]; /* the mask is the cookie and the transaction id */
}

void stun_add_error(struct wr *w, uint16_t code, const char *reason)
{
    struct bytes text = bytes_str(reason);

    assert(code >= 300 && code < 700);
    assert(text.len < 128);
    wr_u16(w, STUN_ERROR_CODE);
    wr_u16(w, (uint16_t)(4 + text.len));
    wr_u16(w, 0);
    wr_u8(w, (uint8_t)(code / 100));
    wr_u8(w, (uint8_t)(code % 100));
    wr_bytes(w, text);
    wr_zero(w, (4 - text.len % 4) % 4);
}

void stun_add_unknown(struct wr *w, const uint16_t *types, unsigned n)
{
    assert(n <= STUN_UNKNOWN_MAX);
    wr_u16(w, STUN_UNKNOWN_ATTRIBUTES);
    wr_u16(w, (uint16_t)(2 * n));
    for (unsigned i = 0; i < n; i++)
        wr_u16(w, types[i]);
    wr_zero(w, (n % 2) * 2);
}

uint8_t *stun_add_integrity(struct wr *w, struct bytes *span)
{
    set_length(w, 4 + STUN_TAG_BYTES);
    struct bytes before = wr_done(w);

    wr_u16(w, STUN_MESSAGE_INTEGRITY);
    wr_u16(w, STUN_TAG_BYTES);
    uint8_t *tag = wr_room(w, STUN_TAG_BYTES);
    if (tag == NULL)
        return NULL;
    memset(tag, 0, STUN_TAG_BYTES);
    *span = before;
    return tag;
}

void stun_add_fingerprint(struct wr *w)
{
    set_length(w, 8);
    if (!wr_ok(w))
        return;
    stun_add_u32(w, STUN_FINGERPRINT, crc32_of(w->start, wr_len(w)) ^ FINGERPRINT_XOR);
}

int stun_end(struct wr *w)
{
    if (!wr_ok(w) || wr_len(w) > STUN_MESSAGE_MAX)
        return E_TOO_LARGE;
    set_length(w, 0);
    return 0;
}
