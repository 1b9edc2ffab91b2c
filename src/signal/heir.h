/* signal/heir.h - another client takes a publisher's place and goes on with what it published.
 *
 * A sender that comes back after its connection died, or another one with the same key: the
 * publications stay, adrift, until the sections of the newcomer's offer take them over
 * (signal/negotiate asks here), and what is left over then ends.  The old peer ends last, when
 * nothing hangs on it any more.
 */
#ifndef SIGNAL_HEIR_H
#define SIGNAL_HEIR_H

#include "signal/session.h"

/* Begins: the session's publishing connection is as if it had never been opened. */
void heir_begin(struct session *s);
/* A publication that waits for a section of this kind; NULL: none. */
struct pub *heir_find(const struct session *s, bool video);
/* Goes on with this section; `announced` (or NULL) was meant for it and ends unheard of.  False:
 * the section sends something else, and the publication stays adrift. */
bool heir_carry_on(struct section *sec, struct pub *p, const struct pub_media *media,
                   struct pub *announced);
/* The offer was answered, or was not: what is still adrift ends, and the old peer. */
void heir_settle(struct session *s);

#endif
