#include "room/pub.h"

#include "base/mem.h"
#include "wire/pb.h"

enum { QUALITIES_N = 3 };

/* ---- publications ---- */

static const char *source_letter(Livekit__TrackSource s)
{
    switch (s) {
    case LIVEKIT__TRACK_SOURCE__CAMERA:
        return "C";
    case LIVEKIT__TRACK_SOURCE__MICROPHONE:
        return "M";
    case LIVEKIT__TRACK_SOURCE__SCREEN_SHARE:
        return "S";
    case LIVEKIT__TRACK_SOURCE__SCREEN_SHARE_AUDIO:
        return "s";
    default:
        return "";
    }
}

static const char *default_stream(Livekit__TrackSource s)
{
    switch (s) {
    case LIVEKIT__TRACK_SOURCE__CAMERA:
    case LIVEKIT__TRACK_SOURCE__MICROPHONE:
        return "camera";
    case LIVEKIT__TRACK_SOURCE__SCREEN_SHARE:
    case LIVEKIT__TRACK_SOURCE__SCREEN_SHARE_AUDIO:
        return "screen";
    default:
        return "unknown";
    }
}

/* LOW to HIGH; at most a handful, so insertion. */
static void sort_layers(Livekit__VideoLayer **layer, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && layer[j]->quality < layer[j - 1]->quality; j--) {
            Livekit__VideoLayer *t = layer[j];
            layer[j] = layer[j - 1];
            layer[j - 1] = t;
        }
}

static void number_layers(Livekit__VideoLayer **layer, size_t n, bool rids)
{
    static const char rid[QUALITIES_N][2] = {"q", "h", "f"};

    sort_layers(layer, n);
    for (size_t i = 0; i < n && i < QUALITIES_N; i++) {
        layer[i]->spatial_layer = (int32_t)i;
        if (rids && n > 1 && layer[i]->rid[0] == '\0')
            layer[i]->rid = (char *)rid[i]; /* protobuf-c knows no const; nobody writes it */
    }
}

/* "vp8" and "video/VP8" alike; "" stays "". */
static char *full_mime(struct arena *a, const char *codec, bool video)
{
    struct bytes text = bytes_str(codec);
    enum codec c = codec_of_mime(text);

    if (c == CODEC_NONE)
        c = codec_of_name(text, 0);
    if (c != CODEC_NONE)
        return arena_dup_str(a, codec_mime(c));
    if (text.len == 0 || strchr(codec, '/') != NULL)
        return arena_dup_str(a, codec);
    return arena_printf(a, "%s/%s", video ? "video" : "audio", codec);
}

static bool is_svc(const char *mime)
{
    enum codec c = codec_of_mime(bytes_str(mime));
    return c == CODEC_VP9 || c == CODEC_AV1;
}

static Livekit__SimulcastCodecInfo *codec_entry(struct arena *a, const char *codec, const char *cid,
                                                bool video)
{
    Livekit__SimulcastCodecInfo *c = pb_new(a, &livekit__simulcast_codec_info__descriptor);

    if (c == NULL)
        return NULL;
    c->mime_type = full_mime(a, codec, video);
    c->cid = arena_dup_str(a, cid);
    return c->mime_type != NULL && c->cid != NULL ? c : NULL;
}

#define LAYER_MODE(word) LIVEKIT__VIDEO_LAYER__MODE__##word

static void choose_layer_mode(const struct pub *p, Livekit__SimulcastCodecInfo *c,
                              Livekit__VideoLayer__Mode asked)
{
    if (!p->video)
        return;
    c->video_layer_mode = asked;
    if (asked != LAYER_MODE(MODE_UNUSED))
        return;
    if (is_svc(c->mime_type))
        c->video_layer_mode = LAYER_MODE(MULTIPLE_SPATIAL_LAYERS_PER_STREAM);
    else if (p->member->bare_reports)
        c->video_layer_mode = LAYER_MODE(ONE_SPATIAL_LAYER_PER_STREAM_INCOMPLETE_RTCP_SR);
    else
        c->video_layer_mode = LAYER_MODE(ONE_SPATIAL_LAYER_PER_STREAM);
}

static bool is_simulcast(Livekit__VideoLayer__Mode mode)
{
    return mode == LAYER_MODE(ONE_SPATIAL_LAYER_PER_STREAM) ||
           mode == LAYER_MODE(ONE_SPATIAL_LAYER_PER_STREAM_INCOMPLETE_RTCP_SR);
}

