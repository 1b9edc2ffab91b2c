#include "api/stream.h"

#include "base/mem.h"
#include "crypt/crypt.h"
#include "wire/pb.h"
#include "wire/sdp.h"

enum { ID_BYTES = 18, FOLLOW_TRACKS = 2 };

void streams_init(struct streams *all, struct hub *hub, const struct node_cfg *cfg)
{
    *all = (struct streams){.hub = hub, .cfg = cfg};
    map_init(&all->by_id, rng_u64(&hub->house.rng));
    map_init(&all->by_socket, rng_u64(&hub->house.rng));
}

void streams_fini(struct streams *all)
{
    for (size_t k = 0; k < ARRAY_LEN(all->first); k++)
        while (all->first[k] != NULL)
            stream_end(all->first[k], LIVEKIT__DISCONNECT_REASON__SERVER_SHUTDOWN);
    map_fini(&all->by_id);
    map_fini(&all->by_socket);
}

/* ---- one stream's life ---- */

static int make_id(struct stream *st)
{
    uint8_t dice[ID_BYTES];
    struct str text;
    int err = crypt_random(dice, sizeof dice);

    if (err != 0)
        return err;
    str_init(&text, sizeof st->id);
    str_add(&text, "WH_");
    str_add_base64(&text, bytes_of(dice, sizeof dice), true, false);
    bool ok = !text.failed && str_copy(st->id, sizeof st->id, str_bytes(&text));
    str_fini(&text);
    return ok ? 0 : E_NOMEM;
}

void stream_retag(struct stream *st)
{
    struct str text;

    str_init(&text, sizeof st->etag);
    str_printf(&text, "\"%016llx\"", (unsigned long long)rng_u64(&st->all->hub->house.rng));
    (void)str_copy(st->etag, sizeof st->etag, str_bytes(&text)); /* 18 characters */
    str_fini(&text);
}

static void stream_free(struct stream *st)
{
    if (st == NULL)
        return;
    if (st->back != NULL) {
        *st->back = st->next;
        if (st->next != NULL)
            st->next->back = st->back;
        st->all->n--;
    }
    if (st->id[0] != '\0' && map_find(&st->all->by_id, bytes_str(st->id)) == st)
        (void)map_take(&st->all->by_id, bytes_str(st->id));
    if (st->socket != 0)
        (void)map_take_u64(&st->all->by_socket, st->socket); /* NULL: not there yet */
    voice_fini(&st->voice);
    mem_free(st->said);
    mem_free(st->room);
    mem_free(st->identity);
    mem_free(st);
}

void stream_end(struct stream *st, Livekit__DisconnectReason reason)
{
    struct streams *all = st->all;

    if (all->book != NULL && st->ingress_id[0] != '\0')
        ingress_session_end(all->book, st->ingress_id, st->resource,
                            reason == LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH
                                ? "the offer could not be answered"
                                : NULL,
                            all->hub->house.tick);
    hub_hang_up(st->all->hub, st->conn, reason);
    stream_free(st);
}

struct stream *stream_find(const struct streams *all, struct bytes id)
{
    return map_find(&all->by_id, id);
}

struct session *stream_session(const struct stream *st)
{
    return hub_session(st->all->hub, st->conn);
}

bool stream_is_up(const struct stream *st)
{
    const struct session *s = stream_session(st);

    return s != NULL && s->member->state == LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE;
}

bool stream_charge(struct stream *st)
{
    us_t now = st->all->hub->house.tick.now;
    us_t gained = (now - st->asks_at) * STREAM_ASKS_PER_S / US_PER_SEC;

    if (gained > 0) {
        st->asks = (uint32_t)us_min(st->asks + gained, STREAM_ASKS_BURST);
        st->asks_at = now;
    }
    if (st->asks == 0)
        return false;
    st->asks--;
    return true;
}

/* What the other side can be sent, and its name in ICE. */
static void remember(struct stream *st, const char *sdp)
{
    struct arena a;
    struct sdp d;

    arena_init(&a, STREAM_ARENA_BYTES);
    st->takes_audio = st->takes_video = false;
    if (sdp_parse(&d, bytes_str(sdp), &a) == 0) {
        for (uint32_t i = 0; i < d.media_n; i++) {
            const struct sdp_media *m = &d.media[i];
            bool takes = (m->dir & SDP_RECVONLY) != 0 && !m->rejected;
            st->takes_audio |= takes && m->kind == SDP_AUDIO;
            st->takes_video |= takes && m->kind == SDP_VIDEO;
            if (m->ice_ufrag != NULL && !m->rejected)
                (void)str_copy(st->ufrag, sizeof st->ufrag, bytes_str(m->ice_ufrag)); /* long: "" */
        }
    }
    arena_fini(&a);
}

