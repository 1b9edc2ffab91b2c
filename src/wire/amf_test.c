#include "wire/amf.h"

#include "base/err.h"
#include "base/test.h"

static struct amf_value take(struct amf *a)
{
    struct amf_value v;

    EXPECT_EQ(amf_next(a, &v), 0);
    return v;
}

static int first_error(struct bytes in)
{
    struct amf_value v;
    struct amf a;
    int err;

    amf_open(&a, in);
    do
        err = amf_next(&a, &v);
    while (err == 0);
    return err;
}

TEST(amf_reads_a_connect_command)
{
    struct amf_value v;
    struct amf a;

    amf_open(&a, test_hex("02 0007 636f6e6e656374" /* "connect" */
                          "00 3ff0000000000000"    /* 1 */
                          "03 0003 617070 02 0004 6c697665"
                          "   0003 667061 01 00"
                          "   0004 63617073 00 406de00000000000"
                          "000009"));
    v = take(&a);
    EXPECT(v.type == AMF_STRING && bytes_eq_str(v.text, "connect"));
    v = take(&a);
    EXPECT(v.type == AMF_NUMBER && v.number == 1.0);
    EXPECT_EQ(take(&a).type, AMF_OBJECT);
    v = take(&a);
    EXPECT(v.type == AMF_STRING && bytes_eq_str(v.key, "app") && bytes_eq_str(v.text, "live"));
    v = take(&a);
    EXPECT(v.type == AMF_BOOL && bytes_eq_str(v.key, "fpa") && !v.boolean);
    v = take(&a);
    EXPECT(v.type == AMF_NUMBER && v.number == 239.0);
    EXPECT_EQ(take(&a).type, AMF_END);
    EXPECT_EQ(amf_next(&a, &v), E_CLOSED);
}

TEST(amf_reads_every_kind_of_amf0)
{
    struct amf_value v;
    struct amf a;

    amf_open(&a, test_hex("05 06 07 0102 0d"
                          "0b 4270000000000000 0000"
                          "0c 00000003 616263 0f 00000002 3c3e"
                          "0a 00000002 0101 05"
                          "08 00000000 0001 78 05 000009"
                          "10 0001 54 0001 79 06 000009"));
    EXPECT_EQ(take(&a).type, AMF_NULL);
    EXPECT_EQ(take(&a).type, AMF_UNDEFINED);
    v = take(&a);
    EXPECT(v.type == AMF_REFERENCE && v.n == 0x102);
    EXPECT_EQ(take(&a).type, AMF_UNSUPPORTED);
    v = take(&a);
    EXPECT(v.type == AMF_DATE && v.number == 1099511627776.0);
    v = take(&a);
    EXPECT(v.type == AMF_STRING && bytes_eq_str(v.text, "abc"));
    v = take(&a);
    EXPECT(v.type == AMF_XML && bytes_eq_str(v.text, "<>"));
    v = take(&a);
    EXPECT(v.type == AMF_LIST && v.n == 2);
    EXPECT(take(&a).boolean);
    EXPECT_EQ(take(&a).type, AMF_NULL);
    EXPECT_EQ(take(&a).type, AMF_END);
    v = take(&a);
    EXPECT_EQ(v.type, AMF_ARRAY);
    EXPECT_EQ(amf_skip(&a, &v), 0);
    v = take(&a);
    EXPECT(v.type == AMF_OBJECT && bytes_eq_str(v.text, "T"));
    EXPECT_EQ(amf_skip(&a, &v), 0);
    EXPECT_EQ(amf_next(&a, &v), E_CLOSED);
}

TEST(amf3_values_behind_the_marker_are_read_with_their_references)
{
    struct amf_value v;
    struct amf a;

    /* An array of: true, -1, "ab", the same by reference, and an object of a class C {s} with a
     * dynamic member, then one more of that class. */
    amf_open(&a, test_hex("11 09 0d 01"
                          "03 04 ffffffff 06 05 6162 06 00"
                          "0a 1b 03 43 03 73 06 00 03 64 04 05 01"
                          "0a 01 06 05 7a7a 01"
                          "00 4000000000000000"));
    v = take(&a);
    EXPECT(v.type == AMF_ARRAY && v.n == 6);
    EXPECT(take(&a).boolean);
    EXPECT(take(&a).number == -1.0);
    EXPECT(bytes_eq_str(take(&a).text, "ab"));
    EXPECT(bytes_eq_str(take(&a).text, "ab"));
    v = take(&a);
    EXPECT(v.type == AMF_OBJECT && bytes_eq_str(v.text, "C"));
    v = take(&a);
    EXPECT(bytes_eq_str(v.key, "s") && bytes_eq_str(v.text, "ab"));
    v = take(&a);
    EXPECT(bytes_eq_str(v.key, "d") && v.number == 5.0);
    EXPECT_EQ(take(&a).type, AMF_END);
    EXPECT_EQ(take(&a).type, AMF_OBJECT);
    v = take(&a);
    EXPECT(bytes_eq_str(v.key, "s") && bytes_eq_str(v.text, "zz"));
    EXPECT_EQ(take(&a).type, AMF_END);
    EXPECT_EQ(take(&a).type, AMF_END);
    EXPECT(take(&a).number == 2.0); /* AMF0 goes on */
}

