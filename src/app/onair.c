#include "app/onair.h"

#include "app/joiner.h"
#include "app/relay.h"
#include "app/report.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/methods.h"
#include "crypt/cert.h"
#include "crypt/crypt.h"
#include "crypt/dtls.h"
#include "crypt/hash.h"
#include "rtc/assoc.h"

#include <stdio.h>

struct onair_job {
    struct job *job;
    struct publisher *publisher; /* NULL: away */
    struct joiner *joiner;       /* NULL: not in the room */
    struct loop_watch *watch[2]; /* its stream and its datagrams */
    int fd[2];
    bool writing;
    unsigned joins;
    psrpc_id ticket_ask, report_ask;
    bool report_due, ended, served;
    us_t report_at; /* not before */
    us_t close_at;  /* ended: forgotten then at the latest */
    char ingress_id[JOB_ID_MAX];
};

struct onair {
    struct onair_cfg cfg;
    struct cert *cert;
    struct dtls_ctx *dtls;
    struct rng rng;
    bool pool;
    struct onair_job *job[ONAIR_JOBS_MAX];
    uint32_t job_n;
    struct publisher *asking; /* list */
    struct onair_counts counts;
};

int onair_open(struct onair **ret, const struct onair_cfg *cfg, struct tick tick)
{
    struct onair *o = mem_zero(sizeof *o);
    uint64_t seed = 0;

    if (o == NULL)
        return E_NOMEM;
    o->cfg = *cfg;
    int err = crypt_random(&seed, sizeof seed);
    o->rng = rng_seed(seed);
    if (!err)
        err = assoc_pool_init();
    o->pool = err == 0;
    if (!err)
        err = cert_make(&o->cert, (tick.now + tick.wall_off_us) / US_PER_SEC);
    if (!err)
        err = dtls_ctx_open(&o->dtls, o->cert);
    if (!err)
        err = psrpc_serve(buslink_psrpc(cfg->bus), &methods[METHOD_LIST_ACTIVE_INGRESS], "");
    if (err) {
        onair_free(o);
        return err;
    }
    *ret = o;
    return 0;
}

/* ---- the client's sockets ---- */

static void on_socket(void *owner, unsigned events)
{
    (void)owner; /* the round that follows moves everything */
    (void)events;
}

static void close_joiner(struct onair_job *w)
{
    for (int i = 0; i < 2; i++) {
        loop_unwatch(w->watch[i]);
        w->watch[i] = NULL;
    }
    joiner_free(w->joiner);
    w->joiner = NULL;
}

/* Keeps what is watched in step with what the joiner waits for. */
static void watch(struct onair *o, struct onair_job *w)
{
    struct dial_wait wait[2];

    if (w->joiner == NULL)
        return;
    joiner_waits(w->joiner, wait);
    for (int i = 0; i < 2; i++) {
        if (wait[i].fd < 0 && w->watch[i] != NULL) {
            loop_unwatch(w->watch[i]);
            w->watch[i] = NULL;
        } else if (wait[i].fd >= 0 && w->watch[i] == NULL) {
            if (loop_watch(o->cfg.loop, &w->watch[i], wait[i].fd, LOOP_READ, on_socket, o) < 0)
                w->watch[i] = NULL; /* deadlines alone move it then */
            w->writing = w->writing && i != 0;
        }
    }
    bool writing = (wait[0].want & DIAL_WRITE) != 0;
    if (w->watch[0] != NULL && writing != w->writing) {
        loop_watch_set(w->watch[0], LOOP_READ | (writing ? LOOP_WRITE : 0));
        w->writing = writing;
    }
}

static void open_joiner(struct onair *o, struct onair_job *w, struct tick tick)
{
    struct joiner_cfg cfg = {.token = job_token(w->job), .soon = true};
    int err = url_parse(&cfg.url, job_url(w->job));

    job_client_cfg(w->job, &cfg.client);
    cfg.client.dtls = o->dtls;
    cfg.client.fingerprint = o->cert->text;
    cfg.client.seed = rng_u64(&o->rng);
    if (!err)
        err = joiner_open(&w->joiner, &cfg, tick);
    if (err)
        LOG_W("ingress_join", "ingress=%s error=\"%s\"", w->ingress_id, err_text(err));
    o->counts.rejoins += w->joins++ > 0;
    job_joined(w->job, err ? NULL : joiner_client(w->joiner), tick);
    watch(o, w);
}

