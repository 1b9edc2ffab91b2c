/* signal/hub.h - all sessions of a process: from sockets and shards to rooms and back.
 *
 * The entry points of signal/: messages, events and time in; outbox items and shard
 * commands out.  Set the time with hub_time() before any other call; call hub_tick()
 * once after a round of inputs.
 */
#ifndef SIGNAL_HUB_H
#define SIGNAL_HUB_H

#include "base/addr.h"
#include "signal/prefer.h"
#include "signal/session.h"

enum {
    HUB_CANDIDATES_MAX = 4 * PLANE_SHARDS_MAX,
    HUB_ICE_SERVERS_MAX = 16,
    HUB_RPCS_MAX = 1024, /* PerformRpc calls under way; beyond: refused */
    HUB_PACKET_MAX = DATA_PACKET_MAX + DATA_GROWTH_MAX,
};

struct hub_candidate {
    uint8_t shard;
    struct addr addr;
};

struct hub_cfg {
    struct house_cfg house;
    struct hub_candidate candidate[HUB_CANDIDATES_MAX];
    uint32_t candidate_n;
    struct bytes fingerprint;
    const char *version, *region, *key_id, *key_secret;
    bool auto_create, enable_remote_unmute;
    bool tcp_fallback; /* a path that fails over UDP is followed by an offer of TCP alone */
    Livekit__ICEServer **ice_server; /* borrowed */
    size_t ice_server_n;
    uint32_t message_bytes_max;
};

/* What an API call to a participant ended with. */
struct rpc_result {
    uint64_t conn;
    bool ok;
    uint32_t code;
    char *payload; /* or error text; owned by the receiver (mem_free) */
};

struct hub {
    struct hub_cfg cfg;
    struct house house;
    struct map by_conn;
    struct prefer prefer;
    struct outbox out;
    struct session *ended;
    struct voice_list voices; /* with something new */
    uint64_t voice_n;         /* made so far */
    char node_id[ROOM_SID_MAX];
    bool shutdown;
    uint32_t session_n;
    struct map rpc_by_id; /* under way */
    struct heap rpc_due;
    struct rpc *rpc_done; /* until rpc_result() */
    uint32_t rpc_n;       /* both */
    uint64_t messages, messages_bad, data_packets, data_refused;
    uint8_t packet[HUB_PACKET_MAX];
};

MUST_CHECK int hub_open(struct hub **ret, const struct hub_cfg *cfg, struct tick tick);
void hub_free(struct hub *hub);
void hub_time(struct hub *hub, struct tick tick);

void hub_message(struct hub *hub, uint64_t conn, bool text, struct bytes data);
void hub_closed(struct hub *hub, uint64_t conn);

/* ---- sessions with a voice ---- */
/* The number of the next: for session_cfg.conn. */
uint64_t hub_voice_conn(struct hub *hub);
/* The session behind a number; NULL when it has ended. */
struct session *hub_session(const struct hub *hub, uint64_t conn);
/* What the adapter says for its participant.  False: the session has ended. */
bool hub_request(struct hub *hub, uint64_t conn, const Livekit__SignalRequest *r);
/* Another client takes the participant's place: `add` and `offer` are its, and what it publishes
 * goes on as what was published.  It must connect within `within_us`.  False: the session has
 * ended. */
struct hub_successor {
    Livekit__AddTrackRequest **add;
    size_t add_n;
    const Livekit__SessionDescription *offer;
    us_t within_us;
};
bool hub_replace(struct hub *hub, uint64_t conn, const struct hub_successor *by);
/* The participant leaves; the voice is free from here on. */
void hub_hang_up(struct hub *hub, uint64_t conn, Livekit__DisconnectReason reason);

void hub_event(struct hub *hub, const struct evt *ev);
void hub_tick(struct hub *hub);
us_t hub_deadline(const struct hub *hub);
void hub_shutdown(struct hub *hub);

/* A room of this name, made as `wish` (may be NULL) says if there is none and the configuration
 * allows (or `force`).  E_NOENT, E_LIMIT, E_NOMEM. */
MUST_CHECK int hub_room(struct hub *hub, const char *name, const struct room_wish *wish, bool force,
                        struct room **ret);
/* Everybody must leave. */
void hub_delete_room(struct hub *hub, struct room *r, Livekit__DisconnectReason reason);

#endif
