/* sfu/relay.h - records between the home of a track and its mirrors on other shards.
 *
 * Downstream go packets (with everything that was parsed of them) and the publisher's sender
 * reports; upstream go wishes for key frames.  Each batch crosses once per shard, whoever
 * subscribes there.  Records are native structs: they never leave the process.  What does not fit
 * the queue is shed and counted by the owner.
 */
#ifndef SFU_RELAY_H
#define SFU_RELAY_H

#include "base/handle.h"
#include "sfu/layer.h"
#include "sfu/pkt.h"

enum {
    RELAY_QUEUE_BYTES = 1 << 20, /* between two drains: a batch to some shards */
    RELAY_RECORD_MAX = 96 + PKT_DATA_MAX,
};

enum relay_kind {
    RELAY_PACKET = 1,
    RELAY_REPORT, /* a sender report of the publisher */
    RELAY_WISH,   /* a key frame, please */
};

struct relay_report {
    struct layer_sr sr;
    int64_t clock_off_us; /* our wall clock minus the publisher's */
};

struct relay_rec {
    uint32_t kind; /* enum relay_kind */
    uint16_t len;  /* bytes after the struct */
    uint8_t layer;
    handle track; /* on the shard that receives it */
    union {
        uint8_t head[PKT_HEAD_BYTES]; /* of the packet */
        struct relay_report report;
    };
};

static_assert(sizeof(struct relay_rec) + PKT_DATA_MAX <= RELAY_RECORD_MAX,
              "fits in a ring's record");

struct relay_queue {
    uint8_t *buf; /* NULL until there is something to relay */
    uint32_t used, at;
};

void relay_queue_init(struct relay_queue *q);
void relay_queue_fini(struct relay_queue *q);
/* Take the memory; E_NOMEM. */
MUST_CHECK int relay_queue_open(struct relay_queue *q);

/* All push functions: false when the queue is full.  `to` names track and shard. */
bool relay_push_packet(struct relay_queue *q, handle to, const struct pkt *p);
bool relay_push_report(struct relay_queue *q, handle to, uint8_t layer,
                       const struct relay_report *r);
bool relay_push_wish(struct relay_queue *q, handle to, uint8_t layer);

/* The oldest record; false when there is none.  Valid until the next push. */
bool relay_pop(struct relay_queue *q, uint8_t *to_shard, struct bytes *record);

/* Reads a record's head; false when it is not one. */
bool relay_read(struct bytes record, struct relay_rec *rec);
/* The packet of a RELAY_PACKET into an empty slot. */
void relay_unpack(struct bytes record, const struct relay_rec *rec, struct pkt *p);

#endif
