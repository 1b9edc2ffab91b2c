#include "wire/flv.h"

#include "base/err.h"
#include "wire/bits.h"

#define FOURCC(a, b, c, d)                                                                         \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum {
    EX_MODS_MAX = 8, /* ModEx prefixes of one tag; two kinds are defined */
    FRAME_KEY = 1,
    FRAME_COMMAND = 5,
    MODEX_NANO = 0,
};

/* Packet types of enhanced video; audio's differ where noted. */
enum packet {
    PACKET_START = 0,
    PACKET_FRAMES = 1,
    PACKET_END = 2,
    PACKET_FRAMES_X = 3, /* no composition time */
    PACKET_META = 4,     /* audio: channel layout */
    PACKET_TS_START = 5, /* audio: multitrack */
    PACKET_MULTITRACK = 6,
    PACKET_MODEX = 7,
};

static const struct {
    uint32_t fourcc;
    enum flv_codec codec;
    bool video;
} fourccs[] = {
    {FOURCC('a', 'v', 'c', '1'), FLV_AVC, true},  {FOURCC('h', 'v', 'c', '1'), FLV_HEVC, true},
    {FOURCC('v', 'v', 'c', '1'), FLV_VVC, true},  {FOURCC('a', 'v', '0', '1'), FLV_AV1, true},
    {FOURCC('v', 'p', '0', '8'), FLV_VP8, true},  {FOURCC('v', 'p', '0', '9'), FLV_VP9, true},
    {FOURCC('m', 'p', '4', 'a'), FLV_AAC, false}, {FOURCC('O', 'p', 'u', 's'), FLV_OPUS, false},
    {FOURCC('.', 'm', 'p', '3'), FLV_MP3, false}, {FOURCC('f', 'L', 'a', 'C'), FLV_FLAC, false},
    {FOURCC('a', 'c', '-', '3'), FLV_AC3, false}, {FOURCC('e', 'c', '-', '3'), FLV_EAC3, false},
};

const char *flv_codec_text(enum flv_codec c)
{
    static const char *const text[] = {
        [FLV_UNKNOWN] = "unknown", [FLV_AVC] = "H.264", [FLV_HEVC] = "H.265", [FLV_VVC] = "H.266",
        [FLV_AV1] = "AV1",         [FLV_VP8] = "VP8",   [FLV_VP9] = "VP9",    [FLV_AAC] = "AAC",
        [FLV_OPUS] = "Opus",       [FLV_MP3] = "MP3",   [FLV_FLAC] = "FLAC",  [FLV_AC3] = "AC-3",
        [FLV_EAC3] = "E-AC-3",
    };

    assert((size_t)c < ARRAY_LEN(text));
    return text[c];
}

int flv_open(struct rd *r)
{
    struct bytes magic = rd_bytes(r, 3);

    if (!rd_ok(r))
        return E_TRUNCATED;
    if (!bytes_eq_str(magic, "FLV"))
        return E_MALFORMED;
    rd_skip(r, 2); /* version, which streams: often wrong */
    uint32_t header = rd_u32(r);
    if (rd_ok(r) && header < 9)
        return E_MALFORMED;
    rd_skip(r, header - 9);
    rd_skip(r, 4); /* back pointer to nothing */
    return rd_ok(r) ? 0 : E_TRUNCATED;
}

int flv_tag_read(struct rd *r, struct flv_tag *tag)
{
    struct flv_tag t = {0};

    if (rd_left(r) == 0)
        return E_CLOSED;
    t.type = rd_u8(r) & 0x1f;
    uint32_t size = rd_u24(r);
    t.timestamp = rd_u24(r);
    t.timestamp |= (uint32_t)rd_u8(r) << 24;
    rd_skip(r, 3); /* stream id: always 0 */
    t.body = rd_bytes(r, size);
    if (!rd_ok(r))
        return E_TRUNCATED;
    rd_skip(r, size_min(rd_left(r), 4)); /* back pointer; the last may be missing */
    *tag = t;
    return 0;
}

void flv_tag_write(struct wr *w, const struct flv_tag *tag)
{
    wr_u8(w, tag->type);
    wr_u24(w, (uint32_t)tag->body.len);
    wr_u24(w, tag->timestamp & 0xffffff);
    wr_u8(w, (uint8_t)(tag->timestamp >> 24));
    wr_u24(w, 0);
    wr_bytes(w, tag->body);
    wr_u32(w, (uint32_t)tag->body.len + FLV_TAG_HEADER_BYTES);
}

