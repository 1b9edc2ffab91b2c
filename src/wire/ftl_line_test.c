#include "wire/ftl_line.h"

#include "base/err.h"
#include "base/test.h"

static const char session[] =
    "HMAC\r\n\r\nCONNECT 77 $0aff\r\n\r\nVendorName: OBS Studio\r\n\r\n.\r\n\r\n"
    "PING 77\n\nDISCONNECT\r\n\r\n";

TEST(commands_survive_any_split_of_the_stream)
{
    static const enum ftl_verb want[] = {FTL_VERB_HMAC,  FTL_VERB_CONNECT, FTL_VERB_ATTRIBUTE,
                                         FTL_VERB_START, FTL_VERB_PING,    FTL_VERB_DISCONNECT};

    for (size_t step = 1; step < sizeof session; step++) {
        struct ftl_line l;
        size_t verbs = 0;
        ftl_line_init(&l);
        for (size_t at = 0; at < sizeof session - 1; at += step) {
            struct bytes in = bytes_of(session + at, size_min(step, sizeof session - 1 - at));
            while (in.len > 0) {
                struct bytes line;
                struct ftl_command c;
                size_t used;
                int got = ftl_line_input(&l, in, &used, &line);
                in = bytes_of(in.p + used, in.len - used);
                if (got == 0)
                    continue;
                EXPECT_EQ(got, 1);
                EXPECT_EQ(ftl_command_parse(&c, line), 0);
                EXPECT(verbs < ARRAY_LEN(want));
                EXPECT_EQ(c.verb, want[verbs++]);
            }
        }
        EXPECT_EQ(verbs, ARRAY_LEN(want));
    }
}

TEST(a_command_of_512_bytes_is_taken_and_one_more_is_not)
{
    char text[FTL_LINE_MAX + 2];
    struct bytes line;
    struct ftl_line l;
    size_t used;

    memset(text, 'a', sizeof text);
    text[FTL_LINE_MAX] = '\n';
    ftl_line_init(&l);
    EXPECT_EQ(ftl_line_input(&l, bytes_of(text, FTL_LINE_MAX + 1), &used, &line), 1);
    EXPECT_EQ(line.len, FTL_LINE_MAX);
    text[FTL_LINE_MAX] = 'a';
    EXPECT_EQ(ftl_line_input(&l, bytes_of(text, sizeof text), &used, &line), E_TOO_LARGE);
    EXPECT_EQ(ftl_line_input(&l, bytes_of("a", 1), &used, &line), E_TOO_LARGE);
}

TEST(channel_ids_are_read_as_32_bits_of_either_sign)
{
    static const struct {
        const char *line;
        int err;
        uint32_t channel;
    } rows[] = {
        {"CONNECT 77 $aa", 0, 77},
        {"CONNECT -1 $aa", 0, UINT32_MAX},
        {"CONNECT -2147483648 $aa", 0, 0x80000000u},
        {"CONNECT 4294967295 $aa", 0, UINT32_MAX},
        {"CONNECT 4294967296 $aa", E_MALFORMED, 0},
        {"CONNECT -2147483649 $aa", E_MALFORMED, 0},
        {"CONNECT 77", E_MALFORMED, 0},
        {"CONNECT 77 aa", E_MALFORMED, 0},
        {"CONNECT 77 $", E_MALFORMED, 0},
        {"CONNECT $aa", E_MALFORMED, 0},
        {"CONNECT 77 $aa more", E_MALFORMED, 0},
        {"CONNECT", E_MALFORMED, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ftl_command c;
        EXPECT_EQ(ftl_command_parse(&c, bytes_str(rows[i].line)), rows[i].err);
        if (rows[i].err == 0)
            EXPECT_EQ(c.channel, rows[i].channel);
    }
}

TEST(values_of_attributes_keep_their_colons)
{
    struct ftl_command c;
    bool yes = false;

    EXPECT_EQ(ftl_command_parse(&c, bytes_str("VendorName: a: b ")), 0);
    EXPECT_EQ(c.verb, FTL_VERB_ATTRIBUTE);
    EXPECT(bytes_eq_str(c.name, "VendorName"));
    EXPECT(bytes_eq_str(c.value, "a: b"));
    EXPECT_EQ(ftl_command_parse(&c, bytes_str("HMACHINE")), 0);
    EXPECT_EQ(c.verb, FTL_VERB_UNKNOWN);
    EXPECT(ftl_value_bool(bytes_str("True"), &yes) && yes);
    EXPECT(!ftl_value_bool(bytes_str("1"), &yes));
}

FUZZ(ftl_line, in)
{
    struct ftl_line l;

    ftl_line_init(&l);
    while (in.len > 0) {
        struct ftl_command c;
        struct bytes line;
        size_t used;
        int got = ftl_line_input(&l, bytes_of(in.p, size_min(in.len, 1 + in.p[0])), &used, &line);
        EXPECT(used > 0);
        if (got < 0)
            return;
        if (got == 1 && ftl_command_parse(&c, line) == 0 && c.verb == FTL_VERB_ATTRIBUTE)
            EXPECT(c.name.len + c.value.len < FTL_LINE_MAX);
        in = bytes_of(in.p + used, in.len - used);
    }
}
