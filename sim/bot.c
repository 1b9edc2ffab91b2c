#include "sim/bot.h"

#include "base/err.h"
#include "wire/pb.h"
#include "wire/vpx.h"

#include <stdio.h>

enum {
    MAGIC = 0x51b07000,
    AUDIO_BYTES = 60,
    DELTA_BYTES = 200,
    KEY_BYTES = 700,
    DESC_BYTES = 4,
    FRAME_TAG_BYTES = 3,
    KEY_HEAD_BYTES = 10,
    FLAG_KEY = 1,
    FLAG_START = 2,
    SAID_BYTES = 50,
    FIELD_IDENTITY = 4, /* of DataPacket: the sender's, as the server stamps it */
    FIELD_USER = 2,
    FIELD_PAYLOAD = 2, /* of UserPacket */
};

static void broken(struct bot *b, const char *what)
{
    if (b->broken == NULL)
        b->broken = what;
}

static uint32_t sum_of(const uint8_t *p, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

/* --- life --- */

int bot_open(struct bot *b, const struct bot_cfg *cfg, us_t now)
{
    struct client_cfg cc = {.auto_subscribe = !cfg->deaf,
                            .resumes = cfg->resumes,
                            .dtls = cfg->dtls,
                            .fingerprint = cfg->fingerprint,
                            .seed = cfg->seed,
                            .track_n = cfg->silent ? 0 : BOT_TRACKS};

    cc.track[0] = (struct client_track){.name = "voice", .codec = CODEC_OPUS};
    cc.track[1] =
        (struct client_track){.name = "face", .codec = CODEC_VP8, .width = 320, .height = 180};
    *b = (struct bot){.serial = cfg->serial,
                      .room = cfg->room,
                      .silent = cfg->silent,
                      .hostile = cfg->hostile,
                      .deaf = cfg->deaf,
                      .strict = b->strict,
                      .rng = rng_seed(cfg->seed ^ 0x626f74)};
    (void)str_copy(b->identity, sizeof b->identity, bytes_str(cfg->identity));
    for (unsigned t = 0; t < BOT_TRACKS; t++) {
        b->out[t].next_at = US_NEVER;
        b->out[t].ts = rng_u32(&b->rng);
        b->out[t].picture = (uint16_t)rng_below(&b->rng, 0x8000);
        b->out[t].key_wanted = true;
    }
    return client_open(&b->client, &cc, now);
}

void bot_close(struct bot *b)
{
    client_free(b->client);
    b->client = NULL;
}

/* --- what it sends --- */

/* Body with checksum at `p`, `len` bytes in all. */
static void write_body(struct bot *b, uint8_t *p, size_t len, const struct bot_body *body)
{
    store_u32(p, MAGIC);
    store_u32(p + 4, body->sender);
    store_u32(p + 8, body->seq);
    p[12] = body->track;
    p[13] = (uint8_t)((body->key ? FLAG_KEY : 0) | (body->start ? FLAG_START : 0));
    store_u16(p + 14, (uint16_t)len);
    memset(p + BOT_BODY_MIN, (int)(body->seq & 0xff), len - BOT_BODY_MIN);
    store_u32(p + 16, 0);
    store_u32(p + 16, sum_of(p, len));
    if (b->hostile) /* any bytes at all */
        rng_fill(&b->rng, p, len);
}

static bool read_body(struct bytes in, struct bot_body *body)
{
    uint8_t copy[1500];

    if (in.len < BOT_BODY_MIN || in.len > sizeof copy || load_u32(in.p) != MAGIC ||
        load_u16(in.p + 14) != in.len)
        return false;
    memcpy(copy, in.p, in.len);
    store_u32(copy + 16, 0);
    *body = (struct bot_body){
        .sender = load_u32(in.p + 4),
        .seq = load_u32(in.p + 8),
        .track = in.p[12],
        .key = (in.p[13] & FLAG_KEY) != 0,
        .start = (in.p[13] & FLAG_START) != 0,
    };
    return sum_of(copy, in.len) == load_u32(in.p + 16);
}

static bool push(struct bot *b, uint32_t track, struct bytes payload, bool marker, struct tick tick)
{
    struct bot_out *o = &b->out[track];
    int err = client_send(b->client, track, payload, o->ts, marker, tick);

    if (err != 0 && err != E_STATE)
        broken(b, "a bot's own queue has room");
    o->seq += err == 0;
    return err == 0;
}

static void send_audio(struct bot *b, struct tick tick)
{
    struct bot_out *o = &b->out[0];
    uint8_t buf[AUDIO_BYTES];
    struct bot_body body = {.sender = b->serial, .seq = o->seq, .track = 0, .start = true};

    write_body(b, buf, sizeof buf, &body);
    (void)push(b, 0, bytes_of(buf, sizeof buf), false, tick); /* not connected: not sent */
    o->ts += BOT_AUDIO_US * 48 / 1000;
}

/* VP8: descriptor with a picture number of 15 bits (RFC 7741 s4.2), then the frame's head. */
static bool send_part(struct bot *b, bool key, bool start, bool end, struct tick tick)
{
    struct bot_out *o = &b->out[1];
    uint8_t buf[1200] = {(uint8_t)(0x80 | (start ? 0x10 : 0)), 0x80,
                         (uint8_t)(0x80 | o->picture >> 8), (uint8_t)o->picture};
    struct bot_body body = {
        .sender = b->serial, .seq = o->seq, .track = 1, .key = key, .start = start};
    size_t at = DESC_BYTES, len = key ? KEY_BYTES : DELTA_BYTES;

    if (start) {
        static const uint8_t key_head[KEY_HEAD_BYTES] = {0x10, 2,  0, 0x9d, 0x01,
                                                         0x2a, 64, 1, 180,  0};
        memcpy(buf + at, key_head, key ? KEY_HEAD_BYTES : FRAME_TAG_BYTES);
        buf[at] |= !key;
        at += key ? KEY_HEAD_BYTES : FRAME_TAG_BYTES;
    }
    write_body(b, buf + at, len, &body);
    if (b->hostile && rng_below(&b->rng, 4) == 0)
        rng_fill(&b->rng, buf, at);
    return push(b, 1, bytes_of(buf, at + len), end, tick);
}

static void send_video(struct bot *b, struct tick tick)
{
    struct bot_out *o = &b->out[1];
    bool key = o->key_wanted;

    if (send_part(b, key, true, !key, tick) && key) {
        (void)send_part(b, true, false, true, tick); /* as the first part */
        o->key_wanted = false;
        o->keys++;
    }
    o->picture = (o->picture + 1) & 0x7fff;
    o->ts += BOT_VIDEO_US * 90 / 1000;
}

void bot_speak(struct bot *b, bool loud)
{
    b->loud = loud;
    client_level(b->client, 0, loud ? 10 : 127);
}

void bot_mute(struct bot *b, uint32_t track, bool muted)
{
    b->out[track].muted = muted;
    client_mute(b->client, track, muted);
}

void bot_say(struct bot *b, bool reliable, us_t now)
{
    uint8_t user[SAID_BYTES + 8], packet[SAID_BYTES + 16], text[SAID_BYTES];
    struct wr w = wr_of(user, sizeof user), out = wr_of(packet, sizeof packet);
    struct bot_body body = {
        .sender = b->serial, .seq = b->said_n[reliable], .track = (uint8_t)b->room};

    write_body(b, text, sizeof text, &body);
    pb_put_bytes(&w, FIELD_PAYLOAD, bytes_of(text, sizeof text));
    pb_put_u64(&out, 1, reliable ? 0 : 1);
    pb_put_bytes(&out, FIELD_USER, wr_done(&w));
    b->said_n[reliable] += client_send_data(b->client, reliable, wr_done(&out), now) == 0;
}

/* Reliable messages of one sender come in order and once. */
static void note_said(struct bot *b, const struct bot_body *body)
{
    uint32_t i = 0;

    while (i < b->said_by_n && b->said[i].sender != body->sender)
        i++;
    if (i == BOT_SENDERS_MAX)
        return;
    if (i < b->said_by_n && body->seq != b->said[i].seq + 1)
        broken(b, "reliable messages come in order and once");
    b->said_by_n = u32_max(b->said_by_n, i + 1);
    b->said[i] = (struct bot_said){.sender = body->sender, .seq = body->seq};
}

static void hear_data(struct bot *b, const struct client_event *ev)
{
    struct pb_field user, text, from;
    struct bot_body body;
    char identity[BOT_IDENTITY_MAX];

    if (!pb_field_find(ev->data, FIELD_USER, &user) || user.wire != PB_BYTES ||
        !pb_field_find(user.bytes, FIELD_PAYLOAD, &text) || text.wire != PB_BYTES ||
        !read_body(text.bytes, &body))
        return; /* a hostile one's */
    if (body.track != (uint8_t)b->room || body.sender == b->serial)
        broken(b, "data stays in its room and with others");
    (void)snprintf(identity, sizeof identity, "bot-%u", body.sender); /* fits */
    if (!pb_field_find(ev->data, FIELD_IDENTITY, &from) || from.wire != PB_BYTES ||
        (from.bytes.p[0] == 'b' && !bytes_eq_str(from.bytes, identity)))
        broken(b, "data names its sender");
    b->data_n[ev->reliable]++;
    if (ev->reliable)
        note_said(b, &body);
}

void bot_miss_keys(struct bot *b, us_t now)
{
    for (uint32_t i = 0; i < b->heard_n; i++) {
        struct bot_heard *h = &b->heard[i];
        if (!h->used || !h->video || h->key_wait_at != US_NEVER)
            continue;
        h->key_wait_at = now;
        h->ask_at = now;
    }
}

/* --- what it hears of the room --- */

static void know(struct bot *b, const struct client_event *ev)
{
    uint32_t i = 0;

    while (i < b->known_n && strcmp(b->known[i], ev->sid) != 0)
        i++;
    if (strcmp(ev->sid, b->sid) == 0)
        return;
    if (ev->left && i < b->known_n)
        memcpy(b->known[i], b->known[--b->known_n], BOT_SID_MAX);
    if (ev->left || i < b->known_n || b->known_n == BOT_KNOWN_MAX)
        return;
    memcpy(b->known[b->known_n++], ev->sid, BOT_SID_MAX);
}

static void follow(struct bot *b, const struct client_event *ev, us_t now)
{
    struct bot_heard *h = &b->heard[ev->track];

    b->heard_n = u32_max(b->heard_n, ev->track + 1);
    /* A track is received in one section at a time: the last one counts. */
    for (uint32_t i = 0; i < b->heard_n; i++)
        b->heard[i].used &= strcmp(b->heard[i].sid, ev->sid) != 0;
    *h = (struct bot_heard){.used = true,
                            .video = ev->video,
                            .since = now,
                            .key_wait_at = ev->video ? now : US_NEVER,
                            .ask_at = now + BOT_ASK_US};
    memcpy(h->sid, ev->sid, sizeof h->sid);
    (void)str_copy(h->publisher, sizeof h->publisher, bytes_str(ev->identity));
}

bool bot_hears_speak(const struct bot *b, const char *sid)
{
    for (uint32_t i = 0; i < b->speaking_n; i++)
        if (strcmp(b->speaking[i], sid) == 0)
            return true;
    return false;
}

static void note_speaker(struct bot *b, const struct client_event *ev)
{
    uint32_t i = 0;

    while (i < b->speaking_n && strcmp(b->speaking[i], ev->sid) != 0)
        i++;
    if (!ev->speaks && i < b->speaking_n)
        memcpy(b->speaking[i], b->speaking[--b->speaking_n], BOT_SID_MAX);
    if (!ev->speaks || i < b->speaking_n || b->speaking_n == BOT_KNOWN_MAX)
        return;
    memcpy(b->speaking[b->speaking_n++], ev->sid, BOT_SID_MAX);
}

void bot_events(struct bot *b, us_t now)
{
    struct client_event ev;

    while (client_event(b->client, &ev)) {
        switch (ev.kind) {
        case CLIENT_EVT_JOINED:
            b->joined = true;
            memcpy(b->sid, ev.sid, sizeof b->sid);
            break;
        case CLIENT_EVT_CONNECTED:
            b->connected = true;
            b->connected_at = now;
            b->out[0].next_at = now + (us_t)rng_below(&b->rng, BOT_AUDIO_US);
            b->out[1].next_at = now + (us_t)rng_below(&b->rng, BOT_VIDEO_US);
            break;
        case CLIENT_EVT_RESUMED:
            b->resumed_n++;
            break;
        case CLIENT_EVT_SPEAKER:
            note_speaker(b, &ev);
            break;
        case CLIENT_EVT_PUBLISHED:
            memcpy(b->out[ev.track].sid, ev.sid, BOT_SID_MAX);
            break;
        case CLIENT_EVT_PARTICIPANT:
            know(b, &ev);
            break;
        case CLIENT_EVT_TRACK:
            follow(b, &ev, now);
            break;
        case CLIENT_EVT_KEYFRAME:
            b->out[ev.track].key_wanted = true;
            break;
        case CLIENT_EVT_DATA:
            hear_data(b, &ev);
            break;
        case CLIENT_EVT_ENDED:
            b->ended = true;
            b->reason = ev.reason;
            break;
        }
    }
}

/* --- media in --- */

static struct bytes vp8_body(const struct client_media *m, bool *start)
{
    struct vp8_desc d;

    if (vp8_parse(&d, m->payload) != 0)
        return (struct bytes){0};
    size_t at = d.len;
    *start = d.start;
    if (d.start)
        at += vp8_key(&d, m->payload) ? KEY_HEAD_BYTES : FRAME_TAG_BYTES;
    if (at > m->payload.len)
        return (struct bytes){0};
    return bytes_of(m->payload.p + at, m->payload.len - at);
}

/* One RTP number always stands for one packet of the sender. */
static bool windowed(struct bot *b, struct bot_heard *h, uint16_t rtp, uint32_t seq)
{
    unsigned at = rtp % BOT_WINDOW;

    if (h->win_set[at] && h->win_rtp[at] == rtp) {
        if (h->win_seq[at] != seq)
            broken(b, "a sequence number stands for one packet only");
        return true;
    }
    h->win_set[at] = true;
    h->win_rtp[at] = rtp;
    h->win_seq[at] = seq;
    return false;
}

static void note(struct bot *b, struct bot_heard *h, const struct client_media *m,
                 const struct bot_body *body)
{
    if (windowed(b, h, m->seq, body->seq)) {
        h->doubles++;
        if (b->strict)
            broken(b, "nothing comes twice without loss");
        return;
    }
    if (!h->started && b->strict && body->track == 1 && !(body->key && body->start))
        broken(b, "video begins with a key frame");
    if (h->started && body->sender != h->sender)
        broken(b, "a section carries one sender");
    int16_t ahead = h->started ? (int16_t)(uint16_t)(m->seq - h->last_rtp) : 1;
    int32_t ahead_seq = h->started ? (int32_t)(body->seq - h->last_seq) : 1;
    if (ahead != 1 || ahead_seq != 1)
        h->gaps++;
    if (b->strict && ahead != 1)
        broken(b, "numbers are contiguous without loss");
    if ((ahead > 0) != (ahead_seq > 0))
        broken(b, "order is kept by numbers");
    h->started = true;
    h->sender = body->sender;
    h->track = body->track;
    if (ahead > 0) {
        h->last_rtp = m->seq;
        h->last_seq = body->seq;
    }
}

bool bot_media(struct bot *b, const struct client_media *m, us_t now, struct bot_body *body)
{
    struct bot_heard *h = &b->heard[m->track];
    bool start = true;
    struct bytes in = m->codec == CODEC_VP8 ? vp8_body(m, &start) : m->payload;

    h->heard_at = now;
    h->n++;
    if (!read_body(in, body))
        return false;
    if (start != body->start)
        broken(b, "a frame's beginning stays its beginning");
    note(b, h, m, body);
    if (body->key && body->start)
        h->key_wait_at = US_NEVER;
    return true;
}

/* --- time --- */

static void ask_keys(struct bot *b, us_t now)
{
    for (uint32_t i = 0; i < b->heard_n; i++) {
        struct bot_heard *h = &b->heard[i];
        if (!h->used || h->key_wait_at == US_NEVER || now < h->ask_at)
            continue;
        client_ask_keyframe(b->client, i, now);
        h->ask_at = now + BOT_ASK_US;
    }
}

void bot_tick(struct bot *b, struct tick tick)
{
    if (b->ended || b->client == NULL)
        return;
    ask_keys(b, tick.now);
    if (b->silent)
        return;
    for (uint32_t t = 0; t < BOT_TRACKS; t++) {
        if (tick.now < b->out[t].next_at)
            continue;
        b->out[t].next_at = tick.now + (t == 0 ? BOT_AUDIO_US : BOT_VIDEO_US);
        if (!b->out[t].muted)
            (t == 0 ? send_audio : send_video)(b, tick);
    }
}

us_t bot_deadline(const struct bot *b)
{
    us_t at = US_NEVER;

    if (b->client == NULL || b->ended)
        return at;
    for (uint32_t t = 0; t < BOT_TRACKS && !b->silent; t++)
        at = us_min(at, b->out[t].next_at);
    for (uint32_t i = 0; i < b->heard_n; i++)
        if (b->heard[i].used && b->heard[i].key_wait_at != US_NEVER)
            at = us_min(at, b->heard[i].ask_at);
    return us_min(at, client_deadline(b->client));
}
