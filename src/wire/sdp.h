/* wire/sdp.h - session descriptions (RFC 8866, RFC 8829) to structs and back.
 *
 * Reads what Chromium, Firefox, libwebrtc elsewhere, pion, OBS, ffmpeg and
 * GStreamer write, and writes what they accept.  It does not negotiate: which
 * codec, extension or direction is answered is decided above.  Attributes that
 * are not named here are skipped.  Session-level ICE, DTLS, direction and extmap
 * lines are copied into each media section that has none of its own.
 *
 * Everything lives in the arena of the reader or builder; text is NUL-terminated,
 * NULL when absent.  When building, any string that outlives sdp_write() will do.
 */
#ifndef WIRE_SDP_H
#define WIRE_SDP_H

#include "base/arena.h"
#include "base/str.h"

enum {
    SDP_BYTES_MAX = 512 << 10, /* chosen: a 200-section Chromium offer is 300 kB */
    SDP_LINES_MAX = 32768,
    SDP_LINE_BYTES_MAX = 16384,
    SDP_MEDIA_MAX = 256,
    SDP_CODECS_MAX = 128, /* one per payload type */
    SDP_FBS_MAX = 16,     /* per codec */
    SDP_EXTS_MAX = 64,    /* per section; ids beyond are of no use */
    SDP_SSRCS_MAX = 64,
    SDP_GROUPS_MAX = 32,
    SDP_GROUP_IDS_MAX = 8,
    SDP_RIDS_MAX = 16,
    SDP_MSIDS_MAX = 16,
    SDP_CANDIDATES_MAX = 64,
    SDP_FINGERPRINTS_MAX = 8,
    SDP_DIGEST_MAX = 64,
};

enum sdp_kind { SDP_AUDIO, SDP_VIDEO, SDP_APPLICATION, SDP_OTHER };

/* Bits, as the writer of the description means them. */
enum sdp_dir { SDP_INACTIVE = 0, SDP_SENDONLY = 1, SDP_RECVONLY = 2, SDP_SENDRECV = 3 };

enum sdp_setup { SDP_SETUP_NONE, SDP_ACTPASS, SDP_ACTIVE, SDP_PASSIVE };

struct sdp_fingerprint {
    const char *hash; /* lower case: "sha-256" */
    uint8_t digest[SDP_DIGEST_MAX];
    uint8_t digest_len;
};

struct sdp_codec {
    uint8_t pt;
    uint8_t channels; /* 0 when not said */
    const char *name; /* as written: "opus", "VP8", "rtx" */
    uint32_t clock_hz;
    const char *fmtp; /* parameters as written; NULL without */
    const char **fb;  /* "nack pli", "transport-cc" */
    uint32_t fb_n;
};

struct sdp_ext {
    uint16_t id;
    enum sdp_dir dir; /* SDP_SENDRECV when not said */
    const char *uri;
};

struct sdp_ssrc {
    uint32_t ssrc;
    const char *cname;
    const char *stream, *track; /* of its msid attribute */
};

struct sdp_ssrc_group {
    const char *semantics; /* "FID", "SIM", "FEC-FR" */
    uint32_t ssrc[SDP_GROUP_IDS_MAX];
    uint32_t n;
};

/* RFC 8851 and 8853.  `simulcast_pos` orders the layers as the simulcast line does. */
struct sdp_rid {
    const char *id;
    const char *params; /* NULL without */
    bool send;          /* a=rid:ID send; else recv */
    bool simulcast;     /* named by a=simulcast */
    bool paused;        /* written with '~' there */
    uint16_t simulcast_pos;
};

struct sdp_msid {
    const char *stream; /* "-" for none */
    const char *track;  /* NULL when not said */
};

struct sdp_media {
    enum sdp_kind kind;
    const char *kind_text; /* the word of the m-line */
    uint16_t port;         /* written as is; 9 for a live section, 0 for a refused one */
    bool rejected;         /* port 0 without bundle-only */
    bool bundle_only;
    const char *proto;    /* "UDP/TLS/RTP/SAVPF", "UDP/DTLS/SCTP" */
    const char *fmt_text; /* formats of the m-line as written; used when there are no codecs */
    const char *mid;
    enum sdp_dir dir;
    enum sdp_setup setup;
    const char *ice_ufrag, *ice_pwd, *ice_options;
    struct sdp_fingerprint *fingerprint;
    uint32_t fingerprint_n;
    bool rtcp_mux, rtcp_rsize, extmap_allow_mixed;

