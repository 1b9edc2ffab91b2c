#include "wire/rtcp.h"

#include "base/err.h"

enum {
    REPORT_BYTES = 24,
    REMB_ID = 0x52454d42, /* "REMB" */
};

static const uint32_t ntp_unix_seconds = 2208988800u; /* from 1900 to 1970 */

void rtcp_iter_init(struct rtcp_iter *it, struct bytes compound)
{
    *it = (struct rtcp_iter){.rd = rd_of(compound)};
}

bool rtcp_next(struct rtcp_iter *it, struct rtcp_pkt *pkt)
{
    if (it->malformed || rd_left(&it->rd) == 0)
        return false;
    uint8_t b0 = rd_u8(&it->rd), pt = rd_u8(&it->rd);
    uint16_t words = rd_u16(&it->rd);
    struct bytes body = rd_bytes(&it->rd, 4u * words);
    size_t pad = 0;

    it->malformed = !rd_ok(&it->rd) || b0 >> 6 != 2;
    if (!it->malformed && (b0 & 0x20)) { /* RFC 3550 s6.4.1: the last byte counts. Browsers pad
                                            transport-cc by one to three. */
        pad = body.len > 0 ? body.p[body.len - 1] : 0;
        it->malformed = pad == 0 || pad > body.len;
    }
    if (it->malformed)
        return false;
    *pkt = (struct rtcp_pkt){
        .pt = pt,
        .count = b0 & 0x1f,
        .body = {.p = body.p, .len = body.len - pad},
    };
    return true;
}

int rtcp_parse_sr(const struct rtcp_pkt *pkt, struct rtcp_sr *out)
{
    struct rd r = rd_of(pkt->body);

    if (pkt->pt != RTCP_SR)
        return E_UNSUPPORTED;
    struct rtcp_sr sr = {.ssrc = rd_u32(&r)};
    sr.ntp = rd_u64(&r);
    sr.rtp_ts = rd_u32(&r);
    sr.packets_n = rd_u32(&r);
    sr.octets_n = rd_u32(&r);
    if (!rd_ok(&r))
        return E_TRUNCATED;
    *out = sr;
    return 0;
}

int rtcp_parse_fb(const struct rtcp_pkt *pkt, struct rtcp_fb *out)
{
    struct rd r = rd_of(pkt->body);

    if (pkt->pt != RTCP_RTPFB && pkt->pt != RTCP_PSFB)
        return E_UNSUPPORTED;
    struct rtcp_fb fb = {.sender = rd_u32(&r)};
    fb.media = rd_u32(&r);
    fb.fci = rd_rest(&r);
    if (!rd_ok(&r))
        return E_TRUNCATED;
    *out = fb;
    return 0;
}

static void read_report(struct rd *r, struct rtcp_report *b)
{
    b->ssrc = rd_u32(r);
    uint32_t lost = rd_u32(r);
    b->fraction_lost = (uint8_t)(lost >> 24);
    lost &= 0xffffff;
    b->lost_n = (int32_t)lost - (lost & 0x800000 ? 0x1000000 : 0);
    b->highest_seq = rd_u32(r);
    b->jitter = rd_u32(r);
    b->lsr = rd_u32(r);
    b->dlsr = rd_u32(r);
}

int rtcp_parse_reports(const struct rtcp_pkt *pkt, uint32_t *sender,
                       struct rtcp_report out[RTCP_REPORTS_MAX], unsigned *n)
{
    struct rd r = rd_of(pkt->body);

    if (pkt->pt != RTCP_SR && pkt->pt != RTCP_RR)
        return E_UNSUPPORTED;
    uint32_t from = rd_u32(&r);
    if (pkt->pt == RTCP_SR)
        rd_skip(&r, 20);
    if (!rd_ok(&r) || rd_left(&r) < (size_t)pkt->count * REPORT_BYTES)
        return E_TRUNCATED;
    for (unsigned i = 0; i < pkt->count; i++)
        read_report(&r, &out[i]);
    *sender = from;
    *n = pkt->count;
    return 0;
}

