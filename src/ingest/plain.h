/* ingest/plain.h - plain RTP on a port of its own: H.264 as payload type 96, Opus as 97.
 * (ftl-lightspeed.md 2.2)
 *
 * No handshake says who may send: whoever can reach the port.  So the first sender is pinned, by
 * its address, and within that each kind of media by port and number (SSRC), since one program
 * may send the two from two sockets.  Others are counted and dropped until the pinned one has been
 * silent for PLAIN_RELEASE_US.  Two kinds of senders are in mind: ffmpeg (-f rtp), and the client
 * of a foreign FTL ingest, which floods the port with junk at first, wants its pings echoed, and
 * resends on a generic NACK.
 *
 * Media is put in order by ingest/ftl_media, one for each kind.  Audio and video are laid beside
 * each other by when they came, and by the sender's reports once both have some.
 * Memory: two struct ftl_media.  One thread; sans-IO.
 */
#ifndef INGEST_PLAIN_H
#define INGEST_PLAIN_H

#include "base/addr.h"
#include "base/cursor.h"
#include "ingest/media.h"

enum {
    PLAIN_VIDEO_PT = 96,
    PLAIN_AUDIO_PT = 97,
    PLAIN_RELEASE_US = 2 * 1000 * 1000,  /* of silence: another sender may come */
    PLAIN_SILENCE_US = 10 * 1000 * 1000, /* of both kinds: the stream is over */
    PLAIN_PING_PT = 250,
    PLAIN_PING_MAX = 64, /* bytes of a ping that is echoed; chosen: they have 12 or 24 */
};

enum plain_seen {
    PLAIN_TAKEN,
    PLAIN_ECHO,    /* send it back as it is */
    PLAIN_DROPPED, /* counted */
};

struct plain_stats {
    uint64_t packets, bytes;                             /* taken */
    uint64_t strangers;                                  /* dropped: another sender is pinned */
    uint64_t foreign;                                    /* dropped: no RTP of these types */
    uint64_t flood;                                      /* dropped: junk of an FTL client */
    uint64_t recovered, duplicates, late, lost, senders; /* senders: pinned, one after another */
};

struct plain;

MUST_CHECK int plain_open(struct plain **ret);
void plain_free(struct plain *p);

enum plain_seen plain_input(struct plain *p, const struct addr *from, struct bytes datagram,
                            us_t now);
/* A stream has begun and is not over: who sends it. */
bool plain_from(const struct plain *p, struct addr *from);
/* A question for the sender, one datagram. */
bool plain_output(struct plain *p, struct addr *to, struct wr *w);
/* VIDEO_CONFIG, RTP; END when nothing came for PLAIN_SILENCE_US: then all is as at first. */
bool plain_event(struct plain *p, struct media *ev);
void plain_tick(struct plain *p, us_t now);
us_t plain_deadline(const struct plain *p);
void plain_get_stats(const struct plain *p, struct plain_stats *out);

#endif
