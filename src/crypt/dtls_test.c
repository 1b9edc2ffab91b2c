#include "crypt/dtls.h"

#include "base/err.h"
#include "base/test.h"

#include <openssl/ssl.h>
#include <sys/time.h>

/* OpenSSL's handshake timer reads this clock; defined here it runs on the tests' time, as
 * the simulation does it. */
static us_t clock_now;

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone; /* nobody asks for one */
    tv->tv_sec = 1700000000 + clock_now / US_PER_SEC;
    tv->tv_usec = clock_now % US_PER_SEC;
    return 0;
}

enum { WIRE_MAX = 256, DATAGRAM_MAX = 2048 };

struct packet {
    us_t at;
    int to;
    size_t len;
    uint8_t data[DATAGRAM_MAX];
};

/* Two machines and a bad network between them. */
struct world {
    struct cert *cert[2];
    struct dtls_ctx *ctx[2];
    struct dtls d[2]; /* 0 client, 1 server */
    struct packet wire[WIRE_MAX];
    uint32_t wire_n;
    struct rng rng;
    us_t now;
    unsigned loss_pct, dup_pct, spoil_pct;
    us_t jitter_us;
    bool connected[2], closed[2];
    int err[2];
    char got[2][4096];
    uint32_t got_n[2], sent_n[2];
    size_t longest;
    uint16_t
        shift; /* added to the numbers of the client's epoch-0 records, which are in the clear */
};

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->rng = rng_seed(seed);
    clock_now = 0;
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(cert_make(&w->cert[i], 1700000000), 0);
        EXPECT_EQ(dtls_ctx_open(&w->ctx[i], w->cert[i]), 0);
    }
}

static void world_start(struct world *w)
{
    EXPECT_EQ(dtls_init(&w->d[0], w->ctx[0], DTLS_CLIENT, NULL, w->now), 0);
    EXPECT_EQ(dtls_init(&w->d[1], w->ctx[1], DTLS_SERVER, NULL, w->now), 0);
}

static void world_fini(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        dtls_fini(&w->d[i]);
        dtls_ctx_free(w->ctx[i]);
        cert_free(w->cert[i]);
    }
}

static void carry(struct world *w, int to, struct bytes b)
{
    if (rng_below(&w->rng, 100) < w->loss_pct || w->wire_n == WIRE_MAX)
        return;
    struct packet *p = &w->wire[w->wire_n++];
    EXPECT(b.len <= DATAGRAM_MAX);
    p->at = w->now + 10 * US_PER_MS + (us_t)rng_below(&w->rng, (uint64_t)w->jitter_us + 1);
    p->to = to;
    p->len = b.len;
    memcpy(p->data, b.p, b.len);
    for (uint8_t *q = p->data; to == 1 && q < p->data + b.len; q += 13 + load_u16(q + 11)) {
        if (load_u16(q + 3) == 0)
            store_u16(q + 9, (uint16_t)(load_u16(q + 9) + w->shift));
    }
    if (rng_below(&w->rng, 100) < w->spoil_pct)
        p->data[rng_below(&w->rng, p->len)] ^= (uint8_t)(1u << rng_below(&w->rng, 8));
    if (rng_below(&w->rng, 100) < w->dup_pct && w->wire_n < WIRE_MAX) {
        w->wire[w->wire_n] = *p;
        w->wire[w->wire_n++].at += (us_t)rng_below(&w->rng, 200000);
    }
}

static void drain(struct world *w, int i)
{
    struct dtls_event ev;
    uint8_t buf[DATAGRAM_MAX];
    struct wr out = wr_of(buf, sizeof buf);

    while (dtls_event(&w->d[i], &ev)) {
        if (ev.type == DTLS_EVENT_CONNECTED)
            w->connected[i] = true;
        if (ev.type == DTLS_EVENT_CLOSED) {
            w->closed[i] = true;
            w->err[i] = ev.err;
        }
        if (ev.type == DTLS_EVENT_APP_DATA && w->got_n[i] + ev.data.len < sizeof w->got[i]) {
            memcpy(w->got[i] + w->got_n[i], ev.data.p, ev.data.len);
            w->got_n[i] += (uint32_t)ev.data.len;
        }
    }
    while (dtls_output(&w->d[i], &out)) {
        w->longest = w->longest > wr_len(&out) ? w->longest : wr_len(&out);
        w->sent_n[i]++;
        carry(w, !i, wr_done(&out));
        out = wr_of(buf, sizeof buf);
    }
}

