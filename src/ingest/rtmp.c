#include "ingest/rtmp.h"

#include "base/err.h"
#include "base/mem.h"
#include "ingest/rtmp_hello.h"
#include "ingest/rtmp_words.h"
#include "ingest/unpack.h"
#include "wire/rtmp_chunk.h"

enum {
    OUR_CHUNK_SIZE = 4096,
    CS_CONTROL = 2, /* s5.4 */
    CS_COMMAND = 3,
    CS_STATUS = 5,
    STREAMS_MAX = 16, /* createStream; one is published */
    USER_STREAM_BEGIN = 0,
    USER_PING_REQUEST = 6,
    USER_PING_RESPONSE = 7,
    LIMIT_DYNAMIC = 2,
};

struct rtmp {
    enum rtmp_state state;
    const char *reason;
    us_t now, due_at; /* due_at: of HELLO .. SETUP, LEAVING */
    us_t heard_at;    /* bytes came */
    us_t media_at;    /* sound or picture came; when it went live */
    us_t ping_at;
    struct rng rng;
    struct addr remote;

    size_t hello_n; /* bytes of C0 and C1, then of C2 */
    uint8_t hello[1 + RTMP_HELLO_BYTES];
    bool digest;

    struct rtmp_chunk_reader reader;
    uint64_t acked;      /* received bytes that we have acknowledged */
    uint32_t ack_window; /* as the client wants it */
    unsigned commands_n;
    bool connected;
    struct rtmp_words_connect connect;
    struct rtmp_words_meta meta;
    uint32_t streams_n; /* given out by createStream */
    uint32_t stream;    /* that is published on */
    char key[MEDIA_KEY_MAX];

    struct unpack unpack;
    struct rd aggregate; /* what is left of an aggregate message */
    uint32_t aggregate_stamp, aggregate_first;
    bool aggregate_begun;

    struct media ready;
    bool has_ready; /* `ready` is to be drained */
    bool asked;     /* PUBLISH was drained: END is owed */
    bool has_end, clean;

    uint32_t chunk_size; /* of ours */
    bool taken;          /* out was read */
    size_t out_n;
    uint8_t out[RTMP_OUT_BYTES];
};

int rtmp_open(struct rtmp **ret, const struct addr *remote, uint64_t seed, us_t now)
{
    struct rtmp *r = mem_zero(sizeof *r);

    if (r == NULL)
        return E_NOMEM;
    r->state = RTMP_HELLO;
    r->rng = rng_seed(seed);
    r->remote = *remote;
    r->now = r->heard_at = now;
    r->due_at = now + RTMP_HANDSHAKE_US;
    r->chunk_size = RTMP_CHUNK_SIZE_DEFAULT;
    r->ack_window = RTMP_WINDOW_BYTES;
    rtmp_chunk_reader_init(&r->reader, RTMP_BUDGET_STRANGER_BYTES);
    unpack_init(&r->unpack);
    *ret = r;
    return 0;
}

void rtmp_free(struct rtmp *r)
{
    if (r == NULL)
        return;
    rtmp_chunk_reader_fini(&r->reader);
    unpack_fini(&r->unpack);
    mem_wipe(r->key, sizeof r->key);
    mem_wipe(r->out, sizeof r->out);
    mem_free(r);
}

/* The stream, if there was one, is over.  What was still to be drained borrows bytes that may be
 * gone, and nobody wants it any more. */
static void end(struct rtmp *r, const char *reason, bool clean)
{
    if (r->reason == NULL)
        r->reason = reason;
    r->has_ready = false;
    r->aggregate = (struct rd){0};
    if (r->asked && !r->has_end) {
        r->has_end = true;
        r->clean = clean;
    }
}

/* Over without a word: the protocol is broken, or there is nobody to hear it. */
static void fail(struct rtmp *r, const char *reason)
{
    if (r->state == RTMP_OVER)
        return;
    end(r, reason, false);
    r->state = RTMP_OVER;
}

/* Last words were said; a close that comes too early would throw them away. */
static void leave(struct rtmp *r, const char *reason, bool clean)
{
    if (r->state >= RTMP_LEAVING)
        return;
    end(r, reason, clean);
    r->state = RTMP_LEAVING;
    r->due_at = r->now + RTMP_LINGER_US;
}

