/* api/ingress.h - every ingress of the process: who may publish what into which room, and what is
 * on air.  (egress-ingress.md 4.1, 4.3)
 *
 * The registry ("book") is in memory and written through to the store: a change is asked for,
 * its writes come out of ingress_store_op(), and when the owner says ingress_stored() it holds and
 * comes out of ingress_done().  States of sessions hold at once and are written behind.  Lookups
 * are synchronous, for the doors in this process (WHIP); an ingress process asks over the bus
 * (api/ioinfo).  Keys are found through a keyed hash and compared in constant time; they never
 * appear in a log line or an event.
 *
 * Control thread; heap through base/mem; time is an argument.  Pointers to a `struct ingress` are
 * valid until the next call that may change the book; keep ids.
 */
#ifndef API_INGRESS_H
#define API_INGRESS_H

#include "base/arena.h"
#include "base/str.h"
#include "bus/admit.h"
#include "crypt/token.h"
#include "store/store.h"
#include "wire/pb.h"

#include "livekit_ingress.pb-c.h"

enum {
    INGRESS_MAX = 10000,             /* chosen; beyond: resource_exhausted */
    INGRESS_ID_MAX = 64,             /* bytes; ours have 15, a worker may bring others */
    INGRESS_KEY_MAX = 100,           /* OBS' FTL takes 99 characters */
    INGRESS_KEY_CHARS = 12,          /* of a new one, as the original's */
    INGRESS_DEFAULT_CHARS = 32,      /* of the default one, as Lightspeed's */
    INGRESS_TEXT_MAX = 256,          /* bytes of a name, a room, an identity */
    INGRESS_METADATA_MAX = 64 << 10, /* bytes of a participant's metadata */
    INGRESS_URL_MAX = 2048,          /* bytes of a URL to pull from */
    INGRESS_ERROR_MAX = 512,         /* bytes of a state's error; longer ones are cut */
    INGRESS_BYTES_MAX = 512 << 10,   /* of one ingress in memory, and of one state */
    INGRESS_CHANGES_MAX = 4096,      /* under way; beyond: resource_exhausted */
    INGRESS_EVENTS_MAX = 256,        /* not yet taken; beyond: the oldest go */
    INGRESS_CHANNEL_DEFAULT = 77,    /* Lightspeed's */
    INGRESS_CHANNEL_FIRST = 78,
    INGRESS_TOKEN_TTL_S = 24 * 3600,
};

/* The default channel: room and identity `live`. */
#define INGRESS_DEFAULT_ID "IN_live"
/* Kinds of records in the store; the last is a file of the data directory that holds the default
 * key alone. */
#define INGRESS_RECORD "ingress"
#define INGRESS_STATE  "ingress_state"
#define INGRESS_FILE   "file"

struct ingress {
    struct ingress *next, *prev; /* in order of making */
    struct arena arena;
    Livekit__IngressInfo *info; /* in the arena; `state` is NULL, ingress_info() puts it in */
    struct arena state_arena;
    Livekit__IngressState *state; /* never NULL */
    uint64_t serial;
    uint32_t channel; /* FTL's number; 0: URL_INPUT has none */
    bool fallback;    /* the default channel: its key works on every way in */
    bool local;       /* its session is in this process: INGRESS_EVT_STOP ends it */
    bool state_dirty; /* the store has an older state */
};

/* Texts are copied. */
struct ingress_cfg {
    uint64_t seed;
    const char *rtmp_base_url, *whip_base_url; /* told in IngressInfo.url; "" allowed */
    const char *ws_url;                        /* where an ingress process joins */
    const char *key_id, *key_secret;           /* its tokens are signed with */
    const char *default_key;                   /* of the default channel; "": there is none */
};

enum ingress_event_kind {
    INGRESS_EVT_STARTED, /* became PUBLISHING */
    INGRESS_EVT_ENDED,   /* was on air (BUFFERING, PUBLISHING) and is not any more */
    INGRESS_EVT_STOP,    /* the session in this process must end: updated, deleted, rotated */
};

struct ingress_event {
    enum ingress_event_kind kind;
    char ingress_id[INGRESS_ID_MAX];
    char resource_id[INGRESS_ID_MAX];
};

struct ingress_book;

MUST_CHECK int ingress_open(struct ingress_book **ret, const struct ingress_cfg *cfg);
void ingress_free(struct ingress_book *b);
/* Known only when the doors are open; NULL: as it was. */
MUST_CHECK int ingress_set_urls(struct ingress_book *b, const char *rtmp, const char *whip,
                                const char *ws);
