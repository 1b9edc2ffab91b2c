#include "room/fact.h"

#include "base/mem.h"
#include "room/info.h"
#include "room/pub.h"
#include "wire/pb.h"

static void *keep(struct fact *f, const ProtobufCMessage *m)
{
    return m != NULL ? pb_clone(&f->arena, m) : NULL;
}

static bool copy_room(struct fact *f, struct arena *scratch, const struct room *r)
{
    Livekit__Room *info = info_room(scratch, r);

    if (info == NULL)
        return false;
    if (f->kind == FACT_ROOM_STARTED) /* told late, about the instant of its making */
        info->num_participants = info->num_publishers = 0;
    f->room = keep(f, &info->base);
    return f->room != NULL;
}

static bool copy_member(struct fact *f, struct arena *scratch, const struct member *m)
{
    Livekit__ParticipantInfo *info = info_member(scratch, m);

    if (info != NULL && m->gone) /* its tracks ended just before */
        info->is_publisher = m->was_publisher;
    f->member = info != NULL ? keep(f, &info->base) : NULL;
    return f->member != NULL;
}

static bool copy_track(struct fact *f, const struct pub *p)
{
    Livekit__ParticipantInfo who = LIVEKIT__PARTICIPANT_INFO__INIT;

    who.sid = pb_text(p->member->sid);
    who.identity = p->member->identity;
    f->member = keep(f, &who.base);
    f->track = keep(f, &p->info->base);
    return f->member != NULL && f->track != NULL;
}

static bool fill(struct fact *f, const struct room *r, const struct member *m, const struct pub *p)
{
    struct arena scratch;

    arena_init(&scratch, FACT_BYTES_MAX);
    bool ok = copy_room(f, &scratch, r) && (m == NULL || copy_member(f, &scratch, m)) &&
              (p == NULL || copy_track(f, p));
    arena_fini(&scratch);
    return ok;
}

static void add(struct room *r, enum fact_kind kind, const struct member *m, const struct pub *p)
{
    struct facts *all = &r->house->facts;
    struct fact *f = all->n < FACTS_MAX ? mem_zero(sizeof *f) : NULL;

    if (f == NULL) {
        all->lost++;
        return;
    }
    f->kind = kind;
    f->wall_ms = house_wall_ms(r->house);
    arena_init(&f->arena, FACT_BYTES_MAX);
    if (!fill(f, r, m, p)) {
        fact_free(f);
        all->lost++;
        return;
    }
    if (all->last != NULL)
        all->last->next = f;
    else
        all->first = f;
    all->last = f;
    all->n++;
}

void fact_room_started(struct room *r)
{
    if (!r->house->facts.on || r->told_started)
        return;
    r->told_started = true;
    add(r, FACT_ROOM_STARTED, NULL, NULL);
}

void fact_room_finished(struct room *r)
{
    if (!r->house->facts.on)
        return;
    fact_room_started(r);
    add(r, FACT_ROOM_FINISHED, NULL, NULL);
}

void fact_member(struct member *m, enum fact_kind kind)
{
    assert(kind == FACT_MEMBER_JOINED || kind == FACT_MEMBER_LEFT || kind == FACT_MEMBER_ABORTED);
    if (!m->room->house->facts.on)
        return;
    fact_room_started(m->room);
    add(m->room, kind, m, NULL);
}

void fact_track(struct pub *p, enum fact_kind kind)
{
    assert(kind == FACT_TRACK_PUBLISHED || kind == FACT_TRACK_UNPUBLISHED);
    struct room *r = p->member->room;

    if (!r->house->facts.on)
        return;
    fact_room_started(r);
    add(r, kind, NULL, p);
}

struct fact *fact_take(struct facts *all)
{
    struct fact *f = all->first;

    if (f == NULL)
        return NULL;
    all->first = f->next;
    if (all->first == NULL)
        all->last = NULL;
    all->n--;
    f->next = NULL;
    return f;
}

void fact_free(struct fact *f)
{
    if (f == NULL)
        return;
    arena_fini(&f->arena);
    mem_free(f);
}

void facts_fini(struct facts *all)
{
    struct fact *f;

    while ((f = fact_take(all)) != NULL)
        fact_free(f);
}
