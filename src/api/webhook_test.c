#include "api/webhook.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/test.h"
#include "crypt/hash.h"
#include "crypt/token.h"

#define SECRET "a secret for tests"

static const char *const one_url[] = {"http://hooks.test/a"};
static const char *const two_urls[] = {"http://hooks.test/a", "https://hooks.test/b"};

struct rig {
    struct webhook *w;
    struct tick tick;
    int64_t mem_before;
};

static struct webhook_cfg cfg_of(const char *const *url, uint32_t n)
{
    return (struct webhook_cfg){
        .seed = 3, .url = url, .url_n = n, .key_id = "key", .key_secret = SECRET};
}

static void rig_open(struct rig *r, const struct webhook_cfg *cfg)
{
    r->mem_before = mem_live();
    r->tick = (struct tick){.now = 50 * US_PER_SEC, .wall_off_us = 1700000000 * US_PER_SEC};
    EXPECT_EQ(webhook_open(&r->w, cfg), 0);
}

static void rig_close(struct rig *r)
{
    webhook_free(r->w);
    EXPECT_EQ(mem_live(), r->mem_before);
}

static void tell(struct rig *r, enum fact_kind kind, const char *room)
{
    Livekit__Room about = LIVEKIT__ROOM__INIT;
    Livekit__ParticipantInfo who = LIVEKIT__PARTICIPANT_INFO__INIT;
    Livekit__TrackInfo track = LIVEKIT__TRACK_INFO__INIT;
    struct fact f = {.kind = kind, .room = &about};

    about.sid = (char[]){"RM_x"};
    about.name = (char *)(uintptr_t)room;
    about.empty_timeout = 300;
    who.identity = (char[]){"ann"};
    track.sid = (char[]){"TR_x"};
    if (kind >= FACT_MEMBER_JOINED)
        f.member = &who;
    if (kind >= FACT_TRACK_PUBLISHED)
        f.track = &track;
    webhook_fact(r->w, &f, r->tick);
}

static bool next(struct rig *r, struct ask *out)
{
    webhook_tick(r->w, r->tick.now);
    return webhook_output(r->w, out, r->tick);
}

static void answer(struct rig *r, uint64_t id, int err, int status)
{
    const struct reply in = {.id = id, .err = err, .status = status};

    webhook_answer(r->w, &in, r->tick.now);
}

static void expect_text(struct bytes body, const char *key, const char *want)
{
    struct json_doc doc;
    struct bytes text = {0};

    EXPECT_EQ(json_parse(&doc, body, 1 << 20), 0);
    EXPECT(json_to_text(json_member(doc.root, key), &text));
    EXPECT(bytes_eq_str(text, want));
    json_close(&doc);
}

static bool has(struct bytes body, const char *text)
{
    return memmem(body.p, body.len, text, strlen(text)) != NULL;
}

static int64_t number_of(struct bytes body, const char *key)
{
    struct json_doc doc;
    int64_t n = 0;

    EXPECT_EQ(json_parse(&doc, body, 1 << 20), 0);
    (void)json_to_i64(json_member(doc.root, key), &n); /* absent: 0 */
    json_close(&doc);
    return n;
}

static void expect_event(struct rig *r, const char *event, struct ask *out)
{
    EXPECT(next(r, out));
    expect_text(out->body, "event", event);
}

static void expect_signed(const struct rig *r, const struct ask *a)
{
    uint8_t digest[HASH_SHA256_BYTES];
    struct token_claims *claims = NULL;
    struct arena arena;
    struct str sum;

    arena_init(&arena, TOKEN_ARENA_BYTES);
    EXPECT_STR(a->header[0].name, "Authorization");
    EXPECT_EQ(token_verify(bytes_str(a->header[0].value), bytes_str(SECRET),
                           (r->tick.now + r->tick.wall_off_us) / US_PER_SEC, &arena, &claims),
              0);
    hash_sha256(a->body, digest);
    str_init(&sum, 100);
    str_add_base64(&sum, bytes_of(digest, sizeof digest), false, true);
    EXPECT_STR(claims->sha256, str_text(&sum));
    EXPECT_STR(claims->issuer, "key");
    EXPECT(!claims->has_video);
    EXPECT_EQ(claims->expires_s - claims->not_before_s, WEBHOOK_TOKEN_S);
    str_fini(&sum);
    arena_fini(&arena);
}

