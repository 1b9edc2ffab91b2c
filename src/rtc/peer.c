#include "rtc/peer.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/dtls.h"
#include "crypt/srtp.h"
#include "rtc/ice.h"

static_assert((int)ICE_UFRAG_MAX == (int)PEER_UFRAG_MAX && (int)ICE_PWD_MAX == (int)PEER_PWD_MAX,
              "credentials are copied as they are");

struct record {
    struct record *next;
    size_t len;
    uint8_t data[];
};

struct peer {
    /* The first two cache lines are all that sealing a packet reads here. */
    enum peer_state state, told;
    enum peer_reason reason;
    enum peer_setup setup;
    bool dtls_begun;
    bool handshaken; /* DTLS is over and its keys wait for the fingerprint */
    bool ready;      /* fingerprint verified, keys in place */
    bool has_dtls_path;
    struct srtp_tx tx;

    struct srtp_rx rx;
    struct ice ice;
    struct dtls_ctx *dtls_ctx;
    const struct seal_engine *engine;
    struct path dtls_path; /* where DTLS came from last; answers go there until nomination */
    struct cert_fingerprint fingerprint;
    struct dtls dtls;
    bool data_held; /* `held` waits for a change of state to be told first */
    struct peer_event held;
    struct record *data_first, *data_last;
    unsigned data_n;
    struct peer_stats stats;
};

static_assert(offsetof(struct peer, rx) <= 2 * MEM_LINE_BYTES, "peer_prefetch() fetches two");

int peer_open(struct peer **ret, const struct peer_cfg *cfg, us_t now UNUSED)
{
    struct peer *p = mem_lines(sizeof *p);
    struct ice_cfg ice = {
        .mode = cfg->role == PEER_SERVER ? ICE_LITE : ICE_FULL,
        .controlling = true,
        .seed = cfg->seed,
    };

    if (p == NULL)
        return E_NOMEM;
    memcpy(ice.local.ufrag, cfg->local.ufrag, sizeof ice.local.ufrag);
    memcpy(ice.local.pwd, cfg->local.pwd, sizeof ice.local.pwd);
    p->setup = cfg->setup;
    p->dtls_ctx = cfg->dtls;
    p->engine = cfg->engine;
    int err = ice_init(&p->ice, &ice);
    mem_wipe(&ice, sizeof ice);
    if (err) {
        peer_free(p);
        return err;
    }
    *ret = p;
    return 0;
}

void peer_free(struct peer *p)
{
    if (p == NULL)
        return;
    while (p->data_first != NULL) {
        struct record *r = p->data_first;
        p->data_first = r->next;
        mem_free(r);
    }
    srtp_tx_fini(&p->tx);
    srtp_rx_fini(&p->rx);
    dtls_fini(&p->dtls);
    ice_fini(&p->ice);
    mem_free(p);
}

enum peer_state peer_state(const struct peer *p)
{
    return p->state;
}

bool peer_proven(const struct peer *p, const struct path *path)
{
    return ice_proven(&p->ice, path);
}

const struct path *peer_path(const struct peer *p)
{
    return ice_selected(&p->ice);
}

void peer_get_stats(const struct peer *p, struct peer_stats *st)
{
    *st = p->stats;
    st->drop_unauthenticated += p->ice.stats.drop_unauthenticated;
    st->drop_malformed += p->ice.stats.drop_malformed + p->dtls.dropped_n;
    st->drop_state += p->ice.stats.drop_unexpected;
    st->drop_replayed += p->ice.stats.drop_replayed;
    st->rtt_us = p->ice.stats.rtt_us;
    st->srtp_profile = (uint16_t)p->tx.profile;
}

/* --- state --- */

static bool final(const struct peer *p)
{
    return p->state == PEER_CLOSED || (p->state == PEER_FAILED && p->reason != PEER_REASON_SILENT);
}

static void enter(struct peer *p, enum peer_state state, enum peer_reason reason)
{
    if (final(p))
        return;
    p->state = state;
    p->reason = reason;
}

