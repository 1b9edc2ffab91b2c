#include "crypt/seal_ipsec.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/crypt.h"

#ifdef HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>

static_assert(IMB_GCM_IV_DATA_LEN == SEAL_IV_BYTES, "the library's nonce is ours");

static const char *arch_name(IMB_ARCH arch)
{
    switch (arch) {
    case IMB_ARCH_AVX512:
        return "ipsec-mb avx512";
    case IMB_ARCH_AVX2:
        return "ipsec-mb avx2";
    case IMB_ARCH_AVX:
        return "ipsec-mb avx";
    default:
        return "ipsec-mb sse";
    }
}

void *seal_ipsec_open(const char **name)
{
    const uint64_t need = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
    IMB_ARCH arch = IMB_ARCH_NONE;
    IMB_MGR *mgr = alloc_mb_mgr(0);

    if (mgr == NULL)
        return NULL;
    /* Without AES-NI the library would emulate it, slower than OpenSSL and not in constant time. */
    if ((mgr->features & need) == need)
        init_mb_mgr_auto(mgr, &arch);
    if (arch == IMB_ARCH_NONE || arch == IMB_ARCH_NOAESNI || imb_get_errno(mgr) != 0) {
        free_mb_mgr(mgr);
        return NULL;
    }
    *name = arch_name(arch);
    return mgr;
}

void seal_ipsec_close(void *mgr)
{
    if (mgr != NULL)
        free_mb_mgr(mgr);
}

static void prepare(const IMB_MGR *m, enum seal_alg alg, const uint8_t *key,
                    struct gcm_key_data *out)
{
    if (alg == SEAL_AES_256_GCM)
        IMB_AES256_GCM_PRE(m, key, out);
    else
        IMB_AES128_GCM_PRE(m, key, out);
}

void *seal_ipsec_key_open(const void *mgr, enum seal_alg alg, const uint8_t *key)
{
    const IMB_MGR *m = mgr;
    void *state = mem_lines(sizeof(struct gcm_key_data));

    if (state == NULL)
        return NULL;
    prepare(m, alg, key, state);
    return state;
}

void seal_ipsec_key_free(void *state)
{
    if (state == NULL)
        return;
    mem_wipe(state, sizeof(struct gcm_key_data));
    mem_free(state);
}

void seal_ipsec_prefetch(const void *state)
{
    for (size_t at = 0; at < sizeof(struct gcm_key_data); at += MEM_LINE_BYTES)
        __builtin_prefetch((const uint8_t *)state + at);
}

static void encrypt(const struct seal_key *k, const IMB_MGR *m, const uint8_t *iv, struct bytes aad,
                    struct bytes in, uint8_t *out)
{
    const struct gcm_key_data *key = k->state;
    struct gcm_context_data ctx;
    uint8_t *tag = out + in.len;

    if (k->alg == SEAL_AES_256_GCM)
        IMB_AES256_GCM_ENC(m, key, &ctx, out, in.p, in.len, iv, aad.p, aad.len, tag,
                           SEAL_TAG_BYTES);
    else
        IMB_AES128_GCM_ENC(m, key, &ctx, out, in.p, in.len, iv, aad.p, aad.len, tag,
                           SEAL_TAG_BYTES);
}

static int decrypt(const struct seal_key *k, const IMB_MGR *m, const uint8_t *iv, struct bytes aad,
                   struct bytes in, uint8_t *out)
{
    const struct gcm_key_data *key = k->state;
    struct gcm_context_data ctx;
    size_t len = in.len - SEAL_TAG_BYTES;
    uint8_t tag[SEAL_TAG_BYTES];

    if (k->alg == SEAL_AES_256_GCM)
        IMB_AES256_GCM_DEC(m, key, &ctx, out, in.p, len, iv, aad.p, aad.len, tag, sizeof tag);
    else
        IMB_AES128_GCM_DEC(m, key, &ctx, out, in.p, len, iv, aad.p, aad.len, tag, sizeof tag);
    return crypt_equal(tag, in.p + len, sizeof tag) ? 0 : E_AUTH;
}

void seal_ipsec_gcm(const struct seal_key *k, const void *mgr, const uint8_t *iv, struct bytes aad,
                    struct bytes in, uint8_t *out)
{
    _Alignas(64) struct gcm_key_data own;
    struct seal_key once = {.alg = k->alg, .state = &own};

    if (!k->bare) {
        encrypt(k, mgr, iv, aad, in, out);
        return;
    }
    prepare(mgr, k->alg, k->state, &own);
    encrypt(&once, mgr, iv, aad, in, out);
    mem_wipe(&own, sizeof own);
}

int seal_ipsec_gcm_open(const struct seal_key *k, const void *mgr, const uint8_t *iv,
                        struct bytes aad, struct bytes in, uint8_t *out)
{
    _Alignas(64) struct gcm_key_data own;
    struct seal_key once = {.alg = k->alg, .state = &own};

    if (!k->bare)
        return decrypt(k, mgr, iv, aad, in, out);
    prepare(mgr, k->alg, k->state, &own);
    int err = decrypt(&once, mgr, iv, aad, in, out);
    mem_wipe(&own, sizeof own);
    return err;
}

#else

void *seal_ipsec_open(const char **name)
{
    (void)name; /* not built in */
    return NULL;
}

void seal_ipsec_close(void *mgr)
{
    assert(mgr == NULL);
    (void)mgr; /* only the assert reads it */
}

void *seal_ipsec_key_open(const void *mgr, enum seal_alg alg, const uint8_t *key)
{
    (void)mgr, (void)alg, (void)key; /* unreachable: there is no manager */
    return NULL;
}

void seal_ipsec_key_free(void *state)
{
    (void)state; /* as above */
}

void seal_ipsec_prefetch(const void *state)
{
    (void)state; /* as above */
}

void seal_ipsec_gcm(const struct seal_key *k, const void *mgr, const uint8_t *iv, struct bytes aad,
                    struct bytes in, uint8_t *out)
{
    (void)k, (void)mgr, (void)iv, (void)aad, (void)in, (void)out; /* as above */
    assert(false);
}

int seal_ipsec_gcm_open(const struct seal_key *k, const void *mgr, const uint8_t *iv,
                        struct bytes aad, struct bytes in, uint8_t *out)
{
    (void)k, (void)mgr, (void)iv, (void)aad, (void)in, (void)out; /* as above */
    return E_UNSUPPORTED;
}

#endif
