#include "signal/prefer.h"

#include "base/mem.h"

enum { NAME_MAX_BYTES = 1024 }; /* of both together; longer ones are not remembered */

struct prefer_entry {
    struct prefer_entry *next, **back;
    us_t until;
    size_t len;
    char name[];
};

/* "room", NUL, "identity"; 0 when it is too long. */
static size_t name_of(char out[NAME_MAX_BYTES], const char *room, const char *identity)
{
    size_t r = strlen(room) + 1, i = strlen(identity);

    if (r + i > NAME_MAX_BYTES)
        return 0;
    memcpy(out, room, r);
    memcpy(out + r, identity, i);
    return r + i;
}

void prefer_init(struct prefer *p, uint64_t seed)
{
    *p = (struct prefer){.end = &p->first};
    map_init(&p->by_name, seed);
}

static void forget(struct prefer *p, struct prefer_entry *e)
{
    if (e == NULL)
        return;
    (void)map_take(&p->by_name, bytes_of(e->name, e->len)); /* it may not have got there */
    *e->back = e->next;
    if (e->next != NULL)
        e->next->back = e->back;
    else
        p->end = e->back;
    p->n--;
    mem_free(e);
}

void prefer_fini(struct prefer *p)
{
    while (p->first != NULL)
        forget(p, p->first);
    map_fini(&p->by_name);
}

void prefer_set(struct prefer *p, const char *room, const char *identity, bool tcp, us_t now)
{
    char name[NAME_MAX_BYTES];
    size_t len = name_of(name, room, identity);

    forget(p, map_find(&p->by_name, bytes_of(name, len)));
    while (p->first != NULL && (p->n == PREFER_MAX || now >= p->first->until))
        forget(p, p->first);
    if (!tcp || len == 0)
        return;
    struct prefer_entry *e = mem_zero(sizeof *e + len);
    if (e == NULL)
        return;
    e->until = now + PREFER_US;
    e->len = len;
    memcpy(e->name, name, len);
    e->back = p->end;
    *p->end = e;
    p->end = &e->next;
    p->n++;
    if (!map_put(&p->by_name, bytes_of(name, len), e))
        forget(p, e);
}

bool prefer_tcp(const struct prefer *p, const char *room, const char *identity, us_t now)
{
    char name[NAME_MAX_BYTES];
    size_t len = name_of(name, room, identity);
    const struct prefer_entry *e = len > 0 ? map_find(&p->by_name, bytes_of(name, len)) : NULL;

    return e != NULL && now < e->until;
}