/* One entry per announced codec, or one made up. */
static bool fill_codecs(struct pub *p, const Livekit__AddTrackRequest *req)
{
    Livekit__TrackInfo *info = p->info;
    size_t n = req->n_simulcast_codecs;

    if (n > ROOM_CIDS_MAX - 1)
        n = ROOM_CIDS_MAX - 1;
    info->codecs = arena_array(&p->arena, n + 1, sizeof *info->codecs);
    if (info->codecs == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const Livekit__SimulcastCodec *sc = req->simulcast_codecs[i];
        Livekit__SimulcastCodecInfo *c = codec_entry(&p->arena, sc->codec, sc->cid, p->video);
        if (c == NULL)
            return false;
        c->layers = sc->n_layers > 0 ? sc->layers : req->layers;
        c->n_layers = sc->n_layers > 0 ? sc->n_layers : req->n_layers;
        choose_layer_mode(p, c, sc->video_layer_mode);
        number_layers(c->layers, c->n_layers, is_simulcast(c->video_layer_mode));
        info->codecs[info->n_codecs++] = c;
        if (*c->cid != '\0')
            p->cid[p->cid_n++] = c->cid;
    }
    if (n == 0) {
        Livekit__SimulcastCodecInfo *c = codec_entry(&p->arena, "", req->cid, p->video);
        if (c == NULL)
            return false;
        c->layers = req->layers;
        c->n_layers = req->n_layers;
        choose_layer_mode(p, c, LAYER_MODE(MODE_UNUSED));
        number_layers(c->layers, c->n_layers, true);
        info->codecs[info->n_codecs++] = c;
    }
    return true;
}

static bool add_feature(struct pub *p, Livekit__AudioTrackFeature f)
{
    Livekit__TrackInfo *info = p->info;

    for (size_t i = 0; i < info->n_audio_features; i++)
        if (info->audio_features[i] == f)
            return true;
    Livekit__AudioTrackFeature *list =
        arena_array(&p->arena, info->n_audio_features + 1, sizeof *list);
    if (list == NULL)
        return false;
    if (info->n_audio_features > 0)
        memcpy(list, info->audio_features, info->n_audio_features * sizeof *list);
    list[info->n_audio_features++] = f;
    info->audio_features = list;
    return true;
}

static bool fill_info(struct pub *p, const Livekit__AddTrackRequest *req)
{
    struct house *h = p->member->room->house;
    Livekit__TrackInfo *info = p->info;
    char prefix[8] = "TR_", sid[ROOM_SID_MAX];
    size_t n = 3;

    prefix[n++] = p->video ? 'V' : 'A';
    memcpy(prefix + n, source_letter(req->source), strlen(source_letter(req->source)) + 1);
    str_id(sid, sizeof sid, prefix, &h->rng);
    info->sid = arena_dup_str(&p->arena, sid);
    info->type = req->type;
    info->name = req->name;
    info->muted = req->muted;
    info->width = req->width;
    info->height = req->height;
    info->disable_dtx = req->disable_dtx;
    info->source = req->source;
    info->layers = req->layers;
    info->n_layers = req->n_layers;
    info->simulcast = req->n_layers > 1;
    info->stereo = req->stereo;
    info->disable_red = req->disable_red;
    info->encryption = req->encryption;
    info->stream =
        *req->stream != '\0' ? req->stream : arena_dup_str(&p->arena, default_stream(req->source));
    info->backup_codec_policy = req->backup_codec_policy;
    info->audio_features = req->audio_features;
    info->n_audio_features = req->n_audio_features;
    info->packet_trailer_features = req->packet_trailer_features;
    info->n_packet_trailer_features = req->n_packet_trailer_features;
    info->version = pb_new(&p->arena, &livekit__timed_version__descriptor);
    if (info->version == NULL || info->sid == NULL || info->stream == NULL)
        return false;
    info->version->unix_micro = h->tick.now + h->tick.wall_off_us;
    if (!p->video && req->stereo && !add_feature(p, LIVEKIT__AUDIO_TRACK_FEATURE__TF_STEREO))
        return false;
    if (!p->video && req->disable_dtx && !add_feature(p, LIVEKIT__AUDIO_TRACK_FEATURE__TF_NO_DTX))
        return false;
    if (!fill_codecs(p, req))
        return false;
    number_layers(info->layers, info->n_layers, is_simulcast(info->codecs[0]->video_layer_mode));
    info->mime_type = info->codecs[0]->mime_type;
    return !p->arena.failed;
}

