#include "signal/negotiate.h"

#include "base/mem.h"
#include "signal/describe.h"
#include "signal/heir.h"
#include "signal/remote.h"
#include "signal/request.h"
#include "signal/response.h"
#include "signal/transport.h"
#include "wire/pb.h"

enum { AUDIO, VIDEO, KINDS };
enum { SECTIONS_OWN = ROOM_PUBS_MAX }; /* of SDP_MEDIA_MAX, left to the client's own tracks */

static int kind_of(const struct section *sec)
{
    return sec->kind == SDP_VIDEO ? VIDEO : AUDIO;
}

static bool is_media(const struct section *sec)
{
    return sec->kind == SDP_AUDIO || sec->kind == SDP_VIDEO;
}

static bool syncs_streams(const struct session *s)
{
    return s->member->room->sync_streams && s->protocol >= 10 && !s->quirks.firefox;
}

static struct mline_ctx ctx_of(const struct session *s, struct sdp *sdp)
{
    return (struct mline_ctx){.sdp = sdp,
                              .quirks = s->quirks,
                              .single = s->single,
                              .sync_streams = syncs_streams(s),
                              .playout_delay =
                                  s->member->room->playout_delay &&
                                  !(s->member->room->sync_streams && s->quirks.firefox),
                              .broad = s->voice != NULL,
                              .stream = s->standing ? s->member->room->sid : NULL};
}

static struct section *add_section(struct transport *t)
{
    if (t->section_n >= SDP_MEDIA_MAX)
        return NULL;
    if (t->section_n == t->section_cap) {
        uint32_t cap = t->section_cap ? t->section_cap * 2 : 8;
        struct section *list = mem_resize(t->section, cap * sizeof *list);
        if (list == NULL)
            return NULL;
        t->section = list;
        t->section_cap = cap;
    }
    struct section *sec = &t->section[t->section_n++];
    *sec = (struct section){0};
    return sec;
}

/* ---- what both directions share ---- */

/* Does this section still send what it was given?  Otherwise it must be seen inactive. */
static bool sweep(struct session *s, struct transport *t)
{
    bool any = false;

    for (uint32_t i = 0; i < t->section_n; i++) {
        struct section *sec = &t->section[i];
        if (sec->use == SECTION_SEND) {
            const struct sub *sub = sub_find_serial(s->member, sec->sub);
            if (sub == NULL || (sub->state != SUB_ATTACHED && sub->state != SUB_OFFERED)) {
                sec->use = s->standing ? SECTION_IDLE : SECTION_DRAIN;
                sec->sub = 0;
                sec->in_offer = false;
            }
        }
        any |= sec->use == SECTION_DRAIN;
    }
    return any;
}

static void attach(struct sub *sub, struct transport *t, const struct section *sec,
                   const struct mline_map *map)
{
    char stream[MLINE_STREAM_MAX];
    struct sub_target target = {.peer = t->peer,
                                .mid = sec->mid,
                                .stream = stream,
                                .ext = map->ext,
                                .pt = map->pt,
                                .pt_n = map->pt_n};
    struct pub *p = sub->pub;

    if (!mline_stream_of(sub, syncs_streams(t->session), stream, sizeof stream))
        (void)mline_stream_of(sub, false, stream, sizeof stream); /* always fits */
    request_recall(t->session, sub);
    if (sub_attach(sub, &target) != 0) {
        sub->state = SUB_WAITING; /* the data plane is full: once more later */
        sub->retry_at = t->session->hub->house.tick.now + 3 * US_PER_SEC;
        return;
    }
    if (p->level > 0)
        p->member->room->speakers_dirty = true;
    if (!p->told_subscribed && p->member->session != NULL) {
        p->told_subscribed = true;
        response_subscribed(p->member->session, p->info->sid);
    }
}

static void refuse(struct session *s, struct sub *sub)
{
    sub->state = SUB_REFUSED;
    response_subscription_error(s, sub->pub->info->sid,
                                LIVEKIT__SUBSCRIPTION_ERROR__SE_CODEC_UNSUPPORTED);
}

/* ---- the client offers ---- */

