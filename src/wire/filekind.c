#include "wire/filekind.h"

#include "wire/h26x.h"

static bool starts(struct bytes b, size_t at, const char *what, size_t n)
{
    return b.len >= at + n && memcmp(b.p + at, what, n) == 0;
}

static enum filekind ogg_kind(struct bytes b)
{
    /* 27 bytes of page header and one lacing value for the first packet */
    return starts(b, 28, "OpusHead", 8) ? FILEKIND_OGG_OPUS : FILEKIND_OGG;
}

/* The first NAL unit decides: H.264 has five bits of type, H.265 six and a second byte. */
static enum filekind annexb_kind(struct bytes b)
{
    size_t at = starts(b, 0, "\0\0\0\1", 4) ? 4 : starts(b, 0, "\0\0\1", 3) ? 3 : 0;

    if (at == 0 || b.len < at + 2 || (b.p[at] & 0x80) != 0)
        return FILEKIND_UNKNOWN;
    uint8_t h265 = b.p[at] >> 1, h264 = b.p[at] & 0x1f;
    if (b.p[at + 1] == 1 && (b.p[at] & 1) == 0 && h265 >= H265_VPS && h265 <= H265_AUD + 5)
        return FILEKIND_H265;
    if (h264 == H264_SLICE || (h264 >= H264_IDR && h264 <= H264_AUD))
        return FILEKIND_H264;
    return FILEKIND_UNKNOWN;
}

static bool is_text(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.p[i] < ' ' && b.p[i] != '\n' && b.p[i] != '\r' && b.p[i] != '\t')
            return false;
        if (b.p[i] == 0x7f)
            return false;
    }
    return true;
}

enum filekind filekind_of(struct bytes b)
{
    static const struct {
        const char *what;
        uint8_t n, at;
        enum filekind kind;
    } magic[] = {
        {"DKIF", 4, 0, FILEKIND_IVF},
        {"\x1a\x45\xdf\xa3", 4, 0, FILEKIND_MATROSKA},
        {"ftyp", 4, 4, FILEKIND_MP4},
        {"moov", 4, 4, FILEKIND_MP4},
        {"WAVE", 4, 8, FILEKIND_WAVE},
        {"AVI ", 4, 8, FILEKIND_AVI},
        {"FLV", 3, 0, FILEKIND_FLV},
        {"ID3", 3, 0, FILEKIND_MP3},
        {"\xff\xfb", 2, 0, FILEKIND_MP3},
        {"\x89PNG", 4, 0, FILEKIND_IMAGE},
        {"\xff\xd8\xff", 3, 0, FILEKIND_IMAGE},
        {"GIF8", 4, 0, FILEKIND_IMAGE},
    };

    if (b.len == 0)
        return FILEKIND_EMPTY;
    b.len = size_min(b.len, FILEKIND_LOOK_BYTES);
    if (starts(b, 0, "OggS", 4))
        return ogg_kind(b);
    for (size_t i = 0; i < ARRAY_LEN(magic); i++) {
        if (starts(b, magic[i].at, magic[i].what, magic[i].n))
            return magic[i].kind;
    }
    if (b.len > 188 && b.p[0] == 0x47 && b.p[188] == 0x47)
        return FILEKIND_MPEG_TS;
    enum filekind k = annexb_kind(b);
    if (k != FILEKIND_UNKNOWN)
        return k;
    return is_text(b) ? FILEKIND_TEXT : FILEKIND_UNKNOWN;
}

const char *filekind_name(enum filekind k)
{
    static const char *const names[FILEKIND_N] = {
        [FILEKIND_UNKNOWN] = "a file of unknown kind",
        [FILEKIND_EMPTY] = "an empty file",
        [FILEKIND_IVF] = "an IVF file",
        [FILEKIND_OGG_OPUS] = "an Ogg Opus file",
        [FILEKIND_OGG] = "an Ogg file without Opus",
        [FILEKIND_H264] = "a raw H.264 stream",
        [FILEKIND_H265] = "a raw H.265 stream",
        [FILEKIND_MATROSKA] = "a Matroska or WebM file",
        [FILEKIND_MP4] = "an MP4 file",
        [FILEKIND_WAVE] = "a WAVE file",
        [FILEKIND_AVI] = "an AVI file",
        [FILEKIND_FLV] = "an FLV file",
        [FILEKIND_MPEG_TS] = "an MPEG transport stream",
        [FILEKIND_MP3] = "an MP3 file",
        [FILEKIND_IMAGE] = "an image",
        [FILEKIND_TEXT] = "a text file",
    };

    assert((unsigned)k < FILEKIND_N);
    return names[k];
}
