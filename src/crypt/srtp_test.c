#include "crypt/srtp.h"

#include "base/cursor.h"
#include "base/err.h"
#include "base/test.h"

#include <srtp2/srtp.h>

static const enum srtp_profile profiles[] = {SRTP_PROFILE_CM_SHA1_80, SRTP_PROFILE_GCM_128,
                                             SRTP_PROFILE_GCM_256};

/* ---- our two halves back to back ---- */

struct pair {
    struct srtp_tx tx;
    struct srtp_rx rx;
    struct srtp_master master;
};

static void pair_init(struct pair *p, enum srtp_profile profile, uint64_t seed)
{
    struct rng rng = rng_seed(seed);

    rng_fill(&rng, &p->master, sizeof p->master);
    EXPECT_EQ(srtp_tx_init(&p->tx, NULL, profile, &p->master), 0);
    EXPECT_EQ(srtp_rx_init(&p->rx, NULL, profile, &p->master), 0);
}

static void pair_fini(struct pair *p)
{
    srtp_tx_fini(&p->tx);
    srtp_rx_fini(&p->rx);
}

static size_t seal(struct pair *p, uint32_t ssrc, uint64_t index, uint8_t *out)
{
    uint8_t hdr[12] = {0x80, 96};
    uint8_t payload[50];

    memset(payload, (int)index & 0xff, sizeof payload);
    store_u16(hdr + 2, (uint16_t)index);
    store_u32(hdr + 8, ssrc);
    int n = srtp_seal_rtp(&p->tx, bytes_of(hdr, 12), bytes_of(payload, 50), (uint32_t)(index >> 16),
                          out);
    EXPECT(n > 62);
    return (size_t)n;
}

static int pass(struct pair *p, uint32_t ssrc, uint64_t index)
{
    uint8_t pkt[128];
    size_t len = seal(p, ssrc, index, pkt);
    uint64_t seen = 0;
    int err = srtp_open_rtp(&p->rx, pkt, &len, &seen);

    if (err == 0) {
        EXPECT_EQ(len, 62);
        EXPECT_EQ(pkt[61], index & 0xff);
        EXPECT_EQ(seen, index);
    }
    return err;
}

static int pass_rtcp(struct pair *p, uint32_t ssrc, uint32_t index)
{
    uint8_t pkt[64] = {0x80, 201, 0, 3};
    size_t len;

    store_u32(pkt + 4, ssrc);
    p->tx.rtcp_next = index;
    int n = srtp_seal_rtcp(&p->tx, bytes_of(pkt, 16), pkt);
    if (n < 0)
        return n;
    len = (size_t)n;
    int err = srtp_open_rtcp(&p->rx, pkt, &len);
    if (err == 0)
        EXPECT_EQ(len, 16);
    return err;
}

