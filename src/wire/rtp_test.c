#include "wire/rtp.h"

#include "base/err.h"
#include "base/test.h"

static const struct rtp_ext_ids all_ids = {.id = {
                                               [RTP_EXT_MID] = 4,
                                               [RTP_EXT_RID] = 10,
                                               [RTP_EXT_REPAIRED_RID] = 11,
                                               [RTP_EXT_AUDIO_LEVEL] = 1,
                                               [RTP_EXT_ABS_SEND_TIME] = 2,
                                               [RTP_EXT_TWCC] = 3,
                                               [RTP_EXT_DEPENDENCY_DESCRIPTOR] = 13,
                                               [RTP_EXT_VIDEO_ORIENTATION] = 40,
                                           }};

TEST(rtp_reads_a_packet_with_csrc_extension_and_padding)
{
    struct bytes in = test_hex("b2e0 1234 00000bb8 cafebabe 11111111 22222222"
                               "bede0003 10ff 22010203 31 abcd 00 4061"
                               "deadbeef 00000003");
    struct rtp_view v;
    uint32_t t24 = 0;
    uint16_t seq = 0;
    uint8_t level = 0;
    bool voice = false;

    EXPECT_EQ(rtp_parse(&v, in, &all_ids), 0);
    EXPECT_EQ(v.seq, 0x1234);
    EXPECT_EQ(v.ts, 3000);
    EXPECT_EQ(v.ssrc, 0xcafebabe);
    EXPECT_EQ(v.pt, 96);
    EXPECT(rtp_marker(&v) && !rtp_pad_only(&v));
    EXPECT_EQ(v.payload_off, 36);
    EXPECT_EQ(v.payload_len, 5);
    EXPECT(rtp_ext_audio_level(&v, in.p, &level, &voice) && voice && level == 127);
    EXPECT(rtp_ext_abs_send_time(&v, in.p, &t24) && t24 == 0x010203);
    EXPECT(rtp_ext_twcc(&v, in.p, &seq) && seq == 0xabcd);
    EXPECT(bytes_eq_str(rtp_ext(&v, in.p, RTP_EXT_MID), "a"));
    EXPECT(rtp_ext(&v, in.p, RTP_EXT_RID).p == NULL);
    EXPECT_BYTES(rtp_payload(&v, in.p), test_hex("deadbeef00"));
}

TEST(rtp_reads_two_byte_elements_with_empty_and_large_ones)
{
    struct bytes in = test_hex("9060 0001 00000000 00000001 1000 0005"
                               "0400 28 01 02 00 0d 06 010203040506 0000 00 00 00 ff");
    struct rtp_view v;

    EXPECT_EQ(rtp_parse(&v, in, &all_ids), 0);
    EXPECT(rtp_ext(&v, in.p, RTP_EXT_MID).p != NULL);
    EXPECT_EQ(rtp_ext(&v, in.p, RTP_EXT_MID).len, 0);
    EXPECT_BYTES(rtp_ext(&v, in.p, RTP_EXT_VIDEO_ORIENTATION), test_hex("02"));
    EXPECT_BYTES(rtp_ext(&v, in.p, RTP_EXT_DEPENDENCY_DESCRIPTOR), test_hex("010203040506"));
}

TEST(rtp_padding_only_packets_are_told_apart)
{
    struct rtp_view v;

    EXPECT_EQ(rtp_parse(&v, test_hex("a0600001 00000000 00000001 00000004"), NULL), 0);
    EXPECT(rtp_pad_only(&v));
    EXPECT_EQ(v.payload_len, 0);
    EXPECT_EQ(rtp_parse(&v, test_hex("80600001 00000000 00000001"), NULL), 0);
    EXPECT(rtp_pad_only(&v));
}

