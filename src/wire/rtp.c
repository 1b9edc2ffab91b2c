#include "wire/rtp.h"

#include "base/cursor.h"
#include "base/err.h"

enum {
    PROFILE_ONE_BYTE = 0xbede,
    PROFILE_TWO_BYTE = 0x1000, /* the low four bits are "appbits" */
    ONE_BYTE_ID_MAX = 14,
    ONE_BYTE_LEN_MAX = 16,
};

static const char *const uris[RTP_EXT_N] = {
    [RTP_EXT_MID] = "urn:ietf:params:rtp-hdrext:sdes:mid",
    [RTP_EXT_RID] = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    [RTP_EXT_REPAIRED_RID] = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    [RTP_EXT_AUDIO_LEVEL] = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    [RTP_EXT_ABS_SEND_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    [RTP_EXT_TWCC] = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    [RTP_EXT_DEPENDENCY_DESCRIPTOR] =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    [RTP_EXT_PLAYOUT_DELAY] = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    [RTP_EXT_ABS_CAPTURE_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    [RTP_EXT_FRAME_MARKING] = "urn:ietf:params:rtp-hdrext:framemarking",
    [RTP_EXT_VIDEO_ORIENTATION] = "urn:3gpp:video-orientation",
};

enum rtp_demux rtp_demux_kind(struct bytes d)
{
    if (d.len < 2)
        return RTP_DEMUX_OTHER;
    uint8_t b = d.p[0];
    if (b < 4)
        return RTP_DEMUX_STUN;
    if (b >= 20 && b < 64)
        return RTP_DEMUX_DTLS;
    if (b >= 64 && b < 80)
        return RTP_DEMUX_TURN_CHANNEL;
    if (b < 128 || b >= 192)
        return RTP_DEMUX_OTHER;
    /* RFC 5761 s4: types 192..223 are RTCP; as RTP they would be 64..95 with a marker. */
    return d.p[1] >= 192 && d.p[1] < 224 ? RTP_DEMUX_RTCP : RTP_DEMUX_RTP;
}

enum rtp_ext rtp_ext_of_id(const struct rtp_ext_ids *ids, uint8_t id)
{
    for (int e = 0; e < RTP_EXT_N && id != 0; e++) {
        if (ids->id[e] == id)
            return (enum rtp_ext)e;
    }
    return RTP_EXT_N;
}

/* The elements of one block (RFC 8285 s4.2, s4.3) into v->ext. */
static void read_elements(struct rtp_view *v, struct bytes block, const struct rtp_ext_ids *ids)
{
    bool wide = (v->flags & RTP_EXT_TWO_BYTE) != 0;

    for (size_t at = 0; at < block.len;) {
        uint8_t id = block.p[at], len;

        if (id == 0) { /* padding; in the one-byte form a length beside id 0 is ignored */
            at++;
            continue;
        }
        if (wide) {
            if (at + 2 > block.len)
                return;
            len = block.p[at + 1];
            at += 2;
        } else {
            len = (uint8_t)((id & 0xf) + 1);
            id >>= 4;
            at++;
            if (id == 0 || id == 15) /* s4.2: 15 stops the processing; 0 with a length is noise */
                return;
        }
        if (at + len > block.len)
            return;
        enum rtp_ext e = rtp_ext_of_id(ids, id);
        if (e != RTP_EXT_N && at <= RTP_EXT_AT_MAX && v->ext[e] == 0)
            v->ext[e] = (uint8_t)at;
        at += len;
    }
}

static void read_block(struct rtp_view *v, uint16_t profile, struct bytes block, size_t off,
                       const struct rtp_ext_ids *ids)
{
    if ((profile & 0xfff0) == PROFILE_TWO_BYTE)
        v->flags |= RTP_EXT_TWO_BYTE;
    else if (profile != PROFILE_ONE_BYTE)
        return;
    v->ext_off = (uint16_t)off;
    if (ids != NULL)
        read_elements(v, block, ids);
}

int rtp_parse(struct rtp_view *out, struct bytes pkt, const struct rtp_ext_ids *ids)
{
    struct rd r = rd_of(pkt);
    struct rtp_view v = {0};
    size_t pad = 0;

    uint8_t b0 = rd_u8(&r), b1 = rd_u8(&r);
    v.seq = rd_u16(&r);
    v.ts = rd_u32(&r);
    v.ssrc = rd_u32(&r);
    v.pt = b1 & 0x7f;
    v.flags = b1 & 0x80 ? RTP_MARKER : 0;
    rd_skip(&r, 4u * (b0 & 0xf)); /* CSRC */
    if (b0 & 0x10) {
        uint16_t profile = rd_u16(&r), words = rd_u16(&r);
        size_t off = (size_t)(r.p - pkt.p);
        struct bytes block = rd_bytes(&r, 4u * words);
        if (rd_ok(&r))
            read_block(&v, profile, block, off, ids);
    }
    if (!rd_ok(&r))
        return E_TRUNCATED;
    if (b0 >> 6 != 2 || pkt.len > RTP_PACKET_MAX)
        return E_MALFORMED;
    if (b0 & 0x20) {
        pad = rd_left(&r) > 0 ? pkt.p[pkt.len - 1] : 0;
        if (pad == 0 || pad > rd_left(&r)) /* RFC 3550 s5.1: the count includes itself */
            return E_MALFORMED;
    }
    v.payload_off = (uint16_t)(r.p - pkt.p);
    v.payload_len = (uint16_t)(rd_left(&r) - pad);
    if (v.payload_len == 0)
        v.flags |= RTP_PAD_ONLY;
    *out = v;
    return 0;
}

struct bytes rtp_ext(const struct rtp_view *v, const uint8_t *pkt, enum rtp_ext e)
{
    if (v->ext[e] == 0)
        return (struct bytes){0};
    const uint8_t *p = pkt + v->ext_off + v->ext[e];
    return bytes_of(p, v->flags & RTP_EXT_TWO_BYTE ? p[-1] : (size_t)(p[-1] & 0xf) + 1);
}

bool rtp_ext_audio_level(const struct rtp_view *v, const uint8_t *pkt, uint8_t *minus_dbov,
                         bool *voice)
{
    struct bytes b = rtp_ext(v, pkt, RTP_EXT_AUDIO_LEVEL);

    if (b.len == 0) /* RFC 6464 s3: in the two-byte form a padding byte may follow */
        return false;
    *minus_dbov = b.p[0] & 0x7f;
    *voice = (b.p[0] & 0x80) != 0;
    return true;
}

bool rtp_ext_twcc(const struct rtp_view *v, const uint8_t *pkt, uint16_t *seq)
{
    struct bytes b = rtp_ext(v, pkt, RTP_EXT_TWCC);

    if (b.len < 2) /* the second version of the extension has four bytes, the same first two */
        return false;
    *seq = load_u16(b.p);
    return true;
}

bool rtp_ext_abs_send_time(const struct rtp_view *v, const uint8_t *pkt, uint32_t *t24)
{
    struct bytes b = rtp_ext(v, pkt, RTP_EXT_ABS_SEND_TIME);

    if (b.len != 3)
        return false;
    *t24 = ((uint32_t)b.p[0] << 16) | ((uint32_t)b.p[1] << 8) | b.p[2];
    return true;
}

uint32_t rtp_abs_send_time(us_t at)
{
    uint64_t us = (uint64_t)at % (64 * (uint64_t)US_PER_SEC); /* six bits of seconds */

    return (uint32_t)(((us << 18) / (uint64_t)US_PER_SEC) & 0xffffff);
}

void rtp_playout_delay(uint8_t out[3], uint32_t min_ms, uint32_t max_ms)
{
    store_u24(out, (u32_min(min_ms / 10, 0xfff) << 12) | u32_min(max_ms / 10, 0xfff));
}

const char *rtp_ext_uri(enum rtp_ext e)
{
    assert((unsigned)e < RTP_EXT_N);
    return uris[e];
}

enum rtp_ext rtp_ext_of_uri(struct bytes uri)
{
    for (int e = 0; e < RTP_EXT_N; e++) {
        if (bytes_eq_str(uri, uris[e]))
            return (enum rtp_ext)e;
    }
    return RTP_EXT_N;
}

/* Bytes of the block's elements without padding; *wide when one needs the two-byte form. */
static size_t block_bytes(const struct rtp_ext_val *ext, unsigned n, bool *wide)
{
    size_t data = 0, used = 0;

    *wide = false;
    for (unsigned i = 0; i < n; i++) {
        if (ext[i].id == 0)
            continue;
        used++;
        data += ext[i].len;
        if (ext[i].id > ONE_BYTE_ID_MAX || ext[i].len > ONE_BYTE_LEN_MAX || ext[i].len == 0)
            *wide = true;
    }
    return data + used * (*wide ? 2 : 1);
}

static void write_element(struct wr *w, struct rtp_ext_val *e, bool wide)
{
    e->at = 0;
    if (e->id == 0)
        return;
    if (wide) {
        wr_u8(w, e->id);
        wr_u8(w, e->len);
    } else {
        wr_u8(w, (uint8_t)((e->id << 4) | (e->len - 1)));
    }
    e->at = (uint16_t)wr_len(w);
    if (e->data != NULL)
        wr_bytes(w, bytes_of(e->data, e->len));
    else
        wr_zero(w, e->len);
}

size_t rtp_write_header(uint8_t *out, size_t cap, const struct rtp_header *h,
                        struct rtp_ext_val *ext, unsigned n)
{
    struct wr w = wr_of(out, cap);
    bool wide;
    size_t block = block_bytes(ext, n, &wide);

    assert(n <= RTP_EXT_OUT_MAX);
    wr_u8(&w, block > 0 ? 0x90 : 0x80);
    wr_zero(&w, RTP_HEADER_BYTES - 1);
    if (!wr_ok(&w))
        return 0;
    rtp_patch_header(out, h);
    if (block > 0) {
        wr_u16(&w, wide ? PROFILE_TWO_BYTE : PROFILE_ONE_BYTE);
        wr_u16(&w, (uint16_t)((block + 3) / 4));
    }
    for (unsigned i = 0; i < n; i++)
        write_element(&w, &ext[i], wide);
    wr_zero(&w, (4 - block % 4) % 4);
    return wr_ok(&w) ? wr_len(&w) : 0;
}