static struct wr out_wr(struct rtmp *r)
{
    if (r->taken) {
        r->taken = false;
        r->out_n = 0;
    }
    return wr_of(r->out + r->out_n, sizeof r->out - r->out_n);
}

static void out_done(struct rtmp *r, const struct wr *w)
{
    if (wr_ok(w))
        r->out_n += wr_len(w);
    else
        fail(r, "the client does not read what it is sent");
}

static void say(struct rtmp *r, uint32_t cs, uint8_t type, uint32_t stream, struct bytes body)
{
    struct rtmp_chunk_message m = {
        .type = type, .chunk_stream = cs, .stream = stream, .body = body};
    struct wr w = out_wr(r);

    rtmp_chunk_write(&w, &m, r->chunk_size);
    out_done(r, &w);
}

static void say_control(struct rtmp *r, uint8_t type, uint32_t v, int extra)
{
    uint8_t body[5];

    store_u32(body, v);
    body[4] = (uint8_t)extra;
    say(r, CS_CONTROL, type, 0, bytes_of(body, extra >= 0 ? 5 : 4));
}

static void say_user(struct rtmp *r, uint16_t event, uint32_t v)
{
    uint8_t body[6];

    store_u16(body, event);
    store_u32(body + 2, v);
    say(r, CS_CONTROL, RTMP_USER_CONTROL, 0, bytes_of(body, sizeof body));
}

static void say_result(struct rtmp *r, const char *name, double transaction, uint32_t number)
{
    uint8_t body[128];
    struct wr w = wr_of(body, sizeof body);

    if (transaction == 0)
        return; /* s7.1.1: none is awaited (GStreamer's releaseStream) */
    rtmp_words_result(&w, name, transaction, number);
    say(r, CS_COMMAND, RTMP_COMMAND_AMF0, 0, wr_done(&w));
}

static void say_status(struct rtmp *r, bool error, const char *code, const char *description)
{
    struct rtmp_words_status s = {
        .name = "onStatus", .error = error, .code = code, .description = description};
    uint8_t body[RTMP_WORDS_BODY_MAX];
    struct wr w = wr_of(body, sizeof body);

    rtmp_words_status(&w, &s);
    assert(wr_ok(&w));
    say(r, CS_STATUS, RTMP_COMMAND_AMF0, r->stream, wr_done(&w));
}

/* s5.4.3: at least once a window. */
static void acknowledge(struct rtmp *r)
{
    if (r->state < RTMP_SETUP || r->reader.received - r->acked < r->ack_window)
        return;
    r->acked = r->reader.received;
    say_control(r, RTMP_ACKNOWLEDGEMENT, (uint32_t)r->reader.received, -1);
}

static void on_connect(struct rtmp *r, struct amf *a, double transaction)
{
    uint8_t body[RTMP_WORDS_BODY_MAX];
    struct wr w = wr_of(body, sizeof body);

    if (r->connected || rtmp_words_read_connect(a, &r->connect) != 0) {
        fail(r, "the connect command cannot be read");
        return;
    }
    r->connected = true;
    say_control(r, RTMP_WINDOW_ACK_SIZE, RTMP_WINDOW_BYTES, -1);
    say_control(r, RTMP_SET_PEER_BANDWIDTH, RTMP_WINDOW_BYTES, LIMIT_DYNAMIC);
    say_control(r, RTMP_SET_CHUNK_SIZE, OUR_CHUNK_SIZE, -1);
    r->chunk_size = OUR_CHUNK_SIZE;
    rtmp_words_connected(&w, transaction, &r->connect);
    assert(wr_ok(&w));
    say(r, CS_COMMAND, RTMP_COMMAND_AMF0, 0, wr_done(&w));
}

static void on_create_stream(struct rtmp *r, double transaction)
{
    if (r->streams_n == STREAMS_MAX)
        say_result(r, "_error", transaction, 0);
    else
        say_result(r, "_result", transaction, ++r->streams_n);
}

