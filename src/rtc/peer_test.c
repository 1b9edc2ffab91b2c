#include "rtc/peer.h"

#include "base/err.h"
#include "base/test.h"
#include "crypt/dtls.h"
#include "crypt/srtp.h"
#include "rtc/test_clock.h"
#include "wire/rtp.h"

static const struct peer_local server_cred = {"srvufrag", "server-password-of-24-ch"};
static const struct peer_local client_cred = {"cliufrag", "client-password-of-24-ch"};

/* Two peers joined by a perfect wire; what they say is counted. */
struct duo {
    struct cert *cert[2];
    struct dtls_ctx *ctx[2];
    struct peer *peer[2]; /* 0 server, 1 client */
    struct addr addr[2];
    struct path last_out[2];
    us_t now;
    unsigned loss_pct;
    bool cut;
    struct rng rng;
    size_t answered_bytes, asked_bytes; /* server and client, before CONNECTED */
    unsigned data_n[2], state_n[2];
    enum peer_state state[2];
    enum peer_reason reason[2];
    uint8_t data[2][1500];
    size_t data_len[2];
};

static struct peer_remote remote_of(const struct duo *d, int side, bool with_fingerprint)
{
    const struct peer_local *l = side == 0 ? &server_cred : &client_cred;
    struct peer_remote r = {0};

    memcpy(r.ufrag, l->ufrag, sizeof r.ufrag);
    memcpy(r.pwd, l->pwd, sizeof r.pwd);
    if (with_fingerprint)
        r.fingerprint = d->cert[side]->fingerprint;
    return r;
}

static void duo_open(struct duo *d, enum peer_setup server_setup)
{
    static const uint8_t ip[2][4] = {{192, 0, 2, 1}, {198, 51, 100, 7}};

    *d = (struct duo){.now = US_PER_SEC, .rng = rng_seed(4)};
    test_clock = d->now;
    for (int i = 0; i < 2; i++) {
        struct peer_cfg cfg = {
            .role = i == 0 ? PEER_SERVER : PEER_CLIENT,
            .local = i == 0 ? server_cred : client_cred,
            .seed = 7 + (uint64_t)i,
        };
        bool server = (i == 0) == (server_setup == PEER_SETUP_DTLS_SERVER);
        cfg.setup = server ? PEER_SETUP_DTLS_SERVER : PEER_SETUP_DTLS_CLIENT;
        addr_set_ip4(&d->addr[i], ip[i], i == 0 ? 7882 : 50000);
        EXPECT_EQ(cert_make(&d->cert[i], 1700000000), 0);
        EXPECT_EQ(dtls_ctx_open(&d->ctx[i], d->cert[i]), 0);
        cfg.dtls = d->ctx[i];
        EXPECT_EQ(peer_open(&d->peer[i], &cfg, d->now), 0);
    }
}

static void introduce(struct duo *d, bool server_knows_fingerprint)
{
    struct peer_remote client = remote_of(d, 1, server_knows_fingerprint);
    struct peer_remote server = remote_of(d, 0, true);

    EXPECT_EQ(peer_set_remote(d->peer[0], &client, d->now), 0);
    EXPECT_EQ(peer_set_remote(d->peer[1], &server, d->now), 0);
    peer_add_local_address(d->peer[1], &d->addr[1]);
    peer_add_remote_candidate(d->peer[1], &d->addr[0], 2130706431);
}

static void duo_close(struct duo *d)
{
    for (int i = 0; i < 2; i++) {
        peer_free(d->peer[i]);
        dtls_ctx_free(d->ctx[i]);
        cert_free(d->cert[i]);
    }
    EXPECT_EQ(mem_live(), 0);
}

static void hear(struct duo *d, int side)
{
    struct peer_event ev;

    while (peer_event(d->peer[side], &ev)) {
        if (ev.kind == PEER_EVT_STATE) {
            d->state[side] = ev.state;
            d->reason[side] = ev.reason;
            d->state_n[side]++;
        }
        if (ev.kind == PEER_EVT_DATA) {
            EXPECT(d->state[side] == PEER_CONNECTED || d->state[side] == PEER_DISCONNECTED);
            d->data_n[side]++;
            d->data_len[side] = ev.data.len;
            memcpy(d->data[side], ev.data.p, ev.data.len);
        }
    }
}

