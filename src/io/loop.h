/* io/loop.h - one thread's event loop.
 *
 * File descriptors, one alarm, wake-ups from other threads and signals, over libuv.  After
 * each burst of work the loop calls its owner's *round* once: there the owner drains its
 * machines and sets the alarm to their earliest deadline.  The alarm is an absolute timerfd,
 * since a uv_timer rounds to milliseconds.
 *
 * One thread a loop; only loop_wake() may be called from others.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "base/addr.h"
#include "base/base.h"

struct loop;
struct loop_watch;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_FOUND_MAX = 8 };

typedef void loop_fn(void *owner);
typedef void loop_ready_fn(void *owner, unsigned events); /* LOOP_READ | LOOP_WRITE */

MUST_CHECK int loop_open(struct loop **ret);
void loop_free(struct loop *l);
/* Called after every burst of events, and once at the start of loop_run(). */
void loop_set_round(struct loop *l, loop_fn *round, void *owner);
/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Reads the clock. */
struct tick loop_tick(struct loop *l);
/* Every reading sets the clock of base/log too: for the thread that writes the lines. */
void loop_tell_log(struct loop *l);
/* Run a round at this instant at the latest; US_NEVER: only when something happens. */
void loop_alarm(struct loop *l, us_t at);

/* Any thread: run a round soon. */
void loop_wake(struct loop *l);

MUST_CHECK int loop_watch(struct loop *l, struct loop_watch **ret, int fd, unsigned events,
                          loop_ready_fn *ready, void *owner);
void loop_watch_set(struct loop_watch *w, unsigned events);
/* NULL allowed.  The descriptor may be closed at once. */
void loop_unwatch(struct loop_watch *w);

/* Addresses of a name, looked up on another thread: `found` is called once, from the loop, with at
 * most LOOP_FOUND_MAX of them, or an error.  Not called any more after loop_forget(). */
struct loop_lookup;
typedef void loop_found_fn(void *owner, int err, const struct addr *addr, uint32_t n);
MUST_CHECK int loop_lookup(struct loop *l, struct loop_lookup **ret, const char *host,
                           uint16_t port, loop_found_fn *found, void *owner);
void loop_forget(struct loop_lookup *k); /* before it has called only; NULL allowed */

/* The signal runs `fn` on the loop's thread. */
MUST_CHECK int loop_signal(struct loop *l, int signum, loop_fn *fn, void *owner);

#endif