TEST(rtp_hostile_headers_are_refused_and_hostile_elements_ignored)
{
    struct rtp_view v = {.seq = 7};

    EXPECT_EQ(rtp_parse(&v, test_hex("8060000100000000000000"), NULL), E_TRUNCATED);
    EXPECT_EQ(rtp_parse(&v, test_hex("816000010000000000000001"), NULL), E_TRUNCATED);
    EXPECT_EQ(rtp_parse(&v, test_hex("906000010000000000000001bede0001"), NULL), E_TRUNCATED);
    EXPECT_EQ(rtp_parse(&v, test_hex("406000010000000000000001"), NULL), E_MALFORMED);
    EXPECT_EQ(rtp_parse(&v, test_hex("a06000010000000000000001"), NULL), E_MALFORMED);
    EXPECT_EQ(rtp_parse(&v, test_hex("a0600001000000000000000100"), NULL), E_MALFORMED);
    EXPECT_EQ(rtp_parse(&v, test_hex("a0600001000000000000000102"), NULL), E_MALFORMED);
    EXPECT_EQ(v.seq, 7);
    /* An element that overruns its block; the packet is good, the element is not there. */
    EXPECT_EQ(rtp_parse(&v, test_hex("906000010000000000000001bede000110ff4f41"), &all_ids), 0);
    EXPECT(v.ext[RTP_EXT_AUDIO_LEVEL] == 1 && v.ext[RTP_EXT_MID] == 0);
    /* An id of 15 ends the block; another profile is no block of ours. */
    EXPECT_EQ(rtp_parse(&v, test_hex("906000010000000000000001bede0001f0ff10ff"), &all_ids), 0);
    EXPECT_EQ(v.ext[RTP_EXT_AUDIO_LEVEL], 0);
    EXPECT_EQ(rtp_parse(&v, test_hex("906000010000000000000001abcd000110ff10ff"), &all_ids), 0);
    EXPECT_EQ(v.ext_off, 0);
}

TEST(rtp_elements_too_far_into_the_block_are_not_seen)
{
    uint8_t pkt[12 + 4 + 512] = {0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0, 0, 128};
    struct rtp_view v;

    memcpy(pkt + 16 + 252, "\x04\x01x", 3); /* data at 254 */
    memcpy(pkt + 16 + 255, "\x0a\x01y", 3); /* data at 257 */
    EXPECT_EQ(rtp_parse(&v, bytes_of(pkt, sizeof pkt), &all_ids), 0);
    EXPECT(bytes_eq_str(rtp_ext(&v, pkt, RTP_EXT_MID), "x"));
    EXPECT(rtp_ext(&v, pkt, RTP_EXT_RID).p == NULL);
}

