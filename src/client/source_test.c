#include "client/source.h"

#include "base/err.h"
#include "base/test.h"
#include "client/recorder.h"

#include <stdlib.h>

static uint8_t clip[1 << 20];

static struct bytes load_clip(const char *name)
{
    char path[512];
    const char *root = getenv("SOURCE_ROOT");

    (void)snprintf(path, sizeof path, "%s/assets/%s", root != NULL ? root : ".", name);
    FILE *f = fopen(path, "rb");
    EXPECT(f != NULL);
    size_t n = fread(clip, 1, sizeof clip, f);
    (void)fclose(f); /* read only */
    return bytes_of(clip, n);
}

struct played {
    unsigned frames, keys, packets;
    us_t last_at;
    uint32_t first_ts, last_ts;
};

/* Plays for `us` and records what a receiver would get. */
static struct played play(struct source *s, struct recorder *r, us_t us)
{
    struct played p = {0};
    uint8_t buf[PACKETIZE_PAYLOAD_MAX];
    static uint8_t file[4 << 20];
    size_t file_n = 0;
    uint16_t seq = 65000;

    source_start(s, 0);
    while (source_deadline(s) < us) {
        us_t now = source_deadline(s);
        EXPECT(now >= p.last_at);
        p.last_at = now;
        EXPECT(source_due(s, now));
        p.keys += s->packetize.key;
        struct wr w = wr_of(buf, sizeof buf);
        uint32_t ts;
        bool marker = false;
        while (source_payload(s, &w, &ts, &marker)) {
            struct client_media m = {.codec = s->codec,
                                     .seq = seq++,
                                     .ts = ts,
                                     .marker = marker,
                                     .payload = wr_done(&w)};
            p.packets++;
            p.first_ts = p.frames == 0 ? ts : p.first_ts;
            p.last_ts = ts;
            recorder_push(r, &m, now);
            struct bytes b = recorder_take(r);
            EXPECT(file_n + b.len < sizeof file);
            if (b.len > 0)
                memcpy(file + file_n, b.p, b.len);
            file_n += b.len;
            w = wr_of(buf, sizeof buf);
        }
        p.frames++;
    }
    return p;
}

TEST(a_picture_clip_plays_on_without_a_seam_and_records_whole)
{
    static struct source s;
    struct recorder r;
    struct rng rng = rng_seed(1);
    char why[SOURCE_WHY_MAX];

    EXPECT_EQ(source_open(&s, load_clip("sample.ivf"), true, &rng, why), 0);
    EXPECT_EQ(s.codec, CODEC_VP8);
    EXPECT(s.width == 640 && s.height == 360);
    EXPECT_EQ(recorder_open(&r, s.codec), 0);
    struct played p = play(&s, &r, 20 * US_PER_SEC);
    EXPECT(p.frames >= 498 && p.frames <= 502); /* 25 a second, over three rounds of six */
    EXPECT(p.keys >= 9);
    EXPECT(p.last_ts - p.first_ts > 19 * 90000 && p.last_ts - p.first_ts < 20 * 90000);
    EXPECT(r.frames_n + 1 >= p.frames);
    EXPECT_EQ(r.de.dropped_n, 0);
    recorder_close(&r);
}

TEST(a_tone_clip_plays_fifty_packets_a_second)
{
    static struct source s;
    struct recorder r;
    struct rng rng = rng_seed(2);
    char why[SOURCE_WHY_MAX];

    EXPECT_EQ(source_open(&s, load_clip("sample.ogg"), false, &rng, why), 0);
    EXPECT_EQ(recorder_open(&r, s.codec), 0);
    struct played p = play(&s, &r, 10 * US_PER_SEC);
    EXPECT(p.frames >= 499 && p.frames <= 501);
    EXPECT_EQ(p.frames, p.packets);
    EXPECT_EQ(p.last_ts - p.first_ts, (p.frames - 1) * 960);
    recorder_close(&r);
}

TEST(a_key_frame_comes_at_once_when_asked_for_and_time_runs_on)
{
    static struct source s;
    struct rng rng = rng_seed(3);
    char why[SOURCE_WHY_MAX];
    uint8_t buf[PACKETIZE_PAYLOAD_MAX];
    us_t now = 0;

    EXPECT_EQ(source_open(&s, load_clip("sample.ivf"), true, &rng, why), 0);
    source_start(&s, 0);
    for (int i = 0; i < 10; i++) {
        uint32_t ts;
        bool marker;
        struct wr w = wr_of(buf, sizeof buf);
        now = source_deadline(&s);
        EXPECT(source_due(&s, now));
        while (source_payload(&s, &w, &ts, &marker))
            w = wr_of(buf, sizeof buf);
    }
    us_t due = source_deadline(&s);
    source_keyframe(&s, now);
    EXPECT_EQ(source_deadline(&s), due);
    EXPECT(source_due(&s, due));
    EXPECT(s.packetize.key);
    source_keyframe(&s, now + 1000); /* too soon: nothing moves */
    EXPECT(s.packetize.key);
}

TEST(the_wrong_kind_of_file_is_named)
{
    static struct source s;
    struct rng rng = rng_seed(4);
    char why[SOURCE_WHY_MAX];

    EXPECT_EQ(source_open(&s, load_clip("sample.ogg"), true, &rng, why), E_UNSUPPORTED);
    EXPECT(strstr(why, "Ogg") != NULL && strstr(why, "IVF") != NULL);
    EXPECT_EQ(source_open(&s, bytes_str("hello, world, this is text\n"), false, &rng, why),
              E_UNSUPPORTED);
    EXPECT(strstr(why, "Ogg with Opus") != NULL);
}