static void release_recv(struct session *s, struct section *sec)
{
    struct pub *p = sec->pub[0] != '\0' ? pub_find(s->member, sec->pub) : NULL;

    if (p != NULL)
        pub_end(p);
    mem_free(sec->media);
    sec->media = NULL;
    sec->pub[0] = sec->cid[0] = '\0';
    sec->use = SECTION_IDLE;
}

static void release_send(struct session *s, struct section *sec)
{
    struct sub *sub = sub_find_serial(s->member, sec->sub);

    if (sub != NULL)
        sub_detach(sub);
    sec->sub = 0;
    sec->use = SECTION_IDLE;
}

static void release(struct session *s, struct section *sec)
{
    if (sec->use == SECTION_RECV)
        release_recv(s, sec);
    else if (sec->use == SECTION_SEND)
        release_send(s, sec);
}

/* Another track in the place of the old one: only when it was announced. */
static void check_replaced(struct session *s, struct section *sec, const char *cid)
{
    if (sec->use != SECTION_RECV || strcmp(sec->cid, cid) == 0)
        return;
    const struct pub *p = pub_find_cid(s->member, cid);
    if (p != NULL && p->state == PUB_PENDING)
        release_recv(s, sec);
}

static int sync_section(struct session *s, struct transport *t, uint32_t i,
                        const struct sdp_media *m, uint32_t *fresh)
{
    bool sends = (m->dir & SDP_SENDONLY) != 0, receives = (m->dir & SDP_RECVONLY) != 0;
    struct section *sec = i < t->section_n ? &t->section[i] : add_section(t);
    bool is_new = sec != NULL && sec->mid[0] == '\0';
    char mid[CMD_MID_MAX];

    if (sec == NULL)
        return E_NOMEM;
    if (!str_copy(mid, sizeof mid, m->mid != NULL ? bytes_str(m->mid) : bytes_str("0")) ||
        mid[0] == '\0')
        return E_MALFORMED;
    if (!is_new && strcmp(sec->mid, mid) != 0) {
        if (sec->use != SECTION_DEAD) /* RFC 8829 s5.2.2: only a stopped section is taken over */
            return E_MALFORMED;
        *sec = (struct section){0};
        is_new = true;
    }
    if (!is_new && sec->kind != m->kind) /* what a section carries is settled when it is made */
        return E_MALFORMED;
    memcpy(sec->mid, mid, sizeof sec->mid);
    sec->kind = m->kind;
    sec->may_send = is_media(sec) && receives && !sends && !m->rejected;
    if (m->rejected || m->kind == SDP_OTHER) {
        release(s, sec);
        sec->use = SECTION_DEAD;
        return 0;
    }
    if (m->kind == SDP_APPLICATION) {
        sec->use = SECTION_DATA;
        t->wants_data = true;
        return 0;
    }
    if (sec->use == SECTION_DEAD)
        sec->use = SECTION_IDLE;
    if (sends)
        check_replaced(s, sec, mline_track_of(m));
    if (sec->use == SECTION_RECV && !sends)
        release_recv(s, sec);
    if (sec->use == SECTION_SEND && !sec->may_send)
        release_send(s, sec);
    if (sends)
        sec->use = SECTION_RECV;
    fresh[kind_of(sec)] += is_new && sec->may_send;
    return 0;
}

/* Waiting subscriptions into free sections, in order. */
static void fill_sections(struct session *s, struct transport *t)
{
    for (struct sub *sub = s->member->subs; sub != NULL; sub = sub->next_of_member) {
        if (sub->state != SUB_WAITING || !sub_allowed(s->member, sub->pub))
            continue;
        for (uint32_t i = 0; i < t->section_n; i++) {
            struct section *sec = &t->section[i];
            if (sec->use != SECTION_IDLE || !sec->may_send ||
                (sec->kind == SDP_VIDEO) != sub->pub->video)
                continue;
            sec->use = SECTION_SEND;
            sec->sub = sub->serial;
            sub->state = SUB_OFFERED;
            break;
        }
    }
}

static struct pub *match_pub(struct session *s, const struct section *sec)
{
    struct pub *p = sec->pub[0] != '\0' ? pub_find(s->member, sec->pub) : NULL;

    if (p != NULL)
        return p;
    p = pub_find_cid(s->member, sec->cid);
    if (p != NULL && p->state == PUB_PENDING && p->video == (sec->kind == SDP_VIDEO))
        return p;
    for (p = s->member->pubs; p != NULL; p = p->next)
        if (p->state == PUB_PENDING && p->video == (sec->kind == SDP_VIDEO))
            return p;
    return NULL;
}

