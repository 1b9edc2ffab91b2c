#include "crypt/tls.h"

#include "base/err.h"
#include "base/test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { NOW = 1700000000, DAY = 86400 };

/* A self-signed certificate for "media.example" and 192.0.2.1, which is its own authority. */
struct identity {
    BIO *cert, *key;
};

static struct bytes pem(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);

    return bytes_of(p, (size_t)n);
}

static void identity_make(struct identity *id)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_EXTENSION *san =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:media.example,IP:192.0.2.1");

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), 7);
    ASN1_TIME_set(X509_getm_notBefore(x), NOW - DAY);
    ASN1_TIME_set(X509_getm_notAfter(x), NOW + DAY);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const uint8_t *)"media", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_add_ext(x, san, -1);
    EXPECT(X509_sign(x, key, EVP_sha256()) > 0);
    id->cert = BIO_new(BIO_s_mem());
    id->key = BIO_new(BIO_s_mem());
    EXPECT(PEM_write_bio_X509(id->cert, x));
    EXPECT(PEM_write_bio_PrivateKey(id->key, key, NULL, NULL, 0, NULL, NULL));
    X509_EXTENSION_free(san);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void identity_free(struct identity *id)
{
    BIO_free(id->cert);
    BIO_free(id->key);
}

/* Moves bytes until both are quiet; pieces of at most `piece`. */
static void pump(struct tls *a, struct tls *b, size_t piece)
{
    uint8_t buf[16384];

    for (bool any = true; any;) {
        struct tls *end[2] = {a, b};
        any = false;
        for (int i = 0; i < 2; i++) {
            struct wr w = wr_of(buf, size_min(piece, sizeof buf));
            if (!tls_output(end[i], &w))
                continue;
            any = true;
            if (end[!i]->state != TLS_CLOSED)
                EXPECT_EQ(tls_input(end[!i], wr_done(&w)), 0);
        }
    }
}

struct both {
    struct identity id;
    struct tls_ctx *server_ctx, *client_ctx;
    struct tls server, client;
};

static void both_init(struct both *s, const char *host, int64_t client_now, size_t piece)
{
    identity_make(&s->id);
    EXPECT_EQ(tls_ctx_open_server(&s->server_ctx, pem(s->id.cert), pem(s->id.key)), 0);
    EXPECT_EQ(tls_ctx_open_client(&s->client_ctx, pem(s->id.cert)), 0);
    EXPECT_EQ(tls_init(&s->server, s->server_ctx, NULL, 0), 0);
    EXPECT_EQ(tls_init(&s->client, s->client_ctx, host, client_now), 0);
    pump(&s->client, &s->server, piece);
}

static void both_fini(struct both *s)
{
    tls_fini(&s->server);
    tls_fini(&s->client);
    tls_ctx_free(s->server_ctx);
    tls_ctx_free(s->client_ctx);
    identity_free(&s->id);
}

TEST(tls_streams_carry_bytes_both_ways_in_any_pieces)
{
    static const size_t piece[] = {1, 7, 1000, 16384};
    static uint8_t text[100000], back[100000];
    struct rng rng = rng_seed(1);

    rng_fill(&rng, text, sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(piece); i++) {
        struct both s;
        size_t got = 0, n = 1;
        both_init(&s, "media.example", NOW, piece[i]);
        EXPECT(s.server.state == TLS_OPEN && s.client.state == TLS_OPEN);
        EXPECT_EQ(tls_write(&s.client, bytes_of(text, sizeof text)), 0);
        pump(&s.client, &s.server, piece[i]);
        while (n > 0) {
            EXPECT_EQ(tls_read(&s.server, back + got, sizeof back - got, &n), 0);
            got += n;
        }
        EXPECT_BYTES(bytes_of(back, got), bytes_of(text, sizeof text));
        EXPECT_EQ(tls_write(&s.server, bytes_str("fine")), 0);
        tls_close(&s.server);
        pump(&s.client, &s.server, piece[i]);
        EXPECT_EQ(tls_read(&s.client, back, 10, &n), 0);
        EXPECT_BYTES(bytes_of(back, n), bytes_str("fine"));
        EXPECT_EQ(tls_read(&s.client, back, 10, &n), E_CLOSED);
        EXPECT_EQ(s.client.err, E_CLOSED);
        both_fini(&s);
    }
}

