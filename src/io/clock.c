#include "io/clock.h"

#include <time.h>

static us_t read_clock(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts); /* cannot fail for these clocks */
    return (us_t)ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

struct tick clock_tick(void)
{
    us_t now = read_clock(CLOCK_MONOTONIC);

    return (struct tick){.now = now, .wall_off_us = read_clock(CLOCK_REALTIME) - now};
}

us_t clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
