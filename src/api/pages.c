#include "api/pages.h"

#include "api/whep.h"
#include "base/json.h"
#include "base/mem.h"
#include "crypt/crypt.h"

enum { PAGES_ARENA_BYTES = 1 << 20, PAGES_BODY_MAX = 16 << 20, NAME_MAX_BYTES = 256 };

static void answer(struct hub *hub, uint64_t conn, int status, const struct str *body)
{
    outbox_http(&hub->out, conn, status, "application/json", str_bytes(body));
}

static void refuse(struct hub *hub, uint64_t conn, int status, const char *why)
{
    struct str body;

    str_init(&body, 1024);
    str_add(&body, "{\"error\":");
    json_add_text(&body, bytes_str(why));
    str_add(&body, "}");
    answer(hub, conn, status, &body);
    str_fini(&body);
}

/* Equal in length and content; the time tells the length alone. */
static bool secret_matches(const char *have, const char *given)
{
    size_t n = strlen(have);
    return strlen(given) == n && crypt_equal(have, given, n);
}

static bool may_meet(const struct node_cfg *cfg, const char *key)
{
    return cfg->open_meet || (cfg->meet_secret != NULL && *cfg->meet_secret != '\0' &&
                              secret_matches(cfg->meet_secret, key));
}

static bool mint(struct hub *hub, const struct node_cfg *cfg, const char *room,
                 const char *identity, bool watch, struct str *token)
{
    int64_t now_s = house_wall_ms(&hub->house) / 1000;
    struct token_claims *c = mem_zero(sizeof *c);
    char viewer[24];

    if (c == NULL)
        return false;
    c->issuer = cfg->key[0].id;
    c->identity = c->name = identity;
    if (watch) { /* anybody may: the identity of somebody in the room would push that one out */
        str_id(viewer, sizeof viewer, "watch_", &hub->house.rng);
        c->identity = viewer;
    }
    c->metadata = c->kind = c->room_preset = c->sha256 = "";
    c->expires_s = now_s + TOKEN_TTL_S;
    c->has_video = true;
    c->video.room_join = true;
    c->video.room = room;
    c->video.destination_room = "";
    if (watch) {
        c->video.can_publish = TOKEN_FALSE;
        c->video.can_publish_data = TOKEN_TRUE; /* chat */
    }
    bool ok = token_mint(token, c, bytes_str(cfg->key[0].secret));
    mem_free(c);
    return ok;
}

static void add_url(struct str *body, const struct http_msg *req, const char *path)
{
    const char *host = http_header_get(req, "host");
    const char *proto = http_header_get(req, "x-forwarded-proto");
    struct str url;

    str_init(&url, 1024);
    str_printf(&url, "%s://%s%s", proto != NULL && strcmp(proto, "https") == 0 ? "wss" : "ws",
               host != NULL ? host : "localhost:7880", path);
    json_add_text(body, str_bytes(&url));
    str_fini(&url);
}

/* What the page of Lightspeed and ITGv2 asks beside itself (ftl-lightspeed.md 2.3). */
static void tell_socket(struct hub *hub, uint64_t conn, const struct http_msg *req)
{
    struct str body;

    str_init(&body, 4096);
    str_add(&body, "{\"wsUrl\":");
    add_url(&body, req, "/websocket");
    str_add(&body, "}");
    answer(hub, conn, 200, &body);
    str_fini(&body);
}