static bool take_answer(struct stream *st, struct str *answer)
{
    const Livekit__SignalResponse *m;
    bool got = false;

    while ((m = voice_next(&st->voice)) != NULL) {
        if (m->message_case != LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ANSWER)
            continue;
        got = true;
        if (answer == NULL)
            continue;
        str_clear(answer);
        str_add(answer, m->answer->sdp);
    }
    return got && (answer == NULL || !answer->failed);
}

int stream_offer(struct stream *st, const char *sdp, struct str *answer)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;
    char *copy = NULL;

    if (sdp != st->said && (copy = mem_dup_str(sdp)) == NULL)
        return E_NOMEM;
    d.type = (char *)"offer";
    d.sdp = (char *)sdp;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER;
    r.offer = &d;
    bool ok = hub_request(st->all->hub, st->conn, &r) && take_answer(st, answer);
    if (!ok || st->voice.over) {
        mem_free(copy);
        stream_end(st, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
        return E_MALFORMED;
    }
    if (copy != NULL) {
        mem_free(st->said);
        st->said = copy;
        remember(st, copy);
    }
    return 0;
}

struct stream *stream_of(const struct streams *all, const struct member *m, enum stream_kind kind)
{
    const struct session *s = m != NULL ? m->session : NULL;

    if (s == NULL || s->voice == NULL || s->voice->list != &all->hub->voices)
        return NULL;
    struct stream *st = s->voice->owner;
    return st->kind == kind ? st : NULL;
}

int stream_replace(struct stream *st, const struct stream_join *j, struct str *answer)
{
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;
    struct hub_successor by = {
        .add = j->add, .add_n = j->add_n, .offer = &d, .within_us = STREAM_CONNECT_US};
    char *said = mem_dup_str(j->offer);

    d.type = (char *)"offer"; /* protobuf-c knows no const; nobody writes it */
    d.sdp = said;
    (void)map_take(&st->all->by_id,
                   bytes_str(st->id)); /* whoever had it must not end the new one */
    bool ok = said != NULL && make_id(st) == 0 && map_put(&st->all->by_id, bytes_str(st->id), st) &&
              hub_replace(st->all->hub, st->conn, &by) && take_answer(st, answer);
    if (!ok || st->voice.over) {
        mem_free(said);
        stream_end(st, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
        return E_MALFORMED;
    }
    mem_free(st->said);
    st->said = said;
    remember(st, said);
    stream_retag(st);
    return 0;
}

/* ---- whom viewers see ---- */

struct pub *stream_track(const struct member *m, bool video)
{
    for (struct pub *p = m->pubs; p != NULL; p = p->next)
        if (p->state == PUB_LIVE && p->video == video)
            return p;
    return NULL;
}

/* Who is muted altogether (a test picture that yields) stands behind all others. */
static int rank(const struct member *m)
{
    bool any = false, heard = false;

    for (const struct pub *p = m->pubs; p != NULL && !m->grant.hidden; p = p->next) {
        any |= p->state == PUB_LIVE;
        heard |= p->state == PUB_LIVE && !p->info->muted;
    }
    if (!any)
        return 0;
    return m->kind == LIVEKIT__PARTICIPANT_INFO__KIND__INGRESS ? 3 : heard ? 2 : 1;
}

const struct member *stream_publisher(const struct room *r)
{
    const struct member *best = NULL;
    int best_rank = 0;

    for (uint32_t i = 0; i < r->member_n && best_rank < 3; i++) {
        int at = r->member[i]->pubs != NULL ? rank(r->member[i]) : 0;
        if (at > best_rank) {
            best = r->member[i];
            best_rank = at;
        }
    }
    return best;
}

uint32_t stream_viewers(const struct room *r)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->member_n; i++)
        n += r->member[i]->grant.can_subscribe && !r->member[i]->grant.can_publish &&
             !member_is_dependent(r->member[i]);
    return n;
}

