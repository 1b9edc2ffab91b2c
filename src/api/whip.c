#include "api/whip.h"

#include "api/join.h"
#include "base/mem.h"
#include "wire/pb.h"
#include "wire/sdp.h"

enum { KINDS = 2 };

/* First words of paths that are somebody else's: no application is called so. */
static const char *const reserved[] = {"rtc",    "twirp",        "api",         "whep",  "agent",
                                       "stream", "websocket",    "health",      "debug", "metrics",
                                       "meet",   "availability", "config.json", "watch", "admin"};

static bool is_reserved(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (strcmp(word, reserved[i]) == 0)
            return true;
    return false;
}

/* ---- who it is ---- */

static bool is_token(const char *text)
{
    uint32_t dots = 0;

    for (; *text != '\0'; text++)
        dots += *text == '.';
    return dots == 2;
}

static struct token_claims *claims_of_key(const struct resource_ask *q, const char *key,
                                          struct arena *keep, const struct ingress **by)
{
    struct ingress_book *book = q->all->book;
    const struct ingress *i = book != NULL ? ingress_by_key(book, bytes_str(key)) : NULL;
    const char *why;

    if (q->all->cfg->keys_elsewhere) {
        resource_answer(q, 403,
                        "stream keys need the auth service, which WHIP does not ask in "
                        "this version; publish with a token");
        return NULL;
    }
    if (i == NULL) {
        resource_answer(q, 401, "this stream key is not known");
        return NULL;
    }
    enum psrpc_code code = ingress_may(i, ADMIT_WHIP, &why);
    if (code != PSRPC_OK) {
        resource_answer(q, psrpc_code_http(code), why);
        return NULL;
    }
    struct token_claims *c = ingress_claims(book, i, keep, q->all->hub->house.tick);
    if (c == NULL)
        resource_answer(q, 503, "out of memory");
    *by = i;
    return c;
}

static struct token_claims *claims_of_token(const struct resource_ask *q, struct arena *keep)
{
    int64_t unix_s = house_wall_ms(&q->all->hub->house) / 1000;
    struct join_why why;
    struct token_claims *c = join_claims(q->all->cfg, q->req, unix_s, keep, &why);

    if (why.status != 0 || c == NULL) {
        resource_answer(q, 401, why.status != 0 ? why.text : "a token or a stream key is missing");
        return NULL;
    }
    if (!c->has_video || !c->video.room_join || *c->video.room == '\0' ||
        !token_may_publish(&c->video)) {
        resource_answer(q, q->json ? 401 : 403, "the token does not let its holder publish");
        return NULL;
    }
    c->video.can_subscribe = TOKEN_FALSE; /* what it is sent would have no section */
    return c;
}

static struct token_claims *who(const struct resource_ask *q, struct arena *keep,
                                const struct ingress **by)
{
    const char *given = resource_bearer(q);
    const char *in_path = q->seg_n > 1 && !q->json ? q->seg[1] : NULL;

    if (in_path != NULL)
        return claims_of_key(q, in_path, keep, by);
    if (given == NULL && *q->req->query == '\0') {
        resource_answer(q, 401, "a token or a stream key is missing");
        return NULL;
    }
    if (given == NULL || is_token(given) || q->json)
        return claims_of_token(q, keep);
    return claims_of_key(q, given, keep, by);
}

/* ---- what it sends ---- */

static bool is_stereo(const struct sdp_media *m)
{
    for (uint32_t i = 0; i < m->codec_n; i++)
        if (m->codec[i].fmtp != NULL &&
            (bytes_eq_str(sdp_fmtp_get(m->codec[i].fmtp, "sprop-stereo"), "1") ||
             bytes_eq_str(sdp_fmtp_get(m->codec[i].fmtp, "stereo"), "1")))
            return true;
    return false;
}

/* The layers of a simulcast, lowest first. */
static bool add_layers(struct arena *a, Livekit__AddTrackRequest *t, const struct sdp_media *m)
{
    struct cmd_layer layer[CMD_LAYERS_MAX];
    uint32_t n = mline_layers(m, true, layer);

    if (n < 2 || layer[0].rid[0] == '\0')
        return true;
    t->layers = arena_array(a, n, sizeof *t->layers);
    for (uint32_t at = 0; t->layers != NULL && at < n; at++) {
        Livekit__VideoLayer *l = pb_new(a, &livekit__video_layer__descriptor);
        if (l == NULL)
            return false;
        for (uint32_t i = 0; i < n; i++)
            if (layer[i].spatial == at)
                l->rid = arena_dup_str(a, layer[i].rid);
        l->quality = (Livekit__VideoQuality)at;
        l->spatial_layer = (int32_t)at;
        if (l->rid == NULL)
            return false;
        t->layers[t->n_layers++] = l;
    }
    return t->layers != NULL;
}