static struct pub_media media_of(const struct transport *t, const struct section *sec)
{
    return (struct pub_media){.peer = t->peer,
                              .mid = sec->mid,
                              .ext = sec->media->ext,
                              .codec = sec->media->codec,
                              .codec_n = sec->media->codec_n,
                              .layer = sec->media->layer,
                              .layer_n = sec->media->layer_n,
                              .red = sec->media->red};
}

static void go_live(struct transport *t, struct section *sec, struct pub *p)
{
    struct pub_media media = media_of(t, sec);

    if (p->state != PUB_PENDING)
        return;
    if (pub_go_live(p, &media) != 0)
        return; /* the data plane is full: stays pending, the client gives up in its time */
    (void)str_copy(sec->pub, sizeof sec->pub, bytes_str(p->info->sid)); /* ours is short */
}

static int answer_recv(struct session *s, struct transport *t, struct section *sec,
                       const struct mline_ctx *ctx, struct sdp_media *out,
                       const struct sdp_media *offer)
{
    const char *cid = mline_track_of(offer);

    if (!str_copy(sec->cid, sizeof sec->cid, bytes_str(cid)))
        sec->cid[0] = '\0'; /* longer than any client's: matched by kind */
    if (sec->media == NULL && (sec->media = mem_zero(sizeof *sec->media)) == NULL)
        return E_NOMEM;
    struct pub *adrift = heir_find(s, sec->kind == SDP_VIDEO);
    struct pub *p = match_pub(s, sec);
    const struct pub *as = p != NULL ? p : adrift; /* the one that says no codec: as it was */
    int err = mline_answer_recv(ctx, out, offer, as != NULL ? as->info : NULL, sec->media);
    if (err == 0 && adrift != NULL) {
        struct pub_media media = media_of(t, sec);
        if (heir_carry_on(sec, adrift, &media, p))
            return 0;
    }
    if (err == 0 && p != NULL)
        go_live(t, sec, p);
    return err;
}

static int answer_send(struct session *s, struct transport *t, struct section *sec,
                       const struct mline_ctx *ctx, struct sdp_media *out,
                       const struct sdp_media *offer)
{
    struct sub *sub = sub_find_serial(s->member, sec->sub);
    struct mline_map map;

    assert(sub != NULL); /* swept before */
    int err = mline_map(ctx, offer, sub->pub, &map);
    if (err == 0) {
        if (sub->state == SUB_OFFERED)
            sub_choose_ssrc(sub, map.rtx);
        err = mline_answer_send(ctx, out, offer, sub, &map);
        if (err != 0)
            return err;
        if (sub->state == SUB_OFFERED)
            attach(sub, t, sec, &map);
        return 0;
    }
    release_send(s, sec);
    refuse(s, sub);
    return mline_idle(ctx, out, offer);
}

/* What is not sent yet and what is sent look alike to the other side. */
static int answer_standing(struct session *s, struct transport *t, struct section *sec,
                           const struct mline_ctx *ctx, struct sdp_media *out,
                           const struct sdp_media *offer)
{
    struct sub *sub = sec->use == SECTION_SEND ? sub_find_serial(s->member, sec->sub) : NULL;
    struct mline_map map = {0};
    int err = mline_standing(ctx, out, offer, &map.ext);

    if (err != 0 || sub == NULL || sub->state != SUB_OFFERED)
        return err;
    if (mline_map(ctx, offer, sub->pub, &map) != 0) {
        release_send(s, sec);
        refuse(s, sub);
        return 0;
    }
    sub_choose_ssrc(sub, map.rtx);
    attach(sub, t, sec, &map);
    return 0;
}