static void say_subscription(struct stream *st, char *sid, bool subscribe)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__UpdateSubscription u = LIVEKIT__UPDATE_SUBSCRIPTION__INIT;

    u.track_sids = &sid;
    u.n_track_sids = 1;
    u.subscribe = subscribe;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SUBSCRIPTION;
    r.subscription = &u;
    (void)hub_request(st->all->hub, st->conn, &r); /* over: the next news says so */
}

static void say_quality(struct stream *st, char *sid)
{
    static const Livekit__VideoQuality of[] = {[STREAM_LOW] = LIVEKIT__VIDEO_QUALITY__LOW,
                                               [STREAM_MEDIUM] = LIVEKIT__VIDEO_QUALITY__MEDIUM,
                                               [STREAM_HIGH] = LIVEKIT__VIDEO_QUALITY__HIGH,
                                               [STREAM_AUTO] = LIVEKIT__VIDEO_QUALITY__HIGH};
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__UpdateTrackSettings t = LIVEKIT__UPDATE_TRACK_SETTINGS__INIT;

    t.track_sids = &sid;
    t.n_track_sids = 1;
    t.quality = of[st->quality];
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_TRACK_SETTING;
    r.track_setting = &t;
    (void)hub_request(st->all->hub, st->conn, &r); /* as above */
}

/* Wishes as the room is now: at most one picture and one sound. */
static void follow(struct stream *st)
{
    const struct session *s = stream_session(st);
    struct pub *want[FOLLOW_TRACKS] = {NULL};
    struct sub *after;

    if (s == NULL)
        return;
    const struct member *from = stream_publisher(s->member->room);
    if (from != NULL && st->takes_video)
        want[0] = stream_track(from, true);
    if (from != NULL && st->takes_audio)
        want[1] = stream_track(from, false);
    for (struct sub *u = s->member->subs; u != NULL; u = after) {
        after = u->next_of_member;
        if (u->pub != want[0] && u->pub != want[1])
            say_subscription(st, u->pub->info->sid, false);
    }
    for (int i = 0; i < FOLLOW_TRACKS; i++) {
        if (want[i] == NULL || sub_find(s->member, want[i]) != NULL)
            continue;
        say_subscription(st, want[i]->info->sid, true);
        if (i == 0 && st->quality != STREAM_AUTO)
            say_quality(st, want[i]->info->sid);
    }
}

/* ---- joining ---- */

static bool refused(struct session_refusal *why, int status, const char *text)
{
    *why = (struct session_refusal){.status = status, .text = text};
    return false;
}

static bool name_it(struct stream *st, const struct stream_join *j)
{
    const struct session *s = stream_session(st);

    if (j->id != NULL && *j->id == '\0')
        (void)str_copy(st->id, sizeof st->id, bytes_str(s->member->sid)); /* shorter */
    else if (make_id(st) != 0)
        return false;
    return map_put(&st->all->by_id, bytes_str(st->id), st);
}

static void list(struct stream *st)
{
    struct stream **at = &st->all->first[st->kind];

    st->next = *at;
    st->back = at;
    if (st->next != NULL)
        st->next->back = &st->next;
    *at = st;
    st->all->n++;
}

static bool join(struct stream *st, struct stream_join *j, struct session_refusal *why)
{
    Livekit__ClientInfo client = LIVEKIT__CLIENT_INFO__INIT;
    struct session_cfg cfg = {.conn = hub_voice_conn(st->all->hub),
                              .voice = &st->voice,
                              .standing = j->kind != STREAM_WHIP,
                              .join_us = STREAM_CONNECT_US,
                              .resume_us = j->kind == STREAM_WHIP ? STREAM_GRACE_US : 0,
                              .single = j->kind != STREAM_LIGHTSPEED,
                              .sid = "",
                              .client = &client,
                              .add_track = j->add,
                              .add_track_n = j->add_n,
                              .claims = j->claims,
                              .keep = j->keep};

    client.protocol = SESSION_PROTOCOL;
    if (j->user_agent != NULL && strstr(j->user_agent, "OBS") != NULL)
        client.browser = (char *)"OBS"; /* protobuf-c knows no const; nobody writes it */
    st->conn = cfg.conn;
    if (!session_join(st->all->hub, &cfg, why)) {
        if (why->status == 503 && !st->all->hub->shutdown)
            why->status = 429; /* full is not broken */
        return false;
    }
    j->keep = (struct arena){0};
    return true;
}

