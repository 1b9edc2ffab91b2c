#include "wire/ws.h"
#include "base/err.h"
#include "base/test.h"

static struct ws *open_one(enum ws_role role)
{
    struct rng rng = rng_seed(11);
    struct ws *w;

    EXPECT_EQ(ws_open(&w, role, &rng), 0);
    return w;
}

static struct bytes output_of(struct ws *w)
{
    static uint8_t buf[1 << 16];

    return bytes_of(buf, ws_output(w, buf, sizeof buf));
}

static int input_all(struct ws *w, struct bytes in, struct ws_event *ev, bool *got)
{
    size_t used;
    int err = ws_input(w, in, &used);

    *got = ws_event(w, ev);
    EXPECT(err < 0 || used == in.len);
    return err;
}

/* A server takes `hex` and fails with `want`, telling the peer `close`. */
static void expect_failure(const char *hex, int want, const char *close)
{
    struct ws *w = open_one(WS_SERVER);
    struct ws_event ev;
    bool got;

    int err = input_all(w, test_hex(hex), &ev, &got);
    if (err != want)
        print_error("%s\n", hex);
    EXPECT_EQ(err, want);
    EXPECT(!got);
    struct bytes out = output_of(w);
    EXPECT(out.len >= 4);
    EXPECT_BYTES(bytes_of(out.p, 4), test_hex(close));
    EXPECT(ws_done(w));
    EXPECT_EQ(ws_send(w, WS_TEXT, bytes_str("x")), E_CLOSED);
    ws_free(w);
}

