#include "sfu/plane.h"

#include "base/err.h"
#include "base/mem.h"
#include "wire/rtcp.h"

struct link *plane_link(struct shard *s, peer_id id)
{
    struct link *l = table_find(&s->links, id);

    return l != NULL && l->id == id ? l : NULL;
}

struct track *plane_track(struct shard *s, track_id id)
{
    struct track *t = table_find(&s->tracks, id);

    return t != NULL && t->id == id ? t : NULL;
}

struct sub *plane_sub(struct shard *s, sub_id id)
{
    struct sub *b = table_find(&s->subs, id);

    return b != NULL && b->id == id ? b : NULL;
}

int plane_events_init(struct plane_events *q)
{
    *q = (struct plane_events){.buf = mem_zero(PLANE_EVENT_BYTES)};
    return q->buf != NULL ? 0 : E_NOMEM;
}

void plane_events_fini(struct plane_events *q)
{
    mem_free(q->buf);
    *q = (struct plane_events){0};
}

static uint32_t event_ceiling(const struct evt *e)
{
    if (evt_urgent(e))
        return PLANE_EVENT_BYTES;
    return e->kind == EVT_PEER_DATA ? PLANE_EVENT_DATA : PLANE_EVENT_STATS;
}

void plane_emit(struct shard *s, const struct evt *e)
{
    struct plane_events *q = &s->events;
    uint32_t len = evt_len(e), need = 8 + ((len + 7u) & ~7u);

    if (q->used + need > event_ceiling(e)) {
        plane_count(s, SHARD_EVENT_LOST);
        return;
    }
    memcpy(q->buf + q->used, &len, sizeof len);
    memcpy(q->buf + q->used + 8, e, len);
    q->used += need;
}

bool plane_event(struct shard *s, struct evt *e)
{
    struct plane_events *q = &s->events;
    uint32_t len;

    if (q->at == q->used) {
        q->at = q->used = 0;
        return false;
    }
    memcpy(&len, q->buf + q->at, sizeof len);
    memcpy(e, q->buf + q->at + 8, len);
    q->at += 8 + ((len + 7u) & ~7u);
    return true;
}

static void link_up(struct shard *s, struct link *l, bool up)
{
    if (l->up == up)
        return;
    l->up = up;
    l->report_at = up ? plane_report_at(s->tick.now) : US_NEVER;
    for (struct sub *b = l->subs; b != NULL; b = b->link_next) {
        struct fwd *f = track_fwd(b->track, b);
        if (!up && !(f->flags & FWD_PAUSED)) { /* it will need a key frame to go on */
            fwd_pause(f);
            fwd_resume(f);
        }
        track_choose(b->track, f, s->tick.now);
        plane_key_frames(s, b->track);
    }
}

static void peer_said(struct shard *s, struct link *l, const struct peer_event *pe)
{
    struct evt e;

    switch (pe->kind) {
    case PEER_EVT_STATE:
        e.kind = EVT_PEER_STATE;
        e.peer_state = (struct evt_peer_state){
            .peer = l->id, .state = (uint8_t)pe->state, .reason = (uint8_t)pe->reason};
        if (peer_path(l->peer) != NULL) {
            l->path = *peer_path(l->peer);
            e.peer_state.remote = l->path.remote;
        }
        link_up(s, l, pe->state == PEER_CONNECTED || (l->up && pe->state == PEER_DISCONNECTED));
        plane_emit(s, &e);
        break;
    case PEER_EVT_DATA:
        if (pe->data.len == 0 || pe->data.len > CMD_DATA_MAX) {
            plane_count(s, SHARD_DROP_OVERSIZED);
            break;
        }
        e.kind = EVT_PEER_DATA;
        e.peer_data.peer = l->id;
        e.peer_data.len = (uint16_t)pe->data.len;
        memcpy(e.peer_data.data, pe->data.p, pe->data.len);
        plane_emit(s, &e);
        break;
    case PEER_EVT_PATH:
        l->path = pe->path;
        break;
    }
}

static us_t link_deadline(const struct link *l)
{
    us_t at = us_min(peer_deadline(l->peer), l->nack_at);

    if (!l->up)
        return at;
    at = us_min(at, l->report_at);
    return l->twcc ? us_min(at, twcc_rx_deadline(l->arrivals)) : at;
}

void plane_due(struct shard *s, struct link *l, us_t at)
{
    if (l->due.place != 0 && l->due.at <= at)
        return;
    if (at != US_NEVER && !heap_set(&s->due, &l->due, at))
        s->tracks_at = us_min(s->tracks_at, at); /* no memory: found by the next round */
}

void plane_drain(struct shard *s, struct link *l)
{
    struct peer_event pe;
    bool full = false;

    for (;;) {
        struct path path;
        uint8_t *out = tx_claim(&s->tx, TX_DATAGRAM_MAX);
        if (out == NULL) {
            full = true;
            break;
        }
        struct wr w = wr_of(out, PEER_DATAGRAM_MAX);
        if (!peer_output(l->peer, &path, &w))
            break;
        if (wr_len(&w) > 0)
            tx_commit(&s->tx, &path, (uint32_t)wr_len(&w), TX_CONTROL);
    }
    while (peer_event(l->peer, &pe))
        peer_said(s, l, &pe);
    us_t at = full ? s->tick.now : link_deadline(l);
    if (!heap_set(&s->due, &l->due, at))
        s->tracks_at = us_min(s->tracks_at, at);
}

