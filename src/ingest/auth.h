/* ingest/auth.h - asks a service of the operator's whether somebody may publish.
 * (originals.md row 23; ftl-lightspeed.md 3.2)
 *
 * Without a URL nothing is asked: local keys rule.  With ws:// or wss://, each event is one
 * WebSocket connection with one text frame; with http:// or https://, one POST (wire/ask.h) of the
 * same JSON.  A start waits for {"allow":true,...}; everything else refuses: a refusal, an answer
 * that is none, an error, silence for AUTH_TIMEOUT_US, too many questions at once.  An end is sent
 * and nothing is awaited.
 *
 *   start  {"event":"start","stream_key":K,"channel_id":N,"protocol":"ftl","remote":"ip:port",
 *           "hmac_challenge":H,"hmac_digest":D}          the last two with FTL, K is D there too
 *   reply  {"allow":true,"key":"...","stream":"...","reason":"..."}   all but allow optional
 *   end    {"stream_key":K,"status":"ended"}
 *
 * Sans-IO: sockets are the owner's (AUTH_OUT_CONNECT and so on), TLS is done here.  Keys appear
 * in no event but the answer's.  One thread; heap through base/mem.
 */
#ifndef INGEST_AUTH_H
#define INGEST_AUTH_H

#include "base/base.h"
#include "crypt/tls.h"
#include "wire/ask.h"

enum {
    AUTH_CALLS_MAX = 256,  /* questions and ends under way; beyond: refused, ends are lost */
    AUTH_TEXT_MAX = 320,   /* bytes of a key, a name, a challenge (256 digits); longer: refused */
    AUTH_REPLY_MAX = 8192, /* bytes of a reply; longer: refused */
    AUTH_HOST_MAX = 256,
};

#define AUTH_TIMEOUT_US (3 * US_PER_SEC) /* chosen: an FTL client hangs up after 5 s */

struct auth_cfg {
    const char *url;     /* NULL or "": none */
    uint64_t seed;       /* masks and keys of WebSocket */
    struct tls_ctx *tls; /* for wss://; borrowed */
    us_t timeout_us;     /* 0: AUTH_TIMEOUT_US */
};

struct auth_query {
    const char *protocol;  /* "ftl", "rtmp", "whip" */
    const char *key;       /* stream key; NULL with FTL */
    uint32_t channel;      /* FTL; 0: none */
    const char *challenge; /* FTL: 256 hexadecimal digits; else NULL */
    const char *digest;    /* FTL: without the dollar sign; else NULL */
    const char *remote;
};

enum auth_verdict {
    AUTH_ALLOWED,
    AUTH_REFUSED,     /* the service said so */
    AUTH_UNREACHABLE, /* no answer, or none that can be read: refused as well */
};

/* The answer to one question. */
struct auth_event {
    uint64_t id;
    enum auth_verdict verdict;
    char key[AUTH_TEXT_MAX];    /* the key that the service names; "": none */
    char stream[AUTH_TEXT_MAX]; /* its name for the stream */
    char reason[AUTH_TEXT_MAX]; /* for the publisher */
    const char *why;            /* UNREACHABLE: for the log; static */
};

enum auth_out_kind {
    AUTH_OUT_CONNECT, /* conn: open a stream to host and port, then auth_connected() */
    AUTH_OUT_SEND,    /* conn, data */
    AUTH_OUT_CLOSE,   /* conn: close it; nothing more is said of it */
};

struct auth_out {
    enum auth_out_kind kind;
    uint64_t conn;
    const char *host;
    uint16_t port;
    struct bytes data; /* valid until the next call */
};

struct auth;

/* E_INVAL: another scheme, or wss:// without tls. */
MUST_CHECK int auth_open(struct auth **ret, const struct auth_cfg *cfg);
void auth_free(struct auth *a);
/* Is there a service to ask? */
bool auth_wanted(const struct auth *a);

/* Asks; auth_wanted() holds.  The answer is an event with *id.  Negative: refused at once (E_LIMIT,
 * E_TOO_LARGE, E_NOMEM). */
MUST_CHECK int auth_start(struct auth *a, const struct auth_query *q, struct tick tick,
                          uint64_t *id);
/* The publisher went away meanwhile: no event will come. */
void auth_cancel(struct auth *a, uint64_t id);
/* Says that a stream has ended. */
void auth_end(struct auth *a, const struct auth_query *q, struct tick tick);

/* WebSocket: what the owner's sockets do.  `err` 0: the other side ended. */
void auth_connected(struct auth *a, uint64_t conn, struct tick tick);
void auth_input(struct auth *a, uint64_t conn, struct bytes in);
void auth_closed(struct auth *a, uint64_t conn, int err);
bool auth_output(struct auth *a, struct auth_out *out);
/* HTTP: requests to be sent, and their answers. */
bool auth_ask(struct auth *a, struct ask *out);
void auth_answer(struct auth *a, const struct reply *in);

void auth_tick(struct auth *a, us_t now);
us_t auth_deadline(const struct auth *a);
bool auth_event(struct auth *a, struct auth_event *out);

#endif
