#include "rtc/assoc.h"

#include "base/err.h"
#include "base/test.h"
#include "rtc/test_clock.h"

#include <sys/time.h>

us_t test_clock = 1000 * US_PER_SEC;

/* usrsctp and OpenSSL look at the clock on the wall; in this program it is the test's. */
int gettimeofday(struct timeval *restrict tv, void *restrict zone UNUSED)
{
    tv->tv_sec = test_clock / US_PER_SEC;
    tv->tv_usec = test_clock % US_PER_SEC;
    return 0;
}

/* RFC 9260 appendix A, a bit at a time. */
static uint32_t crc32c(struct bytes b)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < b.len; i++) {
        crc ^= b.p[i];
        for (int k = 0; k < 8; k++)
            crc = (crc >> 1) ^ (0x82f63b78 & (0 - (crc & 1)));
    }
    return ~crc;
}

/* Two associations back to back on a wire that loses, and a clock that waits for nobody. */
struct pair {
    struct assoc *a, *b;
    struct rng rng;
    us_t now;
    unsigned loss_pct;
    size_t largest;
    /* what came out */
    unsigned up_n, down_n, closed_n, message_n[2], open_n[2];
    struct assoc_event open[2]; /* the latest */
    uint16_t last_id;
    bool last_binary;
    size_t last_len;
    uint32_t sum;         /* of the latest message's bytes */
    uint32_t in_order[2]; /* count of messages whose first four bytes ascend */
    uint32_t previous[2];
};

static void pair_open(struct pair *p)
{
    *p = (struct pair){.rng = rng_seed(5), .now = US_PER_SEC};
    EXPECT_EQ(assoc_pool_init(), 0);
    EXPECT_EQ(assoc_open(&p->a, true, p->now), 0);
    EXPECT_EQ(assoc_open(&p->b, false, p->now), 0);
}

static void pair_close(struct pair *p)
{
    assoc_free(p->a);
    assoc_free(p->b);
    assoc_pool_fini();
}

static void hear(struct pair *p, int side, const struct assoc_event *ev)
{
    switch (ev->kind) {
    case ASSOC_EVT_UP:
        p->up_n++;
        break;
    case ASSOC_EVT_OPEN:
        p->open_n[side]++;
        p->open[side] = *ev;
        break;
    case ASSOC_EVT_MESSAGE:
        p->message_n[side]++;
        p->last_id = ev->id;
        p->last_binary = ev->binary;
        p->last_len = ev->data.len;
        p->sum = 0;
        for (size_t i = 0; i < ev->data.len; i++)
            p->sum += ev->data.p[i];
        if (ev->data.len >= 4) {
            p->in_order[side] += load_u32(ev->data.p) > p->previous[side];
            p->previous[side] = load_u32(ev->data.p);
        }
        break;
    case ASSOC_EVT_CHANNEL_CLOSED:
        p->closed_n++;
        break;
    case ASSOC_EVT_DOWN:
        p->down_n++;
        break;
    }
}

static bool move(struct pair *p, struct assoc *from, struct assoc *to, int from_side)
{
    uint8_t buf[2000];
    struct wr w = wr_of(buf, sizeof buf);
    struct assoc_event ev;
    bool any = false;

    while (assoc_event(from, &ev)) {
        hear(p, from_side, &ev);
        any = true;
    }
    while (assoc_output(from, &w)) {
        any = true;
        p->largest = p->largest > wr_len(&w) ? p->largest : wr_len(&w);
        if (rng_below(&p->rng, 100) >= p->loss_pct)
            assoc_input(to, wr_done(&w), p->now);
        w = wr_of(buf, sizeof buf);
    }
    return any;
}

static void run(struct pair *p, us_t span)
{
    us_t end = p->now + span;

    while (p->now < end) {
        while (move(p, p->a, p->b, 0) || move(p, p->b, p->a, 1))
            ;
        p->now = us_min(us_max(assoc_pool_deadline(), p->now + 1), end);
        test_clock = p->now;
        assoc_pool_tick(p->now);
    }
}

static void pair_up(struct pair *p)
{
    pair_open(p);
    assoc_start(p->a, p->now);
    assoc_start(p->b, p->now);
    run(p, US_PER_SEC);
    EXPECT_EQ(p->up_n, 2);
}

static uint16_t channel(struct pair *p, const char *label, bool ordered, int32_t limit)
{
    uint16_t id = 0xffff;

    EXPECT_EQ(assoc_channel_open(p->a, &(struct assoc_channel_cfg){label, ordered, limit}, &id), 0);
    run(p, US_PER_SEC);
    EXPECT_STR(p->open[0].label, label);
    EXPECT_STR(p->open[1].label, label);
    EXPECT_EQ(p->open[0].id, id);
    EXPECT_EQ(p->open[1].id, id);
    return id;
}

