#include "ingest/rtmp.h"

#include "base/err.h"
#include "base/test.h"
#include "wire/amf.h"
#include "wire/flv.h"
#include "wire/rtmp_chunk.h"

#include <stdlib.h>

enum { HELLO = 1536 };

struct seen {
    unsigned publish, config, video, keys, audio, end, clean;
    char key[64], reason[160];
    us_t last_dts;
};

struct rig {
    struct rtmp *r;
    us_t now;
    bool refuse;
    struct seen seen;
    size_t said_n;
    uint8_t said[64 << 10]; /* everything that the server said after the handshake */
};

static void drain(struct rig *g)
{
    struct media m;

    while (rtmp_event(g->r, &m)) {
        struct seen *s = &g->seen;
        s->publish += m.kind == MEDIA_PUBLISH;
        s->config += m.kind == MEDIA_VIDEO_CONFIG || m.kind == MEDIA_AUDIO_CONFIG;
        s->video += m.kind == MEDIA_VIDEO;
        s->keys += m.kind == MEDIA_VIDEO && m.key;
        s->audio += m.kind == MEDIA_AUDIO;
        if (m.kind == MEDIA_VIDEO)
            s->last_dts = m.dts_us;
        if (m.kind == MEDIA_PUBLISH) {
            (void)snprintf(s->key, sizeof s->key, "%.*s", (int)m.publish.key.len,
                           (const char *)m.publish.key.p);
            if (g->refuse)
                rtmp_refuse(g->r, RTMP_BAD_NAME, "No such key.", g->now);
            else
                rtmp_accept(g->r, g->now);
        }
        if (m.kind == MEDIA_END) {
            s->end++;
            s->clean += m.clean;
            (void)snprintf(s->reason, sizeof s->reason, "%s", m.reason);
        }
    }
    struct bytes out = rtmp_output(g->r);
    if (g->said_n + out.len <= sizeof g->said) {
        memcpy(g->said + g->said_n, out.p, out.len);
        g->said_n += out.len;
    }
}

static void feed(struct rig *g, struct bytes in)
{
    while (in.len > 0) {
        rtmp_input(g->r, &in, g->now);
        drain(g);
    }
}

static void begin(struct rig *g)
{
    static const uint8_t hello[1 + 2 * HELLO] = {3};
    struct addr remote = {0};

    memset(g, 0, sizeof *g);
    EXPECT_EQ(rtmp_open(&g->r, &remote, 7, 0), 0);
    feed(g, bytes_of(hello, sizeof hello));
    EXPECT_EQ(g->said_n, 1 + 2 * HELLO);
    g->said_n = 0;
    EXPECT_EQ(rtmp_state(g->r), RTMP_SETUP);
}

static void message(struct rig *g, uint8_t type, uint32_t ms, struct bytes body)
{
    static uint8_t buf[1 << 20];
    struct rtmp_chunk_message m = {
        .type = type, .chunk_stream = 4, .stream = 1, .timestamp = ms, .body = body};
    struct wr w = wr_of(buf, sizeof buf);

    rtmp_chunk_write(&w, &m, RTMP_CHUNK_SIZE_DEFAULT);
    EXPECT(wr_ok(&w));
    feed(g, wr_done(&w));
}

static void command(struct rig *g, uint8_t type, const char *name, const char *argument)
{
    uint8_t buf[70000];
    struct wr w = wr_of(buf, sizeof buf);

    if (type == RTMP_COMMAND_AMF3)
        wr_u8(&w, 0);
    amf_write_text(&w, name);
    amf_write_number(&w, 2);
    if (strcmp(name, "connect") == 0) {
        amf_write_object(&w);
        amf_write_key(&w, "app");
        amf_write_text(&w, argument);
        amf_write_key(&w, "supportsGoAway");
        amf_write_bool(&w, true);
        amf_write_end(&w);
    } else {
        amf_write_null(&w);
        if (argument != NULL)
            amf_write_text(&w, argument);
    }
    EXPECT(wr_ok(&w));
    message(g, type, 0, wr_done(&w));
}

static void publish(struct rig *g)
{
    command(g, RTMP_COMMAND_AMF0, "connect", "live");
    command(g, RTMP_COMMAND_AMF0, "createStream", NULL);
    command(g, RTMP_COMMAND_AMF0, "publish", "the-key?token=1");
}

/* Did the server say this text? */
static bool said(const struct rig *g, const char *text)
{
    return memmem(g->said, g->said_n, text, strlen(text)) != NULL;
}

