#include "crypt/srtp.h"

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "crypt/crypt.h"

enum {
    RTP_HEADER_BYTES = 12,
    RTCP_HEADER_BYTES = 8,
    RTCP_WORD_BYTES = 4, /* E flag and index */
    CM_TAG_BYTES = 10,
    SRC_FIRST = 4, /* SSRCs of the first allocation: audio and three layers */
};

#define RTCP_ENCRYPTED 0x80000000u /* E flag, RFC 3711 s3.4 */

/* Bit 0 is the highest index seen. */
struct window {
    uint64_t lo, hi;
};

struct srtp_src {
    uint32_t ssrc;
    uint32_t used_at; /* rx->clock of its last packet */
    uint64_t rtp_top; /* highest 48-bit index opened; meaningful when rtp_any */
    struct window rtp_seen;
    struct window rtcp_seen;
    uint32_t rtcp_top; /* likewise; meaningful when rtcp_any */
    bool rtp_any, rtcp_any;
};

static_assert(sizeof(struct srtp_src) <= 64, "small: there may be SRTP_SSRC_MAX of them");
static_assert(SRTP_WINDOW == 128, "struct window has 128 bits");

size_t srtp_key_bytes(enum srtp_profile profile)
{
    switch (profile) {
    case SRTP_PROFILE_CM_SHA1_80:
    case SRTP_PROFILE_GCM_128:
        return 16;
    case SRTP_PROFILE_GCM_256:
        return 32;
    case SRTP_PROFILE_NONE:
        break;
    }
    return 0;
}

size_t srtp_salt_bytes(enum srtp_profile profile)
{
    if (srtp_key_bytes(profile) == 0)
        return 0;
    return profile == SRTP_PROFILE_CM_SHA1_80 ? 14 : 12;
}

const char *srtp_profile_text(enum srtp_profile profile)
{
    switch (profile) {
    case SRTP_PROFILE_CM_SHA1_80:
        return "SRTP_AES128_CM_SHA1_80";
    case SRTP_PROFILE_GCM_128:
        return "SRTP_AEAD_AES_128_GCM";
    case SRTP_PROFILE_GCM_256:
        return "SRTP_AEAD_AES_256_GCM";
    case SRTP_PROFILE_NONE:
        break;
    }
    return "none";
}

static size_t tag_bytes(enum srtp_profile profile)
{
    return profile == SRTP_PROFILE_CM_SHA1_80 ? CM_TAG_BYTES : SEAL_TAG_BYTES;
}

/* RFC 3711 s4.3.1 and s4.3.3: counter mode over (label || 0) ^ salt, shifted by 16 bits.
 * RFC 7714 s11 pads the shorter salt with zeros on the right. */
static int derive_one(enum srtp_profile profile, const struct srtp_master *m, uint8_t label,
                      uint8_t *out, size_t len)
{
    uint8_t iv[SEAL_CM_IV_BYTES] = {0};

    memcpy(iv, m->salt, srtp_salt_bytes(profile));
    iv[7] ^= label;
    return seal_keystream(bytes_of(m->key, srtp_key_bytes(profile)), iv, out, len);
}

int srtp_derive(enum srtp_profile profile, const struct srtp_master *m, struct srtp_session *out)
{
    size_t key = srtp_key_bytes(profile), salt = srtp_salt_bytes(profile);

    memset(out, 0, sizeof *out);
    if (key == 0)
        return E_UNSUPPORTED;
    if (derive_one(profile, m, 0, out->rtp.key, key) ||
        derive_one(profile, m, 1, out->rtp.auth, SEAL_AUTH_BYTES) ||
        derive_one(profile, m, 2, out->rtp.salt, salt) ||
        derive_one(profile, m, 3, out->rtcp.key, key) ||
        derive_one(profile, m, 4, out->rtcp.auth, SEAL_AUTH_BYTES) ||
        derive_one(profile, m, 5, out->rtcp.salt, salt))
        return E_LIBRARY;
    return 0;
}

