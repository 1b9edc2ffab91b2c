#include "sfu/redfill.h"

#include "wire/opus.h"

/* A packet as the publisher would have sent it without RED. */
static bool make(struct pkt *q, const struct pkt *p, const struct red_block *b, uint64_t seq)
{
    struct rtp_header h = {
        .ts = p->rtp.ts - b->ts_offset, .ssrc = p->rtp.ssrc, .seq = (uint16_t)seq, .pt = b->pt};
    size_t n = rtp_write_header(q->data, sizeof q->data, &h, NULL, 0);

    if (n == 0 || n + b->data.len > sizeof q->data)
        return false;
    memcpy(q->data + n, b->data.p, b->data.len);
    q->len = (uint16_t)(n + b->data.len);
    if (rtp_parse(&q->rtp, bytes_of(q->data, q->len), NULL) != 0)
        return false;
    q->seq = seq;
    q->at = p->at;
    q->path = p->path;
    q->layer = p->layer;
    q->ext_sig = 0;
    q->codec = CODEC_OPUS;
    q->flags = PKT_KEY | PKT_FRAME_START | PKT_FRAME_END; /* each stands alone */
    q->sid = q->tid = q->tl0 = q->keyidx = 0;
    return true;
}

void redfill(struct shard *s, struct rx *rx, const struct pkt *p)
{
    struct red_block block[RED_BLOCKS_MAX];
    unsigned n;

    if (p->codec != CODEC_RED || red_parse(pkt_payload(p), block, &n) != 0)
        return;
    for (unsigned i = 0; i + 1 < n; i++) { /* oldest first; the last is the packet itself */
        const struct cmd_codec *c = track_codec(rx->track, block[i].pt);
        uint64_t seq = p->seq - (n - 1 - i);
        if (block[i].data.len == 0 || c == NULL || c->codec != CODEC_OPUS ||
            !rx_fill(rx, seq, c->nack))
            continue;
        struct pkt *q = pkt_take(&s->slab);
        if (q != NULL && make(q, p, &block[i], seq)) {
            plane_count(s, SHARD_RED_FILLED);
            plane_packet(s, rx->track, q);
        }
        pkt_drop(&s->slab, q);
    }
}
