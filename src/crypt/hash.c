#include "crypt/hash.h"

#include "base/mem.h"

#include <openssl/evp.h>

/* RFC 2104: both digests have blocks of 64 bytes. */
enum { BLOCK_BYTES_MAX = 128 };

static const EVP_MD *md_of(enum hash_alg alg)
{
    switch (alg) {
    case HASH_SHA1:
        return EVP_sha1();
    case HASH_SHA384:
        return EVP_sha384();
    case HASH_SHA512:
        return EVP_sha512();
    case HASH_SHA256:
        break;
    }
    return EVP_sha256();
}

size_t hash_any(enum hash_alg alg, struct bytes in, uint8_t out[HASH_BYTES_MAX])
{
    unsigned n = 0;
    int ok = EVP_Digest(in.p, in.len, out, &n, md_of(alg), NULL);

    assert(ok == 1);
    (void)ok; /* only the assert reads it */
    return n;
}

void hash_sha1(struct bytes in, uint8_t out[HASH_SHA1_BYTES])
{
    uint8_t full[HASH_BYTES_MAX];

    (void)hash_any(HASH_SHA1, in, full); /* the length is known */
    memcpy(out, full, HASH_SHA1_BYTES);
}

void hash_sha256(struct bytes in, uint8_t out[HASH_SHA256_BYTES])
{
    uint8_t full[HASH_BYTES_MAX];

    (void)hash_any(HASH_SHA256, in, full); /* the length is known */
    memcpy(out, full, HASH_SHA256_BYTES);
}

/* FIPS 180-4: the block of the two long ones is 1024 bits. */
static size_t block_bytes(enum hash_alg alg)
{
    return alg == HASH_SHA384 || alg == HASH_SHA512 ? BLOCK_BYTES_MAX : BLOCK_BYTES_MAX / 2;
}

static void digest_pass(EVP_MD_CTX *c, enum hash_alg alg, const uint8_t pad[BLOCK_BYTES_MAX],
                        const struct bytes *part, size_t n)
{
    int ok = EVP_DigestInit_ex(c, md_of(alg), NULL) && EVP_DigestUpdate(c, pad, block_bytes(alg));

    for (size_t i = 0; i < n; i++)
        ok = ok && EVP_DigestUpdate(c, part[i].p, part[i].len);
    assert(ok);
    (void)ok; /* only the assert reads it */
}

/* RFC 2104 s2: H(key ^ opad, H(key ^ ipad, text)). */
static void hmac(enum hash_alg alg, struct bytes key, const struct bytes *part, size_t n,
                 uint8_t out[HASH_BYTES_MAX])
{
    uint8_t inner[BLOCK_BYTES_MAX], outer[BLOCK_BYTES_MAX], digest[HASH_BYTES_MAX] = {0};
    struct bytes middle = {.p = digest};
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    unsigned len = 0;

    assert(c != NULL);
    if (key.len > block_bytes(alg))
        key = bytes_of(digest, hash_any(alg, key, digest));
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < key.len; i++) {
        inner[i] ^= key.p[i];
        outer[i] ^= key.p[i];
    }
    digest_pass(c, alg, inner, part, n);
    (void)EVP_DigestFinal_ex(c, digest, &len); /* fails only for extendable digests */
    middle.len = len;
    digest_pass(c, alg, outer, &middle, 1);
    (void)EVP_DigestFinal_ex(c, out, &len); /* as above */
    EVP_MD_CTX_free(c);
    mem_wipe(inner, sizeof inner);
    mem_wipe(outer, sizeof outer);
    mem_wipe(digest, sizeof digest);
}

void hash_hmac_sha1_parts(struct bytes key, const struct bytes *part, size_t n,
                          uint8_t out[HASH_SHA1_BYTES])
{
    uint8_t full[HASH_BYTES_MAX];

    hmac(HASH_SHA1, key, part, n, full);
    memcpy(out, full, HASH_SHA1_BYTES);
}

void hash_hmac_sha1(struct bytes key, struct bytes in, uint8_t out[HASH_SHA1_BYTES])
{
    hash_hmac_sha1_parts(key, &in, 1, out);
}

void hash_hmac_sha256(struct bytes key, struct bytes in, uint8_t out[HASH_SHA256_BYTES])
{
    uint8_t full[HASH_BYTES_MAX];

    hmac(HASH_SHA256, key, &in, 1, full);
    memcpy(out, full, HASH_SHA256_BYTES);
}

void hash_hmac_sha512(struct bytes key, struct bytes in, uint8_t out[HASH_BYTES_MAX])
{
    hmac(HASH_SHA512, key, &in, 1, out);
}

void hash_hex(struct bytes in, char *out)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < in.len; i++) {
        out[2 * i] = digit[in.p[i] >> 4];
        out[2 * i + 1] = digit[in.p[i] & 15];
    }
    out[2 * in.len] = '\0';
}