static Livekit__AddTrackRequest *announce(struct arena *a, const struct sdp_media *m)
{
    Livekit__AddTrackRequest *t = pb_new(a, &livekit__add_track_request__descriptor);
    bool video = m->kind == SDP_VIDEO;

    if (t == NULL)
        return NULL;
    t->cid = arena_dup_str(a, mline_track_of(m));
    t->name = (char *)(video ? "video" : "audio"); /* protobuf-c knows no const */
    t->type = video ? LIVEKIT__TRACK_TYPE__VIDEO : LIVEKIT__TRACK_TYPE__AUDIO;
    t->source = video ? LIVEKIT__TRACK_SOURCE__CAMERA : LIVEKIT__TRACK_SOURCE__MICROPHONE;
    t->disable_dtx = !video;
    t->disable_red = !video;
    t->stereo = !video && is_stereo(m);
    if (t->cid == NULL || (video && !add_layers(a, t, m)))
        return NULL;
    return t;
}

/* False: answered.  Tracks are announced in the order of the offer. */
static bool read_offer(const struct resource_ask *q, const char *sdp, struct stream_join *j)
{
    uint32_t sending[KINDS] = {0};
    struct sdp d;
    int err = sdp_parse(&d, bytes_str(sdp), q->arena);

    if (err != 0) {
        resource_answer(q, 400,
                        err == E_TOO_LARGE ? "the offer is too large"
                                           : "the offer is no SDP that media can go over");
        return false;
    }
    j->add = arena_array(q->arena, KINDS, sizeof *j->add);
    for (uint32_t i = 0; j->add != NULL && i < d.media_n; i++) {
        const struct sdp_media *m = &d.media[i];
        if (m->rejected || (m->kind != SDP_AUDIO && m->kind != SDP_VIDEO) ||
            (m->dir & SDP_SENDONLY) == 0)
            continue;
        if (++sending[m->kind == SDP_VIDEO] > 1) {
            resource_answer(q, 406, "at most one picture and one sound can be published");
            return false;
        }
        if ((j->add[j->add_n] = announce(q->arena, m)) == NULL) {
            resource_answer(q, 503, "out of memory");
            return false;
        }
        j->add_n++;
    }
    if (j->add_n == 0)
        resource_answer(q, 406, "the offer sends neither picture nor sound");
    return j->add_n > 0;
}

/* ---- POST ---- */

/* Did every section that sends find a codec of ours?  Half a stream would only look like one. */
static bool is_heard(const struct stream *st, size_t n)
{
    const struct session *s = stream_session(st);

    for (const struct pub *p = s != NULL ? s->member->pubs : NULL; p != NULL; p = p->next)
        n -= p->state == PUB_LIVE;
    return n == 0;
}

/* Who publishes under this name already, over WHIP and by the same key. */
static struct stream *find_before(const struct resource_ask *q, const struct stream_join *j,
                                  const struct ingress *by)
{
    const struct room *r = house_find(&q->all->hub->house, j->claims->video.room);
    const struct member *m = r != NULL ? room_find(r, j->claims->identity) : NULL;
    struct stream *st = stream_of(q->all, m, STREAM_WHIP);

    return by != NULL && st != NULL && strcmp(st->ingress_id, by->info->ingress_id) == 0 ? st
                                                                                         : NULL;
}

/* The registry hears of the session; what is reported by one before it no longer counts. */
static void note_begin(struct stream *st, const char *ingress_id)
{
    struct ingress_book *book = st->all->book;
    struct ingress *i = book != NULL ? ingress_by_id(book, ingress_id) : NULL;
    struct tick tick = st->all->hub->house.tick;

    if (i == NULL || ingress_session_begin(book, i, tick) != 0)
        return; /* without memory its state says nothing of this session */
    (void)str_copy(st->ingress_id, sizeof st->ingress_id, bytes_str(ingress_id)); /* as long */
    (void)str_copy(st->resource, sizeof st->resource,
                   bytes_str(i->state->resource_id)); /* as well */
    st->live = false;
}

static bool is_connected(const struct stream *st)
{
    const struct session *s = stream_session(st);

    return s != NULL && s->pc[PC_PUBLISHER].connected && !s->pc[PC_PUBLISHER].failed;
}

static void publish(const struct resource_ask *q, struct stream_join *j, const struct ingress *by)
{
    struct session_refusal why = {.status = 400, .text = "the offer cannot be answered"};
    struct stream *st = find_before(q, j, by);
    char ingress_id[INGRESS_ID_MAX] = "";
    struct str answer;
    bool ok;

    if (by != NULL)
        (void)str_copy(ingress_id, sizeof ingress_id,
                       bytes_str(by->info->ingress_id)); /* as long */
    if (st != NULL && q->all->cfg->refuse_second && is_connected(st)) {
        resource_answer(q, 409, "somebody publishes with this key");
        return;
    }
    str_init(&answer, SDP_BYTES_MAX);
    if (st != NULL)
        ok = stream_replace(st, j, &answer) == 0;
    else
        ok = stream_open(q->all, j, &answer, &st, &why);
    if (!ok) {
        resource_answer(q, why.status, why.text);
    } else if (!is_heard(st, j->add_n)) {
        stream_end(st, LIVEKIT__DISCONNECT_REASON__JOIN_FAILURE);
        resource_answer(q, 406, "a picture or sound was offered without a codec that can be taken");
    } else {
        if (by != NULL)
            note_begin(st, ingress_id);
        if (q->json)
            resource_tag(st);
        resource_created(q, st, q->req->path, NULL, &answer);
    }
    str_fini(&answer);
}