static enum seal_alg alg_of(enum srtp_profile profile)
{
    switch (profile) {
    case SRTP_PROFILE_CM_SHA1_80:
        return SEAL_AES_128_CM;
    case SRTP_PROFILE_GCM_256:
        return SEAL_AES_256_GCM;
    case SRTP_PROFILE_GCM_128:
    case SRTP_PROFILE_NONE:
        break;
    }
    return SEAL_AES_128_GCM;
}

/* The key of reports is used a few times a second; that of media seldom or often: srtp_open_rtp()
 * sees which, as most peers only receive. */
static int halves_init(struct srtp_half *rtp, struct srtp_half *rtcp,
                       const struct seal_engine *engine, enum srtp_profile profile,
                       const struct srtp_session *s)
{
    enum seal_alg alg = alg_of(profile);

    if (srtp_key_bytes(profile) == 0)
        return E_UNSUPPORTED;
    memcpy(rtp->salt, s->rtp.salt, sizeof rtp->salt);
    memcpy(rtcp->salt, s->rtcp.salt, sizeof rtcp->salt);
    int err = seal_key_init_seldom(&rtp->key, engine, alg, s->rtp.key, s->rtp.auth);
    if (err)
        return err;
    return seal_key_init_seldom(&rtcp->key, engine, alg, s->rtcp.key, s->rtcp.auth);
}

static void halves_fini(struct srtp_half *rtp, struct srtp_half *rtcp)
{
    seal_key_fini(&rtp->key);
    seal_key_fini(&rtcp->key);
    mem_wipe(rtp->salt, sizeof rtp->salt);
    mem_wipe(rtcp->salt, sizeof rtcp->salt);
}

int srtp_tx_init_session(struct srtp_tx *tx, const struct seal_engine *engine,
                         enum srtp_profile profile, const struct srtp_session *session)
{
    *tx = (struct srtp_tx){.profile = profile};
    int err = halves_init(&tx->rtp, &tx->rtcp, engine, profile, session);
    if (err == 0)
        seal_key_promote(&tx->rtp.key);
    return err;
}

int srtp_tx_init(struct srtp_tx *tx, const struct seal_engine *engine, enum srtp_profile profile,
                 const struct srtp_master *master)
{
    struct srtp_session s;

    *tx = (struct srtp_tx){0};
    int err = srtp_derive(profile, master, &s);
    if (err == 0)
        err = srtp_tx_init_session(tx, engine, profile, &s);
    mem_wipe(&s, sizeof s);
    return err;
}

void srtp_tx_fini(struct srtp_tx *tx)
{
    halves_fini(&tx->rtp, &tx->rtcp);
}

/* RFC 7714 s8.1 and s9.1: 0 || SSRC || 48-bit index, ^ salt.  An SRTCP index is the low 31
 * bits of those 48.  In two words, because the cipher reads it right after. */
static inline void gcm_iv(uint8_t iv[SEAL_IV_BYTES], const uint8_t *salt, uint32_t ssrc,
                          uint64_t index)
{
    store_u64(iv, load_u64(salt) ^ ((uint64_t)ssrc << 16 | (index >> 32 & 0xffff)));
    store_u32(iv + 8, load_u32(salt + 8) ^ (uint32_t)index);
}

/* RFC 3711 s4.1.1: (salt << 16) ^ (SSRC << 64) ^ (index << 16). */
static inline void cm_iv(uint8_t iv[SEAL_CM_IV_BYTES], const uint8_t *salt, uint32_t ssrc,
                         uint64_t index)
{
    uint8_t mask[10];

    memcpy(iv, salt, SRTP_SALT_BYTES_MAX);
    store_u16(iv + 14, 0);
    store_u32(mask, ssrc);
    store_u16(mask + 4, (uint16_t)(index >> 32));
    store_u32(mask + 6, (uint32_t)index);
    for (int i = 0; i < 10; i++)
        iv[4 + i] ^= mask[i];
}

