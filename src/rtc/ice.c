#include "rtc/ice.h"

#include "base/err.h"
#include "base/mem.h"
#include "crypt/hash.h"

enum { CHECK_PRIORITY = (110 << 24) | (65535 << 8) | 255 }; /* peer-reflexive, RFC 8445 s7.1.1 */

int ice_init(struct ice *ice, const struct ice_cfg *cfg)
{
    *ice = (struct ice){
        .mode = cfg->mode,
        .controlling = cfg->mode == ICE_FULL && cfg->controlling,
        .rng = rng_seed(cfg->seed),
        .local = cfg->local,
        .begun_at = US_NEVER,
        .probe_at = US_NEVER,
    };
    ice->tie_breaker = rng_u64(&ice->rng);
    if (cfg->mode == ICE_LITE)
        return 0;
    ice->list = mem_zero(sizeof *ice->list);
    if (ice->list == NULL)
        return E_NOMEM;
    checklist_init(ice->list, ice->controlling);
    return 0;
}

void ice_fini(struct ice *ice)
{
    mem_free(ice->list);
    ice->list = NULL;
    mem_wipe(&ice->local, sizeof ice->local);
    mem_wipe(&ice->local_old, sizeof ice->local_old);
    mem_wipe(&ice->remote, sizeof ice->remote);
    mem_wipe(&ice->remote_old, sizeof ice->remote_old);
}

/* Which changes of state there are; FAILED is left by a restart alone. */
static void enter(struct ice *ice, enum ice_state state)
{
    static const uint8_t edges[] = {
        [ICE_NEW] = 1 << ICE_CHECKING | 1 << ICE_CONNECTED | 1 << ICE_FAILED,
        [ICE_CHECKING] = 1 << ICE_CONNECTED | 1 << ICE_FAILED,
        [ICE_CONNECTED] = 1 << ICE_DISCONNECTED | 1 << ICE_CHECKING | 1 << ICE_FAILED,
        [ICE_DISCONNECTED] = 1 << ICE_CONNECTED | 1 << ICE_CHECKING | 1 << ICE_FAILED,
        [ICE_FAILED] = 1 << ICE_CHECKING,
    };

    if (ice->state == state)
        return;
    assert(edges[ice->state] & (1 << state));
    ice->state = state;
}

static void begin(struct ice *ice, us_t now)
{
    ice->begun_at = now;
    if (ice->state == ICE_FAILED)
        enter(ice, ICE_CHECKING);
}

void ice_set_remote(struct ice *ice, const struct ice_cred *remote, us_t now)
{
    if (strcmp(ice->remote.ufrag, remote->ufrag) == 0 && strcmp(ice->remote.pwd, remote->pwd) == 0)
        return;
    if (ice->remote.ufrag[0] != '\0') {
        if (!ice->selected_old_remote)
            ice->remote_old = ice->remote;
        ice->selected_old_remote = ice->has_selected;
        if (ice->list != NULL)
            checklist_restart(ice->list);
    }
    ice->remote = *remote;
    begin(ice, now);
}

void ice_restart(struct ice *ice, const struct ice_cred *local, us_t now)
{
    if (strcmp(ice->local.ufrag, local->ufrag) == 0 && strcmp(ice->local.pwd, local->pwd) == 0)
        return;
    if (!ice->selected_old_local) /* restarted twice: the pair's own are the ones to keep */
        ice->local_old = ice->local;
    ice->selected_old_local = ice->has_selected;
    ice->local = *local;
    if (ice->begun_at != US_NEVER)
        begin(ice, now);
}

void ice_add_local(struct ice *ice, const struct addr *addr)
{
    if (ice->list != NULL)
        checklist_add_local(ice->list, addr);
}

void ice_add_remote(struct ice *ice, const struct addr *addr, uint32_t priority)
{
    if (ice->list != NULL)
        checklist_add_remote(ice->list, addr, priority);
}

const struct path *ice_selected(const struct ice *ice)
{
    return ice->has_selected ? &ice->selected : NULL;
}

bool ice_proven(const struct ice *ice, const struct path *path)
{
    for (unsigned i = 0; i < ice->proven_n; i++) {
        if (path_eq(&ice->proven[i].path, path))
            return true;
    }
    return false;
}

