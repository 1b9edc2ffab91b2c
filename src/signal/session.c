#include "signal/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "signal/hub.h"
#include "signal/negotiate.h"
#include "signal/push.h"
#include "signal/request.h"
#include "signal/response.h"
#include "signal/rpc.h"
#include "signal/transport.h"
#include "wire/pb.h"

enum {
    PING_INTERVAL_S = 5, /* livekit-server.md 3.1; one client divides by it */
    PING_TIMEOUT_S = 15,
    TOKEN_MIN_S = 600,
};

/* ---- a session's memory ---- */

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < PC_N; i++)
        transport_fini(&s->pc[i]);
    while (s->queued != NULL) {
        struct queued *q = s->queued;
        s->queued = q->next;
        arena_fini(&q->arena);
        mem_free(q);
    }
    while (s->held != NULL) {
        struct held *h = s->held;
        s->held = h->next;
        mem_free(h);
    }
    arena_fini(&s->keep);
    mem_free(s);
}

struct transport *session_data_transport(struct session *s)
{
    return &s->pc[s->subscriber_primary ? PC_SUBSCRIBER : PC_PUBLISHER];
}

bool session_charge(struct session *s, size_t bytes)
{
    uint32_t cost = 1 + (uint32_t)(bytes / SESSION_MESSAGE_UNIT_BYTES);
    us_t now = s->hub->house.tick.now;
    us_t gained = (now - s->budget_at) * SESSION_MESSAGES_PER_S / US_PER_SEC;

    if (gained > 0) {
        s->budget = (uint32_t)us_min(s->budget + gained, SESSION_MESSAGES_BURST);
        s->budget_at = now;
    }
    if (s->budget < cost)
        return false;
    s->budget -= cost;
    return true;
}

/* ---- joining ---- */

static bool word_is(const char *text, const char *word)
{
    return text != NULL && str_ieq(bytes_str(text), word);
}

static void read_quirks(struct mline_quirks *q, const Livekit__ClientInfo *c)
{
    *q = (struct mline_quirks){0};
    if (c == NULL)
        return;
    q->firefox = word_is(c->browser, "firefox");
    q->safari = word_is(c->browser, "safari");
    q->obs = c->browser != NULL && strstr(c->browser, "OBS") != NULL;
    q->linux_or_android = word_is(c->os, "linux") || word_is(c->os, "android");
    if (q->safari && c->browser_version != NULL) {
        uint64_t major = 0, minor = 0;
        size_t n = strcspn(c->browser_version, ".");
        const char *rest = c->browser_version + n + (c->browser_version[n] == '.');
        (void)str_to_u64(bytes_of(c->browser_version, n), 10000, &major); /* odd: old */
        (void)str_to_u64(bytes_of(rest, strcspn(rest, ".")), 10000, &minor);
        q->safari_after_18_3 = major > 18 || (major == 18 && minor > 3);
    }
}

static struct session *session_new(struct hub *hub, const struct session_cfg *cfg)
{
    struct session *s = mem_zero(sizeof *s);

    if (s == NULL)
        return NULL;
    s->hub = hub;
    s->conn = cfg->conn;
    s->voice = cfg->voice;
    s->standing = cfg->standing;
    s->resume_us = cfg->resume_us != 0 ? cfg->resume_us : SESSION_RESUME_US;
    s->json = cfg->json;
    s->single = cfg->single;
    s->protocol = cfg->client != NULL ? cfg->client->protocol : 0;
    read_quirks(&s->quirks, cfg->client);
    s->budget = SESSION_MESSAGES_BURST;
    s->budget_at = hub->house.tick.now;
    s->join_by = hub->house.tick.now + (cfg->join_us != 0 ? cfg->join_us : SESSION_JOIN_US);
    s->remove_at = s->refresh_at = US_NEVER;
    s->lost_at = s->udp_failed_at = US_NEVER;
    s->offer_id = (uint32_t)rng_below(&hub->house.rng, 256); /* the first offer adds one */
    for (int i = 0; i < PC_N; i++)
        transport_init(&s->pc[i], s, (uint8_t)i);
    return s;
}

