#include "client/recorder.h"

#include "base/err.h"
#include "base/mem.h"
#include "wire/ivf.h"
#include "wire/rtp.h"

enum { VIDEO_HZ = 90000, AUDIO_HZ = 48000, OPUS_PRE_SKIP = 312 };

int recorder_open(struct recorder *r, enum codec codec)
{
    *r = (struct recorder){.codec = codec};
    str_init(&r->out, RECORDER_OUT_BYTES_MAX);
    int err = depacketize_init(&r->de, codec, RECORDER_FRAME_BYTES_MAX);
    if (err)
        return err;
    r->held = mem_array(RECORDER_HELD_MAX, sizeof *r->held);
    return r->held != NULL ? 0 : E_NOMEM;
}

void recorder_close(struct recorder *r)
{
    depacketize_fini(&r->de);
    mem_free(r->held);
    str_fini(&r->out);
    *r = (struct recorder){0};
}

const char *recorder_ending(enum codec codec)
{
    return codec == CODEC_H264 ? ".h264" : codec_is_audio(codec) ? ".ogg" : ".ivf";
}

struct bytes recorder_take(struct recorder *r)
{
    struct bytes b = str_bytes(&r->out);

    r->out.len = 0; /* the bytes stay where they are until the next frame */
    return b;
}

static void add(struct recorder *r, const struct wr *w)
{
    if (wr_ok(w))
        str_add_bytes(&r->out, wr_done(w));
}

static void write_head(struct recorder *r)
{
    uint8_t buf[512];
    struct wr w = wr_of(buf, sizeof buf);
    struct ivf head = {
        .codec = r->codec, .width = r->width, .height = r->height, .rate = VIDEO_HZ, .scale = 1};

    r->wrote_head = true;
    if (codec_is_audio(r->codec))
        ogg_write_head(&r->ogg, &w, 1, 2, OPUS_PRE_SKIP);
    else if (r->codec != CODEC_H264)
        ivf_write_header(&w, &head);
    add(r, &w);
}

static void write_audio(struct recorder *r, const struct depacketized *f)
{
    uint8_t buf[OGG_PACKET_MAX + OGG_PAGE_OVERHEAD];
    struct wr w = wr_of(buf, sizeof buf);
    uint64_t at = r->ext_ts, have = r->ogg.granule;
    us_t gap_us = at > have ? (us_t)((at - have) * US_PER_SEC / AUDIO_HZ) : 0;

    ogg_write_packet(&r->ogg, &w, f->data, gap_us, false);
    add(r, &w);
}

static void write_frame(struct recorder *r, const struct depacketized *f)
{
    uint8_t buf[IVF_FRAME_HEADER_BYTES];
    struct wr w = wr_of(buf, sizeof buf);
    bool audio = codec_is_audio(r->codec);

    if (!r->wrote_head && !audio && !f->key)
        return; /* a file begins with a picture that can be decoded */
    if (!r->wrote_head) {
        r->last_ts = f->ts;
        write_head(r);
    }
    int32_t step = (int32_t)(f->ts - r->last_ts);
    r->ext_ts += step > 0 ? (uint64_t)step : 0;
    r->last_ts = f->ts;
    r->frames_n++;
    if (audio) {
        write_audio(r, f);
        return;
    }
    if (r->codec != CODEC_H264) {
        ivf_write_frame_header(&w, (uint32_t)f->data.len, r->ext_ts);
        add(r, &w);
    }
    str_add_bytes(&r->out, f->data);
}

static void feed(struct recorder *r, const struct recorder_held *h)
{
    struct depacketize_in in = {
        .seq = h->seq, .ts = h->ts, .marker = h->marker, .payload = bytes_of(h->payload, h->len)};
    struct depacketized frame;

    (void)depacketize_push(&r->de, &in); /* what cannot be used is dropped and counted there */
    while (depacketize_frame(&r->de, &frame))
        write_frame(r, &frame);
}

/* Give on what is in order; past the waiting time a gap is accepted. */
static void drain(struct recorder *r, us_t now)
{
    for (;;) {
        struct recorder_held *h = &r->held[r->next_seq % RECORDER_HELD_MAX];
        if (h->used && h->seq == r->next_seq) {
            feed(r, h);
            h->used = false;
            r->next_seq++;
            continue;
        }
        bool overdue = false;
        for (unsigned i = 0; i < RECORDER_HELD_MAX && !overdue; i++)
            overdue = r->held[i].used && now - r->held[i].came_at > RECORDER_HELD_US;
        if (!overdue)
            return;
        r->next_seq++;
    }
}

void recorder_push(struct recorder *r, const struct client_media *m, us_t now)
{
    if (m->payload.len > RECORDER_PAYLOAD_MAX)
        return;
    if (!r->started) {
        r->started = true;
        r->next_seq = m->seq;
    }
    if (m->seq != r->next_seq && !rtp_seq_newer(m->seq, r->next_seq))
        return; /* came after its gap was accepted */
    while ((uint16_t)(m->seq - r->next_seq) >= RECORDER_HELD_MAX) {
        struct recorder_held *h = &r->held[r->next_seq % RECORDER_HELD_MAX];
        if (h->used && h->seq == r->next_seq)
            feed(r, h);
        h->used = false;
        r->next_seq++;
    }
    struct recorder_held *h = &r->held[m->seq % RECORDER_HELD_MAX];
    h->used = true;
    h->came_at = now;
    h->seq = m->seq;
    h->ts = m->ts;
    h->marker = m->marker;
    h->len = (uint16_t)m->payload.len;
    if (m->payload.len > 0)
        memcpy(h->payload, m->payload.p, m->payload.len);
    drain(r, now);
}
