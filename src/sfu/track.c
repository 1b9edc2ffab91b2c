#include "sfu/track.h"

#include "base/err.h"
#include "base/mem.h"
#include "sfu/link.h"

int track_open(struct track **ret, const struct cmd_track_open *c, us_t now)
{
    if (c->layer_n == 0 || c->layer_n > CMD_LAYERS_MAX || c->codec_n > CMD_CODECS_MAX)
        return E_INVAL;
    struct track *t = mem_zero(sizeof *t);
    if (t == NULL)
        return E_NOMEM;
    t->id = c->track;
    t->home = c->home;
    t->video = c->video;
    t->muted = c->muted;
    t->svc = c->svc;
    memcpy(t->mid, c->mid, sizeof t->mid - 1);
    t->codec_n = c->codec_n;
    memcpy(t->codec, c->codec, sizeof t->codec);
    t->layer_n = c->layer_n;
    for (uint8_t i = 0; i < t->layer_n; i++) {
        layer_init(&t->layer[i], t->layer_n == 1 ? LAYER_LONE : i == 0 ? LAYER_LOW : LAYER_HIGH);
        replay_init(&t->replay[i], t->video ? REPLAY_VIDEO : REPLAY_AUDIO);
        gop_init(&t->gop[i], c->gop && t->video && !t->svc, !c->codec[0].pli && !c->codec[0].fir,
                 &t->replay[i]);
        memcpy(t->rid[i], c->layer[i].rid, sizeof t->rid[i] - 1);
    }
    speaker_init(&t->speaker);
    t->stats_at = now + TRACK_STATS_US;
    t->source = (struct fwd_source){
        .layer = t->layer,
        .layer_n = t->layer_n,
        .video = t->video,
        .svc = t->svc,
        .clock_hz = t->codec_n > 0 && t->codec[0].clock_hz > 0 ? t->codec[0].clock_hz
                    : t->video                                 ? 90000
                                                               : 48000,
    };
    for (uint8_t i = 0; i < t->layer_n; i++)
        rx_init(&t->rx[i], t, i, t->source.clock_hz);
    *ret = t;
    return 0;
}

static void batch_drop(struct track *t, struct pkt_slab *slab)
{
    for (unsigned i = 0; i < t->batch_n; i++)
        pkt_drop(slab, t->batch[i]);
    t->batch_n = 0;
    t->fwd_done = 0;
}

void track_free(struct track *t, struct pkt_slab *slab)
{
    if (t == NULL)
        return;
    assert(t->fwd_n == 0);
    batch_drop(t, slab);
    for (uint8_t i = 0; i < t->layer_n; i++) {
        replay_fini(&t->replay[i], slab);
        rx_fini(&t->rx[i]);
    }
    mem_free(t->fwd);
    mem_free(t);
}

const struct cmd_codec *track_codec(struct track *t, uint8_t pt)
{
    const struct cmd_codec *c = &t->codec[t->codec_at];

    if (t->codec_at < t->codec_n && c->pt == pt)
        return c;
    for (uint8_t i = 0; i < t->codec_n; i++) {
        c = &t->codec[i];
        if (c->pt == pt) {
            t->codec_at = i;
            return c;
        }
        if (c->rtx_pt == pt && pt != 0)
            return c;
    }
    return NULL;
}

static unsigned hear(struct track *t, const struct pkt *p)
{
    uint8_t level;
    bool voice;

    if (!rtp_ext_audio_level(&p->rtp, p->data, &level, &voice))
        return 0;
    uint32_t ticks = p->rtp.ts - t->audio_ts;
    us_t frame_us = (us_t)ticks * US_PER_SEC / t->source.clock_hz;
    t->audio_ts = p->rtp.ts;
    if (frame_us > SPEAKER_FRAME_MAX_US)
        frame_us = 20 * US_PER_MS; /* first of all, after silence, or out of order */
    return speaker_observe(&t->speaker, level, frame_us, p->at) ? TRACK_NEWS_LEVEL : 0;
}

/* Cold: once per key frame. */
static void key_frame(struct layer *l, const struct pkt *p)
{
    struct codec_info info;

    layer_key_seen(l);
    codec_inspect((enum codec)p->codec, pkt_payload(p), &info);
    if (info.width > 0 && info.height > 0) {
        l->width = info.width;
        l->height = info.height;
    }
}

unsigned track_receive(struct track *t, struct pkt_slab *slab, struct pkt *p, bool *shed)
{
    unsigned news = 0;
    struct layer *l = &t->layer[p->layer];

    if (layer_observe(l, p->len, p->at))
        news |= TRACK_NEWS_LIVE << p->layer;
    if ((p->flags & PKT_KEY) && t->video) {
        key_frame(l, p);
        gop_key(&t->gop[p->layer], &t->replay[p->layer], p);
    }
    t->live_codec = p->codec;
    if (!t->video)
        news |= hear(t, p);
    (void)replay_put(&t->replay[p->layer], slab, p); /* too old to keep: still forwarded */
    *shed = t->batch_n == FWD_BATCH_MAX;
    if (!*shed)
        t->batch[t->batch_n++] = pkt_hold(p);
    return news;
}

