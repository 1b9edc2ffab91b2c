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

/* Itself and whose sound it subscribes to, as far as they have news. */
static size_t gather_heard(struct member *m, Livekit__SpeakerInfo **all,
                           Livekit__SpeakerInfo **list)
{
    uint64_t mark = ++m->room->house->mark;
    size_t n = 0;

    if (m->row != 0)
        list[n++] = all[m->row - 1];
    m->mark = mark;
    for (const struct sub *u = m->subs; u != NULL; u = u->next_of_member) {
        struct member *of = u->pub->member;
        if (u->pub->video || of->row == 0 || of->mark == mark)
            continue;
        of->mark = mark;
        list[n++] = all[of->row - 1];
    }
    return n;
}

static us_t push_speakers(struct room *r, us_t now)
{
    Livekit__SpeakerInfo **all, **list;
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
    for (uint32_t i = 0; all != NULL && list != NULL && i < r->member_n; i++) {
        struct member *m = r->member[i];
        float level = level_of(m);
        m->row = 0;
        if (level == m->told_level ||
            (all[n] = pb_new(&a, &livekit__speaker_info__descriptor)) == NULL)
            continue;
        m->told_level = level;
        m->row = n + 1;
        all[n]->sid = m->sid;
        all[n]->level = level;
        all[n]->active = level > 0;
        n++;
    }
    for (uint32_t i = 0; n > 0 && i < r->member_n; i++) {
        Livekit__SignalResponse msg = LIVEKIT__SIGNAL_RESPONSE__INIT;
        Livekit__SpeakersChanged changed = LIVEKIT__SPEAKERS_CHANGED__INIT;
        struct member *m = r->member[i];
        changed.speakers = list;
        changed.n_speakers = gather_heard(m, all, list);
        msg.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SPEAKERS_CHANGED;
        msg.speakers_changed = &changed;
        if (changed.n_speakers > 0 && m->session != NULL)
            response_send(m->session, &msg);
    }
    arena_fini(&a);
    return simulated_end(r, now);
}

/* ---- connection quality ---- */

static bool connection_dead(const struct member *m)
{
    return m->session != NULL && m->session->pc[PC_PUBLISHER].peer != 0 &&
           !m->session->pc[PC_PUBLISHER].connected;
}

static void measure_pub(struct pub *p, us_t now)
{
    const struct evt_track_stats *a = &p->stats_before, *b = &p->stats;

    if (p->info->muted) {
        quality_muted(&p->quality);
        p->stats_at = now; /* from here on it counts when the mute ends */
    } else if (p->stats_at > p->stats_before_at) {
        struct quality_window w = {
            .packets = b->packets - a->packets,
            .lost = b->lost > a->lost ? b->lost - a->lost : 0,
            .jitter_us = b->jitter_us,
            .rtt_us = b->rtt_us,
            .span = p->stats_before_at != 0 ? p->stats_at - p->stats_before_at : PUSH_QUALITY_US,
            .loss_weight = quality_loss_weight(
                p->video, codec_of_mime(bytes_str(p->info->mime_type)) == CODEC_RED)};
        quality_update(&p->quality, &w);
    } else if (now - p->stats_at > PUSH_DRY_US) {
        quality_dry(&p->quality, connection_dead(p->member));
    }
    p->stats_before = p->stats;
    p->stats_before_at = p->stats_at;
}

/* Layers between what it wants, as far as they arrive, and what it gets. */
static float layers_missing(const struct sub *u)
{
    const struct pub *p = u->pub;
    uint8_t best = 0;

    if (!p->video || p->svc || u->stats.spatial >= CMD_LAYERS_MAX)
        return 0;
    for (uint8_t i = 0; i <= u->max_spatial && i < CMD_LAYERS_MAX; i++)
        if (p->live_layers & 1u << i)
            best = i;
    return best > u->stats.spatial ? (float)(best - u->stats.spatial) : 0;
}

