/* app/gate.h - newcomers to the media port over TCP.  (RFC 6544 s7: passive)
 *
 * Accepts, reads the first frame, which must be a Binding request, and hands the descriptor to
 * the worker whose letter the request's user name begins with; the worker proves it.  Nothing
 * is answered here.
 *
 * Whoever says nothing useful within GATE_FIRST_US is closed, and when GATE_WAITING_MAX wait the
 * one that waits longest gives way: honest clients speak within a round trip.  Control thread only.
 */
#ifndef APP_GATE_H
#define APP_GATE_H

#include "base/addr.h"
#include "base/base.h"
#include "io/loop.h"

enum {
    GATE_LISTENERS_MAX = 2,
    GATE_WAITING_MAX = 512,
    GATE_FIRST_US = 5 * 1000 * 1000,
    GATE_FIRST_BYTES = 600, /* of the first frame: a check has some 120, with names as long as
                               allowed some 600 */
};

enum gate_counter {
    GATE_ACCEPTED,
    GATE_HANDED,
    GATE_TIMED_OUT,
    GATE_CROWDED_OUT,
    GATE_CLOSED,    /* by the other side, before it said anything */
    GATE_MALFORMED, /* no frame, or no Binding request with one of our names */
    GATE_REFUSED,   /* no descriptor, no memory, or the worker's ring is full */
    GATE_COUNTER_N,
};

struct gate;

/* Takes fd when true. */
typedef bool gate_hand_fn(void *owner, uint8_t worker, int fd, const struct path *path,
                          struct bytes first);

MUST_CHECK int gate_open(struct gate **ret, struct loop *loop, uint32_t worker_n,
                         gate_hand_fn *hand, void *owner);
void gate_free(struct gate *g); /* NULL allowed */
/* `at` with port 0 gets any free one; *port is the real one. */
MUST_CHECK int gate_listen(struct gate *g, const struct addr *at, uint16_t *port);
void gate_tick(struct gate *g, us_t now);
us_t gate_deadline(const struct gate *g);
void gate_counters(const struct gate *g, uint64_t out[GATE_COUNTER_N]);

#endif
