#include "base/err.h"
#include "base/test.h"
#include "bus/frame.h"
#include "bus/local.h"
#include "bus/methods.h"
#include "bus/psrpc_recorded.h"

#include "google/protobuf/empty.pb-c.h"
#include "psrpc.pb-c.h"

enum { PEERS = 3 };

/* Machines on one hub; what each was told last. */
struct rig {
    struct local_hub *hub;
    struct psrpc *p[PEERS];
    uint32_t client[PEERS];
    struct tick tick;
    uint32_t event_n[PEERS];
    struct psrpc_event last[PEERS];
    char text[PEERS][256];   /* of a failure */
    char stream_key[64];     /* of the last GetIngressInfo */
    char answer_key[64];     /* of the last answer to it */
    uint32_t answers[PEERS]; /* ANSWER events seen */
    uint32_t published;
    char last_channel[BUS_CHANNEL_MAX];
};

static void rig_open(struct rig *r)
{
    *r = (struct rig){.tick = {.now = 1000, .wall_off_us = 1700000000000000}};
    EXPECT_EQ(local_hub_open(&r->hub, 1), 0);
    for (int i = 0; i < PEERS; i++) {
        EXPECT_EQ(psrpc_open(&r->p[i], 100 + (uint64_t)i), 0);
        r->client[i] = local_hub_join(r->hub, false);
        EXPECT(r->client[i] != 0);
    }
}

static void rig_close(struct rig *r)
{
    for (int i = 0; i < PEERS; i++)
        psrpc_free(r->p[i]);
    local_hub_free(r->hub);
}

static void note_event(struct rig *r, int i, const struct psrpc_event *ev)
{
    r->last[i] = *ev;
    r->event_n[i]++;
    (void)str_copy(r->text[i], sizeof r->text[i], bytes_str(ev->text));
    if (ev->kind == PSRPC_EVT_ANSWER)
        r->answers[i]++;
    if (ev->message == NULL)
        return;
    if (ev->method == &methods[METHOD_GET_INGRESS_INFO] && ev->kind == PSRPC_EVT_CALL) {
        const Rpc__GetIngressInfoRequest *q = ev->message;
        (void)str_copy(r->stream_key, sizeof r->stream_key, bytes_str(q->stream_key));
    } else if (ev->method == &methods[METHOD_GET_INGRESS_INFO]) {
        const Rpc__GetIngressInfoResponse *a = ev->message;
        (void)str_copy(r->answer_key, sizeof r->answer_key, bytes_str(a->info->stream_key));
    }
}

/* Moves everything until nothing moves. */
static void pump(struct rig *r)
{
    bool moved = true;

    while (moved) {
        struct local_out out;
        moved = false;
        for (int i = 0; i < PEERS; i++) {
            struct bus_op op;
            struct psrpc_event ev;
            while (psrpc_output(r->p[i], &op)) {
                r->published += op.kind == BUS_PUBLISH;
                if (op.kind == BUS_PUBLISH)
                    (void)str_copy(r->last_channel, sizeof r->last_channel, bytes_str(op.name));
                local_hub_op(r->hub, r->client[i], &op, r->tick.now);
                moved = true;
            }
            while (psrpc_event(r->p[i], &ev))
                note_event(r, i, &ev);
        }
        while (local_hub_output(r->hub, &out)) {
            for (int i = 0; i < PEERS; i++) {
                if (out.kind == LOCAL_OUT_NEWS && out.client == r->client[i])
                    psrpc_input(r->p[i], &out.news, r->tick);
            }
            moved = true;
        }
    }
}

static void pass(struct rig *r, us_t us)
{
    r->tick.now += us;
    for (int i = 0; i < PEERS; i++)
        psrpc_tick(r->p[i], r->tick);
    pump(r);
}

static psrpc_id ask_info(struct rig *r, int i, const char *key)
{
    Rpc__GetIngressInfoRequest q = RPC__GET_INGRESS_INFO_REQUEST__INIT;
    psrpc_id id = 0;

    q.stream_key = pb_text(key);
    EXPECT_EQ(psrpc_request(r->p[i],
                            &(struct psrpc_ask){.method = &methods[METHOD_GET_INGRESS_INFO],
                                                .request = &q.base},
                            r->tick, &id),
              0);
    pump(r);
    return id;
}

static void serve(struct rig *r, int i, enum method m, const char *topic)
{
    EXPECT_EQ(psrpc_serve(r->p[i], &methods[m], topic), 0);
    pump(r);
}

