#include "wire/rtmp_chunk.h"

#include "base/err.h"
#include "base/test.h"

/* The next message of the wire, which is to be there. */
static struct rtmp_chunk_message take(struct rtmp_chunk_reader *r, struct bytes *wire)
{
    struct rtmp_chunk_message m = {0};

    EXPECT_EQ(rtmp_chunk_read(r, wire, &m), 1);
    return m;
}

static int first_error(const char *hex)
{
    struct rtmp_chunk_message m;
    struct rtmp_chunk_reader r;
    struct bytes wire = test_hex(hex);
    int err;

    rtmp_chunk_reader_init(&r, 1 << 20);
    do
        err = rtmp_chunk_read(&r, &wire, &m);
    while (err > 0);
    rtmp_chunk_reader_fini(&r);
    return err;
}

TEST(rtmp_chunk_audio_by_deltas_as_in_the_specification)
{
    /* s5.3.2.1: four messages of 32 bytes, 20 ms apart: types 0, 2, 3, 3. */
    static const uint8_t body[32];
    struct rtmp_chunk_reader r;
    uint8_t buf[256];
    struct wr w = wr_of(buf, sizeof buf);

    wr_bytes(&w, test_hex("03 0003e8 000020 08 39300000"));
    wr_bytes(&w, bytes_of(body, 32));
    wr_bytes(&w, test_hex("83 000014"));
    wr_bytes(&w, bytes_of(body, 32));
    wr_u8(&w, 0xc3);
    wr_bytes(&w, bytes_of(body, 32));
    wr_u8(&w, 0xc3);
    wr_bytes(&w, bytes_of(body, 32));
    EXPECT_EQ(wr_len(&w), 44 + 36 + 33 + 33);
    rtmp_chunk_reader_init(&r, 4096);
    struct bytes wire = wr_done(&w);
    for (unsigned i = 0; i < 4; i++) {
        struct rtmp_chunk_message m = take(&r, &wire);
        EXPECT_EQ(m.timestamp, 1000 + 20 * i);
        EXPECT(m.type == RTMP_AUDIO && m.stream == 12345 && m.chunk_stream == 3);
        EXPECT_EQ(m.body.len, 32);
    }
    EXPECT_EQ(r.received, 146);
    rtmp_chunk_reader_fini(&r);
}

TEST(rtmp_chunk_a_message_of_307_bytes_in_three_chunks)
{
    /* s5.3.2.2: 140, 129 and 52 bytes on the wire. */
    static uint8_t body[307];
    uint8_t buf[512];
    struct wr w = wr_of(buf, sizeof buf);
    struct rtmp_chunk_reader r;
    struct rtmp_chunk_message m = {
        .type = RTMP_VIDEO, .chunk_stream = 4, .stream = 12346, .timestamp = 1000};

    for (unsigned i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)i;
    m.body = bytes_of(body, sizeof body);
    rtmp_chunk_write(&w, &m, 128);
    EXPECT_EQ(wr_len(&w), 140 + 129 + 52);
    EXPECT_EQ(wr_len(&w), rtmp_chunk_size(&m, 128));
    EXPECT_EQ(buf[140], 0xc4);
    rtmp_chunk_reader_init(&r, 4096);
    for (unsigned i = 0; i + 1 < wr_len(&w); i++) { /* a byte at a time */
        struct bytes one = bytes_of(buf + i, 1);
        EXPECT_EQ(rtmp_chunk_read(&r, &one, &m), 0);
    }
    struct bytes last = bytes_of(buf + wr_len(&w) - 1, 1);
    m = take(&r, &last);
    EXPECT_BYTES(m.body, bytes_of(body, sizeof body));
    rtmp_chunk_reader_fini(&r);
}

TEST(rtmp_chunk_streams_interleave_and_the_chunk_size_changes_between)
{
    struct rtmp_chunk_reader r;
    uint8_t buf[1024], a[200], b[150];
    struct wr w = wr_of(buf, sizeof buf);

    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    wr_bytes(&w, test_hex("04 000001 0000c8 09 01000000"));
    wr_bytes(&w, bytes_of(a, 128));
    wr_bytes(&w, test_hex("05 000002 000096 08 01000000"));
    wr_bytes(&w, bytes_of(b, 128));
    wr_bytes(&w, test_hex("02 000000 000004 01 00000000 00000010")); /* 16 bytes from here */
    wr_u8(&w, 0xc5);
    wr_bytes(&w, bytes_of(b, 16));
    wr_u8(&w, 0xc4);
    wr_bytes(&w, bytes_of(a, 16));
    wr_u8(&w, 0xc5);
    wr_bytes(&w, bytes_of(b, 6));
    for (unsigned left = 56; left > 0; left -= u32_min(left, 16)) {
        wr_u8(&w, 0xc4);
        wr_bytes(&w, bytes_of(a, u32_min(left, 16)));
    }
    rtmp_chunk_reader_init(&r, 4096);
    struct bytes wire = wr_done(&w);
    EXPECT_EQ(take(&r, &wire).type, RTMP_SET_CHUNK_SIZE);
    EXPECT_BYTES(take(&r, &wire).body, bytes_of(b, sizeof b));
    EXPECT_BYTES(take(&r, &wire).body, bytes_of(a, sizeof a));
    EXPECT_EQ(wire.len, 0);
    rtmp_chunk_reader_fini(&r);
}

