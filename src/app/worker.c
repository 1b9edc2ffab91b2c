#include "app/worker.h"

#include "app/steer.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "crypt/seal.h"
#include "io/lanes.h"
#include "io/tcp.h"
#include "io/udp.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

enum { SNAPSHOT_US = US_PER_SEC, RETRY_US = US_PER_MS, SWEEP_US = US_PER_SEC / 4 };

/* Travels in the command ring beside `struct cmd`, told apart by its kind. */
enum { HANDED_KIND = 1 << 30 };

struct handed {
    uint32_t kind; /* HANDED_KIND */
    int fd;
    struct path path;
    uint32_t len;
    uint8_t first[WORKER_FIRST_BYTES]; /* the record ends after `len` bytes */
};

enum stray_kind { STRAY_DATAGRAM, STRAY_MINE };
enum { STRAY_BATCH = 32 };

/* Between workers that share a port. */
struct stray {
    uint16_t kind, len; /* STRAY_MINE: the remote address belongs to the writer */
    struct path path;
    uint8_t data[]; /* [len] */
};

struct worker {
    struct worker_cfg cfg;
    struct loop *loop;
    struct shard *shard;
    struct seal_engine *engine; /* what the shard encrypts with */
    struct udp udp;
    struct loop_watch *watch4, *watch6;
    bool readable4, readable6;
    struct framed *framed;
    unsigned recv_n;     /* datagrams to ask for: slots and headers are made ready for no more */
    struct lanes *lanes; /* one port for all: NULL otherwise, as is stray_in */
    struct steer steer;
    struct ring commands, events;
    struct ring *relay_in; /* [worker_n]: from worker i; its writer is worker i */
    struct ring *stray_in; /* [worker_n], likewise */
    struct wake wake;      /* ours */
    bool kick;             /* control's: commands since the last knock */
    bool evt_written;
    bool evt_held; /* `held` waits for room */
    struct evt held;
    uint64_t rounds_n;
    uint64_t relay_knock; /* bit i: worker i got records this round */
    us_t snapshot_at, sweep_at;
    _Atomic uint64_t counters[SHARD_COUNTER_N], streams[FRAMED_COUNTER_N];
    _Atomic uint64_t strays[STRAY_COUNTER_N]; /* written by this thread alone */
    atomic_bool stopping;
    pthread_t thread;
    bool started;
};

/* ---- out of the shard ---- */

static bool put_event(struct worker *w, const struct evt *ev)
{
    uint32_t len = evt_len(ev);
    void *p = ring_reserve(&w->events, len, evt_urgent(ev));

    if (p == NULL)
        return false;
    memcpy(p, ev, len);
    ring_commit(&w->events);
    w->evt_written = true;
    return true;
}

static void drain_events(struct worker *w)
{
    if (w->evt_held) {
        if (!put_event(w, &w->held))
            return;
        w->evt_held = false;
    }
    while (shard_event(w->shard, &w->held)) {
        if (put_event(w, &w->held) || !evt_urgent(&w->held))
            continue; /* statistics and SCTP packets may be lost: both repeat themselves */
        w->evt_held = true;
        return;
    }
}

static void drain_relay(struct worker *w)
{
    struct bytes record;
    uint8_t to;

    while (shard_relay_output(w->shard, &to, &record)) {
        assert(to < w->cfg.worker_n && to != w->cfg.index);
        struct ring *r = &w->cfg.all[to]->relay_in[w->cfg.index];
        void *p = ring_reserve(r, (uint32_t)record.len, false);
        if (p == NULL) {
            shard_relay_shed(w->shard);
            continue;
        }
        memcpy(p, record.p, record.len);
        ring_commit(r);
        w->relay_knock |= 1ull << to;
    }
}

static void drain(struct worker *w)
{
    for (struct tx *tx = shard_tx(w->shard); !tx_empty(tx); tx = shard_tx(w->shard)) {
        udp_send(&w->udp, tx);
        framed_send(w->framed, tx);
        tx_clear(tx);
    }
    drain_relay(w);
    drain_events(w);
}

/* ---- into the shard ---- */

static void count_stray(struct worker *w, enum stray_counter c)
{
    atomic_fetch_add_explicit(&w->strays[c], 1, memory_order_relaxed);
}

static void give_stray(struct worker *w, uint8_t to, enum stray_kind kind, const struct path *path,
                       struct bytes data)
{
    struct ring *r = &w->cfg.all[to]->stray_in[w->cfg.index];
    struct stray *s = ring_reserve(r, (uint32_t)(sizeof *s + data.len), false);

