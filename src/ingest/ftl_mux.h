/* ingest/ftl_mux.h - one UDP port for the media of all FTL streams.  (ftl-lightspeed.md 1.2)
 *
 * Says whose a datagram is: by the address of the peer that holds the control connection and the
 * numbers (SSRC) and payload types that it announced there; once its port is known, by that.
 * A channel's picture has the number of the next channel's sound: behind one address only the
 * payload type tells them apart, and reports, which have none, wait for the port.  Pings name no
 * stream; they are echoed to addresses that have one, and are never larger than what they answer.
 * Whoever has no control connection gets nothing and reaches nobody.  One thread; heap in add
 * alone.
 */
#ifndef INGEST_FTL_MUX_H
#define INGEST_FTL_MUX_H

#include "base/addr.h"
#include "base/map.h"
#include "ingest/ftl.h"

enum {
    FTL_MUX_PING_PT = 250,
    FTL_MUX_PING_BYTES_MAX = 64, /* 24 on 64-bit systems, 12 on Windows */
    FTL_MUX_STALE_MAX = 64,      /* ports of ended streams that are remembered .. */
    FTL_MUX_STALE_US =
        5 * 1000 * 1000, /* .. so long; a client reacts to its end in half a second */
};

enum ftl_route {
    FTL_ROUTE_NONE,  /* drop */
    FTL_ROUTE_MEDIA, /* of *owner */
    FTL_ROUTE_ECHO,  /* send it back as it is */
};

/* A port whose stream has ended: what still comes from there is not the next stream's, though it
 * has the same numbers. */
struct ftl_mux_stale {
    struct addr from;
    us_t until;
};

struct ftl_mux {
    struct map by_ssrc; /* address, number and payload type */
    struct map by_port; /* address and port */
    struct map by_ip;   /* address alone: how many streams */
    struct ftl_mux_stale stale[FTL_MUX_STALE_MAX];
    uint32_t stale_at; /* overwritten next */
    uint64_t none_n;   /* datagrams that were nobody's */
};

void ftl_mux_init(struct ftl_mux *m, uint64_t seed);
void ftl_mux_fini(struct ftl_mux *m);
/* FTL_OK; FTL_AUDIO_SSRC or FTL_VIDEO_SSRC when the number is in use from there; FTL_INTERNAL
 * without memory.  `owner` is lent until it is removed. */
MUST_CHECK enum ftl_code ftl_mux_add(struct ftl_mux *m, const struct addr *peer,
                                     const struct ftl_stream *s, void *owner);
/* The port of a stream's media is known now.  False without memory: its reports are nobody's. */
bool ftl_mux_pin(struct ftl_mux *m, const struct addr *from, void *owner);
/* `from`: as pinned; family 0: it was not. */
void ftl_mux_remove(struct ftl_mux *m, const struct addr *peer, const struct ftl_stream *s,
                    const struct addr *from, us_t now);
enum ftl_route ftl_mux_route(struct ftl_mux *m, const struct addr *from, struct bytes datagram,
                             us_t now, void **owner);

#endif
