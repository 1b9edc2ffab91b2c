#include "crypt/dtls_queue.h"

#include "base/mem.h"

bool dtls_queue_push(struct dtls_queue *q, struct bytes datagram, uint32_t max)
{
    if (q->n >= max || datagram.len == 0)
        return false;
    if (q->item == NULL)
        q->item = mem_array(max, sizeof *q->item);
    if (q->item == NULL)
        return false;
    void *copy = mem_dup(datagram.p, datagram.len);
    if (copy == NULL) {
        if (q->n == 0)
            dtls_queue_fini(q);
        return false;
    }
    q->item[q->n++] = bytes_of(copy, datagram.len);
    return true;
}

struct bytes dtls_queue_pop(struct dtls_queue *q)
{
    struct bytes first = {0};

    if (q->n == 0)
        return first;
    first = q->item[0];
    q->n--;
    memmove(q->item, q->item + 1, q->n * sizeof *q->item);
    if (q->n == 0)
        dtls_queue_fini(q);
    return first;
}

void dtls_queue_fini(struct dtls_queue *q)
{
    for (uint32_t i = 0; i < q->n; i++)
        mem_free((void *)(uintptr_t)q->item[i].p); /* ours: struct bytes is const for borrowers */
    mem_free(q->item);
    *q = (struct dtls_queue){0};
}
