#include "wire/sdp.h"
/* ---- growing lists in the arena ---- */

/* Room for one more element; the list moves to twice its size when full (old copies stay
 * in the arena, at most as much again).  NULL at the limit. */
static void *grow(struct arena *a, void *list_at, uint32_t *n, size_t size, uint32_t max)
{
    void *old;

    memcpy(&old, list_at, sizeof old);
    if (*n >= max)
        return NULL;
    if ((*n & (*n - 1)) == 0) { /* 0, 1, 2, 4, ...: full */
        void *bigger = arena_array(a, *n ? *n * 2 : 1, size);
        if (bigger == NULL)
            return NULL;
        if (*n > 0)
            memcpy(bigger, old, *n * size);
        memcpy(list_at, &bigger, sizeof bigger);
        old = bigger;
    }
    return (char *)old + (*n)++ * size;
}

void sdp_init(struct sdp *s, struct arena *a)
{
    *s = (struct sdp){.arena = a};
}

struct sdp_media *sdp_add_media(struct sdp *s, enum sdp_kind kind)
{
    static const char *const words[] = {"audio", "video", "application", "text"};
    struct sdp_media *m = grow(s->arena, &s->media, &s->media_n, sizeof *m, SDP_MEDIA_MAX);

    if (m == NULL)
        return NULL;
    *m = (struct sdp_media){
        .kind = kind,
        .kind_text = words[kind],
        .port = 9,
        .proto = kind == SDP_APPLICATION ? "UDP/DTLS/SCTP" : "UDP/TLS/RTP/SAVPF",
        .dir = SDP_SENDRECV,
    };
    return m;
}

bool sdp_add_bundle(struct sdp *s, const char *mid)
{
    const char **at = grow(s->arena, &s->bundle, &s->bundle_n, sizeof *at, SDP_MEDIA_MAX);

    if (at != NULL)
        *at = mid;
    return at != NULL;
}

static bool add_fingerprint(struct arena *a, struct sdp_fingerprint **list, uint32_t *n,
                            const char *hash, struct bytes digest)
{
    if (digest.len > SDP_DIGEST_MAX)
        return false;
    struct sdp_fingerprint *f = grow(a, list, n, sizeof *f, SDP_FINGERPRINTS_MAX);
    if (f == NULL)
        return false;
    *f = (struct sdp_fingerprint){.hash = hash, .digest_len = (uint8_t)digest.len};
    memcpy(f->digest, digest.p, digest.len);
    return true;
}

bool sdp_add_fingerprint(struct sdp *s, const char *hash, struct bytes digest)
{
    return add_fingerprint(s->arena, &s->fingerprint, &s->fingerprint_n, hash, digest);
}

struct sdp_codec *sdp_add_codec(struct sdp *s, struct sdp_media *m)
{
    struct sdp_codec *c = grow(s->arena, &m->codec, &m->codec_n, sizeof *c, SDP_CODECS_MAX);

    if (c != NULL)
        *c = (struct sdp_codec){0};
    return c;
}

bool sdp_add_fb(struct sdp *s, struct sdp_codec *c, const char *fb)
{
    const char **at = grow(s->arena, &c->fb, &c->fb_n, sizeof *at, SDP_FBS_MAX);

    if (at != NULL)
        *at = fb;
    return at != NULL;
}

bool sdp_add_ext(struct sdp *s, struct sdp_media *m, uint16_t id, const char *uri)
{
    struct sdp_ext *e = grow(s->arena, &m->ext, &m->ext_n, sizeof *e, SDP_EXTS_MAX);

    if (e != NULL)
        *e = (struct sdp_ext){.id = id, .dir = SDP_SENDRECV, .uri = uri};
    return e != NULL;
}

struct sdp_ssrc *sdp_add_ssrc(struct sdp *s, struct sdp_media *m, uint32_t ssrc)
{
    struct sdp_ssrc *x = grow(s->arena, &m->ssrc, &m->ssrc_n, sizeof *x, SDP_SSRCS_MAX);

    if (x != NULL)
        *x = (struct sdp_ssrc){.ssrc = ssrc};
    return x;
}