/* What ICE says, seen through whether the keys are in place. */
static void follow_ice(struct peer *p)
{
    switch (p->ice.state) {
    case ICE_NEW:
        break;
    case ICE_CHECKING: /* again after a restart, when media had flowed before */
        enter(p, p->ready ? PEER_DISCONNECTED : PEER_CONNECTING, PEER_REASON_NONE);
        break;
    case ICE_CONNECTED:
        enter(p, p->ready ? PEER_CONNECTED : PEER_CONNECTING, PEER_REASON_NONE);
        break;
    case ICE_DISCONNECTED:
        enter(p, p->ready ? PEER_DISCONNECTED : PEER_CONNECTING, PEER_REASON_SILENT);
        break;
    case ICE_FAILED:
        enter(p, PEER_FAILED, PEER_REASON_SILENT);
        break;
    }
}

static bool may_send(const struct peer *p)
{
    return p->ready && (p->state == PEER_CONNECTED || p->state == PEER_DISCONNECTED);
}

/* --- DTLS --- */

static int dtls_begin(struct peer *p, enum dtls_role role, us_t now)
{
    int err = dtls_init(&p->dtls, p->dtls_ctx, role, p->engine, now);

    p->dtls_begun = true;
    if (err)
        enter(p, PEER_FAILED, PEER_REASON_DTLS);
    return err;
}

/* As client we speak first, once there is somewhere to speak to. */
static void dtls_begin_client(struct peer *p, us_t now)
{
    if (!p->dtls_begun && p->setup == PEER_SETUP_DTLS_CLIENT && !final(p) &&
        ice_selected(&p->ice) != NULL)
        (void)dtls_begin(p, DTLS_CLIENT, now); /* a refusal shows as FAILED */
}

static int take_keys(struct peer *p)
{
    struct dtls_srtp_keys keys;
    int err = dtls_srtp_keys(&p->dtls, &keys);

    if (err == E_UNSUPPORTED)
        return 0; /* data channels alone */
    if (err)
        return err;
    err = srtp_tx_init(&p->tx, p->engine, keys.profile, &keys.tx);
    if (err == 0)
        err = srtp_rx_init(&p->rx, p->engine, keys.profile, &keys.rx);
    mem_wipe(&keys, sizeof keys);
    return err;
}

/* The handshake may end before or after signalling names the fingerprint (RFC 8842 s5.2):
 * nothing flows until they have met. */
static void verify(struct peer *p)
{
    if (!p->handshaken || p->ready || p->fingerprint.n == 0 || final(p))
        return;
    if (dtls_verify(&p->dtls, &p->fingerprint) != 0) {
        enter(p, PEER_FAILED, PEER_REASON_FINGERPRINT);
        return;
    }
    if (take_keys(p) != 0) {
        enter(p, PEER_FAILED, PEER_REASON_DTLS);
        return;
    }
    p->ready = true;
    follow_ice(p);
}

static void dtls_ended(struct peer *p)
{
    if (p->ready)
        enter(p, PEER_CLOSED, PEER_REASON_ALERT);
    else
        enter(p, PEER_FAILED, PEER_REASON_DTLS);
}

/* Facts of the record layer; true when one is the owner's to hear. */
static bool dtls_news(struct peer *p, struct peer_event *ev)
{
    struct dtls_event d;

    while (p->dtls_begun && dtls_event(&p->dtls, &d)) {
        switch (d.type) {
        case DTLS_EVENT_CONNECTED:
            p->handshaken = true;
            verify(p);
            break;
        case DTLS_EVENT_APP_DATA:
            if (final(p))
                break;
            *ev = (struct peer_event){.kind = PEER_EVT_DATA, .state = p->state, .data = d.data};
            return true;
        case DTLS_EVENT_CLOSED:
            dtls_ended(p);
            break;
        }
    }
    return false;
}

/* --- life --- */

void peer_close(struct peer *p, us_t now UNUSED)
{
    if (p->state == PEER_CLOSED)
        return;
    if (p->dtls_begun && may_send(p))
        dtls_close(&p->dtls);
    enter(p, PEER_CLOSED, PEER_REASON_OWNER);
    p->state = PEER_CLOSED;
}

