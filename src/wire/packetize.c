#include "wire/packetize.h"

#include "base/err.h"
#include "wire/av1.h"
#include "wire/h26x.h"
#include "wire/vpx.h"

enum {
    VP8_HEAD_BYTES = 4,
    VP9_HEAD_BYTES = 3,
    VP9_SS_BYTES = 5, /* one layer with its size */
    H264_FILLER = 12,
    H265_FILLER = 38,
    H265_HEAD_BYTES = 2,
};

int packetize_init(struct packetize *p, enum codec c, uint16_t max, struct rng *rng)
{
    if (!codec_is_audio(c) && c != CODEC_VP8 && c != CODEC_VP9 && c != CODEC_AV1 &&
        c != CODEC_H264 && c != CODEC_H265)
        return E_UNSUPPORTED;
    assert(max >= PACKETIZE_PAYLOAD_MIN);
    *p = (struct packetize){
        .codec = c,
        .max = max,
        .picture_id = (uint16_t)rng_below(rng, 0x8000),
    };
    return 0;
}

/* The next NAL unit that is worth sending: delimiters and filler are for files, and a set
 * forbidden_zero_bit means damage. */
static bool worth_sending(enum codec c, struct bytes nal)
{
    if (nal.len == 0 || nal.p[0] & 0x80)
        return false;
    if (c == CODEC_H265) {
        uint8_t t = nal.p[0] >> 1;
        return nal.len > H265_HEAD_BYTES && t != H265_AUD && t != H265_FILLER && t < H265_AP;
    }
    uint8_t type = nal.p[0] & 0x1f;
    return type != H264_AUD && type != H264_FILLER && type != 0 && type < H264_STAP_A;
}

static struct bytes next_nal(struct packetize *p)
{
    struct bytes nal;

    while (annexb_nal(&p->nals, &nal)) {
        if (worth_sending(p->codec, nal))
            return nal;
    }
    return (struct bytes){0};
}

/* Walks over units that RTP leaves out (AV1 payload format s5); empty body and type 0 at the end.
 */
static struct av1_obu next_obu(struct packetize *p)
{
    struct av1_obu obu;

    while (rd_left(&p->obus) > 0) {
        if (av1_obu_read(&p->obus, &obu) != 0)
            break;
        if (obu.type != AV1_TEMPORAL_DELIMITER && obu.type != AV1_TILE_LIST &&
            obu.type != AV1_PADDING)
            return obu;
    }
    return (struct av1_obu){0};
}

/* The whole unit is checked first, so that no half frame is sent. */
static int check_obus(struct packetize *p)
{
    struct rd r = rd_of(p->frame);
    struct av1_obu obu;
    unsigned n = 0;

    while (rd_left(&r) > 0) {
        if (av1_obu_read(&r, &obu) != 0 || !obu.has_size)
            return E_MALFORMED;
        p->key = p->key || obu.type == AV1_SEQUENCE_HEADER;
        n += obu.type != AV1_TEMPORAL_DELIMITER && obu.type != AV1_TILE_LIST &&
             obu.type != AV1_PADDING;
    }
    p->obus = rd_of(p->frame);
    return n > 0 ? 0 : E_MALFORMED;
}

/* H.264 table 7-1: 5 is a slice of an IDR picture; H.265 table 7-1: 16 to 23 are of random access
 * points. */
static bool has_idr(enum codec c, struct bytes frame)
{
    struct annexb nals = {.stream = frame};
    struct bytes nal;

    while (annexb_nal(&nals, &nal)) {
        if (nal.len == 0)
            continue;
        unsigned t = nal.p[0] >> 1 & 63;
        if (c == CODEC_H264 ? (nal.p[0] & 31) == 5 : t >= H265_BLA_W_LP && t <= H265_IRAP_LAST)
            return true;
    }
    return false;
}

