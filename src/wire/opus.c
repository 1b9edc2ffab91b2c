#include "wire/opus.h"

#include "base/err.h"

us_t opus_duration(struct bytes packet)
{
    static const us_t silk_us[4] = {10000, 20000, 40000, 60000};
    unsigned frames;

    if (packet.len == 0)
        return 0;
    unsigned config = packet.p[0] >> 3;
    us_t frame_us = config < 12   ? silk_us[config & 3]
                    : config < 16 ? silk_us[config & 1]         /* hybrid: 10 or 20 ms */
                                  : (us_t)2500 << (config & 3); /* CELT: 2.5 to 20 ms */

    switch (packet.p[0] & 3) {
    case 0:
        frames = 1;
        break;
    case 3:
        frames = packet.len > 1 ? packet.p[1] & 0x3f : 0;
        break;
    default:
        frames = 2;
    }
    us_t us = frame_us * frames;
    return us <= OPUS_PACKET_MAX_US ? us : 0;
}

bool opus_stereo(struct bytes packet)
{
    return packet.len > 0 && (packet.p[0] & 4) != 0;
}

int red_parse(struct bytes payload, struct red_block out[RED_BLOCKS_MAX], unsigned *n)
{
    struct rd r = rd_of(payload);
    uint16_t len[RED_BLOCKS_MAX] = {0};
    unsigned blocks = 0;

    for (bool more = true; more; blocks++) { /* RFC 2198 s3: headers first, then all data */
        uint8_t b = rd_u8(&r);
        if (!rd_ok(&r))
            return E_TRUNCATED;
        if (blocks == RED_BLOCKS_MAX)
            return E_MALFORMED;
        more = (b & 0x80) != 0;
        uint32_t rest = more ? rd_u24(&r) : 0;
        out[blocks] = (struct red_block){.pt = b & 0x7f, .ts_offset = (uint16_t)(rest >> 10)};
        len[blocks] = rest & RED_BLOCK_BYTES_MAX;
    }
    for (unsigned i = 0; i + 1 < blocks; i++)
        out[i].data = rd_bytes(&r, len[i]);
    out[blocks - 1].data = rd_rest(&r);
    if (!rd_ok(&r))
        return E_TRUNCATED;
    *n = blocks;
    return 0;
}

void red_write(struct wr *w, const struct red_block *block, unsigned n)
{
    assert(n > 0 && n <= RED_BLOCKS_MAX);
    for (unsigned i = 0; i + 1 < n; i++) {
        assert(block[i].ts_offset <= RED_OFFSET_MAX);
        assert(block[i].data.len <= RED_BLOCK_BYTES_MAX);
        wr_u8(w, block[i].pt | 0x80);
        wr_u24(w, ((uint32_t)block[i].ts_offset << 10) | (uint32_t)block[i].data.len);
    }
    wr_u8(w, block[n - 1].pt & 0x7f);
    for (unsigned i = 0; i < n; i++)
        wr_bytes(w, block[i].data);
}