TEST(the_handshake_of_the_rfc)
{
    char text[WS_KEY_CHARS + 37], accept[WS_ACCEPT_CHARS + 1], key[WS_KEY_CHARS + 1];
    struct rng rng = rng_seed(1);

    ws_accept_text(text, "dGhlIHNhbXBsZSBub25jZQ==");
    EXPECT_STR(text, "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    ws_accept(accept, test_hex("b37a4f2cc0624f1690f64606cf385945b2bec4ea").p);
    EXPECT_STR(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ws_key_new(key, &rng);
    EXPECT_EQ(strlen(key), WS_KEY_CHARS);
}

static bool upgrades(const char *headers)
{
    struct http *h;
    struct str s;
    size_t used;

    str_init(&s, 4096);
    str_printf(&s, "GET /rtc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n%s\r\n", headers);
    EXPECT_EQ(http_open(&h, HTTP_SERVER), 0);
    EXPECT_EQ(http_input(h, str_bytes(&s), &used), HTTP_WHOLE);
    bool ok = ws_upgrade_key(http_message(h)) != NULL;
    http_free(h);
    str_fini(&s);
    return ok;
}

TEST(only_a_proper_upgrade_has_a_key)
{
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define UP  "Upgrade: websocket\r\n"
    EXPECT(upgrades(UP KEY V13));
    EXPECT(!upgrades(KEY V13));
    EXPECT(!upgrades(UP V13));
    EXPECT(!upgrades(UP KEY));
    EXPECT(!upgrades(UP KEY "Sec-WebSocket-Version: 8\r\n"));
    EXPECT(!upgrades(UP V13 "Sec-WebSocket-Key: short\r\n"));
    EXPECT(!upgrades(UP V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEy\r\n")); /* 18 bytes */
}

TEST(the_frames_of_the_rfc)
{
    struct ws *w = open_one(WS_SERVER);
    struct ws_event ev;
    bool got;

    EXPECT_EQ(input_all(w, test_hex("8185 37fa213d 7f9f4d5158"), &ev, &got), 0);
    EXPECT(got && ev.op == WS_TEXT && bytes_eq_str(ev.body, "Hello"));
    /* a fragmented message, a ping in between */
    EXPECT_EQ(input_all(w, test_hex("0183 00000000 48656c"), &ev, &got), 0);
    EXPECT(!got);
    EXPECT_EQ(input_all(w, test_hex("8985 37fa213d 7f9f4d5158"), &ev, &got), 0);
    EXPECT(got && ev.op == WS_PING && bytes_eq_str(ev.body, "Hello"));
    EXPECT_BYTES(output_of(w), test_hex("8a05 48656c6c6f")); /* answered by itself */
    EXPECT_EQ(input_all(w, test_hex("8082 00000000 6c6f"), &ev, &got), 0);
    EXPECT(got && ev.op == WS_TEXT && bytes_eq_str(ev.body, "Hello"));
    EXPECT_EQ(ws_send(w, WS_TEXT, bytes_str("Hello")), 0);
    EXPECT_BYTES(output_of(w), test_hex("8105 48656c6c6f"));
    ws_free(w);
}

TEST(one_event_for_each_call)
{
    struct ws *w = open_one(WS_SERVER);
    struct bytes in = test_hex("8181 00000000 61 8180 00000000 8281 00000000 62");
    static const char *const want[] = {"a", "", "b"};

    for (size_t i = 0; i < 3; i++) {
        struct ws_event ev;
        size_t used;
        EXPECT_EQ(ws_input(w, in, &used), 0);
        EXPECT(ws_event(w, &ev) && bytes_eq_str(ev.body, want[i]));
        EXPECT(!ws_event(w, &ev));
        in = bytes_of(in.p + used, in.len - used);
    }
    EXPECT_EQ(in.len, 0);
    ws_free(w);
}

TEST(closing_from_either_side)
{
    struct ws *w = open_one(WS_SERVER);
    struct ws_event ev;
    bool got;

    EXPECT_EQ(input_all(w, test_hex("8886 00000000 03e9 62796565"), &ev, &got), 0);
    EXPECT(got && ev.op == WS_CLOSE && ev.close_code == 1001 && bytes_eq_str(ev.body, "byee"));
    EXPECT(!ws_done(w));
    EXPECT_EQ(output_of(w).p[0], 0x88);
    EXPECT(ws_done(w));
    EXPECT_EQ(ws_send(w, WS_TEXT, bytes_str("x")), E_CLOSED);
    EXPECT_EQ(input_all(w, test_hex("8181 00000000 61"), &ev, &got), 0);
    EXPECT(!got); /* nothing counts after a close */
    ws_free(w);

    w = open_one(WS_SERVER);
    EXPECT_EQ(ws_close(w, 1000, "bye"), 0);
    EXPECT_EQ(ws_close(w, 1000, "bye"), E_CLOSED);
    EXPECT_EQ(ws_send(w, WS_BINARY, bytes_str("x")), E_CLOSED);
    EXPECT_BYTES(output_of(w), test_hex("8805 03e8 627965"));
    EXPECT(!ws_done(w));
    EXPECT_EQ(input_all(w, test_hex("8880 00000000"), &ev, &got), 0);
    EXPECT(got && ev.op == WS_CLOSE && ev.close_code == 1005);
    EXPECT(ws_done(w));
    ws_free(w);
}

TEST(whoever_breaks_the_protocol_is_told_and_heard_no_more)
{
    static const struct {
        const char *hex;
        const char *close;
    } bad[] = {
        {"8105 48656c6c6f", "880203ea"},       /* not masked */
        {"c181 00000000 61", "880203ea"},      /* a reserved bit */
        {"8381 00000000 61", "880203ea"},      /* a reserved opcode */
        {"8b80 00000000", "880203ea"},         /* a reserved control opcode */
        {"0980 00000000", "880203ea"},         /* a fragmented ping */
        {"89fe 007e 00000000", "880203ea"},    /* a long ping */
        {"8081 00000000 61", "880203ea"},      /* goes on with nothing */
        {"81fe 0001 00000000 61", "880203ea"}, /* a length longer than need be */
        {"8881 00000000 03", "880203ea"},      /* half a close code */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_failure(bad[i].hex, E_MALFORMED, bad[i].close);
    struct ws *w = open_one(WS_CLIENT); /* a server that masks */
    size_t used;
    EXPECT_EQ(ws_input(w, test_hex("8181 00000000 61"), &used), E_MALFORMED);
    ws_free(w);
}

TEST(text_that_is_not_utf8_ends_the_connection)
{
    struct ws *w = open_one(WS_SERVER);
    struct ws_event ev;
    bool got;

    EXPECT_EQ(input_all(w, test_hex("8181 00000000 ff"), &ev, &got), E_MALFORMED);
    EXPECT(!got);
    struct bytes out = output_of(w);
    EXPECT(out.len >= 4 && out.p[2] == 0x03 && out.p[3] == 0xef); /* 1007 */
    ws_free(w);
}

TEST(a_message_has_a_ceiling_however_it_is_cut)
{
    /* one frame that says more than we take: refused by its header */
    struct ws *w = open_one(WS_SERVER);
    size_t used;
    EXPECT_EQ(ws_input(w, test_hex("82ff 0000000000200001 00000000"), &used), E_TOO_LARGE);
    struct bytes out = output_of(w);
    EXPECT(out.len >= 4 && out.p[2] == 0x03 && out.p[3] == 0xf1); /* 1009 */
    ws_free(w);

    /* fragments that add up */
    static uint8_t frame[8 + 32768] = {0x02, 0xfe, 0x80, 0x00};
    w = open_one(WS_SERVER);
    int err = 0;
    for (int i = 0; i < 65 && err == 0; i++) {
        frame[0] = i == 0 ? 0x02 : 0x00;
        err = ws_input(w, bytes_of(frame, sizeof frame), &used);
        EXPECT(i < 64 || err == E_TOO_LARGE);
    }
    out = output_of(w);
    EXPECT(out.len >= 4 && out.p[2] == 0x03 && out.p[3] == 0xf1);
    EXPECT(ws_done(w));
    ws_free(w);
}

TEST(tiny_fragments_cost_what_they_hold)
{
    struct ws *w = open_one(WS_SERVER);
    struct bytes first = test_hex("0281 00000000 61"), more = test_hex("0081 00000000 62");
    struct ws_event ev;
    bool got;
    uint64_t made = mem_made();

    EXPECT_EQ(input_all(w, first, &ev, &got), 0);
    for (int i = 0; i < 10000; i++)
        EXPECT_EQ(input_all(w, more, &ev, &got), 0);
    EXPECT_EQ(input_all(w, test_hex("8080 00000000"), &ev, &got), 0);
    EXPECT(got && ev.body.len == 10001 && ev.body.p[10000] == 'b');
    EXPECT(mem_made() - made < 40); /* a buffer that doubles */
    ws_free(w);
}

TEST(the_queue_has_a_ceiling)
{
    struct ws *w = open_one(WS_SERVER);
    uint8_t body[1000] = {0};
    int n = 0;

    ws_set_queue_max(w, 10000);
    while (ws_send(w, WS_BINARY, bytes_of(body, sizeof body)) == 0)
        n++;
    EXPECT(n >= 7 && n <= 10);
    EXPECT_EQ(ws_send(w, WS_BINARY, bytes_of(body, sizeof body)), E_LIMIT);
    EXPECT(ws_queued_bytes(w) <= 10000 + 128);
    EXPECT(output_of(w).len > 7000);
    EXPECT_EQ(ws_queued_bytes(w), 0);
    EXPECT_EQ(ws_send(w, WS_BINARY, bytes_of(body, sizeof body)), 0);
    ws_free(w);
}

TEST(pings_without_reading_end_at_the_ceiling)
{
    struct ws *w = open_one(WS_SERVER);
    struct ws_event ev;
    bool got;
    int err = 0, n = 0;

    ws_set_queue_max(w, 1000);
    while (err == 0 && n++ < 100000)
        err = input_all(w, test_hex("8980 00000000"), &ev, &got);
    EXPECT_EQ(err, E_LIMIT);
    EXPECT(n < 30000);
    ws_free(w);
}

/* Both roles back to back; messages of all sizes, cut anywhere. */
TEST(what_one_side_sends_the_other_reads)
{
    struct rng rng = rng_seed(21);
    static uint8_t body[70000], wire[200000];

    for (int round = 0; round < 200; round++) {
        bool from_client = rng_below(&rng, 2);
        struct ws *a = open_one(from_client ? WS_CLIENT : WS_SERVER);
        struct ws *b = open_one(from_client ? WS_SERVER : WS_CLIENT);
        size_t len = rng_below(&rng, 4) ? rng_below(&rng, 300) : rng_below(&rng, sizeof body);
        size_t n = 0, got = 0, at = 0;

        rng_fill(&rng, body, len);
        for (int i = 0; i < 2; i++)
            EXPECT_EQ(ws_send(a, WS_BINARY, bytes_of(body, len)), 0);
        for (size_t part; (part = ws_output(a, wire + n, 1 + rng_below(&rng, 5000))) > 0;)
            n += part;
        while (at < n) {
            size_t used, step = size_min(1 + rng_below(&rng, 5000), n - at);
            struct ws_event ev;
            EXPECT_EQ(ws_input(b, bytes_of(wire + at, step), &used), 0);
            at += used;
            if (ws_event(b, &ev)) {
                EXPECT_BYTES(ev.body, bytes_of(body, len));
                got++;
            }
        }
        EXPECT_EQ(got, 2);
        ws_free(a);
        ws_free(b);
    }
}

TEST(opening_survives_a_refused_allocation)
{
    struct rng rng = rng_seed(1);
    struct ws *w = NULL;
    int64_t before = mem_live();

    mem_refuse_nth(1);
    EXPECT_EQ(ws_open(&w, WS_SERVER, &rng), E_NOMEM);
    mem_refuse_nth(0);
    EXPECT(w == NULL);
    EXPECT_EQ(mem_live(), before);
}

FUZZ(ws, in)
{
    if (in.len == 0)
        return;

    struct ws *w = open_one(in.p[0] & 1 ? WS_CLIENT : WS_SERVER);
    size_t at = 1, step = 1 + (in.p[0] >> 1);
    uint8_t out[256];

    while (at < in.len) {
        size_t used, n = size_min(step, in.len - at);
        struct ws_event ev;
        int err = ws_input(w, bytes_of(in.p + at, n), &used);
        EXPECT(used <= n);
        at += used;
        if (ws_event(w, &ev)) {
            EXPECT(ev.body.len <= in.len);
            EXPECT(ev.op == WS_CLOSE || ev.op == WS_TEXT || ev.op == WS_BINARY ||
                   ev.op == WS_PING || ev.op == WS_PONG);
        } else if (err) {
            break;
        } else {
            EXPECT_EQ(used, n);
        }
    }
    while (ws_output(w, out, sizeof out) > 0)
        ;
    ws_free(w);
}