static void pub_free(struct pub *p)
{
    if (p == NULL)
        return;
    mem_free(p->mirror);
    arena_fini(&p->arena);
    mem_free(p);
}

int pub_add(struct member *m, const Livekit__AddTrackRequest *req, struct pub **ret)
{
    struct house *h = m->room->house;

    if (m->pub_n >= ROOM_PUBS_MAX ||
        (h->cfg.limits.tracks != 0 && h->pub_n >= h->cfg.limits.tracks))
        return E_LIMIT;
    struct pub *p = mem_zero(sizeof *p);
    if (p == NULL)
        return E_NOMEM;
    p->member = m;
    p->video = req->type == LIVEKIT__TRACK_TYPE__VIDEO;
    arena_init(&p->arena, ROOM_PUB_BYTES_MAX);
    p->info = pb_new(&p->arena, &livekit__track_info__descriptor);
    Livekit__AddTrackRequest *own = pb_clone(&p->arena, &req->base);
    if (p->info == NULL || own == NULL)
        goto fail;
    if (*own->cid != '\0')
        p->cid[p->cid_n++] = own->cid;
    if (!fill_info(p, own) || !map_put(&m->room->by_track, bytes_str(p->info->sid), p))
        goto fail;
    struct pub **tail = &m->pubs; /* in order of announcement: matching takes the oldest */
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = p;
    m->pub_n++;
    h->pub_n++;
    *ret = p;
    return 0;

fail:
    pub_free(p);
    return E_NOMEM;
}

struct pub *pub_find(const struct member *m, const char *sid)
{
    for (struct pub *p = m->pubs; p != NULL; p = p->next)
        if (strcmp(p->info->sid, sid) == 0)
            return p;
    return NULL;
}

struct pub *pub_find_cid(const struct member *m, const char *cid)
{
    for (struct pub *p = m->pubs; p != NULL; p = p->next)
        for (uint32_t i = 0; i < p->cid_n; i++)
            if (strcmp(p->cid[i], cid) == 0)
                return p;
    return NULL;
}

struct pub *pub_find_in_room(const struct room *r, const char *sid)
{
    return map_find(&r->by_track, bytes_str(sid));
}

uint32_t pub_pending(const struct member *m)
{
    uint32_t n = 0;

    for (const struct pub *p = m->pubs; p != NULL; p = p->next)
        n += p->state == PUB_PENDING;
    return n;
}

static void fill_track_open(const struct pub *p, peer_id peer, struct cmd *c)
{
    struct cmd_track_open *o = &c->track_open;

    c->kind = CMD_TRACK_OPEN;
    o->track = p->track;
    o->peer = peer;
    o->video = p->video;
    o->muted = p->info->muted;
    o->svc = p->svc;
    o->gop = p->member->kind == LIVEKIT__PARTICIPANT_INFO__KIND__INGRESS;
    memcpy(o->mid, p->mid, sizeof o->mid);
    o->ext = p->ext;
    o->codec_n = p->codec_n;
    for (uint32_t i = 0; i < p->codec_n; i++)
        o->codec[i] = p->codec[i].c;
    o->layer_n = p->layer_n;
    memcpy(o->layer, p->layer, sizeof o->layer);
}

