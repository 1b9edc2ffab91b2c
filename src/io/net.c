#include "io/net.h"

#include "base/str.h"

#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void net_addr_from(const struct sockaddr_storage *in, struct addr *out)
{
    memset(out, 0, sizeof *out);
    if (in->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)in;
        addr_set_ip4(out, (const uint8_t *)&v4->sin_addr, ntohs(v4->sin_port));
    } else if (in->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)in;
        addr_set_ip6(out, (const uint8_t *)&v6->sin6_addr, ntohs(v6->sin6_port));
    }
}

socklen_t net_addr_to(const struct addr *in, struct sockaddr_storage *out)
{
    if (in->family == 4) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(in->port)};
        memcpy(&v4.sin_addr, in->ip, 4);
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(in->port)};
    memcpy(&v6.sin6_addr, in->ip, 16);
    memcpy(out, &v6, sizeof v6);
    return sizeof v6;
}

static bool is_link_local(const struct addr *a)
{
    if (a->family == 4)
        return a->ip[0] == 169 && a->ip[1] == 254;
    return a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

bool net_peer(int fd, struct addr *out)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof name;

    if (getpeername(fd, (struct sockaddr *)&name, &len) < 0)
        return false;
    net_addr_from(&name, out);
    return true;
}

uint32_t net_interfaces(struct net_interface *out, uint32_t max)
{
    struct ifaddrs *list, *i;
    uint32_t n = 0;

    if (getifaddrs(&list) < 0)
        return 0;
    for (i = list; i != NULL && n < max; i = i->ifa_next) {
        struct sockaddr_storage name = {0};
        if (i->ifa_addr == NULL || !(i->ifa_flags & IFF_UP))
            continue;
        int family = i->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6)
            continue;
        memcpy(&name, i->ifa_addr,
               family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        struct net_interface *o = &out[n++];
        memset(o, 0, sizeof *o);
        (void)str_copy(o->name, sizeof o->name, bytes_str(i->ifa_name)); /* IFNAMSIZ fits */
        net_addr_from(&name, &o->addr);
        o->addr.port = 0;
        o->loopback = (i->ifa_flags & IFF_LOOPBACK) != 0;
        o->link_local = is_link_local(&o->addr);
    }
    freeifaddrs(list);
    return n;
}

/* The inode of the socket bound to `port`, from one of /proc/net's tables; 0: none. */
static unsigned long inode_of(const char *table, uint16_t port, bool udp)
{
    char line[512];
    unsigned long found = 0;
    FILE *f = fopen(table, "re");

    if (f == NULL)
        return 0;
    while (found == 0 && fgets(line, sizeof line, f) != NULL) {
        unsigned local_port, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", &local_port,
                   &state, &inode) != 3)
            continue;
        if (local_port == port && (udp || state == 10)) /* TCP_LISTEN */
            found = inode;
    }
    (void)fclose(f); /* read only */
    return found;
}

static bool holds(const char *pid, unsigned long inode)
{
    char dir[64], path[384], target[64], want[64];
    bool found = false;

    (void)snprintf(want, sizeof want, "socket:[%lu]", inode);
    (void)snprintf(dir, sizeof dir, "/proc/%.20s/fd", pid);
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && !found && (e = readdir(d)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            found = strcmp(target, want) == 0;
        }
    }
    if (d != NULL)
        closedir(d);
    return found;
}

void net_port_owner(uint16_t port, bool udp, char *out, size_t cap)
{
    unsigned long inode = inode_of(udp ? "/proc/net/udp" : "/proc/net/tcp", port, udp);
    char path[64], name[64] = "";

    out[0] = '\0';
    if (inode == 0)
        inode = inode_of(udp ? "/proc/net/udp6" : "/proc/net/tcp6", port, udp);
    if (inode == 0)
        return;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] < '0' || e->d_name[0] > '9' || !holds(e->d_name, inode))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%.20s/comm", e->d_name);
        FILE *f = fopen(path, "re");
        if (f != NULL && fgets(name, sizeof name, f) != NULL)
            name[strcspn(name, "\n")] = '\0';
        if (f != NULL)
            (void)fclose(f); /* read only */
        (void)snprintf(out, cap, "%.40s (pid %.20s)", name, e->d_name);
        break;
    }
    if (d != NULL)
        closedir(d);
}
