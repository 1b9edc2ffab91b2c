#include "crypt/dtls.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/dtls_hs.h"
#include "crypt/dtls_queue.h"

enum {
    HEADER_BYTES = 13, /* type, version, epoch, number, length: RFC 6347 s4.1 */
    NONCE_BYTES = 8,   /* explicit half: RFC 5288 s3 */
    AAD_BYTES = 13,    /* number, type, version, length: RFC 5246 s6.2.3.3 */
    REPLAY_BITS = 64,  /* RFC 6347 s4.1.2.6 */
    VERSION_12 = 0xfefd,
    TYPE_CHANGE_CIPHER_SPEC = 20,
    TYPE_ALERT = 21,
    TYPE_HANDSHAKE = 22,
    TYPE_APP = 23,
    ALERT_WARNING = 1,
    ALERT_FATAL = 2,
    ALERT_CLOSE_NOTIFY = 0,
    ALERT_BAD_CERTIFICATE = 42,
};

#define NUMBER_MAX ((1ull << 48) - 1) /* RFC 6347 s4.1: a number never wraps */

struct record {
    uint8_t type;
    uint16_t epoch;
    uint64_t number; /* 48 bits */
    uint8_t *start;  /* header included */
    size_t len;
};

int dtls_ctx_open(struct dtls_ctx **ret, const struct cert *cert)
{
    return dtls_hs_ctx_open(ret, cert);
}

int dtls_ctx_restrict(struct dtls_ctx *ctx, enum srtp_profile only)
{
    return dtls_hs_ctx_restrict(ctx, only);
}

void dtls_ctx_free(struct dtls_ctx *ctx)
{
    dtls_hs_ctx_free(ctx);
}

/* ---- states ---- */

static void enter_closed(struct dtls *d, int err, uint8_t alert)
{
    uint32_t from;

    if (d->state == DTLS_CLOSED)
        return;
    if (d->hs != NULL) { /* a fatal alert may wait there */
        struct dtls_queue *out = dtls_hs_out(d->hs, &from);
        assert(d->out.n == 0);
        d->out = *out;
        *out = (struct dtls_queue){0};
        dtls_hs_free(d->hs);
        d->hs = NULL;
    }
    d->state = DTLS_CLOSED;
    d->close_err = err;
    d->alert = alert;
    d->closed_pending = true;
    d->retransmit_at = d->expire_at = US_NEVER;
    if (!d->verified) /* else what was delivered from there may not be drained yet */
        dtls_queue_fini(&d->held);
    dtls_queue_fini(&d->last);
}

/* Copies the last flight, so that it can be repeated without OpenSSL: numbers and bytes stay the
 * same, which the other side cannot tell from a datagram that the network doubled. */
static void keep_last_flight(struct dtls *d, const struct dtls_queue *out, uint32_t from)
{
    for (uint32_t i = from; i < out->n; i++)
        (void)dtls_queue_push(&d->last, out->item[i], DTLS_OUT_MAX); /* refused: cannot repeat */
}

/* A client has seen the server's Finished: there is nothing of ours that may be missing. */
static int enter_connected(struct dtls *d)
{
    struct dtls_hs_result r;
    uint32_t from;
    int err = dtls_hs_finish(d->hs, &r);

    if (err == 0)
        err = seal_key_init_seldom(&d->tx, d->engine, r.alg, r.tx_key, NULL);
    if (err == 0)
        err = seal_key_init_seldom(&d->rx, d->engine, r.alg, r.rx_key, NULL);
    memcpy(d->tx_salt, r.tx_salt, sizeof d->tx_salt);
    memcpy(d->rx_salt, r.rx_salt, sizeof d->rx_salt);
    d->tx_next = r.tx_next;
    d->peer_der = r.peer_der;
    d->srtp = r.srtp;
    mem_wipe(&r, sizeof r);
    if (err)
        return err;
    struct dtls_queue *out = dtls_hs_out(d->hs, &from);
    d->proven = d->role == DTLS_CLIENT;
    if (!d->proven)
        keep_last_flight(d, out, from);
    d->out = *out;
    *out = (struct dtls_queue){0};
    dtls_hs_free(d->hs);
    d->hs = NULL;
    d->state = DTLS_CONNECTED;
    d->connected_pending = true;
    d->retransmit_at = d->expire_at = US_NEVER;
    return 0;
}

