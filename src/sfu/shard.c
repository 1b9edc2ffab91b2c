#include "sfu/shard.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/dtls.h"
#include "sfu/demux.h"
#include "sfu/feedback.h"
#include "sfu/plane.h"

int shard_open(struct shard **ret, const struct shard_cfg *cfg)
{
    struct shard *s = mem_zero(sizeof *s);
    int err = E_NOMEM;

    if (s == NULL)
        return E_NOMEM;
    s->cfg = *cfg;
    if (s->cfg.peers_max == 0)
        s->cfg.peers_max = PLANE_PEERS;
    s->rng = rng_seed(cfg->seed);
    pkt_slab_init(&s->slab, cfg->pkts_max != 0 ? cfg->pkts_max : PLANE_PKTS);
    paths_init(&s->paths, s->cfg.peers_max * 2, rng_u64(&s->rng));
    map_init(&s->ufrags, rng_u64(&s->rng));
    heap_init(&s->due);
    table_init(&s->links, s->cfg.peers_max);
    table_init(&s->tracks, PLANE_TRACKS_MAX);
    table_init(&s->subs, PLANE_SUBS_MAX);
    relay_queue_init(&s->relay);
    s->queue_end = &s->queue;
    s->tracks_at = s->catch_at = US_NEVER;
    if (plane_events_init(&s->events) != 0 || tx_init(&s->tx, TX_BYTES) != 0)
        goto fail;
    err = dtls_ctx_open(&s->dtls, cfg->cert);
    if (err)
        goto fail;
    *ret = s;
    return 0;

fail:
    shard_free(s);
    return err;
}

static void sub_end(struct shard *s, struct sub *b)
{
    struct link *l = b->link;

    (void)map_take_u64(&l->out, b->ssrc);
    if (b->rtx_ssrc != 0)
        (void)map_take_u64(&l->out, b->rtx_ssrc);
    *b->link_back = b->link_next;
    if (b->link_next != NULL)
        b->link_next->link_back = b->link_back;
    l->sub_n--;
    track_detach(b->track, b);
    table_take(&s->subs, b->id);
    mem_free(b->resend);
    mem_free(b);
}

static void track_unlink(struct track *t)
{
    for (uint8_t i = 0; i < t->layer_n; i++)
        demux_forget(t->link, &t->rx[i]);
    *t->link_back = t->link_next;
    if (t->link_next != NULL)
        t->link_next->link_back = t->link_back;
    t->link = NULL;
}

static void track_end(struct shard *s, struct track *t)
{
    while (t->fwd_n > 0)
        sub_end(s, t->fwd[t->fwd_n - 1].sub);
    plane_unqueue(s, t);
    if (t->link != NULL)
        track_unlink(t);
    table_take(&s->tracks, t->id);
    track_free(t, &s->slab);
}

static void link_end(struct shard *s, struct link *l)
{
    while (l->tracks != NULL)
        track_end(s, l->tracks);
    while (l->subs != NULL)
        sub_end(s, l->subs);
    for (uint8_t i = 0; i < l->addr_n; i++)
        paths_remove(&s->paths, &l->addr[i], handle_index(l->id));
    for (uint8_t i = 0; i < LINK_UFRAG_MAX; i++) {
        if (l->ufrag[i][0] != '\0' && map_find(&s->ufrags, bytes_str(l->ufrag[i])) == l)
            (void)map_take(&s->ufrags, bytes_str(l->ufrag[i]));
    }
    heap_remove(&s->due, &l->due);
    table_take(&s->links, l->id);
    map_fini(&l->in);
    map_fini(&l->out);
    mem_free(l->arrivals);
    peer_free(l->peer);
    mem_free(l);
}

void shard_free(struct shard *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->links.cap; i++) {
        if (s->links.at[i] != NULL)
            link_end(s, s->links.at[i]);
    }
    for (uint32_t i = 0; i < s->tracks.cap; i++) { /* mirrors */
        if (s->tracks.at[i] != NULL)
            track_end(s, s->tracks.at[i]);
    }
    table_fini(&s->links);
    table_fini(&s->tracks);
    table_fini(&s->subs);
    heap_fini(&s->due);
    map_fini(&s->ufrags);
    paths_fini(&s->paths);
    tx_fini(&s->tx);
    relay_queue_fini(&s->relay);
    plane_events_fini(&s->events);
    dtls_ctx_free(s->dtls);
    pkt_slab_fini(&s->slab);
    mem_free(s);
}

