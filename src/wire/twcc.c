#include "wire/twcc.h"

#include "base/err.h"

/* s3.1.1 packet status symbols */
enum {
    NOT_RECEIVED = 0,
    SMALL_DELTA = 1,
    LARGE_DELTA = 2,
    RESERVED = 3,
};

enum {
    RUN_MAX = 0x1fff,
    VECTOR_1BIT_N = 14,
    VECTOR_2BIT_N = 7,
    CHUNK_VECTOR = 0x8000,
    CHUNK_2BIT = 0x4000,
};

/* Symbols and deltas of packets until one cannot be said; returns how many can. */
static unsigned measure(const us_t *arrival_at, unsigned n, us_t ref_at, uint8_t *symbol,
                        int16_t *delta)
{
    int64_t said = 0; /* ticks since the reference: rounding never adds up */

    for (unsigned i = 0; i < n; i++) {
        symbol[i] = NOT_RECEIVED;
        if (arrival_at[i] == TWCC_LOST)
            continue;
        int64_t d = arrival_at[i] / TWCC_TICK_US - ref_at / TWCC_TICK_US - said;
        if (d < INT16_MIN || d > INT16_MAX)
            return i;
        said += d;
        delta[i] = (int16_t)d;
        symbol[i] = d >= 0 && d <= 255 ? SMALL_DELTA : LARGE_DELTA;
    }
    return n;
}

static unsigned run_of(const uint8_t *symbol, unsigned n)
{
    unsigned run = 1;

    while (run < n && run < RUN_MAX && symbol[run] == symbol[0])
        run++;
    return run;
}

/* Do the next symbols need only one bit each? */
static bool narrow(const uint8_t *symbol, unsigned n)
{
    for (unsigned i = 0; i < n && i < VECTOR_1BIT_N; i++) {
        if (symbol[i] == LARGE_DELTA)
            return false;
    }
    return true;
}

/* One chunk; returns how many symbols it says. */
static unsigned write_chunk(struct wr *w, const uint8_t *symbol, unsigned n)
{
    unsigned run = run_of(symbol, n);
    bool one_bit = narrow(symbol, n);
    unsigned fits = one_bit ? VECTOR_1BIT_N : VECTOR_2BIT_N, chunk;

    if (run > fits || run == n) {
        wr_u16(w, (uint16_t)((symbol[0] << 13) | run));
        return run;
    }
    chunk = one_bit ? CHUNK_VECTOR : CHUNK_VECTOR | CHUNK_2BIT;
    if (fits > n)
        fits = n;
    for (unsigned i = 0; i < fits; i++)
        chunk |= (unsigned)symbol[i] << (one_bit ? 13 - i : 12 - 2 * i);
    wr_u16(w, (uint16_t)chunk);
    return fits;
}

unsigned twcc_write(struct wr *w, const struct rtcp_fb *from, uint8_t fb_count, uint16_t first_seq,
                    const us_t *arrival_at, unsigned n)
{
    uint8_t symbol[TWCC_WRITE_MAX];
    int16_t delta[TWCC_WRITE_MAX];
    size_t at = wr_len(w);
    us_t ref = 0;

    assert(n > 0);
    n = u32_min(n, TWCC_WRITE_MAX);
    for (unsigned i = 0; i < n; i++) {
        assert(arrival_at[i] >= 0 || arrival_at[i] == TWCC_LOST);
        if (arrival_at[i] != TWCC_LOST) {
            ref = arrival_at[i] / TWCC_REF_US;
            break;
        }
    }
    n = measure(arrival_at, n, ref * TWCC_REF_US, symbol, delta);
    assert(n > 0); /* the first arrival is less than a reference unit after the reference */

    wr_u8(w, 0x80 | RTCP_RTPFB_TWCC);
    wr_u8(w, RTCP_RTPFB);
    wr_u16(w, 0);
    wr_u32(w, from->sender);
    wr_u32(w, from->media);
    wr_u16(w, first_seq);
    wr_u16(w, (uint16_t)n);
    wr_u24(w, (uint32_t)ref & 0xffffff);
    wr_u8(w, fb_count);
    for (unsigned i = 0; i < n;)
        i += write_chunk(w, symbol + i, n - i);
    for (unsigned i = 0; i < n; i++) {
        if (symbol[i] == SMALL_DELTA)
            wr_u8(w, (uint8_t)delta[i]);
        else if (symbol[i] == LARGE_DELTA)
            wr_u16(w, (uint16_t)delta[i]);
    }
    uint8_t pad = (uint8_t)((4 - (wr_len(w) - at) % 4) % 4);
    wr_zero(w, pad);
    if (wr_ok(w)) {
        if (pad > 0) { /* as browsers do: the padding bit, and its count in the last byte */
            w->start[at] |= 0x20;
            w->p[-1] = pad;
        }
        store_u16(w->start + at + 2, (uint16_t)((wr_len(w) - at) / 4 - 1));
    }
    return n;
}

