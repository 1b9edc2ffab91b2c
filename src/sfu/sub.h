/* sfu/sub.h - one subscription: how its packets look and what its reports said.
 *
 * The per-packet decision is sfu/fwd's; this unit writes the chosen packet: header from a
 * template in the subscriber's numbers, time stamps patched in late, payload encrypted once
 * from the shared copy straight into the arena.  It also keeps what is needed to send again
 * (maps of older numbers, RTX numbering) and the counters for sender reports.
 * Owned by the shard; dense hot state is in the track's struct fwd.
 */
#ifndef SFU_SUB_H
#define SFU_SUB_H

#include "rtc/resend.h"
#include "sfu/cmd.h"
#include "sfu/pkt.h"
#include "sfu/seqmap.h"
#include "sfu/tx.h"
#include "wire/rtcp.h"

struct link;
struct track;

enum {
    SUB_TEMPLATE_MAX = 96, /* longer headers (the descriptor of a key frame) are built each time */
    SUB_SR_US = 3000 * 1000,
    SUB_STATS_US = 5000 * 1000,
};

/* Elements copied from the incoming packet that a header has, as bits of pkt->ext_sig; the length
 * of a dependency descriptor stands in the upper byte. */
enum sub_sig {
    SUB_SIG_LEVEL = 1,
    SUB_SIG_ORIENTATION = 2,
    SUB_SIG_CAPTURE8 = 8,
    SUB_SIG_CAPTURE16 = 16,
};

struct sub_at { /* where the data of an element stands in the template; 0: not there */
    uint8_t send_time, twcc, level, orientation, capture, dd;
};

/* The packets with which it caught up: their time is squeezed towards the newest one's (sfu/gop.h),
 * also when they are sent again.  All incoming numbers. */
struct sub_squeeze {
    uint64_t from, until; /* until 0: it never did */
    uint32_t ts;          /* of `until` */
    uint8_t layer;
};

struct sub {
    /* Read for each packet: three cache lines, sub_prefetch() fetches them. */
    struct link *link;
    struct track *track;
    uint32_t ssrc, rtx_ssrc;
    uint64_t packets, octets; /* for sender reports: RTP payload octets, first transmissions */
    uint64_t wire_bytes;
    us_t last_at; /* newest packet sent: arrival, outgoing timestamp, VP8 numbers */
    uint32_t last_ts;
    uint16_t last_pid;
    uint8_t last_tl0, last_keyidx;

    uint8_t hdr[SUB_TEMPLATE_MAX];
    struct sub_at at;
    uint8_t hdr_len; /* 0: no template yet */
    uint16_t hdr_sig;
    uint8_t pt_at; /* index of the map that fitted last */
    uint8_t pt_n;
    bool sent; /* anything yet */
    bool told; /* EVT_SUB_LIVE went out */
    struct cmd_pt_map pt[CMD_CODECS_MAX];

    sub_id id;
    uint32_t fwd_at; /* place in track->fwd */
    struct sub *link_next, **link_back;
    uint64_t rtx_seq; /* extended; next */
    struct rtp_ext_ids ext;
    char mid[CMD_MID_MAX];
    char cname[64];
    uint8_t max_spatial, max_temporal;
    bool playout_on; /* the receiver has not confirmed a packet with it yet */
    uint8_t playout[3];
    us_t attached_at;
    us_t sr_at, stats_at;
    uint64_t told_packets;
    uint32_t lost, jitter_us, rtt_us, nacks, plis; /* as the subscriber reports */
    struct resend *resend;                         /* NULL until the first NACK */
    struct seqmap older;
    struct sub_squeeze squeeze;
};

static_assert(offsetof(struct sub, pt) <= 184, "and the first maps are in the third line");

/* The most that a header for this packet takes. */
static inline uint32_t sub_header_max(const struct pkt *p)
{
    return SUB_TEMPLATE_MAX + (p->ext_sig >> 8);
}

static inline void sub_prefetch(const struct sub *s)
{
    __builtin_prefetch(s, 1);
    __builtin_prefetch((const uint8_t *)s + 64);
    __builtin_prefetch((const uint8_t *)s + 128);
}

/* What becomes of one packet. */
struct sub_emit {
    uint64_t seq; /* extended, outgoing */
    uint32_t ts;
    bool marker;
    const struct seqmap_seg *seg;
};

void sub_init(struct sub *s, const struct cmd_sub_attach *a, struct rng *rng, us_t now);

/* The receiver says that packets of ours arrive: what the first ones had to tell is told. */
void sub_reported(struct sub *s);

/* Which of the copied elements the packet carries. */
uint16_t sub_sig_of(const struct rtp_view *v, const uint8_t *data);

/* The map for an incoming payload type; NULL when the subscriber cannot take it. */
const struct cmd_pt_map *sub_pt(struct sub *s, uint8_t in_pt);

static inline bool sub_has_rtx(const struct sub *s, const struct cmd_pt_map *pt)
{
    return s->rtx_ssrc != 0 && pt->out_rtx_pt != 0;
}
/* Can this payload be sent again at all?  Without RTX only when the header would be the same to the
 * last bit: two different packets under one number would give away the key's authentication. */
bool sub_may_repeat(const struct sub *s, const struct cmd_pt_map *pt);

/* The time stamp under which p goes out in a stretch. */
uint32_t sub_ts(const struct sub *s, const struct pkt *p, const struct seqmap_seg *seg);

/* Seal p into the arena.  again: as a retransmission (on the RTX ssrc when there is one).  Bytes,
 * or 0 when it was shed.  The packet is patched during the call and whole again after it.
 *
 * Hot: see sfu/fwd. */
uint32_t sub_emit(struct sub *s, struct pkt *p, const struct sub_emit *e, bool again, us_t now,
                  struct tx *tx);

#endif
