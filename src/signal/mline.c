#include "signal/mline.h"

#include "wire/codec.h"
#include "wire/rtp.h"

enum {
    OFFERED_MAX = 24,
    FMTP_MAX = 256,
    H264_BASELINE = 0x42,
    H264_MAIN = 0x4d,
    H264_HIGH = 0x64,
};

const char *const mline_publish_mimes[] = {"video/VP8",  "video/H264", "video/VP9", "video/AV1",
                                           "video/H265", "audio/opus", "audio/red", "audio/PCMU",
                                           "audio/PCMA", NULL};

/* The payload types of our own offers (livekit-server.md 4.3). */
static const struct own_codec {
    uint8_t pt, rtx_pt;
    enum codec codec;
    uint32_t profile;
    const char *fmtp;
} own_codecs[] = {
    {111, 0, CODEC_OPUS, 0, "minptime=10;useinbandfec=1"},
    {63, 0, CODEC_RED, 0, "111/111"},
    {0, 0, CODEC_PCMU, 0, NULL},
    {8, 0, CODEC_PCMA, 0, NULL},
    {96, 97, CODEC_VP8, 0, NULL},
    {98, 99, CODEC_VP9, 0, "profile-id=0"},
    {100, 101, CODEC_VP9, 1, "profile-id=1"},
    {125, 126, CODEC_H264, 0 << 8 | H264_BASELINE,
     "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"},
    {108, 109, CODEC_H264, 1 << 8 | H264_BASELINE,
     "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
    {123, 124, CODEC_H264, 1 << 8 | H264_HIGH,
     "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032"},
    {35, 36, CODEC_AV1, 0, NULL},
    {116, 117, CODEC_H265, 0, NULL},
};

/* Variants of one codec that are not interchangeable get different numbers. */
static uint32_t profile_of(enum codec codec, const char *fmtp)
{
    struct bytes v;
    uint64_t n = 0;

    if (codec == CODEC_VP9 || codec == CODEC_AV1) {
        v = sdp_fmtp_get(fmtp, codec == CODEC_VP9 ? "profile-id" : "profile");
        (void)str_to_u64(v, 255, &n); /* absent or odd: 0, as the RFCs default */
        return (uint32_t)n;
    }
    if (codec != CODEC_H264)
        return 0;
    v = sdp_fmtp_get(fmtp, "packetization-mode");
    (void)str_to_u64(v, 2, &n); /* absent: 0, RFC 6184 s8.1 */
    uint32_t idc = H264_BASELINE;
    v = sdp_fmtp_get(fmtp, "profile-level-id");
    if (v.len == 6) {
        char hex[3] = {(char)v.p[0], (char)v.p[1], 0};
        uint32_t value = 0;
        for (int i = 0; i < 2; i++) {
            char c = hex[i] | 0x20;
            value = value * 16 + (uint32_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
        }
        idc = value & 0xff;
    }
    return (uint32_t)n << 8 | idc;
}

static bool is_ours(const struct mline_ctx *ctx, enum codec c, uint32_t profile, bool recv)
{
    const struct mline_quirks *q = &ctx->quirks;

    switch (c) {
    case CODEC_OPUS:
    case CODEC_RED:
    case CODEC_PCMU:
    case CODEC_PCMA:
    case CODEC_VP8:
    case CODEC_H265:
        return true;
    case CODEC_VP9:
        return profile <= 1 && !(recv && q->safari_after_18_3);
    case CODEC_AV1:
        return profile == 0 && !q->safari;
    case CODEC_H264:
        if (recv && q->firefox && q->linux_or_android)
            return false;
        if ((profile & 0xff) == H264_HIGH)
            return recv && profile >> 8 == 1;
        if ((profile & 0xff) == H264_MAIN)
            return recv && ctx->broad;
        return (profile & 0xff) == H264_BASELINE && profile >> 8 <= 1;
    default:
        return false;
    }
}

/* A codec of a client's section that is ours too. */
struct shared {
    const struct sdp_codec *sdp, *rtx;
    enum codec codec;
    uint32_t profile;
};

/* RED names the payload type inside: "111/111". */
static uint8_t red_inner(const char *fmtp)
{
    uint64_t pt = 0;
    size_t n = 0;

    if (fmtp == NULL)
        return 0;
    while (fmtp[n] != '\0' && fmtp[n] != '/')
        n++;
    (void)str_to_u64(bytes_of(fmtp, n), 127, &pt); /* odd: 0, not bound to anything */
    return (uint8_t)pt;
}

static uint32_t clock_of(enum codec codec)
{
    return codec == CODEC_RED ? 48000 : codec_rate_hz(codec); /* that of what it wraps */
}

static uint32_t find_shared(const struct mline_ctx *ctx, const struct sdp_media *m, bool recv,
                            struct shared out[OFFERED_MAX])
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->codec_n && n < OFFERED_MAX; i++) {
        const struct sdp_codec *c = &m->codec[i];
        enum codec codec = codec_of_name(bytes_str(c->name), c->clock_hz);
        uint32_t profile = profile_of(codec, c->fmtp);

        if (!is_ours(ctx, codec, profile, recv) ||
            codec_is_video(codec) != (m->kind == SDP_VIDEO) || c->pt > 127 ||
            c->clock_hz != clock_of(codec))
            continue;
        if (codec == CODEC_RED) {
            const struct sdp_codec *inner = sdp_find_pt(m, red_inner(c->fmtp));
            if (inner == NULL || codec_of_name(bytes_str(inner->name), 0) != CODEC_OPUS)
                continue;
        }
        out[n++] = (struct shared){.sdp = c,
                                   .rtx = m->kind == SDP_VIDEO ? sdp_find_rtx(m, c->pt) : NULL,
                                   .codec = codec,
                                   .profile = profile};
    }
    return n;
}