/* The ufrag of a description; older ones stay good until they fall out of the list. */
static bool remember_ufrag(struct shard *s, struct link *l, const char *ufrag)
{
    char *slot = l->ufrag[l->ufrag_at];

    if (!map_put(&s->ufrags, bytes_str(ufrag), l))
        return false;
    if (slot[0] != '\0' && map_find(&s->ufrags, bytes_str(slot)) == l)
        (void)map_take(&s->ufrags, bytes_str(slot));
    memcpy(slot, ufrag, strlen(ufrag) + 1);
    l->ufrag_at = (uint8_t)((l->ufrag_at + 1) % LINK_UFRAG_MAX);
    return true;
}

static int link_open(struct shard *s, const struct cmd_peer_open *c)
{
    struct link *l = mem_lines(sizeof *l);
    struct peer_cfg cfg = {
        .role = PEER_SERVER,
        .setup = (enum peer_setup)c->setup,
        .local = c->local,
        .dtls = s->dtls,
        .engine = s->cfg.engine,
        .seed = rng_u64(&s->rng),
    };

    if (l == NULL)
        return E_NOMEM;
    l->id = c->peer;
    l->report_at = l->nack_at = US_NEVER;
    l->rtcp_ssrc = rng_u32(&s->rng) | 1;
    l->twcc_seq = (uint16_t)rng_u32(&s->rng);
    map_init(&l->in, rng_u64(&s->rng));
    map_init(&l->out, rng_u64(&s->rng));
    int err = peer_open(&l->peer, &cfg, s->tick.now);
    if (err == 0)
        err = table_put(&s->links, c->peer, l);
    if (err) {
        peer_free(l->peer);
        mem_free(l);
        return err;
    }
    if (!remember_ufrag(s, l, c->local.ufrag)) {
        link_end(s, l);
        return E_NOMEM;
    }
    plane_drain(s, l);
    return 0;
}

static bool text_ends(const char *p, size_t cap)
{
    return memchr(p, '\0', cap) != NULL;
}

static bool local_good(const struct peer_local *l)
{
    return text_ends(l->ufrag, sizeof l->ufrag) && text_ends(l->pwd, sizeof l->pwd) &&
           l->ufrag[0] != '\0';
}

static bool remote_good(const struct peer_remote *r)
{
    return text_ends(r->ufrag, sizeof r->ufrag) && text_ends(r->pwd, sizeof r->pwd) &&
           r->fingerprint.n <= sizeof r->fingerprint.digest;
}

static void peer_command(struct shard *s, const struct cmd *c)
{
    peer_id id = c->peer_open.peer; /* the first field of every one of them */
    struct link *l = plane_link(s, id);
    struct evt gone = {.kind = EVT_PEER_GONE, .peer_gone = {.peer = id}};

    if (c->kind == CMD_PEER_OPEN) {
        if (id == 0 || l != NULL || handle_shard(id) != s->cfg.index ||
            !local_good(&c->peer_open.local) || c->peer_open.setup > PEER_SETUP_DTLS_CLIENT)
            plane_count(s, SHARD_STALE_COMMAND);
        else if (link_open(s, &c->peer_open) != 0)
            plane_emit(s, &gone);
        return;
    }
    if (l == NULL) {
        plane_count(s, SHARD_STALE_COMMAND);
        return;
    }
    if (c->kind == CMD_PEER_REMOTE && remote_good(&c->peer_remote.remote))
        (void)peer_set_remote(l->peer, &c->peer_remote.remote,
                              s->tick.now); /* refused: the peer's state says so */
    else if (c->kind == CMD_PEER_RESTART && local_good(&c->peer_restart.local) &&
             remember_ufrag(s, l, c->peer_restart.local.ufrag))
        peer_restart(l->peer, &c->peer_restart.local, s->tick.now);
    else if (c->kind == CMD_PEER_DATA)
        (void)peer_send_data(l->peer,
                             bytes_of(c->peer_data.data, u32_min(c->peer_data.len, CMD_DATA_MAX)),
                             s->tick.now); /* not connected: SCTP repeats it */
    else if (c->kind == CMD_PEER_CLOSE)
        peer_close(l->peer, s->tick.now);
    plane_drain(s, l);
    if (c->kind == CMD_PEER_CLOSE) {
        link_end(s, l);
        plane_emit(s, &gone);
    }
}

