/* sfu/cmd.h - the vocabulary between control and the data plane.
 *
 * Control says what it wants with commands, a shard answers with events; both are
 * plain records that travel over rings between threads.  No pointers, no locks:
 * objects are named by handles (base/handle.h) which CONTROL gives out, from one
 * pool per shard and kind, so a command needs no answer before the next.  A
 * command for a stale or unknown handle is ignored and counted.  A handle may be
 * given out again only after its *_GONE event came back.
 *
 * Everything a layer above sfu/ may know of it is in this file.
 */
#ifndef SFU_CMD_H
#define SFU_CMD_H

#include "base/addr.h"
#include "base/handle.h"
#include "rtc/peer.h" /* peer_local, peer_remote, peer_state, peer_reason */
#include "wire/codec.h"
#include "wire/rtp.h" /* struct rtp_ext_ids */

typedef handle peer_id;
typedef handle track_id;
typedef handle sub_id;

enum {
    CMD_LAYERS_MAX = 3,  /* spatial layers or simulcast streams of a track */
    CMD_CODECS_MAX = 16, /* payload types of one section */
    CMD_MID_MAX = 16,    /* characters of a mid or rid */
    CMD_DATA_MAX = 1500, /* one SCTP packet */
    CMD_SHARDS_MAX = 64, /* letters that an ICE ufrag may have */
};

enum cmd_kind {
    CMD_PEER_OPEN = 1,
    CMD_PEER_REMOTE,
    CMD_PEER_RESTART,
    CMD_PEER_CLOSE,
    CMD_PEER_DATA,
    CMD_TRACK_OPEN,
    CMD_TRACK_SET,
    CMD_TRACK_CLOSE,
    CMD_TRACK_KEYFRAME,
    CMD_RELAY_OPEN,
    CMD_RELAY_CLOSE,
    CMD_SUB_ATTACH,
    CMD_SUB_SET,
    CMD_SUB_DETACH,
};

struct cmd_peer_open {
    peer_id peer;
    struct peer_local local;
    uint8_t setup; /* enum peer_setup */
};

struct cmd_peer_remote {
    peer_id peer;
    struct peer_remote remote;
};

struct cmd_peer_restart {
    peer_id peer;
    struct peer_local local;
};

/* Closes the peer, its tracks and its subscriptions; answered by EVT_PEER_GONE (which covers
 * them all: no EVT_TRACK_GONE or EVT_SUB_GONE follows for them). */
struct cmd_peer_close {
    peer_id peer;
};

struct cmd_peer_data {
    peer_id peer;
    uint16_t len;
    uint8_t data[CMD_DATA_MAX]; /* the record ends after `len` bytes */
};

/* One payload type of a receiving section, in the publisher's numbers. */
struct cmd_codec {
    uint8_t pt;
    uint8_t codec;  /* enum codec */
    uint8_t rtx_pt; /* 0: none */
    uint8_t red_pt; /* for CODEC_RED: the pt of the opus inside; else 0 */
    bool nack, pli, fir, twcc, remb;
    uint32_t clock_hz;
};

/* A stream of a track: a simulcast layer, or the only one. */
struct cmd_layer {
    uint32_t ssrc, rtx_ssrc; /* 0: learnt from mid and rid extensions, or the first unknown ssrc of
                                the section's payload types */
    char rid[CMD_MID_MAX];   /* "" without rids */
    uint8_t spatial;         /* 0 lowest */
};

/* A publication starts, or a mirror of one on another shard (home != 0; then peer is 0 and
 * layers carry only `spatial`).  Said again for a track that is there, with the same codecs and
 * layers: it goes on with what this peer sends, and its subscribers with it, from the next key
 * frame; its mirrors are told likewise. */
struct cmd_track_open {
    track_id track;
    peer_id peer;
    track_id home;
    bool video, muted;
    bool svc; /* several spatial layers inside one stream (VP9/AV1) */
    bool gop; /* keep the newest group of pictures for newcomers (sfu/gop.h) */
    char mid[CMD_MID_MAX];
    struct rtp_ext_ids ext; /* as the publisher's section negotiated them */
    uint8_t codec_n, layer_n;
    struct cmd_codec codec[CMD_CODECS_MAX];
    struct cmd_layer layer[CMD_LAYERS_MAX];
};

/* Control tells mirrors as well: what is not sent while muted then leaves no gap there either. */
struct cmd_track_set {
    track_id track;
    bool muted;
};

struct cmd_track_close {
    track_id track; /* answered by EVT_TRACK_GONE; its subscriptions end with it, without events of
                       their own */
};

struct cmd_track_keyframe {
    track_id track;
};

/* Home of `track` copies its packets to `mirror` on that handle's shard. */
struct cmd_relay {
    track_id track;
    track_id mirror;
};

/* Publisher's payload type -> what this subscriber's section calls it. */
struct cmd_pt_map {
    uint8_t in_pt;
    uint8_t out_pt;
    uint8_t out_rtx_pt; /* 0: retransmit on the media ssrc */
    bool unred;         /* in is RED, the subscriber wants the opus inside */
};