/* ---- writing codecs ---- */

static bool copy_fbs(const struct mline_ctx *ctx, struct sdp_codec *to,
                     const struct sdp_codec *from, const char *const *wanted)
{
    for (; *wanted != NULL; wanted++)
        if ((from == NULL || sdp_has_fb(from, *wanted)) && !sdp_add_fb(ctx->sdp, to, *wanted))
            return false;
    return true;
}

static const char *const fb_audio[] = {"nack", NULL};
static const char *const fb_none[] = {NULL};
static const char *const fb_video_recv[] = {"transport-cc", "ccm fir", "nack", "nack pli", NULL};
static const char *const fb_video_recv_single[] = {"goog-remb", "transport-cc", "ccm fir",
                                                   "nack",      "nack pli",     NULL};
static const char *const fb_video_send[] = {"goog-remb", "ccm fir", "nack", "nack pli", NULL};

/* One codec, and its retransmission, as the offer numbers them. */
static struct sdp_codec *put_codec(const struct mline_ctx *ctx, struct sdp_media *out,
                                   const struct shared *s, const char *fmtp, const char *const *fbs)
{
    struct sdp_codec *c = sdp_add_codec(ctx->sdp, out);

    if (c == NULL)
        return NULL;
    c->pt = s->sdp->pt;
    c->name = s->sdp->name;
    c->clock_hz = s->sdp->clock_hz;
    c->channels = s->sdp->channels;
    c->fmtp = fmtp;
    if (!copy_fbs(ctx, c, s->sdp, fbs))
        return NULL;
    if (s->rtx == NULL)
        return c;
    struct sdp_codec *rtx = sdp_add_codec(ctx->sdp, out);
    if (rtx == NULL)
        return NULL;
    rtx->pt = s->rtx->pt;
    rtx->name = "rtx";
    rtx->clock_hz = s->rtx->clock_hz;
    rtx->fmtp = s->rtx->fmtp;
    return sdp_find_pt(out, s->sdp->pt); /* adding may have moved it */
}

static bool has_feature(const Livekit__TrackInfo *info, Livekit__AudioTrackFeature f)
{
    for (size_t i = 0; i < info->n_audio_features; i++)
        if (info->audio_features[i] == f)
            return true;
    return false;
}

/* The offer's parameters without one of them. */
static void fmtp_without(struct str *out, const char *fmtp, const char *key)
{
    size_t key_n = strlen(key);
    const char *p = fmtp;

    while (*p != '\0') {
        size_t n = strcspn(p, ";");
        const char *word = p + strspn(p, " ");
        size_t word_n = (size_t)(p + n - word);
        bool same = word_n >= key_n && memcmp(word, key, key_n) == 0 &&
                    (word_n == key_n || word[key_n] == '=');
        if (!same && word_n > 0) {
            if (out->len > 0)
                str_add_char(out, ';');
            str_add_bytes(out, bytes_of(word, word_n));
        }
        p += n + (p[n] == ';');
    }
}

