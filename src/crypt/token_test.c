#include "crypt/token.h"

#include "base/err.h"
#include "base/test.h"
#include "crypt/hash.h"

enum { NOW = 1700000000 };

#define SECRET "secret of thirty-two characters!"

static void add64(struct str *s, const char *text)
{
    str_add_base64(s, bytes_str(text), true, false);
}

/* header.payload.signature, correctly signed, whatever they say. */
static void sign(struct str *s, const char *header, const char *payload)
{
    uint8_t mac[32];

    str_init(s, 1 << 20);
    add64(s, header);
    str_add_char(s, '.');
    add64(s, payload);
    hash_hmac_sha256(bytes_str(SECRET), str_bytes(s), mac);
    str_add_char(s, '.');
    str_add_base64(s, bytes_of(mac, 32), true, false);
}

static int verify_at(struct bytes token, int64_t now)
{
    struct token_claims *c = NULL;
    struct arena a;

    arena_init(&a, TOKEN_ARENA_BYTES);
    int err = token_verify(token, bytes_str(SECRET), now, &a, &c);
    EXPECT((err == 0) == (c != NULL));
    arena_fini(&a);
    return err;
}

#define HS256       "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD        "{\"iss\":\"key\",\"sub\":\"me\",\"exp\":1700003600}"
#define WITH(claim) "{\"iss\":\"key\",\"sub\":\"me\",\"exp\":1700003600," claim "}"

/* Each is signed with the right secret: the signature alone must not carry it. */
static const struct {
    const char *header, *payload;
    int err;
} signed_row[] = {
    {HS256, GOOD, 0},
    {"{\"alg\":\"HS256\"}", GOOD, 0},
    {"{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", GOOD, 0},
    {"{\"alg\":\"none\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"None\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"NONE\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"nOnE\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"hs256\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"HS256 \"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"HS384\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"HS512\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"RS256\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"ES256\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"PS256\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"EdDSA\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"dir\",\"enc\":\"A128GCM\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"\"}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", GOOD, E_UNSUPPORTED},
    {"{\"alg\":null}", GOOD, E_MALFORMED},
    {"{\"alg\":256}", GOOD, E_MALFORMED},
    {"{\"alg\":[\"HS256\"]}", GOOD, E_MALFORMED},
    {"{\"alg\":\"none\",\"alg\":\"HS256\"}", GOOD, E_MALFORMED},
    {"{\"alg\":\"HS256\",\"alg\":\"none\"}", GOOD, E_MALFORMED},
    {"{}", GOOD, E_MALFORMED},
    {"[]", GOOD, E_MALFORMED},
    {"\"HS256\"", GOOD, E_MALFORMED},
    {"HS256", GOOD, E_MALFORMED},
    {"{\"alg\":\"HS256\"", GOOD, E_MALFORMED},
    {"{\"alg\":\"HS256\\u0000\"}", GOOD, E_MALFORMED},
    {HS256, "{}", E_EXPIRED},
    {HS256, "{\"iss\":\"key\",\"sub\":\"me\"}", E_EXPIRED},
    {HS256, "{\"exp\":null}", E_EXPIRED},
    {HS256, "{\"exp\":0}", E_EXPIRED},
    {HS256, "{\"exp\":-1}", E_EXPIRED},
    {HS256, "{\"exp\":\"1700003600\"}", E_MALFORMED},
    {HS256, "{\"exp\":true}", E_MALFORMED},
    {HS256, "{\"exp\":[1700003600]}", E_MALFORMED},
    {HS256, "{\"exp\":{}}", E_MALFORMED},
    {HS256, "{\"exp\":1e300}", E_MALFORMED},
    {HS256, "{\"exp\":-1e300}", E_MALFORMED},
    {HS256, "{\"exp\":1e999}", E_MALFORMED},
    {HS256, "{\"exp\":NaN}", E_MALFORMED},
    {HS256, "{\"exp\":99999999999999999999}", E_MALFORMED},
    {HS256, "{\"exp\":9223372036854775807}", E_MALFORMED},
    {HS256, "{\"exp\":1,\"exp\":1700003600}", E_MALFORMED},
    {HS256, "{\"exp\":1700000000.5}", 0},
    {HS256, "{\"exp\":1.7e9}", 0},
    {HS256, "{\"exp\":1699999940}", 0},
    {HS256, "{\"exp\":1699999939}", E_EXPIRED},
    {HS256, WITH("\"nbf\":1700000060"), 0},
    {HS256, WITH("\"nbf\":1700000061"), E_STATE},
    {HS256, WITH("\"nbf\":1800000000"), E_STATE},
    {HS256, WITH("\"nbf\":\"1\""), E_MALFORMED},
    {HS256, WITH("\"nbf\":-9e15"), 0},
    {HS256, WITH("\"nbf\":null"), 0},
    {HS256, WITH("\"iat\":1800000000"), 0},
    {HS256, WITH("\"iat\":\"now\""), E_MALFORMED},
    {HS256, WITH("\"sub\":\"you\""), E_MALFORMED},
    {HS256, WITH("\"name\":1"), E_MALFORMED},
    {HS256, WITH("\"name\":\"a\\u0000b\""), E_MALFORMED},
    {HS256, WITH("\"name\":\"\\ud800\""), E_MALFORMED},
    {HS256, WITH("\"metadata\":{}"), E_MALFORMED},
    {HS256, WITH("\"attributes\":{\"a\":1}"), E_MALFORMED},
    {HS256, WITH("\"attributes\":[]"), E_MALFORMED},
    {HS256, WITH("\"attributes\":null"), 0},
    {HS256, WITH("\"video\":true"), E_MALFORMED},
    {HS256, WITH("\"video\":{\"roomJoin\":\"true\"}"), E_MALFORMED},
    {HS256, WITH("\"video\":{\"roomJoin\":1}"), E_MALFORMED},
    {HS256, WITH("\"video\":{\"roomAdmin\":false,\"roomAdmin\":true}"), E_MALFORMED},
    {HS256, WITH("\"video\":{\"canPublishSources\":\"camera\"}"), E_MALFORMED},
    {HS256, WITH("\"video\":{\"canPublishSources\":[1]}"), E_MALFORMED},
    {HS256, WITH("\"video\":{\"future\":[{}]}"), 0},
    {HS256, WITH("\"inference\":{\"perform\":true},\"observability\":{\"write\":true}"), 0},
    {HS256, WITH("\"sip\":{\"admin\":true,\"x\":1},\"agent\":{\"simulationAdmin\":true}"), 0},
    {HS256, WITH("\"sip\":1"), E_MALFORMED},
    {HS256, WITH("\"roomConfig\":\"x\""), E_MALFORMED},
    {HS256, "[]", E_MALFORMED},
    {HS256, "null", E_MALFORMED},
    {HS256, "\"\"", E_MALFORMED},
    {HS256, GOOD "{}", E_MALFORMED},
    {HS256, "\xff", E_MALFORMED},
};

