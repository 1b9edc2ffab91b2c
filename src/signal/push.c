#include "signal/push.h"

#include "base/mem.h"
#include "signal/response.h"
#include "wire/pb.h"

#include <math.h>

/* ---- members ---- */

static bool is_due(const struct room *r, const struct member *m, us_t now, us_t *next)
{
    if (m->news == NEWS_NONE)
        return false;
    if (m->news == NEWS_NOW || member_is_publisher(m) || r->member_n <= PUSH_PROMPT_MEMBERS ||
        now >= r->batch_at)
        return true;
    *next = us_min(*next, r->batch_at);
    return false;
}

/* Who publishes is told before its media arrives, which can be before it is ACTIVE: clients drop
 * a track of somebody they have not heard of. */
static bool is_visible(const struct member *m)
{
    return !m->grant.hidden && (m->announced || member_is_publisher(m) ||
                                m->state >= LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE);
}

/* Everybody hears of the same members; who is hidden hears of itself alone. */
static void tell_members(struct room *r, Livekit__ParticipantInfo **list, size_t n)
{
    Livekit__SignalResponse msg = LIVEKIT__SIGNAL_RESPONSE__INIT;
    Livekit__ParticipantUpdate u = LIVEKIT__PARTICIPANT_UPDATE__INIT;
    size_t from = 0;

    msg.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_UPDATE;
    msg.update = &u;
    while (from < n) {
        size_t to = from, bytes = 0;
        do {
            bytes += pb_size(&list[to++]->base);
        } while (to < n && bytes + pb_size(&list[to]->base) <= RESPONSE_CHUNK_MAX);
        u.participants = list + from;
        u.n_participants = to - from;
        struct response_shared sh = {.message = &msg};
        for (uint32_t i = 0; i < r->member_n; i++)
            if (r->member[i]->session != NULL)
                response_send_shared(r->member[i]->session, &sh);
        response_shared_fini(&sh);
        from = to;
    }
}

static us_t push_members(struct room *r, us_t now)
{
    Livekit__ParticipantInfo **list;
    struct arena a;
    uint32_t most = r->member_n;
    size_t n = 0;
    us_t next = US_NEVER;

    for (const struct member *m = r->left; m != NULL; m = m->next_left)
        most++;
    arena_init(&a, RESPONSE_BYTES_MAX);
    list = arena_array(&a, most + 1, sizeof *list);
    for (struct member *m = r->left; list != NULL && m != NULL; m = m->next_left)
        if (m->announced && !m->grant.hidden && (list[n] = info_member(&a, m)) != NULL)
            n++;
    for (uint32_t i = 0; list != NULL && i < r->member_n; i++) {
        struct member *m = r->member[i];
        if (!is_due(r, m, now, &next))
            continue;
        m->news = NEWS_NONE;
        if (m->grant.hidden && m->session != NULL) {
            Livekit__ParticipantInfo *self = info_member(&a, m);
            if (self != NULL)
                response_update(m->session, &self, 1);
        }
        if (!is_visible(m) || (list[n] = info_member(&a, m)) == NULL)
            continue;
        m->announced = true;
        n++;
    }
    tell_members(r, list, n);
    arena_fini(&a);
    if (now >= r->batch_at)
        r->batch_at = now + PUSH_BATCH_US;
    return next;
}

/* ---- the room ---- */

static us_t push_state(struct room *r, us_t now)
{
    bool recording = room_recording(r);

    r->news |= recording != r->told_recording;
    if (r->counts_news && now >= r->counts_at) {
        uint32_t members = room_count(r), publishers = room_publishers(r);
        r->news |= members != r->told_members || publishers != r->told_publishers;
        r->counts_news = false;
        r->counts_at = now + PUSH_COUNTS_US;
    }
    if (r->news) {
        r->news = false;
        r->told_members = room_count(r);
        r->told_publishers = room_publishers(r);
        r->told_recording = recording;
        for (uint32_t i = 0; i < r->member_n; i++)
            if (r->member[i]->session != NULL &&
                r->member[i]->state != LIVEKIT__PARTICIPANT_INFO__STATE__JOINING)
                response_room(r->member[i]->session);
    }
    return r->counts_news ? r->counts_at : US_NEVER;
}

/* ---- speakers ---- */