static void on_fc_publish(struct rtmp *r, double transaction)
{
    struct rtmp_words_status s = {
        .name = "onFCPublish", .code = "NetStream.Publish.Start", .description = ""};
    uint8_t body[RTMP_WORDS_BODY_MAX];
    struct wr w = wr_of(body, sizeof body);

    say_result(r, "_result", transaction, 0);
    rtmp_words_status(&w, &s);
    say(r, CS_COMMAND, RTMP_COMMAND_AMF0, 0, wr_done(&w)); /* FMLE waits for it */
}

/* s7.2.2.6: null, the name, "live". */
static void on_publish(struct rtmp *r, struct amf *a, uint32_t stream)
{
    struct amf_value v = {0};
    int err = amf_next(a, &v);

    if (err == 0)
        err = amf_next(a, &v);
    if (err || v.type != AMF_STRING || v.text.len > RTMP_WORDS_NAME_MAX || !r->connected) {
        fail(r, "the publish command cannot be read");
        return;
    }
    if (r->state != RTMP_SETUP) {
        say_status(r, true, "NetStream.Publish.BadName", "This connection publishes already.");
        return;
    }
    r->stream = stream;
    struct bytes key = rtmp_words_key(v.text, bytes_str(r->connect.app));
    if (key.len == 0 || key.len >= sizeof r->key) {
        say_status(r, true, "NetStream.Publish.BadName", "The stream key is missing or too long.");
        leave(r, "a stream key is missing or too long", false);
        return;
    }
    memcpy(r->key, key.p, key.len);
    r->state = RTMP_ASKING;
    r->reader.budget = RTMP_BUDGET_ASKING_BYTES;
    r->ready = (struct media){.kind = MEDIA_PUBLISH,
                              .publish = {.protocol = MEDIA_RTMP,
                                          .app = bytes_str(r->connect.app),
                                          .key = bytes_of(r->key, key.len),
                                          .remote = r->remote}};
    r->has_ready = true;
}

static void on_unpublish(struct rtmp *r)
{
    if (r->state < RTMP_ASKING)
        return;
    say_status(r, false, "NetStream.Unpublish.Success", "The stream has ended.");
    leave(r, "the publisher ended the stream", true);
}

static void on_play(struct rtmp *r)
{
    say_status(r, true, "NetStream.Play.Failed", "Streams are watched in a browser.");
    leave(r, "a player", false);
}

enum command {
    C_CONNECT,
    C_CREATE_STREAM,
    C_PUBLISH,
    C_FC_PUBLISH,
    C_UNPUBLISH,
    C_PLAY,
    C_NOTED,  /* answered with nothing in it */
    C_ANSWER, /* to what we said: nothing to do */
    C_UNKNOWN,
};

static enum command command_of(struct bytes name)
{
    static const struct {
        const char *name;
        enum command command;
    } table[] = {
        {"connect", C_CONNECT},
        {"createStream", C_CREATE_STREAM},
        {"publish", C_PUBLISH},
        {"FCPublish", C_FC_PUBLISH},
        {"FCUnpublish", C_UNPUBLISH},
        {"deleteStream", C_UNPUBLISH},
        {"closeStream", C_UNPUBLISH},
        {"play", C_PLAY},
        {"play2", C_PLAY},
        {"releaseStream", C_NOTED},
        {"_checkbw", C_NOTED},
        {"checkBandwidth", C_NOTED},
        {"getStreamLength", C_NOTED},
        {"FCSubscribe", C_NOTED},
        {"receiveAudio", C_ANSWER},
        {"receiveVideo", C_ANSWER},
        {"_result", C_ANSWER},
        {"_error", C_ANSWER},
        {"onStatus", C_ANSWER},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (bytes_eq_str(name, table[i].name))
            return table[i].command;
    }
    return C_UNKNOWN;
}

