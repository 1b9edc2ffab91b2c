/* base/addr.h - a transport address as plain bytes.
 *
 * Sans-IO code compares, hashes and prints addresses without the socket
 * headers; io/ converts.  IPv4 is kept as IPv4, never as a mapped IPv6 address:
 * addr_set_ip6 folds ::ffff:a.b.c.d back.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include "base/base.h"

enum { ADDR_TEXT_MAX = 56 }; /* [ipv6]:port and NUL */

struct addr {
    uint8_t ip[16]; /* the first 4 bytes for IPv4, the rest zero */
    uint16_t port;
    uint8_t family; /* 4, 6, or 0 for none */
    uint8_t tcp;    /* 1: a framed TCP connection; `port` is the peer's */
};

/* A pair of addresses: where a datagram came to and where it came from. */
struct path {
    struct addr local, remote;
};

void addr_set_ip4(struct addr *a, const uint8_t ip[4], uint16_t port);
void addr_set_ip6(struct addr *a, const uint8_t ip[16], uint16_t port);
/* "1.2.3.4" or "2001:db8::1", without a port; false on anything else. */
bool addr_parse_ip(struct addr *a, struct bytes text, uint16_t port);
bool addr_eq(const struct addr *a, const struct addr *b);
bool addr_ip_eq(const struct addr *a, const struct addr *b);
bool path_eq(const struct path *a, const struct path *b);
uint64_t addr_hash(const struct addr *a, uint64_t seed);
/* ip only / "ip:port" or "[ip]:port". */
void addr_ip_text(const struct addr *a, char out[ADDR_TEXT_MAX]);
void addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);
bool addr_is_loopback(const struct addr *a);

#endif
