/* client/client.h - a LiveKit participant of our own, without sockets.
 *
 * Joins a room over one peer connection (/rtc/v1), publishes tracks, receives
 * others, sends and receives data packets.  What `sluice join`, the load
 * generator and the simulation are made of; it speaks to sluice and to any
 * LiveKit server.  It does not read files, choose layers or decode.
 *
 * The owner carries bytes: WebSocket messages by client_message() and
 * client_message_output(), datagrams by client_datagram() and
 * client_datagram_output().  After any call drain outputs and events until they say
 * false, then read client_deadline().  One thread; memory per client is bounded
 * by the limits below.
 *
 * A lost WebSocket or transport ends the client (CLIENT_EVT_ENDED); its owner
 * makes a new one.  With client_cfg.resumes a lost WebSocket does not: the owner dials
 * client_target() again and media goes on meanwhile.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/addr.h"
#include "base/base.h"
#include "base/cursor.h"
#include "base/str.h"
#include "wire/codec.h"

struct dtls_ctx;    /* crypt/dtls.h */
struct seal_engine; /* crypt/seal.h */
struct client;

enum {
    CLIENT_TRACKS_MAX = 8, /* published */
    CLIENT_MESSAGE_BYTES_MAX = 2 << 20,
    CLIENT_MESSAGES_MAX = 64, /* requests waiting for the WebSocket */
    CLIENT_EVENTS_MAX = 64,
    CLIENT_QUEUE_BYTES = 1 << 20,       /* datagrams waiting, for one that publishes */
    CLIENT_QUEUE_SMALL_BYTES = 1 << 15, /* for one that only receives */
};

struct client_track {
    const char *name;
    enum codec codec;
    uint32_t width, height; /* video */
    bool screen;            /* screen share instead of camera or microphone */
    bool stereo;            /* audio: viewers shall decode two channels */
};

struct client_cfg {
    const char *name; /* display name, or NULL: what the token says */
    bool auto_subscribe;
    bool resumes;          /* after a lost WebSocket */
    bool no_nack;          /* never ask for what is missing: a load that samples packets */
    struct dtls_ctx *dtls; /* borrowed for the client's life */
    const struct seal_engine *engine; /* likewise; NULL: OpenSSL */
    const char *fingerprint;          /* of the certificate in dtls, as SDP has it; likewise */
    uint64_t seed;
    struct client_track track[CLIENT_TRACKS_MAX];
    uint32_t track_n;
};

enum client_event_kind {
    CLIENT_EVT_JOINED,      /* sid, identity: ours; room: its sid */
    CLIENT_EVT_CONNECTED,   /* media may flow */
    CLIENT_EVT_RESUMED,     /* the new socket serves the old session */
    CLIENT_EVT_PUBLISHED,   /* track: ours; sid */
    CLIENT_EVT_PARTICIPANT, /* sid, identity of anybody; left; track: how many they publish */
    CLIENT_EVT_TRACK,    /* track: number of a remote track; sid; identity: the publisher's sid */
    CLIENT_EVT_KEYFRAME, /* track: ours; somebody needs a key frame */
    CLIENT_EVT_SPEAKER,  /* sid of anybody; speaks */
    CLIENT_EVT_DATA,     /* data: a DataPacket as received; reliable */
    CLIENT_EVT_ENDED,    /* reason; final */
};

struct client_event {
    enum client_event_kind kind;
    uint32_t track;
    char sid[32];
    char identity[256];
    char room[32];
    bool left, video, reliable, speaks;
    const char *reason; /* static text */
    int code;           /* ENDED: livekit.DisconnectReason when the server said it; else 0 */
    struct bytes data;  /* valid until the next call */
};

/* A received media packet, decrypted; valid until the next call. */
struct client_media {
    uint32_t track; /* of its CLIENT_EVT_TRACK */
    enum codec codec;
    uint16_t seq;
    uint32_t ts;
    bool marker;
    struct bytes payload;
};

struct client_stats {
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, drops;
    uint32_t lost; /* as counted from sequence numbers */
};

MUST_CHECK int client_open(struct client **ret, const struct client_cfg *cfg, us_t now);
void client_free(struct client *c);

/* The target of the WebSocket request ("/rtc/v1?join_request=..."); the token goes into the
 * Authorization header, which is the owner's. */
int client_target(struct client *c, struct str *out);
/* An address of ours that media may leave from; before the first answer. */
void client_add_address(struct client *c, const struct addr *local);

void client_message(struct client *c, bool text, struct bytes data, struct tick tick);
void client_socket_closed(struct client *c);
/* The next binary message for the WebSocket; valid until the next call. */
bool client_message_output(struct client *c, struct bytes *out);

/* Decrypts in place.  True: *media holds a packet. */
bool client_datagram(struct client *c, const struct path *path, uint8_t *p, size_t len,
                     struct tick tick, struct client_media *media);
bool client_datagram_output(struct client *c, struct path *path, struct wr *w);

/* One packet's worth of payload of our track.  E_STATE before CONNECTED and PUBLISHED; E_LIMIT
 * when the queue is full (the packet is dropped). */
int client_send(struct client *c, uint32_t track, struct bytes payload, uint32_t ts, bool marker,
                struct tick tick);
/* The next n packets of a track are lost for good: their numbers are left out, so that receivers
 * know. */
void client_skip(struct client *c, uint32_t track, uint32_t n);
/* When a time stamp was captured, on our clock: sender reports say this from now on, instead of
 * when packets happened to leave.  What aligns sound and picture of a stream that passes through.
 */
void client_clock(struct client *c, uint32_t track, uint32_t ts, us_t at);
/* How loud an audio track of ours is from now on, in -dBov: 0 loudest, 127 silence; before that
 * nothing is said. */
void client_level(struct client *c, uint32_t track, uint8_t minus_dbov);
/* A DataPacket of the livekit protocol, already packed. */
int client_send_data(struct client *c, bool reliable, struct bytes packet, us_t now);
/* Ask the server for a key frame of a remote track. */
void client_ask_keyframe(struct client *c, uint32_t track, us_t now);
/* Tell the room that a track of ours is silent, or no longer; nothing before CLIENT_EVT_PUBLISHED.
 */
void client_mute(struct client *c, uint32_t track, bool muted);
/* Set an attribute of ours; the token must allow it. */
void client_set_attribute(struct client *c, const char *name, const char *value);
/* Say goodbye; drain outputs afterwards. */
void client_leave(struct client *c, us_t now);

void client_tick(struct client *c, struct tick tick);
us_t client_deadline(const struct client *c);
bool client_event(struct client *c, struct client_event *ev);
void client_get_stats(const struct client *c, struct client_stats *out);

#endif