TEST(rtp_demux_follows_rfc_7983)
{
    static const struct {
        uint8_t b[2];
        enum rtp_demux want;
    } table[] = {
        {{0, 1}, RTP_DEMUX_STUN},          {{3, 0}, RTP_DEMUX_STUN},
        {{4, 0}, RTP_DEMUX_OTHER},         {{19, 0}, RTP_DEMUX_OTHER},
        {{20, 254}, RTP_DEMUX_DTLS},       {{63, 254}, RTP_DEMUX_DTLS},
        {{64, 0}, RTP_DEMUX_TURN_CHANNEL}, {{79, 0}, RTP_DEMUX_TURN_CHANNEL},
        {{80, 0}, RTP_DEMUX_OTHER},        {{127, 0}, RTP_DEMUX_OTHER},
        {{128, 96}, RTP_DEMUX_RTP},        {{191, 0xe0}, RTP_DEMUX_RTP},
        {{128, 200}, RTP_DEMUX_RTCP},      {{129, 206}, RTP_DEMUX_RTCP},
        {{128, 191}, RTP_DEMUX_RTP},       {{192, 0}, RTP_DEMUX_OTHER},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        EXPECT_EQ(rtp_demux_kind(bytes_of(table[i].b, 2)), table[i].want);
    EXPECT_EQ(rtp_demux_kind(bytes_of("\0", 1)), RTP_DEMUX_OTHER);
}

TEST(rtp_extension_names_translate_both_ways)
{
    for (int e = 0; e < RTP_EXT_N; e++)
        EXPECT_EQ(rtp_ext_of_uri(bytes_str(rtp_ext_uri((enum rtp_ext)e))), e);
    EXPECT_EQ(rtp_ext_of_uri(bytes_str("urn:none")), RTP_EXT_N);
    EXPECT_EQ(rtp_ext_of_id(&all_ids, 0), RTP_EXT_N);
    EXPECT_EQ(rtp_ext_of_id(&all_ids, 3), RTP_EXT_TWCC);
}

/* Any header that we write, we read. */
TEST(rtp_write_and_parse_are_a_pair)
{
    struct rng rng = rng_seed(11);
    uint8_t data[255], out[RTP_HEADER_OUT_MAX];

    rng_fill(&rng, data, sizeof data);
    for (int round = 0; round < 3000; round++) {
        struct rtp_ext_ids ids = {{0}};
        struct rtp_ext_val ext[RTP_EXT_N];
        struct rtp_view v;
        unsigned big = round % 3 == 0 ? 15 : 0;

        for (unsigned e = 0; e < RTP_EXT_N; e++) {
            bool left_out = rng_below(&rng, 3) == 0;
            ext[e] = (struct rtp_ext_val){
                .id = left_out ? 0 : (uint8_t)(e + 1 + big),
                .len = (uint8_t)(1 + rng_below(&rng, big ? 18 : 9)),
                .data = rng_below(&rng, 4) ? data + e : NULL,
            };
            ids.id[e] = ext[e].id;
        }
        struct rtp_header h = {rng_u32(&rng), rng_u32(&rng), (uint16_t)rng_u32(&rng),
                               (uint8_t)rng_below(&rng, 128), rng_below(&rng, 2) == 1};
        size_t n = rtp_write_header(out, sizeof out, &h, ext, RTP_EXT_N);
        EXPECT(n >= 12 && n % 4 == 0);
        EXPECT_EQ(rtp_parse(&v, bytes_of(out, n), &ids), 0);
        EXPECT(v.ts == h.ts && v.ssrc == h.ssrc && v.seq == h.seq && v.pt == h.pt);
        EXPECT(rtp_marker(&v) == h.marker && v.payload_off == n);
        for (unsigned e = 0; e < RTP_EXT_N; e++) {
            struct bytes got = rtp_ext(&v, out, (enum rtp_ext)e);
            EXPECT((got.p != NULL) == (ext[e].id != 0));
            if (got.p == NULL)
                continue;
            EXPECT_EQ(got.p - out, ext[e].at);
            EXPECT_EQ(got.len, ext[e].len);
            EXPECT(ext[e].data == NULL || memcmp(got.p, ext[e].data, got.len) == 0);
        }
        for (size_t cap = 0; cap < n; cap += 5)
            EXPECT_EQ(rtp_write_header(out, cap, &h, ext, RTP_EXT_N), 0);
    }
}

TEST(rtp_times_are_fixed_point)
{
    uint8_t d[3];

    EXPECT_EQ(rtp_abs_send_time(0), 0);
    EXPECT_EQ(rtp_abs_send_time(US_PER_SEC), 1 << 18);
    EXPECT_EQ(rtp_abs_send_time(64 * US_PER_SEC + US_PER_SEC / 2), 1 << 17);
    rtp_playout_delay(d, 100, 99999);
    EXPECT_BYTES(bytes_of(d, 3), test_hex("00afff"));
    EXPECT(rtp_seq_newer(0, 65535) && !rtp_seq_newer(65535, 0) && !rtp_seq_newer(5, 5));
}

FUZZ(rtp, in)
{
    struct rtp_view v;

    if (rtp_parse(&v, in, &all_ids) != 0)
        return;
    EXPECT((size_t)v.payload_off + v.payload_len <= in.len);
    for (int e = 0; e < RTP_EXT_N; e++) {
        struct bytes b = rtp_ext(&v, in.p, (enum rtp_ext)e);
        EXPECT(b.p == NULL || (b.p > in.p && b.p + b.len <= in.p + v.payload_off));
    }
}
