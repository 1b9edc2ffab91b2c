/* sim/platform.h - the whole server and its guests on virtual time.
 *
 * One node, some shards and bots that are real clients, in one thread: the pieces that
 * app/server, app/worker and app/joiner glue together with sockets and threads are glued here
 * with sim/netem (datagrams) and sim/mail (WebSocket messages, rings between threads).
 * platform_run() steps to the earliest deadline of any part.  One seed fixes a run:
 * platform_hash() of two runs are equal.
 *
 * What must always hold is checked as it happens; platform_settled() says whether everybody
 * knows, receives and hears everybody.  The first breach stops the run and prints the seed.
 */
#ifndef SIM_PLATFORM_H
#define SIM_PLATFORM_H

#include "api/node.h"
#include "base/addr.h"
#include "base/base.h"
#include "sfu/shard.h"
#include "sim/bot.h"
#include "sim/mail.h"
#include "sim/netem.h"

enum {
    PLATFORM_SHARDS_MAX = 3,
    PLATFORM_BOTS_MAX = 64,
    PLATFORM_ORIGINS_MAX = 2048, /* bots that ever were */
    PLATFORM_STREAMS_MAX = 512,  /* ssrcs that one bot is sent */
    PLATFORM_STREAM_WINDOW = 256,
    PLATFORM_ROUNDS_MAX = 500, /* without the clock moving: a livelock */
    PLATFORM_CAPTURED_MAX = 32,
    PLATFORM_PORTS = 8, /* that the NAT of one bot gives it in turn */
};

struct platform_cfg {
    uint64_t seed;
    uint32_t shard_n;
    uint32_t peers_per_shard_soft;
    struct netem_cfg net; /* both ways of every bot */
    us_t signal_us;       /* a WebSocket message takes this long */
    us_t ring_us;         /* a record between threads takes up to this long */
    uint32_t block_ppm;   /* a command finds its ring full */
    uint32_t shed_ppm;    /* a relayed record, or an event that may be lost, does */
    bool loud;            /* prints the node's log */
};

/* A stream as it leaves the server towards one bot. */
struct platform_stream {
    uint32_t ssrc;
    uint16_t highest;
    uint64_t n;
    uint16_t seq[PLATFORM_STREAM_WINDOW];
    uint64_t print[PLATFORM_STREAM_WINDOW]; /* of the datagram with that number; 0 none */
};

struct platform_capture {
    bool text;
    uint32_t len;
    uint8_t data[2048];
};

enum seat_state { SEAT_FREE, SEAT_DIALING, SEAT_OPEN };

/* A bot's place: its links stay when it goes and another comes. */
struct seat {
    struct bot bot;
    enum seat_state state;
    uint64_t conn;
    uint32_t room;
    uint32_t shard; /* that it sends to */
    bool noisy;     /* hostile: injects garbage */
    us_t noise_at;
    us_t dial_at;
    us_t due_at; /* of the bot, as last drained */
    struct addr local, public_addr;
    uint16_t port_first; /* of this bot */
    struct netem *up, *down;
    struct mail to_node, to_bot;
    struct platform_stream *stream; /* [PLATFORM_STREAMS_MAX] */
    uint32_t stream_n;
};

struct origin {
    uint32_t seat, room;
    bool hostile, gone;
    char sid[BOT_SID_MAX]; /* the participant's */
    char track[BOT_TRACKS][BOT_SID_MAX];
};

struct platform {
    struct platform_cfg cfg;
    struct rng rng;
    us_t now;
    struct cert *cert, *bot_cert;
    struct dtls_ctx *bot_dtls;
    struct node_cfg node_cfg;
    struct node *node;
    struct shard *shard[PLATFORM_SHARDS_MAX];
    struct mail cmds[PLATFORM_SHARDS_MAX], relays[PLATFORM_SHARDS_MAX];
    struct mail evts[PLATFORM_SHARDS_MAX];
    bool blocked[PLATFORM_SHARDS_MAX];
    us_t retry_at;
    us_t faulty_until; /* losses on some link may show in any stream */
    bool node_poked;
    bool deaf;    /* who joins now subscribes to nothing */
    bool resumes; /* who joins now resumes when its WebSocket is cut */
    struct seat seat[PLATFORM_BOTS_MAX];
    uint32_t seat_n;
    struct origin origin[PLATFORM_ORIGINS_MAX];
    uint32_t origin_n;
    uint64_t conn_next;
    uint64_t http_conn; /* of the last call, and its answer */
    int http_status;
    struct platform_capture captured[PLATFORM_CAPTURED_MAX]; /* requests that a hostile bot bends */
    uint64_t captured_n;
    us_t closes_at; /* when a shard was last told to close something */
    uint64_t stale;
    uint64_t blocks, sheds, relayed, refused;
    uint64_t hash, media_n;
    const char *broken;
};

void platform_open(struct platform *p, const struct platform_cfg *cfg);
void platform_close(struct platform *p);
/* False when an invariant broke. */
bool platform_run(struct platform *p, us_t span);
/* Runs until everybody has what he should; how long that took, or -1. */
us_t platform_settle(struct platform *p, us_t limit);
bool platform_settled(const struct platform *p);
/* The shards hold as many peers, tracks, mirrors and subscriptions as the settled rooms need. */
bool platform_exact(struct platform *p);
/* Why it is not settled, on stderr. */
void platform_explain(const struct platform *p);
/* Everybody leaves and the rooms end by their timeouts.  False: something stayed behind. */
bool platform_empty(struct platform *p);

/* A new bot takes a free seat; its number.  `noisy`: a hostile one. */
uint32_t platform_join(struct platform *p, uint32_t room, bool noisy);
/* The same under a name that may be there already, and begins with no 'b'. */
uint32_t platform_join_as(struct platform *p, uint32_t room, const char *identity);
void platform_leave(struct platform *p, uint32_t seat);
/* The WebSocket breaks; the bot is gone without a word. */
void platform_cut(struct platform *p, uint32_t seat);
/* The WebSocket breaks; a bot that resumes dials again after `away`. */
void platform_cut_socket(struct platform *p, uint32_t seat, us_t away);
/* DeleteRoom; the status of the answer. */
int platform_delete_room(struct platform *p, uint32_t room);
void platform_silence(struct platform *p, uint32_t seat, us_t span);
void platform_rebind(struct platform *p, uint32_t seat);
void platform_net(struct platform *p, const struct netem_cfg *net);
/* RemoveParticipant; the status of the answer. */
int platform_kick(struct platform *p, uint32_t seat);
/* Seats in use. */
uint32_t platform_count(const struct platform *p);
uint64_t platform_hash(const struct platform *p);
uint64_t platform_counter(const struct platform *p, enum shard_counter which);

#endif