/* What the publisher shall do: discontinuous transmission, stereo (section 4.6). */
static const char *opus_fmtp(struct arena *a, const char *offered, const Livekit__TrackInfo *info)
{
    struct str one, two;
    const char *ret;

    if (offered == NULL || info == NULL)
        return offered;
    str_init(&one, FMTP_MAX);
    str_init(&two, FMTP_MAX);
    fmtp_without(&one, offered, "usedtx");
    fmtp_without(&two, str_text(&one), "stereo");
    if (!has_feature(info, LIVEKIT__AUDIO_TRACK_FEATURE__TF_NO_DTX))
        str_add(&two, ";usedtx=1");
    if (has_feature(info, LIVEKIT__AUDIO_TRACK_FEATURE__TF_STEREO))
        str_add(&two, ";stereo=1;maxaveragebitrate=510000");
    ret = two.failed ? offered : arena_dup_str(a, str_text(&two));
    str_fini(&one);
    str_fini(&two);
    return ret;
}

/* ---- extensions ---- */

static const enum rtp_ext ext_audio_recv[] = {RTP_EXT_MID, RTP_EXT_RID, RTP_EXT_AUDIO_LEVEL,
                                              RTP_EXT_ABS_CAPTURE_TIME, RTP_EXT_N};
static const enum rtp_ext ext_video_recv[] = {RTP_EXT_MID,
                                              RTP_EXT_RID,
                                              RTP_EXT_TWCC,
                                              RTP_EXT_FRAME_MARKING,
                                              RTP_EXT_REPAIRED_RID,
                                              RTP_EXT_DEPENDENCY_DESCRIPTOR,
                                              RTP_EXT_ABS_CAPTURE_TIME,
                                              RTP_EXT_N};
static const enum rtp_ext ext_remb[] = {RTP_EXT_ABS_SEND_TIME, RTP_EXT_N};
static const enum rtp_ext ext_audio_send[] = {RTP_EXT_MID, RTP_EXT_ABS_CAPTURE_TIME, RTP_EXT_N};
static const enum rtp_ext ext_playout[] = {RTP_EXT_PLAYOUT_DELAY, RTP_EXT_N};
static const enum rtp_ext ext_video_send[] = {RTP_EXT_MID, RTP_EXT_ABS_SEND_TIME,
                                              RTP_EXT_ABS_CAPTURE_TIME, RTP_EXT_N};

/* Agreed to in sections that we send in, though we do not write them (the dependency descriptor
 * but for what forwards_dd() says): Chromium offers for its next sections only what was
 * negotiated before, and its own publications need these. */
static const enum rtp_ext ext_audio_agreed[] = {RTP_EXT_AUDIO_LEVEL, RTP_EXT_TWCC, RTP_EXT_N};
static const enum rtp_ext ext_video_agreed[] = {RTP_EXT_TWCC, RTP_EXT_RID, RTP_EXT_REPAIRED_RID,
                                                RTP_EXT_DEPENDENCY_DESCRIPTOR, RTP_EXT_N};

static int put_exts(const struct mline_ctx *ctx, struct sdp_media *out,
                    const struct sdp_media *offer, const enum rtp_ext *wanted,
                    struct rtp_ext_ids *ids)
{
    for (; *wanted != RTP_EXT_N; wanted++) {
        const struct sdp_ext *e = sdp_find_ext(offer, rtp_ext_uri(*wanted));
        if (e == NULL || e->id == 0 || e->id > 255)
            continue;
        if (!sdp_add_ext(ctx->sdp, out, e->id, e->uri))
            return E_NOMEM;
        ids->id[*wanted] = (uint8_t)e->id;
    }
    return 0;
}

/* ---- a section that the client sends on ---- */

/* A dependency descriptor counts the frames of one stream: it goes through as it is where no other
 * stream can take over, and where the payload alone does not say which layer a packet is of. */
static bool forwards_dd(const struct pub *p)
{
    if (p == NULL || !p->video || p->layer_n != 1 || p->codec_n == 0)
        return false;
    return p->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] != 0 &&
           (p->codec[0].c.codec == CODEC_AV1 || p->codec[0].c.codec == CODEC_VP9);
}

/* `p` NULL: nothing is sent at present. */
static int put_send_exts(const struct mline_ctx *ctx, struct sdp_media *out,
                         const struct sdp_media *offer, const struct pub *p,
                         struct rtp_ext_ids *ids)
{
    bool video = offer->kind == SDP_VIDEO;
    struct rtp_ext_ids unwritten = {{0}};

    int err = put_exts(ctx, out, offer, video ? ext_video_send : ext_audio_send, ids);
    if (err == 0 && video && ctx->playout_delay)
        err = put_exts(ctx, out, offer, ext_playout, ids);
    if (err != 0)
        return err;
    err = put_exts(ctx, out, offer, video ? ext_video_agreed : ext_audio_agreed, &unwritten);
    if (err == 0 && forwards_dd(p))
        ids->id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = unwritten.id[RTP_EXT_DEPENDENCY_DESCRIPTOR];
    return err;
}