int pub_go_live(struct pub *p, const struct pub_media *media)
{
    struct house *h = p->member->room->house;
    uint8_t shard = handle_shard(media->peer);
    struct cmd c = {0};

    assert(p->state == PUB_PENDING);
    assert(media->codec_n > 0);
    assert(media->layer_n > 0);
    track_id track = plane_take(&h->plane, shard, PLANE_TRACK, p, media->peer, 0);
    if (track == 0)
        return E_LIMIT;
    p->track = track;
    (void)str_copy(p->mid, sizeof p->mid, bytes_str(media->mid)); /* checked when parsed */
    p->ext = media->ext;
    p->codec_n = (uint8_t)u32_min(media->codec_n, CMD_CODECS_MAX);
    memcpy(p->codec, media->codec, p->codec_n * sizeof *p->codec);
    p->layer_n = (uint8_t)u32_min(media->layer_n, CMD_LAYERS_MAX);
    memcpy(p->layer, media->layer, p->layer_n * sizeof *p->layer);
    enum codec first = (enum codec)p->codec[0].c.codec;
    p->svc = p->layer_n <= 1 && (first == CODEC_VP9 || first == CODEC_AV1) && p->info->n_layers > 1;
    fill_track_open(p, media->peer, &c);
    if (!plane_push(&h->plane, shard, &c)) {
        plane_untake(&h->plane, PLANE_TRACK, track);
        p->track = 0;
        return E_LIMIT;
    }
    p->told_muted = p->info->muted;
    p->state = PUB_LIVE;
    char *mid = arena_dup_str(&p->arena, media->mid);
    if (mid != NULL)
        p->info->mid = p->info->codecs[0]->mid = mid;
    pub_set_mime(p, codec_mime(media->red ? CODEC_RED : first));
    member_changed(p->member, NEWS_NOW);
    p->member->room->counts_news = true;
    p->member->was_publisher = true;
    fact_track(p, FACT_TRACK_PUBLISHED);
    sub_auto_pub(p);
    return 0;
}

/* Subscribers were told payload types and layers: these must be the same. */
bool pub_may_move(const struct pub *p, const struct pub_media *media)
{
    if (p->state != PUB_LIVE || media->codec_n != p->codec_n || media->layer_n != p->layer_n)
        return false;
    for (uint32_t i = 0; i < p->codec_n; i++) {
        const struct pub_codec *a = &p->codec[i], *b = &media->codec[i];
        if (a->c.pt != b->c.pt || a->c.codec != b->c.codec || a->c.rtx_pt != b->c.rtx_pt ||
            a->c.clock_hz != b->c.clock_hz || a->profile != b->profile)
            return false;
    }
    return handle_shard(media->peer) == handle_shard(p->track);
}

int pub_move(struct pub *p, const struct pub_media *media)
{
    struct plane *plane = &p->member->room->house->plane;
    struct cmd c = {0};

    (void)str_copy(p->mid, sizeof p->mid, bytes_str(media->mid)); /* checked when parsed */
    p->ext = media->ext;
    memcpy(p->codec, media->codec, p->codec_n * sizeof *p->codec);
    memcpy(p->layer, media->layer, p->layer_n * sizeof *p->layer);
    fill_track_open(p, media->peer, &c);
    if (!plane_push(plane, handle_shard(p->track), &c))
        return E_LIMIT;
    plane_rehang(plane, PLANE_TRACK, p->track, media->peer);
    for (uint32_t s = 0; p->mirror != NULL && s < plane->shard_n; s++) {
        if (p->mirror[s].track == 0)
            continue;
        fill_track_open(p, 0, &c);
        c.track_open.track = p->mirror[s].track;
        c.track_open.home = p->track;
        (void)plane_push(plane, (uint8_t)s, &c); /* refused: its viewers wait for a key frame less
                                                    gracefully */
    }
    return 0;
}

void pub_set_mime(struct pub *p, const char *mime)
{
    char *copy;

    if (strcmp(p->info->mime_type, mime) == 0 || (copy = arena_dup_str(&p->arena, mime)) == NULL)
        return;
    p->info->mime_type = copy;
    p->info->codecs[0]->mime_type = copy;
    if (p->state == PUB_LIVE)
        member_changed(p->member, NEWS_NOW);
}

/* What is, against what the shard of this track was told; false: its queue is full. */
static bool tell_muted(const struct pub *p, track_id track, bool *told)
{
    struct cmd c = {.kind = CMD_TRACK_SET};

    if (track == 0 || *told == p->info->muted)
        return true;
    c.track_set.track = track;
    c.track_set.muted = p->info->muted;
    if (!plane_push(&p->member->room->house->plane, handle_shard(track), &c))
        return false;
    *told = p->info->muted;
    return true;
}

us_t pub_settle(struct member *m, us_t now)
{
    uint32_t shard_n = m->room->house->plane.shard_n;
    bool all = true;

    if (!m->pubs_dirty)
        return US_NEVER;
    for (struct pub *p = m->pubs; p != NULL; p = p->next) {
        all &= tell_muted(p, p->track, &p->told_muted);
        for (uint32_t s = 0; p->mirror != NULL && s < shard_n; s++)
            all &= tell_muted(p, p->mirror[s].track, &p->mirror[s].told_muted);
    }
    m->pubs_dirty = !all;
    return all ? US_NEVER : now + PUB_SETTLE_US;
}

