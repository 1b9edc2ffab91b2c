#include "crypt/tls.h"

#include "base/err.h"
#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tls_ctx {
    SSL_CTX *ssl;
    bool client;
};

static BIO *pem_of(struct bytes b)
{
    return BIO_new_mem_buf(b.p, (int)b.len);
}

static int ctx_new(struct tls_ctx **ret, bool client)
{
    struct tls_ctx *ctx = mem_zero(sizeof *ctx);

    if (ctx == NULL)
        return E_NOMEM;
    ctx->client = client;
    ctx->ssl = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());
    if (ctx->ssl == NULL || !SSL_CTX_set_min_proto_version(ctx->ssl, TLS1_2_VERSION)) {
        tls_ctx_free(ctx);
        return E_LIBRARY;
    }
    SSL_CTX_set_options(ctx->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                      SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx->ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_OFF);
    *ret = ctx;
    return 0;
}

static bool use_chain(SSL_CTX *c, struct bytes pem)
{
    BIO *b = pem_of(pem);
    X509 *x = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, NULL, NULL);
    bool ok = x != NULL && SSL_CTX_use_certificate(c, x);

    X509_free(x);
    for (int i = 1; ok && i < TLS_CHAIN_MAX; i++) {
        x = PEM_read_bio_X509(b, NULL, NULL, NULL);
        if (x == NULL)
            break;
        ok = SSL_CTX_add0_chain_cert(c, x) == 1; /* takes it when it says yes */
        if (!ok)
            X509_free(x);
    }
    BIO_free(b);
    return ok;
}

static int no_password(char *buf, int cap, int writing, void *arg)
{
    (void)buf, (void)cap, (void)writing,
        (void)arg; /* an encrypted key is refused, never asked for */
    return -1;
}

static bool use_key(SSL_CTX *c, struct bytes pem)
{
    BIO *b = pem_of(pem);
    EVP_PKEY *key = b == NULL ? NULL : PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(c, key) && SSL_CTX_check_private_key(c);

    EVP_PKEY_free(key);
    BIO_free(b);
    return ok;
}

int tls_ctx_open_server(struct tls_ctx **ret, struct bytes chain_pem, struct bytes key_pem)
{
    struct tls_ctx *ctx;
    int err = ctx_new(&ctx, false);

    if (err)
        return err;
    bool ok = use_chain(ctx->ssl, chain_pem) && use_key(ctx->ssl, key_pem);
    ERR_clear_error();
    if (!ok) {
        tls_ctx_free(ctx);
        return E_MALFORMED;
    }
    *ret = ctx;
    return 0;
}

int tls_ctx_open_client(struct tls_ctx **ret, struct bytes authorities_pem)
{
    struct tls_ctx *ctx;
    int err = ctx_new(&ctx, true), n = 0;

    if (err)
        return err;
    BIO *b = pem_of(authorities_pem);
    for (X509 *x; b != NULL && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL; X509_free(x))
        n += X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx->ssl), x);
    BIO_free(b);
    ERR_clear_error(); /* the end of the text reads as an error */
    if (n == 0) {
        tls_ctx_free(ctx);
        return E_MALFORMED;
    }
    SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
    *ret = ctx;
    return 0;
}

void tls_ctx_free(struct tls_ctx *ctx)
{
    if (ctx == NULL)
        return;
    SSL_CTX_free(ctx->ssl);
    mem_free(ctx);
}

/* RFC 6125 s6: the name the caller means, not the one the other side shows. */
static bool expect_host(SSL *ssl, const char *host, int64_t unix_s)
{
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

    if (host == NULL || host[0] == '\0')
        return false;
    X509_VERIFY_PARAM_set_time(p, (time_t)unix_s);
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(p, host)) /* no server name for addresses, RFC 6066 s3 */
        return true;
    ERR_clear_error();
    return X509_VERIFY_PARAM_set1_host(p, host, 0) && SSL_set_tlsext_host_name(ssl, host);
}

static void enter_closed(struct tls *t, int err, const char *reason)
{
    if (t->state == TLS_CLOSED)
        return;
    t->state = TLS_CLOSED;
    t->err = err;
    t->reason = reason != NULL ? reason : "";
}

