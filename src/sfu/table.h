/* sfu/table.h - objects by the index of their handle.
 *
 * Control gives handles out; a shard only looks up.  The owner compares the whole handle with
 * the object's own, which is what makes a stale one find nothing.  Grows by doubling.
 */
#ifndef SFU_TABLE_H
#define SFU_TABLE_H

#include "base/handle.h"

struct table {
    void **at;
    uint32_t cap, max, used_n;
};

void table_init(struct table *t, uint32_t max);
void table_fini(struct table *t);
/* What stands at the handle's index; NULL when nothing does. */
static inline void *table_find(const struct table *t, handle h)
{
    return handle_index(h) < t->cap ? t->at[handle_index(h)] : NULL;
}
/* E_LIMIT, E_NOMEM, E_EXIST when the place is taken. */
MUST_CHECK int table_put(struct table *t, handle h, void *p);
void table_take(struct table *t, handle h);

#endif
