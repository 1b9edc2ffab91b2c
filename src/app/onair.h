/* app/onair.h - what this process has on air: jobs, their clients with sockets, their publishers.
 *
 * Between the doors of the protocols (FTL, RTMP) and the rooms.  A door asks whether a publisher
 * may publish, starts it, hands over its media and says when it is gone; answers and dismissals
 * come back by the publisher's functions.  Knows the bus (who may publish what, which room, state
 * reports) and no protocol.
 *
 * One thread: that of its loop.  At most ONAIR_JOBS_MAX streams.
 */
#ifndef APP_ONAIR_H
#define APP_ONAIR_H

#include "app/authlink.h"
#include "app/buslink.h"
#include "base/str.h"
#include "ingest/job.h"
#include "ingest/media.h"

enum {
    ONAIR_JOBS_MAX = 256,
    ONAIR_ASK_US = 3 * 1000 * 1000,    /* for the bus; an FTL client hangs up after 5 s */
    ONAIR_CLOSE_US = 10 * 1000 * 1000, /* for a last report to be taken */
    ONAIR_REPORT_RETRY_US = 1000 * 1000,
    ONAIR_CHALLENGE_MAX = 128, /* bytes, of FTL */
    ONAIR_DIGEST_MAX = 64,
};

enum onair_verdict {
    ONAIR_YES,
    ONAIR_UNKNOWN,     /* no such key or channel */
    ONAIR_FORBIDDEN,   /* disabled, or the key is for another way in */
    ONAIR_UNAVAILABLE, /* nobody answers: the server is away, or we are full */
};

struct publisher;

struct publisher_ops {
    /* Answer to onair_ask().  `key`: the secret, for protocols that prove it by themselves; valid
     * for the call. */
    void (*answer)(struct publisher *p, enum onair_verdict v, const char *why, const char *key);
    /* It is not on air any more and must be told so; static text.  No onair_end() is owed. */
    void (*kick)(struct publisher *p, const char *reason);
};

/* Embedded in a door's connection; zeroed at first. */
struct publisher {
    const struct publisher_ops *ops;
    enum media_protocol protocol;
    char remote[ADDR_TEXT_MAX];
    /* onair's */
    psrpc_id ask;
    struct publisher *next_asking;
    struct onair_job *job;
    char ingress_id[JOB_ID_MAX];
    struct str url, token, name; /* from a yes to onair_start() */
    /* With the service of ingest/auth: */
    uint64_t auth_id; /* its question; 0: none is under way */
    bool announced;   /* it said yes and will hear of the end */
    char key[MEDIA_KEY_MAX + 1], secret[MEDIA_KEY_MAX + 1]; /* as given; as the bus names it */
    char challenge[2 * ONAIR_CHALLENGE_MAX + 1], digest[2 * ONAIR_DIGEST_MAX + 1];
    char from[ADDR_TEXT_MAX];
    uint32_t channel;
};

struct onair;
struct relay;

struct onair_cfg {
    struct loop *loop;
    struct buslink *bus;
    struct authlink *auth; /* NULL: local keys rule alone */
    bool refuse_second;    /* a second publisher on a key is turned away instead of taking over */
    const char *url;       /* of the room's server, where the bus names none */
    struct relay *relay;   /* not NULL: streams go to a server elsewhere, the bus is not asked */
};

struct onair_counts {
    uint32_t jobs, publishing, waiting; /* waiting: for the bus */
    uint64_t started, refused, takeovers, returns, rejoins;
    uint64_t by_protocol[MEDIA_RTP_PLAIN + 1]; /* started */
};

MUST_CHECK int onair_open(struct onair **ret, const struct onair_cfg *cfg, struct tick tick);
void onair_free(struct onair *o);

/* May it?  One answer follows unless onair_end() comes first; perhaps within this call. */
void onair_ask(struct onair *o, struct publisher *p, const struct media_publish *m,
               struct tick tick);
/* After a yes: on air from now on.  E_EXIST: somebody else is, and second ones are refused;
 * E_LIMIT, E_NOMEM. */
MUST_CHECK int onair_start(struct onair *o, struct publisher *p, struct tick tick);
void onair_media(struct onair *o, struct publisher *p, const struct media *m, struct tick tick);
/* It is gone, in whatever state; `clean`: it said goodbye.  Harmless when it was not there. */
void onair_end(struct onair *o, struct publisher *p, bool clean, struct tick tick);

/* Every job leaves its room; publishers are dismissed. */
void onair_stop(struct onair *o, struct tick tick);
/* Jobs, or reports that nobody has taken yet, remain. */
bool onair_busy(const struct onair *o);

void onair_bus_event(struct onair *o, const struct psrpc_event *ev, struct tick tick);
void onair_round(struct onair *o, struct tick tick);
/* After the bus has spoken: questions to the operator's service and its answers. */
void onair_service_round(struct onair *o, struct tick tick);
us_t onair_deadline(const struct onair *o);
void onair_get_counts(const struct onair *o, struct onair_counts *out);

#endif
