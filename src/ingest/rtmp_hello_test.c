#include "ingest/rtmp_hello.h"

#include "base/test.h"
#include "crypt/hash.h"

/* A client's C1 with its digest, as Flash Player makes it. */
static size_t client_hello(uint8_t *c1, size_t base, struct rng *rng)
{
    uint8_t rest[RTMP_HELLO_BYTES - 32];

    rng_fill(rng, c1, RTMP_HELLO_BYTES);
    memcpy(c1 + 4, "\x09\x00\x7c\x02", 4);
    size_t at = (size_t)(c1[base] + c1[base + 1] + c1[base + 2] + c1[base + 3]) % 728 + base + 4;
    memcpy(rest, c1, at);
    memcpy(rest + at, c1 + at + 32, sizeof rest - at);
    hash_hmac_sha256(bytes_str("Genuine Adobe Flash Player 001"), bytes_of(rest, sizeof rest),
                     c1 + at);
    return at;
}

TEST(rtmp_hello_without_digest_is_echoed)
{
    static uint8_t c1[RTMP_HELLO_BYTES], out[RTMP_HELLO_ANSWER_BYTES];
    struct rng rng = rng_seed(1);

    rng_fill(&rng, c1 + 8, sizeof c1 - 8);
    EXPECT(!rtmp_hello_answer(c1, &rng, out));
    EXPECT_EQ(out[0], 3);
    EXPECT_BYTES(bytes_of(out + 1537, 1536), bytes_of(c1, 1536));
    c1[4] = 9; /* says it has a digest, and has none */
    EXPECT(!rtmp_hello_answer(c1, &rng, out));
    EXPECT_BYTES(bytes_of(out + 1537, 1536), bytes_of(c1, 1536));
}

TEST(rtmp_hello_with_digest_is_answered_in_its_layout)
{
    static uint8_t c1[RTMP_HELLO_BYTES], out[RTMP_HELLO_ANSWER_BYTES];
    struct rng rng = rng_seed(2);

    for (unsigned i = 0; i < 40; i++) {
        size_t base = i % 2 ? 8 : 772;
        uint8_t rest[RTMP_HELLO_BYTES - 32], want[32];
        (void)client_hello(c1, base, &rng); /* where it stands is not of interest here */
        EXPECT(rtmp_hello_answer(c1, &rng, out));
        const uint8_t *s1 = out + 1;
        size_t at =
            (size_t)(s1[base] + s1[base + 1] + s1[base + 2] + s1[base + 3]) % 728 + base + 4;
        memcpy(rest, s1, at);
        memcpy(rest + at, s1 + at + 32, sizeof rest - at);
        hash_hmac_sha256(bytes_str("Genuine Adobe Flash Media Server 001"),
                         bytes_of(rest, sizeof rest), want);
        EXPECT_BYTES(bytes_of(s1 + at, 32), bytes_of(want, 32));
        c1[1535] ^= 1; /* the last byte belongs to the digest's input, or is in it */
        EXPECT(!rtmp_hello_answer(c1, &rng, out));
    }
}