static void on_command(struct rtmp *r, const struct rtmp_chunk_message *m, struct bytes body)
{
    struct amf_value name, transaction;
    struct amf a;

    if (r->state < RTMP_LIVE && ++r->commands_n > RTMP_COMMANDS_MAX) {
        fail(r, "too many commands");
        return;
    }
    amf_open(&a, body);
    if (amf_next(&a, &name) != 0 || name.type != AMF_STRING || amf_next(&a, &transaction) != 0 ||
        transaction.type != AMF_NUMBER) {
        fail(r, "a command cannot be read");
        return;
    }
    switch (command_of(name.text)) {
    case C_CONNECT:
        on_connect(r, &a, transaction.number);
        break;
    case C_CREATE_STREAM:
        on_create_stream(r, transaction.number);
        break;
    case C_PUBLISH:
        on_publish(r, &a, m->stream);
        break;
    case C_FC_PUBLISH:
        on_fc_publish(r, transaction.number);
        break;
    case C_UNPUBLISH:
        on_unpublish(r);
        break;
    case C_PLAY:
        on_play(r);
        break;
    case C_NOTED:
        say_result(r, "_result", transaction.number, 0);
        break;
    case C_ANSWER:
        break;
    case C_UNKNOWN:
        say_result(r, "_error", transaction.number, 0);
        break;
    }
}

static uint16_t pixels(double v)
{
    return v >= 1 && v <= 65535 ? (uint16_t)v : 0;
}

/* s7.1.2: "@setDataFrame", "onMetaData", the members; or without the first. */
static void on_data(struct rtmp *r, struct bytes body)
{
    struct amf_value v;
    struct amf a;

    amf_open(&a, body);
    if (amf_next(&a, &v) != 0 || v.type != AMF_STRING)
        return; /* metadata of no use does no harm */
    if (bytes_eq_str(v.text, "@setDataFrame") && (amf_next(&a, &v) != 0 || v.type != AMF_STRING))
        return;
    if (!bytes_eq_str(v.text, "onMetaData"))
        return;
    rtmp_words_read_meta(&a, &r->meta);
    r->unpack.meta_width = pixels(r->meta.width);
    r->unpack.meta_height = pixels(r->meta.height);
}

static void on_media(struct rtmp *r, const struct flv_tag *tag)
{
    const char *reason = NULL;
    struct media m;

    if (r->state != RTMP_LIVE) {
        r->unpack.dropped++; /* before the yes: clients wait for it */
        return;
    }
    r->media_at = r->now;
    if (unpack_message(&r->unpack, tag, r->now, &m, &reason)) {
        r->ready = m;
        r->has_ready = true;
    }
    if (reason != NULL)
        rtmp_end(r, reason, r->now);
}

/* s7.1.6: tags whose time stamps count from the first one's. */
static void next_of_aggregate(struct rtmp *r)
{
    struct flv_tag tag;

    if (flv_tag_read(&r->aggregate, &tag) != 0) {
        r->aggregate = (struct rd){0};
        return;
    }
    if (!r->aggregate_begun)
        r->aggregate_first = tag.timestamp;
    r->aggregate_begun = true;
    tag.timestamp = r->aggregate_stamp + (tag.timestamp - r->aggregate_first);
    if (tag.type == FLV_TAG_SCRIPT)
        on_data(r, tag.body);
    else if (tag.type == FLV_TAG_AUDIO || tag.type == FLV_TAG_VIDEO)
        on_media(r, &tag);
}

static void on_control(struct rtmp *r, const struct rtmp_chunk_message *m)
{
    if (m->type == RTMP_WINDOW_ACK_SIZE && m->body.len >= 4) {
        uint32_t v = load_u32(m->body.p);
        r->ack_window = v >= OUR_CHUNK_SIZE && v <= RTMP_WINDOW_BYTES ? v : RTMP_WINDOW_BYTES;
    }
    if (m->type == RTMP_USER_CONTROL && m->body.len >= 6 &&
        load_u16(m->body.p) == USER_PING_REQUEST)
        say_user(r, USER_PING_RESPONSE, load_u32(m->body.p + 2));
}