    if (s == NULL) {
        count_stray(w, STRAY_SHED);
        return;
    }
    *s = (struct stray){.kind = (uint16_t)kind, .len = (uint16_t)data.len, .path = *path};
    if (data.len > 0)
        memcpy(s->data, data.p, data.len);
    ring_commit(r);
    w->relay_knock |= 1ull << to;
}

/* What belongs to others crosses to them; its slot stays behind, empty. */
static void give_strays(struct worker *w, struct pkt **batch, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct pkt *p = batch[i];
        if (p->len == 0 || p->len == PKT_LEN_CUT)
            continue;
        bool known = shard_knows(w->shard, &p->path.remote);
        uint8_t to = steer_owner(&w->steer, &p->path.remote, bytes_of(p->data, p->len), known);
        if (to == w->cfg.index)
            continue;
        count_stray(w, STRAY_GIVEN);
        give_stray(w, to, STRAY_DATAGRAM, &p->path, bytes_of(p->data, p->len));
        p->len = 0;
    }
}

/* Up to a batch of what worker `from` received for us; false when there is no more.  The senders'
 * next ones may come by a lane, and that worker learns whose they are. */
static bool take_stray_batch(struct worker *w, uint8_t from, struct tick tick)
{
    struct ring *ring = &w->stray_in[from];
    struct pkt *batch[STRAY_BATCH];
    struct path path[STRAY_BATCH];
    bool check[STRAY_BATCH];
    unsigned n = 0, lent = ring_empty(ring) ? 0 : shard_lend(w->shard, batch, STRAY_BATCH);
    const struct stray *s;

    while ((s = (const void *)ring_peek(ring).p) != NULL && n < u32_max(lent, 1)) {
        if (s->kind == STRAY_MINE) {
            steer_told(&w->steer, &s->path.remote, from, tick.now);
        } else if (lent == 0) {
            count_stray(w, STRAY_SHED); /* the slab is at its ceiling */
        } else {
            path[n] = batch[n]->path = s->path;
            check[n] = steer_is_check(bytes_of(s->data, s->len));
            memcpy(batch[n]->data, s->data, s->len);
            batch[n++]->len = s->len;
        }
        ring_release(ring);
    }
    shard_input(w->shard, batch, lent, tick);
    drain(w);
    for (unsigned i = 0; i < n; i++) {
        if (!shard_knows(w->shard, &path[i].remote))
            continue;
        if (check[i])
            give_stray(w, from, STRAY_MINE, &path[i], bytes_of(NULL, 0));
        else if (steer_busy(&w->steer, &path[i].remote, tick.now))
            (void)lanes_add(w->lanes, &path[i], tick.now); /* refused: they go on as strays */
    }
    return n == STRAY_BATCH;
}

static void take_strays(struct worker *w, struct tick tick)
{
    for (uint8_t from = 0; w->stray_in != NULL && from < w->cfg.worker_n; from++) {
        for (int i = 0; i < WORKER_COMMANDS / STRAY_BATCH && from != w->cfg.index; i++) {
            if (!take_stray_batch(w, from, tick))
                break;
        }
    }
}

/* True when the socket may hold more. */
static bool receive(struct worker *w, int fd)
{
    struct pkt *batch[UDP_BATCH];
    unsigned lent = shard_lend(w->shard, batch, w->recv_n);

    if (lent == 0)
        return false; /* the slab is at its ceiling: the kernel's buffer sheds */
    unsigned n = udp_recv_batch(&w->udp, fd, batch, lent);
    if (w->stray_in != NULL)
        give_strays(w, batch, n);
    shard_input(w->shard, batch, lent, loop_tick(w->loop));
    drain(w);
    w->recv_n = n == lent ? UDP_BATCH : UDP_FEW;
    return n == lent;
}

/* The same from one connection: its first message proves it, or it ends. */
static void receive_framed(struct worker *w)
{
    struct pkt *batch[FRAMED_BATCH];
    unsigned lent = shard_lend(w->shard, batch, FRAMED_BATCH);
    struct tick tick = loop_tick(w->loop);
    struct path from;

    unsigned n = lent > 0 ? framed_recv(w->framed, &from, batch, lent, tick.now) : 0;
    shard_input(w->shard, batch, lent, tick);
    drain(w);
    if (n > 0 && !shard_knows(w->shard, &from.remote))
        framed_drop(w->framed, &from);
}

/* True when there may be more. */
static bool receive_lanes(struct worker *w)
{
    us_t now = loop_tick(w->loop).now;
    int fd;

    for (int i = 0; i < WORKER_BATCHES && (fd = lanes_next(w->lanes, now)) >= 0; i++) {
        if (receive(w, fd))
            lanes_more(w->lanes);
    }
    return lanes_ready(w->lanes);
}

