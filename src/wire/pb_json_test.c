#include "wire/pb_json.h"
#include "base/test.h"

#include "livekit_metrics.pb-c.h"
#include "livekit_models.pb-c.h"
#include "livekit_room.pb-c.h"
#include "livekit_rtc.pb-c.h"

/* Reads `text`, writes it again in `style`, compares. */
static void expect_json(const ProtobufCMessageDescriptor *d, const char *text,
                        enum pb_json_style style, const char *want)
{
    struct arena a;
    struct str out;
    struct pb_why why;

    arena_init(&a, 1 << 20);
    str_init(&out, 1 << 20);
    ProtobufCMessage *m = pb_json_read(&a, d, bytes_str(text), &why);
    if (m == NULL)
        print_error("%s: %s\n", text, why.text);
    EXPECT(m != NULL);
    EXPECT_STR(why.text, "");
    pb_json_write(m, style, &out);
    EXPECT(!out.failed);
    EXPECT_STR(str_text(&out), want);
    str_fini(&out);
    arena_fini(&a);
}

static void expect_refused(const ProtobufCMessageDescriptor *d, const char *text)
{
    struct arena a;
    struct pb_why why;

    arena_init(&a, 1 << 20);
    EXPECT(pb_json_read(&a, d, bytes_str(text), &why) == NULL);
    EXPECT(why.text[0] != '\0');
    EXPECT(pb_json_read(&a, d, bytes_str(text), NULL) == NULL);
    arena_fini(&a);
}

TEST(signal_style_is_camel_case_without_defaults)
{
    expect_json(&livekit__signal_request__descriptor,
                "{\"offer\":{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\",\"id\":3,"
                "\"midToTrackId\":{\"0\":\"TR_a\"}}}",
                PB_JSON_SIGNAL,
                "{\"offer\":{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\",\"id\":3,"
                "\"midToTrackId\":{\"0\":\"TR_a\"}}}");
    expect_json(
        &livekit__signal_request__descriptor,
        "{\"trickle\":{\"candidateInit\":\"{}\",\"target\":\"SUBSCRIBER\",\"final\":false}}",
        PB_JSON_SIGNAL, "{\"trickle\":{\"candidateInit\":\"{}\",\"target\":\"SUBSCRIBER\"}}");
    /* a oneof's member that is set is said even when it is zero */
    expect_json(&livekit__signal_request__descriptor, "{\"ping\":0}", PB_JSON_SIGNAL,
                "{\"ping\":\"0\"}");
    expect_json(&livekit__join_response__descriptor, "{\"sifTrailer\":\"/+A=\"}", PB_JSON_SIGNAL,
                "{\"sifTrailer\":\"/+A=\"}");
}

TEST(twirp_style_is_snake_case_with_zero_values)
{
    expect_json(&livekit__list_rooms_response__descriptor, "{}", PB_JSON_TWIRP, "{\"rooms\":[]}");
    expect_json(&livekit__room__descriptor,
                "{\"name\":\"r\",\"emptyTimeout\":300,\"creation_time\":\"1700000000\","
                "\"numParticipants\":2}",
                PB_JSON_TWIRP,
                "{\"sid\":\"\",\"name\":\"r\",\"empty_timeout\":300,\"max_participants\":0,"
                "\"creation_time\":\"1700000000\",\"turn_password\":\"\",\"enabled_codecs\":[],"
                "\"metadata\":\"\",\"num_participants\":2,\"active_recording\":false,"
                "\"num_publishers\":0,\"version\":null,\"departure_timeout\":0,"
                "\"creation_time_ms\":\"0\"}");
    expect_json(&livekit__mute_room_track_response__descriptor, "{}", PB_JSON_TWIRP,
                "{\"track\":null}");
    /* unset optional fields are members of no account: left out, as the original does */
    expect_json(&livekit__send_data_request__descriptor, "{\"room\":\"r\",\"data\":\"aGk\"}",
                PB_JSON_TWIRP,
                "{\"room\":\"r\",\"data\":\"aGk=\",\"kind\":\"RELIABLE\",\"destination_sids\":[],"
                "\"destination_identities\":[],\"nonce\":\"\"}");
    expect_json(&livekit__send_data_request__descriptor, "{\"topic\":\"\"}", PB_JSON_SIGNAL,
                "{\"topic\":\"\"}");
    expect_json(&livekit__update_participant_request__descriptor,
                "{\"attributes\":{\"a\":\"1\",\"b\":\"\"}}", PB_JSON_TWIRP,
                "{\"room\":\"\",\"identity\":\"\",\"metadata\":\"\",\"permission\":null,"
                "\"name\":\"\",\"attributes\":{\"a\":\"1\",\"b\":\"\"}}");
}