/* A token lives for a day; so each attempt but the first asks for a new one. */
static void join(struct onair *o, struct onair_job *w, struct tick tick)
{
    Rpc__GetIngressInfoRequest req = RPC__GET_INGRESS_INFO_REQUEST__INIT;
    struct psrpc_ask ask = {.method = &methods[METHOD_GET_INGRESS_INFO],
                            .request = &req.base,
                            .timeout_us = ONAIR_ASK_US};

    if (w->joins == 0) {
        open_joiner(o, w, tick);
        return;
    }
    req.ingress_id = pb_text(w->ingress_id);
    if (w->ticket_ask != 0)
        psrpc_forget(buslink_psrpc(o->cfg.bus), w->ticket_ask);
    if (psrpc_request(buslink_psrpc(o->cfg.bus), &ask, tick, &w->ticket_ask) < 0) {
        w->ticket_ask = 0;
        job_joined(w->job, NULL, tick);
    }
}

/* ---- the operator's service ---- */

static const char *word_of(enum media_protocol p)
{
    return p == MEDIA_FTL ? "ftl" : p == MEDIA_RTMP ? "rtmp" : "rtp";
}

static struct auth_query query_of(const struct publisher *p)
{
    bool proves = p->digest[0] != '\0';

    return (struct auth_query){.protocol = word_of(p->protocol),
                               .key = proves ? NULL : p->key,
                               .channel = p->channel,
                               .challenge = proves ? p->challenge : NULL,
                               .digest = proves ? p->digest : NULL,
                               .remote = p->from};
}

/* What it is asked with, for the question and for the end. */
static void keep_claim(struct publisher *p, const struct media_publish *m)
{
    p->key[0] = p->challenge[0] = p->digest[0] = '\0';
    if (m->challenge.len <= ONAIR_CHALLENGE_MAX && m->digest.len <= ONAIR_DIGEST_MAX) {
        hash_hex(m->challenge, p->challenge);
        hash_hex(m->digest, p->digest);
    }
    (void)str_copy(p->key, sizeof p->key, m->key); /* its length was checked before */
    addr_text(&m->remote, p->from);
    p->channel = m->channel;
}

static void say_ended(struct onair *o, struct publisher *p, struct tick tick)
{
    if (p->announced) {
        const struct auth_query q = query_of(p);
        auth_end(authlink_auth(o->cfg.auth), &q, tick);
    }
    p->announced = false;
    mem_wipe(p->key, sizeof p->key);
    mem_wipe(p->secret, sizeof p->secret);
}

/* ---- the life of a job ---- */

static void dismiss(struct onair *o, struct onair_job *w, const char *reason, struct tick tick)
{
    struct publisher *p = w->publisher;

    w->publisher = NULL;
    if (p == NULL)
        return;
    p->job = NULL;
    say_ended(o, p, tick);
    p->ops->kick(p, reason);
}

static void forget_asks(struct onair *o, struct onair_job *w)
{
    struct psrpc *bus = buslink_psrpc(o->cfg.bus);

    if (w->ticket_ask != 0)
        psrpc_forget(bus, w->ticket_ask);
    if (w->report_ask != 0)
        psrpc_forget(bus, w->report_ask);
    w->ticket_ask = w->report_ask = 0;
}

static void serve(struct onair *o, struct onair_job *w, bool on)
{
    static const enum method handled[] = {METHOD_UPDATE_INGRESS, METHOD_DELETE_INGRESS};
    struct psrpc *bus = buslink_psrpc(o->cfg.bus);

    if (w->served == on)
        return;
    w->served = on;
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        if (!on)
            psrpc_unserve(bus, &methods[handled[i]], w->ingress_id);
        else if (psrpc_serve(bus, &methods[handled[i]], w->ingress_id) < 0)
            LOG_W("ingress", "ingress=%s error=\"cannot be changed while it is on\"",
                  w->ingress_id);
    }
}

