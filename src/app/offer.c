#include "app/offer.h"

#include "io/net.h"

#include <stdio.h>

static bool in_list(const struct conf_list *list, const char *text)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (strcmp(list->text[i], text) == 0)
            return true;
    }
    return false;
}

/* "10.0.0.0/8", or a single address. */
static bool in_cidr(const char *cidr, const struct addr *a)
{
    const char *slash = strchr(cidr, '/');
    size_t n = slash != NULL ? (size_t)(slash - cidr) : strlen(cidr);
    struct addr net;
    uint64_t bits;

    if (!addr_parse_ip(&net, bytes_of(cidr, n), 0) || net.family != a->family)
        return false;
    uint64_t all = net.family == 4 ? 32 : 128;
    if (slash == NULL)
        bits = all;
    else if (!str_to_u64(bytes_str(slash + 1), all, &bits))
        return false;
    for (uint64_t i = 0; i < bits; i++) {
        uint8_t mask = (uint8_t)(0x80 >> (i % 8));
        if ((net.ip[i / 8] & mask) != (a->ip[i / 8] & mask))
            return false;
    }
    return true;
}

static bool in_cidrs(const struct conf_list *list, const struct addr *a)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (in_cidr(list->text[i], a))
            return true;
    }
    return false;
}

static bool admitted(const struct conf *c, const struct net_interface *n, bool loopback)
{
    if (n->link_local || (n->loopback && !loopback))
        return false;
    if (in_list(&c->interfaces_exclude, n->name) || in_cidrs(&c->ips_exclude, &n->addr))
        return false;
    if (c->interfaces_include.n > 0 && !in_list(&c->interfaces_include, n->name))
        return false;
    if (c->ips_include.n > 0 && !in_cidrs(&c->ips_include, &n->addr))
        return false;
    if (n->addr.family == 4 && c->node_ip4.family != 0)
        return false; /* replaced */
    return n->addr.family != 6 || c->node_ip6.family == 0;
}

/* The addresses, IPv4 first: what most clients reach soonest. */
static uint32_t collect(const struct conf *c, struct addr *out, uint32_t max)
{
    struct net_interface list[NET_INTERFACES_MAX];
    uint32_t found = net_interfaces(list, NET_INTERFACES_MAX);
    bool loopback = c->enable_loopback_candidate || c->dev;
    uint32_t n = 0;

    if (c->node_ip4.family != 0 && n < max)
        out[n++] = c->node_ip4;
    if (c->node_ip6.family != 0 && n < max)
        out[n++] = c->node_ip6;
    for (int pass = 0; pass < 2; pass++) {
        for (int family = 4; family <= 6; family += 2) {
            for (uint32_t i = 0; i < found && n < max; i++) {
                if (list[i].addr.family == family && admitted(c, &list[i], loopback))
                    out[n++] = list[i].addr;
            }
        }
        if (n > 0)
            break;
        loopback = true; /* a machine without a network still serves itself */
    }
    return n;
}

struct list {
    struct node_candidate *out;
    uint32_t n, max;
};

static void add(struct list *l, uint32_t worker, struct addr addr, uint16_t port, bool tcp)
{
    if (l->n == l->max)
        return;
    addr.port = port;
    addr.tcp = tcp;
    l->out[l->n++] = (struct node_candidate){.shard = (uint8_t)worker, .addr = addr};
}

uint32_t offer_candidates(const struct conf *conf, const struct offer_ports *ports,
                          struct node_candidate *out, uint32_t max)
{
    struct list l = {.out = out, .max = max};
    struct addr addr[NODE_CANDIDATES_MAX];
    uint32_t kinds = ports->tcp != 0 && !conf->force_tcp ? 2 : 1;
    uint32_t addr_n = u32_min(max / (ports->worker_n * kinds), NODE_CANDIDATES_MAX);
    bool announced = conf->announce.family != 0;
    const struct addr *tcp = &conf->announce_tcp;

    if (announced) { /* one forwarded port leads to one worker; TCP keeps its number, if not told */
        addr[0] = conf->announce;
        addr_n = 1;
    } else {
        addr_n = collect(conf, addr, addr_n);
    }
    for (uint32_t w = 0; w < ports->worker_n; w++) {
        for (uint32_t i = 0; i < addr_n && !conf->force_tcp; i++)
            add(&l, w, addr[i], announced ? conf->announce.port : ports->udp[w], false);
        if (ports->tcp != 0 && tcp->family != 0)
            add(&l, w, *tcp, tcp->port, true);
        for (uint32_t i = 0; i < addr_n && ports->tcp != 0 && tcp->family == 0; i++)
            add(&l, w, addr[i], ports->tcp, true);
    }
    return l.n;
}

void offer_host(const struct node_candidate *candidate, uint32_t n, char out[ADDR_TEXT_MAX])
{
    for (int family = 4; family <= 6; family += 2) {
        for (uint32_t i = 0; i < n; i++) {
            const struct addr *a = &candidate[i].addr;
            char text[ADDR_TEXT_MAX];
            if (a->family != family || addr_is_loopback(a))
                continue;
            addr_ip_text(a, text);
            (void)snprintf(out, ADDR_TEXT_MAX, family == 4 ? "%s" : "[%.60s]", text); /* fits */
            return;
        }
    }
    (void)snprintf(out, ADDR_TEXT_MAX, "localhost"); /* fits */
}

static bool is_any(const struct addr *a)
{
    struct addr any;

    return addr_parse_ip(&any, bytes_str(a->family == 6 ? "::" : "0.0.0.0"), a->port) &&
           addr_ip_eq(&any, a);
}

void offer_own_url(const struct conf *conf, uint16_t http_port, char out[OFFER_URL_MAX])
{
    const char *host = "127.0.0.1";
    struct addr a;

    for (uint32_t i = 0; i < conf->bind.n; i++) {
        const char *text = conf->bind.text[i];
        if (strcmp(text, "localhost") == 0)
            break;
        if (!addr_parse_ip(&a, bytes_str(text), 0))
            continue;
        if (is_any(&a) || addr_is_loopback(&a)) {
            host = a.family == 6 ? "::1" : "127.0.0.1";
            break;
        }
        if (strcmp(host, "127.0.0.1") == 0)
            host = text; /* the first, unless a loopback follows */
    }
    (void)snprintf(out, OFFER_URL_MAX,
                   strchr(host, ':') != NULL ? "ws://[%.60s]:%u" : "ws://%.60s:%u", host,
                   http_port); /* fits */
}