int packetize_frame(struct packetize *p, struct bytes frame)
{
    if (frame.len == 0)
        return E_MALFORMED;
    if (codec_is_audio(p->codec) && frame.len > p->max)
        return E_TOO_LARGE;
    p->frame = frame;
    p->at = 0;
    p->key = false;
    p->first = true;
    p->unit = p->next = (struct bytes){0};
    switch (p->codec) {
    case CODEC_VP8:
        p->key = (frame.p[0] & 1) == 0; /* RFC 6386 s9.1 */
        break;
    case CODEC_VP9:
        p->key = vp9_size(frame, &p->width, &p->height);
        break;
    case CODEC_H264:
    case CODEC_H265:
        p->nals = (struct annexb){.stream = frame};
        p->key = has_idr(p->codec, frame);
        p->unit = next_nal(p);
        p->next = next_nal(p);
        if (p->unit.len == 0)
            p->frame = (struct bytes){0};
        break;
    case CODEC_AV1:
        if (check_obus(p) != 0)
            p->frame = (struct bytes){0};
        break;
    default:
        break;
    }
    if (p->frame.len == 0)
        return E_MALFORMED;
    if (p->started)
        p->picture_id = (p->picture_id + 1) & 0x7fff;
    p->started = true;
    return 0;
}

/* As even as possible: a small last packet costs as much as a large one. */
static size_t share(const struct packetize *p, size_t room)
{
    size_t left = p->frame.len - p->at, packets = (left + room - 1) / room;

    return (left + packets - 1) / packets;
}

static bool next_vp8(struct packetize *p, struct wr *w, bool *marker)
{
    if (p->at == p->frame.len)
        return false;
    size_t n = share(p, p->max - (size_t)VP8_HEAD_BYTES);

    wr_u8(w, p->at == 0 ? 0x90 : 0x80);
    wr_u8(w, 0x80);
    wr_u16(w, 0x8000 | p->picture_id);
    wr_bytes(w, bytes_of(p->frame.p + p->at, n));
    p->at += n;
    *marker = p->at == p->frame.len;
    return true;
}

static bool next_vp9(struct packetize *p, struct wr *w, bool *marker)
{
    if (p->at == p->frame.len)
        return false;
    bool first = p->at == 0, ss = first && p->key;
    size_t n = share(p, p->max - (size_t)(VP9_HEAD_BYTES + VP9_SS_BYTES));
    bool last = p->at + n == p->frame.len;

    wr_u8(w, (uint8_t)(0x80 | (p->key ? 0 : 0x40) | (first ? 0x08 : 0) | (last ? 0x04 : 0) |
                       (ss ? 0x02 : 0)));
    wr_u16(w, 0x8000 | p->picture_id);
    if (ss) {
        wr_u8(w, 0x10);
        wr_u16(w, p->width);
        wr_u16(w, p->height);
    }
    wr_bytes(w, bytes_of(p->frame.p + p->at, n));
    p->at += n;
    *marker = last;
    return true;
}

static void advance_nal(struct packetize *p)
{
    p->unit = p->next;
    p->next = next_nal(p);
    p->at = 0;
}

/* RFC 6184 s5.7.1: small units share a payload; its header has the highest NRI of them. */
static void write_stap(struct packetize *p, struct wr *w)
{
    uint8_t *header = wr_room(w, 1);
    size_t used = 1;
    uint8_t nri = 0;

    while (p->unit.len > 0 && used + 2 + p->unit.len <= p->max) {
        if ((p->unit.p[0] & 0x60) > nri)
            nri = p->unit.p[0] & 0x60;
        wr_u16(w, (uint16_t)p->unit.len);
        wr_bytes(w, p->unit);
        used += 2 + p->unit.len;
        advance_nal(p);
    }
    *header = (uint8_t)(nri | H264_STAP_A);
}

/* RFC 6184 s5.8: one fragment of the unit in work. */
static void write_fu(struct packetize *p, struct wr *w)
{
    size_t body = p->unit.len - 1, left = body - p->at, room = p->max - 2u;
    size_t packets = (left + room - 1) / room, n = (left + packets - 1) / packets;

    wr_u8(w, (uint8_t)((p->unit.p[0] & 0x60) | H264_FU_A));
    wr_u8(w, (uint8_t)((p->at == 0 ? 0x80 : 0) | (n == left ? 0x40 : 0) | (p->unit.p[0] & 0x1f)));
    wr_bytes(w, bytes_of(p->unit.p + 1 + p->at, n));
    p->at += n;
    if (p->at == body)
        advance_nal(p);
}

static bool next_h264(struct packetize *p, struct wr *w, bool *marker)
{
    if (p->unit.len == 0)
        return false;
    if (p->unit.len > p->max) {
        write_fu(p, w);
    } else if (p->next.len > 0 && 1 + 2 + p->unit.len + 2 + p->next.len <= p->max) {
        write_stap(p, w);
    } else {
        wr_bytes(w, p->unit);
        advance_nal(p);
    }
    *marker = p->unit.len == 0;
    return true;
}

