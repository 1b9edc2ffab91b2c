/* app/offer.h - which addresses clients are told to send media to.
 *
 * All addresses of the interfaces that are up, filtered as the configuration says; loopback
 * only where asked, in development, or when there is nothing else; link-local never.
 * `node_ip` and `announce` replace what was found; TCP is offered behind UDP, or alone.
 */
#ifndef APP_OFFER_H
#define APP_OFFER_H

#include "api/node.h"
#include "base/conf.h"

struct offer_ports {
    const uint16_t *udp; /* [worker_n] */
    uint32_t worker_n;
    uint16_t tcp; /* one for all; 0: none */
};

/* Returns how many.  The first of a worker is the best. */
uint32_t offer_candidates(const struct conf *conf, const struct offer_ports *ports,
                          struct node_candidate *out, uint32_t max);

#endif