static int rid_place(const char *rid)
{
    if (rid[0] == '\0' || rid[1] != '\0')
        return -1;
    switch (rid[0]) {
    case 'q':
    case '2':
        return 0;
    case 'h':
    case '1':
        return 1;
    case 'f':
    case '0':
        return 2;
    default:
        return -1;
    }
}

/* LiveKit's clients name their layers; everybody else lists them, the best first (RFC 8853 s5.2).
 */
static bool rids_are_named(const struct sdp_media *offer)
{
    for (uint32_t i = 0; i < offer->rid_n; i++)
        if (offer->rid[i].send && rid_place(offer->rid[i].id) < 0)
            return false;
    return true;
}

/* The data plane counts layers from the lowest, without gaps. */
static void rank_layers(struct mline_media *media)
{
    for (uint32_t i = 1; i < media->layer_n; i++)
        for (uint32_t j = i; j > 0 && media->layer[j].spatial < media->layer[j - 1].spatial; j--) {
            struct cmd_layer t = media->layer[j];
            media->layer[j] = media->layer[j - 1];
            media->layer[j - 1] = t;
        }
    for (uint32_t i = 0; i < media->layer_n; i++)
        media->layer[i].spatial = (uint8_t)i;
}

static void layers_by_rid(const struct sdp_media *offer, bool broad, struct mline_media *media)
{
    bool listed = broad && !rids_are_named(offer);
    uint32_t n = 0;

    for (uint32_t i = 0; i < offer->rid_n; i++)
        n += offer->rid[i].send;
    n = u32_min(n, CMD_LAYERS_MAX);
    for (uint32_t i = 0; i < offer->rid_n && media->layer_n < CMD_LAYERS_MAX; i++) {
        const struct sdp_rid *rid = &offer->rid[i];
        struct cmd_layer *l = &media->layer[media->layer_n];
        int place = rid_place(rid->id);

        if (!rid->send || !str_copy(l->rid, sizeof l->rid, bytes_str(rid->id)))
            continue;
        uint32_t at = place >= 0 ? (uint32_t)place : media->layer_n;
        if (listed)
            at = n - 1 - u32_min(rid->simulcast ? rid->simulcast_pos : media->layer_n, n - 1);
        l->spatial = (uint8_t)at;
        media->layer_n++;
    }
    rank_layers(media);
}

static uint32_t group_partner(const struct sdp_media *m, const char *semantics, uint32_t ssrc)
{
    for (uint32_t i = 0; i < m->group_n; i++)
        if (strcmp(m->group[i].semantics, semantics) == 0 && m->group[i].n >= 2 &&
            m->group[i].ssrc[0] == ssrc)
            return m->group[i].ssrc[1];
    return 0;
}

static void layers_by_ssrc(const struct sdp_media *offer, struct mline_media *media)
{
    uint32_t first[CMD_LAYERS_MAX] = {0};
    uint32_t n = 0;

    for (uint32_t i = 0; i < offer->group_n && n == 0; i++) {
        const struct sdp_ssrc_group *g = &offer->group[i];
        for (uint32_t k = 0; strcmp(g->semantics, "SIM") == 0 && k < g->n && n < CMD_LAYERS_MAX;
             k++)
            first[n++] = g->ssrc[k];
    }
    if (n == 0 && offer->ssrc_n > 0)
        first[n++] = offer->ssrc[0].ssrc;
    for (uint32_t i = 0; i < n; i++)
        media->layer[i] = (struct cmd_layer){.ssrc = first[i],
                                             .rtx_ssrc = group_partner(offer, "FID", first[i]),
                                             .spatial = (uint8_t)i};
    media->layer_n = n != 0 ? n : 1; /* without either: learnt from the packets */
}

uint32_t mline_layers(const struct sdp_media *offer, bool broad,
                      struct cmd_layer layer[CMD_LAYERS_MAX])
{
    struct mline_media media = {0};

    layers_by_rid(offer, broad, &media);
    if (media.layer_n == 0)
        layers_by_ssrc(offer, &media);
    memcpy(layer, media.layer, sizeof media.layer);
    return media.layer_n;
}

static bool wants_red(const Livekit__TrackInfo *info)
{
    return info == NULL ||
           (!info->disable_red && info->encryption == LIVEKIT__ENCRYPTION__TYPE__NONE);
}

/* Lower comes first in the answer; the offer's order decides among equals. */
static int preference(const struct shared *s, const Livekit__TrackInfo *info, enum codec wanted)
{
    if (s->codec == CODEC_RED)
        return wants_red(info) ? -1 : 2;
    if (wanted != CODEC_NONE)
        return s->codec == wanted ? 0 : 1;
    return 0;
}

