#include "rtc/ice.h"

#include "base/err.h"
#include "base/test.h"
#include "crypt/hash.h"

static const struct ice_cred server_cred = {"srvufrag", "server-password-of-24-ch"};
static const struct ice_cred server_cred2 = {"srvufrg2", "server-password-number-2"};
static const struct ice_cred client_cred = {"cliufrag", "client-password-of-24-ch"};
static const struct ice_cred client_cred2 = {"cliufrg2", "client-password-number-2"};

struct duo {
    struct ice server, client;
    struct addr server_addr, client_addr, seen_as; /* seen_as: what a NAT makes of the client */
    bool cut;
    us_t now;
    unsigned server_paths, client_paths;
    enum ice_state server_state, client_state;
};

static void duo_open(struct duo *d, bool server_full)
{
    static const uint8_t s[4] = {192, 0, 2, 1}, c[4] = {198, 51, 100, 7};

    *d = (struct duo){.now = US_PER_SEC};
    addr_set_ip4(&d->server_addr, s, 7882);
    addr_set_ip4(&d->client_addr, c, 50000);
    d->seen_as = d->client_addr;
    EXPECT_EQ(ice_init(&d->server, &(struct ice_cfg){.mode = server_full ? ICE_FULL : ICE_LITE,
                                                     .controlling = server_full,
                                                     .local = server_cred,
                                                     .seed = 1}),
              0);
    EXPECT_EQ(ice_init(&d->client,
                       &(struct ice_cfg){
                           .mode = ICE_FULL, .controlling = true, .local = client_cred, .seed = 2}),
              0);
    ice_set_remote(&d->server, &client_cred, d->now);
    ice_set_remote(&d->client, &server_cred, d->now);
    ice_add_local(&d->client, &d->client_addr);
    ice_add_remote(&d->client, &d->server_addr, 2130706431);
}

static void duo_close(struct duo *d)
{
    ice_fini(&d->server);
    ice_fini(&d->client);
    EXPECT_EQ(mem_live(), 0);
}

static void events(struct ice *ice, enum ice_state *state, unsigned *paths)
{
    struct ice_event ev;

    while (ice_event(ice, &ev)) {
        *state = ev.state;
        *paths += ev.kind == ICE_EVT_PATH;
    }
}

static bool shuttle(struct duo *d)
{
    uint8_t buf[STUN_MESSAGE_MAX];
    struct path path;
    struct wr w = wr_of(buf, sizeof buf);
    bool any = false;

    while (ice_output(&d->client, &path, &w)) {
        struct path at = {.local = path.remote, .remote = d->seen_as};
        any = true;
        if (!d->cut && addr_eq(&path.remote, &d->server_addr))
            (void)ice_input(&d->server, &at, wr_done(&w), d->now);
        w = wr_of(buf, sizeof buf);
    }
    while (ice_output(&d->server, &path, &w)) {
        struct path at = {.local = d->client_addr, .remote = path.local};
        any = true;
        if (!d->cut && addr_eq(&path.remote, &d->seen_as))
            (void)ice_input(&d->client, &at, wr_done(&w), d->now);
        w = wr_of(buf, sizeof buf);
    }
    return any;
}

static void run_until(struct duo *d, us_t end)
{
    for (;;) {
        while (shuttle(d))
            ;
        events(&d->server, &d->server_state, &d->server_paths);
        events(&d->client, &d->client_state, &d->client_paths);
        us_t at = us_min(ice_deadline(&d->server), ice_deadline(&d->client));
        if (at >= end)
            break;
        d->now = us_max(d->now, at);
        ice_tick(&d->server, d->now);
        ice_tick(&d->client, d->now);
    }
    d->now = end;
}

static void expect_connected(struct duo *d)
{
    EXPECT_EQ(d->server.state, ICE_CONNECTED);
    EXPECT_EQ(d->client.state, ICE_CONNECTED);
    EXPECT(addr_eq(&ice_selected(&d->server)->remote, &d->seen_as));
    EXPECT(addr_eq(&ice_selected(&d->client)->remote, &d->server_addr));
}

TEST(lite_server_and_controlling_client_select_one_pair_at_once)
{
    struct duo d;

    duo_open(&d, false);
    EXPECT_EQ(ice_deadline(&d.server), d.now + ICE_CHECKING_US);
    run_until(&d, d.now + 200 * US_PER_MS);
    expect_connected(&d);
    EXPECT_EQ(d.server_paths, 1);
    EXPECT_EQ(d.client_paths, 1);
    run_until(&d, d.now + 120 * US_PER_SEC);
    expect_connected(&d);
    EXPECT_EQ(d.server_paths, 1);
    duo_close(&d);
}