/* RFC 7798 s4.4.3: one fragment; the header's layer and temporal id are the unit's. */
static void write_fu265(struct packetize *p, struct wr *w)
{
    size_t body = p->unit.len - H265_HEAD_BYTES, left = body - p->at;
    size_t room = p->max - (size_t)H265_HEAD_BYTES - 1;
    size_t packets = (left + room - 1) / room, n = (left + packets - 1) / packets;

    wr_u8(w, (uint8_t)((p->unit.p[0] & 0x81) | H265_FU << 1));
    wr_u8(w, p->unit.p[1]);
    wr_u8(w, (uint8_t)((p->at == 0 ? 0x80 : 0) | (n == left ? 0x40 : 0) | p->unit.p[0] >> 1));
    wr_bytes(w, bytes_of(p->unit.p + H265_HEAD_BYTES + p->at, n));
    p->at += n;
    if (p->at == body)
        advance_nal(p);
}

/* RFC 7798 s4.4.1: a unit a payload. */
static bool next_h265(struct packetize *p, struct wr *w, bool *marker)
{
    if (p->unit.len == 0)
        return false;
    if (p->unit.len > p->max) {
        write_fu265(p, w);
    } else {
        wr_bytes(w, p->unit);
        advance_nal(p);
    }
    *marker = p->unit.len == 0;
    return true;
}

static size_t leb128_bytes(size_t v)
{
    return v < 0x80 ? 1 : v < 0x4000 ? 2 : 3;
}

/* One element: bytes [at, at + n) of an OBU without its size field. */
static void write_element(struct wr *w, const struct packetize *p, uint8_t head_len, size_t n)
{
    size_t at = p->at;
    uint8_t head[2] = {0};

    memcpy(head, p->unit.p, head_len);
    head[0] &= 0xfd; /* obu_has_size_field off */
    av1_write_leb128(w, (uint32_t)n);
    if (at < head_len) {
        size_t k = size_min(n, head_len - at);
        wr_bytes(w, bytes_of(head + at, k));
        at += k;
        n -= k;
    }
    wr_bytes(w, bytes_of(p->next.p + (at - head_len), n));
}

/* `unit` is the header of the OBU in work, `next` its body. */
static void advance_obu(struct packetize *p)
{
    struct av1_obu obu = next_obu(p);

    p->at = 0;
    p->unit = obu.head;
    p->next = obu.body;
}

static bool next_av1(struct packetize *p, struct wr *w, bool *marker)
{
    size_t used = 1;

    if (p->first)
        advance_obu(p);
    if (p->unit.len == 0)
        return false;
    uint8_t flags = (uint8_t)((p->at > 0 ? 0x80 : 0) | (p->first && p->key ? 0x08 : 0));
    uint8_t *header = wr_room(w, 1);
    p->first = false;
    while (p->unit.len > 0 && used + 4 <= p->max) {
        uint8_t head_len = (uint8_t)p->unit.len;
        size_t left = head_len + p->next.len - p->at, room = p->max - used;
        size_t n = size_min(left, room - leb128_bytes(size_min(left, room)));
        write_element(w, p, head_len, n);
        used += leb128_bytes(n) + n;
        p->at += n;
        if (n < left)
            break;
        advance_obu(p);
    }
    if (header != NULL)
        *header = (uint8_t)(flags | (p->at > 0 ? 0x40 : 0));
    *marker = p->unit.len == 0;
    return true;
}

bool packetize_next(struct packetize *p, struct wr *w, bool *marker)
{
    if (p->frame.len == 0)
        return false;
    assert(wr_left(w) >= p->max);
    switch (p->codec) {
    case CODEC_VP8:
        return next_vp8(p, w, marker);
    case CODEC_VP9:
        return next_vp9(p, w, marker);
    case CODEC_H264:
        return next_h264(p, w, marker);
    case CODEC_H265:
        return next_h265(p, w, marker);
    case CODEC_AV1:
        return next_av1(p, w, marker);
    default:
        if (p->at == p->frame.len)
            return false;
        wr_bytes(w, p->frame);
        p->at = p->frame.len;
        *marker = false; /* RFC 7587 s4.1: only after silence, which files do not have */
        return true;
    }
}
