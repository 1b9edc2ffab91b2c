#include "signal/rpc.h"

#include "base/mem.h"
#include "signal/signal_test.h"
#include "wire/pb.h"

static struct member *callee(struct hub *hub)
{
    return join(hub, 1, "ann")->member;
}

static void call(struct hub *hub, struct member *to, uint32_t timeout_ms, uint64_t conn)
{
    EXPECT_EQ(rpc_call(hub, to, "greet", "hello", timeout_ms, conn), 0);
}

/* The id in the request that is held for the callee's channels. */
static const char *id_of(struct member *m, struct arena *a)
{
    const struct held *h = m->session->held_last;
    EXPECT(h != NULL);
    Livekit__DataPacket *p =
        pb_unpack(a, &livekit__data_packet__descriptor, bytes_of(h->data, h->len));
    EXPECT(p != NULL);
    EXPECT_EQ(p->value_case, LIVEKIT__DATA_PACKET__VALUE_RPC_REQUEST);
    EXPECT_STR(p->rpc_request->method, "greet");
    EXPECT_STR(p->destination_identities[0], "ann");
    return p->rpc_request->id;
}

static bool answers(struct hub *hub, struct member *from, const Livekit__DataPacket *p)
{
    uint8_t buf[1024];
    struct wr w = wr_of(buf, sizeof buf);
    struct data_packet d;

    pb_pack_wr(&p->base, &w);
    EXPECT_EQ(data_read(&d, wr_done(&w)), 0);
    return rpc_answered(hub, from, &d);
}

static bool acks(struct hub *hub, struct member *from, const char *id)
{
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;
    Livekit__RpcAck ack = LIVEKIT__RPC_ACK__INIT;

    ack.request_id = (char *)id;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_RPC_ACK;
    p.rpc_ack = &ack;
    return answers(hub, from, &p);
}

static bool responds(struct hub *hub, struct member *from, const char *id, const char *payload,
                     uint32_t error)
{
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;
    Livekit__RpcResponse r = LIVEKIT__RPC_RESPONSE__INIT;
    Livekit__RpcError e = LIVEKIT__RPC_ERROR__INIT;

    r.request_id = (char *)id;
    r.value_case =
        error ? LIVEKIT__RPC_RESPONSE__VALUE_ERROR : LIVEKIT__RPC_RESPONSE__VALUE_PAYLOAD;
    e.code = error;
    e.message = (char *)payload;
    if (error)
        r.error = &e;
    else
        r.payload = (char *)payload;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_RPC_RESPONSE;
    p.rpc_response = &r;
    return answers(hub, from, &p);
}

static void expect_result(struct hub *hub, uint64_t conn, bool ok, uint32_t code, const char *text)
{
    struct rpc_result r;

    EXPECT(rpc_result(hub, &r));
    EXPECT_EQ(r.conn, conn);
    EXPECT_EQ(r.ok, ok);
    EXPECT_EQ(r.code, code);
    EXPECT_STR(r.payload, text);
    mem_free(r.payload);
    EXPECT(!rpc_result(hub, &r));
}

TEST(a_call_is_answered_by_whom_it_was_made_to_and_by_nobody_else)
{
    struct hub *hub = open_hub();
    struct member *ann = callee(hub), *eve = join(hub, 2, "eve")->member;
    struct rpc_result r;
    struct arena a;

    arena_init(&a, 1 << 20);
    call(hub, ann, 0, 9);
    const char *id = id_of(ann, &a);
    EXPECT(!responds(hub, eve, id, "mine", 0));
    EXPECT(!acks(hub, ann, "RPC_other"));
    EXPECT(acks(hub, ann, id));
    EXPECT(!rpc_result(hub, &r));
    EXPECT(responds(hub, ann, id, "hi", 0));
    expect_result(hub, 9, true, 0, "hi");
    EXPECT(!responds(hub, ann, id, "again", 0));
    EXPECT_EQ(hub->rpc_n, 0);
    arena_fini(&a);
    hub_free(hub);
}

TEST(an_error_of_the_callee_comes_through)
{
    struct hub *hub = open_hub();
    struct member *ann = callee(hub);
    struct arena a;

    arena_init(&a, 1 << 20);
    call(hub, ann, 0, 9);
    EXPECT(responds(hub, ann, id_of(ann, &a), "no such thing", 1400));
    expect_result(hub, 9, false, 1400, "no such thing");
    arena_fini(&a);
    hub_free(hub);
}

TEST(calls_end_at_their_time_and_when_the_callee_leaves)
{
    struct hub *hub = open_hub();
    struct member *ann = callee(hub);
    us_t start = hub->house.tick.now;
    struct arena a;

    arena_init(&a, 1 << 20);
    call(hub, ann, 0, 1);
    EXPECT_EQ(hub_deadline(hub) <= start + RPC_ACK_US, true);
    hub->house.tick.now = start + RPC_ACK_US - 1;
    hub_tick(hub);
    EXPECT_EQ(hub->rpc_n, 1);
    hub->house.tick.now = start + RPC_ACK_US;
    hub_tick(hub);
    expect_result(hub, 1, false, RPC_CONNECTION_TIMEOUT, "Connection timeout");

    start = hub->house.tick.now;
    call(hub, ann, 4000, 2);
    EXPECT(acks(hub, ann, id_of(ann, &a)));
    hub->house.tick.now = start + 4 * US_PER_SEC - 1;
    hub_tick(hub);
    EXPECT(hub->rpc_done == NULL);
    hub->house.tick.now++;
    hub_tick(hub);
    expect_result(hub, 2, false, RPC_RESPONSE_TIMEOUT, "Response timeout");

    call(hub, ann, 0, 3);
    hub_closed(hub, 1); /* it never connected: it leaves with its socket */
    expect_result(hub, 3, false, RPC_RECIPIENT_DISCONNECTED, "Recipient disconnected");
    arena_fini(&a);
    hub_free(hub);
}

TEST(calls_that_nobody_fetched_end_with_the_hub)
{
    struct hub *hub = open_hub();
    char large[RPC_PAYLOAD_MAX + 2] = "";

    struct member *ann = callee(hub);
    memset(large, 'x', RPC_PAYLOAD_MAX + 1);
    EXPECT_EQ(rpc_call(hub, ann, "m", large, 0, 1), E_TOO_LARGE);
    for (uint64_t i = 0; i < HUB_RPCS_MAX; i++)
        EXPECT_EQ(rpc_call(hub, ann, "m", "", 0, i), 0);
    EXPECT_EQ(rpc_call(hub, ann, "m", "", 0, 1), E_LIMIT);
    hub_free(hub);
}
