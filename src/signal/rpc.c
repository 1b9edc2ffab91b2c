#include "signal/rpc.h"

#include "base/mem.h"
#include "signal/transport.h"
#include "wire/pb.h"

enum { RPC_ERROR_TEXT_MAX = 16 << 10 }; /* 256 and 15,360 bytes, by the protocol (4.7) */

struct rpc {
    struct heap_node due;     /* until done */
    struct session *to;       /* NULL when done */
    struct rpc *next, **back; /* of the same session */
    struct rpc *next_done;
    char id[ROOM_SID_MAX];
    uint64_t conn;
    bool acked, ok;
    us_t answer_by;
    uint32_t code;
    char *payload;
};

void rpc_init(struct hub *hub)
{
    map_init(&hub->rpc_by_id, rng_u64(&hub->house.rng));
    heap_init(&hub->rpc_due);
}

/* It is over; rpc_result() hands it out. */
static void end(struct hub *hub, struct rpc *r, bool ok, uint32_t code, struct bytes payload)
{
    *r->back = r->next;
    if (r->next != NULL)
        r->next->back = r->back;
    r->to = NULL;
    heap_remove(&hub->rpc_due, &r->due);
    (void)map_take(&hub->rpc_by_id, bytes_str(r->id)); /* it is there */
    r->ok = ok;
    r->code = code;
    r->payload = mem_dup(payload.p != NULL ? payload.p : (const uint8_t *)"", payload.len);
    r->next_done = hub->rpc_done;
    hub->rpc_done = r;
}

static struct rpc *begin(struct session *to, uint32_t timeout_ms, uint64_t conn)
{
    struct hub *hub = to->hub;
    us_t now = hub->house.tick.now;
    struct rpc *r = mem_zero(sizeof *r);

    if (r == NULL)
        return NULL;
    str_id(r->id, sizeof r->id, "RPC_", &hub->house.rng);
    r->conn = conn;
    r->answer_by = now + timeout_ms * US_PER_MS;
    if (!heap_set(&hub->rpc_due, &r->due, us_min(now + RPC_ACK_US, r->answer_by)))
        goto fail;
    if (!map_put(&hub->rpc_by_id, bytes_str(r->id), r))
        goto fail;
    r->to = to;
    r->next = to->rpcs;
    r->back = &to->rpcs;
    if (r->next != NULL)
        r->next->back = &r->next;
    to->rpcs = r;
    hub->rpc_n++;
    return r;

fail:
    heap_remove(&hub->rpc_due, &r->due);
    mem_free(r);
    return NULL;
}

int rpc_call(struct hub *hub, struct member *to, const char *method, const char *payload,
             uint32_t timeout_ms, uint64_t conn)
{
    Livekit__RpcRequest req = LIVEKIT__RPC_REQUEST__INIT;
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;
    char *dest[1] = {to->identity};

    if (strlen(payload) > RPC_PAYLOAD_MAX)
        return E_TOO_LARGE;
    if (hub->rpc_n >= HUB_RPCS_MAX)
        return E_LIMIT;
    if (timeout_ms == 0)
        timeout_ms = RPC_RESPONSE_MS;
    struct rpc *r = begin(to->session, timeout_ms, conn);
    if (r == NULL)
        return E_NOMEM;
    req.id = r->id;
    req.method = (char *)method;
    req.payload = (char *)payload;
    req.response_timeout_ms = timeout_ms;
    req.version = 1;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_RPC_REQUEST;
    p.rpc_request = &req;
    p.destination_identities = dest;
    p.n_destination_identities = 1;
    struct wr w = wr_of(hub->packet, sizeof hub->packet);
    pb_pack_wr(&p.base, &w);
    if (wr_ok(&w))
        transport_deliver(to->session, true, wr_done(&w));
    return 0;
}

bool rpc_answered(struct hub *hub, const struct member *from, const struct data_packet *d)
{
    struct pb_field f, error;

    if (hub->rpc_n == 0 || (d->value != DATA_RPC_ACK && d->value != DATA_RPC_RESPONSE) ||
        !pb_field_find(d->body, 1, &f) || f.wire != PB_BYTES)
        return false;
    struct rpc *r = map_find(&hub->rpc_by_id, f.bytes);
    if (r == NULL || r->to != from->session)
        return false;
    if (d->value == DATA_RPC_ACK) {
        r->acked = true;
    } else if (pb_field_find(d->body, 3, &error) && error.wire == PB_BYTES) {
        struct pb_field code = {0}, message = {0}, more = {0};
        char text[RPC_ERROR_TEXT_MAX];
        (void)pb_field_find(error.bytes, 1, &code);    /* absent: 0 */
        (void)pb_field_find(error.bytes, 2, &message); /* absent: "" */
        (void)pb_field_find(error.bytes, 3, &more);    /* absent: "" */
        struct wr w = wr_of((uint8_t *)text, sizeof text);
        wr_bytes(&w, message.bytes);
        if (more.bytes.len > 0) {
            wr_bytes(&w, bytes_str(": "));
            wr_bytes(&w, more.bytes);
        }
        end(hub, r, false, (uint32_t)code.num, wr_ok(&w) ? wr_done(&w) : message.bytes);
    } else {
        struct pb_field payload = {0};
        (void)pb_field_find(d->body, 2, &payload); /* absent: "" */
        end(hub, r, true, 0, payload.bytes);
    }
    return true;
}

bool rpc_result(struct hub *hub, struct rpc_result *out)
{
    struct rpc *r = hub->rpc_done;

    if (r == NULL)
        return false;
    hub->rpc_done = r->next_done;
    hub->rpc_n--;
    *out =
        (struct rpc_result){.conn = r->conn, .ok = r->ok, .code = r->code, .payload = r->payload};
    mem_free(r);
    return true;
}

void rpc_left(struct session *s)
{
    while (s->rpcs != NULL)
        end(s->hub, s->rpcs, false, RPC_RECIPIENT_DISCONNECTED,
            bytes_str("Recipient disconnected"));
}

/* Acknowledged in time: the answer counts from here on. */
static void put_off(struct hub *hub, struct rpc *r)
{
    bool kept = heap_set(&hub->rpc_due, &r->due, r->answer_by);
    assert(kept); /* it is inside already: moving takes no memory */
}

void rpc_tick(struct hub *hub)
{
    us_t now = hub->house.tick.now;
    struct heap_node *node;

    while ((node = heap_first(&hub->rpc_due)) != NULL && node->at <= now) {
        struct rpc *r = OWNER_OF(node, struct rpc, due);
        if (now >= r->answer_by)
            end(hub, r, false, RPC_RESPONSE_TIMEOUT, bytes_str("Response timeout"));
        else if (!r->acked)
            end(hub, r, false, RPC_CONNECTION_TIMEOUT, bytes_str("Connection timeout"));
        else
            put_off(hub, r);
    }
}

void rpc_fini(struct hub *hub)
{
    struct rpc_result result;

    assert(hub->rpc_due.n == 0); /* every session has ended */
    while (rpc_result(hub, &result))
        mem_free(result.payload);
    heap_fini(&hub->rpc_due);
    map_fini(&hub->rpc_by_id);
}
