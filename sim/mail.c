#include "sim/mail.h"

#include "base/mem.h"

void mail_put(struct mail *m, us_t at, uint32_t kind, uint64_t tag, struct bytes data)
{
    struct letter *l = mem_zero(sizeof *l + data.len);

    assert(l != NULL); /* a simulation has the memory it needs */
    l->at = m->last != NULL ? us_max(at, m->last->at) : at;
    l->kind = kind;
    l->tag = tag;
    l->len = (uint32_t)data.len;
    if (data.len > 0)
        memcpy(l->data, data.p, data.len);
    if (m->last != NULL)
        m->last->next = l;
    else
        m->first = l;
    m->last = l;
    m->n++;
}

struct letter *mail_take(struct mail *m, us_t now)
{
    struct letter *l = m->first;

    if (l == NULL || l->at > now)
        return NULL;
    m->first = l->next;
    if (m->first == NULL)
        m->last = NULL;
    m->n--;
    return l;
}

us_t mail_deadline(const struct mail *m)
{
    return m->first != NULL ? m->first->at : US_NEVER;
}

void mail_fini(struct mail *m)
{
    struct letter *l;

    while ((l = mail_take(m, US_NEVER)) != NULL)
        mem_free(l);
}