TEST(enums_are_read_by_name_or_number)
{
    const ProtobufCMessageDescriptor *d = &livekit__participant_permission__descriptor;
    const char *want = "{\"canPublishSources\":[\"CAMERA\",\"SCREEN_SHARE\"]}";

    expect_json(d, "{\"can_publish_sources\":[\"CAMERA\",3]}", PB_JSON_SIGNAL, want);
    expect_json(d, "{\"canPublishSources\":[1,\"HOLOGRAM\",\"SCREEN_SHARE\"]}", PB_JSON_SIGNAL,
                want);
    expect_json(d, "{\"canPublishSources\":[77]}", PB_JSON_SIGNAL, "{\"canPublishSources\":[77]}");
}

TEST(numbers_are_read_as_text_and_as_numbers)
{
    const ProtobufCMessageDescriptor *d = &livekit__room__descriptor;
    static const struct {
        const char *in, *out;
    } good[] = {
        {"{\"creationTime\":9007199254740993}", "{\"creationTime\":\"9007199254740993\"}"},
        {"{\"creationTime\":\"-5\"}", "{\"creationTime\":\"-5\"}"},
        {"{\"emptyTimeout\":\"12\"}", "{\"emptyTimeout\":12}"},
        {"{\"emptyTimeout\":1e2}", "{\"emptyTimeout\":100}"},
        {"{\"emptyTimeout\":4294967295}", "{\"emptyTimeout\":4294967295}"},
        {"{\"emptyTimeout\":null,\"name\":null,\"version\":null}", "{}"},
    };
    static const char *const bad[] = {
        "{\"emptyTimeout\":4294967296}", "{\"emptyTimeout\":-1}",   "{\"emptyTimeout\":1.5}",
        "{\"emptyTimeout\":\"x\"}",      "{\"emptyTimeout\":\"\"}", "{\"emptyTimeout\":true}",
        "{\"emptyTimeout\":[1]}",        "{\"creationTime\":1e30}", "{\"emptyTimeout\":{}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        expect_json(d, good[i].in, PB_JSON_SIGNAL, good[i].out);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_refused(d, bad[i]);
    expect_json(&livekit__speaker_info__descriptor, "{\"level\":0.1,\"active\":true}",
                PB_JSON_SIGNAL, "{\"level\":0.1,\"active\":true}");
    expect_json(&livekit__speaker_info__descriptor, "{\"level\":\"NaN\"}", PB_JSON_SIGNAL,
                "{\"level\":\"NaN\"}");
    expect_json(&livekit__speaker_info__descriptor, "{\"level\":\"1e-3\"}", PB_JSON_SIGNAL,
                "{\"level\":0.001}");
}

TEST(unknown_fields_are_ignored_and_malformed_ones_refused)
{
    const ProtobufCMessageDescriptor *d = &livekit__create_room_request__descriptor;

    expect_json(d, "{\"name\":\"a\",\"future\":{\"x\":[1,{\"y\":null}]}}", PB_JSON_SIGNAL,
                "{\"name\":\"a\"}");
    static const char *const bad[] = {
        "",
        "[]",
        "3",
        "null",
        "{",
        "{\"name\":}",
        "{\"name\":5}",
        "{\"name\":\"\\u0000\"}",
        "{\"name\":\"\\ud800\"}",
        "{\"egress\":[]}",
        "{\"agents\":{}}",
        "{\"agents\":[null]}",
        "{\"tags\":[]}",
        "{\"tags\":{\"a\":1}}",
        "{\"name\":\"a\"} x",
        "{\"name\":\"\xff\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_refused(d, bad[i]);
    expect_refused(&livekit__signal_request__descriptor, "{\"ping\":1,\"leave\":{}}");
    expect_refused(&livekit__send_data_request__descriptor, "{\"data\":\"a b\"}");
}

TEST(maps_with_numbers_for_keys_have_text_keys)
{
    expect_json(&livekit__data_track_subscriber_handles__descriptor,
                "{\"subHandles\":{\"7\":{\"trackSid\":\"DTR_x\"}}}", PB_JSON_SIGNAL,
                "{\"subHandles\":{\"7\":{\"trackSid\":\"DTR_x\"}}}");
    expect_refused(&livekit__data_track_subscriber_handles__descriptor,
                   "{\"subHandles\":{\"x\":{}}}");
}

TEST(text_is_escaped)
{
    expect_json(&livekit__room__descriptor, "{\"name\":\"a\\\"\\\\\\n\\u0001\\u00e9\"}",
                PB_JSON_SIGNAL, "{\"name\":\"a\\\"\\\\\\n\\u0001\xc3\xa9\"}");
}

TEST(json_that_unfolds_or_nests_too_far_is_refused)
{
    enum { N = 30000 };
    struct arena a;
    struct str s;

    arena_init(&a, 1 << 30);
    str_init(&s, 1 << 20);
    str_add(&s, "{\"participants\":[{}");
    for (int i = 1; i < N; i++)
        str_add(&s, ",{}");
    str_add(&s, "]}");
    EXPECT(pb_json_read(&a, &livekit__participant_update__descriptor, str_bytes(&s), NULL) == NULL);
    EXPECT(a.used_bytes < PB_UNFOLD_BASE_BYTES + PB_UNFOLD * s.len + (64 << 10));
    str_clear(&s);
    for (int i = 0; i < 5000; i++)
        str_add(&s, "{\"x\":");
    EXPECT(pb_json_read(&a, &livekit__room__descriptor, str_bytes(&s), NULL) == NULL);
    str_fini(&s);
    arena_fini(&a);
}

TEST(writing_stops_at_the_ceiling)
{
    struct arena a;
    struct str out;

    arena_init(&a, 1 << 16);
    str_init(&out, 10);
    Livekit__Room *r = pb_new(&a, &livekit__room__descriptor);
    r->name = pb_text("a long name for a short text");
    pb_json_write(&r->base, PB_JSON_TWIRP, &out);
    EXPECT(out.failed);
    str_fini(&out);
    arena_fini(&a);
}

/* What was read is written, read and written again to the same text, in both styles. */
FUZZ(pb_json, in)
{
    static const ProtobufCMessageDescriptor *const kinds[] = {
        &livekit__signal_request__descriptor,
        &livekit__create_room_request__descriptor,
        &livekit__update_participant_request__descriptor,
        &livekit__metrics_batch__descriptor,
    };
    if (in.len == 0)
        return;

    const ProtobufCMessageDescriptor *d = kinds[in.p[0] % ARRAY_LEN(kinds)];
    struct pb_why why;

    for (enum pb_json_style style = PB_JSON_TWIRP; style <= PB_JSON_SIGNAL; style++) {
        struct arena a;
        struct str once, twice;

        arena_init(&a, 8 << 20);
        str_init(&once, 4 << 20);
        str_init(&twice, 4 << 20);
        ProtobufCMessage *m = pb_json_read(&a, d, bytes_of(in.p + 1, in.len - 1), &why);
        EXPECT(m != NULL || why.text[0] != '\0');
        if (m != NULL) {
            pb_json_write(m, style, &once);
            EXPECT(!once.failed);
            ProtobufCMessage *back = pb_json_read(&a, d, str_bytes(&once), &why);
            EXPECT(back != NULL);
            pb_json_write(back, style, &twice);
            EXPECT_STR(str_text(&once), str_text(&twice));
        }
        str_fini(&twice);
        str_fini(&once);
        arena_fini(&a);
    }
}
