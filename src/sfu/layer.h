/* sfu/layer.h - is a layer of a track alive, how fast is it, and which one fits?
 *
 * A layer is one incoming stream (simulcast) or one spatial layer's packets (mirrors of
 * them likewise).  It is declared live with its first packet and dead when a cycle brought
 * too few; coming back takes several good cycles (livekit-server.md 5.10).  Also keeps the
 * publisher's clock of the stream (sender reports) and throttles key-frame requests.
 * No allocation.
 */
#ifndef SFU_LAYER_H
#define SFU_LAYER_H

#include "base/base.h"

enum {
    LAYER_NONE = 0xff,
    LAYER_CYCLE_US = 500 * 1000,
    LAYER_LONE_CYCLE_US = 2000 * 1000, /* the only layer: may be a screen at rest */
    LAYER_LOW_PACKETS = 1,             /* per cycle */
    LAYER_HIGH_PACKETS = 5,
    LAYER_LOW_CYCLES = 4, /* good ones before it is live again */
    LAYER_HIGH_CYCLES = 20,
    LAYER_PLI_LOW_US = 500 * 1000, /* key-frame requests to the publisher, 5.3 */
    LAYER_PLI_HIGH_US = 1000 * 1000,
};

enum layer_kind { LAYER_LOW, LAYER_HIGH, LAYER_LONE };

/* A sender report as it arrived: the stream's time stamp at a wall clock of the sender. */
struct layer_sr {
    uint64_t ntp; /* of the publisher */
    uint32_t rtp_ts;
    us_t at; /* monotonic arrival; 0: none yet */
};

struct layer {
    enum layer_kind kind;
    bool seen, live;
    bool pli_wanted; /* somebody waits for a key frame */
    uint8_t good_n;  /* good cycles in a row while dead */
    uint32_t cycle_n;
    uint32_t cycle_bytes;
    us_t cycle_at; /* end of the open cycle */
    us_t pli_at;   /* the last request went out; 0: never */
    uint32_t bps;  /* over the last cycle */
    uint16_t width, height;
    uint64_t packets, bytes;
    struct layer_sr sr;
};

void layer_init(struct layer *l, enum layer_kind kind);
/* A packet.  True: the layer is live from now on. Hot. */
bool layer_observe(struct layer *l, uint32_t bytes, us_t now);
/* True: it became live or dead; see l->live. */
bool layer_tick(struct layer *l, us_t now);
us_t layer_deadline(const struct layer *l);

/* May a wanted key-frame request go out now?  Marks it sent. */
bool layer_pli(struct layer *l, us_t now);
void layer_key_seen(struct layer *l);

/* The highest live layer not above `max`, else the lowest live one, else the highest ever seen not
 * above max; LAYER_NONE when nothing was seen. */
uint8_t layer_choose(const struct layer *l, uint8_t n, uint8_t max);

/* What must be added to b's timestamps so that they read as a's; false without both reports. */
bool layer_ts_delta(const struct layer *a, const struct layer *b, uint32_t clock_hz,
                    uint32_t *delta);

#endif
