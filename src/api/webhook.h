/* api/webhook.h - tells other servers by signed HTTP POST what happened.  (livekit-server.md 6.3)
 *
 * Facts go in; requests come out (wire/ask.h) and their answers go in.  Each URL has its own
 * queues, one for each resource (egress, ingress, room, ...): within a queue events go out one
 * after the other, so nothing overtakes, and a queue that fails holds up no other.  An event is
 * tried WEBHOOK_TRIES times with growing waits on network errors, 429 and 5xx other than 501; one
 * that is too old when its turn comes, or finds its queue full, is dropped, and the next event to
 * that URL says how many were (numDropped).
 *
 * Bodies are signed when they are sent.  The secret, tokens and URLs appear in no event of this
 * unit: trouble names the URL by its number.  One thread; time and dice are handed in.
 */
#ifndef API_WEBHOOK_H
#define API_WEBHOOK_H

#include "base/base.h"
#include "room/fact.h"
#include "wire/ask.h"

#include "livekit_ingress.pb-c.h"

struct str;

enum {
    WEBHOOK_URLS_MAX = 32,
    WEBHOOK_FILTERS_MAX = 32,
    WEBHOOK_DEPTH_DEFAULT = 200,  /* events waiting for one resource, the one on its way aside */
    WEBHOOK_TRIES = 5,            /* as go-retryablehttp: once, and 4 times more */
    WEBHOOK_FLIGHTS_MAX = 64,     /* requests under way to one URL; chosen */
    WEBHOOK_BYTES_MAX = 64 << 20, /* all bodies that wait; beyond: dropped */
    WEBHOOK_BODY_MAX = 4 << 20,   /* one body; beyond: dropped */
    WEBHOOK_TROUBLES_MAX = 64,    /* not yet taken; further ones are counted only */
    WEBHOOK_TOKEN_S = 300,
};

#define WEBHOOK_AGE_DEFAULT_US (30 * US_PER_SEC)
#define WEBHOOK_WAIT_MIN_US    (1 * US_PER_SEC) /* doubled with each try */
#define WEBHOOK_WAIT_MAX_US    (30 * US_PER_SEC)
#define WEBHOOK_TIMEOUT_US     (10 * US_PER_SEC) /* of one try; chosen, the original has none */

/* Texts are borrowed and outlive the unit. */
struct webhook_cfg {
    uint64_t seed;
    const char *const *url;
    uint32_t url_n; /* 0: nothing is ever sent */
    const char *key_id, *key_secret;
    const char *const *include; /* names of events; any: only these */
    uint32_t include_n;
    const char *const *exclude; /* else: all but these */
    uint32_t exclude_n;
    bool full_room;     /* events of tracks bring the whole room */
    us_t age_max_us;    /* 0: WEBHOOK_AGE_DEFAULT_US */
    uint32_t depth_max; /* 0: WEBHOOK_DEPTH_DEFAULT */
};

enum webhook_trouble_kind {
    WEBHOOK_FULL,   /* dropped: its queue or the memory is full */
    WEBHOOK_AGED,   /* dropped: too old */
    WEBHOOK_FAILED, /* tried in vain */
};

/* For the log. */
struct webhook_trouble {
    enum webhook_trouble_kind kind;
    uint32_t url;      /* which, from 0 */
    const char *event; /* static text */
    char id[24];
    int err, status; /* FAILED: of the last try */
};

struct webhook;

/* E_INVAL: a URL that is neither http:// nor https://, or URLs without a key. */
MUST_CHECK int webhook_open(struct webhook **ret, const struct webhook_cfg *cfg);
void webhook_free(struct webhook *w);

void webhook_fact(struct webhook *w, const struct fact *f, struct tick tick);
/* ingress_started, or else ingress_ended.  The stream key is left out. */
void webhook_ingress(struct webhook *w, bool started, const Livekit__IngressInfo *info,
                     struct tick tick);
/* So many happenings never became facts. */
void webhook_lost(struct webhook *w, uint64_t n);

void webhook_tick(struct webhook *w, us_t now);
us_t webhook_deadline(const struct webhook *w);
/* The next request, valid until the next call.  Each needs one webhook_answer(). */
bool webhook_output(struct webhook *w, struct ask *out, struct tick tick);
void webhook_answer(struct webhook *w, const struct reply *in, us_t now);
bool webhook_trouble(struct webhook *w, struct webhook_trouble *out);
/* Something is on its way, or waits for its first try. */
bool webhook_busy(const struct webhook *w);
/* Prometheus text, appended. */
void webhook_metrics(const struct webhook *w, struct str *out);

#endif