/* Without memory there is no feedback: the sender's estimate stays where it begins. */
static void note_arrivals(struct link *l)
{
    if (l->twcc)
        return;
    l->arrivals = mem_zero(sizeof *l->arrivals);
    l->twcc = l->arrivals != NULL;
    if (l->twcc)
        twcc_rx_init(l->arrivals);
}

/* What the section negotiated is true of the whole bundle. */
static void merge_section(struct link *l, const struct cmd_track_open *c)
{
    for (unsigned i = 0; i < RTP_EXT_N; i++) {
        if (c->ext.id[i] != 0)
            l->ext.id[i] = c->ext.id[i];
    }
    for (uint8_t i = 0; i < c->codec_n; i++) {
        if (c->codec[i].twcc && c->ext.id[RTP_EXT_TWCC] != 0)
            note_arrivals(l);
        l->remb |= c->codec[i].remb;
    }
}

static void name_streams(struct link *l, struct track *t, const struct cmd_track_open *c)
{
    for (uint8_t i = 0; i < t->layer_n; i++) {
        uint32_t ssrc = c->layer[i].ssrc, rtx = c->layer[i].rtx_ssrc;
        if (ssrc != 0 && map_find_u64(&l->in, ssrc) == NULL && map_put_u64(&l->in, ssrc, &t->rx[i]))
            t->rx[i].ssrc = ssrc;
        if (rtx != 0 && map_find_u64(&l->in, rtx) == NULL && map_put_u64(&l->in, rtx, &t->rx[i]))
            t->rx[i].rtx_ssrc = rtx;
    }
    l->last_rx = NULL;
}

static void track_link(struct track *t, struct link *l, const struct cmd_track_open *c)
{
    t->link = l;
    t->link_next = l->tracks;
    t->link_back = &l->tracks;
    if (l->tracks != NULL)
        l->tracks->link_back = &t->link_next;
    l->tracks = t;
    merge_section(l, c);
    name_streams(l, t, c);
}

/* The same publication from another peer of its publisher. */
static void track_move(struct shard *s, struct track *t, struct link *l,
                       const struct cmd_track_open *c)
{
    if (c->home != t->home || c->layer_n != t->layer_n || c->codec_n != t->codec_n ||
        (c->home == 0 && l == NULL)) {
        plane_count(s, SHARD_STALE_COMMAND);
        return;
    }
    if (l != NULL) {
        if (t->link != NULL)
            track_unlink(t);
        memcpy(t->mid, c->mid, sizeof t->mid - 1);
        memcpy(t->codec, c->codec, sizeof t->codec);
        for (uint8_t i = 0; i < t->layer_n; i++) {
            memcpy(t->rid[i], c->layer[i].rid, sizeof t->rid[i] - 1);
            rx_restart(&t->rx[i], 0);
            t->rx[i].rtx_ssrc = 0;
        }
        track_link(t, l, c);
    }
    track_renew(t);
    for (uint32_t i = 0; i < t->fwd_n; i++)
        track_choose(t, &t->fwd[i], s->tick.now);
}

static void track_begin(struct shard *s, const struct cmd_track_open *c)
{
    struct link *l = c->home == 0 ? plane_link(s, c->peer) : NULL;
    struct evt gone = {.kind = EVT_TRACK_GONE, .track_gone = {.track = c->track}};
    struct track *t = c->track != 0 ? plane_track(s, c->track) : NULL;

    if (t != NULL) {
        track_move(s, t, l, c);
        return;
    }
    if (c->track == 0 || (c->home == 0 && l == NULL) || handle_shard(c->track) != s->cfg.index) {
        plane_count(s, SHARD_STALE_COMMAND);
        return;
    }
    if ((c->home != 0 && relay_queue_open(&s->relay) != 0) || track_open(&t, c, s->tick.now) != 0) {
        plane_emit(s, &gone);
        return;
    }
    if (table_put(&s->tracks, t->id, t) != 0) {
        track_free(t, &s->slab);
        plane_emit(s, &gone);
        return;
    }
    if (l != NULL)
        track_link(t, l, c);
    s->tracks_at = us_min(s->tracks_at, s->tick.now + PLANE_TRACKS_US);
}

