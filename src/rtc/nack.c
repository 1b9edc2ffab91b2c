#include "rtc/nack.h"

enum { RTT_UNKNOWN_US = 100000 };

void nack_init(struct nack *n)
{
    *n = (struct nack){0};
}

static void drop_oldest(struct nack *n, unsigned count)
{
    assert(count <= n->missing_n);
    n->missing_n = (uint16_t)(n->missing_n - count);
    memmove(n->missing, n->missing + count, n->missing_n * sizeof n->missing[0]);
}

/* Everything between the newest so far and `seq` is missing. */
static void open_gap(struct nack *n, uint16_t seq, us_t now)
{
    unsigned gap = (uint16_t)(seq - n->newest - 1);
    unsigned keep = u32_min(gap, NACK_MISSING_MAX);

    n->given_up_n += gap - keep;
    if (n->missing_n + keep > NACK_MISSING_MAX) {
        unsigned excess = n->missing_n + keep - NACK_MISSING_MAX;
        n->given_up_n += excess;
        drop_oldest(n, excess);
    }
    for (unsigned i = keep; i > 0; i--) {
        n->missing[n->missing_n++] = (struct nack_item){
            .seq = (uint16_t)(seq - i),
            .ask_at = now + NACK_FIRST_US,
        };
    }
}

enum nack_seen nack_seen(struct nack *n, uint16_t seq, us_t now)
{
    if (!n->started) {
        n->started = true;
        n->newest = seq;
        return NACK_SEEN_NEW;
    }
    if ((int16_t)(uint16_t)(seq - n->newest) > 0) {
        open_gap(n, seq, now);
        n->newest = seq;
        return NACK_SEEN_NEW;
    }
    for (unsigned i = 0; i < n->missing_n; i++) {
        if (n->missing[i].seq != seq)
            continue;
        n->missing_n--;
        memmove(n->missing + i, n->missing + i + 1, (n->missing_n - i) * sizeof n->missing[0]);
        return NACK_SEEN_RECOVERED;
    }
    return NACK_SEEN_OLD;
}

static us_t interval(us_t rtt_us, unsigned tries)
{
    us_t gap = rtt_us > 0 ? us_min(rtt_us, NACK_INTERVAL_MAX_US) : RTT_UNKNOWN_US;

    for (unsigned i = 0; i < tries; i++)
        gap += gap / 4;
    return us_clamp(gap, NACK_INTERVAL_MIN_US, NACK_INTERVAL_MAX_US);
}

unsigned nack_due(struct nack *n, us_t now, us_t rtt_us, uint16_t *seq, unsigned max)
{
    unsigned out = 0, kept = 0;

    for (unsigned i = 0; i < n->missing_n; i++) {
        struct nack_item it = n->missing[i];
        if (now >= it.ask_at) {
            if (it.tries == NACK_TRIES_MAX) {
                n->given_up_n++;
                continue;
            }
            if (out < max) {
                seq[out++] = it.seq;
                it.ask_at = now + interval(rtt_us, it.tries);
                it.tries++;
                n->asked_n++;
            }
        }
        n->missing[kept++] = it;
    }
    n->missing_n = (uint16_t)kept;
    return out;
}

us_t nack_deadline(const struct nack *n)
{
    us_t at = US_NEVER;

    for (unsigned i = 0; i < n->missing_n; i++)
        at = us_min(at, n->missing[i].ask_at);
    return at;
}
