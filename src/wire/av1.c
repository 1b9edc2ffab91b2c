#include "wire/av1.h"

#include "base/err.h"
#include "wire/bits.h"

uint32_t av1_leb128(struct rd *r)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++) {
        uint8_t b = rd_u8(r);
        v |= (uint64_t)(b & 0x7f) << (7 * i);
        if ((b & 0x80) == 0) {
            if (v > UINT32_MAX)
                break;
            return (uint32_t)v;
        }
    }
    r->failed = true;
    return 0;
}

void av1_write_leb128(struct wr *w, uint32_t v)
{
    for (; v >= 0x80; v >>= 7)
        wr_u8(w, (uint8_t)(v | 0x80));
    wr_u8(w, (uint8_t)v);
}

int av1_iter_init(struct av1_iter *it, struct bytes payload)
{
    struct rd r = rd_of(payload);
    uint8_t b = rd_u8(&r);

    if (!rd_ok(&r))
        return E_TRUNCATED;
    if ((b & 0x80) && (b & 0x08))
        return E_MALFORMED;
    *it = (struct av1_iter){
        .rd = r,
        .z = (b & 0x80) != 0,
        .y = (b & 0x40) != 0,
        .w = (b >> 4) & 3,
        .n = (b & 0x08) != 0,
    };
    return 0;
}

bool av1_next(struct av1_iter *it, struct av1_element *e)
{
    bool bare = it->w != 0 && it->seen_n + 1 == it->w; /* the last of a counted few */

    if (!rd_ok(&it->rd) || rd_left(&it->rd) == 0 || (it->w != 0 && it->seen_n == it->w))
        return false;
    struct bytes data = rd_bytes(&it->rd, bare ? rd_left(&it->rd) : av1_leb128(&it->rd));
    if (!rd_ok(&it->rd))
        return false;
    bool last = bare || rd_left(&it->rd) == 0;
    *e = (struct av1_element){
        .data = data,
        .continues = it->seen_n == 0 && it->z,
        .continued = last && it->y,
    };
    if (it->seen_n < UINT8_MAX)
        it->seen_n++;
    return true;
}

int av1_obu_read(struct rd *r, struct av1_obu *out)
{
    const uint8_t *start = r->p;
    uint8_t b = rd_u8(r), ext = 0;
    struct av1_obu obu = {
        .type = (b >> 3) & 15,
        .has_ext = (b & 4) != 0,
        .has_size = (b & 2) != 0,
        .head = {.p = start, .len = b & 4 ? 2 : 1},
    };

    if (obu.has_ext)
        ext = rd_u8(r);
    obu.tid = ext >> 5;
    obu.sid = (ext >> 3) & 3;
    obu.body = rd_bytes(r, obu.has_size ? av1_leb128(r) : rd_left(r));
    if (!rd_ok(r))
        return E_TRUNCATED;
    if (b & 0x80) /* obu_forbidden_bit */
        return E_MALFORMED;
    *out = obu;
    return 0;
}

/* s5.5.1: operating points; the delays are as long as the decoder model says. */
static void skip_operating_points(struct bits *b, bool model, unsigned delay_bits)
{
    bool display_delay = bits_flag(b);
    unsigned n = bits_u(b, 5) + 1;

    for (unsigned i = 0; i < n && bits_ok(b); i++) {
        bits_skip(b, 12);
        if (bits_u(b, 5) > 7)
            bits_skip(b, 1);
        if (model && bits_flag(b))
            bits_skip(b, 2 * delay_bits + 1);
        if (display_delay && bits_flag(b))
            bits_skip(b, 4);
    }
}

bool av1_sequence_size(struct bytes body, uint16_t *width, uint16_t *height)
{
    struct bits b = bits_of(body);
    unsigned delay_bits = 0;
    bool model = false;

    bits_skip(&b, 4); /* profile, still picture */
    if (bits_flag(&b)) {
        bits_skip(&b, 5); /* reduced header: a level and nothing else */
    } else {
        if (bits_flag(&b)) { /* timing */
            bits_skip(&b, 64);
            if (bits_flag(&b))
                (void)bits_ue(&b); /* ticks per picture: the same code as uvlc() */
            model = bits_flag(&b);
            if (model) {
                delay_bits = bits_u(&b, 5) + 1;
                bits_skip(&b, 32 + 5 + 5);
            }
        }
        skip_operating_points(&b, model, delay_bits);
    }
    unsigned wbits = bits_u(&b, 4) + 1, hbits = bits_u(&b, 4) + 1;
    uint32_t w = bits_u(&b, wbits) + 1, h = bits_u(&b, hbits) + 1;
    if (!bits_ok(&b) || w > UINT16_MAX || h > UINT16_MAX)
        return false;
    *width = (uint16_t)w;
    *height = (uint16_t)h;
    return true;
}

void av1_inspect(struct bytes payload, struct av1_info *info)
{
    struct av1_element e;
    struct av1_iter it;

    *info = (struct av1_info){0};
    if (av1_iter_init(&it, payload) != 0)
        return;
    info->key = it.n;
    info->start = !it.z;
    info->end = !it.y;
    while (av1_next(&it, &e)) {
        struct rd r = rd_of(e.data);
        struct av1_obu obu;
        if (e.continues || av1_obu_read(&r, &obu) != 0)
            continue;
        if (obu.has_ext) {
            info->tid = obu.tid;
            info->sid = obu.sid;
        }
        if (obu.type == AV1_SEQUENCE_HEADER && !e.continued)
            (void)av1_sequence_size(obu.body, &info->width, &info->height); /* else stays 0 */
    }
}
