#include "client/messages.h"

#include "base/err.h"
#include "wire/http.h"
#include "wire/pb.h"

#include "livekit_rtc.pb-c.h"

enum { MESSAGES_ARENA_BYTES = 1 << 20 };

static void fill_client_info(Livekit__ClientInfo *info)
{
    livekit__client_info__init(info);
    info->sdk = LIVEKIT__CLIENT_INFO__SDK__CPP;
    info->version = pb_text(SLUICE_VERSION);
    info->protocol = MESSAGES_PROTOCOL;
    info->os = pb_text("linux");
}

static Livekit__AddTrackRequest *add_track(struct arena *a, const struct client_track *t,
                                           const char *cid)
{
    bool video = codec_is_video(t->codec);
    Livekit__AddTrackRequest *r = pb_new(a, &livekit__add_track_request__descriptor);
    Livekit__SimulcastCodec *codec = pb_new(a, &livekit__simulcast_codec__descriptor);
    Livekit__VideoLayer *layer = pb_new(a, &livekit__video_layer__descriptor);
    void **codecs = arena_array(a, 1, sizeof *codecs);
    void **layers = arena_array(a, 1, sizeof *layers);

    if (a->failed)
        return NULL;
    r->cid = pb_text(cid);
    r->name = pb_text(t->name != NULL ? t->name : "");
    r->type = video ? LIVEKIT__TRACK_TYPE__VIDEO : LIVEKIT__TRACK_TYPE__AUDIO;
    r->source =
        video ? t->screen ? LIVEKIT__TRACK_SOURCE__SCREEN_SHARE : LIVEKIT__TRACK_SOURCE__CAMERA
        : t->screen ? LIVEKIT__TRACK_SOURCE__SCREEN_SHARE_AUDIO
                    : LIVEKIT__TRACK_SOURCE__MICROPHONE;
    r->disable_red = !video;
    r->stereo = !video && t->stereo;
    if (!video)
        return r;
    r->width = t->width;
    r->height = t->height;
    layer->quality = LIVEKIT__VIDEO_QUALITY__HIGH;
    layer->width = t->width;
    layer->height = t->height;
    layers[0] = layer;
    r->layers = (Livekit__VideoLayer **)layers;
    r->n_layers = 1;
    codec->codec = arena_dup_str(a, codec_name(t->codec));
    codec->cid = pb_text(cid);
    codecs[0] = codec;
    r->simulcast_codecs = (Livekit__SimulcastCodec **)codecs;
    r->n_simulcast_codecs = 1;
    return codec->codec != NULL ? r : NULL;
}

static int fill_join(struct arena *a, const struct client_cfg *cfg, const struct sections *ss,
                     const char *offer, Livekit__JoinRequest *join)
{
    join->client_info = pb_new(a, &livekit__client_info__descriptor);
    join->connection_settings = pb_new(a, &livekit__connection_settings__descriptor);
    join->publisher_offer = pb_new(a, &livekit__session_description__descriptor);
    join->add_track_requests = arena_array(a, cfg->track_n + 1, sizeof(Livekit__AddTrackRequest *));
    if (a->failed)
        return E_NOMEM;
    fill_client_info(join->client_info);
    join->connection_settings->auto_subscribe = cfg->auto_subscribe;
    join->publisher_offer->type = pb_text("offer");
    join->publisher_offer->sdp = pb_text(offer);
    join->publisher_offer->id = 1;
    for (uint32_t i = 0, t = 0; i < ss->n && t < cfg->track_n; i++) {
        if (ss->s[i].kind != SECTION_SEND)
            continue;
        Livekit__AddTrackRequest *r = add_track(a, &cfg->track[t++], ss->s[i].cid);
        if (r == NULL)
            return E_NOMEM;
        join->add_track_requests[join->n_add_track_requests++] = r;
    }
    return 0;
}

/* JoinRequest -> WrappedJoinRequest -> base64url with padding -> query. */
static int wrap(struct arena *a, const Livekit__JoinRequest *join, struct str *out)
{
    struct str inner, outer, b64;
    Livekit__WrappedJoinRequest *w = pb_new(a, &livekit__wrapped_join_request__descriptor);

    str_init(&inner, CLIENT_MESSAGE_BYTES_MAX);
    str_init(&outer, CLIENT_MESSAGE_BYTES_MAX);
    str_init(&b64, CLIENT_MESSAGE_BYTES_MAX);
    pb_pack(&join->base, &inner);
    if (w != NULL && !inner.failed) {
        w->join_request.data = (uint8_t *)inner.p;
        w->join_request.len = inner.len;
        pb_pack(&w->base, &outer);
        str_add_base64(&b64, str_bytes(&outer), true, true);
        str_add(out, "/rtc/v1?join_request=");
        http_encode(out, str_text(&b64));
    }
    bool ok = w != NULL && !inner.failed && !outer.failed && !b64.failed && !out->failed;
    str_fini(&inner);
    str_fini(&outer);
    str_fini(&b64);
    return ok ? 0 : E_TOO_LARGE;
}