/* Items of one chunk up to its null; the value of `item` into *found. */
static void scan_chunk(struct rd *r, const uint8_t *start, uint8_t item, struct bytes *found)
{
    for (;;) {
        uint8_t type = rd_u8(r);
        if (!rd_ok(r))
            return;
        if (type == 0)
            break;
        struct bytes v = rd_bytes(r, rd_u8(r));
        if (!rd_ok(r))
            return;
        if (type == item && found->p == NULL)
            *found = v;
    }
    rd_skip(r, size_min((4 - (size_t)(r->p - start) % 4) % 4, rd_left(r)));
}

struct bytes rtcp_sdes_find(const struct rtcp_pkt *pkt, uint32_t ssrc, uint8_t item)
{
    struct rd r = rd_of(pkt->body);
    struct bytes found = {0}, other = {0};

    if (pkt->pt != RTCP_SDES)
        return found;
    for (unsigned i = 0; i < pkt->count && rd_ok(&r); i++) {
        const uint8_t *start = r.p;
        bool mine = rd_u32(&r) == ssrc && rd_ok(&r);
        scan_chunk(&r, start, item, mine ? &found : &other);
    }
    return found;
}

bool rtcp_is_nack(const struct rtcp_pkt *pkt)
{
    return pkt->pt == RTCP_RTPFB && pkt->count == RTCP_RTPFB_NACK;
}

bool rtcp_is_twcc(const struct rtcp_pkt *pkt)
{
    return pkt->pt == RTCP_RTPFB && pkt->count == RTCP_RTPFB_TWCC;
}

bool rtcp_is_pli(const struct rtcp_pkt *pkt)
{
    return pkt->pt == RTCP_PSFB && pkt->count == RTCP_PSFB_PLI;
}

bool rtcp_is_fir(const struct rtcp_pkt *pkt)
{
    return pkt->pt == RTCP_PSFB && pkt->count == RTCP_PSFB_FIR;
}

bool rtcp_is_remb(const struct rtcp_pkt *pkt)
{
    return pkt->pt == RTCP_PSFB && pkt->count == RTCP_PSFB_AFB && pkt->body.len >= 16 &&
           load_u32(pkt->body.p + 8) == REMB_ID;
}

void rtcp_nack_init(struct rtcp_nack_iter *it, const struct rtcp_fb *fb)
{
    *it = (struct rtcp_nack_iter){.rd = rd_of(fb->fci)};
}

bool rtcp_nack_next(struct rtcp_nack_iter *it, uint16_t *seq)
{
    if (it->blp == 0) {
        if (rd_left(&it->rd) < 4)
            return false;
        it->pid = rd_u16(&it->rd);
        it->blp = rd_u16(&it->rd);
        *seq = it->pid;
        return true;
    }
    /* RFC 4585 s6.2.1: bit i stands for PID + i + 1. */
    unsigned bit = (unsigned)__builtin_ctz(it->blp);
    it->blp = (uint16_t)(it->blp & (it->blp - 1u));
    *seq = (uint16_t)(it->pid + bit + 1);
    return true;
}

unsigned rtcp_parse_fir(const struct rtcp_pkt *pkt, struct rtcp_fir out[RTCP_FIR_MAX])
{
    struct rd r = rd_of(pkt->body);
    unsigned n = 0;

    if (!rtcp_is_fir(pkt))
        return 0;
    rd_skip(&r, 8);
    while (rd_left(&r) >= 8 && n < RTCP_FIR_MAX) {
        out[n].ssrc = rd_u32(&r);
        out[n++].seq = rd_u8(&r);
        rd_skip(&r, 3);
    }
    return n;
}

