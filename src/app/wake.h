/* app/wake.h - waking a thread only when it sleeps.
 *
 * A producer commits to a ring and then knocks; the knock costs one exchange while the
 * reader is awake.  The reader says that it goes to sleep, looks at its rings once
 * more, and only then polls: a record is either seen by that look or its producer saw the flag.
 */
#ifndef APP_WAKE_H
#define APP_WAKE_H

#include "base/base.h"
#include "io/loop.h"

#include <stdatomic.h>

struct wake {
    _Alignas(64) atomic_bool asleep;
    struct loop *loop; /* the reader's */
};

/* Any producer, after its commit.  Three exchanges of one flag order themselves: if this one comes
 * before the reader's in wake_sleep(), that one sees what was committed; if after, it sees true. */
static inline void wake_knock(struct wake *w)
{
    if (atomic_exchange(&w->asleep, false))
        loop_wake(w->loop);
}

/* The reader is about to poll: look at every ring after this. */
static inline void wake_sleep(struct wake *w)
{
    (void)atomic_exchange(&w->asleep, true); /* for its order */
}

static inline void wake_up(struct wake *w)
{
    (void)atomic_exchange(&w->asleep, false); /* for its order */
}

#endif
