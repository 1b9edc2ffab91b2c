#include "wire/candidate.h"

#include "base/err.h"
#include "base/str.h"

#include <stdio.h>

enum { PAIRS_MAX = 16 }; /* "key value" extensions looked at; more is malformed */

static const char *const type_names[] = {
    [CANDIDATE_HOST] = "host",
    [CANDIDATE_SRFLX] = "srflx",
    [CANDIDATE_PRFLX] = "prflx",
    [CANDIDATE_RELAY] = "relay",
};

static const char *const tcp_names[] = {
    [CANDIDATE_UDP] = "",
    [CANDIDATE_TCP_ACTIVE] = "active",
    [CANDIDATE_TCP_PASSIVE] = "passive",
    [CANDIDATE_TCP_SO] = "so",
};

/* The next word; empty at the end. */
static struct bytes word(struct bytes *line)
{
    size_t i = 0, n;

    while (i < line->len && line->p[i] == ' ')
        i++;
    for (n = i; n < line->len && line->p[n] != ' ';)
        n++;
    struct bytes w = bytes_of(line->p + i, n - i);
    *line = bytes_of(line->p + n, line->len - n);
    return w;
}

static bool number(struct bytes *line, uint64_t max, uint64_t *out)
{
    return str_to_u64(word(line), max, out);
}

/* RFC 8839 s5.1: ice-char is ALPHA, DIGIT, "+" or "/"; libwebrtc sends "-" as well. */
static bool is_ice_text(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        uint8_t c = b.p[i];
        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '+' &&
            c != '/' && c != '-' && c != '_' && c != '=')
            return false;
    }
    return b.len > 0;
}

static bool ends_in_local(struct bytes name)
{
    static const char tail[] = ".local";
    size_t n = sizeof tail - 1;

    return name.len > n && str_ieq(bytes_of(name.p + name.len - n, n), tail);
}

static int read_address(struct candidate *c, struct bytes name, uint16_t port)
{
    if (addr_parse_ip(&c->addr, name, port)) {
        c->addr.tcp = c->tcp != CANDIDATE_UDP;
        return 0;
    }
    c->addr = (struct addr){0};
    c->mdns = ends_in_local(name);
    return c->mdns ? 0 : name.len == 0 ? E_MALFORMED : E_UNSUPPORTED;
}

static bool read_type(struct candidate *c, struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
        if (bytes_eq_str(name, type_names[i])) {
            c->type = (enum candidate_type)i;
            return true;
        }
    }
    return false;
}

static bool read_tcptype(struct candidate *c, struct bytes name)
{
    for (size_t i = CANDIDATE_TCP_ACTIVE; i < ARRAY_LEN(tcp_names); i++) {
        if (str_ieq(name, tcp_names[i])) {
            c->tcp = (enum candidate_tcp)i;
            return true;
        }
    }
    return false;
}

/* raddr, rport, tcptype, ufrag; others are stepped over. */
static int read_pairs(struct candidate *c, struct bytes line)
{
    struct bytes key, value, raddr = {0};
    uint64_t rport = 0;
    bool tcp = c->tcp != CANDIDATE_UDP, typed = false;

    for (unsigned n = 0; (key = word(&line)).len > 0; n++) {
        value = word(&line);
        if (value.len == 0 || n == PAIRS_MAX)
            return E_MALFORMED;
        if (bytes_eq_str(key, "raddr")) {
            raddr = value;
        } else if (bytes_eq_str(key, "rport")) {
            if (!str_to_u64(value, UINT16_MAX, &rport))
                return E_MALFORMED;
        } else if (bytes_eq_str(key, "tcptype")) {
            if (!tcp || !read_tcptype(c, value))
                return E_MALFORMED;
            typed = true;
        } else if (bytes_eq_str(key, "ufrag")) {
            if (!is_ice_text(value) || !str_copy(c->ufrag, sizeof c->ufrag, value))
                return E_MALFORMED;
        }
    }
    if (tcp && !typed) /* RFC 6544 s4.5: a TCP candidate must say which */
        return E_MALFORMED;
    if (raddr.len > 0 && !addr_parse_ip(&c->related, raddr, (uint16_t)rport))
        c->related = (struct addr){0}; /* a name: only a hint, and we do not resolve */
    return 0;
}

