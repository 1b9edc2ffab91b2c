#include "ingest/aac.h"

#include "base/cursor.h"

void aac_init(struct aac *a)
{
    *a = (struct aac){.due_at = US_NEVER, .fed_at = US_NEVER, .retry_us = AAC_RETRY_MIN_US};
}

static void put(struct aac *a, const struct childpipe_record *rec)
{
    if (a->taken)
        a->out_n = 0;
    a->taken = false;
    struct wr w = wr_of(a->out + a->out_n, sizeof a->out - a->out_n);
    childpipe_write(&w, rec);
    if (wr_ok(&w))
        a->out_n += wr_len(&w);
    else
        a->lost_n++;
}

static void put_config(struct aac *a)
{
    struct childpipe_record rec = {.kind = CHILDPIPE_AAC_CONFIG,
                                   .body = bytes_of(a->config, a->config_n)};

    put(a, &rec);
}

static void want(struct aac *a)
{
    a->state = AAC_WANTED;
    a->due_at = US_NEVER;
    a->event = AAC_EVT_SPAWN;
}

/* Nothing of the old child counts any more. */
static void forget(struct aac *a)
{
    a->out_n = a->in_n = 0;
    a->taken = false;
    a->fed_at = US_NEVER;
}

static void wait(struct aac *a, us_t now)
{
    forget(a);
    if (a->state == AAC_RUNNING && now - a->spawned_at >= AAC_SOUND_US)
        a->retry_us = AAC_RETRY_MIN_US;
    a->state = AAC_WAITING;
    a->due_at = now + a->retry_us;
    a->retry_us = us_min(2 * a->retry_us, AAC_RETRY_MAX_US);
}

static void kill_child(struct aac *a, us_t now)
{
    a->event = AAC_EVT_KILL;
    wait(a, now);
}

static void on_config(struct aac *a, const struct media *m)
{
    if (m->data.len > sizeof a->config)
        return;
    a->config_n = m->data.len;
    memcpy(a->config, m->data.p, m->data.len);
    a->channels = m->channels == 1 ? 1 : 2;
    a->told = false;
    if (a->state == AAC_IDLE)
        want(a);
    else if (a->state == AAC_STARTING || a->state == AAC_RUNNING)
        put_config(a);
}

void aac_media(struct aac *a, const struct media *m, us_t now)
{
    assert(m->foreign == MEDIA_AAC);
    if (m->kind == MEDIA_AUDIO_CONFIG) {
        on_config(a, m);
        return;
    }
    if (a->state != AAC_STARTING && a->state != AAC_RUNNING) {
        a->lost_n++;
        return;
    }
    struct childpipe_record rec = {.kind = CHILDPIPE_AAC, .pts_us = m->pts_us, .body = m->data};
    put(a, &rec);
    if (a->fed_at == US_NEVER)
        a->fed_at = now;
}

void aac_stop(struct aac *a)
{
    bool child = a->state == AAC_STARTING || a->state == AAC_RUNNING;

    aac_init(a);
    if (child)
        a->event = AAC_EVT_KILL;
}

void aac_spawned(struct aac *a, bool started, us_t now)
{
    if (a->state != AAC_WANTED)
        return;
    forget(a);
    a->spawned_n++;
    a->spawned_at = now;
    if (!started) {
        wait(a, now);
        return;
    }
    a->state = AAC_STARTING;
    a->due_at = now + AAC_READY_US;
    put_config(a);
}

void aac_died(struct aac *a, us_t now)
{
    if (a->state == AAC_STARTING || a->state == AAC_RUNNING)
        wait(a, now);
}

/* A whole record, or false; the child is done with when it talks nonsense. */
static bool read_record(struct aac *a, struct bytes *in, struct childpipe_record *rec, us_t now)
{
    size_t used, n = size_min(in->len, sizeof a->in - a->in_n);
    int got;

    memcpy(a->in + a->in_n, in->p, n);
    a->in_n += n;
    got = childpipe_read(bytes_of(a->in, a->in_n), rec, &used);
    if (got < 0 || (got == 0 && n < in->len)) {
        in->len = 0;
        kill_child(a, now);
        return false;
    }
    if (got == 0) {
        in->len = 0;
        return false;
    }
    in->p += used - (a->in_n - n); /* what was there before is part of it */
    in->len -= used - (a->in_n - n);
    a->in_n = 0;
    return true;
}

void aac_input(struct aac *a, struct bytes *in, us_t now)
{
    struct childpipe_record rec;

    while (in->len > 0 && a->packet_n == 0) {
        if (a->state != AAC_STARTING && a->state != AAC_RUNNING) {
            in->len = 0;
            return;
        }
        if (!read_record(a, in, &rec, now))
            return;
        if (rec.kind == CHILDPIPE_READY && a->state == AAC_STARTING) {
            a->state = AAC_RUNNING;
            a->due_at = US_NEVER;
            if (a->fed_at != US_NEVER)
                a->fed_at = now; /* it has only begun to read them */
        } else if (rec.kind == CHILDPIPE_OPUS && a->state == AAC_RUNNING && rec.body.len > 0) {
            memcpy(a->packet, rec.body.p, rec.body.len);
            a->packet_n = (uint32_t)rec.body.len;
            a->packet_pts_us = rec.pts_us;
            a->fed_at = US_NEVER;
        } else {
            kill_child(a, now);
        }
    }
}

bool aac_packet(struct aac *a, struct media *m)
{
    if (a->packet_n == 0)
        return false;
    *m = (struct media){.codec = CODEC_OPUS, .rate_hz = 48000, .channels = a->channels};
    if (!a->told) {
        a->told = true;
        m->kind = MEDIA_AUDIO_CONFIG;
        return true;
    }
    m->kind = MEDIA_AUDIO;
    m->pts_us = m->dts_us = a->packet_pts_us;
    m->data = bytes_of(a->packet, a->packet_n);
    a->packet_n = 0;
    return true;
}

struct bytes aac_output(struct aac *a)
{
    if (a->taken)
        return bytes_of(a->out, 0);
    a->taken = a->out_n > 0;
    return bytes_of(a->out, a->out_n);
}

enum aac_event aac_event(struct aac *a)
{
    enum aac_event ev = a->event;

    a->event = AAC_EVT_NONE;
    return ev;
}

us_t aac_deadline(const struct aac *a)
{
    if (a->state == AAC_RUNNING)
        return a->fed_at == US_NEVER ? US_NEVER : a->fed_at + AAC_HANG_US;
    return a->due_at;
}

void aac_tick(struct aac *a, us_t now)
{
    if (now < aac_deadline(a))
        return;
    if (a->state == AAC_WAITING)
        want(a);
    else
        kill_child(a, now);
}