/* RFC 3711 B.3. */
TEST(keys_derive_as_rfc_3711_says)
{
    struct srtp_master m;
    struct srtp_session s;

    memcpy(m.key, test_hex("E1F97A0D3E018BE0D64FA32C06DE4139").p, 16);
    memcpy(m.salt, test_hex("0EC675AD498AFEEBB6960B3AABE6").p, 14);
    EXPECT_EQ(srtp_derive(SRTP_PROFILE_CM_SHA1_80, &m, &s), 0);
    EXPECT_BYTES(bytes_of(s.rtp.key, 16), test_hex("C61E7A93744F39EE10734AFE3FF7A087"));
    EXPECT_BYTES(bytes_of(s.rtp.salt, 14), test_hex("30CBBC08863D8C85D49DB34A9AE1"));
    EXPECT_BYTES(bytes_of(s.rtp.auth, 20), test_hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    EXPECT_EQ(srtp_derive(SRTP_PROFILE_NONE, &m, &s), E_UNSUPPORTED);
    EXPECT_EQ(srtp_derive((enum srtp_profile)2, &m, &s), E_UNSUPPORTED);
}

static struct srtp_session quid_pro_quo(void)
{
    struct srtp_session s = {0};

    for (int i = 0; i < 32; i++)
        s.rtp.key[i] = s.rtcp.key[i] = (uint8_t)i;
    memcpy(s.rtp.salt, "Quid pro quo", 12);
    memcpy(s.rtcp.salt, "Quid pro quo", 12);
    return s;
}

/* RFC 7714 s16.1 and s16.2. */
TEST(rtp_vectors_of_rfc_7714)
{
    struct bytes plain =
        test_hex("8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669"
                 "736120696e207061727465732074726573");
    struct bytes want[2] = {
        test_hex(
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51"
            "c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"),
        test_hex(
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276"
            "ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13")};
    struct srtp_session s = quid_pro_quo();

    for (int i = 0; i < 2; i++) {
        struct srtp_tx tx;
        struct srtp_rx rx;
        uint8_t out[80];
        EXPECT_EQ(srtp_tx_init_session(&tx, NULL, profiles[1 + i], &s), 0);
        EXPECT_EQ(srtp_rx_init_session(&rx, NULL, profiles[1 + i], &s), 0);
        int n = srtp_seal_rtp(&tx, bytes_of(plain.p, 12), bytes_of(plain.p + 12, plain.len - 12), 0,
                              out);
        EXPECT_BYTES(bytes_of(out, (size_t)n), want[i]);
        size_t len = (size_t)n;
        EXPECT_EQ(srtp_open_rtp(&rx, out, &len, NULL), 0);
        EXPECT_BYTES(bytes_of(out, len), plain);
        srtp_tx_fini(&tx);
        srtp_rx_fini(&rx);
    }
}

/* RFC 7714 s17.1 and s17.2; index 0x5d4. */
TEST(rtcp_vectors_of_rfc_7714)
{
    struct bytes plain = test_hex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61"
                                  "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
    struct bytes want[2] = {
        test_hex("81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda"
                 "4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"),
        test_hex("81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be"
                 "8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4")};
    struct srtp_session s = quid_pro_quo();

    for (int i = 0; i < 2; i++) {
        struct srtp_tx tx;
        struct srtp_rx rx;
        uint8_t out[80];
        EXPECT_EQ(srtp_tx_init_session(&tx, NULL, profiles[1 + i], &s), 0);
        EXPECT_EQ(srtp_rx_init_session(&rx, NULL, profiles[1 + i], &s), 0);
        tx.rtcp_next = 0x5d4;
        int n = srtp_seal_rtcp(&tx, plain, out);
        EXPECT_BYTES(bytes_of(out, (size_t)n), want[i]);
        size_t len = (size_t)n;
        EXPECT_EQ(srtp_open_rtcp(&rx, out, &len), 0);
        EXPECT_BYTES(bytes_of(out, len), plain);
        srtp_tx_fini(&tx);
        srtp_rx_fini(&rx);
    }
}

TEST(every_packet_opens_once)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        struct pair p;
        pair_init(&p, profiles[i], 1);
        for (uint64_t index = 65000; index < 67000; index++) {
            EXPECT_EQ(pass(&p, 7, index), 0);
            EXPECT_EQ(pass(&p, 7, index), E_REPLAY);
        }
        pair_fini(&p);
    }
}

TEST(window_is_128_packets)
{
    static const struct {
        uint64_t index;
        int err;
    } row[] = {{1000, 0},         {1127, 0},        {1000, E_REPLAY}, {999, E_REPLAY},
               {1001, 0},         {1063, 0},        {1064, 0},        {1063, E_REPLAY},
               {1191, 0},         {1064, E_REPLAY}, {1063, E_REPLAY}, {1065, 0},
               {1127, E_REPLAY},  {1128, 0},        {1319, 0},        {1191, E_REPLAY},
               {1192, 0},         {1193, 0},        {20000, 0},       {19873, 0},
               {19872, E_REPLAY}, {19873, E_REPLAY}};
    struct pair p;

    pair_init(&p, SRTP_PROFILE_GCM_128, 2);
    for (size_t i = 0; i < ARRAY_LEN(row); i++)
        EXPECT_EQ(pass(&p, 1, row[i].index), row[i].err);
    pair_fini(&p);
}

/* A model with a plain set says what must be accepted. */
TEST(random_order_matches_a_model)
{
    static bool seen[1 << 18];
    struct rng rng = rng_seed(9);
    struct pair p;
    uint64_t top = 100000;

    memset(seen, 0, sizeof seen);
    pair_init(&p, SRTP_PROFILE_GCM_128, 3);
    p.rx.clock = UINT32_MAX - 100;
    EXPECT_EQ(pass(&p, 1, 100), 0); /* count 0 first; 40000 by 40000 the receiver follows */
    for (uint64_t at = 20000; at <= top; at += 20000)
        EXPECT_EQ(pass(&p, 1, at), 0);
    seen[top] = true;
    for (int i = 0; i < 20000; i++) {
        uint64_t index = top + 20 - rng_below(&rng, 180);
        bool fresh = index > top || (top - index < SRTP_WINDOW && !seen[index]);
        EXPECT_EQ(pass(&p, 1, index), fresh ? 0 : E_REPLAY);
        seen[index] = seen[index] || fresh;
        top = index > top ? index : top;
    }
    pair_fini(&p);
}