static bool shuttle(struct duo *d)
{
    bool any = false;

    for (int from = 0; from < 2; from++) {
        uint8_t buf[PEER_DATAGRAM_MAX];
        struct wr w = wr_of(buf, sizeof buf);
        struct path path;

        hear(d, from);
        while (peer_output(d->peer[from], &path, &w)) {
            struct path at = {.local = path.remote, .remote = d->addr[from]};
            any = true;
            d->last_out[from] = path;
            if (d->state[from] != PEER_CONNECTED)
                *(from == 0 ? &d->answered_bytes : &d->asked_bytes) += wr_len(&w);
            if (!d->cut && addr_eq(&path.remote, &d->addr[!from]) &&
                rng_below(&d->rng, 100) >= d->loss_pct)
                (void)peer_input(d->peer[!from], &at, buf, wr_len(&w), d->now);
            hear(d, !from);
            w = wr_of(buf, sizeof buf);
        }
    }
    return any;
}

static void run(struct duo *d, us_t span)
{
    us_t end = d->now + span;

    for (;;) {
        while (shuttle(d))
            ;
        us_t at = us_min(peer_deadline(d->peer[0]), peer_deadline(d->peer[1]));
        if (at >= end)
            break;
        d->now = us_max(d->now, at);
        test_clock = d->now;
        peer_tick(d->peer[0], d->now);
        peer_tick(d->peer[1], d->now);
    }
    d->now = test_clock = end;
}

static void expect_connected(const struct duo *d)
{
    EXPECT_EQ(d->state[0], PEER_CONNECTED);
    EXPECT_EQ(d->state[1], PEER_CONNECTED);
}

/* One RTP packet from one side to the other, and back in plain. */
static int media(struct duo *d, int from, uint16_t seq)
{
    uint8_t hdr[12] = {0x80, 96, (uint8_t)(seq >> 8), (uint8_t)seq, 0, 0, 0, 1, 0, 0, 0, 9};
    uint8_t payload[100], out[200];

    memset(payload, seq & 0xff, sizeof payload);
    size_t len =
        peer_seal_rtp(d->peer[from], bytes_of(hdr, 12), bytes_of(payload, 100), 0, out, sizeof out);
    if (len == 0)
        return E_STATE;
    EXPECT(memcmp(out + 12, payload, 100) != 0);
    int err = peer_open_rtp(d->peer[!from], out, &len, d->now);
    if (err == 0) {
        EXPECT_EQ(len, 112);
        EXPECT(memcmp(out, hdr, 12) == 0 && memcmp(out + 12, payload, 100) == 0);
    }
    return err;
}

TEST(peers_connect_with_either_side_as_dtls_client)
{
    static const enum peer_setup setup[] = {PEER_SETUP_DTLS_SERVER, PEER_SETUP_DTLS_CLIENT};

    for (size_t i = 0; i < ARRAY_LEN(setup); i++) {
        struct duo d;
        struct peer_stats st;

        duo_open(&d, setup[i]);
        EXPECT_EQ(media(&d, 0, 1), E_STATE);
        introduce(&d, true);
        run(&d, US_PER_SEC);
        expect_connected(&d);
        for (uint16_t seq = 1; seq < 20; seq++) {
            EXPECT_EQ(media(&d, 0, seq), 0);
            EXPECT_EQ(media(&d, 1, seq), 0);
        }
        peer_get_stats(d.peer[0], &st);
        EXPECT_EQ(st.srtp_profile, SRTP_PROFILE_GCM_128);
        duo_close(&d);
    }
}

