/* sim/mail.h - an ordered queue on virtual time: a ring between threads, or a TCP stream.
 *
 * What is put comes out in the same order, each not before its time.  Letters are heap blocks,
 * so that an empty queue holds none.  One thread.
 */
#ifndef SIM_MAIL_H
#define SIM_MAIL_H

#include "base/base.h"

struct letter {
    struct letter *next;
    us_t at;
    uint64_t tag;
    uint32_t kind, len;
    uint8_t data[];
};

struct mail {
    struct letter *first, *last;
    uint32_t n;
};

void mail_put(struct mail *m, us_t at, uint32_t kind, uint64_t tag, struct bytes data);
/* The first letter when it is due, now the caller's (mem_free); NULL. */
struct letter *mail_take(struct mail *m, us_t now);
us_t mail_deadline(const struct mail *m);
void mail_fini(struct mail *m);

#endif
