/* bus/bus.h - what a bus can do, whatever carries it.
 *
 * Four operations and two kinds of news: enough for psrpc, and no more than Redis offers
 * (PUBLISH, SUBSCRIBE, UNSUBSCRIBE, SET NX PX).  A carrier (bus/local, later Redis) performs
 * operations in order: whoever subscribes and then publishes hears the answer.  A message that
 * nobody listens to is lost, as is one to a listener that is too slow.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "base/base.h"

enum {
    BUS_CHANNEL_MAX = 512,     /* bytes of a name with its NUL; chosen: four parts of psrpc */
    BUS_KEY_MAX = 128,         /* bytes of a key with its NUL; psrpc's are 44 */
    BUS_MESSAGE_MAX = 1 << 20, /* bytes of one message; chosen: an API body is smaller */
    BUS_TTL_MS_MAX = 60000,
};

enum bus_op_kind {
    BUS_PUBLISH = 1, /* name: channel, data */
    BUS_SUBSCRIBE,   /* name: channel */
    BUS_UNSUBSCRIBE, /* name: channel */
    BUS_SET_NX,      /* name: key, tag, ttl_ms; answered by BUS_SET_DONE */
};

struct bus_op {
    enum bus_op_kind kind;
    const char *name;
    struct bytes data;
    uint32_t tag;    /* comes back with the answer */
    uint32_t ttl_ms; /* the key is forgotten after it */
};

enum bus_news_kind {
    BUS_MESSAGE = 1, /* name: channel, data */
    BUS_SET_DONE,    /* tag, won: the key was not there before */
};

struct bus_news {
    enum bus_news_kind kind;
    const char *name;
    struct bytes data;
    uint32_t tag;
    bool won;
};

#endif