TEST(nothing_flows_before_the_fingerprint_is_known_and_then_everything)
{
    struct duo d;
    struct peer_remote r;

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, false);
    run(&d, 2 * US_PER_SEC);
    EXPECT_EQ(d.state[0], PEER_CONNECTING);
    EXPECT_EQ(d.state[1], PEER_CONNECTED);
    EXPECT_EQ(media(&d, 0, 1), E_STATE);
    EXPECT_EQ(media(&d, 1, 1), E_STATE); /* the server does not open it */
    EXPECT_EQ(peer_send_data(d.peer[0], bytes_str("x"), d.now), E_STATE);
    EXPECT_EQ(peer_send_data(d.peer[1], bytes_str("early"), d.now), 0);
    run(&d, US_PER_SEC);
    EXPECT_EQ(d.data_n[0], 0);
    r = remote_of(&d, 1, true);
    EXPECT_EQ(peer_set_remote(d.peer[0], &r, d.now), 0);
    run(&d, 1);
    expect_connected(&d);
    EXPECT_EQ(d.data_n[0], 1); /* it was held back */
    EXPECT_EQ(media(&d, 1, 2), 0);
    EXPECT_EQ(media(&d, 0, 2), 0);
    duo_close(&d);
}

TEST(a_certificate_that_signalling_did_not_name_is_refused)
{
    for (int late = 0; late < 2; late++) {
        struct duo d;
        struct peer_remote r;

        duo_open(&d, PEER_SETUP_DTLS_SERVER);
        introduce(&d, false);
        r = remote_of(&d, 1, true);
        r.fingerprint.digest[5] ^= 1;
        if (late)
            run(&d, US_PER_SEC);
        EXPECT_EQ(peer_set_remote(d.peer[0], &r, d.now), 0);
        run(&d, 2 * US_PER_SEC);
        EXPECT_EQ(d.state[0], PEER_FAILED);
        EXPECT_EQ(d.reason[0], PEER_REASON_FINGERPRINT);
        EXPECT(d.state[1] == PEER_CLOSED || d.state[1] == PEER_FAILED);
        EXPECT_EQ(media(&d, 0, 1), E_STATE);
        EXPECT_EQ(peer_deadline(d.peer[0]), US_NEVER);
        duo_close(&d);
    }
}

TEST(data_packets_travel_both_ways)
{
    struct duo d;
    uint8_t packet[1200];

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, true);
    run(&d, US_PER_SEC);
    rng_fill(&d.rng, packet, sizeof packet);
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(peer_send_data(d.peer[0], bytes_of(packet, sizeof packet), d.now), 0);
        EXPECT_EQ(peer_send_data(d.peer[1], bytes_of(packet, 50), d.now), 0);
    }
    run(&d, 1);
    EXPECT_EQ(d.data_n[0], 10);
    EXPECT_EQ(d.data_n[1], 10);
    EXPECT_BYTES(bytes_of(d.data[1], d.data_len[1]), bytes_of(packet, sizeof packet));
    for (int i = 0; i < PEER_DATA_QUEUE_MAX; i++)
        EXPECT_EQ(peer_send_data(d.peer[0], bytes_of(packet, 10), d.now), 0);
    EXPECT_EQ(peer_send_data(d.peer[0], bytes_of(packet, 10), d.now), E_LIMIT);
    EXPECT_EQ(peer_send_data(d.peer[1], bytes_of(packet, 0), d.now), 0);
    duo_close(&d);
}

TEST(close_tells_the_other_side_once)
{
    struct duo d;

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, true);
    run(&d, US_PER_SEC);
    peer_close(d.peer[1], d.now);
    run(&d, 1);
    EXPECT_EQ(d.state[1], PEER_CLOSED);
    EXPECT_EQ(d.reason[1], PEER_REASON_OWNER);
    EXPECT_EQ(d.state[0], PEER_CLOSED);
    EXPECT_EQ(d.reason[0], PEER_REASON_ALERT);
    EXPECT_EQ(media(&d, 0, 1), E_STATE);
    EXPECT_EQ(peer_deadline(d.peer[0]), US_NEVER);
    duo_close(&d);
}