int srtp_seal_rtp(const struct srtp_tx *tx, struct bytes hdr, struct bytes payload, uint32_t roc,
                  uint8_t *out)
{
    assert(hdr.len >= RTP_HEADER_BYTES);
    if (hdr.p != out)
        memcpy(out, hdr.p, hdr.len);
    uint32_t ssrc = load_u32(out + 8);
    uint64_t index = (uint64_t)roc << 16 | load_u16(out + 2);
    uint8_t iv[SEAL_CM_IV_BYTES], full[SEAL_AUTH_BYTES], tail[4];
    size_t plain = hdr.len + payload.len;

    if (tx->profile != SRTP_PROFILE_CM_SHA1_80) {
        gcm_iv(iv, tx->rtp.salt, ssrc, index);
        int err = seal_gcm(&tx->rtp.key, iv, bytes_of(out, hdr.len), payload, out + hdr.len);
        return err ? err : (int)(plain + SEAL_TAG_BYTES);
    }
    cm_iv(iv, tx->rtp.salt, ssrc, index);
    int err = seal_cm(&tx->rtp.key, iv, payload, out + hdr.len);
    if (err)
        return err;
    store_u32(tail, roc);
    seal_cm_auth(&tx->rtp.key, bytes_of(out, plain), bytes_of(tail, 4), full);
    memcpy(out + plain, full, CM_TAG_BYTES);
    return (int)(plain + CM_TAG_BYTES);
}

int srtp_seal_rtcp(struct srtp_tx *tx, struct bytes pkt, uint8_t *out)
{
    uint8_t iv[SEAL_CM_IV_BYTES], aad[RTCP_HEADER_BYTES + RTCP_WORD_BYTES], full[SEAL_AUTH_BYTES];
    uint32_t index = tx->rtcp_next, word = index | RTCP_ENCRYPTED;

    if (pkt.len < RTCP_HEADER_BYTES)
        return E_TRUNCATED;
    if (index == RTCP_ENCRYPTED)
        return E_LIMIT;
    tx->rtcp_next++; /* spent, even when sealing fails below */
    uint32_t ssrc = load_u32(pkt.p + 4);
    struct bytes body = bytes_of(pkt.p + RTCP_HEADER_BYTES, pkt.len - RTCP_HEADER_BYTES);
    if (out != pkt.p)
        memcpy(out, pkt.p, RTCP_HEADER_BYTES);
    if (tx->profile != SRTP_PROFILE_CM_SHA1_80) {
        gcm_iv(iv, tx->rtcp.salt, ssrc, index);
        memcpy(aad, out, RTCP_HEADER_BYTES); /* RFC 7714 s9.2: header, then the index word */
        store_u32(aad + RTCP_HEADER_BYTES, word);
        int err =
            seal_gcm(&tx->rtcp.key, iv, bytes_of(aad, sizeof aad), body, out + RTCP_HEADER_BYTES);
        store_u32(out + pkt.len + SEAL_TAG_BYTES, word);
        return err ? err : (int)(pkt.len + SEAL_TAG_BYTES + RTCP_WORD_BYTES);
    }
    cm_iv(iv, tx->rtcp.salt, ssrc, index);
    int err = seal_cm(&tx->rtcp.key, iv, body, out + RTCP_HEADER_BYTES);
    if (err)
        return err;
    store_u32(out + pkt.len, word);
    seal_cm_auth(&tx->rtcp.key, bytes_of(out, pkt.len + RTCP_WORD_BYTES), bytes_of(NULL, 0), full);
    memcpy(out + pkt.len + RTCP_WORD_BYTES, full, CM_TAG_BYTES);
    return (int)(pkt.len + RTCP_WORD_BYTES + CM_TAG_BYTES);
}

int srtp_rx_init_session(struct srtp_rx *rx, const struct seal_engine *engine,
                         enum srtp_profile profile, const struct srtp_session *session)
{
    *rx = (struct srtp_rx){.profile = profile};
    return halves_init(&rx->rtp, &rx->rtcp, engine, profile, session);
}

