/* crypt/token.h - access tokens: JWT with HS256 and nothing else.  (RFC 7519, RFC 7515)
 *
 * Checking takes two steps, because the key is named inside: token_peek_issuer() reads
 * the unverified `iss`, the caller looks its secret up, token_verify() then checks the
 * signature before it believes any claim.  `exp` is mandatory; `exp` and `nbf` have
 * TOKEN_LEEWAY_S of leeway.  The algorithm is pinned: the header may only say HS256.
 * Duplicate members anywhere are refused.  Pure functions; results live in the arena.
 */
#ifndef CRYPT_TOKEN_H
#define CRYPT_TOKEN_H

#include "base/arena.h"
#include "base/base.h"
#include "base/str.h"

enum {
    TOKEN_BYTES_MAX =
        65536, /* chosen: metadata of 64 kB does not belong in a URL; headers are capped lower */
    TOKEN_LEEWAY_S = 60,
    TOKEN_TTL_S = 6 * 3600, /* default validity when minted */
    TOKEN_ATTRIBUTES_MAX = 256,
    TOKEN_SOURCES_MAX = 16,
    TOKEN_KIND_DETAILS_MAX = 16,
    TOKEN_ARENA_BYTES = 4 * TOKEN_BYTES_MAX, /* a ceiling that any accepted token fits under */
};

/* JSON's nullable booleans: absence means something (livekit-server.md 2.2). */
enum token_tri { TOKEN_UNSET, TOKEN_FALSE, TOKEN_TRUE };

struct token_video {
    bool room_create, room_list, room_record, room_admin, room_join;
    bool ingress_admin, hidden, recorder, agent;
    enum token_tri can_publish, can_subscribe, can_publish_data, can_update_own_metadata;
    enum token_tri can_subscribe_metrics, can_manage_agent_session;
    const char *room;                      /* never NULL */
    const char *destination_room;          /* never NULL */
    const char *source[TOKEN_SOURCES_MAX]; /* canPublishSources, as written */
    uint32_t source_n;
};

struct token_pair {
    const char *key, *value;
};

struct token_claims {
    const char *issuer;                                        /* API key */
    const char *identity;                                      /* sub, or jti when sub is empty */
    const char *name, *metadata, *kind, *room_preset, *sha256; /* never NULL; "" when absent */
    const char *room_config;         /* JSON text of roomConfig, or NULL */
    int64_t not_before_s, expires_s; /* Unix seconds; not_before_s 0 when absent */
    bool has_video;
    struct token_video video;
    bool sip_admin, sip_call, agent_admin;
    struct token_pair *attribute; /* [attribute_n], at most TOKEN_ATTRIBUTES_MAX */
    uint32_t attribute_n;
    const char *kind_detail[TOKEN_KIND_DETAILS_MAX];
    uint32_t kind_detail_n;
};

/* The unverified issuer.  E_MALFORMED or E_TOO_LARGE when this is no token at all. */
MUST_CHECK int token_peek_issuer(struct bytes token, struct arena *arena, const char **issuer);

/* The claims, all strings in the arena.  E_MALFORMED, E_TOO_LARGE, E_UNSUPPORTED (another
 * algorithm), E_AUTH (signature), E_EXPIRED, E_STATE (not valid yet), E_NOMEM. */
MUST_CHECK int token_verify(struct bytes token, struct bytes secret, int64_t unix_s,
                            struct arena *arena, struct token_claims **out);

/* The body of the 401 for an error of the two above, or E_NOENT for an unknown issuer
 * (livekit-server.md 1.3).  Static. */
const char *token_refusal(int err);

/* Append a signed token that says what `claims` says; empty strings and unset fields are left
 * out.  identity becomes sub.  False when it did not fit. */
MUST_CHECK bool token_mint(struct str *out, const struct token_claims *claims, struct bytes secret);

/* Effective permission (livekit-server.md 2.2). */
bool token_may_publish(const struct token_video *v);
bool token_may_subscribe(const struct token_video *v);
bool token_may_publish_data(const struct token_video *v);

#endif
