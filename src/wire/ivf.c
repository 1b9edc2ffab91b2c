#include "wire/ivf.h"

#include "base/err.h"

static const struct {
    char fourcc[5];
    enum codec codec;
} fourccs[] = {{"VP80", CODEC_VP8}, {"VP90", CODEC_VP9}, {"AV01", CODEC_AV1}};

static enum codec codec_of(struct bytes fourcc)
{
    for (size_t i = 0; i < ARRAY_LEN(fourccs); i++) {
        if (bytes_eq_str(fourcc, fourccs[i].fourcc))
            return fourccs[i].codec;
    }
    return CODEC_NONE;
}

int ivf_open(struct ivf *out, struct bytes file)
{
    struct rd r = rd_of(file);
    struct ivf f = {0};

    if (!bytes_eq_str(rd_bytes(&r, 4), "DKIF"))
        return E_UNSUPPORTED;
    uint16_t version = rd_u16le(&r), header = rd_u16le(&r);
    f.codec = codec_of(rd_bytes(&r, 4));
    f.width = rd_u16le(&r);
    f.height = rd_u16le(&r);
    f.rate = rd_u32le(&r);
    f.scale = rd_u32le(&r);
    f.frames_n = rd_u32le(&r);
    rd_skip(&r, 4);
    if (!rd_ok(&r) || header < IVF_HEADER_BYTES || f.rate == 0 || f.scale == 0)
        return E_MALFORMED;
    rd_skip(&r, header - (size_t)IVF_HEADER_BYTES);
    if (!rd_ok(&r))
        return E_MALFORMED;
    if (version != 0 || f.codec == CODEC_NONE)
        return E_UNSUPPORTED;
    f.frames = bytes_of(r.p, rd_left(&r));
    f.rd = r;
    *out = f;
    return 0;
}

/* pts * scale / rate seconds without overflow for any file that could be stored. */
static us_t at_of(const struct ivf *f, uint64_t pts)
{
    unsigned __int128 us = (unsigned __int128)pts * f->scale * 1000000 / f->rate;

    return us > INT64_MAX / 2 ? INT64_MAX / 2 : (us_t)us;
}

int ivf_next(struct ivf *f, struct ivf_frame *out)
{
    struct rd r = f->rd;

    if (rd_left(&r) == 0)
        return E_CLOSED;
    uint32_t len = rd_u32le(&r);
    uint64_t pts = rd_u64le(&r);
    if (len > IVF_FRAME_MAX)
        return E_MALFORMED;
    struct bytes data = rd_bytes(&r, len);
    if (!rd_ok(&r))
        return E_TRUNCATED;
    f->rd = r;
    *out = (struct ivf_frame){.data = data, .pts = pts, .at = at_of(f, pts)};
    return 0;
}

void ivf_rewind(struct ivf *f)
{
    f->rd = rd_of(f->frames);
}

static void wr_le(struct wr *w, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        wr_u8(w, (uint8_t)(v >> (8 * i)));
}

void ivf_write_header(struct wr *w, const struct ivf *f)
{
    const char *fourcc = "????";

    for (size_t i = 0; i < ARRAY_LEN(fourccs); i++) {
        if (fourccs[i].codec == f->codec)
            fourcc = fourccs[i].fourcc;
    }
    assert(fourcc[0] != '?');
    wr_str(w, "DKIF");
    wr_le(w, 0, 2);
    wr_le(w, IVF_HEADER_BYTES, 2);
    wr_str(w, fourcc);
    wr_le(w, f->width, 2);
    wr_le(w, f->height, 2);
    wr_le(w, f->rate, 4);
    wr_le(w, f->scale, 4);
    wr_le(w, f->frames_n, 4);
    wr_zero(w, 4);
}

void ivf_write_frame_header(struct wr *w, uint32_t bytes, uint64_t pts)
{
    wr_le(w, bytes, 4);
    wr_le(w, pts, 8);
}