static void prove(struct ice *ice, const struct path *path, us_t now)
{
    struct ice_proven *oldest = NULL;

    for (unsigned i = 0; i < ice->proven_n; i++) {
        struct ice_proven *p = &ice->proven[i];
        if (path_eq(&p->path, path)) {
            p->heard_at = now;
            return;
        }
        if (ice->has_selected && path_eq(&p->path, &ice->selected))
            continue;
        if (oldest == NULL || p->heard_at < oldest->heard_at)
            oldest = p;
    }
    if (ice->proven_n < ICE_PATHS_MAX)
        oldest = &ice->proven[ice->proven_n++];
    assert(oldest != NULL);
    *oldest = (struct ice_proven){.path = *path, .heard_at = now};
}

static void select_path(struct ice *ice, const struct path *path, us_t now)
{
    bool same = ice->has_selected && path_eq(&ice->selected, path);

    ice->heard_at = now;
    if (same && ice->state == ICE_CONNECTED && !ice->selected_old_local &&
        !ice->selected_old_remote)
        return;
    enter(ice, ICE_CONNECTED);
    ice->selected_old_local = ice->selected_old_remote = false;
    if (ice->mode == ICE_FULL) {
        consent_grant(&ice->consent, now, &ice->rng);
        ice->probe_at = now + ICE_KEEPALIVE_US;
    }
    if (same)
        return;
    ice->left = ice->selected;
    ice->left_at = ice->has_selected ? now : INT64_MIN;
    ice->selected = *path;
    ice->has_selected = true;
    ice->path_untold = true;
}

/* --- sending --- */

static void push(struct ice *ice, const struct ice_send *s)
{
    if (ice->send_n < ICE_SENDS_MAX)
        ice->send[ice->send_n++] = *s;
}

static void write_check(const struct ice *ice, const struct ice_send *s, struct wr *w)
{
    const struct ice_cred *local = s->old_local ? &ice->local_old : &ice->local;
    const struct ice_cred *remote = s->old_remote ? &ice->remote_old : &ice->remote;
    uint8_t name[2 * ICE_UFRAG_MAX + 1];
    struct wr n = wr_of(name, sizeof name);

    wr_str(&n, remote->ufrag);
    wr_u8(&n, ':');
    wr_str(&n, local->ufrag);
    stun_begin(w, STUN_REQUEST, STUN_BINDING, &s->tid);
    stun_add_bytes(w, STUN_USERNAME, wr_done(&n));
    stun_add_u32(w, STUN_PRIORITY, CHECK_PRIORITY);
    stun_add_u64(w, ice->controlling ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED,
                 ice->tie_breaker);
    if (s->use_candidate && ice->controlling)
        stun_add_flag(w, STUN_USE_CANDIDATE);
}

static int write_message(const struct ice *ice, const struct ice_send *s, struct wr *w)
{
    const char *pwd = s->old_local ? ice->local_old.pwd : ice->local.pwd;
    struct bytes span;

    switch (s->kind) {
    case ICE_SEND_SUCCESS:
        stun_begin(w, STUN_SUCCESS, STUN_BINDING, &s->tid);
        stun_add_xor_addr(w, STUN_XOR_MAPPED_ADDRESS, &s->path.remote);
        break;
    case ICE_SEND_CONFLICT:
        stun_begin(w, STUN_ERROR, STUN_BINDING, &s->tid);
        stun_add_error(w, 487, "Role Conflict");
        break;
    case ICE_SEND_UNKNOWN:
        stun_begin(w, STUN_ERROR, STUN_BINDING, &s->tid);
        stun_add_error(w, 420, "Unknown Attribute");
        stun_add_unknown(w, &s->unknown, 1);
        break;
    case ICE_SEND_CHECK:
        write_check(ice, s, w);
        pwd = s->old_remote ? ice->remote_old.pwd : ice->remote.pwd;
        break;
    }
    uint8_t *tag = stun_add_integrity(w, &span);
    if (tag != NULL)
        hash_hmac_sha1(bytes_str(pwd), span, tag);
    stun_add_fingerprint(w);
    return stun_end(w);
}

bool ice_output(struct ice *ice, struct path *path, struct wr *w)
{
    while (ice->send_n > 0) {
        struct ice_send s = ice->send[0];
        ice->send_n--;
        memmove(ice->send, ice->send + 1, ice->send_n * sizeof ice->send[0]);
        struct wr fresh = wr_of(w->p, wr_left(w));
        if (write_message(ice, &s, &fresh) != 0)
            continue; /* no room: the other side repeats its request, we our check */
        *path = s.path;
        w->p = fresh.p;
        return true;
    }
    return false;
}

/* --- receiving --- */