static int answer_section(struct session *s, struct transport *t, struct section *sec,
                          const struct mline_ctx *ctx, struct sdp_media *out,
                          const struct sdp_media *offer)
{
    int err = 0;

    out->mid = sec->mid;
    out->proto = offer->proto;
    out->extmap_allow_mixed = offer->extmap_allow_mixed;
    switch (sec->use) {
    case SECTION_DATA:
        describe_data(out);
        return 0;
    case SECTION_RECV:
        err = answer_recv(s, t, sec, ctx, out, offer);
        break;
    case SECTION_SEND:
        err = s->standing ? answer_standing(s, t, sec, ctx, out, offer)
                          : answer_send(s, t, sec, ctx, out, offer);
        break;
    case SECTION_DRAIN:
    case SECTION_IDLE:
        err = s->standing && sec->may_send ? answer_standing(s, t, sec, ctx, out, offer)
                                           : mline_idle(ctx, out, offer);
        sec->use = SECTION_IDLE; /* seen inactive with this answer */
        break;
    case SECTION_DEAD:
        out->rejected = true;
        break;
    }
    if (err == E_UNSUPPORTED) { /* no codec of ours: refuse this section alone */
        release(s, sec);
        sec->use = SECTION_DEAD;
        out->rejected = true;
        err = 0;
    }
    if (out->rejected) {
        out->port = 0;
        out->fmt_text = offer->fmt_text;
        out->kind_text = offer->kind_text;
        out->dir = SDP_INACTIVE;
    }
    return err;
}

static int write_answer(struct session *s, struct transport *t, const struct sdp *offer,
                        struct sdp *answer)
{
    enum sdp_setup setup = t->dtls_client ? SDP_ACTIVE : SDP_PASSIVE;
    bool candidates = false;
    int err = describe_begin(t, answer, offer->arena);

    for (uint32_t i = 0; err == 0 && i < offer->media_n; i++) {
        const struct sdp_media *from = &offer->media[i];
        struct mline_ctx ctx = ctx_of(s, answer);
        struct sdp_media *out = sdp_add_media(answer, from->kind);

        if (out == NULL)
            return E_NOMEM;
        err = answer_section(s, t, &t->section[i], &ctx, out, from);
        if (err != 0 || out->rejected)
            continue;
        err = describe_common(t, answer, out, setup, &candidates);
        if (err == 0 && !sdp_add_bundle(answer, out->mid))
            err = E_NOMEM;
    }
    return err;
}

static int open_for_offer(struct session *s, struct transport *t, const struct sdp *offer,
                          bool *trickle)
{
    struct peer_remote remote;
    bool restarted;
    int err = remote_read(offer, &remote);

    if (err != 0)
        return err;
    *trickle = t->peer == 0;
    if (t->peer == 0) {
        bool client = false; /* we are the DTLS server wherever the offer allows it */
        for (uint32_t i = 0; i < offer->media_n; i++)
            client |= offer->media[i].setup == SDP_PASSIVE;
        err = transport_open(t, client);
    }
    if (err == 0)
        err = transport_set_remote(t, &remote, &restarted);
    if (err == 0 && restarted)
        *trickle = true;
    (void)s;
    return err;
}

static int accept_offer(struct session *s, const Livekit__SessionDescription *desc, struct arena *a)
{
    struct transport *t = &s->pc[PC_PUBLISHER];
    struct sdp offer, answer;
    uint32_t fresh[KINDS] = {0};
    bool trickle;
    int err = sdp_parse(&offer, bytes_str(desc->sdp), a);

    if (err == 0 && offer.media_n < t->section_n)
        err = E_MALFORMED; /* RFC 8829 s5.2.2: sections never go away */
    if (err == 0)
        err = open_for_offer(s, t, &offer, &trickle);
    for (uint32_t i = 0; err == 0 && i < offer.media_n; i++)
        err = sync_section(s, t, i, &offer.media[i], fresh);
    if (err != 0)
        return err;
    for (int k = 0; k < KINDS; k++)
        s->asked[k] -= u32_min(s->asked[k], fresh[k]);
    s->round_until = 0;
    (void)sweep(s, t); /* what has to drain, this answer shows inactive */
    if (s->single)
        fill_sections(s, t);
    err = write_answer(s, t, &offer, &answer);
    if (err != 0)
        return err;
    describe_send(s, t, &answer, true, desc->id);
    if (trickle)
        transport_trickle(t);
    s->member->subs_dirty = true;
    room_touch(s->member->room);
    return 0;
}

int negotiate_offer(struct session *s, const Livekit__SessionDescription *desc)
{
    struct arena a;

    arena_init(&a, NEGOTIATE_BYTES_MAX);
    int err = accept_offer(s, desc, &a);
    arena_fini(&a);
    return err;
}

