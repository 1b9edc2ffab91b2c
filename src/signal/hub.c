#include "signal/hub.h"

#include "base/log.h"
#include "base/mem.h"
#include "signal/heir.h"
#include "signal/negotiate.h"
#include "signal/push.h"
#include "signal/request.h"
#include "signal/response.h"
#include "signal/rpc.h"
#include "signal/transport.h"

int hub_open(struct hub **ret, const struct hub_cfg *cfg, struct tick tick)
{
    struct hub *hub = mem_zero(sizeof *hub);

    if (hub == NULL)
        return E_NOMEM;
    int err = assoc_pool_init();
    if (err != 0) {
        mem_free(hub);
        return err;
    }
    hub->cfg = *cfg;
    house_init(&hub->house, &cfg->house);
    hub->house.tick = tick;
    map_init(&hub->by_conn, rng_u64(&hub->house.rng));
    prefer_init(&hub->prefer, rng_u64(&hub->house.rng));
    outbox_init(&hub->out);
    rpc_init(hub);
    str_id(hub->node_id, sizeof hub->node_id, "ND_", &hub->house.rng);
    *ret = hub;
    return 0;
}

static void reap(struct hub *hub)
{
    while (hub->ended != NULL) {
        struct session *s = hub->ended;
        hub->ended = s->next_ended;
        session_free(s);
    }
}

static struct room *any_room(struct hub *hub)
{
    struct heap_node *node = heap_first(&hub->house.due);
    return node != NULL ? OWNER_OF(node, struct room, due) : NULL;
}

void hub_free(struct hub *hub)
{
    struct room *r;

    if (hub == NULL)
        return;
    while ((r = any_room(hub)) != NULL)
        hub_delete_room(hub, r, LIVEKIT__DISCONNECT_REASON__SERVER_SHUTDOWN);
    reap(hub);
    while (voice_ready(&hub->voices) != NULL)
        ; /* they are the adapters' and may outlive the list */
    house_fini(&hub->house);
    rpc_fini(hub);
    outbox_fini(&hub->out);
    prefer_fini(&hub->prefer);
    map_fini(&hub->by_conn);
    assoc_pool_fini();
    mem_free(hub);
}

void hub_time(struct hub *hub, struct tick tick)
{
    hub->house.tick = tick;
}

int hub_room(struct hub *hub, const char *name, const struct room_wish *wish, bool force,
             struct room **ret)
{
    struct room *r = house_find(&hub->house, name);
    char text[LOG_VALUE_MAX];

    if (r != NULL) {
        *ret = r;
        return 0;
    }
    if (!hub->cfg.auto_create && !force)
        return E_NOENT;
    int err = house_create(&hub->house, name, &r);
    if (err == 0 && wish != NULL && (err = room_apply(r, wish, true)) != 0)
        room_close(r); /* half of what was wished for is no room */
    if (err != 0)
        return err;
    outbox_log(&hub->out, 2, "event=room_created room=%s name=%s", r->sid, log_value(text, name));
    *ret = r;
    return 0;
}

