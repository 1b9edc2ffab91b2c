/* api/node.h - the control plane: every room, member, session and API call of a process.
 *
 * HTTP requests, WebSocket messages, shard events and time go in; responses,
 * WebSocket frames and shard commands come out.  Connections are numbers that the
 * owner (app/) gives out.  One thread; no sockets, clock or files.
 *
 * After any input call drain node_output() until it says false, then read
 * node_deadline().  Work that coalesces (negotiation, updates) is done in
 * node_tick(), which the owner calls once after each round of inputs.
 */
#ifndef API_NODE_H
#define API_NODE_H

#include "api/webhook.h"
#include "base/addr.h"
#include "base/base.h"
#include "bus/bus.h"
#include "sfu/cmd.h"
#include "store/store.h"
#include "wire/http.h"

enum { NODE_SHARDS_MAX = 64, NODE_KEYS_MAX = 64, NODE_CANDIDATES_MAX = 16 /* of one shard */ };

struct node;

struct node_key {
    const char *id, *secret;
};

/* An address offered to clients for one shard. */
struct node_candidate {
    uint8_t shard;
    struct addr addr; /* addr.tcp: an ICE-TCP passive candidate */
};

struct node_limits {
    uint32_t max_metadata_size, max_attributes_size;                /* bytes: 524288, 65536 */
    uint32_t max_room_name_length, max_participant_identity_length; /* 256 */
    uint32_t max_participant_name_length;                           /* 256 */
    uint32_t signal_message_size_limit;                             /* 2 MiB */
    uint32_t max_rooms, max_participants, max_tracks;               /* 0: unlimited */
};

/* A named configuration of rooms; zero, false and NULL leave the defaults. */
struct node_preset {
    const char *name, *metadata;
    uint32_t empty_timeout_s, departure_timeout_s, max_participants;
    uint32_t min_playout_delay_ms, max_playout_delay_ms;
    bool sync_streams;
};

/* Borrowed pointers live as long as the node. */
struct node_cfg {
    uint64_t seed; /* ids and protocol dice; passwords come from crypt/hash */
    struct node_key key[NODE_KEYS_MAX];
    uint32_t key_n;
    uint32_t shard_n;
    uint32_t peers_per_shard_soft; /* newcomers of a room go to another shard past this; 0: 400 */
    struct node_candidate candidate[NODE_SHARDS_MAX * 4];
    uint32_t candidate_n;
    struct bytes fingerprint; /* SHA-256 of the DTLS certificate, 32 bytes */
    const char *version;      /* advertised server version; livekit-server.md 3.3 */
    const char *region;
    bool auto_create, enable_remote_unmute, development;
    bool tcp_fallback; /* a path that fails over UDP is followed by an offer of TCP alone */
    uint32_t empty_timeout_s, departure_timeout_s, max_participants; /* 300, 20, 0 */
    bool playout_delay, sync_streams;                                /* of new rooms */
    uint32_t min_playout_delay_ms, max_playout_delay_ms;
    const struct node_preset *preset;
    uint32_t preset_n;
    const char *ice_servers_json; /* NULL, or [{"urls":[..],"username":..,"credential":..}] */
    struct node_limits limits;
    bool refuse_second; /* a second WHIP publisher with a key that is on air; else it takes over */
    const char *const *private_room; /* watched with a token alone; "*": all */
    uint32_t private_room_n;
    bool open_meet;             /* GET /api/join gives publishing tokens without a secret */
    const char *meet_secret;    /* else: the secret that it asks for; NULL: never */
    struct webhook_cfg webhook; /* url_n 0: none */
    bool keys_elsewhere; /* a service decides on stream keys: not over WHIP, which asks none */
    const char *rtmp_base_url, *whip_base_url; /* told of ingresses; NULL: node_set_urls() says */
    const char *admin_secret;                  /* of /admin; NULL: nobody comes in */
    const char *default_key;                   /* of the default channel; NULL: there is none */
};

