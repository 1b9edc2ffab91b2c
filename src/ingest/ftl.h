/* ingest/ftl.h - one FTL control connection, the server's side.  (ftl-lightspeed.md 1.1)
 *
 * Text commands over TCP: a challenge, CONNECT with a channel and an HMAC-SHA-512 over the
 * challenge, attributes, "." which begins the stream and is answered with the UDP port, PING,
 * DISCONNECT.  The machine knows no keys: it asks for the key of a channel by an event and
 * compares in constant time what the owner answers.  Media is ingest/ftl_media's.
 *
 * A client does not notice a closed connection: whoever ends a stream pushes a code first
 * (ftl_end) and closes when ftl_output() is drained.  No allocation; one thread.
 */
#ifndef INGEST_FTL_H
#define INGEST_FTL_H

#include "base/base.h"
#include "base/cursor.h"
#include "ingest/media.h"
#include "wire/codec.h"
#include "wire/ftl_line.h"

enum {
    FTL_CHALLENGE_BYTES = 128,
    FTL_DIGEST_BYTES = 64,
    FTL_OUT_BYTES = 1024,
    FTL_HANDSHAKE_US = 5 * 1000 * 1000,     /* from the first byte to a good CONNECT */
    FTL_SETUP_US = 10 * 1000 * 1000,        /* from there to "." */
    FTL_PING_TIMEOUT_US = 15 * 1000 * 1000, /* three pings missed */
    FTL_LINES_MAX = 256,                    /* commands before "." */
};

enum ftl_code {
    FTL_OK = 200,
    FTL_PONG = 201,
    FTL_MALFORMED = 400,
    FTL_NOT_AUTHORISED = 401, /* channel not enabled for this way in */
    FTL_OLD_CLIENT = 402,
    FTL_AUDIO_SSRC = 403, /* in use from this address */
    FTL_VIDEO_SSRC = 404,
    FTL_BAD_KEY = 405,
    FTL_BUSY = 406, /* channel already streaming */
    FTL_NO_MEDIA = 408,
    FTL_TERMINATED = 410,
    FTL_INTERNAL = 500,
};

enum ftl_state {
    FTL_NEW,
    FTL_CHALLENGED,
    FTL_ASKING,    /* the owner looks for the key of the channel */
    FTL_CONNECTED, /* attributes */
    FTL_STARTING,  /* "." came; the owner says the port */
    FTL_LIVE,
    FTL_OVER, /* a code is on its way out, then close */
};

struct ftl_stream {
    uint32_t channel;
    uint32_t audio_ssrc, video_ssrc;
    uint8_t audio_pt, video_pt;
    bool audio, video;
    enum codec audio_codec, video_codec;
    char vendor[64], version[32];
};

enum ftl_event_kind {
    FTL_EVT_ASK_KEY, /* the key of stream.channel: ftl_key() or ftl_end() */
    FTL_EVT_START,   /* "." with everything that is needed: ftl_started() or ftl_end() */
    FTL_EVT_END,     /* after START: clean, reason; before: the owner was not involved */
};

struct ftl_event {
    enum ftl_event_kind kind;
    bool clean;         /* DISCONNECT */
    const char *reason; /* static */
};

struct ftl {
    enum ftl_state state;
    struct ftl_line line;
    struct ftl_stream stream;
    uint8_t challenge[FTL_CHALLENGE_BYTES];
    uint8_t digest[FTL_DIGEST_BYTES];
    bool challenged;
    us_t due_at; /* the state's deadline */
    uint32_t lines_n;
    char out[FTL_OUT_BYTES];
    size_t out_n;
    struct ftl_event event[2];
    uint32_t event_n;
};

void ftl_init(struct ftl *f, us_t now);
void ftl_fini(struct ftl *f); /* wipes the challenge */

/* Bytes of the connection. */
void ftl_input(struct ftl *f, struct bytes in, us_t now);
/* The other side ended the connection. */
void ftl_closed(struct ftl *f);
/* Answer to ASK_KEY: right or wrong is decided here (200 or 405). */
void ftl_key(struct ftl *f, struct bytes key, us_t now);
/* Answer to START: the UDP port for its media. */
void ftl_started(struct ftl *f, uint16_t port, us_t now);
/* Push a code and end; nothing when it is over already. */
void ftl_end(struct ftl *f, enum ftl_code code, const char *reason);

/* What to write to the connection; empty when there is nothing. Taken when read. */
struct bytes ftl_output(struct ftl *f);
bool ftl_event(struct ftl *f, struct ftl_event *ev);
void ftl_tick(struct ftl *f, us_t now);
us_t ftl_deadline(const struct ftl *f);
/* Everything said: the owner closes once its writes are out. */
static inline bool ftl_over(const struct ftl *f)
{
    return f->state == FTL_OVER;
}

#endif
