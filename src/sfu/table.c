#include "sfu/table.h"

#include "base/err.h"
#include "base/mem.h"

enum { TABLE_FIRST_CAP = 64 };

void table_init(struct table *t, uint32_t max)
{
    assert(max > 0 && max <= HANDLE_INDEX_MAX);
    *t = (struct table){.max = max};
}

void table_fini(struct table *t)
{
    mem_free(t->at);
    *t = (struct table){0};
}

int table_put(struct table *t, handle h, void *p)
{
    uint32_t i = handle_index(h);

    if (i >= t->max)
        return E_LIMIT;
    if (i >= t->cap) {
        uint32_t cap = t->cap == 0 ? TABLE_FIRST_CAP : t->cap;
        while (cap <= i)
            cap *= 2;
        void **grown = mem_resize(t->at, cap * sizeof *grown);
        if (grown == NULL)
            return E_NOMEM;
        memset(grown + t->cap, 0, (cap - t->cap) * sizeof *grown);
        t->at = grown;
        t->cap = cap;
    }
    if (t->at[i] != NULL)
        return E_EXIST;
    t->at[i] = p;
    t->used_n++;
    return 0;
}

void table_take(struct table *t, handle h)
{
    if (table_find(t, h) == NULL)
        return;
    t->at[handle_index(h)] = NULL;
    t->used_n--;
}