static void sort_shared(struct shared *s, uint32_t n, const Livekit__TrackInfo *info)
{
    enum codec wanted = info != NULL && info->n_codecs > 0
                            ? codec_of_mime(bytes_str(info->codecs[0]->mime_type))
                            : CODEC_NONE;

    if (wanted == CODEC_RED)
        wanted = CODEC_OPUS;
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t j = i;
             j > 0 && preference(&s[j], info, wanted) < preference(&s[j - 1], info, wanted); j--) {
            struct shared t = s[j];
            s[j] = s[j - 1];
            s[j - 1] = t;
        }
}

static void describe(struct pub_codec *to, const struct sdp_codec *c, const struct shared *s)
{
    *to = (struct pub_codec){
        .c = {.pt = c->pt,
              .codec = (uint8_t)s->codec,
              .rtx_pt = s->rtx != NULL ? s->rtx->pt : 0,
              .red_pt = s->codec == CODEC_RED ? red_inner(s->sdp->fmtp) : 0,
              .nack = sdp_has_fb(c, "nack"),
              .pli = sdp_has_fb(c, "nack pli"),
              .fir = sdp_has_fb(c, "ccm fir"),
              .twcc = sdp_has_fb(c, "transport-cc"),
              .remb = sdp_has_fb(c, "goog-remb"),
              .clock_hz = c->clock_hz},
        .profile = s->profile,
    };
}

static int answer_rids(const struct mline_ctx *ctx, struct sdp_media *out,
                       const struct sdp_media *offer)
{
    for (uint32_t i = 0; i < offer->rid_n; i++) {
        const struct sdp_rid *rid = &offer->rid[i];
        if (!rid->send)
            continue;
        struct sdp_rid *r = sdp_add_rid(ctx->sdp, out, rid->id);
        if (r == NULL)
            return E_NOMEM;
        r->simulcast = rid->simulcast;
        r->simulcast_pos = rid->simulcast_pos;
    }
    return 0;
}

static int put_recv_codecs(const struct mline_ctx *ctx, struct sdp_media *out,
                           const struct sdp_media *offer, const Livekit__TrackInfo *info,
                           struct mline_media *media)
{
    struct shared s[OFFERED_MAX];
    uint32_t n = find_shared(ctx, offer, true, s);
    bool red = false;

    if (n == 0)
        return E_UNSUPPORTED;
    sort_shared(s, n, info);
    if (info != NULL && offer->kind == SDP_VIDEO && ctx->quirks.firefox &&
        ctx->quirks.linux_or_android && info->n_codecs > 0 &&
        codec_of_mime(bytes_str(info->codecs[0]->mime_type)) == s[0].codec)
        while (n > 1 && s[n - 1].codec != s[0].codec)
            n--; /* it takes the first it likes, not ours: leave only what is wanted */
    for (uint32_t i = 0; i < n; i++)
        red |= s[i].codec == CODEC_RED;
    red = red && wants_red(info);
    const char *const *fbs = offer->kind == SDP_VIDEO
                                 ? ctx->single ? fb_video_recv_single : fb_video_recv
                             : red ? fb_none /* RED repairs by itself */
                                   : fb_audio;
    for (uint32_t i = 0; i < n; i++) {
        const char *fmtp = s[i].sdp->fmtp;
        if (s[i].codec == CODEC_OPUS)
            fmtp = opus_fmtp(ctx->sdp->arena, fmtp, info);
        const struct sdp_codec *c = put_codec(ctx, out, &s[i], fmtp, fbs);
        if (c == NULL)
            return E_NOMEM;
        if (media->codec_n < CMD_CODECS_MAX)
            describe(&media->codec[media->codec_n++], c, &s[i]);
    }
    media->red = red && s[0].codec == CODEC_RED;
    return 0;
}

int mline_answer_recv(const struct mline_ctx *ctx, struct sdp_media *out,
                      const struct sdp_media *offer, const Livekit__TrackInfo *info,
                      struct mline_media *media)
{
    *media = (struct mline_media){0};
    int err = put_recv_codecs(ctx, out, offer, info, media);
    if (err != 0)
        return err;
    err = put_exts(ctx, out, offer, offer->kind == SDP_VIDEO ? ext_video_recv : ext_audio_recv,
                   &media->ext);
    if (err == 0 && ctx->single && offer->kind == SDP_VIDEO) /* else transport-cc alone */
        err = put_exts(ctx, out, offer, ext_remb, &media->ext);
    if (err == 0)
        err = answer_rids(ctx, out, offer);
    media->layer_n = mline_layers(offer, ctx->broad, media->layer);
    out->dir = SDP_RECVONLY;
    return err;
}