int srtp_rx_init(struct srtp_rx *rx, const struct seal_engine *engine, enum srtp_profile profile,
                 const struct srtp_master *master)
{
    struct srtp_session s;

    *rx = (struct srtp_rx){0};
    int err = srtp_derive(profile, master, &s);
    if (err == 0)
        err = srtp_rx_init_session(rx, engine, profile, &s);
    mem_wipe(&s, sizeof s);
    return err;
}

void srtp_rx_fini(struct srtp_rx *rx)
{
    halves_fini(&rx->rtp, &rx->rtcp);
    mem_free(rx->src);
    rx->src = NULL;
    rx->src_n = rx->src_cap = 0;
}

/* Packets come in runs of one SSRC, so the last place is tried first; the scan
 * behind it reads one cache line an SSRC. */
static struct srtp_src *src_find(struct srtp_rx *rx, uint32_t ssrc)
{
    if (rx->last < rx->src_n && rx->src[rx->last].ssrc == ssrc)
        return &rx->src[rx->last];
    for (uint32_t i = 0; i < rx->src_n; i++) {
        if (rx->src[i].ssrc == ssrc) {
            rx->last = i;
            return &rx->src[i];
        }
    }
    return NULL;
}

static bool src_grow(struct srtp_rx *rx)
{
    uint32_t cap = rx->src_cap == 0 ? SRC_FIRST : u32_min(2 * rx->src_cap, SRTP_SSRC_MAX);

    if (rx->src_cap == SRTP_SSRC_MAX)
        return false;
    struct srtp_src *src = mem_resize(rx->src, cap * sizeof *src);
    if (src == NULL)
        return false;
    rx->src = src;
    rx->src_cap = cap;
    return true;
}

/* A place for an SSRC that has just authenticated; NULL only without any memory at all. */
static struct srtp_src *src_add(struct srtp_rx *rx, uint32_t ssrc)
{
    uint32_t at = rx->src_n;

    if (rx->src_n == rx->src_cap && !src_grow(rx)) {
        if (rx->src_n == 0)
            return NULL;
        at = 0;
        for (uint32_t i = 1; i < rx->src_n; i++) {
            if (rx->clock - rx->src[i].used_at > rx->clock - rx->src[at].used_at)
                at = i;
        }
        rx->evicted_n++;
    } else {
        rx->src_n++;
    }
    rx->src[at] = (struct srtp_src){.ssrc = ssrc};
    rx->last = at;
    return &rx->src[at];
}

static bool window_has(const struct window *w, uint64_t top, uint64_t index)
{
    uint64_t behind = top - index;

    if (index > top)
        return false;
    if (behind >= SRTP_WINDOW)
        return true; /* older than we remember: RFC 3711 s3.3.2 says discard */
    return ((behind < 64 ? w->lo >> behind : w->hi >> (behind - 64)) & 1) != 0;
}

static void window_add(struct window *w, uint64_t *top, uint64_t index)
{
    if (index <= *top) {
        uint64_t behind = *top - index;
        if (behind < 64)
            w->lo |= 1ull << behind;
        else
            w->hi |= 1ull << (behind - 64);
        return;
    }
    uint64_t by = index - *top;
    if (by >= SRTP_WINDOW) {
        *w = (struct window){0};
    } else if (by >= 64) {
        w->hi = w->lo << (by - 64);
        w->lo = 0;
    } else {
        w->hi = w->hi << by | w->lo >> (64 - by);
        w->lo <<= by;
    }
    w->lo |= 1;
    *top = index;
}

/* RFC 3711 s3.3.1 and appendix A.  False: the packet would be older than the first. */
static bool guess_index(uint64_t top, uint16_t seq, uint64_t *index)
{
    uint16_t newest = (uint16_t)top;
    uint64_t roc = top >> 16;

    if (newest < 0x8000 && seq > newest + 0x8000) {
        if (roc == 0)
            return false;
        roc--;
    } else if (newest >= 0x8000 && newest - 0x8000 > seq) {
        roc++;
    }
    *index = (roc << 16 | seq) & 0xffffffffffff;
    return true;
}