static struct bytes strip(struct bytes line)
{
    while (line.len > 0 && (line.p[line.len - 1] == '\r' || line.p[line.len - 1] == '\n'))
        line.len--;
    if (line.len >= 2 && memcmp(line.p, "a=", 2) == 0)
        line = bytes_of(line.p + 2, line.len - 2);
    return line;
}

int candidate_parse(struct candidate *out, struct bytes line)
{
    static const char lead[] = "candidate:";
    struct candidate c = {0};
    uint64_t component, priority, port;

    if (line.len > CANDIDATE_LINE_MAX)
        return E_TOO_LARGE;
    line = strip(line);
    if (line.len < sizeof lead || memcmp(line.p, lead, sizeof lead - 1) != 0)
        return E_MALFORMED;
    line = bytes_of(line.p + sizeof lead - 1, line.len - (sizeof lead - 1));

    struct bytes foundation = word(&line);
    if (!is_ice_text(foundation) || !str_copy(c.foundation, sizeof c.foundation, foundation) ||
        !number(&line, 256, &component) || component == 0)
        return E_MALFORMED;
    struct bytes transport = word(&line);
    bool tcp = str_ieq(transport, "tcp");
    if (!tcp && !str_ieq(transport, "udp"))
        return transport.len == 0 ? E_MALFORMED : E_UNSUPPORTED;
    c.tcp = tcp ? CANDIDATE_TCP_ACTIVE : CANDIDATE_UDP;
    if (!number(&line, UINT32_MAX, &priority))
        return E_MALFORMED;
    struct bytes host = word(&line);
    if (!number(&line, UINT16_MAX, &port) || !bytes_eq_str(word(&line), "typ") ||
        !read_type(&c, word(&line)))
        return E_MALFORMED;
    c.component = (uint16_t)component;
    c.priority = (uint32_t)priority;
    int err = read_pairs(&c, line);
    if (err == 0)
        err = read_address(&c, host, (uint16_t)port);
    if (err)
        return err;
    *out = c;
    return 0;
}

size_t candidate_text(const struct candidate *c, char *out, size_t cap)
{
    char ip[ADDR_TEXT_MAX], rip[ADDR_TEXT_MAX], related[ADDR_TEXT_MAX + 24] = "";

    assert(c->addr.family != 0);
    addr_ip_text(&c->addr, ip);
    if (c->related.family != 0) {
        addr_ip_text(&c->related, rip);
        (void)snprintf(related, sizeof related, " raddr %s rport %u", rip, c->related.port);
    }
    int n = snprintf(out, cap, "candidate:%s %u %s %u %s %u typ %s%s%s%s%s%s", c->foundation,
                     c->component, c->tcp == CANDIDATE_UDP ? "udp" : "tcp", c->priority, ip,
                     c->addr.port, type_names[c->type], related,
                     c->tcp == CANDIDATE_UDP ? "" : " tcptype ", tcp_names[c->tcp],
                     c->ufrag[0] ? " ufrag " : "", c->ufrag);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

uint32_t candidate_priority(enum candidate_type type, uint16_t local_pref, uint16_t component)
{
    static const uint8_t preference[] = {
        [CANDIDATE_HOST] = 126,
        [CANDIDATE_SRFLX] = 100,
        [CANDIDATE_PRFLX] = 110,
        [CANDIDATE_RELAY] = 0,
    };

    assert(component >= 1 && component <= 256);
    return ((uint32_t)preference[type] << 24) | ((uint32_t)local_pref << 8) | (256u - component);
}