static void relay_set(struct shard *s, const struct cmd_relay *c, bool open)
{
    struct track *t = plane_track(s, c->track);
    uint8_t at = 0;

    if (t == NULL) {
        plane_count(s, SHARD_STALE_COMMAND);
        return;
    }
    while (at < t->mirror_n && t->mirror[at] != c->mirror)
        at++;
    if (!open && at < t->mirror_n) {
        t->mirror[at] = t->mirror[--t->mirror_n];
    } else if (open && at == t->mirror_n && at < TRACK_MIRRORS_MAX &&
               relay_queue_open(&s->relay) == 0) {
        t->mirror[t->mirror_n++] = c->mirror;
        for (uint8_t i = 0; i < t->layer_n; i++) {
            struct relay_report r = {.sr = t->layer[i].sr, .clock_off_us = t->clock_off_us};
            if (r.sr.at != 0 && !relay_push_report(&s->relay, c->mirror, i, &r))
                plane_count(s, SHARD_SHED_RELAY_FULL);
        }
    }
}

static void track_command(struct shard *s, const struct cmd *c)
{
    struct track *t = plane_track(s, c->track_close.track); /* first in each of them */
    struct evt gone = {.kind = EVT_TRACK_GONE, .track_gone = {.track = c->track_close.track}};

    if (t == NULL) {
        plane_count(s, SHARD_STALE_COMMAND);
        return;
    }
    switch (c->kind) {
    case CMD_TRACK_SET:
        track_mute(t, c->track_set.muted);
        for (uint32_t i = 0; i < t->fwd_n; i++)
            track_choose(t, &t->fwd[i], s->tick.now);
        plane_key_frames(s, t);
        break;
    case CMD_TRACK_CLOSE:
        track_end(s, t);
        plane_emit(s, &gone);
        break;
    case CMD_TRACK_KEYFRAME:
        for (uint8_t i = 0; i < t->layer_n; i++)
            t->layer[i].pli_wanted |= t->layer[i].seen;
        plane_key_frames(s, t);
        break;
    }
}

static int sub_begin(struct shard *s, struct track *t, struct link *l,
                     const struct cmd_sub_attach *c)
{
    if (l->sub_n >= LINK_SUB_MAX || c->ssrc == 0 || map_find_u64(&l->out, c->ssrc) != NULL)
        return E_LIMIT;
    struct sub *b = mem_lines(sizeof *b);
    if (b == NULL)
        return E_NOMEM;
    sub_init(b, c, &s->rng, s->tick.now);
    int err = table_put(&s->subs, c->sub, b);
    if (err == 0) {
        err = track_attach(t, b, l, &s->rng);
        if (err)
            table_take(&s->subs, c->sub);
    }
    if (err) {
        mem_free(b);
        return err;
    }
    b->link_next = l->subs;
    b->link_back = &l->subs;
    if (l->subs != NULL)
        l->subs->link_back = &b->link_next;
    l->subs = b;
    l->sub_n++;
    if (!map_put_u64(&l->out, b->ssrc, b) ||
        (b->rtx_ssrc != 0 && !map_put_u64(&l->out, b->rtx_ssrc, b))) {
        sub_end(s, b);
        return E_NOMEM;
    }
    if (c->paused)
        fwd_pause(track_fwd(t, b));
    track_choose(t, track_fwd(t, b), s->tick.now);
    plane_key_frames(s, t);
    return 0;
}

static void sub_attach(struct shard *s, const struct cmd_sub_attach *c)
{
    struct track *t = plane_track(s, c->track);
    struct link *l = plane_link(s, c->peer);
    struct evt gone = {.kind = EVT_SUB_GONE, .sub_gone = {.sub = c->sub}};

    if (t == NULL || l == NULL || c->sub == 0 || plane_sub(s, c->sub) != NULL)
        plane_count(s, SHARD_STALE_COMMAND);
    else if (sub_begin(s, t, l, c) == 0)
        return;
    if (c->sub != 0 && plane_sub(s, c->sub) == NULL)
        plane_emit(s, &gone); /* also when track or peer went first: control learns either way */
}