static const char *metadata_of(const struct session_cfg *cfg)
{
    return cfg->metadata != NULL && *cfg->metadata != '\0' ? cfg->metadata : cfg->claims->metadata;
}

static int make_member(struct room *r, const struct session_cfg *cfg, struct member **ret)
{
    const struct token_claims *c = cfg->claims;
    struct member_cfg m = {.identity = c->identity,
                           .name = c->name,
                           .metadata = metadata_of(cfg),
                           .attribute = c->attribute,
                           .attribute_n = c->attribute_n,
                           .kind = grant_kind(c->kind),
                           .auto_subscribe = cfg->auto_subscribe,
                           .adaptive_stream = cfg->adaptive_stream};
    grant_of_token(&m.grant, &c->video);
    int err = room_join(r, &m, ret);
    if (err != 0)
        return err;
    for (uint32_t i = 0; i < cfg->attr_n; i++)
        if (*cfg->attr[i].value != '\0') /* a join deletes nothing */
            (void)member_set_attr(*ret, cfg->attr[i].key,
                                  cfg->attr[i].value); /* over the limit: left out */
    if (cfg->client != NULL) {
        (*ret)->client_protocol = cfg->client->client_protocol;
        for (size_t i = 0; i < cfg->client->n_capabilities && i < ROOM_CAPABILITIES_MAX; i++)
            (*ret)->capability[(*ret)->capability_n++] = cfg->client->capabilities[i];
    }
    static const char *const details[] = {"cloud_agent",      "forwarded",   "connector_whatsapp",
                                          "connector_twilio", "bridge_rtsp", "simulation"};
    for (uint32_t i = 0; i < c->kind_detail_n; i++)
        for (size_t k = 0; k < ARRAY_LEN(details); k++)
            if (str_ieq(bytes_str(c->kind_detail[i]), details[k]) &&
                (*ret)->kind_detail_n < ROOM_KIND_DETAILS_MAX)
                (*ret)->kind_detail[(*ret)->kind_detail_n++] =
                    (Livekit__ParticipantInfo__KindDetail)k;
    return 0;
}

static void fill_server_info(const struct hub *hub, Livekit__ServerInfo *info)
{
    info->version = (char *)hub->cfg.version;
    info->protocol = SESSION_PROTOCOL;
    info->region = (char *)hub->cfg.region;
    info->node_id = (char *)hub->node_id;
    info->agent_protocol = 1;
}

static bool fill_codecs(struct arena *a, const struct session *s, Livekit__JoinResponse *j)
{
    j->enabled_publish_codecs = arena_array(a, 16, sizeof *j->enabled_publish_codecs);
    for (int i = 0; j->enabled_publish_codecs != NULL && mline_publish_mimes[i] != NULL; i++) {
        Livekit__Codec *c = pb_new(a, &livekit__codec__descriptor);
        if (c == NULL)
            return false;
        c->mime = (char *)mline_publish_mimes[i];
        enum codec codec = codec_of_mime(bytes_str(c->mime));
        if ((codec == CODEC_AV1 && s->quirks.safari) ||
            (codec == CODEC_H264 && s->quirks.firefox && s->quirks.linux_or_android) ||
            (codec == CODEC_VP9 && s->quirks.safari_after_18_3))
            continue;
        j->enabled_publish_codecs[j->n_enabled_publish_codecs++] = c;
    }
    return j->enabled_publish_codecs != NULL;
}

/* The session lets go of its socket, or its voice. */
static void hang_up(struct session *s, uint16_t ws_code)
{
    if (s->voice != NULL)
        voice_end(s->voice);
    else
        outbox_close(&s->hub->out, s->conn, ws_code);
    (void)map_take_u64(&s->hub->by_conn, s->conn); /* it is there */
    s->conn = 0;
    s->voice = NULL;
}

