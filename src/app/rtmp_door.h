/* app/rtmp_door.h - RTMP and RTMPS: connections of publishers, their sound through a child.
 *
 * Moves bytes between sockets and the machines ingest/rtmp and ingest/aac, and hands what they
 * yield to app/onair.  AAC goes to the connection's own `sluice-media`, which is started anew when
 * it dies; where it is not installed the picture goes on air without sound.  Whoever is one too
 * many is closed.
 *
 * One thread: that of its loop.
 */
#ifndef APP_RTMP_DOOR_H
#define APP_RTMP_DOOR_H

#include "app/onair.h"
#include "crypt/tls.h"

enum {
    RTMP_DOOR_LISTENERS_MAX = 2,
    RTMP_DOOR_CONNECTIONS_MAX = 512,
    RTMP_DOOR_STRANGERS_MAX = 128, /* that may not publish yet */
    RTMP_DOOR_PER_ADDRESS_MAX = 32,
};

struct rtmp_door;

struct rtmp_door_cfg {
    struct loop *loop;
    struct onair *onair;
    struct addr at[RTMP_DOOR_LISTENERS_MAX]; /* family 0: not there; the same port in all */
    struct tls_ctx *tls;                     /* RTMPS; NULL: plain.  Outlives the door */
    uint64_t seed;
};

struct rtmp_door_counts {
    uint32_t connections, streams, children;
    uint64_t accepted, turned_away, refused;
    uint64_t bytes, frames, dropped, jumps; /* of streams that have ended, and now */
    uint64_t children_started, sound_lost;  /* sound_lost: frames that no child took */
};

/* -errno; *port is the real one. */
MUST_CHECK int rtmp_door_open(struct rtmp_door **ret, const struct rtmp_door_cfg *cfg,
                              uint16_t *port);
void rtmp_door_free(struct rtmp_door *d); /* NULL allowed */
/* No newcomers; those here are told to come back, and ended. */
void rtmp_door_stop(struct rtmp_door *d, struct tick tick);
void rtmp_door_shut(struct rtmp_door *d); /* no newcomers, nothing else */
bool rtmp_door_busy(const struct rtmp_door *d);
void rtmp_door_round(struct rtmp_door *d, struct tick tick);
us_t rtmp_door_deadline(const struct rtmp_door *d);
void rtmp_door_get_counts(const struct rtmp_door *d, struct rtmp_door_counts *out);

#endif
