/* crypt/cert.h - the certificate we show, and fingerprints of those we are shown.
 *
 * WebRTC certificates are self-signed and mean nothing but their fingerprint, which
 * travels in SDP (RFC 8122).  One ECDSA P-256 certificate is made at start and used
 * for every transport.  A struct cert does not change after it was made: any thread.
 * The private key lives in memory only.
 */
#ifndef CRYPT_CERT_H
#define CRYPT_CERT_H

#include "base/base.h"
#include "crypt/hash.h"

enum {
    CERT_TEXT_MAX = 256,   /* "sha-512 " and 64 * 3 characters */
    CERT_VALID_DAYS = 365, /* chosen: longer than a process lives; nobody checks it */
};

struct cert_fingerprint {
    enum hash_alg alg;
    uint8_t n; /* bytes used; 0 means none */
    uint8_t digest[HASH_BYTES_MAX];
};

struct cert {
    void *x509; /* OpenSSL's X509 and EVP_PKEY; for crypt/dtls and crypt/tls alone */
    void *pkey;
    struct cert_fingerprint fingerprint; /* SHA-256 */
    char text[CERT_TEXT_MAX];            /* "sha-256 AA:BB:..", as SDP's a=fingerprint has it */
};

/* unix_s: now, for the validity dates.  E_NOMEM, E_LIBRARY. */
MUST_CHECK int cert_make(struct cert **ret, int64_t unix_s);
void cert_free(struct cert *c);

/* "sha-256 AA:BB:.." (algorithm in any case, either case of hex, RFC 8122 s5).  E_UNSUPPORTED
 * for digests other than SHA-1, -256, -384, -512; E_MALFORMED when the length is not the
 * digest's or anything else is off. */
MUST_CHECK int cert_fingerprint_parse(struct cert_fingerprint *out, struct bytes text);
void cert_fingerprint_text(const struct cert_fingerprint *fp, char out[CERT_TEXT_MAX]);
/* Constant time in the digest. */
MUST_CHECK bool cert_fingerprint_matches(const struct cert_fingerprint *fp, struct bytes der);

#endif