/* ---- a section that we send on ---- */

static bool takes_red(const struct mline_ctx *ctx)
{
    return !ctx->quirks.firefox && !ctx->quirks.safari;
}

static const struct shared *best_match(const struct shared *s, uint32_t n, enum codec codec,
                                       uint32_t profile)
{
    const struct shared *near = NULL;

    for (uint32_t i = 0; i < n; i++) {
        if (s[i].codec != codec)
            continue;
        if (s[i].profile == profile)
            return &s[i];
        if (near == NULL && codec == CODEC_H264 && s[i].profile >> 8 == profile >> 8)
            near = &s[i];
    }
    return near;
}

/* For each codec of the publication: which of the section's payload types carries it. */
static uint32_t match_all(const struct mline_ctx *ctx, const struct pub *p, const struct shared *s,
                          uint32_t n, const struct shared **match, struct mline_map *map)
{
    const struct shared *opus = best_match(s, n, CODEC_OPUS, 0);

    map->pt_n = 0;
    map->rtx = false;
    for (uint32_t i = 0; i < p->codec_n && map->pt_n < CMD_CODECS_MAX; i++) {
        const struct pub_codec *pc = &p->codec[i];
        const struct shared *m = best_match(s, n, (enum codec)pc->c.codec, pc->profile);
        bool unred = false;

        if (pc->c.codec == CODEC_RED && (m == NULL || !takes_red(ctx))) {
            m = opus;
            unred = true;
        }
        if (m == NULL)
            continue;
        match[map->pt_n] = m;
        map->pt[map->pt_n++] = (struct cmd_pt_map){.in_pt = pc->c.pt,
                                                   .out_pt = m->sdp->pt,
                                                   .out_rtx_pt = m->rtx != NULL ? m->rtx->pt : 0,
                                                   .unred = unred};
        map->rtx |= m->rtx != NULL;
    }
    return map->pt_n;
}

int mline_map(const struct mline_ctx *ctx, const struct sdp_media *remote, const struct pub *p,
              struct mline_map *map)
{
    struct shared s[OFFERED_MAX];
    const struct shared *match[CMD_CODECS_MAX];
    uint32_t n = find_shared(ctx, remote, false, s);

    if ((remote->kind == SDP_VIDEO) != p->video)
        return E_UNSUPPORTED;
    return match_all(ctx, p, s, n, match, map) > 0 ? 0 : E_UNSUPPORTED;
}

/* A publisher's word that goes into other people's descriptions. */
static bool is_word(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((uint8_t)*p <= ' ' || (uint8_t)*p >= 0x7f || *p == '|')
            return false;
    return *text != '\0';
}

bool mline_stream_of(const struct sub *s, bool sync_streams, char *out, size_t cap)
{
    const Livekit__TrackInfo *info = s->pub->info;
    struct wr w = wr_of((uint8_t *)out, cap);

    if (sync_streams && !is_word(info->stream))
        return false;
    wr_bytes(&w, bytes_str(s->pub->member->sid));
    wr_u8(&w, '|');
    wr_bytes(&w, bytes_str(sync_streams ? info->stream : info->sid));
    wr_u8(&w, 0);
    return wr_ok(&w);
}

/* a=msid, and the ssrc lines with their group (section 4.5). */
static int put_msid(const struct mline_ctx *ctx, struct sdp_media *out, const struct sub *s)
{
    struct arena *a = ctx->sdp->arena;
    const char *track = arena_dup_str(a, s->pub->info->sid);
    struct sdp_ssrc *line;
    char text[MLINE_STREAM_MAX];

    if (!mline_stream_of(s, ctx->sync_streams, text, sizeof text))
        (void)mline_stream_of(s, false, text, sizeof text); /* always fits */
    const char *stream = arena_dup_str(a, text);
    if (track == NULL || stream == NULL || !sdp_add_msid(ctx->sdp, out, stream, track))
        return E_NOMEM;
    if (s->rtx_ssrc != 0) {
        struct sdp_ssrc_group *g = sdp_add_group(ctx->sdp, out, "FID");
        if (g == NULL)
            return E_NOMEM;
        g->ssrc[0] = s->ssrc;
        g->ssrc[1] = s->rtx_ssrc;
        g->n = 2;
    }
    const uint32_t both[2] = {s->ssrc, s->rtx_ssrc};
    for (int i = 0; i < 2; i++) {
        if (both[i] == 0)
            continue;
        if ((line = sdp_add_ssrc(ctx->sdp, out, both[i])) == NULL)
            return E_NOMEM;
        line->cname = line->stream = stream;
        line->track = track;
    }
    out->dir = SDP_SENDONLY;
    return 0;
}