static void answer_info(struct rig *r, int i, const char *key)
{
    Rpc__GetIngressInfoResponse a = RPC__GET_INGRESS_INFO_RESPONSE__INIT;
    Livekit__IngressInfo info = LIVEKIT__INGRESS_INFO__INIT;

    info.stream_key = pb_text(key);
    a.info = &info;
    psrpc_answer(r->p[i], r->last[i].id, &a.base, r->tick);
    pump(r);
}

TEST(a_call_is_answered)
{
    struct rig r;

    rig_open(&r);
    serve(&r, 1, METHOD_GET_INGRESS_INFO, "");
    psrpc_id id = ask_info(&r, 0, "secret");
    EXPECT_EQ(r.last[1].kind, PSRPC_EVT_CALL);
    EXPECT_STR(r.stream_key, "secret");
    EXPECT_EQ(r.event_n[0], 0);
    answer_info(&r, 1, "other");
    EXPECT_EQ(r.last[0].kind, PSRPC_EVT_ANSWER);
    EXPECT_EQ(r.last[0].id, id);
    EXPECT_STR(r.answer_key, "other");
    EXPECT_EQ(psrpc_deadline(r.p[0]), US_NEVER);
    EXPECT_EQ(psrpc_deadline(r.p[1]), US_NEVER);
    rig_close(&r);
}

TEST(a_refusal_travels_with_its_code_and_text)
{
    struct rig r;

    rig_open(&r);
    serve(&r, 1, METHOD_GET_INGRESS_INFO, "");
    (void)ask_info(&r, 0, "x");
    psrpc_refuse(r.p[1], r.last[1].id, PSRPC_NOT_FOUND, "no such key", r.tick);
    pump(&r);
    EXPECT_EQ(r.last[0].kind, PSRPC_EVT_FAILED);
    EXPECT_EQ(r.last[0].code, PSRPC_NOT_FOUND);
    EXPECT_STR(r.text[0], "no such key");
    psrpc_refuse(r.p[1], r.last[1].id, PSRPC_INTERNAL, "twice", r.tick); /* nobody is there */
    pump(&r);
    EXPECT_EQ(r.event_n[0], 1);
    rig_close(&r);
}

TEST(without_a_server_the_claim_round_ends_after_a_second)
{
    struct rig r;

    rig_open(&r);
    (void)ask_info(&r, 0, "x");
    EXPECT_EQ(psrpc_deadline(r.p[0]), r.tick.now + PSRPC_AFFINITY_US);
    pass(&r, PSRPC_AFFINITY_US - 1);
    EXPECT_EQ(r.event_n[0], 0);
    pass(&r, 1);
    EXPECT_EQ(r.last[0].code, PSRPC_UNAVAILABLE);
    EXPECT_STR(r.text[0], "no response from servers");
    rig_close(&r);
}

TEST(a_server_that_never_answers_costs_the_whole_time)
{
    struct rig r;

    rig_open(&r);
    serve(&r, 1, METHOD_GET_INGRESS_INFO, "");
    (void)ask_info(&r, 0, "x");
    EXPECT_EQ(psrpc_deadline(r.p[0]), r.tick.now + PSRPC_TIMEOUT_US);
    pass(&r, PSRPC_TIMEOUT_US);
    EXPECT_EQ(r.last[0].code, PSRPC_DEADLINE_EXCEEDED);
    EXPECT_STR(r.text[0], "request timed out");
    answer_info(&r, 1, "late"); /* its call is forgotten too */
    EXPECT_EQ(r.event_n[0], 1);
    rig_close(&r);
}

TEST(of_two_servers_of_a_queue_one_gets_the_call)
{
    struct rig r;

    rig_open(&r);
    serve(&r, 1, METHOD_GET_INGRESS_INFO, "");
    serve(&r, 2, METHOD_GET_INGRESS_INFO, "");
    (void)ask_info(&r, 0, "x");
    EXPECT_EQ(r.event_n[1] + r.event_n[2], 1);
    int who = r.event_n[1] == 1 ? 1 : 2;
    answer_info(&r, who, "y");
    EXPECT_EQ(r.answers[0], 1);
    (void)ask_info(&r, 0, "x"); /* another request: another key */
    EXPECT_EQ(r.event_n[1] + r.event_n[2], 2);
    rig_close(&r);
}

