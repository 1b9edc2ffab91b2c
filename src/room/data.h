/* room/data.h - one data packet from a participant: stamped, judged, addressed.
 *                (livekit-server.md 4.7)
 *
 * Works on the wire bytes: what the server does not know survives unchanged.  The
 * sender's sid and identity overwrite what the client claims.  Knows no channels; who
 * gets the result is answered by data_is_target().
 */
#ifndef ROOM_DATA_H
#define ROOM_DATA_H

#include "base/cursor.h"
#include "room/room.h"

enum {
    DATA_PACKET_MAX = 65535,
    DATA_GROWTH_MAX = 2048,     /* stamping adds a sid and two identities at most */
    DATA_DESTINATIONS_MAX = 256 /* chosen; a packet with more is refused */
};

enum data_value {
    DATA_NONE = 0, /* no value that we know: forwarded as it is */
    DATA_USER = 2,
    DATA_SPEAKER = 3,
    DATA_SIP_DTMF = 6,
    DATA_TRANSCRIPTION = 7,
    DATA_METRICS = 8,
    DATA_CHAT = 9,
    DATA_RPC_REQUEST = 10,
    DATA_RPC_ACK = 11,
    DATA_RPC_RESPONSE = 12,
    DATA_STREAM_HEADER = 13,
    DATA_STREAM_CHUNK = 14,
    DATA_STREAM_TRAILER = 15,
    DATA_ENCRYPTED = 18,
};

struct data_packet {
    uint32_t value;    /* field number of the oneof member; DATA_NONE */
    struct bytes body; /* of that member, as received */
    uint32_t sequence;
    struct bytes nonce;
    struct bytes dest[DATA_DESTINATIONS_MAX]; /* identities, in the input */
    struct bytes dest_sid[DATA_DESTINATIONS_MAX];
    uint32_t dest_n, dest_sid_n;
};

/* Reads `in`; 0, E_MALFORMED, E_TOO_LARGE. */
MUST_CHECK int data_read(struct data_packet *d, struct bytes in);
/* May this sender send it now?  Counts its sequence and the room's nonces: call once. */
bool data_accept(struct data_packet *d, struct member *from, bool reliable);
/* The packet as others get it.  E_MALFORMED; E_TOO_LARGE when `out` is too small. */
MUST_CHECK int data_stamp(const struct data_packet *d, struct bytes in, const struct member *from,
                          bool reliable, struct wr *out);
/* Marks the members addressed with a fresh mark and returns it; a packet without destinations
 * addresses everybody but the sender. */
uint64_t data_mark_targets(const struct data_packet *d, struct room *r, const struct member *from);

#endif
