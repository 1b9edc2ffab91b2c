#include "ingest/job.h"

#include "base/test.h"
#include "crypt/cert.h"
#include "crypt/dtls.h"
#include "rtc/assoc.h"

static const struct job_ticket ticket = {
    .ingress_id = "IN_1", .resource_id = "RT_1", .url = "ws://h", .token = "t", .name = "n"};

static struct tick at(us_t now)
{
    return (struct tick){.now = now, .wall_off_us = 1700000000 * US_PER_SEC};
}

static struct job *new_job(void)
{
    struct job *j = NULL;

    EXPECT_EQ(job_open(&j, &ticket, 1, at(0)), 0);
    job_attach(j, at(0));
    return j;
}

static void media(struct job *j, bool video, us_t now)
{
    struct media m = {.kind = MEDIA_RTP,
                      .codec = video ? CODEC_H264 : CODEC_OPUS,
                      .video = video,
                      .marker = true,
                      .pts_us = now,
                      .data = bytes_str(video ? "\x65idr" : "\xfcopus")};

    m.rtp_ts = (uint32_t)(now * (video ? 90 : 48) / 1000);
    job_media(j, &m, at(now));
}

/* The next event of the kind; others are let by. */
static bool has(struct job *j, enum job_event_kind kind)
{
    struct job_event ev;
    bool found = false;

    while (job_event(j, &ev))
        found = found || ev.kind == kind;
    return found;
}

static struct client *new_client(const struct job *j)
{
    static struct dtls_ctx *dtls;
    struct client_cfg cfg;
    struct client *c = NULL;
    struct cert *cert = NULL;

    if (dtls == NULL) {
        EXPECT_EQ(cert_make(&cert, 1700000000), 0);
        EXPECT_EQ(dtls_ctx_open(&dtls, cert), 0);
        cert_free(cert);
        EXPECT_EQ(assoc_pool_init(), 0);
    }
    job_client_cfg(j, &cfg);
    cfg.dtls = dtls;
    cfg.fingerprint = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:"
                      "10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";
    EXPECT_EQ(client_open(&c, &cfg, 0), 0);
    return c;
}

static void client_says(struct job *j, enum client_event_kind kind, uint32_t track, int code,
                        us_t now)
{
    job_client_event(j,
                     &(struct client_event){
                         .kind = kind, .track = track, .code = code, .room = "RM_1", .sid = "TR_1"},
                     at(now));
}

static struct client *joined(struct job *j, us_t now)
{
    struct client *c;

    media(j, true, now);
    media(j, false, now);
    EXPECT_EQ(job_state(j), JOB_CONNECTING);
    EXPECT(has(j, JOB_EVT_JOIN));
    c = new_client(j);
    job_joined(j, c, at(now));
    client_says(j, CLIENT_EVT_JOINED, 0, 0, now);
    client_says(j, CLIENT_EVT_CONNECTED, 0, 0, now);
    client_says(j, CLIENT_EVT_PUBLISHED, 0, 0, now);
    EXPECT_EQ(job_state(j), JOB_CONNECTING);
    client_says(j, CLIENT_EVT_PUBLISHED, 1, 0, now);
    EXPECT(job_state(j) == JOB_BUFFERING || job_state(j) == JOB_PUBLISHING);
    return c;
}

TEST(both_kinds_are_waited_for_but_not_for_long)
{
    struct client_cfg cfg;
    struct job *j = new_job();

    EXPECT_EQ(job_state(j), JOB_WAITING);
    media(j, true, 1000);
    EXPECT(!has(j, JOB_EVT_JOIN));
    EXPECT(job_deadline(j) <= 1000 + JOB_TRACKS_US);
    job_tick(j, at(1000 + JOB_TRACKS_US));
    EXPECT(has(j, JOB_EVT_JOIN));
    job_client_cfg(j, &cfg);
    EXPECT_EQ(cfg.track_n, 1);
    EXPECT_EQ(cfg.track[0].codec, CODEC_H264);
    media(j, false, 2 * US_PER_SEC); /* sound after all: once more with both */
    EXPECT(has(j, JOB_EVT_JOIN));
    job_client_cfg(j, &cfg);
    EXPECT_EQ(cfg.track_n, 2);
    EXPECT(cfg.track[1].stereo);
    job_free(j);
}

TEST(a_publisher_without_media_is_told_so)
{
    struct job *j = new_job();
    struct job_event ev = {0};

    EXPECT(job_deadline(j) <= JOB_FIRST_MEDIA_US);
    (void)has(j, JOB_EVT_REPORT);
    job_tick(j, at(JOB_FIRST_MEDIA_US));
    EXPECT_EQ(job_state(j), JOB_FAILED);
    EXPECT(job_event(j, &ev));
    EXPECT_EQ(ev.kind, JOB_EVT_KICK);
    EXPECT_STR(ev.reason, "no media came");
    EXPECT(has(j, JOB_EVT_ENDED));
    EXPECT_EQ(job_deadline(j), US_NEVER);
    job_free(j);
}

