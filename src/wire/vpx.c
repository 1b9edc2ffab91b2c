#include "wire/vpx.h"

#include "base/cursor.h"
#include "base/err.h"
#include "wire/bits.h"

enum {
    VP9_REFS_MAX = 3,    /* RFC 9628 s4.2 */
    VP9_SYNC = 0x498342, /* frame_sync_code */
    VP9_COLOR_SRGB = 7,
};

int vp8_parse(struct vp8_desc *out, struct bytes payload)
{
    struct rd r = rd_of(payload);
    struct vp8_desc d = {0};
    uint8_t b = rd_u8(&r), ext = 0;

    d.discardable = (b & 0x20) != 0;
    d.start = (b & 0x10) != 0;
    d.part = b & 7;
    if (b & 0x80)
        ext = rd_u8(&r);
    if (ext & 0x80) { /* I */
        d.id_at = (uint8_t)(r.p - payload.p);
        d.id = rd_u8(&r);
        d.wide = (d.id & 0x80) != 0;
        if (d.wide)
            d.id = (uint16_t)(((d.id & 0x7f) << 8) | rd_u8(&r));
    }
    if (ext & 0x40) { /* L */
        d.tl0_at = (uint8_t)(r.p - payload.p);
        d.tl0 = rd_u8(&r);
    }
    if (ext & 0x30) { /* T, K share a byte */
        d.tk_at = (uint8_t)(r.p - payload.p);
        b = rd_u8(&r);
        d.has_tid = (ext & 0x20) != 0;
        d.has_keyidx = (ext & 0x10) != 0;
        d.tid = d.has_tid ? b >> 6 : 0;
        d.sync = d.has_tid && (b & 0x20) != 0;
        d.keyidx = d.has_keyidx ? b & 0x1f : 0;
    }
    if (!rd_ok(&r) || rd_left(&r) == 0)
        return E_TRUNCATED;
    d.len = (uint8_t)(r.p - payload.p);
    *out = d;
    return 0;
}

bool vp8_key(const struct vp8_desc *d, struct bytes payload)
{
    /* RFC 7741 s4.3: the inverse key frame bit leads the first partition. */
    return d->start && d->part == 0 && (payload.p[d->len] & 1) == 0;
}

bool vp8_size(struct bytes f, uint16_t *width, uint16_t *height)
{
    if (f.len < 10 || (f.p[0] & 1) != 0 || memcmp(f.p + 3, "\x9d\x01\x2a", 3) != 0)
        return false;
    *width = (uint16_t)((f.p[6] | (f.p[7] << 8)) & 0x3fff);
    *height = (uint16_t)((f.p[8] | (f.p[9] << 8)) & 0x3fff);
    return true;
}

void vp8_patch(uint8_t *payload, const struct vp8_desc *d, uint16_t id, uint8_t tl0, uint8_t keyidx)
{
    if (d->id_at != 0 && d->wide)
        store_u16(payload + d->id_at, (uint16_t)(id | 0x8000));
    else if (d->id_at != 0)
        payload[d->id_at] = id & 0x7f;
    if (d->tl0_at != 0)
        payload[d->tl0_at] = tl0;
    if (d->has_keyidx)
        payload[d->tk_at] = (uint8_t)((payload[d->tk_at] & 0xe0) | (keyidx & 0x1f));
}

/* Scalability structure (RFC 9628 s4.2.1): sizes are kept, the picture group is stepped over. */
static void read_ss(struct rd *r, struct vp9_desc *d)
{
    uint8_t b = rd_u8(r);

    d->ss_layers_n = (uint8_t)((b >> 5) + 1);
    if (b & 0x10) {
        for (unsigned i = 0; i < d->ss_layers_n; i++) {
            d->width = rd_u16(r);
            d->height = rd_u16(r);
        }
    }
    if (b & 0x08) {
        for (unsigned n = rd_u8(r); n > 0 && rd_ok(r); n--)
            rd_skip(r, (rd_u8(r) >> 2) & 3);
    }
}

int vp9_parse(struct vp9_desc *out, struct bytes payload)
{
    struct rd r = rd_of(payload);
    struct vp9_desc d = {0};
    uint8_t b = rd_u8(&r), more;

    d.has_id = (b & 0x80) != 0;
    d.inter_pic = (b & 0x40) != 0;
    d.has_layer = (b & 0x20) != 0;
    d.flexible = (b & 0x10) != 0;
    d.start = (b & 0x08) != 0;
    d.end = (b & 0x04) != 0;
    d.has_ss = (b & 0x02) != 0;
    d.not_ref = (b & 0x01) != 0;
    if (d.has_id) {
        d.id = rd_u8(&r);
        d.wide = (d.id & 0x80) != 0;
        if (d.wide)
            d.id = (uint16_t)(((d.id & 0x7f) << 8) | rd_u8(&r));
    }
    if (d.has_layer) {
        more = rd_u8(&r);
        d.tid = more >> 5;
        d.switch_up = (more & 0x10) != 0;
        d.sid = (more >> 1) & 7;
        d.inter_layer = (more & 1) != 0;
        d.has_tl0 = !d.flexible;
        if (d.has_tl0)
            d.tl0 = rd_u8(&r);
    }
    if (d.flexible && d.inter_pic) {
        for (unsigned n = 1; (rd_u8(&r) & 1) != 0; n++) {
            if (n == VP9_REFS_MAX)
                return E_MALFORMED;
        }
    }
    if (d.has_ss)
        read_ss(&r, &d);
    if (!rd_ok(&r) || rd_left(&r) == 0)
        return E_TRUNCATED;
    if (r.p - payload.p > UINT8_MAX)
        return E_MALFORMED; /* a picture group of that size has no sender */
    d.len = (uint8_t)(r.p - payload.p);
    *out = d;
    return 0;
}

bool vp9_key(const struct vp9_desc *d)
{
    return !d->inter_pic && d->start && d->sid == 0 && !d->inter_layer;
}

bool vp9_size(struct bytes frame, uint16_t *width, uint16_t *height)
{
    struct bits b = bits_of(frame);

    if (bits_u(&b, 2) != 2)
        return false;
    unsigned profile = bits_u(&b, 1);
    profile |= bits_u(&b, 1) << 1;
    if (profile == 3)
        bits_skip(&b, 1);
    if (bits_flag(&b) || bits_flag(&b)) /* shows an existing frame, or no key frame */
        return false;
    bits_skip(&b, 2);
    if (bits_u(&b, 24) != VP9_SYNC)
        return false;
    if (profile >= 2)
        bits_skip(&b, 1);
    if (bits_u(&b, 3) != VP9_COLOR_SRGB)
        bits_skip(&b, profile & 1 ? 4 : 1);
    else if (profile & 1)
        bits_skip(&b, 1);
    uint32_t w = bits_u(&b, 16) + 1, h = bits_u(&b, 16) + 1;
    if (!bits_ok(&b) || w > UINT16_MAX || h > UINT16_MAX)
        return false;
    *width = (uint16_t)w;
    *height = (uint16_t)h;
    return true;
}