static void give_token(struct hub *hub, const struct node_cfg *cfg, uint64_t conn,
                       const struct http_msg *req, struct arena *a)
{
    const char *room = http_query_get(a, req->query, "room");
    const char *identity = http_query_get(a, req->query, "identity");
    const char *role = http_query_get(a, req->query, "role");
    const char *key = http_query_get(a, req->query, "key");
    bool watch = role != NULL && strcmp(role, "watch") == 0;
    struct str token, body;

    if (cfg->key_n == 0) {
        refuse(hub, conn, 503, "this server has no API key");
        return;
    }
    if (room == NULL || identity == NULL || *room == '\0' || *identity == '\0' ||
        strlen(room) > NAME_MAX_BYTES || strlen(identity) > NAME_MAX_BYTES) {
        refuse(hub, conn, 400, "room and identity are needed, at most 256 bytes each");
        return;
    }
    if (watch && whep_may_watch(hub, cfg, req, room) != 0) {
        refuse(hub, conn, 403, "this room is watched with a private link");
        return;
    }
    if (!watch && !may_meet(cfg, key != NULL ? key : "")) {
        refuse(hub, conn, 403, "this server asks for a key");
        return;
    }
    str_init(&token, 1 << 16);
    str_init(&body, 1 << 17);
    bool ok = mint(hub, cfg, room, identity, watch, &token);
    str_add(&body, "{\"url\":");
    add_url(&body, req, "");
    str_add(&body, ",\"token\":");
    json_add_text(&body, str_bytes(&token));
    str_add(&body, "}");
    if (ok && !body.failed)
        answer(hub, conn, 200, &body);
    else
        refuse(hub, conn, 500, "no token could be made");
    str_fini(&token);
    str_fini(&body);
}

static void add_room(struct str *body, const struct room *r)
{
    str_add(body, "{\"name\":");
    json_add_text(body, bytes_str(r->name));
    str_printf(body, ",\"sid\":\"%s\",\"participants\":%u,\"publishers\":%u,\"since_ms\":%lld}",
               r->sid, room_count(r), room_publishers(r), (long long)r->created_ms);
}

static void list_rooms(struct hub *hub, uint64_t conn)
{
    struct str body;
    uint32_t at = 0;
    void *value;
    bool first = true;

    str_init(&body, PAGES_BODY_MAX);
    str_add(&body, "{\"rooms\":[");
    while (map_next(&hub->house.by_name, &at, NULL, &value)) {
        if (!first)
            str_add_char(&body, ',');
        first = false;
        add_room(&body, value);
    }
    str_add(&body, "]}");
    answer(hub, conn, 200, &body);
    str_fini(&body);
}

static void debug_rooms(struct hub *hub, uint64_t conn)
{
    const struct house *h = &hub->house;
    struct str body;
    uint32_t peers = 0;

    for (uint32_t s = 0; s < h->plane.shard_n; s++)
        peers += plane_used(&h->plane, (uint8_t)s, PLANE_PEER);
    str_init(&body, 4096);
    str_printf(&body,
               "{\"rooms\":%u,\"participants\":%u,\"sessions\":%u,\"tracks\":%u,"
               "\"subscriptions\":%u,\"peers\":%u,\"closing\":%u,\"mem_live\":%lld}",
               h->room_n, h->member_n, hub->session_n, h->pub_n, h->sub_n, peers,
               plane_closing(&h->plane), (long long)mem_live());
    answer(hub, conn, 200, &body);
    str_fini(&body);
}

bool pages_http(struct hub *hub, const struct node_cfg *cfg, uint64_t conn,
                const struct http_msg *req)
{
    struct arena a;

    if (strcmp(req->method, "GET") != 0)
        return false;
    if (strcmp(req->path, "/api/join") == 0) {
        arena_init(&a, PAGES_ARENA_BYTES);
        give_token(hub, cfg, conn, req, &a);
        arena_fini(&a);
        return true;
    }
    if (strcmp(req->path, "/config.json") == 0) {
        tell_socket(hub, conn, req);
        return true;
    }
    if (strcmp(req->path, "/health") == 0 || strcmp(req->path, "/availability") == 0) {
        outbox_http(&hub->out, conn, 200, "text/plain; charset=utf-8", bytes_str("OK"));
        return true;
    }
    if (strcmp(req->path, "/api/rooms") == 0) {
        list_rooms(hub, conn);
        return true;
    }
    if (cfg->development && strcmp(req->path, "/debug/rooms") == 0) {
        debug_rooms(hub, conn);
        return true;
    }
    return false;
}
