/* bus/local.h - the bus of one machine: operations framed on a stream, and the hub behind it.
 *
 * A frame is a length (4 bytes, big endian, of what follows), a kind (1 byte) and its fields;
 * names carry a 2-byte length.  The first frame each way says the version.  An ingress holds one
 * `local_line` over its socket; the server holds the `local_hub`: who listens to what, fan-out,
 * keys with a time to live.  The server's own psrpc is a client of the hub without a socket.
 *
 * sans-IO, one thread, heap through base/mem.  Whoever breaks the format, a limit, or does not
 * read is closed; the others notice nothing.
 */
#ifndef BUS_LOCAL_H
#define BUS_LOCAL_H

#include "base/str.h"
#include "bus/bus.h"

enum {
    LOCAL_VERSION = 1,
    LOCAL_FRAME_MAX = BUS_MESSAGE_MAX + BUS_CHANNEL_MAX + 16,
    LOCAL_CLIENTS_MAX = 64,          /* chosen: an ingress, an egress, their jobs */
    LOCAL_SUBSCRIPTIONS_MAX = 4096,  /* of one client */
    LOCAL_CHANNELS_MAX = 16384,      /* of all */
    LOCAL_QUEUE_BYTES_MAX = 8 << 20, /* waiting for one client; beyond: closed */
    LOCAL_KEYS_MAX = 16384,          /* of BUS_SET_NX alive; beyond: nobody wins */
};

/* ---- one end of a stream ---- */

/* A client's end.  Bytes in, news out; operations in, bytes out. */
struct local_line {
    struct str in;     /* what has arrived of the frame under way */
    struct str out;    /* what is to be written */
    size_t read, lent; /* of `in` consumed; of `out` given to the owner */
    bool greeted;      /* the other end's version came and is ours */
    int failed;        /* negative: the line is dead */
    char name[BUS_CHANNEL_MAX];
};

void local_line_init(struct local_line *l);
void local_line_fini(struct local_line *l);
/* E_MALFORMED, E_TOO_LARGE, E_UNSUPPORTED (another version), E_NOMEM: final. */
MUST_CHECK int local_line_input(struct local_line *l, struct bytes in);
/* News in order; valid until the next call. */
bool local_line_news(struct local_line *l, struct bus_news *news);
/* E_LIMIT: LOCAL_QUEUE_BYTES_MAX wait already. */
MUST_CHECK int local_line_op(struct local_line *l, const struct bus_op *op);
/* All that waits to be written; taken with that. Empty: nothing. */
bool local_line_output(struct local_line *l, struct bytes *out);

/* ---- the hub ---- */

struct local_hub;

MUST_CHECK int local_hub_open(struct local_hub **ret, uint64_t seed);
void local_hub_free(struct local_hub *h);

/* A newcomer with a stream of its own, or (`framed` false) one inside this process.  0: no room. */
uint32_t local_hub_join(struct local_hub *h, bool framed);
void local_hub_leave(struct local_hub *h, uint32_t client);
/* Bytes of a framed client.  Negative: the owner closes it; it has left already. */
MUST_CHECK int local_hub_input(struct local_hub *h, uint32_t client, struct bytes in, us_t now);
/* An operation of a client inside the process. */
void local_hub_op(struct local_hub *h, uint32_t client, const struct bus_op *op, us_t now);

enum local_out_kind { LOCAL_OUT_BYTES, LOCAL_OUT_NEWS, LOCAL_OUT_CLOSE };

struct local_out {
    enum local_out_kind kind;
    uint32_t client;
    struct bytes data;    /* BYTES: to be written to its stream */
    struct bus_news news; /* NEWS: for a client inside */
    int reason;           /* CLOSE: it did not read */
};

/* Valid until the next call with this hub. */
bool local_hub_output(struct local_hub *h, struct local_out *out);
/* Forgets keys whose time is over; cheap. */
void local_hub_tick(struct local_hub *h, us_t now);

struct local_counts {
    uint32_t clients, channels, keys;
    uint64_t messages, lost; /* lost: nobody listened */
};
void local_hub_get_counts(const struct local_hub *h, struct local_counts *out);

#endif
