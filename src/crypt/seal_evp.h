/* crypt/seal_evp.h - OpenSSL's half of crypt/seal; nobody else includes it.
 *
 * The contracts are those of crypt/seal.h.  State is about 1.5 kB of OpenSSL's heap.
 */
#ifndef CRYPT_SEAL_EVP_H
#define CRYPT_SEAL_EVP_H

#include "crypt/seal.h"

/* NULL when refused. */
void *seal_evp_open(enum seal_alg alg, const uint8_t *key, const uint8_t *auth_key);
void seal_evp_free(void *state);

int seal_evp_gcm(void *state, const uint8_t *iv, struct bytes aad, struct bytes in, uint8_t *out);
int seal_evp_gcm_open(void *state, const uint8_t *iv, struct bytes aad, struct bytes in,
                      uint8_t *out);
int seal_evp_cm(void *state, const uint8_t *iv, struct bytes in, uint8_t *out);
void seal_evp_cm_auth(const void *state, struct bytes in, struct bytes tail, uint8_t *out);
int seal_evp_keystream(struct bytes key, const uint8_t *iv, struct bytes zeros, uint8_t *out);

#endif
