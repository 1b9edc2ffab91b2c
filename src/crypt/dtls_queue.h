/* crypt/dtls_queue.h - a few datagrams waiting, for crypt/dtls and crypt/dtls_hs alone.
 *
 * Copies on the heap; the table of them exists only while there are any.
 */
#ifndef CRYPT_DTLS_QUEUE_H
#define CRYPT_DTLS_QUEUE_H

#include "crypt/dtls.h"

/* False when full (max) or refused. */
bool dtls_queue_push(struct dtls_queue *q, struct bytes datagram, uint32_t max);
/* The oldest; p == NULL when empty.  Takes it out: mem_free() the bytes. */
struct bytes dtls_queue_pop(struct dtls_queue *q);
void dtls_queue_fini(struct dtls_queue *q);

#endif
