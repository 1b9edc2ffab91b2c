#include "api/ingress_check.h"

#include "api/ingress.h"

#include <stdarg.h>
#include <stdio.h>

#define VIDEO      "invalid video parameters: "
#define AUDIO      "invalid audio parameters: "
#define INGRESS    "invalid ingress: "
#define BYPASS     "invalid transcoding bypass configuration: "
#define SIZE_LIMIT 8192 /* pixels a side; chosen: what H.264 level 6 and our encoders take */

static bool wrong(struct ingress_check_why *why, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool wrong(struct ingress_check_why *why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why->text, sizeof why->text, fmt, ap); /* may be cut */
    va_end(ap);
    return false;
}

/* ---- video ---- */

static bool check_layers(const Livekit__IngressVideoEncodingOptions *o,
                         struct ingress_check_why *why)
{
    const Livekit__VideoLayer *by_quality[3] = {NULL}; /* LOW, MEDIUM, HIGH */
    uint32_t w = 0, h = 0;

    if (o->n_layers > INGRESS_CHECK_LAYERS_MAX)
        return wrong(why, VIDEO "more than %d layers", INGRESS_CHECK_LAYERS_MAX);
    for (size_t i = 0; i < o->n_layers; i++) {
        const Livekit__VideoLayer *l = o->layers[i];
        if (l->width == 0 || l->height == 0)
            return wrong(why, VIDEO "invalid output media dimensions");
        if (l->width % 2 == 1)
            return wrong(why, INGRESS "layer width must be even");
        if (l->height % 2 == 1)
            return wrong(why, INGRESS "layer height must be even");
        if (l->width > SIZE_LIMIT || l->height > SIZE_LIMIT)
            return wrong(why, VIDEO "a layer may have %d pixels a side", SIZE_LIMIT);
        if ((unsigned)l->quality > LIVEKIT__VIDEO_QUALITY__HIGH)
            return wrong(why, VIDEO "invalid layer quality");
        if (by_quality[l->quality] != NULL)
            return wrong(why, VIDEO "more than one layer with the same quality level");
        by_quality[l->quality] = l;
    }
    for (size_t q = 0; q < ARRAY_LEN(by_quality); q++) {
        if (by_quality[q] == NULL)
            continue;
        if (by_quality[q]->height < h)
            return wrong(why, VIDEO "video layers do not have increasing height with increasing "
                                    "quality");
        if (by_quality[q]->width < w)
            return wrong(why,
                         VIDEO "video layers do not have increasing width with increasing quality");
        w = by_quality[q]->width;
        h = by_quality[q]->height;
    }
    return true;
}

static bool check_video_options(const Livekit__IngressVideoEncodingOptions *o,
                                struct ingress_check_why *why)
{
    if (o == NULL)
        return wrong(why, VIDEO "empty options");
    if (!(o->frame_rate >= 0)) /* no number neither */
        return wrong(why, VIDEO "invalid framerate");
    if (o->video_codec != LIVEKIT__VIDEO_CODEC__DEFAULT_VC &&
        o->video_codec != LIVEKIT__VIDEO_CODEC__H264_BASELINE &&
        o->video_codec != LIVEKIT__VIDEO_CODEC__VP8)
        return wrong(why, VIDEO "video codec unsupported");
    return check_layers(o, why);
}

static bool check_video(const Livekit__IngressVideoOptions *v, struct ingress_check_why *why)
{
    if (v == NULL)
        return true;
    if (strlen(v->name) > INGRESS_TEXT_MAX)
        return wrong(why, VIDEO "the name is longer than %d bytes", INGRESS_TEXT_MAX);
    if (v->source != LIVEKIT__TRACK_SOURCE__UNKNOWN && v->source != LIVEKIT__TRACK_SOURCE__CAMERA &&
        v->source != LIVEKIT__TRACK_SOURCE__SCREEN_SHARE)
        return wrong(why, VIDEO "invalid track source");
    if (v->encoding_options_case == LIVEKIT__INGRESS_VIDEO_OPTIONS__ENCODING_OPTIONS_OPTIONS)
        return check_video_options(v->options, why);
    if (v->encoding_options_case == LIVEKIT__INGRESS_VIDEO_OPTIONS__ENCODING_OPTIONS_PRESET &&
        pb_enum_name(&livekit__ingress_video_encoding_preset__descriptor, (int)v->preset)[0] ==
            '\0')
        return wrong(why, VIDEO "invalid preset");
    return true;
}

/* ---- audio ---- */

static bool check_audio_options(const Livekit__IngressAudioEncodingOptions *o,
                                struct ingress_check_why *why)
{
    if (o == NULL)
        return wrong(why, AUDIO "empty options");
    if (o->audio_codec != LIVEKIT__AUDIO_CODEC__DEFAULT_AC &&
        o->audio_codec != LIVEKIT__AUDIO_CODEC__OPUS)
        return wrong(why, AUDIO "audio codec unsupported");
    return o->channels <= 2 || wrong(why, AUDIO "invalid audio channel count");
}

