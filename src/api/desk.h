/* api/desk.h - the Ingress API, and everything behind it: registry, bus, store.
 * (egress-ingress.md 4.1)
 *
 * Twirp's livekit.Ingress, and sluice.Channels beside it for what LiveKit has no words for
 * (channel numbers, new keys).  A call that changes something is answered when the store has it
 * and, where a session was on air in another process, when that has stopped or does not answer.
 *
 * The owner moves operations of the bus and of the store.  Control thread; time is an argument.
 */
#ifndef API_DESK_H
#define API_DESK_H

#include "api/ioinfo.h"
#include "api/ports.h"
#include "api/rooms.h"

enum {
    DESK_WAITING_MAX = 1024,          /* calls under way; beyond: resource_exhausted */
    DESK_START_US = 10 * 1000 * 1000, /* for a worker to begin a pull, as the original */
    DESK_LIST_BYTES_MAX = 48 << 20,   /* an answer with every ingress */
};

struct desk;

/* `seed` of cfg is the seed of all of it; `hub` answers and is borrowed. */
MUST_CHECK int desk_open(struct desk **ret, const struct ingress_cfg *cfg, struct hub *hub);
void desk_free(struct desk *d);
struct ingress_book *desk_book(struct desk *d);
struct ports *desk_ports(struct desk *d);

/* Answers, now or later.  False: neither service. */
bool desk_serve(struct desk *d, struct rooms_call *call, const struct http_msg *req,
                struct tick tick);

void desk_bus_news(struct desk *d, const struct bus_news *news, struct tick tick);
/* A process has left the bus. */
void desk_bus_left(struct desk *d, struct tick tick);
void desk_stored(struct desk *d, uint64_t serial, int err, struct tick tick);
void desk_tick(struct desk *d, struct tick tick);
us_t desk_deadline(const struct desk *d);
/* Valid until the next call. */
bool desk_bus_op(struct desk *d, struct bus_op *op);
bool desk_store_op(struct desk *d, struct store_op *op);

void desk_metrics(const struct desk *d, struct str *out);

#endif
