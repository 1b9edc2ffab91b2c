#include "wire/codec.h"

#include "base/str.h"
#include "wire/av1.h"
#include "wire/h26x.h"
#include "wire/vpx.h"

enum kind {
    KIND_NONE,
    KIND_AUDIO,
    KIND_VIDEO,
    KIND_HELPER, /* repair and events: no media of its own */
};

static const struct {
    const char *mime;
    uint32_t rate_hz;
    uint8_t channels, kind;
} table[CODEC_N] = {
    [CODEC_NONE] = {"", 0, 0, KIND_NONE},
    [CODEC_OPUS] = {"audio/opus", 48000, 2, KIND_AUDIO},
    [CODEC_RED] = {"audio/red", 48000, 2, KIND_AUDIO},
    [CODEC_PCMU] = {"audio/PCMU", 8000, 1, KIND_AUDIO},
    [CODEC_PCMA] = {"audio/PCMA", 8000, 1, KIND_AUDIO},
    [CODEC_G722] = {"audio/G722", 8000, 1, KIND_AUDIO}, /* RFC 3551 s4.5.2: 8000 by mistake */
    [CODEC_VP8] = {"video/VP8", 90000, 0, KIND_VIDEO},
    [CODEC_VP9] = {"video/VP9", 90000, 0, KIND_VIDEO},
    [CODEC_AV1] = {"video/AV1", 90000, 0, KIND_VIDEO},
    [CODEC_H264] = {"video/H264", 90000, 0, KIND_VIDEO},
    [CODEC_H265] = {"video/H265", 90000, 0, KIND_VIDEO},
    [CODEC_RTX] = {"video/rtx", 0, 0, KIND_HELPER},
    [CODEC_ULPFEC] = {"video/ulpfec", 90000, 0, KIND_HELPER},
    [CODEC_FLEXFEC] = {"video/flexfec-03", 90000, 0, KIND_HELPER},
    [CODEC_TELEPHONE_EVENT] = {"audio/telephone-event", 0, 1, KIND_HELPER},
    [CODEC_CN] = {"audio/CN", 8000, 1, KIND_HELPER},
};

const char *codec_mime(enum codec c)
{
    assert((unsigned)c < CODEC_N);
    return table[c].mime;
}

enum codec codec_of_mime(struct bytes mime)
{
    for (int c = CODEC_NONE + 1; c < CODEC_N; c++) {
        if (str_ieq(mime, table[c].mime))
            return (enum codec)c;
    }
    return CODEC_NONE;
}

const char *codec_name(enum codec c)
{
    const char *slash = strchr(codec_mime(c), '/');

    return slash != NULL ? slash + 1 : "";
}

enum codec codec_of_name(struct bytes name, uint32_t rate_hz)
{
    for (int c = CODEC_NONE + 1; c < CODEC_N; c++) {
        if (!str_ieq(name, codec_name((enum codec)c)))
            continue;
        if (c == CODEC_RED && rate_hz != 0 && rate_hz != 48000)
            return CODEC_NONE; /* the other red is for video, and nobody here unwraps it */
        return (enum codec)c;
    }
    return CODEC_NONE;
}

uint32_t codec_rate_hz(enum codec c)
{
    assert((unsigned)c < CODEC_N);
    return table[c].rate_hz;
}

uint8_t codec_channels(enum codec c)
{
    assert((unsigned)c < CODEC_N);
    return table[c].channels;
}

bool codec_is_audio(enum codec c)
{
    assert((unsigned)c < CODEC_N);
    return table[c].kind == KIND_AUDIO;
}

bool codec_is_video(enum codec c)
{
    assert((unsigned)c < CODEC_N);
    return table[c].kind == KIND_VIDEO;
}

static void inspect_vp8(struct bytes payload, struct codec_info *info)
{
    struct vp8_desc d;

    if (vp8_parse(&d, payload) != 0)
        return;
    info->key = vp8_key(&d, payload);
    info->start_of_frame = d.start && d.part == 0;
    info->layer_sync = d.sync;
    info->discardable = d.discardable;
    info->has_picture_id = d.id_at != 0;
    info->picture_id = d.id;
    info->has_tl0 = d.tl0_at != 0;
    info->tl0 = d.tl0;
    info->tid = d.tid;
    if (info->key) /* stays 0 when the header is cut off */
        (void)vp8_size(bytes_of(payload.p + d.len, payload.len - d.len), &info->width,
                       &info->height);
}

static void inspect_vp9(struct bytes payload, struct codec_info *info)
{
    struct vp9_desc d;

    if (vp9_parse(&d, payload) != 0)
        return;
    info->key = vp9_key(&d);
    info->start_of_frame = d.start;
    info->end_of_frame = d.end;
    info->layer_sync = d.switch_up;
    info->discardable = d.not_ref && !d.has_layer;
    info->inter_layer = d.inter_layer;
    info->not_inter_pic = !d.inter_pic;
    info->has_picture_id = d.has_id;
    info->picture_id = d.id;
    info->has_tl0 = d.has_tl0;
    info->tl0 = d.tl0;
    info->sid = d.sid;
    info->tid = d.tid;
    info->width = d.width;
    info->height = d.height;
    if (info->key && d.width == 0) /* stays 0 when the header is cut off */
        (void)vp9_size(bytes_of(payload.p + d.len, payload.len - d.len), &info->width,
                       &info->height);
}

static void inspect_av1(struct bytes payload, struct codec_info *info)
{
    struct av1_info av1;

    av1_inspect(payload, &av1);
    info->key = av1.key;
    info->start_of_frame = av1.start;
    info->tid = av1.tid;
    info->sid = av1.sid;
    info->width = av1.width;
    info->height = av1.height;
}

static void inspect_h26x(enum codec c, struct bytes payload, struct codec_info *info)
{
    struct h26x_info nal;

    if (c == CODEC_H264)
        h264_inspect(payload, &nal);
    else
        h265_inspect(payload, &nal);
    info->key = nal.key;
    info->start_of_frame = nal.start;
    info->discardable = nal.discardable;
    info->tid = nal.tid;
    info->width = nal.width;
    info->height = nal.height;
}

void codec_inspect(enum codec c, struct bytes payload, struct codec_info *info)
{
    *info = (struct codec_info){0};
    if (payload.len == 0)
        return;
    switch (c) {
    case CODEC_VP8:
        inspect_vp8(payload, info);
        return;
    case CODEC_VP9:
        inspect_vp9(payload, info);
        return;
    case CODEC_AV1:
        inspect_av1(payload, info);
        return;
    case CODEC_H264:
    case CODEC_H265:
        inspect_h26x(c, payload, info);
        return;
    default:
        if (codec_is_audio(c)) /* every packet stands alone */
            info->key = info->start_of_frame = info->end_of_frame = true;
    }
}
