#include "sfu/feedback.h"

#include "base/err.h"
#include "base/mem.h"
#include "wire/rtcp.h"

/* The offset between our wall clock and the publisher's, from the report with the least
 * delay; slow drift is followed. */
static void learn_clock(struct shard *s, struct link *l, uint64_t ntp)
{
    int64_t off = s->tick.now + s->tick.wall_off_us - rtcp_unix_of_ntp(ntp);

    if (!l->clock_known || off < l->clock_off_us)
        l->clock_off_us = off;
    else
        l->clock_off_us += (off - l->clock_off_us) / 64;
    l->clock_known = true;
}

static void sr_arrived(struct shard *s, struct link *l, const struct rtcp_sr *sr)
{
    struct rx *rx = map_find_u64(&l->in, sr->ssrc);

    if (rx == NULL || rx->ssrc != sr->ssrc || sr->ntp == 0)
        return;
    struct track *t = rx->track;
    report_rx_sr(&rx->report, sr, s->tick.now);
    learn_clock(s, l, sr->ntp);
    t->layer[rx->layer].sr =
        (struct layer_sr){.ntp = sr->ntp, .rtp_ts = sr->rtp_ts, .at = s->tick.now};
    t->clock_off_us = l->clock_off_us;
    t->clock_known = true;
    struct relay_report rr = {.sr = t->layer[rx->layer].sr, .clock_off_us = l->clock_off_us};
    for (uint8_t i = 0; i < t->mirror_n; i++) {
        if (!relay_push_report(&s->relay, t->mirror[i], rx->layer, &rr))
            plane_count(s, SHARD_SHED_RELAY_FULL);
    }
}

static void blocks_arrived(struct shard *s, struct link *l, const struct rtcp_pkt *pkt)
{
    struct rtcp_report block[RTCP_REPORTS_MAX];
    uint32_t sender;
    unsigned n;

    if (rtcp_parse_reports(pkt, &sender, block, &n) != 0)
        return;
    for (unsigned i = 0; i < n; i++) {
        struct sub *b = map_find_u64(&l->out, block[i].ssrc);
        if (b == NULL || b->ssrc != block[i].ssrc)
            continue;
        us_t rtt = report_round_trip(&block[i], s->tick);
        if (b->sent)
            sub_reported(b);
        b->lost = block[i].lost_n > 0 ? (uint32_t)block[i].lost_n : 0;
        b->jitter_us =
            (uint32_t)((uint64_t)block[i].jitter * US_PER_SEC / b->track->source.clock_hz);
        if (rtt >= 0) {
            b->rtt_us = (uint32_t)us_min(rtt, 10 * US_PER_SEC);
            l->rtt_us = b->rtt_us;
        }
    }
}

static void resend_one(struct shard *s, struct sub *b, uint16_t seq)
{
    struct fwd *f = track_fwd(b->track, b);
    struct sub_emit e;
    uint8_t layer;
    uint64_t in;

    if (!fwd_origin(f, seq, &layer, &in, &e) || layer >= b->track->layer_n)
        return;
    struct pkt *p = replay_find(&b->track->replay[layer], in);
    if (p == NULL)
        return;
    const struct cmd_pt_map *pt = sub_pt(b, p->rtp.pt);
    if (b->resend == NULL)
        b->resend = mem_zero(sizeof *b->resend); /* once, for who loses packets at all */
    if (pt == NULL || !sub_may_repeat(b, pt) || b->resend == NULL ||
        !resend_asked(b->resend, seq, s->tick.now))
        return;
    e.ts = sub_ts(b, p, e.seg);
    e.marker = rtp_marker(&p->rtp);
    if (sub_emit(b, p, &e, true, s->tick.now, &s->tx) > 0)
        plane_count(s, SHARD_TX_RTX);
    else
        plane_count(s, SHARD_SHED_TX_FULL);
}

static void nack_arrived(struct shard *s, struct link *l, const struct rtcp_pkt *pkt)
{
    struct rtcp_nack_iter it;
    struct rtcp_fb fb;
    uint16_t seq;

    if (rtcp_parse_fb(pkt, &fb) != 0)
        return;
    struct sub *b = map_find_u64(&l->out, fb.media);
    if (b == NULL || b->ssrc != fb.media)
        return;
    rtcp_nack_init(&it, &fb);
    while (rtcp_nack_next(&it, &seq)) {
        b->nacks++;
        plane_count(s, SHARD_NACK_IN);
        resend_one(s, b, seq);
    }
}

static void key_frame_asked(struct shard *s, struct link *l, uint32_t ssrc)
{
    struct sub *b = map_find_u64(&l->out, ssrc);

    if (b == NULL || b->ssrc != ssrc)
        return;
    struct fwd *f = track_fwd(b->track, b);
    plane_count(s, SHARD_PLI_IN);
    b->plis++;
    if (f->flags & FWD_PAUSED || f->now.layer >= b->track->layer_n)
        return; /* it waits for one anyhow */
    b->track->layer[f->now.layer].pli_wanted = true;
    plane_key_frames(s, b->track);
}