TEST(two_full_agents_that_both_want_to_lead_settle_it)
{
    struct duo d;

    duo_open(&d, true);
    ice_add_local(&d.server, &d.server_addr);
    ice_add_remote(&d.server, &d.client_addr, 2130706431);
    run_until(&d, d.now + 2 * US_PER_SEC);
    expect_connected(&d);
    EXPECT(d.server.controlling != d.client.controlling);
    duo_close(&d);
}

TEST(a_controlled_client_learns_from_a_lite_server_to_lead)
{
    struct duo d;

    duo_open(&d, false);
    d.client.controlling = false;
    checklist_set_role(d.client.list, false);
    run_until(&d, d.now + US_PER_SEC);
    expect_connected(&d);
    EXPECT(d.client.controlling);
    duo_close(&d);
}

TEST(silence_disconnects_at_ten_and_fails_at_thirty_five_seconds)
{
    struct duo d;

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    us_t heard = d.server.heard_at;
    d.cut = true;
    run_until(&d, heard + ICE_DISCONNECTED_US + 1);
    EXPECT_EQ(d.server.state, ICE_DISCONNECTED);
    run_until(&d, heard + ICE_FAILED_US);
    EXPECT_EQ(d.server.state, ICE_DISCONNECTED);
    run_until(&d, heard + ICE_FAILED_US + 1);
    EXPECT_EQ(d.server.state, ICE_FAILED);
    EXPECT_EQ(d.client.state, ICE_FAILED); /* consent went at 30 s */
    EXPECT(ice_selected(&d.client) == NULL);
    EXPECT_EQ(ice_deadline(&d.client), US_NEVER);
    EXPECT_EQ(ice_deadline(&d.server), US_NEVER);
    duo_close(&d);
}

TEST(twenty_seconds_of_silence_heal_within_a_second)
{
    struct duo d;

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    d.cut = true;
    run_until(&d, d.now + 20 * US_PER_SEC);
    EXPECT_EQ(d.server.state, ICE_DISCONNECTED);
    EXPECT_EQ(d.client.state, ICE_DISCONNECTED);
    d.cut = false;
    run_until(&d, d.now + US_PER_SEC);
    expect_connected(&d);
    duo_close(&d);
}

TEST(new_address_of_the_client_is_followed_within_two_seconds)
{
    struct duo d;

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    d.seen_as.port = 61000;
    run_until(&d, d.now + 2 * US_PER_SEC);
    expect_connected(&d);
    EXPECT_EQ(d.server_paths, 2);
    duo_close(&d);
}

TEST(restart_in_either_order_keeps_the_pair_until_the_new_one_is_nominated)
{
    for (int order = 0; order < 2; order++) {
        struct duo d;

        duo_open(&d, false);
        run_until(&d, d.now + US_PER_SEC);
        if (order == 0) { /* the client offers */
            ice_restart(&d.client, &client_cred2, d.now);
            run_until(&d, d.now + 3 * US_PER_SEC); /* a slow answer: the old pair lives */
            expect_connected(&d);
            ice_set_remote(&d.server, &client_cred2, d.now);
            ice_restart(&d.server, &server_cred2, d.now);
        } else { /* the server offers */
            ice_restart(&d.server, &server_cred2, d.now);
            run_until(&d, d.now + 3 * US_PER_SEC);
            expect_connected(&d);
            ice_restart(&d.client, &client_cred2, d.now);
        }
        run_until(&d, d.now + 12 * US_PER_SEC);
        expect_connected(&d);
        if (order == 1)
            ice_set_remote(&d.server, &client_cred2, d.now);
        ice_set_remote(&d.client, &server_cred2, d.now);
        ice_add_remote(&d.client, &d.server_addr, 2130706431);
        run_until(&d, d.now + US_PER_SEC);
        expect_connected(&d);
        EXPECT(!d.client.selected_old_remote && !d.server.selected_old_local);
        EXPECT_STR(d.server.local_old.ufrag, "");
        run_until(&d, d.now + 60 * US_PER_SEC);
        expect_connected(&d);
        duo_close(&d);
    }
}

TEST(restart_revives_what_had_failed)
{
    struct duo d;

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    d.cut = true;
    run_until(&d, d.now + 60 * US_PER_SEC);
    EXPECT_EQ(d.client.state, ICE_FAILED);
    d.cut = false;
    ice_restart(&d.client, &client_cred2, d.now);
    ice_set_remote(&d.server, &client_cred2, d.now);
    ice_restart(&d.server, &server_cred2, d.now);
    ice_set_remote(&d.client, &server_cred2, d.now);
    ice_add_remote(&d.client, &d.server_addr, 2130706431);
    run_until(&d, d.now + US_PER_SEC);
    expect_connected(&d);
    duo_close(&d);
}

