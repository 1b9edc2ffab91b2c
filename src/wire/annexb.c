#include "wire/annexb.h"

#include "base/err.h"
#include "wire/filekind.h"
#include "wire/h26x.h"

int annexb_open(struct annexb *a, struct bytes stream)
{
    if (filekind_of(stream) != FILEKIND_H264)
        return E_UNSUPPORTED;
    *a = (struct annexb){.stream = stream};
    return 0;
}

/* Where the next 00 00 01 stands at or after `at`; the stream's end if there is none. */
static size_t find_start(struct bytes s, size_t at)
{
    for (; at + 3 <= s.len; at++) {
        const uint8_t *one = memchr(s.p + at + 2, 1, s.len - at - 2);
        if (one == NULL)
            break;
        at = (size_t)(one - s.p) - 2;
        if (s.p[at] == 0 && s.p[at + 1] == 0)
            return at;
    }
    return s.len;
}

bool annexb_nal(struct annexb *a, struct bytes *nal)
{
    while (a->at < a->stream.len) {
        size_t start = find_start(a->stream, a->at);
        if (start == a->stream.len)
            break;
        size_t end = find_start(a->stream, start + 3), next = end;
        while (end > start + 3 && a->stream.p[end - 1] == 0) /* trailing_zero_8bits */
            end--;
        a->at = next;
        if (end > start + 3) {
            *nal = bytes_of(a->stream.p + start + 3, end - start - 3);
            return true;
        }
    }
    a->at = a->stream.len;
    return false;
}

/* Does this NAL unit begin another picture, when slices of one came before? */
static bool begins_picture(struct bytes nal)
{
    uint8_t type = nal.p[0] & 0x1f;

    if (type == H264_SLICE || type == H264_IDR)
        return nal.len > 1 && (nal.p[1] & 0x80) != 0; /* first_mb_in_slice is 0 */
    return (type >= H264_SEI && type <= H264_AUD) || (type >= 14 && type <= 18);
}

bool annexb_unit(struct annexb *a, struct bytes *unit, bool *key)
{
    size_t start = a->at, end = a->at;
    bool slices = false, idr = false;
    struct bytes nal;

    while (annexb_nal(a, &nal)) {
        uint8_t type = nal.p[0] & 0x1f;
        if (slices && begins_picture(nal)) {
            a->at = end;
            break;
        }
        slices = slices || type == H264_SLICE || type == H264_IDR;
        idr = idr || type == H264_IDR;
        end = a->at;
    }
    if (end == start)
        return false;
    *unit = bytes_of(a->stream.p + start, end - start);
    *key = idr;
    return true;
}
