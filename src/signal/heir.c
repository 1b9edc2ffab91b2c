#include "signal/heir.h"

#include "signal/hub.h"
#include "signal/transport.h"

void heir_begin(struct session *s)
{
    for (struct pub *p = s->member->pubs; p != NULL; p = p->next)
        p->adrift = p->state == PUB_LIVE;
    s->replaced = transport_renew(&s->pc[PC_PUBLISHER]);
}

struct pub *heir_find(const struct session *s, bool video)
{
    for (struct pub *p = s->member->pubs; p != NULL; p = p->next)
        if (p->adrift && p->video == video)
            return p;
    return NULL;
}

bool heir_carry_on(struct section *sec, struct pub *p, const struct pub_media *media,
                   struct pub *announced)
{
    if (!pub_may_move(p, media) || pub_move(p, media) != 0)
        return false;
    p->adrift = false;
    (void)str_copy(sec->pub, sizeof sec->pub, bytes_str(p->info->sid)); /* ours is short */
    if (announced != NULL && announced->state == PUB_PENDING)
        pub_end(announced);
    return true;
}

void heir_settle(struct session *s)
{
    struct pub *after;

    for (struct pub *p = s->member->pubs; p != NULL; p = after) {
        after = p->next;
        if (p->adrift)
            pub_end(p);
    }
    plane_close(&s->hub->house.plane, PLANE_PEER, s->replaced);
    s->replaced = 0;
}