/* Refused (limits, memory, a track or peer that is gone): answered by EVT_SUB_GONE.  Likewise a
 * refused peer or track by its *_GONE. */
struct cmd_sub_attach {
    sub_id sub;
    track_id track; /* on the same shard as peer: the home track or a mirror */
    peer_id peer;
    uint32_t ssrc, rtx_ssrc;
    char mid[CMD_MID_MAX];  /* written as the mid extension while ext.id[RTP_EXT_MID] != 0 */
    char cname[64];         /* RTCP SDES */
    struct rtp_ext_ids ext; /* as the subscriber's section negotiated them */
    uint8_t pt_n;
    struct cmd_pt_map pt[CMD_CODECS_MAX];
    uint8_t max_spatial, max_temporal;
    bool paused;
    /* What the receiver shall buffer; told while ext.id[RTP_EXT_PLAYOUT_DELAY] != 0. */
    uint32_t min_playout_ms, max_playout_ms;
};

struct cmd_sub_set {
    sub_id sub;
    uint8_t max_spatial, max_temporal;
    bool paused;
};

struct cmd_sub_detach {
    sub_id sub; /* answered by EVT_SUB_GONE */
};

struct cmd {
    uint32_t kind; /* enum cmd_kind */
    union {
        struct cmd_peer_open peer_open;
        struct cmd_peer_remote peer_remote;
        struct cmd_peer_restart peer_restart;
        struct cmd_peer_close peer_close;
        struct cmd_peer_data peer_data;
        struct cmd_track_open track_open;
        struct cmd_track_set track_set;
        struct cmd_track_close track_close;
        struct cmd_track_keyframe track_keyframe;
        struct cmd_relay relay;
        struct cmd_sub_attach sub_attach;
        struct cmd_sub_set sub_set;
        struct cmd_sub_detach sub_detach;
    };
};

enum evt_kind {
    EVT_PEER_STATE = 1,
    EVT_PEER_DATA,
    EVT_PEER_GONE,
    EVT_TRACK_LIVE,
    EVT_TRACK_LEVEL,
    EVT_TRACK_STATS,
    EVT_TRACK_GONE,
    EVT_SUB_LIVE,
    EVT_SUB_STATS,
    EVT_SUB_GONE,
};

struct evt_peer_state {
    peer_id peer;
    uint8_t state;  /* enum peer_state */
    uint8_t reason; /* enum peer_reason */
    struct addr remote;
};

struct evt_peer_data {
    peer_id peer;
    uint16_t len;
    uint8_t data[CMD_DATA_MAX];
};

struct evt_peer_gone {
    peer_id peer;
};

/* First packet of a layer, or a layer fell silent (live false). */
struct evt_track_live {
    track_id track;
    uint8_t spatial;
    bool live;
    uint8_t codec;          /* what really arrived */
    uint16_t width, height; /* 0 while unknown */
};

/* Once per audio window (AUDIO_WINDOW 400 ms) while somebody speaks, and once when it stops. */
struct evt_track_level {
    track_id track;
    float level; /* 0..1 linear, smoothed as livekit-server.md 5.8 */
    bool active;
};

/* Each 5 s while anything flowed: feeds connection quality and the dashboard. */
struct evt_track_stats {
    track_id track;
    uint64_t packets, bytes;
    uint32_t lost, jitter_us, rtt_us, nacks, plis;
};

struct evt_track_gone {
    track_id track;
};

/* The first packet went out to this subscriber. */
struct evt_sub_live {
    sub_id sub;
};

struct evt_sub_stats {
    sub_id sub;
    uint64_t packets, bytes;
    uint32_t lost, jitter_us, rtt_us, nacks, plis; /* as the subscriber reports */
    uint8_t spatial;
};

struct evt_sub_gone {
    sub_id sub;
};

struct evt {
    uint32_t kind; /* enum evt_kind */
    union {
        struct evt_peer_state peer_state;
        struct evt_peer_data peer_data;
        struct evt_peer_gone peer_gone;
        struct evt_track_live track_live;
        struct evt_track_level track_level;
        struct evt_track_stats track_stats;
        struct evt_track_gone track_gone;
        struct evt_sub_live sub_live;
        struct evt_sub_stats sub_stats;
        struct evt_sub_gone sub_gone;
    };
};

/* Bytes of a record that matter: what is copied into a ring.  Data records end after their
 * data, the others after their struct. */
uint32_t cmd_len(const struct cmd *c);
uint32_t evt_len(const struct evt *e);
/* A ufrag of ours begins with the letter of its peer's shard, so that whoever sees a check first
 * knows where it belongs.  cmd_ufrag_shard: negative when it is none of ours. */
char cmd_ufrag_letter(uint8_t shard);
int cmd_ufrag_shard(struct bytes ufrag);
/* Life-cycle records use the ring's reserved room. */
bool cmd_urgent(const struct cmd *c);
bool evt_urgent(const struct evt *e);

#endif
