/* api/stream.h - participants without a LiveKit socket: who sends over WHIP, watches over WHEP, or
 * came through Lightspeed's /websocket.
 *
 * A stream is an ordinary member of a room whose session has a voice (signal/voice.h) instead of
 * a socket, and this unit is the client half of that session: it says offers and answers for the
 * other side, and says them again when something changed that the other side need not know.
 * Viewers are hidden members: they cost the others nothing and are counted all the same.  What
 * they are shown is the room's first publisher, of kind INGRESS before all others.
 *
 * HTTP is not known here: api/whip, api/whep and api/lightspeed speak it.  Control thread; heap
 * through base/mem; time is the hub's.
 */
#ifndef API_STREAM_H
#define API_STREAM_H

#include "api/ingress_session.h"
#include "api/node.h"
#include "signal/hub.h"
#include "wire/sdpfrag.h"

enum {
    STREAM_MAX = 20000,           /* all together; chosen: as many as one shard has peers */
    STREAM_SDP_MAX = 64 << 10,    /* bytes of a description from outside; chosen */
    STREAM_ARENA_BYTES = 8 << 20, /* one description, unfolded */
    STREAM_ID_MAX = 32,           /* "WH_" and 24 characters that nobody guesses */
    STREAM_ETAG_MAX = 20,         /* with its quotes */
    STREAM_CONNECT_US = 15000000, /* for whoever has an answer: then the connection is there */
    STREAM_PENDING_MAX = 64, /* viewers of one address that are not connected yet; chosen: an office
                                that comes at once.  Proxies on this machine: no limit */
    STREAM_GRACE_US = 10000000, /* a sender's connection has failed; until its tracks end */
    STREAM_ASKS_PER_S = 10,     /* requests to one resource; chosen: trickling sends a few */
    STREAM_ASKS_BURST = 100,
};

enum stream_kind { STREAM_WHIP, STREAM_WHEP, STREAM_LIGHTSPEED };

/* Which simulcast layer a viewer asked for. */
enum stream_quality { STREAM_LOW, STREAM_MEDIUM, STREAM_HIGH, STREAM_AUTO };

struct streams;
struct ports;

struct stream {
    struct streams *all;
    enum stream_kind kind;
    char id[STREAM_ID_MAX];
    char etag[STREAM_ETAG_MAX]; /* of this ICE session; quoted */
    uint64_t conn;              /* of its session */
    struct voice voice;
    char *room, *identity; /* of its member; they outlive the session */
    char *said;            /* the other side's description, as last agreed */
    char ufrag[257];       /* its name in ICE */
    bool takes_audio, takes_video;
    enum stream_quality quality;
    uint32_t asks; /* that it may make now */
    us_t asks_at;
    char ingress_id[INGRESS_ID_MAX], resource[INGRESS_ID_MAX]; /* WHIP by key */
    struct addr from; /* its HTTP client; family 0: not told */
    us_t made_at;
    bool live;                   /* its connection was up once */
    struct stream *next, **back; /* all of its kind */
    /* Lightspeed */
    uint64_t socket;       /* 0: lost */
    char fingerprint[200]; /* of the page's peer connection: how it is known again */
    uint64_t round;        /* of the info that it was told */
};

struct streams {
    struct hub *hub;
    struct ingress_book *book; /* of stream keys; NULL: there are none */
    const struct ports *ports; /* of streams that were asked for by number; NULL: none */
    const struct node_cfg *cfg;
    struct map by_id, by_socket;
    struct stream *first[STREAM_LIGHTSPEED + 1];
    uint32_t n;
    us_t info_at; /* Lightspeed's next round of info */
    uint64_t round;
};

void streams_init(struct streams *all, struct hub *hub, const struct node_cfg *cfg);
/* Ends them all; before the hub does. */
void streams_fini(struct streams *all);

struct stream_join {
    enum stream_kind kind;
    struct token_claims *claims; /* in `keep` */
    struct arena keep;           /* the stream's on success */
    const char *offer;           /* NULL: we offer */
    const char *user_agent;      /* or NULL */
    const struct addr *from;     /* or NULL */
    const char *id;              /* NULL: one is made; "": the participant's sid */
    Livekit__AddTrackRequest **add;
    size_t add_n;
};

/* A new member.  With an offer *answer receives the answer.  False: *why; nothing is left behind.
 */
bool stream_open(struct streams *all, struct stream_join *j, struct str *answer,
                 struct stream **ret, struct session_refusal *why);
/* Says another offer, or the same once more; `answer` may be NULL.  E_MALFORMED: the session is
 * over and the stream gone. */
MUST_CHECK int stream_offer(struct stream *st, const char *sdp, struct str *answer);
/* Another sender continues this one, whose resource is no more: a new id, a new ETag.  As
 * stream_offer(). */
MUST_CHECK int stream_replace(struct stream *st, const struct stream_join *j, struct str *answer);
/* The stream of this kind that a member's session belongs to; NULL: another kind of session. */
struct stream *stream_of(const struct streams *all, const struct member *m, enum stream_kind kind);
/* It leaves the room; *st is gone. */
void stream_end(struct stream *st, Livekit__DisconnectReason reason);
struct stream *stream_find(const struct streams *all, struct bytes id);
struct session *stream_session(const struct stream *st);
/* Within its budget of requests? */
bool stream_charge(struct stream *st);
/* A fresh ETag. */
void stream_retag(struct stream *st);
/* Its own member is ACTIVE. */
bool stream_is_up(const struct stream *st);
void stream_set_quality(struct stream *st, enum stream_quality q);

/* The next stream that has news, with `heard` (VOICE_BIT of what was said); NULL when there is
 * none.  Viewers are brought up to date here; one that is over is freed by the caller with
 * stream_end(). */
struct stream *stream_news(struct streams *all, uint64_t *heard);

/* Whom viewers of this room are shown: an ingress, or the first that publishes and is not muted, or
 * the first at all; NULL: nobody yet. */
const struct member *stream_publisher(const struct room *r);
/* Its first live track of that kind. */
struct pub *stream_track(const struct member *m, bool video);
/* Members that may watch and not publish. */
uint32_t stream_viewers(const struct room *r);

#endif
