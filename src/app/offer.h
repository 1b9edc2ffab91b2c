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

enum { OFFER_URL_MAX = 160 };

struct offer_ports {
    const uint16_t *udp; /* [worker_n] */
    uint32_t worker_n;
    uint16_t tcp; /* one for all; 0: none */
};

/* Returns how many.  The first of a worker is the best. */
uint32_t offer_candidates(const struct conf *conf, const struct offer_ports *ports,
                          struct node_candidate *out, uint32_t max);

/* The address that others on the network use, for a URL; "localhost" when there is none. */
void offer_host(const struct node_candidate *candidate, uint32_t n, char out[ADDR_TEXT_MAX]);
/* Where a process of this machine reaches our HTTP port: ws://127.0.0.1:7880. */
void offer_own_url(const struct conf *conf, uint16_t http_port, char out[OFFER_URL_MAX]);

#endif
