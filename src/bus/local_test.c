#include "base/err.h"
#include "base/mem.h"
#include "base/test.h"
#include "bus/local.h"

/* A hub with lines on it; bytes go across in pieces. */
struct rig {
    struct local_hub *hub;
    struct local_line line[2];
    uint32_t client[2], inside;
    us_t now;
    size_t piece; /* bytes at a time; 0: all */
    int err;      /* of the hub's last input */
    uint32_t closed;
    char heard[128]; /* "channel=data;" of line 1, of news inside */
    char heard_inside[128];
    int won; /* of the last key: -1 unknown */
};

static void rig_open(struct rig *r, size_t piece)
{
    *r = (struct rig){.now = 1000, .piece = piece, .won = -1};
    EXPECT_EQ(local_hub_open(&r->hub, 5), 0);
    for (int i = 0; i < 2; i++) {
        local_line_init(&r->line[i]);
        r->client[i] = local_hub_join(r->hub, true);
    }
    r->inside = local_hub_join(r->hub, false);
    EXPECT(r->inside != 0);
}

static void rig_close(struct rig *r)
{
    for (int i = 0; i < 2; i++)
        local_line_fini(&r->line[i]);
    local_hub_free(r->hub);
}

static void note(struct rig *r, char *heard, const struct bus_news *news)
{
    size_t n = strlen(heard);

    if (news->kind == BUS_SET_DONE)
        r->won = news->won;
    else
        (void)snprintf(heard + n, sizeof r->heard - n, "%s=%.*s;", news->name, (int)news->data.len,
                       (const char *)news->data.p);
}

static void up(struct rig *r, int i)
{
    struct bytes out;

    while (r->err == 0 && local_line_output(&r->line[i], &out)) {
        size_t piece = r->piece == 0 ? out.len : r->piece;
        for (size_t at = 0; at < out.len && r->err == 0; at += piece)
            r->err = local_hub_input(r->hub, r->client[i],
                                     bytes_of(out.p + at, size_min(piece, out.len - at)), r->now);
    }
}

static void down(struct rig *r)
{
    struct local_out out;
    struct bus_news news;

    while (local_hub_output(r->hub, &out)) {
        if (out.kind == LOCAL_OUT_CLOSE)
            r->closed = out.client;
        if (out.kind == LOCAL_OUT_NEWS)
            note(r, r->heard_inside, &out.news);
        for (int i = 0; i < 2 && out.kind == LOCAL_OUT_BYTES; i++) {
            size_t piece = r->piece == 0 ? out.data.len : r->piece;
            if (out.client != r->client[i])
                continue;
            for (size_t at = 0; at < out.data.len; at += piece) {
                EXPECT_EQ(
                    local_line_input(&r->line[i],
                                     bytes_of(out.data.p + at, size_min(piece, out.data.len - at))),
                    0);
                while (local_line_news(&r->line[i], &news))
                    note(r, r->heard, &news);
            }
        }
    }
}

static void pump(struct rig *r)
{
    for (int turn = 0; turn < 3; turn++) {
        up(r, 0);
        up(r, 1);
        down(r);
    }
}

static void op(struct rig *r, int i, enum bus_op_kind kind, const char *name, const char *data)
{
    EXPECT_EQ(
        local_line_op(
            &r->line[i],
            &(struct bus_op){.kind = kind, .name = name, .data = bytes_str(data), .ttl_ms = 5000}),
        0);
    pump(r);
}

TEST(messages_reach_their_listeners_in_any_pieces)
{
    static const size_t pieces[] = {0, 1, 2, 7, 64};

    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct rig r;
        rig_open(&r, pieces[i]);
        op(&r, 1, BUS_SUBSCRIBE, "a|b", "");
        local_hub_op(r.hub, r.inside, &(struct bus_op){.kind = BUS_SUBSCRIBE, .name = "a|b"},
                     r.now);
        op(&r, 0, BUS_PUBLISH, "a|b", "one");
        op(&r, 0, BUS_PUBLISH, "nobody", "lost");
        op(&r, 1, BUS_PUBLISH, "a|b", ""); /* to himself too */
        EXPECT_STR(r.heard, "a|b=one;a|b=;");
        EXPECT_STR(r.heard_inside, "a|b=one;a|b=;");
        op(&r, 1, BUS_UNSUBSCRIBE, "a|b", "");
        op(&r, 0, BUS_PUBLISH, "a|b", "two");
        EXPECT_STR(r.heard, "a|b=one;a|b=;");
        EXPECT_STR(r.heard_inside, "a|b=one;a|b=;a|b=two;");
        EXPECT(r.line[0].greeted && r.line[1].greeted);
        rig_close(&r);
    }
}

