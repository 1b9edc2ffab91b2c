/* ingest/aac.h - the job's side of its child: AAC frames go out, Opus packets come back.
 *
 * Wants a child (AAC_EVT_SPAWN) once there is sound, tells it the configuration, watches that it
 * answers, and wants another when it has died or hangs; the publisher's connection and the
 * picture notice nothing.  Frames that no child takes are lost and counted.  The owner has the
 * process and its socket; after any call drain aac_output(), aac_packet() and aac_event().
 *
 * No allocation; one thread.
 */
#ifndef INGEST_AAC_H
#define INGEST_AAC_H

#include "base/base.h"
#include "ingest/media.h"
#include "wire/childpipe.h"

enum {
    AAC_OUT_BYTES = 64 << 10,        /* two seconds of sound, while a child starts */
    AAC_READY_US = 10 * 1000 * 1000, /* for a child to load; 0.14 s where nothing else runs */
    AAC_HANG_US = 3 * 1000 * 1000,   /* frames go in and no packet comes out */
    AAC_SOUND_US = 10 * 1000 * 1000, /* a child that lived this long was sound */
    AAC_RETRY_MIN_US = 100 * 1000,
    AAC_RETRY_MAX_US = 10 * 1000 * 1000,
    AAC_CONFIG_MAX = 64,
};

enum aac_state {
    AAC_IDLE,     /* no sound yet */
    AAC_WANTED,   /* the owner is asked for a child */
    AAC_STARTING, /* it loads */
    AAC_RUNNING,
    AAC_WAITING, /* back-off after one that died */
};

enum aac_event {
    AAC_EVT_NONE,
    AAC_EVT_SPAWN, /* start a child: aac_spawned() */
    AAC_EVT_KILL,  /* end it: it hangs, or talks nonsense; aac_died() is not awaited */
};

struct aac {
    enum aac_state state;
    enum aac_event event;
    us_t due_at; /* STARTING, WAITING: the state's end */
    us_t spawned_at;
    us_t fed_at; /* first frame since the last packet; US_NEVER: none is owed */
    us_t retry_us;
    uint32_t spawned_n; /* children in all */
    uint32_t lost_n;    /* frames that none took */
    uint32_t packet_n;  /* bytes of `packet`; 0: none is to be drained */
    us_t packet_pts_us;
    size_t config_n;
    uint8_t config[AAC_CONFIG_MAX];
    uint8_t channels;
    bool told; /* the configuration of what comes out was drained */
    size_t out_n, in_n;
    bool taken;
    uint8_t out[AAC_OUT_BYTES];
    uint8_t in[CHILDPIPE_RECORD_MAX];
    uint8_t packet[CHILDPIPE_BODY_MAX];
};

void aac_init(struct aac *a);

/* MEDIA_AUDIO_CONFIG and MEDIA_AUDIO of foreign MEDIA_AAC. */
void aac_media(struct aac *a, const struct media *m, us_t now);
/* The publisher is gone for good, or changed to a codec that needs no child. */
void aac_stop(struct aac *a);

/* Answer to SPAWN. */
void aac_spawned(struct aac *a, bool started, us_t now);
/* The child's socket has ended. */
void aac_died(struct aac *a, us_t now);
/* Bytes from the child, taken from the front of *in; stops where a packet is to be drained. */
void aac_input(struct aac *a, struct bytes *in, us_t now);
/* MEDIA_AUDIO_CONFIG once, then MEDIA_AUDIO: Opus; valid until the next call. */
bool aac_packet(struct aac *a, struct media *m);
/* Bytes for the child; empty when there are none.  Taken when read; valid until the next call. */
struct bytes aac_output(struct aac *a);
enum aac_event aac_event(struct aac *a);
void aac_tick(struct aac *a, us_t now);
us_t aac_deadline(const struct aac *a);

#endif