TEST(tls_clients_check_name_dates_and_authority)
{
    static const struct {
        const char *host;
        int64_t now;
        bool ok;
    } row[] = {{"media.example", NOW, true},
               {"192.0.2.1", NOW, true},
               {"MEDIA.example", NOW, true},
               {"other.example", NOW, false},
               {"192.0.2.2", NOW, false},
               {"x.media.example", NOW, false},
               {"media.example", NOW + 2 * DAY, false},
               {"media.example", NOW - 2 * DAY, false}};

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct both s;
        both_init(&s, row[i].host, row[i].now, 16384);
        EXPECT_EQ(s.client.state, row[i].ok ? TLS_OPEN : TLS_CLOSED);
        EXPECT(row[i].ok || (s.client.err == E_AUTH && s.client.reason[0] != '\0'));
        EXPECT(row[i].ok || s.server.state == TLS_CLOSED || s.server.state == TLS_OPEN);
        both_fini(&s);
    }
}

TEST(tls_unknown_authority_and_missing_name_are_refused)
{
    struct identity other;
    struct both s;
    struct tls_ctx *ctx = NULL;
    struct tls t;

    identity_make(&other);
    both_init(&s, "media.example", NOW, 16384);
    EXPECT_EQ(tls_ctx_open_client(&ctx, pem(other.cert)), 0);
    EXPECT_EQ(tls_init(&t, ctx, "media.example", NOW), 0);
    tls_fini(&s.server);
    EXPECT_EQ(tls_init(&s.server, s.server_ctx, NULL, 0), 0);
    pump(&t, &s.server, 16384);
    EXPECT_EQ(t.state, TLS_CLOSED);
    EXPECT_EQ(t.err, E_AUTH);
    tls_fini(&t);
    EXPECT_EQ(tls_init(&t, ctx, "", NOW), E_INVAL);
    tls_fini(&t);
    tls_ctx_free(ctx);
    EXPECT_EQ(tls_ctx_open_client(&ctx, bytes_str("no certificate")), E_MALFORMED);
    EXPECT_EQ(tls_ctx_open_server(&ctx, pem(other.cert), pem(s.id.key)), E_MALFORMED);
    EXPECT_EQ(tls_ctx_open_server(&ctx, pem(other.cert), bytes_str("x")), E_MALFORMED);
    both_fini(&s);
    identity_free(&other);
}

TEST(tls_queues_are_bounded_and_garbage_ends_the_stream)
{
    static uint8_t big[TLS_PENDING_MAX];
    struct both s;
    size_t n;

    both_init(&s, "media.example", NOW, 16384);
    EXPECT_EQ(tls_write(&s.client, bytes_of(big, sizeof big)), 0);
    EXPECT_EQ(tls_write(&s.client, bytes_of(big, 1)), E_LIMIT);
    EXPECT_EQ(tls_input(&s.server, bytes_of(big, sizeof big)), 0);
    EXPECT_EQ(tls_input(&s.server, bytes_of(big, 1)), E_LIMIT);
    EXPECT_EQ(tls_read(&s.server, big, 10, &n), E_CLOSED); /* zeros are no record */
    EXPECT_EQ(s.server.err, E_MALFORMED);
    EXPECT_EQ(tls_input(&s.server, bytes_of(big, 1)), E_CLOSED);
    tls_fini(&s.server);
    EXPECT_EQ(tls_init(&s.server, s.server_ctx, NULL, 0), 0);
    EXPECT_EQ(tls_write(&s.server, bytes_of(big, 1)), E_STATE);
    EXPECT_EQ(tls_input(&s.server, bytes_str("GET / HTTP/1.1\r\n\r\n")), 0);
    EXPECT_EQ(s.server.state, TLS_CLOSED);
    both_fini(&s);
}
