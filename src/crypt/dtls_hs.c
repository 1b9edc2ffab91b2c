#include "crypt/dtls_hs.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/dtls_queue.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>

enum {
    MASTER_BYTES = 48,     /* RFC 5246 s8.1 */
    RANDOM_BYTES = 32,     /* RFC 5246 s7.4.1.2 */
    SALT_BYTES = 4,        /* RFC 5288 s3 */
    RECEIVED_ALERT = 1000, /* OpenSSL's reason codes for alerts start here */
    IP_UDP_BYTES = 28,
    CERT_DER_MAX = 1 << 14, /* chosen: WebRTC certificates have a few hundred bytes */
};

struct dtls_ctx {
    SSL_CTX *ssl;
    BIO_METHOD *bio;
};

struct dtls_hs {
    SSL *ssl;
    enum dtls_role role;
    struct bytes in; /* the record offered to OpenSSL during a step */
    struct dtls_queue out;
    uint32_t step_from; /* datagrams of `out` older than the last step */
    uint64_t tx_next;   /* one past the highest epoch-1 number written */
    int err;
    uint8_t alert;
};

/* ---- the BIO: one read is a record, one write a datagram ---- */

static int bio_read(BIO *b, char *out, int cap)
{
    struct dtls_hs *hs = BIO_get_data(b);
    size_t n = size_min(hs->in.len, (size_t)cap);

    BIO_clear_retry_flags(b);
    if (n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(out, hs->in.p, n);
    hs->in = (struct bytes){0};
    return (int)n;
}

/* Our record layer goes on counting where OpenSSL's ends. */
static void note_numbers(struct dtls_hs *hs, struct bytes datagram)
{
    struct rd r = rd_of(datagram);

    while (rd_left(&r) >= 13) {
        rd_skip(&r, 3);
        uint64_t number = rd_u64(&r), seq = number & 0xffffffffffff;
        if (number >> 48 == 1 && seq >= hs->tx_next)
            hs->tx_next = seq + 1;
        rd_skip(&r, rd_u16(&r));
    }
}

/* A datagram that finds no place is lost like any other: the flight is repeated. */
static int bio_write(BIO *b, const char *p, int len)
{
    struct dtls_hs *hs = BIO_get_data(b);
    struct bytes datagram = bytes_of(p, (size_t)len);

    BIO_clear_retry_flags(b);
    note_numbers(hs, datagram);
    if (hs->out.n == DTLS_OUT_MAX) {
        mem_free((void *)(uintptr_t)dtls_queue_pop(&hs->out).p);
        hs->step_from -= hs->step_from > 0;
    }
    (void)dtls_queue_push(&hs->out, datagram, DTLS_OUT_MAX); /* see above */
    return len;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b, (void)num, (void)ptr; /* what we answer depends on none of them */
    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return DTLS_MTU;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
        return IP_UDP_BYTES;
    default:
        return 0;
    }
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

/* ---- the context ---- */

/* Self-signed certificates mean their fingerprint and nothing else; dtls_verify() judges. */
static int accept_any(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg; /* not ours to judge */
    return 1;
}

static bool ctx_configure(SSL_CTX *c, const struct cert *cert)
{
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU |
                               SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(c, accept_any, NULL);
    SSL_CTX_set_max_cert_list(c, CERT_DER_MAX);
    /* Our record layer speaks AES-GCM only.  RSA is for the certificates of older peers. */
    return SSL_CTX_set_min_proto_version(c, DTLS1_2_VERSION) &&
           SSL_CTX_set_max_proto_version(c, DTLS1_2_VERSION) &&
           SSL_CTX_set_cipher_list(c, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                                      "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384") &&
           SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384") &&
           SSL_CTX_use_certificate(c, cert->x509) && SSL_CTX_use_PrivateKey(c, cert->pkey) &&
           SSL_CTX_set_tlsext_use_srtp(c, "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:"
                                          "SRTP_AES128_CM_SHA1_80") == 0; /* 0 is success here */
}

int dtls_hs_ctx_open(struct dtls_ctx **ret, const struct cert *cert)
{
    struct dtls_ctx *ctx = mem_zero(sizeof *ctx);

    if (ctx == NULL)
        return E_NOMEM;
    ctx->ssl = SSL_CTX_new(DTLS_method());
    ctx->bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sluice datagrams");
    if (ctx->ssl == NULL || ctx->bio == NULL || !ctx_configure(ctx->ssl, cert)) {
        dtls_hs_ctx_free(ctx);
        return E_LIBRARY;
    }
    BIO_meth_set_read(ctx->bio, bio_read);
    BIO_meth_set_write(ctx->bio, bio_write);
    BIO_meth_set_ctrl(ctx->bio, bio_ctrl);
    BIO_meth_set_create(ctx->bio, bio_create);
    *ret = ctx;
    return 0;
}

int dtls_hs_ctx_restrict(struct dtls_ctx *ctx, enum srtp_profile only)
{
    if (srtp_key_bytes(only) == 0)
        return E_UNSUPPORTED;
    /* 0 is success here */
    return SSL_CTX_set_tlsext_use_srtp(ctx->ssl, srtp_profile_text(only)) == 0 ? 0 : E_UNSUPPORTED;
}

void dtls_hs_ctx_free(struct dtls_ctx *ctx)
{
    if (ctx == NULL)
        return;
    SSL_CTX_free(ctx->ssl);
    BIO_meth_free(ctx->bio);
    mem_free(ctx);
}

/* ---- one handshake ---- */

/* OpenSSL asks for its next time-out: 0 means the first of a flight. */
static unsigned next_timeout(SSL *ssl, unsigned us)
{
    (void)ssl; /* the same for all */
    return us == 0 ? DTLS_RETRANSMIT_US : (unsigned)us_min(2 * (us_t)us, DTLS_RETRANSMIT_MAX_US);
}

int dtls_hs_open(struct dtls_hs **ret, struct dtls_ctx *ctx, enum dtls_role role)
{
    struct dtls_hs *hs = mem_zero(sizeof *hs);

    if (hs == NULL)
        return E_NOMEM;
    BIO *bio = BIO_new(ctx->bio);
    hs->ssl = SSL_new(ctx->ssl);
    if (bio == NULL || hs->ssl == NULL) {
        BIO_free(bio);
        dtls_hs_free(hs);
        return E_NOMEM;
    }
    BIO_set_data(bio, hs);
    SSL_set_bio(hs->ssl, bio, bio); /* takes it, both ways at once */
    SSL_set_mtu(hs->ssl, DTLS_MTU);
    DTLS_set_timer_cb(hs->ssl, next_timeout);
    hs->role = role;
    if (role == DTLS_CLIENT)
        SSL_set_connect_state(hs->ssl);
    else
        SSL_set_accept_state(hs->ssl);
    *ret = hs;
    return 0;
}

void dtls_hs_free(struct dtls_hs *hs)
{
    if (hs == NULL)
        return;
    SSL_free(hs->ssl);
    dtls_queue_fini(&hs->out);
    mem_free(hs);
}

static enum dtls_hs_step judge(struct dtls_hs *hs, int rc)
{
    if (rc == 1)
        return DTLS_HS_DONE;
    int why = SSL_get_error(hs->ssl, rc);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return DTLS_HS_RUNNING;
    int reason = ERR_GET_REASON(ERR_peek_error());
    bool alert = reason > RECEIVED_ALERT && reason < RECEIVED_ALERT + 256;
    hs->alert = alert ? (uint8_t)(reason - RECEIVED_ALERT) : 0;
    hs->err = alert ? E_AUTH : E_MISMATCH;
    ERR_clear_error();
    return DTLS_HS_FAILED;
}

enum dtls_hs_step dtls_hs_step(struct dtls_hs *hs, struct bytes record)
{
    hs->in = record;
    hs->step_from = hs->out.n;
    ERR_clear_error();
    int rc = SSL_do_handshake(hs->ssl);
    enum dtls_hs_step step = judge(hs, rc);
    hs->in = (struct bytes){0};
    return step;
}

enum dtls_hs_step dtls_hs_timeout(struct dtls_hs *hs)
{
    hs->step_from = hs->out.n;
    ERR_clear_error();
    int rc = (int)DTLSv1_handle_timeout(hs->ssl);
    if (rc >= 0)
        return DTLS_HS_RUNNING;
    hs->err = E_TIMEOUT;
    ERR_clear_error();
    return DTLS_HS_FAILED;
}

us_t dtls_hs_left(const struct dtls_hs *hs)
{
    struct timeval left;

    if (!DTLSv1_get_timeout(hs->ssl, &left))
        return US_NEVER;
    return left.tv_sec * US_PER_SEC + left.tv_usec;
}

struct dtls_queue *dtls_hs_out(struct dtls_hs *hs, uint32_t *from)
{
    *from = hs->step_from;
    return &hs->out;
}

int dtls_hs_error(const struct dtls_hs *hs, uint8_t *alert)
{
    *alert = hs->alert;
    return hs->err;
}

/* ---- reading out what outlives it ---- */

static int tls_prf(const char *md, struct bytes secret, struct bytes seed, uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *c = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    OSSL_PARAM p[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)md, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)(uintptr_t)secret.p,
                                          secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)(uintptr_t)seed.p, seed.len),
        OSSL_PARAM_construct_end(),
    };
    bool ok = c != NULL && EVP_KDF_derive(c, out, len, p) == 1;

    EVP_KDF_CTX_free(c);
    EVP_KDF_free(kdf);
    return ok ? 0 : E_LIBRARY;
}

