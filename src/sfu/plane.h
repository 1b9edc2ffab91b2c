/* sfu/plane.h - the inside of a shard, shared by shard, demux and feedback only.
 *
 * Holds every object of the shard and the few acts that all three need: look-ups, events,
 * draining a peer, keeping its deadline, key-frame wishes, fan-out.
 */
#ifndef SFU_PLANE_H
#define SFU_PLANE_H

#include "base/heap.h"
#include "base/map.h"
#include "sfu/link.h"
#include "sfu/paths.h"
#include "sfu/relay.h"
#include "sfu/shard.h"
#include "sfu/table.h"
#include "sfu/track.h"

struct dtls_ctx;

enum {
    PLANE_PEERS = 20000, /* default ceilings */
    PLANE_PKTS = 131072,
    PLANE_TRACKS_MAX = 100000,
    PLANE_SUBS_MAX = 1000000,
    PLANE_EVENT_BYTES = 256 << 10,
    PLANE_EVENT_STATS = 128 << 10, /* statistics are refused beyond, data likewise a step later */
    PLANE_EVENT_DATA = 192 << 10,
    PLANE_TRACKS_US = 100 * 1000,  /* round over the tracks */
    PLANE_TICK_LINKS = 512,        /* due peers per tick: bounds its events */
    PLANE_REPORT_US = 1000 * 1000, /* receiver reports to publishers */
    PLANE_SLOT_US = 50 * 1000, /* reports of many links wait for a common instant: one wake-up */
    PLANE_TRIM_US = 5000 * 1000,
    PLANE_REMB_BPS = 10 * 1000 * 1000, /* the most a publisher without transport-cc may use */
    PLANE_REMB_MIN_BPS = 100 * 1000,   /* and what losses leave it */
};

struct plane_events {
    uint8_t *buf;
    uint32_t used, at;
};

struct shard {
    struct shard_cfg cfg;
    struct rng rng;
    struct tick tick; /* of the call under way */
    struct dtls_ctx *dtls;
    struct pkt_slab slab;
    struct tx tx;
    struct paths paths;
    struct map ufrags; /* -> struct link */
    struct heap due;
    struct table links, tracks, subs;
    struct track *queue, **queue_end; /* batches that wait for fan-out */
    struct plane_events events;
    struct relay_queue relay;
    us_t tracks_at, trim_at;
    us_t catch_at; /* forwarders that catch up get their next step; US_NEVER */
    uint64_t counter[SHARD_COUNTER_N];
};

static inline void plane_count(struct shard *s, enum shard_counter c)
{
    s->counter[c]++;
}

struct link *plane_link(struct shard *s, peer_id id);
struct track *plane_track(struct shard *s, track_id id);
struct sub *plane_sub(struct shard *s, sub_id id);

void plane_events_fini(struct plane_events *q);
MUST_CHECK int plane_events_init(struct plane_events *q);
void plane_emit(struct shard *s, const struct evt *e);
bool plane_event(struct shard *s, struct evt *e);

/* After anything that changed the peer: its events, its datagrams, its next deadline. */
void plane_drain(struct shard *s, struct link *l);
/* Something of the link falls due at `at` at the latest. */
void plane_due(struct shard *s, struct link *l, us_t at);

/* When reports are due again: PLANE_REPORT_US from now, in slots. */
static inline us_t plane_report_at(us_t now)
{
    return (now + PLANE_REPORT_US + PLANE_SLOT_US - 1) / PLANE_SLOT_US * PLANE_SLOT_US;
}

/* The packet was accepted: to the layers, the mirrors and the queue. */
void plane_packet(struct shard *s, struct track *t, struct pkt *p);
void plane_news(struct shard *s, struct track *t, unsigned news);
/* Send what is queued while the arena has room. */
void plane_fanout(struct shard *s);
/* A step for the forwarders that catch up. */
void plane_catch_up(struct shard *s);
void plane_unqueue(struct shard *s, struct track *t);

/* Ask for the key frames that are waited for, as far as the throttle lets. */
void plane_key_frames(struct shard *s, struct track *t);

#endif