void pub_set_muted(struct pub *p, bool muted)
{
    struct member *m = p->member;

    if (p->info->muted == muted)
        return;
    p->info->muted = muted;
    m->pubs_dirty = true;
    (void)pub_settle(m, m->room->house->tick.now); /* what is refused, the tick repeats */
    if (muted)
        p->level = 0;
    member_changed(m, NEWS_NOW);
}

static void close_mirrors(struct pub *p)
{
    struct plane *plane = &p->member->room->house->plane;

    for (uint32_t s = 0; p->mirror != NULL && s < plane->shard_n; s++)
        plane_close(plane, PLANE_TRACK, p->mirror[s].track);
}

void pub_end(struct pub *p)
{
    struct member *m = p->member;
    struct house *h = m->room->house;
    struct pub **at = &m->pubs;
    bool was_live = p->state == PUB_LIVE;

    if (was_live)
        fact_track(p, FACT_TRACK_UNPUBLISHED);
    while (p->subs != NULL)
        sub_end(p->subs);
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    (void)map_take(&m->room->by_track, bytes_str(p->info->sid)); /* it is there */
    m->pub_n--;
    h->pub_n--;
    close_mirrors(p);
    plane_close(&h->plane, PLANE_TRACK, p->track);
    pub_free(p);
    if (was_live && !m->gone) {
        member_changed(m, NEWS_NOW);
        m->room->counts_news = true;
    }
}

/* ---- layers ---- */

static uint8_t layer_of_quality(const struct pub *p, Livekit__VideoQuality q)
{
    const Livekit__TrackInfo *info = p->info;

    if (info->n_layers == 0)
        return (uint8_t)u32_min((uint32_t)q, QUALITIES_N - 1);
    for (size_t i = 0; i < info->n_layers && i < QUALITIES_N; i++)
        if (info->layers[i]->quality >= q)
            return (uint8_t)i;
    return (uint8_t)(u32_min((uint32_t)info->n_layers, QUALITIES_N) - 1);
}

uint8_t pub_layer_of(const struct pub *p, Livekit__VideoQuality quality, uint32_t width,
                     uint32_t height)
{
    const Livekit__TrackInfo *info = p->info;
    uint32_t ref[QUALITIES_N] = {180, 360, info->height != 0 ? info->height : 720};
    uint32_t n = QUALITIES_N;
    bool portrait = info->n_layers == 0 && width < height;
    uint64_t asked = portrait ? width : height;

    if (width == 0 || height == 0)
        return layer_of_quality(p, quality);
    if (info->n_layers > 0) {
        n = u32_min((uint32_t)info->n_layers, QUALITIES_N);
        for (uint32_t i = 0; i < n; i++)
            ref[i] = info->layers[i]->height;
    }
    for (uint32_t i = 0; i + 1 < n; i++)
        if (ref[i] * 10ull >= asked * 9 && ref[i] != ref[i + 1])
            return (uint8_t)i;
    return (uint8_t)(n - 1);
}

/* ---- subscriptions ---- */

static bool policy_names(const Livekit__TrackPermission *t, const struct member *m)
{
    if (*t->participant_identity != '\0')
        return strcmp(t->participant_identity, m->identity) == 0;
    return *t->participant_sid != '\0' && strcmp(t->participant_sid, m->sid) == 0;
}

static bool policy_allows(const struct member *publisher, const struct member *m,
                          const struct pub *p)
{
    const Livekit__SubscriptionPermission *policy = publisher->policy;

    if (policy == NULL || policy->all_participants || m->grant.recorder)
        return true;
    for (size_t i = 0; i < policy->n_track_permissions; i++) {
        const Livekit__TrackPermission *t = policy->track_permissions[i];
        if (!policy_names(t, m))
            continue;
        if (t->all_tracks)
            return true;
        for (size_t k = 0; k < t->n_track_sids; k++)
            if (strcmp(t->track_sids[k], p->info->sid) == 0)
                return true;
    }
    return false;
}

bool sub_allowed(const struct member *m, const struct pub *p)
{
    return m->grant.can_subscribe && policy_allows(p->member, m, p);
}

struct sub *sub_find(const struct member *m, const struct pub *p)
{
    if (m->sub_n <= p->sub_n) {
        for (struct sub *s = m->subs; s != NULL; s = s->next_of_member)
            if (s->pub == p)
                return s;
    } else {
        for (struct sub *s = p->subs; s != NULL; s = s->next_of_pub)
            if (s->member == m)
                return s;
    }
    return NULL;
}

