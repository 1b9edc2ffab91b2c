#include "crypt/seal.h"

#include "base/err.h"
#include "base/test.h"

static struct seal_engine *engine_at(int i)
{
    return i == 0 ? NULL : seal_engine_open(i == 1 ? SEAL_EVP : SEAL_BEST);
}

/* RFC 7714 s16.1.1 and s16.2.1, below the packet format. */
TEST(gcm_vectors_of_rfc_7714_on_every_engine)
{
    struct bytes key = test_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    struct bytes iv = test_hex("51753c6580c2726f20718414"),
                 aad = test_hex("8040f17b8041f8d35501a0b2");
    struct bytes text = bytes_str("Gallia est omnis divisa in partes tres");
    struct bytes want[2] = {
        test_hex("f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
                 "899d7f27beb16a9152cf765ee4390cce"),
        test_hex("32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
                 "7aa3db36dfffd6b0f9bb7878d7a76c13")};

    for (int e = 0; e < 3; e++) {
        struct seal_engine *engine = engine_at(e);
        for (int alg = SEAL_AES_128_GCM; alg <= SEAL_AES_256_GCM; alg++) {
            struct seal_key k;
            uint8_t out[64], back[64];
            EXPECT_EQ(seal_key_init(&k, engine, (enum seal_alg)alg, key.p, NULL), 0);
            EXPECT_EQ(seal_gcm(&k, iv.p, aad, text, out), 0);
            EXPECT_BYTES(bytes_of(out, text.len + 16), want[alg]);
            EXPECT_EQ(seal_gcm_open(&k, iv.p, aad, bytes_of(out, text.len + 16), back), 0);
            EXPECT_BYTES(bytes_of(back, text.len), text);
            out[3] ^= 1;
            EXPECT_EQ(seal_gcm_open(&k, iv.p, aad, bytes_of(out, text.len + 16), back), E_AUTH);
            EXPECT_EQ(seal_gcm_open(&k, iv.p, aad, bytes_of(out, 15), back), E_TRUNCATED);
            seal_key_fini(&k);
        }
        seal_engine_free(engine);
    }
}

TEST(engines_agree_on_every_length_and_in_place)
{
    struct seal_engine *best = seal_engine_open(SEAL_BEST);
    struct rng rng = rng_seed(1);
    uint8_t key[32], iv[12], text[1500], a[1516], b[1516];
    struct seal_key evp, other;

    for (size_t len = 0; len < 1500; len += len < 70 ? 1 : 13) {
        enum seal_alg alg = len % 2 ? SEAL_AES_128_GCM : SEAL_AES_256_GCM;
        struct bytes aad = bytes_of(text, len % 40);
        rng_fill(&rng, key, sizeof key);
        rng_fill(&rng, iv, sizeof iv);
        rng_fill(&rng, text, sizeof text);
        EXPECT_EQ(seal_key_init(&evp, NULL, alg, key, NULL), 0);
        EXPECT_EQ(seal_key_init(&other, best, alg, key, NULL), 0);
        EXPECT_EQ(seal_gcm(&evp, iv, aad, bytes_of(text, len), a), 0);
        EXPECT_EQ(seal_gcm(&other, iv, aad, bytes_of(text, len), b), 0);
        EXPECT_BYTES(bytes_of(a, len + 16), bytes_of(b, len + 16));
        memcpy(b, text, len);
        EXPECT_EQ(seal_gcm(&other, iv, aad, bytes_of(b, len), b), 0);
        EXPECT_BYTES(bytes_of(a, len + 16), bytes_of(b, len + 16));
        EXPECT_EQ(seal_gcm_open(&other, iv, aad, bytes_of(b, len + 16), b), 0);
        EXPECT_BYTES(bytes_of(b, len), bytes_of(text, len));
        EXPECT_EQ(seal_gcm_open(&evp, iv, aad, bytes_of(a, len + 16), a), 0);
        seal_key_fini(&evp);
        seal_key_fini(&other);
    }
    seal_engine_free(best);
}