int mline_answer_send(const struct mline_ctx *ctx, struct sdp_media *out,
                      const struct sdp_media *offer, const struct sub *s, struct mline_map *map)
{
    struct shared sh[OFFERED_MAX];
    const struct shared *match[CMD_CODECS_MAX];
    uint32_t n = find_shared(ctx, offer, false, sh);

    *map = (struct mline_map){0};
    if ((offer->kind == SDP_VIDEO) != s->pub->video ||
        match_all(ctx, s->pub, sh, n, match, map) == 0)
        return E_UNSUPPORTED;
    for (uint32_t i = 0; i < map->pt_n; i++) {
        if (sdp_find_pt(out, match[i]->sdp->pt) != NULL)
            continue; /* RED and Opus that both go out as Opus */
        const char *const *fbs = offer->kind == SDP_VIDEO       ? fb_video_send
                                 : match[i]->codec == CODEC_RED ? fb_none
                                                                : fb_audio;
        if (put_codec(ctx, out, match[i], match[i]->sdp->fmtp, fbs) == NULL)
            return E_NOMEM;
    }
    int err = put_send_exts(ctx, out, offer, s->pub, &map->ext);
    return err != 0 ? err : put_msid(ctx, out, s);
}

static int put_all_shared(const struct mline_ctx *ctx, struct sdp_media *out,
                          const struct sdp_media *offer, struct rtp_ext_ids *ids)
{
    struct shared s[OFFERED_MAX];
    uint32_t n = find_shared(ctx, offer, false, s);

    *ids = (struct rtp_ext_ids){{0}};
    out->dir = SDP_INACTIVE;
    for (uint32_t i = 0; i < n; i++)
        if (put_codec(ctx, out, &s[i], s[i].sdp->fmtp,
                      offer->kind == SDP_VIDEO ? fb_video_send : fb_audio) == NULL)
            return E_NOMEM;
    if (n == 0) {
        out->rejected = true;
        out->port = 0;
        return 0;
    }
    return put_send_exts(ctx, out, offer, NULL, ids);
}

int mline_idle(const struct mline_ctx *ctx, struct sdp_media *out, const struct sdp_media *offer)
{
    struct rtp_ext_ids ids;

    return put_all_shared(ctx, out, offer, &ids);
}

/* The other side learns the ssrc from what comes (RFC 8843 s9.2), so that it may change. */
static int stand(const struct mline_ctx *ctx, struct sdp_media *out)
{
    const char *track = arena_printf(ctx->sdp->arena, "%s-%s", ctx->stream,
                                     out->kind == SDP_VIDEO ? "video" : "audio");

    out->dir = SDP_SENDONLY;
    return track != NULL && sdp_add_msid(ctx->sdp, out, ctx->stream, track) ? 0 : E_NOMEM;
}

int mline_standing(const struct mline_ctx *ctx, struct sdp_media *out,
                   const struct sdp_media *offer, struct rtp_ext_ids *ids)
{
    int err = put_all_shared(ctx, out, offer, ids);

    return err != 0 || out->rejected ? err : stand(ctx, out);
}

/* ---- our own offers (two connections) ---- */

static bool pub_has(const struct pub *p, const struct own_codec *o)
{
    for (uint32_t i = 0; i < p->codec_n; i++) {
        enum codec c = (enum codec)p->codec[i].c.codec;
        if (c == o->codec && (c != CODEC_VP9 || p->codec[i].profile == o->profile))
            return true;
        if (c == CODEC_RED && o->codec == CODEC_OPUS)
            return true;
    }
    return false;
}

static int put_own_codec(const struct mline_ctx *ctx, struct sdp_media *out,
                         const struct own_codec *o, const char *fmtp)
{
    struct sdp_codec *c = sdp_add_codec(ctx->sdp, out);

    if (c == NULL)
        return E_NOMEM;
    c->pt = o->pt;
    c->name = codec_name(o->codec);
    c->clock_hz = clock_of(o->codec);
    c->channels = o->codec == CODEC_OPUS || o->codec == CODEC_RED ? 2 : 0;
    c->fmtp = fmtp;
    if (!copy_fbs(ctx, c, NULL, out->kind == SDP_VIDEO ? fb_video_send : fb_audio))
        return E_NOMEM;
    if (o->rtx_pt == 0)
        return 0;
    struct sdp_codec *rtx = sdp_add_codec(ctx->sdp, out);
    if (rtx == NULL)
        return E_NOMEM;
    rtx->pt = o->rtx_pt;
    rtx->name = "rtx";
    rtx->clock_hz = 90000;
    rtx->fmtp = arena_printf(ctx->sdp->arena, "apt=%u", o->pt);
    return rtx->fmtp != NULL ? 0 : E_NOMEM;
}