/* A record of the store at the start, INGRESS_RECORD before INGRESS_STATE.  E_MALFORMED, E_LIMIT,
 * E_NOMEM: it is skipped, the caller says so.  Sessions that were on air are not any more. */
MUST_CHECK int ingress_load(struct ingress_book *b, const char *kind, struct bytes id,
                            struct bytes body);

/* ---- looking up ---- */

struct ingress *ingress_by_key(const struct ingress_book *b, struct bytes key);
struct ingress *ingress_by_id(const struct ingress_book *b, const char *id);
struct ingress *ingress_by_channel(const struct ingress_book *b, uint32_t channel);
/* In order of making; NULL first, NULL last. */
struct ingress *ingress_next(const struct ingress_book *b, const struct ingress *at);
uint32_t ingress_count(const struct ingress_book *b);
bool ingress_on_air(const struct ingress *i);

/* With its state, for an answer; in the arena, NULL when that refuses. */
MUST_CHECK Livekit__IngressInfo *ingress_info(const struct ingress *i, struct arena *a);

/* May it publish this way, now?  As admit_check() says. */
enum psrpc_code ingress_may(const struct ingress *i, enum admit_way way, const char **why);

/* What its participant's token says: kind, attribute ingress.ingressID, grants, 24 h. */
MUST_CHECK struct token_claims *ingress_claims(const struct ingress_book *b,
                                               const struct ingress *i, struct arena *a,
                                               struct tick tick);
/* Appends that token. */
MUST_CHECK int ingress_token(const struct ingress_book *b, const struct ingress *i,
                             struct tick tick, struct str *out);
const char *ingress_ws_url(const struct ingress_book *b);
/* The base of the URL for this type; "" for URL_INPUT. */
const char *ingress_base_url(const struct ingress_book *b, Livekit__IngressInput type);

/* ---- changing ---- */

/* A new id, and a new key from the system's dice; that of the default channel is longer.  False
 * without dice. */
void ingress_new_id(struct ingress_book *b, char id[INGRESS_ID_MAX]);
void ingress_new_resource(struct ingress_book *b, const struct ingress *i, char id[INGRESS_ID_MAX]);
MUST_CHECK bool ingress_new_key(size_t chars, char key[INGRESS_KEY_MAX]);

/* What it will be when every change under way holds; NULL: nothing. */
const Livekit__IngressInfo *ingress_draft(const struct ingress_book *b, const char *id);

/* Each returns 0 and a serial that ingress_done() gives back; E_LIMIT (INGRESS_MAX or
 * INGRESS_CHANGES_MAX), E_EXIST (id or key), E_NOENT, E_NOT_ALLOWED (deleting the default
 * channel), E_NOMEM.  `info` is copied. */
MUST_CHECK int ingress_create(struct ingress_book *b, const Livekit__IngressInfo *info,
                              uint64_t *serial);
MUST_CHECK int ingress_update(struct ingress_book *b, const Livekit__IngressInfo *info,
                              uint64_t *serial);
MUST_CHECK int ingress_delete(struct ingress_book *b, const char *id, uint64_t *serial);

/* The same with a new key.  E_LIBRARY without dice; E_INVAL: it has no key. */
MUST_CHECK int ingress_rotate(struct ingress_book *b, const char *id, uint64_t *serial);

enum ingress_change_kind { INGRESS_CREATED, INGRESS_UPDATED, INGRESS_DELETED };

struct ingress_done {
    uint64_t serial;
    enum ingress_change_kind kind;
    int err; /* the store refused: nothing has changed */
    char ingress_id[INGRESS_ID_MAX];
    bool on_air, local;               /* it had a session when the change came to hold */
    const Livekit__IngressInfo *info; /* with its state, also of one that is deleted; until the
                                         next call that changes the book */
};

/* Writes for the store, in order; valid until the next call.  serial 0: nobody waits for it. */
bool ingress_store_op(struct ingress_book *b, struct store_op *op);
/* The store has it, or refused.  In the order of the operations. */
void ingress_stored(struct ingress_book *b, uint64_t serial, int err);
bool ingress_done(struct ingress_book *b, struct ingress_done *done);

/* ---- for api/ingress_session ---- */

/* Takes the arena with the new state in it. */
void ingress_set_state(struct ingress_book *b, struct ingress *i, struct arena *a,
                       Livekit__IngressState *state);

bool ingress_event(struct ingress_book *b, struct ingress_event *ev);

#endif