static void post(const struct resource_ask *q)
{
    struct stream_join j = {.kind = STREAM_WHIP,
                            .id = q->json ? "" : NULL,
                            .user_agent = http_header_get(q->req, "user-agent")};
    const struct ingress *by = NULL;
    char *sdp = resource_sdp(q);

    if (sdp == NULL)
        return;
    arena_init(&j.keep, SESSION_CLAIMS_BYTES);
    j.claims = who(q, &j.keep, &by);
    j.offer = sdp;
    if (j.claims != NULL && read_offer(q, sdp, &j))
        publish(q, &j, by);
    arena_fini(&j.keep);
}

/* ---- the resource ---- */

/* The original's resources have ids that everybody in the room knows: their requests must show the
 * token. */
static bool owns(const struct resource_ask *q, const struct stream *st)
{
    int64_t unix_s = house_wall_ms(&q->all->hub->house) / 1000;
    struct join_why why;

    if (!q->json)
        return true;
    const struct token_claims *c = join_claims(q->all->cfg, q->req, unix_s, q->arena, &why);
    return why.status == 0 && c != NULL && c->has_video && strcmp(c->video.room, st->room) == 0 &&
           strcmp(c->identity, st->identity) == 0;
}

static void serve_resource(const struct resource_ask *q, struct stream *st)
{
    if (resource_method(q, "OPTIONS"))
        resource_options(q, true);
    else if (!owns(q, st))
        resource_answer(q, 401, "this is another participant's");
    else if (resource_method(q, "PATCH"))
        resource_patch(q, st);
    else if (resource_method(q, "DELETE"))
        resource_delete(q, st);
    else if (resource_method(q, "GET"))
        resource_send(q, 204, NULL, NULL, (struct bytes){0});
    else
        resource_answer(q, 405, "a resource takes PATCH, DELETE, GET and OPTIONS");
}

/* "/whip" and "/w" are ours whatever comes; other applications when SDP is posted. */
static bool is_ours(const struct resource_ask *q)
{
    if (is_reserved(q->seg[0]))
        return false;
    if (strcmp(q->seg[0], "whip") == 0 || strcmp(q->seg[0], "w") == 0 ||
        (q->seg_n > 1 && strncmp(q->seg[q->seg_n - 1], "WH_", 3) == 0))
        return true;
    return q->seg_n <= 2 && resource_method(q, "POST") && resource_type(q, "application/sdp");
}

static void serve(struct resource_ask *q)
{
    struct stream *st = q->seg_n > 1 ? stream_find(q->all, bytes_str(q->seg[q->seg_n - 1])) : NULL;

    q->json = q->seg_n > 1 && strcmp(q->seg[0], "whip") == 0 && strcmp(q->seg[1], "v1") == 0;
    if (st != NULL && st->kind == STREAM_WHIP)
        serve_resource(q, st);
    else if (resource_method(q, "OPTIONS"))
        resource_options(q, false);
    else if (q->seg_n > 2 || (!resource_method(q, "POST") && q->seg_n > 1))
        resource_answer(q, 404, "no such resource");
    else if (resource_method(q, "POST"))
        post(q);
    else
        resource_answer(q, 405, "an offer must be posted");
}

bool whip_http(struct streams *all, uint64_t conn, const struct http_msg *req,
               const struct addr *client)
{
    struct resource_ask q = {.all = all, .conn = conn, .req = req, .client = client};
    struct arena a;

    arena_init(&a, STREAM_ARENA_BYTES);
    q.arena = &a;
    bool ours = resource_read(&q);
    const struct stream *st =
        ours && q.seg_n > 1 ? stream_find(all, bytes_str(q.seg[q.seg_n - 1])) : NULL;
    ours = ours && (is_ours(&q) || (st != NULL && st->kind == STREAM_WHIP));
    if (ours)
        serve(&q);
    arena_fini(&a);
    return ours;
}

void whip_news(struct stream *st, uint64_t heard)
{
    const struct session *s = stream_session(st);

    (void)heard;
    if (st->voice.over || s == NULL) {
        stream_end(st, LIVEKIT__DISCONNECT_REASON__UNKNOWN_REASON);
        return;
    }
    if (st->live || st->ingress_id[0] == '\0' || !stream_is_up(st))
        return;
    st->live = true;
    ingress_session_live(st->all->book, st->ingress_id, st->resource, s->member->room->sid,
                         st->all->hub->house.tick);
}

void whip_stop(struct streams *all, const char *ingress_id, const char *resource_id)
{
    struct stream *after;

    for (struct stream *st = all->first[STREAM_WHIP]; st != NULL; st = after) {
        after = st->next;
        if (strcmp(st->ingress_id, ingress_id) == 0 && strcmp(st->resource, resource_id) == 0)
            stream_end(st, LIVEKIT__DISCONNECT_REASON__PARTICIPANT_REMOVED);
    }
}