static float level_of(const struct member *m)
{
    float level = m->speaks_until > m->room->house->tick.now ? 1 : 0;

    for (const struct pub *p = m->pubs; p != NULL; p = p->next)
        if (!p->video && !p->info->muted && p->level > level)
            level = p->level;
    return ceilf(level * 8) / 8; /* steps of an eighth (5.8) */
}

static bool hears(const struct member *m, const struct member *speaker)
{
    for (const struct pub *p = speaker->pubs; p != NULL; p = p->next)
        if (!p->video && sub_find(m, p) != NULL)
            return true;
    return m == speaker;
}

/* When the next simulated speaker falls silent. */
static us_t simulated_end(struct room *r, us_t now)
{
    us_t next = US_NEVER;

    for (uint32_t i = 0; i < r->member_n; i++)
        if (r->member[i]->speaks_until > now)
            next = us_min(next, r->member[i]->speaks_until);
    r->speakers_dirty = next != US_NEVER;
    return next;
}

static us_t push_speakers(struct room *r, us_t now)
{
    Livekit__SpeakerInfo **all, **list;
    const struct member **who;
    struct arena a;
    uint32_t n = 0;

    if (!r->speakers_dirty)
        return US_NEVER;
    if (now < r->speakers_at)
        return r->speakers_at;
    r->speakers_dirty = false;
    r->speakers_at = now + PUSH_SPEAKERS_US;
    arena_init(&a, RESPONSE_BYTES_MAX);
    all = arena_array(&a, r->member_n + 1, sizeof *all);
    list = arena_array(&a, r->member_n + 1, sizeof *list);
    who = arena_array(&a, r->member_n + 1, sizeof *who);
    for (uint32_t i = 0; all != NULL && list != NULL && who != NULL && i < r->member_n; i++) {
        struct member *m = r->member[i];
        float level = level_of(m);
        if (level == m->told_level ||
            (all[n] = pb_new(&a, &livekit__speaker_info__descriptor)) == NULL)
            continue;
        m->told_level = level;
        all[n]->sid = m->sid;
        all[n]->level = level;
        all[n]->active = level > 0;
        who[n++] = m;
    }
    for (uint32_t i = 0; n > 0 && i < r->member_n; i++) {
        Livekit__SignalResponse msg = LIVEKIT__SIGNAL_RESPONSE__INIT;
        Livekit__SpeakersChanged changed = LIVEKIT__SPEAKERS_CHANGED__INIT;
        struct member *m = r->member[i];
        changed.speakers = list;
        for (uint32_t k = 0; k < n; k++)
            if (hears(m, who[k]))
                list[changed.n_speakers++] = all[k];
        msg.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SPEAKERS_CHANGED;
        msg.speakers_changed = &changed;
        if (changed.n_speakers > 0 && m->session != NULL)
            response_send(m->session, &msg);
    }
    arena_fini(&a);
    return simulated_end(r, now);
}

/* ---- connection quality ---- */

/* Of one window: delay and loss, as 5.9 weighs them. */
static float score(uint64_t packets, uint64_t lost, uint32_t jitter_us, uint32_t rtt_us,
                   float loss_weight)
{
    float delay_ms = (float)rtt_us / 2000 + 2 * (float)jitter_us / 1000;
    float delay = delay_ms <= 160 ? delay_ms / 40 : (delay_ms - 120) / 10;
    float all = (float)(packets + lost);
    float loss = all > 0 ? 100 * (float)lost / all * loss_weight : 0;
    float s = 100 - delay - loss;

    return s < 30 ? 30 : s;
}

static float pub_score(struct pub *p)
{
    const struct evt_track_stats *a = &p->stats_before, *b = &p->stats;
    float s = 100;

    if (p->stats_fresh && !p->info->muted)
        s = score(b->packets - a->packets, b->lost > a->lost ? b->lost - a->lost : 0, b->jitter_us,
                  b->rtt_us, p->video ? 10 : 4);
    p->stats_before = p->stats;
    p->stats_fresh = false;
    return s;
}

static float sub_score(struct sub *u)
{
    const struct evt_sub_stats *a = &u->stats_before, *b = &u->stats;
    float s = 100;

    if (u->stats_fresh && !u->disabled)
        s = score(b->packets - a->packets, b->lost > a->lost ? b->lost - a->lost : 0, b->jitter_us,
                  b->rtt_us, u->pub->video ? 10 : 4);
    u->stats_before = u->stats;
    u->stats_fresh = false;
    return s;
}

