#include "wire/depacketize.h"

#include "base/err.h"
#include "base/mem.h"
#include "wire/av1.h"
#include "wire/h26x.h"
#include "wire/rtp.h"
#include "wire/vpx.h"

enum { FIRST_CAP = 4096 };

int depacketize_init(struct depacketize *d, enum codec c, size_t max_bytes)
{
    if (!codec_is_audio(c) && c != CODEC_VP8 && c != CODEC_VP9 && c != CODEC_AV1 && c != CODEC_H264)
        return E_UNSUPPORTED;
    *d = (struct depacketize){.codec = c, .max_bytes = max_bytes};
    return 0;
}

void depacketize_fini(struct depacketize *d)
{
    mem_free(d->buf);
    *d = (struct depacketize){0};
}

static int reserve(struct depacketize *d, size_t more)
{
    size_t cap = d->cap > 0 ? d->cap : FIRST_CAP;

    if (more > d->max_bytes - d->len)
        return E_TOO_LARGE;
    while (cap < d->len + more)
        cap *= 2;
    if (cap == d->cap)
        return 0;
    uint8_t *p = mem_resize(d->buf, cap);
    if (p == NULL)
        return E_NOMEM;
    d->buf = p;
    d->cap = cap;
    return 0;
}

static int append(struct depacketize *d, struct bytes b)
{
    int err = reserve(d, b.len);

    if (err)
        return err;
    if (b.len > 0)
        memcpy(d->buf + d->len, b.p, b.len);
    d->len += b.len;
    return 0;
}

static int add_vp8(struct depacketize *d, struct bytes payload)
{
    struct vp8_desc desc;
    int err = vp8_parse(&desc, payload);

    return err ? err : append(d, bytes_of(payload.p + desc.len, payload.len - desc.len));
}

static int add_vp9(struct depacketize *d, struct bytes payload)
{
    struct vp9_desc desc;
    int err = vp9_parse(&desc, payload);

    if (err || desc.sid > 0)
        return err;
    return append(d, bytes_of(payload.p + desc.len, payload.len - desc.len));
}

static int add_nal(struct depacketize *d, struct bytes nal)
{
    int err = append(d, bytes_of("\0\0\0\1", 4));

    return err ? err : append(d, nal);
}

static int add_fragment(struct depacketize *d, struct bytes payload)
{
    struct rd r = rd_of(payload);
    uint8_t indicator = rd_u8(&r), fu = rd_u8(&r);
    uint8_t header = (uint8_t)((indicator & 0xe0) | (fu & 0x1f));
    int err = 0;

    if (!rd_ok(&r))
        return E_TRUNCATED;
    if ((fu & 0x80) != 0 ? d->unit_open : !d->unit_open)
        return E_MALFORMED; /* a start in the middle, or a middle without a start */
    if (fu & 0x80)
        err = add_nal(d, bytes_of(&header, 1));
    if (err == 0)
        err = append(d, rd_rest(&r));
    d->unit_open = (fu & 0x40) == 0;
    return err;
}

static int add_h264(struct depacketize *d, struct bytes payload)
{
    struct rd r = rd_of(payload);
    uint8_t type = rd_u8(&r) & 0x1f;
    int err = 0;

    if (type == H264_FU_A)
        return add_fragment(d, payload);
    if (d->unit_open || type == 0 || (type > H264_STAP_A && type < 32))
        return E_MALFORMED; /* interleaved modes are never negotiated */
    if (type != H264_STAP_A)
        return add_nal(d, payload);
    while (err == 0 && rd_left(&r) > 0) {
        struct bytes nal = rd_bytes(&r, rd_u16(&r));
        if (!rd_ok(&r))
            return E_TRUNCATED;
        if (nal.len > 0)
            err = add_nal(d, nal);
    }
    return err;
}

