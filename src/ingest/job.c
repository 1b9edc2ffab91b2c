#include "ingest/job.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/ring.h"
#include "ingest/lane.h"

#include "livekit_models.pb-c.h"

enum {
    VIDEO,
    AUDIO,
    LANES,
    STEP_BYTES = 48 << 10, /* of the backlog at once: 75 Mb/s, which buffers on the way take */
    STEP_US = 5 * 1000,
    REGROUPS_MAX = 4, /* joins because a track came late or changed its codec */
    WIDTH = 1280,     /* told where the stream does not say */
    HEIGHT = 720,
    LEAK = 2000, /* of the estimate of our delay: 500 millionths, beyond any quartz */
};

enum link { LINK_NONE, LINK_JOINING, LINK_UP, LINK_BACKOFF };

/* A packet on its way to the client, before its payload in the ring. */
struct queued {
    us_t line_us;
    uint32_t ts, lost_n;
    uint8_t lane;
    bool marker, gop;
};

struct job {
    char ingress_id[JOB_ID_MAX], resource_id[JOB_ID_MAX], room_id[32];
    struct str url, token, name;
    struct rng rng;
    us_t begun_at; /* the time line's zero */
    int64_t started_unix_us, ended_unix_us;
    struct lane lane[LANES];
    int track[LANES]; /* of the client; -1: not published */
    char sid[LANES][32];
    uint32_t published_n, track_n;
    struct ring ring;
    bool overflow; /* the backlog was given up: wait for a key frame */
    struct client *client;
    enum link link;
    bool connected, live, attached, over, failed;
    const char *error;
    us_t media_at;  /* first media is awaited until .. */
    us_t tracks_at; /* the second kind of media likewise */
    us_t grace_at;  /* the publisher */
    us_t join_at;   /* the end of an attempt */
    us_t retry_at;  /* the next attempt */
    us_t retry_us;
    us_t lost_at; /* without a room since; US_NEVER: with one */
    us_t step_at; /* the backlog goes on */
    size_t step_bytes;
    us_t report_at; /* regular report */
    us_t reported_at;
    bool report_wanted;
    us_t delay_us, delay_at; /* how late media comes, at its best */
    unsigned regroup_n;
    bool tell_leave, tell_join, tell_kick, tell_report, tell_ended;
};

static bool copy_text(struct str *s, const char *text)
{
    str_init(s, 1 << 16);
    str_add(s, text != NULL ? text : "");
    return !s->failed;
}

