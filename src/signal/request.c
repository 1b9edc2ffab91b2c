#include "signal/request.h"

#include "base/mem.h"
#include "signal/negotiate.h"
#include "signal/push.h"
#include "signal/response.h"
#include "wire/pb_json.h"

#define REASON(word) LIVEKIT__REQUEST_RESPONSE__REASON__##word

/* ---- publishing ---- */

static void refuse_track(struct session *s, const Livekit__AddTrackRequest *req,
                         Livekit__RequestResponse__Reason reason, const char *text)
{
    Livekit__RequestResponse r = LIVEKIT__REQUEST_RESPONSE__INIT;

    r.request_case = LIVEKIT__REQUEST_RESPONSE__REQUEST_ADD_TRACK;
    r.add_track = (Livekit__AddTrackRequest *)req;
    response_request(s, 0, reason, text, &r);
}

static void queue_track(struct session *s, const Livekit__AddTrackRequest *req)
{
    uint32_t same = 0;

    for (const struct queued *q = s->queued; q != NULL; q = q->next)
        same += strcmp(q->req->cid, req->cid) == 0;
    if (same >= SESSION_QUEUED_MAX || s->queued_n >= SESSION_QUEUED_ALL_MAX) {
        refuse_track(s, req, REASON(LIMIT_EXCEEDED), "too many queued tracks");
        return;
    }
    struct queued *q = mem_zero(sizeof *q);
    if (q == NULL)
        return;
    arena_init(&q->arena, ROOM_PUB_BYTES_MAX);
    q->req = pb_clone(&q->arena, &req->base);
    if (q->req == NULL) {
        arena_fini(&q->arena);
        mem_free(q);
        refuse_track(s, req, REASON(LIMIT_EXCEEDED), "track description too large");
        return;
    }
    struct queued **tail = &s->queued;
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = q;
    s->queued_n++;
    refuse_track(s, req, REASON(QUEUED), "");
}

static bool cid_taken(const struct session *s, const Livekit__AddTrackRequest *req)
{
    if (*req->cid != '\0' && pub_find_cid(s->member, req->cid) != NULL)
        return true;
    for (size_t i = 0; i < req->n_simulcast_codecs; i++)
        if (*req->simulcast_codecs[i]->cid != '\0' &&
            pub_find_cid(s->member, req->simulcast_codecs[i]->cid) != NULL)
            return true;
    return false;
}

void request_add_track(struct session *s, const Livekit__AddTrackRequest *req)
{
    struct member *m = s->member;
    struct pub *p;

    if (!grant_may_publish(&m->grant, req->source)) {
        refuse_track(s, req, REASON(NOT_ALLOWED), "does not have permission to publish");
        return;
    }
    if (req->type != LIVEKIT__TRACK_TYPE__AUDIO && req->type != LIVEKIT__TRACK_TYPE__VIDEO) {
        refuse_track(s, req, REASON(UNSUPPORTED_TYPE), "unsupported track type");
        return;
    }
    if (*req->sid != '\0') { /* another codec for a track that exists */
        p = pub_find(m, req->sid);
        if (p == NULL)
            refuse_track(s, req, REASON(NOT_FOUND), "track not found");
        else
            response_published(s, req->cid, p->info);
        return;
    }
    if (cid_taken(s, req)) {
        queue_track(s, req);
        return;
    }
    if (pub_pending(m) >= ROOM_PENDING_MAX || pub_add(m, req, &p) != 0) {
        refuse_track(s, req, REASON(LIMIT_EXCEEDED), "too many tracks");
        return;
    }
    response_published(s, req->cid, p->info);
    negotiate_announced(s, p);
}

void request_retry_queued(struct session *s)
{
    struct queued **at = &s->queued;

    while (*at != NULL && !s->ended) {
        struct queued *q = *at;
        if (cid_taken(s, q->req)) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        s->queued_n--;
        request_add_track(s, q->req);
        arena_fini(&q->arena);
        mem_free(q);
    }
}

static void on_add_track(struct session *s, const Livekit__SignalRequest *r)
{
    request_add_track(s, r->add_track);
}

static void on_mute(struct session *s, const Livekit__SignalRequest *r)
{
    struct pub *p = pub_find(s->member, r->mute->sid);

    if (p != NULL) {
        pub_set_muted(p, r->mute->muted);
        return;
    }
    Livekit__RequestResponse e = LIVEKIT__REQUEST_RESPONSE__INIT;
    e.request_case = LIVEKIT__REQUEST_RESPONSE__REQUEST_MUTE;
    e.mute = r->mute;
    response_request(s, 0, REASON(NOT_FOUND), "track not found", &e);
}

