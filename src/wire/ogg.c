#include "wire/ogg.h"

#include "base/err.h"
#include "wire/opus.h"

/* RFC 3533 s6: flags of a page */
enum {
    PAGE_CONTINUES = 1,
    PAGE_FIRST = 2,
    PAGE_LAST = 4,
};

enum { HEADER_BYTES = 27, CRC_AT = 22 };

/* Polynomial 0x04c11db7, not reflected; the field itself counts as zero. */
static uint32_t crc_of(struct bytes page)
{
    static const uint32_t table[16] = {
        0x00000000, 0x04c11db7, 0x09823b6e, 0x0d4326d9, 0x130476dc, 0x17c56b6b,
        0x1a864db2, 0x1e475005, 0x2608edb8, 0x22c9f00f, 0x2f8ad6d6, 0x2b4bcb61,
        0x350c9b64, 0x31cd86d3, 0x3c8ea00a, 0x384fbdbd,
    };
    uint32_t crc = 0;

    for (size_t i = 0; i < page.len; i++) {
        uint8_t b = i >= CRC_AT && i < CRC_AT + 4 ? 0 : page.p[i];
        crc = (crc << 4) ^ table[(crc >> 28) ^ (b >> 4)];
        crc = (crc << 4) ^ table[(crc >> 28) ^ (b & 15)];
    }
    return crc;
}

struct page {
    uint8_t flags;
    uint32_t serial;
    struct bytes lacing, data;
};

static int read_page(struct rd *rd, struct page *out)
{
    struct rd r = *rd;
    struct page page = {0};
    size_t sum = 0;

    if (rd_left(&r) == 0)
        return E_CLOSED;
    const uint8_t *start = r.p;
    struct bytes magic = rd_bytes(&r, 4);
    if (rd_ok(&r) && !bytes_eq_str(magic, "OggS"))
        return E_MALFORMED;
    rd_skip(&r, 1);
    page.flags = rd_u8(&r);
    rd_skip(&r, 8); /* granule position: durations come from the packets */
    page.serial = rd_u32le(&r);
    rd_skip(&r, 4);
    uint32_t crc = rd_u32le(&r);
    page.lacing = rd_bytes(&r, rd_u8(&r));
    for (size_t i = 0; i < page.lacing.len; i++)
        sum += page.lacing.p[i];
    page.data = rd_bytes(&r, sum);
    if (!rd_ok(&r))
        return E_TRUNCATED;
    if (crc_of(bytes_of(start, (size_t)(r.p - start))) != crc)
        return E_MALFORMED;
    *rd = r;
    *out = page;
    return 0;
}

/* The next page of our stream; before one is chosen, the first that begins with OpusHead. */
static int turn_page(struct ogg *o)
{
    struct page page;
    int err;

    while ((err = read_page(&o->rd, &page)) == 0) {
        if (!o->bound && (page.flags & PAGE_FIRST) && page.data.len >= 8 &&
            memcmp(page.data.p, "OpusHead", 8) == 0) {
            o->bound = true;
            o->serial = page.serial;
        }
        if (o->bound && page.serial == o->serial)
            break;
    }
    if (err)
        return err;
    o->lacing = page.lacing;
    o->data = rd_of(page.data);
    /* What was begun and does not go on, or goes on and was not begun, is lost. */
    bool continues = (page.flags & PAGE_CONTINUES) != 0;
    if (!continues || !o->joining)
        o->too_large = continues;
    if (!continues || !o->joining)
        o->joined_n = 0;
    o->joining = continues;
    return 0;
}

/* Bytes of the packet's share of this page; *whole when it ends here. */
static struct bytes take_share(struct ogg *o, bool *whole)
{
    size_t n = 0, i = 0;

    *whole = false;
    while (i < o->lacing.len && !*whole) {
        n += o->lacing.p[i];
        *whole = o->lacing.p[i++] < 255;
    }
    o->lacing = bytes_of(o->lacing.p + i, o->lacing.len - i);
    return rd_bytes(&o->data, n);
}

/* The next packet of any size; an empty span stands for one that was too large. */
static int next_packet(struct ogg *o, struct bytes *out)
{
    for (;;) {
        bool whole;
        if (o->lacing.len == 0) {
            int err = turn_page(o);
            if (err)
                return err;
            continue;
        }
        struct bytes part = take_share(o, &whole);
        if (whole && !o->joining) {
            *out = part;
            return 0;
        }
        if (o->too_large || part.len > OGG_PACKET_MAX - o->joined_n) {
            o->too_large = true;
        } else if (part.len > 0) {
            memcpy(o->joined + o->joined_n, part.p, part.len);
            o->joined_n += part.len;
        }
        o->joining = !whole;
        if (whole) {
            *out = bytes_of(o->joined, o->too_large ? 0 : o->joined_n);
            o->joined_n = 0;
            o->too_large = false;
            return 0;
        }
    }
}