TEST(handshake_survives_thirty_percent_loss)
{
    struct duo d;

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    d.loss_pct = 30;
    introduce(&d, true);
    run(&d, 30 * US_PER_SEC);
    expect_connected(&d);
    EXPECT_EQ(media(&d, 0, 1), 0);
    duo_close(&d);
}

TEST(client_hello_from_a_stranger_is_not_listened_to)
{
    struct duo d, other;
    uint8_t hello[PEER_DATAGRAM_MAX];
    struct wr w = wr_of(hello, sizeof hello);
    struct path path, stranger;
    struct dtls dtls = {0};

    duo_open(&other, PEER_SETUP_DTLS_SERVER);
    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, true);
    EXPECT_EQ(dtls_init(&dtls, other.ctx[1], DTLS_CLIENT, NULL, d.now), 0);
    EXPECT(dtls_output(&dtls, &w));
    stranger = (struct path){.local = d.addr[0], .remote = d.addr[1]};
    stranger.remote.port = 6666;
    for (int i = 0; i < 3; i++) { /* before ICE, during, and connected */
        uint8_t copy[PEER_DATAGRAM_MAX];
        memcpy(copy, hello, wr_len(&w));
        EXPECT_EQ(peer_input(d.peer[0], &stranger, copy, wr_len(&w), d.now), E_STATE);
        struct wr none = wr_of(copy, sizeof copy);
        EXPECT(!peer_output(d.peer[0], &path, &none));
        run(&d, i == 0 ? 30 * US_PER_MS : US_PER_SEC);
    }
    expect_connected(&d);
    dtls_fini(&dtls);
    peer_free(d.peer[0]);
    peer_free(d.peer[1]);
    d.peer[0] = d.peer[1] = NULL;
    for (int i = 0; i < 2; i++) {
        dtls_ctx_free(d.ctx[i]);
        cert_free(d.cert[i]);
        d.ctx[i] = NULL;
        d.cert[i] = NULL;
    }
    duo_close(&other);
}

TEST(silence_of_twenty_seconds_heals_with_the_same_keys)
{
    struct duo d;

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, true);
    run(&d, US_PER_SEC);
    d.cut = true;
    run(&d, 20 * US_PER_SEC);
    EXPECT_EQ(d.state[0], PEER_DISCONNECTED);
    EXPECT_EQ(d.reason[0], PEER_REASON_SILENT);
    EXPECT_EQ(media(&d, 0, 1), 0); /* media may go on */
    d.cut = false;
    run(&d, US_PER_SEC);
    expect_connected(&d);
    d.cut = true;
    run(&d, 40 * US_PER_SEC);
    EXPECT_EQ(d.state[0], PEER_FAILED);
    EXPECT_EQ(d.state[1], PEER_FAILED);
    EXPECT_EQ(d.reason[1], PEER_REASON_SILENT);
    EXPECT_EQ(media(&d, 0, 2), E_STATE);
    d.cut = false;
    static const struct peer_local s2 = {"srvufrg2", "server-password-number-2"};
    static const struct peer_local c2 = {"cliufrg2", "client-password-number-2"};
    struct peer_remote rs = {.ufrag = "srvufrg2", .pwd = "server-password-number-2"};
    struct peer_remote rc = {.ufrag = "cliufrg2", .pwd = "client-password-number-2"};
    peer_restart(d.peer[0], &s2, d.now);
    peer_restart(d.peer[1], &c2, d.now);
    EXPECT_EQ(peer_set_remote(d.peer[0], &rc, d.now), 0);
    EXPECT_EQ(peer_set_remote(d.peer[1], &rs, d.now), 0);
    peer_add_remote_candidate(d.peer[1], &d.addr[0], 1);
    run(&d, US_PER_SEC);
    expect_connected(&d);
    EXPECT_EQ(media(&d, 0, 2), 0);
    duo_close(&d);
}

TEST(server_says_little_before_the_client_has_proved_its_address)
{
    struct duo d;

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, true);
    run(&d, US_PER_SEC);
    EXPECT(d.answered_bytes < 3 * d.asked_bytes);
    duo_close(&d);
}