static void on_audio_track(struct session *s, const Livekit__SignalRequest *r)
{
    const Livekit__UpdateLocalAudioTrack *u = r->update_audio_track;
    struct pub *p = pub_find(s->member, u->track_sid);

    if (p == NULL || p->video) {
        Livekit__RequestResponse e = LIVEKIT__REQUEST_RESPONSE__INIT;
        e.request_case = LIVEKIT__REQUEST_RESPONSE__REQUEST_UPDATE_AUDIO_TRACK;
        e.update_audio_track = r->update_audio_track;
        response_request(s, 0, REASON(NOT_FOUND), "track not found", &e);
        return;
    }
    Livekit__AudioTrackFeature *list = arena_array(&p->arena, u->n_features + 1, sizeof *list);
    if (list == NULL)
        return; /* it has spent its description's room */
    if (u->n_features > 0)
        memcpy(list, u->features, u->n_features * sizeof *list);
    p->info->audio_features = list;
    p->info->n_audio_features = u->n_features;
    p->info->stereo = p->info->disable_dtx = false;
    for (size_t i = 0; i < u->n_features; i++) {
        p->info->stereo |= list[i] == LIVEKIT__AUDIO_TRACK_FEATURE__TF_STEREO;
        p->info->disable_dtx |= list[i] == LIVEKIT__AUDIO_TRACK_FEATURE__TF_NO_DTX;
    }
    member_changed(s->member, NEWS_NOW);
}

static void on_video_track(struct session *s, const Livekit__SignalRequest *r)
{
    struct pub *p = pub_find(s->member, r->update_video_track->track_sid);

    if (p == NULL || !p->video) {
        Livekit__RequestResponse e = LIVEKIT__REQUEST_RESPONSE__INIT;
        e.request_case = LIVEKIT__REQUEST_RESPONSE__REQUEST_UPDATE_VIDEO_TRACK;
        e.update_video_track = r->update_video_track;
        response_request(s, 0, REASON(NOT_FOUND), "track not found", &e);
        return;
    }
    p->info->width = r->update_video_track->width;
    p->info->height = r->update_video_track->height;
    member_changed(s->member, NEWS_NOW);
}

/* ---- negotiation ---- */