static void free_job(struct onair *o, struct onair_job *w)
{
    if (w == NULL)
        return;
    serve(o, w, false);
    forget_asks(o, w);
    close_joiner(w);
    job_free(w->job);
    mem_free(w);
}

void onair_free(struct onair *o)
{
    if (o == NULL)
        return;
    for (uint32_t i = 0; i < o->job_n; i++)
        free_job(o, o->job[i]);
    dtls_ctx_free(o->dtls);
    cert_free(o->cert);
    if (o->pool)
        assoc_pool_fini();
    mem_free(o);
}

static struct onair_job *find_job(const struct onair *o, const char *ingress_id)
{
    for (uint32_t i = 0; i < o->job_n; i++) {
        if (!o->job[i]->ended && strcmp(o->job[i]->ingress_id, ingress_id) == 0)
            return o->job[i];
    }
    return NULL;
}

static int new_job(struct onair *o, struct publisher *p, struct onair_job **ret, struct tick tick)
{
    char resource[JOB_ID_MAX];
    struct job_ticket t = {.ingress_id = p->ingress_id,
                           .resource_id = resource,
                           .url = str_text(&p->url),
                           .token = str_text(&p->token),
                           .name = str_text(&p->name)};

    if (o->job_n == ONAIR_JOBS_MAX)
        return E_LIMIT;
    struct onair_job *w = mem_zero(sizeof *w);
    if (w == NULL)
        return E_NOMEM;
    str_id(resource, sizeof resource, "RT_", &o->rng);
    int err = job_open(&w->job, &t, rng_u64(&o->rng), tick);
    if (err) {
        mem_free(w);
        return err;
    }
    w->close_at = US_NEVER;
    memcpy(w->ingress_id, p->ingress_id, sizeof w->ingress_id);
    o->job[o->job_n++] = w;
    serve(o, w, true);
    *ret = w;
    return 0;
}

static void report(struct onair *o, struct onair_job *w, struct tick tick)
{
    struct job_report r;

    w->report_due = true;
    if (w->report_ask != 0 || tick.now < w->report_at)
        return;
    job_report(w->job, &r);
    w->report_due = false;
    if (report_send(buslink_psrpc(o->cfg.bus), w->ingress_id, job_resource_id(w->job), &r, tick,
                    &w->report_ask) < 0)
        w->report_ask = 0;
}

static void drain_job(struct onair *o, struct onair_job *w, struct tick tick)
{
    struct job_event ev;

    while (job_event(w->job, &ev)) {
        switch (ev.kind) {
        case JOB_EVT_JOIN:
            join(o, w, tick);
            break;
        case JOB_EVT_LEAVE:
            if (w->joiner != NULL)
                joiner_flush(w->joiner);
            close_joiner(w);
            break;
        case JOB_EVT_REPORT:
            report(o, w, tick);
            break;
        case JOB_EVT_KICK:
            dismiss(o, w, ev.reason != NULL ? ev.reason : "the stream was ended", tick);
            break;
        case JOB_EVT_ENDED:
            LOG_I("ingress_ended", "ingress=%s resource=%s reason=\"%s\"", w->ingress_id,
                  job_resource_id(w->job), ev.reason != NULL ? ev.reason : "");
            w->ended = true;
            w->close_at = tick.now + ONAIR_CLOSE_US;
            serve(o, w, false);
            break;
        }
    }
}

/* ---- publishers ---- */

static void forget_publisher(struct publisher *p)
{
    str_fini(&p->url);
    str_fini(&p->token);
    str_fini(&p->name);
}

static void stop_asking(struct onair *o, struct publisher *p)
{
    for (struct publisher **at = &o->asking; *at != NULL; at = &(*at)->next_asking) {
        if (*at == p) {
            *at = p->next_asking;
            o->counts.waiting--;
            break;
        }
    }
    p->ask = 0;
    p->auth_id = 0;
}

static void answer(struct onair *o, struct publisher *p, enum onair_verdict v, const char *why,
                   const char *key);
static void ask_service(struct onair *o, struct publisher *p, const char *secret, struct tick tick);