TEST(amf3_scalars_are_read)
{
    struct amf a;

    amf_open(&a, test_hex("11 00 11 01 11 02 11 05 3ff8000000000000 11 08 01 0000000000000000"
                          "11 0b 05 3c3e 11 07 03 3c 11 0c 05 0102 11 0a 04 11 09 02"));
    EXPECT_EQ(take(&a).type, AMF_UNDEFINED);
    EXPECT_EQ(take(&a).type, AMF_NULL);
    EXPECT(!take(&a).boolean);
    EXPECT(take(&a).number == 1.5);
    EXPECT_EQ(take(&a).type, AMF_DATE);
    EXPECT(bytes_eq_str(take(&a).text, "<>"));
    EXPECT_EQ(take(&a).type, AMF_XML);
    EXPECT_EQ(take(&a).type, AMF_BYTES);
    EXPECT_EQ(take(&a).n, 2);
    EXPECT_EQ(take(&a).type, AMF_REFERENCE);
}

TEST(amf_refuses_what_is_hostile)
{
    static const struct {
        const char *hex;
        int err;
    } row[] = {
        {"02 ffff 61", E_TRUNCATED},
        {"0c ffffffff 61", E_TRUNCATED},
        {"0a ffffffff", E_TRUNCATED},
        {"0a ffffffff 05", E_TRUNCATED},
        {"03 0001 61", E_TRUNCATED},
        {"03 0000 09", E_CLOSED},
        {"04", E_MALFORMED},
        {"12", E_MALFORMED},
        {"09", E_MALFORMED},
        {"11 06 02", E_MALFORMED},      /* string reference to nothing */
        {"11 0a 05", E_MALFORMED},      /* class reference to nothing */
        {"11 0a 07 01", E_UNSUPPORTED}, /* externalizable */
        {"11 0a ffffffff 01", E_UNSUPPORTED},
        {"11 0a fffffffb 01", E_LIMIT}, /* 2^25 members */
        {"11 0d 01", E_UNSUPPORTED},
        {"11 0c ffffffff", E_TRUNCATED},
        {"11", E_TRUNCATED},
    };
    uint8_t deep[64];

    for (size_t i = 0; i < ARRAY_LEN(row); i++)
        EXPECT_EQ(first_error(test_hex(row[i].hex)), row[i].err);
    memset(deep, 0, sizeof deep);
    for (size_t i = 0; i + 5 <= sizeof deep; i += 5) {
        deep[i] = 10; /* lists of one list */
        deep[i + 4] = 1;
    }
    EXPECT_EQ(first_error(bytes_of(deep, sizeof deep)), E_TRUNCATED);
    uint8_t deeper[AMF_DEPTH_MAX * 5 + 5] = {0};
    for (size_t i = 0; i + 5 <= sizeof deeper; i += 5) {
        deeper[i] = 10;
        deeper[i + 4] = 1;
    }
    EXPECT_EQ(first_error(bytes_of(deeper, sizeof deeper)), E_LIMIT);
}

TEST(amf_what_is_written_is_read)
{
    static uint8_t buf[80000], big[70000];
    struct wr w = wr_of(buf, sizeof buf);
    struct amf_value v;
    struct amf a;

    amf_write_text(&w, "onStatus");
    amf_write_number(&w, -0.5);
    amf_write_null(&w);
    amf_write_object(&w);
    amf_write_key(&w, "level");
    amf_write_text(&w, "status");
    amf_write_key(&w, "list");
    amf_write_list(&w, 1);
    amf_write_bool(&w, true);
    amf_write_end(&w);
    amf_write_array(&w, 1);
    amf_write_key(&w, "k");
    amf_write_string(&w, bytes_of(big, sizeof big));
    amf_write_end(&w);
    EXPECT(wr_ok(&w));
    amf_open(&a, wr_done(&w));
    EXPECT(bytes_eq_str(take(&a).text, "onStatus"));
    EXPECT(take(&a).number == -0.5);
    EXPECT_EQ(take(&a).type, AMF_NULL);
    EXPECT_EQ(take(&a).type, AMF_OBJECT);
    EXPECT(bytes_eq_str(take(&a).text, "status"));
    v = take(&a);
    EXPECT(v.type == AMF_LIST && bytes_eq_str(v.key, "list"));
    EXPECT(take(&a).boolean);
    EXPECT_EQ(take(&a).type, AMF_END);
    EXPECT_EQ(take(&a).type, AMF_END);
    EXPECT_EQ(take(&a).type, AMF_ARRAY);
    EXPECT_EQ(take(&a).text.len, sizeof big);
    EXPECT_EQ(take(&a).type, AMF_END);
    EXPECT_EQ(amf_next(&a, &v), E_CLOSED);
}

FUZZ(amf, in)
{
    struct amf_value v;
    struct amf a;
    size_t steps = 0;
    int err;

    amf_open(&a, in);
    while ((err = amf_next(&a, &v)) == 0) {
        EXPECT(a.depth <= AMF_DEPTH_MAX);
        EXPECT(v.text.len <= in.len && v.key.len <= in.len);
        EXPECT(++steps <= 2 * in.len + 1); /* each step takes bytes or closes what took them */
        if (steps % 7 == 3 && amf_skip(&a, &v) != 0)
            break;
    }
}