void negotiate_announced(struct session *s, struct pub *p)
{
    struct transport *t = &s->pc[PC_PUBLISHER];
    struct section *found = NULL;

    for (uint32_t i = 0; i < t->section_n; i++) {
        struct section *sec = &t->section[i];
        if (sec->use != SECTION_RECV || sec->pub[0] != '\0' || (sec->kind == SDP_VIDEO) != p->video)
            continue;
        bool named = sec->cid[0] != '\0' && pub_find_cid(s->member, sec->cid) == p;
        if (found == NULL || named)
            found = sec;
        if (named)
            break;
    }
    if (found != NULL && found->media != NULL && found->media->codec_n > 0)
        go_live(t, found, p);
}

/* ---- we offer ---- */

static int write_offer(struct session *s, struct transport *t, struct sdp *offer, struct arena *a)
{
    bool candidates = false;
    int err = describe_begin(t, offer, a);

    for (uint32_t i = 0; err == 0 && i < t->section_n; i++) {
        struct section *sec = &t->section[i];
        struct sdp_media *out = sdp_add_media(offer, sec->kind);
        struct mline_ctx ctx = ctx_of(s, offer);

        if (out == NULL)
            return E_NOMEM;
        out->mid = sec->mid;
        sec->in_offer = true;
        if (sec->use == SECTION_DATA)
            describe_data(out);
        else if (sec->use == SECTION_SEND)
            err = s->standing ? mline_offer_standing(&ctx, out)
                              : mline_offer_send(&ctx, out, sub_find_serial(s->member, sec->sub));
        else if (s->standing)
            err = mline_offer_standing(&ctx, out);
        else
            err = mline_offer_idle(&ctx, out);
        if (err == 0)
            err = describe_common(t, offer, out, SDP_ACTPASS, &candidates);
        if (err == 0 && !sdp_add_bundle(offer, sec->mid))
            err = E_NOMEM;
    }
    return err;
}

/* Picture first, then sound: as the originals of Lightspeed offer them. */
static int stand_open(struct transport *t)
{
    static const enum sdp_kind kinds[] = {SDP_VIDEO, SDP_AUDIO};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct section *sec = add_section(t);
        if (sec == NULL)
            return E_NOMEM;
        sec->kind = kinds[i];
        sec->mid[0] = (char)('0' + i);
    }
    return 0;
}

static int open_subscriber(struct session *s, struct transport *t)
{
    if (s->standing && t->section_n == 0) {
        int err = stand_open(t);
        if (err != 0)
            return err;
    }
    if (s->subscriber_primary && t->section_n == 0) {
        struct section *sec = add_section(t);
        if (sec == NULL)
            return E_NOMEM;
        sec->kind = SDP_APPLICATION;
        sec->use = SECTION_DATA;
        sec->mid[0] = '0';
        t->wants_data = true;
    }
    return t->peer == 0 ? transport_open(t, false) : 0;
}

static int send_offer(struct session *s, us_t now)
{
    struct transport *t = &s->pc[PC_SUBSCRIBER];
    bool trickle = t->peer == 0 || s->offer_restart;
    struct sdp offer;
    struct arena a;
    int err = open_subscriber(s, t);

    if (err == 0 && s->offer_restart && t->remote.ufrag[0] != '\0')
        err = transport_restart(t);
    if (err != 0)
        return err;
    (void)sweep(s, t); /* every section is written anew below */
    arena_init(&a, NEGOTIATE_BYTES_MAX);
    err = write_offer(s, t, &offer, &a);
    if (err == 0) {
        s->offer_id++;
        s->offer_out = true;
        s->offer_wanted = s->offer_restart = false;
        s->offers_sent++;
        s->answer_by = now + SESSION_ANSWER_US;
        describe_send(s, t, &offer, false, s->offer_id);
        if (trickle)
            transport_trickle(t);
    }
    arena_fini(&a);
    return err;
}

void negotiate_begin(struct session *s)
{
    if (!s->subscriber_primary)
        return;
    s->offer_wanted = true;
    s->offer_at = s->hub->house.tick.now;
}

static void want_offer(struct session *s, us_t now)
{
    if (s->offer_wanted)
        return;
    s->offer_wanted = true;
    s->offer_at = now + (s->offers_sent == 0 ? SESSION_OFFER_FIRST_US : SESSION_OFFER_NEXT_US);
}