static void sub_command(struct shard *s, const struct cmd *c)
{
    struct sub *b = plane_sub(s, c->sub_set.sub); /* first in both */
    struct evt gone = {.kind = EVT_SUB_GONE, .sub_gone = {.sub = c->sub_set.sub}};

    if (b == NULL) {
        plane_count(s, SHARD_STALE_COMMAND);
        return;
    }
    if (c->kind == CMD_SUB_DETACH) {
        sub_end(s, b);
        plane_emit(s, &gone);
        return;
    }
    struct fwd *f = track_fwd(b->track, b);
    b->max_spatial = c->sub_set.max_spatial;
    b->max_temporal = c->sub_set.max_temporal;
    if (c->sub_set.paused)
        fwd_pause(f);
    else
        fwd_resume(f);
    track_choose(b->track, f, s->tick.now);
    plane_key_frames(s, b->track);
}

void shard_command(struct shard *s, const struct cmd *c, struct tick tick)
{
    s->tick = tick;
    switch ((enum cmd_kind)c->kind) {
    case CMD_PEER_OPEN:
    case CMD_PEER_REMOTE:
    case CMD_PEER_RESTART:
    case CMD_PEER_CLOSE:
    case CMD_PEER_DATA:
        peer_command(s, c);
        return;
    case CMD_TRACK_OPEN:
        track_begin(s, &c->track_open);
        return;
    case CMD_TRACK_SET:
    case CMD_TRACK_CLOSE:
    case CMD_TRACK_KEYFRAME:
        track_command(s, c);
        return;
    case CMD_RELAY_OPEN:
    case CMD_RELAY_CLOSE:
        relay_set(s, &c->relay, c->kind == CMD_RELAY_OPEN);
        return;
    case CMD_SUB_ATTACH:
        sub_attach(s, &c->sub_attach);
        return;
    case CMD_SUB_SET:
    case CMD_SUB_DETACH:
        sub_command(s, c);
        return;
    }
    plane_count(s, SHARD_STALE_COMMAND);
}

/* The ceiling is reached: histories give way, so that live packets can flow. */
static void shrink_histories(struct shard *s)
{
    for (uint32_t i = 0; i < s->tracks.cap; i++) {
        struct track *t = s->tracks.at[i];
        for (uint8_t k = 0; t != NULL && k < t->layer_n; k++)
            replay_trim(&t->replay[k], &s->slab, t->replay[k].n / 2);
    }
}

unsigned shard_lend(struct shard *s, struct pkt **batch, unsigned n)
{
    unsigned got = 0;
    bool shrunk = false;

    while (got < n) {
        batch[got] = pkt_take(&s->slab);
        if (batch[got] != NULL) {
            got++;
            continue;
        }
        if (shrunk)
            break;
        shrink_histories(s);
        shrunk = true;
    }
    return got;
}

void shard_input(struct shard *s, struct pkt **batch, unsigned n, struct tick tick)
{
    s->tick = tick;
    for (unsigned i = 0; i < n; i++) {
        if (batch[i]->len > 0)
            demux_packet(s, batch[i]);
        pkt_drop(&s->slab, batch[i]);
    }
    plane_fanout(s);
}

bool shard_knows(const struct shard *s, const struct addr *remote)
{
    return paths_find(&s->paths, remote) != PATHS_NONE;
}

void shard_forget(struct shard *s, const struct addr *remote)
{
    uint32_t at = paths_find(&s->paths, remote);
    struct link *l = at != PATHS_NONE ? s->links.at[at] : NULL;

    for (uint8_t i = 0; l != NULL && i < l->addr_n; i++) {
        if (!addr_eq(&l->addr[i], remote))
            continue;
        paths_remove(&s->paths, remote, at);
        l->addr[i] = l->addr[--l->addr_n];
        l->addr_at = l->addr_n; /* a place is free */
        return;
    }
}

