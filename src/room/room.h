/* room/room.h - rooms, their members, what these publish and what they want to receive.
 *
 * The house holds every room of the process.  Here is what is true and what is
 * wished for; nothing here speaks a signalling message or an SDP line.  Changes
 * leave marks (`news`, `subs_dirty`, room_touch()) and the layer above acts on
 * them once, in its tick.
 *
 * Ownership: house > room > member > pub and sub.  A sub hangs in two lists, its
 * member's and its publication's, and ends with either.  A member that left stays
 * in room->left until room_reap(), so that the others can be told.  One thread;
 * heap through base/mem; the time is house->tick, set by the owner before a call.
 */
#ifndef ROOM_ROOM_H
#define ROOM_ROOM_H

#include "base/err.h"
#include "base/heap.h"
#include "base/map.h"
#include "room/fact.h"
#include "room/grant.h"
#include "room/plane.h"
#include "room/quality.h"

#include "livekit_room.pb-c.h"
#include "livekit_rtc.pb-c.h"

enum {
    ROOM_SID_MAX = 24,
    ROOM_SHARDS_MAX = PLANE_SHARDS_MAX,
    ROOM_PUBS_MAX = 64,    /* publications of one member, pending ones included; chosen */
    ROOM_PENDING_MAX = 20, /* announced, media not there yet (livekit-server.md 3.6) */
    ROOM_SUBS_MAX = 4096,  /* subscriptions of one member; chosen: over SDP_MEDIA_MAX anyway */
    ROOM_CIDS_MAX = 5,     /* client ids of one publication: its own and its codecs' */
    ROOM_PUB_BYTES_MAX = 1 << 16,    /* description of one publication */
    ROOM_POLICY_BYTES_MAX = 1 << 18, /* one subscription permission */
    ROOM_KIND_DETAILS_MAX = 16,
    ROOM_CAPABILITIES_MAX = 8,
    ROOM_ATTRIBUTES_MAX = 256, /* keys of one member */
    ROOM_DEPARTED_MAX = 32,    /* chosen: more within one lost socket are learnt by a full rejoin */
    ROOM_DEPARTED_IDENTITY_MAX = 64,
};

struct dispatch; /* room/dispatch.h */
struct session;  /* signal/session.h: a member's signalling half, of the same life */
struct member;

struct room_limits {
    uint32_t metadata_bytes, attributes_bytes;                  /* 0: unlimited */
    uint32_t room_name_len, identity_len, participant_name_len; /* bytes */
    uint32_t rooms, members, tracks;                            /* 0: unlimited */
};

struct attr {
    char *key, *value;
};

/* What an update must bring to the others, and how soon. */
enum member_news { NEWS_NONE, NEWS_LATER, NEWS_NOW };

enum pub_state {
    PUB_PENDING, /* announced; invisible to others */
    PUB_LIVE,    /* its section is negotiated */
};

struct pub_codec {
    struct cmd_codec c;
    uint32_t profile; /* tells variants of one codec apart; signal/mline says how */
};

/* A copy of a track on another shard. */
struct pub_mirror {
    track_id track; /* 0: none */
    uint32_t used;  /* subscriptions on it */
    bool told_muted;
};

struct pub {
    struct member *member;
    struct pub *next;
    struct arena arena;       /* info and cids */
    Livekit__TrackInfo *info; /* what everybody is told; strings in the arena */
    const char *cid[ROOM_CIDS_MAX];
    uint32_t cid_n;
    enum pub_state state;
    bool video, svc, told_subscribed;
    bool adrift;     /* live, but its connection is being replaced (signal/negotiate) */
    bool told_muted; /* what the shard last heard */
    track_id track;  /* 0 while pending */
    char mid[CMD_MID_MAX];
    struct rtp_ext_ids ext;
    uint8_t codec_n, layer_n;
    struct pub_codec codec[CMD_CODECS_MAX];
    struct cmd_layer layer[CMD_LAYERS_MAX];
    struct pub_mirror *mirror; /* by shard; NULL until needed */
    struct sub *subs;
    uint32_t sub_n;
    float level; /* loudness of the last window, 0 when silent */
    struct evt_track_stats stats, stats_before;
    us_t stats_at, stats_before_at; /* when they came; 0: never */
    struct quality quality;
    uint8_t live_layers; /* spatial layers that arrive, by bit */
};

enum sub_state {
    SUB_WAITING,  /* wanted, no section yet */
    SUB_OFFERED,  /* has a section, the answer is outstanding */
    SUB_ATTACHED, /* the shard forwards */
    SUB_REFUSED,  /* no codec in common: told, stays until unwanted */
};