TEST(roll_over_is_followed_in_any_order)
{
    static const uint64_t order[] = {65530, 65536,  65535,  65540,  65534,  65533,
                                     90000, 120000, 131070, 131073, 131071, 131072};

    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        struct pair p;
        pair_init(&p, profiles[i], 4);
        for (size_t n = 0; n < ARRAY_LEN(order); n++)
            EXPECT_EQ(pass(&p, 5, order[n]), 0);
        EXPECT_EQ(pass(&p, 5, 131073 + 40000), E_REPLAY); /* reads as one from before */
        EXPECT_EQ(pass(&p, 5, 131073 + 65536), E_REPLAY);
        EXPECT_EQ(pass(&p, 5, 131073 + 65540), E_AUTH); /* a whole turn ahead cannot be told */
        for (uint64_t at = 0; at < 400000; at += 30000)
            EXPECT_EQ(pass(&p, 6, at), 0);
        pair_fini(&p);
    }
}

/* The first packets before a roll-over are lost: the first we see has a count of 1. */
TEST(stream_that_begins_at_the_roll_over_is_understood)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        struct pair p;
        pair_init(&p, profiles[i], 5);
        EXPECT_EQ(pass(&p, 5, 65537), 0);
        EXPECT_EQ(pass(&p, 5, 65535), 0);
        EXPECT_EQ(pass(&p, 5, 65538), 0);
        EXPECT_EQ(pass(&p, 6, 2 * 65536 + 1), E_AUTH);
        pair_fini(&p);
    }
}

TEST(packet_that_does_not_authenticate_changes_nothing)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        struct pair p;
        uint8_t good[128], pkt[128];
        size_t len;
        pair_init(&p, profiles[i], 6);
        size_t full = seal(&p, 9, 40, good);
        for (size_t bit = 0; bit < full * 8; bit++) {
            memcpy(pkt, good, full);
            pkt[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            len = full;
            EXPECT(srtp_open_rtp(&p.rx, pkt, &len, NULL) < 0);
            EXPECT_EQ(p.rx.src_n, 0);
        }
        for (len = 0; len < full; len++) {
            size_t cut = len;
            memcpy(pkt, good, full);
            EXPECT(srtp_open_rtp(&p.rx, pkt, &cut, NULL) < 0);
        }
        len = full;
        EXPECT_EQ(srtp_open_rtp(&p.rx, good, &len, NULL), 0);
        pair_fini(&p);
    }
}

TEST(rtcp_opens_once_and_is_bound_to_its_ssrc)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        struct pair p;
        uint8_t pkt[64] = {0x80, 201, 0, 1, 0, 0, 0, 1}, out[64];
        pair_init(&p, profiles[i], 7);
        EXPECT_EQ(pass_rtcp(&p, 1, 0), 0);
        EXPECT_EQ(pass_rtcp(&p, 1, 0), E_REPLAY);
        EXPECT_EQ(pass_rtcp(&p, 1, 127), 0);
        EXPECT_EQ(pass_rtcp(&p, 1, 0), E_REPLAY);
        EXPECT_EQ(pass_rtcp(&p, 1, 1), 0);
        EXPECT_EQ(pass_rtcp(&p, 2, 1), 0);
        EXPECT_EQ(pass_rtcp(&p, 2, 0x7fffffff), 0);
        EXPECT_EQ(pass_rtcp(&p, 2, 0x80000000), E_LIMIT);
        p.tx.rtcp_next = 500;
        int n = srtp_seal_rtcp(&p.tx, bytes_of(pkt, 8), out);
        EXPECT(n > 8);
        for (size_t bit = 0; bit < (size_t)n * 8; bit++) {
            uint8_t bad[64];
            size_t len = (size_t)n;
            memcpy(bad, out, len);
            bad[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            EXPECT(srtp_open_rtcp(&p.rx, bad, &len) < 0);
        }
        for (size_t len = 0; len < 28; len++) { /* libsrtp CVE-2015-6360: lengths below a header */
            size_t cut = len;
            EXPECT(cut >= (size_t)n || srtp_open_rtcp(&p.rx, out, &cut) < 0);
        }
        EXPECT_EQ(srtp_seal_rtcp(&p.tx, bytes_of(pkt, 7), out), E_TRUNCATED);
        pair_fini(&p);
    }
}

