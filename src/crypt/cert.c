#include "crypt/cert.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>

static const struct {
    const char *name; /* as RFC 8122 s5 registers it */
    uint8_t bytes;
} digests[] = {
    [HASH_SHA1] = {"sha-1", 20},
    [HASH_SHA256] = {"sha-256", 32},
    [HASH_SHA384] = {"sha-384", 48},
    [HASH_SHA512] = {"sha-512", 64},
};

static int fingerprint_of(struct cert *c)
{
    uint8_t *der = NULL;
    int len = i2d_X509(c->x509, &der);

    if (len <= 0)
        return E_LIBRARY;
    c->fingerprint.alg = HASH_SHA256;
    c->fingerprint.n = HASH_SHA256_BYTES;
    hash_sha256(bytes_of(der, (size_t)len), c->fingerprint.digest);
    OPENSSL_free(der);
    cert_fingerprint_text(&c->fingerprint, c->text);
    return 0;
}

/* The name says nothing about the host: RFC 8827 s5.5 asks for none. */
static bool fill(X509 *x, EVP_PKEY *key, int64_t unix_s, uint64_t serial)
{
    const uint8_t *name = (const uint8_t *)"WebRTC";
    X509_NAME *subject = X509_get_subject_name(x);
    int64_t day_s = 24 * 3600;

    return X509_set_version(x, X509_VERSION_3) && /* nonzero and positive: RFC 5280 s4.1.2.2 */
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1) &&
           ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(unix_s - day_s)) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(unix_s + CERT_VALID_DAYS * day_s)) !=
               NULL &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) &&
           X509_set_issuer_name(x, subject) && X509_set_pubkey(x, key) &&
           X509_sign(x, key, EVP_sha256()) > 0;
}

int cert_make(struct cert **ret, int64_t unix_s)
{
    struct cert *c = mem_zero(sizeof *c);
    uint64_t serial;
    int err;

    if (c == NULL)
        return E_NOMEM;
    c->x509 = X509_new();
    c->pkey = EVP_EC_gen("P-256");
    err = crypt_random(&serial, sizeof serial);
    if (err == 0 && (c->x509 == NULL || c->pkey == NULL || !fill(c->x509, c->pkey, unix_s, serial)))
        err = E_LIBRARY;
    if (err == 0)
        err = fingerprint_of(c);
    if (err) {
        cert_free(c);
        return err;
    }
    *ret = c;
    return 0;
}

void cert_free(struct cert *c)
{
    if (c == NULL)
        return;
    X509_free(c->x509);
    EVP_PKEY_free(c->pkey);
    mem_free(c);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "AA:BB:.." of exactly n bytes. */
static bool parse_hex(struct bytes text, uint8_t *out, size_t n)
{
    if (text.len != 3 * n - 1)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(text.p[3 * i]), lo = hex_digit(text.p[3 * i + 1]);
        if (hi < 0 || lo < 0 || (i + 1 < n && text.p[3 * i + 2] != ':'))
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

int cert_fingerprint_parse(struct cert_fingerprint *out, struct bytes text)
{
    const uint8_t *space = text.len > 0 ? memchr(text.p, ' ', text.len) : NULL;
    struct cert_fingerprint fp = {0};

    if (space == NULL)
        return E_MALFORMED;
    size_t name_len = (size_t)(space - text.p);
    struct bytes hex = bytes_of(space + 1, text.len - name_len - 1);
    for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
        if (!str_ieq(bytes_of(text.p, name_len), digests[i].name))
            continue;
        fp.alg = (enum hash_alg)i;
        fp.n = digests[i].bytes;
        if (!parse_hex(hex, fp.digest, fp.n))
            return E_MALFORMED;
        *out = fp;
        return 0;
    }
    return E_UNSUPPORTED;
}

void cert_fingerprint_text(const struct cert_fingerprint *fp, char out[CERT_TEXT_MAX])
{
    int at = snprintf(out, CERT_TEXT_MAX, "%s", digests[fp->alg].name);

    for (size_t i = 0; i < fp->n; i++)
        at += snprintf(out + at, CERT_TEXT_MAX - (size_t)at, "%c%02X", i == 0 ? ' ' : ':',
                       fp->digest[i]);
    assert(at < CERT_TEXT_MAX);
}

bool cert_fingerprint_matches(const struct cert_fingerprint *fp, struct bytes der)
{
    uint8_t digest[HASH_BYTES_MAX];

    if (fp->n == 0 || der.len == 0)
        return false;
    return hash_any(fp->alg, der, digest) == fp->n && crypt_equal(digest, fp->digest, fp->n);
}
