/* wire/h26x.h - H.264 and H.265 NAL units inside RTP payloads.  (RFC 6184, RFC 7798)
 *
 * Says whether a payload begins a key frame or a frame, and how large the picture
 * is; putting frames together is wire/depacketize.  Stateless.
 */
#ifndef WIRE_H26X_H
#define WIRE_H26X_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    H26X_SPS_MAX = 256, /* bytes of a parameter set that are looked at */
};

enum h264_nal {
    H264_SLICE = 1,
    H264_IDR = 5,
    H264_SEI = 6,
    H264_SPS = 7,
    H264_PPS = 8,
    H264_AUD = 9,
    H264_STAP_A = 24,
    H264_FU_A = 28,
};

enum h265_nal {
    H265_BLA_W_LP = 16, /* first of the intra random access points, 16..23 */
    H265_IRAP_LAST = 23,
    H265_VPS = 32,
    H265_SPS = 33,
    H265_PPS = 34,
    H265_AUD = 35,
    H265_AP = 48,
    H265_FU = 49,
    H265_PACI = 50,
};

struct h26x_info {
    bool key;               /* IDR (or IRAP) begins here, or a sequence parameter set stands here */
    bool start;             /* a picture begins here: parameter set, delimiter or first slice */
    bool discardable;       /* H.264: nal_ref_idc is 0 in all of it */
    uint8_t tid;            /* H.265: TemporalId */
    uint16_t width, height; /* of an H.264 SPS in the payload; else 0 */
};

/* A payload that breaks off keeps what was understood before. */
void h264_inspect(struct bytes payload, struct h26x_info *info);
void h265_inspect(struct bytes payload, struct h26x_info *info);

/* Picture size after cropping, from a whole SPS NAL unit; false when it is not one. */
bool h264_sps_size(struct bytes nal, uint16_t *width, uint16_t *height);

#endif