static int32_t read_s24(struct rd *r)
{
    uint32_t v = rd_u24(r);

    return v & 0x800000 ? (int32_t)v - 0x1000000 : (int32_t)v;
}

static void read_fourcc(struct rd *r, bool video, struct flv_media *m)
{
    m->fourcc = rd_u32(r);
    m->codec = FLV_UNKNOWN;
    for (size_t i = 0; i < ARRAY_LEN(fourccs); i++) {
        if (fourccs[i].fourcc == m->fourcc && fourccs[i].video == video)
            m->codec = fourccs[i].codec;
    }
}

/* E-RTMP v2: prefixes that modify; today the nanoseconds of a time stamp. */
static int read_modex(struct flv_iter *it)
{
    for (unsigned i = 0; it->packet == PACKET_MODEX; i++) {
        if (i == EX_MODS_MAX)
            return E_MALFORMED;
        size_t size = (size_t)rd_u8(&it->rd) + 1;
        if (size == 256)
            size = (size_t)rd_u16(&it->rd) + 1;
        struct bytes data = rd_bytes(&it->rd, size);
        uint8_t b = rd_u8(&it->rd);
        if (!rd_ok(&it->rd))
            return E_TRUNCATED;
        if (b >> 4 == MODEX_NANO && data.len >= 3)
            it->next.extra_ns = (uint32_t)data.p[0] << 16 | (uint32_t)data.p[1] << 8 | data.p[2];
        it->packet = b & 15;
    }
    return 0;
}

static int open_enhanced(struct flv_iter *it)
{
    uint8_t multitrack = it->video ? PACKET_MULTITRACK : PACKET_TS_START;
    int err = read_modex(it);

    if (err)
        return err;
    it->next.enhanced = true;
    if (it->packet == multitrack) {
        uint8_t b = rd_u8(&it->rd);
        if (b >> 4 > 2 || (b & 15) == multitrack || (b & 15) == PACKET_MODEX)
            return rd_ok(&it->rd) ? E_MALFORMED : E_TRUNCATED;
        it->tracks = true;
        it->many = b >> 4 != 0;
        it->many_codecs = b >> 4 == 2;
        it->packet = b & 15;
    }
    if (!it->many_codecs)
        read_fourcc(&it->rd, it->video, &it->next);
    return rd_ok(&it->rd) ? 0 : E_TRUNCATED;
}

/* AVC, and HEVC as Chinese CDNs label it, share their header (E.4.3.1). */
static void open_legacy_video(struct flv_iter *it, uint8_t id)
{
    struct flv_media *m = &it->next;

    m->id = id;
    m->codec = id == 7 ? FLV_AVC : id == 12 ? FLV_HEVC : FLV_UNKNOWN;
    m->kind = FLV_FRAME;
    if (m->codec == FLV_UNKNOWN)
        return;
    uint8_t type = rd_u8(&it->rd);
    int32_t cts = read_s24(&it->rd);
    m->kind = type == 0 ? FLV_CONFIG : type == 1 ? FLV_FRAME : type == 2 ? FLV_END : FLV_OTHER;
    m->cts_ms = m->kind == FLV_FRAME ? cts : 0;
}

int flv_video(struct flv_iter *it, struct bytes body)
{
    *it = (struct flv_iter){.rd = rd_of(body), .video = true};
    uint8_t b = rd_u8(&it->rd);

    if (!rd_ok(&it->rd))
        return E_TRUNCATED;
    it->next.key = (b >> 4 & 7) == FRAME_KEY;
    it->packet = b & 15;
    if ((b >> 4 & 7) == FRAME_COMMAND && !(b & 0x80 && it->packet == PACKET_META)) {
        it->next.kind = FLV_OTHER;
        it->plain = true;
        return 0;
    }
    if (b & 0x80)
        return open_enhanced(it);
    it->plain = true;
    open_legacy_video(it, b & 15);
    return rd_ok(&it->rd) ? 0 : E_TRUNCATED;
}

