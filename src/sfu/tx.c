#include "sfu/tx.h"

#include "base/err.h"
#include "base/mem.h"

int tx_init(struct tx *tx, uint32_t cap)
{
    assert(cap >= TX_DATAGRAM_MAX);
    *tx = (struct tx){.cap = cap};
    tx->buf = mem_zero(cap);
    tx->train = mem_array(TX_TRAINS_MAX, sizeof *tx->train);
    if (tx->buf == NULL || tx->train == NULL) {
        tx_fini(tx);
        return E_NOMEM;
    }
    return 0;
}

void tx_fini(struct tx *tx)
{
    mem_free(tx->buf);
    mem_free(tx->train);
    *tx = (struct tx){0};
}

void tx_commit(struct tx *tx, const struct path *path, uint32_t len, enum tx_class class)
{
    assert(len > 0 && len <= tx->cap - tx->used);
    assert(tx->train_n < TX_TRAINS_MAX);
    struct tx_train *t = tx->train_n > 0 ? &tx->train[tx->train_n - 1] : NULL;

    if (tx->open && len <= t->seg && t->class == class && path_eq(&t->path, path)) {
        t->n++;
        t->len += len;
    } else {
        t = &tx->train[tx->train_n++];
        *t = (struct tx_train){
            .path = *path,
            .bytes = tx->buf + tx->used,
            .len = len,
            .seg = (uint16_t)len,
            .n = 1,
            .class = (uint8_t) class,
        };
    }
    tx->used += len;
    tx->packets++;
    tx->bytes += len;
    /* Only the last segment may be short; a framed TCP path takes one at a time. */
    tx->open = len == t->seg && t->n < TX_SEGMENTS_MAX && path->remote.tcp == 0;
}

void tx_clear(struct tx *tx)
{
    tx->used = 0;
    tx->train_n = 0;
    tx->open = false;
}