TEST(tokens_signed_with_the_right_secret_are_judged_by_what_they_say)
{
    for (size_t i = 0; i < ARRAY_LEN(signed_row); i++) {
        struct str s;
        sign(&s, signed_row[i].header, signed_row[i].payload);
        int err = verify_at(str_bytes(&s), NOW);
        if (err != signed_row[i].err)
            print_error("row %zu: %s %s\n", i, signed_row[i].header, signed_row[i].payload);
        EXPECT_EQ(err, signed_row[i].err);
        str_fini(&s);
    }
}

TEST(shapes_that_are_no_token_are_refused)
{
    static const char *const row[] = {
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        " ",
        "e30.e30.",
        "e30.e30.e30",
        ".e30.e30",
        "e30..e30",
        "e30=.e30.e30",
        "e3 0.e30.e30",
        "eyJhbGciOiJub25lIn0.e30",
        "eyJhbGciOiJIUzI1NiJ9.e30.AA+A",
        "Bearer e30.e30.e30",
        "\x01.\x02.\x03",
        "eyJhbGciOiJIUzI1NiJ9.e30.A",
    };
    const char *issuer;
    struct arena a;

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        EXPECT_EQ(verify_at(bytes_str(row[i]), NOW), E_MALFORMED);
        arena_init(&a, TOKEN_ARENA_BYTES);
        EXPECT(token_peek_issuer(bytes_str(row[i]), &a, &issuer) < 0);
        arena_fini(&a);
    }
    EXPECT_EQ(verify_at(bytes_str("eyJhbGciOiJub25lIn0.e30."), NOW), E_UNSUPPORTED);
    EXPECT_EQ(verify_at(bytes_str("eyJhbGciOiJIUzI1NiJ9.e30."), NOW), E_AUTH);
}

TEST(every_changed_character_is_noticed)
{
    struct str s;

    sign(&s, HS256, GOOD);
    for (size_t i = 0; i < s.len; i++) {
        char was = s.p[i];
        s.p[i] = was == 'A' ? 'B' : 'A';
        int err = verify_at(str_bytes(&s), NOW);
        /* The last character carries two unused bits: it may decode to the same signature. */
        EXPECT(err < 0 || i == s.len - 1);
        s.p[i] = was;
    }
    for (size_t n = 0; n < s.len; n++)
        EXPECT(verify_at(bytes_of(s.p, n), NOW) < 0);
    EXPECT_EQ(verify_at(str_bytes(&s), NOW), 0);
    str_fini(&s);
}