static psrpc_id ask_start(struct rig *r, float affinity_max)
{
    Rpc__StartIngressRequest q = RPC__START_INGRESS_REQUEST__INIT;
    psrpc_id id = 0;

    EXPECT_EQ(psrpc_request(r->p[0],
                            &(struct psrpc_ask){.method = &methods[METHOD_START_INGRESS],
                                                .request = &q.base,
                                                .affinity_max = affinity_max},
                            r->tick, &id),
              0);
    pump(r);
    return id;
}

TEST(the_better_offer_wins_when_the_round_is_cut_short)
{
    struct rig r;

    rig_open(&r);
    serve(&r, 1, METHOD_START_INGRESS, "");
    serve(&r, 2, METHOD_START_INGRESS, "");
    (void)ask_start(&r, 1);
    EXPECT_EQ(r.last[1].kind, PSRPC_EVT_OFFER);
    EXPECT_EQ(r.last[2].kind, PSRPC_EVT_OFFER);
    psrpc_offer(r.p[1], r.last[1].id, 0.25f);
    pump(&r);
    EXPECT_EQ(psrpc_deadline(r.p[0]), r.tick.now + PSRPC_SHORT_CIRCUIT_US);
    psrpc_offer(r.p[2], r.last[2].id, 0.5f);
    pump(&r);
    pass(&r, PSRPC_SHORT_CIRCUIT_US);
    EXPECT_EQ(r.last[1].kind, PSRPC_EVT_OFFER);
    EXPECT_EQ(r.last[2].kind, PSRPC_EVT_CALL);
    rig_close(&r);
}

TEST(a_perfect_offer_wins_at_once_and_a_negative_one_is_silence)
{
    struct rig r;

    rig_open(&r);
    serve(&r, 1, METHOD_START_INGRESS, "");
    serve(&r, 2, METHOD_START_INGRESS, "");
    (void)ask_start(&r, 1);
    psrpc_offer(r.p[1], r.last[1].id, -1);
    pump(&r);
    EXPECT_EQ(psrpc_deadline(r.p[0]), r.tick.now + PSRPC_AFFINITY_US); /* no claim came */
    psrpc_offer(r.p[2], r.last[2].id, 1);
    pump(&r);
    EXPECT_EQ(r.last[2].kind, PSRPC_EVT_CALL);
    rig_close(&r);
}

TEST(offers_of_nothing_are_counted_and_nobody_is_chosen)
{
    struct rig r;

    rig_open(&r);
    serve(&r, 1, METHOD_START_INGRESS, "");
    (void)ask_start(&r, 1);
    psrpc_offer(r.p[1], r.last[1].id, 0);
    pump(&r);
    pass(&r, PSRPC_SHORT_CIRCUIT_US);
    EXPECT_EQ(r.last[0].code, PSRPC_UNAVAILABLE);
    EXPECT_STR(r.text[0], "no servers available (received 1 responses)");
    rig_close(&r);
}

TEST(every_server_of_a_multi_method_answers_until_the_time_is_over)
{
    Rpc__ListActiveIngressRequest q = RPC__LIST_ACTIVE_INGRESS_REQUEST__INIT;
    Rpc__ListActiveIngressResponse a = RPC__LIST_ACTIVE_INGRESS_RESPONSE__INIT;
    struct rig r;
    psrpc_id id;

    rig_open(&r);
    serve(&r, 1, METHOD_LIST_ACTIVE_INGRESS, "");
    serve(&r, 2, METHOD_LIST_ACTIVE_INGRESS, "");
    EXPECT_EQ(psrpc_request(r.p[0],
                            &(struct psrpc_ask){.method = &methods[METHOD_LIST_ACTIVE_INGRESS],
                                                .request = &q.base},
                            r.tick, &id),
              0);
    pump(&r);
    psrpc_answer(r.p[1], r.last[1].id, &a.base, r.tick);
    psrpc_answer(r.p[2], r.last[2].id, &a.base, r.tick);
    pump(&r);
    EXPECT_EQ(r.answers[0], 2);
    pass(&r, PSRPC_TIMEOUT_US);
    EXPECT_EQ(r.last[0].kind, PSRPC_EVT_FAILED);
    EXPECT_EQ(r.last[0].code, PSRPC_OK);
    rig_close(&r);
}

