/* signal/mline.h - policy for one media section: codecs, extensions, feedback, msid.
 *                  (livekit-server.md 4.3 to 4.6)
 *
 * Reads a section of a client's description and fills the section that answers it, or
 * fills a section of our own offer.  Payload types and extension numbers are always
 * the offer's.  No state: what was agreed comes back as the structs that the data plane
 * is told.
 */
#ifndef SIGNAL_MLINE_H
#define SIGNAL_MLINE_H

#include "room/pub.h"
#include "wire/sdp.h"

enum { MLINE_STREAM_MAX = 64 }; /* it is the CNAME too */

/* What a client is known to do differently. */
struct mline_quirks {
    bool firefox, safari, linux_or_android, safari_after_18_3;
    bool obs;
};

struct mline_ctx {
    struct sdp *sdp; /* the description being built */
    struct mline_quirks quirks;
    bool single;        /* one connection for both directions */
    bool broad;         /* the publisher is an encoder with one profile: Main is taken, too */
    bool sync_streams;  /* what a participant sends together comes in one MediaStream (4.5) */
    bool playout_delay; /* the subscriber is told how much to buffer (5.11) */
    const char *stream; /* of standing sections: their MediaStream; NULL otherwise */
};

/* A section that a client sends on. */
struct mline_media {
    struct pub_codec codec[CMD_CODECS_MAX];
    uint32_t codec_n;
    struct cmd_layer layer[CMD_LAYERS_MAX];
    uint32_t layer_n;
    struct rtp_ext_ids ext;
    bool red;
};

/* The answer to a section that the client sends on.  `info` is the publication that it feeds, or
 * NULL while that is unknown.  E_UNSUPPORTED when no codec is ours; E_NOMEM. */
MUST_CHECK int mline_answer_recv(const struct mline_ctx *ctx, struct sdp_media *out,
                                 const struct sdp_media *offer, const Livekit__TrackInfo *info,
                                 struct mline_media *media);

/* The layers that a client's section sends, by rid or ssrc; at least one.  `broad` as in the
 * context. */
uint32_t mline_layers(const struct sdp_media *offer, bool broad,
                      struct cmd_layer layer[CMD_LAYERS_MAX]);

/* How a subscriber's section names what a publication sends. */
struct mline_map {
    struct cmd_pt_map pt[CMD_CODECS_MAX];
    uint32_t pt_n;
    bool rtx;
    struct rtp_ext_ids ext;
};

/* Can this section carry the publication?  Fills map->pt, pt_n and rtx; E_UNSUPPORTED. */
MUST_CHECK int mline_map(const struct mline_ctx *ctx, const struct sdp_media *remote,
                         const struct pub *p, struct mline_map *map);
/* The answer to a section on which we send `s`.  E_UNSUPPORTED, E_NOMEM. */
MUST_CHECK int mline_answer_send(const struct mline_ctx *ctx, struct sdp_media *out,
                                 const struct sdp_media *offer, const struct sub *s,
                                 struct mline_map *map);
/* A section of our own offer that carries `s`. E_NOMEM. */
MUST_CHECK int mline_offer_send(const struct mline_ctx *ctx, struct sdp_media *out,
                                const struct sub *s);
/* What the client's answer left of it.  E_UNSUPPORTED when nothing. */
MUST_CHECK int mline_accept(const struct mline_ctx *ctx, const struct sdp_media *answer,
                            const struct sub *s, struct mline_map *map);
/* A section that carries nothing at present: codecs as far as we share them. */
MUST_CHECK int mline_idle(const struct mline_ctx *ctx, struct sdp_media *out,
                          const struct sdp_media *offer);
/* A section that stands open for whatever we may send: all codecs that we share, sendonly, one
 * MediaStream, no ssrc.  Rejected without a shared codec.  E_NOMEM. */
MUST_CHECK int mline_standing(const struct mline_ctx *ctx, struct sdp_media *out,
                              const struct sdp_media *offer, struct rtp_ext_ids *ids);
/* The same in our own offer. */
MUST_CHECK int mline_offer_standing(const struct mline_ctx *ctx, struct sdp_media *out);
/* A section of our own offer that carries nothing. */
MUST_CHECK int mline_offer_idle(const struct mline_ctx *ctx, struct sdp_media *out);

/* The MediaStream of a subscription: "PA_..|TR_..", or "PA_..|camera" where streams are kept in
 * step.  False: too
 * long, or not a word. */
bool mline_stream_of(const struct sub *s, bool sync_streams, char *out, size_t cap);

/* The track id that a client's section names; "" without. */
const char *mline_track_of(const struct sdp_media *m);

/* Codecs that may be published, for JoinResponse; NULL terminated names. */
extern const char *const mline_publish_mimes[];

#endif