/* For a server elsewhere: one key opens every channel.  Only RTP can be passed on untouched. */
static void ask_relay(struct onair *o, struct publisher *p, const struct media_publish *m,
                      struct tick tick)
{
    p->protocol = m->protocol;
    addr_ip_text(&m->remote, p->remote);
    p->channel = m->channel;
    p->next_asking = o->asking;
    o->asking = p;
    o->counts.waiting++;
    if (m->protocol != MEDIA_FTL && m->protocol != MEDIA_RTP_PLAIN) {
        answer(o, p, ONAIR_FORBIDDEN, "only FTL and RTP can be passed on", NULL);
    } else if (o->cfg.auth != NULL) {
        keep_claim(p, m);
        ask_service(o, p, relay_key(o->cfg.relay), tick);
    } else {
        answer(o, p, ONAIR_YES, "", relay_key(o->cfg.relay));
    }
}

void onair_ask(struct onair *o, struct publisher *p, const struct media_publish *m,
               struct tick tick)
{
    Rpc__GetIngressInfoRequest by_key = RPC__GET_INGRESS_INFO_REQUEST__INIT;
    Sluice__GetChannelRequest by_channel = SLUICE__GET_CHANNEL_REQUEST__INIT;
    struct psrpc_ask ask = {.timeout_us = ONAIR_ASK_US};
    char key[MEDIA_KEY_MAX + 1];

    assert(p->ask == 0 && p->auth_id == 0 && p->job == NULL);
    forget_publisher(p);
    say_ended(o, p, tick);
    if (o->cfg.relay != NULL) {
        ask_relay(o, p, m, tick);
        return;
    }
    p->protocol = m->protocol;
    addr_ip_text(&m->remote, p->remote);
    bool named = m->protocol == MEDIA_FTL || (m->protocol == MEDIA_RTP_PLAIN && m->id.len == 0);
    struct bytes word = m->id.len > 0 ? m->id : m->key;
    ask.method = &methods[named ? METHOD_GET_CHANNEL : METHOD_GET_INGRESS_INFO];
    ask.request = named ? &by_channel.base : &by_key.base;
    by_channel.channel_id = m->channel;
    *(m->id.len > 0 ? &by_key.ingress_id : &by_key.stream_key) = key;
    bool shaped = str_copy(key, sizeof key, word) && (named || (word.len > 0 && pb_text_ok(word)));
    if (!shaped) {
        o->counts.refused++;
        p->ops->answer(p, ONAIR_UNKNOWN, "invalid stream key", NULL);
        return;
    }
    int err = psrpc_request(buslink_psrpc(o->cfg.bus), &ask, tick, &p->ask);
    mem_wipe(key, sizeof key);
    if (o->cfg.auth != NULL)
        keep_claim(p, m);
    if (err) {
        o->counts.refused++;
        p->ask = 0;
        p->ops->answer(p, ONAIR_UNAVAILABLE, "the server cannot be asked", NULL);
        return;
    }
    p->next_asking = o->asking;
    o->asking = p;
    o->counts.waiting++;
}

int onair_start(struct onair *o, struct publisher *p, struct tick tick)
{
    struct onair_job *w = find_job(o, p->ingress_id);
    int err = 0;

    if (o->cfg.relay != NULL) {
        o->counts.started++;
        o->counts.by_protocol[p->protocol]++;
        return relay_start(o->cfg.relay, p, tick);
    }
    assert(p->job == NULL && p->ingress_id[0] != '\0');
    bool back = w != NULL;
    if (w != NULL && w->publisher != NULL) {
        if (o->cfg.refuse_second)
            return E_EXIST;
        o->counts.takeovers++;
        dismiss(o, w, "another publisher took over", tick);
    }
    if (w == NULL)
        err = new_job(o, p, &w, tick);
    forget_publisher(p);
    if (err)
        return err;
    w->publisher = p;
    p->job = w;
    o->counts.started++;
    o->counts.returns += back;
    o->counts.by_protocol[p->protocol]++;
    job_attach(w->job, tick);
    drain_job(o, w, tick);
    LOG_I("ingress_started", "ingress=%s resource=%s from=%s again=%d", w->ingress_id,
          job_resource_id(w->job), p->remote, back);
    return 0;
}