int messages_target(const struct client_cfg *cfg, const struct sections *ss, const char *offer,
                    struct str *out)
{
    struct arena a;

    arena_init(&a, MESSAGES_ARENA_BYTES);
    Livekit__JoinRequest *join = pb_new(&a, &livekit__join_request__descriptor);
    int err = join != NULL ? fill_join(&a, cfg, ss, offer, join) : E_NOMEM;
    if (!err)
        err = wrap(&a, join, out);
    arena_fini(&a);
    return err;
}

int messages_resume(const struct client_cfg *cfg, const char *sid, struct str *out)
{
    struct arena a;
    int err = E_NOMEM;

    arena_init(&a, MESSAGES_ARENA_BYTES);
    Livekit__JoinRequest *join = pb_new(&a, &livekit__join_request__descriptor);
    if (join != NULL)
        join->client_info = pb_new(&a, &livekit__client_info__descriptor);
    if (join != NULL && join->client_info != NULL) {
        join->connection_settings = pb_new(&a, &livekit__connection_settings__descriptor);
        fill_client_info(join->client_info);
        join->reconnect = true;
        join->participant_sid = pb_text(sid);
        if (join->connection_settings != NULL) {
            join->connection_settings->auto_subscribe = cfg->auto_subscribe;
            err = wrap(&a, join, out);
        }
    }
    arena_fini(&a);
    return err;
}

static int pack(const Livekit__SignalRequest *req, struct str *out)
{
    pb_pack(&req->base, out);
    return out->failed ? E_TOO_LARGE : 0;
}

int messages_offer(const char *sdp, uint32_t id, struct str *out)
{
    Livekit__SignalRequest req = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__SessionDescription sd = LIVEKIT__SESSION_DESCRIPTION__INIT;

    sd.type = pb_text("offer");
    sd.sdp = pb_text(sdp);
    sd.id = id;
    req.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER;
    req.offer = &sd;
    return pack(&req, out);
}

int messages_ping(int64_t unix_ms, struct str *out)
{
    Livekit__SignalRequest req = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__Ping ping = LIVEKIT__PING__INIT;

    ping.timestamp = unix_ms;
    req.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ;
    req.ping_req = &ping;
    return pack(&req, out);
}

int messages_mute(const char *sid, bool muted, struct str *out)
{
    Livekit__SignalRequest req = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__MuteTrackRequest mute = LIVEKIT__MUTE_TRACK_REQUEST__INIT;

    mute.sid = pb_text(sid);
    mute.muted = muted;
    req.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_MUTE;
    req.mute = &mute;
    return pack(&req, out);
}

int messages_attribute(const char *name, const char *value, uint32_t id, struct str *out)
{
    Livekit__SignalRequest req = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__UpdateParticipantMetadata up = LIVEKIT__UPDATE_PARTICIPANT_METADATA__INIT;
    Livekit__UpdateParticipantMetadata__AttributesEntry entry =
        LIVEKIT__UPDATE_PARTICIPANT_METADATA__ATTRIBUTES_ENTRY__INIT;
    Livekit__UpdateParticipantMetadata__AttributesEntry *entries[1] = {&entry};

    entry.key = pb_text(name);
    entry.value = pb_text(value);
    up.attributes = entries;
    up.n_attributes = 1;
    up.request_id = id;
    req.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_UPDATE_METADATA;
    req.update_metadata = &up;
    return pack(&req, out);
}

int messages_leave(struct str *out)
{
    Livekit__SignalRequest req = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__LeaveRequest leave = LIVEKIT__LEAVE_REQUEST__INIT;

    leave.reason = LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED;
    req.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_LEAVE;
    req.leave = &leave;
    return pack(&req, out);
}

int messages_track_setting(const char *const *sid, uint32_t n, struct str *out)
{
    Livekit__SignalRequest req = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__UpdateTrackSettings set = LIVEKIT__UPDATE_TRACK_SETTINGS__INIT;

    set.track_sids = (char **)(uintptr_t)sid; /* only packed */
    set.n_track_sids = n;
    set.quality = LIVEKIT__VIDEO_QUALITY__HIGH;
    req.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_TRACK_SETTING;
    req.track_setting = &set;
    return pack(&req, out);
}