TEST(a_hook_is_a_signed_post_of_camel_case_json)
{
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct ask a;
    struct rig r;

    rig_open(&r, &cfg);
    EXPECT(!webhook_busy(r.w));
    tell(&r, FACT_ROOM_STARTED, "demo");
    EXPECT(webhook_busy(r.w));
    EXPECT_EQ(webhook_deadline(r.w), 0);
    expect_event(&r, "room_started", &a);
    EXPECT_STR(a.method, "POST");
    EXPECT_STR(a.url, one_url[0]);
    EXPECT_EQ(a.timeout_us, WEBHOOK_TIMEOUT_US);
    EXPECT_STR(a.header[1].value, "application/webhook+json");
    EXPECT_STR(a.header[2].value, "LiveKit");
    expect_signed(&r, &a);
    expect_text(a.body, "createdAt", "1700000050");
    EXPECT(has(a.body, "\"emptyTimeout\":300"));
    EXPECT(webhook_busy(r.w));
    answer(&r, a.id, 0, 200);
    EXPECT(!webhook_busy(r.w));
    EXPECT(!next(&r, &a));
    EXPECT_EQ(webhook_deadline(r.w), US_NEVER);
    rig_close(&r);
}

TEST(events_of_one_room_go_one_after_the_other_and_rooms_side_by_side)
{
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct ask a, b, none;
    struct rig r;

    rig_open(&r, &cfg);
    tell(&r, FACT_ROOM_STARTED, "one");
    tell(&r, FACT_MEMBER_JOINED, "one");
    tell(&r, FACT_ROOM_STARTED, "two");
    expect_event(&r, "room_started", &a);
    expect_event(&r, "room_started", &b);
    EXPECT(!next(&r, &none));
    answer(&r, b.id, 0, 200);
    EXPECT(!next(&r, &none));
    answer(&r, a.id, 0, 200);
    expect_event(&r, "participant_joined", &a);
    answer(&r, a.id, 0, 200);
    EXPECT(!next(&r, &none));
    rig_close(&r);
}

TEST(each_url_has_queues_of_its_own)
{
    struct webhook_cfg cfg = cfg_of(two_urls, 2);
    struct ask a, b;
    struct rig r;

    rig_open(&r, &cfg);
    tell(&r, FACT_ROOM_STARTED, "demo");
    tell(&r, FACT_ROOM_FINISHED, "demo");
    expect_event(&r, "room_started", &a);
    EXPECT_STR(a.url, two_urls[0]);
    expect_event(&r, "room_started", &b);
    EXPECT_STR(b.url, two_urls[1]);
    answer(&r, b.id, 0, 204);
    expect_event(&r, "room_finished", &b);
    EXPECT_STR(b.url, two_urls[1]);
    answer(&r, b.id, 0, 200);
    answer(&r, a.id, 0, 200);
    expect_event(&r, "room_finished", &a);
    EXPECT_STR(a.url, two_urls[0]);
    rig_close(&r);
}

TEST(a_failing_receiver_is_tried_five_times_with_doubled_waits)
{
    static const struct {
        int err, status;
    } bad[] = {{0, 500}, {-ECONNREFUSED, 0}, {0, 429}, {E_TIMEOUT, 0}, {0, 503}};
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct webhook_trouble t;
    struct ask a;
    struct rig r;

    rig_open(&r, &cfg);
    tell(&r, FACT_ROOM_STARTED, "demo");
    tell(&r, FACT_MEMBER_JOINED, "demo");
    for (int i = 0; i < 5; i++) {
        expect_event(&r, "room_started", &a);
        expect_signed(&r, &a);
        answer(&r, a.id, bad[i].err, bad[i].status);
        if (i == 4)
            break;
        EXPECT(!webhook_busy(r.w)); /* a stop does not wait for it */
        us_t due = r.tick.now + (us_t)(1 << i) * US_PER_SEC;
        EXPECT_EQ(webhook_deadline(r.w), due);
        r.tick.now = due - 1;
        EXPECT(!next(&r, &a));
        r.tick.now = due;
    }
    EXPECT(webhook_trouble(r.w, &t));
    EXPECT_EQ(t.kind, WEBHOOK_FAILED);
    EXPECT_STR(t.event, "room_started");
    EXPECT_EQ(t.status, 503);
    EXPECT(!webhook_trouble(r.w, &t));
    expect_event(&r, "participant_joined", &a);
    EXPECT_EQ(number_of(a.body, "numDropped"), 1);
    expect_signed(&r, &a);
    answer(&r, a.id, 0, 500); /* the count stays with the event */
    r.tick.now += US_PER_SEC;
    expect_event(&r, "participant_joined", &a);
    EXPECT_EQ(number_of(a.body, "numDropped"), 1);
    answer(&r, a.id, 0, 200);
    tell(&r, FACT_ROOM_FINISHED, "demo");
    expect_event(&r, "room_finished", &a);
    EXPECT_EQ(number_of(a.body, "numDropped"), 0);
    rig_close(&r);
}