TEST(table_of_ssrcs_is_bounded_and_forgets_the_oldest)
{
    struct pair p;

    pair_init(&p, SRTP_PROFILE_GCM_128, 8);
    for (uint32_t ssrc = 0; ssrc < SRTP_SSRC_MAX; ssrc++)
        EXPECT_EQ(pass(&p, ssrc, 10), 0);
    EXPECT_EQ(pass(&p, 0, 11), 0); /* now 1 is the oldest */
    EXPECT_EQ(pass(&p, 100000, 10), 0);
    EXPECT_EQ(p.rx.src_n, SRTP_SSRC_MAX);
    EXPECT_EQ(p.rx.evicted_n, 1);
    EXPECT_EQ(pass(&p, 0, 11), E_REPLAY);
    EXPECT_EQ(pass(&p, 2, 10), E_REPLAY);
    EXPECT_EQ(pass(&p, 1, 10), 0); /* forgotten */
    pair_fini(&p);
}

TEST(packets_of_known_ssrcs_cost_no_allocation)
{
    struct seal_engine *best = seal_engine_open(SEAL_BEST);
    struct pair p;
    struct srtp_master m = {0};

    EXPECT_EQ(srtp_tx_init(&p.tx, best, SRTP_PROFILE_GCM_128, &m), 0);
    EXPECT_EQ(srtp_rx_init(&p.rx, best, SRTP_PROFILE_GCM_128, &m), 0);
    EXPECT_EQ(pass(&p, 1, 0), 0);
    uint64_t made = mem_made();
    for (uint64_t index = 1; index < 1000; index++)
        EXPECT_EQ(pass(&p, 1, index), 0);
    EXPECT_EQ(mem_made(), made);
    pair_fini(&p);
    seal_engine_free(best);
}

TEST(srtp_unwinds_when_memory_is_refused)
{
    struct srtp_master m = {0};
    int64_t live = mem_live();

    for (uint64_t nth = 1;; nth++) {
        struct srtp_rx rx;
        mem_refuse_nth(nth);
        int err = srtp_rx_init(&rx, NULL, SRTP_PROFILE_CM_SHA1_80, &m);
        mem_refuse_nth(0);
        srtp_rx_fini(&rx);
        EXPECT_EQ(mem_live(), live);
        if (err == 0)
            break;
        EXPECT_EQ(err, E_NOMEM);
    }
}

/* ---- against libsrtp ---- */

struct oracle {
    srtp_t ctx;
    uint8_t key[46];
};

static void oracle_init(struct oracle *o, const struct srtp_master *m, enum srtp_profile profile,
                        bool sends)
{
    static bool ready; /* Debian's build refuses a second srtp_init() */
    srtp_policy_t policy = {0};
    size_t key = srtp_key_bytes(profile);

    if (!ready)
        EXPECT_EQ(srtp_init(), srtp_err_status_ok);
    ready = true;
    if (profile == SRTP_PROFILE_CM_SHA1_80) {
        srtp_crypto_policy_set_rtp_default(&policy.rtp);
        srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    } else if (profile == SRTP_PROFILE_GCM_128) {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    } else {
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
    }
    memcpy(o->key, m->key, key);
    memcpy(o->key + key, m->salt, srtp_salt_bytes(profile));
    policy.ssrc.type = sends ? ssrc_any_outbound : ssrc_any_inbound;
    policy.key = o->key;
    policy.window_size = SRTP_WINDOW;
    policy.allow_repeat_tx = 1;
    EXPECT_EQ(srtp_create(&o->ctx, &policy), srtp_err_status_ok);
}

/* A header of any shape: CSRCs, extension, padding bit. */
static size_t random_packet(struct rng *rng, uint32_t ssrc, uint64_t index, uint8_t *pkt,
                            size_t *hdr)
{
    uint8_t cc = (uint8_t)rng_below(rng, 4), ext = (uint8_t)rng_below(rng, 2);

    rng_fill(rng, pkt, 400);
    pkt[0] = (uint8_t)(0x80 | ext << 4 | cc);
    store_u16(pkt + 2, (uint16_t)index);
    store_u32(pkt + 8, ssrc);
    *hdr = 12 + 4u * cc;
    if (ext) {
        uint16_t words = (uint16_t)rng_below(rng, 5);
        store_u16(pkt + *hdr, 0xbede);
        store_u16(pkt + *hdr + 2, words);
        *hdr += 4 + 4u * words;
    }
    return *hdr + rng_below(rng, 300);
}

