/* wire/flv.h - audio and video as FLV tags and RTMP messages carry them, plain and enhanced.
 * (Adobe FLV 10.1 annex E; Enhanced RTMP v2; ISO/IEC 14496-15, 14496-3 s1.6.2.1; AV1 in ISOBMFF
 * s2.3; RFC 7845 s5.1)
 *
 * Opens the headers of a tag, one or many tracks, and reads the decoder configurations inside.
 * Stateless; spans borrow the input.  Nothing is decoded.
 */
#ifndef WIRE_FLV_H
#define WIRE_FLV_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    FLV_SETS_MAX = 32, /* parameter sets of one configuration; real streams: 2 to 4 */
    FLV_TAG_HEADER_BYTES = 11,
};

enum flv_tag_type {
    FLV_TAG_AUDIO = 8,
    FLV_TAG_VIDEO = 9,
    FLV_TAG_SCRIPT = 18,
};

struct flv_tag {
    uint8_t type;       /* enum flv_tag_type */
    uint32_t timestamp; /* ms */
    struct bytes body;
};

/* The header of a file. */
MUST_CHECK int flv_open(struct rd *r);
/* A tag with the back pointer after it: also a member of an aggregate message.  E_CLOSED at the
 * end, E_TRUNCATED. */
MUST_CHECK int flv_tag_read(struct rd *r, struct flv_tag *tag);
void flv_tag_write(struct wr *w, const struct flv_tag *tag);

enum flv_codec {
    FLV_UNKNOWN, /* `fourcc` or `id` says which */
    FLV_AVC,
    FLV_HEVC,
    FLV_VVC,
    FLV_AV1,
    FLV_VP8,
    FLV_VP9,
    FLV_AAC,
    FLV_OPUS,
    FLV_MP3,
    FLV_FLAC,
    FLV_AC3,
    FLV_EAC3,
};

enum flv_kind {
    FLV_CONFIG, /* decoder configuration record */
    FLV_FRAME,  /* coded bytes */
    FLV_END,    /* of the sequence */
    FLV_META,   /* AMF: colour information */
    FLV_OTHER,  /* commands, multichannel layout, what is not known: skip */
};

struct flv_media {
    enum flv_codec codec;
    enum flv_kind kind;
    bool key;
    bool enhanced;
    uint8_t id;        /* legacy codec or sound format */
    uint8_t track;     /* 0: the default one */
    uint32_t fourcc;   /* enhanced */
    int32_t cts_ms;    /* pts - dts */
    uint32_t extra_ns; /* ModEx: to be added to the time stamp */
    struct bytes data;
};

struct flv_iter {
    struct rd rd;
    struct flv_media next; /* what all tracks share */
    bool video, done;
    bool plain; /* not enhanced: the rest is data */
    bool tracks, many, many_codecs;
    uint8_t packet; /* type behind multitrack and ModEx */
};

/* The body of a video or audio tag.  E_TRUNCATED, E_MALFORMED. */
MUST_CHECK int flv_video(struct flv_iter *it, struct bytes body);
MUST_CHECK int flv_audio(struct flv_iter *it, struct bytes body);
/* The next track in it; E_CLOSED at the end. */
MUST_CHECK int flv_next(struct flv_iter *it, struct flv_media *m);

/* Static text: "H.264", "AAC", .. */
const char *flv_codec_text(enum flv_codec c);

/* Parameter sets of an AVC or HEVC decoder configuration record. */
struct flv_sets {
    uint8_t length_bytes; /* of the size before each NAL unit: 1, 2 or 4 */
    uint8_t profile, level;
    unsigned n;
    struct bytes nal[FLV_SETS_MAX]; /* AVC: SPS, PPS; HEVC: in order of the record */
};

/* E_TRUNCATED, E_MALFORMED, E_LIMIT. */
MUST_CHECK int flv_avc_config(struct bytes record, struct flv_sets *sets);
MUST_CHECK int flv_hevc_config(struct bytes record, struct flv_sets *sets);
/* The OBUs in an AV1CodecConfigurationRecord; they may be none. */
MUST_CHECK int flv_av1_config(struct bytes record, struct bytes *obus);

/* NAL units with sizes before them, one by one.  E_CLOSED at the end, E_MALFORMED when a size
 * overruns. */
MUST_CHECK int flv_nal(struct rd *r, uint8_t length_bytes, struct bytes *nal);

/* AudioSpecificConfig. */
struct flv_aac {
    uint8_t object_type;    /* of the core: 2 is LC */
    uint8_t channels;       /* 0: in a program config element */
    bool sbr;               /* told: the output has twice the rate */
    uint16_t frame_samples; /* 1024 or 960 */
    uint32_t rate_hz;       /* of the core */
};

MUST_CHECK int flv_aac_config(struct bytes record, struct flv_aac *aac);

struct flv_opus {
    uint8_t channels;
    uint16_t pre_skip; /* samples at 48 kHz */
    uint8_t mapping;   /* 0: mono or stereo, one stream */
};

MUST_CHECK int flv_opus_config(struct bytes record, struct flv_opus *opus);

#endif
