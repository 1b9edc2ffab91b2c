#include "wire/pb.h"
#include "base/err.h"
#include "base/test.h"

#include "livekit_models.pb-c.h"
#include "livekit_rtc.pb-c.h"

static bool text_ok(const char *hex)
{
    return pb_text_ok(test_hex(hex));
}

TEST(text_is_utf8_without_nul)
{
    EXPECT(text_ok(""));
    EXPECT(text_ok("41"));
    EXPECT(text_ok("c3a4e282acf09f9880"));
    EXPECT(text_ok("efbfbf"));
    EXPECT(text_ok("f48fbfbf"));
    EXPECT(!text_ok("00"));
    EXPECT(!text_ok("4100"));
    EXPECT(!text_ok("80"));
    EXPECT(!text_ok("c0af")); /* overlong */
    EXPECT(!text_ok("c180"));
    EXPECT(!text_ok("e08080"));
    EXPECT(!text_ok("eda080")); /* surrogate */
    EXPECT(!text_ok("f0808080"));
    EXPECT(!text_ok("f4908080"));
    EXPECT(!text_ok("f8888080"));
    EXPECT(!text_ok("e282")); /* cut */
    EXPECT(!text_ok("e28241"));
    EXPECT(!text_ok("c3"));
}

TEST(a_message_survives_packing_and_unpacking)
{
    struct arena a;
    struct str out;

    arena_init(&a, 1 << 20);
    str_init(&out, 1 << 16);
    Livekit__SignalRequest *req = pb_new(&a, &livekit__signal_request__descriptor);
    Livekit__SessionDescription *sd = pb_new(&a, &livekit__session_description__descriptor);
    sd->type = pb_text("offer");
    sd->sdp = pb_text("v=0\r\n");
    sd->id = 7;
    req->message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER;
    req->offer = sd;
    pb_pack(&req->base, &out);
    EXPECT_BYTES(str_bytes(&out), test_hex("0a10 0a056f66666572 1205763d300d0a 1807"));
    EXPECT_EQ(pb_size(&req->base), out.len);

    Livekit__SignalRequest *back =
        pb_unpack(&a, &livekit__signal_request__descriptor, str_bytes(&out));
    EXPECT(back != NULL);
    EXPECT_EQ(back->message_case, LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER);
    EXPECT_STR(back->offer->sdp, "v=0\r\n");
    EXPECT_EQ(back->offer->id, 7);

    Livekit__SignalRequest *copy = pb_clone(&a, &back->base);
    EXPECT(copy != NULL && copy != back && copy->offer != back->offer);
    EXPECT_STR(copy->offer->type, "offer");

    uint8_t buf[64];
    struct wr w = wr_of(buf, sizeof buf);
    pb_pack_wr(&copy->base, &w);
    EXPECT_BYTES(wr_done(&w), str_bytes(&out));
    w = wr_of(buf, out.len - 1);
    pb_pack_wr(&copy->base, &w);
    EXPECT(!wr_ok(&w));
    str_fini(&out);
    arena_fini(&a);
}

TEST(an_empty_frame_is_an_empty_message)
{
    struct arena a;

    arena_init(&a, 1 << 16);
    Livekit__Room *r = pb_unpack(&a, &livekit__room__descriptor, bytes_of(NULL, 0));
    EXPECT(r != NULL);
    EXPECT_STR(r->name, "");
    arena_fini(&a);
}

TEST(text_that_is_no_text_is_refused_wherever_it_hides)
{
    struct arena a;

    arena_init(&a, 1 << 16);
    /* SignalRequest.offer.sdp = "\xff", then the same with NUL */
    EXPECT(pb_unpack(&a, &livekit__signal_request__descriptor, test_hex("0a03 1201ff")) == NULL);
    EXPECT(pb_unpack(&a, &livekit__signal_request__descriptor, test_hex("0a03 120100")) == NULL);
    EXPECT(pb_unpack(&a, &livekit__signal_request__descriptor, test_hex("0a03 120141")) != NULL);
    /* a bytes field may hold anything */
    EXPECT(pb_unpack(&a, &livekit__user_packet__descriptor, test_hex("120200ff")) != NULL);
    /* map entries are messages too */
    EXPECT(pb_unpack(&a, &livekit__session_description__descriptor,
                     test_hex("2206 0a01ff 120141")) == NULL);
    arena_fini(&a);
}

TEST(a_small_frame_that_unfolds_is_refused)
{
    enum { N = 200000 };
    struct arena a;
    uint8_t *frame = mem_zero(2 * N);

    /* ParticipantUpdate of N empty participants: two bytes each here, some 200 unpacked */
    for (size_t i = 0; i < N; i++)
        frame[2 * i] = 0x0a;
    arena_init(&a, 1 << 30);
    EXPECT(pb_unpack(&a, &livekit__participant_update__descriptor, bytes_of(frame, 2 * N)) == NULL);
    EXPECT(a.used_bytes <= (size_t)PB_UNFOLD_BASE_BYTES + PB_UNFOLD * 2 * N + ARENA_BLOCK_BYTES);
    EXPECT(pb_unpack(&a, &livekit__participant_update__descriptor, bytes_of(frame, 100)) != NULL);
    arena_fini(&a);
    mem_free(frame);
}

