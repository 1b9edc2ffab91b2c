#include "room/quality.h"

#include <math.h>

static const float floor_score = 30, layer_points = 35;
static const float rise = 0.4f, fall = 0.8f; /* smoothing */

float quality_loss_weight(bool video, bool red)
{
    return video ? 10 : red ? 4 / 1.5f : 8 / 1.5f;
}

float quality_score(const struct quality *q)
{
    return q->begun ? q->score : 100;
}

/* Silence with DTX and screens at rest send little, and little is lost with a packet of it. */
static float adjusted_weight(struct quality *q, const struct quality_window *w)
{
    float rate = w->span > 0 ? (float)w->packets * US_PER_SEC / (float)w->span : 0;

    q->rate = fmaxf(rate, q->rate * 0.98f);
    return q->rate > 0 ? w->loss_weight * sqrtf(rate / q->rate) : w->loss_weight;
}

static float packet_score(struct quality *q, const struct quality_window *w)
{
    float delay_ms = (float)w->rtt_us / 2000 + 2 * (float)w->jitter_us / 1000;
    float delay = delay_ms <= 160 ? delay_ms / 40 : (delay_ms - 120) / 10;
    float all = (float)(w->packets + w->lost);
    float loss = all > 0 ? 100 * (float)w->lost / all : 0;

    return fmaxf(0, 100 - delay - loss * adjusted_weight(q, w));
}

void quality_update(struct quality *q, const struct quality_window *w)
{
    float layers = fmaxf(0, 100 - w->distance * layer_points);
    float score = fminf(packet_score(q, w), layers), was = quality_score(q);
    float factor = score < was ? fall : rise;

    q->score = fmaxf(floor_score, factor * score + (1 - factor) * was);
    q->begun = true;
}

void quality_dry(struct quality *q, bool connection_dead)
{
    if (q->begun) /* before its first packet a stream has not failed */
        q->score = connection_dead ? QUALITY_LOST_OVER : QUALITY_POOR_OVER;
}

void quality_muted(struct quality *q)
{
    if (q->begun && q->score > QUALITY_LOST_OVER) /* a mute does not mend what is lost */
        q->score = 100;
}

Livekit__ConnectionQuality quality_class(float score)
{
    return score > QUALITY_GOOD_OVER   ? LIVEKIT__CONNECTION_QUALITY__EXCELLENT
           : score > QUALITY_POOR_OVER ? LIVEKIT__CONNECTION_QUALITY__GOOD
           : score > QUALITY_LOST_OVER ? LIVEKIT__CONNECTION_QUALITY__POOR
                                       : LIVEKIT__CONNECTION_QUALITY__LOST;
}

float quality_mos(float score)
{
    if (score <= 0)
        return 1;
    if (score >= 100)
        return 4.5f;
    return 1 + 0.035f * score + 7e-6f * score * (score - 60) * (100 - score);
}