TEST(a_lost_publisher_has_ten_seconds_to_come_back)
{
    struct job_report r;
    struct job *j = new_job();
    struct client *c = joined(j, 1000);

    job_detach(j, false, at(US_PER_SEC));
    EXPECT_EQ(job_state(j), JOB_PAUSED);
    job_attach(j, at(9 * US_PER_SEC));
    EXPECT(job_state(j) != JOB_PAUSED);
    job_tick(j, at(12 * US_PER_SEC));
    EXPECT(!has(j, JOB_EVT_ENDED));
    job_detach(j, false, at(20 * US_PER_SEC));
    job_tick(j, at(30 * US_PER_SEC - 1));
    EXPECT_EQ(job_state(j), JOB_PAUSED);
    job_tick(j, at(30 * US_PER_SEC));
    EXPECT_EQ(job_state(j), JOB_ENDED);
    EXPECT(has(j, JOB_EVT_LEAVE));
    job_report(j, &r);
    EXPECT(r.error == NULL && r.ended_unix_us > r.started_unix_us);
    EXPECT_STR(r.room_id, "RM_1");
    client_free(c);
    job_free(j);
}

TEST(a_goodbye_ends_at_once)
{
    struct job *j = new_job();
    struct client *c = joined(j, 1000);

    job_detach(j, true, at(US_PER_SEC));
    EXPECT_EQ(job_state(j), JOB_ENDED);
    EXPECT(has(j, JOB_EVT_ENDED));
    client_free(c);
    job_free(j);
}

TEST(a_lost_server_is_tried_again_with_growing_pauses_and_given_up_in_the_end)
{
    struct job *j = new_job();
    struct client *c = joined(j, 1000);
    us_t now = US_PER_SEC, last = 0, began = now;
    unsigned joins = 0;

    client_says(j, CLIENT_EVT_ENDED, 0, 0, now);
    EXPECT_EQ(job_state(j), JOB_RETRYING);
    EXPECT(has(j, JOB_EVT_LEAVE));
    client_free(c);
    while (job_state(j) != JOB_FAILED) {
        now = us_max(now + 1, job_deadline(j));
        job_tick(j, at(now));
        if (!has(j, JOB_EVT_JOIN))
            continue;
        last = now;
        joins++;
        job_joined(j, NULL, at(now));
    }
    EXPECT(joins > 10 && joins < 40);
    EXPECT(last - began >= JOB_GIVE_UP_US - 10 * US_PER_SEC);
    job_free(j);
}

TEST(whoever_is_removed_from_the_room_does_not_come_back)
{
    struct job *j = new_job();
    struct client *c = joined(j, 1000);

    client_says(j, CLIENT_EVT_ENDED, 0, 4 /* PARTICIPANT_REMOVED */, US_PER_SEC);
    EXPECT_EQ(job_state(j), JOB_FAILED);
    EXPECT(has(j, JOB_EVT_KICK));
    client_free(c);
    job_free(j);
}

TEST(an_attempt_to_join_has_an_end)
{
    struct job *j = new_job();
    struct client *c;

    media(j, true, 0);
    media(j, false, 0);
    EXPECT(has(j, JOB_EVT_JOIN));
    c = new_client(j);
    job_joined(j, c, at(0));
    job_tick(j, at(JOB_JOIN_US));
    EXPECT_EQ(job_state(j), JOB_RETRYING);
    EXPECT(has(j, JOB_EVT_LEAVE));
    client_free(c);
    job_free(j);
}

TEST(reports_are_thinned_out)
{
    struct job *j = new_job();
    unsigned reports = 0;

    for (us_t now = 0; now < 10 * US_PER_SEC; now += 10 * US_PER_MS) {
        struct media m = {.kind = MEDIA_VIDEO_CONFIG, .codec = CODEC_H264, .video = true};
        m.width = (uint16_t)(100 + now / 10000 % 2 * 2);
        m.height = 100;
        job_media(j, &m, at(now));
        job_tick(j, at(now));
        reports += has(j, JOB_EVT_REPORT);
    }
    EXPECT(reports >= 9 && reports <= 11);
    job_free(j);
}

TEST(job_tells_of_b_frames_as_soon_as_it_sees_them)
{
    static const us_t pts[] = {120000, 200000, 160000};
    struct job *j = new_job();
    struct job_report r;

    for (unsigned i = 0; i < ARRAY_LEN(pts); i++) {
        struct media m = {.kind = MEDIA_VIDEO,
                          .codec = CODEC_H264,
                          .video = true,
                          .key = i == 0,
                          .dts_us = i * 40000,
                          .pts_us = pts[i],
                          .data = bytes_of("\0\0\0\1\x65idr", 8)};
        if (i == 2) {
            job_tick(j, at(5 * US_PER_SEC));
            (void)has(j, JOB_EVT_REPORT); /* what was news before */
        }
        job_media(j, &m, at(i * 40000));
    }
    job_tick(j, at(10 * US_PER_SEC));
    EXPECT(has(j, JOB_EVT_REPORT));
    job_report(j, &r);
    EXPECT(r.video.b_frames);
    job_free(j);
}