TEST(both_sides_come_up_after_simultaneous_start)
{
    struct pair p;

    pair_up(&p);
    EXPECT_EQ(p.down_n, 0);
    pair_close(&p);
    EXPECT_EQ(mem_live(), 0);
}

TEST(association_comes_up_under_thirty_percent_loss)
{
    struct pair p;

    pair_open(&p);
    p.loss_pct = 30;
    assoc_start(p.a, p.now);
    assoc_start(p.b, p.now);
    run(&p, 15 * US_PER_SEC);
    EXPECT_EQ(p.up_n, 2);
    pair_close(&p);
}

TEST(channels_carry_label_order_and_reliability)
{
    struct pair p;

    pair_up(&p);
    EXPECT_EQ(channel(&p, "_reliable", true, -1), 0);
    EXPECT(p.open[1].ordered && p.open[1].reliable && p.open[1].remote);
    EXPECT(p.open[0].ordered && p.open[0].reliable && !p.open[0].remote);
    EXPECT_EQ(channel(&p, "_lossy", false, 0), 2);
    EXPECT(!p.open[1].ordered && !p.open[1].reliable);
    EXPECT_EQ(channel(&p, "", true, -1), 4);
    pair_close(&p);
}

TEST(channel_opened_before_start_opens_once_up)
{
    struct pair p;
    uint16_t id;
    struct assoc_channel_cfg cfg = {"early", true, -1};

    pair_open(&p);
    EXPECT_EQ(assoc_channel_open(p.b, &cfg, &id), 0);
    EXPECT_EQ(id, 1);
    EXPECT_EQ(assoc_send(p.b, id, bytes_str("hello"), false), 0);
    assoc_start(p.a, p.now);
    assoc_start(p.b, p.now);
    run(&p, US_PER_SEC);
    EXPECT_EQ(p.open_n[0], 1);
    EXPECT_EQ(p.open_n[1], 1);
    EXPECT_EQ(p.message_n[0], 1);
    EXPECT(!p.last_binary);
    pair_close(&p);
}

TEST(messages_of_every_size_arrive_whole)
{
    static const size_t size[] = {0, 1, 2, 3, 1171, 1172, 1173, 16384, 60000, 65534, 65535};
    static uint8_t data[ASSOC_MESSAGE_MAX + 1];
    struct pair p;

    pair_up(&p);
    uint16_t id = channel(&p, "_reliable", true, -1);
    for (size_t i = 0; i < ARRAY_LEN(size); i++) {
        uint32_t sum = 0;
        rng_fill(&p.rng, data, size[i]);
        for (size_t k = 0; k < size[i]; k++)
            sum += data[k];
        EXPECT_EQ(assoc_send(p.a, id, bytes_of(data, size[i]), i % 2 == 0), 0);
        run(&p, US_PER_SEC);
        EXPECT_EQ(p.message_n[1], i + 1);
        EXPECT_EQ(p.last_len, size[i]);
        EXPECT_EQ(p.sum, sum);
        EXPECT_EQ(p.last_binary, i % 2 == 0);
    }
    EXPECT_EQ(assoc_send(p.a, id, bytes_of(data, ASSOC_MESSAGE_MAX + 1), true), E_TOO_LARGE);
    EXPECT(p.largest <= ASSOC_PACKET_MAX);
    pair_close(&p);
}

TEST(reliable_messages_survive_loss_in_order)
{
    static uint8_t data[20000];
    struct pair p;

    pair_up(&p);
    uint16_t id = channel(&p, "_reliable", true, -1);
    p.loss_pct = 10;
    for (uint32_t i = 1; i <= 60; i++) { /* 1.2 MB: far more than the library's buffer */
        store_u32(data, i);
        EXPECT_EQ(assoc_send(p.a, id, bytes_of(data, sizeof data), true), 0);
    }
    EXPECT(assoc_queued(p.a) > 1000000);
    run(&p, 120 * US_PER_SEC);
    EXPECT_EQ(p.message_n[1], 60);
    EXPECT_EQ(p.in_order[1], 60);
    EXPECT_EQ(assoc_queued(p.a), 0);
    pair_close(&p);
}