static void after_step(struct dtls *d, enum dtls_hs_step step, us_t now)
{
    uint8_t alert = 0;
    int err = 0;

    if (step == DTLS_HS_DONE) {
        err = enter_connected(d);
        if (err)
            enter_closed(d, err, 0);
        return;
    }
    if (step == DTLS_HS_FAILED) {
        err = dtls_hs_error(d->hs, &alert);
        enter_closed(d, err, alert);
        return;
    }
    us_t left = dtls_hs_left(d->hs);
    /* OpenSSL measures by its own clock; a millisecond at least, so that a tick is progress. */
    d->retransmit_at = left == US_NEVER ? US_NEVER : now + us_max(left, US_PER_MS);
}

int dtls_init(struct dtls *d, struct dtls_ctx *ctx, enum dtls_role role,
              const struct seal_engine *engine, us_t now)
{
    *d = (struct dtls){.role = role, .engine = engine};
    int err = dtls_hs_open(&d->hs, ctx, role);
    if (err)
        return err;
    d->state = DTLS_HANDSHAKE;
    d->expire_at = now + DTLS_HANDSHAKE_US;
    after_step(d, dtls_hs_step(d->hs, (struct bytes){0}), now);
    return d->state == DTLS_CLOSED ? d->close_err : 0;
}

static void forget_peer_der(struct dtls *d)
{
    mem_free((void *)(uintptr_t)d->peer_der.p); /* ours: struct bytes is const for borrowers */
    d->peer_der = (struct bytes){0};
}

void dtls_fini(struct dtls *d)
{
    dtls_hs_free(d->hs);
    seal_key_fini(&d->tx);
    seal_key_fini(&d->rx);
    dtls_queue_fini(&d->out);
    dtls_queue_fini(&d->last);
    dtls_queue_fini(&d->held);
    forget_peer_der(d);
    mem_wipe(d, sizeof *d);
    d->state = DTLS_CLOSED;
    d->expire_at = d->retransmit_at = US_NEVER;
}

/* ---- our record layer ---- */

static void record_nonce(uint8_t iv[SEAL_IV_BYTES], const uint8_t salt[4], const uint8_t *explicit)
{
    memcpy(iv, salt, 4);
    memcpy(iv + 4, explicit, NONCE_BYTES);
}

/* One epoch-1 record into w.  The explicit nonce is the record's number, which never repeats. */
static int record_seal(struct dtls *d, uint8_t type, struct bytes plain, struct wr *w)
{
    uint8_t iv[SEAL_IV_BYTES], aad[AAD_BYTES];

    if (plain.len > DTLS_APP_MAX || wr_left(w) < plain.len + DTLS_RECORD_OVERHEAD)
        return E_TOO_LARGE;
    if (d->tx_next > NUMBER_MAX)
        return E_LIMIT;
    uint64_t number = 1ull << 48 | d->tx_next++;
    struct wr a = wr_of(aad, sizeof aad);
    wr_u64(&a, number);
    wr_u8(&a, type);
    wr_u16(&a, VERSION_12);
    wr_u16(&a, (uint16_t)plain.len);
    wr_u8(w, type);
    wr_u16(w, VERSION_12);
    wr_u64(w, number);
    wr_u16(w, (uint16_t)(plain.len + NONCE_BYTES + SEAL_TAG_BYTES));
    wr_u64(w, number);
    record_nonce(iv, d->tx_salt, aad);
    return seal_gcm(&d->tx, iv, wr_done(&a), plain, wr_room(w, plain.len + SEAL_TAG_BYTES));
}