/* What the last call of OpenSSL's means; false when the stream has ended. */
static bool judge(struct tls *t, int rc)
{
    int why = SSL_get_error(t->ssl, rc);
    long verify = SSL_get_verify_result(t->ssl);

    if (why == SSL_ERROR_NONE || why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return true;
    if (why == SSL_ERROR_ZERO_RETURN)
        enter_closed(t, E_CLOSED, "close_notify");
    else if (verify != X509_V_OK)
        enter_closed(t, E_AUTH, X509_verify_cert_error_string(verify));
    else
        enter_closed(t, E_MALFORMED, ERR_reason_error_string(ERR_peek_error()));
    ERR_clear_error();
    return false;
}

static void handshake(struct tls *t)
{
    if (t->state != TLS_HANDSHAKE)
        return;
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1)
        t->state = TLS_OPEN;
    else
        (void)judge(t, rc); /* sets the state */
}

int tls_init(struct tls *t, struct tls_ctx *ctx, const char *host, int64_t unix_s)
{
    *t = (struct tls){.reason = ""};
    SSL *ssl = SSL_new(ctx->ssl);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    if (ssl == NULL || in == NULL || out == NULL) {
        SSL_free(ssl);
        BIO_free(in);
        BIO_free(out);
        enter_closed(t, E_NOMEM, "");
        return E_NOMEM;
    }
    BIO_set_mem_eof_return(in, -1); /* empty means later, not the end */
    SSL_set_bio(ssl, in, out);      /* takes both */
    t->ssl = ssl;
    t->in = in;
    t->out = out;
    if (ctx->client && !expect_host(ssl, host, unix_s)) {
        enter_closed(t, E_INVAL, "no name to check");
        return E_INVAL;
    }
    if (ctx->client)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    handshake(t);
    return t->state == TLS_CLOSED ? t->err : 0;
}

void tls_fini(struct tls *t)
{
    SSL_free(t->ssl);
    *t = (struct tls){.state = TLS_CLOSED, .err = E_CLOSED, .reason = ""};
}

int tls_input(struct tls *t, struct bytes wire)
{
    if (t->state == TLS_CLOSED)
        return E_CLOSED;
    if (wire.len > TLS_PENDING_MAX - size_min(BIO_ctrl_pending(t->in), TLS_PENDING_MAX))
        return E_LIMIT;
    if (wire.len > 0 && BIO_write(t->in, wire.p, (int)wire.len) != (int)wire.len) {
        enter_closed(t, E_NOMEM, "");
        return E_CLOSED;
    }
    handshake(t);
    return 0;
}

int tls_read(struct tls *t, uint8_t *out, size_t cap, size_t *n)
{
    *n = 0;
    if (t->state == TLS_CLOSED)
        return E_CLOSED;
    if (t->state == TLS_HANDSHAKE || cap == 0)
        return 0;
    ERR_clear_error();
    int rc = SSL_read_ex(t->ssl, out, cap, n);
    return rc == 1 || judge(t, rc) ? 0 : E_CLOSED;
}

int tls_write(struct tls *t, struct bytes plain)
{
    size_t n = 0;

    if (t->state != TLS_OPEN)
        return t->state == TLS_CLOSED ? E_CLOSED : E_STATE;
    if (plain.len > TLS_PENDING_MAX - size_min(BIO_ctrl_pending(t->out), TLS_PENDING_MAX))
        return E_LIMIT;
    if (plain.len == 0)
        return 0;
    ERR_clear_error();
    int rc = SSL_write_ex(t->ssl, plain.p, plain.len, &n); /* a memory BIO takes everything */
    if (rc == 1 && n == plain.len)
        return 0;
    if (judge(t, rc))
        enter_closed(t, E_LIBRARY, "");
    return E_CLOSED;
}

bool tls_output(struct tls *t, struct wr *w)
{
    size_t n = t->out == NULL ? 0 : size_min(BIO_ctrl_pending(t->out), wr_left(w));

    if (n == 0)
        return false;
    return BIO_read(t->out, wr_room(w, n), (int)n) == (int)n;
}

void tls_close(struct tls *t)
{
    if (t->state == TLS_OPEN) {
        (void)SSL_shutdown(t->ssl); /* its half is queued; we do not wait for the other */
        ERR_clear_error();
    }
    enter_closed(t, E_CLOSED, "closed here");
}
