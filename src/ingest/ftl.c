#include "ingest/ftl.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypt/hash.h"

#include <stdio.h>

enum { VERSION_MINOR_MIN = 9 }; /* protocol 0.9: what every client of the last years speaks */

void ftl_init(struct ftl *f, us_t now)
{
    *f = (struct ftl){.due_at = now + FTL_HANDSHAKE_US};
    ftl_line_init(&f->line);
    f->stream.audio_pt = 97;
    f->stream.video_pt = 96;
    f->stream.audio_codec = CODEC_OPUS;
    f->stream.video_codec = CODEC_H264;
}

void ftl_fini(struct ftl *f)
{
    mem_wipe(f->challenge, sizeof f->challenge);
    mem_wipe(f->digest, sizeof f->digest);
}

/* ---- out ---- */

static void say(struct ftl *f, const char *text)
{
    size_t n = strlen(text);

    if (n > sizeof f->out - f->out_n) { /* a client that asks and does not read */
        f->state = FTL_OVER;
        return;
    }
    memcpy(f->out + f->out_n, text, n);
    f->out_n += n;
}

static void say_code(struct ftl *f, enum ftl_code code)
{
    char line[16];

    (void)snprintf(line, sizeof line, "%d\n", (int)code); /* fits */
    say(f, line);
}

struct bytes ftl_output(struct ftl *f)
{
    struct bytes out = bytes_of(f->out, f->out_n);

    f->out_n = 0;
    return out;
}

static void emit(struct ftl *f, enum ftl_event_kind kind, bool clean, const char *reason)
{
    assert(f->event_n < ARRAY_LEN(f->event));
    f->event[f->event_n++] = (struct ftl_event){.kind = kind, .clean = clean, .reason = reason};
}

bool ftl_event(struct ftl *f, struct ftl_event *ev)
{
    if (f->event_n == 0)
        return false;
    *ev = f->event[0];
    f->event[0] = f->event[1];
    f->event_n--;
    return true;
}

/* The owner hears of an end only when it heard of the beginning. */
static void over(struct ftl *f, bool clean, const char *reason)
{
    bool known = f->state == FTL_LIVE || f->state == FTL_STARTING || f->state == FTL_ASKING;

    if (f->state == FTL_OVER)
        return;
    f->state = FTL_OVER;
    f->due_at = US_NEVER;
    if (known)
        emit(f, FTL_EVT_END, clean, reason);
}

void ftl_end(struct ftl *f, enum ftl_code code, const char *reason)
{
    if (f->state == FTL_OVER)
        return;
    say_code(f, code);
    over(f, false, reason);
}

void ftl_closed(struct ftl *f)
{
    over(f, false, "the control connection was lost");
}

/* ---- commands ---- */

