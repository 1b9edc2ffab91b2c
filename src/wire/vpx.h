/* wire/vpx.h - VP8 and VP9 payload descriptors.  (RFC 7741, RFC 9628)
 *
 * Reads what stands before the frame data, recognises key frames and their size,
 * and patches VP8's running numbers in place so that a stream that was cut and
 * joined looks whole.  Stateless.
 */
#ifndef WIRE_VPX_H
#define WIRE_VPX_H

#include "base/base.h"

enum {
    VP8_DESC_MAX = 6,   /* bytes of the longest VP8 descriptor */
    VP9_LAYERS_MAX = 8, /* spatial layers */
};

struct vp8_desc {
    uint8_t len;                  /* of the descriptor: 1..VP8_DESC_MAX */
    uint8_t part;                 /* partition index */
    bool start;                   /* S: begins a partition */
    bool discardable;             /* N: not a reference */
    bool wide;                    /* PictureID has 15 bits */
    bool sync;                    /* Y: predicts from the base layer only */
    uint8_t id_at, tl0_at, tk_at; /* offsets of PictureID, TL0PICIDX, TID/KEYIDX; 0: absent */
    bool has_tid, has_keyidx;
    uint8_t tl0, tid, keyidx;
    uint16_t id;
};

/* E_TRUNCATED when the descriptor does not fit, or no frame data follows. */
MUST_CHECK int vp8_parse(struct vp8_desc *d, struct bytes payload);
/* First packet of a key frame? */
bool vp8_key(const struct vp8_desc *d, struct bytes payload);
/* Width and height from a frame's beginning (not a payload's); false if no key frame. */
bool vp8_size(struct bytes frame, uint16_t *width, uint16_t *height);
/* Overwrites the numbers that are there, in the width they have; others are left out. */
void vp8_patch(uint8_t *payload, const struct vp8_desc *d, uint16_t id, uint8_t tl0,
               uint8_t keyidx);

struct vp9_desc {
    uint8_t len;     /* of the descriptor, scalability structure included */
    bool inter_pic;  /* P: predicted from an earlier picture */
    bool flexible;   /* F */
    bool start, end; /* B, E of a layer frame */
    bool not_ref;    /* Z: not a reference for upper spatial layers */
    bool has_id, wide, has_layer, has_tl0, has_ss;
    bool switch_up;   /* U */
    bool inter_layer; /* D */
    uint8_t tid, sid, tl0;
    uint8_t ss_layers_n; /* spatial layers of the structure */
    uint16_t id;
    uint16_t width, height; /* of the highest layer in the structure; 0: not said */
};

/* E_TRUNCATED; E_MALFORMED for more than three reference indices. */
MUST_CHECK int vp9_parse(struct vp9_desc *d, struct bytes payload);
/* First packet of a key picture (its lowest spatial layer)? */
bool vp9_key(const struct vp9_desc *d);
/* Size from the uncompressed header of a key frame; false if it is none. */
bool vp9_size(struct bytes frame, uint16_t *width, uint16_t *height);

#endif