int flv_audio(struct flv_iter *it, struct bytes body)
{
    enum { FORMAT_MP3 = 2, FORMAT_EX = 9, FORMAT_AAC = 10, FORMAT_MP3_8K = 14 };

    *it = (struct flv_iter){.rd = rd_of(body)};
    uint8_t b = rd_u8(&it->rd);
    struct flv_media *m = &it->next;

    if (!rd_ok(&it->rd))
        return E_TRUNCATED;
    m->key = true;
    if (b >> 4 == FORMAT_EX) {
        it->packet = b & 15;
        return open_enhanced(it);
    }
    it->plain = true;
    m->id = b >> 4;
    m->kind = FLV_FRAME;
    if (m->id == FORMAT_MP3 || m->id == FORMAT_MP3_8K)
        m->codec = FLV_MP3;
    if (m->id == FORMAT_AAC) {
        m->codec = FLV_AAC;
        uint8_t type = rd_u8(&it->rd);
        m->kind = type == 0 ? FLV_CONFIG : type == 1 ? FLV_FRAME : FLV_OTHER;
    }
    return rd_ok(&it->rd) ? 0 : E_TRUNCATED;
}

static enum flv_kind kind_of(bool video, uint8_t packet)
{
    switch (packet) {
    case PACKET_START:
        return FLV_CONFIG;
    case PACKET_FRAMES:
        return FLV_FRAME;
    case PACKET_FRAMES_X:
        return video ? FLV_FRAME : FLV_OTHER;
    case PACKET_END:
        return FLV_END;
    case PACKET_META:
        return video ? FLV_META : FLV_OTHER;
    default:
        return FLV_OTHER;
    }
}

int flv_next(struct flv_iter *it, struct flv_media *m)
{
    if (it->done || (it->many && rd_left(&it->rd) == 0))
        return E_CLOSED;
    *m = it->next;
    it->done = !it->many;
    if (it->plain) {
        m->data = rd_rest(&it->rd);
        return 0;
    }
    if (it->many_codecs)
        read_fourcc(&it->rd, it->video, m);
    if (it->tracks)
        m->track = rd_u8(&it->rd);
    struct bytes body =
        it->many ? rd_bytes(&it->rd, rd_u24(&it->rd)) : rd_bytes(&it->rd, rd_left(&it->rd));
    struct rd rd = rd_of(body);

    m->kind = kind_of(it->video, it->packet);
    if (it->packet == PACKET_FRAMES && it->video &&
        (m->codec == FLV_AVC || m->codec == FLV_HEVC || m->codec == FLV_VVC))
        m->cts_ms = read_s24(&rd);
    m->data = rd_rest(&rd);
    return rd_ok(&it->rd) && rd_ok(&rd) ? 0 : E_TRUNCATED;
}

static int read_sets(struct rd *r, unsigned n, struct flv_sets *sets)
{
    for (unsigned i = 0; i < n; i++) {
        struct bytes nal = rd_bytes(r, rd_u16(r));
        if (!rd_ok(r))
            return E_TRUNCATED;
        if (nal.len == 0)
            return E_MALFORMED;
        if (sets->n == FLV_SETS_MAX)
            return E_LIMIT;
        sets->nal[sets->n++] = nal;
    }
    return 0;
}

/* ISO/IEC 14496-15 s5.3.3.1 */
int flv_avc_config(struct bytes record, struct flv_sets *sets)
{
    struct rd r = rd_of(record);
    int err;

    *sets = (struct flv_sets){0};
    uint8_t version = rd_u8(&r);
    sets->profile = rd_u8(&r);
    rd_skip(&r, 1);
    sets->level = rd_u8(&r);
    sets->length_bytes = (uint8_t)((rd_u8(&r) & 3) + 1);
    unsigned n = rd_u8(&r) & 31;
    if (!rd_ok(&r))
        return E_TRUNCATED;
    if (version != 1 || sets->length_bytes == 3)
        return E_MALFORMED;
    err = read_sets(&r, n, sets);
    if (err)
        return err;
    n = rd_u8(&r);
    return rd_ok(&r) ? read_sets(&r, n, sets) : E_TRUNCATED;
}

