/* tests/tsan_rings.c - two shards on two threads and control on a third, joined by base/ring as
 * app/worker joins them: commands down, events up, relay records across.
 *
 * A publisher's real client lives on the first thread, a subscriber's on the second, each in its
 * thread's own virtual time.  Ends with 0 when all packets arrived and every event came.  Made for
 * ThreadSanitizer; works in any build.
 */
#include "base/ring.h"
#include "sfu/shard_rig.h"

#include <pthread.h>
#include <sched.h>

enum { RING_BYTES = 1 << 18, RESERVE = 1 << 14, PACKETS = 400, LOOPS_MAX = 200000 };

struct worker {
    struct rig rig;
    struct ring cmd_in, evt_out, relay_in; /* relay_in: from the other worker */
    struct worker *other;
    struct rig_client *client;
    atomic_bool connected, stop;
    atomic_uint received;
    uint32_t sent;
    bool publishing;
};

static struct worker pool[2];

static void take_commands(struct worker *w)
{
    struct cmd c;

    for (struct bytes b; (b = ring_peek(&w->cmd_in)).p != NULL; ring_release(&w->cmd_in)) {
        memset(&c, 0, sizeof c);
        memcpy(&c, b.p, b.len);
        shard_command(w->rig.shard, &c, w->rig.tick);
    }
}

static void take_relay(struct worker *w)
{
    for (struct bytes b; (b = ring_peek(&w->relay_in)).p != NULL; ring_release(&w->relay_in))
        shard_relay_input(w->rig.shard, b, w->rig.tick);
}

static void give_relay(struct worker *w)
{
    struct bytes record;
    uint8_t to;

    while (shard_relay_output(w->rig.shard, &to, &record)) {
        void *p = ring_reserve(&w->other->relay_in, (uint32_t)record.len, false);
        if (p == NULL) {
            shard_relay_shed(w->rig.shard);
            continue;
        }
        memcpy(p, record.p, record.len);
        ring_commit(&w->other->relay_in);
    }
}

/* What the rig drained from the shard goes to control; statistics may be lost. */
static void give_events(struct worker *w, uint32_t *given)
{
    for (; *given < w->rig.event_n; (*given)++) {
        const struct evt *e = &w->rig.event[*given % RIG_EVENTS];
        void *p = ring_reserve(&w->evt_out, evt_len(e), evt_urgent(e));
        if (p == NULL)
            continue;
        memcpy(p, e, evt_len(e));
        ring_commit(&w->evt_out);
    }
}

static void publish(struct worker *w)
{
    uint8_t buf[600];
    struct rtp_header h = {.ts = w->sent * 3000, .ssrc = 77, .seq = (uint16_t)w->sent, .pt = 96};

    if (!w->publishing || w->sent == PACKETS)
        return;
    rig_send(&w->rig, w->client, &h, NULL, 0,
             rig_vp8(buf, sizeof buf, w->sent % 50 == 0, (uint16_t)w->sent, 1));
    w->sent++;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    uint32_t given = 0;

    for (int i = 0; i < LOOPS_MAX && !atomic_load(&w->stop); i++) {
        take_commands(w);
        take_relay(w);
        if (i % 4 == 0)
            publish(w);
        rig_run(&w->rig, RIG_STEP_US);
        atomic_store(&w->connected, w->client->state == PEER_CONNECTED);
        atomic_store(&w->received, w->client->rtp_n);
        give_relay(w);
        give_events(w, &given);
        sched_yield();
    }
    return NULL;
}

static void order(struct worker *w, const struct cmd *c)
{
    void *p;

    while ((p = ring_reserve(&w->cmd_in, cmd_len(c), cmd_urgent(c))) == NULL)
        sched_yield();
    memcpy(p, c, cmd_len(c));
    ring_commit(&w->cmd_in);
}

/* Until an event of that kind comes; false when it never does. */
static bool await(struct worker *w, uint32_t kind)
{
    for (int i = 0; i < LOOPS_MAX * 10; i++) {
        struct bytes b = ring_peek(&w->evt_out);
        if (b.p == NULL) {
            sched_yield();
            continue;
        }
        uint32_t got;
        memcpy(&got, b.p, sizeof got);
        ring_release(&w->evt_out);
        if (got == kind)
            return true;
    }
    return false;
}

static int setup(struct worker *w, uint8_t index)
{
    w->other = &pool[1 - index];
    if (ring_init(&w->cmd_in, RING_BYTES, RESERVE) != 0 ||
        ring_init(&w->evt_out, RING_BYTES, RESERVE) != 0 ||
        ring_init(&w->relay_in, RING_BYTES, RESERVE) != 0 || rig_open(&w->rig, index, NULL) != 0)
        return 1;
    w->publishing = index == 0;
    w->client = rig_join(&w->rig, index);
    return w->client == NULL;
}

static bool converse(void)
{
    track_id home = handle_make(0, 1, 1), mirror = handle_make(1, 1, 1);
    struct cmd open = rig_video_track(&pool[0].rig, home, handle_make(0, 0, 1));
    struct cmd twin = open, c;

    for (int i = 0;
         i < LOOPS_MAX && !(atomic_load(&pool[0].connected) && atomic_load(&pool[1].connected));
         i++)
        sched_yield();
    twin.track_open.track = mirror;
    twin.track_open.home = home;
    twin.track_open.peer = 0;
    order(&pool[1], &twin);
    c = rig_subscription(&pool[1].rig, handle_make(1, 1, 1), mirror, handle_make(1, 0, 1), 1000);
    order(&pool[1], &c);
    c = (struct cmd){.kind = CMD_RELAY_OPEN, .relay = {.track = home, .mirror = mirror}};
    order(&pool[0], &open);
    order(&pool[0], &c);
    if (!await(&pool[0], EVT_TRACK_LIVE) || !await(&pool[1], EVT_SUB_LIVE))
        return false;
    for (int i = 0; i < LOOPS_MAX * 10 && atomic_load(&pool[1].received) < PACKETS / 2; i++)
        sched_yield();
    for (uint8_t i = 0; i < 2; i++) {
        c = (struct cmd){.kind = CMD_PEER_CLOSE, .peer_close = {.peer = handle_make(i, 0, 1)}};
        order(&pool[i], &c);
        if (!await(&pool[i], EVT_PEER_GONE))
            return false;
    }
    return atomic_load(&pool[1].received) >= PACKETS / 2;
}

int main(void)
{
    pthread_t thread[2];

    for (uint8_t i = 0; i < 2; i++) {
        if (setup(&pool[i], i) != 0)
            return 1;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (pthread_create(&thread[i], NULL, work, &pool[i]) != 0)
            return 1;
    }
    bool good = converse();
    for (unsigned i = 0; i < 2; i++)
        atomic_store(&pool[i].stop, true);
    for (unsigned i = 0; i < 2; i++) {
        (void)pthread_join(thread[i], NULL); /* cannot fail: it is ours and not detached */
        ring_fini(&pool[i].cmd_in);
        ring_fini(&pool[i].evt_out);
        ring_fini(&pool[i].relay_in);
        rig_close(&pool[i].rig, false);
    }
    printf("tsan-rings: %s, %u packets crossed\n", good ? "good" : "FAILED",
           atomic_load(&pool[1].received));
    return good ? 0 : 1;
}