TEST(rtmp_chunk_extended_time_stamps_are_read_with_and_without_repetition)
{
    static uint8_t body[130];
    struct rtmp_chunk_message m = {.type = RTMP_VIDEO,
                                   .chunk_stream = 400,
                                   .stream = 1,
                                   .timestamp = 0x01020304,
                                   .body = bytes_of(body, sizeof body)};
    struct rtmp_chunk_reader r;
    uint8_t buf[512];
    struct wr w = wr_of(buf, sizeof buf);

    memset(body, 7, sizeof body);
    rtmp_chunk_write(&w, &m, 128);
    EXPECT_EQ(wr_len(&w), rtmp_chunk_size(&m, 128));
    EXPECT_EQ(wr_len(&w), 14 + 4 + 128 + 3 + 4 + 2);
    /* once more, by a sender that leaves it out of type 3: two bytes, then a new header */
    size_t second = wr_len(&w);
    rtmp_chunk_write(&w, &m, 128);
    memmove(buf + second + 149, buf + second + 153, 2);
    w.p -= 4;
    wr_bytes(&w, test_hex("02 000000 000004 03 00000000 00000010"));
    rtmp_chunk_reader_init(&r, 4096);
    struct bytes wire = wr_done(&w);
    for (int i = 0; i < 2; i++) {
        m = take(&r, &wire);
        EXPECT_EQ(m.timestamp, 0x01020304);
        EXPECT_EQ(m.chunk_stream, 400);
        EXPECT_BYTES(m.body, bytes_of(body, sizeof body));
    }
    EXPECT_EQ(take(&r, &wire).type, RTMP_ACKNOWLEDGEMENT);
    rtmp_chunk_reader_fini(&r);
}

TEST(rtmp_chunk_a_message_is_aborted)
{
    struct rtmp_chunk_reader r;
    uint8_t buf[512];
    struct wr w = wr_of(buf, sizeof buf);

    wr_bytes(&w, test_hex("04 000001 0000c8 09 01000000"));
    wr_zero(&w, 128);
    wr_bytes(&w, test_hex("02 000000 000004 02 00000000 00000004"));
    wr_bytes(&w, test_hex("04 000009 000001 09 01000000 aa"));
    rtmp_chunk_reader_init(&r, 4096);
    struct bytes wire = wr_done(&w);
    EXPECT_EQ(take(&r, &wire).type, RTMP_ABORT);
    struct rtmp_chunk_message m = take(&r, &wire);
    EXPECT(m.timestamp == 9 && m.body.len == 1);
    rtmp_chunk_reader_fini(&r);
}

TEST(rtmp_chunk_refuses_what_is_hostile)
{
    EXPECT_EQ(first_error("02 000000 000004 01 00000000 00000000"), E_MALFORMED); /* size 0 */
    EXPECT_EQ(first_error("02 000000 000004 01 00000000 80000000"), E_MALFORMED);
    EXPECT_EQ(first_error("02 000000 000003 01 00000000 000000"), E_MALFORMED);
    EXPECT_EQ(first_error("02 000000 000004 01 00000000 7fffffff"), 0);
    EXPECT_EQ(first_error("c4"), E_MALFORMED); /* goes on with nothing */
    EXPECT_EQ(first_error("84 000001"), E_MALFORMED);
    EXPECT_EQ(first_error("04 000000 ffffff 09 01000000"), E_TOO_LARGE);
    EXPECT_EQ(first_error("04 000000 200000 09 01000000"), E_TOO_LARGE); /* over the budget */
    EXPECT_EQ(first_error("04 000000 000002 09 01000000 00"), 0);
    EXPECT_EQ(first_error("42 000000 000000 03"), 0); /* begins with type 1 */
}

TEST(rtmp_chunk_announced_lengths_cost_nothing_and_the_budget_holds)
{
    int64_t live = mem_live();
    struct rtmp_chunk_message m;
    struct rtmp_chunk_reader r;
    uint8_t buf[160];
    unsigned n = 0;
    int err = 0;

    rtmp_chunk_reader_init(&r, 1 << 20);
    for (; err == 0; n++) { /* eight messages of almost a megabyte, in turn */
        struct wr w = wr_of(buf, sizeof buf);
        wr_u8(&w, (uint8_t)((n < 8 ? 4 : 0xc4) + n % 8));
        if (n < 8)
            wr_bytes(&w, test_hex("000000 0f0000 09 01000000"));
        wr_zero(&w, 128);
        struct bytes wire = wr_done(&w);
        err = rtmp_chunk_read(&r, &wire, &m);
        EXPECT(r.used <= 1 << 20);
        EXPECT(n >= 8 || r.used <= (n + 1) * 512);
    }
    EXPECT_EQ(err, E_LIMIT);
    EXPECT(n > 4096 && n < 8200); /* at least half of the budget was of use */
    rtmp_chunk_reader_fini(&r);
    EXPECT_EQ(mem_live(), live);
}

