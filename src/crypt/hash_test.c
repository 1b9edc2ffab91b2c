#include "crypt/hash.h"

#include "base/test.h"

TEST(sha_vectors_of_fips_180)
{
    uint8_t out[HASH_BYTES_MAX];

    hash_sha1(bytes_str("abc"), out);
    EXPECT_BYTES(bytes_of(out, 20), test_hex("a9993e364706816aba3e25717850c26c9cd0d89d"));
    hash_sha256(bytes_str("abc"), out);
    EXPECT_BYTES(bytes_of(out, 32),
                 test_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    EXPECT_EQ(hash_any(HASH_SHA384, bytes_str("abc"), out), 48);
    EXPECT_EQ(out[0], 0xcb);
    EXPECT_EQ(hash_any(HASH_SHA512, bytes_str("abc"), out), 64);
    EXPECT_EQ(out[0], 0xdd);
    hash_sha1(bytes_of(NULL, 0), out);
    EXPECT_BYTES(bytes_of(out, 20), test_hex("da39a3ee5e6b4b0d3255bfef95601890afd80709"));
}

TEST(hmac_vectors_of_rfc_2202_and_4231)
{
    uint8_t out[32], key[131];

    hash_hmac_sha1(bytes_str("Jefe"), bytes_str("what do ya want for nothing?"), out);
    EXPECT_BYTES(bytes_of(out, 20), test_hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    hash_hmac_sha256(bytes_str("Jefe"), bytes_str("what do ya want for nothing?"), out);
    EXPECT_BYTES(bytes_of(out, 32),
                 test_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    memset(key, 0xaa, sizeof key);
    hash_hmac_sha256(bytes_of(key, 131),
                     bytes_str("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    EXPECT_BYTES(bytes_of(out, 32),
                 test_hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
    hash_hmac_sha1(bytes_of(key, 80),
                   bytes_str("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    EXPECT_BYTES(bytes_of(out, 20), test_hex("aa4ae5e15272d00e95705637ce8a3b55ed402112"));
}

TEST(hmac_over_parts_equals_hmac_over_the_whole)
{
    const char *text = "what do ya want for nothing?";
    uint8_t whole[20], parts[20];

    hash_hmac_sha1(bytes_str("key"), bytes_str(text), whole);
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct bytes part[2] = {bytes_of(text, cut), bytes_str(text + cut)};
        hash_hmac_sha1_parts(bytes_str("key"), part, 2, parts);
        EXPECT(crypt_equal(whole, parts, 20));
    }
}

TEST(random_differs_and_comparison_sees_every_bit)
{
    uint8_t a[32], b[32];

    EXPECT_EQ(crypt_random(a, sizeof a), 0);
    EXPECT_EQ(crypt_random(b, sizeof b), 0);
    EXPECT(!crypt_equal(a, b, sizeof a));
    memcpy(b, a, sizeof b);
    EXPECT(crypt_equal(a, b, sizeof a));
    for (size_t bit = 0; bit < 256; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        EXPECT(!crypt_equal(a, b, sizeof a));
        b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

TEST(hex_is_lower_case)
{
    char out[9];

    hash_hex(test_hex("00ff1aB0"), out);
    EXPECT_STR(out, "00ff1ab0");
}

/* RFC 4231 s4.3 */
TEST(hmac_sha512_of_rfc_4231)
{
    uint8_t out[HASH_BYTES_MAX];

    hash_hmac_sha512(bytes_str("Jefe"), bytes_str("what do ya want for nothing?"), out);
    EXPECT_BYTES(
        bytes_of(out, sizeof out),
        test_hex("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c0"
                 "5a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"));
}