TEST(replayed_and_damaged_media_is_counted_by_reason)
{
    struct duo d;
    struct peer_stats st;
    uint8_t hdr[12] = {0x80, 96, 0, 5, 0, 0, 0, 1, 0, 0, 0, 9};
    uint8_t out[200], copy[200];

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, true);
    run(&d, US_PER_SEC);
    size_t len = peer_seal_rtp(d.peer[1], bytes_of(hdr, 12), bytes_str("payload"), 0, out, 200);
    EXPECT(len > 0);
    EXPECT_EQ(peer_seal_rtp(d.peer[1], bytes_of(hdr, 12), bytes_str("payload"), 0, copy, 34), 0);
    for (int i = 0; i < 3; i++) {
        size_t n = i == 2 ? 11 : len;
        memcpy(copy, out, len);
        if (i == 0)
            copy[14] ^= 1;
        int err = peer_open_rtp(d.peer[0], copy, &n, d.now);
        EXPECT_EQ(err, i == 0 ? E_AUTH : i == 1 ? 0 : E_TRUNCATED);
    }
    size_t n = len;
    EXPECT_EQ(peer_open_rtp(d.peer[0], out, &n, d.now), E_REPLAY);
    peer_get_stats(d.peer[0], &st);
    EXPECT_EQ(st.drop_unauthenticated, 1);
    EXPECT_EQ(st.drop_replayed, 1);
    EXPECT_EQ(st.drop_malformed, 1);
    duo_close(&d);
}

TEST(rtcp_is_sealed_and_opened)
{
    struct duo d;
    uint8_t rr[8] = {0x80, 201, 0, 1, 0, 0, 0, 9}, out[64];

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, true);
    run(&d, US_PER_SEC);
    size_t len = peer_seal_rtcp(d.peer[0], bytes_of(rr, 8), out, sizeof out);
    EXPECT(len > 8);
    EXPECT_EQ(peer_open_rtcp(d.peer[1], out, &len, d.now), 0);
    EXPECT_BYTES(bytes_of(out, len), bytes_of(rr, 8));
    duo_close(&d);
}

TEST(every_refused_allocation_of_a_peer_is_survived)
{
    for (uint64_t nth = 1;; nth++) {
        struct peer *p = NULL;
        struct peer_cfg cfg = {.role = PEER_CLIENT, .local = client_cred};
        mem_refuse_nth(nth);
        int err = peer_open(&p, &cfg, 0);
        mem_refuse_nth(0);
        peer_free(p);
        EXPECT_EQ(mem_live(), 0);
        if (err == 0)
            break;
        EXPECT_EQ(err, E_NOMEM);
        EXPECT(p == NULL);
    }
    peer_free(NULL);
}

/* A datagram of any kind, from the right address and a wrong one, at a pair that has ICE and,
 * for one input in 32 (a handshake costs), the rest too. */
FUZZ(peer, in)
{
    uint8_t buf[2048];
    size_t n = size_min(in.len, sizeof buf);
    struct duo d;
    bool whole = n > 0 && in.p[n - 1] % 32 == 0;

    duo_open(&d, PEER_SETUP_DTLS_SERVER);
    introduce(&d, true);
    run(&d, whole ? US_PER_SEC : 30 * US_PER_MS);
    struct path home = {.local = d.addr[0], .remote = d.addr[1]}, from = home;
    from.remote.port = 5;
    for (int i = 0; i < 2 && n > 0; i++) {
        memcpy(buf, in.p, n);
        (void)peer_input(d.peer[0], i == 0 ? &home : &from, buf, n, d.now);
        memcpy(buf, in.p, n);
        size_t len = n;
        EXPECT(peer_open_rtp(d.peer[0], buf, &len, d.now) != 0);
    }
    if (whole) {
        run(&d, 1);
        EXPECT(path_eq(peer_path(d.peer[0]), &home));
        expect_connected(&d);
    }
    duo_close(&d);
}
