/* signal/session.h - the signalling half of a member: its socket, its transports, its timers.
 *
 * A session is made by a join and lives as long as its member; its socket may be lost
 * and replaced (resume).  The hub owns every session, the house below it, and the
 * queue of what goes out.  Everything here and in the other units of signal/ changes
 * wishes and marks at once, and says the rest in hub_tick().
 *
 * One thread.  Time is hub->house.tick, set by hub.h's entry points.
 */
#ifndef SIGNAL_SESSION_H
#define SIGNAL_SESSION_H

#include "room/data.h"
#include "room/info.h"
#include "room/pub.h"
#include "room/room.h"
#include "rtc/assoc.h"
#include "signal/mline.h"
#include "signal/outbox.h"
#include "signal/voice.h"

enum {
    SESSION_JOIN_US = 60 * 1000000,     /* until ACTIVE (livekit-server.md 3.3) */
    SESSION_SHORT_US = 90 * 1000000,    /* a connection over UDP that failed sooner: TCP next */
    SESSION_AGAIN_US = 60 * 1000000,    /* likewise a second failure within it */
    SESSION_RECENT_US = 15 * 1000000,   /* who spoke so lately has a network; chosen: three pings */
    SESSION_RESUME_US = 5 * 1000000,    /* after a failed connection, for a resume */
    SESSION_REFRESH_US = 300 * 1000000, /* tokens */
    SESSION_ANSWER_US = 15 * 1000000,   /* for an answer to our offer */
    SESSION_OFFER_FIRST_US = 10 * 1000, /* debounce before the first offer */
    SESSION_OFFER_NEXT_US = 150 * 1000, /* and before further ones */
    SESSION_SECTIONS_US = 5 * 1000000,  /* requested sections that never came are asked for again */
    SESSION_SETTING_US = 100 * 1000,    /* debounce of track settings */
    SESSION_HELD_MAX = 100000,          /* bytes of reliable data kept until channels are open */
    SESSION_QUEUED_MAX = 3,             /* announcements waiting under one client id */
    SESSION_QUEUED_ALL_MAX = 20,
    SESSION_MESSAGES_PER_S = 100, /* signal messages; chosen: clients send a few a second */
    SESSION_MESSAGES_BURST = 1000,
    SESSION_MESSAGE_UNIT_BYTES = 16 << 10, /* so many more count as one message more; chosen */
    SESSION_CLAIMS_BYTES = 1 << 19,
    SESSION_PROTOCOL = 17,     /* that we speak */
    SESSION_SETTINGS_MAX = 32, /* tracks whose settings are remembered; chosen */
    SESSION_MISSING_MAX = 64,  /* wishes for tracks that nobody published yet */
    SESSION_MISSING_US = 60 * 1000000,
    SECTION_CID_MAX = 128,
};

enum { PC_PUBLISHER, PC_SUBSCRIBER, PC_N };
enum { CHANNEL_RELIABLE, CHANNEL_LOSSY, CHANNEL_DATA_TRACK, CHANNEL_RAW, CHANNEL_N };

enum section_use {
    SECTION_IDLE,  /* carries nothing */
    SECTION_RECV,  /* the client sends */
    SECTION_SEND,  /* we send `sub` */
    SECTION_DRAIN, /* we sent; must be seen inactive once before it is used again */
    SECTION_DATA,
    SECTION_DEAD,
};

/* One m-line of a connection. */
struct section {
    char mid[CMD_MID_MAX];
    enum sdp_kind kind;
    enum section_use use;
    bool may_send;             /* the client's last description lets us */
    bool in_offer;             /* part of our outstanding offer as it is now */
    uint64_t sub;              /* serial, while SEND */
    char pub[ROOM_SID_MAX];    /* sid of what it feeds, while RECV; "": parked */
    char cid[SECTION_CID_MAX]; /* track id that the client gave */
    struct mline_media *media; /* while RECV */
};

struct transport {
    struct session *session;
    uint8_t index; /* PC_* */
    peer_id peer;  /* 0: not open */
    bool connected, failed, ever_connected, dtls_client;
    bool silent;       /* failed, because nothing came any more */
    bool over_tcp;     /* its path, as last heard */
    us_t connected_at; /* first; US_NEVER */
    struct peer_local local;
    struct peer_remote remote;
    bool wants_data;
    struct assoc *assoc;
    int32_t channel[CHANNEL_N]; /* stream id; -1: not open */
    struct section *section;
    uint32_t section_n, section_cap;
    uint64_t sdp_id, sdp_version;
};

struct held {
    struct held *next;
    size_t len;
    uint8_t data[];
};

/* An AddTrackRequest that waits until its client id is free. */
struct queued {
    struct queued *next;
    struct arena arena;
    Livekit__AddTrackRequest *req;
};

