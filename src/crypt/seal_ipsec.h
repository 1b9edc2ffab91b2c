/* crypt/seal_ipsec.h - libipsec-mb's half of crypt/seal; nobody else includes it.
 *
 * AES-GCM by the library's direct calls, which touch nothing of the manager but its
 * table of functions: that is why one engine serves all threads.  Built without the
 * library, seal_ipsec_open() says NULL.
 */
#ifndef CRYPT_SEAL_IPSEC_H
#define CRYPT_SEAL_IPSEC_H

#include "crypt/seal.h"

/* The library's manager; NULL without AES-NI and PCLMUL. */
void *seal_ipsec_open(const char **name);
void seal_ipsec_close(void *mgr);

void *seal_ipsec_key_open(const void *mgr, enum seal_alg alg, const uint8_t *key);
void seal_ipsec_key_free(void *state);
void seal_ipsec_prefetch(const void *state);
void seal_ipsec_gcm(const struct seal_key *k, const void *mgr, const uint8_t *iv, struct bytes aad,
                    struct bytes in, uint8_t *out);
int seal_ipsec_gcm_open(const struct seal_key *k, const void *mgr, const uint8_t *iv,
                        struct bytes aad, struct bytes in, uint8_t *out);

#endif