int job_open(struct job **ret, const struct job_ticket *t, uint64_t seed, struct tick tick)
{
    struct job *j = mem_zero(sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->rng = rng_seed(seed);
    j->begun_at = tick.now;
    j->started_unix_us = tick.now + tick.wall_off_us;
    j->media_at = j->tracks_at = j->grace_at = j->join_at = j->retry_at = US_NEVER;
    j->lost_at = j->step_at = US_NEVER;
    j->report_at = tick.now + JOB_REPORT_US;
    j->reported_at = tick.now - JOB_REPORT_GAP_US;
    j->delay_us = US_NEVER;
    j->track[VIDEO] = j->track[AUDIO] = -1;
    lane_init(&j->lane[VIDEO], true, &j->rng);
    lane_init(&j->lane[AUDIO], false, &j->rng);
    bool ok = str_copy(j->ingress_id, sizeof j->ingress_id, bytes_str(t->ingress_id)) &&
              str_copy(j->resource_id, sizeof j->resource_id, bytes_str(t->resource_id));
    ok = copy_text(&j->url, t->url) && ok;
    ok = copy_text(&j->token, t->token) && ok;
    ok = copy_text(&j->name, t->name) && ok;
    int err = ok ? ring_init(&j->ring, JOB_BACKLOG_BYTES, 0) : E_TOO_LARGE;
    if (err) {
        job_free(j);
        return err;
    }
    *ret = j;
    return 0;
}

void job_free(struct job *j)
{
    if (j == NULL)
        return;
    str_fini(&j->url);
    str_fini(&j->token);
    str_fini(&j->name);
    ring_fini(&j->ring);
    mem_free(j);
}

int job_set_ticket(struct job *j, const char *url, const char *token)
{
    str_clear(&j->url);
    str_clear(&j->token);
    str_add(&j->url, url);
    str_add(&j->token, token);
    return j->url.failed || j->token.failed ? E_TOO_LARGE : 0;
}

const char *job_url(const struct job *j)
{
    return str_text(&j->url);
}

const char *job_token(const struct job *j)
{
    return str_text(&j->token);
}

const char *job_ingress_id(const struct job *j)
{
    return j->ingress_id;
}

const char *job_resource_id(const struct job *j)
{
    return j->resource_id;
}

void job_client_cfg(const struct job *j, struct client_cfg *cfg)
{
    *cfg = (struct client_cfg){.no_nack = true};
    if (j->name.len > 0)
        cfg->name = str_text(&j->name);
    for (unsigned i = 0; i < LANES; i++) {
        const struct lane *l = &j->lane[i];
        if (j->track[i] < 0)
            continue;
        cfg->track[cfg->track_n++] = (struct client_track){
            .name = l->video ? "video" : "audio",
            .codec = l->codec,
            .width = !l->video       ? 0
                     : l->width != 0 ? l->width
                                     : WIDTH,
            .height = !l->video        ? 0
                      : l->height != 0 ? l->height
                                       : HEIGHT,
            .stereo = l->stereo,
        };
    }
}

/* ---- the room ---- */

static void backlog_clear(struct job *j)
{
    while (ring_peek(&j->ring).p != NULL)
        ring_release(&j->ring);
}

static void let_go(struct job *j)
{
    j->tell_leave = j->tell_leave || j->client != NULL;
    j->client = NULL;
    j->connected = false;
    j->published_n = 0;
    j->join_at = j->step_at = US_NEVER;
    backlog_clear(j); /* it begins in the middle of a group: nobody could use it */
    j->lane[VIDEO].want_key = true;
}

static void join(struct job *j, us_t now)
{
    j->track_n = 0;
    for (unsigned i = 0; i < LANES; i++)
        j->track[i] = j->lane[i].codec != CODEC_NONE ? (int)j->track_n++ : -1;
    assert(j->track_n > 0);
    j->link = LINK_JOINING;
    j->published_n = 0;
    j->retry_at = j->tracks_at = US_NEVER;
    j->join_at = now + JOB_JOIN_US;
    if (j->lost_at == US_NEVER)
        j->lost_at = now;
    j->tell_join = true;
    j->report_wanted = true;
}

static void finish(struct job *j, const char *reason, bool failed, struct tick tick)
{
    if (j->over)
        return;
    if (j->client != NULL)
        client_leave(j->client, tick.now);
    let_go(j);
    j->over = true;
    j->failed = failed;
    j->error = failed ? reason : NULL;
    j->ended_unix_us = tick.now + tick.wall_off_us;
    j->link = LINK_NONE;
    j->tell_join = false;
    j->tell_kick = j->attached;
    j->attached = false;
    j->tell_report = j->tell_ended = true;
    if (!failed)
        j->error = reason;
}

static void back_off(struct job *j, struct tick tick)
{
    let_go(j);
    j->link = LINK_BACKOFF;
    j->tell_join = false;
    j->retry_us = us_clamp(j->retry_us * 2, JOB_RETRY_MIN_US, JOB_RETRY_MAX_US);
    j->retry_at =
        tick.now + j->retry_us * 3 / 4 + (us_t)rng_below(&j->rng, (uint64_t)j->retry_us / 2);
    if (j->lost_at == US_NEVER)
        j->lost_at = tick.now;
    if (tick.now - j->lost_at >= JOB_GIVE_UP_US)
        finish(j, "the room's server cannot be reached", true, tick);
}

void job_joined(struct job *j, struct client *c, struct tick tick)
{
    if (j->over || j->link != LINK_JOINING)
        return;
    j->client = c;
    if (c == NULL)
        back_off(j, tick);
}

static void regroup(struct job *j, struct tick tick)
{
    if (j->regroup_n++ >= REGROUPS_MAX)
        return;
    if (j->client != NULL)
        client_leave(j->client, tick.now);
    let_go(j);
    join(j, tick.now);
}

/* ---- the backlog ---- */

static bool backlog_put(struct job *j, const struct lane_packet *p, unsigned lane)
{
    struct queued q = {.line_us = p->line_us,
                       .ts = p->ts,
                       .lost_n = p->lost_n,
                       .lane = (uint8_t)lane,
                       .marker = p->marker,
                       .gop = p->gop};
    uint8_t *slot = ring_reserve(&j->ring, (uint32_t)(sizeof q + p->payload.len), false);

    if (slot == NULL)
        return false;
    memcpy(slot, &q, sizeof q);
    memcpy(slot + sizeof q, p->payload.p, p->payload.len);
    ring_commit(&j->ring);
    return true;
}

/* Sender reports align sound and picture by the publisher's times, not by when a paced key
 * frame happened to be through; the delay is the shortest seen lately. */
static void tell_clock(struct job *j, const struct queued *q, us_t now)
{
    us_t late = now - j->begun_at - q->line_us;

    if (late < j->delay_us)
        j->delay_us = late;
    else
        j->delay_us = us_min(late, j->delay_us + (now - j->delay_at) / LEAK);
    j->delay_at = now;
    client_clock(j->client, (uint32_t)j->track[q->lane], q->ts,
                 j->begun_at + q->line_us + j->delay_us);
}

static void went_live(struct job *j)
{
    j->live = true;
    j->report_wanted = true;
}

/* Sends what waits, a step at a time. */
static void drain(struct job *j, struct tick tick)
{
    struct bytes b;

    if (j->link != LINK_UP || j->client == NULL)
        return;
    if (tick.now >= j->step_at || j->step_at == US_NEVER)
        j->step_bytes = 0;
    while (j->step_bytes < STEP_BYTES && (b = ring_peek(&j->ring)).p != NULL) {
        struct queued q;
        memcpy(&q, b.p, sizeof q);
        struct bytes payload = bytes_of(b.p + sizeof q, b.len - sizeof q);
        int err = 0;
        if (j->track[q.lane] >= 0) {
            if (q.lost_n > 0)
                client_skip(j->client, (uint32_t)j->track[q.lane], q.lost_n);
            tell_clock(j, &q, tick.now);
            err = client_send(j->client, (uint32_t)j->track[q.lane], payload, q.ts, q.marker, tick);
        }
        j->step_bytes += payload.len;
        ring_release(&j->ring);
        if (err == E_STATE)
            return; /* the client's end follows */
        if (!j->live && (q.gop || j->track[VIDEO] < 0))
            went_live(j);
    }
    j->step_at = ring_peek(&j->ring).p != NULL ? tick.now + STEP_US : US_NEVER;
}

/* ---- the client ---- */

/* Reasons after which coming back would be wrong. */
static const char *dismissal(int code)
{
    switch (code) {
    case LIVEKIT__DISCONNECT_REASON__DUPLICATE_IDENTITY:
        return "somebody else joined the room under this identity";
    case LIVEKIT__DISCONNECT_REASON__PARTICIPANT_REMOVED:
        return "removed from the room";
    case LIVEKIT__DISCONNECT_REASON__ROOM_DELETED:
        return "the room was deleted";
    default:
        return NULL;
    }
}

static void link_up(struct job *j, struct tick tick)
{
    if (!j->connected || j->published_n < j->track_n || j->link != LINK_JOINING)
        return;
    j->link = LINK_UP;
    j->retry_us = 0;
    j->join_at = j->lost_at = j->step_at = US_NEVER;
    j->report_wanted = true;
    drain(j, tick);
}

void job_client_event(struct job *j, const struct client_event *ev, struct tick tick)
{
    if (j->over || j->client == NULL)
        return;
    switch (ev->kind) {
    case CLIENT_EVT_JOINED:
        memcpy(j->room_id, ev->room, sizeof j->room_id);
        client_set_attribute(j->client, "ingress.resourceID", j->resource_id);
        break;
    case CLIENT_EVT_CONNECTED:
        j->connected = true;
        link_up(j, tick);
        break;
    case CLIENT_EVT_PUBLISHED:
        for (unsigned i = 0; i < LANES; i++) {
            if (j->track[i] == (int)ev->track)
                memcpy(j->sid[i], ev->sid, sizeof j->sid[i]);
        }
        j->published_n++;
        link_up(j, tick);
        break;
    case CLIENT_EVT_ENDED:
        if (dismissal(ev->code) != NULL)
            finish(j, dismissal(ev->code), true, tick);
        else
            back_off(j, tick);
        break;
    default:
        break; /* key frames cannot be had from these publishers */
    }
}

/* ---- the publisher ---- */

void job_attach(struct job *j, struct tick tick)
{
    if (j->over)
        return;
    j->attached = true;
    j->grace_at = US_NEVER;
    j->media_at = tick.now + JOB_FIRST_MEDIA_US;
    for (unsigned i = 0; i < LANES; i++)
        lane_session(&j->lane[i]);
    j->delay_us = US_NEVER;
    j->delay_at = tick.now;
    j->report_wanted = true;
}

void job_detach(struct job *j, bool clean, struct tick tick)
{
    if (j->over || !j->attached)
        return;
    j->attached = false;
    j->media_at = US_NEVER;
    if (clean || j->link == LINK_NONE) {
        finish(j, NULL, false, tick);
        return;
    }
    j->grace_at = tick.now + JOB_GRACE_US;
    j->report_wanted = true;
}

void job_stop(struct job *j, const char *reason, struct tick tick)
{
    finish(j, reason, false, tick);
}

/* Does the room know all that is there to be sent? */
static void consider_joining(struct job *j, struct tick tick)
{
    bool video = j->lane[VIDEO].codec != CODEC_NONE, audio = j->lane[AUDIO].codec != CODEC_NONE;

    if (j->link == LINK_NONE) {
        if (video && audio)
            join(j, tick.now);
        else if (j->tracks_at == US_NEVER)
            j->tracks_at = tick.now + JOB_TRACKS_US;
    } else if ((video && j->track[VIDEO] < 0) || (audio && j->track[AUDIO] < 0)) {
        if (j->link != LINK_BACKOFF)
            regroup(j, tick);
    }
}

static void on_config(struct job *j, unsigned lane, const struct media *m, struct tick tick)
{
    bool other = false;

    if (!lane_config(&j->lane[lane], m, &other))
        return;
    j->report_wanted = true;
    if (other && j->link != LINK_NONE && j->link != LINK_BACKOFF)
        regroup(j, tick);
    consider_joining(j, tick);
}

static void take(struct job *j, unsigned lane, const struct media *m, struct tick tick)
{
    struct lane *l = &j->lane[lane], *twin = &j->lane[!lane];
    uint8_t buf[PACKETIZE_PAYLOAD_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    bool in_order = !l->b_frames;
    struct lane_packet p;

    if (!lane_media(l, m, tick.now - j->begun_at, twin->laid ? &twin->shift_us : NULL, &p))
        return;
    j->report_wanted |= in_order && l->b_frames; /* the streamer is to know at once */
    if (p.gop && j->link != LINK_UP) /* a fresher beginning: nobody has seen what waits */
        backlog_clear(j);
    if (p.gop)
        j->overflow = false;
    while (!j->overflow && lane_payload(l, m, &w, &p)) {
        if (p.payload.len > RING_RECORD_MAX - sizeof(struct queued))
            continue;
        if (!backlog_put(j, &p, lane)) {
            backlog_clear(j);
            j->overflow = j->lane[VIDEO].codec != CODEC_NONE;
            j->lane[VIDEO].want_key = true;
        }
        p.gop = false;
        p.lost_n = 0;
        w = wr_of(buf, sizeof buf);
    }
    drain(j, tick);
}

void job_media(struct job *j, const struct media *m, struct tick tick)
{
    unsigned lane = m->video ? VIDEO : AUDIO;

    if (j->over || !j->attached || m->codec == CODEC_NONE || m->video != codec_is_video(m->codec))
        return;
    j->media_at = US_NEVER;
    switch (m->kind) {
    case MEDIA_VIDEO_CONFIG:
    case MEDIA_AUDIO_CONFIG:
        on_config(j, lane, m, tick);
        break;
    case MEDIA_VIDEO:
    case MEDIA_AUDIO:
    case MEDIA_RTP:
        if (j->lane[lane].codec != m->codec)
            on_config(j, lane, m, tick);
        take(j, lane, m, tick);
        break;
    case MEDIA_PUBLISH:
    case MEDIA_END:
        break; /* the owner's: job_attach(), job_detach() */
    }
}

/* ---- time ---- */

void job_tick(struct job *j, struct tick tick)
{
    us_t now = tick.now;

    if (j->over)
        return;
    if (now >= j->media_at)
        finish(j, "no media came", true, tick);
    else if (now >= j->grace_at)
        finish(j, NULL, false, tick);
    if (j->over)
        return;
    if (now >= j->tracks_at && j->link == LINK_NONE)
        join(j, now);
    if (now >= j->join_at) {
        if (j->client != NULL)
            client_leave(j->client, now);
        back_off(j, tick);
    }
    if (now >= j->retry_at && !j->over)
        join(j, now);
    if (now >= j->step_at)
        drain(j, tick);
    if (now >= j->report_at) {
        j->report_at = now + JOB_REPORT_US;
        j->report_wanted = true;
    }
    if (j->report_wanted && now >= j->reported_at + JOB_REPORT_GAP_US) {
        j->report_wanted = false;
        j->reported_at = now;
        j->tell_report = true;
    }
}

us_t job_deadline(const struct job *j)
{
    us_t at = us_min(us_min(j->media_at, j->tracks_at), us_min(j->grace_at, j->join_at));

    if (j->over)
        return US_NEVER;
    at = us_min(at, us_min(j->retry_at, us_min(j->step_at, j->report_at)));
    return j->report_wanted ? us_min(at, j->reported_at + JOB_REPORT_GAP_US) : at;
}

static bool told(bool *flag)
{
    bool was = *flag;

    *flag = false;
    return was;
}

bool job_event(struct job *j, struct job_event *ev)
{
    *ev = (struct job_event){.reason = j->error};
    if (told(&j->tell_leave))
        ev->kind = JOB_EVT_LEAVE;
    else if (told(&j->tell_join))
        ev->kind = JOB_EVT_JOIN;
    else if (told(&j->tell_kick))
        ev->kind = JOB_EVT_KICK;
    else if (told(&j->tell_report))
        ev->kind = JOB_EVT_REPORT;
    else if (told(&j->tell_ended))
        ev->kind = JOB_EVT_ENDED;
    else
        return false;
    return true;
}

enum job_state job_state(const struct job *j)
{
    if (j->over)
        return j->failed ? JOB_FAILED : JOB_ENDED;
    if (j->link == LINK_NONE)
        return JOB_WAITING;
    if (!j->attached)
        return JOB_PAUSED;
    if (j->link == LINK_BACKOFF)
        return JOB_RETRYING;
    if (j->link == LINK_JOINING)
        return j->live ? JOB_RETRYING : JOB_CONNECTING;
    return j->live ? JOB_PUBLISHING : JOB_BUFFERING;
}

bool job_was_live(const struct job *j)
{
    return j->live;
}

bool job_attached(const struct job *j)
{
    return j->attached;
}

static void input_of(const struct job *j, unsigned lane, struct job_input *out)
{
    const struct lane *l = &j->lane[lane];

    *out = (struct job_input){
        .codec = l->codec,
        .bitrate_bps = l->bitrate_bps,
        .width = l->width,
        .height = l->height,
        .framerate = l->framerate,
        .rate_hz = l->rate_hz != 0 ? l->rate_hz : l->clock_hz,
        .channels = l->channels != 0 ? l->channels
                    : l->stereo      ? 2
                                     : 1,
        .b_frames = l->b_frames,
    };
    memcpy(out->sid, j->sid[lane], sizeof out->sid);
}

void job_report(const struct job *j, struct job_report *out)
{
    *out = (struct job_report){
        .state = job_state(j),
        .error = j->failed ? j->error : NULL,
        .started_unix_us = j->started_unix_us,
        .ended_unix_us = j->ended_unix_us,
    };
    memcpy(out->room_id, j->room_id, sizeof out->room_id);
    input_of(j, VIDEO, &out->video);
    input_of(j, AUDIO, &out->audio);
}
