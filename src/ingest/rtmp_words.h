/* ingest/rtmp_words.h - the commands of RTMP that a server reads and says, as AMF bodies.
 * (Adobe RTMP 1.0 s7; Enhanced RTMP v2, "Enhancing NetConnection connect Command")
 *
 * Stateless: ingest/rtmp decides what is said.  Texts from the client are cut to their fields and
 * freed of control characters; they go to the log.
 */
#ifndef INGEST_RTMP_WORDS_H
#define INGEST_RTMP_WORDS_H

#include "base/base.h"
#include "base/cursor.h"
#include "ingest/media.h"
#include "wire/amf.h"

enum {
    RTMP_WORDS_BODY_MAX = 1024,
    RTMP_WORDS_NAME_MAX = 1024, /* of a stream, with its query */
};

/* What the command object of `connect` says. */
struct rtmp_words_connect {
    char app[MEDIA_APP_MAX];
    char client[64]; /* flashVer */
    double object_encoding;
    bool enhanced;  /* names FourCCs or capsEx: the answer does too */
    bool go_away;   /* supportsGoAway: OBS */
    bool reconnect; /* capsEx: understands ReconnectRequest */
};

/* What onMetaData says; 0 and "" where it does not. */
struct rtmp_words_meta {
    char encoder[64];
    double width, height, framerate;
};

/* Behind name and transaction. */
MUST_CHECK int rtmp_words_read_connect(struct amf *a, struct rtmp_words_connect *c);
/* The object or array behind "onMetaData"; what cannot be read is left as it is. */
void rtmp_words_read_meta(struct amf *a, struct rtmp_words_meta *meta);
/* The key in a name to publish: without its query, the last element of its path.  A name without
 * one falls back to the last element of an application of several. */
struct bytes rtmp_words_key(struct bytes name, struct bytes app);
/* Into a field of `cap` bytes. */
void rtmp_words_copy(char *out, size_t cap, struct bytes text);

/* `_result` to connect. */
void rtmp_words_connected(struct wr *w, double transaction, const struct rtmp_words_connect *c);
/* `_result` or `_error` with a number, or with null when it is 0. */
void rtmp_words_result(struct wr *w, const char *name, double transaction, uint32_t number);
/* A status object; `name`: onStatus, onFCPublish, _error, .. */
struct rtmp_words_status {
    const char *name;
    double transaction;
    bool error;
    const char *code, *description;
};
void rtmp_words_status(struct wr *w, const struct rtmp_words_status *s);

#endif
