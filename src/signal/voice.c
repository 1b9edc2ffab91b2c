#include "signal/voice.h"

#include "base/mem.h"
#include "wire/pb.h"

struct voice_item {
    struct voice_item *next;
    struct arena arena;
    const Livekit__SignalResponse *message;
};

void voice_init(struct voice *v, struct voice_list *list, uint64_t wants, void *owner)
{
    *v = (struct voice){.wants = wants, .owner = owner, .list = list};
}

static void item_free(struct voice_item *it)
{
    if (it == NULL)
        return;
    arena_fini(&it->arena);
    mem_free(it);
}

static void unlist(struct voice *v)
{
    struct voice **at = &v->list->first;

    while (*at != v)
        at = &(*at)->next_ready;
    *at = v->next_ready;
    v->next_ready = NULL;
    v->ready = false;
}

void voice_fini(struct voice *v)
{
    if (v->ready)
        unlist(v);
    while (voice_next(v) != NULL)
        ;
}

static void make_ready(struct voice *v)
{
    if (v->ready)
        return;
    v->ready = true;
    v->next_ready = v->list->first;
    v->list->first = v;
}

bool voice_say(struct voice *v, const Livekit__SignalResponse *m)
{
    uint64_t bit = (uint64_t)1 << ((unsigned)m->message_case & 63);

    v->heard |= bit;
    make_ready(v);
    if ((v->wants & bit) == 0)
        return true;
    if (v->n >= VOICE_MESSAGES_MAX)
        return false;
    struct voice_item *it = mem_zero(sizeof *it);
    if (it == NULL)
        return false;
    arena_init(&it->arena, VOICE_MESSAGE_BYTES_MAX);
    it->message = pb_clone(&it->arena, &m->base);
    if (it->message == NULL) {
        item_free(it);
        return false;
    }
    if (v->last != NULL)
        v->last->next = it;
    else
        v->first = it;
    v->last = it;
    v->n++;
    return true;
}

void voice_end(struct voice *v)
{
    v->over = true;
    make_ready(v);
}

const Livekit__SignalResponse *voice_next(struct voice *v)
{
    item_free(v->lent);
    v->lent = v->first;
    if (v->first == NULL)
        return NULL;
    v->first = v->lent->next;
    if (v->first == NULL)
        v->last = NULL;
    v->n--;
    return v->lent->message;
}

struct voice *voice_ready(struct voice_list *list)
{
    struct voice *v = list->first;

    if (v == NULL)
        return NULL;
    list->first = v->next_ready;
    v->next_ready = NULL;
    v->ready = false;
    return v;
}