TEST(unreachable_server_fails_after_the_ceiling)
{
    struct duo d;

    duo_open(&d, false);
    d.cut = true;
    us_t begun = d.now;
    run_until(&d, begun + ICE_CHECKING_US + 1);
    EXPECT_EQ(d.client.state, ICE_FAILED);
    EXPECT_EQ(d.server.state, ICE_FAILED);
    duo_close(&d);
}

/* --- hostile requests --- */

struct request {
    const char *username, *pwd;
    bool use_candidate, no_fingerprint, no_integrity, flip_integrity, flip_fingerprint, controlled;
    uint16_t extra; /* an attribute that nobody knows */
    uint8_t tid;
};

static struct bytes make_request(uint8_t buf[STUN_MESSAGE_MAX], const struct request *r)
{
    struct wr w = wr_of(buf, STUN_MESSAGE_MAX);
    struct stun_tid tid = {{r->tid, 1, 2, 3}};
    struct bytes span;

    stun_begin(&w, STUN_REQUEST, STUN_BINDING, &tid);
    if (r->username != NULL)
        stun_add_bytes(&w, STUN_USERNAME, bytes_str(r->username));
    stun_add_u64(&w, r->controlled ? STUN_ICE_CONTROLLED : STUN_ICE_CONTROLLING, 5);
    if (r->use_candidate)
        stun_add_flag(&w, STUN_USE_CANDIDATE);
    if (r->extra != 0)
        stun_add_u32(&w, r->extra, 1);
    if (!r->no_integrity) {
        uint8_t *tag = stun_add_integrity(&w, &span);
        hash_hmac_sha1(bytes_str(r->pwd), span, tag);
        tag[3] ^= r->flip_integrity;
    }
    if (!r->no_fingerprint)
        stun_add_fingerprint(&w);
    EXPECT_EQ(stun_end(&w), 0);
    if (r->flip_fingerprint)
        buf[wr_len(&w) - 1] ^= 1;
    return wr_done(&w);
}

TEST(forged_requests_change_nothing_and_are_not_answered)
{
    static const char *good = "srvufrag:cliufrag", *pwd = "server-password-of-24-ch";
    const struct request bad[] = {
        {.username = "srvufrax:cliufrag", .pwd = pwd},
        {.username = "srvufrag:cliufrax", .pwd = pwd},
        {.username = "srvufrag", .pwd = pwd},
        {.username = "", .pwd = pwd},
        {.username = NULL, .pwd = pwd},
        {.username = "cliufrag:srvufrag", .pwd = "client-password-of-24-ch"},
        {.username = good, .pwd = "client-password-of-24-ch"},
        {.username = good, .pwd = ""},
        {.username = good, .pwd = pwd, .no_integrity = true},
        {.username = good, .pwd = pwd, .flip_integrity = true},
        {.username = good, .pwd = pwd, .no_fingerprint = true},
        {.username = good, .pwd = pwd, .flip_fingerprint = true},
    };
    struct duo d;
    uint8_t buf[STUN_MESSAGE_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    struct path path, from;

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    from = *ice_selected(&d.server);
    from.remote.port = 6666;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct request r = bad[i];
        r.use_candidate = true;
        EXPECT(ice_input(&d.server, &from, make_request(buf, &r), d.now) < 0);
        EXPECT(!ice_output(&d.server, &path, &w));
        EXPECT(!ice_proven(&d.server, &from));
        EXPECT_EQ(d.server.heard_at > d.now, 0);
    }
    expect_connected(&d);
    EXPECT_EQ(d.server.stats.drop_unauthenticated + d.server.stats.drop_malformed, ARRAY_LEN(bad));
    duo_close(&d);
}

TEST(a_replayed_nomination_from_elsewhere_moves_nothing)
{
    const struct request r = {
        .username = "srvufrag:cliufrag",
        .pwd = server_cred.pwd,
        .use_candidate = true,
        .tid = 9,
    };
    struct duo d;
    uint8_t buf[STUN_MESSAGE_MAX];
    struct path home, thief;

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    home = thief = *ice_selected(&d.server);
    thief.remote.port = 6666;
    EXPECT_EQ(ice_input(&d.server, &home, make_request(buf, &r), d.now), 0);
    EXPECT_EQ(ice_input(&d.server, &thief, make_request(buf, &r), d.now), E_REPLAY);
    EXPECT(path_eq(ice_selected(&d.server), &home));
    EXPECT(!ice_proven(&d.server, &thief));
    duo_close(&d);
}