/* Viewers of this address without a connection; the newest stand first in the list. */
static uint32_t pending(const struct streams *all, enum stream_kind kind, const struct addr *from)
{
    us_t since = all->hub->house.tick.now - STREAM_CONNECT_US;
    uint32_t n = 0;

    if (from == NULL || from->family == 0 || addr_is_loopback(from))
        return 0;
    for (const struct stream *st = all->first[kind]; st != NULL && st->made_at >= since;
         st = st->next)
        n += addr_ip_eq(&st->from, from) && !stream_is_up(st);
    return n;
}

bool stream_open(struct streams *all, struct stream_join *j, struct str *answer,
                 struct stream **ret, struct session_refusal *why)
{
    static const uint64_t wants[] = {[STREAM_WHIP] = VOICE_BIT(ANSWER),
                                     [STREAM_WHEP] = VOICE_BIT(ANSWER),
                                     [STREAM_LIGHTSPEED] = VOICE_BIT(OFFER)};
    const struct room_limits *l = &all->hub->house.cfg.limits;

    if (*j->claims->video.room == '\0' || *j->claims->identity == '\0')
        return refused(why, 400, "no room or no identity");
    if ((l->room_name_len != 0 && strlen(j->claims->video.room) > l->room_name_len) ||
        (l->identity_len != 0 && strlen(j->claims->identity) > l->identity_len))
        return refused(why, 400, "the name of the room or the identity is too long");
    if (all->n >= STREAM_MAX)
        return refused(why, 429, "server capacity exceeded");
    if (j->kind != STREAM_WHIP && pending(all, j->kind, j->from) >= STREAM_PENDING_MAX)
        return refused(why, 429, "too many of this address are connecting");
    struct stream *st = mem_zero(sizeof *st);
    if (st == NULL)
        return refused(why, 429, "server capacity exceeded");
    *st = (struct stream){.all = all,
                          .kind = j->kind,
                          .quality = STREAM_AUTO,
                          .asks = STREAM_ASKS_BURST,
                          .asks_at = all->hub->house.tick.now,
                          .made_at = all->hub->house.tick.now};
    if (j->from != NULL)
        st->from = *j->from;
    voice_init(&st->voice, &all->hub->voices, wants[j->kind], st);
    list(st);
    stream_retag(st);
    st->room = mem_dup_str(j->claims->video.room);
    st->identity = mem_dup_str(j->claims->identity);
    if (st->room == NULL || st->identity == NULL) {
        stream_free(st);
        return refused(why, 429, "server capacity exceeded");
    }
    if (!join(st, j, why)) {
        stream_free(st);
        return false;
    }
    if (!name_it(st, j)) {
        stream_end(st, LIVEKIT__DISCONNECT_REASON__JOIN_FAILURE);
        return refused(why, 429, "server capacity exceeded");
    }
    st->takes_audio = st->takes_video = j->kind == STREAM_LIGHTSPEED;
    if (j->kind == STREAM_WHEP)
        remember(st, j->offer);
    if (j->kind != STREAM_WHIP)
        follow(st); /* what is there is in the first answer */
    if (j->offer != NULL && stream_offer(st, j->offer, answer) != 0)
        return refused(why, 400, "the offer cannot be answered");
    *ret = st;
    return true;
}

void stream_set_quality(struct stream *st, enum stream_quality q)
{
    const struct session *s = stream_session(st);

    st->quality = q;
    for (struct sub *u = s != NULL ? s->member->subs : NULL; u != NULL; u = u->next_of_member)
        if (u->pub->video)
            say_quality(st, u->pub->info->sid);
}

/* False: it is gone. */
static bool bring_up_to_date(struct stream *st, uint64_t heard)
{
    if (st->voice.over || st->kind == STREAM_WHIP)
        return true;
    if (heard & VOICE_BIT(UPDATE))
        follow(st);
    if (st->kind != STREAM_WHEP || st->said == NULL ||
        (heard & VOICE_BIT(MEDIA_SECTIONS_REQUIREMENT)) == 0)
        return true;
    return stream_offer(st, st->said, NULL) == 0;
}

struct stream *stream_news(struct streams *all, uint64_t *heard)
{
    struct voice *v;

    while ((v = voice_ready(&all->hub->voices)) != NULL) {
        struct stream *st = v->owner;
        *heard = v->heard;
        v->heard = 0;
        if (bring_up_to_date(st, *heard))
            return st;
    }
    return NULL;
}
