/* ingest/rtmp.h - one RTMP connection of a publisher, the server's side.
 * (Adobe RTMP 1.0; Enhanced RTMP v2; ftl-lightspeed.md 5.1, 5.2)
 *
 * Handshake (simple and digest), commands, and the media of one published stream taken apart:
 * H.264 and H.265 as Annex B with parameter sets before each key frame, AV1 and VP9 as they are,
 * Opus packets, AAC frames with their configuration.  It knows no keys: MEDIA_PUBLISH asks, the
 * owner answers with rtmp_accept() or rtmp_refuse().  Playing is refused.  Of a multitrack
 * stream track 0 is taken.
 *
 * Time stamps come out in microseconds from the stream's own origin; they neither wrap nor jump by
 * more than ten seconds (ingest/unpack).  Memory: the budget of the chunk reader, one access unit
 * of MEDIA_UNIT_BYTES_MAX, RTMP_OUT_BYTES.  One thread.
 */
#ifndef INGEST_RTMP_H
#define INGEST_RTMP_H

#include "base/base.h"
#include "ingest/media.h"

enum {
    RTMP_BUDGET_BYTES = 12 << 20,          /* unfinished messages of a connection */
    RTMP_BUDGET_ASKING_BYTES = 2 << 20,    /* while its key is looked at */
    RTMP_BUDGET_STRANGER_BYTES = 64 << 10, /* before */
    RTMP_COMMANDS_MAX = 64,                /* before it may publish; real clients: 5 */
    RTMP_OUT_BYTES = 32 << 10,             /* a client that reads nothing is cut off there */
    RTMP_HANDSHAKE_US = 10 * 1000 * 1000,
    RTMP_SETUP_US = 10 * 1000 * 1000, /* from the handshake to publish */
    RTMP_SILENCE_US = 30 * 1000 * 1000,
    RTMP_PING_US = 10 * 1000 * 1000,  /* silence before a ping */
    RTMP_LINGER_US = 2 * 1000 * 1000, /* for the last words to be read */
    RTMP_JUMP_US = 10 * 1000 * 1000,  /* of time stamps: a larger step begins a new origin */
    RTMP_WINDOW_BYTES = 2500000,      /* acknowledgement windows, both ways */
    RTMP_BAD_FRAMES_MAX = 60,         /* in a row that contradict their configuration */
};

enum rtmp_state {
    RTMP_HELLO,   /* C0 and C1 are awaited */
    RTMP_HELLO_2, /* C2 */
    RTMP_SETUP,   /* connect .. publish */
    RTMP_ASKING,  /* the owner looks at the key */
    RTMP_LIVE,
    RTMP_LEAVING, /* last words are on their way; then OVER */
    RTMP_OVER,    /* the owner closes once its writes are out */
};

/* What the log and IngressInfo want to know. */
struct rtmp_facts {
    char client[64];  /* flashVer */
    char encoder[64]; /* of onMetaData */
    bool digest;      /* the handshake had one */
    bool enhanced;    /* media came with FourCCs */
    bool b_frames;    /* some picture is shown later than it is decoded */
    uint64_t bytes;   /* received */
    uint32_t video_frames, audio_frames;
    uint32_t dropped;   /* frames that were of no use: no configuration, malformed, unknown codec */
    uint32_t jumps;     /* of time stamps */
    double framerate;   /* as announced in onMetaData; 0: not */
    const char *silent; /* name of a sound codec that cannot be carried; NULL */
};

struct rtmp;

MUST_CHECK int rtmp_open(struct rtmp **ret, const struct addr *remote, uint64_t seed, us_t now);
void rtmp_free(struct rtmp *r);

/* Bytes of the connection: taken from the front of *in.  It stops where an event is to be drained
 * first; call until *in is empty. */
void rtmp_input(struct rtmp *r, struct bytes *in, us_t now);
/* The other side ended the connection. */
void rtmp_closed(struct rtmp *r);

enum rtmp_refusal {
    RTMP_BAD_NAME, /* no such key, or it is in use */
    RTMP_FAILED,   /* anything else */
};

/* Answers to MEDIA_PUBLISH; ignored in another state.  `reason` reads as a sentence for the
 * streamer; static. */
void rtmp_accept(struct rtmp *r, us_t now);
void rtmp_refuse(struct rtmp *r, enum rtmp_refusal why, const char *reason, us_t now);
/* End a stream that is on: the streamer is told why.  Static text. */
void rtmp_end(struct rtmp *r, const char *reason, us_t now);
/* Ask the publisher to connect anew, where it can (OBS, E-RTMP); false: it cannot. */
bool rtmp_go_away(struct rtmp *r);

/* What to write to the connection; empty when there is nothing.  Taken when read; valid until the
 * next call. */
struct bytes rtmp_output(struct rtmp *r);
/* PUBLISH, VIDEO_CONFIG, AUDIO_CONFIG, VIDEO, AUDIO, END; spans as media.h says.  END only after
 * PUBLISH. */
bool rtmp_event(struct rtmp *r, struct media *m);
void rtmp_tick(struct rtmp *r, us_t now);
us_t rtmp_deadline(const struct rtmp *r);

enum rtmp_state rtmp_state(const struct rtmp *r);
void rtmp_facts(const struct rtmp *r, struct rtmp_facts *out);
/* Why it is LEAVING or OVER; static text, NULL before. */
const char *rtmp_reason(const struct rtmp *r);

#endif