static bool step(struct world *w, us_t until)
{
    us_t at = us_min(dtls_deadline(&w->d[0]), dtls_deadline(&w->d[1]));
    uint32_t first = WIRE_MAX;

    for (uint32_t i = 0; i < w->wire_n; i++) {
        if (w->wire[i].at <= at) {
            at = w->wire[i].at;
            first = i;
        }
    }
    if (at > until)
        return false;
    w->now = clock_now = us_max(w->now, at);
    if (first < WIRE_MAX) {
        struct packet p = w->wire[first];
        w->wire[first] = w->wire[--w->wire_n];
        (void)dtls_input(&w->d[p.to], p.data, p.len, w->now); /* drops are part of it */
        drain(w, p.to);
        return true;
    }
    for (int i = 0; i < 2; i++) {
        dtls_tick(&w->d[i], w->now);
        drain(w, i);
    }
    return true;
}

static void run(struct world *w, us_t until)
{
    drain(w, 0);
    drain(w, 1);
    while (step(w, until)) {
    }
    w->now = clock_now = us_max(w->now, until);
}

static void send_text(struct world *w, int from, const char *text)
{
    uint8_t buf[DATAGRAM_MAX];
    struct wr out = wr_of(buf, sizeof buf);

    EXPECT_EQ(dtls_send(&w->d[from], bytes_str(text), &out), 0);
    EXPECT_EQ(wr_len(&out), strlen(text) + DTLS_RECORD_OVERHEAD);
    carry(w, !from, wr_done(&out));
}

static void verify_both(struct world *w)
{
    EXPECT_EQ(dtls_verify(&w->d[0], &w->cert[1]->fingerprint), 0);
    EXPECT_EQ(dtls_verify(&w->d[1], &w->cert[0]->fingerprint), 0);
}

static void expect_same_keys(struct world *w)
{
    struct dtls_srtp_keys a, b;

    EXPECT_EQ(dtls_srtp_keys(&w->d[0], &a), 0);
    EXPECT_EQ(dtls_srtp_keys(&w->d[1], &b), 0);
    EXPECT_EQ(a.profile, SRTP_PROFILE_GCM_128);
    EXPECT_EQ(b.profile, SRTP_PROFILE_GCM_128);
    EXPECT(memcmp(&a.tx, &b.rx, sizeof a.tx) == 0);
    EXPECT(memcmp(&a.rx, &b.tx, sizeof a.rx) == 0);
    EXPECT(memcmp(&a.rx, &a.tx, sizeof a.rx) != 0);
}

TEST(a_client_that_takes_one_profile_only_gets_it)
{
    static struct world w;
    struct dtls_srtp_keys keys;

    world_init(&w, 1);
    EXPECT_EQ(dtls_ctx_restrict(w.ctx[0], SRTP_PROFILE_NONE), E_UNSUPPORTED);
    EXPECT_EQ(dtls_ctx_restrict(w.ctx[0], SRTP_PROFILE_CM_SHA1_80), 0);
    world_start(&w);
    run(&w, US_PER_SEC);
    verify_both(&w);
    EXPECT_EQ(dtls_srtp_keys(&w.d[1], &keys), 0);
    EXPECT_EQ(keys.profile, SRTP_PROFILE_CM_SHA1_80);
    world_fini(&w);
}

