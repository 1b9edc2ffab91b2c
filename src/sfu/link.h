/* sfu/link.h - a peer as the data plane sees it: its transport and what hangs on it.
 *
 * Owned by the shard, which also fills and frees it.  Tracks and subscriptions of a link point at
 * it and end before it does.  No behaviour of its own but sending: one thread.
 */
#ifndef SFU_LINK_H
#define SFU_LINK_H

#include "base/heap.h"
#include "base/map.h"
#include "rtc/peer.h"
#include "rtc/twcc_rx.h"
#include "sfu/cmd.h"
#include "sfu/tx.h"

struct sub;
struct track;

enum {
    LINK_RX_MAX = 256,    /* incoming ssrcs of one peer, RTX included */
    LINK_SUB_MAX = 2000,  /* subscriptions of one peer */
    LINK_ADDR_MAX = 8,    /* authenticated addresses; the oldest gives way */
    LINK_UFRAG_MAX = 4,   /* restarts whose ufrag is still looked up */
    LINK_RTCP_MAX = 1200, /* bytes of one compound packet */
};

struct link {
    struct peer *peer; /* up to twcc_seq: read for each packet, one cache line */
    peer_id id;
    struct path path;  /* the selected one */
    bool up;           /* connected: media may flow */
    bool gone;         /* on the reap list */
    uint16_t twcc_seq; /* of the next packet we send */

    uint32_t rtcp_ssrc; /* who we are in feedback of our own */
    uint32_t last_ssrc; /* of the last incoming packet, and where it belonged */
    void *last_rx;
    struct heap_node due;
    us_t report_at;       /* next receiver and sender reports */
    uint32_t remb_bps;    /* what the publisher was told last; 0: nothing yet */
    int64_t clock_off_us; /* our wall clock minus the publisher's, least delay seen; valid with
                             clock_known */
    bool clock_known;
    bool twcc, remb;          /* some track negotiated it */
    struct rtp_ext_ids ext;   /* as its sections negotiated them: one numbering for a bundle */
    us_t rtt_us;              /* from the reports of its subscriptions; 0 unknown */
    us_t nack_at;             /* earliest of its tracks' streams */
    struct twcc_rx *arrivals; /* NULL until a track negotiates transport-cc */
    struct map in;            /* ssrc -> struct rx */
    struct map out;           /* ssrc -> struct sub, media and RTX */
    struct track *tracks;     /* through track->link_next */
    struct sub *subs;         /* through sub->link_next */
    uint32_t sub_n;
    struct addr addr[LINK_ADDR_MAX];
    uint8_t addr_n, addr_at;
    char ufrag[LINK_UFRAG_MAX][PEER_UFRAG_MAX + 1];
    uint8_t ufrag_at;
};

/* Seal one compound and put it into the arena; false when it was shed. */
bool link_send_rtcp(struct link *l, struct tx *tx, struct bytes rtcp);

#endif
