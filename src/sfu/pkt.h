/* sfu/pkt.h - packet slots: where datagrams are received and media is kept.
 *
 * A slab of 2 KiB slots that grows in steps of 2 MB up to a ceiling; running out
 * means NULL, and the caller sheds.  A slot belongs to whoever holds a count; the
 * last pkt_drop() gives it back.  Counts are plain integers: one thread.
 *
 * The head is one cache line with everything that forwarding reads; the path,
 * needed only until the sender is known, and the bytes follow.  Bytes and head
 * are read-only for everyone once rx_accept() returned.
 */
#ifndef SFU_PKT_H
#define SFU_PKT_H

#include "base/addr.h"
#include "base/base.h"
#include "wire/rtp.h"

enum {
    PKT_SLOT_BYTES = 2048,
    PKT_HEAD_BYTES = 64,
    PKT_DATA_AT = 128,
    PKT_DATA_MAX = PKT_SLOT_BYTES - PKT_DATA_AT, /* longest datagram received */
    PKT_LEN_CUT = UINT16_MAX, /* `len` of a longer one: it is counted and dropped */
    PKT_STEP_BYTES = 2 << 20,
    PKT_STEP_SLOTS = PKT_STEP_BYTES / PKT_SLOT_BYTES - 2, /* the step's own head takes two */
    PKT_STEPS_MAX = 1024,                                 /* 2 GB of one worker */
};

/* What codec_inspect() said, kept as bits. */
enum pkt_flag {
    PKT_KEY = 1,
    PKT_FRAME_START = 2,
    PKT_FRAME_END = 4,
    PKT_SYNC = 8, /* a receiver may begin with this temporal layer here */
    PKT_HAS_PICTURE_ID = 16,
    PKT_HAS_TL0 = 32,
};

struct pkt_step;

struct pkt {
    uint64_t seq;        /* extended sequence number, after rx_accept() */
    us_t at;             /* arrival */
    struct rtp_view rtp; /* offsets from data; seq, pt and ssrc as of the media stream, also when
                            the packet came as RTX */
    int16_t refs;        /* the batch, a replay ring: never many */
    uint16_t len;        /* bytes of data; 0: nothing was received; or PKT_LEN_CUT */
    uint16_t ext_sig;    /* which extension elements are copied to subscribers, see sfu/sub */
    uint16_t picture_id;
    uint8_t tl0, keyidx, sid, tid; /* keyidx: VP8 */
    uint8_t flags;                 /* enum pkt_flag */
    uint8_t layer;                 /* index in its track */
    uint8_t codec;                 /* enum codec */
    uint8_t spare;
    struct path path; /* set by the receiver */
    struct pkt_step *step;
    uint8_t pad[PKT_DATA_AT - PKT_HEAD_BYTES - sizeof(struct path) - sizeof(void *)];
    uint8_t data[PKT_DATA_MAX];
};

static_assert(offsetof(struct pkt, path) == PKT_HEAD_BYTES, "what forwarding reads is one line");
static_assert(offsetof(struct pkt, data) == PKT_DATA_AT, "the bytes begin on a line of their own");
static_assert(sizeof(struct pkt) == PKT_SLOT_BYTES, "a slot is a power of two");

struct pkt_slab {
    struct pkt_step **step; /* [step_n] */
    uint32_t step_n, steps_max;
    uint32_t hint; /* no step below it has a free slot */
    uint32_t used_n;
};

/* At most slots_max slots (rounded up to whole steps); nothing is allocated yet. */
void pkt_slab_init(struct pkt_slab *slab, uint32_t slots_max);
/* Every slot must have come back. */
void pkt_slab_fini(struct pkt_slab *slab);
/* Give idle steps back to the system; keeps one step's worth of free slots. */
void pkt_slab_trim(struct pkt_slab *slab);

/* A slot with one count and len 0; NULL at the ceiling or when the heap refuses.
 * Hot: allocates only when the slab grows. */
struct pkt *pkt_take(struct pkt_slab *slab);
void pkt_drop(struct pkt_slab *slab, struct pkt *p); /* NULL allowed */

static inline struct pkt *pkt_hold(struct pkt *p)
{
    p->refs++;
    return p;
}

static inline struct bytes pkt_payload(const struct pkt *p)
{
    return rtp_payload(&p->rtp, p->data);
}

#endif