TEST(other_secrets_and_huge_tokens_are_refused)
{
    struct token_claims *c = NULL;
    struct arena a;
    struct str s;

    sign(&s, HS256, GOOD);
    arena_init(&a, TOKEN_ARENA_BYTES);
    EXPECT_EQ(token_verify(str_bytes(&s), bytes_str("another secret"), NOW, &a, &c), E_AUTH);
    EXPECT_EQ(token_verify(str_bytes(&s), bytes_str(""), NOW, &a, &c), E_AUTH);
    for (int i = 0; i < TOKEN_BYTES_MAX; i++)
        str_add_char(&s, 'A');
    EXPECT_EQ(token_verify(str_bytes(&s), bytes_str(SECRET), NOW, &a, &c), E_TOO_LARGE);
    arena_fini(&a);
    str_fini(&s);
}

/* As jwt.io's and livekit-server-sdk's tokens: the header's members in another order. */
TEST(vector_made_elsewhere_verifies)
{
    const char *token =
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
    struct token_claims *c = NULL;
    struct arena a;

    arena_init(&a, TOKEN_ARENA_BYTES);
    EXPECT_EQ(token_verify(bytes_str(token), bytes_str("your-256-bit-secret"), NOW, &a, &c),
              E_EXPIRED); /* the signature is right, the end is missing */
    EXPECT_EQ(token_verify(bytes_str(token), bytes_str("your-256-bit-secreT"), NOW, &a, &c),
              E_AUTH);
    arena_fini(&a);
}

TEST(claims_of_a_full_token_are_read)
{
    const char *payload =
        "{\"iss\":\"APIkey\",\"jti\":\"fallback\",\"sub\":\"\",\"exp\":1700003600,\"nbf\":"
        "1699999999,"
        "\"identity\":\"ignored\",\"name\":\"N\",\"metadata\":\"{}\",\"kind\":\"agent\","
        "\"kindDetails\":[\"cloud_agent\"],\"attributes\":{\"a\":\"1\",\"b\":\"\"},"
        "\"roomPreset\":\"p\",\"sha256\":\"AA==\",\"roomConfig\":{\"emptyTimeout\":5,\"tags\":{}},"
        "\"video\":{\"room\":\"demo\",\"roomJoin\":true,\"canPublish\":false,\"canSubscribe\":null,"
        "\"canPublishSources\":[\"camera\",\"microphone\"],\"hidden\":true,\"agent\":true}}";
    struct token_claims *c = NULL;
    const char *issuer = NULL;
    struct arena a;
    struct str s;

    sign(&s, HS256, payload);
    arena_init(&a, TOKEN_ARENA_BYTES);
    EXPECT_EQ(token_peek_issuer(str_bytes(&s), &a, &issuer), 0);
    EXPECT_STR(issuer, "APIkey");
    EXPECT_EQ(token_verify(str_bytes(&s), bytes_str(SECRET), NOW, &a, &c), 0);
    str_fini(&s);
    EXPECT_STR(c->identity, "fallback");
    EXPECT_STR(c->name, "N");
    EXPECT_STR(c->kind, "agent");
    EXPECT_STR(c->kind_detail[0], "cloud_agent");
    EXPECT_EQ(c->attribute_n, 2);
    EXPECT_STR(c->attribute[1].key, "b");
    EXPECT_STR(c->attribute[1].value, "");
    EXPECT_STR(c->room_config, "{\"emptyTimeout\":5,\"tags\":{}}");
    EXPECT_STR(c->room_preset, "p");
    EXPECT_STR(c->sha256, "AA==");
    EXPECT_EQ(c->not_before_s, 1699999999);
    EXPECT(c->has_video && c->video.room_join && c->video.hidden && c->video.agent);
    EXPECT(!c->video.room_admin && !c->video.recorder);
    EXPECT_STR(c->video.room, "demo");
    EXPECT_EQ(c->video.source_n, 2);
    EXPECT_EQ(c->video.can_publish, TOKEN_FALSE);
    EXPECT_EQ(c->video.can_subscribe, TOKEN_UNSET);
    EXPECT(!token_may_publish(&c->video) && token_may_subscribe(&c->video));
    EXPECT(!token_may_publish_data(&c->video)); /* absent follows canPublish */
    arena_fini(&a);
}