static int unseal_rtp(const struct srtp_rx *rx, uint8_t *pkt, size_t hdr, size_t len,
                      uint64_t index)
{
    uint32_t ssrc = load_u32(pkt + 8);
    uint8_t iv[SEAL_CM_IV_BYTES], full[SEAL_AUTH_BYTES], roc[4];
    size_t plain = len - CM_TAG_BYTES;

    if (rx->profile != SRTP_PROFILE_CM_SHA1_80) {
        gcm_iv(iv, rx->rtp.salt, ssrc, index);
        return seal_gcm_open(&rx->rtp.key, iv, bytes_of(pkt, hdr), bytes_of(pkt + hdr, len - hdr),
                             pkt + hdr);
    }
    store_u32(roc, (uint32_t)(index >> 16));
    seal_cm_auth(&rx->rtp.key, bytes_of(pkt, plain), bytes_of(roc, 4), full);
    if (!crypt_equal(full, pkt + plain, CM_TAG_BYTES))
        return E_AUTH;
    cm_iv(iv, rx->rtp.salt, ssrc, index);
    return seal_cm(&rx->rtp.key, iv, bytes_of(pkt + hdr, plain - hdr), pkt + hdr);
}

/* A failed GCM opening has run the key stream over the packet; running it again gives
 * the ciphertext back. */
static int respoil_rtp(const struct srtp_rx *rx, uint8_t *pkt, size_t hdr, size_t len,
                       uint64_t index)
{
    uint8_t iv[SEAL_IV_BYTES], tag[SEAL_TAG_BYTES];
    size_t plain = len - SEAL_TAG_BYTES;

    if (rx->profile == SRTP_PROFILE_CM_SHA1_80)
        return 0; /* authenticates before it touches anything */
    memcpy(tag, pkt + plain, sizeof tag);
    gcm_iv(iv, rx->rtp.salt, load_u32(pkt + 8), index);
    int err =
        seal_gcm(&rx->rtp.key, iv, bytes_of(pkt, hdr), bytes_of(pkt + hdr, plain - hdr), pkt + hdr);
    memcpy(pkt + plain, tag, sizeof tag);
    return err;
}

/* Fixed header, CSRCs and extension (RFC 3550 s5.1, s5.3.1); 0 when they do not fit. */
static size_t rtp_header_len(const uint8_t *pkt, size_t len)
{
    if (len < RTP_HEADER_BYTES || pkt[0] >> 6 != 2)
        return 0;
    size_t hdr = RTP_HEADER_BYTES + 4 * (size_t)(pkt[0] & 15);
    if ((pkt[0] & 0x10) == 0)
        return hdr <= len ? hdr : 0;
    if (hdr + 4 > len)
        return 0;
    hdr += 4 + 4 * (size_t)load_u16(pkt + hdr + 2);
    return hdr <= len ? hdr : 0;
}

int srtp_open_rtp(struct srtp_rx *rx, uint8_t *pkt, size_t *len, uint64_t *index_out)
{
    size_t tag = tag_bytes(rx->profile), hdr = rtp_header_len(pkt, *len);

    if (hdr == 0 || *len < hdr + tag || *len > SEAL_LEN_MAX)
        return E_TRUNCATED;
    uint16_t seq = load_u16(pkt + 2);
    uint64_t index = seq;
    struct srtp_src *src = src_find(rx, load_u32(pkt + 8));
    bool known = src != NULL && src->rtp_any;

    if (known && (!guess_index(src->rtp_top, seq, &index) ||
                  window_has(&src->rtp_seen, src->rtp_top, index)))
        return E_REPLAY;
    int err = unseal_rtp(rx, pkt, hdr, *len, index);
    if (err == E_AUTH && !known && seq < 0x8000) {
        /* The sender may have begun near 65535 and we missed what came before the
         * roll-over: the one case in which a first packet has a count of 1. */
        err = respoil_rtp(rx, pkt, hdr, *len, index);
        index |= 1u << 16;
        if (err == 0)
            err = unseal_rtp(rx, pkt, hdr, *len, index);
    }
    if (err)
        return err;
    if (src == NULL)
        src = src_add(rx, load_u32(pkt + 8));
    if (src == NULL)
        return E_NOMEM;
    if (!src->rtp_any) {
        src->rtp_any = true;
        src->rtp_top = index;
        seal_key_promote(&rx->rtp.key);
    }
    src->used_at = ++rx->clock;
    window_add(&src->rtp_seen, &src->rtp_top, index);
    *len -= tag;
    if (index_out != NULL)
        *index_out = index;
    return 0;
}