TEST(rtmp_chunk_too_many_streams_end_it)
{
    struct rtmp_chunk_message m;
    struct rtmp_chunk_reader r;
    uint8_t buf[64];
    unsigned n = 0;
    int err = 0;

    rtmp_chunk_reader_init(&r, 1 << 16);
    for (m.chunk_stream = 2; err >= 0; m.chunk_stream++, n++) {
        struct wr w = wr_of(buf, sizeof buf);
        struct rtmp_chunk_message out = {.type = 9, .chunk_stream = 60 + n, .body = bytes_str("x")};
        rtmp_chunk_write(&w, &out, 128);
        struct bytes wire = wr_done(&w);
        err = rtmp_chunk_read(&r, &wire, &m);
    }
    EXPECT_EQ(err, E_LIMIT);
    EXPECT_EQ(n, RTMP_CHUNK_STREAMS_MAX + 1);
    rtmp_chunk_reader_fini(&r);
}

TEST(rtmp_chunk_refused_memory_ends_it_and_leaves_nothing)
{
    struct rtmp_chunk_message m = {.type = 9, .chunk_stream = 4, .body = bytes_str("hello")};
    struct rtmp_chunk_reader r;
    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);
    int64_t live = mem_live();

    rtmp_chunk_write(&w, &m, 128);
    rtmp_chunk_reader_init(&r, 4096);
    struct bytes wire = wr_done(&w);
    mem_refuse_nth(1);
    EXPECT_EQ(rtmp_chunk_read(&r, &wire, &m), E_NOMEM);
    mem_refuse_nth(0);
    rtmp_chunk_reader_fini(&r);
    EXPECT_EQ(mem_live(), live);
}

TEST(rtmp_chunk_what_is_written_is_read_whatever_the_sizes_and_cuts)
{
    static uint8_t body[20000], buf[64000];
    struct rng rng = rng_seed(5);

    rng_fill(&rng, body, sizeof body);
    for (unsigned round = 0; round < 300; round++) {
        struct rtmp_chunk_message in[4], m;
        struct rtmp_chunk_reader r;
        struct wr w = wr_of(buf, sizeof buf);
        uint32_t chunk = 1 + (uint32_t)rng_below(&rng, 5000);
        unsigned got = 0;

        for (unsigned i = 0; i < 4; i++) {
            size_t at = (size_t)rng_below(&rng, 10000);
            in[i] = (struct rtmp_chunk_message){
                .type = (uint8_t)(8 + rng_below(&rng, 2)),
                .chunk_stream = 2 + (uint32_t)rng_below(&rng, 600),
                .stream = rng_u32(&rng),
                .timestamp = rng_u32(&rng) >> rng_below(&rng, 20),
                .body = bytes_of(body + at, (size_t)rng_below(&rng, chunk < 20 ? 50 : 4000))};
            rtmp_chunk_write(&w, &in[i], chunk);
        }
        EXPECT(wr_ok(&w));
        rtmp_chunk_reader_init(&r, 1 << 20);
        r.chunk_size = chunk;
        for (size_t at = 0; at < wr_len(&w);) {
            struct bytes wire = bytes_of(buf + at, 1 + (size_t)rng_below(&rng, 3000));
            wire.len = size_min(wire.len, wr_len(&w) - at);
            at += wire.len;
            while (rtmp_chunk_read(&r, &wire, &m) == 1) {
                EXPECT(m.type == in[got].type && m.timestamp == in[got].timestamp);
                EXPECT(m.stream == in[got].stream && m.chunk_stream == in[got].chunk_stream);
                EXPECT_BYTES(m.body, in[got].body);
                got++;
            }
        }
        EXPECT_EQ(got, 4);
        rtmp_chunk_reader_fini(&r);
    }
}

/* The first byte cuts the rest into pieces. */
FUZZ(rtmp_chunk, in)
{
    struct rtmp_chunk_message m;
    struct rtmp_chunk_reader r;
    int64_t live = mem_live();
    int err = 0;

    if (in.len == 0)
        return;
    rtmp_chunk_reader_init(&r, 4096);
    for (size_t at = 1; at < in.len && err >= 0;) {
        struct bytes wire = bytes_of(in.p + at, size_min(in.len - at, (size_t)in.p[0] + 1));
        at += wire.len;
        while ((err = rtmp_chunk_read(&r, &wire, &m)) == 1) {
            uint8_t sum = 0;
            EXPECT(m.body.len <= 4096);
            for (size_t i = 0; i < m.body.len; i++)
                sum ^= m.body.p[i];
            EXPECT(sum == 0 || m.body.len > 0);
        }
        EXPECT(r.used <= 4096 && (err < 0 || wire.len == 0));
        EXPECT(r.chunk_size > 0 && r.chunk_size <= RTMP_CHUNK_SIZE_MAX);
    }
    rtmp_chunk_reader_fini(&r);
    EXPECT_EQ(mem_live(), live);
}
