#include "ingest/ftl.h"

#include "base/test.h"
#include "crypt/hash.h"

#include <stdio.h>

static const char key[] = "aBcDeF0123456789";

static void input(struct ftl *f, const char *text, us_t now)
{
    ftl_input(f, bytes_str(text), now);
}

/* What the client reads: one line, in a static buffer. */
static const char *output(struct ftl *f)
{
    static char text[FTL_OUT_BYTES + 1];
    struct bytes out = ftl_output(f);

    memcpy(text, out.p, out.len);
    text[out.len] = '\0';
    return text;
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The client's half: HMAC-SHA-512 over the decoded challenge, with the key as typed. */
static void answer_challenge(struct ftl *f, const char *channel, const char *with, us_t now)
{
    uint8_t challenge[FTL_CHALLENGE_BYTES], digest[HASH_BYTES_MAX];
    char hex[2 * HASH_BYTES_MAX + 1], line[256];

    input(f, "HMAC\r\n\r\n", now);
    const char *got = output(f);
    EXPECT_EQ(strlen(got), 4 + 2 * FTL_CHALLENGE_BYTES + 1);
    EXPECT(strncmp(got, "200 ", 4) == 0);
    EXPECT(got[strlen(got) - 1] == '\n');
    for (size_t i = 0; i < FTL_CHALLENGE_BYTES; i++)
        challenge[i] = (uint8_t)(nibble(got[4 + 2 * i]) << 4 | nibble(got[5 + 2 * i]));
    hash_hmac_sha512(bytes_str(with), bytes_of(challenge, sizeof challenge), digest);
    hash_hex(bytes_of(digest, sizeof digest), hex);
    (void)snprintf(line, sizeof line, "CONNECT %s $%s\r\n\r\n", channel, hex);
    input(f, line, now);
}

static void connect(struct ftl *f, us_t now)
{
    struct ftl_event ev;

    answer_challenge(f, "77", key, now);
    EXPECT(ftl_event(f, &ev));
    EXPECT_EQ(ev.kind, FTL_EVT_ASK_KEY);
    EXPECT_EQ(f->stream.channel, 77);
    ftl_key(f, bytes_str(key), now);
    EXPECT_STR(output(f), "200\n");
}

static void go_live(struct ftl *f, us_t now)
{
    struct ftl_event ev;

    connect(f, now);
    input(f,
          "ProtocolVersion: 0.9\r\n\r\nVendorName: OBS Studio\r\n\r\nVendorVersion: 29.0.2\r\n\r\n",
          now);
    input(f, "Video: true\r\n\r\nVideoCodec: H264\r\n\r\nVideoHeight: 720\r\n\r\n", now);
    input(f, "VideoPayloadType: 96\r\n\r\nVideoIngestSSRC: 78\r\n\r\n", now);
    input(f, "Audio: true\r\n\r\nAudioCodec: OPUS\r\n\r\nAudioPayloadType: 97\r\n\r\n", now);
    input(f, "AudioIngestSSRC: 77\r\n\r\nSomethingNew: 1\r\n\r\n", now);
    EXPECT_STR(output(f), ""); /* a reply here would be taken for the answer to "." */
    input(f, ".\r\n\r\n", now);
    EXPECT_STR(output(f), "");
    EXPECT(ftl_event(f, &ev));
    EXPECT_EQ(ev.kind, FTL_EVT_START);
    EXPECT(f->stream.video && f->stream.audio);
    EXPECT_EQ(f->stream.video_ssrc, 78);
    EXPECT_STR(f->stream.vendor, "OBS Studio");
    ftl_started(f, 8084, now);
    EXPECT_STR(output(f), "200 hi. Use UDP port 8084\n");
}

TEST(a_whole_session_as_the_client_speaks_it)
{
    struct ftl_event ev;
    struct ftl f;

    ftl_init(&f, 0);
    go_live(&f, 1000);
    input(&f, "PING 77\r\n\r\n", US_PER_SEC);
    EXPECT_STR(output(&f), "201\n");
    EXPECT_EQ(ftl_deadline(&f), US_PER_SEC + FTL_PING_TIMEOUT_US);
    input(&f, "DISCONNECT\r\n\r\n", 2 * US_PER_SEC);
    EXPECT_STR(output(&f), "");
    EXPECT(ftl_event(&f, &ev));
    EXPECT(ev.kind == FTL_EVT_END && ev.clean);
    EXPECT(ftl_over(&f));
    EXPECT_EQ(ftl_deadline(&f), US_NEVER);
    ftl_fini(&f);
}

TEST(a_wrong_key_is_answered_405_at_once)
{
    struct ftl_event ev;
    struct ftl f;

    ftl_init(&f, 0);
    answer_challenge(&f, "77", "wrong", 0);
    EXPECT(ftl_event(&f, &ev));
    ftl_key(&f, bytes_str(key), 0);
    EXPECT_STR(output(&f), "405\n");
    EXPECT(ftl_over(&f));
    EXPECT(!ftl_event(&f, &ev));

    ftl_init(&f, 0); /* an empty key opens nothing */
    answer_challenge(&f, "77", "", 0);
    ftl_key(&f, bytes_str(""), 0);
    EXPECT_STR(output(&f), "405\n");
}

TEST(a_challenge_is_good_for_one_answer_and_another_connection_has_another)
{
    char first[FTL_OUT_BYTES + 1];
    struct ftl f;

    ftl_init(&f, 0);
    input(&f, "HMAC\r\n\r\n", 0);
    (void)snprintf(first, sizeof first, "%s", output(&f));
    ftl_init(&f, 0);
    input(&f, "HMAC\r\n\r\n", 0);
    EXPECT(strcmp(first, output(&f)) != 0);
    ftl_init(&f, 0);
    input(&f, "CONNECT 77 $00\r\n\r\n", 0);
    EXPECT_STR(output(&f), "400\n");
}

TEST(what_comes_out_of_order_is_malformed)
{
    static const char *const rows[] = {".\r\n\r\n", "PING 77\r\n\r\n", "Video: true\r\n\r\n",
                                       "GET / HTTP/1.1\r\n\r\n", "CONNECT 77\r\n\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ftl f;
        ftl_init(&f, 0);
        input(&f, rows[i], 0);
        EXPECT_STR(output(&f), "400\n");
        EXPECT(ftl_over(&f));
    }
}

TEST(attributes_that_contradict_end_the_handshake_with_their_code)
{
    static const struct {
        const char *text, *answer;
    } rows[] = {
        {"ProtocolVersion: 0.8\r\n\r\n", "402\n"},
        {"ProtocolVersion: 1.0\r\n\r\n", ""},
        {"VideoPayloadType: 300\r\n\r\n", "400\n"},
        {"VideoPayloadType: -1\r\n\r\n", "400\n"},
        {"VideoIngestSSRC: -2147483000\r\n\r\n", ""},
        {"Video: perhaps\r\n\r\n", "400\n"},
        {".\r\n\r\n", "400\n"},
        {"Video: true\r\n\r\nVideoCodec: \r\n\r\n.\r\n\r\n", "400\n"},
        {"Video: true\r\n\r\nVideoIngestSSRC: 77\r\n\r\n.\r\n\r\n", "404\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ftl f;
        ftl_init(&f, 0);
        connect(&f, 0);
        input(&f, rows[i].text, 0);
        EXPECT_STR(output(&f), rows[i].answer);
    }
}

TEST(silence_ends_a_connection_in_every_state)
{
    struct ftl_event ev;
    struct ftl f;

    ftl_init(&f, 0);
    EXPECT_EQ(ftl_deadline(&f), FTL_HANDSHAKE_US);
    ftl_tick(&f, FTL_HANDSHAKE_US - 1);
    EXPECT(!ftl_over(&f));
    ftl_tick(&f, FTL_HANDSHAKE_US);
    EXPECT_STR(output(&f), "410\n");
    EXPECT(ftl_over(&f) && !ftl_event(&f, &ev));

    ftl_init(&f, 0);
    connect(&f, 0);
    ftl_tick(&f, FTL_SETUP_US);
    EXPECT_STR(output(&f), "410\n");

    ftl_init(&f, 0);
    go_live(&f, 0);
    ftl_tick(&f, FTL_PING_TIMEOUT_US);
    EXPECT_STR(output(&f), "410\n");
    EXPECT(ftl_event(&f, &ev));
    EXPECT(ev.kind == FTL_EVT_END && !ev.clean);
}

TEST(a_closed_connection_tells_its_owner_only_what_it_knows_of)
{
    struct ftl_event ev;
    struct ftl f;

    ftl_init(&f, 0);
    ftl_closed(&f);
    EXPECT(!ftl_event(&f, &ev));
    ftl_init(&f, 0);
    go_live(&f, 0);
    ftl_end(&f, FTL_TERMINATED, "taken over");
    ftl_closed(&f);
    EXPECT_STR(output(&f), "410\n");
    EXPECT(ftl_event(&f, &ev) && ev.kind == FTL_EVT_END);
    EXPECT(!ftl_event(&f, &ev));
}

/* First byte of each piece: what the owner answers; the rest goes in. */
FUZZ(ftl, in)
{
    struct ftl f;
    us_t now = 0;

    ftl_init(&f, now);
    while (in.len > 0) {
        struct ftl_event ev;
        size_t n = size_min(in.len, 1 + (in.p[0] & 63));
        now += in.p[0] * US_PER_MS;
        ftl_input(&f, bytes_of(in.p, n), now);
        in = bytes_of(in.p + n, in.len - n);
        while (ftl_event(&f, &ev)) {
            if (ev.kind == FTL_EVT_ASK_KEY)
                ftl_key(&f, bytes_str(key), now);
            else if (ev.kind == FTL_EVT_START)
                ftl_started(&f, 1, now);
        }
        ftl_tick(&f, now);
        EXPECT(ftl_over(&f) || ftl_deadline(&f) > now);
        if (n & 1)
            EXPECT(ftl_output(&f).len <= FTL_OUT_BYTES);
    }
    EXPECT(f.state != FTL_LIVE); /* nobody guesses a digest */
    ftl_fini(&f);
}
