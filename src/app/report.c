#include "app/report.h"

#include "bus/methods.h"

static const char b_frames[] =
    "the stream has B-frames, which browsers show out of order: set bframes=0 (OBS: Output, "
    "x264 options, or Tune zerolatency)";

struct state {
    Livekit__IngressState state;
    Livekit__InputVideoState video;
    Livekit__InputAudioState audio;
    Livekit__TrackInfo track[2];
    Livekit__TrackInfo *tracks[2];
};

static Livekit__IngressState__Status status_of(enum job_state s)
{
    switch (s) {
    case JOB_PUBLISHING:
    case JOB_PAUSED:
    case JOB_RETRYING:
        return LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_PUBLISHING;
    case JOB_ENDED:
        return LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_INACTIVE;
    case JOB_FAILED:
        return LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_ERROR;
    default:
        return LIVEKIT__INGRESS_STATE__STATUS__ENDPOINT_BUFFERING;
    }
}

static void add_track(struct state *s, const struct job_input *in, bool video)
{
    Livekit__TrackInfo *t = &s->track[s->state.n_tracks];

    if (in->codec == CODEC_NONE || in->sid[0] == '\0')
        return;
    livekit__track_info__init(t);
    t->sid = pb_text(in->sid);
    t->name = pb_text(video ? "video" : "audio");
    t->type = video ? LIVEKIT__TRACK_TYPE__VIDEO : LIVEKIT__TRACK_TYPE__AUDIO;
    t->source = video ? LIVEKIT__TRACK_SOURCE__CAMERA : LIVEKIT__TRACK_SOURCE__MICROPHONE;
    t->mime_type = pb_text(codec_mime(in->codec));
    t->width = in->width;
    t->height = in->height;
    s->tracks[s->state.n_tracks++] = t;
}

static void fill(struct state *s, const char *resource_id, const struct job_report *r,
                 struct tick tick)
{
    *s = (struct state){0};
    livekit__ingress_state__init(&s->state);
    livekit__input_video_state__init(&s->video);
    livekit__input_audio_state__init(&s->audio);
    s->state.status = status_of(r->state);
    s->state.error = pb_text(r->error != NULL ? r->error : r->video.b_frames ? b_frames : "");
    s->state.room_id = pb_text(r->room_id);
    s->state.started_at = r->started_unix_us * 1000;
    s->state.ended_at = r->ended_unix_us * 1000;
    s->state.updated_at = (tick.now + tick.wall_off_us) * 1000;
    s->state.resource_id = pb_text(resource_id);
    if (r->video.codec != CODEC_NONE) {
        s->video.mime_type = pb_text(codec_mime(r->video.codec));
        s->video.average_bitrate = r->video.bitrate_bps;
        s->video.width = r->video.width;
        s->video.height = r->video.height;
        s->video.framerate = r->video.framerate;
        s->state.video = &s->video;
    }
    if (r->audio.codec != CODEC_NONE) {
        s->audio.mime_type = pb_text(codec_mime(r->audio.codec));
        s->audio.average_bitrate = r->audio.bitrate_bps;
        s->audio.channels = r->audio.channels;
        s->audio.sample_rate = r->audio.rate_hz;
        s->state.audio = &s->audio;
    }
    s->state.tracks = s->tracks;
    add_track(s, &r->video, true);
    add_track(s, &r->audio, false);
}

int report_send(struct psrpc *bus, const char *ingress_id, const char *resource_id,
                const struct job_report *r, struct tick tick, psrpc_id *id)
{
    Rpc__UpdateIngressStateRequest req = RPC__UPDATE_INGRESS_STATE_REQUEST__INIT;
    struct psrpc_ask ask = {.method = &methods[METHOD_UPDATE_INGRESS_STATE], .request = &req.base};
    struct state s;

    fill(&s, resource_id, r, tick);
    req.ingress_id = pb_text(ingress_id);
    req.state = &s.state;
    return psrpc_request(bus, &ask, tick, id);
}

void report_answer(struct psrpc *bus, psrpc_id call, const char *resource_id,
                   const struct job_report *r, struct tick tick)
{
    struct state s;

    fill(&s, resource_id, r, tick);
    psrpc_answer(bus, call, &s.state.base, tick);
}