static bool check_audio(const Livekit__IngressAudioOptions *a, struct ingress_check_why *why)
{
    if (a == NULL)
        return true;
    if (strlen(a->name) > INGRESS_TEXT_MAX)
        return wrong(why, AUDIO "the name is longer than %d bytes", INGRESS_TEXT_MAX);
    if (a->source != LIVEKIT__TRACK_SOURCE__UNKNOWN &&
        a->source != LIVEKIT__TRACK_SOURCE__MICROPHONE &&
        a->source != LIVEKIT__TRACK_SOURCE__SCREEN_SHARE_AUDIO)
        return wrong(why, AUDIO "invalid track source");
    if (a->encoding_options_case == LIVEKIT__INGRESS_AUDIO_OPTIONS__ENCODING_OPTIONS_OPTIONS)
        return check_audio_options(a->options, why);
    if (a->encoding_options_case == LIVEKIT__INGRESS_AUDIO_OPTIONS__ENCODING_OPTIONS_PRESET &&
        pb_enum_name(&livekit__ingress_audio_encoding_preset__descriptor, (int)a->preset)[0] ==
            '\0')
        return wrong(why, AUDIO "invalid preset");
    return true;
}

/* ---- the whole ---- */

static bool transcoded(const Livekit__IngressInfo *info)
{
    if (info->_enable_transcoding_case ==
        LIVEKIT__INGRESS_INFO___ENABLE_TRANSCODING_ENABLE_TRANSCODING)
        return info->enable_transcoding;
    return info->input_type != LIVEKIT__INGRESS_INPUT__WHIP_INPUT;
}

/* What is passed through is encoded by the publisher. */
static bool check_transcoding(const Livekit__IngressInfo *info, struct ingress_check_why *why)
{
    if (transcoded(info))
        return true;
    if (info->video != NULL && info->video->encoding_options_case != 0)
        return wrong(why, BYPASS "video encoding options must be empty if transcoding is disabled");
    if (info->audio != NULL && info->audio->encoding_options_case != 0)
        return wrong(why, BYPASS "audio encoding options must be empty if transcoding is disabled");
    return true;
}

static bool check_source(const Livekit__IngressInfo *info, struct ingress_check_why *why)
{
    bool enabled = info->_enabled_case != LIVEKIT__INGRESS_INFO___ENABLED_ENABLED || info->enabled;

    switch (info->input_type) {
    case LIVEKIT__INGRESS_INPUT__RTMP_INPUT:
    case LIVEKIT__INGRESS_INPUT__WHIP_INPUT:
        return info->stream_key[0] != '\0' || wrong(why, INGRESS "no stream key");
    case LIVEKIT__INGRESS_INPUT__URL_INPUT:
        if (info->url[0] == '\0')
            return wrong(why, INGRESS "no source URL");
        return enabled || wrong(why, INGRESS "disabled non reusable ingress");
    default:
        return wrong(why, INGRESS "unsupported input type");
    }
}

static bool check_lengths(const Livekit__IngressInfo *info, struct ingress_check_why *why)
{
    const struct {
        const char *name, *text;
        size_t max;
    } fields[] = {
        {"name", info->name, INGRESS_TEXT_MAX},
        {"room_name", info->room_name, INGRESS_TEXT_MAX},
        {"participant_identity", info->participant_identity, INGRESS_TEXT_MAX},
        {"participant_name", info->participant_name, INGRESS_TEXT_MAX},
        {"participant_metadata", info->participant_metadata, INGRESS_METADATA_MAX},
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strlen(fields[i].text) > fields[i].max)
            return wrong(why, INGRESS "%s is longer than %zu bytes", fields[i].name, fields[i].max);
    }
    return true;
}

bool ingress_check(const Livekit__IngressInfo *info, bool publish, struct ingress_check_why *why)
{
    why->text[0] = '\0';
    if (publish && info->room_name[0] == '\0')
        return wrong(why, INGRESS "no room name");
    if (!check_source(info, why))
        return false;
    if (info->participant_identity[0] == '\0')
        return wrong(why, INGRESS "no participant identity");
    return check_transcoding(info, why) && check_video(info->video, why) &&
           check_audio(info->audio, why) && check_lengths(info, why);
}

bool ingress_check_url(const char *url, struct ingress_check_why *why)
{
    size_t n = strcspn(url, ":/?#");
    struct bytes scheme = bytes_of(url, url[n] == ':' ? n : 0);
    const char *host = strstr(url, "://");

    why->text[0] = '\0';
    if (url[0] == '\0')
        return wrong(why, INGRESS "missing URL parameter");
    if (strlen(url) > INGRESS_URL_MAX)
        return wrong(why, INGRESS "url is longer than %d bytes", INGRESS_URL_MAX);
    for (const char *p = url; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return wrong(why, "net/url: invalid control character in URL");
    }
    if (host != NULL && host[3] == '[' && strchr(host, ']') == NULL)
        return wrong(why, "parse \"%.100s\": missing ']' in host", url);
    if (!str_ieq(scheme, "http") && !str_ieq(scheme, "https") && !str_ieq(scheme, "srt"))
        return wrong(why, INGRESS "invalid url scheme %.*s", (int)size_min(scheme.len, 40),
                     (const char *)scheme.p);
    return true;
}