struct sdp_ssrc_group *sdp_add_group(struct sdp *s, struct sdp_media *m, const char *semantics)
{
    struct sdp_ssrc_group *g = grow(s->arena, &m->group, &m->group_n, sizeof *g, SDP_GROUPS_MAX);

    if (g != NULL)
        *g = (struct sdp_ssrc_group){.semantics = semantics};
    return g;
}

struct sdp_rid *sdp_add_rid(struct sdp *s, struct sdp_media *m, const char *id)
{
    struct sdp_rid *r = grow(s->arena, &m->rid, &m->rid_n, sizeof *r, SDP_RIDS_MAX);

    if (r != NULL)
        *r = (struct sdp_rid){.id = id};
    return r;
}

bool sdp_add_msid(struct sdp *s, struct sdp_media *m, const char *stream, const char *track)
{
    struct sdp_msid *x = grow(s->arena, &m->msid, &m->msid_n, sizeof *x, SDP_MSIDS_MAX);

    if (x != NULL)
        *x = (struct sdp_msid){.stream = stream, .track = track};
    return x != NULL;
}

bool sdp_add_candidate(struct sdp *s, struct sdp_media *m, const char *candidate)
{
    const char **at =
        grow(s->arena, &m->candidate, &m->candidate_n, sizeof *at, SDP_CANDIDATES_MAX);

    if (at != NULL)
        *at = candidate;
    return at != NULL;
}

/* ---- looking things up ---- */

struct sdp_media *sdp_find_mid(const struct sdp *s, const char *mid)
{
    for (uint32_t i = 0; i < s->media_n; i++) {
        if (s->media[i].mid != NULL && strcmp(s->media[i].mid, mid) == 0)
            return &s->media[i];
    }
    return NULL;
}

struct sdp_codec *sdp_find_pt(const struct sdp_media *m, uint8_t pt)
{
    for (uint32_t i = 0; i < m->codec_n; i++) {
        if (m->codec[i].pt == pt)
            return &m->codec[i];
    }
    return NULL;
}

struct sdp_codec *sdp_find_rtx(const struct sdp_media *m, uint8_t pt)
{
    for (uint32_t i = 0; i < m->codec_n; i++) {
        uint64_t apt;
        struct sdp_codec *c = &m->codec[i];
        if (!str_ieq(bytes_str(c->name), "rtx") || c->fmtp == NULL)
            continue;
        if (str_to_u64(sdp_fmtp_get(c->fmtp, "apt"), 127, &apt) && apt == pt)
            return c;
    }
    return NULL;
}

struct sdp_ext *sdp_find_ext(const struct sdp_media *m, const char *uri)
{
    for (uint32_t i = 0; i < m->ext_n; i++) {
        if (strcmp(m->ext[i].uri, uri) == 0)
            return &m->ext[i];
    }
    return NULL;
}

struct sdp_ssrc *sdp_find_ssrc(const struct sdp_media *m, uint32_t ssrc)
{
    for (uint32_t i = 0; i < m->ssrc_n; i++) {
        if (m->ssrc[i].ssrc == ssrc)
            return &m->ssrc[i];
    }
    return NULL;
}

bool sdp_has_fb(const struct sdp_codec *c, const char *fb)
{
    for (uint32_t i = 0; i < c->fb_n; i++) {
        if (strcmp(c->fb[i], fb) == 0)
            return true;
    }
    return false;
}

struct bytes sdp_fmtp_get(const char *fmtp, const char *key)
{
    size_t key_len = strlen(key);

    while (fmtp != NULL && *fmtp != '\0') {
        fmtp += strspn(fmtp, " ;");
        size_t len = strcspn(fmtp, ";");
        if (len > key_len && fmtp[key_len] == '=' && str_ieq(bytes_of(fmtp, key_len), key)) {
            const char *v = fmtp + key_len + 1;
            size_t n = len - key_len - 1;
            while (n > 0 && v[n - 1] == ' ')
                n--;
            return bytes_of(v, n);
        }
        fmtp += len;
    }
    return (struct bytes){0};
}

enum sdp_dir sdp_dir_mirror(enum sdp_dir dir)
{
    return (enum sdp_dir)((dir & SDP_SENDONLY ? SDP_RECVONLY : 0) |
                          (dir & SDP_RECVONLY ? SDP_SENDONLY : 0));
}