TEST(a_refusal_that_will_not_change_is_not_tried_again)
{
    static const struct {
        int err, status;
    } final[] = {{0, 400}, {0, 404}, {0, 501}, {E_AUTH, 0}};
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct ask a;
    struct rig r;

    rig_open(&r, &cfg);
    for (size_t i = 0; i < ARRAY_LEN(final); i++) {
        tell(&r, FACT_ROOM_STARTED, "demo");
        expect_event(&r, "room_started", &a);
        answer(&r, a.id, final[i].err, final[i].status);
        EXPECT(!next(&r, &a));
        EXPECT_EQ(webhook_deadline(r.w), US_NEVER);
    }
    rig_close(&r);
}

TEST(the_wait_that_a_receiver_asks_for_is_kept_up_to_half_a_minute)
{
    static const struct {
        us_t asked, waited;
    } row[] = {{7 * US_PER_SEC, 7 * US_PER_SEC}, {600 * US_PER_SEC, 30 * US_PER_SEC}};
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct ask a;
    struct rig r;

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        rig_open(&r, &cfg);
        tell(&r, FACT_ROOM_STARTED, "demo");
        expect_event(&r, "room_started", &a);
        const struct reply in = {.id = a.id, .status = 503, .retry_after_us = row[i].asked};
        webhook_answer(r.w, &in, r.tick.now);
        EXPECT_EQ(webhook_deadline(r.w), r.tick.now + row[i].waited);
        rig_close(&r);
    }
}

TEST(events_beyond_the_depth_are_dropped_and_told)
{
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct webhook_trouble t;
    struct ask a;
    struct rig r;

    rig_open(&r, &cfg);
    tell(&r, FACT_ROOM_STARTED, "demo");
    expect_event(&r, "room_started", &a);
    for (int i = 0; i < WEBHOOK_DEPTH_DEFAULT + 3; i++)
        tell(&r, FACT_MEMBER_JOINED, "demo");
    for (int i = 0; i < 3; i++) {
        EXPECT(webhook_trouble(r.w, &t));
        EXPECT_EQ(t.kind, WEBHOOK_FULL);
    }
    EXPECT(!webhook_trouble(r.w, &t));
    answer(&r, a.id, 0, 200);
    for (int i = 0; i < WEBHOOK_DEPTH_DEFAULT; i++) {
        expect_event(&r, "participant_joined", &a);
        EXPECT_EQ(number_of(a.body, "numDropped"), i == 0 ? 3 : 0);
        answer(&r, a.id, 0, 200);
    }
    EXPECT(!next(&r, &a));
    rig_close(&r);
}

TEST(events_that_waited_half_a_minute_are_dropped_when_their_turn_comes)
{
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct webhook_trouble t;
    struct ask a;
    struct rig r;

    rig_open(&r, &cfg);
    tell(&r, FACT_ROOM_STARTED, "demo");
    expect_event(&r, "room_started", &a);
    tell(&r, FACT_MEMBER_JOINED, "demo");
    r.tick.now += WEBHOOK_AGE_DEFAULT_US;
    tell(&r, FACT_MEMBER_LEFT, "demo");
    r.tick.now += 1;
    answer(&r, a.id, 0, 200);
    expect_event(&r, "participant_left", &a);
    EXPECT_EQ(number_of(a.body, "numDropped"), 1);
    EXPECT(webhook_trouble(r.w, &t));
    EXPECT_EQ(t.kind, WEBHOOK_AGED);
    EXPECT_STR(t.event, "participant_joined");
    rig_close(&r);
}