static int unseal_rtcp(const struct srtp_rx *rx, uint8_t *pkt, size_t len, uint32_t word)
{
    uint8_t iv[SEAL_CM_IV_BYTES], aad[RTCP_HEADER_BYTES + RTCP_WORD_BYTES], full[SEAL_AUTH_BYTES];
    uint8_t *body = pkt + RTCP_HEADER_BYTES;
    uint32_t ssrc = load_u32(pkt + 4), index = word & ~RTCP_ENCRYPTED;

    if (rx->profile != SRTP_PROFILE_CM_SHA1_80) {
        gcm_iv(iv, rx->rtcp.salt, ssrc, index);
        memcpy(aad, pkt, RTCP_HEADER_BYTES);
        store_u32(aad + RTCP_HEADER_BYTES, word);
        return seal_gcm_open(&rx->rtcp.key, iv, bytes_of(aad, sizeof aad),
                             bytes_of(body, len - RTCP_HEADER_BYTES - RTCP_WORD_BYTES), body);
    }
    size_t signed_len = len - CM_TAG_BYTES;
    seal_cm_auth(&rx->rtcp.key, bytes_of(pkt, signed_len), bytes_of(NULL, 0), full);
    if (!crypt_equal(full, pkt + signed_len, CM_TAG_BYTES))
        return E_AUTH;
    cm_iv(iv, rx->rtcp.salt, ssrc, index);
    return seal_cm(&rx->rtcp.key, iv,
                   bytes_of(body, signed_len - RTCP_HEADER_BYTES - RTCP_WORD_BYTES), body);
}

int srtp_open_rtcp(struct srtp_rx *rx, uint8_t *pkt, size_t *len)
{
    bool cm = rx->profile == SRTP_PROFILE_CM_SHA1_80;
    size_t over = tag_bytes(rx->profile) + RTCP_WORD_BYTES;

    if (*len < RTCP_HEADER_BYTES + over || *len > SEAL_LEN_MAX || pkt[0] >> 6 != 2)
        return E_TRUNCATED;
    /* RFC 3711 s3.4 puts the tag last, RFC 7714 s9.1 the index word. */
    uint32_t word = load_u32(pkt + *len - (cm ? over : RTCP_WORD_BYTES));
    if ((word & RTCP_ENCRYPTED) == 0)
        return E_AUTH; /* never agreed to */
    uint32_t index = word & ~RTCP_ENCRYPTED;
    struct srtp_src *src = src_find(rx, load_u32(pkt + 4));

    if (src != NULL && src->rtcp_any && window_has(&src->rtcp_seen, src->rtcp_top, index))
        return E_REPLAY;
    int err = unseal_rtcp(rx, pkt, *len, word);
    if (err)
        return err;
    if (src == NULL)
        src = src_add(rx, load_u32(pkt + 4));
    if (src == NULL)
        return E_NOMEM;
    uint64_t top = src->rtcp_any ? src->rtcp_top : index;
    window_add(&src->rtcp_seen, &top, index);
    src->rtcp_any = true;
    src->rtcp_top = (uint32_t)top;
    src->used_at = ++rx->clock;
    *len -= over;
    return 0;
}
