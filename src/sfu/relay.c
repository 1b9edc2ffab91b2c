#include "sfu/relay.h"

#include "base/err.h"
#include "base/mem.h"

static uint32_t rounded(uint32_t n)
{
    return (n + 7u) & ~7u;
}

void relay_queue_init(struct relay_queue *q)
{
    *q = (struct relay_queue){0};
}

void relay_queue_fini(struct relay_queue *q)
{
    mem_free(q->buf);
    relay_queue_init(q);
}

int relay_queue_open(struct relay_queue *q)
{
    if (q->buf == NULL)
        q->buf = mem_zero(RELAY_QUEUE_BYTES);
    return q->buf != NULL ? 0 : E_NOMEM;
}

static bool push(struct relay_queue *q, const struct relay_rec *rec, struct bytes data)
{
    uint32_t need = rounded((uint32_t)sizeof *rec + rec->len);

    if (q->buf == NULL || need > RELAY_QUEUE_BYTES - q->used)
        return false;
    memcpy(q->buf + q->used, rec, sizeof *rec);
    if (data.len > 0)
        memcpy(q->buf + q->used + sizeof *rec, data.p, data.len);
    q->used += need;
    return true;
}

bool relay_push_packet(struct relay_queue *q, handle to, const struct pkt *p)
{
    struct relay_rec rec = {
        .kind = RELAY_PACKET,
        .len = (uint16_t)(p->rtp.payload_off + p->rtp.payload_len),
        .layer = p->layer,
        .track = to,
    };

    memcpy(rec.head, p, sizeof rec.head);
    return push(q, &rec, bytes_of(p->data, rec.len));
}

bool relay_push_report(struct relay_queue *q, handle to, uint8_t layer,
                       const struct relay_report *r)
{
    struct relay_rec rec = {.kind = RELAY_REPORT, .layer = layer, .track = to, .report = *r};

    return push(q, &rec, (struct bytes){0});
}

bool relay_push_wish(struct relay_queue *q, handle to, uint8_t layer)
{
    struct relay_rec rec = {.kind = RELAY_WISH, .layer = layer, .track = to};

    return push(q, &rec, (struct bytes){0});
}

bool relay_pop(struct relay_queue *q, uint8_t *to_shard, struct bytes *record)
{
    struct relay_rec rec;

    if (q->at == q->used) {
        q->at = q->used = 0;
        return false;
    }
    memcpy(&rec, q->buf + q->at, sizeof rec);
    uint32_t len = (uint32_t)sizeof rec + rec.len;
    *to_shard = handle_shard(rec.track);
    *record = bytes_of(q->buf + q->at, len);
    q->at += rounded(len);
    return true;
}

bool relay_read(struct bytes record, struct relay_rec *rec)
{
    if (record.len < sizeof *rec)
        return false;
    memcpy(rec, record.p, sizeof *rec);
    if (record.len != sizeof *rec + rec->len || rec->len > PKT_DATA_MAX)
        return false;
    return rec->kind >= RELAY_PACKET && rec->kind <= RELAY_WISH;
}

void relay_unpack(struct bytes record, const struct relay_rec *rec, struct pkt *p)
{
    int16_t refs = p->refs;

    memcpy(p, rec->head, PKT_HEAD_BYTES);
    p->refs = refs;
    p->len = rec->len;
    memcpy(p->data, record.p + sizeof *rec, rec->len);
    assert(p->rtp.payload_off + p->rtp.payload_len == p->len);
}