bool track_fanout(struct track *t, struct pkt_slab *slab, us_t now, struct tx *tx)
{
    if (t->batch_n > 0 && !t->muted)
        t->fwd_done += fwd_batch(t->fwd + t->fwd_done, t->fwd_n - t->fwd_done, t->batch, t->batch_n,
                                 &t->source, now, tx);
    else
        t->fwd_done = t->fwd_n;
    if (t->fwd_done < t->fwd_n)
        return false;
    batch_drop(t, slab);
    return true;
}

int track_attach(struct track *t, struct sub *s, struct link *link, struct rng *rng)
{
    if (t->fwd_n >= TRACK_SUBS_MAX)
        return E_LIMIT;
    if (t->fwd_n == t->fwd_cap) {
        uint32_t cap = t->fwd_cap == 0 ? TRACK_FIRST_CAP : t->fwd_cap * 2;
        struct fwd *grown = mem_lines(cap * sizeof *grown);
        if (grown == NULL)
            return E_NOMEM;
        if (t->fwd_n > 0)
            memcpy(grown, t->fwd, t->fwd_n * sizeof *grown);
        mem_free(t->fwd);
        t->fwd = grown;
        t->fwd_cap = cap;
    }
    s->track = t;
    s->link = link;
    s->fwd_at = t->fwd_n++;
    fwd_init(&t->fwd[s->fwd_at], s, link, rng);
    return 0;
}

void track_detach(struct track *t, struct sub *s)
{
    assert(s->track == t);
    assert(t->fwd[s->fwd_at].sub == s);
    t->fwd[s->fwd_at] = t->fwd[--t->fwd_n];
    t->fwd[s->fwd_at].sub->fwd_at = s->fwd_at;
    s->track = NULL;
    t->fwd_done = u32_min(t->fwd_done, t->fwd_n);
}

void track_renew(struct track *t)
{
    for (uint32_t i = 0; i < t->fwd_n; i++) {
        if (t->fwd[i].flags & FWD_PAUSED)
            continue;
        fwd_pause(&t->fwd[i]);
        fwd_resume(&t->fwd[i]);
    }
    for (uint8_t i = 0; i < t->layer_n; i++) {
        gop_forget(&t->gop[i], &t->replay[i]);
        t->layer[i].sr = (struct layer_sr){0};
    }
    t->clock_known = false;
}

void track_mute(struct track *t, bool muted)
{
    if (muted == t->muted)
        return;
    t->muted = muted;
    for (uint32_t i = 0; i < t->fwd_n && muted; i++) {
        struct fwd *f = &t->fwd[i];
        if (f->flags & FWD_PAUSED)
            continue;
        fwd_pause(f);  /* what comes meanwhile leaves no gap, */
        fwd_resume(f); /* and the end of it begins with a key frame */
    }
}

/* Can the group of pictures that is kept begin it?  A change of layer waits for a key frame: who
 * sees pictures must not see old ones again. */
static bool begin_from_gop(struct track *t, struct fwd *f, us_t now)
{
    if (f->now.layer != LAYER_NONE)
        return false;
    const struct replay *r = &t->replay[f->want];
    const struct pkt *first = gop_serve(&t->gop[f->want], r, f->sub->attached_at, now);
    const struct pkt *newest = first != NULL ? replay_find(r, r->newest) : NULL;
    if (newest == NULL || newest == first)
        return false;
    fwd_begin_catch_up(f, first, newest, &t->source);
    t->catching = true;
    return true;
}

void track_choose(struct track *t, struct fwd *f, us_t now)
{
    if (!fwd_choose(f, &t->source, now) || f->want >= t->layer_n || t->muted)
        return;
    if (!begin_from_gop(t, f, now))
        t->layer[f->want].pli_wanted = true;
}

bool track_catch_up(struct track *t, us_t now, struct tx *tx)
{
    assert(t->batch_n == 0);
    t->catching = false;
    for (uint32_t i = 0; i < t->fwd_n; i++) {
        struct fwd *f = &t->fwd[i];
        if (!(f->flags & FWD_CATCH_UP))
            continue;
        uint32_t bytes = gop_step_bytes(t->layer[f->now.layer].bps);
        t->catching |= !fwd_catch_up(f, &t->replay[f->now.layer], &t->source, bytes, now, tx);
    }
    return t->catching;
}

unsigned track_tick(struct track *t, struct pkt_slab *slab, us_t now)
{
    unsigned news = 0;

    for (uint8_t i = 0; i < t->layer_n; i++) {
        if (layer_tick(&t->layer[i], now))
            news |= TRACK_NEWS_LIVE << i;
        gop_tick(&t->gop[i], &t->replay[i], now);
        replay_expire(&t->replay[i], slab, now);
    }
    if (speaker_tick(&t->speaker, now))
        news |= TRACK_NEWS_LEVEL;
    for (uint32_t i = 0; i < t->fwd_n; i++)
        track_choose(t, &t->fwd[i], now);
    return news;
}
