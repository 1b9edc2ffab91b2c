/* wire/ivf.h - IVF files: frames of VP8, VP9 or AV1, one after another.
 *
 * Reads from a span that holds the whole file (the caller maps it) and writes
 * headers for a file that grows.  All numbers in IVF are little endian.
 */
#ifndef WIRE_IVF_H
#define WIRE_IVF_H

#include "base/base.h"
#include "base/cursor.h"
#include "wire/codec.h"

enum {
    IVF_HEADER_BYTES = 32,
    IVF_FRAME_HEADER_BYTES = 12,
    IVF_FRAME_MAX = 8 << 20, /* chosen: no real frame is larger; a longer one is malformed */
};

struct ivf {
    struct rd rd;        /* at the next frame */
    struct bytes frames; /* all of them, for ivf_rewind */
    enum codec codec;
    uint16_t width, height;
    uint32_t rate, scale; /* a pts counts scale / rate seconds */
    uint32_t frames_n;    /* as the header says; often wrong */
};

struct ivf_frame {
    struct bytes data;
    uint64_t pts; /* in units of scale / rate seconds */
    us_t at;      /* the same in microseconds */
};

/* E_UNSUPPORTED when it is not IVF (filekind_of() says what it is) or holds another
 * codec; E_MALFORMED. */
MUST_CHECK int ivf_open(struct ivf *f, struct bytes file);
/* 0; E_CLOSED at the end; E_TRUNCATED when the last frame is cut off. */
MUST_CHECK int ivf_next(struct ivf *f, struct ivf_frame *frame);
void ivf_rewind(struct ivf *f);

/* frames_n may be 0 while unknown; the header is written over at the end. */
void ivf_write_header(struct wr *w, const struct ivf *f);
void ivf_write_frame_header(struct wr *w, uint32_t bytes, uint64_t pts);

#endif
