/* client/section.h - the media sections of our own client: offer them, read the answer.
 *
 * A client of ours offers everything itself over one connection
 * (livekit-server.md 3.5): the data channels first, one sendonly section a track that
 * it publishes, and as many recvonly sections as the server has asked for.
 * Sections are only ever added; their order is the order of the offer.  No
 * allocation: a fixed table.
 */
#ifndef CLIENT_SECTION_H
#define CLIENT_SECTION_H

#include "base/arena.h"
#include "base/base.h"
#include "base/str.h"
#include "client/client.h"
#include "rtc/peer.h"
#include "wire/codec.h"
#include "wire/rtp.h"

enum {
    SECTION_MAX = 128,       /* as many tracks as one client of ours follows */
    SECTION_CODECS_MAX = 12, /* payload types remembered of an answer */
    SECTION_MID_MAX = 8,
    SECTION_SID_MAX = 32,
    SECTION_CID_MAX = 40,
    SECTION_CANDIDATES_MAX = 8,
    SECTION_OFFER_BYTES_MAX = 256 << 10,
    SECTION_MID_ID = 1, /* extension numbers of our offers */
    SECTION_ABS_SEND_TIME_ID = 2,
    SECTION_TWCC_ID = 3,
    SECTION_AUDIO_LEVEL_ID = 4,
    SECTION_DD_ID = 5,
};

enum section_kind { SECTION_DATA, SECTION_SEND, SECTION_RECV };

struct section_codec {
    uint8_t pt, rtx_pt; /* rtx_pt 0: none */
    uint8_t codec;      /* enum codec */
    uint32_t clock_hz;
};

struct section {
    enum section_kind kind;
    bool video;
    bool active; /* the answer lets media flow */
    char mid[SECTION_MID_MAX];
    /* SECTION_SEND */
    enum codec codec;
    uint32_t ssrc, rtx_ssrc;
    char cid[SECTION_CID_MAX]; /* track id of the msid, as in AddTrack */
    /* SECTION_RECV, from the answer */
    uint32_t remote_ssrc, remote_rtx_ssrc; /* 0: none yet */
    char track_sid[SECTION_SID_MAX];       /* "" while unused */
    char publisher_sid[SECTION_SID_MAX];
    /* both */
    struct section_codec out[SECTION_CODECS_MAX];
    uint8_t out_n;
};

struct sections {
    struct section s[SECTION_MAX];
    uint32_t n;
    uint64_t version; /* of the o-line: counts offers */
};

/* What an answer says of the transport. */
struct section_transport {
    struct peer_remote remote;
    enum peer_setup setup; /* ours, resulting from theirs */
    struct addr candidate[SECTION_CANDIDATES_MAX];
    uint32_t priority[SECTION_CANDIDATES_MAX];
    uint32_t candidate_n;
};

/* New ICE credentials: secrets of a sort, so real dice (RFC 8445 s15.4).  E_LIBRARY. */
MUST_CHECK int section_credentials(struct peer_local *local);
/* Starts with the data section.  False when the table is full (add). */
void sections_init(struct sections *ss);
bool sections_add_send(struct sections *ss, enum codec codec, const char *cid, struct rng *rng);
bool sections_add_recv(struct sections *ss, bool video);

/* The table as a client begins: its tracks (send[i] is the section of track i), then room for
 * others'. */
bool sections_start(struct sections *ss, const struct client_cfg *cfg,
                    uint32_t send[CLIENT_TRACKS_MAX], struct rng *rng);
/* Appends our offer.  `local` and `fingerprint` ("sha-256 AA:..") go into it. */
int sections_offer(struct sections *ss, const struct peer_local *local, const char *fingerprint,
                   struct str *out);
/* Takes the answer in.  E_MALFORMED, E_TOO_LARGE, E_MISMATCH (sections differ from the offer). */
int sections_answer(struct sections *ss, struct bytes sdp, struct section_transport *t);

/* Payload type that a track of ours is sent with; NULL when the answer took none. */
const struct section_codec *section_sending(const struct section *s);
const struct section_codec *section_find_pt(const struct section *s, uint8_t pt);

/* Is this packet a retransmission of the section's stream?  Then *v becomes the packet that was
 * lost (RFC 4588). */
bool section_unwrap(const struct section *s, struct rtp_view *v, const uint8_t *p);
/* A trickled candidate that we may check: UDP, with an address. */
bool section_candidate(const char *init, struct addr *addr, uint32_t *priority);

#endif
