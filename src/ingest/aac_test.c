#include "ingest/aac.h"

#include "base/cursor.h"
#include "base/test.h"

static struct aac a; /* large; each test begins it anew */

static void give(enum media_kind kind, us_t pts_us, const char *hex, us_t now)
{
    struct media m = {
        .kind = kind, .foreign = MEDIA_AAC, .channels = 1, .pts_us = pts_us, .data = test_hex(hex)};

    aac_media(&a, &m, now);
}

/* A record of the child's. */
static void child_says(uint8_t kind, us_t pts_us, const char *hex, us_t now)
{
    struct childpipe_record rec = {.kind = kind, .pts_us = pts_us, .body = test_hex(hex)};
    uint8_t buf[256];
    struct wr w = wr_of(buf, sizeof buf);

    childpipe_write(&w, &rec);
    struct bytes in = wr_done(&w);
    while (in.len > 0) { /* in two pieces */
        struct bytes piece = bytes_of(in.p, in.len > 5 ? 5 : in.len);
        size_t n = piece.len;
        aac_input(&a, &piece, now);
        n -= piece.len;
        in = bytes_of(in.p + n, in.len - n);
        if (n == 0)
            return;
    }
}

static void begin(us_t now)
{
    aac_init(&a);
    EXPECT_EQ(aac_deadline(&a), US_NEVER);
    give(MEDIA_AUDIO_CONFIG, 0, "1208", now);
    EXPECT_EQ(aac_event(&a), AAC_EVT_SPAWN);
    EXPECT_EQ(aac_event(&a), AAC_EVT_NONE);
    aac_spawned(&a, true, now);
    EXPECT_EQ(aac_deadline(&a), now + AAC_READY_US);
}

TEST(aac_frames_wait_for_the_child_and_packets_come_back)
{
    struct childpipe_record rec;
    struct media m;
    size_t used;

    begin(0);
    give(MEDIA_AUDIO, 23000, "2100", 5);
    struct bytes out = aac_output(&a);
    EXPECT_EQ(childpipe_read(out, &rec, &used), 1);
    EXPECT(rec.kind == CHILDPIPE_AAC_CONFIG && rec.body.len == 2);
    EXPECT_EQ(childpipe_read(bytes_of(out.p + used, out.len - used), &rec, &used), 1);
    EXPECT(rec.kind == CHILDPIPE_AAC && rec.pts_us == 23000);
    EXPECT_EQ(aac_output(&a).len, 0);
    child_says(CHILDPIPE_READY, 0, "", 100);
    EXPECT_EQ(aac_deadline(&a), 100 + AAC_HANG_US);
    child_says(CHILDPIPE_OPUS, 16000, "fc01", 200);
    EXPECT(aac_packet(&a, &m));
    EXPECT(m.kind == MEDIA_AUDIO_CONFIG && m.codec == CODEC_OPUS && m.channels == 1);
    EXPECT(aac_packet(&a, &m));
    EXPECT(m.kind == MEDIA_AUDIO && m.codec == CODEC_OPUS && m.pts_us == 16000 && m.data.len == 2);
    EXPECT(!aac_packet(&a, &m));
    EXPECT_EQ(aac_deadline(&a), US_NEVER);
}

TEST(aac_a_dead_child_is_replaced_and_told_the_configuration)
{
    struct childpipe_record rec;
    size_t used;

    begin(0);
    child_says(CHILDPIPE_READY, 0, "", 0);
    us_t now = AAC_SOUND_US + 7;
    aac_died(&a, now);
    give(MEDIA_AUDIO, 1, "2100", now);
    EXPECT_EQ(a.lost_n, 1);
    EXPECT_EQ(aac_deadline(&a), now + AAC_RETRY_MIN_US);
    now = aac_deadline(&a);
    aac_tick(&a, now);
    EXPECT_EQ(aac_event(&a), AAC_EVT_SPAWN);
    aac_spawned(&a, true, now);
    EXPECT_EQ(childpipe_read(aac_output(&a), &rec, &used), 1);
    EXPECT_EQ(rec.kind, CHILDPIPE_AAC_CONFIG);
    EXPECT_EQ(a.spawned_n, 2);
}

TEST(aac_children_that_cannot_start_are_tried_ever_more_rarely)
{
    us_t now = 0, gap = 0;

    aac_init(&a);
    give(MEDIA_AUDIO_CONFIG, 0, "1208", now);
    for (int i = 0; i < 12; i++) {
        EXPECT_EQ(aac_event(&a), AAC_EVT_SPAWN);
        aac_spawned(&a, i % 2 == 0, now);
        if (i % 2 == 0)
            aac_died(&a, now);
        EXPECT(aac_deadline(&a) - now >= gap);
        gap = aac_deadline(&a) - now;
        now = aac_deadline(&a);
        aac_tick(&a, now);
    }
    EXPECT_EQ(gap, AAC_RETRY_MAX_US);
}

TEST(aac_a_child_that_hangs_or_babbles_is_killed)
{
    begin(0);
    aac_tick(&a, AAC_READY_US - 1);
    EXPECT_EQ(aac_event(&a), AAC_EVT_NONE);
    aac_tick(&a, AAC_READY_US);
    EXPECT_EQ(aac_event(&a), AAC_EVT_KILL);

    begin(0);
    child_says(CHILDPIPE_READY, 0, "", 0);
    give(MEDIA_AUDIO, 0, "21", 5);
    aac_tick(&a, 5 + AAC_HANG_US);
    EXPECT_EQ(aac_event(&a), AAC_EVT_KILL);

    begin(0);
    child_says(CHILDPIPE_READY, 0, "", 0);
    child_says(CHILDPIPE_READY, 0, "", 0);
    EXPECT_EQ(aac_event(&a), AAC_EVT_KILL);

    begin(0);
    struct bytes junk = test_hex("ffffffffffff");
    aac_input(&a, &junk, 0);
    EXPECT_EQ(aac_event(&a), AAC_EVT_KILL);
    EXPECT_EQ(a.state, AAC_WAITING);
    aac_stop(&a);
    EXPECT(aac_event(&a) == AAC_EVT_NONE && a.state == AAC_IDLE);
    begin(0);
    aac_stop(&a);
    EXPECT_EQ(aac_event(&a), AAC_EVT_KILL);
}

TEST(aac_what_a_slow_child_does_not_take_is_lost_within_the_limit)
{
    static char hex[2 * 8000 + 1];

    memset(hex, '2', sizeof hex - 1);
    begin(0);
    for (int i = 0; i < 100; i++) {
        struct media m = {.kind = MEDIA_AUDIO, .foreign = MEDIA_AAC, .data = bytes_of(hex, 8000)};
        aac_media(&a, &m, 0);
    }
    EXPECT(a.out_n <= AAC_OUT_BYTES && a.lost_n > 90);
    EXPECT(aac_output(&a).len > 0);
}

/* The child is hostile: its bytes, cut by the first of them. */
FUZZ(aac, in)
{
    struct media m;
    us_t now = 0;

    begin(0);
    for (size_t at = 1; at < in.len;) {
        struct bytes piece = bytes_of(in.p + at, size_min(in.len - at, (size_t)in.p[0] + 1));
        at += piece.len;
        while (piece.len > 0) {
            aac_input(&a, &piece, now);
            while (aac_packet(&a, &m))
                EXPECT(m.codec == CODEC_OPUS);
        }
        give(MEDIA_AUDIO, now, "2100", now);
        (void)aac_output(&a); /* as if the child took it */
        now += 1000;
        if (aac_event(&a) == AAC_EVT_KILL)
            return;
        EXPECT(a.in_n < sizeof a.in);
    }
}
