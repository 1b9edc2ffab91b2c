#include "api/whep.h"

#include "api/join.h"
#include "base/json.h"
#include "base/mem.h"

enum { BODY_MAX = 16 << 10, LAYER_BYTES_MAX = 1024 };

static const char *const qualities[] = {[STREAM_LOW] = "low",
                                        [STREAM_MEDIUM] = "medium",
                                        [STREAM_HIGH] = "high",
                                        [STREAM_AUTO] = "auto"};

/* ---- who may watch ---- */

static bool is_private(const struct node_cfg *cfg, const char *room)
{
    for (uint32_t i = 0; i < cfg->private_room_n; i++)
        if (strcmp(cfg->private_room[i], "*") == 0 || strcmp(cfg->private_room[i], room) == 0)
            return true;
    return false;
}

int whep_may_watch(const struct hub *hub, const struct node_cfg *cfg, const struct http_msg *req,
                   const char *room)
{
    int64_t unix_s = house_wall_ms(&hub->house) / 1000;
    struct join_why why;
    struct arena a;
    int status = 0;

    arena_init(&a, TOKEN_ARENA_BYTES * 2);
    const struct token_claims *c = join_claims(cfg, req, unix_s, &a, &why);
    if (why.status != 0)
        status = 401;
    else if (c == NULL)
        status = is_private(cfg, room) ? 401 : 0;
    else if (!c->has_video || !c->video.room_join || strcmp(c->video.room, room) != 0 ||
             !token_may_subscribe(&c->video))
        status = 403;
    arena_fini(&a);
    return status;
}

struct token_claims *whep_claims(const struct streams *all, const char *room, struct arena *keep)
{
    struct token_claims *c = arena_zero(keep, sizeof *c);
    char name[24];

    if (c == NULL)
        return NULL;
    str_id(name, sizeof name, "watch_", &all->hub->house.rng);
    c->issuer = all->cfg->key_n > 0 ? all->cfg->key[0].id : "";
    c->identity = arena_dup_str(keep, name);
    c->name = c->metadata = c->kind = c->room_preset = c->sha256 = "";
    c->has_video = true;
    c->video.room_join = true;
    c->video.hidden = true;
    c->video.room = arena_dup_str(keep, room);
    c->video.destination_room = "";
    c->video.can_publish = TOKEN_FALSE;
    c->video.can_publish_data = TOKEN_TRUE; /* chat, where the offer has channels for it */
    return c->identity != NULL && c->video.room != NULL ? c : NULL;
}

/* ---- POST ---- */

static void watch(const struct resource_ask *q, struct stream_join *j)
{
    struct session_refusal why;
    struct stream *st;
    struct str answer, base, headers;

    str_init(&answer, SDP_BYTES_MAX);
    str_init(&base, RESOURCE_HEADERS_MAX);
    str_init(&headers, RESOURCE_HEADERS_MAX);
    str_add(&base, "/whep/");
    http_encode(&base, q->seg[1]);
    if (base.failed) {
        resource_answer(q, 404, "no such room");
    } else if (!stream_open(q->all, j, &answer, &st, &why)) {
        resource_answer(q, why.status, why.text);
    } else if (!st->takes_audio && !st->takes_video) {
        stream_end(st, LIVEKIT__DISCONNECT_REASON__JOIN_FAILURE);
        resource_answer(q, 406, "the offer receives neither picture nor sound");
    } else {
        str_printf(&headers, "Link: <%s/%s/layer>; rel=\"urn:ietf:params:whep:ext:core:layer\"\r\n",
                   str_text(&base), st->id);
        resource_created(q, st, str_text(&base), str_text(&headers), &answer);
    }
    str_fini(&answer);
    str_fini(&base);
    str_fini(&headers);
}

static void post(const struct resource_ask *q)
{
    struct stream_join j = {.kind = STREAM_WHEP, .offer = resource_sdp(q), .from = q->client};

    if (j.offer == NULL)
        return;
    int status = whep_may_watch(q->all->hub, q->all->cfg, q->req, q->seg[1]);
    if (status != 0) {
        resource_answer(q, status, "this room is watched with a private link");
        return;
    }
    arena_init(&j.keep, SESSION_CLAIMS_BYTES);
    j.claims = whep_claims(q->all, q->seg[1], &j.keep);
    if (j.claims == NULL)
        resource_answer(q, 503, "out of memory");
    else
        watch(q, &j);
    arena_fini(&j.keep);
}

/* ---- what is on, which layer ---- */

static uint32_t layers_of(const struct pub *p)
{
    return p == NULL ? 0 : p->svc ? (uint32_t)p->info->n_layers : p->layer_n;
}

static void add_layers(struct str *body, const struct pub *p)
{
    uint32_t n = layers_of(p);

    str_add(body, ",\"layers\":[");
    for (uint32_t i = n; i-- > 0;) {
        const Livekit__VideoLayer *l = i < p->info->n_layers ? p->info->layers[i] : NULL;
        str_printf(body, "%s{\"encodingId\":\"%s\"", i + 1 < n ? "," : "",
                   qualities[i < STREAM_AUTO ? i : STREAM_HIGH]);
        if (l != NULL) {
            str_add(body, ",\"rid\":");
            json_add_text(body, bytes_str(l->rid));
            str_printf(body, ",\"width\":%u,\"height\":%u", l->width, l->height);
        }
        str_add_char(body, '}');
    }
    str_add_char(body, ']');
}