static void on_hmac(struct ftl *f)
{
    char hex[2 * FTL_CHALLENGE_BYTES + 1];

    if (f->state > FTL_CHALLENGED) {
        ftl_end(f, FTL_MALFORMED, "a challenge was asked for twice");
        return;
    }
    if (crypt_random(f->challenge, sizeof f->challenge)) {
        ftl_end(f, FTL_INTERNAL, "no random bytes");
        return;
    }
    hash_hex(bytes_of(f->challenge, sizeof f->challenge), hex);
    say(f, "200 ");
    say(f, hex);
    say(f, "\n");
    f->state = FTL_CHALLENGED;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool digest_of(struct bytes hex, uint8_t out[FTL_DIGEST_BYTES])
{
    if (hex.len != 2 * FTL_DIGEST_BYTES)
        return false;
    for (size_t i = 0; i < FTL_DIGEST_BYTES; i++) {
        int hi = hex_digit(hex.p[2 * i]), lo = hex_digit(hex.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static void on_connect(struct ftl *f, const struct ftl_command *c)
{
    if (f->state != FTL_CHALLENGED) { /* one challenge is good for one answer */
        ftl_end(f, FTL_MALFORMED, "CONNECT without a challenge");
        return;
    }
    if (!digest_of(c->digest, f->digest)) {
        ftl_end(f, FTL_BAD_KEY, "the digest is none");
        return;
    }
    f->stream.channel = c->channel;
    /* What every client announces; kept when it announces nothing. */
    f->stream.audio_ssrc = c->channel;
    f->stream.video_ssrc = c->channel + 1;
    f->state = FTL_ASKING;
    emit(f, FTL_EVT_ASK_KEY, false, NULL);
}

void ftl_key(struct ftl *f, struct bytes key, us_t now)
{
    uint8_t want[HASH_BYTES_MAX];

    if (f->state != FTL_ASKING)
        return;
    hash_hmac_sha512(key, bytes_of(f->challenge, sizeof f->challenge), want);
    bool good = key.len > 0 && crypt_equal(want, f->digest, FTL_DIGEST_BYTES);
    mem_wipe(want, sizeof want);
    mem_wipe(f->challenge, sizeof f->challenge);
    if (!good) {
        f->state = FTL_CHALLENGED; /* the owner knows: nothing had begun */
        ftl_end(f, FTL_BAD_KEY, "wrong stream key");
        return;
    }
    f->state = FTL_CONNECTED;
    f->due_at = now + FTL_SETUP_US;
    say_code(f, FTL_OK);
}

static bool number(struct bytes value, uint32_t max, uint32_t *out)
{
    int64_t v;

    if (!str_to_i64(value, &v) || v > (int64_t)max ||
        v < (max == UINT32_MAX ? INT32_MIN : 0)) /* numbers of 32 bits may come signed */
        return false;
    *out = (uint32_t)v;
    return true;
}

static enum codec codec_of_attribute(struct bytes value)
{
    return str_ieq(value, "H264")   ? CODEC_H264
           : str_ieq(value, "VP8")  ? CODEC_VP8
           : str_ieq(value, "OPUS") ? CODEC_OPUS
                                    : CODEC_NONE;
}

/* "0.9": older clients send other packets. */
static bool version_good(struct bytes value)
{
    uint64_t major = 0, minor = 0;
    const uint8_t *dot = value.len > 0 ? memchr(value.p, '.', value.len) : NULL;

    if (dot == NULL || !str_to_u64(bytes_of(value.p, (size_t)(dot - value.p)), 1000, &major))
        return false;
    size_t at = (size_t)(dot - value.p) + 1;
    if (!str_to_u64(bytes_of(value.p + at, value.len - at), 1000, &minor))
        return false;
    return major > 0 || minor >= VERSION_MINOR_MIN;
}

/* Replies to attributes would be taken for the answer to "." (ftl-lightspeed.md, finding 1). */
static void on_attribute(struct ftl *f, struct bytes name, struct bytes value)
{
    struct ftl_stream *s = &f->stream;
    uint32_t n = 0;
    bool good = true;

    if (str_ieq(name, "Video"))
        good = ftl_value_bool(value, &s->video);
    else if (str_ieq(name, "Audio"))
        good = ftl_value_bool(value, &s->audio);
    else if (str_ieq(name, "VideoCodec"))
        s->video_codec = codec_of_attribute(value);
    else if (str_ieq(name, "AudioCodec"))
        s->audio_codec = codec_of_attribute(value);
    else if (str_ieq(name, "VideoIngestSSRC"))
        good = number(value, UINT32_MAX, &s->video_ssrc);
    else if (str_ieq(name, "AudioIngestSSRC"))
        good = number(value, UINT32_MAX, &s->audio_ssrc);
    else if (str_ieq(name, "VideoPayloadType") && (good = number(value, 127, &n)))
        s->video_pt = (uint8_t)(n & 127);
    else if (str_ieq(name, "AudioPayloadType") && (good = number(value, 127, &n)))
        s->audio_pt = (uint8_t)(n & 127);
    else if (str_ieq(name, "VendorName"))
        (void)str_copy(s->vendor, sizeof s->vendor, value); /* too long: not shown */
    else if (str_ieq(name, "VendorVersion"))
        (void)str_copy(s->version, sizeof s->version, value); /* likewise */
    else if (str_ieq(name, "ProtocolVersion") && !version_good(value))
        ftl_end(f, FTL_OLD_CLIENT, "the client speaks an older FTL than 0.9");
    if (!good)
        ftl_end(f, FTL_MALFORMED, "an attribute has a value that it cannot have");
}

static void on_start(struct ftl *f)
{
    struct ftl_stream *s = &f->stream;

    if (f->state != FTL_CONNECTED) {
        ftl_end(f, FTL_MALFORMED, "a stream was begun before it was allowed");
        return;
    }
    s->video = s->video && s->video_codec != CODEC_NONE;
    s->audio = s->audio && s->audio_codec != CODEC_NONE;
    if (!s->video && !s->audio) {
        ftl_end(f, FTL_MALFORMED, "neither H.264 nor Opus was announced");
    } else if (s->video_ssrc == s->audio_ssrc || s->video_pt == s->audio_pt) {
        ftl_end(f, FTL_VIDEO_SSRC, "audio and video have one number");
    } else {
        f->state = FTL_STARTING;
        f->due_at = US_NEVER; /* the owner's turn; it has a deadline of its own */
        emit(f, FTL_EVT_START, false, NULL);
    }
}

void ftl_started(struct ftl *f, uint16_t port, us_t now)
{
    char line[48];

    if (f->state != FTL_STARTING)
        return;
    /* The client wants a word that is no dot before the sentence, to the letter. */
    (void)snprintf(line, sizeof line, "200 hi. Use UDP port %u\n", port); /* fits */
    say(f, line);
    f->state = FTL_LIVE;
    f->due_at = now + FTL_PING_TIMEOUT_US;
}

static void on_ping(struct ftl *f, us_t now)
{
    if (f->state != FTL_CONNECTED && f->state != FTL_STARTING && f->state != FTL_LIVE) {
        ftl_end(f, FTL_MALFORMED, "a ping before CONNECT");
        return;
    }
    say_code(f, FTL_PONG);
    if (f->state == FTL_LIVE)
        f->due_at = now + FTL_PING_TIMEOUT_US;
}

static void on_command(struct ftl *f, struct bytes line, us_t now)
{
    struct ftl_command c;

    if (ftl_command_parse(&c, line)) {
        ftl_end(f, FTL_MALFORMED, "a command cannot be understood");
        return;
    }
    switch (c.verb) {
    case FTL_VERB_HMAC:
        on_hmac(f);
        break;
    case FTL_VERB_CONNECT:
        on_connect(f, &c);
        break;
    case FTL_VERB_ATTRIBUTE:
        if (f->state == FTL_CONNECTED)
            on_attribute(f, c.name, c.value);
        else if (f->state < FTL_CONNECTED)
            ftl_end(f, FTL_MALFORMED, "an attribute before CONNECT");
        break;
    case FTL_VERB_START:
        on_start(f);
        break;
    case FTL_VERB_PING:
        on_ping(f, now);
        break;
    case FTL_VERB_DISCONNECT:
        over(f, true, "the publisher ended the stream");
        break;
    case FTL_VERB_UNKNOWN:
        if (f->state < FTL_CONNECTED)
            ftl_end(f, FTL_MALFORMED, "a word that is no command");
        break;
    }
}

void ftl_input(struct ftl *f, struct bytes in, us_t now)
{
    while (in.len > 0 && f->state != FTL_OVER) {
        struct bytes line;
        size_t used;
        int got = ftl_line_input(&f->line, in, &used, &line);
        in = bytes_of(in.p + used, in.len - used);
        if (got == 1 && f->state < FTL_LIVE && ++f->lines_n > FTL_LINES_MAX)
            got = E_LIMIT;
        if (got < 0)
            ftl_end(f, FTL_MALFORMED, "commands beyond all measure");
        else if (got == 1)
            on_command(f, line, now);
    }
}

/* ---- time ---- */

void ftl_tick(struct ftl *f, us_t now)
{
    if (now < f->due_at || f->state == FTL_OVER)
        return;
    ftl_end(f, FTL_TERMINATED,
            f->state == FTL_LIVE ? "the publisher stopped answering" : "no handshake in time");
}

us_t ftl_deadline(const struct ftl *f)
{
    return f->state == FTL_OVER ? US_NEVER : f->due_at;
}