static void measure_sub(struct sub *u)
{
    const struct evt_sub_stats *a = &u->stats_before, *b = &u->stats;
    const struct pub *p = u->pub;

    if (u->disabled || p->info->muted) {
        quality_muted(&u->quality);
    } else if (u->stats_at > u->stats_before_at) { /* else the publisher rests, or fails itself */
        struct quality_window w = {
            .packets = b->packets - a->packets,
            .lost = b->lost > a->lost ? b->lost - a->lost : 0,
            .jitter_us = b->jitter_us,
            .rtt_us = b->rtt_us,
            .span = u->stats_before_at != 0 ? u->stats_at - u->stats_before_at : PUSH_QUALITY_US,
            .distance = layers_missing(u),
            .loss_weight = quality_loss_weight(
                p->video, codec_of_mime(bytes_str(p->info->mime_type)) == CODEC_RED)};
        quality_update(&u->quality, &w);
    }
    u->stats_before = u->stats;
    u->stats_before_at = u->stats_at;
}

/* The worst of what it sends and gets; true when its class is news. */
static bool measure(struct member *m, us_t now)
{
    float s = 100;

    for (struct pub *p = m->pubs; p != NULL; p = p->next) {
        if (p->state != PUB_LIVE)
            continue;
        measure_pub(p, now);
        s = fminf(s, quality_score(&p->quality));
    }
    for (struct sub *u = m->subs; u != NULL; u = u->next_of_member) {
        if (u->state != SUB_ATTACHED)
            continue;
        measure_sub(u);
        s = fminf(s, quality_score(&u->quality));
    }
    Livekit__ConnectionQuality q = quality_class(s);
    if (q == LIVEKIT__CONNECTION_QUALITY__LOST && m->session != NULL && m->session->protocol < 11)
        q = LIVEKIT__CONNECTION_QUALITY__POOR; /* it does not know the word */
    bool news = q != m->quality || !m->quality_told;
    m->quality = q;
    m->score = quality_mos(s);
    m->quality_told = true;
    return news;
}

/* Itself and whom it subscribes to, each once. */
static void tell_quality(struct room *r, struct member *m, Livekit__ConnectionQualityInfo **all,
                         Livekit__ConnectionQualityInfo **list)
{
    Livekit__SignalResponse msg = LIVEKIT__SIGNAL_RESPONSE__INIT;
    Livekit__ConnectionQualityUpdate u = LIVEKIT__CONNECTION_QUALITY_UPDATE__INIT;
    uint64_t mark = ++r->house->mark;

    if (m->session == NULL || m->row == 0 || m->session->protocol < 5)
        return;
    u.updates = list;
    list[u.n_updates++] = all[m->row - 1];
    m->mark = mark;
    for (const struct sub *s = m->subs; s != NULL; s = s->next_of_member) {
        struct member *of = s->pub->member;
        if (of->row == 0 || of->mark == mark)
            continue;
        of->mark = mark;
        list[u.n_updates++] = all[of->row - 1];
    }
    msg.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_CONNECTION_QUALITY;
    msg.connection_quality = &u;
    response_send(m->session, &msg);
}

static us_t push_quality(struct room *r, us_t now)
{
    Livekit__ConnectionQualityInfo **all, **list;
    struct arena a;
    uint32_t n = 0;
    bool news = false;

    if (r->member_n == 0)
        return US_NEVER;
    if (now < r->quality_at)
        return r->quality_at;
    r->quality_at = now + PUSH_QUALITY_US;
    for (uint32_t i = 0; i < r->member_n; i++)
        if (r->member[i]->state == LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE)
            news |= measure(r->member[i], now);
    if (!news)
        return r->quality_at;
    arena_init(&a, RESPONSE_BYTES_MAX);
    all = arena_array(&a, r->member_n, sizeof *all);
    list = arena_array(&a, r->member_n, sizeof *list);
    for (uint32_t i = 0; all != NULL && list != NULL && i < r->member_n; i++) {
        struct member *m = r->member[i];
        m->row = 0;
        if (m->state != LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE ||
            (all[n] = pb_new(&a, &livekit__connection_quality_info__descriptor)) == NULL)
            continue;
        all[n]->participant_sid = m->sid;
        all[n]->quality = m->quality;
        all[n]->score = m->score;
        m->row = ++n;
    }
    for (uint32_t i = 0; n > 0 && i < r->member_n; i++)
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
