/* bus/frame.h - names of channels and the outermost frame of psrpc.  (egress-ingress.md 2.1, 2.2)
 *
 * Pure functions over text and bytes; results live in the arena or the str given.
 */
#ifndef BUS_FRAME_H
#define BUS_FRAME_H

#include "bus/bus.h"
#include "wire/pb.h"

enum { FRAME_PARTS_MAX = 4 };

/* "Service|Method|Topic|REQ": empty parts are skipped, characters outside [0-9A-Za-z_] escaped as
 * u+xxxx or U+xxxxxxxx.  False when the name does not fit. */
MUST_CHECK bool frame_channel(char out[BUS_CHANNEL_MAX], const char *const *part, size_t n);

/* Appends `m` in its frame; the type's name is the descriptor's. */
void frame_pack(const ProtobufCMessage *m, struct str *out);

/* The message in the frame, which must be of type `d`; NULL: malformed, or another type. */
MUST_CHECK void *frame_unpack(struct arena *a, const ProtobufCMessageDescriptor *d,
                              struct bytes frame);

#endif
