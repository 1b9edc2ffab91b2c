/* app/ftl_door.h - FTL: control connections on a TCP port, media on the UDP port of that number.
 *
 * Moves bytes between sockets and the machines ingest/ftl, ftl_mux and ftl_media, and hands what
 * they yield to app/onair.  One UDP port serves all streams; answers leave from the address that
 * the publisher dialled.  Whoever is one too many, or says nothing, is told and closed.
 *
 * One thread: that of its loop.
 */
#ifndef APP_FTL_DOOR_H
#define APP_FTL_DOOR_H

#include "app/onair.h"
#include "ingest/ftl_media.h"

enum {
    FTL_DOOR_LISTENERS_MAX = 2,
    FTL_DOOR_CONNECTIONS_MAX = 512,
    FTL_DOOR_STRANGERS_MAX = 128, /* without a good CONNECT yet */
    FTL_DOOR_PER_ADDRESS_MAX = 32,
    FTL_DOOR_LINGER_US = 2 * 1000 * 1000, /* for the last code to be read */
};

struct ftl_door;

struct ftl_door_cfg {
    struct loop *loop;
    struct onair *onair;
    struct addr at[FTL_DOOR_LISTENERS_MAX]; /* family 0: not there; the same port in all */
    uint64_t seed;
};

struct ftl_door_counts {
    uint32_t connections, streams;
    uint64_t accepted, turned_away, bad_key, nobodys; /* nobodys: datagrams */
    struct ftl_media_stats media;                     /* of streams that have ended, and now */
};

/* -errno; *port is the real one. */
MUST_CHECK int ftl_door_open(struct ftl_door **ret, const struct ftl_door_cfg *cfg, uint16_t *port);
void ftl_door_free(struct ftl_door *d); /* NULL allowed */
/* No newcomers; those here are told to come back later (410). */
void ftl_door_stop(struct ftl_door *d, struct tick tick);
void ftl_door_shut(struct ftl_door *d); /* no newcomers, nothing else */
bool ftl_door_busy(const struct ftl_door *d);
void ftl_door_round(struct ftl_door *d, struct tick tick);
us_t ftl_door_deadline(const struct ftl_door *d);
void ftl_door_get_counts(const struct ftl_door *d, struct ftl_door_counts *out);

#endif