void negotiate_resumed(struct session *s)
{
    us_t now = s->hub->house.tick.now;

    s->asked[AUDIO] = s->asked[VIDEO] = 0;
    s->round_until = 0;
    s->offer_out = false;
    s->member->subs_dirty = true;
    if (s->single || (s->pc[PC_SUBSCRIBER].peer == 0 && !s->subscriber_primary))
        return;
    s->offer_wanted = s->offer_restart = true;
    s->offer_at = now;
}

static void accept_section(struct session *s, struct transport *t, struct section *sec,
                           const struct sdp_media *m)
{
    struct sub *sub = sub_find_serial(s->member, sec->sub);
    struct mline_ctx ctx = ctx_of(s, NULL);
    struct mline_map map;

    if (!sec->in_offer)
        return; /* changed since: the next offer brings it */
    if (sec->use == SECTION_DRAIN)
        sec->use = SECTION_IDLE;
    if (sec->use != SECTION_SEND || sub == NULL || sub->state != SUB_OFFERED)
        return;
    if (mline_accept(&ctx, m, sub, &map) == 0) {
        if (!map.rtx)
            sub->rtx_ssrc = 0;
        attach(sub, t, sec, &map);
        return;
    }
    release_send(s, sec);
    refuse(s, sub);
    sec->use = s->standing ? SECTION_IDLE : SECTION_DRAIN;
}

static int accept_answer(struct session *s, const Livekit__SessionDescription *desc,
                         struct arena *a)
{
    struct transport *t = &s->pc[PC_SUBSCRIBER];
    struct peer_remote remote;
    struct sdp answer;
    bool restarted;
    int err = sdp_parse(&answer, bytes_str(desc->sdp), a);

    if (err == 0)
        err = remote_read(&answer, &remote);
    for (uint32_t i = 0; err == 0 && i < answer.media_n; i++)
        if (answer.media[i].setup == SDP_PASSIVE && !answer.media[i].rejected)
            err = E_MISMATCH; /* our offer was opened as DTLS server; every client answers active */
    if (err == 0)
        err = transport_set_remote(t, &remote, &restarted);
    if (err != 0)
        return err;
    s->offer_out = false;
    for (uint32_t i = 0; i < t->section_n && i < answer.media_n; i++) {
        accept_section(s, t, &t->section[i], &answer.media[i]);
        t->section[i].in_offer = false;
    }
    if (s->offer_wanted)
        s->offer_at = us_max(s->offer_at, s->hub->house.tick.now);
    s->member->subs_dirty = true;
    room_touch(s->member->room);
    return 0;
}

int negotiate_answer(struct session *s, const Livekit__SessionDescription *desc)
{
    struct arena a;

    if (!s->offer_out || (desc->id != 0 && desc->id != s->offer_id))
        return 0; /* answers an offer that no longer counts (subtlety 6) */
    arena_init(&a, NEGOTIATE_BYTES_MAX);
    int err = accept_answer(s, desc, &a);
    arena_fini(&a);
    return err;
}

/* ---- wishes against what is ---- */

/* Permissions first; counts what still needs a section. */
static void reconcile(struct session *s, us_t now, uint32_t waiting[KINDS], us_t *next)
{
    struct sub *after;

    for (struct sub *sub = s->member->subs; sub != NULL; sub = after) {
        bool allowed = sub_allowed(s->member, sub->pub);

        after = sub->next_of_member;
        if (allowed != sub->told_allowed) {
            sub->told_allowed = allowed;
            response_permission(s, sub->pub->member->sid, sub->pub->info->sid, allowed);
        }
        if (!allowed && sub->state != SUB_WAITING)
            sub_detach(sub);
        *next = us_min(*next, sub_settings_flush(sub, now));
        if (!allowed || sub->state != SUB_WAITING)
            continue;
        if (sub->retry_at > now)
            *next = us_min(*next, sub->retry_at);
        else
            waiting[sub->pub->video ? VIDEO : AUDIO]++;
    }
}

