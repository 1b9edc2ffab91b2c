#include "wire/packetize.h"

#include "base/err.h"
#include "base/test.h"
#include "wire/av1.h"
#include "wire/depacketize.h"
#include "wire/h26x.h"
#include "wire/ivf.h"

enum { FRAME_MAX = 1 << 17 };

/* Sends one frame through both units; the payloads obey the limit.  Returns the
 * number of payloads. */
static unsigned through(struct packetize *p, struct depacketize *d, uint16_t *seq, uint32_t ts,
                        struct bytes frame, struct depacketized *out)
{
    uint8_t buf[1500];
    bool marker = false, done = false;
    unsigned n = 0;

    EXPECT_EQ(packetize_frame(p, frame), 0);
    for (;;) {
        struct wr w = wr_of(buf, p->max);
        if (!packetize_next(p, &w, &marker))
            break;
        EXPECT(wr_ok(&w) && wr_len(&w) > 0 && wr_len(&w) <= p->max);
        EXPECT(!done); /* nothing after the marker */
        struct depacketize_in in = {(*seq)++, ts, marker, wr_done(&w)};
        EXPECT_EQ(depacketize_push(d, &in), 0);
        done = depacketize_frame(d, out);
        EXPECT(done == marker || codec_is_audio(p->codec));
        n++;
    }
    EXPECT(done && out->ts == ts);
    return n;
}

static void random_frames(enum codec c, uint16_t max)
{
    struct rng rng = rng_seed(max);
    static uint8_t frame[20000];
    struct depacketized out;
    struct depacketize d;
    struct packetize p;
    uint16_t seq = 65530;

    EXPECT_EQ(packetize_init(&p, c, max, &rng), 0);
    EXPECT_EQ(depacketize_init(&d, c, FRAME_MAX), 0);
    for (uint32_t i = 0; i < 300; i++) {
        size_t n = 1 + (size_t)rng_below(&rng, codec_is_audio(c) ? max : i < 100 ? 100 : 20000);
        rng_fill(&rng, frame, n);
        unsigned payloads = through(&p, &d, &seq, i, bytes_of(frame, n), &out);
        EXPECT_BYTES(out.data, bytes_of(frame, n));
        EXPECT(payloads <= n / (max - 10u) + 1); /* no more than it takes */
    }
    EXPECT_EQ(d.dropped_n, 0);
    depacketize_fini(&d);
}

TEST(packetize_and_depacketize_are_a_pair_for_vpx_and_audio)
{
    random_frames(CODEC_VP8, PACKETIZE_PAYLOAD_MAX);
    random_frames(CODEC_VP8, PACKETIZE_PAYLOAD_MIN);
    random_frames(CODEC_VP9, PACKETIZE_PAYLOAD_MAX);
    random_frames(CODEC_VP9, PACKETIZE_PAYLOAD_MIN);
    random_frames(CODEC_OPUS, PACKETIZE_PAYLOAD_MAX);
}

/* What of a stream must arrive: NAL units but delimiters and filler. */
static bool next_kept_nal(struct annexb *a, struct bytes *nal)
{
    while (annexb_nal(a, nal)) {
        uint8_t type = nal->p[0] & 0x1f;
        if (nal->p[0] < 0x80 && type != H264_AUD && type != 12 && type != 0 && type < H264_STAP_A)
            return true;
    }
    return false;
}

static void same_nals(struct bytes before, struct bytes after)
{
    struct annexb a = {.stream = before}, b = {.stream = after};
    struct bytes x, y;

    while (next_kept_nal(&a, &x)) {
        EXPECT(annexb_nal(&b, &y));
        EXPECT_BYTES(x, y);
    }
    EXPECT(!annexb_nal(&b, &y));
}

static bool next_kept_obu(struct rd *r, struct av1_obu *obu)
{
    while (rd_left(r) > 0 && av1_obu_read(r, obu) == 0) {
        if (obu->type != AV1_TEMPORAL_DELIMITER && obu->type != AV1_TILE_LIST &&
            obu->type != AV1_PADDING)
            return true;
    }
    return false;
}

static void same_obus(struct bytes before, struct bytes after)
{
    struct rd a = rd_of(before), b = rd_of(after);
    struct av1_obu x, y;

    EXPECT_EQ(av1_obu_read(&b, &y), 0);
    EXPECT(y.type == AV1_TEMPORAL_DELIMITER && y.has_size && y.body.len == 0);
    while (next_kept_obu(&a, &x)) {
        EXPECT_EQ(av1_obu_read(&b, &y), 0);
        EXPECT(x.type == y.type && x.sid == y.sid && x.tid == y.tid && y.has_size);
        EXPECT_BYTES(x.body, y.body);
    }
    EXPECT_EQ(rd_left(&b), 0);
}