TEST(topics_are_apart_and_can_be_left)
{
    Livekit__DeleteIngressRequest q = LIVEKIT__DELETE_INGRESS_REQUEST__INIT;
    struct psrpc_ask ask = {
        .method = &methods[METHOD_DELETE_INGRESS], .topic = "IN_a", .request = &q.base};
    struct rig r;
    psrpc_id id;

    rig_open(&r);
    serve(&r, 1, METHOD_DELETE_INGRESS, "IN_a");
    serve(&r, 2, METHOD_DELETE_INGRESS, "IN_b");
    EXPECT_EQ(psrpc_serve(r.p[1], &methods[METHOD_DELETE_INGRESS], "IN_a"), E_EXIST);
    EXPECT_EQ(psrpc_request(r.p[0], &ask, r.tick, &id), 0);
    pump(&r);
    EXPECT_EQ(r.event_n[1], 1);
    EXPECT_EQ(r.event_n[2], 0);
    EXPECT_STR(r.last_channel, "IngressHandler|DeleteIngress|IN_a|RCLAIM");
    psrpc_unserve(r.p[1], &methods[METHOD_DELETE_INGRESS], "IN_a");
    psrpc_unserve(r.p[1], &methods[METHOD_DELETE_INGRESS], "IN_a"); /* gone already */
    EXPECT_EQ(psrpc_request(r.p[0], &ask, r.tick, &id), 0);
    pump(&r);
    EXPECT_EQ(r.event_n[1], 1);
    pass(&r, PSRPC_AFFINITY_US);
    EXPECT_EQ(r.last[0].code, PSRPC_UNAVAILABLE);
    rig_close(&r);
}

TEST(what_was_forgotten_brings_no_event)
{
    struct rig r;

    rig_open(&r);
    serve(&r, 1, METHOD_GET_INGRESS_INFO, "");
    psrpc_forget(r.p[0], ask_info(&r, 0, "x"));
    answer_info(&r, 1, "y");
    pass(&r, PSRPC_TIMEOUT_US);
    EXPECT_EQ(r.event_n[0], 0);
    psrpc_forget(r.p[0], 12345);
    rig_close(&r);
}

/* The channels of psrpc_output() in order. */
static uint32_t subscriptions(struct psrpc *p, uint32_t *publishes)
{
    struct bus_op op;
    uint32_t n = 0;

    *publishes = 0;
    while (psrpc_output(p, &op)) {
        EXPECT(op.kind != BUS_SUBSCRIBE || *publishes == 0);
        n += op.kind == BUS_SUBSCRIBE;
        *publishes += op.kind == BUS_PUBLISH;
    }
    return n;
}

TEST(a_new_way_to_the_bus_gets_every_subscription_first)
{
    Rpc__GetIngressInfoRequest q = RPC__GET_INGRESS_INFO_REQUEST__INIT;
    struct psrpc *p;
    struct tick t = {.now = 1};
    psrpc_id id;
    uint32_t publishes;

    EXPECT_EQ(psrpc_open(&p, 1), 0);
    EXPECT_EQ(psrpc_serve(p, &methods[METHOD_DELETE_INGRESS], "IN_a"), 0);
    EXPECT_EQ(subscriptions(p, &publishes), 2);
    EXPECT_EQ(psrpc_request(p,
                            &(struct psrpc_ask){.method = &methods[METHOD_GET_INGRESS_INFO],
                                                .request = &q.base},
                            t, &id),
              0);
    psrpc_connected(p); /* what waits goes out once, behind the subscriptions */
    EXPECT_EQ(subscriptions(p, &publishes), 4);
    EXPECT_EQ(publishes, 1);
    psrpc_connected(p);
    EXPECT_EQ(subscriptions(p, &publishes), 4);
    EXPECT_EQ(publishes, 0);
    psrpc_free(p);
}

/* ---- the original's frames ---- */

static void feed(struct psrpc *p, const char *channel, struct bytes frame, struct tick tick)
{
    psrpc_input(p, &(struct bus_news){.kind = BUS_MESSAGE, .name = channel, .data = frame}, tick);
}

static struct tick tick_at_wall(int64_t wall_us)
{
    return (struct tick){.now = 5000, .wall_off_us = wall_us - 5000};
}