struct sub {
    struct member *member;
    struct pub *pub;
    struct sub *next_of_member, *next_of_pub;
    uint64_t serial; /* never given twice */
    enum sub_state state;
    bool told_allowed; /* what subscription_permission_update last said */
    bool disabled;
    bool told_live;
    uint8_t max_spatial, max_temporal;
    bool was_set;   /* by its member, since it was wished for */
    bool set_dirty; /* settings differ from what the shard was told */
    us_t set_at;    /* when they go out */
    sub_id id;      /* 0 unless attached */
    uint32_t ssrc, rtx_ssrc;
    us_t retry_at;
    struct evt_sub_stats stats, stats_before;
    us_t stats_at, stats_before_at;
    struct quality quality;
};

struct member {
    struct room *room;
    struct session *session;
    char sid[ROOM_SID_MAX];
    char *identity, *name, *metadata; /* never NULL */
    struct attr *attr;
    uint32_t attr_n;
    Livekit__ParticipantInfo__Kind kind;
    Livekit__ParticipantInfo__KindDetail kind_detail[ROOM_KIND_DETAILS_MAX];
    uint32_t kind_detail_n;
    struct grant grant;
    Livekit__ParticipantInfo__State state;
    Livekit__DisconnectReason reason;
    uint32_t version;
    int64_t joined_ms; /* wall */
    int32_t client_protocol;
    Livekit__ClientInfo__Capability capability[ROOM_CAPABILITIES_MAX];
    uint32_t capability_n;
    bool auto_subscribe, adaptive_stream;
    bool bare_reports; /* its sender reports lack what layers are aligned by (OBS) */
    bool announced;    /* somebody was told of it */
    bool was_active;   /* it joined: its state was ACTIVE once */
    bool was_publisher;
    bool gone; /* left; waiting in room->left */
    enum member_news news;
    bool subs_dirty; /* subscriptions need a look */
    bool pubs_dirty; /* a shard does not know yet what holds */
    uint8_t shard;
    struct pub *pubs;
    uint32_t pub_n;
    struct sub *subs;
    uint32_t sub_n;
    struct arena policy_arena;
    Livekit__SubscriptionPermission *policy; /* NULL: everybody may subscribe */
    uint32_t last_sequence;                  /* of its reliable data */
    uint64_t mark;                           /* scratch of loops over targets */
    uint32_t row;                            /* likewise: 1 + its place in a list; 0: not in it */
    us_t speaks_until;                       /* a simulated speaker */
    float told_level;                        /* as speakers_changed last said */
    Livekit__ConnectionQuality quality;
    float score;
    bool quality_told;
    struct member *next_left;
};

/* Who left lately, for those who were away meanwhile. */
struct departed {
    char sid[ROOM_SID_MAX];
    char identity[ROOM_DEPARTED_IDENTITY_MAX]; /* cut: clients find the entry by sid */
    Livekit__DisconnectReason reason;
    uint32_t version;
    us_t at;
};

struct room {
    struct house *house;
    struct heap_node due;
    char sid[ROOM_SID_MAX];
    char *name, *metadata;
    uint32_t empty_timeout_s, departure_timeout_s, max_participants;
    bool playout_delay; /* subscribers are told how much to buffer */
    uint32_t min_playout_delay_ms, max_playout_delay_ms;
    bool sync_streams; /* tracks of one source come in one stream */
    struct dispatch *dispatches;
    uint32_t dispatch_n;
    bool dispatched;             /* the list says all; else it stands for the default one */
    int64_t created_ms;          /* wall */
    us_t created_at, emptied_at; /* emptied_at: US_NEVER while somebody is in */
    bool ever_joined, closed;
    bool told_started; /* its beginning is among the facts */
    bool news;         /* metadata or recording changed: at once */
    bool counts_news;  /* numbers changed: at most every 5 s */
    us_t counts_at, batch_at, speakers_at, quality_at;
    bool speakers_dirty;
    uint32_t told_members, told_publishers;
    bool told_recording;
    char sif_trailer[48];
    struct map by_identity, by_track; /* by_track: publications, by sid */
    struct member **member;           /* in order of joining */
    uint32_t member_n, member_cap;
    struct member *left;
    struct departed departed[ROOM_DEPARTED_MAX]; /* a ring */
    uint32_t departed_n;
    uint64_t nonce[64][2]; /* user packets lately seen */
    uint32_t nonce_n;
    struct room *next_closed;
};