TEST(two_machines_connect_talk_and_close)
{
    static struct world w;
    int64_t live = mem_live();

    world_init(&w, 1);
    world_start(&w);
    run(&w, US_PER_SEC);
    EXPECT(w.connected[0] && w.connected[1]);
    EXPECT(w.longest <= DTLS_MTU);
    EXPECT(w.d[0].hs == NULL && w.d[1].hs == NULL); /* OpenSSL's object is gone */
    EXPECT_EQ(dtls_deadline(&w.d[0]), US_NEVER);
    struct dtls_srtp_keys keys;
    EXPECT_EQ(dtls_srtp_keys(&w.d[0], &keys), E_STATE);
    verify_both(&w);
    expect_same_keys(&w);
    send_text(&w, 0, "ping");
    send_text(&w, 1, "pong");
    run(&w, 2 * US_PER_SEC);
    EXPECT_STR(w.got[1], "ping");
    EXPECT_STR(w.got[0], "pong");
    EXPECT(w.d[1].proven && w.d[1].last.n == 0);
    dtls_close(&w.d[0]);
    run(&w, 3 * US_PER_SEC);
    EXPECT(w.closed[0] && w.closed[1]);
    EXPECT_EQ(w.err[1], E_CLOSED);
    world_fini(&w);
    EXPECT_EQ(mem_live(), live);
}

TEST(handshakes_survive_loss_doubling_and_disorder)
{
    static struct world w;

    for (uint64_t seed = 0; seed < 60; seed++) {
        world_init(&w, seed);
        w.loss_pct = (unsigned)(seed % 4) * 10;
        w.dup_pct = 20;
        w.jitter_us = (us_t)(seed % 3) * 60 * US_PER_MS;
        world_start(&w);
        run(&w, 59 * US_PER_SEC);
        EXPECT(w.connected[0] && w.connected[1]);
        verify_both(&w);
        expect_same_keys(&w);
        w.loss_pct = w.dup_pct = 0;
        send_text(&w, 0, "a");
        send_text(&w, 1, "b");
        run(&w, 61 * US_PER_SEC);
        EXPECT_STR(w.got[1], "a");
        EXPECT_STR(w.got[0], "b");
        EXPECT(!w.closed[0] && !w.closed[1]);
        world_fini(&w);
    }
}

/* A spoilt handshake may fail, but whoever ends up connected agrees with the other side. */
TEST(spoilt_handshakes_fail_or_agree)
{
    static struct world w;
    int64_t live = mem_live();
    int connected = 0;

    for (uint64_t seed = 100; seed < 160; seed++) {
        world_init(&w, seed);
        w.spoil_pct = 15;
        w.loss_pct = 5;
        world_start(&w);
        run(&w, 61 * US_PER_SEC);
        EXPECT(w.connected[0] == w.connected[1] || w.closed[0] || w.closed[1]);
        if (w.d[0].state == DTLS_CONNECTED && w.d[1].state == DTLS_CONNECTED) {
            verify_both(&w);
            expect_same_keys(&w);
            connected++;
        }
        world_fini(&w);
        EXPECT_EQ(mem_live(), live);
    }
    EXPECT(connected > 0 && connected < 60);
}

TEST(lost_last_flight_is_repeated_without_openssl)
{
    static struct world w;

    world_init(&w, 3);
    world_start(&w);
    drain(&w, 0);
    while (!w.connected[1])
        EXPECT(step(&w, US_PER_SEC));
    EXPECT(w.d[1].hs == NULL && !w.d[1].proven);
    w.wire_n = 0; /* its last flight never arrives */
    uint32_t sent = w.sent_n[1];
    run(&w, 80 * US_PER_MS + w.now);
    EXPECT(!w.connected[0]);
    run(&w, US_PER_SEC);
    EXPECT(w.connected[0]); /* the client repeated, the server answered from its copy */
    EXPECT(w.sent_n[1] > sent);
    verify_both(&w);
    expect_same_keys(&w);
    send_text(&w, 0, "x");
    run(&w, 2 * US_PER_SEC);
    EXPECT_STR(w.got[1], "x");
    world_fini(&w);
}