struct sub *sub_find_serial(const struct member *m, uint64_t serial)
{
    for (struct sub *s = m->subs; s != NULL; s = s->next_of_member)
        if (s->serial == serial)
            return s;
    return NULL;
}

int sub_want(struct member *m, struct pub *p)
{
    struct house *h = m->room->house;

    if (p->member == m || p->state != PUB_LIVE || sub_find(m, p) != NULL)
        return 0;
    if (m->sub_n >= ROOM_SUBS_MAX)
        return E_LIMIT;
    struct sub *s = mem_zero(sizeof *s);
    if (s == NULL)
        return E_NOMEM;
    s->member = m;
    s->pub = p;
    s->serial = ++h->serial;
    s->max_spatial = m->adaptive_stream ? 0 : 2;
    s->max_temporal = 3;
    struct sub **tail = &m->subs; /* first wished, first served */
    while (*tail != NULL)
        tail = &(*tail)->next_of_member;
    *tail = s;
    s->next_of_pub = p->subs;
    p->subs = s;
    m->sub_n++;
    p->sub_n++;
    h->sub_n++;
    m->subs_dirty = true;
    room_touch(m->room);
    return 0;
}

void sub_auto_pub(struct pub *p)
{
    struct room *r = p->member->room;

    for (uint32_t i = 0; i < r->member_n; i++)
        if (r->member[i]->auto_subscribe && r->member[i]->grant.can_subscribe)
            (void)sub_want(r->member[i], p); /* refused: that member goes without */
}

void sub_auto_member(struct member *m)
{
    struct room *r = m->room;

    if (!m->auto_subscribe || !m->grant.can_subscribe)
        return;
    for (uint32_t i = 0; i < r->member_n; i++)
        for (struct pub *p = r->member[i]->pubs; p != NULL; p = p->next)
            (void)sub_want(m, p); /* refused: the limit is reached */
}

static void drop_mirror(struct pub *p, uint8_t shard)
{
    struct plane *plane = &p->member->room->house->plane;
    struct pub_mirror *mi = &p->mirror[shard];

    assert(mi->used > 0);
    if (--mi->used > 0)
        return;
    struct cmd c = {.kind = CMD_RELAY_CLOSE};
    c.relay.track = p->track;
    c.relay.mirror = mi->track;
    (void)plane_push(plane, handle_shard(p->track), &c); /* a lost one ends with the mirror */
    plane_close(plane, PLANE_TRACK, mi->track);
    mi->track = 0;
}

void sub_detach(struct sub *s)
{
    struct pub *p = s->pub;

    if (s->id != 0) {
        uint8_t shard = handle_shard(s->id);
        plane_close(&p->member->room->house->plane, PLANE_SUB, s->id);
        if (shard != handle_shard(p->track))
            drop_mirror(p, shard);
    }
    s->id = 0;
    s->told_live = false;
    s->state = SUB_WAITING;
    s->member->subs_dirty = true;
    room_touch(s->member->room);
}

void sub_end(struct sub *s)
{
    struct member *m = s->member;
    struct pub *p = s->pub;
    struct sub **at;

    sub_detach(s);
    for (at = &m->subs; *at != s; at = &(*at)->next_of_member)
        ;
    *at = s->next_of_member;
    for (at = &p->subs; *at != s; at = &(*at)->next_of_pub)
        ;
    *at = s->next_of_pub;
    m->sub_n--;
    p->sub_n--;
    m->room->house->sub_n--;
    if (p->level > 0)
        m->room->speakers_dirty = true;
    mem_free(s);
}

static uint32_t fresh_ssrc(struct rng *rng)
{
    uint32_t v;

    do {
        v = rng_u32(rng);
    } while (v == 0);
    return v;
}

void sub_choose_ssrc(struct sub *s, bool rtx)
{
    struct rng *rng = &s->member->room->house->rng;

    s->ssrc = fresh_ssrc(rng);
    s->rtx_ssrc = rtx ? fresh_ssrc(rng) : 0;
}