TEST(fields_are_walked_on_the_wire)
{
    struct rd r = rd_of(test_hex("08 96 01 11 0102030405060708 1a 02 6869 25 01000000"));
    struct pb_field f;

    EXPECT(pb_field_next(&r, &f) && f.no == 1 && f.wire == PB_VARINT && f.num == 150);
    EXPECT_EQ(f.whole.len, 3);
    EXPECT(pb_field_next(&r, &f) && f.no == 2 && f.wire == PB_FIXED64);
    EXPECT_EQ(f.num, 0x0807060504030201);
    EXPECT(pb_field_next(&r, &f) && f.no == 3 && bytes_eq_str(f.bytes, "hi"));
    EXPECT(pb_field_next(&r, &f) && f.no == 4 && f.wire == PB_FIXED32 && f.num == 1);
    EXPECT(!pb_field_next(&r, &f) && rd_ok(&r));

    static const char *const bad[] = {
        "00",                       /* field number 0 */
        "08",                       /* cut */
        "0880",                     /* cut in the varint */
        "08ffffffffffffffffffffff", /* too long */
        "0a05 41",                  /* length beyond the end */
        "0affffffffffffffffff01",   /* length near 2^64 */
        "0b",                       /* group */
        "0c",
        "0e",
        "0f",
        "15 0102",
        "11 01",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        r = rd_of(test_hex(bad[i]));
        EXPECT(!pb_field_next(&r, &f));
        EXPECT(!rd_ok(&r));
    }
}

/* What data packets need: who sent it is replaced, and what we do not know stays. */
TEST(a_packet_is_restamped_and_its_unknown_fields_survive)
{
    struct bytes in = test_hex("2204 66616b65 1203 120141 8a0102 5041 f23f03 616263 80 01 09");
    static const uint32_t drop[] = {4, 17};
    uint8_t buf[128];
    struct wr w = wr_of(buf, sizeof buf);
    struct pb_field f;

    EXPECT_EQ(pb_copy_without(&w, in, drop, 2), 0);
    pb_put_str(&w, 4, "alice");
    pb_put_str(&w, 17, "PA_x");
    EXPECT(wr_ok(&w));
    EXPECT_BYTES(wr_done(&w), test_hex("1203120141 f23f03616263 800109 2205616c696365 "
                                       "8a010450415f78"));
    EXPECT(pb_field_find(wr_done(&w), 4, &f) && bytes_eq_str(f.bytes, "alice"));
    EXPECT(pb_field_find(wr_done(&w), 16, &f) && f.num == 9);
    EXPECT(!pb_field_find(wr_done(&w), 5, &f));
    w = wr_of(buf, 8);
    EXPECT_EQ(pb_copy_without(&w, in, drop, 2), E_TOO_LARGE);
    w = wr_of(buf, sizeof buf);
    EXPECT_EQ(pb_copy_without(&w, test_hex("2204"), drop, 2), E_MALFORMED);
}

TEST(numbers_written_are_the_numbers_read)
{
    struct rng rng = rng_seed(5);

    for (int i = 0; i < 2000; i++) {
        uint64_t v = rng_u64(&rng) >> rng_below(&rng, 64);
        uint32_t no = 1 + (uint32_t)rng_below(&rng, (1 << 29) - 1);
        uint8_t buf[32];
        struct wr w = wr_of(buf, sizeof buf);
        struct pb_field f;

        pb_put_u64(&w, no, v);
        EXPECT(pb_field_find(wr_done(&w), no, &f) && f.num == v);
    }
    uint8_t buf[8];
    struct wr w = wr_of(buf, sizeof buf);
    pb_put_float(&w, 2, 1.0f);
    EXPECT_BYTES(wr_done(&w), test_hex("15 0000803f"));
}

TEST(unpacking_survives_every_refused_allocation)
{
    struct bytes in = test_hex("0a10 0a056f66666572 1205763d300d0a 1807");

    for (uint64_t nth = 1; nth < 8; nth++) {
        struct arena a;
        int64_t before = mem_live();

        arena_init(&a, 1 << 16);
        mem_refuse_nth(nth);
        void *m = pb_unpack(&a, &livekit__signal_request__descriptor, in);
        mem_refuse_nth(0);
        EXPECT(nth > 1 ? m != NULL || a.failed : m == NULL);
        arena_fini(&a);
        EXPECT_EQ(mem_live(), before);
    }
}

/* The first byte chooses the message; what was accepted packs to something equal. */
FUZZ(pb, in)
{
    static const ProtobufCMessageDescriptor *const kinds[] = {
        &livekit__signal_request__descriptor,
        &livekit__signal_response__descriptor,
        &livekit__data_packet__descriptor,
        &livekit__join_request__descriptor,
    };
    if (in.len == 0)
        return;

    const ProtobufCMessageDescriptor *d = kinds[in.p[0] % ARRAY_LEN(kinds)];
    struct arena a;
    struct str once, twice;

    arena_init(&a, 4 << 20);
    str_init(&once, 4 << 20);
    str_init(&twice, 4 << 20);
    ProtobufCMessage *m = pb_unpack(&a, d, bytes_of(in.p + 1, in.len - 1));
    if (m != NULL) {
        pb_pack(m, &once);
        ProtobufCMessage *back = pb_clone(&a, m);
        EXPECT(back != NULL || a.failed);
        if (back != NULL) {
            pb_pack(back, &twice);
            EXPECT_BYTES(str_bytes(&once), str_bytes(&twice));
        }
    }
    struct rd r = rd_of(bytes_of(in.p + 1, in.len - 1));
    struct pb_field f;
    while (pb_field_next(&r, &f))
        EXPECT(f.whole.len > 0);
    str_fini(&twice);
    str_fini(&once);
    arena_fini(&a);
}