/* RFC 5246 s6.3 with RFC 5288's lengths: client key, server key, client salt, server salt. */
static int record_keys(struct dtls_hs *hs, struct dtls_hs_result *out)
{
    static const char label[] = "key expansion";
    const SSL_CIPHER *cipher = SSL_get_current_cipher(hs->ssl);
    bool big = SSL_CIPHER_get_cipher_nid(cipher) == NID_aes_256_gcm;
    size_t key = big ? 32 : 16;
    uint8_t master[MASTER_BYTES], seed[sizeof label - 1 + 2 * RANDOM_BYTES];
    uint8_t block[2 * SEAL_KEY_BYTES_MAX + 2 * SALT_BYTES];
    struct wr w = wr_of(seed, sizeof seed);

    wr_str(&w, label);
    (void)SSL_get_server_random(hs->ssl, wr_room(&w, RANDOM_BYTES), RANDOM_BYTES); /* always 32 */
    (void)SSL_get_client_random(hs->ssl, wr_room(&w, RANDOM_BYTES), RANDOM_BYTES); /* likewise */
    size_t master_n = SSL_SESSION_get_master_key(SSL_get_session(hs->ssl), master, sizeof master);
    int err = tls_prf(big ? "SHA384" : "SHA256", bytes_of(master, master_n), wr_done(&w), block,
                      2 * key + 2 * SALT_BYTES);
    bool client = hs->role == DTLS_CLIENT;
    const uint8_t *salt = block + 2 * key;
    memcpy(out->tx_key, block + (client ? 0 : key), key);
    memcpy(out->rx_key, block + (client ? key : 0), key);
    memcpy(out->tx_salt, salt + (client ? 0 : SALT_BYTES), SALT_BYTES);
    memcpy(out->rx_salt, salt + (client ? SALT_BYTES : 0), SALT_BYTES);
    out->alg = big ? SEAL_AES_256_GCM : SEAL_AES_128_GCM;
    mem_wipe(master, sizeof master);
    mem_wipe(block, sizeof block);
    return err;
}