/* The track as it is known on the subscriber's shard; 0 when refused. */
static track_id local_track(struct pub *p, uint8_t shard)
{
    struct plane *plane = &p->member->room->house->plane;
    struct cmd c = {0};

    if (handle_shard(p->track) == shard)
        return p->track;
    if (p->mirror == NULL)
        p->mirror = mem_array(plane->shard_n, sizeof *p->mirror);
    if (p->mirror == NULL)
        return 0;
    struct pub_mirror *mi = &p->mirror[shard];
    if (mi->track != 0)
        return mi->track;
    track_id t = plane_take(plane, shard, PLANE_TRACK, p, 0, 0);
    if (t == 0)
        return 0;
    fill_track_open(p, 0, &c);
    c.track_open.track = t;
    c.track_open.home = p->track;
    if (!plane_push(plane, shard, &c)) {
        plane_untake(plane, PLANE_TRACK, t);
        return 0;
    }
    c = (struct cmd){.kind = CMD_RELAY_OPEN};
    c.relay.track = p->track;
    c.relay.mirror = t;
    if (!plane_push(plane, handle_shard(p->track), &c)) {
        plane_close(plane, PLANE_TRACK, t);
        return 0;
    }
    mi->track = t;
    mi->told_muted = p->info->muted;
    return t;
}

int sub_attach(struct sub *s, const struct sub_target *target)
{
    struct pub *p = s->pub;
    struct plane *plane = &p->member->room->house->plane;
    uint8_t shard = handle_shard(target->peer);
    struct cmd c = {.kind = CMD_SUB_ATTACH};
    struct cmd_sub_attach *a = &c.sub_attach;

    assert(s->id == 0);
    assert(s->ssrc != 0);
    track_id track = local_track(p, shard);
    if (track == 0)
        return E_LIMIT;
    sub_id id = plane_take(plane, shard, PLANE_SUB, s, track, target->peer);
    if (id == 0)
        goto refused;
    a->sub = id;
    a->track = track;
    a->peer = target->peer;
    a->ssrc = s->ssrc;
    a->rtx_ssrc = s->rtx_ssrc;
    (void)str_copy(a->mid, sizeof a->mid, bytes_str(target->mid));        /* checked when parsed */
    (void)str_copy(a->cname, sizeof a->cname, bytes_str(target->stream)); /* as long as it goes */
    a->ext = target->ext;
    a->pt_n = (uint8_t)u32_min(target->pt_n, CMD_CODECS_MAX);
    memcpy(a->pt, target->pt, a->pt_n * sizeof *a->pt);
    a->max_spatial = s->max_spatial;
    a->max_temporal = s->max_temporal;
    a->paused = s->disabled;
    a->min_playout_ms = p->member->room->min_playout_delay_ms;
    a->max_playout_ms = p->member->room->max_playout_delay_ms;
    if (!plane_push(plane, shard, &c)) {
        plane_untake(plane, PLANE_SUB, id);
        goto refused;
    }
    if (track != p->track)
        p->mirror[shard].used++;
    s->id = id;
    s->state = SUB_ATTACHED;
    s->set_dirty = false;
    return 0;

refused:
    if (track != p->track && p->mirror[shard].used == 0) {
        p->mirror[shard].used = 1;
        drop_mirror(p, shard);
    }
    return E_LIMIT;
}

void sub_settings(struct sub *s, bool disabled, uint8_t max_spatial, uint8_t max_temporal, us_t at)
{
    s->was_set = true;
    s->disabled = disabled;
    s->max_spatial = max_spatial;
    s->max_temporal = max_temporal;
    s->set_at = s->set_dirty ? us_min(s->set_at, at) : at;
    s->set_dirty = true;
    s->member->subs_dirty = true;
    room_due(s->member->room, at);
}

us_t sub_settings_flush(struct sub *s, us_t now)
{
    if (!s->set_dirty)
        return US_NEVER;
    if (now < s->set_at)
        return s->set_at;
    s->set_dirty = false;
    if (s->id == 0)
        return US_NEVER; /* attaching will tell */
    struct cmd c = {.kind = CMD_SUB_SET};
    c.sub_set = (struct cmd_sub_set){.sub = s->id,
                                     .max_spatial = s->max_spatial,
                                     .max_temporal = s->max_temporal,
                                     .paused = s->disabled};
    if (plane_push(&s->member->room->house->plane, handle_shard(s->id), &c))
        return US_NEVER;
    s->set_dirty = true;
    s->set_at = now + 100 * US_PER_MS; /* the ring is full: once more later */
    return s->set_at;
}
