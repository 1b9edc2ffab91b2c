/* ingest/media.h - what a publisher's stream yields, whatever protocol carried it.
 *
 * One vocabulary between the machines that take a stream apart (ingest/ftl, ingest/rtmp) and the
 * job that publishes it (ingest/job).  A machine's x_event() drains struct media; the owner
 * answers PUBLISH and hands everything after it to the job.
 *
 * Order: PUBLISH once; after the owner's yes any number of the others; END once, last.  All spans
 * are borrowed until the next call into the machine.  Times of a stream (pts_us, dts_us) are in
 * microseconds since an origin of the stream's own that audio and video share; they may jump, and
 * the job copes.
 */
#ifndef INGEST_MEDIA_H
#define INGEST_MEDIA_H

#include "base/addr.h"
#include "base/base.h"
#include "wire/codec.h"

enum {
    MEDIA_APP_MAX = 128,               /* characters of an RTMP application */
    MEDIA_KEY_MAX = 256,               /* of a stream key */
    MEDIA_REASON_MAX = 160,            /* of a sentence for the streamer */
    MEDIA_UNIT_BYTES_MAX = 4 << 20,    /* one access unit */
    MEDIA_CONFIG_BYTES_MAX = 16 << 10, /* a codec's configuration */
};

enum media_protocol { MEDIA_FTL, MEDIA_RTMP, MEDIA_WHIP, MEDIA_RTP_PLAIN };

/* Audio that WebRTC does not carry: the job's child turns it into Opus before the job sees it. */
enum media_foreign { MEDIA_NATIVE, MEDIA_AAC, MEDIA_MP3, MEDIA_FOREIGN_OTHER };

enum media_kind {
    MEDIA_PUBLISH,      /* somebody wants to publish: protocol, publish */
    MEDIA_VIDEO_CONFIG, /* codec, width, height, data: parameter sets as Annex B, or av1C's OBUs */
    MEDIA_AUDIO_CONFIG, /* codec or foreign, rate_hz, channels, data: AudioSpecificConfig */
    MEDIA_VIDEO, /* codec, pts_us, dts_us, key, data: an access unit (Annex B, OBUs, frame) */
    MEDIA_AUDIO, /* codec or foreign, pts_us, data: one packet */
    MEDIA_RTP,   /* codec, pts_us, rtp_ts, marker, lost_n, data: a payload, in order */
    MEDIA_END,   /* the publisher is gone: clean, reason */
};

struct media_publish {
    enum media_protocol protocol;
    struct bytes app, key;          /* key empty where the protocol does not carry it */
    uint32_t channel;               /* FTL, RTP: names the ingress instead of a key; else 0 */
    struct bytes id;                /* RTP: the ingress itself, instead of the channel; or empty */
    struct bytes challenge, digest; /* FTL: what it proves its key with; else empty */
    struct addr remote;
};

struct media {
    enum media_kind kind;
    enum codec codec; /* CODEC_NONE: see foreign */
    enum media_foreign foreign;
    bool video;
    bool key;    /* MEDIA_VIDEO: a decoder may begin here */
    bool marker; /* MEDIA_RTP: last packet of a frame */
    bool clean;  /* MEDIA_END: the publisher said goodbye */
    uint16_t width, height;
    uint32_t rate_hz;
    uint8_t channels;
    us_t pts_us, dts_us; /* RTP: pts_us alone, from rtp_ts and the sender's reports */
    uint32_t rtp_ts;     /* as received */
    uint32_t lost_n;     /* RTP: packets missing for good right before this one */
    struct bytes data;
    struct media_publish publish;
    const char *reason; /* MEDIA_END: static text */
};

#endif
