/* rtc/ice.h - which address the other side is at.  (RFC 8445; RFC 7675 in the full half)
 *
 * Two halves of one machine.  ICE_LITE (the server) answers Binding requests that carry
 * our credentials, learns addresses from them, and sends media where the last nominating
 * request came from.  ICE_FULL (our own clients) checks pairs, nominates or lets the other
 * side nominate, keeps the pair alive and watches consent.
 *
 * A request with a wrong user name, integrity or fingerprint changes nothing and is not
 * answered.  Nothing is ever sent to an address before an authenticated message came from
 * it, except a full agent's checks.  A request that was seen before from another
 * address (a copy somebody replays) is dropped likewise; a copy older than
 * ICE_SEEN_MAX requests moves the pair until the next keep-alive moves it back.
 *
 * Restart: new local credentials (ice_restart), new remote ones (ice_set_remote), in either order.
 * The old pair goes on until the new credentials nominate one; old local
 * credentials are good until a request with the new ones came.
 *
 * Time: DISCONNECTED is a hint and media goes on; a request on the pair heals it.  FAILED
 * comes after ICE_FAILED_US, so that a silence of 20 s heals without a new transport
 * (LiveKit fails after 15 s and makes the client rebuild everything; libwebrtc itself gives up
 * after about 30 s, so a few seconds more lose nothing).  One thread; allocates in init only.
 */
#ifndef RTC_ICE_H
#define RTC_ICE_H

#include "base/addr.h"
#include "base/base.h"
#include "base/cursor.h"
#include "rtc/checklist.h"
#include "rtc/consent.h"
#include "wire/stun.h"

enum {
    ICE_UFRAG_MAX = 32, /* RFC 8839 allows 256; browsers send 4..8 */
    ICE_PWD_MAX = 64,   /* 22..256; browsers send 24 */
    ICE_PATHS_MAX = 8,  /* addresses that proved themselves; the one unheard for longest goes */
    ICE_SENDS_MAX = 24, /* waiting for ice_output; more are not sent, the other side repeats */
    ICE_SEEN_MAX = 64,  /* requests remembered against replay: a minute of keep-alives */
    ICE_PROBES_MAX = 8, /* keep-alive checks remembered; spans a round trip of 4 s */

    ICE_DISCONNECTED_US = 10000000, /* LiveKit's; four of Chromium's 2.5 s pings */
    ICE_FAILED_US = 35000000,
    ICE_CHECKING_US = 60000000, /* from the remote description to the first nomination */
    ICE_FLAP_US = 300000, /* chosen: a nomination delayed on the path just left is no move back */
    ICE_KEEPALIVE_US = 1000000, /* full half: a check on the pair, so that a changed NAT binding is
                                   noticed within a second or so */
    ICE_PROBE_US = 500000,      /* repeated while unanswered */
};

enum ice_mode { ICE_LITE, ICE_FULL };

enum ice_state {
    ICE_NEW,
    ICE_CHECKING,     /* an authenticated message came, or checks are under way */
    ICE_CONNECTED,    /* a pair is selected */
    ICE_DISCONNECTED, /* silent for ICE_DISCONNECTED_US; heals by itself */
    ICE_FAILED,       /* until a restart */
};

struct ice_cred {
    char ufrag[ICE_UFRAG_MAX + 1]; /* "": not known */
    char pwd[ICE_PWD_MAX + 1];
};

struct ice_cfg {
    enum ice_mode mode;
    bool controlling; /* full: initially; conflicts are settled on the wire */
    struct ice_cred local;
    uint64_t seed;
};

enum ice_event_kind {
    ICE_EVT_STATE, /* state */
    ICE_EVT_PATH,  /* another pair is selected: ice_selected() */
};

struct ice_event {
    enum ice_event_kind kind;
    enum ice_state state;
};

struct ice_stats {
    uint64_t drop_malformed, drop_unauthenticated, drop_unexpected, drop_replayed;
    us_t rtt_us; /* full: of the last answered check; 0 before */
};

struct ice_proven {
    struct path path;
    us_t heard_at;
};

struct ice_seen {
    uint64_t tid, from; /* eight bytes of the transaction id; hash of the path */
};

enum ice_send_kind {
    ICE_SEND_SUCCESS,
    ICE_SEND_CONFLICT, /* 487 */
    ICE_SEND_UNKNOWN,  /* 420 */
    ICE_SEND_CHECK,
};

struct ice_send {
    enum ice_send_kind kind;
    bool old_local, old_remote; /* which credentials sign it */
    bool use_candidate;
    uint16_t unknown; /* 420: the first attribute */
    struct path path;
    struct stun_tid tid;
};

struct ice {
    enum ice_mode mode;
    enum ice_state state, told_state;
    bool path_untold;
    bool has_selected;
    /* The pair belongs to credentials from before a restart. */
    bool selected_old_local, selected_old_remote;
    bool controlling;
    uint64_t tie_breaker;
    struct rng rng;
    struct ice_cred local, local_old, remote, remote_old; /* ufrag "": none */
    struct path selected, left;
    us_t left_at;  /* when `left` was replaced */
    us_t heard_at; /* last authenticated message on the selected pair */
    us_t begun_at; /* last remote description or restart; US_NEVER before */
    struct ice_proven proven[ICE_PATHS_MAX];
    uint8_t proven_n;
    struct ice_seen seen[ICE_SEEN_MAX];
    uint32_t seen_n;
    struct ice_send send[ICE_SENDS_MAX]; /* oldest first */
    uint8_t send_n;
    struct ice_stats stats;
    /* full half */
    struct checklist *list; /* NULL: lite */
    struct consent consent;
    us_t probe_at, probe_sent_at;
    uint32_t probe_n;
    struct stun_tid probe[ICE_PROBES_MAX];
};

/* E_NOMEM; fini either way. */
MUST_CHECK int ice_init(struct ice *ice, const struct ice_cfg *cfg);
void ice_fini(struct ice *ice);

/* The same credentials again change nothing. */
void ice_set_remote(struct ice *ice, const struct ice_cred *remote, us_t now);
void ice_restart(struct ice *ice, const struct ice_cred *local, us_t now);
/* Full half; ignored by lite. */
void ice_add_local(struct ice *ice, const struct addr *addr);
void ice_add_remote(struct ice *ice, const struct addr *addr, uint32_t priority);

/* One STUN datagram.  0, or why it was dropped: E_MALFORMED and kin, E_AUTH, E_STATE. */
int ice_input(struct ice *ice, const struct path *path, struct bytes datagram, us_t now);
void ice_tick(struct ice *ice, us_t now);
/* w needs STUN_MESSAGE_MAX bytes. */
bool ice_output(struct ice *ice, struct path *path, struct wr *w);
bool ice_event(struct ice *ice, struct ice_event *ev);
us_t ice_deadline(const struct ice *ice);

/* May DTLS from there be listened to?  Only where an authenticated message came from. */
bool ice_proven(const struct ice *ice, const struct path *path);
/* NULL before nomination. */
const struct path *ice_selected(const struct ice *ice);

#endif