int peer_set_remote(struct peer *p, const struct peer_remote *remote, us_t now)
{
    struct ice_cred cred;

    if (final(p))
        return E_STATE;
    if (remote->ufrag[0] != '\0') {
        memcpy(cred.ufrag, remote->ufrag, sizeof cred.ufrag);
        memcpy(cred.pwd, remote->pwd, sizeof cred.pwd);
        ice_set_remote(&p->ice, &cred, now);
        mem_wipe(&cred, sizeof cred);
    }
    if (remote->fingerprint.n > 0) {
        if (p->ready &&
            (remote->fingerprint.n != p->fingerprint.n ||
             memcmp(remote->fingerprint.digest, p->fingerprint.digest, remote->fingerprint.n) != 0))
            return E_MISMATCH; /* RFC 8842 s5.5 would want a new association: not ours to open */
        p->fingerprint = remote->fingerprint;
        verify(p);
    }
    follow_ice(p);
    return 0;
}

void peer_set_setup(struct peer *p, enum peer_setup setup, us_t now)
{
    if (p->dtls_begun || setup == PEER_SETUP_UNKNOWN)
        return;
    p->setup = setup;
    dtls_begin_client(p, now);
}

void peer_restart(struct peer *p, const struct peer_local *local, us_t now)
{
    struct ice_cred cred;

    if (final(p))
        return;
    memcpy(cred.ufrag, local->ufrag, sizeof cred.ufrag);
    memcpy(cred.pwd, local->pwd, sizeof cred.pwd);
    ice_restart(&p->ice, &cred, now);
    mem_wipe(&cred, sizeof cred);
    follow_ice(p);
}

void peer_add_remote_candidate(struct peer *p, const struct addr *addr, uint32_t priority)
{
    ice_add_remote(&p->ice, addr, priority);
}

void peer_add_local_address(struct peer *p, const struct addr *addr)
{
    ice_add_local(&p->ice, addr);
}

/* --- bytes and time --- */

static int dtls_datagram(struct peer *p, const struct path *path, uint8_t *datagram, size_t len,
                         us_t now)
{
    if (!ice_proven(&p->ice, path)) {
        p->stats.drop_state++;
        return E_STATE;
    }
    if (!p->dtls_begun) {
        /* An offer of actpass binds us to answer a ClientHello that overtakes the answer
         * (RFC 8842 s5.3). */
        if (p->setup == PEER_SETUP_DTLS_CLIENT) {
            p->stats.drop_state++;
            return E_STATE;
        }
        p->setup = PEER_SETUP_DTLS_SERVER;
        int err = dtls_begin(p, DTLS_SERVER, now);
        if (err)
            return err;
    }
    p->dtls_path = *path;
    p->has_dtls_path = true;
    return dtls_input(&p->dtls, datagram, len, now);
}

int peer_input(struct peer *p, const struct path *path, uint8_t *datagram, size_t len, us_t now)
{
    if (final(p)) {
        p->stats.drop_state++;
        return E_STATE;
    }
    if (len > 0 && datagram[0] <= 3) { /* RFC 7983 s7 */
        int err = ice_input(&p->ice, path, bytes_of(datagram, len), now);
        follow_ice(p);
        dtls_begin_client(p, now);
        return err;
    }
    if (len > 0 && datagram[0] >= 20 && datagram[0] <= 63)
        return dtls_datagram(p, path, datagram, len, now);
    p->stats.drop_malformed++;
    return E_MALFORMED;
}

void peer_tick(struct peer *p, us_t now)
{
    if (final(p))
        return;
    ice_tick(&p->ice, now);
    follow_ice(p);
    if (p->dtls_begun)
        dtls_tick(&p->dtls, now);
}

us_t peer_deadline(const struct peer *p)
{
    if (final(p))
        return US_NEVER;
    us_t at = ice_deadline(&p->ice);
    return p->dtls_begun ? us_min(at, dtls_deadline(&p->dtls)) : at;
}

static bool data_output(struct peer *p, struct wr *w)
{
    struct record *r = p->data_first;

    if (r == NULL || wr_left(w) < r->len)
        return false;
    wr_bytes(w, bytes_of(r->data, r->len));
    p->data_first = r->next;
    if (p->data_first == NULL)
        p->data_last = NULL;
    p->data_n--;
    mem_free(r);
    return true;
}

bool peer_output(struct peer *p, struct path *path, struct wr *w)
{
    const struct path *to = ice_selected(&p->ice);

    if (!final(p) && ice_output(&p->ice, path, w))
        return true;
    if (to == NULL && p->has_dtls_path)
        to = &p->dtls_path;
    if (to == NULL || !p->dtls_begun)
        return false;
    if (!dtls_output(&p->dtls, w) && (final(p) || !data_output(p, w)))
        return false;
    *path = *to;
    return true;
}

