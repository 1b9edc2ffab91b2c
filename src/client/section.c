#include "client/section.h"

#include "base/cursor.h"
#include "base/err.h"
#include "base/json.h"
#include "crypt/cert.h"
#include "crypt/crypt.h"
#include "wire/candidate.h"
#include "wire/sdp.h"

#include <stdio.h>

enum { RECV_SECTIONS_FIRST = 3 }; /* of each kind in the first offer, as other clients do */

/* What we offer, with payload types as libwebrtc numbers them. */
static const struct offered {
    enum codec codec;
    uint8_t pt, rtx_pt;
    const char *fmtp;
} offered[] = {
    {CODEC_OPUS, 111, 0, "minptime=10;useinbandfec=1"},
    {CODEC_VP8, 96, 97, NULL},
    {CODEC_VP9, 98, 99, "profile-id=0"},
    {CODEC_H264, 102, 103,
     "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
    {CODEC_H264, 104, 105,
     "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032"},
    {CODEC_AV1, 45, 46, "level-idx=5;profile=0;tier=0"},
    {CODEC_H265, 49, 50, "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST"},
};

int section_credentials(struct peer_local *local)
{
    uint8_t dice[24 + 8];
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    int err = crypt_random(dice, sizeof dice);
    if (err)
        return err;
    for (unsigned i = 0; i < 24; i++)
        local->pwd[i] = alphabet[dice[i] & 63];
    local->pwd[24] = '\0';
    for (unsigned i = 0; i < 8; i++)
        local->ufrag[i] = alphabet[dice[24 + i] & 63];
    local->ufrag[8] = '\0';
    return 0;
}

static struct section *add(struct sections *ss, enum section_kind kind)
{
    if (ss->n == SECTION_MAX)
        return NULL;
    struct section *s = &ss->s[ss->n];
    *s = (struct section){.kind = kind};
    (void)snprintf(s->mid, sizeof s->mid, "%u", (unsigned)ss->n); /* at most three digits */
    ss->n++;
    return s;
}

void sections_init(struct sections *ss)
{
    *ss = (struct sections){0};
    (void)add(ss, SECTION_DATA); /* the table is empty: there is room */
}

bool sections_add_send(struct sections *ss, enum codec codec, const char *cid, struct rng *rng)
{
    struct section *s = add(ss, SECTION_SEND);

    if (s == NULL)
        return false;
    s->video = codec_is_video(codec);
    s->codec = codec;
    s->ssrc = rng_u32(rng) | 1u;
    s->rtx_ssrc = s->video ? rng_u32(rng) & ~1u : 0;
    return str_copy(s->cid, sizeof s->cid, bytes_str(cid));
}

bool sections_add_recv(struct sections *ss, bool video)
{
    struct section *s = add(ss, SECTION_RECV);

    if (s == NULL)
        return false;
    s->video = video;
    return true;
}

bool sections_start(struct sections *ss, const struct client_cfg *cfg,
                    uint32_t send[CLIENT_TRACKS_MAX], struct rng *rng)
{
    sections_init(ss);
    for (uint32_t i = 0; i < cfg->track_n; i++) {
        char cid[SECTION_CID_MAX];
        (void)snprintf(cid, sizeof cid, "sluice-%08x-%u", rng_u32(rng), (unsigned)i); /* fits */
        send[i] = ss->n;
        if (!sections_add_send(ss, cfg->track[i].codec, cid, rng))
            return false;
    }
    for (unsigned i = 0; i < RECV_SECTIONS_FIRST && cfg->auto_subscribe; i++) {
        if (!sections_add_recv(ss, false) || !sections_add_recv(ss, true))
            return false;
    }
    return true;
}

static int offer_codec(struct sdp *sdp, struct sdp_media *m, const struct offered *o)
{
    static const char *const video_fb[] = {"goog-remb", "transport-cc", "ccm fir", "nack",
                                           "nack pli"};
    struct sdp_codec *c = sdp_add_codec(sdp, m);

    if (c == NULL)
        return E_NOMEM;
    c->pt = o->pt;
    c->name = codec_name(o->codec);
    c->clock_hz = codec_rate_hz(o->codec);
    c->channels = codec_is_audio(o->codec) ? codec_channels(o->codec) : 0;
    c->fmtp = o->fmtp;
    if (codec_is_audio(o->codec))
        return sdp_add_fb(sdp, c, "nack") ? 0 : E_NOMEM;
    for (size_t i = 0; i < ARRAY_LEN(video_fb); i++) {
        if (!sdp_add_fb(sdp, c, video_fb[i]))
            return E_NOMEM;
    }
    c = sdp_add_codec(sdp, m);
    if (c == NULL)
        return E_NOMEM;
    c->pt = o->rtx_pt;
    c->name = "rtx";
    c->clock_hz = 90000;
    c->fmtp = arena_printf(sdp->arena, "apt=%u", o->pt);
    return c->fmtp != NULL ? 0 : E_NOMEM;
}

static int offer_codecs(struct sdp *sdp, struct sdp_media *m, const struct section *s)
{
    for (size_t i = 0; i < ARRAY_LEN(offered); i++) {
        bool wanted = s->kind == SECTION_SEND ? offered[i].codec == s->codec
                                              : codec_is_video(offered[i].codec) == s->video;
        int err = wanted ? offer_codec(sdp, m, &offered[i]) : 0;
        if (err)
            return err;
    }
    return 0;
}

static bool offer_exts(struct sdp *sdp, struct sdp_media *m, bool video)
{
    bool ok = sdp_add_ext(sdp, m, SECTION_MID_ID, rtp_ext_uri(RTP_EXT_MID));

    if (!video)
        return ok && sdp_add_ext(sdp, m, SECTION_AUDIO_LEVEL_ID, rtp_ext_uri(RTP_EXT_AUDIO_LEVEL));
    return ok &&
           sdp_add_ext(sdp, m, SECTION_ABS_SEND_TIME_ID, rtp_ext_uri(RTP_EXT_ABS_SEND_TIME)) &&
           sdp_add_ext(sdp, m, SECTION_DD_ID, rtp_ext_uri(RTP_EXT_DEPENDENCY_DESCRIPTOR));
}

/* The sending side of a section: msid and its ssrcs. */
static bool offer_source(struct sdp *sdp, struct sdp_media *m, const struct section *s)
{
    struct sdp_ssrc *ssrc = sdp_add_ssrc(sdp, m, s->ssrc);

    if (ssrc == NULL || !sdp_add_msid(sdp, m, "sluice", s->cid))
        return false;
    ssrc->cname = "sluice";
    if (s->rtx_ssrc == 0)
        return true;
    ssrc = sdp_add_ssrc(sdp, m, s->rtx_ssrc);
    struct sdp_ssrc_group *g = sdp_add_group(sdp, m, "FID");
    if (ssrc == NULL || g == NULL)
        return false;
    ssrc->cname = "sluice";
    g->n = 2;
    g->ssrc[0] = s->ssrc;
    g->ssrc[1] = s->rtx_ssrc;
    return true;
}

static int offer_section(struct sdp *sdp, const struct section *s)
{
    enum sdp_kind kind = s->kind == SECTION_DATA ? SDP_APPLICATION
                         : s->video              ? SDP_VIDEO
                                                 : SDP_AUDIO;
    struct sdp_media *m = sdp_add_media(sdp, kind);

    if (m == NULL)
        return E_NOMEM;
    m->mid = s->mid;
    m->port = 9;
    if (!sdp_add_bundle(sdp, s->mid))
        return E_NOMEM;
    if (s->kind == SECTION_DATA) {
        m->proto = "UDP/DTLS/SCTP";
        m->fmt_text = "webrtc-datachannel";
        m->sctp_port = 5000;
        m->max_message_size = 65535;
        return 0;
    }
    m->proto = "UDP/TLS/RTP/SAVPF";
    m->dir = s->kind == SECTION_SEND ? SDP_SENDONLY : SDP_RECVONLY;
    m->rtcp_mux = m->rtcp_rsize = true;
    int err = offer_codecs(sdp, m, s);
    if (err)
        return err;
    if (!offer_exts(sdp, m, s->video) || (s->kind == SECTION_SEND && !offer_source(sdp, m, s)))
        return E_NOMEM;
    return 0;
}

int sections_offer(struct sections *ss, const struct peer_local *local, const char *fingerprint,
                   struct str *out)
{
    struct cert_fingerprint fp;
    struct arena arena;
    struct sdp sdp;
    int err = cert_fingerprint_parse(&fp, bytes_str(fingerprint));

    if (err)
        return err;
    arena_init(&arena, 4 * SECTION_OFFER_BYTES_MAX);
    sdp_init(&sdp, &arena);
    sdp.id = 1;
    sdp.version = ++ss->version;
    sdp.extmap_allow_mixed = true;
    sdp.msid_semantic = "WMS *";
    sdp.ice_ufrag = local->ufrag;
    sdp.ice_pwd = local->pwd;
    sdp.ice_options = "trickle";
    sdp.setup = SDP_ACTPASS;
    err = sdp_add_fingerprint(&sdp, "sha-256", bytes_of(fp.digest, fp.n)) ? 0 : E_NOMEM;
    for (uint32_t i = 0; i < ss->n && !err; i++)
        err = offer_section(&sdp, &ss->s[i]);
    if (!err) {
        sdp_write(&sdp, out);
        err = out->failed ? E_TOO_LARGE : 0;
    }
    arena_fini(&arena);
    return err;
}

static void answer_codecs(struct section *s, const struct sdp_media *m)
{
    s->out_n = 0;
    for (uint32_t i = 0; i < m->codec_n && s->out_n < SECTION_CODECS_MAX; i++) {
        const struct sdp_codec *c = &m->codec[i];
        enum codec codec = codec_of_name(bytes_str(c->name), c->clock_hz);
        if (codec == CODEC_NONE || codec == CODEC_RTX)
            continue;
        const struct sdp_codec *rtx = sdp_find_rtx(m, c->pt);
        s->out[s->out_n++] = (struct section_codec){
            .pt = c->pt,
            .rtx_pt = rtx != NULL ? rtx->pt : 0,
            .codec = (uint8_t)codec,
            .clock_hz = c->clock_hz,
        };
    }
}

/* The stream id of a served section is "PA_x|TR_y" (livekit-server.md 4.5). */
static void answer_attribution(struct section *s, const struct sdp_media *m)
{
    const char *stream = m->msid_n > 0 ? m->msid[0].stream : NULL;

    s->track_sid[0] = s->publisher_sid[0] = '\0';
    s->remote_ssrc = s->remote_rtx_ssrc = 0;
    if (m->ssrc_n > 0) {
        s->remote_ssrc = m->ssrc[0].ssrc;
        if (stream == NULL)
            stream = m->ssrc[0].stream;
    }
    for (uint32_t g = 0; g < m->group_n; g++) {
        if (strcmp(m->group[g].semantics, "FID") == 0 && m->group[g].n == 2) {
            s->remote_ssrc = m->group[g].ssrc[0];
            s->remote_rtx_ssrc = m->group[g].ssrc[1];
        }
    }
    const char *bar = stream != NULL ? strchr(stream, '|') : NULL;
    if (bar == NULL)
        return;
    if (!str_copy(s->publisher_sid, sizeof s->publisher_sid,
                  bytes_of(stream, (size_t)(bar - stream))) ||
        !str_copy(s->track_sid, sizeof s->track_sid, bytes_str(bar + 1)))
        s->publisher_sid[0] = s->track_sid[0] = '\0';
}

static void answer_fingerprint(const struct sdp_fingerprint *in, struct cert_fingerprint *out)
{
    static const struct {
        const char *name;
        enum hash_alg alg;
    } known[] = {{"sha-1", HASH_SHA1},
                 {"sha-256", HASH_SHA256},
                 {"sha-384", HASH_SHA384},
                 {"sha-512", HASH_SHA512}};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(known[i].name, in->hash) == 0 && in->digest_len <= sizeof out->digest) {
            out->alg = known[i].alg;
            out->n = in->digest_len;
            memcpy(out->digest, in->digest, in->digest_len);
        }
    }
}