/* An OBU stands whole at the buffer's end: gives it a size field if it has none. */
static int close_obu(struct depacketize *d)
{
    struct rd r = rd_of(bytes_of(d->buf + d->unit_at, d->len - d->unit_at));
    uint8_t field[8];
    struct wr w = wr_of(field, sizeof field);
    struct av1_obu obu;

    d->unit_open = false;
    int err = av1_obu_read(&r, &obu);
    if (err)
        return err;
    if (obu.type == AV1_TEMPORAL_DELIMITER) { /* we have written our own */
        d->len = d->unit_at;
        return 0;
    }
    if (obu.has_size)
        return rd_left(&r) == 0 ? 0 : E_MALFORMED;
    size_t body_at = d->unit_at + obu.head.len, body_len = obu.body.len;
    av1_write_leb128(&w, (uint32_t)body_len);
    err = reserve(d, wr_len(&w));
    if (err)
        return err;
    memmove(d->buf + body_at + wr_len(&w), d->buf + body_at, body_len);
    memcpy(d->buf + body_at, field, wr_len(&w));
    d->buf[d->unit_at] |= 2; /* obu_has_size_field */
    d->len += wr_len(&w);
    return 0;
}

static int add_av1(struct depacketize *d, struct bytes payload)
{
    struct av1_element e;
    struct av1_iter it;
    int err = av1_iter_init(&it, payload);

    if (err == 0 && it.z != d->unit_open)
        err = E_MALFORMED;
    if (err == 0 && d->len == 0)
        err = append(d, bytes_of("\x12\0", 2)); /* temporal delimiter: files want one */
    while (err == 0 && av1_next(&it, &e)) {
        if (!e.continues)
            d->unit_at = d->len;
        err = append(d, e.data);
        if (err == 0 && !e.continued)
            err = d->len > d->unit_at ? close_obu(d) : E_MALFORMED;
        else
            d->unit_open = true;
    }
    if (err == 0 && !rd_ok(&it.rd))
        err = E_MALFORMED;
    return err;
}

static int add(struct depacketize *d, struct bytes payload)
{
    switch (d->codec) {
    case CODEC_VP8:
        return add_vp8(d, payload);
    case CODEC_VP9:
        return add_vp9(d, payload);
    case CODEC_H264:
        return add_h264(d, payload);
    case CODEC_AV1:
        return add_av1(d, payload);
    default:
        return append(d, payload);
    }
}

static void drop(struct depacketize *d)
{
    if (d->open)
        d->dropped_n++;
    d->open = d->unit_open = false;
}

static bool starts_frame(const struct depacketize *d, const struct codec_info *info)
{
    return info->start_of_frame && (d->codec != CODEC_VP9 || info->sid == 0);
}

int depacketize_push(struct depacketize *d, const struct depacketize_in *in)
{
    struct codec_info info;

    if (d->has_seq && in->seq != d->next_seq) {
        if (!rtp_seq_newer(in->seq, d->next_seq))
            return E_REPLAY;
        drop(d);
    }
    d->has_seq = true;
    d->next_seq = (uint16_t)(in->seq + 1);
    d->ready = false;
    if (in->payload.len == 0) /* padding probes take sequence numbers and nothing else */
        return 0;
    if (d->open && in->ts != d->ts)
        drop(d); /* the marker never came */
    codec_inspect(d->codec, in->payload, &info);
    if (!d->open) {
        if (!starts_frame(d, &info))
            return 0;
        d->open = true;
        d->key = false;
        d->ts = in->ts;
        d->len = 0;
    }
    d->key = d->key || info.key;
    int err = add(d, in->payload);
    if (err == 0 && in->marker && d->unit_open)
        err = E_MALFORMED;
    if (err) {
        drop(d);
        return err;
    }
    if (in->marker || codec_is_audio(d->codec)) {
        d->open = false;
        d->ready = d->len > 0;
    }
    return 0;
}

bool depacketize_frame(struct depacketize *d, struct depacketized *out)
{
    if (!d->ready)
        return false;
    d->ready = false;
    *out = (struct depacketized){
        .data = bytes_of(d->buf, d->len),
        .ts = d->ts,
        .key = d->key,
    };
    return true;
}