TEST(a_late_nomination_of_the_path_just_left_does_not_move_back)
{
    struct request r = {
        .username = "srvufrag:cliufrag",
        .pwd = server_cred.pwd,
        .use_candidate = true,
    };
    struct duo d;
    uint8_t buf[STUN_MESSAGE_MAX];
    struct path old, new;

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    old = new = *ice_selected(&d.server);
    new.remote.port = 7777;
    r.tid = 1;
    EXPECT_EQ(ice_input(&d.server, &new, make_request(buf, &r), d.now), 0);
    EXPECT(path_eq(ice_selected(&d.server), &new));
    r.tid = 2;
    EXPECT_EQ(ice_input(&d.server, &old, make_request(buf, &r), d.now + 100000), 0);
    EXPECT(path_eq(ice_selected(&d.server), &new));
    r.tid = 3;
    EXPECT_EQ(ice_input(&d.server, &old, make_request(buf, &r), d.now + ICE_FLAP_US), 0);
    EXPECT(path_eq(ice_selected(&d.server), &old));
    duo_close(&d);
}

TEST(lite_answers_unknown_attributes_and_contradicting_roles_with_errors)
{
    struct request r = {.username = "srvufrag:cliufrag", .pwd = server_cred.pwd};
    struct duo d;
    uint8_t buf[STUN_MESSAGE_MAX], out[STUN_MESSAGE_MAX];
    struct wr w = wr_of(out, sizeof out);
    struct path path, from;
    struct stun_msg m;

    duo_open(&d, false);
    from = (struct path){.local = d.server_addr, .remote = d.client_addr};
    r.extra = 0x7abc;
    EXPECT_EQ(ice_input(&d.server, &from, make_request(buf, &r), d.now), 0);
    EXPECT(ice_output(&d.server, &path, &w));
    EXPECT_EQ(stun_parse(&m, wr_done(&w)), 0);
    EXPECT_EQ(m.error_code, 420);
    r = (struct request){.username = r.username, .pwd = r.pwd, .controlled = true, .tid = 1};
    EXPECT_EQ(ice_input(&d.server, &from, make_request(buf, &r), d.now), 0);
    w = wr_of(out, sizeof out);
    EXPECT(ice_output(&d.server, &path, &w));
    EXPECT_EQ(stun_parse(&m, wr_done(&w)), 0);
    EXPECT_EQ(m.error_code, 487);
    EXPECT_EQ(d.server.state, ICE_NEW);
    duo_close(&d);
}

TEST(ordinary_checks_from_another_address_do_not_move_the_pair)
{
    struct request r = {.username = "srvufrag:cliufrag", .pwd = server_cred.pwd};
    struct duo d;
    uint8_t buf[STUN_MESSAGE_MAX];
    struct path home, other;

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    home = other = *ice_selected(&d.server);
    for (uint8_t i = 0; i < 3 * ICE_PATHS_MAX; i++) {
        other.remote.port = (uint16_t)(1000 + i);
        r.tid = i;
        EXPECT_EQ(ice_input(&d.server, &other, make_request(buf, &r), d.now + i), 0);
        EXPECT(ice_proven(&d.server, &other));
        EXPECT(ice_proven(&d.server, &home)); /* the selected one is never forgotten */
    }
    EXPECT(path_eq(ice_selected(&d.server), &home));
    duo_close(&d);
}

/* Bytes as datagrams, and as an edit of a good request, into both halves: nothing moves. */
FUZZ(ice, in)
{
    struct duo d;
    uint8_t buf[STUN_MESSAGE_MAX], good[STUN_MESSAGE_MAX];
    const struct request r = {
        .username = "srvufrag:cliufrag",
        .pwd = server_cred.pwd,
        .use_candidate = true,
    };

    duo_open(&d, false);
    run_until(&d, d.now + US_PER_SEC);
    struct path home = *ice_selected(&d.server), from = home;
    struct path at_client = *ice_selected(&d.client);
    from.remote.port = 4242;
    (void)ice_input(&d.server, &from, in, d.now);
    (void)ice_input(&d.client, &at_client, in, d.now);
    struct bytes req = make_request(buf, &r), whole = make_request(good, &r);
    for (size_t i = 0; i + 1 < in.len; i += 2)
        buf[in.p[i] % req.len] ^= in.p[i + 1];
    if (!bytes_eq(req, whole)) {
        (void)ice_input(&d.server, &from, req, d.now);
        EXPECT(path_eq(ice_selected(&d.server), &home));
        EXPECT(!ice_proven(&d.server, &from));
    }
    run_until(&d, d.now + 3 * US_PER_SEC);
    expect_connected(&d);
    duo_close(&d);
}