static void tell(const struct resource_ask *q, const struct stream *st)
{
    const struct session *s = stream_session(st);
    const struct room *r = s->member->room;
    const struct member *from = stream_publisher(r);
    const struct pub *video = from != NULL ? stream_track(from, true) : NULL;
    struct str body;

    str_init(&body, BODY_MAX);
    str_add(&body, "{\"room\":");
    json_add_text(&body, bytes_str(r->name));
    str_printf(&body, ",\"viewers\":%u,\"live\":%s,\"video\":%s,\"audio\":%s,\"layer\":\"%s\"",
               stream_viewers(r), from != NULL ? "true" : "false", video != NULL ? "true" : "false",
               from != NULL && stream_track(from, false) != NULL ? "true" : "false",
               qualities[st->quality]);
    str_add(&body, ",\"publisher\":");
    json_add_text(&body, bytes_str(from == NULL            ? ""
                                   : from->name[0] != '\0' ? from->name
                                                           : from->identity));
    add_layers(&body, video);
    str_add_char(&body, '}');
    resource_send(q, 200, "application/json", "Cache-Control: no-store\r\n", str_bytes(&body));
    str_fini(&body);
}

static bool quality_of(const struct stream *st, struct bytes word, enum stream_quality *out)
{
    const struct session *s = stream_session(st);
    const struct member *from = stream_publisher(s->member->room);
    const struct pub *p = from != NULL ? stream_track(from, true) : NULL;

    for (size_t i = 0; i < ARRAY_LEN(qualities); i++)
        if (bytes_eq_str(word, qualities[i])) {
            *out = (enum stream_quality)i;
            return true;
        }
    for (uint32_t i = 0; i < layers_of(p) && i < STREAM_AUTO; i++)
        if (!p->svc && p->layer[i].rid[0] != '\0' && bytes_eq_str(word, p->layer[i].rid)) {
            *out = (enum stream_quality)p->layer[i].spatial;
            return true;
        }
    return false;
}

static void choose(const struct resource_ask *q, struct stream *st)
{
    enum stream_quality quality = STREAM_AUTO;
    struct json_doc doc;
    struct bytes word;

    if (!stream_charge(st)) {
        resource_answer(q, 429, "too many requests for this resource");
        return;
    }
    if (q->req->body.len > 0) {
        if (json_parse(&doc, q->req->body, LAYER_BYTES_MAX) != 0) {
            resource_answer(q, 400, "the layer must be named in JSON");
            return;
        }
        bool named = json_to_text(json_member(doc.root, "encodingId"), &word);
        bool known = !named || quality_of(st, word, &quality);
        json_close(&doc);
        if (!known) {
            resource_answer(q, 404, "no such layer");
            return;
        }
    }
    stream_set_quality(st, quality);
    resource_send(q, 200, NULL, NULL, (struct bytes){0});
}

/* ---- the resource ---- */

static void serve_resource(const struct resource_ask *q, struct stream *st)
{
    if (resource_method(q, "OPTIONS"))
        resource_options(q, true);
    else if (resource_method(q, "PATCH"))
        resource_patch(q, st);
    else if (resource_method(q, "DELETE"))
        resource_delete(q, st);
    else if (resource_method(q, "GET"))
        tell(q, st);
    else
        resource_answer(q, 405, "a resource takes PATCH, DELETE, GET and OPTIONS");
}

static void serve(const struct resource_ask *q)
{
    struct stream *st = q->seg_n > 2 ? stream_find(q->all, bytes_str(q->seg[2])) : NULL;
    bool layer = q->seg_n == 4 && strcmp(q->seg[3], "layer") == 0;

    if (q->seg_n > 2 && (st == NULL || st->kind != STREAM_WHEP || stream_session(st) == NULL ||
                         strcmp(stream_session(st)->member->room->name, q->seg[1]) != 0))
        resource_answer(q, 404, "no such resource");
    else if (layer && resource_method(q, "POST"))
        choose(q, st);
    else if (layer && resource_method(q, "DELETE"))
        choose(q, st); /* none: auto */
    else if (layer && resource_method(q, "GET"))
        tell(q, st);
    else if (layer && !resource_method(q, "OPTIONS"))
        resource_answer(q, 405, "a layer is chosen with POST");
    else if (st != NULL)
        serve_resource(q, st);
    else if (resource_method(q, "OPTIONS"))
        resource_options(q, false);
    else if (resource_method(q, "POST"))
        post(q);
    else
        resource_answer(q, 405, "an offer must be posted");
}

bool whep_http(struct streams *all, uint64_t conn, const struct http_msg *req,
               const struct addr *client)
{
    struct resource_ask q = {.all = all, .conn = conn, .req = req, .client = client};
    struct arena a;

    arena_init(&a, STREAM_ARENA_BYTES);
    q.arena = &a;
    bool ours = resource_read(&q) && q.seg_n >= 2 && strcmp(q.seg[0], "whep") == 0;
    if (ours)
        serve(&q);
    arena_fini(&a);
    return ours;
}

void whep_news(struct stream *st, uint64_t heard)
{
    (void)heard;
    if (st->voice.over)
        stream_end(st, LIVEKIT__DISCONNECT_REASON__UNKNOWN_REASON);
}