static us_t ask_for_sections(struct session *s, us_t now, const uint32_t waiting[KINDS])
{
    struct transport *t = &s->pc[PC_PUBLISHER];
    uint32_t free_n[KINDS] = {0}, need[KINDS] = {0};
    bool drain = sweep(s, t);

    if (t->peer == 0 || s->conn == 0)
        return US_NEVER; /* its first offer, or a resume, brings a round anyway */
    if (now >= s->asked_until)
        s->asked[AUDIO] = s->asked[VIDEO] = 0;
    for (uint32_t i = 0; i < t->section_n; i++)
        if (is_media(&t->section[i]) && t->section[i].may_send &&
            (t->section[i].use == SECTION_IDLE || t->section[i].use == SECTION_DRAIN))
            free_n[kind_of(&t->section[i])]++;
    uint32_t made = t->section_n + s->asked[AUDIO] + s->asked[VIDEO] + SECTIONS_OWN;
    uint32_t left = made < SDP_MEDIA_MAX ? SDP_MEDIA_MAX - made : 0;
    bool work = drain;
    for (int k = 0; k < KINDS; k++) {
        uint32_t have = free_n[k] + s->asked[k];
        need[k] = waiting[k] > have ? u32_min(waiting[k] - have, left) : 0;
        left -= need[k];
        work |= waiting[k] > 0 && have + need[k] > 0; /* at the limit there is nothing to ask */
    }
    if (!work)
        return US_NEVER;
    if (need[AUDIO] + need[VIDEO] == 0 && now < s->round_until)
        return s->round_until; /* a round is on its way */
    response_sections(s, need[AUDIO], need[VIDEO]);
    s->asked[AUDIO] += need[AUDIO];
    s->asked[VIDEO] += need[VIDEO];
    s->asked_until = s->round_until = now + SESSION_SECTIONS_US;
    return s->round_until;
}

static struct section *section_for(struct session *s, struct transport *t, bool video)
{
    enum sdp_kind kind = video ? SDP_VIDEO : SDP_AUDIO;

    for (uint32_t i = 0; i < t->section_n && !s->quirks.safari && !syncs_streams(s); i++)
        if (t->section[i].use == SECTION_IDLE && t->section[i].kind == kind)
            return &t->section[i];
    struct section *sec = add_section(t);
    if (sec == NULL)
        return NULL;
    uint64_t n = t->section_n - 1;
    char digits[CMD_MID_MAX];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    (void)str_copy(sec->mid, sizeof sec->mid, bytes_str(digits + at)); /* three digits */
    sec->kind = kind;
    return sec;
}

static void place_subs(struct session *s, us_t now)
{
    struct transport *t = &s->pc[PC_SUBSCRIBER];

    if (open_subscriber(s, t) != 0)
        return;
    for (struct sub *sub = s->member->subs; sub != NULL; sub = sub->next_of_member) {
        if (sub->state != SUB_WAITING || sub->retry_at > now || !sub_allowed(s->member, sub->pub))
            continue;
        struct section *sec = section_for(s, t, sub->pub->video);
        if (sec == NULL)
            return; /* at the limit of sections */
        sec->use = SECTION_SEND;
        sec->sub = sub->serial;
        sec->in_offer = false;
        sub->state = SUB_OFFERED;
        sub_choose_ssrc(sub, sub->pub->video);
        want_offer(s, now);
    }
}

static us_t offer_tick(struct session *s, us_t now, const uint32_t waiting[KINDS])
{
    if (waiting[AUDIO] + waiting[VIDEO] > 0)
        place_subs(s, now);
    bool drain = sweep(s, &s->pc[PC_SUBSCRIBER]);
    if (drain && !s->offer_out)
        want_offer(s, now);
    if (s->conn == 0)
        return US_NEVER;
    if (s->offer_out && now >= s->answer_by) {
        session_start_over(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
        return US_NEVER;
    }
    if (s->offer_out)
        return s->answer_by;
    if (!s->offer_wanted)
        return US_NEVER;
    if (now < s->offer_at)
        return s->offer_at;
    if (send_offer(s, now) != 0) {
        session_start_over(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
        return US_NEVER;
    }
    return s->answer_by;
}

us_t negotiate_tick(struct session *s, us_t now)
{
    uint32_t waiting[KINDS] = {0};
    us_t next = US_NEVER;

    reconcile(s, now, waiting, &next);
    us_t at = s->single ? ask_for_sections(s, now, waiting) : offer_tick(s, now, waiting);
    return us_min(next, at);
}