/* ISO/IEC 14496-15 s8.3.3.1 */
int flv_hevc_config(struct bytes record, struct flv_sets *sets)
{
    struct rd r = rd_of(record);

    *sets = (struct flv_sets){0};
    uint8_t version = rd_u8(&r);
    sets->profile = rd_u8(&r) & 31;
    rd_skip(&r, 10);
    sets->level = rd_u8(&r);
    rd_skip(&r, 8);
    sets->length_bytes = (uint8_t)((rd_u8(&r) & 3) + 1);
    unsigned arrays = rd_u8(&r);
    if (!rd_ok(&r))
        return E_TRUNCATED;
    if (version > 1 || sets->length_bytes == 3) /* 0: drafts that are still sent */
        return E_MALFORMED;
    for (unsigned i = 0; i < arrays; i++) {
        rd_skip(&r, 1); /* the type, which each NAL unit repeats */
        unsigned n = rd_u16(&r);
        int err = read_sets(&r, n, sets);
        if (err || !rd_ok(&r))
            return err ? err : E_TRUNCATED;
    }
    return 0;
}

/* AV1 Codec ISO Media File Format Binding s2.3.3 */
int flv_av1_config(struct bytes record, struct bytes *obus)
{
    struct rd r = rd_of(record);
    uint8_t first = rd_u8(&r);

    rd_skip(&r, 3);
    if (!rd_ok(&r))
        return E_TRUNCATED;
    if (first != 0x81) /* marker, version 1 */
        return E_MALFORMED;
    *obus = rd_rest(&r);
    return 0;
}

int flv_nal(struct rd *r, uint8_t length_bytes, struct bytes *nal)
{
    uint32_t len = 0;

    if (rd_left(r) == 0)
        return E_CLOSED;
    for (uint8_t i = 0; i < length_bytes; i++)
        len = len << 8 | rd_u8(r);
    struct bytes b = rd_bytes(r, len);
    if (!rd_ok(r))
        return E_MALFORMED;
    *nal = b;
    return 0;
}

static uint8_t aac_object_type(struct bits *b)
{
    uint32_t v = bits_u(b, 5);

    return (uint8_t)(v == 31 ? 32 + bits_u(b, 6) : v);
}

static uint32_t aac_rate(struct bits *b)
{
    static const uint32_t rate[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                    22050, 16000, 12000, 11025, 8000,  7350};
    uint32_t i = bits_u(b, 4);

    return i == 15 ? bits_u(b, 24) : i < ARRAY_LEN(rate) ? rate[i] : 0;
}

/* ISO/IEC 14496-3 s1.6.2.1, s4.4.1 */
int flv_aac_config(struct bytes record, struct flv_aac *aac)
{
    static const uint8_t channels[] = {0, 1, 2, 3, 4, 5, 6, 8, 0xff, 0xff, 0xff, 7, 8, 0xff, 8};
    enum { SBR = 5, PS = 29 };
    struct bits b = bits_of(record);
    struct flv_aac a = {0};

    a.object_type = aac_object_type(&b);
    a.rate_hz = aac_rate(&b);
    uint32_t layout = bits_u(&b, 4);
    if (a.object_type == SBR || a.object_type == PS) {
        a.sbr = true;
        (void)aac_rate(&b); /* of the output */
        a.object_type = aac_object_type(&b);
    }
    a.frame_samples = bits_flag(&b) ? 960 : 1024;
    if (!bits_ok(&b))
        return E_TRUNCATED;
    if (a.object_type == 0 || a.rate_hz == 0 || a.rate_hz > 96000 ||
        layout >= ARRAY_LEN(channels) || channels[layout] == 0xff)
        return E_MALFORMED;
    a.channels = channels[layout];
    *aac = a;
    return 0;
}

/* RFC 7845 s5.1 */
int flv_opus_config(struct bytes record, struct flv_opus *opus)
{
    struct rd r = rd_of(record);
    struct flv_opus o;
    struct bytes magic = rd_bytes(&r, 8);
    uint8_t version = rd_u8(&r);

    o.channels = rd_u8(&r);
    o.pre_skip = rd_u16le(&r);
    rd_skip(&r, 4 + 2); /* rate of the source, gain */
    o.mapping = rd_u8(&r);
    if (!rd_ok(&r))
        return E_TRUNCATED;
    if (!bytes_eq_str(magic, "OpusHead") || version >> 4 != 0 || o.channels == 0)
        return E_MALFORMED;
    *opus = o;
    return 0;
}