static struct bytes fixture(const char *name, uint8_t *buf, size_t cap)
{
    const char *root = getenv("SOURCE_ROOT");
    char path[512];

    (void)snprintf(path, sizeof path, "%s/fuzz/rtmp/%s", root != NULL ? root : "..", name);
    FILE *f = fopen(path, "rb");
    EXPECT(f != NULL);
    size_t n = fread(buf, 1, cap, f);
    (void)fclose(f); /* read only */
    return bytes_of(buf, n);
}

TEST(rtmp_recorded_clients_publish_whatever_the_cuts)
{
    static const struct {
        const char *name;
        unsigned video, audio, configs;
        bool b_frames, goodbye;
    } row[] = {
        {"ffmpeg", 8, 36, 2, false, true},    {"ffmpeg_bframes", 12, 0, 1, true, true},
        {"rtmp2sink", 6, 21, 2, false, true}, {"librtmp", 6, 21, 2, false, true},
        {"obs", 17, 27, 2, false, false}, /* cut off */
    };
    static uint8_t buf[32 << 10];
    static struct rig g;
    static const size_t cuts[] = {1, 7, 1460, 65536};

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct bytes all = fixture(row[i].name, buf, sizeof buf);
        for (size_t c = 0; c < ARRAY_LEN(cuts); c++) {
            struct rtmp_facts facts;
            begin(&g);
            for (size_t at = 0; at < all.len; at += cuts[c])
                feed(&g, bytes_of(all.p + at, size_min(cuts[c], all.len - at)));
            if (!row[i].goodbye) {
                rtmp_closed(g.r);
                drain(&g);
            }
            rtmp_facts(g.r, &facts);
            EXPECT_STR(g.seen.key, "k");
            EXPECT_EQ(g.seen.video, row[i].video);
            EXPECT_EQ(g.seen.audio, row[i].audio);
            EXPECT_EQ(g.seen.config, row[i].configs);
            EXPECT(g.seen.keys > 0 && facts.b_frames == row[i].b_frames);
            EXPECT(g.seen.end == 1 && g.seen.clean == row[i].goodbye && facts.dropped == 0);
            EXPECT(said(&g, "NetStream.Publish.Start"));
            rtmp_free(g.r);
        }
    }
}

TEST(rtmp_commands_are_answered)
{
    static struct rig g;

    begin(&g);
    command(&g, RTMP_COMMAND_AMF0, "connect", "any/app");
    EXPECT(said(&g, "NetConnection.Connect.Success"));
    command(&g, RTMP_COMMAND_AMF0, "releaseStream", "k");
    command(&g, RTMP_COMMAND_AMF0, "FCPublish", "k");
    EXPECT(said(&g, "onFCPublish"));
    command(&g, RTMP_COMMAND_AMF0, "_checkbw", NULL);
    command(&g, RTMP_COMMAND_AMF0, "frobnicate", NULL);
    EXPECT(said(&g, "_error"));
    command(&g, RTMP_COMMAND_AMF3, "createStream", NULL);
    command(&g, RTMP_COMMAND_AMF3, "publish", "the-key?token=1");
    EXPECT_STR(g.seen.key, "the-key");
    EXPECT_EQ(rtmp_state(g.r), RTMP_LIVE);
    command(&g, RTMP_COMMAND_AMF0, "publish", "another");
    EXPECT(said(&g, "NetStream.Publish.BadName"));
    EXPECT_EQ(rtmp_state(g.r), RTMP_LIVE);
    message(&g, RTMP_USER_CONTROL, 0, test_hex("0006 01020304"));
    EXPECT_BYTES(bytes_of(g.said + g.said_n - 6, 6), test_hex("0007 01020304"));
    EXPECT(rtmp_go_away(g.r));
    rtmp_end(g.r, "The key was revoked.", g.now);
    drain(&g);
    EXPECT(said(&g, "The key was revoked."));
    EXPECT(g.seen.end == 1 && g.seen.clean == 0);
    EXPECT_EQ(rtmp_deadline(g.r), RTMP_LINGER_US);
    rtmp_tick(g.r, RTMP_LINGER_US);
    EXPECT_EQ(rtmp_state(g.r), RTMP_OVER);
    rtmp_free(g.r);
}