/* RFC 3711 B.2. */
TEST(counter_mode_vector_of_rfc_3711)
{
    struct bytes key = test_hex("2b7e151628aed2a6abf7158809cf4f3c");
    struct bytes iv = test_hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000");
    uint8_t zeros[32] = {0}, out[32], auth[20] = {0};
    struct seal_key k;

    EXPECT_EQ(seal_key_init(&k, NULL, SEAL_AES_128_CM, key.p, auth), 0);
    EXPECT_EQ(seal_cm(&k, iv.p, bytes_of(zeros, 32), out), 0);
    EXPECT_BYTES(bytes_of(out, 32),
                 test_hex("e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab"));
    EXPECT_EQ(seal_keystream(key, iv.p, out, 16), 0);
    EXPECT_BYTES(bytes_of(out, 16), test_hex("e03ead0935c95e80e166b16dd92b4eb4"));
    seal_key_fini(&k);
}

/* RFC 2202 case 3, whose key has SRTP's 20 bytes. */
TEST(prepared_hmac_equals_rfc_2202)
{
    uint8_t key[20], data[50], out[20];
    struct seal_key k;

    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    EXPECT_EQ(seal_key_init(&k, NULL, SEAL_AES_128_CM, key, key), 0);
    for (size_t cut = 0; cut <= 50; cut += 10) {
        seal_cm_auth(&k, bytes_of(data, cut), bytes_of(data + cut, 50 - cut), out);
        EXPECT_BYTES(bytes_of(out, 20), test_hex("125d7342b9ac11cd91a39af48aa17b4f63f175d3"));
    }
    seal_key_fini(&k);
}

TEST(keys_unwind_when_memory_is_refused)
{
    struct seal_engine *best = seal_engine_open(SEAL_BEST);
    uint8_t key[32] = {0};
    struct seal_key k;
    int64_t live = mem_live();

    mem_refuse_nth(1);
    EXPECT_EQ(seal_key_init(&k, best, SEAL_AES_128_GCM, key, NULL), E_NOMEM);
    seal_key_fini(&k);
    mem_refuse_nth(1);
    EXPECT(seal_engine_open(SEAL_EVP) == NULL);
    mem_refuse_nth(0);
    EXPECT_EQ(mem_live(), live);
    seal_engine_free(best);
}

TEST(a_key_used_seldom_says_the_same_before_and_after_its_promotion)
{
    struct bytes key = test_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    struct bytes text = bytes_str("Gallia est omnis divisa in partes tres"), aad = bytes_str("aad");
    uint8_t iv[SEAL_IV_BYTES] = {7}, auth[SEAL_AUTH_BYTES] = {9}, want[64], got[64], back[64];

    for (int e = 0; e < 3; e++) {
        struct seal_engine *engine = engine_at(e);
        for (int alg = SEAL_AES_128_GCM; alg <= SEAL_AES_256_GCM; alg++) {
            struct seal_key often, seldom;
            EXPECT_EQ(seal_key_init(&often, engine, (enum seal_alg)alg, key.p, NULL), 0);
            EXPECT_EQ(seal_key_init_seldom(&seldom, engine, (enum seal_alg)alg, key.p, NULL), 0);
            EXPECT_EQ(seal_gcm(&often, iv, aad, text, want), 0);
            for (int round = 0; round < 3; round++) {
                EXPECT_EQ(seal_gcm(&seldom, iv, aad, text, got), 0);
                EXPECT_BYTES(bytes_of(got, text.len + 16), bytes_of(want, text.len + 16));
                EXPECT_EQ(seal_gcm_open(&seldom, iv, aad, bytes_of(got, text.len + 16), back), 0);
                EXPECT_BYTES(bytes_of(back, text.len), text);
                got[1] ^= 1;
                EXPECT_EQ(seal_gcm_open(&seldom, iv, aad, bytes_of(got, text.len + 16), back),
                          E_AUTH);
                mem_refuse_nth(round == 0 ? 1 : 0); /* refused: it stays as it is */
                seal_key_promote(&seldom);
                mem_refuse_nth(0);
            }
            seal_prefetch(&seldom);
            seal_key_fini(&seldom);
            seal_key_fini(&often);
        }
        struct seal_key cm;
        EXPECT_EQ(seal_key_init_seldom(&cm, engine, SEAL_AES_128_CM, key.p, auth), 0);
        seal_key_promote(&cm);
        seal_key_fini(&cm);
        seal_engine_free(engine);
    }
}
