/* io/net.h - addresses of the operating system: conversion, interfaces, who holds a port.
 *
 * Start-up and command-line use; only the conversions are for hot paths.
 */
#ifndef IO_NET_H
#define IO_NET_H

#include "base/addr.h"
#include "base/base.h"

#include <sys/socket.h>

enum { NET_INTERFACES_MAX = 64, NET_NAME_MAX = 32 };

struct net_interface {
    char name[NET_NAME_MAX];
    struct addr addr; /* port 0 */
    bool loopback, link_local;
};

void net_addr_from(const struct sockaddr_storage *in, struct addr *out);
socklen_t net_addr_to(const struct addr *in, struct sockaddr_storage *out);

/* The other end of a connection. */
MUST_CHECK bool net_peer(int fd, struct addr *out);

/* Addresses of the interfaces that are up; returns how many. */
uint32_t net_interfaces(struct net_interface *out, uint32_t max);

/* "sluice (pid 123)" for the process that listens on a port, if it can be found; else "". */
void net_port_owner(uint16_t port, bool udp, char *out, size_t cap);

#endif