int rtcp_parse_remb(const struct rtcp_pkt *pkt, struct rtcp_remb *out)
{
    struct rd r = rd_of(pkt->body);
    struct rtcp_remb remb = {0};

    if (!rtcp_is_remb(pkt))
        return E_UNSUPPORTED;
    remb.sender = rd_u32(&r);
    rd_skip(&r, 8);
    unsigned n = rd_u8(&r);
    uint32_t rate = rd_u24(&r);
    unsigned exp = rate >> 18;
    uint64_t mantissa = rate & 0x3ffff;
    if (!rd_ok(&r) || rd_left(&r) < 4u * n)
        return E_TRUNCATED;
    /* The exponent has six bits: what passes 63 bits of rate means "no limit". */
    remb.rate_bps = mantissa > (UINT64_MAX >> 1) >> exp ? UINT64_MAX >> 1 : mantissa << exp;
    for (unsigned i = 0; i < n; i++) {
        uint32_t ssrc = rd_u32(&r);
        if (i < RTCP_REMB_SSRCS_MAX)
            remb.ssrc[remb.ssrc_n++] = ssrc;
    }
    *out = remb;
    return 0;
}

unsigned rtcp_parse_bye(const struct rtcp_pkt *pkt, uint32_t *out, unsigned max)
{
    struct rd r = rd_of(pkt->body);
    unsigned n = 0;

    if (pkt->pt != RTCP_BYE)
        return 0;
    while (n < pkt->count && n < max && rd_left(&r) >= 4)
        out[n++] = rd_u32(&r);
    return n;
}

/* The header, with its length still open.  Returns where the packet begins. */
static size_t begin(struct wr *w, uint8_t pt, unsigned count)
{
    size_t at = wr_len(w);

    assert(count < 32);
    wr_u8(w, (uint8_t)(0x80 | count));
    wr_u8(w, pt);
    wr_u16(w, 0);
    return at;
}

static void finish(struct wr *w, size_t at)
{
    if (!wr_ok(w))
        return;
    size_t n = wr_len(w) - at;
    assert(n % 4 == 0);
    store_u16(w->start + at + 2, (uint16_t)(n / 4 - 1));
}

static void write_reports(struct wr *w, const struct rtcp_report *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++, b++) {
        /* RFC 3550 s6.4.1: 24 bits signed; clamp, never wrap. */
        int32_t lost = b->lost_n > 0x7fffff    ? 0x7fffff
                       : b->lost_n < -0x800000 ? -0x800000
                                               : b->lost_n;
        wr_u32(w, b->ssrc);
        wr_u32(w, ((uint32_t)b->fraction_lost << 24) | ((uint32_t)lost & 0xffffff));
        wr_u32(w, b->highest_seq);
        wr_u32(w, b->jitter);
        wr_u32(w, b->lsr);
        wr_u32(w, b->dlsr);
    }
}

void rtcp_write_sr(struct wr *w, const struct rtcp_sr *sr, const struct rtcp_report *reports,
                   unsigned n)
{
    assert(n <= RTCP_REPORTS_MAX);
    size_t at = begin(w, RTCP_SR, n);

    wr_u32(w, sr->ssrc);
    wr_u64(w, sr->ntp);
    wr_u32(w, sr->rtp_ts);
    wr_u32(w, sr->packets_n);
    wr_u32(w, sr->octets_n);
    write_reports(w, reports, n);
    finish(w, at);
}

void rtcp_write_rr(struct wr *w, uint32_t sender, const struct rtcp_report *reports, unsigned n)
{
    assert(n <= RTCP_REPORTS_MAX);
    size_t at = begin(w, RTCP_RR, n);

    wr_u32(w, sender);
    write_reports(w, reports, n);
    finish(w, at);
}

static void write_item(struct wr *w, uint8_t type, struct bytes text)
{
    wr_u8(w, type);
    wr_u8(w, (uint8_t)text.len);
    wr_bytes(w, text);
}

void rtcp_write_sdes(struct wr *w, uint32_t ssrc, struct bytes cname, struct bytes mid)
{
    assert(cname.len <= RTCP_CNAME_MAX);
    assert(mid.len <= RTCP_CNAME_MAX);
    size_t at = begin(w, RTCP_SDES, 1);

    wr_u32(w, ssrc);
    write_item(w, RTCP_SDES_CNAME, cname);
    if (mid.len > 0)
        write_item(w, RTCP_SDES_MID, mid);
    /* RFC 3550 s6.5: one to four nulls end the chunk on a word. */
    wr_zero(w, 4 - (wr_len(w) - at) % 4);
    finish(w, at);
}

