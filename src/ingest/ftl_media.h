/* ingest/ftl_media.h - the media of one FTL stream.  (ftl-lightspeed.md 1.2)
 *
 * Takes the datagrams that ftl_mux found to be this stream's: RTP of the announced numbers and
 * payload types and their sender reports.  The port of the first valid packet is learned, then
 * pinned.  Yields MEDIA_VIDEO_CONFIG when the picture's size is first seen or changes, MEDIA_RTP
 * in order, and MEDIA_END when nothing comes for too long; asks the sender for what is missing.
 *
 * A client begins with a second of junk on the audio number, to measure the line: audio is
 * dropped until the first video packet, and what no Opus packet can be is dropped always.
 * Memory: two struct reorder.  One thread.
 */
#ifndef INGEST_FTL_MEDIA_H
#define INGEST_FTL_MEDIA_H

#include "base/addr.h"
#include "base/cursor.h"
#include "ingest/ftl.h"
#include "ingest/media.h"

enum {
    FTL_MEDIA_SILENCE_US = 10 * 1000 * 1000,
    FTL_MEDIA_VIDEO_SLOTS = 1024,            /* packets: half a second of 20 Mb/s */
    FTL_MEDIA_AUDIO_SLOTS = 64,              /* more than a second */
    FTL_MEDIA_OPUS_MAX = 1275,               /* RFC 6716 s3.2.1: one frame; junk is larger */
    FTL_MEDIA_SKEW_MAX_US = 5 * 1000 * 1000, /* between audio and video: more is nonsense */
};

struct ftl_media_stats {
    uint64_t packets, bytes; /* taken */
    uint64_t flood, foreign; /* dropped: junk of the start; another port or payload type */
    uint64_t recovered, duplicates, late, lost, asked;
    us_t rtt_us; /* 0: unknown */
    uint16_t width, height;
};

struct ftl_media;

/* `peer`: the control connection's address. */
MUST_CHECK int ftl_media_open(struct ftl_media **ret, const struct ftl_stream *s,
                              const struct addr *peer, us_t now);
void ftl_media_free(struct ftl_media *m);

void ftl_media_input(struct ftl_media *m, const struct addr *from, struct bytes datagram, us_t now);
/* Where its media comes from; false before the first packet. */
bool ftl_media_from(const struct ftl_media *m, struct addr *from);
/* A question for the sender, one datagram. */
bool ftl_media_output(struct ftl_media *m, struct addr *to, struct wr *w);
bool ftl_media_event(struct ftl_media *m, struct media *ev);
void ftl_media_tick(struct ftl_media *m, us_t now);
us_t ftl_media_deadline(const struct ftl_media *m);
void ftl_media_get_stats(const struct ftl_media *m, struct ftl_media_stats *out);

#endif
