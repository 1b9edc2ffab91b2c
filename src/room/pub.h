/* room/pub.h - publications and subscriptions of members.
 *
 * A publication begins as an announcement (AddTrackRequest), goes live when its
 * section is negotiated, and ends; a subscription is what a member wishes to
 * receive.  Commands to the data plane for both are made here, and only here.
 */
#ifndef ROOM_PUB_H
#define ROOM_PUB_H

#include "room/room.h"

#include "livekit_rtc.pb-c.h"

enum { PUB_SETTLE_US = 100 * 1000 }; /* a command that was refused is tried again so often */

/* E_LIMIT, E_NOMEM. */
MUST_CHECK int pub_add(struct member *m, const Livekit__AddTrackRequest *req, struct pub **ret);
struct pub *pub_find(const struct member *m, const char *sid);
struct pub *pub_find_cid(const struct member *m, const char *cid);
struct pub *pub_find_in_room(const struct room *r, const char *sid);
uint32_t pub_pending(const struct member *m);

/* What a negotiated section says about a publication. */
struct pub_media {
    peer_id peer;
    const char *mid;
    struct rtp_ext_ids ext;
    const struct pub_codec *codec;
    uint32_t codec_n;
    const struct cmd_layer *layer;
    uint32_t layer_n;
    bool red; /* RED is preferred over plain Opus */
};
/* Opens the track and shows the publication to the others.  E_LIMIT, E_NOMEM. */
MUST_CHECK int pub_go_live(struct pub *p, const struct pub_media *media);
/* Can what this section sends go on as the publication, so that subscribers see a pause and no
 * more? Then pub_move() has it do so: E_LIMIT. */
bool pub_may_move(const struct pub *p, const struct pub_media *media);
MUST_CHECK int pub_move(struct pub *p, const struct pub_media *media);
void pub_set_muted(struct pub *p, bool muted);
/* Tells the shards what they do not know yet of the member's publications; returns when to try
 * again (US_NEVER). */
us_t pub_settle(struct member *m, us_t now);
/* The codec that really arrived. */
void pub_set_mime(struct pub *p, const char *mime);
/* Ends it with its subscriptions. */
void pub_end(struct pub *p);
/* The spatial layer for a wish in qualities, or in pixels when width or height is given.
 * (livekit-server.md 5.1, 5.2) */
uint8_t pub_layer_of(const struct pub *p, Livekit__VideoQuality quality, uint32_t width,
                     uint32_t height);

/* May `m` receive it, as grants and the publisher's policy stand? */
bool sub_allowed(const struct member *m, const struct pub *p);
struct sub *sub_find(const struct member *m, const struct pub *p);
struct sub *sub_find_serial(const struct member *m, uint64_t serial);
/* Wishes for it (no-op when wished for already).  E_LIMIT, E_NOMEM. */
int sub_want(struct member *m, struct pub *p);
/* No longer wished for: detaches and frees. */
void sub_end(struct sub *s);
/* A new publication, or a member that is new: the wishes that follow from auto_subscribe. */
void sub_auto_pub(struct pub *p);
void sub_auto_member(struct member *m);

struct sub_target {
    peer_id peer;
    const char *mid;
    const char *stream; /* the MediaStream it comes in; also the CNAME */
    struct rtp_ext_ids ext;
    const struct cmd_pt_map *pt;
    uint32_t pt_n;
};
/* The shard shall forward; ssrc and rtx_ssrc are chosen before (sub_choose_ssrc). */
MUST_CHECK int sub_attach(struct sub *s, const struct sub_target *target);
void sub_choose_ssrc(struct sub *s, bool rtx);
/* Stops forwarding, keeps the wish. */
void sub_detach(struct sub *s);
void sub_settings(struct sub *s, bool disabled, uint8_t max_spatial, uint8_t max_temporal, us_t at);
/* Sends settings that are due; returns when the next is (US_NEVER). */
us_t sub_settings_flush(struct sub *s, us_t now);

#endif