bool peer_event(struct peer *p, struct peer_event *ev)
{
    struct ice_event ice;

    while (ice_event(&p->ice, &ice)) {
        const struct path *to = ice_selected(&p->ice);
        if (ice.kind != ICE_EVT_PATH || to == NULL)
            continue;
        *ev = (struct peer_event){.kind = PEER_EVT_PATH, .state = p->state, .path = *to};
        return true;
    }
    if (!p->data_held)
        p->data_held = dtls_news(p, &p->held);
    if (p->told != p->state) { /* first: no data from a peer that is believed unconnected */
        p->told = p->state;
        *ev = (struct peer_event){.kind = PEER_EVT_STATE, .state = p->state, .reason = p->reason};
        return true;
    }
    if (!p->data_held)
        return false;
    p->data_held = false;
    *ev = p->held;
    return true;
}

/* --- media --- */

static int count(struct peer *p, int err)
{
    switch (err) {
    case 0:
        break;
    case E_AUTH:
        p->stats.drop_unauthenticated++;
        break;
    case E_REPLAY:
        p->stats.drop_replayed++;
        break;
    case E_STATE:
        p->stats.drop_state++;
        break;
    default:
        p->stats.drop_malformed++;
        break;
    }
    return err;
}

static bool may_open(const struct peer *p)
{
    return p->ready && p->rx.profile != SRTP_PROFILE_NONE && !final(p);
}

int peer_open_rtp(struct peer *p, uint8_t *pkt, size_t *len, us_t now UNUSED)
{
    if (!may_open(p))
        return count(p, E_STATE);
    int err = srtp_open_rtp(&p->rx, pkt, len, NULL);
    if (err)
        return count(p, err);
    if (!p->dtls.proven) /* they have our last flight: OpenSSL's copy of it may go */
        dtls_prove(&p->dtls);
    return 0;
}

int peer_open_rtcp(struct peer *p, uint8_t *pkt, size_t *len, us_t now UNUSED)
{
    if (!may_open(p))
        return count(p, E_STATE);
    return count(p, srtp_open_rtcp(&p->rx, pkt, len));
}

void peer_prefetch(const struct peer *p)
{
    __builtin_prefetch(p);
    __builtin_prefetch((const uint8_t *)p + MEM_LINE_BYTES);
}

void peer_prefetch_key(const struct peer *p)
{
    seal_prefetch(&p->tx.rtp.key);
}

size_t peer_seal_rtp(struct peer *p, struct bytes hdr, struct bytes payload, uint32_t roc,
                     uint8_t *out, size_t cap)
{
    if (!may_send(p) || p->tx.profile == SRTP_PROFILE_NONE ||
        cap < hdr.len + payload.len + SRTP_RTP_OVERHEAD)
        return 0;
    int n = srtp_seal_rtp(&p->tx, hdr, payload, roc, out);
    return n > 0 ? (size_t)n : 0;
}

size_t peer_seal_rtcp(struct peer *p, struct bytes rtcp, uint8_t *out, size_t cap)
{
    if (!may_send(p) || p->tx.profile == SRTP_PROFILE_NONE || cap < rtcp.len + SRTP_RTCP_OVERHEAD)
        return 0;
    int n = srtp_seal_rtcp(&p->tx, rtcp, out);
    return n > 0 ? (size_t)n : 0;
}

int peer_send_data(struct peer *p, struct bytes sctp, us_t now UNUSED)
{
    if (!may_send(p))
        return E_STATE;
    if (p->data_n == PEER_DATA_QUEUE_MAX)
        return E_LIMIT;
    if (sctp.len + DTLS_RECORD_OVERHEAD > PEER_DATAGRAM_MAX)
        return E_TOO_LARGE;
    struct record *r = mem_zero(sizeof *r + sctp.len + DTLS_RECORD_OVERHEAD);
    if (r == NULL)
        return E_NOMEM;
    struct wr w = wr_of(r->data, sctp.len + DTLS_RECORD_OVERHEAD);
    int err = dtls_send(&p->dtls, sctp, &w);
    if (err) {
        mem_free(r);
        return err;
    }
    r->len = wr_len(&w);
    if (p->data_last != NULL)
        p->data_last->next = r;
    else
        p->data_first = r;
    p->data_last = r;
    p->data_n++;
    return 0;
}