static void feedback_one(struct shard *s, struct link *l, const struct rtcp_pkt *pkt)
{
    struct rtcp_fir fir[RTCP_FIR_MAX];
    struct rtcp_sr sr;
    struct rtcp_fb fb;

    if (rtcp_is_nack(pkt)) {
        nack_arrived(s, l, pkt);
    } else if (rtcp_is_pli(pkt)) {
        if (rtcp_parse_fb(pkt, &fb) == 0)
            key_frame_asked(s, l, fb.media);
    } else if (rtcp_is_fir(pkt)) {
        unsigned n = rtcp_parse_fir(pkt, fir);
        for (unsigned i = 0; i < n; i++)
            key_frame_asked(s, l, fir[i].ssrc);
    } else if (pkt->pt == RTCP_SR || pkt->pt == RTCP_RR) {
        if (rtcp_parse_sr(pkt, &sr) == 0)
            sr_arrived(s, l, &sr);
        blocks_arrived(s, l, pkt);
    }
}

void feedback_arrived(struct shard *s, struct link *l, struct bytes compound)
{
    struct rtcp_iter it;
    struct rtcp_pkt pkt;

    rtcp_iter_init(&it, compound);
    while (rtcp_next(&it, &pkt))
        feedback_one(s, l, &pkt);
    if (it.malformed)
        plane_count(s, SHARD_DROP_MALFORMED);
}

/* Without transport-cc there are only losses to go by: much of them, down to what arrives and less;
 * hardly any, slowly up again (the bounds are those of Google congestion control, draft-ietf-
 * rmcat-gcc s6).  Without any word from us the publisher would stay at its start bit rate. */
static uint32_t remb_rate(struct link *l, const struct rtcp_report *block, unsigned n)
{
    uint64_t received = 0;
    uint32_t worst = 0;

    for (unsigned i = 0; i < n; i++)
        worst = u32_max(worst, block[i].fraction_lost); /* of 256 */
    for (const struct track *t = l->tracks; t != NULL; t = t->link_next)
        for (uint8_t i = 0; t->video && i < t->layer_n; i++)
            received += t->layer[i].bps;
    if (l->remb_bps == 0)
        l->remb_bps = PLANE_REMB_BPS;
    if (worst > 26 && received > 0) { /* a tenth */
        uint64_t below = received < l->remb_bps ? received : l->remb_bps;
        l->remb_bps = u32_max((uint32_t)(below * (512 - worst) / 512), PLANE_REMB_MIN_BPS);
    } else if (worst < 5) { /* a fiftieth */
        l->remb_bps = u32_min(l->remb_bps + l->remb_bps / 12, PLANE_REMB_BPS);
    }
    return l->remb_bps;
}