TEST(requests_to_one_url_are_bounded_and_the_rest_waits)
{
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    char room[16];
    struct ask a;
    struct rig r;

    rig_open(&r, &cfg);
    for (int i = 0; i < WEBHOOK_FLIGHTS_MAX + 5; i++) {
        (void)snprintf(room, sizeof room, "room%d", i);
        tell(&r, FACT_ROOM_STARTED, room);
    }
    for (int i = 0; i < WEBHOOK_FLIGHTS_MAX; i++)
        EXPECT(next(&r, &a));
    uint64_t last = a.id;
    EXPECT(!next(&r, &a));
    EXPECT_EQ(webhook_deadline(r.w), US_NEVER);
    answer(&r, last, 0, 200);
    EXPECT(next(&r, &a));
    EXPECT(!next(&r, &a));
    rig_close(&r);
}

TEST(filters_choose_the_events_and_what_is_included_comes_first)
{
    static const char *const include[] = {"room_started"};
    static const char *const exclude[] = {"room_started", "participant_joined"};
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct ask a;
    struct rig r;

    cfg.exclude = exclude;
    cfg.exclude_n = 2;
    rig_open(&r, &cfg);
    tell(&r, FACT_ROOM_STARTED, "demo");
    tell(&r, FACT_MEMBER_JOINED, "demo");
    tell(&r, FACT_MEMBER_LEFT, "demo");
    expect_event(&r, "participant_left", &a);
    answer(&r, a.id, 0, 200);
    EXPECT(!next(&r, &a));
    rig_close(&r);
    cfg.include = include;
    cfg.include_n = 1;
    rig_open(&r, &cfg);
    tell(&r, FACT_MEMBER_LEFT, "demo");
    tell(&r, FACT_ROOM_STARTED, "demo");
    expect_event(&r, "room_started", &a);
    answer(&r, a.id, 0, 200);
    EXPECT(!next(&r, &a));
    rig_close(&r);
}

TEST(events_of_tracks_bring_the_whole_room_only_when_asked)
{
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct ask a;
    struct rig r;

    for (int full = 0; full < 2; full++) {
        cfg.full_room = full == 1;
        rig_open(&r, &cfg);
        tell(&r, FACT_TRACK_PUBLISHED, "demo");
        expect_event(&r, "track_published", &a);
        EXPECT(has(a.body, "emptyTimeout") == cfg.full_room);
        EXPECT(has(a.body, "\"sid\":\"TR_x\""));
        rig_close(&r);
    }
}

TEST(events_of_an_ingress_go_by_its_id_and_without_its_key)
{
    Livekit__IngressInfo info = LIVEKIT__INGRESS_INFO__INIT;
    struct webhook_cfg cfg = cfg_of(one_url, 1);
    struct ask a;
    struct rig r;

    info.ingress_id = (char[]){"IN_x"};
    info.stream_key = (char[]){"the-key-of-it"};
    info.room_name = (char[]){"live"};
    rig_open(&r, &cfg);
    webhook_ingress(r.w, true, &info, r.tick);
    webhook_ingress(r.w, false, &info, r.tick);
    expect_event(&r, "ingress_started", &a);
    EXPECT(has(a.body, "\"ingressId\":\"IN_x\""));
    EXPECT(has(a.body, "\"room\":{\"name\":\"live\"}"));
    EXPECT(!has(a.body, "the-key"));
    EXPECT_STR(info.stream_key, "the-key-of-it");
    answer(&r, a.id, 0, 200);
    expect_event(&r, "ingress_ended", &a);
    rig_close(&r);
}

TEST(what_never_became_a_fact_is_told_as_dropped)
{
    struct webhook_cfg cfg = cfg_of(two_urls, 2);
    struct ask a;
    struct rig r;

    rig_open(&r, &cfg);
    webhook_lost(r.w, 4);
    tell(&r, FACT_ROOM_STARTED, "demo");
    for (int i = 0; i < 2; i++) {
        expect_event(&r, "room_started", &a);
        EXPECT_EQ(number_of(a.body, "numDropped"), 4);
    }
    rig_close(&r);
}