TEST(lossy_messages_are_given_up_instead_of_repeated)
{
    uint8_t data[100] = {0};
    struct pair p;

    pair_up(&p);
    uint16_t id = channel(&p, "_lossy", false, 0);
    p.loss_pct = 30;
    for (uint32_t i = 1; i <= 500; i++) {
        store_u32(data, i);
        EXPECT_EQ(assoc_send(p.a, id, bytes_of(data, sizeof data), true), 0);
        run(&p, 20 * US_PER_MS);
    }
    run(&p, 10 * US_PER_SEC);
    EXPECT(p.message_n[1] > 150 && p.message_n[1] < 450);
    pair_close(&p);
}

TEST(full_queue_refuses_reliable_and_drops_lossy)
{
    static uint8_t data[65535];
    struct pair p;
    struct assoc_stats st;
    int err = 0, n = 0;

    pair_up(&p);
    uint16_t id = channel(&p, "_reliable", true, -1), lossy = channel(&p, "_lossy", false, 0);
    p.loss_pct = 100;
    while ((err = assoc_send(p.a, id, bytes_of(data, sizeof data), true)) == 0)
        n++;
    EXPECT_EQ(err, E_LIMIT);
    EXPECT(assoc_queued(p.a) <= ASSOC_QUEUE_MAX);
    EXPECT(n >= ASSOC_QUEUE_MAX / 65536);
    EXPECT_EQ(assoc_send(p.a, lossy, bytes_of(data, 10), true), 0);
    assoc_get_stats(p.a, &st);
    EXPECT_EQ(st.drop_lossy, 1);
    pair_close(&p);
    EXPECT_EQ(mem_live(), 0);
}

TEST(closing_a_channel_tells_both_sides_after_its_data)
{
    static uint8_t data[60000];
    struct pair p;

    pair_up(&p);
    uint16_t id = channel(&p, "short", true, -1);
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(assoc_send(p.a, id, bytes_of(data, sizeof data), true), 0);
    assoc_channel_close(p.a, id);
    EXPECT_EQ(assoc_send(p.a, id, bytes_of(data, 1), true), E_NOENT);
    run(&p, 10 * US_PER_SEC);
    EXPECT_EQ(p.message_n[1], 10);
    EXPECT_EQ(p.closed_n, 2);
    EXPECT_EQ(channel(&p, "again", true, -1), id); /* the stream may be used again */
    EXPECT_EQ(assoc_send(p.b, id, bytes_of(data, 7), true), 0);
    run(&p, US_PER_SEC);
    EXPECT_EQ(p.last_len, 7);
    pair_close(&p);
}

TEST(many_channels_open_and_close_at_once_and_the_limit_holds)
{
    enum { CHANNELS = ASSOC_STREAMS / 2 };
    struct pair p;
    uint16_t id[CHANNELS];
    struct assoc_channel_cfg cfg = {"x", true, -1};

    pair_up(&p);
    for (int i = 0; i < CHANNELS; i++)
        EXPECT_EQ(assoc_channel_open(p.a, &cfg, &id[i]), 0);
    EXPECT_EQ(assoc_channel_open(p.a, &cfg, &id[0]), E_LIMIT);
    run(&p, 2 * US_PER_SEC);
    EXPECT_EQ(p.open_n[0], CHANNELS);
    EXPECT_EQ(p.open_n[1], CHANNELS);
    for (int i = 0; i < CHANNELS; i++)
        assoc_channel_close(i % 2 == 0 ? p.a : p.b, (uint16_t)(2 * i));
    run(&p, 10 * US_PER_SEC);
    EXPECT_EQ(p.closed_n, 2 * CHANNELS);
    pair_close(&p);
}

TEST(bad_openings_are_reset_and_unheard_of)
{
    struct pair p;
    uint16_t id;
    struct assoc_channel_cfg cfg = {"theirs", true, -1};
    struct assoc_stats st;

    /* Both believe themselves to have the even ids: a parity that contradicts. */
    pair_open(&p);
    assoc_free(p.b);
    EXPECT_EQ(assoc_open(&p.b, true, p.now), 0);
    assoc_start(p.a, p.now);
    assoc_start(p.b, p.now);
    run(&p, US_PER_SEC);
    EXPECT_EQ(assoc_channel_open(p.a, &cfg, &id), 0);
    run(&p, 5 * US_PER_SEC);
    EXPECT_EQ(p.open_n[0] + p.open_n[1], 0);
    EXPECT_EQ(p.closed_n, 1); /* the opener hears that it came to nothing */
    assoc_get_stats(p.b, &st);
    EXPECT_EQ(st.drop_malformed, 1);
    pair_close(&p);
}