TEST(rtmp_a_refused_key_is_told_and_no_stream_begins)
{
    static struct rig g;

    begin(&g);
    g.refuse = true;
    publish(&g);
    EXPECT(said(&g, "NetStream.Publish.BadName") && said(&g, "No such key."));
    EXPECT(!said(&g, "NetStream.Publish.Start"));
    EXPECT_EQ(rtmp_state(g.r), RTMP_LEAVING);
    message(&g, RTMP_VIDEO, 0, test_hex("17 00 000000"));
    EXPECT_EQ(g.seen.video, 0);
    rtmp_closed(g.r);
    drain(&g);
    EXPECT(rtmp_state(g.r) == RTMP_OVER && g.seen.end == 1);
    rtmp_free(g.r);
}

TEST(rtmp_players_and_keys_that_are_none_are_refused)
{
    static struct rig g;
    static char name[1100];

    begin(&g);
    command(&g, RTMP_COMMAND_AMF0, "connect", "live");
    command(&g, RTMP_COMMAND_AMF0, "play", "k");
    EXPECT(said(&g, "NetStream.Play.Failed") && rtmp_state(g.r) == RTMP_LEAVING);
    rtmp_free(g.r);

    begin(&g);
    command(&g, RTMP_COMMAND_AMF0, "connect", "live");
    command(&g, RTMP_COMMAND_AMF0, "publish", "");
    EXPECT(said(&g, "missing or too long") && g.seen.publish == 0);
    rtmp_free(g.r);

    begin(&g);
    command(&g, RTMP_COMMAND_AMF0, "publish", "k"); /* without connect */
    EXPECT(rtmp_state(g.r) == RTMP_OVER && g.seen.publish == 0);
    rtmp_free(g.r);

    memset(name, 'a', sizeof name - 1);
    for (size_t n = 300; n < sizeof name; n += 799) {
        name[n] = '\0';
        begin(&g);
        command(&g, RTMP_COMMAND_AMF0, "connect", "live");
        command(&g, RTMP_COMMAND_AMF0, "publish", name);
        EXPECT(rtmp_state(g.r) >= RTMP_LEAVING && g.seen.publish == 0);
        rtmp_free(g.r);
        name[n] = 'a';
    }
}

TEST(rtmp_deadlines_of_every_state)
{
    static struct rig g;
    struct addr remote = {0};

    EXPECT_EQ(rtmp_open(&g.r, &remote, 1, 5), 0);
    EXPECT_EQ(rtmp_deadline(g.r), 5 + RTMP_HANDSHAKE_US);
    rtmp_tick(g.r, 5 + RTMP_HANDSHAKE_US - 1);
    EXPECT_EQ(rtmp_state(g.r), RTMP_HELLO);
    rtmp_tick(g.r, 5 + RTMP_HANDSHAKE_US);
    EXPECT_EQ(rtmp_state(g.r), RTMP_OVER);
    EXPECT_EQ(rtmp_deadline(g.r), US_NEVER);
    rtmp_free(g.r);

    begin(&g);
    EXPECT_EQ(rtmp_deadline(g.r), RTMP_SETUP_US);
    rtmp_tick(g.r, RTMP_SETUP_US);
    EXPECT_EQ(rtmp_state(g.r), RTMP_OVER);
    rtmp_free(g.r);

    begin(&g);
    g.now = 100;
    publish(&g);
    EXPECT_EQ(rtmp_deadline(g.r), 100 + RTMP_PING_US);
    g.said_n = 0;
    rtmp_tick(g.r, 100 + RTMP_PING_US);
    drain(&g);
    EXPECT_EQ(g.said_n, 12 + 6); /* a ping */
    g.now = 100 + 25 * US_PER_SEC;
    message(&g, RTMP_USER_CONTROL, 0, test_hex("0007 00000000")); /* no media all the same */
    EXPECT_EQ(rtmp_deadline(g.r), 100 + RTMP_SILENCE_US);
    rtmp_tick(g.r, 100 + RTMP_SILENCE_US);
    drain(&g);
    EXPECT_STR(g.seen.reason, "nothing was received for 30 seconds");
    rtmp_free(g.r);
}

TEST(rtmp_received_bytes_are_acknowledged)
{
    static uint8_t body[5000];
    static struct rig g;

    begin(&g);
    publish(&g);
    message(&g, RTMP_WINDOW_ACK_SIZE, 0, test_hex("00002000")); /* 8,192 */
    g.said_n = 0;
    for (int i = 0; i < 4; i++)
        message(&g, RTMP_DATA_AMF0, 0, bytes_of(body, sizeof body));
    EXPECT_EQ(g.said_n, 2 * 16);
    EXPECT_EQ(g.said[7], RTMP_ACKNOWLEDGEMENT);
    rtmp_free(g.r);
}