/* Receiver reports, and REMB where nothing better was negotiated. */
static void report_to_publisher(struct shard *s, struct link *l)
{
    struct rtcp_report block[RTCP_REPORTS_MAX];
    struct rtcp_remb remb = {
        .sender = l->rtcp_ssrc,
    };
    uint8_t buf[LINK_RTCP_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    unsigned n = 0;

    for (struct track *t = l->tracks; t != NULL; t = t->link_next) {
        for (uint8_t i = 0; i < t->layer_n; i++) {
            struct rx *rx = &t->rx[i];
            if (rx->ssrc == 0 || !report_rx_block(&rx->report, rx->ssrc, s->tick.now, &block[n]))
                continue;
            if (t->video && remb.ssrc_n < RTCP_REMB_SSRCS_MAX)
                remb.ssrc[remb.ssrc_n++] = rx->ssrc;
            if (++n < RTCP_REPORTS_MAX)
                continue;
            rtcp_write_rr(&w, l->rtcp_ssrc, block, n);
            (void)link_send_rtcp(l, &s->tx, wr_done(&w)); /* shed: the next is a second away */
            w = wr_of(buf, sizeof buf);
            n = 0;
        }
    }
    if (n == 0 && remb.ssrc_n == 0)
        return;
    rtcp_write_rr(&w, l->rtcp_ssrc, block, n);
    if (l->remb && !l->twcc && remb.ssrc_n > 0) {
        remb.rate_bps = remb_rate(l, block, n);
        rtcp_write_remb(&w, &remb);
    }
    (void)link_send_rtcp(l, &s->tx, wr_done(&w)); /* shed: the next is a second away */
}

/* The publisher's timeline at this instant, in the subscriber's numbers; false while unknown. */
static bool make_sr(const struct shard *s, const struct sub *b, struct rtcp_sr *sr)
{
    const struct track *t = b->track;
    const struct fwd *f = track_fwd(t, b);

    if (!b->sent || f->now.layer >= t->layer_n || !t->clock_known)
        return false;
    const struct layer_sr *from = &t->layer[f->now.layer].sr;
    if (from->at == 0)
        return false;
    int64_t wall = s->tick.now + s->tick.wall_off_us;
    int64_t since = wall - t->clock_off_us - rtcp_unix_of_ntp(from->ntp);
    since = us_clamp(since, -3600 * US_PER_SEC, 3600 * US_PER_SEC);
    int64_t ticks = since * (int64_t)t->source.clock_hz / US_PER_SEC;
    *sr = (struct rtcp_sr){
        .ssrc = b->ssrc,
        .ntp = rtcp_ntp_of_unix(wall),
        .rtp_ts = from->rtp_ts + (uint32_t)ticks + f->now.ts_off,
        .packets_n = (uint32_t)b->packets,
        .octets_n = (uint32_t)b->octets,
    };
    return true;
}

static void tell_sub_stats(struct shard *s, struct sub *b)
{
    if (b->packets == b->told_packets)
        return;
    b->told_packets = b->packets;
    struct evt e = {
        .kind = EVT_SUB_STATS,
        .sub_stats = {.sub = b->id,
                      .packets = b->packets,
                      .bytes = b->wire_bytes,
                      .lost = b->lost,
                      .jitter_us = b->jitter_us,
                      .rtt_us = b->rtt_us,
                      .nacks = b->nacks,
                      .plis = b->plis,
                      .spatial = track_fwd(b->track, b)->now.layer},
    };
    plane_emit(s, &e);
}

static void report_to_subscriber(struct shard *s, struct link *l)
{
    uint8_t buf[LINK_RTCP_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    struct rtcp_sr sr;

    for (struct sub *b = l->subs; b != NULL; b = b->link_next) {
        if (s->tick.now >= b->stats_at) {
            b->stats_at = s->tick.now + SUB_STATS_US;
            tell_sub_stats(s, b);
        }
        if (s->tick.now < b->sr_at || !make_sr(s, b, &sr))
            continue;
        b->sr_at = s->tick.now + SUB_SR_US;
        if (wr_left(&w) < 200) {                          /* a report, a chunk with cname and mid */
            (void)link_send_rtcp(l, &s->tx, wr_done(&w)); /* shed: three seconds to the next */
            w = wr_of(buf, sizeof buf);
        }
        rtcp_write_sr(&w, &sr, NULL, 0);
        rtcp_write_sdes(&w, b->ssrc, bytes_str(b->cname), bytes_str(b->mid));
    }
    if (wr_ok(&w))
        (void)link_send_rtcp(l, &s->tx, wr_done(&w)); /* shed: three seconds to the next */
}

static void ask_missing(struct shard *s, struct link *l)
{
    uint16_t seq[NACK_MISSING_MAX];
    uint8_t buf[LINK_RTCP_MAX];

    l->nack_at = US_NEVER;
    for (struct track *t = l->tracks; t != NULL; t = t->link_next) {
        for (uint8_t i = 0; i < t->layer_n; i++) {
            struct rx *rx = &t->rx[i];
            unsigned n = nack_due(&rx->nack, s->tick.now, l->rtt_us, seq, ARRAY_LEN(seq));
            l->nack_at = us_min(l->nack_at, nack_deadline(&rx->nack));
            if (n == 0)
                continue;
            struct wr w = wr_of(buf, sizeof buf);
            rtcp_write_rr(&w, l->rtcp_ssrc, NULL, 0);
            rtcp_write_nack(&w, l->rtcp_ssrc, rx->ssrc, seq, n);
            if (wr_ok(&w) && link_send_rtcp(l, &s->tx, wr_done(&w)))
                s->counter[SHARD_NACK_OUT] += n;
        }
    }
}

static void report_arrivals(struct shard *s, struct link *l)
{
    uint8_t buf[TWCC_MESSAGE_MAX + 16];
    uint32_t media = 0;

    /* It must be one that the sender knows as its own: senders ignore the report otherwise. */
    for (struct track *t = l->tracks; t != NULL; t = t->link_next)
        for (uint8_t i = 0; t->video && i < t->layer_n && media == 0; i++)
            media = t->rx[i].ssrc;
    for (;;) {
        struct wr w = wr_of(buf, sizeof buf);
        rtcp_write_rr(&w, l->rtcp_ssrc, NULL, 0);
        if (!twcc_rx_report(l->arrivals, l->rtcp_ssrc, media, s->tick.now, &w))
            return;
        (void)link_send_rtcp(l, &s->tx, wr_done(&w)); /* shed: the sender sees loss */
    }
}

void feedback_tick(struct shard *s, struct link *l)
{
    us_t now = s->tick.now;

    if (now >= l->nack_at)
        ask_missing(s, l);
    if (!l->up)
        return;
    if (l->twcc && now >= twcc_rx_deadline(l->arrivals))
        report_arrivals(s, l);
    if (now >= l->report_at) {
        l->report_at = plane_report_at(now);
        report_to_publisher(s, l);
        report_to_subscriber(s, l);
    }
}