void onair_media(struct onair *o, struct publisher *p, const struct media *m, struct tick tick)
{
    struct onair_job *w = p->job;

    if (o->cfg.relay != NULL)
        relay_media(o->cfg.relay, p, m);
    if (w == NULL)
        return;
    job_media(w->job, m, tick);
    drain_job(o, w, tick);
}

void onair_end(struct onair *o, struct publisher *p, bool clean, struct tick tick)
{
    struct onair_job *w = p->job;

    if (p->ask != 0)
        psrpc_forget(buslink_psrpc(o->cfg.bus), p->ask);
    if (p->auth_id != 0)
        auth_cancel(authlink_auth(o->cfg.auth), p->auth_id);
    if (p->ask != 0 || p->auth_id != 0)
        stop_asking(o, p);
    say_ended(o, p, tick);
    forget_publisher(p);
    p->job = NULL;
    if (o->cfg.relay != NULL)
        relay_end(o->cfg.relay, p);
    if (w == NULL)
        return;
    w->publisher = NULL;
    job_detach(w->job, clean, tick);
    drain_job(o, w, tick);
}

void onair_stop(struct onair *o, struct tick tick)
{
    if (o->cfg.relay != NULL)
        relay_stop(o->cfg.relay);
    for (uint32_t i = 0; i < o->job_n; i++) {
        job_stop(o->job[i]->job, "the service stops", tick);
        drain_job(o, o->job[i], tick);
    }
}

bool onair_busy(const struct onair *o)
{
    return o->job_n > 0 || (o->cfg.relay != NULL && relay_busy(o->cfg.relay));
}

/* ---- the bus ---- */

static enum onair_verdict verdict_of(enum psrpc_code code)
{
    switch (code) {
    case PSRPC_NOT_FOUND:
    case PSRPC_UNAUTHENTICATED:
        return ONAIR_UNKNOWN;
    case PSRPC_PERMISSION_DENIED:
    case PSRPC_INVALID_ARGUMENT:
    case PSRPC_FAILED_PRECONDITION:
    case PSRPC_NOT_ACCEPTABLE:
        return ONAIR_FORBIDDEN;
    default:
        return ONAIR_UNAVAILABLE;
    }
}

static bool keep_ticket(const struct onair *o, struct publisher *p,
                        const Rpc__GetIngressInfoResponse *a)
{
    struct str *out[] = {&p->url, &p->token, &p->name};
    const char *text[] = {a->ws_url[0] != '\0' ? a->ws_url : o->cfg.url, a->token,
                          a->info->participant_name};
    bool ok = str_copy(p->ingress_id, sizeof p->ingress_id, bytes_str(a->info->ingress_id)) &&
              a->info->ingress_id[0] != '\0';

    for (size_t i = 0; i < ARRAY_LEN(out); i++) {
        str_init(out[i], 1 << 16);
        str_add(out[i], text[i] != NULL ? text[i] : "");
        ok = ok && !out[i]->failed;
    }
    return ok && p->url.len > 0 && p->token.len > 0;
}

/* The answer that its door waits for. */
static void answer(struct onair *o, struct publisher *p, enum onair_verdict v, const char *why,
                   const char *key)
{
    stop_asking(o, p);
    o->counts.refused += v != ONAIR_YES;
    if (v != ONAIR_YES)
        LOG_I("ingress_refused", "from=%s reason=\"%s\"", p->remote, why);
    p->ops->answer(p, v, why, v == ONAIR_YES ? key : NULL);
}

/* The bus knows it; the operator's service decides. */
static void ask_service(struct onair *o, struct publisher *p, const char *secret, struct tick tick)
{
    const struct auth_query q = query_of(p);

    p->ask = 0;
    if (!str_copy(p->secret, sizeof p->secret, bytes_str(secret)) ||
        auth_start(authlink_auth(o->cfg.auth), &q, tick, &p->auth_id) < 0)
        answer(o, p, ONAIR_UNAVAILABLE, "the auth service cannot be asked", NULL);
}