static void relay_all(struct shard *s, struct track *t, const struct pkt *p)
{
    for (uint8_t i = 0; i < t->mirror_n; i++) {
        if (!relay_push_packet(&s->relay, t->mirror[i], p))
            plane_count(s, SHARD_SHED_RELAY_FULL);
    }
}

void plane_packet(struct shard *s, struct track *t, struct pkt *p)
{
    bool shed;

    if (t->batch_n == FWD_BATCH_MAX)
        plane_fanout(s);
    unsigned news = track_receive(t, &s->slab, p, &shed);

    if (shed)
        plane_count(s, SHARD_SHED_TX_FULL);
    if (t->mirror_n > 0 && !t->muted)
        relay_all(s, t, p);
    if (!t->queued) {
        t->queued = true;
        t->queue_next = NULL;
        *s->queue_end = t;
        s->queue_end = &t->queue_next;
    }
    if (news != 0)
        plane_news(s, t, news);
}

void plane_news(struct shard *s, struct track *t, unsigned news)
{
    struct evt e;

    for (uint8_t i = 0; i < t->layer_n; i++) {
        if (!(news & TRACK_NEWS_LIVE << i))
            continue;
        const struct layer *l = &t->layer[i];
        e.kind = EVT_TRACK_LIVE;
        e.track_live = (struct evt_track_live){.track = t->id,
                                               .spatial = i,
                                               .live = l->live,
                                               .codec = t->live_codec,
                                               .width = l->width,
                                               .height = l->height};
        if (t->home == 0)
            plane_emit(s, &e);
        for (uint32_t k = 0; k < t->fwd_n; k++)
            track_choose(t, &t->fwd[k], s->tick.now);
        plane_key_frames(s, t);
    }
    if ((news & TRACK_NEWS_LEVEL) && t->home == 0) {
        e.kind = EVT_TRACK_LEVEL;
        e.track_level = (struct evt_track_level){
            .track = t->id, .level = t->speaker.smoothed, .active = t->speaker.active};
        plane_emit(s, &e);
    }
}

static void tell_fresh(struct shard *s, struct track *t)
{
    t->source.fresh = false;
    for (uint32_t i = 0; i < t->fwd_n; i++) {
        struct sub *b = t->fwd[i].sub;
        if (!b->sent || b->told)
            continue;
        struct evt e = {.kind = EVT_SUB_LIVE, .sub_live = {.sub = b->id}};
        b->told = true;
        plane_emit(s, &e);
    }
}

void plane_fanout(struct shard *s)
{
    while (s->queue != NULL) {
        struct track *t = s->queue;
        bool done = track_fanout(t, &s->slab, s->tick.now, &s->tx);
        if (t->source.fresh)
            tell_fresh(s, t);
        if (!done)
            return;
        s->queue = t->queue_next;
        t->queued = false;
        if (s->queue == NULL)
            s->queue_end = &s->queue;
    }
}

void plane_catch_up(struct shard *s)
{
    s->catch_at = US_NEVER;
    for (uint32_t i = 0; i < s->tracks.cap; i++) {
        struct track *t = s->tracks.at[i];
        if (t == NULL || !t->catching)
            continue;
        if (t->queued || track_catch_up(t, s->tick.now, &s->tx))
            s->catch_at = s->tick.now + GOP_STEP_US;
        if (t->source.fresh)
            tell_fresh(s, t);
    }
}

void plane_unqueue(struct shard *s, struct track *t)
{
    for (struct track **at = &s->queue; *at != NULL; at = &(*at)->queue_next) {
        if (*at != t)
            continue;
        *at = t->queue_next;
        if (t->queue_next == NULL)
            s->queue_end = at;
        break;
    }
    t->queued = false;
}

static void ask_publisher(struct shard *s, struct track *t, uint8_t layer)
{
    struct link *l = t->link;
    const struct rx *rx = &t->rx[layer];
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);
    struct rtcp_fir fir = {.ssrc = rx->ssrc, .seq = (uint8_t)t->plis};

    if (l == NULL || !l->up || rx->ssrc == 0)
        return;
    const struct cmd_codec *c = t->codec_n > 0 ? &t->codec[t->codec_at] : NULL;
    rtcp_write_rr(&w, l->rtcp_ssrc, NULL, 0);
    if (c != NULL && !c->pli && c->fir)
        rtcp_write_fir(&w, l->rtcp_ssrc, &fir, 1);
    else
        rtcp_write_pli(&w, l->rtcp_ssrc, rx->ssrc);
    if (link_send_rtcp(l, &s->tx, wr_done(&w))) {
        t->plis++;
        plane_count(s, SHARD_PLI_OUT);
    }
}

void plane_key_frames(struct shard *s, struct track *t)
{
    if (t->catching)
        s->catch_at = us_min(s->catch_at, s->tick.now);
    for (uint8_t i = 0; i < t->layer_n && t->video; i++) {
        if (!layer_pli(&t->layer[i], s->tick.now))
            continue;
        gop_asked(&t->gop[i], s->tick.now);
        if (t->home == 0)
            ask_publisher(s, t, i);
        else if (!relay_push_wish(&s->relay, t->home, i))
            plane_count(s, SHARD_SHED_RELAY_FULL);
    }
}