static void on_message(struct rtmp *r, const struct rtmp_chunk_message *m)
{
    struct flv_tag tag = {.type = m->type, .timestamp = m->timestamp, .body = m->body};
    struct bytes body = m->body;

    switch (m->type) {
    case RTMP_COMMAND_AMF3:
    case RTMP_DATA_AMF3:
        if (body.len > 0 && body.p[0] == 0) /* then AMF0 */
            body = bytes_of(body.p + 1, body.len - 1);
        break;
    default:
        break;
    }
    switch (m->type) {
    case RTMP_COMMAND_AMF3:
    case RTMP_COMMAND_AMF0:
        on_command(r, m, body);
        break;
    case RTMP_DATA_AMF3:
    case RTMP_DATA_AMF0:
        on_data(r, body);
        break;
    case RTMP_AUDIO:
    case RTMP_VIDEO:
        on_media(r, &tag);
        break;
    case RTMP_AGGREGATE:
        r->aggregate = rd_of(body);
        r->aggregate_stamp = m->timestamp;
        r->aggregate_begun = false;
        break;
    default:
        on_control(r, m);
    }
}

/* C0 and C1, answered at once with S0, S1 and S2. */
static void read_hello(struct rtmp *r, struct bytes *in)
{
    size_t want = r->state == RTMP_HELLO ? 1 + RTMP_HELLO_BYTES : RTMP_HELLO_BYTES;
    size_t n = size_min(want - r->hello_n, in->len);

    memcpy(r->hello + r->hello_n, in->p, n);
    r->hello_n += n;
    in->p += n;
    in->len -= n;
    if (r->state == RTMP_HELLO && r->hello_n > 0 && r->hello[0] != 3) {
        fail(r, "not RTMP"); /* 6: encrypted, which nobody uses */
        return;
    }
    if (r->hello_n < want)
        return;
    r->hello_n = 0;
    if (r->state == RTMP_HELLO) {
        struct wr w = out_wr(r);
        uint8_t *answer = wr_room(&w, RTMP_HELLO_ANSWER_BYTES);
        assert(answer != NULL); /* the first thing said */
        r->digest = rtmp_hello_answer(r->hello + 1, &r->rng, answer);
        out_done(r, &w);
        r->state = RTMP_HELLO_2;
    } else {
        r->state = RTMP_SETUP; /* what C2 holds proves nothing */
        r->due_at = r->now + RTMP_SETUP_US;
    }
}

static const char *broken(int err)
{
    switch (err) {
    case E_TOO_LARGE:
        return "a message is too large";
    case E_LIMIT:
        return "the messages of the client exceed their budget";
    case E_NOMEM:
        return "out of memory";
    default:
        return "the chunks of the client cannot be read";
    }
}

/* One step; false when there is nothing to do for now. */
static bool advance(struct rtmp *r, struct bytes *in)
{
    struct rtmp_chunk_message m;

    if (r->has_ready)
        return false;
    if (rd_left(&r->aggregate) > 0) {
        next_of_aggregate(r);
        return true;
    }
    if (in->len == 0)
        return false;
    if (r->state <= RTMP_HELLO_2) {
        read_hello(r, in);
    } else if (r->state >= RTMP_LEAVING) {
        in->len = 0;
    } else {
        int err = rtmp_chunk_read(&r->reader, in, &m);
        if (err > 0)
            on_message(r, &m);
        else if (err < 0)
            fail(r, broken(err));
        acknowledge(r);
    }
    return true;
}

void rtmp_input(struct rtmp *r, struct bytes *in, us_t now)
{
    r->now = now;
    r->heard_at = now;
    while (advance(r, in)) {
    }
}

void rtmp_closed(struct rtmp *r)
{
    fail(r, "the connection was closed");
}

void rtmp_accept(struct rtmp *r, us_t now)
{
    if (r->state != RTMP_ASKING)
        return;
    r->now = r->heard_at = r->media_at = now;
    r->state = RTMP_LIVE;
    r->reader.budget = RTMP_BUDGET_BYTES;
    say_user(r, USER_STREAM_BEGIN, r->stream);
    say_status(r, false, "NetStream.Publish.Start", "Publishing.");
}

void rtmp_refuse(struct rtmp *r, enum rtmp_refusal why, const char *reason, us_t now)
{
    if (r->state != RTMP_ASKING)
        return;
    r->now = now;
    say_status(r, true,
               why == RTMP_BAD_NAME ? "NetStream.Publish.BadName" : "NetStream.Publish.Failed",
               reason);
    leave(r, reason, false);
}

