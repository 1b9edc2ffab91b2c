#include "crypt/seal.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/seal_evp.h"
#include "crypt/seal_ipsec.h"

struct seal_engine {
    void *ipsec; /* libipsec-mb's manager, or NULL: OpenSSL */
    const char *name;
};

struct seal_engine *seal_engine_open(enum seal_backend want)
{
    struct seal_engine *e = mem_zero(sizeof *e);

    if (e == NULL)
        return NULL;
    e->name = "openssl";
    if (want != SEAL_EVP)
        e->ipsec = seal_ipsec_open(&e->name);
    if (want == SEAL_IPSEC && e->ipsec == NULL) {
        mem_free(e);
        return NULL;
    }
    return e;
}

void seal_engine_free(struct seal_engine *e)
{
    if (e == NULL)
        return;
    seal_ipsec_close(e->ipsec);
    mem_free(e);
}

const char *seal_engine_name(const struct seal_engine *e)
{
    return e == NULL ? "openssl" : e->name;
}

/* Counter mode with HMAC is OpenSSL's in any case: libipsec-mb has it in its job
 * interface only, whose manager belongs to one thread. */
static bool on_ipsec(const struct seal_key *k)
{
    return k->engine != NULL && k->engine->ipsec != NULL && k->alg != SEAL_AES_128_CM;
}

int seal_key_init(struct seal_key *k, const struct seal_engine *e, enum seal_alg alg,
                  const uint8_t *key, const uint8_t *auth_key)
{
    assert(alg != SEAL_AES_128_CM || auth_key != NULL);
    *k = (struct seal_key){.engine = e, .alg = alg};
    if (on_ipsec(k))
        k->state = seal_ipsec_key_open(e->ipsec, alg, key);
    else
        k->state = seal_evp_open(alg, key, auth_key);
    return k->state == NULL ? E_NOMEM : 0;
}

int seal_key_init_seldom(struct seal_key *k, const struct seal_engine *e, enum seal_alg alg,
                         const uint8_t *key, const uint8_t *auth_key)
{
    *k = (struct seal_key){.engine = e, .alg = alg, .bare = true};
    if (!on_ipsec(k))
        return seal_key_init(k, e, alg, key, auth_key);
    k->state = mem_zero(SEAL_KEY_BYTES_MAX);
    if (k->state == NULL)
        return E_NOMEM;
    memcpy(k->state, key, alg == SEAL_AES_256_GCM ? 32 : 16);
    return 0;
}

static void bare_free(uint8_t *state)
{
    mem_wipe(state, SEAL_KEY_BYTES_MAX);
    mem_free(state);
}

void seal_key_promote(struct seal_key *k)
{
    if (!k->bare || k->state == NULL)
        return;
    void *prepared = seal_ipsec_key_open(k->engine->ipsec, k->alg, k->state);
    if (prepared == NULL)
        return;
    bare_free(k->state);
    k->state = prepared;
    k->bare = false;
}

void seal_key_fini(struct seal_key *k)
{
    if (k->state == NULL)
        return;
    if (k->bare)
        bare_free(k->state);
    else if (on_ipsec(k))
        seal_ipsec_key_free(k->state);
    else
        seal_evp_free(k->state);
    k->state = NULL;
}

void seal_prefetch(const struct seal_key *k)
{
    if (on_ipsec(k) && !k->bare)
        seal_ipsec_prefetch(k->state);
}

int seal_gcm(const struct seal_key *k, const uint8_t iv[SEAL_IV_BYTES], struct bytes aad,
             struct bytes in, uint8_t *out)
{
    assert(k->state != NULL && k->alg != SEAL_AES_128_CM && in.len <= SEAL_LEN_MAX);
    if (!on_ipsec(k))
        return seal_evp_gcm(k->state, iv, aad, in, out);
    seal_ipsec_gcm(k, k->engine->ipsec, iv, aad, in, out);
    return 0;
}

int seal_gcm_open(const struct seal_key *k, const uint8_t iv[SEAL_IV_BYTES], struct bytes aad,
                  struct bytes in, uint8_t *out)
{
    assert(k->state != NULL && k->alg != SEAL_AES_128_CM);
    if (in.len < SEAL_TAG_BYTES)
        return E_TRUNCATED;
    if (in.len > SEAL_LEN_MAX)
        return E_TOO_LARGE;
    if (!on_ipsec(k))
        return seal_evp_gcm_open(k->state, iv, aad, in, out);
    return seal_ipsec_gcm_open(k, k->engine->ipsec, iv, aad, in, out);
}

int seal_cm(const struct seal_key *k, const uint8_t iv[SEAL_CM_IV_BYTES], struct bytes in,
            uint8_t *out)
{
    assert(k->state != NULL && k->alg == SEAL_AES_128_CM && in.len <= SEAL_LEN_MAX);
    return seal_evp_cm(k->state, iv, in, out);
}

void seal_cm_auth(const struct seal_key *k, struct bytes in, struct bytes tail,
                  uint8_t out[SEAL_AUTH_BYTES])
{
    assert(k->state != NULL && k->alg == SEAL_AES_128_CM);
    seal_evp_cm_auth(k->state, in, tail, out);
}

int seal_keystream(struct bytes key, const uint8_t iv[SEAL_CM_IV_BYTES], uint8_t *out, size_t len)
{
    static const uint8_t zeros[SEAL_KEY_BYTES_MAX];

    assert((key.len == 16 || key.len == 32) && len <= sizeof zeros);
    return seal_evp_keystream(key, iv, bytes_of(zeros, len), out);
}