TEST(retransmission_starts_at_100_ms_and_doubles)
{
    static struct world w;
    us_t expect = 0, gap = DTLS_RETRANSMIT_US;

    world_init(&w, 4);
    world_start(&w);
    w.loss_pct = 100;
    drain(&w, 0);
    for (int i = 0; i < 9; i++) {
        uint32_t sent = w.sent_n[0];
        expect += gap;
        gap = us_min(2 * gap, DTLS_RETRANSMIT_MAX_US);
        EXPECT_EQ(dtls_deadline(&w.d[0]), expect);
        EXPECT(step(&w, expect));
        EXPECT(w.sent_n[0] > sent);
    }
    run(&w, DTLS_HANDSHAKE_US - 1);
    EXPECT(!w.closed[0]);
    run(&w, DTLS_HANDSHAKE_US);
    EXPECT(w.closed[0] && w.closed[1]);
    EXPECT_EQ(w.err[0], E_TIMEOUT);
    EXPECT_EQ(dtls_deadline(&w.d[0]), US_NEVER);
    world_fini(&w);
}

TEST(wrong_fingerprint_closes_and_tells_the_other_side)
{
    static struct world w;

    world_init(&w, 5);
    world_start(&w);
    EXPECT_EQ(dtls_verify(&w.d[1], &w.cert[0]->fingerprint), E_STATE);
    run(&w, US_PER_SEC);
    EXPECT_EQ(dtls_verify(&w.d[0], &w.cert[1]->fingerprint), 0);
    EXPECT_EQ(dtls_verify(&w.d[1], &w.cert[1]->fingerprint), E_MISMATCH);
    struct dtls_srtp_keys keys;
    EXPECT_EQ(dtls_srtp_keys(&w.d[1], &keys), E_STATE);
    run(&w, 2 * US_PER_SEC);
    EXPECT(w.closed[1] && w.closed[0]);
    EXPECT_EQ(w.err[1], E_MISMATCH);
    EXPECT_EQ(w.err[0], E_AUTH);
    EXPECT_EQ(w.d[0].alert, 42);
    world_fini(&w);
}

TEST(data_before_verification_is_held_and_bounded)
{
    static struct world w;
    uint8_t buf[64];
    struct wr out = wr_of(buf, sizeof buf);

    world_init(&w, 6);
    world_start(&w);
    run(&w, US_PER_SEC);
    EXPECT_EQ(dtls_verify(&w.d[0], &w.cert[1]->fingerprint), 0);
    EXPECT_EQ(dtls_send(&w.d[1], bytes_str("no"), &out), E_STATE);
    for (int i = 0; i < DTLS_HELD_MAX + 3; i++) {
        send_text(&w, 0, "h");
        run(&w, w.now + 20 * US_PER_MS);
    }
    EXPECT_EQ(w.got_n[1], 0);
    EXPECT_EQ(dtls_verify(&w.d[1], &w.cert[0]->fingerprint), 0);
    drain(&w, 1);
    EXPECT_EQ(w.got_n[1], DTLS_HELD_MAX);
    send_text(&w, 0, "i");
    run(&w, w.now + US_PER_SEC);
    EXPECT_EQ(w.got_n[1], DTLS_HELD_MAX + 1);
    world_fini(&w);
}

TEST(records_are_opened_once_and_forgeries_change_nothing)
{
    static struct world w;
    uint8_t rec[100][64], copy[64];
    size_t len = 0;

    world_init(&w, 7);
    world_start(&w);
    run(&w, US_PER_SEC);
    verify_both(&w);
    for (int i = 0; i < 100; i++) {
        struct wr out = wr_of(rec[i], sizeof rec[i]);
        EXPECT_EQ(dtls_send(&w.d[0], bytes_str("z"), &out), 0);
        len = wr_len(&out);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        memcpy(copy, rec[99], len);
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        EXPECT(bit / 8 == 0 || dtls_input(&w.d[1], copy, len, w.now) < 0 || bit / 8 < 13);
        drain(&w, 1);
        EXPECT_EQ(w.got_n[1], 0);
        EXPECT_EQ(w.d[1].state, DTLS_CONNECTED);
    }
    memcpy(copy, rec[99], len);
    EXPECT_EQ(dtls_input(&w.d[1], copy, len, w.now), 0);
    for (int i = 0; i < 100; i++) {
        memcpy(copy, rec[i], len);
        EXPECT_EQ(dtls_input(&w.d[1], copy, len, w.now), i < 36 || i == 99 ? E_REPLAY : 0);
    }
    uint8_t alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};
    EXPECT_EQ(dtls_input(&w.d[1], alert, sizeof alert, w.now), E_AUTH);
    EXPECT_EQ(w.d[1].state, DTLS_CONNECTED);
    world_fini(&w);
}

