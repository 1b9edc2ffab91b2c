#include "base/test.h"

#include "base/addr.h"
#include "base/arena.h"
#include "base/cursor.h"
#include "base/handle.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/str.h"

TEST(dice_are_the_same_for_the_same_seed_and_stay_below)
{
    struct rng a = rng_seed(7), b = rng_seed(7), c = rng_seed(8);

    EXPECT_EQ(rng_u64(&a), rng_u64(&b));
    EXPECT(rng_u64(&a) != rng_u64(&c));
    for (int i = 0; i < 1000; i++)
        EXPECT(rng_below(&a, 10) < 10);
}

TEST(a_cursor_never_passes_its_end_and_remembers)
{
    struct rd r = rd_of(test_hex("0102030405"));

    EXPECT_EQ(rd_u16(&r), 0x0102);
    EXPECT_EQ(rd_u24(&r), 0x030405);
    EXPECT(rd_ok(&r));
    EXPECT_EQ(rd_u8(&r), 0);
    EXPECT(!rd_ok(&r));

    uint8_t buf[3];
    struct wr w = wr_of(buf, sizeof buf);
    wr_u16(&w, 0xabcd);
    EXPECT(wr_ok(&w));
    wr_u16(&w, 1);
    EXPECT(!wr_ok(&w));
    EXPECT_EQ(wr_len(&w), 2);
}

TEST(an_arena_refuses_past_its_ceiling_and_gives_all_back)
{
    struct arena a;
    int64_t before = mem_live();

    arena_init(&a, 10000);
    EXPECT(arena_zero(&a, 100) != NULL);
    EXPECT_STR(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
    EXPECT(arena_zero(&a, 9000) != NULL);
    EXPECT(arena_zero(&a, 1000) == NULL);
    EXPECT(a.failed);
    arena_fini(&a);
    EXPECT_EQ(mem_live(), before);
}

TEST(a_dropped_handle_is_stale_even_when_its_place_is_used_again)
{
    struct handle_pool pool;

    handle_pool_init(&pool, 3, 2);
    handle a = handle_take(&pool), b = handle_take(&pool);
    EXPECT(a != 0 && b != 0 && a != b);
    EXPECT_EQ(handle_shard(a), 3);
    EXPECT_EQ(handle_take(&pool), 0);
    handle_drop(&pool, a);
    EXPECT(!handle_live(&pool, a));
    handle c = handle_take(&pool);
    EXPECT_EQ(handle_index(c), handle_index(a));
    EXPECT(c != a && handle_live(&pool, c) && !handle_live(&pool, a));
    handle_drop(&pool, a);
    EXPECT(handle_live(&pool, c));
    handle_pool_fini(&pool);
}

TEST(a_map_agrees_with_a_plain_table_under_random_moves)
{
    struct rng rng = rng_seed(5);
    struct map m;
    static int there[300];
    int64_t before = mem_live();

    map_init(&m, 9);
    memset(there, 0, sizeof there);
    for (int i = 0; i < 20000; i++) {
        uint64_t k = rng_below(&rng, ARRAY_LEN(there));
        char text[16];
        (void)snprintf(text, sizeof text, "key%u", (unsigned)k);
        switch (rng_below(&rng, 3)) {
        case 0:
            EXPECT(map_put(&m, bytes_str(text), &there[k]));
            there[k] = 1;
            break;
        case 1:
            EXPECT((map_take(&m, bytes_str(text)) != NULL) == (there[k] == 1));
            there[k] = 0;
            break;
        default:
            EXPECT((map_find(&m, bytes_str(text)) == &there[k]) == (there[k] == 1));
        }
    }
    uint32_t at = 0, seen = 0;
    while (map_next(&m, &at, NULL, NULL))
        seen++;
    EXPECT_EQ(seen, m.used);
    map_fini(&m);
    EXPECT_EQ(mem_live(), before);
}

TEST(a_map_keeps_numbers_too)
{
    struct map m;
    int v;

    map_init(&m, 1);
    for (uint64_t i = 0; i < 1000; i++)
        EXPECT(map_put_u64(&m, i << 32, &v));
    for (uint64_t i = 0; i < 1000; i++)
        EXPECT(map_take_u64(&m, i << 32) == &v);
    EXPECT(map_find_u64(&m, 5ull << 32) == NULL);
    map_fini(&m);
}

TEST(a_heap_yields_deadlines_in_order_and_lets_them_move)
{
    struct rng rng = rng_seed(3);
    static struct heap_node node[200];
    struct heap h;

    heap_init(&h);
    memset(node, 0, sizeof node);
    for (int i = 0; i < 2000; i++) {
        struct heap_node *n = &node[rng_below(&rng, ARRAY_LEN(node))];
        us_t at = rng_below(&rng, 5) == 0 ? US_NEVER : (us_t)rng_below(&rng, 1000);
        EXPECT(heap_set(&h, n, at));
    }
    us_t last = 0;
    while (heap_first(&h) != NULL) {
        EXPECT(heap_deadline(&h) >= last);
        last = heap_deadline(&h);
        heap_remove(&h, heap_first(&h));
    }
    EXPECT_EQ(heap_deadline(&h), US_NEVER);
    heap_fini(&h);
}

TEST(a_ring_keeps_order_refuses_when_full_and_saves_room_for_the_urgent)
{
    struct rng rng = rng_seed(4);
    struct ring r;
    uint32_t in = 0, out = 0;

    EXPECT_EQ(ring_init(&r, 1 << 15, 2048), 0);
    for (int i = 0; i < 50000; i++) {
        uint32_t len = 4 + (uint32_t)rng_below(&rng, 900);
        uint8_t *p = rng_below(&rng, 5) < 3 ? ring_reserve(&r, len, false) : NULL;
        if (p != NULL) {
            memcpy(p, &in, 4);
            memset(p + 4, (int)(in & 0xff), len - 4);
            in++;
            ring_commit(&r);
        }
        struct bytes b = rng_below(&rng, 2) ? ring_peek(&r) : (struct bytes){0};
        if (b.p != NULL) {
            uint32_t got;
            memcpy(&got, b.p, 4);
            EXPECT_EQ(got, out);
            EXPECT(b.len < 5 || b.p[b.len - 1] == (out & 0xff));
            out++;
            ring_release(&r);
        }
    }
    while (ring_reserve(&r, 512, false) != NULL)
        ring_commit(&r);
    EXPECT(ring_reserve(&r, 512, true) != NULL);
    ring_fini(&r);
}

TEST(text_grows_to_its_ceiling_and_no_further)
{
    struct str s;

    str_init(&s, 10);
    EXPECT_STR(str_text(&s), "");
    str_printf(&s, "%05d", 42);
    str_add(&s, "abcde");
    EXPECT_STR(str_text(&s), "00042abcde");
    str_add_char(&s, 'x');
    EXPECT(s.failed);
    str_fini(&s);
}

TEST(base64_follows_rfc_4648_section_10)
{
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};

    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        struct str s;
        uint8_t out[16];
        size_t n;
        str_init(&s, 100);
        str_add_base64(&s, bytes_str(plain[i]), false, true);
        EXPECT_STR(str_text(&s), coded[i]);
        EXPECT(base64_decode(bytes_str(coded[i]), out, sizeof out, &n));
        EXPECT_BYTES(bytes_of(out, n), bytes_str(plain[i]));
        str_fini(&s);
    }
    uint8_t out[4];
    size_t n;
    EXPECT(base64_decode(bytes_str("-_8"), out, sizeof out, &n) && n == 2 && out[0] == 0xfb);
    EXPECT(!base64_decode(bytes_str("Z"), out, sizeof out, &n));
    EXPECT(!base64_decode(bytes_str("Zg="), out, sizeof out, &n));
    EXPECT(!base64_decode(bytes_str("Z*=="), out, sizeof out, &n));
    EXPECT(!base64_decode(bytes_str("Zm9vYmFy"), out, sizeof out, &n));
}