/* How many symbols a chunk says. */
static unsigned chunk_n(uint16_t chunk)
{
    if ((chunk & CHUNK_VECTOR) == 0)
        return chunk & RUN_MAX;
    return chunk & CHUNK_2BIT ? VECTOR_2BIT_N : VECTOR_1BIT_N;
}

/* Symbol number i of a chunk. */
static unsigned chunk_symbol(uint16_t chunk, unsigned i)
{
    if ((chunk & CHUNK_VECTOR) == 0)
        return (chunk >> 13) & 3;
    if (chunk & CHUNK_2BIT)
        return (chunk >> (12 - 2 * i)) & 3;
    return (chunk >> (13 - i)) & 1;
}

/* Bytes of the deltas of the first `n` symbols of a chunk; -1 when one is reserved. */
static int chunk_delta_bytes(uint16_t chunk, unsigned n)
{
    int sum = 0;

    if ((chunk & CHUNK_VECTOR) == 0) {
        unsigned s = chunk_symbol(chunk, 0);
        return s == RESERVED ? -1 : (int)(s * n);
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned s = chunk_symbol(chunk, i);
        if (s == RESERVED)
            return -1;
        sum += (int)s;
    }
    return sum;
}

int twcc_parse(struct twcc_iter *out, const struct rtcp_fb *fb)
{
    struct rd r = rd_of(fb->fci);
    struct twcc_iter it = {.seq = rd_u16(&r)};
    size_t delta_bytes = 0;

    it.left = rd_u16(&r);
    uint32_t ref = rd_u24(&r);
    it.fb_count = rd_u8(&r);
    it.at = (us_t)ref * TWCC_REF_US;
    it.chunks = r;
    for (uint32_t left = it.left; left > 0 && rd_ok(&r);) {
        uint16_t chunk = rd_u16(&r);
        unsigned n = chunk_n(chunk);
        if (n > left)
            n = left;
        int bytes = chunk_delta_bytes(chunk, n);
        if (rd_ok(&r) && (n == 0 || bytes < 0))
            return E_MALFORMED; /* an empty run would let two bytes stand for nothing */
        delta_bytes += (size_t)bytes;
        left -= n;
    }
    it.chunks.end = r.p;
    it.deltas = rd_of(rd_bytes(&r, delta_bytes));
    if (!rd_ok(&r))
        return E_TRUNCATED;
    *out = it;
    return 0;
}

bool twcc_next(struct twcc_iter *it, struct twcc_status *out)
{
    if (it->left == 0)
        return false;
    if (it->chunk_left == 0) {
        it->chunk = rd_u16(&it->chunks);
        it->chunk_left = (uint16_t)chunk_n(it->chunk);
    }
    unsigned symbol = chunk_symbol(it->chunk, chunk_n(it->chunk) - it->chunk_left);

    if (symbol == SMALL_DELTA)
        it->at += (us_t)rd_u8(&it->deltas) * TWCC_TICK_US;
    else if (symbol == LARGE_DELTA)
        it->at += (us_t)(int16_t)rd_u16(&it->deltas) * TWCC_TICK_US;
    assert(rd_ok(&it->chunks) && rd_ok(&it->deltas)); /* twcc_parse() has measured them */
    *out = (struct twcc_status){
        .seq = it->seq++,
        .received = symbol != NOT_RECEIVED,
        .at = it->at,
    };
    it->chunk_left--;
    it->left--;
    return true;
}
