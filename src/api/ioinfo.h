/* api/ioinfo.h - the server's half of the bus: what an ingress asks and reports.
 * (egress-ingress.md 2.4, 4.3)
 *
 * IOInfo as LiveKit's server serves it, and our SluiceIO beside it.  The answer to "whose key is
 * this" brings a token and the server's address, so that an ingress needs no secret of its own.
 * When a process leaves the bus, those that stay are asked what they have on air, and what nobody
 * has any more is ended in the book.
 *
 * Control thread; heap through base/mem; time is an argument.
 */
#ifndef API_IOINFO_H
#define API_IOINFO_H

#include "api/ingress_session.h"
#include "base/map.h"
#include "bus/methods.h"

enum {
    IOINFO_WAITING_MAX = 256, /* calls whose change the store has not yet; beyond: refused */
    IOINFO_SWEEP_US = 15 * 1000 * 1000, /* after a process left: longer than a publisher's grace */
};

struct ports;

struct ioinfo {
    struct ingress_book *book;
    struct psrpc *bus;
    const struct ports *ports; /* of streams that are not in the book; NULL: none */
    struct {
        uint64_t serial;
        psrpc_id call;
        bool info; /* the answer is the IngressInfo */
    } waiting[IOINFO_WAITING_MAX];
    uint32_t waiting_n;
    us_t sweep_at; /* US_NEVER: none is due */
    psrpc_id sweep;
    int64_t sweep_from_ns; /* reports since then need no sweep */
    struct map swept;      /* ids that somebody has on air; values unused */
};

/* Serves the methods; both are borrowed. */
MUST_CHECK int ioinfo_init(struct ioinfo *io, struct ingress_book *book, struct psrpc *bus,
                           uint64_t seed);
void ioinfo_fini(struct ioinfo *io);

/* False: the event is for somebody else. */
bool ioinfo_event(struct ioinfo *io, const struct psrpc_event *ev, struct tick tick);
bool ioinfo_done(struct ioinfo *io, const struct ingress_done *done, struct tick tick);
/* A process has left the bus. */
void ioinfo_left(struct ioinfo *io, us_t now);
void ioinfo_tick(struct ioinfo *io, struct tick tick);
us_t ioinfo_deadline(const struct ioinfo *io);

#endif
