/* sim/clock.h - the clock and the dice of the whole process, for repeatable runs.
 *
 * OpenSSL and usrsctp read the time and draw random numbers behind our back.  clock.c
 * defines gettimeofday(), time(), clock_gettime() and usrsctp's read_random() in this
 * program and gives OpenSSL a random method, so that one seed fixes everything.  For
 * programs in sim/ only; their "random" keys are worth nothing.
 */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include "base/base.h"

/* From here on all dice follow from the seed, and the clock stands at CLOCK_EPOCH_S. */
void clock_begin(uint64_t seed);
/* Virtual time since clock_begin(); never backwards. */
void clock_set(us_t now);
/* Seconds of Unix time at clock_begin(). */
enum { CLOCK_EPOCH_S = 1700000000 };

#endif
