#include "sfu/demux.h"

#include "base/err.h"
#include "sfu/feedback.h"
#include "sfu/redfill.h"
#include "wire/stun.h"

static void drop(struct shard *s, int err)
{
    switch (err) {
    case E_AUTH:
        plane_count(s, SHARD_DROP_UNAUTHENTICATED);
        break;
    case E_REPLAY:
        plane_count(s, SHARD_DROP_REPLAYED);
        break;
    case E_STATE:
        plane_count(s, SHARD_DROP_STATE);
        break;
    default:
        plane_count(s, SHARD_DROP_MALFORMED);
        break;
    }
}

static struct link *by_address(struct shard *s, const struct addr *remote)
{
    uint32_t at = paths_find(&s->paths, remote);

    return at != PATHS_NONE ? s->links.at[at] : NULL;
}

/* An authenticated address; the oldest of too many gives way. */
static void learn_address(struct shard *s, struct link *l, const struct addr *remote)
{
    uint32_t index = handle_index(l->id);

    if (paths_find(&s->paths, remote) == index)
        return;
    if (!paths_put(&s->paths, remote, index))
        return; /* full: its media is dropped and counted, its checks still find it */
    if (l->addr_n == LINK_ADDR_MAX)
        paths_remove(&s->paths, &l->addr[l->addr_at], index);
    else
        l->addr_n++;
    l->addr[l->addr_at] = *remote;
    l->addr_at = (uint8_t)((l->addr_at + 1) % LINK_ADDR_MAX);
}

/* RFC 8445 s7.2.2: USERNAME is "ours:theirs". */
static struct link *by_ufrag(struct shard *s, struct bytes datagram)
{
    struct stun_msg m;
    struct bytes ours, theirs;

    if (stun_parse(&m, datagram) != 0 || m.username.p == NULL ||
        !stun_username_split(m.username, &ours, &theirs))
        return NULL;
    return map_find(&s->ufrags, ours);
}

static void stun_arrived(struct shard *s, struct pkt *p)
{
    struct link *l = by_ufrag(s, bytes_of(p->data, p->len));

    if (l == NULL)
        l = by_address(s, &p->path.remote);
    if (l == NULL) {
        plane_count(s, SHARD_DROP_UNKNOWN_PEER);
        return;
    }
    int err = peer_input(l->peer, &p->path, p->data, p->len, s->tick.now);
    if (err != 0)
        drop(s, err);
    else if (peer_proven(l->peer, &p->path)) /* not so an indication, which nobody signs */
        learn_address(s, l, &p->path.remote);
    plane_drain(s, l);
}

static void dtls_arrived(struct shard *s, struct link *l, struct pkt *p)
{
    int err = peer_input(l->peer, &p->path, p->data, p->len, s->tick.now);

    if (err != 0)
        drop(s, err);
    plane_drain(s, l);
}

static void bind_ssrc(struct link *l, struct rx *rx, uint32_t ssrc, bool rtx)
{
    uint32_t *mine = rtx ? &rx->rtx_ssrc : &rx->ssrc;

    if (*mine != 0 && *mine != ssrc)
        (void)map_take_u64(&l->in, *mine); /* the sender changed it */
    if (!rtx && rx->ssrc != 0 && rx->ssrc != ssrc)
        rx_restart(rx, ssrc);
    *mine = ssrc;
    if (!map_put_u64(&l->in, ssrc, rx))
        *mine = 0; /* no memory: the next packet tries again */
}

void demux_forget(struct link *l, struct rx *rx)
{
    if (rx->ssrc != 0 && map_find_u64(&l->in, rx->ssrc) == rx)
        (void)map_take_u64(&l->in, rx->ssrc);
    if (rx->rtx_ssrc != 0 && map_find_u64(&l->in, rx->rtx_ssrc) == rx)
        (void)map_take_u64(&l->in, rx->rtx_ssrc);
    l->last_rx = NULL;
}

static bool is(struct bytes name, const char *text)
{
    return text[0] != '\0' && bytes_eq_str(name, text);
}

/* Which stream of the track does a packet with an unknown ssrc begin?  NULL: none. */
static struct rx *stream_of(struct track *t, const struct pkt *p, bool rtx)
{
    struct bytes rid = rtp_ext(&p->rtp, p->data, rtx ? RTP_EXT_REPAIRED_RID : RTP_EXT_RID);

    for (uint8_t i = 0; i < t->layer_n; i++) {
        if (rid.p != NULL && is(rid, t->rid[i]))
            return &t->rx[i];
    }
    if (t->layer_n == 1 && t->rid[0][0] == '\0')
        return &t->rx[0];
    return NULL;
}

