/* crypt/dtls_hs.h - the handshake of crypt/dtls, which is OpenSSL's; nobody else includes it.
 *
 * Records go in one at a time, datagrams come out; when it is done, everything that outlives
 * it is read out once and the object goes.
 */
#ifndef CRYPT_DTLS_HS_H
#define CRYPT_DTLS_HS_H

#include "crypt/dtls.h"

enum dtls_hs_step { DTLS_HS_RUNNING, DTLS_HS_DONE, DTLS_HS_FAILED };

/* What outlives the handshake; wiped by the caller. */
struct dtls_hs_result {
    enum seal_alg alg;
    uint8_t tx_key[SEAL_KEY_BYTES_MAX], rx_key[SEAL_KEY_BYTES_MAX];
    uint8_t tx_salt[4], rx_salt[4];
    uint64_t tx_next;      /* first unused number in epoch 1 */
    struct bytes peer_der; /* heap, the caller's */
    struct dtls_srtp_keys srtp;
};

/* dtls_ctx_open and dtls_ctx_free. */
int dtls_hs_ctx_open(struct dtls_ctx **ret, const struct cert *cert);
int dtls_hs_ctx_restrict(struct dtls_ctx *ctx, enum srtp_profile only);
void dtls_hs_ctx_free(struct dtls_ctx *ctx);

int dtls_hs_open(struct dtls_hs **ret, struct dtls_ctx *ctx, enum dtls_role role);
void dtls_hs_free(struct dtls_hs *hs);

/* One whole record, or none (p == NULL) to start or go on. */
enum dtls_hs_step dtls_hs_step(struct dtls_hs *hs, struct bytes record);
/* OpenSSL's timer: repeats the flight when it is due by its clock. */
enum dtls_hs_step dtls_hs_timeout(struct dtls_hs *hs);
/* Until that timer is due; US_NEVER when none runs. */
us_t dtls_hs_left(const struct dtls_hs *hs);
/* Datagrams written and not yet taken; those of the last step begin at index *from. */
struct dtls_queue *dtls_hs_out(struct dtls_hs *hs, uint32_t *from);
/* After DTLS_HS_FAILED: an error, and the alert when one was received. */
int dtls_hs_error(const struct dtls_hs *hs, uint8_t *alert);
/* After DTLS_HS_DONE. */
MUST_CHECK int dtls_hs_finish(struct dtls_hs *hs, struct dtls_hs_result *out);

#endif
