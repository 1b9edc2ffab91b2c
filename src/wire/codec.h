/* wire/codec.h - which codecs there are, and what one payload of each tells.
 *
 * One vocabulary for SDP, control and packet path, and one function that the
 * packet path asks once per incoming packet.  Stateless: it sees single payloads.
 * Layers of AV1 come from OBU headers here; the dependency descriptor, which
 * needs memory of its templates, is wire/dd.
 */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "base/base.h"

enum codec {
    CODEC_NONE, /* unknown */
    CODEC_OPUS,
    CODEC_RED, /* RFC 2198 around Opus */
    CODEC_PCMU,
    CODEC_PCMA,
    CODEC_G722,
    CODEC_VP8,
    CODEC_VP9,
    CODEC_AV1,
    CODEC_H264,
    CODEC_H265,
    CODEC_RTX,
    CODEC_ULPFEC,
    CODEC_FLEXFEC,
    CODEC_TELEPHONE_EVENT,
    CODEC_CN,
    CODEC_N,
};

/* What a payload says about itself; everything else is zero.  Of audio every packet is
 * key, start and end. */
struct codec_info {
    bool key;            /* this packet begins (or carries the head of) a key frame */
    bool start_of_frame; /* first packet of a frame (for SVC: of a layer frame) */
    bool end_of_frame;   /* known from the payload alone (VP9 E bit); else see the marker */
    bool layer_sync;     /* a receiver may switch up to `tid` here (VP8 Y, VP9 U) */
    bool discardable;    /* nothing refers to this frame (VP8 N, H.264 nal_ref_idc 0) */
    bool inter_layer;    /* VP9 D: predicted from the lower spatial layer of this picture */
    bool not_inter_pic;  /* VP9 P clear: no prediction from earlier pictures */
    bool has_picture_id, has_tl0;
    uint8_t sid, tid; /* spatial and temporal layer; 0 when the payload names none */
    uint8_t tl0;      /* TL0PICIDX */
    uint16_t picture_id;
    uint16_t width, height; /* 0: this packet does not say */
};

/* "video/VP8"; compares without regard to case.  "" / CODEC_NONE when unknown. */
const char *codec_mime(enum codec c);
enum codec codec_of_mime(struct bytes mime);
/* The encoding name of a=rtpmap ("VP8", "opus"), both ways.  `rate_hz` tells the two kinds of red
 * apart (audio 48000, video 90000: CODEC_NONE); 0 takes either. */
const char *codec_name(enum codec c);
enum codec codec_of_name(struct bytes name, uint32_t rate_hz);
/* RTP clock rate; 90000 for video, 0 when the codec takes another's (RTX). */
uint32_t codec_rate_hz(enum codec c);
uint8_t codec_channels(enum codec c); /* as in rtpmap; 2 for opus */
bool codec_is_audio(enum codec c);
bool codec_is_video(enum codec c); /* media only: not RTX, FEC */

/* Never fails: a payload that cannot be understood yields zeroes.
 *
 * Hot: once per incoming packet.  Reads a few bytes; no loop over a payload is
 * longer than its NAL units or OBUs. */
void codec_inspect(enum codec c, struct bytes payload, struct codec_info *info);

#endif
