/* signal/voice.h - where a session without a socket is spoken to.
 *
 * WHIP, WHEP and Lightspeed are participants that never opened a LiveKit socket.  Their
 * adapter gives the session a voice instead: messages that it asked for are kept as
 * structs until it takes them; of the others a bit remains.  What the adapter has to
 * say goes in through hub_request().  The voice belongs to the adapter and outlives
 * the session's hold on it (`over`).
 *
 * One thread.  Beyond VOICE_MESSAGES_MAX waiting messages the session treats it like a
 * socket that takes no more.
 */
#ifndef SIGNAL_VOICE_H
#define SIGNAL_VOICE_H

#include "base/base.h"

#include "livekit_rtc.pb-c.h"

enum {
    VOICE_MESSAGES_MAX = 32,
    VOICE_MESSAGE_BYTES_MAX = 1 << 20, /* one, unfolded: a description */
};

/* Connection numbers of voices: no socket's has this bit. */
#define VOICE_CONN ((uint64_t)1 << 63)

/* The bit of a message: VOICE_BIT(ANSWER). */
#define VOICE_BIT(which) ((uint64_t)1 << LIVEKIT__SIGNAL_RESPONSE__MESSAGE_##which)

struct voice_item;

struct voice_list {
    struct voice *first;
};

struct voice {
    uint64_t wants; /* bits of the messages that are kept; set by the adapter */
    uint64_t heard; /* bits of all that were said; cleared by the adapter */
    bool over;      /* the session has let go */
    void *owner;    /* the adapter's */
    struct voice_list *list;
    struct voice *next_ready;
    bool ready; /* in the list */
    struct voice_item *first, *last, *lent;
    uint32_t n;
};

/* `list` collects the voices that have something new. */
void voice_init(struct voice *v, struct voice_list *list, uint64_t wants, void *owner);
void voice_fini(struct voice *v);
/* The session's side.  False: no room. */
bool voice_say(struct voice *v, const Livekit__SignalResponse *m);
void voice_end(struct voice *v);

/* The adapter's: the next message, valid until the next call; NULL when there is none. */
const Livekit__SignalResponse *voice_next(struct voice *v);
/* The next voice with something new, which then counts as seen; NULL when there is none. */
struct voice *voice_ready(struct voice_list *list);

#endif
