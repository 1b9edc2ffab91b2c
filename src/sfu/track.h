/* sfu/track.h - a published track on this shard: layers, replay, forwarders.
 *
 * Either home (its publisher's peer is here) or a mirror of a track on another shard, fed with
 * relayed packets.  Owned by the shard.  Packets of a batch are collected by
 * track_receive() and go out by track_fanout(), subscriber by subscriber.
 */
#ifndef SFU_TRACK_H
#define SFU_TRACK_H

#include "sfu/fwd.h"
#include "sfu/gop.h"
#include "sfu/layer.h"
#include "sfu/replay.h"
#include "sfu/rx.h"
#include "sfu/speaker.h"

enum {
    TRACK_SUBS_MAX = 20000,
    TRACK_FIRST_CAP = 4,
    TRACK_MIRRORS_MAX = 32,
    TRACK_STATS_US = 5000 * 1000,
};

struct link;

enum track_news {                      /* what track_receive() and track_tick() want reported */
                  TRACK_NEWS_LIVE = 1, /* bits of a layer: TRACK_NEWS_LIVE << layer */
                  TRACK_NEWS_LEVEL = 8,
};

struct track {
    track_id id;
    track_id home;     /* mirrors: the track that is mirrored; else 0 */
    struct link *link; /* NULL on mirrors */
    struct track *link_next, **link_back;
    struct track *queue_next; /* while a batch waits for fan-out */
    bool queued, video, muted, svc, gone;
    bool catching; /* some forwarder catches up, or did a moment ago */
    char mid[CMD_MID_MAX];
    char rid[CMD_LAYERS_MAX][CMD_MID_MAX];
    uint8_t codec_n, codec_at, layer_n, mirror_n;
    struct cmd_codec codec[CMD_CODECS_MAX];
    struct fwd_source source;

    struct fwd *fwd; /* [fwd_cap], the first fwd_n in use */
    uint32_t fwd_n, fwd_cap;
    uint32_t fwd_done; /* forwarders that the batch has reached */
    unsigned batch_n;
    struct pkt *batch[FWD_BATCH_MAX];

    struct layer layer[CMD_LAYERS_MAX];
    struct rx rx[CMD_LAYERS_MAX];
    struct replay replay[CMD_LAYERS_MAX];
    struct gop gop[CMD_LAYERS_MAX];
    struct speaker speaker;
    uint32_t audio_ts; /* of the last packet, for its duration */
    uint8_t live_codec;
    int64_t clock_off_us; /* our wall clock minus the publisher's; with clock_known */
    bool clock_known;
    us_t stats_at;
    uint64_t told_packets;
    uint32_t plis;
    track_id mirror[TRACK_MIRRORS_MAX];
};

/* E_NOMEM, E_INVAL. */
MUST_CHECK int track_open(struct track **ret, const struct cmd_track_open *c, us_t now);
/* Forwarders must be gone. */
void track_free(struct track *t, struct pkt_slab *slab);

/* The codec of an incoming payload type, media or RTX; NULL when it is not the track's. */
const struct cmd_codec *track_codec(struct track *t, uint8_t pt);

/* One accepted packet; takes nothing, holds counts of its own.  Returns enum track_news.
 * *shed: the batch is full and the packet waits in the replay only. */
unsigned track_receive(struct track *t, struct pkt_slab *slab, struct pkt *p, bool *shed);
/* Send the batch; true when every forwarder was served (the batch is empty then).  False: the arena
 * is full, call again when it was cleared.  Hot. */
bool track_fanout(struct track *t, struct pkt_slab *slab, us_t now, struct tx *tx);

/* The sub's place among the forwarders.  E_LIMIT, E_NOMEM. */
MUST_CHECK int track_attach(struct track *t, struct sub *s, struct link *link, struct rng *rng);
void track_detach(struct track *t, struct sub *s);
static inline struct fwd *track_fwd(const struct track *t, const struct sub *s)
{
    return &t->fwd[s->fwd_at];
}

/* Serve the forwarders that catch up (sfu/gop.h) another step.  The batch must be empty: what is
 * in it would go out twice.  False: none is left. */
bool track_catch_up(struct track *t, us_t now, struct tx *tx);

/* Another sender follows: forwarders go on from its next key frame, without a gap in their numbers.
 */
void track_renew(struct track *t);
/* While muted nothing is forwarded, whatever arrives. */
void track_mute(struct track *t, bool muted);

/* Choose the layer of one or all forwarders and note which key frames are waited for. */
void track_choose(struct track *t, struct fwd *f, us_t now);
/* Layers live or dead, levels, waiting forwarders, old packets.  Returns enum track_news. */
unsigned track_tick(struct track *t, struct pkt_slab *slab, us_t now);

#endif
