/* room/plane.h - control's book of what it has asked of the data plane.
 *
 * Gives out the handles of peers, tracks and subscriptions, remembers whose they
 * are, and queues commands for each shard until the owner's ring takes them.  A
 * handle whose end was ordered stays reserved until the shard's *_GONE (or that of
 * the track or peer around it) came back, so no command can hit a successor.
 *
 * A close can always be ordered: it needs no memory at that moment, and when the
 * queue refuses it plane_tick() tries again.  Opening may be refused.  SCTP packets
 * (plane_push_data) are dropped while the queue is long; SCTP repeats them.
 */
#ifndef ROOM_PLANE_H
#define ROOM_PLANE_H

#include "base/handle.h"
#include "sfu/cmd.h"

enum {
    PLANE_SHARDS_MAX = 64,
    PLANE_PEERS_MAX = 20000,       /* a shard; as shard_cfg.peers_max */
    PLANE_TRACKS_MAX = 65536,      /* a shard, mirrors included */
    PLANE_SUBS_MAX = 1 << 20,      /* a shard */
    PLANE_QUEUE_MAX = 1 << 18,     /* life-cycle commands waiting for a shard; beyond: refused */
    PLANE_DATA_QUEUE_MAX = 1 << 12 /* with so many waiting, SCTP packets are dropped */
};

enum plane_kind { PLANE_PEER, PLANE_TRACK, PLANE_SUB, PLANE_KIND_N };

struct plane_slot {
    handle h;     /* 0: free */
    void *owner;  /* NULL once the end was ordered */
    handle inner; /* track: its peer; sub: its track */
    handle outer; /* sub: its peer */
    bool closing, unsent;
};

struct plane_table {
    struct handle_pool pool;
    struct plane_slot *slot; /* by index */
    uint32_t cap, closing_n, unsent_n;
};

struct plane_item;

struct plane_shard {
    struct plane_table table[PLANE_KIND_N];
    struct plane_item *first, *last;
    uint32_t queued_n;
    bool blocked;
};

struct plane {
    struct plane_shard shard[PLANE_SHARDS_MAX];
    uint32_t shard_n;
    uint64_t data_dropped;
};

void plane_init(struct plane *p, uint32_t shard_n);
void plane_fini(struct plane *p);

/* A fresh handle for `owner`; 0 when a ceiling or the heap refuses.  `inner` and `outer` as in
 * struct plane_slot. */
MUST_CHECK handle plane_take(struct plane *p, uint8_t shard, enum plane_kind kind, void *owner,
                             handle inner, handle outer);
/* A handle that no command has named yet goes back at once. */
void plane_untake(struct plane *p, enum plane_kind kind, handle h);
/* What it hangs on from now on (struct plane_slot.inner). */
void plane_rehang(struct plane *p, enum plane_kind kind, handle h, handle inner);
/* Orders its end. Stale handles and 0 are ignored. */
void plane_close(struct plane *p, enum plane_kind kind, handle h);
/* The owner of a live handle; NULL when stale, closing or unknown. */
void *plane_owner(const struct plane *p, enum plane_kind kind, handle h);
uint32_t plane_used(const struct plane *p, uint8_t shard, enum plane_kind kind);
uint32_t plane_closing(const struct plane *p);

/* Queues a copy.  False: refused. */
bool plane_push(struct plane *p, uint8_t shard, const struct cmd *c);
void plane_push_data(struct plane *p, peer_id peer, struct bytes packet);
/* Takes *_GONE events. */
void plane_gone(struct plane *p, const struct evt *ev);

/* The command at the head of any shard that is not blocked; NULL when there is none. */
const struct cmd *plane_head(struct plane *p, uint8_t *shard);
void plane_pop(struct plane *p, uint8_t shard);
/* Offer nothing more for this shard before plane_tick(). */
void plane_block(struct plane *p, uint8_t shard);
void plane_tick(struct plane *p);
/* Something waits for a blocked ring or for memory. */
bool plane_waiting(const struct plane *p);

#endif
