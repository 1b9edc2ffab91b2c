/* wire/rtmp_chunk.h - RTMP's chunk streams: messages out of bytes and back.
 * (Adobe RTMP 1.0, s5.3 and s5.4)
 *
 * The reader puts messages together from interleaved chunks.  Of the protocol control messages
 * it obeys those that change how bytes are read (Set Chunk Size, Abort); it reports all of them.
 * Memory grows with bytes that have arrived, never with what a header announces, and all of it
 * stays within the budget given at the start.
 */
#ifndef WIRE_RTMP_CHUNK_H
#define WIRE_RTMP_CHUNK_H

#include "base/base.h"
#include "base/cursor.h"

enum {
    RTMP_CHUNK_STREAMS_MAX = 32,      /* real clients use 4 to 6 at a time */
    RTMP_CHUNK_SIZE_DEFAULT = 128,    /* s5.4.1 */
    RTMP_CHUNK_SIZE_MAX = 0xffffff,   /* s5.4.1: no message is longer */
    RTMP_CHUNK_MESSAGE_MAX = 8 << 20, /* bytes: four times a key frame of 4K at 100 Mbit/s */
    RTMP_CHUNK_HEADER_MAX = 3 + 11 + 4,
    RTMP_CHUNK_KEEP_MAX = 1 << 18, /* a larger buffer is given back once its message is out */
};

enum rtmp_chunk_type {
    RTMP_SET_CHUNK_SIZE = 1,
    RTMP_ABORT = 2,
    RTMP_ACKNOWLEDGEMENT = 3,
    RTMP_USER_CONTROL = 4,
    RTMP_WINDOW_ACK_SIZE = 5,
    RTMP_SET_PEER_BANDWIDTH = 6,
    RTMP_AUDIO = 8,
    RTMP_VIDEO = 9,
    RTMP_DATA_AMF3 = 15,
    RTMP_SHARED_OBJECT_AMF3 = 16,
    RTMP_COMMAND_AMF3 = 17,
    RTMP_DATA_AMF0 = 18,
    RTMP_SHARED_OBJECT_AMF0 = 19,
    RTMP_COMMAND_AMF0 = 20,
    RTMP_AGGREGATE = 22,
    RTMP_GO_AWAY = 32, /* OBS: come back without a word to the user */
};

struct rtmp_chunk_message {
    uint8_t type; /* enum rtmp_chunk_type */
    uint32_t chunk_stream, stream;
    uint32_t timestamp; /* ms, as on the wire: wraps */
    struct bytes body;
};

struct rtmp_chunk_stream {
    uint32_t id; /* 0: free */
    uint32_t timestamp, delta, stream;
    uint32_t length; /* of the message in work */
    uint32_t have;   /* bytes of it that have arrived */
    uint32_t cap;    /* of buf */
    uint8_t type;
    bool seen;      /* a header of type 0 stood here */
    bool extended;  /* the last header carried an extended time stamp */
    bool open;      /* a message is in work */
    uint32_t field; /* that extended time stamp */
    uint8_t *buf;
};

struct rtmp_chunk_reader {
    uint32_t chunk_size; /* of the other side */
    size_t used, budget; /* bytes of buffers */
    uint64_t received;   /* bytes in all */
    uint8_t head_n;      /* bytes of an unfinished chunk header */
    uint8_t head[RTMP_CHUNK_HEADER_MAX];
    uint8_t back_n; /* bytes that looked like an extended time stamp and are none: read again */
    uint8_t back[4];
    uint32_t left;                  /* bytes of the current chunk that are missing */
    struct rtmp_chunk_stream *last; /* the stream of the current chunk */
    struct rtmp_chunk_stream *done; /* whose message was given out last */
    struct rtmp_chunk_stream stream[RTMP_CHUNK_STREAMS_MAX];
};

/* `budget`: bytes of buffers at most. */
void rtmp_chunk_reader_init(struct rtmp_chunk_reader *r, size_t budget);
void rtmp_chunk_reader_fini(struct rtmp_chunk_reader *r);

/* Takes bytes from the front of *wire until a message is whole: 1, and *m is valid until the next
 * call.  0: all bytes are taken.  E_MALFORMED, E_TOO_LARGE (a message), E_LIMIT (budget, chunk
 * streams), E_NOMEM: final, the connection is to be closed. */
MUST_CHECK int rtmp_chunk_read(struct rtmp_chunk_reader *r, struct bytes *wire,
                               struct rtmp_chunk_message *m);

/* A whole message as one chunk of type 0 and its continuations.  Errors stick in w;
 * rtmp_chunk_size() says how much room it takes. */
void rtmp_chunk_write(struct wr *w, const struct rtmp_chunk_message *m, uint32_t chunk_size);
size_t rtmp_chunk_size(const struct rtmp_chunk_message *m, uint32_t chunk_size);

#endif
