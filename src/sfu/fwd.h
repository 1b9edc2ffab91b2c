/* sfu/fwd.h - the decision for each packet and subscriber, and the loop around it.
 *
 * A forwarder is one subscriber's copy of a track: which layer it gets, and how the layer's
 * numbers become the subscriber's.  Numbers out have no gap for what was left out on purpose, and
 * run on over a change of layer, which waits for a key frame while the old layer keeps flowing
 * (livekit-server.md 5.3).  The idea of segments is explained in sfu/seqmap.
 *
 * Invariant: `next + now.off - 1` is the last number spent: sent, or kept for a packet that is
 * late.
 */
#ifndef SFU_FWD_H
#define SFU_FWD_H

#include "sfu/layer.h"
#include "sfu/pkt.h"
#include "sfu/replay.h"
#include "sfu/seqmap.h"
#include "sfu/sub.h"
#include "sfu/tx.h"

enum {
    FWD_ACQUIRE_US = 1000 * 1000, /* first wait for the wanted layer before taking another */
    FWD_TS_JUMP_US = 2000 * 1000, /* a report that puts a switch farther off is not believed */
    FWD_BATCH_MAX = 64,
};

enum fwd_flag {
    FWD_PAUSED = 1,
    FWD_ANY = 2,       /* any layer up to the maximum will do to begin with */
    FWD_VP8 = 4,       /* last_pid and its fellows of the sub are valid */
    FWD_CATCH_UP = 8,  /* served from the replay ring, not from batches */
    FWD_SQUEEZED = 16, /* it did not long ago: packets may still be late */
};

struct fwd {
    struct seqmap_seg now; /* the stretch that is being sent; layer LAYER_NONE: none */
    uint64_t next;         /* first incoming number not sent yet */
    struct sub *sub;
    struct link *link;
    uint8_t want;    /* layer to send from its next key frame on; LAYER_NONE: none usable */
    uint8_t sid_now; /* SVC: highest spatial layer let through */
    uint8_t sid_want;
    uint8_t tid_max;
    uint8_t flags; /* enum fwd_flag */
    uint8_t spare[3];
};

static_assert(sizeof(struct fwd) == 64, "one cache line for each subscriber and batch");

/* What all forwarders of a track share. */
struct fwd_source {
    const struct layer *layer; /* [layer_n], with the publisher's reports */
    uint8_t layer_n;
    bool video, svc;
    bool fresh; /* written: a subscriber got its first packet */
    uint32_t clock_hz;
};

void fwd_init(struct fwd *f, struct sub *sub, struct link *link, struct rng *rng);

/* Does this subscriber get the packet, and under what numbers?  Hot: inlined into fwd_batch(). */
bool fwd_admit(struct fwd *f, const struct pkt *p, const struct fwd_source *src,
               struct sub_emit *e);

/* Send a batch of packets of one track to forwarders f[0..n).  Returns how many forwarders were
 * served: fewer than n when the arena has no room for another's batch (send it and go on).
 *
 * Hot: runs once for each packet and subscriber.  No allocation, lock, log, clock read or system
 * call; the price is a few cache lines and one seal. */
uint32_t fwd_batch(struct fwd *f, uint32_t n, struct pkt *const *batch, unsigned batch_n,
                   struct fwd_source *src, us_t now, struct tx *tx);

/* Begin with `first`, the start of a group of pictures, and run through it to `newest`. */
void fwd_begin_catch_up(struct fwd *f, const struct pkt *first, const struct pkt *newest,
                        const struct fwd_source *src);
/* Send the next `bytes` or a little more.  True: it has caught up, batches serve it from now on.
 * The batch that waits for fan-out must be empty. */
bool fwd_catch_up(struct fwd *f, const struct replay *r, struct fwd_source *src, uint32_t bytes,
                  us_t now, struct tx *tx);

/* Which layer should it get?  True when it waits for a key frame of f->want now. */
bool fwd_choose(struct fwd *f, const struct fwd_source *src, us_t now);
/* Nothing flows until fwd_resume(); numbers go on after that. */
void fwd_pause(struct fwd *f);
void fwd_resume(struct fwd *f);

/* A NACK named outgoing number `seq`: where its packet is kept.  False when it was never
 * sent or is forgotten. */
bool fwd_origin(const struct fwd *f, uint16_t seq, uint8_t *layer, uint64_t *in,
                struct sub_emit *e);

static inline uint64_t fwd_last_out(const struct fwd *f)
{
    return f->next + f->now.off - 1;
}

#endif