TEST(two_servers_or_two_clients_never_connect)
{
    static struct world w;

    for (int role = 0; role < 2; role++) {
        world_init(&w, 8);
        for (int i = 0; i < 2; i++)
            EXPECT_EQ(dtls_init(&w.d[i], w.ctx[i], (enum dtls_role)role, NULL, 0), 0);
        run(&w, DTLS_HANDSHAKE_US + 1);
        EXPECT(w.closed[0] && w.closed[1]);
        EXPECT(!w.connected[0] && !w.connected[1]);
        world_fini(&w);
    }
}

TEST(handshake_input_is_bounded)
{
    static struct world w;
    uint8_t frag[13 + 12 + 1] = {22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 1, 0, 8, 0};
    int n = 0;

    world_init(&w, 9);
    world_start(&w);
    for (n = 0; n < 3000 && w.d[1].state == DTLS_HANDSHAKE; n++) { /* a ClientHello byte by byte */
        uint8_t copy[sizeof frag];
        store_u16(frag + 9, (uint16_t)n);
        store_u24(frag + 13 + 6, (uint32_t)n % 2048);
        store_u24(frag + 13 + 9, 1);
        memcpy(copy, frag, sizeof copy);
        (void)dtls_input(&w.d[1], copy, sizeof copy, 0); /* dropped or taken */
    }
    EXPECT(n <= DTLS_HANDSHAKE_RECORDS_MAX + 1);
    EXPECT_EQ(w.d[1].close_err < 0, 1);
    world_fini(&w);
}

TEST(client_hello_in_small_pieces_is_understood)
{
    static struct world w;
    uint8_t hello[DATAGRAM_MAX];
    struct wr out = wr_of(hello, sizeof hello);

    for (size_t piece = 1; piece < 400; piece += 57) {
        world_init(&w, 10);
        world_start(&w);
        out = wr_of(hello, sizeof hello);
        EXPECT(dtls_output(&w.d[0], &out));
        size_t body = load_u16(hello + 11) - 12u, at = 0;
        for (uint16_t seq = 0; at < body; seq++) { /* RFC 6347 s4.2.3 */
            uint8_t rec[600];
            size_t n = size_min(piece, body - at);
            memcpy(rec, hello, 25);
            store_u16(rec + 9, (uint16_t)(seq + 1));
            store_u16(rec + 11, (uint16_t)(12 + n));
            store_u24(rec + 13 + 6, (uint32_t)at);
            store_u24(rec + 13 + 9, (uint32_t)n);
            memcpy(rec + 25, hello + 25 + at, n);
            EXPECT_EQ(dtls_input(&w.d[1], rec, 25 + n, 0), 0);
            at += n;
            w.shift++;
        }
        run(&w, US_PER_SEC);
        EXPECT(w.connected[0] && w.connected[1]);
        world_fini(&w);
    }
}

TEST(dtls_unwinds_when_memory_is_refused)
{
    static struct world w;
    int64_t live = mem_live();

    for (uint64_t nth = 1; nth < 60; nth++) {
        world_init(&w, nth);
        mem_refuse_nth(nth);
        for (int i = 0; i < 2; i++) {
            if (dtls_init(&w.d[i], w.ctx[i], (enum dtls_role)i, NULL, 0) != 0)
                dtls_fini(&w.d[i]);
        }
        run(&w, 5 * US_PER_SEC);
        mem_refuse_nth(0);
        EXPECT(w.d[0].state != DTLS_NEW && w.d[1].state != DTLS_NEW);
        world_fini(&w);
        EXPECT_EQ(mem_live(), live);
    }
}