TEST(numbers_are_read_whole_or_not_at_all)
{
    uint64_t u = 7;
    int64_t i;

    EXPECT(str_to_u64(bytes_str("18446744073709551615"), UINT64_MAX, &u) && u == UINT64_MAX);
    EXPECT(!str_to_u64(bytes_str("18446744073709551616"), UINT64_MAX, &u));
    EXPECT(!str_to_u64(bytes_str("12x"), UINT64_MAX, &u));
    EXPECT(!str_to_u64(bytes_str(""), UINT64_MAX, &u));
    EXPECT(!str_to_u64(bytes_str("300"), 255, &u));
    EXPECT(str_to_i64(bytes_str("-12"), &i) && i == -12);
}

TEST(addresses_print_and_parse_and_mapped_ones_fold)
{
    struct addr a, b;
    char text[ADDR_TEXT_MAX];

    EXPECT(addr_parse_ip(&a, bytes_str("::ffff:10.0.0.1"), 5));
    EXPECT(addr_parse_ip(&b, bytes_str("10.0.0.1"), 5));
    EXPECT(addr_eq(&a, &b));
    EXPECT_EQ(addr_hash(&a, 1), addr_hash(&b, 1));
    EXPECT(addr_parse_ip(&a, bytes_str("2001:db8::1"), 443));
    addr_text(&a, text);
    EXPECT_STR(text, "[2001:db8::1]:443");
    EXPECT(!addr_parse_ip(&a, bytes_str("10.0.0"), 5));
    EXPECT(!addr_parse_ip(&a, bytes_of("1.2.3.4\0x", 9), 5));
}

TEST(memory_in_lines_begins_on_a_line_is_zeroed_and_counted)
{
    int64_t live = mem_live();

    for (size_t size = 1; size < 300; size += 37) {
        uint8_t *p = mem_lines(size);
        EXPECT(p != NULL);
        EXPECT_EQ((uintptr_t)p % MEM_LINE_BYTES, 0);
        for (size_t i = 0; i < size; i++)
            EXPECT_EQ(p[i], 0);
        memset(p, 0xff, size);
        mem_free(p);
    }
    mem_refuse_nth(1);
    EXPECT(mem_lines(64) == NULL);
    mem_refuse_nth(0);
    EXPECT_EQ(mem_live(), live);
}