static void on_offer(struct session *s, const Livekit__SignalRequest *r)
{
    if (negotiate_offer(s, r->offer) != 0)
        session_start_over(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
}

static void on_answer(struct session *s, const Livekit__SignalRequest *r)
{
    if (negotiate_answer(s, r->answer) != 0)
        session_start_over(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
}

/* We are ICE lite: a client's candidates are learnt from its checks. */
static void on_trickle(struct session *s, const Livekit__SignalRequest *r)
{
    (void)s;
    (void)r;
}

/* ---- subscribing ---- */

static void wish_later(struct session *s, const char *sid)
{
    if (s->missing_n >= SESSION_MISSING_MAX || strlen(sid) >= ROOM_SID_MAX)
        return;
    for (uint32_t i = 0; i < s->missing_n; i++)
        if (strcmp(s->missing[i].sid, sid) == 0)
            return;
    struct missing *mi = &s->missing[s->missing_n++];
    (void)str_copy(mi->sid, sizeof mi->sid, bytes_str(sid)); /* measured above */
    mi->until = s->hub->house.tick.now + SESSION_MISSING_US;
    room_due(s->member->room, mi->until);
}

void request_subscription(struct session *s, char **sid, size_t n, bool subscribe)
{
    struct member *m = s->member;

    for (size_t i = 0; i < n && i < REQUEST_SIDS_MAX; i++) {
        struct pub *p = pub_find_in_room(m->room, sid[i]);
        struct sub *u = p != NULL ? sub_find(m, p) : NULL;
        if (!subscribe && u != NULL)
            sub_end(u);
        else if (subscribe && p != NULL && p->state == PUB_LIVE)
            (void)sub_want(m, p); /* refused: at its limit */
        else if (subscribe)
            wish_later(s, sid[i]);
    }
    m->subs_dirty = true;
    room_touch(m->room);
}

static void apply_subscription(struct session *s, const Livekit__UpdateSubscription *u)
{
    if (u == NULL)
        return;
    request_subscription(s, u->track_sids, u->n_track_sids, u->subscribe);
    for (size_t i = 0; i < u->n_participant_tracks; i++)
        request_subscription(s, u->participant_tracks[i]->track_sids,
                             u->participant_tracks[i]->n_track_sids, u->subscribe);
}

static void on_subscription(struct session *s, const Livekit__SignalRequest *r)
{
    apply_subscription(s, r->subscription);
}

static uint8_t temporal_of(uint32_t fps)
{
    return fps == 0 || fps > 15 ? 3 : fps > 7 ? 1 : 0; /* halves of 30 frames a second */
}

static struct setting *find_setting(struct session *s, const char *sid)
{
    for (uint32_t i = 0; i < SESSION_SETTINGS_MAX && i < s->setting_n; i++)
        if (strcmp(s->setting[i].sid, sid) == 0)
            return &s->setting[i];
    return NULL;
}

static void remember_setting(struct session *s, const char *sid,
                             const Livekit__UpdateTrackSettings *t)
{
    struct setting *st = find_setting(s, sid);

    if (st == NULL)
        st = &s->setting[s->setting_n++ % SESSION_SETTINGS_MAX];
    *st = (struct setting){.disabled = t->disabled,
                           .quality = t->quality,
                           .width = t->width,
                           .height = t->height,
                           .fps = t->fps};
    if (!str_copy(st->sid, sizeof st->sid, bytes_str(sid)))
        st->sid[0] = '\0'; /* no sid of ours */
}

void request_recall(struct session *s, struct sub *u)
{
    const struct setting *st = u->was_set ? NULL : find_setting(s, u->pub->info->sid);

    if (st == NULL)
        return;
    u->was_set = true;
    u->disabled = st->disabled;
    u->max_spatial = pub_layer_of(u->pub, st->quality, st->width, st->height);
    u->max_temporal = temporal_of(st->fps);
}

static void apply_setting(struct session *s, const char *sid, const Livekit__UpdateTrackSettings *t)
{
    us_t now = s->hub->house.tick.now;
    struct pub *p = pub_find_in_room(s->member->room, sid);
    struct sub *u = p != NULL ? sub_find(s->member, p) : NULL;

    remember_setting(s, sid, t);
    if (u == NULL)
        return;
    bool wakes = u->disabled && !t->disabled;
    sub_settings(u, t->disabled, pub_layer_of(p, t->quality, t->width, t->height),
                 temporal_of(t->fps), wakes ? now : now + SESSION_SETTING_US);
}

static void on_track_setting(struct session *s, const Livekit__SignalRequest *r)
{
    for (size_t i = 0; i < r->track_setting->n_track_sids && i < REQUEST_SIDS_MAX; i++)
        apply_setting(s, r->track_setting->track_sids[i], r->track_setting);
}

static void on_permission(struct session *s, const Livekit__SignalRequest *r)
{
    struct member *m = s->member;
    struct arena fresh;

    arena_init(&fresh, ROOM_POLICY_BYTES_MAX);
    Livekit__SubscriptionPermission *policy = pb_clone(&fresh, &r->subscription_permission->base);
    if (policy == NULL) {
        arena_fini(&fresh);
        return; /* beyond the limit: what held goes on to hold */
    }
    arena_fini(&m->policy_arena);
    m->policy_arena = fresh;
    m->policy = policy;
    for (struct pub *p = m->pubs; p != NULL; p = p->next)
        for (struct sub *u = p->subs; u != NULL; u = u->next_of_pub)
            u->member->subs_dirty = true;
    room_touch(m->room);
}

/* ---- the participant itself ---- */

static const char *too_large(const struct session *s, const Livekit__UpdateParticipantMetadata *u,
                             const struct attr *attr, uint32_t n)
{
    const struct room_limits *l = &s->hub->house.cfg.limits;

    if (l->participant_name_len != 0 && strlen(u->name) > l->participant_name_len)
        return "exceeds name length limit";
    if (l->metadata_bytes != 0 && strlen(u->metadata) > l->metadata_bytes)
        return "exceeds metadata size limit";
    if (n > 0 && l->attributes_bytes != 0 &&
        member_attr_bytes_with(s->member, attr, n) > l->attributes_bytes)
        return "exceeds attributes size limit";
    return NULL;
}

static void on_metadata(struct session *s, const Livekit__SignalRequest *r)
{
    Livekit__UpdateParticipantMetadata *u = r->update_metadata;
    Livekit__RequestResponse e = LIVEKIT__REQUEST_RESPONSE__INIT;
    struct attr attr[ROOM_ATTRIBUTES_MAX];
    struct member *m = s->member;
    uint32_t n = 0;

    e.request_case = LIVEKIT__REQUEST_RESPONSE__REQUEST_UPDATE_METADATA;
    e.update_metadata = u;
    for (size_t i = 0; i < u->n_attributes && n < ROOM_ATTRIBUTES_MAX; i++)
        attr[n++] = (struct attr){.key = u->attributes[i]->key, .value = u->attributes[i]->value};
    if (!m->grant.can_update_metadata) {
        response_request(s, u->request_id, REASON(NOT_ALLOWED),
                         "does not have permission to update own metadata", &e);
        return;
    }
    const char *why = too_large(s, u, attr, n);
    if (why != NULL) {
        response_request(s, u->request_id, REASON(LIMIT_EXCEEDED), why, &e);
        return;
    }
    bool ok = (*u->name == '\0' || member_set_name(m, u->name)) &&
              (*u->metadata == '\0' || member_set_metadata(m, u->metadata));
    for (uint32_t i = 0; i < n && ok; i++)
        ok = member_set_attr(m, attr[i].key, attr[i].value) == 0;
    if (n > 0)
        member_changed(m, NEWS_NOW);
    (void)push_room(s->hub, m->room); /* the echo comes before the answer, as clients know it */
    session_send_token(s);
    response_request(s, u->request_id, ok ? REASON(OK) : REASON(UNCLASSIFIED_ERROR), "", &e);
}

static void on_leave(struct session *s, const Livekit__SignalRequest *r)
{
    Livekit__DisconnectReason reason = r->leave->reason;

    if (reason != LIVEKIT__DISCONNECT_REASON__USER_UNAVAILABLE &&
        reason != LIVEKIT__DISCONNECT_REASON__USER_REJECTED &&
        reason != LIVEKIT__DISCONNECT_REASON__AGENT_ERROR)
        reason = LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED;
    session_end(s, reason, LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
}

static void on_sync_state(struct session *s, const Livekit__SignalRequest *r)
{
    const Livekit__SyncState *state = r->sync_state;

    for (size_t i = 0; i < state->n_publish_tracks; i++) {
        const Livekit__TrackInfo *info = state->publish_tracks[i]->track;
        if (info != NULL && pub_find(s->member, info->sid) != NULL)
            continue;
        session_start_over(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
        return;
    }
    if (state->n_publish_data_tracks > 0) {
        session_start_over(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
        return;
    }
    Livekit__UpdateTrackSettings off = LIVEKIT__UPDATE_TRACK_SETTINGS__INIT;
    off.disabled = true;
    for (size_t i = 0; i < state->n_track_sids_disabled && i < REQUEST_SIDS_MAX; i++)
        apply_setting(s, state->track_sids_disabled[i], &off);
    apply_subscription(s, state->subscription);
}

/* With one connection it is the client that begins ICE anew. */
static void switch_protocol(struct session *s, Livekit__CandidateProtocol to)
{
    if (to == LIVEKIT__CANDIDATE_PROTOCOL__TLS)
        return; /* there is no TURN */
    session_prefer(s, to == LIVEKIT__CANDIDATE_PROTOCOL__TCP);
    if (s->single || s->pc[PC_SUBSCRIBER].peer == 0)
        return;
    s->offer_wanted = s->offer_restart = true;
    s->offer_at = s->hub->house.tick.now;
    room_touch(s->member->room);
}

static void on_simulate(struct session *s, const Livekit__SignalRequest *r)
{
    const Livekit__SimulateScenario *sim = r->simulate;

    switch (sim->scenario_case) {
    case LIVEKIT__SIMULATE_SCENARIO__SCENARIO_SPEAKER_UPDATE:
        s->member->speaks_until =
            s->hub->house.tick.now + us_clamp(sim->speaker_update, 0, 60) * US_PER_SEC;
        s->member->room->speakers_dirty = true;
        room_touch(s->member->room);
        break;
    case LIVEKIT__SIMULATE_SCENARIO__SCENARIO_NODE_FAILURE:
        session_drop(s, LIVEKIT__DISCONNECT_REASON__UNKNOWN_REASON);
        break;
    case LIVEKIT__SIMULATE_SCENARIO__SCENARIO_SERVER_LEAVE:
        session_end(s, LIVEKIT__DISCONNECT_REASON__SERVER_SHUTDOWN,
                    LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
        break;
    case LIVEKIT__SIMULATE_SCENARIO__SCENARIO_SWITCH_CANDIDATE_PROTOCOL:
        switch_protocol(s, sim->switch_candidate_protocol);
        break;
    case LIVEKIT__SIMULATE_SCENARIO__SCENARIO_DISCONNECT_SIGNAL_ON_RESUME:
    case LIVEKIT__SIMULATE_SCENARIO__SCENARIO_DISCONNECT_SIGNAL_ON_RESUME_NO_MESSAGES:
        s->disconnect_on_resume = true;
        break;
    default:
        break;
    }
}

/* ---- what is off ---- */

static void on_data_track(struct session *s, const Livekit__SignalRequest *r)
{
    Livekit__RequestResponse e = LIVEKIT__REQUEST_RESPONSE__INIT;

    e.request_case = LIVEKIT__REQUEST_RESPONSE__REQUEST_PUBLISH_DATA_TRACK;
    e.publish_data_track = r->publish_data_track_request;
    response_request(s, 0, REASON(NOT_ALLOWED), "data tracks are not enabled", &e);
}

static void on_data_track_end(struct session *s, const Livekit__SignalRequest *r)
{
    Livekit__RequestResponse e = LIVEKIT__REQUEST_RESPONSE__INIT;

    e.request_case = LIVEKIT__REQUEST_RESPONSE__REQUEST_UNPUBLISH_DATA_TRACK;
    e.unpublish_data_track = r->unpublish_data_track_request;
    response_request(s, 0, REASON(NOT_FOUND), "data track not found", &e);
}

static void on_store_blob(struct session *s, const Livekit__SignalRequest *r)
{
    Livekit__RequestResponse e = LIVEKIT__REQUEST_RESPONSE__INIT;

    response_request(s, r->store_data_blob_request->request_id, REASON(NOT_ALLOWED),
                     "data blob not enabled", &e);
}

static void on_get_blob(struct session *s, const Livekit__SignalRequest *r)
{
    Livekit__RequestResponse e = LIVEKIT__REQUEST_RESPONSE__INIT;

    response_request(s, r->get_data_blob_request->request_id, REASON(NOT_ALLOWED),
                     "data blob not enabled", &e);
}

/* ---- liveness ---- */

static void on_ping(struct session *s, const Livekit__SignalRequest *r)
{
    Livekit__SignalResponse m = LIVEKIT__SIGNAL_RESPONSE__INIT;

    (void)r;
    m.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG;
    m.pong = house_wall_ms(&s->hub->house);
    response_send(s, &m);
}

static void on_ping_req(struct session *s, const Livekit__SignalRequest *r)
{
    Livekit__SignalResponse m = LIVEKIT__SIGNAL_RESPONSE__INIT;
    Livekit__Pong pong = LIVEKIT__PONG__INIT;

    pong.last_ping_timestamp = r->ping_req->timestamp;
    pong.timestamp = house_wall_ms(&s->hub->house);
    m.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG_RESP;
    m.pong_resp = &pong;
    response_send(s, &m);
}

/* ---- dispatch ---- */

typedef void request_fn(struct session *s, const Livekit__SignalRequest *r);

/* By field number; what is missing is ignored, as the original does. */
static request_fn *const table[] = {
    [1] = on_offer,       [2] = on_answer,          [3] = on_trickle,       [4] = on_add_track,
    [5] = on_mute,        [6] = on_subscription,    [7] = on_track_setting, [8] = on_leave,
    [11] = on_permission, [12] = on_sync_state,     [13] = on_simulate,     [14] = on_ping,
    [15] = on_metadata,   [16] = on_ping_req,       [17] = on_audio_track,  [18] = on_video_track,
    [19] = on_data_track, [20] = on_data_track_end, [22] = on_store_blob,   [23] = on_get_blob,
};

void request_apply(struct session *s, const Livekit__SignalRequest *r)
{
    unsigned no = (unsigned)r->message_case;

    if (no < ARRAY_LEN(table) && table[no] != NULL)
        table[no](s, r);
}

bool request_message(struct session *s, bool text, struct bytes data)
{
    Livekit__SignalRequest *r;
    struct arena a;

    arena_init(&a, PB_UNFOLD * data.len + PB_UNFOLD_BASE_BYTES);
    r = text ? pb_json_read(&a, &livekit__signal_request__descriptor, data, NULL)
             : pb_unpack(&a, &livekit__signal_request__descriptor, data);
    if (r != NULL) {
        s->json = text; /* answers take the form of the last question */
        request_apply(s, r);
    }
    arena_fini(&a);
    return r != NULL;
}