/* ---- OpenSSL on the other side, to the end ---- */

struct peer {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
};

static int take_any(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg; /* a test */
    return 1;
}

static void peer_init(struct peer *p, const struct cert *cert, bool client, const char *profiles,
                      const char *ciphers)
{
    p->ctx = SSL_CTX_new(DTLS_method());
    SSL_CTX_use_certificate(p->ctx, cert->x509);
    SSL_CTX_use_PrivateKey(p->ctx, cert->pkey);
    SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(p->ctx, take_any, NULL);
    EXPECT_EQ(SSL_CTX_set_cipher_list(p->ctx, ciphers), 1);
    if (profiles != NULL)
        EXPECT_EQ(SSL_CTX_set_tlsext_use_srtp(p->ctx, profiles), 0);
    SSL_CTX_set_options(p->ctx, SSL_OP_NO_QUERY_MTU);
    p->ssl = SSL_new(p->ctx);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(p->in, -1);
    SSL_set_bio(p->ssl, p->in, p->out);
    SSL_set_mtu(p->ssl, 1200);
    if (client)
        SSL_set_connect_state(p->ssl);
    else
        SSL_set_accept_state(p->ssl);
}

static void peer_fini(struct peer *p)
{
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
}

/* Records to us in one datagram each, datagrams back whole: OpenSSL reads them one by one. */
static void exchange(struct peer *p, struct world *w, int i)
{
    uint8_t buf[8192];

    for (int turn = 0; turn < 20; turn++) {
        (void)SSL_do_handshake(p->ssl); /* wants more most of the time */
        for (int n; (n = BIO_read(p->out, buf, sizeof buf)) > 0;) {
            for (size_t at = 0; at < (size_t)n;) {
                size_t len = 13u + load_u16(buf + at + 11);
                (void)dtls_input(&w->d[i], buf + at, len, 0); /* judged below */
                drain(w, i);
                at += len;
            }
        }
        for (uint32_t k = 0; k < w->wire_n; k++) {
            uint8_t *q = w->wire[k].data, *end = q + w->wire[k].len;
            for (; q < end; q += 13u + load_u16(q + 11)) {
                BIO_write(p->in, q, 13 + load_u16(q + 11));
                (void)SSL_do_handshake(p->ssl); /* as above */
            }
        }
        w->wire_n = 0;
    }
}

static void talk_to_openssl(bool we_serve, const char *profiles, const char *ciphers,
                            enum srtp_profile want)
{
    static struct world w;
    struct peer p;
    struct dtls_srtp_keys keys;
    uint8_t buf[DATAGRAM_MAX], block[92];
    int us = we_serve ? 1 : 0;