static bool receive_all(struct worker *w)
{
    bool more = w->lanes != NULL && lanes_n(w->lanes) > 0 && receive_lanes(w);
    struct path path;

    for (int i = 0; i < WORKER_BATCHES && framed_ready(w->framed); i++)
        receive_framed(w);
    while (framed_ended(w->framed, &path))
        shard_forget(w->shard, &path.remote);
    for (int i = 0; i < WORKER_BATCHES && (w->readable4 || w->readable6); i++) {
        if (w->readable4)
            w->readable4 = receive(w, w->udp.fd4);
        if (w->readable6)
            w->readable6 = receive(w, w->udp.fd6);
    }
    return more || w->readable4 || w->readable6 || framed_ready(w->framed);
}

static bool path_known(void *owner, const struct path *path)
{
    return shard_knows(((struct worker *)owner)->shard, &path->remote);
}

static void take_handed(struct worker *w, const struct handed *h, us_t now)
{
    if (now >= w->sweep_at) { /* before there is one more */
        framed_sweep(w->framed, path_known, w);
        w->sweep_at = now + SWEEP_US;
    }
    /* Refused: closed and counted there. */
    (void)framed_take(w->framed, h->fd, &h->path, bytes_of(h->first, h->len), now);
}

static void take_commands(struct worker *w, struct tick tick)
{
    for (int i = 0; i < WORKER_COMMANDS; i++) {
        struct cmd c;
        struct bytes b = ring_peek(&w->commands);
        if (b.p == NULL)
            break;
        assert(b.len <= sizeof c);
        memcpy(&c, b.p, b.len);
        if (c.kind == HANDED_KIND) {
            take_handed(w, (const void *)b.p, tick.now);
            ring_release(&w->commands);
            continue;
        }
        ring_release(&w->commands);
        shard_command(w->shard, &c, tick);
        drain(w);
    }
}

static void take_relayed(struct worker *w, struct tick tick)
{
    for (uint8_t from = 0; from < w->cfg.worker_n; from++) {
        for (int i = 0; i < WORKER_COMMANDS && from != w->cfg.index; i++) {
            struct bytes b = ring_peek(&w->relay_in[from]);
            if (b.p == NULL)
                break;
            shard_relay_input(w->shard, b, tick);
            ring_release(&w->relay_in[from]);
            if (i % 32 == 31)
                drain(w); /* the send arena holds a few batches, not all of a ring */
        }
    }
    drain(w);
}

static bool input_waits(const struct worker *w)
{
    if (!ring_empty(&w->commands))
        return true;
    for (uint8_t from = 0; from < w->cfg.worker_n; from++) {
        if (from != w->cfg.index && !ring_empty(&w->relay_in[from]))
            return true;
        if (w->stray_in != NULL && from != w->cfg.index && !ring_empty(&w->stray_in[from]))
            return true;
    }
    return false;
}

static void knock_others(struct worker *w)
{
    if (w->evt_written)
        wake_knock(w->cfg.control);
    w->evt_written = false;
    for (uint8_t to = 0; w->relay_knock != 0; to++, w->relay_knock >>= 1) {
        if (w->relay_knock & 1)
            wake_knock(&w->cfg.all[to]->wake);
    }
}

/* False: too soon after the last one, and others do not see yet what this round counted. */
static bool snapshot(struct worker *w, us_t now)
{
    uint64_t counters[SHARD_COUNTER_N], streams[FRAMED_COUNTER_N];

    if (now < w->snapshot_at)
        return false;
    w->snapshot_at = now + SNAPSHOT_US;
    shard_counters(w->shard, counters);
    counters[SHARD_IO_WAKES] = w->rounds_n;
    counters[SHARD_IO_RECV_CALLS] = w->udp.recv_calls_n;
    counters[SHARD_IO_SEND_CALLS] = w->udp.send_calls_n;
    counters[SHARD_IO_MESSAGES] = w->udp.messages_n;
    for (int i = 0; i < SHARD_COUNTER_N; i++)
        atomic_store_explicit(&w->counters[i], counters[i], memory_order_relaxed);
    framed_counters(w->framed, streams);
    for (int i = 0; i < FRAMED_COUNTER_N; i++)
        atomic_store_explicit(&w->streams[i], streams[i], memory_order_relaxed);
    if (w->lanes != NULL)
        atomic_store_explicit(&w->strays[STRAY_LANES], lanes_n(w->lanes), memory_order_relaxed);
    return true;
}