TEST(packetize_h264_units_of_every_size_arrive)
{
    struct rng rng = rng_seed(6);
    static uint8_t frame[40000];
    struct depacketized out;
    struct depacketize d;
    struct packetize p;
    uint16_t seq = 7;

    EXPECT_EQ(packetize_init(&p, CODEC_H264, 200, &rng), 0);
    EXPECT_EQ(depacketize_init(&d, CODEC_H264, FRAME_MAX), 0);
    for (uint32_t i = 0; i < 400; i++) {
        struct wr w = wr_of(frame, sizeof frame);
        for (uint64_t n = 1 + rng_below(&rng, 6), k = 0; k < n; k++) {
            static const uint8_t types[] = {0x09, 0x67, 0x68, 0x06, 0x0c};
            size_t len = (size_t)rng_below(&rng, rng_below(&rng, 2) ? 60 : 1000);
            wr_bytes(&w, test_hex(rng_below(&rng, 2) ? "00000001" : "000001"));
            wr_u8(&w, k + 1 == n ? 0x65 : types[rng_below(&rng, 5)]);
            wr_u8(&w, 0x88); /* first slice */
            for (; len > 0; len--)
                wr_u8(&w, (uint8_t)(1 + rng_below(&rng, 255)));
        }
        EXPECT(wr_ok(&w));
        (void)through(&p, &d, &seq, i, wr_done(&w), &out); /* how many is not the question */
        EXPECT(out.key);
        same_nals(wr_done(&w), out.data);
    }
    EXPECT_EQ(packetize_frame(&p, test_hex("000000010910")), E_MALFORMED);
    depacketize_fini(&d);
}

TEST(packetize_h264_small_units_share_a_payload)
{
    struct rng rng = rng_seed(6);
    struct packetize p;
    uint8_t buf[1200];
    struct wr w = wr_of(buf, sizeof buf);
    bool marker = false;

    EXPECT_EQ(packetize_init(&p, CODEC_H264, PACKETIZE_PAYLOAD_MAX, &rng), 0);
    EXPECT_EQ(packetize_frame(&p, test_hex("000000010910 0000000167aa 00000168bb 000001658811")),
              0);
    EXPECT(packetize_next(&p, &w, &marker) && marker);
    EXPECT_BYTES(wr_done(&w), test_hex("78 0002 67aa 0002 68bb 0003 658811"));
    EXPECT(!packetize_next(&p, &w, &marker));
}

/* RFC 7798 s4.4: what a receiver makes of the payloads, as Annex B. */
static void join_h265(struct wr *out, struct bytes payload)
{
    if (payload.p[0] >> 1 != H265_FU) {
        wr_u32(out, 1);
        wr_bytes(out, payload);
        return;
    }
    if (payload.p[2] & 0x80) {
        wr_u32(out, 1);
        wr_u8(out, (uint8_t)((payload.p[0] & 0x81) | (payload.p[2] & 63) << 1));
        wr_u8(out, payload.p[1]);
    }
    wr_bytes(out, bytes_of(payload.p + 3, payload.len - 3));
}

TEST(packetize_h265_units_of_every_size_arrive)
{
    static uint8_t unit[9000], joined[9000];
    struct rng rng = rng_seed(3);
    struct packetize p;

    EXPECT_EQ(packetize_init(&p, CODEC_H265, 300, &rng), 0);
    for (size_t body = 1; body < 4000; body += 1 + body / 7) {
        struct wr w = wr_of(unit, sizeof unit), out = wr_of(joined, sizeof joined);
        bool marker = false;

        wr_bytes(&w, test_hex("00000001 4201 0101 00000001 2601")); /* a set, an IDR picture */
        for (size_t i = 0; i < body; i++)
            wr_u8(&w, (uint8_t)(1 + i % 200));
        EXPECT_EQ(packetize_frame(&p, wr_done(&w)), 0);
        EXPECT(p.key);
        for (;;) {
            uint8_t buf[300];
            struct wr payload = wr_of(buf, sizeof buf);
            if (!packetize_next(&p, &payload, &marker))
                break;
            join_h265(&out, wr_done(&payload));
        }
        EXPECT(marker);
        EXPECT_BYTES(wr_done(&out), wr_done(&w));
    }
    /* a delimiter and filler stay behind; a picture that is none to begin with */
    EXPECT_EQ(packetize_frame(&p, test_hex("00000001 460150 00000001 0201aa 00000001 4c01ff")), 0);
    uint8_t buf[300];
    struct wr w = wr_of(buf, sizeof buf);
    bool marker = false;
    EXPECT(!p.key && packetize_next(&p, &w, &marker) && marker);
    EXPECT_BYTES(wr_done(&w), test_hex("0201aa"));
    w = wr_of(buf, sizeof buf);
    EXPECT(!packetize_next(&p, &w, &marker));
    EXPECT_EQ(packetize_frame(&p, test_hex("00000001 4601")), E_MALFORMED);
}