/* RFC 5764 s4.2: client key, server key, client salt, server salt. */
static int srtp_keys(struct dtls_hs *hs, struct dtls_srtp_keys *out)
{
    static const char label[] = "EXTRACTOR-dtls_srtp";
    const SRTP_PROTECTION_PROFILE *chosen = SSL_get_selected_srtp_profile(hs->ssl);
    uint8_t block[2 * (SRTP_KEY_BYTES_MAX + SRTP_SALT_BYTES_MAX)];

    if (chosen == NULL)
        return 0; /* data channels only */
    enum srtp_profile profile = (enum srtp_profile)chosen->id;
    size_t key = srtp_key_bytes(profile), salt = srtp_salt_bytes(profile);
    if (key == 0)
        return E_UNSUPPORTED;
    if (SSL_export_keying_material(hs->ssl, block, 2 * (key + salt), label, sizeof label - 1, NULL,
                                   0, 0) != 1)
        return E_LIBRARY;
    struct srtp_master *by_client = hs->role == DTLS_CLIENT ? &out->tx : &out->rx;
    struct srtp_master *by_server = hs->role == DTLS_CLIENT ? &out->rx : &out->tx;
    memcpy(by_client->key, block, key);
    memcpy(by_server->key, block + key, key);
    memcpy(by_client->salt, block + 2 * key, salt);
    memcpy(by_server->salt, block + 2 * key + salt, salt);
    out->profile = profile;
    mem_wipe(block, sizeof block);
    return 0;
}

static int peer_certificate(struct dtls_hs *hs, struct bytes *out)
{
    X509 *x = SSL_get1_peer_certificate(hs->ssl);
    uint8_t *der = NULL;
    int len = x == NULL ? 0 : i2d_X509(x, &der);
    int err = 0;

    if (len <= 0) {
        err = E_LIBRARY;
    } else {
        *out = bytes_of(mem_dup(der, (size_t)len), (size_t)len);
        err = out->p == NULL ? E_NOMEM : 0;
    }
    OPENSSL_free(der);
    X509_free(x);
    return err;
}

int dtls_hs_finish(struct dtls_hs *hs, struct dtls_hs_result *out)
{
    memset(out, 0, sizeof *out);
    out->tx_next = hs->tx_next;
    int err = record_keys(hs, out);
    if (err == 0)
        err = srtp_keys(hs, &out->srtp);
    if (err == 0)
        err = peer_certificate(hs, &out->peer_der);
    return err;
}
