/* wire/pb_json.h - protobuf messages as JSON, both ways, by walking the descriptors.
 *
 * The canonical mapping (protojson) as far as our messages need it: no Any, and
 * google.protobuf.Timestamp as a plain object, for it occurs in metrics only, which
 * travel as bytes.  Ceilings as in wire/pb.h and base/json.h.
 */
#ifndef WIRE_PB_JSON_H
#define WIRE_PB_JSON_H

#include "wire/pb.h"

enum { PB_WHY_MAX = 128 };

/* How JSON is written. */
enum pb_json_style {
    PB_JSON_TWIRP,  /* proto names, zero values too, absent submessages as null */
    PB_JSON_SIGNAL, /* lowerCamelCase, zero values left out: signalling text frames, webhooks */
};

/* What was wrong with the input, for an error body; text is "" when nothing was. */
struct pb_why {
    char text[PB_WHY_MAX];
};

/* Reads camelCase and snake_case names, enums by name or number, numbers as text too,
 * bytes as base64, maps as objects, null as absent; unknown fields and unknown names
 * of enums are ignored.  NULL on malformed input or on a limit; *why (may be NULL)
 * then says what. */
MUST_CHECK void *pb_json_read(struct arena *a, const ProtobufCMessageDescriptor *d,
                              struct bytes text, struct pb_why *why);

/* Appends; out->failed is set when the ceiling is reached. */
void pb_json_write(const ProtobufCMessage *m, enum pb_json_style style, struct str *out);

#endif
