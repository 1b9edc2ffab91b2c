/* wire/childpipe.h - records between a job and its child, over a stream socket.
 *
 * Each record: length of what follows (32 bits), kind, a time stamp, a body.  Both ends read with
 * the same bounds, since either may be the one that broke.  Stateless.
 */
#ifndef WIRE_CHILDPIPE_H
#define WIRE_CHILDPIPE_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    CHILDPIPE_HEADER_BYTES = 4 + 1 + 8,
    CHILDPIPE_BODY_MAX = 16 << 10, /* the largest AAC frame has 8,191 bytes */
    CHILDPIPE_RECORD_MAX = CHILDPIPE_HEADER_BYTES + CHILDPIPE_BODY_MAX,
};

enum childpipe_kind {
    CHILDPIPE_READY = 1,  /* from the child, first: it can work */
    CHILDPIPE_AAC_CONFIG, /* to it: AudioSpecificConfig */
    CHILDPIPE_AAC,        /* to it: one raw frame; pts */
    CHILDPIPE_OPUS,       /* from it: one packet; pts */
};

struct childpipe_record {
    uint8_t kind; /* enum childpipe_kind */
    us_t pts_us;
    struct bytes body;
};

/* The record at the front of `in`: 1, and *used says how long it was.  0: not whole yet.
 * E_MALFORMED: a length that cannot be. */
MUST_CHECK int childpipe_read(struct bytes in, struct childpipe_record *rec, size_t *used);
/* Errors stick in w. */
void childpipe_write(struct wr *w, const struct childpipe_record *rec);

#endif