static void on_service(struct onair *o, const struct auth_event *ev)
{
    struct publisher *p = o->asking;

    while (p != NULL && p->auth_id != ev->id)
        p = p->next_asking;
    if (p == NULL)
        return;
    switch (ev->verdict) {
    case AUTH_ALLOWED:
        p->announced = true;
        answer(o, p, ONAIR_YES, "", ev->key[0] != '\0' ? ev->key : p->secret);
        break;
    case AUTH_REFUSED:
        answer(o, p, ONAIR_FORBIDDEN, "the auth service refuses", NULL);
        break;
    case AUTH_UNREACHABLE:
        LOG_W("auth_service", "error=\"%s\"", ev->why);
        answer(o, p, ONAIR_UNAVAILABLE, "the auth service does not answer", NULL);
        break;
    }
}

void onair_service_round(struct onair *o, struct tick tick)
{
    struct auth_event ev;

    if (o->cfg.auth == NULL)
        return;
    authlink_round(o->cfg.auth, tick);
    authlink_round(o->cfg.auth, tick); /* a neighbour may have answered within the first */
    while (auth_event(authlink_auth(o->cfg.auth), &ev))
        on_service(o, &ev);
    mem_wipe(&ev, sizeof ev);
}

static void on_asked(struct onair *o, struct publisher *p, const struct psrpc_event *ev,
                     struct tick tick)
{
    const Rpc__GetIngressInfoResponse *a = ev->message;
    enum onair_verdict v = ONAIR_YES;
    const char *why = "";

    if (ev->kind == PSRPC_EVT_FAILED) {
        v = verdict_of(ev->code);
        why = v == ONAIR_UNKNOWN     ? "invalid stream key"
              : v == ONAIR_FORBIDDEN ? "not allowed for this key"
                                     : "the server does not answer";
    } else if (a == NULL || a->info == NULL || !keep_ticket(o, p, a)) {
        v = ONAIR_UNAVAILABLE;
        why = "the server's answer cannot be used";
    } else if (a->info->_enabled_case == LIVEKIT__INGRESS_INFO___ENABLED_ENABLED &&
               !a->info->enabled) {
        v = ONAIR_FORBIDDEN;
        why = "session is disabled";
    } else if (a->info->input_type != LIVEKIT__INGRESS_INPUT__RTMP_INPUT) {
        v = ONAIR_FORBIDDEN;
        why = "invalid ingress type";
    }
    if (v == ONAIR_YES && o->cfg.auth != NULL)
        ask_service(o, p, a->info->stream_key, tick);
    else
        answer(o, p, v, why, v == ONAIR_YES ? a->info->stream_key : NULL);
}

static void on_ticket(struct onair *o, struct onair_job *w, const struct psrpc_event *ev,
                      struct tick tick)
{
    const Rpc__GetIngressInfoResponse *a = ev->message;

    w->ticket_ask = 0;
    if (ev->kind == PSRPC_EVT_FAILED &&
        (verdict_of(ev->code) == ONAIR_UNKNOWN || verdict_of(ev->code) == ONAIR_FORBIDDEN)) {
        job_stop(w->job, "the stream key is not valid any more", tick);
    } else if (ev->kind == PSRPC_EVT_ANSWER && a != NULL &&
               job_set_ticket(w->job, a->ws_url[0] != '\0' ? a->ws_url : job_url(w->job),
                              a->token) == 0) {
        open_joiner(o, w, tick);
    } else {
        job_joined(w->job, NULL, tick);
    }
    drain_job(o, w, tick);
}

/* The server restarts: what it did not hear is said again; "an older session" is final. */
static void on_reported(struct onair_job *w, const struct psrpc_event *ev, us_t now)
{
    w->report_ask = 0;
    if (ev->kind == PSRPC_EVT_FAILED && verdict_of(ev->code) == ONAIR_UNAVAILABLE) {
        w->report_due = true;
        w->report_at = now + ONAIR_REPORT_RETRY_US;
    }
}

/* What is on air here, for a server that lost sight of another process. */
static void list_active(struct onair *o, psrpc_id call, struct tick tick)
{
    Rpc__ListActiveIngressResponse r = RPC__LIST_ACTIVE_INGRESS_RESPONSE__INIT;
    struct arena a;

    arena_init(&a, 1 << 20);
    r.ingress_ids = arena_array(&a, o->job_n + 1, sizeof *r.ingress_ids);
    for (uint32_t i = 0; i < o->job_n && r.ingress_ids != NULL; i++)
        r.ingress_ids[r.n_ingress_ids++] = pb_text(o->job[i]->ingress_id);
    if (r.ingress_ids != NULL)
        psrpc_answer(buslink_psrpc(o->cfg.bus), call, &r.base, tick);
    arena_fini(&a);
}

