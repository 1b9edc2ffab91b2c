/* io/clock.h - the two clocks of the machine, read here and nowhere else. */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include "base/base.h"

/* Monotonic now, and the offset to Unix time. */
struct tick clock_tick(void);
/* Monotonic now alone: half the price. */
us_t clock_now(void);

#endif
