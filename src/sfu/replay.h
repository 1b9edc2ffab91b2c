/* sfu/replay.h - the packets of one stream that may be asked for again.
 *
 * One stored copy per stream, whoever asks: subscribers' NACKs are mapped back to the
 * publisher's extended sequence numbers and looked up here.  Bounded by number
 * (livekit-server.md 5.3) and by age.  Holds a count on each packet.  One thread;
 * allocates on the first packet only.
 */
#ifndef SFU_REPLAY_H
#define SFU_REPLAY_H

#include "sfu/pkt.h"

enum {
    REPLAY_VIDEO = 500,
    REPLAY_AUDIO = 200,
    REPLAY_AGE_US = 2 * 1000 * 1000, /* chosen: a receiver has played on long before */
};

#define REPLAY_KEEP_NONE UINT64_MAX

struct replay_slot {
    struct pkt *p; /* NULL: not here */
    us_t at;       /* its arrival, so that looking for old ones leaves the packets alone: they are
                      cold by then */
};

struct replay {
    struct replay_slot
        *slot; /* [mask + 1] by extended sequence number; NULL before the first packet */
    uint32_t mask, max;
    uint32_t n;             /* packets held */
    uint64_t first, newest; /* nothing is held outside first..newest */
    uint64_t keep;          /* from here on age does not count; REPLAY_KEEP_NONE */
};

/* max: REPLAY_VIDEO, REPLAY_AUDIO, or GOP_PACKETS_MAX. */
void replay_init(struct replay *r, uint32_t max);
void replay_fini(struct replay *r, struct pkt_slab *slab);

/* Keeps p (by p->seq); packets too old to be kept are not.  False when they are not. */
bool replay_put(struct replay *r, struct pkt_slab *slab, struct pkt *p);
/* NULL when it was never here or is gone. */
struct pkt *replay_find(const struct replay *r, uint64_t seq);
/* Drop what is older than REPLAY_AGE_US, or everything but `keep` packets. */
void replay_expire(struct replay *r, struct pkt_slab *slab, us_t now);
void replay_trim(struct replay *r, struct pkt_slab *slab, uint32_t keep);

#endif
