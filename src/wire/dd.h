/* wire/dd.h - the AV1 dependency descriptor.
 * (RTP Payload Format For AV1 v1.0, appendix A)
 *
 * A header extension that says, for any codec, to which layers a frame belongs and
 * what it depends on, in terms of templates that came with the last key frame.
 * The caller keeps one `struct dd_structure` per incoming stream.  Reads only.
 */
#ifndef WIRE_DD_H
#define WIRE_DD_H

#include "base/base.h"

enum {
    DD_TEMPLATES_MAX = 64, /* six bits of template id */
    DD_TARGETS_MAX = 32,   /* five bits of dt_cnt_minus_one */
    DD_SPATIAL_MAX = 4,    /* AV1 has two bits */
    DD_TEMPORAL_MAX = 8,   /* AV1 has three bits */
    DD_FDIFFS_MAX = 16,    /* chosen: AV1 refers to at most 7 frames; more is malformed */
};

/* Decode target indication (A.8.2.3) */
enum dd_dti {
    DD_NOT_PRESENT,
    DD_DISCARDABLE,
    DD_SWITCH,
    DD_REQUIRED,
};

struct dd_template {
    uint64_t dti; /* two bits a target, target 0 lowest */
    uint8_t sid, tid;
    uint8_t fdiff_n;
    uint8_t fdiff[DD_FDIFFS_MAX];
    uint8_t chain_fdiff[DD_TARGETS_MAX];
};

struct dd_structure {
    bool known; /* false: nothing but a key frame's descriptor can be read */
    uint8_t id_offset, template_n, target_n, chain_n;
    uint8_t sid_max;
    bool has_size;
    uint32_t active; /* decode targets that the sender still sends, by bit */
    struct dd_template tmpl[DD_TEMPLATES_MAX];
    uint8_t target_sid[DD_TARGETS_MAX], target_tid[DD_TARGETS_MAX];
    uint8_t protected_by[DD_TARGETS_MAX]; /* chain of a target; meaningful when chain_n > 0 */
    uint16_t width[DD_SPATIAL_MAX], height[DD_SPATIAL_MAX];
};

struct dd_frame {
    bool first, last;   /* packet of the frame */
    bool has_structure; /* a key frame: *st was replaced */
    bool has_active;    /* the set of active targets was said anew */
    uint16_t number;    /* frame_number */
    uint8_t sid, tid;
    uint8_t fdiff_n;
    uint16_t fdiff[DD_FDIFFS_MAX]; /* it depends on number - fdiff[i] */
    uint64_t dti;                  /* as in the template */
    uint8_t chain_fdiff[DD_TARGETS_MAX];
    uint16_t width, height; /* of its spatial layer; 0: not said */
};

/* *st is replaced by a structure in the descriptor, and its `active` follows; both
 * are untouched on failure.  E_TRUNCATED, E_MALFORMED; E_STATE when the
 * template is not known (ask for a key frame). */
MUST_CHECK int dd_parse(struct dd_frame *f, struct dd_structure *st, struct bytes ext);

static inline enum dd_dti dd_dti_of(const struct dd_frame *f, unsigned target)
{
    return (enum dd_dti)((f->dti >> (2 * target)) & 3);
}

#endif