enum node_out_kind {
    NODE_OUT_HTTP,      /* conn, response: status, headers, body */
    NODE_OUT_WS_ACCEPT, /* conn: answer 101 with accept key computed by the owner */
    NODE_OUT_WS_SEND,   /* conn, text, data */
    NODE_OUT_WS_CLOSE,  /* conn, ws_code; after what was sent before is flushed */
    NODE_OUT_CMD,       /* shard, cmd */
    NODE_OUT_LOG,       /* level, data: one key=value line */
    NODE_OUT_ASK,       /* ask: to be sent, and node_answer() called once */
    NODE_OUT_BUS,       /* bus: to be done; what comes of it goes to node_bus_news() */
    NODE_OUT_STORE,     /* store: to be written; then node_stored(), in this order */
};

struct node_out {
    enum node_out_kind kind;
    uint64_t conn;
    /* HTTP */
    int status;
    const char *content_type;
    const char *headers; /* extra header lines, each ended by CRLF; NULL for none */
    struct bytes data;   /* body, frame or log line; valid until the next node_output() */
    /* WebSocket */
    bool text;
    uint16_t ws_code;
    /* shard */
    uint8_t shard;
    const struct cmd *cmd; /* valid until the next node_output(); the owner must deliver it or call
                              node_cmd_blocked() and get it again later */
    int level;
    struct ask ask; /* valid until the next node_output() */
    struct bus_op bus;
    struct store_op store;
};

MUST_CHECK int node_open(struct node **ret, const struct node_cfg *cfg, struct tick tick);
void node_free(struct node *n);

/* A whole request.  A WebSocket upgrade is a request too: the answer is NODE_OUT_WS_ACCEPT or an
 * HTTP response (refusals happen before the 101).  Returns false when no route of the node matches
 * and nothing will be answered: the owner then serves pages or 404. */
bool node_http(struct node *n, uint64_t conn, const struct http_msg *req, const struct addr *client,
               struct tick tick);
void node_ws_message(struct node *n, uint64_t conn, bool text, struct bytes data, struct tick tick);
/* The connection is gone (either side, or a limit). */
void node_conn_closed(struct node *n, uint64_t conn, struct tick tick);
void node_event(struct node *n, uint8_t shard, const struct evt *ev, struct tick tick);
/* What came of a NODE_OUT_ASK. */
void node_answer(struct node *n, const struct reply *answer, struct tick tick);
/* Where clients reach what the node itself does not open; NULL: as it was. */
MUST_CHECK int node_set_urls(struct node *n, const char *rtmp, const char *whip, const char *ws);
/* A record of the store, before anything else is done; kinds in the order of node_store_kind().
 * Negative: it is skipped. */
MUST_CHECK int node_load(struct node *n, const char *kind, struct bytes id, struct bytes body);
const char *node_store_kind(uint32_t at); /* NULL: there are no more */
void node_bus_news(struct node *n, const struct bus_news *news, struct tick tick);
/* A process has left the bus. */
void node_bus_left(struct node *n, struct tick tick);
void node_stored(struct node *n, uint64_t serial, int err, struct tick tick);
/* The registry of ingresses. */
struct ingress_book;
struct ingress_book *node_ingresses(struct node *n);
void node_tick(struct node *n, struct tick tick);
us_t node_deadline(const struct node *n);
bool node_output(struct node *n, struct node_out *out);
/* The command last given could not be delivered (ring full): keep it at the head of this shard's
 * queue and offer nothing more for this shard before the next tick. */
void node_cmd_blocked(struct node *n, uint8_t shard);
/* Stop: every participant gets Leave SERVER_SHUTDOWN; new joins are refused. */
void node_shutdown(struct node *n, struct tick tick);
/* News for other servers are on their way, or wait to be sent for the first time. */
bool node_telling(const struct node *n);
/* Live objects, for tests and metrics. */
struct node_counts {
    uint32_t rooms, members, sessions, pubs, subs, conns;
};
void node_get_counts(const struct node *n, struct node_counts *out);
/* Prometheus text of the node's own counters, appended. */
struct str;
void node_metrics(const struct node *n, struct str *out);

#endif