static void queue_alert(struct dtls *d, uint8_t level, uint8_t code)
{
    uint8_t buf[DTLS_RECORD_OVERHEAD + 2], alert[2] = {level, code};
    struct wr w = wr_of(buf, sizeof buf);

    if (record_seal(d, TYPE_ALERT, bytes_of(alert, 2), &w) == 0)
        (void)dtls_queue_push(&d->out, wr_done(&w),
                              DTLS_OUT_MAX); /* full: it would be lost anyway */
}

/* RFC 6347 s4.1.2.6; rx_top is one past the highest number, bit 0 of rx_seen that number. */
static bool replay_seen(const struct dtls *d, uint64_t number)
{
    if (number >= d->rx_top)
        return false;
    uint64_t behind = d->rx_top - 1 - number;
    return behind >= REPLAY_BITS || ((d->rx_seen >> behind) & 1) != 0;
}

static void replay_add(struct dtls *d, uint64_t number)
{
    if (number >= d->rx_top) {
        uint64_t by = number + 1 - d->rx_top;
        d->rx_seen = by >= REPLAY_BITS ? 0 : d->rx_seen << by;
        d->rx_top = number + 1;
        d->rx_seen |= 1;
    } else {
        d->rx_seen |= 1ull << (d->rx_top - 1 - number);
    }
}

static int record_open(struct dtls *d, const struct record *r, struct dtls_span *plain)
{
    uint8_t iv[SEAL_IV_BYTES], aad[AAD_BYTES];
    uint8_t *body = r->start + HEADER_BYTES;
    size_t len = r->len - HEADER_BYTES;

    if (len < NONCE_BYTES + SEAL_TAG_BYTES)
        return E_TRUNCATED;
    if (replay_seen(d, r->number))
        return E_REPLAY;
    len -= NONCE_BYTES;
    struct wr a = wr_of(aad, sizeof aad);
    wr_u64(&a, (uint64_t)r->epoch << 48 | r->number);
    wr_u8(&a, r->type);
    wr_u16(&a, load_u16(r->start + 1));
    wr_u16(&a, (uint16_t)(len - SEAL_TAG_BYTES));
    record_nonce(iv, d->rx_salt, body);
    body += NONCE_BYTES;
    int err = seal_gcm_open(&d->rx, iv, wr_done(&a), bytes_of(body, len), body);
    if (err)
        return err;
    replay_add(d, r->number);
    *plain = (struct dtls_span){.p = body, .len = (uint32_t)(len - SEAL_TAG_BYTES)};
    return 0;
}

/* False when what is left is no record; then the rest of the datagram is dropped. */
static bool record_next(struct rd *r, uint8_t *base, struct record *out)
{
    const uint8_t *start = r->p;

    out->type = rd_u8(r);
    uint16_t version = rd_u16(r);
    uint64_t number = rd_u64(r);
    uint16_t len = rd_u16(r);
    rd_skip(r, len);
    out->epoch = (uint16_t)(number >> 48);
    out->number = number & NUMBER_MAX;
    out->start = base;
    out->len = (size_t)HEADER_BYTES + len;
    return rd_ok(r) && r->p == start + out->len && version >> 8 == 0xfe &&
           out->type >= TYPE_CHANGE_CIPHER_SPEC && out->type <= TYPE_APP;
}

/* ---- records by state ---- */

/* RFC 6347 s4.2.4: the other side repeats its last flight because it misses ours. */
static void repeat_last_flight(struct dtls *d, us_t now)
{
    if (d->proven || now < d->repeat_at)
        return;
    for (uint32_t i = 0; i < d->last.n; i++)
        (void)dtls_queue_push(&d->out, d->last.item[i], DTLS_OUT_MAX); /* full: asked again */
    d->repeat_at = now + DTLS_REPEAT_US;
}

void dtls_prove(struct dtls *d)
{
    d->proven = true;
    dtls_queue_fini(&d->last);
}