/* What a client last wished of a track; holds when it subscribes (again). */
struct setting {
    char sid[ROOM_SID_MAX];
    bool disabled;
    Livekit__VideoQuality quality;
    uint32_t width, height, fps;
};

/* A wish for a track that is not there yet. */
struct missing {
    char sid[ROOM_SID_MAX];
    us_t until;
};

struct hub;
struct rpc; /* signal/rpc.c */

struct session {
    struct hub *hub;
    struct member *member;
    struct session *next_ended;
    uint64_t conn;       /* 0: the socket is lost */
    struct voice *voice; /* instead of a socket; the adapter's; conn then has VOICE_CONN */
    peer_id replaced;    /* the peer that another takes the place of, while that is agreed */
    bool standing;       /* its media sections are sent on whatever they carry at present: the other
                            side negotiates once (negotiate.h) */
    us_t resume_us;      /* after a failed connection, for its return */
    bool json, single, ended, subscriber_primary, disconnect_on_resume;
    bool tcp_only; /* TCP candidates alone, where there are any */
    bool stalled;  /* a message found no room: the socket ends at the next tick */
    int32_t protocol;
    struct mline_quirks quirks;
    struct arena keep; /* the token's claims */
    struct token_claims *claims;
    struct transport pc[PC_N];
    struct rpc *rpcs; /* calls of the API that it has to answer */
    struct queued *queued;
    uint32_t queued_n;
    us_t join_by, remove_at, refresh_at;
    Livekit__DisconnectReason remove_reason;
    /* Our offers, two connections: at most one outstanding. */
    uint32_t offer_id, offers_sent;
    bool offer_out, offer_wanted, offer_restart;
    us_t offer_at, answer_by;
    /* Sections asked for, one connection: audio, video. */
    uint32_t asked[2];
    us_t asked_until;
    bool round_wanted;
    us_t round_until;                             /* a round was asked for and has not come */
    struct setting setting[SESSION_SETTINGS_MAX]; /* a ring */
    uint32_t setting_n;                           /* written so far */
    struct missing missing[SESSION_MISSING_MAX];
    uint32_t missing_n;
    struct held *held, *held_last;
    size_t held_bytes;
    uint32_t budget; /* signal messages it may send now */
    us_t budget_at;
    us_t udp_failed_at; /* US_NEVER */
    us_t lost_at;       /* when the socket was lost; for news of those who left meanwhile */
};

struct session_cfg {
    uint64_t conn;
    struct voice *voice; /* NULL: conn is a socket */
    bool standing;
    us_t resume_us; /* 0: SESSION_RESUME_US */
    us_t join_us;   /* 0: SESSION_JOIN_US */
    bool json, single, reconnect;
    const char *sid; /* of the one that resumes; "" */
    bool disable_ice_lite;
    const Livekit__ClientInfo *client;
    bool auto_subscribe, adaptive_stream;
    const char *metadata; /* "" or NULL: the token's */
    const struct attr *attr;
    uint32_t attr_n;
    struct room_wish wish; /* of the room, should this join make it */
    Livekit__AddTrackRequest **add_track;
    size_t add_track_n;
    const Livekit__SessionDescription *offer;
    struct token_claims *claims; /* in `keep` */
    struct arena keep;           /* becomes the session's on success */
};

struct session_refusal {
    int status;
    const char *text; /* static */
};

/* Joins or resumes: accepts the connection and says Join, Reconnect or Leave on it.  On refusal
 * returns false, nothing was answered and cfg->keep is still the caller's. */
bool session_join(struct hub *hub, struct session_cfg *cfg, struct session_refusal *why);
/* The socket is gone. */
void session_lost(struct session *s);
/* Says Leave, closes the socket, ends the member. */
void session_end(struct session *s, Livekit__DisconnectReason reason,
                 Livekit__LeaveRequest__Action action);
/* Ends it without a word. */
void session_drop(struct session *s, Livekit__DisconnectReason reason);
/* The client must begin anew. */
void session_start_over(struct session *s, Livekit__DisconnectReason reason);
/* Due timers; returns the next. */
us_t session_tick(struct session *s, us_t now);
/* A connection of its changed state. */
void session_transport_changed(struct session *s, struct transport *t);
/* A permission as of now: ends what is no longer allowed, tells everybody. */
void session_set_grant(struct session *s, const struct grant *g);
void session_send_token(struct session *s);
/* True when one more message is within its budget. */
bool session_charge(struct session *s, size_t bytes);
/* Which candidates it gets from now on, and when it comes back. */
void session_prefer(struct session *s, bool tcp);
/* The connection that carries data to it. */
struct transport *session_data_transport(struct session *s);
void session_free(struct session *s);

#endif
