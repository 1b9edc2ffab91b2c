/* room/fact.h - what happened in the house, for those outside who want to hear of it.
 *
 * A fact is a copy of what was true at that moment (descriptions of the room, the member, the
 * track), kept in order until the owner of the house takes it.  Nobody below knows who listens;
 * when nobody does (house_cfg.facts is false) nothing is recorded and nothing is copied.
 *
 * At most FACTS_MAX wait; a fact that finds no place or no memory is counted in `lost`.
 */
#ifndef ROOM_FACT_H
#define ROOM_FACT_H

#include "base/arena.h"
#include "base/base.h"

#include "livekit_models.pb-c.h"

enum {
    FACTS_MAX = 8192,         /* the owner drains once a round; chosen */
    FACT_BYTES_MAX = 4 << 20, /* one fact: metadata of room and member, tracks */
};

enum fact_kind {
    FACT_ROOM_STARTED,
    FACT_ROOM_FINISHED,
    FACT_MEMBER_JOINED,  /* ACTIVE for the first time */
    FACT_MEMBER_LEFT,    /* was ACTIVE */
    FACT_MEMBER_ABORTED, /* left before it was ACTIVE */
    FACT_TRACK_PUBLISHED,
    FACT_TRACK_UNPUBLISHED,
};

struct fact {
    struct fact *next;
    enum fact_kind kind;
    int64_t wall_ms;
    struct arena arena;
    Livekit__Room *room;
    Livekit__ParticipantInfo *member; /* NULL in facts of a room; sid and identity in a track's */
    Livekit__TrackInfo *track;        /* NULL unless of a track */
};

struct facts {
    bool on;
    struct fact *first, *last;
    uint32_t n;
    uint64_t lost;
};

struct room;
struct member;
struct pub;

/* A room's beginning is told before anything else of it, at the latest by its first tick. */
void fact_room_started(struct room *r);
void fact_room_finished(struct room *r);
void fact_member(struct member *m, enum fact_kind kind);
void fact_track(struct pub *p, enum fact_kind kind);

/* The oldest; the caller frees it.  NULL when there is none. */
struct fact *fact_take(struct facts *f);
void fact_free(struct fact *f);
void facts_fini(struct facts *f);

#endif
