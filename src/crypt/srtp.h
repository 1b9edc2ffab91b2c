/* crypt/srtp.h - SRTP and SRTCP, one struct per direction.  (RFC 3711, RFC 7714)
 *
 * struct srtp_tx seals what one transport sends.  The caller knows the roll-over
 * count of what it sends (it numbers the packets), so sealing looks nothing up:
 * but it must never seal two packets with the same SSRC, sequence number and
 * roll-over count.  SRTCP indices are counted here, one row for all SSRCs.
 *
 * struct srtp_rx opens what one transport receives, in place.  It keeps for each SSRC
 * the highest index and a window of the last SRTP_WINDOW packets.  State for an SSRC
 * begins with its first packet that authenticates, so a stranger cannot fill the
 * table; when it is full the SSRC unused for longest is forgotten.  A packet that does
 * not authenticate changes nothing (its bytes are spoilt).
 *
 * Refuses: MKI, other profiles, unencrypted SRTCP, header extension encryption
 * (RFC 6904).  One thread at a time; allocates in init and when a new SSRC
 * authenticates, never else.  Keys are wiped by fini.
 */
#ifndef CRYPT_SRTP_H
#define CRYPT_SRTP_H

#include "base/base.h"
#include "crypt/seal.h"

enum {
    SRTP_WINDOW =
        128, /* packets behind the newest that are still accepted; RFC 3711 s3.3.2 asks for 64 */
    SRTP_SSRC_MAX = 512, /* per transport and direction; 64 bytes each, grown on demand */
    SRTP_KEY_BYTES_MAX = 32,
    SRTP_SALT_BYTES_MAX = 14,
    SRTP_RTP_OVERHEAD = 16,  /* at most, by the profile: 10 or 16 */
    SRTP_RTCP_OVERHEAD = 20, /* at most: tag and index word */
};

/* The values of use_srtp on the wire (RFC 5764 s4.1.2, RFC 7714 s14.2). */
enum srtp_profile {
    SRTP_PROFILE_NONE = 0,
    SRTP_PROFILE_CM_SHA1_80 = 0x0001,
    SRTP_PROFILE_GCM_128 = 0x0007,
    SRTP_PROFILE_GCM_256 = 0x0008,
};

/* A master key and salt as the handshake exports them. */
struct srtp_master {
    uint8_t key[SRTP_KEY_BYTES_MAX];
    uint8_t salt[SRTP_SALT_BYTES_MAX];
};

/* What key derivation makes of it; for RFC 7714's vectors, which start here. */
struct srtp_session {
    struct {
        uint8_t key[SRTP_KEY_BYTES_MAX];
        uint8_t salt[SRTP_SALT_BYTES_MAX];
        uint8_t auth[SEAL_AUTH_BYTES];
    } rtp, rtcp;
};

struct srtp_half { /* what RTP and RTCP each need */
    struct seal_key key;
    uint8_t salt[SRTP_SALT_BYTES_MAX]; /* 12 bytes used with GCM */
};

struct srtp_tx {
    enum srtp_profile profile;
    struct srtp_half rtp, rtcp;
    uint32_t rtcp_next; /* SRTCP index of the next packet; 31 bits, never wraps */
};

struct srtp_src; /* one SSRC's indices and windows */

struct srtp_rx {
    enum srtp_profile profile;
    struct srtp_half rtp, rtcp;
    struct srtp_src *src;          /* [cap], the first src_n in use */
    uint32_t src_n, src_cap, last; /* last: where the previous packet's was found */
    uint32_t clock;                /* counts opened packets, for "unused for longest" */
    uint32_t evicted_n;            /* SSRCs forgotten because the table was full */
};

/* Bytes of key and salt; 0 for a profile we do not speak. */
size_t srtp_key_bytes(enum srtp_profile profile);
size_t srtp_salt_bytes(enum srtp_profile profile);
/* "SRTP_AEAD_AES_128_GCM" and so on. */
const char *srtp_profile_text(enum srtp_profile profile);

/* RFC 3711 s4.3 with a key derivation rate of zero. */
MUST_CHECK int srtp_derive(enum srtp_profile profile, const struct srtp_master *master,
                           struct srtp_session *out);

/* E_UNSUPPORTED, E_NOMEM, E_LIBRARY; may be passed to fini either way.  engine may be
 * NULL and must outlive tx. */
MUST_CHECK int srtp_tx_init(struct srtp_tx *tx, const struct seal_engine *engine,
                            enum srtp_profile profile, const struct srtp_master *master);
MUST_CHECK int srtp_tx_init_session(struct srtp_tx *tx, const struct seal_engine *engine,
                                    enum srtp_profile profile, const struct srtp_session *session);
/* Accepts zeroed and half-built structs. */
void srtp_tx_fini(struct srtp_tx *tx);

/* Seal one RTP packet out of place.  hdr is everything that stays readable (fixed
 * header, CSRCs, extension) and may already stand at out; payload is shared and only
 * read.  out has room for hdr.len + payload.len + SRTP_RTP_OVERHEAD.  Returns the
 * length written, or E_LIBRARY.
 *
 * Hot: once per packet and subscriber; no allocation, no look-up. */
MUST_CHECK int srtp_seal_rtp(const struct srtp_tx *tx, struct bytes hdr, struct bytes payload,
                             uint32_t roc, uint8_t *out);

/* Seal one compound RTCP packet (at least 8 bytes) out of place; out has room for
 * pkt.len + SRTP_RTCP_OVERHEAD and may be pkt.p itself.  Returns the length, E_TRUNCATED, or
 * E_LIMIT when all 2^31 indices are spent. */
MUST_CHECK int srtp_seal_rtcp(struct srtp_tx *tx, struct bytes pkt, uint8_t *out);

MUST_CHECK int srtp_rx_init(struct srtp_rx *rx, const struct seal_engine *engine,
                            enum srtp_profile profile, const struct srtp_master *master);
MUST_CHECK int srtp_rx_init_session(struct srtp_rx *rx, const struct seal_engine *engine,
                                    enum srtp_profile profile, const struct srtp_session *session);
void srtp_rx_fini(struct srtp_rx *rx);

/* Open one packet in place; *len shrinks to the plain packet.  index, when not NULL, gets
 * the 48-bit extended sequence number.  0; E_TRUNCATED (or a malformed header); E_REPLAY;
 * E_AUTH; E_NOMEM (a new SSRC without memory). */
MUST_CHECK int srtp_open_rtp(struct srtp_rx *rx, uint8_t *pkt, size_t *len, uint64_t *index);
MUST_CHECK int srtp_open_rtcp(struct srtp_rx *rx, uint8_t *pkt, size_t *len);

#endif