static void answer_transport(const struct sdp_media *m, struct section_transport *t)
{
    struct peer_remote *r = &t->remote;

    if (m->ice_ufrag == NULL || m->ice_pwd == NULL || r->ufrag[0] != '\0')
        return;
    if (!str_copy(r->ufrag, sizeof r->ufrag, bytes_str(m->ice_ufrag)) ||
        !str_copy(r->pwd, sizeof r->pwd, bytes_str(m->ice_pwd)))
        return;
    if (m->fingerprint_n > 0)
        answer_fingerprint(&m->fingerprint[0], &r->fingerprint);
    t->setup = m->setup == SDP_PASSIVE ? PEER_SETUP_DTLS_CLIENT : PEER_SETUP_DTLS_SERVER;
    for (uint32_t i = 0; i < m->candidate_n && t->candidate_n < SECTION_CANDIDATES_MAX; i++) {
        struct candidate c;
        if (candidate_parse(&c, bytes_str(m->candidate[i])) || c.tcp != CANDIDATE_UDP || c.mdns)
            continue;
        t->priority[t->candidate_n] = c.priority;
        t->candidate[t->candidate_n++] = c.addr;
    }
}

int sections_answer(struct sections *ss, struct bytes text, struct section_transport *t)
{
    struct arena arena;
    struct sdp sdp;

    arena_init(&arena, 4 * SDP_BYTES_MAX);
    int err = sdp_parse(&sdp, text, &arena);
    if (!err && sdp.media_n > ss->n)
        err = E_MISMATCH;
    if (err) {
        arena_fini(&arena);
        return err;
    }
    *t = (struct section_transport){0};
    for (uint32_t i = 0; i < sdp.media_n; i++) {
        const struct sdp_media *m = &sdp.media[i];
        struct section *s = &ss->s[i];
        if (!m->rejected)
            answer_transport(m, t);
        if (s->kind == SECTION_DATA)
            continue;
        s->active = !m->rejected && m->dir != SDP_INACTIVE;
        answer_codecs(s, m);
        if (s->kind == SECTION_RECV && s->active)
            answer_attribution(s, m);
        else
            s->remote_ssrc = s->remote_rtx_ssrc = 0;
    }
    arena_fini(&arena);
    return 0;
}