TEST(a_key_is_won_once_until_its_time_is_over)
{
    struct rig r;

    rig_open(&r, 0);
    op(&r, 0, BUS_SET_NX, "k", "");
    EXPECT_EQ(r.won, 1);
    op(&r, 1, BUS_SET_NX, "k", "");
    EXPECT_EQ(r.won, 0);
    op(&r, 1, BUS_SET_NX, "other", "");
    EXPECT_EQ(r.won, 1);
    r.now += 5000 * US_PER_MS - 1;
    op(&r, 1, BUS_SET_NX, "k", "");
    EXPECT_EQ(r.won, 0);
    r.now += 1;
    op(&r, 1, BUS_SET_NX, "k", "");
    EXPECT_EQ(r.won, 1);
    rig_close(&r);
}

TEST(who_left_hears_nothing_and_his_channels_go)
{
    struct rig r;
    struct local_counts n;

    rig_open(&r, 0);
    op(&r, 1, BUS_SUBSCRIBE, "x", "");
    op(&r, 1, BUS_SUBSCRIBE, "x", ""); /* twice is once */
    local_hub_leave(r.hub, r.client[1]);
    op(&r, 0, BUS_PUBLISH, "x", "1");
    EXPECT_STR(r.heard, "");
    local_hub_get_counts(r.hub, &n);
    EXPECT_EQ(n.channels, 0);
    EXPECT_EQ(n.clients, 2);
    local_hub_leave(r.hub, 999);
    EXPECT_EQ(local_hub_input(r.hub, r.client[1], bytes_str("x"), r.now), E_CLOSED);
    rig_close(&r);
}

/* What the hub says to a newcomer who begins with these bytes. */
static int begin(const char *hex)
{
    struct local_hub *hub;

    EXPECT_EQ(local_hub_open(&hub, 5), 0);
    int err = local_hub_input(hub, local_hub_join(hub, true), test_hex(hex), 0);
    local_hub_free(hub);
    return err;
}

TEST(strangers_are_turned_away)
{
    EXPECT_EQ(begin("00000002 40 01"), 0);
    EXPECT_EQ(begin("00000002 40 02"), E_UNSUPPORTED);              /* another version */
    EXPECT_EQ(begin("00000004 02 0001 61"), E_MALFORMED);           /* no greeting */
    EXPECT_EQ(begin("00000002 40 01 00000002 40 01"), E_MALFORMED); /* two */
    EXPECT_EQ(begin("47455420 2f"), E_TOO_LARGE);                   /* "GET /" */
    EXPECT_EQ(begin("00000000 40"), E_MALFORMED);
    EXPECT_EQ(begin("00000002 40 01 00000004 02 0001 61"), 0);
    EXPECT_EQ(begin("00000002 40 01 00000004 05 0001 61"), E_MALFORMED); /* no such kind */
    EXPECT_EQ(begin("00000002 40 01 00000004 81 0001 61"), E_MALFORMED); /* news */
    EXPECT_EQ(begin("00000002 40 01 00000004 02 0002 61"), E_MALFORMED); /* name too short */
    EXPECT_EQ(begin("00000002 40 01 00000004 02 0001 00"), E_MALFORMED); /* NUL */
    EXPECT_EQ(begin("00000002 40 01 00000003 02 0000"), E_MALFORMED);    /* empty */
    EXPECT_EQ(begin("00000002 40 01 0000000c 04 0001 61 00000001 00ffffff"), E_MALFORMED);
    EXPECT_EQ(begin("00000002 40 01 0000000c 04 0001 61 00000001 00001388"), 0);
    EXPECT_EQ(begin("00000002 40 01 0000000d 04 0001 61 00000001 00001388 00"), E_MALFORMED);
}

TEST(a_message_may_be_as_large_as_the_limit_and_no_larger)
{
    uint8_t *big = mem_zero(BUS_MESSAGE_MAX + 1);
    struct bus_op o = {.kind = BUS_PUBLISH, .name = "x", .data = bytes_of(big, BUS_MESSAGE_MAX)};
    struct rig r;

    rig_open(&r, 4096);
    memset(big, 'a', BUS_MESSAGE_MAX);
    op(&r, 1, BUS_SUBSCRIBE, "x", "");
    EXPECT_EQ(local_line_op(&r.line[0], &o), 0);
    pump(&r);
    EXPECT_EQ(strncmp(r.heard, "x=aaaa", 6), 0);
    o.data.len++;
    EXPECT_EQ(local_line_op(&r.line[0], &o), E_TOO_LARGE);
    rig_close(&r);
    mem_free(big);
}

