/* app/relay.h - streams that a WebRTC server elsewhere shows: an original of Project Lightspeed or
 * ITGv2, or another of ours.  (ftl-lightspeed.md 3.1, 2.2)
 *
 * For each stream POST /stream there says the port, RTP goes to it (payload type 96 H.264, 97
 * Opus), and DELETE /stream?port=N ends it.  A server that knows no /stream has one port for its
 * one stream, RELAY_PORT.  Losses stay visible as missing numbers.
 *
 * One thread: that of its loop.
 */
#ifndef APP_RELAY_H
#define APP_RELAY_H

#include "app/onair.h"

enum {
    RELAY_STREAMS_MAX = 256,
    RELAY_PORT = 65535,
    RELAY_ASK_US = 3 * 1000 * 1000,
    RELAY_RETRY_US = 500 * 1000,
    RELAY_GIVE_UP_US = 15 * 1000 * 1000, /* then the publisher is told, and comes again */
    RELAY_BODY_MAX = 4096,
};

struct relay;

struct relay_cfg {
    struct loop *loop;
    const char *url;    /* http://host:8080 */
    const char *secret; /* sent as a bearer token; "": none */
    const char *key;    /* of all channels, as Lightspeed's ingest has one */
    uint64_t seed;
};

struct relay_counts {
    uint32_t streams;
    uint64_t packets, refused, gave_up;
};

/* E_INVAL, E_UNSUPPORTED: the URL. */
MUST_CHECK int relay_open(struct relay **ret, const struct relay_cfg *cfg);
void relay_free(struct relay *r); /* NULL allowed */
const char *relay_key(const struct relay *r);
/* Another publisher of the same channel is dismissed.  E_LIMIT, E_NOMEM. */
MUST_CHECK int relay_start(struct relay *r, struct publisher *p, struct tick tick);
void relay_media(struct relay *r, const struct publisher *p, const struct media *m);
void relay_end(struct relay *r, const struct publisher *p);
void relay_stop(struct relay *r); /* all end */
bool relay_busy(const struct relay *r);
void relay_round(struct relay *r, struct tick tick);
us_t relay_deadline(const struct relay *r);
void relay_get_counts(const struct relay *r, struct relay_counts *out);

#endif
