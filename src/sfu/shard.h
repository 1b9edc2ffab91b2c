/* sfu/shard.h - the data plane of one worker thread, without the thread.
 *
 * Owns peers, tracks, forwarders, packets.  Datagrams, commands, relayed batches
 * and time go in; datagrams, events and relay records come out.  No sockets,
 * clock, locks or logs inside: app/worker moves bytes between a shard and the
 * world, sim/ moves them between shards and a simulated one.
 *
 * Hot: shard_input() for a batch costs one parse and one decryption per packet,
 * and per subscriber one cache line, one encryption, one slot in the tx arena.
 */
#ifndef SFU_SHARD_H
#define SFU_SHARD_H

#include "base/base.h"
#include "sfu/cmd.h"
#include "sfu/pkt.h"
#include "sfu/tx.h"

struct shard;
struct cert;        /* crypt/cert.h */
struct seal_engine; /* crypt/seal.h */

struct shard_cfg {
    uint8_t index;                    /* in handles */
    const struct cert *cert;          /* borrowed, as is the engine */
    const struct seal_engine *engine; /* NULL: OpenSSL */
    uint64_t seed;
    uint32_t peers_max; /* 0: 20000 */
    uint32_t pkts_max;  /* packet slots, the slab grows by 2 MB up to this; 0: 131072 */
};

/* Drop reasons and totals; a snapshot copied out, summed over shards by control. */
enum shard_counter {
    SHARD_RX_PACKETS,
    SHARD_RX_BYTES,
    SHARD_TX_PACKETS,
    SHARD_TX_BYTES,
    SHARD_TX_RTX,
    SHARD_DROP_UNKNOWN_PEER,
    SHARD_DROP_MALFORMED,
    SHARD_DROP_UNAUTHENTICATED,
    SHARD_DROP_REPLAYED,
    SHARD_DROP_UNKNOWN_SSRC,
    SHARD_DROP_OVERSIZED,
    SHARD_DROP_STATE,
    SHARD_SHED_TX_FULL,
    SHARD_SHED_RELAY_FULL,
    SHARD_STALE_COMMAND,
    SHARD_EVENT_LOST, /* statistics only; life-cycle events are never lost */
    SHARD_NACK_IN,
    SHARD_NACK_OUT,
    SHARD_PLI_IN,
    SHARD_PLI_OUT,
    SHARD_RED_FILLED,
    SHARD_IO_WAKES, /* these four are the worker's to fill in: its rounds and its system calls */
    SHARD_IO_RECV_CALLS,
    SHARD_IO_SEND_CALLS,
    SHARD_IO_MESSAGES, /* a train of segments is one */
    SHARD_PEERS,       /* gauges from here on */
    SHARD_TRACKS,
    SHARD_SUBS,
    SHARD_PKTS_USED,
    SHARD_COUNTER_N,
};

MUST_CHECK int shard_open(struct shard **ret, const struct shard_cfg *cfg);
void shard_free(struct shard *s);

/* Empty packets to receive into; fewer than asked when the slab is at its ceiling. */
unsigned shard_lend(struct shard *s, struct pkt **batch, unsigned n);
/* Datagrams as received (each pkt carries its path and length).  Takes every pkt of the batch,
 * including those that stayed empty (len 0). */
void shard_input(struct shard *s, struct pkt **batch, unsigned n, struct tick tick);
/* Has an authentic message come from there, and is its peer still here? */
bool shard_knows(const struct shard *s, const struct addr *remote);
/* A connection ended: what comes from there next must prove itself anew. */
void shard_forget(struct shard *s, const struct addr *remote);
void shard_command(struct shard *s, const struct cmd *c, struct tick tick);
/* A record that another shard's shard_relay_output() gave for this one. */
void shard_relay_input(struct shard *s, struct bytes record, struct tick tick);
void shard_tick(struct shard *s, struct tick tick);
us_t shard_deadline(const struct shard *s);

/* After any of the above: while the arena that this returns has trains, send them, tx_clear() it
 * and ask again: a fan-out larger than the arena goes on here. */
struct tx *shard_tx(struct shard *s);
/* The next event; false when there is none. */
bool shard_event(struct shard *s, struct evt *ev);
/* The next record for another shard; valid until the next call.  When the ring to that shard is
 * full the caller drops it and calls shard_relay_shed(). */
bool shard_relay_output(struct shard *s, uint8_t *to_shard, struct bytes *record);
void shard_relay_shed(struct shard *s);

void shard_counters(const struct shard *s, uint64_t out[SHARD_COUNTER_N]);

#endif