/* Update and Delete end the session that runs; the publisher has to come back. */
static void on_call(struct onair *o, const struct psrpc_event *ev, struct tick tick)
{
    struct psrpc *bus = buslink_psrpc(o->cfg.bus);
    struct onair_job *w = find_job(o, ev->topic);
    struct job_report r;

    if (ev->method == &methods[METHOD_LIST_ACTIVE_INGRESS]) {
        list_active(o, ev->id, tick);
        return;
    }
    if (w == NULL) {
        psrpc_refuse(bus, ev->id, PSRPC_NOT_FOUND, "no such session here", tick);
        return;
    }
    job_stop(w->job,
             ev->method == &methods[METHOD_DELETE_INGRESS] ? "the ingress was deleted"
                                                           : "the ingress was changed",
             tick);
    job_report(w->job, &r);
    report_answer(bus, ev->id, job_resource_id(w->job), &r, tick);
    drain_job(o, w, tick);
}

void onair_bus_event(struct onair *o, const struct psrpc_event *ev, struct tick tick)
{
    if (ev->kind == PSRPC_EVT_CALL) {
        on_call(o, ev, tick);
        return;
    }
    for (struct publisher *p = o->asking; p != NULL; p = p->next_asking) {
        if (p->ask == ev->id) {
            on_asked(o, p, ev, tick);
            return;
        }
    }
    for (uint32_t i = 0; i < o->job_n; i++) {
        struct onair_job *w = o->job[i];
        if (w->ticket_ask == ev->id) {
            on_ticket(o, w, ev, tick);
            return;
        }
        if (w->report_ask == ev->id) {
            on_reported(w, ev, tick.now);
            return;
        }
    }
}

/* ---- the round ---- */

static void pump(struct onair *o, struct onair_job *w, struct tick tick)
{
    struct client_media media;
    struct client_event ev;

    if (w->joiner != NULL) {
        while (joiner_media(w->joiner, tick, &media))
            ; /* it subscribes to nothing */
        joiner_pump(w->joiner, tick);
        while (w->joiner != NULL && joiner_event(w->joiner, &ev))
            job_client_event(w->job, &ev, tick);
    }
    job_tick(w->job, tick);
    drain_job(o, w, tick);
    if (w->joiner != NULL)
        joiner_flush(w->joiner);
    watch(o, w);
    if (w->report_due)
        report(o, w, tick);
}

void onair_round(struct onair *o, struct tick tick)
{
    if (o->cfg.relay != NULL)
        relay_round(o->cfg.relay, tick);
    for (uint32_t i = 0; i < o->job_n;) {
        struct onair_job *w = o->job[i];
        pump(o, w, tick);
        bool told = w->report_ask == 0 && !w->report_due;
        if (w->ended && (told || tick.now >= w->close_at)) {
            o->job[i] = o->job[--o->job_n];
            free_job(o, w);
        } else {
            i++;
        }
    }
    assoc_pool_tick(tick.now);
}

us_t onair_deadline(const struct onair *o)
{
    us_t at = o->cfg.auth != NULL ? authlink_deadline(o->cfg.auth) : US_NEVER;

    if (o->cfg.relay != NULL)
        at = us_min(at, relay_deadline(o->cfg.relay));

    for (uint32_t i = 0; i < o->job_n; i++) {
        const struct onair_job *w = o->job[i];
        at = us_min(at, us_min(job_deadline(w->job), w->close_at));
        if (w->joiner != NULL)
            at = us_min(at, joiner_deadline(w->joiner));
        if (w->report_due && w->report_ask == 0)
            at = us_min(at, w->report_at);
    }
    return at;
}

void onair_get_counts(const struct onair *o, struct onair_counts *out)
{
    *out = o->counts;
    out->jobs = o->job_n;
    for (uint32_t i = 0; i < o->job_n; i++)
        out->publishing += job_state(o->job[i]->job) == JOB_PUBLISHING;
}