void hub_delete_room(struct hub *hub, struct room *r, Livekit__DisconnectReason reason)
{
    while (r->member_n > 0) {
        struct member *m = r->member[r->member_n - 1];
        if (m->session != NULL)
            session_end(m->session, reason, LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
        else
            member_part(m, reason);
    }
    outbox_log(&hub->out, 2, "event=room_closed room=%s reason=%d", r->sid, (int)reason);
    room_close(r);
}

void hub_message(struct hub *hub, uint64_t conn, bool text, struct bytes data)
{
    struct session *s = map_find_u64(&hub->by_conn, conn);

    if (s == NULL || s->ended)
        return;
    hub->messages++;
    if (data.len > hub->cfg.message_bytes_max || !session_charge(s, data.len)) {
        hub->messages_bad++; /* the socket ends; who means well resumes */
        outbox_close(&hub->out, conn, 1009);
        hub_closed(hub, conn);
        return;
    }
    if (!request_message(s, text, data))
        hub->messages_bad++; /* the original logs it and reads on */
}

void hub_closed(struct hub *hub, uint64_t conn)
{
    struct session *s = map_take_u64(&hub->by_conn, conn);

    if (s != NULL)
        session_lost(s);
}

/* ---- sessions with a voice ---- */

uint64_t hub_voice_conn(struct hub *hub)
{
    return VOICE_CONN | ++hub->voice_n;
}

struct session *hub_session(const struct hub *hub, uint64_t conn)
{
    return map_find_u64(&hub->by_conn, conn);
}

bool hub_request(struct hub *hub, uint64_t conn, const Livekit__SignalRequest *r)
{
    struct session *s = hub_session(hub, conn);

    if (s == NULL || s->ended)
        return false;
    hub->messages++;
    request_apply(s, r);
    return true;
}

bool hub_replace(struct hub *hub, uint64_t conn, const struct hub_successor *by)
{
    struct session *s = hub_session(hub, conn);

    if (s == NULL || s->ended)
        return false;
    heir_begin(s);
    for (size_t i = 0; i < by->add_n; i++)
        request_add_track(s, by->add[i]);
    int err = negotiate_offer(s, by->offer);
    heir_settle(s);
    if (err != 0) {
        session_start_over(s, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
        return false;
    }
    s->remove_at = hub->house.tick.now + by->within_us;
    s->remove_reason = LIVEKIT__DISCONNECT_REASON__CONNECTION_TIMEOUT;
    room_due(s->member->room, s->remove_at);
    return true;
}

void hub_hang_up(struct hub *hub, uint64_t conn, Livekit__DisconnectReason reason)
{
    struct session *s = hub_session(hub, conn);

    if (s != NULL)
        session_drop(s, reason);
}

/* ---- events of the shards ---- */

static void on_level(struct hub *hub, const struct evt_track_level *ev)
{
    struct pub *p = plane_owner(&hub->house.plane, PLANE_TRACK, ev->track);

    if (p == NULL)
        return;
    p->level = ev->active ? ev->level : 0;
    p->member->room->speakers_dirty = true;
    room_touch(p->member->room);
}

static void on_live(struct hub *hub, const struct evt_track_live *ev)
{
    struct pub *p = plane_owner(&hub->house.plane, PLANE_TRACK, ev->track);

    if (p == NULL || p->track != ev->track || ev->spatial >= CMD_LAYERS_MAX)
        return;
    if (ev->live)
        p->live_layers |= (uint8_t)(1u << ev->spatial);
    else
        p->live_layers &= (uint8_t) ~(1u << ev->spatial);
    if (!ev->live || ev->codec == CODEC_NONE || ev->codec == CODEC_RTX)
        return;
    pub_set_mime(p, codec_mime((enum codec)ev->codec));
}

void hub_event(struct hub *hub, const struct evt *ev)
{
    struct plane *plane = &hub->house.plane;
    struct transport *t;
    struct pub *p;
    struct sub *u;

    switch (ev->kind) {
    case EVT_PEER_STATE:
        if ((t = plane_owner(plane, PLANE_PEER, ev->peer_state.peer)) != NULL)
            transport_state(t, &ev->peer_state);
        break;
    case EVT_PEER_DATA:
        if ((t = plane_owner(plane, PLANE_PEER, ev->peer_data.peer)) != NULL)
            transport_data(t, bytes_of(ev->peer_data.data, ev->peer_data.len));
        break;
    case EVT_TRACK_LIVE:
        on_live(hub, &ev->track_live);
        break;
    case EVT_TRACK_LEVEL:
        on_level(hub, &ev->track_level);
        break;
    case EVT_TRACK_STATS:
        if ((p = plane_owner(plane, PLANE_TRACK, ev->track_stats.track)) != NULL) {
            p->stats = ev->track_stats;
            p->stats_at = hub->house.tick.now;
        }
        break;
    case EVT_SUB_LIVE:
        if ((u = plane_owner(plane, PLANE_SUB, ev->sub_live.sub)) != NULL)
            u->told_live = true;
        break;
    case EVT_SUB_STATS:
        if ((u = plane_owner(plane, PLANE_SUB, ev->sub_stats.sub)) != NULL) {
            u->stats = ev->sub_stats;
            u->stats_at = hub->house.tick.now;
        }
        break;
    default:
        plane_gone(plane, ev);
        break;
    }
}

/* ---- time ---- */

static us_t missing_tick(struct session *s, us_t now)
{
    us_t next = US_NEVER;

    for (uint32_t i = 0; i < s->missing_n;) {
        struct missing *mi = &s->missing[i];
        struct pub *p = pub_find_in_room(s->member->room, mi->sid);
        bool found = p != NULL && p->state == PUB_LIVE;

        if (!found && now < mi->until) {
            next = us_min(next, mi->until);
            i++;
            continue;
        }
        if (found)
            (void)sub_want(s->member, p); /* refused: at its limit */
        else
            response_subscription_error(s, mi->sid, LIVEKIT__SUBSCRIPTION_ERROR__SE_TRACK_NOTFOUND);
        *mi = s->missing[--s->missing_n];
    }
    return next;
}

static us_t tick_member(struct member *m, us_t now)
{
    struct session *s = m->session;

    if (s->queued_n > 0)
        request_retry_queued(s);
    us_t next = s->missing_n > 0 ? missing_tick(s, now) : US_NEVER;
    next = us_min(next, pub_settle(m, now));
    m->subs_dirty = false;
    return us_min(next, session_tick(s, now));
}

static void tick_room(struct hub *hub, struct room *r)
{
    us_t now = hub->house.tick.now, expires_at, next;

    room_set_due(r, now + 3600 * US_PER_SEC); /* what touches it from here on lowers this */
    fact_room_started(r);
    next = push_room(hub, r);
    room_reap(r);
    for (uint32_t i = r->member_n; i-- > 0;) {
        if (i >= r->member_n) /* one that ended another */
            continue;
        struct member *m = r->member[i];
        if (m->session != NULL)
            next = us_min(next, tick_member(m, now));
    }
    if (room_expired(r, &expires_at)) {
        hub_delete_room(hub, r, LIVEKIT__DISCONNECT_REASON__ROOM_CLOSED);
        return;
    }
    next = us_min(next, expires_at);
    room_due(r, us_max(next, now + US_PER_MS));
}

void hub_tick(struct hub *hub)
{
    struct room *r;
    struct assoc *as;

    plane_tick(&hub->house.plane);
    assoc_pool_tick(hub->house.tick.now);
    while ((r = house_due(&hub->house)) != NULL)
        tick_room(hub, r);
    while ((as = assoc_pool_pending()) != NULL) {
        struct transport *t = plane_owner(&hub->house.plane, PLANE_PEER, assoc_owner(as));
        if (t != NULL)
            transport_drain(t);
    }
    rpc_tick(hub);
    house_reap(&hub->house);
    reap(hub);
}

us_t hub_deadline(const struct hub *hub)
{
    us_t at = us_min(house_deadline(&hub->house), assoc_pool_deadline());
    return us_min(at, heap_deadline(&hub->rpc_due));
}

void hub_shutdown(struct hub *hub)
{
    struct room *r;

    hub->shutdown = true;
    while ((r = any_room(hub)) != NULL)
        hub_delete_room(hub, r, LIVEKIT__DISCONNECT_REASON__SERVER_SHUTDOWN);
}