void shard_relay_input(struct shard *s, struct bytes record, struct tick tick)
{
    struct relay_rec rec;

    s->tick = tick;
    struct track *t = relay_read(record, &rec) ? plane_track(s, rec.track) : NULL;
    if (t == NULL || rec.layer >= t->layer_n) {
        plane_count(s, SHARD_STALE_COMMAND);
        return;
    }
    if (rec.kind == RELAY_WISH) {
        t->layer[rec.layer].pli_wanted = true;
        plane_key_frames(s, t);
    } else if (rec.kind == RELAY_REPORT) {
        t->layer[rec.layer].sr = rec.report.sr;
        t->clock_off_us = rec.report.clock_off_us;
        t->clock_known = true;
    } else {
        struct pkt *p = pkt_take(&s->slab);
        if (p == NULL) {
            plane_count(s, SHARD_SHED_RELAY_FULL);
            return;
        }
        relay_unpack(record, &rec, p);
        plane_packet(s, t, p);
        pkt_drop(&s->slab, p);
    }
}

static void tell_track_stats(struct shard *s, struct track *t)
{
    struct evt e = {.kind = EVT_TRACK_STATS, .track_stats = {.track = t->id, .plis = t->plis}};
    struct evt_track_stats *st = &e.track_stats;

    for (uint8_t i = 0; i < t->layer_n; i++) {
        st->packets += t->layer[i].packets;
        st->bytes += t->layer[i].bytes;
        st->lost += report_rx_lost(&t->rx[i].report);
        st->nacks += t->rx[i].nack.asked_n;
        st->jitter_us = u32_max(st->jitter_us, (uint32_t)report_rx_jitter_us(&t->rx[i].report));
    }
    st->rtt_us = t->link != NULL ? (uint32_t)t->link->rtt_us : 0;
    if (st->packets == t->told_packets || t->home != 0)
        return;
    t->told_packets = st->packets;
    plane_emit(s, &e);
}

static void tracks_round(struct shard *s)
{
    bool any = false;

    for (uint32_t i = 0; i < s->tracks.cap; i++) {
        struct track *t = s->tracks.at[i];
        if (t == NULL)
            continue;
        any = true;
        unsigned news = track_tick(t, &s->slab, s->tick.now);
        if (news != 0)
            plane_news(s, t, news);
        plane_key_frames(s, t);
        if (s->tick.now >= t->stats_at) {
            t->stats_at = s->tick.now + TRACK_STATS_US;
            tell_track_stats(s, t);
        }
    }
    s->tracks_at = any ? s->tick.now + PLANE_TRACKS_US : US_NEVER;
    if (s->tick.now >= s->trim_at) {
        s->trim_at = s->tick.now + PLANE_TRIM_US;
        pkt_slab_trim(&s->slab);
    }
}

void shard_tick(struct shard *s, struct tick tick)
{
    s->tick = tick;
    for (unsigned i = 0; i < PLANE_TICK_LINKS && heap_deadline(&s->due) <= tick.now; i++) {
        struct link *l = OWNER_OF(heap_first(&s->due), struct link, due);
        peer_tick(l->peer, tick.now);
        feedback_tick(s, l);
        plane_drain(s, l);
    }
    if (tick.now >= s->tracks_at)
        tracks_round(s);
    plane_fanout(s);
    if (tick.now >= s->catch_at)
        plane_catch_up(s);
}

us_t shard_deadline(const struct shard *s)
{
    return us_min(us_min(heap_deadline(&s->due), s->tracks_at), s->catch_at);
}

struct tx *shard_tx(struct shard *s)
{
    plane_fanout(s);
    return &s->tx;
}

bool shard_event(struct shard *s, struct evt *ev)
{
    return plane_event(s, ev);
}

bool shard_relay_output(struct shard *s, uint8_t *to_shard, struct bytes *record)
{
    return relay_pop(&s->relay, to_shard, record);
}

void shard_relay_shed(struct shard *s)
{
    plane_count(s, SHARD_SHED_RELAY_FULL);
}

void shard_counters(const struct shard *s, uint64_t out[SHARD_COUNTER_N])
{
    memcpy(out, s->counter, sizeof s->counter);
    out[SHARD_TX_PACKETS] = s->tx.packets;
    out[SHARD_TX_BYTES] = s->tx.bytes;
    out[SHARD_PEERS] = s->links.used_n;
    out[SHARD_TRACKS] = s->tracks.used_n;
    out[SHARD_SUBS] = s->subs.used_n;
    out[SHARD_PKTS_USED] = s->slab.used_n;
}
