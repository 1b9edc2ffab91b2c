#include "signal/remote.h"

#include "base/err.h"
#include "base/str.h"

static int copy_fingerprint(struct cert_fingerprint *to, const struct sdp_fingerprint *fp)
{
    static const struct {
        const char *word;
        enum hash_alg alg;
    } algs[] = {{"sha-1", HASH_SHA1},
                {"sha-256", HASH_SHA256},
                {"sha-384", HASH_SHA384},
                {"sha-512", HASH_SHA512}};

    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        if (strcmp(fp->hash, algs[i].word) != 0 || fp->digest_len > sizeof to->digest)
            continue;
        to->alg = algs[i].alg;
        to->n = fp->digest_len;
        memcpy(to->digest, fp->digest, fp->digest_len);
        return 0;
    }
    return E_UNSUPPORTED;
}

int remote_read(const struct sdp *sdp, struct peer_remote *remote)
{
    *remote = (struct peer_remote){0};
    for (uint32_t i = 0; i < sdp->media_n; i++) {
        const struct sdp_media *m = &sdp->media[i];
        const struct sdp_fingerprint *fp = m->fingerprint;

        if (m->rejected || m->ice_ufrag == NULL || m->ice_pwd == NULL)
            continue;
        if (!str_copy(remote->ufrag, sizeof remote->ufrag, bytes_str(m->ice_ufrag)) ||
            !str_copy(remote->pwd, sizeof remote->pwd, bytes_str(m->ice_pwd)))
            return E_TOO_LARGE;
        if (m->fingerprint_n == 0)
            return E_MALFORMED;
        for (uint32_t k = 1; k < m->fingerprint_n; k++)
            if (strcmp(m->fingerprint[k].hash, "sha-256") == 0)
                fp = &m->fingerprint[k];
        return copy_fingerprint(&remote->fingerprint, fp);
    }
    return E_MALFORMED; /* nothing to connect */
}