TEST(minted_tokens_read_back)
{
    struct token_claims c = {.issuer = "k",
                             .identity = "me \"\\\xc3\xa9",
                             .name = "n",
                             .expires_s = NOW + TOKEN_TTL_S,
                             .not_before_s = NOW,
                             .has_video = true,
                             .sip_call = true,
                             .agent_admin = true,
                             .room_config = "{\"maxParticipants\":3}",
                             .attribute_n = 1,
                             .attribute = &(struct token_pair){"k", "v"},
                             .kind_detail_n = 1,
                             .kind_detail = {"forwarded"}};
    struct token_claims *back = NULL;
    struct arena a;
    struct str s;

    c.video = (struct token_video){.room_join = true,
                                   .room = "r",
                                   .can_publish_data = TOKEN_TRUE,
                                   .can_publish = TOKEN_FALSE,
                                   .source_n = 1,
                                   .source = {"screen_share"},
                                   .room_admin = true};
    str_init(&s, TOKEN_BYTES_MAX);
    EXPECT(token_mint(&s, &c, bytes_str(SECRET)));
    arena_init(&a, TOKEN_ARENA_BYTES);
    EXPECT_EQ(token_verify(str_bytes(&s), bytes_str(SECRET), NOW, &a, &back), 0);
    EXPECT_STR(back->identity, c.identity);
    EXPECT_STR(back->video.room, "r");
    EXPECT_STR(back->video.source[0], "screen_share");
    EXPECT_STR(back->attribute[0].value, "v");
    EXPECT_STR(back->room_config, c.room_config);
    EXPECT(back->sip_call && !back->sip_admin && back->agent_admin && back->video.room_admin);
    EXPECT(token_may_publish_data(&back->video) && !token_may_publish(&back->video));
    EXPECT_EQ(verify_at(str_bytes(&s), NOW + TOKEN_TTL_S + TOKEN_LEEWAY_S), 0);
    EXPECT_EQ(verify_at(str_bytes(&s), NOW + TOKEN_TTL_S + TOKEN_LEEWAY_S + 1), E_EXPIRED);
    EXPECT_EQ(verify_at(str_bytes(&s), NOW - TOKEN_LEEWAY_S), 0);
    EXPECT_EQ(verify_at(str_bytes(&s), NOW - TOKEN_LEEWAY_S - 1), E_STATE);
    arena_fini(&a);
    str_fini(&s);
    str_init(&s, 100);
    EXPECT(!token_mint(&s, &c, bytes_str(SECRET)));
    str_fini(&s);
}

TEST(tokens_unwind_when_memory_is_refused)
{
    struct token_claims *c;
    struct arena a;
    struct str s;

    sign(&s, HS256, WITH("\"name\":\"n\",\"roomConfig\":{},\"attributes\":{\"a\":\"b\"}"));
    int64_t live = mem_live();
    for (uint64_t nth = 1;; nth++) {
        arena_init(&a, TOKEN_ARENA_BYTES);
        mem_refuse_nth(nth);
        int err = token_verify(str_bytes(&s), bytes_str(SECRET), NOW, &a, &c);
        mem_refuse_nth(0);
        arena_fini(&a);
        EXPECT_EQ(mem_live(), live);
        if (err == 0)
            break;
        EXPECT(err == E_NOMEM || err == E_TOO_LARGE);
    }
    str_fini(&s);
}

TEST(refusals_have_the_words_of_the_contract)
{
    EXPECT_STR(token_refusal(E_MALFORMED), "invalid authorization token");
    EXPECT_STR(token_refusal(E_NOENT), "invalid API key");
    EXPECT(strncmp(token_refusal(E_EXPIRED), "invalid authorization token: ", 29) == 0);
}

/* The bytes as a token, and as the payload of a token that is signed. */
FUZZ(token, in)
{
    struct token_claims *c;
    struct arena a;
    uint8_t mac[32];
    struct str s;

    arena_init(&a, TOKEN_ARENA_BYTES);
    EXPECT(token_verify(in, bytes_str(SECRET), NOW, &a, &c) < 0);
    arena_fini(&a);
    str_init(&s, 1 << 20);
    add64(&s, HS256);
    str_add_char(&s, '.');
    str_add_base64(&s, in, true, false);
    hash_hmac_sha256(bytes_str(SECRET), str_bytes(&s), mac);
    str_add_char(&s, '.');
    str_add_base64(&s, bytes_of(mac, 32), true, false);
    arena_init(&a, TOKEN_ARENA_BYTES);
    if (token_verify(str_bytes(&s), bytes_str(SECRET), NOW, &a, &c) == 0)
        EXPECT(c->expires_s >= NOW - TOKEN_LEEWAY_S && c->identity != NULL);
    arena_fini(&a);
    str_fini(&s);
}
