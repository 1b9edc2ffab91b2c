/* wire/filekind.h - what sort of media file does this begin like?
 *
 * For one purpose: when a reader refuses a file, the message can say what the
 * file is instead.  Looks at the first bytes; promises nothing about the rest.
 */
#ifndef WIRE_FILEKIND_H
#define WIRE_FILEKIND_H

#include "base/base.h"

enum { FILEKIND_LOOK_BYTES = 4096 }; /* no more than this is looked at */

enum filekind {
    FILEKIND_UNKNOWN,
    FILEKIND_EMPTY,
    FILEKIND_IVF,
    FILEKIND_OGG_OPUS,
    FILEKIND_OGG,      /* another codec inside */
    FILEKIND_H264,     /* Annex B */
    FILEKIND_H265,     /* Annex B */
    FILEKIND_MATROSKA, /* WebM too */
    FILEKIND_MP4,
    FILEKIND_WAVE,
    FILEKIND_AVI,
    FILEKIND_FLV,
    FILEKIND_MPEG_TS,
    FILEKIND_MP3,
    FILEKIND_IMAGE,
    FILEKIND_TEXT,
    FILEKIND_N,
};

enum filekind filekind_of(struct bytes start);
/* Words for a message: "an IVF file", "a Matroska or WebM file". */
const char *filekind_name(enum filekind k);

#endif
