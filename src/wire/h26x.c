#include "wire/h26x.h"

#include "wire/bits.h"

/* One NAL unit, or the beginning of one. */
static void see_h264(struct bytes nal, uint8_t header, struct h26x_info *info)
{
    uint8_t type = header & 0x1f;

    if ((header & 0x60) != 0)
        info->discardable = false;
    switch (type) {
    case H264_IDR:
        info->key = true;
        /* fall through */
    case H264_SLICE:
    case 2: /* data partition A */
        /* s7.3.3: first_mb_in_slice is 0 when its exp-Golomb code is a single 1 */
        if (nal.len > 0 && (nal.p[0] & 0x80) != 0)
            info->start = true;
        return;
    case H264_SPS:
        info->key = info->start = true;
        return;
    case H264_PPS:
    case H264_SEI:
    case H264_AUD:
        info->start = true;
        return;
    default:
        return;
    }
}

static void see_whole_h264(struct bytes nal, struct h26x_info *info)
{
    if (nal.len == 0)
        return;
    see_h264(bytes_of(nal.p + 1, nal.len - 1), nal.p[0], info);
    if ((nal.p[0] & 0x1f) == H264_SPS)
        (void)h264_sps_size(nal, &info->width, &info->height); /* stays 0 if it is broken */
}

void h264_inspect(struct bytes payload, struct h26x_info *info)
{
    struct rd r = rd_of(payload);

    *info = (struct h26x_info){.discardable = payload.len > 0};
    uint8_t first = rd_u8(&r), type = first & 0x1f;
    if (!rd_ok(&r))
        return;
    if (type == H264_STAP_A) {
        while (rd_left(&r) > 2) {
            struct bytes nal = rd_bytes(&r, rd_u16(&r));
            if (!rd_ok(&r))
                return;
            see_whole_h264(nal, info);
        }
    } else if (type == H264_FU_A) {
        uint8_t fu = rd_u8(&r);
        if ((first & 0x60) != 0)
            info->discardable = false;
        if (fu & 0x80) /* S: the NAL unit begins here (RFC 6184 s5.8) */
            see_h264(rd_rest(&r), (uint8_t)((first & 0xe0) | (fu & 0x1f)), info);
    } else {
        see_whole_h264(payload, info);
    }
}

static void see_h265(struct bytes body, uint8_t type, struct h26x_info *info)
{
    bool irap = type >= H265_BLA_W_LP && type <= H265_IRAP_LAST;

    if (irap || type == H265_VPS || type == H265_SPS)
        info->key = true;
    if (type >= H265_VPS && type <= H265_AUD)
        info->start = true;
    /* first_slice_segment_in_pic_flag leads every slice header */
    if (type < H265_VPS && body.len > 0 && (body.p[0] & 0x80) != 0)
        info->start = true;
}

void h265_inspect(struct bytes payload, struct h26x_info *info)
{
    struct rd r = rd_of(payload);

    *info = (struct h26x_info){0};
    uint16_t header = rd_u16(&r);
    uint8_t type = (header >> 9) & 0x3f;
    if (!rd_ok(&r))
        return;
    info->tid = (uint8_t)((header & 7) > 0 ? (header & 7) - 1 : 0); /* nuh_temporal_id_plus1 */
    if (type == H265_AP) {
        while (rd_left(&r) > 2) {
            struct bytes nal = rd_bytes(&r, rd_u16(&r));
            if (!rd_ok(&r))
                return;
            if (nal.len > 2)
                see_h265(bytes_of(nal.p + 2, nal.len - 2), (nal.p[0] >> 1) & 0x3f, info);
        }
    } else if (type == H265_FU) {
        uint8_t fu = rd_u8(&r);
        if (fu & 0x80)
            see_h265(rd_rest(&r), fu & 0x3f, info);
    } else if (type != H265_PACI) {
        see_h265(rd_rest(&r), type, info);
    }
}

