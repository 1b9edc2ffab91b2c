/* crypt/seal.h - authenticated encryption of one packet.
 *
 * AES-GCM with 128 and 256 bit keys (SRTP, DTLS records) and the pieces of
 * AES128_CM_HMAC_SHA1_80.  Knows no packet format: crypt/srtp and crypt/dtls make
 * nonces and associated data, and their caller's duty that no nonce repeats
 * under one key is theirs.
 *
 * Sealing works out of place: the plaintext stays shared and the ciphertext is
 * written once, where it is sent from.  It also works exactly in place.
 *
 * The cipher comes from an engine that the owner opens once: libipsec-mb where
 * the processor has AES-NI, OpenSSL elsewhere.  An engine never changes after it
 * was opened, so all threads may share it; it must outlive its keys.  A NULL
 * engine means OpenSSL.  Keys are wiped by seal_key_fini.  Only opening,
 * preparing and promoting keys allocates.
 */
#ifndef CRYPT_SEAL_H
#define CRYPT_SEAL_H

#include "base/base.h"

enum {
    SEAL_TAG_BYTES = 16,   /* GCM */
    SEAL_IV_BYTES = 12,    /* GCM */
    SEAL_CM_IV_BYTES = 16, /* counter mode: salt ^ SSRC ^ index, low 16 bits zero */
    SEAL_AUTH_BYTES = 20,  /* HMAC-SHA1 key and full output */
    SEAL_KEY_BYTES_MAX = 32,
    SEAL_LEN_MAX = 1 << 16, /* of one packet */
};

enum seal_alg {
    SEAL_AES_128_GCM,
    SEAL_AES_256_GCM,
    SEAL_AES_128_CM, /* with HMAC-SHA1 */
};

enum seal_backend {
    SEAL_BEST, /* libipsec-mb when built in and the processor can, else OpenSSL */
    SEAL_EVP,
    SEAL_IPSEC, /* NULL from seal_engine_open when it cannot be had */
};

struct seal_engine;

/* NULL when refused. */
struct seal_engine *seal_engine_open(enum seal_backend want);
void seal_engine_free(struct seal_engine *e);
/* "ipsec-mb avx512", "openssl", ...: for the start-up line. */
const char *seal_engine_name(const struct seal_engine *e);

struct seal_key {
    const struct seal_engine *engine; /* NULL: OpenSSL */
    enum seal_alg alg;
    bool bare;   /* `state` is not prepared yet: each use does that for itself */
    void *state; /* the backend's prepared key, about 1 kB; NULL before init and after fini */
};

/* key: 16 or 32 bytes by alg.  auth_key: SEAL_AUTH_BYTES for SEAL_AES_128_CM, else
 * ignored.  E_NOMEM or E_LIBRARY; k can be passed to fini either way. */
MUST_CHECK int seal_key_init(struct seal_key *k, const struct seal_engine *e, enum seal_alg alg,
                             const uint8_t *key, const uint8_t *auth_key);
/* The same for a key that is used a few times a second: takes 32 bytes instead of a kilobyte where
 * the backend lets it, and a fraction of a microsecond more for each use. */
MUST_CHECK int seal_key_init_seldom(struct seal_key *k, const struct seal_engine *e,
                                    enum seal_alg alg, const uint8_t *key, const uint8_t *auth_key);
/* It is used often after all.  Without memory it stays as it is. */
void seal_key_promote(struct seal_key *k);
void seal_key_fini(struct seal_key *k);

/* The prepared key is on its way into the cache. */
void seal_prefetch(const struct seal_key *k);

/* GCM.  Writes in.len + SEAL_TAG_BYTES to out.  Hot: no allocation.  E_LIBRARY
 * only, and then out must not be sent. */
MUST_CHECK int seal_gcm(const struct seal_key *k, const uint8_t iv[SEAL_IV_BYTES], struct bytes aad,
                        struct bytes in, uint8_t *out);
/* in is ciphertext and tag; out gets in.len - SEAL_TAG_BYTES.  E_AUTH when the tag does
 * not match: out then holds garbage.  E_TRUNCATED when in is shorter than a tag. */
MUST_CHECK int seal_gcm_open(const struct seal_key *k, const uint8_t iv[SEAL_IV_BYTES],
                             struct bytes aad, struct bytes in, uint8_t *out);

/* Counter mode in either direction, in.len bytes to out. */
MUST_CHECK int seal_cm(const struct seal_key *k, const uint8_t iv[SEAL_CM_IV_BYTES],
                       struct bytes in, uint8_t *out);
/* HMAC-SHA1 over in and then tail (the roll-over counter; may be empty). */
void seal_cm_auth(const struct seal_key *k, struct bytes in, struct bytes tail,
                  uint8_t out[SEAL_AUTH_BYTES]);

/* The first len bytes (at most SEAL_KEY_BYTES_MAX) of AES counter mode under a key of 16 or
 * 32 bytes: SRTP's pseudo-random function (RFC 3711 s4.3.3).  Allocates; for key set-up. */
MUST_CHECK int seal_keystream(struct bytes key, const uint8_t iv[SEAL_CM_IV_BYTES], uint8_t *out,
                              size_t len);

#endif