static int input_alert(struct dtls *d, struct dtls_span plain)
{
    if (plain.len < 2)
        return E_MALFORMED;
    uint8_t level = plain.p[0], code = plain.p[1];
    if (code == ALERT_CLOSE_NOTIFY) {
        queue_alert(d, ALERT_WARNING, ALERT_CLOSE_NOTIFY);
        enter_closed(d, E_CLOSED, 0);
    } else if (level == ALERT_FATAL) {
        enter_closed(d, E_AUTH, code);
    }
    return 0;
}

static int input_app(struct dtls *d, struct dtls_span plain)
{
    if (plain.len == 0)
        return 0;
    if (d->app_n == DTLS_APP_PER_DATAGRAM)
        return E_LIMIT;
    d->app[d->app_n++] = plain;
    return 0;
}

static int input_connected(struct dtls *d, const struct record *r, us_t now)
{
    struct dtls_span plain = {0};

    if (r->epoch == 0) { /* not protected: good for one thing only */
        if (r->type == TYPE_HANDSHAKE || r->type == TYPE_CHANGE_CIPHER_SPEC)
            repeat_last_flight(d, now);
        return r->type == TYPE_ALERT ? E_AUTH : 0;
    }
    if (r->epoch != 1)
        return E_STATE;
    if (r->type == TYPE_APP && !d->verified) {
        bool held = dtls_queue_push(&d->held, bytes_of(r->start, r->len), DTLS_HELD_MAX);
        return held ? 0 : E_LIMIT;
    }
    int err = record_open(d, r, &plain);
    if (err)
        return err;
    if (r->type == TYPE_HANDSHAKE) { /* a repeated Finished, or a HelloRequest: no renegotiation */
        repeat_last_flight(d, now);
        return 0;
    }
    dtls_prove(d);
    if (r->type == TYPE_ALERT)
        return input_alert(d, plain);
    return r->type == TYPE_APP ? input_app(d, plain) : E_MALFORMED;
}

static int input_handshake(struct dtls *d, const struct record *r, us_t now)
{
    if (r->type == TYPE_APP) { /* overtook the other side's Finished, perhaps */
        bool held =
            r->epoch == 1 && dtls_queue_push(&d->held, bytes_of(r->start, r->len), DTLS_HELD_MAX);
        return held ? 0 : E_STATE;
    }
    d->hs_bytes += (uint32_t)r->len;
    d->hs_records++;
    if (d->hs_bytes > DTLS_HANDSHAKE_BYTES_MAX || d->hs_records > DTLS_HANDSHAKE_RECORDS_MAX) {
        enter_closed(d, E_LIMIT, 0);
        return E_LIMIT;
    }
    after_step(d, dtls_hs_step(d->hs, bytes_of(r->start, r->len)), now);
    return 0;
}

/* What was delivered before is gone; so are the buffers it stood in. */
static void forget_delivered(struct dtls *d)
{
    d->app_n = d->app_at = 0;
    if (d->verified)
        dtls_queue_fini(&d->held);
}

int dtls_input(struct dtls *d, uint8_t *datagram, size_t len, us_t now)
{
    struct rd rd = rd_of(bytes_of(datagram, len));
    struct record r;
    int err = 0;

    forget_delivered(d);
    if (len == 0)
        return E_TRUNCATED;
    while (rd_left(&rd) > 0 && (d->state == DTLS_HANDSHAKE || d->state == DTLS_CONNECTED)) {
        int one = E_MALFORMED;
        if (!record_next(&rd, datagram + (rd.p - datagram), &r)) {
            d->dropped_n++;
            return one;
        }
        one =
            d->state == DTLS_HANDSHAKE ? input_handshake(d, &r, now) : input_connected(d, &r, now);
        d->dropped_n += one < 0;
        err = one < 0 ? one : err;
    }
    return d->state == DTLS_CLOSED && err == 0 ? E_CLOSED : err;
}