/* RFC 8843 s9.2 and RFC 8852: by mid and rid; without a mid by payload type, for a stream that
 * was never seen. */
static struct rx *learn_ssrc(struct link *l, const struct pkt *p)
{
    struct bytes mid = rtp_ext(&p->rtp, p->data, RTP_EXT_MID);

    if (map_find_u64(&l->in, p->rtp.ssrc) == NULL && l->in.used >= LINK_RX_MAX)
        return NULL;
    for (struct track *t = l->tracks; t != NULL; t = t->link_next) {
        const struct cmd_codec *c = track_codec(t, p->rtp.pt);
        if (c == NULL || (mid.p != NULL && !is(mid, t->mid)))
            continue;
        bool rtx = c->pt != p->rtp.pt;
        struct rx *rx = stream_of(t, p, rtx);
        if (rx == NULL || (mid.p == NULL && (rtx ? rx->rtx_ssrc : rx->ssrc) != 0))
            continue;
        bind_ssrc(l, rx, p->rtp.ssrc, rtx);
        return rx;
    }
    return NULL;
}

static struct rx *find_rx(struct link *l, const struct pkt *p)
{
    if (l->last_rx != NULL && l->last_ssrc == p->rtp.ssrc)
        return l->last_rx;
    struct rx *rx = map_find_u64(&l->in, p->rtp.ssrc);
    if (rx == NULL)
        rx = learn_ssrc(l, p);
    l->last_ssrc = p->rtp.ssrc;
    l->last_rx = rx;
    return rx;
}

static void rtp_arrived(struct shard *s, struct link *l, struct pkt *p)
{
    size_t len = p->len;
    uint16_t twcc;
    int err = peer_open_rtp(l->peer, p->data, &len, s->tick.now);

    if (err == 0) {
        p->len = (uint16_t)len;
        err = rtp_parse(&p->rtp, bytes_of(p->data, len), &l->ext);
    }
    if (err != 0) {
        drop(s, err);
        return;
    }
    if (l->twcc && rtp_ext_twcc(&p->rtp, p->data, &twcc)) {
        twcc_rx_seen(l->arrivals, twcc, rtp_marker(&p->rtp), p->at);
        plane_due(s, l, twcc_rx_deadline(l->arrivals));
    }
    struct rx *rx = find_rx(l, p);
    if (rx == NULL) {
        plane_count(s, SHARD_DROP_UNKNOWN_SSRC);
        return;
    }
    err = rx_accept(rx, p, track_codec(rx->track, p->rtp.pt));
    if (err == E_REPLAY)
        plane_count(s, SHARD_DROP_REPLAYED);
    if (err != 0)
        return; /* E_NOENT: a probe, or a payload type that nobody asked for */
    us_t nack_at = nack_deadline(&rx->nack);
    if (nack_at < l->nack_at) {
        l->nack_at = nack_at;
        plane_due(s, l, nack_at);
    }
    if (p->codec == CODEC_RED)
        redfill(s, rx, p);
    plane_packet(s, rx->track, p);
}

static void rtcp_arrived(struct shard *s, struct link *l, struct pkt *p)
{
    size_t len = p->len;
    int err = peer_open_rtcp(l->peer, p->data, &len, s->tick.now);

    if (err != 0)
        drop(s, err);
    else
        feedback_arrived(s, l, bytes_of(p->data, len));
}

void demux_packet(struct shard *s, struct pkt *p)
{
    plane_count(s, SHARD_RX_PACKETS);
    if (p->len > PKT_DATA_MAX) {
        plane_count(s, SHARD_DROP_OVERSIZED);
        return;
    }
    enum rtp_demux kind = rtp_demux_kind(bytes_of(p->data, p->len));
    s->counter[SHARD_RX_BYTES] += p->len;
    p->at = s->tick.now;
    if (kind == RTP_DEMUX_STUN) {
        stun_arrived(s, p);
        return;
    }
    if (kind == RTP_DEMUX_OTHER || kind == RTP_DEMUX_TURN_CHANNEL) {
        plane_count(s, SHARD_DROP_MALFORMED);
        return;
    }
    struct link *l = by_address(s, &p->path.remote);
    if (l == NULL) {
        plane_count(s, SHARD_DROP_UNKNOWN_PEER);
        return;
    }
    if (kind == RTP_DEMUX_DTLS)
        dtls_arrived(s, l, p);
    else if (kind == RTP_DEMUX_RTP)
        rtp_arrived(s, l, p);
    else
        rtcp_arrived(s, l, p);
}
