/* sfu/paths.h - which peer does a remote address belong to?
 *
 * Open addressing over plain addresses, seeded so that a stranger cannot choose
 * collisions, without tombstones.  An address enters only after its sender
 * authenticated.  Bounded: when full, newcomers are refused and found by their
 * ufrag on each check instead.  One thread; allocates when it doubles.
 */
#ifndef SFU_PATHS_H
#define SFU_PATHS_H

#include "base/addr.h"
#include "base/base.h"

#define PATHS_NONE UINT32_MAX

struct paths_slot {
    struct addr addr; /* family 0: empty */
    uint32_t owner;
};

struct paths {
    struct paths_slot *slot;
    uint32_t cap, used, max; /* cap: a power of two or 0 */
    uint64_t seed;
};

void paths_init(struct paths *p, uint32_t max, uint64_t seed);
void paths_fini(struct paths *p);

/* PATHS_NONE when unknown.  Hot: once per datagram. */
uint32_t paths_find(const struct paths *p, const struct addr *a);
/* Insert or change owner.  False at the ceiling or when the heap refuses. */
bool paths_put(struct paths *p, const struct addr *a, uint32_t owner);
/* Removes only while `owner` still has it. */
void paths_remove(struct paths *p, const struct addr *a, uint32_t owner);

#endif
