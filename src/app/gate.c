#include "app/gate.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/tcp.h"
#include "sfu/cmd.h"
#include "wire/frame.h"
#include "wire/stun.h"

struct caller {
    struct caller *next, **back; /* oldest first */
    struct gate *gate;
    int fd;
    struct loop_watch *watch;
    struct path path;
    us_t until;
    struct frame_rx rx;
};

struct gate {
    struct loop *loop;
    uint32_t worker_n;
    gate_hand_fn *hand;
    void *owner;
    struct tcp_listener *listener[GATE_LISTENERS_MAX];
    uint32_t listener_n, waiting_n;
    struct caller *first, **end;
    uint64_t counter[GATE_COUNTER_N];
};

int gate_open(struct gate **ret, struct loop *loop, uint32_t worker_n, gate_hand_fn *hand,
              void *owner)
{
    struct gate *g = mem_zero(sizeof *g);

    if (g == NULL)
        return E_NOMEM;
    g->loop = loop;
    g->worker_n = worker_n;
    g->hand = hand;
    g->owner = owner;
    g->end = &g->first;
    *ret = g;
    return 0;
}

/* Out of the list; the descriptor is the caller's of this function. */
static int caller_free(struct caller *c)
{
    struct gate *g = c->gate;
    int fd = c->fd;

    loop_unwatch(c->watch);
    *c->back = c->next;
    if (c->next != NULL)
        c->next->back = c->back;
    else
        g->end = c->back;
    g->waiting_n--;
    mem_free(c);
    return fd;
}

static void turn_away(struct caller *c, enum gate_counter why)
{
    c->gate->counter[why]++;
    tcp_close(caller_free(c));
}

void gate_free(struct gate *g)
{
    if (g == NULL)
        return;
    while (g->first != NULL)
        turn_away(g->first, GATE_CLOSED);
    for (uint32_t i = 0; i < g->listener_n; i++)
        tcp_unlisten(g->listener[i]);
    mem_free(g);
}

/* The worker that a check is for; negative when it is none. */
static int worker_of(const struct gate *g, struct bytes frame)
{
    struct bytes ours, theirs;
    struct stun_msg m;

    if (frame.len > GATE_FIRST_BYTES || stun_parse(&m, frame) != 0 || m.cls != STUN_REQUEST ||
        m.method != STUN_BINDING || m.username.p == NULL ||
        !stun_username_split(m.username, &ours, &theirs))
        return -1;
    int worker = cmd_ufrag_shard(ours);
    return worker < (int)g->worker_n ? worker : -1;
}

static void first_frame(struct caller *c, struct bytes frame)
{
    struct gate *g = c->gate;
    int worker = worker_of(g, frame);

    if (worker < 0) {
        turn_away(c, GATE_MALFORMED);
        return;
    }
    /* The frame lies in the caller, which goes: hand it on first, while nobody reads. */
    loop_unwatch(c->watch);
    c->watch = NULL;
    if (!g->hand(g->owner, (uint8_t)worker, c->fd, &c->path, frame)) {
        turn_away(c, GATE_REFUSED);
        return;
    }
    g->counter[GATE_HANDED]++;
    (void)caller_free(c); /* the descriptor is the worker's */
}

static void on_ready(void *owner, unsigned events UNUSED)
{
    struct caller *c = owner;
    struct bytes frame;

    for (;;) {
        int found = frame_rx_next(&c->rx, &frame);
        if (found == 1) {
            first_frame(c, frame);
            return;
        }
        size_t cap, want = frame_rx_missing(&c->rx);
        if (found < 0 || want > GATE_FIRST_BYTES) {
            turn_away(c, GATE_MALFORMED);
            return;
        }
        uint8_t *p = frame_rx_room(&c->rx, &cap);
        int n = tcp_read(c->fd, p, want); /* not a byte of what follows */
        if (n == 0)
            return;
        if (n < 0) {
            turn_away(c, GATE_CLOSED);
            return;
        }
        frame_rx_filled(&c->rx, (size_t)n);
    }
}

static void on_accept(void *owner, int fd, const struct addr *from)
{
    struct gate *g = owner;
    struct caller *c = mem_zero(sizeof *c);

    g->counter[GATE_ACCEPTED]++;
    if (c == NULL || !tcp_local(fd, &c->path.local) ||
        loop_watch(g->loop, &c->watch, fd, LOOP_READ, on_ready, c) < 0) {
        g->counter[GATE_REFUSED]++;
        tcp_close(fd);
        mem_free(c);
        return;
    }
    if (g->waiting_n == GATE_WAITING_MAX)
        turn_away(g->first, GATE_CROWDED_OUT);
    c->gate = g;
    c->fd = fd;
    c->path.remote = *from;
    c->path.remote.tcp = c->path.local.tcp = 1;
    c->until = loop_tick(g->loop).now + GATE_FIRST_US;
    frame_rx_init(&c->rx);
    c->back = g->end;
    *g->end = c;
    g->end = &c->next;
    g->waiting_n++;
}

int gate_listen(struct gate *g, const struct addr *at, uint16_t *port)
{
    static const char nothing[] = "";

    assert(g->listener_n < GATE_LISTENERS_MAX);
    struct tcp_listener **l = &g->listener[g->listener_n];
    int err = tcp_listen(l, g->loop, at, bytes_of(nothing, 0), on_accept, g);
    if (err < 0)
        return err;
    g->listener_n++;
    *port = tcp_listener_port(*l);
    return 0;
}

void gate_tick(struct gate *g, us_t now)
{
    while (g->first != NULL && now >= g->first->until)
        turn_away(g->first, GATE_TIMED_OUT);
}

us_t gate_deadline(const struct gate *g)
{
    return g->first != NULL ? g->first->until : US_NEVER;
}

void gate_counters(const struct gate *g, uint64_t out[GATE_COUNTER_N])
{
    memcpy(out, g->counter, sizeof g->counter);
    for (uint32_t i = 0; i < g->listener_n; i++)
        out[GATE_REFUSED] += tcp_listener_refused(g->listener[i]);
}