    world_init(&w, 11);
    peer_init(&p, w.cert[!us], we_serve, profiles, ciphers);
    EXPECT_EQ(dtls_init(&w.d[us], w.ctx[us], we_serve ? DTLS_SERVER : DTLS_CLIENT, NULL, 0), 0);
    drain(&w, us);
    exchange(&p, &w, us);
    EXPECT(w.connected[us] && SSL_is_init_finished(p.ssl));
    EXPECT_EQ(dtls_verify(&w.d[us], &w.cert[!us]->fingerprint), 0);
    EXPECT_EQ(dtls_srtp_keys(&w.d[us], &keys), want == SRTP_PROFILE_NONE ? E_UNSUPPORTED : 0);
    if (want != SRTP_PROFILE_NONE) {
        size_t key = srtp_key_bytes(want), salt = srtp_salt_bytes(want);
        EXPECT_EQ(keys.profile, want);
        EXPECT_EQ(SSL_export_keying_material(p.ssl, block, 2 * (key + salt), "EXTRACTOR-dtls_srtp",
                                             19, NULL, 0, 0),
                  1);
        EXPECT(memcmp(we_serve ? keys.rx.key : keys.tx.key, block, key) == 0);
        EXPECT(memcmp(we_serve ? keys.tx.salt : keys.rx.salt, block + 2 * key + salt, salt) == 0);
    }
    for (int i = 0; i < 5; i++) { /* our record layer against OpenSSL's */
        struct wr out = wr_of(buf, sizeof buf);
        char text[16] = {0};
        EXPECT_EQ(dtls_send(&w.d[us], bytes_str("from sluice"), &out), 0);
        BIO_write(p.in, buf, (int)wr_len(&out));
        EXPECT_EQ(SSL_read(p.ssl, text, sizeof text), 11);
        EXPECT_STR(text, "from sluice");
        EXPECT_EQ(SSL_write(p.ssl, "hello", 5), 5);
        int n = BIO_read(p.out, buf, sizeof buf);
        EXPECT_EQ(dtls_input(&w.d[us], buf, (size_t)n, 0), 0);
        drain(&w, us);
    }
    EXPECT_STR(w.got[us], "hellohellohellohellohello");
    SSL_shutdown(p.ssl);
    int n = BIO_read(p.out, buf, sizeof buf);
    EXPECT_EQ(dtls_input(&w.d[us], buf, (size_t)n, 0), E_CLOSED);
    drain(&w, us);
    EXPECT(w.closed[us] && w.err[us] == E_CLOSED);
    EXPECT_EQ(w.wire_n, 1); /* our close_notify */
    BIO_write(p.in, w.wire[0].data, (int)w.wire[0].len);
    EXPECT_EQ(SSL_read(p.ssl, buf, sizeof buf), 0);
    EXPECT_EQ(SSL_get_shutdown(p.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    peer_fini(&p);
    world_fini(&w);
}

TEST(record_layer_speaks_with_openssl_in_both_roles_and_suites)
{
    const char *all = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM";

    for (int serve = 0; serve < 2; serve++) {
        const char *suite = "ECDHE-ECDSA-AES128-GCM-SHA256";
        const char *big = "ECDHE-ECDSA-AES256-GCM-SHA384";
        talk_to_openssl(serve, "SRTP_AEAD_AES_128_GCM", suite, SRTP_PROFILE_GCM_128);
        talk_to_openssl(serve, "SRTP_AEAD_AES_256_GCM", big, SRTP_PROFILE_GCM_256);
        talk_to_openssl(serve, "SRTP_AES128_CM_SHA1_80", big, SRTP_PROFILE_CM_SHA1_80);
        talk_to_openssl(serve, NULL, suite, SRTP_PROFILE_NONE);
    }
    talk_to_openssl(true, all, "ALL", SRTP_PROFILE_GCM_128); /* the server's order counts */
}

/* Bytes as datagrams (length, bytes) to a server that waits and to a pair that is connected. */
FUZZ(dtls_input, in)
{
    static struct world w;
    static bool ready;
    struct rd r = rd_of(in);

    if (!ready) {
        world_init(&w, 12);
        world_start(&w);
        run(&w, US_PER_SEC);
        verify_both(&w);
        ready = true;
    }
    struct dtls fresh;
    EXPECT_EQ(dtls_init(&fresh, w.ctx[1], DTLS_SERVER, NULL, 0), 0);
    for (int n = 0; n < 8 && rd_left(&r) > 2; n++) {
        uint8_t copy[2][DATAGRAM_MAX];
        size_t len = size_min(rd_u16(&r), rd_left(&r));
        struct bytes b = rd_bytes(&r, size_min(len, DATAGRAM_MAX));
        memcpy(copy[0], b.p, b.len);
        memcpy(copy[1], b.p, b.len);
        (void)dtls_input(&w.d[1], copy[0], b.len, 0); /* never believed */
        (void)dtls_input(&fresh, copy[1], b.len, 0);  /* likely refused */
        drain(&w, 1);
        w.wire_n = 0;
        EXPECT_EQ(w.d[1].state, DTLS_CONNECTED);
        EXPECT_EQ(w.got_n[1], 0);
    }
    dtls_fini(&fresh);
}
