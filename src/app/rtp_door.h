/* app/rtp_door.h - plain RTP: a UDP port for each stream.  (ftl-lightspeed.md 2.2, 3.1)
 *
 * Whoever can reach a port feeds its stream, so ports are opened on loopback unless an address is
 * named.  The first (--rtp-port) stands as long as the process and feeds the default channel;
 * others are opened and closed on the server's word.  Moves bytes between sockets and
 * ingest/plain, and hands what it yields to app/onair.
 *
 * One thread: that of its loop.
 */
#ifndef APP_RTP_DOOR_H
#define APP_RTP_DOOR_H

#include "app/onair.h"
#include "ingest/plain.h"

enum {
    RTP_DOOR_PORTS_MAX = 256,            /* chosen: each has sockets of its own */
    RTP_DOOR_RETRY_US = 2 * 1000 * 1000, /* after a no, while somebody sends */
};

struct rtp_door;

struct rtp_door_cfg {
    struct loop *loop;
    struct onair *onair;
    struct addr at;       /* the address of all ports; its own port is not read */
    uint16_t first, last; /* ports for whoever asks for any; 0: the system's */
};

struct rtp_door_counts {
    uint32_t ports, streams;
    struct plain_stats media; /* of ports that were closed, and now */
};

MUST_CHECK int rtp_door_open(struct rtp_door **ret, const struct rtp_door_cfg *cfg);
void rtp_door_free(struct rtp_door *d); /* NULL allowed */
/* Opens a port; 0: any.  Its stream is that of the ingress `id`, or of the channel where id is "".
 * An id that ends in '_' gets the port's number behind it.  *port is the real one.  -EADDRINUSE
 * (also: all of the range are), E_LIMIT, -errno. */
MUST_CHECK int rtp_door_add(struct rtp_door *d, uint16_t *port, const char *id, uint32_t channel);
/* False: no such port.  Its stream ends. */
bool rtp_door_remove(struct rtp_door *d, uint16_t port, struct tick tick);
void rtp_door_shut(struct rtp_door *d); /* no newcomers, nothing else */
/* All streams end. */
void rtp_door_stop(struct rtp_door *d, struct tick tick);
void rtp_door_round(struct rtp_door *d, struct tick tick);
us_t rtp_door_deadline(const struct rtp_door *d);
void rtp_door_get_counts(const struct rtp_door *d, struct rtp_door_counts *out);

#endif
