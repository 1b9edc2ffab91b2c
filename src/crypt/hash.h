/* crypt/hash.h - SHA-1, SHA-256 and their HMACs in one call.
 *
 * For STUN's MESSAGE-INTEGRITY, the WebSocket handshake, tokens, fingerprints
 * and webhook bodies.  Not for packets: crypt/seal keeps prepared keys.  Stateless,
 * any thread; OpenSSL allocates inside and a refusal there is an assert, since no
 * caller could go on.
 */
#ifndef CRYPT_HASH_H
#define CRYPT_HASH_H

#include "base/base.h"
#include "crypt/crypt.h" /* crypt_random, crypt_equal: who hashes needs them too */

enum {
    HASH_SHA1_BYTES = 20,
    HASH_SHA256_BYTES = 32,
    HASH_BYTES_MAX = 64,
};

enum hash_alg { HASH_SHA1, HASH_SHA256, HASH_SHA384, HASH_SHA512 };

void hash_sha1(struct bytes in, uint8_t out[HASH_SHA1_BYTES]);
void hash_sha256(struct bytes in, uint8_t out[HASH_SHA256_BYTES]);
/* Any of the four; returns the length of the digest. */
size_t hash_any(enum hash_alg alg, struct bytes in, uint8_t out[HASH_BYTES_MAX]);

void hash_hmac_sha1(struct bytes key, struct bytes in, uint8_t out[HASH_SHA1_BYTES]);
void hash_hmac_sha256(struct bytes key, struct bytes in, uint8_t out[HASH_SHA256_BYTES]);
void hash_hmac_sha512(struct bytes key, struct bytes in, uint8_t out[HASH_BYTES_MAX]);

/* Over the concatenation of n parts, so that STUN can patch its length field
 * without a copy of the message. */
void hash_hmac_sha1_parts(struct bytes key, const struct bytes *part, size_t n,
                          uint8_t out[HASH_SHA1_BYTES]);

/* "0a1b.." in lower case; out holds 2 * in.len + 1. */
void hash_hex(struct bytes in, char *out);

#endif