/* What CreateRoom, a token's roomConfig or a preset asks of a room; zero, false and NULL leave
 * things as they are. */
struct room_wish {
    uint32_t empty_timeout_s, departure_timeout_s, max_participants;
    uint32_t min_playout_delay_ms, max_playout_delay_ms;
    bool sync_streams;
    const char *metadata;
    Livekit__RoomAgentDispatch **agent; /* counts when the room is made */
    size_t agent_n;
};

struct room_preset {
    const char *name;
    struct room_wish wish;
};

struct house_cfg {
    uint64_t seed;
    uint32_t shard_n, peers_per_shard_soft;
    uint32_t empty_timeout_s, departure_timeout_s, max_participants;
    bool playout_delay, sync_streams;
    uint32_t min_playout_delay_ms, max_playout_delay_ms;
    const struct room_preset *preset; /* borrowed */
    uint32_t preset_n;
    struct room_limits limits;
    bool facts; /* somebody will take them */
};

struct house {
    struct house_cfg cfg;
    struct plane plane;
    struct rng rng;
    struct tick tick;
    struct map by_name;
    struct heap due;
    struct room *closed; /* until house_reap() */
    struct facts facts;
    uint64_t serial, mark;
    uint32_t room_n, member_n, pub_n, sub_n;
};

void house_init(struct house *h, const struct house_cfg *cfg);
void house_fini(struct house *h);
int64_t house_wall_ms(const struct house *h);
struct room *house_find(const struct house *h, const char *name);
/* E_LIMIT, E_NOMEM. */
MUST_CHECK int house_create(struct house *h, const char *name, struct room **ret);
/* What `wish` leaves open, from the preset of that name ("": none).  E_NOENT: no such preset. */
MUST_CHECK int house_preset(const struct house *h, const char *name, struct room_wish *wish);
/* E_NOMEM, E_LIMIT: part of it may hold. */
int room_apply(struct room *r, const struct room_wish *wish, bool created);
/* Room whose work is due, or NULL. */
struct room *house_due(const struct house *h);
us_t house_deadline(const struct house *h);
/* Frees closed rooms; no reference to them may be left. */
void house_reap(struct house *h);

/* Has work in this tick / not later than `at`. */
void room_touch(struct room *r);
void room_due(struct room *r, us_t at);
void room_set_due(struct room *r, us_t at);
/* Takes the room's name away and orders the end of all that is left. The members must have left. */
void room_close(struct room *r);
struct member *room_find(const struct room *r, const char *identity);
struct member *room_find_sid(const struct room *r, const char *sid);
/* Non-dependent members; and those that publish. */
uint32_t room_count(const struct room *r);
uint32_t room_publishers(const struct room *r);
bool room_recording(const struct room *r);
bool room_is_full(const struct room *r);
/* True: nobody is in and the time is over. */
bool room_expired(const struct room *r, us_t *expires_at);
/* Replaces the text; false (unchanged) when the heap refuses. */
bool room_set_metadata(struct room *r, const char *metadata);
/* The shard for a newcomer. */
uint8_t room_pick_shard(const struct room *r);
/* Frees the members that left. */
void room_reap(struct room *r);
/* Was this nonce seen lately?  Remembers it. */
bool room_nonce_seen(struct room *r, struct bytes nonce);

struct member_cfg {
    const char *identity, *name, *metadata;
    const struct token_pair *attribute;
    uint32_t attribute_n;
    struct grant grant;
    Livekit__ParticipantInfo__Kind kind;
    bool auto_subscribe, adaptive_stream;
};

MUST_CHECK int room_join(struct room *r, const struct member_cfg *cfg, struct member **ret);
/* Ends its publications and subscriptions and moves it to room->left. */
void member_part(struct member *m, Livekit__DisconnectReason reason);
void member_set_state(struct member *m, Livekit__ParticipantInfo__State state);
/* Something that others see has changed. */
void member_changed(struct member *m, enum member_news news);
bool member_is_dependent(const struct member *m);
bool member_is_publisher(const struct member *m);
void member_set_grant(struct member *m, const struct grant *g);
bool member_set_name(struct member *m, const char *name);
bool member_set_metadata(struct member *m, const char *metadata);
/* "" deletes.  E_NOMEM, E_LIMIT. */
int member_set_attr(struct member *m, const char *key, const char *value);
size_t member_attr_bytes(const struct member *m);
/* What the attributes would weigh after merging these. */
size_t member_attr_bytes_with(const struct member *m, const struct attr *attr, uint32_t n);

#endif
