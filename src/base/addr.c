#include "base/addr.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <stdio.h>

void addr_set_ip4(struct addr *a, const uint8_t ip[4], uint16_t port)
{
    *a = (struct addr){.family = 4, .port = port};
    memcpy(a->ip, ip, 4);
}

void addr_set_ip6(struct addr *a, const uint8_t ip[16], uint16_t port)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(ip, mapped, sizeof mapped) == 0) {
        addr_set_ip4(a, ip + 12, port);
        return;
    }
    *a = (struct addr){.family = 6, .port = port};
    memcpy(a->ip, ip, 16);
}

bool addr_parse_ip(struct addr *a, struct bytes text, uint16_t port)
{
    char buf[INET6_ADDRSTRLEN];
    uint8_t ip[16];

    if (!str_copy(buf, sizeof buf, text) || strlen(buf) != text.len)
        return false;
    if (inet_pton(AF_INET, buf, ip) == 1)
        addr_set_ip4(a, ip, port);
    else if (inet_pton(AF_INET6, buf, ip) == 1)
        addr_set_ip6(a, ip, port);
    else
        return false;
    return true;
}

bool addr_ip_eq(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && a->tcp == b->tcp && addr_ip_eq(a, b);
}

bool path_eq(const struct path *a, const struct path *b)
{
    return addr_eq(&a->remote, &b->remote) && addr_eq(&a->local, &b->local);
}

uint64_t addr_hash(const struct addr *a, uint64_t seed)
{
    uint64_t hi, lo;

    memcpy(&hi, a->ip, 8);
    memcpy(&lo, a->ip + 8, 8);
    uint64_t h = seed ^ hi * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 29) ^ lo) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 32) ^ ((uint64_t)a->port << 1 | a->tcp)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

void addr_ip_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    out[0] = '\0';
    if (a->family == 4)
        (void)inet_ntop(AF_INET, a->ip, out, ADDR_TEXT_MAX); /* cannot fail: the buffer suffices */
    else if (a->family == 6)
        (void)inet_ntop(AF_INET6, a->ip, out, ADDR_TEXT_MAX); /* likewise */
}

void addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    char ip[ADDR_TEXT_MAX];

    addr_ip_text(a, ip);
    (void)snprintf(out, ADDR_TEXT_MAX, a->family == 6 ? "[%.45s]:%u" : "%.45s:%u", ip,
                   (unsigned)a->port); /* fits: 45 + 2 + 6 + NUL */
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};

    return a->family == 4 ? a->ip[0] == 127 : memcmp(a->ip, one, 16) == 0;
}