/* One numbering for the whole connection; the subscriber's has no mid (section 4.4). */
static const struct {
    enum rtp_ext ext;
    uint8_t id;
    bool video_only;
} own_exts[] = {
    {RTP_EXT_ABS_SEND_TIME, 2, true},
    {RTP_EXT_ABS_CAPTURE_TIME, 3, false},
    {RTP_EXT_PLAYOUT_DELAY, 4, true},
    {RTP_EXT_DEPENDENCY_DESCRIPTOR, 5, true},
};

static bool offers_ext(const struct mline_ctx *ctx, const struct pub *p, enum rtp_ext ext)
{
    if (ext == RTP_EXT_PLAYOUT_DELAY)
        return ctx->playout_delay;
    return ext != RTP_EXT_DEPENDENCY_DESCRIPTOR || forwards_dd(p);
}

static int put_own_exts(const struct mline_ctx *ctx, struct sdp_media *out, const struct pub *p)
{
    for (size_t i = 0; i < ARRAY_LEN(own_exts); i++)
        if ((out->kind == SDP_VIDEO || !own_exts[i].video_only) &&
            offers_ext(ctx, p, own_exts[i].ext) &&
            !sdp_add_ext(ctx->sdp, out, own_exts[i].id, rtp_ext_uri(own_exts[i].ext)))
            return E_NOMEM;
    return 0;
}

/* `p` NULL: everything that we know; in sections that carry nothing H264 is named once. */
static int put_own(const struct mline_ctx *ctx, struct sdp_media *out, const struct pub *p)
{
    bool stereo =
        p != NULL && !p->video && has_feature(p->info, LIVEKIT__AUDIO_TRACK_FEATURE__TF_STEREO);
    int err = 0;

    for (size_t i = 0; err == 0 && i < ARRAY_LEN(own_codecs); i++) {
        const struct own_codec *o = &own_codecs[i];
        const char *fmtp = o->fmtp;
        if (codec_is_video(o->codec) != (out->kind == SDP_VIDEO) ||
            (p != NULL ? !pub_has(p, o) : o->profile >> 8 == 1 && ctx->stream == NULL) ||
            (o->codec == CODEC_H264 && (o->profile & 0xff) == H264_HIGH) ||
            (o->codec == CODEC_AV1 && ctx->quirks.safari) ||
            (o->codec == CODEC_RED && !takes_red(ctx)))
            continue;
        if (o->codec == CODEC_OPUS && stereo)
            fmtp = "minptime=10;useinbandfec=1;sprop-stereo=1";
        if (o->codec == CODEC_OPUS && ctx->stream != NULL)
            fmtp = "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1";
        err = put_own_codec(ctx, out, o, fmtp);
    }
    return err != 0 ? err : put_own_exts(ctx, out, p);
}

int mline_offer_send(const struct mline_ctx *ctx, struct sdp_media *out, const struct sub *s)
{
    int err = put_own(ctx, out, s->pub);
    return err != 0 ? err : put_msid(ctx, out, s);
}

int mline_offer_idle(const struct mline_ctx *ctx, struct sdp_media *out)
{
    out->dir = SDP_INACTIVE;
    return put_own(ctx, out, NULL);
}

int mline_offer_standing(const struct mline_ctx *ctx, struct sdp_media *out)
{
    int err = put_own(ctx, out, NULL);

    return err != 0 ? err : stand(ctx, out);
}

int mline_accept(const struct mline_ctx *ctx, const struct sdp_media *answer, const struct sub *s,
                 struct mline_map *map)
{
    *map = (struct mline_map){0};
    if (answer->rejected || (answer->dir & SDP_RECVONLY) == 0)
        return E_UNSUPPORTED;
    for (size_t i = 0; i < ARRAY_LEN(own_exts); i++) {
        const struct sdp_ext *e = sdp_find_ext(answer, rtp_ext_uri(own_exts[i].ext));
        if (e != NULL && e->id == own_exts[i].id)
            map->ext.id[own_exts[i].ext] = own_exts[i].id;
    }
    return mline_map(ctx, answer, s->pub, map);
}

const char *mline_track_of(const struct sdp_media *m)
{
    if (m->msid_n > 0 && m->msid[0].track != NULL)
        return m->msid[0].track;
    for (uint32_t i = 0; i < m->ssrc_n; i++)
        if (m->ssrc[i].track != NULL)
            return m->ssrc[i].track;
    return "";
}