static void say_join(struct session *s)
{
    struct hub *hub = s->hub;
    struct member *m = s->member;
    Livekit__SignalResponse msg = LIVEKIT__SIGNAL_RESPONSE__INIT;
    Livekit__JoinResponse j = LIVEKIT__JOIN_RESPONSE__INIT;
    Livekit__ServerInfo info = LIVEKIT__SERVER_INFO__INIT;
    struct arena a;

    arena_init(&a, RESPONSE_BYTES_MAX);
    fill_server_info(hub, &info);
    j.room = info_room(&a, m->room);
    j.participant = info_member(&a, m);
    j.other_participants = info_members(&a, m->room, m, false, &j.n_other_participants);
    for (uint32_t i = 0; i < m->room->member_n; i++)
        if (m->room->member[i] != m)
            m->room->member[i]->announced = true;
    j.server_version = (char *)hub->cfg.version;
    j.server_region = (char *)hub->cfg.region;
    j.server_info = &info;
    j.ice_servers = hub->cfg.ice_server;
    j.n_ice_servers = hub->cfg.ice_server_n;
    j.subscriber_primary = s->subscriber_primary;
    j.ping_interval = PING_INTERVAL_S;
    j.ping_timeout = PING_TIMEOUT_S;
    j.sif_trailer.data = (uint8_t *)m->room->sif_trailer;
    j.sif_trailer.len = strlen(m->room->sif_trailer);
    j.fast_publish = m->grant.can_publish && !s->tcp_only;
    msg.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN;
    msg.join = &j;
    if (j.room != NULL && j.participant != NULL && fill_codecs(&a, s, &j))
        response_send(s, &msg);
    arena_fini(&a);
}

void session_send_token(struct session *s)
{
    struct member *m = s->member;
    struct hub *hub = s->hub;
    int64_t now_s = house_wall_ms(&hub->house) / 1000;
    struct token_pair attribute[TOKEN_ATTRIBUTES_MAX];
    struct token_claims c = *s->claims;
    struct str token;

    if (s->conn == 0 || s->voice != NULL) /* a voice is in this process: it needs no token */
        return;
    c.issuer = hub->cfg.key_id;
    c.identity = m->identity;
    c.name = m->name;
    c.metadata = m->metadata;
    c.not_before_s = now_s;
    c.expires_s = now_s + TOKEN_MIN_S > c.expires_s ? now_s + TOKEN_MIN_S : c.expires_s;
    c.attribute = attribute;
    c.attribute_n = 0;
    for (uint32_t i = 0; i < m->attr_n && i < TOKEN_ATTRIBUTES_MAX; i++)
        c.attribute[c.attribute_n++] =
            (struct token_pair){.key = m->attr[i].key, .value = m->attr[i].value};
    grant_to_token(&m->grant, &c.video);
    str_init(&token, RESPONSE_BYTES_MAX);
    if (token_mint(&token, &c, bytes_str(hub->cfg.key_secret)))
        response_token(s, str_text(&token));
    str_fini(&token);
    s->refresh_at = hub->house.tick.now + SESSION_REFRESH_US;
    room_due(m->room, s->refresh_at);
}

/* Unknown or over: the client starts anew, said as the first and last message. */
static void turn_away(struct hub *hub, const struct session_cfg *cfg)
{
    struct session s = {.hub = hub, .conn = cfg->conn, .json = cfg->json};

    s.protocol = cfg->client != NULL ? cfg->client->protocol : SESSION_PROTOCOL;
    outbox_accept(&hub->out, cfg->conn);
    response_leave(&s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH,
                   LIVEKIT__LEAVE_REQUEST__ACTION__RECONNECT);
    outbox_close(&hub->out, cfg->conn, 1000);
}

static void say_reconnect(struct session *s)
{
    struct hub *hub = s->hub;
    struct room *r = s->member->room;
    Livekit__SignalResponse msg = LIVEKIT__SIGNAL_RESPONSE__INIT;
    Livekit__ReconnectResponse rec = LIVEKIT__RECONNECT_RESPONSE__INIT;
    Livekit__ServerInfo info = LIVEKIT__SERVER_INFO__INIT;
    struct arena a;
    size_t n;

    fill_server_info(hub, &info);
    rec.ice_servers = hub->cfg.ice_server;
    rec.n_ice_servers = hub->cfg.ice_server_n;
    rec.server_info = &info;
    rec.last_message_seq = s->member->last_sequence;
    msg.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_RECONNECT;
    msg.reconnect = &rec;
    response_send(s, &msg);
    arena_init(&a, RESPONSE_BYTES_MAX);
    push_departed(s);
    Livekit__ParticipantInfo **list =
        info_members(&a, r, s->member->grant.hidden ? s->member : NULL, false, &n);
    if (list != NULL)
        response_update(s, list, n);
    arena_fini(&a);
    response_room(s);
    session_send_token(s);
}