TEST(who_does_not_read_is_closed_and_the_others_go_on)
{
    struct rig r;
    uint8_t *big = mem_zero(BUS_MESSAGE_MAX);
    struct bus_op o = {.kind = BUS_PUBLISH, .name = "x", .data = bytes_of(big, BUS_MESSAGE_MAX)};

    rig_open(&r, 0);
    op(&r, 1, BUS_SUBSCRIBE, "x", "");
    for (int i = 0; i < 12; i++) /* nothing is drained meanwhile */
        local_hub_op(r.hub, r.inside, &o, r.now);
    down(&r);
    EXPECT_EQ(r.closed, r.client[1]);
    local_hub_op(r.hub, r.inside, &(struct bus_op){.kind = BUS_SUBSCRIBE, .name = "y"}, r.now);
    op(&r, 0, BUS_PUBLISH, "y", "fine");
    EXPECT_STR(r.heard_inside, "y=fine;");
    rig_close(&r);
    mem_free(big);
}

TEST(an_operation_too_many_is_refused_to_its_owner)
{
    struct local_line l;
    uint8_t *big = mem_zero(BUS_MESSAGE_MAX);
    struct bus_op o = {.kind = BUS_PUBLISH, .name = "x", .data = bytes_of(big, BUS_MESSAGE_MAX)};
    int n = 0;

    local_line_init(&l);
    while (local_line_op(&l, &o) == 0)
        n++;
    EXPECT_EQ(n, 7); /* of 8 MB, and their heads */
    EXPECT_EQ(local_line_op(&l, &o), E_LIMIT);
    EXPECT_EQ(l.failed, 0);
    local_line_fini(&l);
    mem_free(big);
}

TEST(there_is_room_for_so_many_clients_and_subscriptions)
{
    struct local_hub *hub;
    uint32_t first = 0, id = 0;
    char name[32];

    EXPECT_EQ(local_hub_open(&hub, 5), 0);
    for (int i = 0; i < LOCAL_CLIENTS_MAX; i++) {
        id = local_hub_join(hub, i > 0);
        EXPECT(id != 0);
        first = i == 0 ? id : first;
    }
    EXPECT_EQ(local_hub_join(hub, true), 0);
    local_hub_leave(hub, id);
    EXPECT(local_hub_join(hub, true) != 0);
    for (int i = 0; i < LOCAL_SUBSCRIPTIONS_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "c%d", i);
        local_hub_op(hub, first, &(struct bus_op){.kind = BUS_SUBSCRIBE, .name = name}, 0);
    }
    struct local_counts n;
    local_hub_get_counts(hub, &n);
    EXPECT_EQ(n.channels, LOCAL_SUBSCRIPTIONS_MAX);
    local_hub_free(hub);
}

TEST(refused_memory_closes_one_and_leaves_nothing)
{
    for (uint64_t nth = 1;; nth++) {
        struct local_hub *hub = NULL;
        struct local_out out;
        int64_t live = mem_live();
        bool heard = false;
        mem_refuse_nth(nth);
        if (local_hub_open(&hub, 5) == 0) {
            uint32_t a = local_hub_join(hub, true), b = local_hub_join(hub, false);
            int err =
                local_hub_input(hub, a,
                                test_hex("00000002 40 01 00000004 02 0001 61 0000000c 04 0001 62 "
                                         "00000001 00001388"),
                                0);
            local_hub_op(hub, b,
                         &(struct bus_op){.kind = BUS_PUBLISH, .name = "a", .data = bytes_str("z")},
                         0);
            while (local_hub_output(hub, &out))
                heard = heard || (out.kind == LOCAL_OUT_BYTES && out.data.len > 20);
            heard = heard && err == 0;
        }
        mem_refuse_nth(0);
        local_hub_free(hub);
        EXPECT_EQ(mem_live(), live);
        if (heard)
            break;
        EXPECT(nth < 100);
    }
}

/* News as a client reads them. */
FUZZ(local_line, in)
{
    struct local_line l;
    struct bus_news news;

    local_line_init(&l);
    for (size_t at = 0; at < in.len; at += 100) {
        if (local_line_input(&l, bytes_of(in.p + at, size_min(100, in.len - at))) != 0)
            break;
        while (local_line_news(&l, &news))
            EXPECT(strlen(news.name) < BUS_CHANNEL_MAX && news.data.len <= BUS_MESSAGE_MAX);
    }
    local_line_fini(&l);
}

/* Operations of two strangers in turn. */
FUZZ(local_hub, in)
{
    struct local_hub *hub;
    struct local_out out;
    uint32_t client[2];

    EXPECT_EQ(local_hub_open(&hub, 5), 0);
    client[0] = local_hub_join(hub, true);
    client[1] = local_hub_join(hub, true);
    for (size_t at = 0; at < in.len; at += 40) {
        int err = local_hub_input(hub, client[at / 40 % 2],
                                  bytes_of(in.p + at, size_min(40, in.len - at)), (us_t)at);
        (void)err; /* closed or not, the hub lives */
        while (local_hub_output(hub, &out))
            EXPECT(out.client != 0);
    }
    local_hub_free(hub);
}