static int read_head(struct ogg *o, struct bytes head)
{
    if (head.len < 19 || (head.p[8] & 0xf0) != 0) /* RFC 7845 s5.1: another major version */
        return E_UNSUPPORTED;
    o->channels = head.p[9];
    o->pre_skip = (uint16_t)(head.p[10] | (head.p[11] << 8));
    if (o->channels == 0 || o->channels > 2 || head.p[18] != 0)
        return E_UNSUPPORTED; /* more channels need a mapping that WebRTC does not have */
    return 0;
}

int ogg_open(struct ogg *o, struct bytes file)
{
    struct bytes packet;

    *o = (struct ogg){.file = file, .rd = rd_of(file)};
    if (file.len < 4 || memcmp(file.p, "OggS", 4) != 0)
        return E_UNSUPPORTED;
    int err = next_packet(o, &packet);
    if (err)
        return err == E_CLOSED ? E_UNSUPPORTED : err;
    err = read_head(o, packet);
    if (err == 0)
        err = next_packet(o, &packet); /* OpusTags: nothing in it concerns us */
    return err == E_CLOSED ? E_TRUNCATED : err;
}

int ogg_next(struct ogg *o, struct ogg_packet *out)
{
    struct bytes packet;
    int err;

    while ((err = next_packet(o, &packet)) == 0) {
        us_t us = opus_duration(packet);
        if (us == 0) /* empty, too large, or no Opus */
            continue;
        *out = (struct ogg_packet){.data = packet, .duration_us = us};
        return 0;
    }
    return err;
}

void ogg_rewind(struct ogg *o)
{
    int err = ogg_open(o, o->file);

    assert(err == 0); /* it could be opened before */
    (void)err;        /* only the assertion looks at it */
}

static void wr_le(struct wr *w, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        wr_u8(w, (uint8_t)(v >> (8 * i)));
}

static void write_page(struct ogg_writer *o, struct wr *w, struct bytes packet, uint8_t flags)
{
    size_t at = wr_len(w), segments = packet.len / 255 + 1;

    assert(packet.len <= OGG_PACKET_MAX);
    wr_str(w, "OggS");
    wr_u8(w, 0);
    wr_u8(w, flags);
    wr_le(w, o->granule, 8);
    wr_le(w, o->serial, 4);
    wr_le(w, o->page_n++, 4);
    wr_zero(w, 4);
    wr_u8(w, (uint8_t)segments);
    for (size_t i = 0; i + 1 < segments; i++)
        wr_u8(w, 255);
    wr_u8(w, (uint8_t)(packet.len % 255));
    wr_bytes(w, packet);
    if (!wr_ok(w))
        return;
    uint32_t crc = crc_of(bytes_of(w->start + at, wr_len(w) - at));
    for (unsigned i = 0; i < 4; i++)
        w->start[at + CRC_AT + i] = (uint8_t)(crc >> (8 * i));
}

void ogg_write_head(struct ogg_writer *o, struct wr *w, uint32_t serial, uint8_t channels,
                    uint16_t pre_skip)
{
    uint8_t buf[64];
    struct wr head = wr_of(buf, sizeof buf);

    *o = (struct ogg_writer){.serial = serial};
    wr_str(&head, "OpusHead");
    wr_u8(&head, 1);
    wr_u8(&head, channels);
    wr_le(&head, pre_skip, 2);
    wr_le(&head, OPUS_RATE_HZ, 4);
    wr_zero(&head, 3); /* gain 0, mapping family 0 */
    write_page(o, w, wr_done(&head), PAGE_FIRST);
    head = wr_of(buf, sizeof buf);
    wr_str(&head, "OpusTags");
    wr_le(&head, 6, 4);
    wr_str(&head, "sluice");
    wr_le(&head, 0, 4);
    write_page(o, w, wr_done(&head), 0);
}

void ogg_write_packet(struct ogg_writer *o, struct wr *w, struct bytes packet, us_t gap_us,
                      bool last)
{
    us_t us = gap_us + opus_duration(packet);

    assert(gap_us >= 0);
    o->granule += (uint64_t)us * (OPUS_RATE_HZ / 1000) / 1000;
    write_page(o, w, packet, last ? PAGE_LAST : 0);
}