/* Everything that is due, then the alarm for what comes next. */
static void round_of(void *owner)
{
    struct worker *w = owner;

    wake_up(&w->wake);
    w->rounds_n++;
    if (atomic_load_explicit(&w->stopping, memory_order_relaxed)) {
        loop_stop(w->loop);
        return;
    }
    bool more = receive_all(w);
    struct tick tick = loop_tick(w->loop);
    take_commands(w, tick);
    take_strays(w, tick);
    take_relayed(w, tick);
    if (shard_deadline(w->shard) <= tick.now) {
        shard_tick(w->shard, tick);
        drain(w);
    }
    framed_tick(w->framed, tick.now);
    if (w->lanes != NULL)
        lanes_tick(w->lanes, tick.now);
    drain_events(w); /* what was held */
    knock_others(w);
    bool shown = snapshot(w, tick.now);

    us_t at = us_min(shard_deadline(w->shard), framed_deadline(w->framed));
    if (w->lanes != NULL)
        at = us_min(at, lanes_deadline(w->lanes));
    if (w->evt_held)
        at = us_min(at, tick.now + RETRY_US);
    if (!shown)
        at = us_min(at, w->snapshot_at);
    wake_sleep(&w->wake);
    if (more || input_waits(w)) {
        wake_up(&w->wake);
        at = tick.now; /* poll without sleeping, then go on */
    }
    loop_alarm(w->loop, at);
}

static void on_readable4(void *owner, unsigned events UNUSED)
{
    ((struct worker *)owner)->readable4 = true;
}

static void on_readable6(void *owner, unsigned events UNUSED)
{
    ((struct worker *)owner)->readable6 = true;
}

/* ---- life ---- */

static int open_rings(struct worker *w)
{
    int err = ring_init(&w->commands, WORKER_CMD_RING_BYTES, WORKER_RESERVE_BYTES);

    if (err == 0)
        err = ring_init(&w->events, WORKER_EVT_RING_BYTES, WORKER_RESERVE_BYTES);
    w->relay_in = mem_array(w->cfg.worker_n, sizeof *w->relay_in);
    if (w->relay_in == NULL)
        return E_NOMEM;
    for (uint8_t from = 0; from < w->cfg.worker_n && err == 0; from++) {
        if (from != w->cfg.index)
            err = ring_init(&w->relay_in[from], WORKER_RELAY_RING_BYTES, 0);
    }
    return err;
}

static int open_shared(struct worker *w)
{
    uint8_t n = w->cfg.worker_n;
    int err = lanes_open(&w->lanes, w->loop, u32_max(LANES_ALL_MAX / n, 1));

    if (err == 0)
        err = steer_init(&w->steer, w->cfg.index, n, w->cfg.seed);
    if (err != 0)
        return err;
    w->stray_in = mem_array(n, sizeof *w->stray_in);
    if (w->stray_in == NULL)
        return E_NOMEM;
    for (uint8_t from = 0; from < n && err == 0; from++) {
        if (from != w->cfg.index)
            err = ring_init(&w->stray_in[from], WORKER_STRAY_RING_BYTES, 0);
    }
    return err;
}

int worker_open(struct worker **ret, const struct worker_cfg *cfg)
{
    struct worker *w = mem_zero(sizeof *w);

    assert(cfg->worker_n <= WORKER_MAX && cfg->index < cfg->worker_n);
    if (w == NULL)
        return E_NOMEM;
    w->cfg = *cfg;
    w->udp.fd4 = w->udp.fd6 = -1;
    w->recv_n = UDP_FEW;
    bool shared = cfg->one_port && cfg->worker_n > 1;
    int err = shared ? udp_open_shared(&w->udp, cfg->udp_port, cfg->index == 0)
                     : udp_open(&w->udp, cfg->udp_port);
    if (err == 0)
        err = open_rings(w);
    if (err == 0)
        err = loop_open(&w->loop);
    if (err == 0)
        err = framed_open(&w->framed, w->loop);
    if (err == 0 && shared)
        err = open_shared(w);
    if (err == 0) {
        w->wake.loop = w->loop;
        struct shard_cfg sc = {.index = cfg->index, .cert = cfg->cert, .seed = cfg->seed};
        w->engine = seal_engine_open(SEAL_BEST);
        sc.engine = w->engine; /* NULL, when refused, means OpenSSL */
        err = shard_open(&w->shard, &sc);
    }
    if (err == 0 && w->udp.fd4 >= 0)
        err = loop_watch(w->loop, &w->watch4, w->udp.fd4, LOOP_READ, on_readable4, w);
    if (err == 0 && w->udp.fd6 >= 0)
        err = loop_watch(w->loop, &w->watch6, w->udp.fd6, LOOP_READ, on_readable6, w);
    if (err < 0) {
        worker_free(w);
        return err;
    }
    loop_set_round(w->loop, round_of, w);
    *ret = w;
    return 0;
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;

    loop_run(w->loop);
    return NULL;
}

