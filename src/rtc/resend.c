#include "rtc/resend.h"

#include "base/err.h"
#include "base/mem.h"

bool resend_asked(struct resend *r, uint16_t seq, us_t now)
{
    struct resend_slot *s = &r->slot[seq % RESEND_SLOTS];
    uint32_t now_ms = (uint32_t)(now / US_PER_MS);

    if (s->times == 0 || s->seq != seq) {
        *s = (struct resend_slot){.seq = seq, .at_ms = now_ms, .times = 1};
        return true;
    }
    /* 2^16 packets later the number is another packet's: a minute at 1,000 packets a second. */
    if (now_ms - s->at_ms > 30000)
        s->times = 0;
    else if (s->times >= RESEND_TIMES_MAX || now_ms - s->at_ms < RESEND_GAP_MS)
        return false;
    s->times++;
    s->at_ms = now_ms;
    return true;
}

struct history_slot {
    uint8_t *data;
    uint16_t len, cap, seq;
};

struct resend_history {
    unsigned n;
    struct history_slot slot[];
};

int resend_history_open(struct resend_history **ret, unsigned packets)
{
    assert(packets > 0 && packets <= 32768);
    assert((packets & (packets - 1)) == 0);
    struct resend_history *h = mem_zero(sizeof *h + packets * sizeof h->slot[0]);
    if (h == NULL)
        return E_NOMEM;
    h->n = packets;
    *ret = h;
    return 0;
}

void resend_history_free(struct resend_history *h)
{
    if (h == NULL)
        return;
    for (unsigned i = 0; i < h->n; i++)
        mem_free(h->slot[i].data);
    mem_free(h);
}

void resend_history_put(struct resend_history *h, uint16_t seq, struct bytes hdr,
                        struct bytes payload)
{
    struct history_slot *s = &h->slot[seq & (h->n - 1)];
    size_t len = hdr.len + payload.len;

    s->len = 0;
    if (len > RESEND_PACKET_MAX)
        return;
    if (len > s->cap) {
        uint8_t *grown = mem_resize(s->data, len);
        if (grown == NULL)
            return;
        s->data = grown;
        s->cap = (uint16_t)len;
    }
    memcpy(s->data, hdr.p, hdr.len);
    if (payload.len > 0)
        memcpy(s->data + hdr.len, payload.p, payload.len);
    s->len = (uint16_t)len;
    s->seq = seq;
}

bool resend_history_find(const struct resend_history *h, uint16_t seq, struct bytes *pkt)
{
    const struct history_slot *s = &h->slot[seq & (h->n - 1)];

    if (s->len == 0 || s->seq != seq)
        return false;
    *pkt = bytes_of(s->data, s->len);
    return true;
}
