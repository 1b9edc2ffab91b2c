/* sim/bot.h - a participant of the simulated rooms: a client that publishes and checks.
 *
 * Sends one synthetic Opus and one synthetic VP8 track whose packets name their sender, number
 * and checksum, a key frame first and then only when asked; checks what it receives from others.
 * Knows no network: sim/platform carries its bytes.  What does not hold is told by bot_broken().
 */
#ifndef SIM_BOT_H
#define SIM_BOT_H

#include "base/base.h"
#include "client/client.h"

enum {
    BOT_TRACKS = 2, /* 0 audio, 1 video */
    BOT_HEARD_MAX = 128,
    BOT_KNOWN_MAX = 128,
    BOT_WINDOW = 256, /* sequence numbers remembered a track */
    BOT_AUDIO_US = 40000,
    BOT_VIDEO_US = 80000,
    BOT_BODY_MIN = 20,
    BOT_SID_MAX = 32,
    BOT_IDENTITY_MAX = 24,
    BOT_SENDERS_MAX = 128, /* of data, remembered by one bot */
    BOT_ASK_US = 1000000,  /* a key frame that did not come is asked for again */
};

/* What a packet says of itself. */
struct bot_body {
    uint32_t sender, seq;
    uint8_t track;
    bool key, start;
};

struct bot_out {
    char sid[BOT_SID_MAX];
    uint32_t seq, ts;
    uint16_t picture;
    us_t next_at;
    bool key_wanted, muted;
    uint64_t keys;
};

/* One section of ours that carries somebody's track. */
struct bot_heard {
    char sid[BOT_SID_MAX], publisher[BOT_SID_MAX];
    bool used, video, started;
    uint32_t sender;
    uint8_t track;
    uint16_t last_rtp;
    uint32_t last_seq;
    us_t since, heard_at;
    us_t key_wait_at; /* since when a key frame is missed; US_NEVER */
    us_t ask_at;
    uint64_t n, gaps, doubles;
    uint16_t win_rtp[BOT_WINDOW];
    uint32_t win_seq[BOT_WINDOW];
    bool win_set[BOT_WINDOW];
};

/* The last reliable message of somebody. */
struct bot_said {
    uint32_t sender, seq;
};

struct bot_cfg {
    uint32_t serial; /* in its packets; never given twice */
    uint32_t room;
    const char *identity;
    bool silent, hostile; /* publishes nothing; publishes noise */
    bool deaf;            /* subscribes to nothing */
    bool resumes;         /* goes on when its WebSocket is cut */
    struct dtls_ctx *dtls;
    const char *fingerprint;
    uint64_t seed;
};

struct bot {
    struct client *client;
    uint32_t serial, room;
    bool silent, hostile, deaf, joined, connected, ended;
    bool strict; /* the network loses, doubles and reorders nothing */
    char identity[BOT_IDENTITY_MAX], sid[BOT_SID_MAX];
    const char *reason;
    struct rng rng;
    us_t connected_at;
    struct bot_out out[BOT_TRACKS];
    struct bot_heard heard[BOT_HEARD_MAX];
    uint32_t heard_n;                       /* sections that ever carried something */
    char known[BOT_KNOWN_MAX][BOT_SID_MAX]; /* others in the room */
    uint32_t known_n;
    uint32_t said_n[2]; /* messages sent: lossy, reliable */
    struct bot_said said[BOT_SENDERS_MAX];
    uint32_t said_by_n;
    uint64_t data_n[2]; /* messages received */
    uint32_t resumed_n;
    bool loud;                                 /* its voice carries */
    char speaking[BOT_KNOWN_MAX][BOT_SID_MAX]; /* of the room, as it was told */
    uint32_t speaking_n;
    const char *broken;
};

int bot_open(struct bot *b, const struct bot_cfg *cfg, us_t now);
void bot_close(struct bot *b);
/* Facts of the client; media that is due. */
void bot_tick(struct bot *b, struct tick tick);
us_t bot_deadline(const struct bot *b);
/* A media packet.  False: its body is not one of ours (a hostile sender's). */
bool bot_media(struct bot *b, const struct client_media *m, us_t now, struct bot_body *body);
/* Speaks up, or falls silent. */
void bot_speak(struct bot *b, bool loud);
/* Was it told that this participant speaks? */
bool bot_hears_speak(const struct bot *b, const char *sid);
void bot_mute(struct bot *b, uint32_t track, bool muted);
/* A data message to everybody. */
void bot_say(struct bot *b, bool reliable, us_t now);
/* Ask for a key frame of everything. */
void bot_miss_keys(struct bot *b, us_t now);
/* Drains the client's events. */
void bot_events(struct bot *b, us_t now);

#endif
