#include "client/incoming.h"

void incoming_init(struct incoming *in, uint32_t ssrc, uint32_t clock_hz)
{
    *in = (struct incoming){.ssrc = ssrc, .clock_hz = clock_hz};
}

static void forget(struct incoming *in, uint16_t seq)
{
    for (uint32_t i = 0; i < in->missing_n; i++) {
        if (in->missing[i].seq != seq)
            continue;
        memmove(&in->missing[i], &in->missing[i + 1],
                (in->missing_n - i - 1) * sizeof in->missing[0]);
        in->missing_n--;
        return;
    }
}

static void note_gap(struct incoming *in, uint64_t from, uint64_t to, us_t now)
{
    for (uint64_t seq = from; seq < to; seq++) {
        if (in->missing_n == INCOMING_MISSING_MAX) /* oldest is hopeless by now */
            forget(in, in->missing[0].seq);
        in->missing[in->missing_n++] =
            (struct incoming_missing){.seq = (uint16_t)seq, .ask_at = now + INCOMING_NACK_FIRST_US};
    }
}

static void note_jitter(struct incoming *in, uint32_t ts, us_t now)
{
    uint32_t arrival = (uint32_t)(now * (us_t)in->clock_hz / US_PER_SEC);
    uint32_t transit = arrival - ts;
    int32_t d = (int32_t)(transit - in->last_transit);

    in->last_transit = transit;
    if (in->received_n < 2)
        return;
    uint32_t abs_d = d < 0 ? (uint32_t) - (int64_t)d : (uint32_t)d;
    in->jitter_q4 += abs_d - ((in->jitter_q4 + 8) >> 4); /* A.8 */
}

void incoming_seen(struct incoming *in, uint16_t seq, uint32_t ts, us_t now)
{
    int16_t ahead = (int16_t)(uint16_t)(seq - (uint16_t)in->highest_seq);

    if (!in->started || ahead > INCOMING_JUMP_MAX || ahead < -INCOMING_JUMP_MAX) {
        incoming_init(in, in->ssrc, in->clock_hz);
        in->started = true;
        in->first_seq = in->highest_seq = (1u << 16) + (uint64_t)seq;
        ahead = 0;
    }
    in->received_n++;
    note_jitter(in, ts, now);
    if (ahead <= 0) {
        forget(in, seq);
        return;
    }
    note_gap(in, in->highest_seq + 1, in->highest_seq + (uint64_t)ahead, now);
    in->highest_seq += (uint64_t)ahead;
}

void incoming_sender_report(struct incoming *in, const struct rtcp_sr *sr, us_t now)
{
    in->lsr = rtcp_ntp_mid(sr->ntp);
    in->sr_at = now;
}

bool incoming_report(struct incoming *in, us_t now, struct rtcp_report *out)
{
    if (!in->started)
        return false;
    uint64_t expected = in->highest_seq - in->first_seq + 1;
    uint64_t expected_now = expected - in->expected_before;
    uint64_t received_now = in->received_n - in->received_before;
    uint64_t lost_now = expected_now > received_now ? expected_now - received_now : 0;

    in->expected_before = expected;
    in->received_before = in->received_n;
    uint64_t fraction = expected_now > 0 ? lost_now * 255 / expected_now : 0;
    *out = (struct rtcp_report){
        .ssrc = in->ssrc,
        .fraction_lost = (uint8_t)fraction,
        .lost_n = (int32_t)incoming_lost(in),
        .highest_seq = (uint32_t)(in->highest_seq - (1u << 16)),
        .jitter = in->jitter_q4 >> 4,
        .lsr = in->lsr,
        .dlsr = in->lsr != 0 ? (uint32_t)((now - in->sr_at) * 65536 / US_PER_SEC) : 0,
    };
    return true;
}

unsigned incoming_nack(struct incoming *in, us_t now, uint16_t out[INCOMING_MISSING_MAX])
{
    unsigned n = 0;

    for (uint32_t i = 0; i < in->missing_n;) {
        struct incoming_missing *m = &in->missing[i];
        if (m->ask_at > now) {
            i++;
            continue;
        }
        if (m->tries == INCOMING_NACK_TRIES) {
            forget(in, m->seq);
            continue;
        }
        m->tries++;
        m->ask_at = now + INCOMING_NACK_GAP_US;
        out[n++] = m->seq;
        i++;
    }
    return n;
}

us_t incoming_nack_deadline(const struct incoming *in)
{
    us_t at = US_NEVER;

    for (uint32_t i = 0; i < in->missing_n; i++)
        at = us_min(at, in->missing[i].ask_at);
    return at;
}

uint32_t incoming_lost(const struct incoming *in)
{
    uint64_t expected = in->started ? in->highest_seq - in->first_seq + 1 : 0;
    return expected > in->received_n ? (uint32_t)(expected - in->received_n) : 0;
}
