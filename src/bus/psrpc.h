/* bus/psrpc.h - remote calls over a bus, on the wire as LiveKit's psrpc.  (egress-ingress.md 2)
 *
 * One machine is a client and a server at once, under two ids.  Bus operations come out of
 * psrpc_output(), what the bus says goes into psrpc_input(); calls, answers and questions come
 * out of psrpc_event().  A method's flags say how a server is found: by claims (several may
 * offer, the caller chooses by affinity), by a queue (the first to take the message's key wins),
 * or all of them answer (multi).
 *
 * Refuses to know what a message means.  No clock: expiry is Unix time on the wire, so calls
 * take both clocks (struct tick).  Messages of events live until the next psrpc_event().
 * One thread; heap through base/mem.
 */
#ifndef BUS_PSRPC_H
#define BUS_PSRPC_H

#include "bus/bus.h"
#include "bus/psrpc_code.h"
#include "wire/pb.h"

enum {
    PSRPC_REQUESTS_MAX = 1024,           /* of ours under way; beyond: refused at once */
    PSRPC_CALLS_MAX = 1024,              /* of others that wait for a claim or for us; beyond:
                                            not answered, the caller finds another server */
    PSRPC_SERVED_MAX = 4096,             /* method and topic pairs that we serve */
    PSRPC_OUTPUT_BYTES_MAX = 16 << 20,   /* waiting operations; beyond: publishing fails */
    PSRPC_TOPIC_MAX = 128,               /* bytes */
    PSRPC_ERROR_TEXT_MAX = 512,          /* longer texts are cut */
    PSRPC_ID_MAX = 20,                   /* "REQ_" and 12 characters */
    PSRPC_TIMEOUT_US = 3 * 1000 * 1000,  /* the original's defaults */
    PSRPC_AFFINITY_US = 1 * 1000 * 1000, /* how long claims are collected */
    PSRPC_SHORT_CIRCUIT_US = 200 * 1000, /* after the first acceptable claim */
    PSRPC_QUEUE_TTL_MS = 5000,
};

enum psrpc_flag {
    PSRPC_AFFINITY = 1, /* claims carry how well a server suits */
    PSRPC_MULTI = 2,    /* every server answers until the time is over */
    PSRPC_CLAIM = 4,    /* a server offers itself and waits to be chosen */
    PSRPC_QUEUE = 8,    /* of all servers one takes the request */
};

/* A row of bus/methods; static. */
struct psrpc_method {
    const char *service, *name;
    unsigned flags; /* enum psrpc_flag */
    const ProtobufCMessageDescriptor *request, *response;
};

typedef uint64_t psrpc_id; /* a request of ours, or a call of somebody else; 0: none */

enum psrpc_event_kind {
    PSRPC_EVT_ANSWER, /* request: message; the request is over unless it is a multi one */
    PSRPC_EVT_FAILED, /* request: code, text; it is over (of multi requests: the time is over) */
    PSRPC_EVT_OFFER,  /* call: say psrpc_offer() or it stays unclaimed (PSRPC_AFFINITY only) */
    PSRPC_EVT_CALL,   /* call: message; owes psrpc_answer() or psrpc_refuse() */
};

struct psrpc_event {
    enum psrpc_event_kind kind;
    psrpc_id id; /* of the request or of the call */
    const struct psrpc_method *method;
    const char *topic; /* "": none */
    void *message;     /* of method->response or method->request; NULL: none */
    enum psrpc_code code;
    const char *text;
    us_t expires_at; /* of a call: nobody waits any longer */
};

struct psrpc;

MUST_CHECK int psrpc_open(struct psrpc **ret, uint64_t seed);
void psrpc_free(struct psrpc *p);

/* ---- asking ---- */

struct psrpc_ask {
    const struct psrpc_method *method;
    const char *topic; /* NULL or "": none */
    const ProtobufCMessage *request;
    us_t timeout_us;       /* 0: PSRPC_TIMEOUT_US */
    us_t affinity_us;      /* 0: PSRPC_AFFINITY_US */
    us_t short_circuit_us; /* 0: PSRPC_SHORT_CIRCUIT_US */
    float affinity_max;    /* claims from here on win at once; 0: none does */
};

/* One event ends it (of multi requests: the FAILED at the end, code PSRPC_OK).  E_LIMIT,
 * E_TOO_LARGE, E_NOMEM. */
MUST_CHECK int psrpc_request(struct psrpc *p, const struct psrpc_ask *ask, struct tick tick,
                             psrpc_id *id);
/* No event will follow. */
void psrpc_forget(struct psrpc *p, psrpc_id id);

/* ---- serving ---- */

/* The topic is copied.  E_EXIST, E_LIMIT, E_NOMEM. */
MUST_CHECK int psrpc_serve(struct psrpc *p, const struct psrpc_method *method, const char *topic);
void psrpc_unserve(struct psrpc *p, const struct psrpc_method *method, const char *topic);
/* Below 0: not this one.  Calls that are gone are ignored, here and below. */
void psrpc_offer(struct psrpc *p, psrpc_id call, float affinity);
void psrpc_answer(struct psrpc *p, psrpc_id call, const ProtobufCMessage *response,
                  struct tick tick);
void psrpc_refuse(struct psrpc *p, psrpc_id call, enum psrpc_code code, const char *text,
                  struct tick tick);

/* ---- the machine ---- */

/* The way to the bus is new: all subscriptions are given out again; requests under way wait for
 * their deadline. */
void psrpc_connected(struct psrpc *p);
void psrpc_input(struct psrpc *p, const struct bus_news *news, struct tick tick);
void psrpc_tick(struct psrpc *p, struct tick tick);
/* Valid until the next psrpc_output(). */
bool psrpc_output(struct psrpc *p, struct bus_op *op);
bool psrpc_event(struct psrpc *p, struct psrpc_event *ev);
us_t psrpc_deadline(const struct psrpc *p);

struct psrpc_counts {
    uint32_t requests, calls, served;
    uint64_t dropped; /* messages that were malformed, expired, or for nobody */
    uint64_t refused; /* operations that found the output full */
};
void psrpc_get_counts(const struct psrpc *p, struct psrpc_counts *out);

#endif
