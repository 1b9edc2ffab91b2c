/* rtc/sctp.h - data channels: SCTP over DTLS (RFC 8831) with DCEP (RFC 8832).
 *
 * The one unit that includes usrsctp.  Packets in, packets out, events drained;
 * usrsctp runs without threads and is driven by sctp_pool_tick().  Associations
 * are known to usrsctp by number, never by pointer.  usrsctp keeps state for the
 * whole process, so all associations of a process live on one thread: in the
 * server, control.
 *
 * Limits: a message is at most SCTP_MESSAGE_MAX bytes both ways; per association at
 * most SCTP_CHANNELS_MAX channels and SCTP_QUEUE_MAX bytes waiting to be sent (a
 * reliable message beyond that is refused with E_LIMIT, a lossy one dropped and
 * counted).
 */
#ifndef RTC_SCTP_H
#define RTC_SCTP_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    SCTP_MESSAGE_MAX = 65535, /* a=max-message-size that we state */
    SCTP_CHANNELS_MAX = 64,
    SCTP_QUEUE_MAX = 4 << 20,
    SCTP_LABEL_MAX = 64,
    SCTP_PACKET_MAX = 1200, /* keeps the DTLS record under 1280 bytes of IP */
};

enum sctp_event_kind {
    SCTP_EVT_UP,             /* association established */
    SCTP_EVT_OPEN,           /* a channel is open: id, label (ours after ACK, theirs on OPEN) */
    SCTP_EVT_MESSAGE,        /* id, data, binary */
    SCTP_EVT_CHANNEL_CLOSED, /* id */
    SCTP_EVT_DOWN,           /* association lost; final */
};

struct sctp_event {
    enum sctp_event_kind kind;
    uint16_t id;
    bool binary, ordered, reliable, remote; /* remote: the other side opened it */
    char label[SCTP_LABEL_MAX];
    struct bytes data; /* valid until the next call on this association */
};

struct sctp;

/* Process-wide set-up; call once on the thread that owns all associations. */
int sctp_pool_init(void);
void sctp_pool_fini(void);
/* Drives retransmission of all associations; call at least each sctp_pool_deadline(). */
void sctp_pool_tick(us_t now);
us_t sctp_pool_deadline(void);

/* `even_ids`: we are the DTLS client (RFC 8832 s6: the client uses even stream ids). */
MUST_CHECK int sctp_open(struct sctp **ret, bool even_ids, us_t now);
void sctp_free(struct sctp *s);

/* Start the handshake (both sides may; simultaneous open is fine). */
void sctp_connect(struct sctp *s, us_t now);
void sctp_input(struct sctp *s, struct bytes packet, us_t now);
/* One SCTP packet to send; false when there is none. */
bool sctp_output(struct sctp *s, struct wr *w);
bool sctp_event(struct sctp *s, struct sctp_event *ev);

struct sctp_channel_cfg {
    const char *label;
    bool ordered;
    int32_t max_retransmits; /* -1: reliable */
};
/* Announces a channel (DCEP OPEN); *id on success.  May be called before UP: the OPEN goes out
 * then. */
int sctp_channel_open(struct sctp *s, const struct sctp_channel_cfg *cfg, uint16_t *id);
/* 0, E_LIMIT (queue full), E_STATE, E_NOENT. */
int sctp_send(struct sctp *s, uint16_t id, struct bytes data, bool binary);
size_t sctp_queued(const struct sctp *s);
/* Any association with output waiting since the last call: lets the owner drain without a scan
 * over all. */
struct sctp *sctp_pool_pending(void);
void sctp_set_owner(struct sctp *s, uint64_t owner);
uint64_t sctp_owner(const struct sctp *s);

#endif
