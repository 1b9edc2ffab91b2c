#include "api/admin.h"

#include "base/json.h"
#include "base/mem.h"
#include "crypt/crypt.h"
#include "crypt/token.h"

static void answer(struct hub *hub, uint64_t conn, int status, const char *json)
{
    outbox_http(&hub->out, conn, status, "application/json", bytes_str(json));
}

/* The time tells the length alone. */
static bool is_secret(const char *have, struct bytes given)
{
    return have != NULL && have[0] != '\0' && strlen(have) == given.len &&
           crypt_equal(have, given.p, given.len);
}

bool admin_is_secret(const struct node_cfg *cfg, struct bytes given)
{
    return is_secret(cfg->admin_secret, given);
}

static bool knows_secret(const struct node_cfg *cfg, struct bytes body)
{
    struct json_doc doc;
    struct bytes given;

    if (json_parse(&doc, body, ADMIN_BODY_MAX) != 0)
        return false;
    bool ok = json_to_text(json_member(doc.root, "secret"), &given) &&
              is_secret(cfg->admin_secret, given);
    json_close(&doc);
    return ok;
}

static bool mint(const struct node_cfg *cfg, int64_t expires_s, struct str *token)
{
    struct token_claims *c = mem_zero(sizeof *c);

    if (c == NULL)
        return false;
    c->issuer = cfg->key[0].id;
    c->identity = c->name = "admin";
    c->metadata = c->kind = c->room_preset = c->sha256 = "";
    c->expires_s = expires_s;
    c->has_video = true;
    c->video.ingress_admin = c->video.room_list = true;
    c->video.room = c->video.destination_room = "";
    bool ok = token_mint(token, c, bytes_str(cfg->key[0].secret));
    mem_free(c);
    return ok;
}

static void give_token(struct hub *hub, const struct node_cfg *cfg, uint64_t conn)
{
    int64_t expires_s = house_wall_ms(&hub->house) / 1000 + ADMIN_TOKEN_S;
    struct str token, body;

    str_init(&token, 1 << 14);
    str_init(&body, 1 << 15);
    if (mint(cfg, expires_s, &token))
        str_printf(&body, "{\"token\":\"%s\",\"expires_s\":%lld}", str_text(&token),
                   (long long)expires_s);
    if (body.len > 0 && !body.failed)
        answer(hub, conn, 200, str_text(&body));
    else
        answer(hub, conn, 500, "{\"error\":\"no token could be made\"}");
    if (token.p != NULL)
        mem_wipe(token.p, token.len);
    str_fini(&token);
    str_fini(&body);
}

bool admin_http(struct hub *hub, const struct node_cfg *cfg, uint64_t conn,
                const struct http_msg *req)
{
    if (strcmp(req->path, "/api/admin") != 0)
        return false;
    if (strcmp(req->method, "POST") != 0)
        answer(hub, conn, 405, "{\"error\":\"POST the secret\"}");
    else if (cfg->key_n == 0 || !knows_secret(cfg, req->body))
        answer(hub, conn, 403, "{\"error\":\"this is not the secret\"}");
    else
        give_token(hub, cfg, conn);
    return true;
}
