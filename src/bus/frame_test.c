#include "base/mem.h"
#include "base/test.h"
#include "bus/frame.h"
#include "bus/psrpc_recorded.h"

#include "psrpc.pb-c.h"

TEST(names_are_those_that_redis_sees)
{
    static const struct {
        const char *part[FRAME_PARTS_MAX], *want;
    } cases[] = {
        {{"IOInfo", "GetIngressInfo", "", "REQ"}, "IOInfo|GetIngressInfo|REQ"},
        {{"IngressHandler", "DeleteIngress", "IN_abc", "RCLAIM"},
         "IngressHandler|DeleteIngress|IN_abc|RCLAIM"},
        {{"IOInfo", "CLI_M8MK05jkrnij", "CLAIM", NULL}, "IOInfo|CLI_M8MK05jkrnij|CLAIM"},
        {{"a-b", "c.d", "x|y", "REQ"}, "au+002db|cu+002ed|xu+007cy|REQ"},
        {{"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", ""}, "u+00e4|u+20ac|U+0001f600"},
        {{"\xff", "\xe2\x82", "", ""}, "u+fffd|u+fffdu+fffd"},
        {{"", "", "", ""}, ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[BUS_CHANNEL_MAX];
        EXPECT(frame_channel(out, cases[i].part, FRAME_PARTS_MAX));
        EXPECT_STR(out, cases[i].want);
    }
}

TEST(a_name_that_is_too_long_is_refused)
{
    char topic[300], out[BUS_CHANNEL_MAX];
    const char *part[] = {"S", "M", topic, "REQ"};

    memset(topic, 'x', sizeof topic);
    topic[sizeof topic - 1] = '\0';
    EXPECT(frame_channel(out, part, 4));
    memset(topic, '-', sizeof topic - 1); /* six characters each */
    EXPECT(!frame_channel(out, part, 4));
}

static void same_bytes(const ProtobufCMessage *m, const char *hex)
{
    struct str out;

    str_init(&out, 1 << 16);
    frame_pack(m, &out);
    EXPECT(!out.failed);
    EXPECT_BYTES(str_bytes(&out), test_hex(hex));
    str_fini(&out);
}

/* Read and packed again, each recorded frame is the same to the byte. */
TEST(frames_are_those_of_the_original)
{
    static const struct {
        const char *hex;
        const ProtobufCMessageDescriptor *d;
    } cases[] = {
        {RECORDED_GET_REQUEST, &internal__request__descriptor},
        {RECORDED_GET_CLAIM, &internal__claim_request__descriptor},
        {RECORDED_GET_CHOICE, &internal__claim_response__descriptor},
        {RECORDED_GET_ANSWER, &internal__response__descriptor},
        {RECORDED_GET_REFUSAL, &internal__response__descriptor},
        {RECORDED_START_REQUEST, &internal__request__descriptor},
        {RECORDED_LIST_REQUEST, &internal__request__descriptor},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        arena_init(&a, 1 << 20);
        ProtobufCMessage *m = frame_unpack(&a, cases[i].d, test_hex(cases[i].hex));
        EXPECT(m != NULL);
        same_bytes(m, cases[i].hex);
        arena_fini(&a);
    }
}

TEST(fields_stand_where_the_original_writes_them)
{
    Internal__ClaimRequest c = INTERNAL__CLAIM_REQUEST__INIT;
    Internal__Request r = INTERNAL__REQUEST__INIT;
    struct bytes raw = test_hex("12086d796b6579313233");

    c.request_id = pb_text("REQ_aXJHi7VgzEa0");
    c.server_id = pb_text("SRV_5wYWZkPTQOop");
    c.affinity = 1;
    same_bytes(&c.base, RECORDED_GET_CLAIM);
    r.request_id = pb_text("REQ_aXJHi7VgzEa0");
    r.client_id = pb_text("CLI_M8MK05jkrnij");
    r.sent_at = 1795284467575591468;
    r.expiry = 1795284470575591468;
    r.raw_request.data = (uint8_t *)(uintptr_t)raw.p;
    r.raw_request.len = raw.len;
    same_bytes(&r.base, RECORDED_GET_REQUEST);
}

TEST(another_type_is_not_read)
{
    struct arena a;

    arena_init(&a, 1 << 20);
    EXPECT(frame_unpack(&a, &internal__response__descriptor, test_hex(RECORDED_GET_REQUEST)) ==
           NULL);
    EXPECT(frame_unpack(&a, &internal__request__descriptor, bytes_str("nonsense")) == NULL);
    EXPECT(frame_unpack(&a, &internal__request__descriptor, bytes_str("")) == NULL);
    arena_fini(&a);
}