static bool resume(struct hub *hub, struct session_cfg *cfg)
{
    struct room *r = house_find(&hub->house, cfg->claims->video.room);
    struct member *m = r != NULL ? room_find(r, cfg->claims->identity) : NULL;
    struct session *s = m != NULL ? m->session : NULL;

    if (s == NULL || s->ended || (*cfg->sid != '\0' && strcmp(cfg->sid, m->sid) != 0) ||
        !map_put_u64(&hub->by_conn, cfg->conn, s)) {
        turn_away(hub, cfg);
        arena_fini(&cfg->keep);
        return true;
    }
    if (s->conn != 0) {
        (void)map_take_u64(&hub->by_conn, s->conn); /* it is there */
        outbox_close(&hub->out, s->conn, 1000);
    }
    s->conn = cfg->conn;
    s->json = cfg->json;
    s->stalled = false;
    s->remove_at = US_NEVER;
    arena_fini(&cfg->keep); /* what the member is now rules, not the old token */
    outbox_accept(&hub->out, s->conn);
    if (s->disconnect_on_resume) {
        s->disconnect_on_resume = false;
        uint64_t conn = s->conn;
        outbox_close(&hub->out, conn, 1000);
        hub_closed(hub, conn);
        return true;
    }
    say_reconnect(s);
    s->lost_at = US_NEVER;
    negotiate_resumed(s);
    room_touch(r);
    return true;
}

static bool refused(struct session_refusal *why, int status, const char *text)
{
    *why = (struct session_refusal){.status = status, .text = text};
    return false;
}

/* What is said of the attributes at the join on top of the token's; nothing is taken away. */
static size_t attr_bytes(const struct session_cfg *cfg)
{
    const struct token_claims *c = cfg->claims;
    size_t sum = 0;

    for (uint32_t i = 0; i < c->attribute_n; i++) {
        bool replaced = false;
        for (uint32_t k = 0; k < cfg->attr_n && !replaced; k++)
            replaced =
                *cfg->attr[k].value != '\0' && strcmp(cfg->attr[k].key, c->attribute[i].key) == 0;
        if (!replaced)
            sum += strlen(c->attribute[i].key) + strlen(c->attribute[i].value);
    }
    for (uint32_t k = 0; k < cfg->attr_n; k++)
        if (*cfg->attr[k].value != '\0')
            sum += strlen(cfg->attr[k].key) + strlen(cfg->attr[k].value);
    return sum;
}

/* The original closes without a reason here, and does not measure the name. */
static bool within_limits(const struct hub *hub, const struct session_cfg *cfg,
                          struct session_refusal *why)
{
    const struct room_limits *l = &hub->house.cfg.limits;

    if (l->participant_name_len != 0 && strlen(cfg->claims->name) > l->participant_name_len)
        return refused(why, 400, "name length exceeds limits");
    if (l->metadata_bytes != 0 && strlen(metadata_of(cfg)) > l->metadata_bytes)
        return refused(why, 400, "metadata size exceeds limits");
    if (l->attributes_bytes != 0 && attr_bytes(cfg) > l->attributes_bytes)
        return refused(why, 400, "attributes size exceeds limits");
    return true;
}

