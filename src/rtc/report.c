#include "rtc/report.h"

/* Ticks of a clock in a span of microseconds, without losing the remainder to rounding. */
static int64_t ticks_of(int64_t us, uint32_t clock_hz)
{
    int64_t s = us / US_PER_SEC, rest = us % US_PER_SEC;

    return s * clock_hz + rest * clock_hz / US_PER_SEC;
}

void report_rx_init(struct report_rx *r, uint32_t clock_hz)
{
    assert(clock_hz > 0);
    *r = (struct report_rx){.clock_hz = clock_hz};
}

static void restart(struct report_rx *r, uint16_t seq)
{
    r->started = true;
    r->resync = false;
    r->newest = seq;
    r->cycles = 0;
    r->base = seq;
    r->received_n = 0;
    r->expected_prior = r->received_prior = 0;
}

/* RFC 3550 A.8 */
static void measure_jitter(struct report_rx *r, uint32_t ts, us_t now)
{
    uint32_t transit = (uint32_t)ticks_of(now, r->clock_hz) - ts;

    if (r->received_n > 1) {
        int32_t d = (int32_t)(transit - r->transit);
        uint32_t size = d < 0 ? 0 - (uint32_t)d : (uint32_t)d;
        if (size < r->clock_hz * 10) /* a jump of the clock is no jitter */
            r->jitter16 += size - ((r->jitter16 + 8) >> 4);
    }
    r->transit = transit;
}

uint32_t report_rx_seen(struct report_rx *r, uint16_t seq, uint32_t ts, us_t now)
{
    if (!r->started)
        restart(r, seq);
    int16_t ahead = (int16_t)(uint16_t)(seq - r->newest);

    if (ahead > REPORT_DROPOUT_MAX || ahead < -REPORT_MISORDER_MAX) {
        if (!r->resync || seq != r->resync_seq) { /* RFC 3550 A.1: believe it the second time */
            r->resync = true;
            r->resync_seq = (uint16_t)(seq + 1);
            return r->cycles + seq;
        }
        restart(r, seq);
        ahead = 0;
    }
    r->resync = false;
    r->received_n++;
    uint32_t extended = r->cycles + r->newest + (uint32_t)ahead;
    if (ahead > 0) {
        if (seq < r->newest)
            r->cycles += 1u << 16;
        r->newest = seq;
    }
    if (ahead >= 0)
        measure_jitter(r, ts, now);
    return extended;
}

void report_rx_sr(struct report_rx *r, const struct rtcp_sr *sr, us_t now)
{
    r->sr_known = true;
    r->sr_ntp = sr->ntp;
    r->sr_rtp = sr->rtp_ts;
    r->sr_at = now;
}

static uint32_t expected(const struct report_rx *r)
{
    return r->started ? r->cycles + r->newest - r->base + 1 : 0;
}

/* Of 256, at most 255; a negative loss (duplicates) is none. */
static uint8_t fraction(uint32_t want, uint32_t got)
{
    if (want == 0 || got >= want)
        return 0;
    return (uint8_t)u32_min(255, (uint32_t)(((uint64_t)(want - got) << 8) / want));
}

bool report_rx_block(struct report_rx *r, uint32_t ssrc, us_t now, struct rtcp_report *out)
{
    if (!r->started)
        return false;
    uint32_t want = expected(r) - r->expected_prior, got = r->received_n - r->received_prior;
    int64_t lost = (int64_t)expected(r) - r->received_n;

    r->expected_prior = expected(r);
    r->received_prior = r->received_n;
    *out = (struct rtcp_report){
        .ssrc = ssrc,
        .fraction_lost = fraction(want, got),
        .lost_n = (int32_t)(lost > 0x7fffff    ? 0x7fffff
                            : lost < -0x800000 ? -0x800000
                                               : lost),
        .highest_seq = r->cycles + r->newest,
        .jitter = r->jitter16 >> 4,
    };
    if (r->sr_known) {
        out->lsr = rtcp_ntp_mid(r->sr_ntp);
        out->dlsr = (uint32_t)ticks_of(now - r->sr_at, 65536);
    }
    return true;
}

uint32_t report_rx_lost(const struct report_rx *r)
{
    return expected(r) > r->received_n ? expected(r) - r->received_n : 0;
}

us_t report_rx_jitter_us(const struct report_rx *r)
{
    return (us_t)(r->jitter16 >> 4) * US_PER_SEC / r->clock_hz;
}

bool report_rx_wall(const struct report_rx *r, uint32_t ts, int64_t *unix_us)
{
    if (!r->sr_known)
        return false;
    *unix_us =
        rtcp_unix_of_ntp(r->sr_ntp) + (int64_t)(int32_t)(ts - r->sr_rtp) * US_PER_SEC / r->clock_hz;
    return true;
}

void report_tx_init(struct report_tx *t, uint32_t clock_hz)
{
    assert(clock_hz > 0);
    *t = (struct report_tx){.clock_hz = clock_hz};
}

void report_tx_sent(struct report_tx *t, uint32_t ts, size_t payload_bytes, us_t now)
{
    t->packets_n++;
    t->octets_n += (uint32_t)payload_bytes;
    if (t->started && (int32_t)(ts - t->last_ts) <= 0)
        return; /* a later packet of the same picture, or a repetition */
    t->started = true;
    t->last_ts = ts;
    t->last_at = now;
}

bool report_tx_sr(const struct report_tx *t, uint32_t ssrc, struct tick tick, struct rtcp_sr *out)
{
    if (!t->started)
        return false;
    *out = (struct rtcp_sr){
        .ssrc = ssrc,
        .ntp = rtcp_ntp_of_unix(tick.now + tick.wall_off_us),
        .rtp_ts = t->last_ts + (uint32_t)ticks_of(tick.now - t->last_at, t->clock_hz),
        .packets_n = t->packets_n,
        .octets_n = t->octets_n,
    };
    return true;
}

us_t report_round_trip(const struct rtcp_report *block, struct tick tick)
{
    return rtcp_round_trip(rtcp_ntp_of_unix(tick.now + tick.wall_off_us), block);
}