/* Constant time in the tag. */
static bool signed_with(const struct stun_msg *m, const char *pwd)
{
    uint8_t scratch[STUN_MESSAGE_MAX], want[HASH_SHA1_BYTES];
    struct bytes tag;
    struct bytes span = stun_integrity_span(m, scratch, &tag);

    if (span.len == 0 || pwd[0] == '\0')
        return false;
    hash_hmac_sha1(bytes_str(pwd), span, want);
    return crypt_equal(tag.p, want, sizeof want);
}

/* Is the request for us and from whom signalling named?  *old: with credentials from before a
 * restart. */
static bool request_authentic(const struct ice *ice, const struct stun_msg *m, bool *old)
{
    struct bytes ours, theirs;

    if (!stun_username_split(m->username, &ours, &theirs))
        return false;
    if (bytes_eq_str(ours, ice->local.ufrag))
        *old = false;
    else if (ice->local_old.ufrag[0] != '\0' && bytes_eq_str(ours, ice->local_old.ufrag))
        *old = true;
    else
        return false;
    /* Their half counts once we know it (RFC 8445 s7.3: a request may come before the answer). */
    if (ice->remote.ufrag[0] != '\0' && !bytes_eq_str(theirs, ice->remote.ufrag) &&
        !(ice->remote_old.ufrag[0] != '\0' && bytes_eq_str(theirs, ice->remote_old.ufrag)))
        return false;
    return signed_with(m, *old ? ice->local_old.pwd : ice->local.pwd);
}

/* RFC 8445 s7.3.1.1.  True when the request must be answered with 487. */
static bool conflict(struct ice *ice, const struct stun_msg *m)
{
    bool theirs = m->role == STUN_ROLE_CONTROLLING;

    if (m->role == STUN_ROLE_NONE || theirs != ice->controlling)
        return false;
    if (ice->mode == ICE_LITE)
        return true; /* a lite agent cannot lead: the other side must */
    bool keep = ice->tie_breaker >= m->tie_breaker;
    if (ice->controlling ? keep : !keep)
        return true;
    ice->controlling = !ice->controlling;
    checklist_set_role(ice->list, ice->controlling);
    return false;
}

static uint64_t path_hash(const struct path *path)
{
    return addr_hash(&path->remote, addr_hash(&path->local, 0));
}

/* Did this very request come before, from elsewhere?  Remembers it. */
static bool replayed(struct ice *ice, const struct stun_tid *tid, const struct path *path)
{
    uint32_t n = u32_min(ice->seen_n, ICE_SEEN_MAX);
    struct ice_seen s = {.from = path_hash(path)};

    memcpy(&s.tid, tid->b, sizeof s.tid);
    for (uint32_t i = 0; i < n; i++) {
        if (ice->seen[i].tid == s.tid)
            return ice->seen[i].from != s.from;
    }
    ice->seen[ice->seen_n++ % ICE_SEEN_MAX] = s;
    return false;
}

static void nominated_by_them(struct ice *ice, const struct path *path, us_t now)
{
    bool back = path_eq(path, &ice->left) && now < ice->left_at + ICE_FLAP_US;

    if (ice->has_selected && back && !path_eq(path, &ice->selected))
        return;
    select_path(ice, path, now);
}

static void request_full(struct ice *ice, const struct stun_msg *m, const struct path *path,
                         us_t now)
{
    bool nominated = m->use_candidate && !ice->controlling;
    uint32_t priority = m->has_priority ? m->priority : CHECK_PRIORITY;
    struct check_pair *p = checklist_triggered(ice->list, path, priority, nominated);

    if (nominated && p->state == PAIR_SUCCEEDED)
        nominated_by_them(ice, path, now);
}

static int request_input(struct ice *ice, const struct stun_msg *m, const struct path *path,
                         us_t now)
{
    struct ice_send s = {.kind = ICE_SEND_SUCCESS, .path = *path, .tid = m->tid};

    if (!m->fingerprint || !request_authentic(ice, m, &s.old_local)) {
        ice->stats.drop_unauthenticated++;
        return E_AUTH;
    }
    if (ice->state == ICE_FAILED) {
        ice->stats.drop_unexpected++;
        return E_STATE;
    }
    if (replayed(ice, &m->tid, path)) {
        ice->stats.drop_replayed++;
        return E_REPLAY;
    }
    if (m->unknown_n > 0) {
        s.kind = ICE_SEND_UNKNOWN;
        s.unknown = m->unknown[0];
    } else if (conflict(ice, m)) {
        s.kind = ICE_SEND_CONFLICT;
    }
    push(ice, &s);
    if (s.kind != ICE_SEND_SUCCESS)
        return 0;

    if (!s.old_local) /* the other side has the new credentials: the old ones are spent */
        ice->local_old = (struct ice_cred){0};
    prove(ice, path, now);
    if (ice->state == ICE_NEW)
        enter(ice, ICE_CHECKING);
    if (ice->mode == ICE_FULL) {
        request_full(ice, m, path, now);
        return 0;
    }
    if (m->use_candidate)
        nominated_by_them(ice, path, now);
    if (ice->has_selected && path_eq(path, &ice->selected)) {
        ice->heard_at = now;
        enter(ice, ICE_CONNECTED);
    }
    return 0;
}

