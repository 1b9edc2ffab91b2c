#include "base/heap.h"

#include "base/mem.h"

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_fini(struct heap *h)
{
    mem_free(h->node);
    heap_init(h);
}

static void seat(struct heap *h, struct heap_node *node, uint32_t at)
{
    h->node[at] = node;
    node->place = at + 1;
}

static void sift_up(struct heap *h, uint32_t at)
{
    struct heap_node *node = h->node[at];

    while (at > 0 && h->node[(at - 1) / 2]->at > node->at) {
        seat(h, h->node[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    seat(h, node, at);
}

static void sift_down(struct heap *h, uint32_t at)
{
    struct heap_node *node = h->node[at];

    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->node[child + 1]->at < h->node[child]->at)
            child++;
        if (h->node[child]->at >= node->at)
            break;
        seat(h, h->node[child], at);
        at = child;
    }
    seat(h, node, at);
}

bool heap_set(struct heap *h, struct heap_node *node, us_t at)
{
    if (at == US_NEVER) {
        heap_remove(h, node);
        return true;
    }
    if (node->place == 0) {
        if (h->n == h->cap) {
            uint32_t cap = h->cap == 0 ? 32 : h->cap * 2;
            struct heap_node **grown = mem_resize(h->node, cap * sizeof *grown);
            if (grown == NULL)
                return false;
            h->node = grown;
            h->cap = cap;
        }
        seat(h, node, h->n++);
    }
    node->at = at;
    sift_up(h, node->place - 1);
    sift_down(h, node->place - 1);
    return true;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (node->place == 0)
        return;
    uint32_t at = node->place - 1;
    struct heap_node *last = h->node[--h->n];
    node->place = 0;
    if (last == node)
        return;
    seat(h, last, at);
    sift_up(h, at);
    sift_down(h, last->place - 1);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->n > 0 ? h->node[0] : NULL;
}

us_t heap_deadline(const struct heap *h)
{
    return h->n > 0 ? h->node[0]->at : US_NEVER;
}