void rtmp_end(struct rtmp *r, const char *reason, us_t now)
{
    if (r->state >= RTMP_LEAVING)
        return;
    r->now = now;
    if (r->state == RTMP_LIVE || r->state == RTMP_ASKING)
        say_status(r, true, "NetStream.Publish.Failed", reason);
    leave(r, reason, false);
}

bool rtmp_go_away(struct rtmp *r)
{
    if (r->state != RTMP_LIVE || (!r->connect.go_away && !r->connect.reconnect))
        return false;
    if (r->connect.reconnect) {
        struct rtmp_words_status s = {.name = "onStatus",
                                      .code = "NetConnection.Connect.ReconnectRequest",
                                      .description = "The server restarts."};
        uint8_t body[RTMP_WORDS_BODY_MAX];
        struct wr w = wr_of(body, sizeof body);
        rtmp_words_status(&w, &s);
        say(r, CS_COMMAND, RTMP_COMMAND_AMF0, 0, wr_done(&w));
    } else {
        say(r, CS_CONTROL, RTMP_GO_AWAY, 0, bytes_of(NULL, 0));
    }
    return true;
}

struct bytes rtmp_output(struct rtmp *r)
{
    if (r->taken)
        return bytes_of(r->out, 0);
    r->taken = r->out_n > 0;
    return bytes_of(r->out, r->out_n);
}

bool rtmp_event(struct rtmp *r, struct media *m)
{
    struct bytes none = bytes_of(NULL, 0);

    while (advance(r, &none)) {
    }
    if (r->has_ready) {
        *m = r->ready;
        r->has_ready = false;
        r->asked |= m->kind == MEDIA_PUBLISH;
        return true;
    }
    if (!r->has_end)
        return false;
    *m = (struct media){.kind = MEDIA_END, .clean = r->clean, .reason = r->reason};
    r->has_end = r->asked = false;
    return true;
}

static us_t silence_at(const struct rtmp *r)
{
    us_t from = r->state == RTMP_LIVE ? r->media_at : r->heard_at;

    return from + RTMP_SILENCE_US;
}

us_t rtmp_deadline(const struct rtmp *r)
{
    switch (r->state) {
    case RTMP_OVER:
        return US_NEVER;
    case RTMP_ASKING:
        return silence_at(r);
    case RTMP_LIVE:
        return us_min(silence_at(r), us_max(r->heard_at, r->ping_at) + RTMP_PING_US);
    default:
        return r->due_at;
    }
}

void rtmp_tick(struct rtmp *r, us_t now)
{
    if (now < rtmp_deadline(r))
        return;
    r->now = now;
    switch (r->state) {
    case RTMP_HELLO:
    case RTMP_HELLO_2:
        fail(r, "the handshake took too long");
        break;
    case RTMP_SETUP:
        fail(r, "the client did not publish in time");
        break;
    case RTMP_ASKING:
    case RTMP_LIVE:
        if (now >= silence_at(r)) {
            rtmp_end(r, "nothing was received for 30 seconds", now);
        } else {
            r->ping_at = now;
            say_user(r, USER_PING_REQUEST, (uint32_t)(now / US_PER_MS));
        }
        break;
    case RTMP_LEAVING:
        r->state = RTMP_OVER;
        break;
    case RTMP_OVER:
        break;
    }
}

enum rtmp_state rtmp_state(const struct rtmp *r)
{
    return r->state;
}

const char *rtmp_reason(const struct rtmp *r)
{
    return r->reason;
}

void rtmp_facts(const struct rtmp *r, struct rtmp_facts *out)
{
    *out = (struct rtmp_facts){
        .digest = r->digest,
        .enhanced = r->unpack.enhanced,
        .b_frames = r->unpack.b_frames,
        .bytes = r->reader.received,
        .video_frames = r->unpack.video_n,
        .audio_frames = r->unpack.audio_n,
        .dropped = r->unpack.dropped,
        .jumps = r->unpack.jumps,
        .framerate = r->meta.framerate,
        .silent = r->unpack.silent,
    };
    memcpy(out->client, r->connect.client, sizeof out->client);
    memcpy(out->encoder, r->meta.encoder, sizeof out->encoder);
}
