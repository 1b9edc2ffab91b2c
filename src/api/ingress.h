/* api/ingress.h - every ingress of the process: who may publish what into which room, and what is
 * on air.  (egress-ingress.md 4.1, 4.3)
 *
 * The registry ("book") is in memory and written through to the store: changes come out of
 * ingress_store_op(), and an API call is answered when its change is durable.  Lookups are
 * synchronous, for the doors in this process (WHIP); an ingress process asks over the bus
 * (api/ioinfo).  Keys are found through a keyed hash and compared in constant time; they never
 * appear in a log line or an event.
 *
 * Control thread; heap through base/mem; time is an argument.  Pointers to a `struct ingress`
 * are valid until the next call that may change the book; keep ids.
 */
#ifndef API_INGRESS_H
#define API_INGRESS_H

#include "base/map.h"
#include "base/str.h"
#include "bus/psrpc.h"
#include "crypt/token.h"
#include "store/store.h"

#include "livekit_ingress.pb-c.h"

enum {
    INGRESS_MAX = 10000,             /* chosen; beyond: resource_exhausted */
    INGRESS_ID_MAX = 24,             /* "IN_" and 12 characters */
    INGRESS_KEY_MAX = 100,           /* OBS' FTL takes 99 characters */
    INGRESS_TEXT_MAX = 256,          /* bytes of a name or an identity */
    INGRESS_METADATA_MAX = 64 << 10, /* bytes of a participant's metadata */
    INGRESS_URL_MAX = 2048,
    INGRESS_ERROR_MAX = 512,       /* bytes of a state's error; longer ones are cut */
    INGRESS_BYTES_MAX = 512 << 10, /* one ingress in memory */
    INGRESS_OPS_MAX = 4096,        /* writes under way; beyond: resource_exhausted */
    INGRESS_CHANNEL_DEFAULT = 77,  /* Lightspeed's */
    INGRESS_CHANNEL_FIRST = 78,
    INGRESS_TOKEN_TTL_S = 24 * 3600,
};

/* How somebody comes in; says which input types he may use. */
enum ingress_way { INGRESS_BY_RTMP, INGRESS_BY_FTL, INGRESS_BY_WHIP, INGRESS_BY_URL };

struct ingress {
    struct arena arena;
    Livekit__IngressInfo *info; /* in the arena, without its state */
    struct arena state_arena;
    Livekit__IngressState *state; /* never NULL */
    uint32_t channel;             /* FTL's number; 0: URL_INPUT has none */
    bool fallback;                /* the default channel: its key works on every way in */
    bool local;                   /* its session is in this process: INGRESS_EVT_STOP ends it */
};

struct ingress_cfg {
    uint64_t seed;
    const char *rtmp_base_url, *whip_base_url; /* told in IngressInfo.url; "" allowed */
    const char *ws_url;                        /* where an ingress process joins */
    const char *key_id, *key_secret;           /* its tokens are signed with */
    const char *default_key;                   /* of the default channel; NULL: there is none */
};

enum ingress_event_kind {
    INGRESS_EVT_STARTED, /* state became PUBLISHING */
    INGRESS_EVT_ENDED,   /* it was publishing and is not any more */
    INGRESS_EVT_STOP,    /* the session in this process must end: updated, deleted, disabled */
};

struct ingress_event {
    enum ingress_event_kind kind;
    char ingress_id[INGRESS_ID_MAX];
    const char *reason; /* STOP: static text */
};

struct ingress_book;

MUST_CHECK int ingress_open(struct ingress_book **ret, const struct ingress_cfg *cfg);
void ingress_free(struct ingress_book *b);
/* Known only when the doors are open.  Copied. */
MUST_CHECK int ingress_set_urls(struct ingress_book *b, const char *rtmp, const char *whip,
                                const char *ws);
/* A record of the store at the start.  E_MALFORMED: skipped, the caller logs it. */
MUST_CHECK int ingress_load(struct ingress_book *b, struct bytes id, struct bytes body);

/* ---- looking up ---- */

struct ingress *ingress_by_key(struct ingress_book *b, struct bytes key);
struct ingress *ingress_by_id(struct ingress_book *b, const char *id);
struct ingress *ingress_by_channel(struct ingress_book *b, uint32_t channel);
/* Walk; start with *at = 0. */
struct ingress *ingress_next(const struct ingress_book *b, uint32_t *at);
uint32_t ingress_count(const struct ingress_book *b);

/* May it publish this way, now?  PSRPC_OK, or the code with a static text: disabled, wrong
 * protocol, no room or identity. */
enum psrpc_code ingress_may(const struct ingress *i, enum ingress_way way, const char **why);

/* What its participant's token says: kind, attribute ingress.ingressID, grants, 24 h. */
MUST_CHECK const struct token_claims *ingress_claims(const struct ingress_book *b,
                                                     const struct ingress *i, struct arena *a,
                                                     struct tick tick);
/* Appends that token. */
MUST_CHECK int ingress_token(const struct ingress_book *b, const struct ingress *i,
                             struct tick tick, struct str *out);

/* ---- a session in this process (WHIP) ---- */

/* Accepted: BUFFERING, a new resource id (RT_, WH_), started_at now.  A session before it is no
 * longer heard: its later reports are refused. */
void ingress_session_begin(struct ingress_book *b, struct ingress *i, struct tick tick);
/* PUBLISHING with the room's sid. */
void ingress_session_live(struct ingress_book *b, struct ingress *i, const char *room_sid,
                          struct tick tick);
/* `error` NULL or "": INACTIVE; else ERROR.  Ignored unless `resource_id` is the session's. */
void ingress_session_end(struct ingress_book *b, const char *ingress_id, const char *resource_id,
                         const char *error, struct tick tick);

/* ---- a session elsewhere reports (IOInfo.UpdateIngressState) ---- */

/* PSRPC_FAILED_PRECONDITION when a newer session has reported, PSRPC_NOT_FOUND. */
enum psrpc_code ingress_report(struct ingress_book *b, const char *ingress_id,
                               const Livekit__IngressState *state, const char **why);

/* ---- out ---- */

/* Writes for the store, in order; valid until the next call. */
bool ingress_store_op(struct ingress_book *b, struct store_op *op);
bool ingress_event(struct ingress_book *b, struct ingress_event *ev);

#endif
