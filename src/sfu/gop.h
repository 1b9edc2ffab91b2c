/* sfu/gop.h - the newest group of pictures of a layer, for those who come in its middle.
 *
 * A publisher behind FTL, RTMP or OBS' WHIP cannot be asked for a key frame; its next one may
 * be many seconds away.  So the packets since the last one stay in the layer's replay ring, and a
 * newcomer gets them all at once, paced, with their time squeezed to almost nothing: the decoder
 * runs through them and shows the present.  While it catches up its forwarder reads from the ring
 * at its own place; once that meets the newest packet it is a forwarder like any other
 * (sfu/fwd.h, fwd_catch_up()).
 *
 * Nothing is allocated here; what is kept is bounded by GOP_PACKETS_MAX and GOP_AGE_US.  A group
 * that outgrows them serves nobody: newcomers wait for the next key frame, which is asked for.
 */
#ifndef SFU_GOP_H
#define SFU_GOP_H

#include "sfu/replay.h"

enum {
    GOP_PACKETS_MAX = 4096,     /* of the replay ring: 8 s of 5 Mb/s */
    GOP_AGE_US = 12 * 1000000,  /* OBS' default is a key frame each 250 pictures: 8.3 s */
    GOP_FRESH_US = 1000 * 1000, /* a younger group is not worth asking the publisher for another */
    GOP_PATIENCE_US = 250 * 1000, /* and for an older one a key frame must come within this */
    GOP_SQUEEZE = 256, /* time runs so much faster; a picture of 120 a second still moves it */
    GOP_STEP_US = 5 * 1000,
    GOP_RATE = 8, /* a newcomer is served at so many times the layer's rate, within: */
    GOP_BPS_MIN = 16 * 1000 * 1000,
    GOP_BPS_MAX = 100 * 1000 * 1000,
};

struct gop {
    bool on;       /* kept at all */
    bool deaf;     /* the publisher does not answer requests */
    bool asked;    /* the last request is not answered yet */
    uint64_t from; /* first packet of the newest key frame; 0: none yet */
    uint32_t ts;   /* its time stamp */
    us_t at;       /* its arrival */
    us_t asked_at; /* with `asked` */
};

/* on: with `deaf` when it is known that nobody can be asked. */
void gop_init(struct gop *g, bool on, bool deaf, struct replay *r);
/* A packet of a key frame. */
void gop_key(struct gop *g, struct replay *r, const struct pkt *p);
/* What follows does not continue it. */
void gop_forget(struct gop *g, struct replay *r);
/* The publisher was asked for a key frame. */
void gop_asked(struct gop *g, us_t now);
/* Gives up a group that is too old, learns deafness. */
void gop_tick(struct gop *g, struct replay *r, us_t now);
/* The first packet for somebody who has waited since `since`; NULL: no group, or a key frame
 * from the publisher would be better and may still come. */
const struct pkt *gop_serve(const struct gop *g, const struct replay *r, us_t since, us_t now);
/* What a newcomer may be sent in one step. */
uint32_t gop_step_bytes(uint32_t layer_bps);

#endif