/* An answer on the selected pair, whatever check it belongs to. */
static void alive(struct ice *ice, us_t now)
{
    ice->heard_at = now;
    ice->probe_at = now + ICE_KEEPALIVE_US;
    consent_renew(&ice->consent, now);
    if (ice->state == ICE_DISCONNECTED)
        enter(ice, ICE_CONNECTED);
}

static bool probe_answered(struct ice *ice, const struct stun_tid *tid, us_t now)
{
    uint32_t n = u32_min(ice->probe_n, ICE_PROBES_MAX);

    for (uint32_t i = 0; i < n; i++) {
        if (!stun_tid_eq(&ice->probe[i], tid))
            continue;
        if (i == (ice->probe_n - 1) % ICE_PROBES_MAX)
            ice->stats.rtt_us = now - ice->probe_sent_at;
        return true;
    }
    return false;
}

static int success_input(struct ice *ice, const struct stun_msg *m, const struct path *path,
                         us_t now)
{
    bool selected = ice->has_selected && addr_eq(&path->remote, &ice->selected.remote);

    if (selected && consent_answer(&ice->consent, now, &m->tid)) {
        alive(ice, now);
        return 0;
    }
    if (selected && probe_answered(ice, &m->tid, now)) {
        alive(ice, now);
        return 0;
    }
    struct check_pair *p = checklist_answered(ice->list, path, &m->tid, now);
    if (p == NULL) {
        ice->stats.drop_unexpected++;
        return E_STATE;
    }
    prove(ice, &p->path, now);
    ice->stats.rtt_us = now - p->sent_at;
    if (p->nominated) {
        p->nominated = !ice->controlling; /* chosen once; a controlled agent may be told again */
        select_path(ice, &p->path, now);
    }
    return 0;
}

static int response_input(struct ice *ice, const struct stun_msg *m, const struct path *path,
                          us_t now)
{
    if (ice->mode == ICE_LITE || ice->state == ICE_FAILED) {
        ice->stats.drop_unexpected++;
        return E_STATE;
    }
    if (!m->fingerprint || (!signed_with(m, ice->remote.pwd) &&
                            !(ice->selected_old_remote && signed_with(m, ice->remote_old.pwd)))) {
        ice->stats.drop_unauthenticated++;
        return E_AUTH;
    }
    if (m->cls == STUN_SUCCESS)
        return success_input(ice, m, path, now);

    struct check_pair *p = checklist_asked(ice->list, &m->tid);
    if (p == NULL || p->state != PAIR_RUNNING)
        return E_STATE;
    if (m->error_code == 487) { /* RFC 8445 s7.2.5.1 */
        ice->controlling = !ice->controlling;
        checklist_set_role(ice->list, ice->controlling);
        checklist_again(p);
    } else {
        p->state = PAIR_FAILED;
        p->at = now + CHECKLIST_RETRY_US;
    }
    return 0;
}

/* --- time --- */

/* `on_pair`: for the selected pair, which may belong to older credentials. */
static void push_check(struct ice *ice, const struct checklist_check *c, bool on_pair)
{
    const struct ice_send s = {
        .kind = ICE_SEND_CHECK,
        .path = c->path,
        .tid = c->tid,
        .use_candidate = c->use_candidate,
        .old_remote = on_pair && ice->selected_old_remote,
        .old_local = on_pair && ice->selected_old_local && ice->local_old.ufrag[0] != '\0',
    };

    push(ice, &s);
}

/* Consent lapsed: nothing may be sent (RFC 7675 s5.1).  While a restart looks for another pair
 * that is no failure yet. */
static void lose_pair(struct ice *ice)
{
    bool restarting = ice->selected_old_local || ice->selected_old_remote;

    ice->has_selected = ice->selected_old_local = ice->selected_old_remote = false;
    enter(ice, restarting ? ICE_CHECKING : ICE_FAILED);
}

