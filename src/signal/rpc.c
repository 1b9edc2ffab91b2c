#include "signal/rpc.h"

#include "base/mem.h"
#include "signal/transport.h"
#include "wire/pb.h"

struct rpc {
    struct rpc *next;
    char id[ROOM_SID_MAX];
    char to[ROOM_SID_MAX]; /* sid of the participant */
    char room[ROOM_SID_MAX];
    uint64_t conn;
    bool acked, done, ok;
    us_t ack_by, answer_by;
    uint32_t code;
    char *payload;
};

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
    struct rpc *r = mem_zero(sizeof *r);
    if (r == NULL)
        return E_NOMEM;
    if (timeout_ms == 0)
        timeout_ms = RPC_RESPONSE_MS;
    str_id(r->id, sizeof r->id, "RPC_", &hub->house.rng);
    memcpy(r->to, to->sid, sizeof r->to);
    memcpy(r->room, to->room->sid, sizeof r->room);
    r->conn = conn;
    r->ack_by = hub->house.tick.now + RPC_ACK_US;
    r->answer_by = hub->house.tick.now + timeout_ms * US_PER_MS;
    r->next = hub->rpcs;
    hub->rpcs = r;
    hub->rpc_n++;
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

static struct rpc *find(struct hub *hub, const struct member *from, struct bytes id)
{
    for (struct rpc *r = hub->rpcs; r != NULL; r = r->next)
        if (!r->done && bytes_eq_str(id, r->id) && strcmp(r->to, from->sid) == 0)
            return r;
    return NULL;
}

static void end(struct rpc *r, bool ok, uint32_t code, struct bytes payload)
{
    r->done = true;
    r->ok = ok;
    r->code = code;
    r->payload = mem_dup(payload.p != NULL ? payload.p : (const uint8_t *)"", payload.len);
}

bool rpc_answered(struct hub *hub, const struct member *from, const struct data_packet *d)
{
    struct pb_field f, error;

    if (hub->rpcs == NULL || (d->value != DATA_RPC_ACK && d->value != DATA_RPC_RESPONSE) ||
        !pb_field_find(d->body, 1, &f) || f.wire != PB_BYTES)
        return false;
    struct rpc *r = find(hub, from, f.bytes);
    if (r == NULL)
        return false;
    if (d->value == DATA_RPC_ACK) {
        r->acked = true;
    } else if (pb_field_find(d->body, 3, &error) && error.wire == PB_BYTES) {
        struct pb_field code = {0}, message = {0};
        (void)pb_field_find(error.bytes, 1, &code);    /* absent: 0 */
        (void)pb_field_find(error.bytes, 2, &message); /* absent: "" */
        end(r, false, (uint32_t)code.num, message.bytes);
    } else {
        struct pb_field payload = {0};
        (void)pb_field_find(d->body, 2, &payload); /* absent: "" */
        end(r, true, 0, payload.bytes);
    }
    return true;
}

bool rpc_result(struct hub *hub, struct rpc_result *out)
{
    for (struct rpc **at = &hub->rpcs; *at != NULL; at = &(*at)->next) {
        struct rpc *r = *at;
        if (!r->done)
            continue;
        *out = (struct rpc_result){
            .conn = r->conn, .ok = r->ok, .code = r->code, .payload = r->payload};
        *at = r->next;
        hub->rpc_n--;
        mem_free(r);
        return true;
    }
    return false;
}

static bool still_there(const struct hub *hub, const struct rpc *r)
{
    const struct heap *h = &hub->house.due;

    for (uint32_t i = 0; i < h->n; i++) {
        const struct room *room = OWNER_OF(h->node[i], struct room, due);
        if (strcmp(room->sid, r->room) == 0)
            return room_find_sid(room, r->to) != NULL;
    }
    return false;
}

us_t rpc_tick(struct hub *hub)
{
    us_t now = hub->house.tick.now, next = US_NEVER;

    for (struct rpc *r = hub->rpcs; r != NULL; r = r->next) {
        if (r->done)
            continue;
        if (!still_there(hub, r))
            end(r, false, RPC_RECIPIENT_DISCONNECTED, bytes_str("Recipient disconnected"));
        else if (!r->acked && now >= r->ack_by)
            end(r, false, RPC_CONNECTION_TIMEOUT, bytes_str("Connection timeout"));
        else if (now >= r->answer_by)
            end(r, false, RPC_RESPONSE_TIMEOUT, bytes_str("Response timeout"));
        else
            next = us_min(next, us_min(now + US_PER_SEC / 4, r->answer_by));
    }
    return next;
}

void rpc_fini(struct hub *hub)
{
    while (hub->rpcs != NULL) {
        struct rpc *r = hub->rpcs;
        hub->rpcs = r->next;
        mem_free(r->payload);
        mem_free(r);
    }
}
