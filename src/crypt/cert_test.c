#include "crypt/cert.h"

#include "base/err.h"
#include "base/test.h"

#include <openssl/x509.h>

TEST(certificate_carries_its_own_fingerprint)
{
    struct cert *c = NULL, *other = NULL;
    struct cert_fingerprint fp;
    uint8_t *der = NULL;

    EXPECT_EQ(cert_make(&c, 1700000000), 0);
    EXPECT_EQ(cert_make(&other, 1700000000), 0);
    EXPECT_EQ(strlen(c->text), 7 + 1 + 95);
    EXPECT_EQ(cert_fingerprint_parse(&fp, bytes_str(c->text)), 0);
    EXPECT_BYTES(bytes_of(fp.digest, fp.n), bytes_of(c->fingerprint.digest, 32));
    int len = i2d_X509(c->x509, &der);
    EXPECT(len > 0);
    EXPECT(cert_fingerprint_matches(&fp, bytes_of(der, (size_t)len)));
    EXPECT(!cert_fingerprint_matches(&other->fingerprint, bytes_of(der, (size_t)len)));
    der[len - 1] ^= 1;
    EXPECT(!cert_fingerprint_matches(&fp, bytes_of(der, (size_t)len)));
    EXPECT(X509_verify(c->x509, c->pkey) == 1);
    OPENSSL_free(der);
    cert_free(c);
    cert_free(other);
}

TEST(fingerprints_of_every_digest_read_and_write)
{
    struct bytes der = bytes_str("not really a certificate");
    uint8_t digest[HASH_BYTES_MAX];

    for (int alg = HASH_SHA1; alg <= HASH_SHA512; alg++) {
        struct cert_fingerprint fp = {.alg = (enum hash_alg)alg}, back;
        char text[CERT_TEXT_MAX];
        fp.n = (uint8_t)hash_any(fp.alg, der, digest);
        memcpy(fp.digest, digest, fp.n);
        cert_fingerprint_text(&fp, text);
        EXPECT_EQ(cert_fingerprint_parse(&back, bytes_str(text)), 0);
        EXPECT_EQ(back.alg, alg);
        EXPECT(cert_fingerprint_matches(&back, der));
    }
}

TEST(bad_fingerprints_are_refused)
{
    static const struct {
        const char *text;
        int err;
    } bad[] = {
        {"", E_MALFORMED},
        {"sha-1", E_MALFORMED},
        {"sha-1 ", E_MALFORMED},
        {"md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF", E_UNSUPPORTED},
        {"sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22", E_MALFORMED},
        {"sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44", E_MALFORMED},
        {"sha-1 00-11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33", E_MALFORMED},
        {"sha-1 0G:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33", E_MALFORMED},
        {"sha-1  00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33", E_MALFORMED},
        {"sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33 ", E_MALFORMED},
    };
    struct cert_fingerprint fp = {0};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        EXPECT_EQ(cert_fingerprint_parse(&fp, bytes_str(bad[i].text)), bad[i].err);
    EXPECT(!cert_fingerprint_matches(&fp, bytes_str("x")));
    EXPECT_EQ(
        cert_fingerprint_parse(
            &fp, bytes_str("SHA-1 00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33")),
        0);
}
