#include "ingest/rtmp_words.h"

#include "base/err.h"
#include "base/test.h"

TEST(rtmp_words_key_is_the_last_element_without_its_query)
{
    static const struct {
        const char *name, *app, *key;
    } row[] = {
        {"77-abc", "live", "77-abc"},
        {"77-abc?token=x/y", "live", "77-abc"},
        {"inst/77-abc", "live", "77-abc"},
        {"77-abc/", "live", "77-abc"},
        {"", "live/77-abc", "77-abc"}, /* server with the key in it, no key in OBS */
        {"", "live/77-abc?token=1", "77-abc"},
        {"?token=1", "live/77-abc/", "77-abc"},
        {"", "live", ""},
        {"", "", ""},
        {"///", "", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++)
        EXPECT_BYTES(rtmp_words_key(bytes_str(row[i].name), bytes_str(row[i].app)),
                     bytes_str(row[i].key));
}

TEST(rtmp_words_connect_is_read_and_capabilities_are_answered)
{
    struct rtmp_words_connect c = {0};
    uint8_t buf[RTMP_WORDS_BODY_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    struct amf_value v;
    struct amf a;
    bool caps = false;

    amf_write_object(&w);
    amf_write_key(&w, "app");
    amf_write_text(&w, "li\nve");
    amf_write_key(&w, "supportsGoAway");
    amf_write_bool(&w, true);
    amf_write_key(&w, "videoFourCcInfoMap");
    amf_write_object(&w);
    amf_write_key(&w, "*");
    amf_write_number(&w, 7);
    amf_write_end(&w);
    amf_write_key(&w, "capsEx");
    amf_write_number(&w, 15);
    amf_write_key(&w, "objectEncoding");
    amf_write_number(&w, 3);
    amf_write_end(&w);
    amf_open(&a, wr_done(&w));
    EXPECT_EQ(rtmp_words_read_connect(&a, &c), 0);
    EXPECT_STR(c.app, "li?ve");
    EXPECT(c.enhanced && c.go_away && c.reconnect && c.object_encoding == 3);

    w = wr_of(buf, sizeof buf);
    rtmp_words_connected(&w, 1, &c);
    EXPECT(wr_ok(&w));
    amf_open(&a, wr_done(&w));
    while (amf_next(&a, &v) == 0) {
        caps |= bytes_eq_str(v.key, "capsEx");
        EXPECT(!bytes_eq_str(v.key, "objectEncoding") || v.number == 3);
    }
    EXPECT(caps);
    amf_open(&a, test_hex("05"));
    EXPECT_EQ(rtmp_words_read_connect(&a, &c), E_MALFORMED);
    amf_open(&a, test_hex("03 0003 617070"));
    EXPECT_EQ(rtmp_words_read_connect(&a, &c), E_TRUNCATED);
}