TEST(rtmp_aggregates_are_taken_apart)
{
    static struct rig g;
    uint8_t buf[256];
    struct wr w = wr_of(buf, sizeof buf);
    struct flv_tag tag = {.type = FLV_TAG_VIDEO,
                          .timestamp = 500,
                          .body =
                              test_hex("17 00 000000 01 42c01f ff e1 0004 6742c01f 01 0002 68ce")};

    flv_tag_write(&w, &tag);
    tag.body = test_hex("17 01 000000 00000002 6588");
    flv_tag_write(&w, &tag);
    tag.timestamp = 540;
    tag.body = test_hex("27 01 000000 00000002 419a");
    flv_tag_write(&w, &tag);
    begin(&g);
    publish(&g);
    message(&g, RTMP_AGGREGATE, 9000, wr_done(&w));
    EXPECT(g.seen.video == 2 && g.seen.keys == 1);
    EXPECT_EQ(g.seen.last_dts, 9040000);
    message(&g, RTMP_AGGREGATE, 9000, test_hex("09 ffffff 000000 00 000000 17"));
    EXPECT_EQ(rtmp_state(g.r), RTMP_LIVE); /* a broken one is left out */
    rtmp_free(g.r);
}

TEST(rtmp_hostile_bytes_end_the_connection_within_its_budget)
{
    static const char *const bad[] = {
        "02 000000 000004 01 00000000 00000000", /* chunk size 0 */
        "02 000000 000004 01 00000000 80000000",
        "04 000000 ffffff 09 01000000 00", /* 16 MB before publish */
        "03 000000 000001 14 00000000 05", /* a command that is none */
        "03 000000 000000 14 00000000",
        "c5",
    };
    static uint8_t junk[70000];
    static struct rig g;
    int64_t live = mem_live();

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        begin(&g);
        feed(&g, test_hex(bad[i]));
        EXPECT(rtmp_state(g.r) == RTMP_OVER && rtmp_reason(g.r) != NULL);
        rtmp_free(g.r);
    }
    begin(&g); /* a crowd of commands */
    for (int i = 0; i < 100; i++)
        command(&g, RTMP_COMMAND_AMF0, "releaseStream", "k");
    EXPECT_EQ(rtmp_state(g.r), RTMP_OVER);
    rtmp_free(g.r);
    begin(&g); /* a client that reads nothing */
    publish(&g);
    for (int i = 0; i < 5000; i++) {
        struct bytes in = test_hex("02 000000 000006 04 00000000 0006 01020304");
        rtmp_input(g.r, &in, 0);
    }
    EXPECT_STR(rtmp_reason(g.r), "the client does not read what it is sent");
    rtmp_free(g.r);
    EXPECT_EQ(rtmp_open(&g.r, &(struct addr){0}, 1, 0), 0);
    junk[0] = 'G';
    feed(&g, bytes_of(junk, sizeof junk)); /* not RTMP */
    EXPECT_STR(rtmp_reason(g.r), "not RTMP");
    rtmp_free(g.r);
    EXPECT_EQ(mem_live(), live);
}

TEST(rtmp_refused_memory_at_any_step_leaves_nothing)
{
    static uint8_t buf[32 << 10];
    struct bytes all = fixture("rtmp2sink", buf, sizeof buf);
    int64_t live = mem_live();
    static struct rig g;

    mem_refuse_nth(1);
    EXPECT_EQ(rtmp_open(&g.r, &(struct addr){0}, 1, 0), E_NOMEM);
    mem_refuse_nth(0);
    for (uint64_t nth = 1; nth < 40; nth++) {
        begin(&g);
        mem_refuse_nth(nth);
        feed(&g, all);
        mem_refuse_nth(0);
        rtmp_free(g.r);
        EXPECT_EQ(mem_live(), live);
    }
}

/* What follows the handshake. */
FUZZ(rtmp, in)
{
    static struct rig g;
    int64_t live = mem_live();

    begin(&g);
    feed(&g, in);
    EXPECT(g.seen.publish <= 1 && g.seen.end <= g.seen.publish);
    rtmp_closed(g.r);
    drain(&g);
    EXPECT_EQ(g.seen.end, g.seen.publish);
    EXPECT_EQ(rtmp_state(g.r), RTMP_OVER);
    rtmp_free(g.r);
    EXPECT_EQ(mem_live(), live);
}