TEST(urls_that_are_not_http_and_urls_without_a_key_are_refused)
{
    static const char *const bad[] = {"file:///etc/passwd"};
    struct webhook_cfg cfg = cfg_of(bad, 1);
    struct webhook *w = NULL;

    EXPECT_EQ(webhook_open(&w, &cfg), E_INVAL);
    cfg = cfg_of(one_url, 1);
    cfg.key_secret = NULL;
    EXPECT_EQ(webhook_open(&w, &cfg), E_INVAL);
    EXPECT(w == NULL);
}

/* One life of a room with each allocation refused in turn: what arrives is in order, and what does
 * not was counted. */
static bool life_with_refusal(uint64_t nth)
{
    static const enum fact_kind kinds[] = {FACT_ROOM_STARTED, FACT_MEMBER_JOINED, FACT_MEMBER_LEFT,
                                           FACT_ROOM_FINISHED};
    struct webhook_cfg cfg = cfg_of(two_urls, 2);
    uint64_t made = mem_made();
    int64_t told = 0;
    struct ask a;
    struct rig r;
    struct webhook_trouble t;

    mem_refuse_nth(0);
    rig_open(&r, &cfg);
    mem_refuse_nth(nth);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        tell(&r, kinds[i], "demo");
    for (int rounds = 0; rounds < 100; rounds++) {
        while (next(&r, &a)) {
            told += 1;
            answer(&r, a.id, 0, 200);
        }
        if (webhook_deadline(r.w) == US_NEVER)
            break;
        r.tick.now = us_max(r.tick.now, webhook_deadline(r.w));
    }
    bool refused = mem_made() - made >= nth;
    mem_refuse_nth(0);
    int64_t lost = 0;
    while (webhook_trouble(r.w, &t))
        lost++;
    EXPECT_EQ(told + lost, 2 * (int64_t)ARRAY_LEN(kinds));
    EXPECT(!webhook_busy(r.w));
    rig_close(&r);
    return refused || lost > 0;
}

TEST(each_refused_allocation_loses_at_most_what_is_counted)
{
    for (uint64_t nth = 1; nth < 400; nth++)
        (void)life_with_refusal(nth);
}

static void fuzz_answer(struct rig *r, uint64_t *open, uint32_t *open_n, uint8_t dice)
{
    static const int status[] = {200, 204, 302, 400, 429, 500, 501, 503};
    if (*open_n == 0)
        return;
    uint32_t k = dice % *open_n;
    const struct reply in = {.id = open[k],
                             .err = dice & 64 ? E_TIMEOUT : 0,
                             .status = dice & 64 ? 0 : status[dice & 7],
                             .retry_after_us = dice & 32 ? dice * US_PER_SEC : 0};
    open[k] = open[--*open_n];
    webhook_answer(r->w, &in, r->tick.now);
}

/* Each byte is a move: something happens, time passes, an answer comes. */
FUZZ(webhook, in)
{
    static const char *const rooms[] = {"a", "b", "c"};
    struct webhook_cfg cfg = cfg_of(two_urls, 2);
    uint64_t open[2 * WEBHOOK_FLIGHTS_MAX];
    uint32_t open_n = 0;
    struct webhook_trouble t;
    struct ask a;
    struct rig r;

    cfg.depth_max = 4;
    rig_open(&r, &cfg);
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.p[i];
        if (c < 100)
            tell(&r, (enum fact_kind)(c % 7), rooms[c % 3]);
        else if (c < 130)
            r.tick.now += (c - 99) * US_PER_SEC;
        else
            fuzz_answer(&r, open, &open_n, c);
        while (next(&r, &a)) {
            EXPECT(open_n < ARRAY_LEN(open));
            EXPECT(a.body.len > 0 && a.body.p[a.body.len - 1] == '}');
            open[open_n++] = a.id;
        }
        EXPECT(webhook_deadline(r.w) > r.tick.now); /* what is ready has gone out */
        while (webhook_trouble(r.w, &t))
            EXPECT(t.url < 2);
    }
    rig_close(&r);
}