static void start(struct session *s, const struct session_cfg *cfg)
{
    struct member *m = s->member;

    if (s->voice == NULL)
        outbox_accept(&s->hub->out, s->conn);
    sub_auto_member(m);
    member_set_state(m, LIVEKIT__PARTICIPANT_INFO__STATE__JOINED);
    if (s->voice == NULL)
        say_join(s); /* a voice finds what it needs in the member */
    for (size_t i = 0; i < cfg->add_track_n && !s->ended; i++)
        request_add_track(s, cfg->add_track[i]);
    session_send_token(s);
    if (cfg->offer != NULL && cfg->offer->sdp != NULL && *cfg->offer->sdp != '\0' && !s->ended &&
        negotiate_offer(s, cfg->offer) != 0)
        session_start_over(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
    if (!s->single && !s->ended)
        negotiate_begin(s);
}

bool session_join(struct hub *hub, struct session_cfg *cfg, struct session_refusal *why)
{
    const char *name = cfg->claims->video.room;
    struct room *r;
    struct member *m = NULL, *old;
    char name_text[LOG_VALUE_MAX];

    if (hub->shutdown)
        return refused(why, 503, "server is shutting down");
    if (cfg->reconnect)
        return resume(hub, cfg);
    if (!within_limits(hub, cfg, why))
        return false;
    if (house_find(&hub->house, name) == NULL &&
        house_preset(&hub->house, cfg->claims->room_preset, &cfg->wish) != 0)
        return refused(why, 400, "unknown room configuration in create room request");
    int err = hub_room(hub, name, &cfg->wish, false, &r);
    if (err == E_NOENT)
        return refused(why, 404, "requested room does not exist");
    if (err != 0)
        return refused(why, 503, "node has exceeded its configured limit");
    old = room_find(r, cfg->claims->identity);
    if (old == NULL && room_is_full(r))
        return refused(why, 503, "room is full");
    struct session *s = session_new(hub, cfg);
    if (s == NULL || !map_put_u64(&hub->by_conn, cfg->conn, s))
        goto fail;
    if (old != NULL && old->session != NULL)
        session_end(old->session, LIVEKIT__DISCONNECT_REASON__DUPLICATE_IDENTITY,
                    LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
    if (make_member(r, cfg, &m) != 0) {
        (void)map_take_u64(&hub->by_conn, cfg->conn); /* just put */
        goto fail;
    }
    s->keep = cfg->keep;
    s->claims = cfg->claims;
    s->member = m;
    m->bare_reports = s->quirks.obs;
    m->session = s;
    s->tcp_only = prefer_tcp(&hub->prefer, r->name, m->identity, hub->house.tick.now);
    s->subscriber_primary = !s->single && s->protocol >= 3 && m->grant.can_subscribe;
    hub->session_n++;
    outbox_log(&hub->out, 2, "event=join room=%s identity=%s sid=%s single=%d", r->sid,
               log_value(name_text, m->identity), m->sid, s->single);
    start(s, cfg);
    return true;

fail:
    session_free(s);
    return refused(why, 503, "node has exceeded its configured limit");
}

/* ---- leaving ---- */

void session_drop(struct session *s, Livekit__DisconnectReason reason)
{
    struct hub *hub = s->hub;
    char text[LOG_VALUE_MAX];

    if (s->ended)
        return;
    s->ended = true;
    if (s->conn != 0)
        hang_up(s, 1000);
    outbox_log(&hub->out, 2, "event=leave room=%s identity=%s sid=%s reason=%d",
               s->member->room->sid, log_value(text, s->member->identity), s->member->sid,
               (int)reason);
    rpc_left(s);
    member_part(s->member, reason);
    for (int i = 0; i < PC_N; i++)
        transport_close(&s->pc[i]);
    s->member->session = NULL;
    s->next_ended = hub->ended;
    hub->ended = s;
    hub->session_n--;
}

void session_end(struct session *s, Livekit__DisconnectReason reason,
                 Livekit__LeaveRequest__Action action)
{
    if (s->ended)
        return;
    response_leave(s, reason, action);
    session_drop(s, reason);
}

void session_start_over(struct session *s, Livekit__DisconnectReason reason)
{
    session_end(s, reason, LIVEKIT__LEAVE_REQUEST__ACTION__RECONNECT);
}

static bool any_alive(const struct session *s)
{
    for (int i = 0; i < PC_N; i++)
        if (s->pc[i].peer != 0 && s->pc[i].ever_connected && !s->pc[i].failed)
            return true;
    return false;
}

void session_lost(struct session *s)
{
    s->conn = 0;
    s->stalled = false;
    s->lost_at = s->hub->house.tick.now;
    if (s->ended)
        return;
    if (any_alive(s))
        return; /* media goes on; a resume, or the end of the connection, decides */
    if (s->remove_at != US_NEVER)
        return; /* its resume is awaited already */
    session_drop(s, LIVEKIT__DISCONNECT_REASON__SIGNAL_CLOSE);
}

/* ---- events and time ---- */

static void failed(struct session *s)
{
    us_t now = s->hub->house.tick.now;

    if (s->remove_at != US_NEVER)
        return;
    if (s->conn != 0 && s->voice == NULL) {
        response_leave(s, LIVEKIT__DISCONNECT_REASON__CONNECTION_TIMEOUT,
                       LIVEKIT__LEAVE_REQUEST__ACTION__RESUME);
        hang_up(s, 1000);
        s->stalled = false;
        s->lost_at = now;
    }
    s->remove_at = now + s->resume_us;
    s->remove_reason = LIVEKIT__DISCONNECT_REASON__CONNECTION_TIMEOUT;
    room_due(s->member->room, s->remove_at);
}

void session_prefer(struct session *s, bool tcp)
{
    struct hub *hub = s->hub;

    s->tcp_only = tcp;
    prefer_set(&hub->prefer, s->member->room->name, s->member->identity, tcp, hub->house.tick.now);
}

/* The path is dead while the client still speaks to us: its network may not like UDP, or no
 * longer TCP. */
static void blame_path(struct session *s, const struct transport *t)
{
    us_t now = s->hub->house.tick.now;

    if (!t->silent || !s->hub->cfg.tcp_fallback || s->conn == 0 ||
        now - s->budget_at > SESSION_RECENT_US)
        return;
    bool brief = !t->ever_connected || now - t->connected_at < SESSION_SHORT_US;
    bool again = s->udp_failed_at != US_NEVER && now - s->udp_failed_at < SESSION_AGAIN_US;
    if (t->over_tcp)
        session_prefer(s, false);
    else if (brief || again)
        session_prefer(s, true);
    else
        s->udp_failed_at = now;
}

void session_transport_changed(struct session *s, struct transport *t)
{
    struct transport *primary = &s->pc[s->subscriber_primary ? PC_SUBSCRIBER : PC_PUBLISHER];

    if (t->failed) {
        blame_path(s, t);
        failed(s);
        return;
    }
    if (!t->connected)
        return;
    if (s->remove_at != US_NEVER && any_alive(s))
        s->remove_at = US_NEVER;
    if (t == primary && s->member->state != LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE) {
        s->join_by = US_NEVER;
        member_set_state(s->member, LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE);
    }
}

us_t session_tick(struct session *s, us_t now)
{
    if (s->stalled && s->voice != NULL) { /* nobody can resume it */
        session_drop(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
        return US_NEVER;
    }
    if (s->stalled && s->conn != 0) {
        hang_up(s, 1011);
        session_lost(s);
        if (s->ended)
            return US_NEVER;
    }
    if (now >= s->remove_at) {
        session_drop(s, s->remove_reason);
        return US_NEVER;
    }
    if (now >= s->join_by) {
        session_end(s, LIVEKIT__DISCONNECT_REASON__JOIN_FAILURE,
                    LIVEKIT__LEAVE_REQUEST__ACTION__RECONNECT);
        return US_NEVER;
    }
    if (s->conn != 0 && now >= s->refresh_at)
        session_send_token(s);
    us_t next = us_min(s->remove_at, s->join_by);
    if (s->conn != 0)
        next = us_min(next, s->refresh_at);
    return us_min(next, negotiate_tick(s, now));
}

void session_set_grant(struct session *s, const struct grant *g)
{
    struct member *m = s->member;
    struct pub *after;

    if (grant_eq(&m->grant, g))
        return;
    bool could_subscribe = m->grant.can_subscribe;
    member_set_grant(m, g);
    for (struct pub *p = m->pubs; p != NULL; p = after) {
        after = p->next;
        if (grant_may_publish(g, p->info->source))
            continue;
        response_unpublished(s, p->info->sid);
        pub_end(p);
    }
    if (!g->can_subscribe) {
        while (m->subs != NULL)
            sub_end(m->subs);
    } else if (!could_subscribe) {
        sub_auto_member(m);
    }
    m->subs_dirty = true;
    session_send_token(s);
}