void dtls_tick(struct dtls *d, us_t now)
{
    if (d->state != DTLS_HANDSHAKE)
        return;
    if (now >= d->expire_at)
        enter_closed(d, E_TIMEOUT, 0);
    else if (now >= d->retransmit_at)
        after_step(d, dtls_hs_timeout(d->hs), now);
}

bool dtls_output(struct dtls *d, struct wr *w)
{
    uint32_t from;
    struct dtls_queue *q = d->hs != NULL ? dtls_hs_out(d->hs, &from) : &d->out;

    if (q->n == 0 || wr_left(w) < q->item[0].len)
        return false;
    struct bytes first = dtls_queue_pop(q);
    wr_bytes(w, first);
    mem_free((void *)(uintptr_t)first.p); /* ours: struct bytes is const for borrowers */
    return true;
}

bool dtls_event(struct dtls *d, struct dtls_event *ev)
{
    if (d->connected_pending) {
        d->connected_pending = false;
        *ev = (struct dtls_event){.type = DTLS_EVENT_CONNECTED};
        return true;
    }
    if (d->app_at < d->app_n) {
        struct dtls_span s = d->app[d->app_at++];
        *ev = (struct dtls_event){.type = DTLS_EVENT_APP_DATA, .data = bytes_of(s.p, s.len)};
        return true;
    }
    if (d->closed_pending) {
        d->closed_pending = false;
        *ev =
            (struct dtls_event){.type = DTLS_EVENT_CLOSED, .err = d->close_err, .alert = d->alert};
        return true;
    }
    return false;
}

us_t dtls_deadline(const struct dtls *d)
{
    if (d->state != DTLS_HANDSHAKE)
        return US_NEVER;
    return us_min(d->expire_at, d->retransmit_at);
}

static void deliver_held(struct dtls *d)
{
    for (uint32_t i = 0; i < d->held.n && d->state == DTLS_CONNECTED; i++) {
        uint8_t *p = (uint8_t *)(uintptr_t)d->held.item[i].p; /* our copy: opened in place */
        struct rd rd = rd_of(d->held.item[i]);
        struct record r;
        struct dtls_span plain = {0};
        if (!record_next(&rd, p, &r) || record_open(d, &r, &plain) != 0) {
            d->dropped_n++;
            continue;
        }
        dtls_prove(d);
        (void)input_app(d, plain); /* there are no more of them than places */
    }
}

int dtls_verify(struct dtls *d, const struct cert_fingerprint *fp)
{
    static_assert(DTLS_HELD_MAX <= DTLS_APP_PER_DATAGRAM, "what was held is delivered at once");

    if (d->state != DTLS_CONNECTED)
        return E_STATE;
    if (d->verified)
        return 0;
    if (!cert_fingerprint_matches(fp, d->peer_der)) {
        queue_alert(d, ALERT_FATAL, ALERT_BAD_CERTIFICATE);
        enter_closed(d, E_MISMATCH, 0);
        return E_MISMATCH;
    }
    d->verified = true;
    d->app_n = d->app_at = 0;
    forget_peer_der(d);
    deliver_held(d);
    return 0;
}

int dtls_srtp_keys(const struct dtls *d, struct dtls_srtp_keys *out)
{
    if (d->state != DTLS_CONNECTED || !d->verified)
        return E_STATE;
    if (d->srtp.profile == SRTP_PROFILE_NONE)
        return E_UNSUPPORTED;
    *out = d->srtp;
    return 0;
}

int dtls_send(struct dtls *d, struct bytes app, struct wr *w)
{
    if (d->state != DTLS_CONNECTED || !d->verified)
        return E_STATE;
    return record_seal(d, TYPE_APP, app, w);
}

void dtls_close(struct dtls *d)
{
    if (d->state == DTLS_CONNECTED)
        queue_alert(d, ALERT_WARNING, ALERT_CLOSE_NOTIFY);
    enter_closed(d, E_CLOSED, 0);
}