    struct sdp_codec *codec; /* in the order of preference of the m-line */
    struct sdp_ext *ext;
    struct sdp_ssrc *ssrc;
    struct sdp_ssrc_group *group;
    struct sdp_rid *rid;
    struct sdp_msid *msid;
    const char **candidate; /* "candidate:..." without "a=" */
    uint32_t codec_n, ext_n, ssrc_n, group_n, rid_n, msid_n, candidate_n;
    bool end_of_candidates;

    uint16_t sctp_port;        /* 0 when not said */
    uint32_t max_message_size; /* 0 when not said (the default is 64 kB) */
};

struct sdp {
    uint64_t id, version; /* of the o-line */
    const char **bundle;  /* mids of the BUNDLE group, in order */
    uint32_t bundle_n;
    bool ice_lite, extmap_allow_mixed;
    const char *msid_semantic; /* "WMS *" */
    const char *ice_ufrag, *ice_pwd, *ice_options;
    struct sdp_fingerprint *fingerprint;
    uint32_t fingerprint_n;
    enum sdp_setup setup;
    struct sdp_media *media;
    uint32_t media_n;
    struct arena *arena; /* where it all lives */
};

/* An empty description to build upon. */
void sdp_init(struct sdp *s, struct arena *a);

/* 0; E_MALFORMED; E_TOO_LARGE for any limit; E_UNSUPPORTED for a profile that is
 * not media over DTLS.  *s is written on success only. */
int sdp_parse(struct sdp *s, struct bytes text, struct arena *a);

/* Appends the description with CRLF line ends. */
void sdp_write(const struct sdp *s, struct str *out);

/* ---- building: each adds one zeroed element (NULL: limit or arena) ---- */
/* A section's pointer is valid until the next sdp_add_media(). */
MUST_CHECK struct sdp_media *sdp_add_media(struct sdp *s, enum sdp_kind kind);
/* Puts the mid into the BUNDLE group; false: limit or arena. */
bool sdp_add_bundle(struct sdp *s, const char *mid);
/* Session level. */
bool sdp_add_fingerprint(struct sdp *s, const char *hash, struct bytes digest);
MUST_CHECK struct sdp_codec *sdp_add_codec(struct sdp *s, struct sdp_media *m);
bool sdp_add_fb(struct sdp *s, struct sdp_codec *c, const char *fb);
bool sdp_add_ext(struct sdp *s, struct sdp_media *m, uint16_t id, const char *uri);
MUST_CHECK struct sdp_ssrc *sdp_add_ssrc(struct sdp *s, struct sdp_media *m, uint32_t ssrc);
MUST_CHECK struct sdp_ssrc_group *sdp_add_group(struct sdp *s, struct sdp_media *m,
                                                const char *semantics);
MUST_CHECK struct sdp_rid *sdp_add_rid(struct sdp *s, struct sdp_media *m, const char *id);
bool sdp_add_msid(struct sdp *s, struct sdp_media *m, const char *stream, const char *track);
bool sdp_add_candidate(struct sdp *s, struct sdp_media *m, const char *candidate);

/* ---- looking things up; NULL or -1 when absent ---- */
struct sdp_media *sdp_find_mid(const struct sdp *s, const char *mid);
struct sdp_codec *sdp_find_pt(const struct sdp_media *m, uint8_t pt);
/* The retransmission codec whose apt is `pt`. */
struct sdp_codec *sdp_find_rtx(const struct sdp_media *m, uint8_t pt);
struct sdp_ext *sdp_find_ext(const struct sdp_media *m, const char *uri);
struct sdp_ssrc *sdp_find_ssrc(const struct sdp_media *m, uint32_t ssrc);
bool sdp_has_fb(const struct sdp_codec *c, const char *fb);
/* One parameter of a fmtp line ("apt=96;x=1"); p == NULL when absent. */
struct bytes sdp_fmtp_get(const char *fmtp, const char *key);
/* The direction as the other side sees it: sendonly <-> recvonly. */
enum sdp_dir sdp_dir_mirror(enum sdp_dir dir);

#endif
