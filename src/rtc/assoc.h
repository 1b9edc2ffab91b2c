/* rtc/assoc.h - data channels: one SCTP association over DTLS (RFC 8831) with DCEP (RFC 8832).
 *
 * The one unit that includes usrsctp (which is why nothing here is called sctp_*: a
 * function of ours with a name of the library's would take its place inside the library).
 * Packets in, packets out, events drained; usrsctp runs without threads and is driven
 * by assoc_pool_tick().  Associations are known to usrsctp by number, never by pointer.
 * usrsctp keeps state for the whole process, so all associations of a process live on one
 * thread: in the server, control.
 *
 * Refuses: channels with a label over ASSOC_LABEL_MAX, of the wrong parity, or opened twice
 * (the stream is reset, RFC 8832 s5.1, s6); address, AUTH, ASCONF and packet-drop extensions; a
 * restart by the other side (the association is DOWN).
 *
 * Limits: a message is at most ASSOC_MESSAGE_MAX bytes both ways; per association at most
 * ASSOC_CHANNELS_MAX channels, and ASSOC_QUEUE_MAX bytes waiting to be sent (a reliable
 * message beyond that is refused with E_LIMIT); a lossy message is dropped and counted
 * when more than ASSOC_LOSSY_QUEUE_MAX wait.
 */
#ifndef RTC_ASSOC_H
#define RTC_ASSOC_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    ASSOC_MESSAGE_MAX = 65535, /* a=max-message-size that we state */
    ASSOC_CHANNELS_MAX = 64,
    ASSOC_STREAMS =
        ASSOC_CHANNELS_MAX, /* ids 0..63, one parity each; 112 bytes of usrsctp's per stream */
    ASSOC_QUEUE_MAX = 4 << 20,
    ASSOC_LOSSY_QUEUE_MAX = 1 << 20,
    ASSOC_LABEL_MAX = 64,    /* with NUL */
    ASSOC_PACKET_MAX = 1188, /* we send; with DTLS (37), UDP and IPv6 (48) under 1280 */
    ASSOC_TICK_US = 10 * 1000,
    ASSOC_IDLE_TICK_US = 100 * 1000, /* when nothing moved for ASSOC_IDLE_US */
    ASSOC_IDLE_US = 2 * 1000 * 1000,
};

enum assoc_event_kind {
    ASSOC_EVT_UP,             /* association established */
    ASSOC_EVT_OPEN,           /* a channel is open: all but data (ours after ACK, theirs on OPEN) */
    ASSOC_EVT_MESSAGE,        /* id, data, binary */
    ASSOC_EVT_CHANNEL_CLOSED, /* id, label; the id may be used again */
    ASSOC_EVT_DOWN,           /* association lost; final */
};

struct assoc_event {
    enum assoc_event_kind kind;
    uint16_t id;
    bool binary, ordered, reliable, remote; /* remote: the other side opened it */
    char label[ASSOC_LABEL_MAX];
    struct bytes data; /* valid until the next call of any function here */
};

struct assoc_stats {
    uint64_t messages_in, messages_out;
    uint64_t drop_lossy;    /* queue over ASSOC_LOSSY_QUEUE_MAX */
    uint64_t drop_oversize; /* messages over ASSOC_MESSAGE_MAX from the other side */
    uint64_t drop_unknown;  /* for no open channel, or of an unknown protocol identifier */
    uint64_t drop_malformed;
};

struct assoc;

/* Process-wide set-up; call once on the thread that owns all associations. */
int assoc_pool_init(void);
void assoc_pool_fini(void);
/* Drives retransmission of all associations; call at least each assoc_pool_deadline(). */
void assoc_pool_tick(us_t now);
us_t assoc_pool_deadline(void);
/* The next association with packets or events waiting (drain both), each once until something
 * new happens to it; NULL when there is none.  Spares the owner a scan over all. */
struct assoc *assoc_pool_pending(void);

/* `even_ids`: we are the DTLS client (RFC 8832 s6). */
MUST_CHECK int assoc_open(struct assoc **ret, bool even_ids, us_t now);
/* NULL allowed; sends nothing. */
void assoc_free(struct assoc *s);
/* A number of the owner's, to find its own object by. */
void assoc_set_owner(struct assoc *s, uint64_t owner);
uint64_t assoc_owner(const struct assoc *s);

/* Start the handshake.  Both sides do (RFC 8831 s6.6 simultaneous open). */
void assoc_start(struct assoc *s, us_t now);
void assoc_input(struct assoc *s, struct bytes packet, us_t now);
/* One SCTP packet to send; false when there is none.  w needs ASSOC_PACKET_MAX. */
bool assoc_output(struct assoc *s, struct wr *w);
bool assoc_event(struct assoc *s, struct assoc_event *ev);

struct assoc_channel_cfg {
    const char *label;
    bool ordered;
    int32_t max_retransmits; /* -1: reliable */
};
/* Announces a channel (DCEP OPEN); *id on success.  May be called before UP: the OPEN goes
 * out then.  Messages may follow at once.  E_TOO_LARGE (label), E_LIMIT, E_NOMEM, E_CLOSED. */
int assoc_channel_open(struct assoc *s, const struct assoc_channel_cfg *cfg, uint16_t *id);
/* Messages still queued are delivered first; ASSOC_EVT_CHANNEL_CLOSED follows when both
 * directions are reset. */
void assoc_channel_close(struct assoc *s, uint16_t id);
/* 0, E_LIMIT (queue full), E_NOENT (no such channel), E_TOO_LARGE, E_NOMEM, E_CLOSED. */
int assoc_send(struct assoc *s, uint16_t id, struct bytes data, bool binary);
/* Bytes that wait in front of usrsctp's own buffer. */
size_t assoc_queued(const struct assoc *s);
void assoc_get_stats(const struct assoc *s, struct assoc_stats *st);

#endif
