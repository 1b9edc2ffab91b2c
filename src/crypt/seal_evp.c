/* The low-level SHA-1 interface is the one that lets a prepared HMAC state be copied
 * without the heap (EVP_MD_CTX_copy allocates, EVP_MAC costs half a microsecond a call), so
 * this unit asks OpenSSL for the interface of 1.1. */
#define OPENSSL_API_COMPAT 0x10100000L

#include "crypt/seal_evp.h"

#include "base/err.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

struct evp_state {
    EVP_CIPHER_CTX *cipher;
    SHA_CTX inner, outer; /* HMAC after its first block, RFC 2104 s4 */
};

static const EVP_CIPHER *cipher_of(enum seal_alg alg)
{
    switch (alg) {
    case SEAL_AES_256_GCM:
        return EVP_aes_256_gcm();
    case SEAL_AES_128_CM:
        return EVP_aes_128_ctr();
    case SEAL_AES_128_GCM:
        break;
    }
    return EVP_aes_128_gcm();
}

static void hmac_prepare(struct evp_state *s, const uint8_t *key)
{
    uint8_t pad[SHA_CBLOCK];

    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < SEAL_AUTH_BYTES; i++)
        pad[i] ^= key[i];
    (void)SHA1_Init(&s->inner); /* the software digest cannot fail */
    (void)SHA1_Update(&s->inner, pad, sizeof pad);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    (void)SHA1_Init(&s->outer); /* likewise */
    (void)SHA1_Update(&s->outer, pad, sizeof pad);
    mem_wipe(pad, sizeof pad);
}

void *seal_evp_open(enum seal_alg alg, const uint8_t *key, const uint8_t *auth_key)
{
    struct evp_state *s = mem_zero(sizeof *s);

    if (s == NULL)
        return NULL;
    s->cipher = EVP_CIPHER_CTX_new();
    if (s->cipher == NULL ||
        EVP_CipherInit_ex(s->cipher, cipher_of(alg), NULL, key, NULL, 1) != 1) {
        seal_evp_free(s);
        return NULL;
    }
    if (alg == SEAL_AES_128_CM)
        hmac_prepare(s, auth_key);
    return s;
}

void seal_evp_free(void *state)
{
    struct evp_state *s = state;

    if (s == NULL)
        return;
    EVP_CIPHER_CTX_free(s->cipher); /* wipes */
    mem_wipe(s, sizeof *s);
    mem_free(s);
}

/* OpenSSL reads NULL output as "this is associated data", so an empty input needs no call. */
static bool gcm_run(EVP_CIPHER_CTX *c, struct bytes aad, struct bytes in, uint8_t *out)
{
    int n = 0;

    if (aad.len > 0 && EVP_CipherUpdate(c, NULL, &n, aad.p, (int)aad.len) != 1)
        return false;
    return in.len == 0 || EVP_CipherUpdate(c, out, &n, in.p, (int)in.len) == 1;
}

int seal_evp_gcm(void *state, const uint8_t *iv, struct bytes aad, struct bytes in, uint8_t *out)
{
    EVP_CIPHER_CTX *c = ((struct evp_state *)state)->cipher;
    int n = 0;

    if (EVP_CipherInit_ex(c, NULL, NULL, NULL, iv, 1) != 1 || !gcm_run(c, aad, in, out) ||
        EVP_CipherFinal_ex(c, out + in.len, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, out + in.len) != 1)
        return E_LIBRARY;
    return 0;
}

int seal_evp_gcm_open(void *state, const uint8_t *iv, struct bytes aad, struct bytes in,
                      uint8_t *out)
{
    EVP_CIPHER_CTX *c = ((struct evp_state *)state)->cipher;
    size_t len = in.len - SEAL_TAG_BYTES;
    uint8_t tag[SEAL_TAG_BYTES], none[16];
    int n = 0;

    memcpy(tag, in.p + len, sizeof tag);
    if (EVP_CipherInit_ex(c, NULL, NULL, NULL, iv, 0) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, tag) != 1 ||
        !gcm_run(c, aad, bytes_of(in.p, len), out))
        return E_LIBRARY;
    return EVP_CipherFinal_ex(c, none, &n) == 1 ? 0 : E_AUTH;
}

int seal_evp_cm(void *state, const uint8_t *iv, struct bytes in, uint8_t *out)
{
    EVP_CIPHER_CTX *c = ((struct evp_state *)state)->cipher;
    int n = 0;

    if (EVP_CipherInit_ex(c, NULL, NULL, NULL, iv, 1) != 1)
        return E_LIBRARY;
    return in.len == 0 || EVP_CipherUpdate(c, out, &n, in.p, (int)in.len) == 1 ? 0 : E_LIBRARY;
}

void seal_evp_cm_auth(const void *state, struct bytes in, struct bytes tail, uint8_t *out)
{
    const struct evp_state *s = state;
    SHA_CTX c = s->inner;
    uint8_t digest[SHA_DIGEST_LENGTH];

    (void)SHA1_Update(&c, in.p, in.len); /* the software digest cannot fail */
    (void)SHA1_Update(&c, tail.p, tail.len);
    (void)SHA1_Final(digest, &c);
    c = s->outer;
    (void)SHA1_Update(&c, digest, sizeof digest); /* likewise */
    (void)SHA1_Final(out, &c);
}

int seal_evp_keystream(struct bytes key, const uint8_t *iv, struct bytes zeros, uint8_t *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *alg = key.len == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr();
    int n = 0;

    bool ok = c != NULL && EVP_CipherInit_ex(c, alg, NULL, key.p, iv, 1) == 1 &&
              EVP_CipherUpdate(c, out, &n, zeros.p, (int)zeros.len) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok ? 0 : E_LIBRARY;
}
