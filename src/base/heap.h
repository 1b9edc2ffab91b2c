/* base/heap.h - deadlines in order, one entry per owner.
 *
 * An intrusive binary heap: the node sits in the owner and knows
 * its place, so moving a deadline is O(log n) and needs no allocation beyond
 * the array of pointers.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/base.h"

struct heap_node {
    us_t at;
    uint32_t place; /* index + 1 in the heap; 0 while outside */
};

struct heap {
    struct heap_node **node;
    uint32_t n, cap;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h);

/* Insert, or move when inside already; US_NEVER removes.  False when the heap
 * memory refuses (only possible on insertion). */
MUST_CHECK bool heap_set(struct heap *h, struct heap_node *node, us_t at);
void heap_remove(struct heap *h, struct heap_node *node);
/* The earliest node, or NULL. */
struct heap_node *heap_first(const struct heap *h);
us_t heap_deadline(const struct heap *h);

#endif