TEST(libsrtp_opens_what_we_seal_over_roll_overs)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        struct rng rng = rng_seed(20 + i);
        struct pair p;
        struct oracle o;
        pair_init(&p, profiles[i], 30 + i);
        oracle_init(&o, &p.master, profiles[i], false);
        for (uint64_t index = 65000; index < 300000; index += 1 + rng_below(&rng, 2000)) {
            uint8_t pkt[500], out[500];
            size_t hdr,
                len = random_packet(&rng, 1 + (uint32_t)rng_below(&rng, 1), index, pkt, &hdr);
            int n = srtp_seal_rtp(&p.tx, bytes_of(pkt, hdr), bytes_of(pkt + hdr, len - hdr),
                                  (uint32_t)(index >> 16), out);
            EXPECT(n > 0);
            EXPECT_EQ(srtp_unprotect(o.ctx, out, &n), srtp_err_status_ok);
            EXPECT_BYTES(bytes_of(out, (size_t)n), bytes_of(pkt, len));
            n = srtp_seal_rtcp(&p.tx, bytes_of(pkt, len & ~3u), out);
            EXPECT_EQ(srtp_unprotect_rtcp(o.ctx, out, &n), srtp_err_status_ok);
            EXPECT_BYTES(bytes_of(out, (size_t)n), bytes_of(pkt, len & ~3u));
        }
        srtp_dealloc(o.ctx);
        pair_fini(&p);
    }
}

TEST(we_open_what_libsrtp_seals_with_loss_and_disorder)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        struct rng rng = rng_seed(50 + i);
        struct pair p;
        struct oracle o;
        uint8_t late[500];
        size_t late_len = 0, late_plain = 0;
        pair_init(&p, profiles[i], 60 + i);
        oracle_init(&o, &p.master, profiles[i], true);
        for (uint64_t index = 65400; index < 200000; index += 1 + rng_below(&rng, 40)) {
            uint8_t pkt[500], plain[500];
            size_t hdr, len = random_packet(&rng, 77, index, pkt, &hdr), sealed;
            uint64_t seen = 0;
            int n = (int)len;
            memcpy(plain, pkt, len);
            EXPECT_EQ(srtp_protect(o.ctx, pkt, &n), srtp_err_status_ok);
            sealed = (size_t)n;
            if (late_len == 0 && rng_below(&rng, 4) == 0) {
                memcpy(late, pkt, sealed);
                late_len = sealed;
                late_plain = len;
                continue;
            }
            EXPECT_EQ(srtp_open_rtp(&p.rx, pkt, &sealed, &seen), 0);
            EXPECT_EQ(seen, index);
            EXPECT_BYTES(bytes_of(pkt, sealed), bytes_of(plain, len));
            if (late_len > 0) {
                EXPECT_EQ(srtp_open_rtp(&p.rx, late, &late_len, NULL), 0);
                EXPECT_EQ(late_len, late_plain);
                late_len = 0;
            }
            n = (int)(len & ~3u);
            memcpy(pkt, plain, len);
            EXPECT_EQ(srtp_protect_rtcp(o.ctx, pkt, &n), srtp_err_status_ok);
            sealed = (size_t)n;
            EXPECT_EQ(srtp_open_rtcp(&p.rx, pkt, &sealed), 0);
            EXPECT_BYTES(bytes_of(pkt, sealed), bytes_of(plain, len & ~3u));
        }
        srtp_dealloc(o.ctx);
        pair_fini(&p);
    }
}

FUZZ(srtp_open, in)
{
    static struct pair pair[ARRAY_LEN(profiles)];
    uint8_t copy[2048];

    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        size_t len = size_min(in.len, sizeof copy);
        if (pair[i].tx.profile == SRTP_PROFILE_NONE)
            pair_init(&pair[i], profiles[i], 1);
        memcpy(copy, in.p, len);
        int err = srtp_open_rtp(&pair[i].rx, copy, &len, NULL);
        EXPECT(err < 0 || len < in.len);
        len = size_min(in.len, sizeof copy);
        memcpy(copy, in.p, len);
        err = srtp_open_rtcp(&pair[i].rx, copy, &len);
        EXPECT(err < 0 || len < in.len);
    }
}