int worker_start(struct worker *w)
{
    sigset_t all, before;
    char name[16];

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are control's */
    int err = -pthread_create(&w->thread, NULL, thread_main, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err < 0)
        return err;
    w->started = true;
    (void)snprintf(name, sizeof name, "media-%u", w->cfg.index);
    (void)pthread_setname_np(w->thread, name); /* for top(1) only */
    return 0;
}

void worker_stop(struct worker *w)
{
    if (w == NULL || !w->started)
        return;
    atomic_store(&w->stopping, true);
    loop_wake(w->loop);
    (void)pthread_join(w->thread, NULL);
    w->started = false;
}

/* Connections that were handed over and not taken any more. */
static void close_handed(struct worker *w)
{
    struct bytes b;

    while (w->commands.buf != NULL && (b = ring_peek(&w->commands)).p != NULL) {
        const struct handed *h = (const void *)b.p;
        if (h->kind == HANDED_KIND)
            tcp_close(h->fd);
        ring_release(&w->commands);
    }
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    assert(!w->started);
    close_handed(w);
    framed_free(w->framed);
    lanes_free(w->lanes);
    steer_fini(&w->steer);
    loop_unwatch(w->watch4);
    loop_unwatch(w->watch6);
    udp_close(&w->udp);
    if (w->shard != NULL)
        shard_free(w->shard);
    seal_engine_free(w->engine);
    loop_free(w->loop);
    ring_fini(&w->commands);
    ring_fini(&w->events);
    for (uint8_t from = 0; w->relay_in != NULL && from < w->cfg.worker_n; from++)
        ring_fini(&w->relay_in[from]);
    for (uint8_t from = 0; w->stray_in != NULL && from < w->cfg.worker_n; from++)
        ring_fini(&w->stray_in[from]);
    mem_free(w->stray_in);
    mem_free(w->relay_in);
    mem_free(w);
}

uint16_t worker_port(const struct worker *w)
{
    return w->udp.port;
}

/* ---- control's side ---- */

bool worker_command(struct worker *w, const struct cmd *c)
{
    uint32_t len = cmd_len(c);
    void *p = ring_reserve(&w->commands, len, cmd_urgent(c));

    if (p == NULL)
        return false;
    memcpy(p, c, len);
    ring_commit(&w->commands);
    w->kick = true;
    return true;
}

bool worker_hand(struct worker *w, int fd, const struct path *path, struct bytes first)
{
    uint32_t len = (uint32_t)(offsetof(struct handed, first) + first.len);

    static_assert(sizeof(struct handed) <= sizeof(struct cmd), "it is copied out as one");
    assert(first.len <= WORKER_FIRST_BYTES);
    struct handed *h = ring_reserve(&w->commands, len, false);
    if (h == NULL)
        return false;
    h->kind = HANDED_KIND;
    h->fd = fd;
    h->path = *path;
    h->len = (uint32_t)first.len;
    memcpy(h->first, first.p, first.len);
    ring_commit(&w->commands);
    w->kick = true;
    return true;
}

void worker_kick(struct worker *w)
{
    if (!w->kick)
        return;
    w->kick = false;
    wake_knock(&w->wake);
}

bool worker_event(struct worker *w, struct evt *out)
{
    struct bytes b = ring_peek(&w->events);

    if (b.p == NULL)
        return false;
    assert(b.len <= sizeof *out);
    memcpy(out, b.p, b.len);
    ring_release(&w->events);
    return true;
}

bool worker_has_events(const struct worker *w)
{
    return !ring_empty(&w->events);
}

void worker_counters(const struct worker *w, uint64_t out[SHARD_COUNTER_N])
{
    for (int i = 0; i < SHARD_COUNTER_N; i++)
        out[i] = atomic_load_explicit(&w->counters[i], memory_order_relaxed);
}

void worker_streams(const struct worker *w, uint64_t out[FRAMED_COUNTER_N])
{
    for (int i = 0; i < FRAMED_COUNTER_N; i++)
        out[i] = atomic_load_explicit(&w->streams[i], memory_order_relaxed);
}

void worker_strays(const struct worker *w, uint64_t out[STRAY_COUNTER_N])
{
    for (int i = 0; i < STRAY_COUNTER_N; i++)
        out[i] = atomic_load_explicit(&w->strays[i], memory_order_relaxed);
}