const struct section_codec *section_sending(const struct section *s)
{
    for (unsigned i = 0; i < s->out_n; i++) {
        if (s->out[i].codec == s->codec)
            return &s->out[i];
    }
    return NULL;
}

const struct section_codec *section_find_pt(const struct section *s, uint8_t pt)
{
    for (unsigned i = 0; i < s->out_n; i++) {
        if (s->out[i].pt == pt)
            return &s->out[i];
    }
    return NULL;
}

bool section_unwrap(const struct section *s, struct rtp_view *v, const uint8_t *p)
{
    if (s->kind != SECTION_RECV || s->remote_rtx_ssrc != v->ssrc || v->payload_len < 2)
        return false;
    for (unsigned k = 0; k < s->out_n; k++) {
        if (s->out[k].rtx_pt != v->pt)
            continue;
        v->pt = s->out[k].pt;
        v->seq = load_u16(p + v->payload_off);
        v->payload_off = (uint16_t)(v->payload_off + 2);
        v->payload_len = (uint16_t)(v->payload_len - 2);
        return true;
    }
    return false;
}

bool section_candidate(const char *init, struct addr *addr, uint32_t *priority)
{
    struct json_doc doc;
    struct bytes line;
    struct candidate cand;

    if (json_parse(&doc, bytes_str(init), 4096))
        return false;
    bool ok = json_to_text(json_member(doc.root, "candidate"), &line) &&
              candidate_parse(&cand, line) == 0 && cand.tcp == CANDIDATE_UDP && !cand.mdns;
    json_close(&doc);
    if (!ok)
        return false;
    *addr = cand.addr;
    *priority = cand.priority;
    return true;
}