/* Removes emulation prevention bytes (H.264 s7.4.1); what does not fit is cut off. */
static size_t unescape(struct bytes in, uint8_t *out, size_t cap)
{
    size_t n = 0, zeros = 0;

    for (size_t i = 0; i < in.len && n < cap; i++) {
        if (zeros >= 2 && in.p[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = in.p[i] == 0 ? zeros + 1 : 0;
        out[n++] = in.p[i];
    }
    return n;
}

/* s7.3.2.1.1.1 */
static void skip_scaling_list(struct bits *b, unsigned size)
{
    int32_t last = 8, next = 8;

    for (unsigned i = 0; i < size && bits_ok(b); i++) {
        if (next != 0)
            next = (last + bits_se(b) + 256) & 0xff;
        last = next == 0 ? last : next;
    }
}

static bool has_chroma_fields(uint32_t profile)
{
    static const uint8_t high[] = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};

    return memchr(high, (int)profile, sizeof high) != NULL;
}

/* The fields of the high profiles; returns chroma_format_idc. */
static uint32_t skip_chroma_fields(struct bits *b)
{
    uint32_t chroma = bits_ue(b);

    if (chroma == 3)
        chroma = bits_flag(b) ? 0 : 3; /* separate planes are cropped like monochrome */
    (void)bits_ue(b);                  /* bit depths: not needed */
    (void)bits_ue(b);
    bits_skip(b, 1);
    if (bits_flag(b)) {
        for (unsigned i = 0; i < (chroma == 3 ? 12u : 8u) && bits_ok(b); i++) {
            if (bits_flag(b))
                skip_scaling_list(b, i < 6 ? 16 : 64);
        }
    }
    return chroma;
}

static void skip_order_count(struct bits *b)
{
    uint32_t type = bits_ue(b);

    if (type == 0) {
        (void)bits_ue(b); /* log2 of the largest count: not needed */
    } else if (type == 1) {
        bits_skip(b, 1);
        (void)bits_se(b); /* offsets: not needed */
        (void)bits_se(b);
        for (uint32_t n = bits_ue(b), i = 0; i < n && i < 255 && bits_ok(b); i++)
            (void)bits_se(b);
    }
}

bool h264_sps_size(struct bytes nal, uint16_t *width, uint16_t *height)
{
    uint8_t raw[H26X_SPS_MAX];
    uint32_t chroma = 1, left = 0, right = 0, top = 0, bottom = 0;

    if (nal.len < 4 || (nal.p[0] & 0x1f) != H264_SPS)
        return false;
    struct bits b =
        bits_of(bytes_of(raw, unescape(bytes_of(nal.p + 1, nal.len - 1), raw, sizeof raw)));
    uint32_t profile = bits_u(&b, 8);
    bits_skip(&b, 16);
    (void)bits_ue(&b); /* the set's own number */
    if (has_chroma_fields(profile))
        chroma = skip_chroma_fields(&b);
    (void)bits_ue(&b); /* log2 of the largest frame number: not needed */
    skip_order_count(&b);
    (void)bits_ue(&b); /* reference frames: not needed */
    bits_skip(&b, 1);
    uint64_t w = (uint64_t)bits_ue(&b) + 1, h = (uint64_t)bits_ue(&b) + 1;
    bool frames_only = bits_flag(&b);
    if (!frames_only)
        bits_skip(&b, 1);
    bits_skip(&b, 1);
    if (bits_flag(&b)) {
        left = bits_ue(&b);
        right = bits_ue(&b);
        top = bits_ue(&b);
        bottom = bits_ue(&b);
    }
    /* s7.4.2.1.1: cropping counts in chroma samples, and in both fields */
    uint64_t ux = chroma == 1 || chroma == 2 ? 2 : 1;
    uint64_t uy = (chroma == 1 ? 2u : 1u) * (frames_only ? 1u : 2u);
    w *= 16;
    h *= frames_only ? 16 : 32;
    uint64_t cut_x = ((uint64_t)left + right) * ux, cut_y = ((uint64_t)top + bottom) * uy;
    if (!bits_ok(&b) || w <= cut_x || h <= cut_y || w - cut_x > 16384 || h - cut_y > 16384)
        return false;
    *width = (uint16_t)(w - cut_x);
    *height = (uint16_t)(h - cut_y);
    return true;
}
