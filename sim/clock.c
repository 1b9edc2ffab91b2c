#include "sim/clock.h"

#include <openssl/rand.h>
#include <sys/time.h>
#include <time.h>

/* The exception to "no state outside the world": what the C library and usrsctp offer no other
 * way to replace. */
static us_t virtual_us;
static struct rng dice;

int read_random(void *buf, size_t size); /* usrsctp's, exported by its shared library */

int gettimeofday(struct timeval *restrict tv, void *restrict zone UNUSED)
{
    tv->tv_sec = CLOCK_EPOCH_S + virtual_us / US_PER_SEC;
    tv->tv_usec = virtual_us % US_PER_SEC;
    return 0;
}

time_t time(time_t *out)
{
    time_t t = CLOCK_EPOCH_S + virtual_us / US_PER_SEC;

    if (out != NULL)
        *out = t;
    return t;
}

int clock_gettime(clockid_t id UNUSED, struct timespec *ts)
{
    ts->tv_sec = CLOCK_EPOCH_S + virtual_us / US_PER_SEC;
    ts->tv_nsec = virtual_us % US_PER_SEC * 1000;
    return 0;
}

int read_random(void *buf, size_t size)
{
    rng_fill(&dice, buf, size);
    return (int)size;
}

static int draw(unsigned char *out, int n)
{
    rng_fill(&dice, out, (size_t)n);
    return 1;
}

static int ready(void)
{
    return 1;
}

void clock_begin(uint64_t seed)
{
    static const RAND_METHOD method = {.bytes = draw, .pseudorand = draw, .status = ready};

    dice = rng_seed(seed);
    virtual_us = 0;
    /* Deprecated since OpenSSL 3.0 and still obeyed; a provider of our own would be 200 lines. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    (void)RAND_set_rand_method(&method); /* always 1 */
#pragma GCC diagnostic pop
}

void clock_set(us_t now)
{
    assert(now >= virtual_us);
    virtual_us = now;
}
