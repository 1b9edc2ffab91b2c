#include "rtc/dcep.h"

#include "base/test.h"

TEST(opening_survives_writing_and_reading)
{
    static const struct dcep_open row[] = {
        {.ordered = true, .limit = -1},
        {.ordered = false, .limit = -1},
        {.ordered = true, .limit = 0},
        {.ordered = false, .limit = 3},
        {.ordered = false, .timed = true, .limit = 500},
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        uint8_t buf[100];
        struct wr w = wr_of(buf, sizeof buf);
        struct dcep_open in = row[i], out;

        in.label = i % 2 ? bytes_str("_lossy") : bytes_of("", 0);
        dcep_write_open(&w, &in);
        EXPECT(wr_ok(&w));
        EXPECT(dcep_read_open(wr_done(&w), &out));
        EXPECT(out.ordered == in.ordered && out.timed == in.timed && out.limit == in.limit);
        EXPECT_BYTES(out.label, in.label);
        for (size_t cut = 0; cut < wr_len(&w); cut++)
            EXPECT(!dcep_read_open(bytes_of(buf, cut), &out));
        buf[1] = 3;
        EXPECT(!dcep_read_open(wr_done(&w), &out));
    }
}

FUZZ(dcep, in)
{
    struct dcep_open o, again;
    uint8_t buf[4096];
    struct wr w = wr_of(buf, sizeof buf);

    if (!dcep_read_open(in, &o) || o.label.len > 1000)
        return;
    dcep_write_open(&w, &o);
    EXPECT(dcep_read_open(wr_done(&w), &again));
    EXPECT(again.ordered == o.ordered && again.limit == o.limit);
    EXPECT_BYTES(again.label, o.label);
}