static bool measure(struct member *m)
{
    float s = 100;

    for (struct pub *p = m->pubs; p != NULL; p = p->next)
        if (p->state == PUB_LIVE)
            s = fminf(s, pub_score(p));
    for (struct sub *u = m->subs; u != NULL; u = u->next_of_member)
        if (u->state == SUB_ATTACHED)
            s = fminf(s, sub_score(u));
    Livekit__ConnectionQuality q = s > 80   ? LIVEKIT__CONNECTION_QUALITY__EXCELLENT
                                   : s > 40 ? LIVEKIT__CONNECTION_QUALITY__GOOD
                                            : LIVEKIT__CONNECTION_QUALITY__POOR;
    bool news = q != m->quality || !m->quality_told;
    m->quality = q;
    m->score = 1 + 0.035f * s + 7e-6f * s * (s - 60) * (100 - s); /* MOS (5.9) */
    m->quality_told = true;
    return news;
}

static bool subscribes_to(const struct member *m, const struct member *other)
{
    for (const struct pub *p = other->pubs; p != NULL; p = p->next)
        if (sub_find(m, p) != NULL)
            return true;
    return false;
}

static void tell_quality(struct room *r, struct member *m, Livekit__ConnectionQualityInfo **all,
                         Livekit__ConnectionQualityInfo **list)
{
    Livekit__SignalResponse msg = LIVEKIT__SIGNAL_RESPONSE__INIT;
    Livekit__ConnectionQualityUpdate u = LIVEKIT__CONNECTION_QUALITY_UPDATE__INIT;

    if (m->session == NULL || m->state != LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE)
        return;
    u.updates = list;
    for (uint32_t i = 0; i < r->member_n; i++)
        if (all[i] != NULL && (r->member[i] == m || subscribes_to(m, r->member[i])))
            list[u.n_updates++] = all[i];
    msg.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_CONNECTION_QUALITY;
    msg.connection_quality = &u;
    if (u.n_updates > 0)
        response_send(m->session, &msg);
}

static us_t push_quality(struct room *r, us_t now)
{
    Livekit__ConnectionQualityInfo **all, **list;
    struct arena a;
    bool news = false;

    if (r->member_n == 0)
        return US_NEVER;
    if (now < r->quality_at)
        return r->quality_at;
    r->quality_at = now + PUSH_QUALITY_US;
    for (uint32_t i = 0; i < r->member_n; i++)
        if (r->member[i]->state == LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE)
            news |= measure(r->member[i]);
    if (!news)
        return r->quality_at;
    arena_init(&a, RESPONSE_BYTES_MAX);
    all = arena_array(&a, r->member_n, sizeof *all);
    list = arena_array(&a, r->member_n, sizeof *list);
    for (uint32_t i = 0; all != NULL && list != NULL && i < r->member_n; i++) {
        struct member *m = r->member[i];
        if (m->state != LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE ||
            (all[i] = pb_new(&a, &livekit__connection_quality_info__descriptor)) == NULL)
            continue;
        all[i]->participant_sid = m->sid;
        all[i]->quality = m->quality;
        all[i]->score = m->score;
    }
    for (uint32_t i = 0; all != NULL && list != NULL && i < r->member_n; i++)
        tell_quality(r, r->member[i], all, list);
    arena_fini(&a);
    return r->quality_at;
}

us_t push_room(struct hub *hub, struct room *r)
{
    us_t now = hub->house.tick.now;
    us_t next = push_members(r, now);

    next = us_min(next, push_state(r, now));
    next = us_min(next, push_speakers(r, now));
    return us_min(next, push_quality(r, now));
}

void push_departed(struct session *s)
{
    Livekit__ParticipantInfo *list[ROOM_DEPARTED_MAX];
    Livekit__ParticipantInfo info[ROOM_DEPARTED_MAX];
    struct room *r = s->member->room;
    size_t n = 0;

    for (uint32_t i = 0; i < ROOM_DEPARTED_MAX && i < r->departed_n; i++) {
        struct departed *d = &r->departed[i];
        if (d->at + US_PER_SEC < s->lost_at) /* a little overlap: told twice does no harm */
            continue;
        livekit__participant_info__init(&info[n]);
        info[n].sid = d->sid;
        info[n].identity = d->identity;
        info[n].state = LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED;
        info[n].disconnect_reason = d->reason;
        info[n].version = d->version;
        list[n] = &info[n];
        n++;
    }
    response_update(s, list, n);
}
