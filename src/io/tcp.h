/* io/tcp.h - stream sockets: listeners and connections with bounded write queues.
 *
 * A connection reads when there is something and hands the bytes to its owner; writes go to
 * the socket at once and what it does not take waits in a queue with a ceiling.  Timeouts
 * are the owner's, who closes.  When descriptors run out a listener still accepts, with one
 * that it keeps in reserve, and tells the newcomer why it is turned away.
 *
 * One thread: that of its loop.
 */
#ifndef IO_TCP_H
#define IO_TCP_H

#include "base/addr.h"
#include "base/base.h"
#include "io/loop.h"

enum {
    TCP_READ_BYTES = 64 << 10,
    TCP_QUEUE_BYTES_MAX = 12 << 20, /* above WS_QUEUE_BYTES_MAX and a body of an answer */
    TCP_BACKLOG = 1024,
    TCP_ACCEPTS_PER_ROUND = 64, /* newcomers do not starve those who are here */
};

struct tcp;
struct tcp_listener;

/* The owner may free the connection inside any of these. */
struct tcp_handler {
    void (*data)(void *owner, struct bytes in);
    void (*drained)(void *owner);         /* the queue became empty */
    void (*closed)(void *owner, int err); /* 0: the other side ended; the owner frees, or has the
                                             rest of the queue written with tcp_end(): it comes
                                             again after that */
};

/* A newcomer; the owner takes the descriptor. */
typedef void tcp_accept_fn(void *owner, int fd, const struct addr *from);

/* `refusal` (static) is written to newcomers who find no descriptor left. */
MUST_CHECK int tcp_listen(struct tcp_listener **ret, struct loop *loop, const struct addr *at,
                          struct bytes refusal, tcp_accept_fn *accept, void *owner);
uint16_t tcp_listener_port(const struct tcp_listener *l);
uint64_t tcp_listener_refused(const struct tcp_listener *l);
void tcp_unlisten(struct tcp_listener *l);
/* Turns a newcomer away: writes what fits and closes. */
void tcp_refuse(int fd, struct bytes text);

/* For who reads a few bytes before it hands the descriptor on: bytes read, 0 when there are none
 * now, negative at its end. */
int tcp_read(int fd, uint8_t *out, size_t cap);
/* Our end of it. */
MUST_CHECK bool tcp_local(int fd, struct addr *out);
/* For a newcomer that nobody wants. */
void tcp_close(int fd);

/* Takes fd, also on failure. */
MUST_CHECK int tcp_open(struct tcp **ret, struct loop *loop, int fd,
                        const struct tcp_handler *handler, void *owner);
void tcp_free(struct tcp *t); /* at once; NULL allowed */
/* E_LIMIT: over the ceiling, nothing was queued.  E_CLOSED: after tcp_end(). */
MUST_CHECK int tcp_write(struct tcp *t, struct bytes out);
size_t tcp_queued_bytes(const struct tcp *t);
/* Bytes that the socket ever took: progress, for slow-reader timeouts. */
uint64_t tcp_sent_bytes(const struct tcp *t);
/* Acknowledge what was read at once: for a client whose next command waits for it. */
void tcp_quick(struct tcp *t);
/* Stop or go on reading. */
void tcp_pause(struct tcp *t, bool paused);
/* After the queue is written, end our direction; what still comes in is thrown away.  `closed`
 * follows when the other side ends too: the owner bounds the wait. */
void tcp_end(struct tcp *t);

#endif
