/* signal/prefer.h - who is offered TCP alone the next time.  (livekit-server.md 4.1, preference
 * fallback)
 *
 * A participant whose path over UDP failed while its socket lived, or who asked for it, gets TCP
 * candidates alone when it comes back, by room and identity.  Kept for PREFER_US, at most
 * PREFER_MAX of them: the oldest gives way.  One thread.
 */
#ifndef SIGNAL_PREFER_H
#define SIGNAL_PREFER_H

#include "base/base.h"
#include "base/map.h"

enum {
    PREFER_MAX = 4096,
    PREFER_US = 300 * 1000000, /* LiveKit's */
};

struct prefer_entry;

struct prefer {
    struct map by_name;
    struct prefer_entry *first, **end; /* oldest first */
    uint32_t n;
};

void prefer_init(struct prefer *p, uint64_t seed);
void prefer_fini(struct prefer *p);
/* From now on; a refusal of memory forgets it. */
void prefer_set(struct prefer *p, const char *room, const char *identity, bool tcp, us_t now);
bool prefer_tcp(const struct prefer *p, const char *room, const char *identity, us_t now);

#endif