TEST(a_recorded_request_is_claimed_under_the_original_s_key)
{
    struct tick t = tick_at_wall(1795284467575592);
    struct psrpc *p;
    struct bus_op op;
    struct arena a;

    EXPECT_EQ(psrpc_open(&p, 1), 0);
    EXPECT_EQ(psrpc_serve(p, &methods[METHOD_GET_INGRESS_INFO], ""), 0);
    while (psrpc_output(p, &op))
        EXPECT_EQ(op.kind, BUS_SUBSCRIBE);
    feed(p, "IOInfo|GetIngressInfo|REQ", test_hex(RECORDED_GET_REQUEST), t);
    EXPECT(psrpc_output(p, &op));
    EXPECT_EQ(op.kind, BUS_SET_NX);
    EXPECT_STR(op.name, RECORDED_GET_KEY);
    EXPECT_EQ(op.ttl_ms, 5000);
    psrpc_input(p, &(struct bus_news){.kind = BUS_SET_DONE, .tag = op.tag, .won = true}, t);
    EXPECT(psrpc_output(p, &op));
    EXPECT_STR(op.name, "IOInfo|CLI_M8MK05jkrnij|CLAIM");
    arena_init(&a, 1 << 20);
    Internal__ClaimRequest *c = frame_unpack(&a, &internal__claim_request__descriptor, op.data);
    EXPECT(c != NULL && c->affinity == 1);
    EXPECT_STR(c->request_id, "REQ_aXJHi7VgzEa0");
    arena_fini(&a);
    psrpc_free(p);
}

TEST(an_expired_request_is_dropped)
{
    struct psrpc *p;
    struct psrpc_counts n;
    struct bus_op op;

    EXPECT_EQ(psrpc_open(&p, 1), 0);
    EXPECT_EQ(psrpc_serve(p, &methods[METHOD_GET_INGRESS_INFO], ""), 0);
    while (psrpc_output(p, &op))
        ;
    feed(p, "IOInfo|GetIngressInfo|REQ", test_hex(RECORDED_GET_REQUEST),
         tick_at_wall(1795284470575591)); /* its expiry, whole microseconds */
    EXPECT(!psrpc_output(p, &op));
    psrpc_get_counts(p, &n);
    EXPECT_EQ(n.dropped, 1);
    EXPECT_EQ(n.calls, 0);
    psrpc_free(p);
}

TEST(what_cannot_be_read_is_answered_so)
{
    Internal__Request q = INTERNAL__REQUEST__INIT;
    struct tick t = {.now = 10};
    uint8_t bad[] = {0xff, 0xff};
    struct psrpc *p;
    struct bus_op op;
    struct arena a;
    struct str frame;

    EXPECT_EQ(psrpc_open(&p, 1), 0);
    EXPECT_EQ(psrpc_serve(p, &methods[METHOD_LIST_ACTIVE_INGRESS], ""), 0);
    while (psrpc_output(p, &op))
        ;
    q.request_id = pb_text("R");
    q.client_id = pb_text("C");
    q.expiry = 1000000;
    q.raw_request.data = bad;
    q.raw_request.len = sizeof bad;
    str_init(&frame, 4096);
    frame_pack(&q.base, &frame);
    feed(p, "IngressInternal|ListActiveIngress|REQ", str_bytes(&frame), t);
    EXPECT(psrpc_output(p, &op));
    EXPECT_STR(op.name, "IngressInternal|C|RES");
    arena_init(&a, 1 << 20);
    Internal__Response *r = frame_unpack(&a, &internal__response__descriptor, op.data);
    EXPECT_STR(r->code, "malformed_request");
    EXPECT(r->error[0] != '\0');
    arena_fini(&a);
    str_fini(&frame);
    psrpc_free(p);
}

/* ---- limits ---- */

TEST(requests_have_a_limit_and_leave_nothing)
{
    Rpc__GetIngressInfoRequest q = RPC__GET_INGRESS_INFO_REQUEST__INIT;
    struct psrpc_ask ask = {.method = &methods[METHOD_GET_INGRESS_INFO], .request = &q.base};
    struct psrpc_event ev;
    struct psrpc *p;
    struct tick t = {.now = 1};
    psrpc_id id;
    int n = 0;

    EXPECT_EQ(psrpc_open(&p, 1), 0);
    for (int i = 0; i < PSRPC_REQUESTS_MAX; i++)
        EXPECT_EQ(psrpc_request(p, &ask, t, &id), 0);
    EXPECT_EQ(psrpc_request(p, &ask, t, &id), E_LIMIT);
    t.now += PSRPC_TIMEOUT_US;
    psrpc_tick(p, t);
    while (psrpc_event(p, &ev))
        n++;
    EXPECT_EQ(n, PSRPC_REQUESTS_MAX);
    EXPECT_EQ(psrpc_request(p, &ask, t, &id), 0);
    psrpc_free(p);
}

