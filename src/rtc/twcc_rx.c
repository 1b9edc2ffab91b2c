#include "rtc/twcc_rx.h"

static_assert((TWCC_RX_MAX & (TWCC_RX_MAX - 1)) == 0, "numbers wrap at a power of two");

void twcc_rx_init(struct twcc_rx *t)
{
    *t = (struct twcc_rx){0};
}

static void restart(struct twcc_rx *t, uint16_t seq, us_t now)
{
    uint8_t count = t->fb_count;

    *t = (struct twcc_rx){.started = true, .fb_count = count, .first = seq, .base_at = now};
}

void twcc_rx_seen(struct twcc_rx *t, uint16_t seq, bool marker, us_t now)
{
    if (!t->started)
        restart(t, seq, now);
    int16_t ahead = (int16_t)(uint16_t)(seq - t->first);

    if (ahead < 0 && ahead >= -TWCC_RX_MAX)
        return; /* reported as lost already, or a duplicate */
    if (ahead < 0 || ahead >= TWCC_RX_MAX || now - t->base_at > UINT32_MAX / 2) {
        restart(t, seq, now);
        ahead = 0;
    }
    for (; t->span <= ahead; t->span++) /* numbers that come into view: not arrived */
        t->at[(uint16_t)(t->first + t->span) % TWCC_RX_MAX] = 0;
    uint32_t *at = &t->at[seq % TWCC_RX_MAX];
    if (*at != 0)
        return; /* the first copy counts */
    *at = (uint32_t)(now - t->base_at) + 1;
    if (t->held_n++ == 0) {
        t->first_at = now;
        t->marker = false;
    }
    t->newest_at = now;
    t->marker |= marker;
}

us_t twcc_rx_deadline(const struct twcc_rx *t)
{
    if (t->held_n == 0)
        return US_NEVER;
    if (t->held_n > TWCC_RX_PACKETS_MAX)
        return t->newest_at;
    if (t->marker)
        return t->first_at + TWCC_RX_MARKER_US;
    return t->first_at + (t->held_n > TWCC_RX_PACKETS ? TWCC_RX_US : TWCC_RX_HOLD_US);
}

bool twcc_rx_report(struct twcc_rx *t, uint32_t sender, uint32_t media, us_t now, struct wr *w)
{
    us_t arrival[TWCC_WRITE_MAX];
    const struct rtcp_fb from = {.sender = sender, .media = media};

    if (now < twcc_rx_deadline(t) || wr_left(w) < TWCC_MESSAGE_MAX)
        return false;
    unsigned n = u32_min(t->span, TWCC_WRITE_MAX), held = 0;
    for (unsigned i = 0; i < n; i++) {
        uint32_t at = t->at[(uint16_t)(t->first + i) % TWCC_RX_MAX];
        arrival[i] = at == 0 ? TWCC_LOST : t->base_at + (us_t)(at - 1);
    }
    unsigned done = twcc_write(w, &from, t->fb_count, t->first, arrival, n);
    if (done == 0) {
        t->started = false; /* cannot be said: start over */
        t->held_n = 0;
        return false;
    }
    for (unsigned i = 0; i < done; i++)
        held += arrival[i] != TWCC_LOST;
    t->fb_count++;
    t->first = (uint16_t)(t->first + done);
    t->span = (uint16_t)(t->span - done);
    t->held_n = (uint16_t)(t->held_n - held);
    if (t->span == 0)
        t->marker = false;
    return true;
}