/* Keep-alive and consent on the selected pair.  Keep-alives of a controlling agent nominate, so
 * that the other side follows when our address changed under us. */
static void tend_pair(struct ice *ice, us_t now)
{
    struct checklist_check c = {.path = ice->selected, .use_candidate = ice->controlling};

    if (consent_check(&ice->consent, now, &ice->rng, &c.tid))
        push_check(ice, &c, true);
    if (ice->consent.state == CONSENT_REVOKED) {
        lose_pair(ice);
        return;
    }
    if (now < ice->probe_at)
        return;
    c.tid = stun_tid_new(&ice->rng);
    ice->probe[ice->probe_n++ % ICE_PROBES_MAX] = c.tid;
    ice->probe_at = now + ICE_PROBE_US;
    ice->probe_sent_at = now;
    push_check(ice, &c, true);
}

static void run_checks(struct ice *ice, us_t now)
{
    struct checklist_check c;

    if (ice->mode == ICE_LITE || ice->state == ICE_FAILED || ice->begun_at == US_NEVER)
        return;
    while (ice->send_n < ICE_SENDS_MAX && checklist_next(ice->list, now, &ice->rng, &c)) {
        push_check(ice, &c, false);
        if (ice->state == ICE_NEW)
            enter(ice, ICE_CHECKING);
    }
}

/* When silence ends the pair: a restart gets its time from when it began. */
static us_t fail_at(const struct ice *ice)
{
    bool restarting = ice->selected_old_local || ice->selected_old_remote;
    us_t since = restarting ? us_max(ice->heard_at, ice->begun_at) : ice->heard_at;

    return since + ICE_FAILED_US;
}

/* The next change of state that time alone brings; *to. */
static us_t lapse_at(const struct ice *ice, enum ice_state *to)
{
    *to = ICE_FAILED;
    switch (ice->state) {
    case ICE_NEW:
    case ICE_CHECKING:
        return ice->begun_at == US_NEVER ? US_NEVER : ice->begun_at + ICE_CHECKING_US;
    case ICE_CONNECTED:
        *to = ICE_DISCONNECTED;
        return ice->heard_at + ICE_DISCONNECTED_US;
    case ICE_DISCONNECTED:
        return fail_at(ice);
    case ICE_FAILED:
        break;
    }
    return US_NEVER;
}

void ice_tick(struct ice *ice, us_t now)
{
    enum ice_state to;

    while (now >= lapse_at(ice, &to))
        enter(ice, to);
    if (ice->mode == ICE_FULL && ice->has_selected && ice->state != ICE_FAILED)
        tend_pair(ice, now);
    run_checks(ice, now);
}

us_t ice_deadline(const struct ice *ice)
{
    enum ice_state to;
    us_t at = lapse_at(ice, &to);

    if (ice->mode == ICE_LITE || ice->begun_at == US_NEVER || ice->state == ICE_FAILED)
        return at;
    at = us_min(at, checklist_deadline(ice->list));
    if (ice->has_selected)
        at = us_min(at, us_min(consent_deadline(&ice->consent), ice->probe_at));
    return at;
}

static int message_input(struct ice *ice, const struct path *path, struct bytes datagram, us_t now)
{
    struct stun_msg m;
    int err = stun_parse(&m, datagram);

    if (err || m.method != STUN_BINDING) {
        ice->stats.drop_malformed++;
        return err ? err : E_UNSUPPORTED;
    }
    switch (m.cls) {
    case STUN_REQUEST:
        return request_input(ice, &m, path, now);
    case STUN_SUCCESS:
    case STUN_ERROR:
        return response_input(ice, &m, path, now);
    case STUN_INDICATION:
        break;
    }
    return 0; /* RFC 8445 s11: a keep-alive, proof of nothing */
}

int ice_input(struct ice *ice, const struct path *path, struct bytes datagram, us_t now)
{
    int err = message_input(ice, path, datagram, now);

    if (err == 0)
        run_checks(ice, now); /* a triggered check or a nomination may be due at once */
    return err;
}

bool ice_event(struct ice *ice, struct ice_event *ev)
{
    if (ice->path_untold) {
        ice->path_untold = false;
        *ev = (struct ice_event){.kind = ICE_EVT_PATH, .state = ice->state};
        return true;
    }
    if (ice->told_state != ice->state) {
        ice->told_state = ice->state;
        *ev = (struct ice_event){.kind = ICE_EVT_STATE, .state = ice->state};
        return true;
    }
    return false;
}