void rtcp_write_bye(struct wr *w, const uint32_t *ssrc, unsigned n)
{
    size_t at = begin(w, RTCP_BYE, n);

    for (unsigned i = 0; i < n; i++)
        wr_u32(w, ssrc[i]);
    finish(w, at);
}

static size_t begin_fb(struct wr *w, uint8_t pt, unsigned fmt, uint32_t sender, uint32_t media)
{
    size_t at = begin(w, pt, fmt);

    wr_u32(w, sender);
    wr_u32(w, media);
    return at;
}

void rtcp_write_nack(struct wr *w, uint32_t sender, uint32_t media, const uint16_t *seq, unsigned n)
{
    assert(n > 0 && n <= RTCP_NACK_WRITE_MAX);
    size_t at = begin_fb(w, RTCP_RTPFB, RTCP_RTPFB_NACK, sender, media);

    for (unsigned i = 0; i < n;) {
        uint16_t pid = seq[i++], blp = 0;
        for (; i < n && (uint16_t)(seq[i] - pid) <= 16; i++) {
            if (seq[i] != pid)
                blp |= (uint16_t)(1u << (uint16_t)(seq[i] - pid - 1));
        }
        wr_u16(w, pid);
        wr_u16(w, blp);
    }
    finish(w, at);
}

void rtcp_write_pli(struct wr *w, uint32_t sender, uint32_t media)
{
    finish(w, begin_fb(w, RTCP_PSFB, RTCP_PSFB_PLI, sender, media));
}

void rtcp_write_fir(struct wr *w, uint32_t sender, const struct rtcp_fir *fir, unsigned n)
{
    assert(n > 0 && n <= RTCP_FIR_MAX);
    /* RFC 5104 s4.3.1.2: the media source is zero, the entries name it. */
    size_t at = begin_fb(w, RTCP_PSFB, RTCP_PSFB_FIR, sender, 0);

    for (unsigned i = 0; i < n; i++) {
        wr_u32(w, fir[i].ssrc);
        wr_u8(w, fir[i].seq);
        wr_zero(w, 3);
    }
    finish(w, at);
}

void rtcp_write_remb(struct wr *w, const struct rtcp_remb *remb)
{
    assert(remb->ssrc_n <= RTCP_REMB_SSRCS_MAX);
    size_t at = begin_fb(w, RTCP_PSFB, RTCP_PSFB_AFB, remb->sender, 0);
    uint64_t mantissa = remb->rate_bps;
    unsigned exp = 0;

    for (; mantissa > 0x3ffff; mantissa >>= 1)
        exp++;
    wr_u32(w, REMB_ID);
    wr_u8(w, (uint8_t)remb->ssrc_n);
    wr_u24(w, (exp << 18) | (uint32_t)mantissa);
    for (unsigned i = 0; i < remb->ssrc_n; i++)
        wr_u32(w, remb->ssrc[i]);
    finish(w, at);
}

uint64_t rtcp_ntp_of_unix(int64_t unix_us)
{
    uint64_t us = (uint64_t)unix_us, sec = us / 1000000, frac = us % 1000000;

    assert(unix_us >= 0);
    /* Rounded up, so that the way back through rtcp_unix_of_ntp is exact. */
    return ((sec + ntp_unix_seconds) << 32) + ((frac << 32) + 999999) / 1000000;
}

int64_t rtcp_unix_of_ntp(uint64_t ntp)
{
    int64_t sec = (int64_t)(ntp >> 32) - (int64_t)ntp_unix_seconds;

    return sec * 1000000 + (int64_t)(((ntp & 0xffffffff) * 1000000) >> 32);
}

us_t rtcp_round_trip(uint64_t ntp_now, const struct rtcp_report *r)
{
    uint32_t rtt = rtcp_ntp_mid(ntp_now) - r->lsr - r->dlsr;

    if (r->lsr == 0 || rtt >= 0x80000000u)
        return -1;
    return (us_t)(((uint64_t)rtt * 1000000) >> 16);
}