TEST(label_over_the_limit_is_refused)
{
    struct pair p;
    uint16_t id;
    char label[ASSOC_LABEL_MAX + 1];

    pair_up(&p);
    memset(label, 'a', sizeof label);
    label[ASSOC_LABEL_MAX] = '\0';
    EXPECT_EQ(assoc_channel_open(p.a, &(struct assoc_channel_cfg){label, true, -1}, &id),
              E_TOO_LARGE);
    label[ASSOC_LABEL_MAX - 1] = '\0';
    EXPECT_EQ(assoc_channel_open(p.a, &(struct assoc_channel_cfg){label, true, -1}, &id), 0);
    run(&p, US_PER_SEC);
    EXPECT_STR(p.open[1].label, label);
    pair_close(&p);
}

TEST(a_silence_of_thirty_seconds_heals_and_a_final_one_ends)
{
    struct pair p;

    pair_up(&p);
    uint16_t id = channel(&p, "_reliable", true, -1);
    p.loss_pct = 100;
    EXPECT_EQ(assoc_send(p.a, id, bytes_str("held"), true), 0);
    run(&p, 30 * US_PER_SEC);
    EXPECT_EQ(p.down_n, 0);
    p.loss_pct = 0;
    run(&p, 4 * US_PER_SEC); /* the longest time-out is 3 s */
    EXPECT_EQ(p.message_n[1], 1);
    p.loss_pct = 100;
    EXPECT_EQ(assoc_send(p.a, id, bytes_str("lost"), true), 0);
    run(&p, 200 * US_PER_SEC);
    EXPECT_EQ(p.down_n, 1);
    EXPECT_EQ(assoc_send(p.a, id, bytes_str("late"), true), E_CLOSED);
    pair_close(&p);
}

TEST(pending_names_each_association_with_news_once)
{
    struct pair p;

    pair_open(&p);
    EXPECT(assoc_pool_pending() == NULL);
    assoc_set_owner(p.a, 77);
    assoc_start(p.a, p.now);
    EXPECT(assoc_pool_pending() == p.a);
    EXPECT_EQ(assoc_owner(p.a), 77);
    EXPECT(assoc_pool_pending() == NULL);
    assoc_start(p.b, p.now);
    run(&p, US_PER_SEC);
    while (assoc_pool_pending() != NULL)
        ;
    p.now += 10 * US_PER_SEC;
    assoc_pool_tick(p.now);
    EXPECT(assoc_pool_pending() == NULL); /* no heartbeats: idle is idle */
    pair_close(&p);
}

TEST(every_refused_allocation_leaves_nothing_behind)
{
    EXPECT_EQ(assoc_pool_init(), 0);
    for (uint64_t nth = 1;; nth++) {
        struct assoc *s = NULL;
        mem_refuse_nth(nth);
        int err = assoc_open(&s, true, US_PER_SEC);
        mem_refuse_nth(0);
        assoc_free(s);
        if (err == 0)
            break;
        EXPECT_EQ(err, E_NOMEM);
        EXPECT(s == NULL);
    }
    assoc_pool_fini();
    EXPECT_EQ(mem_live(), 0);
}

/* Bytes become packets: into a fresh association, and into one that is up, with the common
 * header made right so that chunks are looked at. */
FUZZ(assoc, in)
{
    static uint8_t pkt[4096];
    struct pair p;

    p = (struct pair){.rng = rng_seed(5), .now = US_PER_SEC};
    (void)assoc_pool_init();
    EXPECT_EQ(assoc_open(&p.a, true, p.now), 0);
    EXPECT_EQ(assoc_open(&p.b, false, p.now), 0);
    assoc_start(p.a, p.now);
    assoc_input(p.b, in, p.now);
    assoc_start(p.b, p.now);
    run(&p, 10 * US_PER_MS);

    size_t n = size_min(in.len, sizeof pkt - 12);
    uint8_t first[2000];
    struct wr w = wr_of(first, sizeof first);
    uint16_t id;
    (void)assoc_channel_open(p.b, &(struct assoc_channel_cfg){"f", true, -1}, &id);
    if (assoc_output(p.b, &w) && wr_len(&w) >= 12) {
        memcpy(pkt, first, 8); /* ports and tag */
        memset(pkt + 8, 0, 4);
        if (n > 0)
            memcpy(pkt + 12, in.p, n);
        uint32_t crc = crc32c(bytes_of(pkt, n + 12));
        for (int i = 0; i < 4; i++)
            pkt[8 + i] =
                (uint8_t)(crc >> (8 * i)); /* little endian, as the RFC's appendix has it */
        assoc_input(p.a, bytes_of(pkt, n + 12), p.now);
    }
    run(&p, 100 * US_PER_MS);
    assoc_free(p.a);
    assoc_free(p.b);
    assoc_pool_fini();
}