TEST(packetize_av1_units_of_every_size_arrive)
{
    struct rng rng = rng_seed(6);
    static uint8_t frame[40000];
    struct depacketized out;
    struct depacketize d;
    struct packetize p;
    uint16_t seq = 7;

    for (uint32_t i = 0; i < 600; i++) {
        struct wr w = wr_of(frame, sizeof frame);
        bool key = rng_below(&rng, 2) == 0;
        if (i % 200 == 0) { /* three sizes of payload */
            EXPECT_EQ(packetize_init(&p, CODEC_AV1, (uint16_t)(64 + i), &rng), 0);
            EXPECT_EQ(depacketize_init(&d, CODEC_AV1, FRAME_MAX), 0);
        }
        wr_u16(&w, 0x1200);
        for (uint64_t n = 1 + rng_below(&rng, 6), k = 0; k < n; k++) {
            static const uint8_t types[] = {3, 5, 6, 7, 15};
            uint32_t len = (uint32_t)rng_below(&rng, rng_below(&rng, 2) ? 200 : 3000);
            uint8_t type = k > 0 ? types[rng_below(&rng, 5)] : key ? 1 : 6;
            bool ext = rng_below(&rng, 2) == 0;
            wr_u8(&w, (uint8_t)(type << 3 | (ext ? 6 : 2)));
            if (ext)
                wr_u8(&w, 0x28);
            av1_write_leb128(&w, len);
            for (; len > 0; len--)
                wr_u8(&w, (uint8_t)rng_u32(&rng));
        }
        EXPECT(wr_ok(&w));
        (void)through(&p, &d, &seq, i, wr_done(&w), &out); /* how many is not the question */
        EXPECT_EQ(out.key, key);
        same_obus(wr_done(&w), out.data);
        if (i % 200 == 199)
            depacketize_fini(&d);
    }
}

TEST(packetize_refuses_what_it_cannot_do)
{
    struct rng rng = rng_seed(6);
    struct packetize p;
    uint8_t big[PACKETIZE_PAYLOAD_MAX + 1] = {0};

    EXPECT_EQ(packetize_init(&p, CODEC_RTX, 1000, &rng), E_UNSUPPORTED);
    EXPECT_EQ(packetize_init(&p, CODEC_AV1, 1000, &rng), 0);
    EXPECT_EQ(packetize_frame(&p, test_hex("1200")), E_MALFORMED);
    EXPECT_EQ(packetize_frame(&p, test_hex("1200320501")), E_MALFORMED);
    EXPECT_EQ(packetize_frame(&p, test_hex("")), E_MALFORMED);
    EXPECT_EQ(packetize_init(&p, CODEC_OPUS, PACKETIZE_PAYLOAD_MAX, &rng), 0);
    EXPECT_EQ(packetize_frame(&p, bytes_of(big, sizeof big)), E_TOO_LARGE);
}

static bool looks_like_a_start(struct bytes unit)
{
    struct annexb a = {.stream = unit};
    struct codec_info info;
    struct bytes nal;

    if (!next_kept_nal(&a, &nal))
        return false;
    codec_inspect(CODEC_H264, nal, &info);
    return info.start_of_frame;
}

/* Real files: every frame must come out as it went in. */
FUZZ(packetize, in)
{
    struct rng rng = rng_seed(in.len);
    struct ivf_frame frame = {.data = {0}};
    struct depacketized out;
    struct depacketize d;
    struct packetize p;
    struct annexb a;
    struct ivf f;
    uint16_t seq = 0;
    uint32_t ts = 0;
    bool key = false, ivf = ivf_open(&f, in) == 0;
    enum codec c = ivf ? f.codec : CODEC_H264;

    if (!ivf && annexb_open(&a, in) != 0)
        return;
    EXPECT_EQ(packetize_init(&p, c, 300, &rng), 0);
    EXPECT_EQ(depacketize_init(&d, c, FRAME_MAX), 0);
    while (ivf ? ivf_next(&f, &frame) == 0 : annexb_unit(&a, &frame.data, &key)) {
        struct packetize probe = p;
        if (packetize_frame(&probe, frame.data) != 0)
            continue;
        if (c == CODEC_H264 && !looks_like_a_start(frame.data))
            continue; /* a hostile unit is sent, but nobody could tell where it begins */
        (void)through(&p, &d, &seq, ts++, frame.data, &out); /* how many is not the question */
        if (c == CODEC_AV1)
            same_obus(frame.data, out.data);
        else if (c == CODEC_H264)
            same_nals(frame.data, out.data);
        else
            EXPECT_BYTES(out.data, frame.data);
    }
    depacketize_fini(&d);
}