TEST(codes_have_words_and_statuses)
{
    for (int i = 0; i < PSRPC_CODES; i++) {
        enum psrpc_code c = (enum psrpc_code)i;
        EXPECT_EQ(psrpc_code_of(psrpc_code_text(c)), c);
        EXPECT(psrpc_code_http(c) >= 200 && psrpc_code_http(c) < 600);
    }
    EXPECT_EQ(psrpc_code_of("nonsense"), PSRPC_UNKNOWN);
    EXPECT_EQ(psrpc_code_http(PSRPC_UNPROCESSABLE_ENTITY), 422);
}

static void whole_exchange(struct rig *r)
{
    Rpc__GetIngressInfoRequest q = RPC__GET_INGRESS_INFO_REQUEST__INIT;
    psrpc_id id;

    q.stream_key = pb_text("k");
    if (psrpc_serve(r->p[1], &methods[METHOD_GET_INGRESS_INFO], "") != 0)
        return;
    pump(r);
    if (psrpc_request(
            r->p[0],
            &(struct psrpc_ask){.method = &methods[METHOD_GET_INGRESS_INFO], .request = &q.base},
            r->tick, &id) != 0)
        return;
    pump(r);
    if (r->event_n[1] > 0)
        answer_info(r, 1, "k");
}

TEST(refused_memory_leaves_nothing_behind)
{
    for (uint64_t nth = 1;; nth++) {
        struct rig r;
        int64_t live = mem_live();
        rig_open(&r);
        mem_refuse_nth(nth);
        whole_exchange(&r);
        mem_refuse_nth(0);
        pass(&r, PSRPC_TIMEOUT_US);
        bool done = r.answers[0] == 1;
        rig_close(&r);
        EXPECT_EQ(mem_live(), live);
        if (done)
            break;
        EXPECT(nth < 1000);
    }
}

/* ---- fuzz ---- */

/* Bytes as frames on each kind of channel; each first byte chooses one. */
FUZZ(psrpc, in)
{
    static const char *const requests[] = {"IOInfo|GetIngressInfo|REQ",
                                           "IngressInternal|ListActiveIngress|REQ",
                                           "IngressInternal|StartIngress|REQ"};
    struct tick t = tick_at_wall(1795284467575592);
    char channel[BUS_CHANNEL_MAX] = "";
    struct psrpc_event ev;
    struct psrpc *p;
    struct bus_op op;
    Rpc__GetIngressInfoRequest q = RPC__GET_INGRESS_INFO_REQUEST__INIT;
    psrpc_id id;

    if (in.len == 0)
        return;
    EXPECT_EQ(psrpc_open(&p, 1), 0);
    EXPECT_EQ(psrpc_serve(p, &methods[METHOD_GET_INGRESS_INFO], ""), 0);
    EXPECT_EQ(psrpc_serve(p, &methods[METHOD_LIST_ACTIVE_INGRESS], ""), 0);
    EXPECT_EQ(psrpc_serve(p, &methods[METHOD_START_INGRESS], ""), 0);
    EXPECT_EQ(psrpc_request(p,
                            &(struct psrpc_ask){.method = &methods[METHOD_GET_INGRESS_INFO],
                                                .request = &q.base},
                            t, &id),
              0);
    unsigned pick = in.p[0] % 6;
    while (psrpc_output(p, &op)) {
        if (op.kind == BUS_SUBSCRIBE && pick >= 3 &&
            strstr(op.name, pick == 3   ? "|CLAIM"
                            : pick == 4 ? "|RES"
                                        : "Info|RCLAIM") != NULL)
            (void)str_copy(channel, sizeof channel, bytes_str(op.name)); /* of the same size */
    }
    feed(p, pick < 3 ? requests[pick] : channel, bytes_of(in.p + 1, in.len - 1), t);
    while (psrpc_output(p, &op)) {
        if (op.kind == BUS_SET_NX)
            psrpc_input(p, &(struct bus_news){.kind = BUS_SET_DONE, .tag = op.tag, .won = true}, t);
    }
    while (psrpc_event(p, &ev)) {
        EXPECT(ev.topic != NULL && ev.text != NULL);
        psrpc_offer(p, ev.id, 1);
        psrpc_refuse(p, ev.id, PSRPC_INTERNAL, "no", t);
    }
    psrpc_free(p);
}
