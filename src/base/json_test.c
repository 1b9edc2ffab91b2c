#include "base/json.h"

#include "base/err.h"
#include "base/test.h"

static int parse(struct json_doc *doc, const char *text)
{
    return json_parse(doc, bytes_str(text), 4096);
}

TEST(json_values_come_back_by_kind)
{
    struct json_doc doc;
    struct bytes text;
    int64_t i = 0;
    double d = 0;
    bool b = false;

    EXPECT_EQ(parse(&doc, "{\"a\":\"x\",\"b\":9007199254740993,\"c\":[1,2.5,null],\"d\":true}"), 0);
    EXPECT(json_to_text(json_member(doc.root, "a"), &text) && bytes_eq_str(text, "x"));
    EXPECT(json_to_i64(json_member(doc.root, "b"), &i));
    EXPECT_EQ(i, 9007199254740993);
    EXPECT_EQ(json_count(json_member(doc.root, "c")), 3);
    EXPECT(json_to_double(json_item(json_member(doc.root, "c"), 1), &d) && d > 2.4 && d < 2.6);
    EXPECT(json_to_bool(json_member(doc.root, "d"), &b) && b);
    EXPECT(!json_to_i64(json_member(doc.root, "a"), &i));
    EXPECT_EQ(json_kind_of(json_member(doc.root, "z")), JSON_KIND_NONE);
    EXPECT_EQ(json_kind_of(json_member(json_member(doc.root, "z"), "y")), JSON_KIND_NONE);
    EXPECT_EQ(json_kind_of(json_item(json_member(doc.root, "c"), 2)), JSON_KIND_NULL);
    json_close(&doc);
}

TEST(json_objects_are_walked_and_printed_in_order)
{
    struct json_doc doc;
    struct str out;
    struct bytes key;
    const struct json_t *value;
    void *at = NULL;
    char seen[8] = {0};

    EXPECT_EQ(parse(&doc, "{ \"z\": 1, \"a\": {\"q\":[ ]}, \"m\": \"\\u00e9\" }"), 0);
    for (size_t n = 0; json_next(doc.root, &at, &key, &value); n++)
        seen[n] = (char)key.p[0];
    EXPECT_STR(seen, "zam");
    str_init(&out, 100);
    json_print(doc.root, &out);
    EXPECT_STR(str_text(&out), "{\"z\":1,\"a\":{\"q\":[]},\"m\":\"\xc3\xa9\"}");
    str_fini(&out);
    str_init(&out, 5);
    json_print(doc.root, &out);
    EXPECT(out.failed);
    str_fini(&out);
    json_close(&doc);
}

TEST(json_that_is_hostile_is_refused)
{
    static const char *const bad[] = {
        "",    "{",       "{} x",  "{\"a\":1,\"a\":2}",    "[1,]", "\"\\u0000\"", "\"\xff\"",
        "nul", "{\"a\"}", "[1 2]", "18446744073709551616", "'a'"};
    struct json_doc doc;
    char deep[200];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        EXPECT_EQ(parse(&doc, bad[i]), E_MALFORMED);
        json_close(&doc);
    }
    memset(deep, '[', sizeof deep);
    EXPECT_EQ(json_parse(&doc, bytes_of(deep, sizeof deep), 4096), E_TOO_LARGE);
    memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    EXPECT_EQ(json_parse(&doc, bytes_of(deep, 2 * JSON_DEPTH_MAX), 4096), 0);
    json_close(&doc);
    EXPECT_EQ(json_parse(&doc, bytes_str("[1,2]"), 4), E_TOO_LARGE);
}

TEST(json_text_is_escaped_and_reads_back)
{
    struct json_doc doc;
    struct bytes back, raw = bytes_of("a\"\\\n\x01\x7f\xc3\xa9\xf0\x9f\x98\x80", 12);
    struct str out;

    str_init(&out, 200);
    json_add_text(&out, raw);
    EXPECT_EQ(json_parse(&doc, str_bytes(&out), 200), 0);
    EXPECT(json_to_text(doc.root, &back));
    EXPECT_BYTES(back, raw);
    json_close(&doc);
    str_clear(&out);
    json_add_text(&out, bytes_of("\xff\xc0\x80\xed\xa0\x80", 6));
    EXPECT_EQ(json_parse(&doc, str_bytes(&out), 200), 0);
    json_close(&doc);
    str_fini(&out);
}

FUZZ(json, in)
{
    struct json_doc doc;
    struct str out;

    str_init(&out, 1 << 18);
    json_add_text(&out, in);
    if (json_parse(&doc, in, 65536) == 0) {
        str_clear(&out);
        json_print(doc.root, &out);
        EXPECT(!out.failed);
    }
    json_close(&doc);
    str_fini(&out);
}
